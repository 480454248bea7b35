//! The clients that this program itself is: the floors, and the library.

use std::error::Error;
use std::time::Duration;

use futures_util::TryStreamExt;
use futures_util::future::try_join_all;
use reqwest::{Client, Response};
use tokio::time::sleep;
use unspool::ask::{Provider, Request};
use unspool::sse::Decoder;

use crate::sse::text;

const QUESTION: &str = "A poem about rain, please.";

const BODY: &str = r#"{"model":"claude-sonnet-4-6","max_tokens":1024,"stream":true,"messages":[{"role":"user","content":"A poem about rain, please."}]}"#;

type Answer = Result<usize, Box<dyn Error>>;

/// Prints what a client counts: `bytes URL`, `decoder URL`, `library URL PROVIDER`,
/// `slow URL DELTAS`, or `many URL COUNT FORM`, where the form is `decoder`, `shared` or
/// `plain`.
///
/// # Errors
///
/// There is no such client, or its request fails.
pub(crate) fn run(arguments: &[String]) -> Result<(), Box<dyn Error>> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let count = runtime.block_on(async {
        match words[..] {
            ["bytes", url] => bytes(url).await,
            ["decoder", url] => decoded(&client()?, url).await,
            ["library", url, provider] => counted(request(url, provider)?).await,
            ["slow", url, deltas] => slow(url, deltas.parse()?).await,
            ["many", url, count, form] => many(url, count.parse()?, form).await,
            _ => Err("no such client".into()),
        }
    })?;
    println!("{count}");
    Ok(())
}

/// Bytes of the body, at which nothing looks.
async fn bytes(url: &str) -> Answer {
    let mut response = post(&client()?, url).await?;
    let mut bytes = 0;
    while let Some(chunk) = response.chunk().await? {
        bytes += chunk.len();
    }
    Ok(bytes)
}

/// Bytes of the text, by the decoder of the library alone and the least that finds the
/// text in the events.
async fn decoded(client: &Client, url: &str) -> Answer {
    let mut response = post(client, url).await?;
    let mut decoder = Decoder::new();
    let mut bytes = 0;
    while let Some(chunk) = response.chunk().await? {
        decoder.push(chunk);
        while let Some(event) = decoder.next_event()? {
            if &*event.name == "content_block_delta" {
                bytes += text(&event.data)?.len();
            }
        }
    }
    Ok(bytes)
}

async fn counted(request: Request) -> Answer {
    let mut answer = request.text();
    let mut bytes = 0;
    while let Some(text) = answer.try_next().await? {
        bytes += text.len();
    }
    match answer.outcome().complete {
        true => Ok(bytes),
        false => Err("the answer is not complete".into()),
    }
}

/// Takes 20 deltas a second, and no more than so many.
async fn slow(url: &str, deltas: usize) -> Answer {
    let mut answer = request(url, "anthropic")?.text();
    let mut bytes = 0;
    for _ in 0..deltas {
        bytes += answer.try_next().await?.map_or(0, |text| text.len());
        sleep(Duration::from_millis(50)).await;
    }
    Ok(bytes)
}

/// So many answers at a time.
async fn many(url: &str, count: usize, form: &str) -> Answer {
    let client = client()?;
    let answers: Vec<usize> = match form {
        "decoder" => try_join_all((0..count).map(|_| decoded(&client, url))).await?,
        "shared" | "plain" => {
            let mut requests = Vec::new();
            for _ in 0..count {
                let request = request(url, "anthropic")?;
                requests.push(match form {
                    "shared" => request.client(client.clone()),
                    _ => request,
                });
            }
            try_join_all(requests.into_iter().map(counted)).await?
        }
        _ => return Err(format!("no form `{form}`").into()),
    };
    Ok(answers.into_iter().sum())
}

fn request(url: &str, provider: &str) -> Result<Request, Box<dyn Error>> {
    let url = match provider {
        "openai" => format!("{url}/v1"),
        _ => url.to_owned(),
    };
    Ok(unspool::ask(QUESTION)
        .provider(provider.parse::<Provider>()?)
        .model("model")
        .base_url(url)
        .api_key("none"))
}

async fn post(client: &Client, url: &str) -> Result<Response, reqwest::Error> {
    let request = client
        .post(format!("{url}/v1/messages"))
        .header("content-type", "application/json")
        .header("x-api-key", "none")
        .body(BODY);
    request.send().await?.error_for_status()
}

/// Without the certificates of the system: they are not needed here, and to read them takes
/// longer than to connect.
fn client() -> Result<Client, reqwest::Error> {
    Client::builder().tls_certs_only([]).build()
}
