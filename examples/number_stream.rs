//! A typed generator with a pause between its items, and one that is sent values.
//!
//! ```python
//! async def number_stream(n: int) -> AsyncGenerator[int, None]:
//!     for number in range(n):
//!         await asyncio.sleep(0.1)
//!         yield number
//!
//! async def scaled_stream(n: int) -> AsyncGenerator[int, int]:
//!     factor = 1
//!     for number in range(n):
//!         factor = yield number * factor
//! ```

use std::error::Error;
use std::pin::pin;
use std::time::Duration;

use tokio::time::sleep;
use unspool::{AsyncGenerator, generator};

pub(crate) fn number_stream(n: u64) -> impl AsyncGenerator<Yield = u64> {
    generator! {
        for number in 0..n {
            sleep(Duration::from_millis(100)).await;
            yield number;
        }
    }
}

pub(crate) fn scaled_stream(n: u64) -> impl AsyncGenerator<u64, Yield = u64> {
    generator! {
        let mut factor = 1;
        for number in 0..n {
            factor = yield number * factor;
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut numbers = pin!(number_stream(3));
    while let Some(number) = numbers.anext().await {
        println!("{number}");
    }

    let mut scaled = pin!(scaled_stream(3));
    println!("{:?}", scaled.start().await?);
    println!("{:?}", scaled.asend(10).await?);
    println!("{:?}", scaled.asend(100).await?);
    Ok(())
}
