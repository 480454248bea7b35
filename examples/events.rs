//! An endless feed, stopped and cleaned up: the loop by hand, and the library's own source,
//! which reconnects where it stopped.
//!
//!     cargo run --example events -- https://stream.wikimedia.org/v2/stream/recentchange
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

use futures_util::TryStreamExt;
use tokio::time::sleep;
use unspool::events::Events;
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

/// The same over a live feed: what breaks is connected again after the last event, and what
/// may be missing is said.
pub(crate) fn feed(url: &str) -> Events<unspool::events::Event> {
    unspool::events(url)
        .on_doubt(|doubt| eprintln!("{doubt}"))
        .events()
}

#[tokio::main]
async fn main() -> Result<(), unspool::Error> {
    let mut events = pin!(events());
    for _ in 0..3 {
        println!("{:?}", events.anext().await);
    }
    if let Err(ignored) = events.aclose().await {
        eprintln!("{ignored}");
    }
    if let Some(url) = std::env::args().nth(1) {
        let mut feed = feed(&url);
        while let Some(event) = feed.try_next().await? {
            println!("{}: {}", event.name, event.data);
        }
    }
    Ok(())
}
