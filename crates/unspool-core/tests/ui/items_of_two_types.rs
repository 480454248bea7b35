use unspool_core::stream;

fn main() {
    let _ = stream! {
        yield 1u8;
        yield "two";
    };
}
