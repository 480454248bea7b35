//! The hole in asynk-strim 0.1.5, tried on the function form: the way out of one
//! stream kept for another.
use unspool_core::stream_fn;

fn main() {
    let mut kept = None;
    let _ = stream_fn::<u8, _>(async |y| {
        kept = Some(y);
    });
}
