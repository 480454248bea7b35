use unspool_core::stream_fn;

fn main() {
    let _ = stream_fn::<u8, _>(async |mut y| {
        tokio::join!(y.yield_item(1), y.yield_item(2));
    });
}
