//! A loop over a generator that may fail, in which its error would be lost.
use std::pin::pin;

use unspool_core::{AsyncGenerator, generator};

fn numbers() -> impl AsyncGenerator<Yield = u8, Return = Result<(), String>> {
    generator! {
        yield 1;
        Err("gone")?;
        Ok(())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut generator = pin!(numbers());
    while let Some(number) = generator.anext().await {
        println!("{number}");
    }
    let _ = numbers().into_stream();
    let boxed: std::pin::Pin<Box<dyn AsyncGenerator<Yield = u8, Return = Result<(), String>>>> =
        Box::pin(numbers());
    let _ = boxed.into_stream();
}
