//! What the programs in `bin` share: their arguments, the question, and the loop over genai.

use std::error::Error;
use std::time::Duration;

use futures_util::StreamExt;
use genai::adapter::AdapterKind;
use genai::chat::{ChatMessage, ChatOptions, ChatRequest, ChatStreamEvent};
use genai::resolver::{AuthData, Endpoint, ServiceTargetResolver};
use genai::{Client, ModelIden, ServiceTarget};

pub const QUESTION: &str = "A poem about rain, please.";

/// BASE_URL and the mode, `text` or `slow`.
pub fn arguments() -> [String; 2] {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match <[String; 2]>::try_from(arguments) {
        Ok([base_url, mode]) if mode == "text" || mode == "slow" => [base_url, mode],
        _ => {
            eprintln!("expected BASE_URL text|slow");
            std::process::exit(2);
        }
    }
}

/// Streams one answer and prints the number of bytes of its text.
pub async fn genai(adapter: AdapterKind, model: &'static str) -> Result<(), Box<dyn Error>> {
    let [base_url, mode] = arguments();
    let resolver = ServiceTargetResolver::from_resolver_fn(
        move |_: ServiceTarget| -> Result<ServiceTarget, genai::resolver::Error> {
            Ok(ServiceTarget {
                endpoint: Endpoint::from_owned(format!("{base_url}/v1/")),
                auth: AuthData::from_single("none"),
                model: ModelIden::new(adapter, model),
            })
        },
    );
    let client = Client::builder()
        .with_service_target_resolver(resolver)
        .build()?;
    let question = ChatRequest::new(vec![ChatMessage::user(QUESTION)]);
    let options = ChatOptions::default().with_max_tokens(1024);
    let mut answer = client
        .exec_chat_stream(model, question, Some(&options))
        .await?
        .stream;
    let mut received = 0;
    while let Some(event) = answer.next().await {
        if let ChatStreamEvent::Chunk(chunk) = event? {
            received += chunk.content.len();
            if mode == "slow" {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    println!("{received}");
    Ok(())
}
