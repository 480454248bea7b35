//! The floors: reqwest, or hyper alone, reads the bytes of every page, and nothing
//! looks at them.

use std::error::Error;

use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use reqwest::header::{HOST, HeaderMap, LINK};
use reqwest::{Client, Url};
use tokio::net::TcpStream;

/// Prints the number of body bytes that reqwest reads.
pub(crate) fn run(url: &str) -> Result<(), Box<dyn Error>> {
    let bytes = runtime()?.block_on(read(url))?;
    println!("{bytes}");
    Ok(())
}

/// Prints the number of body bytes that hyper reads over one connection.
pub(crate) fn run_hyper(url: &str) -> Result<(), Box<dyn Error>> {
    let bytes = runtime()?.block_on(read_with_hyper(url))?;
    println!("{bytes}");
    Ok(())
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
}

async fn read_with_hyper(url: &str) -> Result<usize, Box<dyn Error>> {
    let first = Url::parse(url)?;
    let authority = first.authority().to_owned();
    let stream = TcpStream::connect(&authority).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let mut bytes = 0;
    let mut next = Some(first);
    while let Some(url) = next {
        let target = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        let request = hyper::Request::get(target)
            .header(HOST, &authority)
            .body(Empty::<Bytes>::new())?;
        let mut response = sender.send_request(request).await?;
        next = next_link(response.headers())
            .map(|url| Url::parse(&url))
            .transpose()?;
        while let Some(frame) = response.frame().await {
            bytes += frame?.data_ref().map_or(0, Bytes::len);
        }
    }
    Ok(bytes)
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
