use unspool_core::stream;

fn main() {
    let _ = stream! {
        #![throws(String)]
        yield 1;
    };
}
