//! async-stream issue 107: items that outlive what they borrow.
use std::pin::pin;

use futures_util::StreamExt;
use unspool_core::stream;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut outer = vec![];
    {
        let numbers = vec![0; 10];
        let borrowed = &numbers;
        let mut stream = pin!(stream! {
            for number in borrowed {
                yield number
            }
        });
        while let Some(number) = stream.next().await {
            outer.push(number);
        }
    };
    println!("{outer:?}");
}
