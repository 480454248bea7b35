use unspool_core::stream;

fn main() {
    let _ = stream! {
        tokio::join!(
            async { yield 1; },
            async move { yield 2; },
        );
    };
}
