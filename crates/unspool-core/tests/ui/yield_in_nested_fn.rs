use unspool_core::stream;

fn main() {
    let _ = stream! {
        fn nested() {
            yield "hello";
        }
    };
}
