//! An endless feed, stopped and cleaned up.
//!
//! ```python
//! async def events() -> AsyncGenerator[Event, None]:
//!     try:
//!         while True:
//!             event = await fetch_event()
//!             yield event
//!     finally:
//!         await unsubscribe()
//! ```

use std::pin::pin;
use std::time::Duration;

use tokio::time::sleep;
use unspool::{AsyncGenerator, generator};

#[derive(Debug, PartialEq)]
pub(crate) struct Event(&'static str);

async fn fetch_event() -> Event {
    sleep(Duration::from_millis(100)).await;
    Event("something happened")
}

async fn unsubscribe() {
    sleep(Duration::from_millis(100)).await;
    println!("unsubscribed");
}

pub(crate) fn events() -> impl AsyncGenerator<Yield = Event> {
    generator! {
        try {
            loop {
                let event = fetch_event().await;
                yield event;
            }
        } finally {
            unsubscribe().await;
        }
    }
}

#[tokio::main]
async fn main() {
    let mut events = pin!(events());
    for _ in 0..3 {
        println!("{:?}", events.anext().await);
    }
    if let Err(ignored) = events.aclose().await {
        eprintln!("{ignored}");
    }
}
