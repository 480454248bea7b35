use unspool_core::{generator, stream};

fn main() {
    let _ = stream! {
        yield 1;
        yield in generator! { yield 2; };
    };
}
