//! The hole in async-gen 0.3.0: the yielders of nested generators exchanged.
use unspool_core::stream;

fn main() {
    let _ = stream! {
        yield String::new();
        let inner = stream! {
            yield 1u8;
            core::mem::swap(&mut __yielder, &mut __yielder);
        };
        for await number in inner {
            drop(number);
        }
    };
}
