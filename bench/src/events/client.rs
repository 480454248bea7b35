//! What `bench events` starts itself with, once per run: the library in a process of its own.

use std::error::Error;
use std::time::Duration;

use futures_util::StreamExt;
use unspool::Http;
use unspool::events::{Event, Events};

use super::memory::{peak, resident};

/// How long idle feeds stay open, for whoever looks at them from outside.
const PAUSE: Duration = Duration::from_millis(300);

/// Follows `COUNT` events of one feed (`drain`), or opens so many feeds (`idle`).
///
/// # Errors
///
/// A feed fails, or ends too early.
pub(crate) fn answer(arguments: &[String]) -> Result<(), Box<dyn Error>> {
    let [what, url, count] = arguments else {
        return Err("expected what to do, an address and a count".into());
    };
    let count: usize = count.parse()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    match what.as_str() {
        "drain" => runtime.block_on(drain(url, count)),
        "idle" => runtime.block_on(idle(url, count)),
        _ => Err(format!("expected `drain` or `idle`, found `{what}`").into()),
    }
}

async fn drain(url: &str, count: usize) -> Result<(), Box<dyn Error>> {
    let mut feed = unspool::events(url).events();
    let mut seen = 0;
    while let Some(event) = feed.next().await {
        event?;
        seen += 1;
    }
    if seen == count {
        Ok(())
    } else {
        Err(format!("{seen} events instead of {count}").into())
    }
}

/// Opens feeds, takes the first event of each, and prints what a feed takes in memory.
async fn idle(url: &str, count: usize) -> Result<(), Box<dyn Error>> {
    let http = Http::new();
    let mut feeds: Vec<Events<Event>> = Vec::with_capacity(count);
    // What the first one takes, all of them share.
    feeds.push(opened(url, &http).await?);
    let before = resident()?;
    for _ in 1..count {
        feeds.push(opened(url, &http).await?);
    }
    tokio::time::sleep(PAUSE).await;
    let (after, highest) = (resident()?, peak()?);
    let each = after.saturating_sub(before) / (count as u64 - 1).max(1);
    println!("{each} {after} {highest}");
    drop(feeds);
    Ok(())
}

async fn opened(url: &str, http: &Http) -> Result<Events<Event>, Box<dyn Error>> {
    let mut feed = unspool::events(url).http(http).events();
    feed.next().await.ok_or("a feed ended")??;
    Ok(feed)
}
