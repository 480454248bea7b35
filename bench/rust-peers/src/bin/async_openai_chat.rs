//! One streamed answer with async-openai.
//!
//! `async_openai_chat BASE_URL text|slow`: `slow` takes 20 deltas a second at most. BASE_URL is without
//! `/v1`. Prints the number of bytes of text that came.

use std::error::Error;
use std::time::Duration;

use async_openai::Client;
use async_openai::config::OpenAIConfig;
use async_openai::types::chat::{
    ChatCompletionRequestUserMessage, CreateChatCompletionRequestArgs,
};
use futures_util::StreamExt;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let [base_url, mode] = bench_rust_peers::arguments();
    let config = OpenAIConfig::new()
        .with_api_base(format!("{base_url}/v1"))
        .with_api_key("none");
    let client = Client::with_config(config);
    let question = CreateChatCompletionRequestArgs::default()
        .model("gpt-5.1")
        .messages([ChatCompletionRequestUserMessage::from(bench_rust_peers::QUESTION).into()])
        .build()?;
    let mut answer = client.chat().create_stream(question).await?;
    let mut received = 0;
    while let Some(chunk) = answer.next().await {
        for choice in chunk?.choices {
            let Some(text) = choice.delta.content else {
                continue;
            };
            received += text.len();
            if mode == "slow" {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    println!("{received}");
    Ok(())
}
