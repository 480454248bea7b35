use unspool_core::generator;

async fn work() -> Result<u8, String> {
    Ok(1)
}

fn main() {
    let _ = generator! {
        try {
            tokio::select! {
                number = work() => { let number = number?; yield number; }
            }
        } finally {
            println!("must not be passed by");
        }
        Ok::<(), String>(())
    };
}
