//! async-stream issue 106: a `yield` that a macro puts into an async block, which
//! another stream, of another type, then awaits.
use std::pin::pin;

use futures_util::StreamExt;
use unspool_core::stream;

macro_rules! asynk {
    ($e:expr) => {
        async { $e }
    };
}

fn main() {
    let mut stream = pin!(stream! {
        let yield_42 = asynk!(yield 42_usize);
        let inner = stream! {
            yield Box::new(12345);
            yield_42.await;
        };
        for await (index, item) in inner.enumerate() {
            println!("{index}: {item}");
        }
    });
    let _ = stream.next();
}
