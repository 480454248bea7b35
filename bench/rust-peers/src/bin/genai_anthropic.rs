//! One streamed answer with genai over Anthropic Messages.
//!
//! `genai_anthropic BASE_URL text|slow`: `slow` takes 20 deltas a second at most. BASE_URL is without
//! `/v1`. Prints the number of bytes of text that came.

use std::error::Error;

use genai::adapter::AdapterKind;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    bench_rust_peers::genai(AdapterKind::Anthropic, "claude-sonnet-4-6").await
}
