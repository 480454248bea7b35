use unspool_core::stream;

async fn work() {}

fn main() {
    let _ = stream! {
        tokio::select! {
            _ = work() => yield fn f() {},
        }
    };
}
