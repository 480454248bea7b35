use std::pin::pin;

use unspool_core::{AsyncGenerator, generator};

fn numbers() -> impl AsyncGenerator<Yield = u8> {
    generator! {
        yield 1;
        yield 2;
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut numbers = pin!(numbers());
    let (one, two) = (numbers.anext(), numbers.anext());
    (one.await, two.await);

    let step = numbers.anext();
    step.await;
    step.await;
}
