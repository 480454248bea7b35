//! The hole in asynk-strim 0.1.5: a yielder that leaves its stream and is used in
//! another one of another type. Here the body has no name for its yielder.
use unspool_core::stream;

fn main() {
    let mut leaked = None;
    let _ = stream! {
        yield 1u8;
        leaked = Some(__yielder);
    };
}
