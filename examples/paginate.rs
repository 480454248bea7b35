//! `async def paginate(client, base_url, pages=5)` over httpx, in Rust.
//!
//!     cargo run --example paginate -- https://api.example.com/posts

use futures_util::TryStreamExt;
use serde::Deserialize;
use unspool::pages::{PageNumber, Pages};

/// The fields that we want of an item; all others are passed over.
#[derive(Debug, Deserialize)]
pub(crate) struct Post {
    /// What the post is called.
    pub(crate) title: String,
}

/// The posts of the first pages of an API: one request a page, each made when its
/// first post is asked for.
pub(crate) fn paginate(base_url: &str, pages: u64) -> Pages<Post> {
    unspool::pages(base_url)
        .paginate(PageNumber::new("page").last(pages))
        .items()
}

#[tokio::main]
async fn main() -> Result<(), unspool::Error> {
    let url = std::env::args().nth(1).unwrap_or_default();
    let mut posts = paginate(&url, 5);
    while let Some(post) = posts.try_next().await? {
        println!("{}", post.title);
    }
    Ok(())
}
