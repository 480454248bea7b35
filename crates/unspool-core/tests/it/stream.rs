use futures_core::{FusedStream, Stream};
use futures_util::StreamExt;
use std::pin::pin;
use unspool_core::{stream, try_stream};

#[tokio::test]
async fn basic() {
    let items: Vec<u32> = stream! { for i in 0..3 { yield i; } }.collect().await;
    assert_eq!(items, [0, 1, 2]);
}

fn t() -> impl Stream<Item = Result<i32, String>> {
    try_stream! {
        let a = Ok::<_, String>(Ok::<_, &str>(123))??;
        for _ in 1..10 {
            yield a;
        }
    }
}
#[tokio::test]
async fn tries() {
    let items: Vec<_> = t().collect().await;
    assert_eq!(items.len(), 9);
    let items: Vec<_> = try_stream! { yield 1; if true { Err("x")?; } yield 2; }
        .collect()
        .await;
    assert_eq!(items, [Ok(1), Err("x")]);
    let items: Vec<Result<u8, &str>> = stream! { yield Ok(1); if true { Err("x")?; } yield Ok(2); }
        .collect()
        .await;
    assert_eq!(items, [Ok(1), Err("x")]);
}
#[tokio::test]
async fn noop() {
    let mut s = pin!(stream! {});
    assert!(s.next().await.is_none());
    assert!(s.is_terminated());
    let s = stream! {
        let s = t();
        'a: for await x in s {
            yield x;
            for await y in stream! { yield 1; yield 2 } {
                yield Ok(y);
                if y == 2 { continue 'a }
            }
        }
    };
    assert_eq!(s.count().await, 27);
    let s = stream! {
        tokio::select! {
            _ = async {} => yield "hey",
            else => yield "hey",
        }
    };
    assert_eq!(s.count().await, 1);
}
