use unspool_core::stream;

fn main() {
    let _ = stream! {
        Some("value").map(|value| {
            yield value;
        });
    };
}
