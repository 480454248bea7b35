//! The hole in async-gen 0.3.0, tried on the function form: the ways out of nested
//! streams exchanged.
use unspool_core::stream_fn;

fn main() {
    let _ = stream_fn::<u8, _>(async |mut outer| {
        let _ = stream_fn::<u8, _>(async |mut inner| {
            std::mem::swap(&mut outer, &mut inner);
        });
    });
}
