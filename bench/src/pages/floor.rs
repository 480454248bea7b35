//! The floor: reqwest reads the bytes of every page, and nothing looks at them.

use std::error::Error;

use reqwest::Client;
use reqwest::header::{HeaderMap, LINK};

/// Prints the number of body bytes.
pub(crate) fn run(url: &str) -> Result<(), Box<dyn Error>> {
    let bytes = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(read(url))?;
    println!("{bytes}");
    Ok(())
}

async fn read(url: &str) -> Result<usize, reqwest::Error> {
    let client = Client::new();
    let mut bytes = 0;
    let mut next = Some(url.to_owned());
    while let Some(url) = next {
        let mut response = client.get(url).send().await?.error_for_status()?;
        next = next_link(response.headers());
        while let Some(chunk) = response.chunk().await? {
            bytes += chunk.len();
        }
    }
    Ok(bytes)
}

/// The one form that the server of this bench sends.
fn next_link(headers: &HeaderMap) -> Option<String> {
    let link = headers.get(LINK)?.to_str().ok()?;
    let url = link.strip_prefix('<')?.strip_suffix(r#">; rel="next""#)?;
    Some(url.to_owned())
}
