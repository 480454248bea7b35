//! `client.messages.stream(…)` → `yield text` over the anthropic package, in Rust.
//!
//!     ANTHROPIC_API_KEY=… cargo run --example generate_text -- 'Write a poem'

use std::io::Write;

use futures_util::TryStreamExt;
use unspool::ask::{Answer, Request};

/// The answer, piece by piece as the model writes it.
pub(crate) fn generate_text(request: Request) -> Answer<String> {
    request.model("claude-sonnet-4-6").max_tokens(1024).text()
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let prompt = std::env::args().nth(1).unwrap_or("Write a poem".to_owned());
    let mut answer = generate_text(unspool::ask(prompt));
    while let Some(text) = answer.try_next().await? {
        print!("{text}");
        std::io::stdout().flush()?;
    }
    println!("\n({})", answer.outcome().stop);
    Ok(())
}
