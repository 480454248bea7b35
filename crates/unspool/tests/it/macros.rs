//! The macros through the re-export of this crate.

use futures_util::StreamExt;

#[tokio::test]
async fn a_reexported_macro_works() {
    let stream = unspool::stream! {
        for await number in unspool::try_stream! { yield 1; Err("two")?; } {
            yield number;
        }
    };
    assert_eq!(
        stream.collect::<Vec<Result<u8, &str>>>().await,
        [Ok(1), Err("two")]
    );
}
