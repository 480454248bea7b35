use unspool_core::stream_fn;

fn main() {
    let _ = stream_fn::<u8, _>(async |mut y| {
        std::thread::spawn(move || {
            let _ = y.yield_item(1);
        });
    });
}
