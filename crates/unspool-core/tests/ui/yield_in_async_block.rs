use unspool_core::try_stream;

fn main() {
    let _ = try_stream! {
        let later = async {
            yield 123;
        };
        later.await;
    };
}
