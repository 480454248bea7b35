//! Servers that speak the Chat Completions API of OpenAI: where they are, how they are
//! asked, and what differs.

use super::openai::{BASE, is_of_openai};
use super::{Dialect, Key, Provider, ProviderEntry, chat};

/// What they have in common.
const COMPATIBLE: ProviderEntry = ProviderEntry {
    name: "",
    about: "",
    base: BASE,
    base_variables: &[],
    keys: &[],
    is_open: false,
    model: None,
    serves: |_| false,
    dialect: Dialect::USUAL,
    request: chat::request,
    reader: || Box::new(chat::Chat::default()),
};

/// The Chat Completions API of OpenAI, and servers that are compatible with it.
pub const OPENAI: Provider = Provider(&ProviderEntry {
    name: "openai",
    about: "OpenAI Chat Completions, and servers that are compatible with it",
    base_variables: &["OPENAI_BASE_URL"],
    keys: &[("OPENAI_API_KEY", Key::Bearer)],
    model: Some("gpt-5.1"),
    serves: is_of_openai,
    dialect: Dialect {
        takes_pdf: true,
        ..Dialect::USUAL
    },
    ..COMPATIBLE
});

/// OpenRouter.
pub const OPENROUTER: Provider = Provider(&ProviderEntry {
    name: "openrouter",
    about: "OpenRouter",
    base: "https://openrouter.ai/api/v1",
    keys: &[("OPENROUTER_API_KEY", Key::Bearer)],
    dialect: Dialect {
        takes_pdf: true,
        ..Dialect::USUAL
    },
    ..COMPATIBLE
});

/// Groq.
pub const GROQ: Provider = Provider(&ProviderEntry {
    name: "groq",
    about: "Groq",
    base: "https://api.groq.com/openai/v1",
    keys: &[("GROQ_API_KEY", Key::Bearer)],
    dialect: Dialect {
        max_tokens: "max_completion_tokens",
        ..Dialect::USUAL
    },
    ..COMPATIBLE
});

/// Mistral, whose answers have the usage without being asked for it.
pub const MISTRAL: Provider = Provider(&ProviderEntry {
    name: "mistral",
    about: "Mistral",
    base: "https://api.mistral.ai/v1",
    keys: &[("MISTRAL_API_KEY", Key::Bearer)],
    dialect: Dialect {
        has_stream_options: false,
        ..Dialect::USUAL
    },
    ..COMPATIBLE
});

/// DeepSeek.
pub const DEEPSEEK: Provider = Provider(&ProviderEntry {
    name: "deepseek",
    about: "DeepSeek",
    base: "https://api.deepseek.com/v1",
    keys: &[("DEEPSEEK_API_KEY", Key::Bearer)],
    ..COMPATIBLE
});

/// Together AI.
pub const TOGETHER: Provider = Provider(&ProviderEntry {
    name: "together",
    about: "Together AI",
    base: "https://api.together.xyz/v1",
    keys: &[("TOGETHER_API_KEY", Key::Bearer)],
    ..COMPATIBLE
});

/// Fireworks AI.
pub const FIREWORKS: Provider = Provider(&ProviderEntry {
    name: "fireworks",
    about: "Fireworks AI",
    base: "https://api.fireworks.ai/inference/v1",
    keys: &[("FIREWORKS_API_KEY", Key::Bearer)],
    ..COMPATIBLE
});

/// xAI.
pub const XAI: Provider = Provider(&ProviderEntry {
    name: "xai",
    about: "xAI",
    base: "https://api.x.ai/v1",
    keys: &[("XAI_API_KEY", Key::Bearer)],
    ..COMPATIBLE
});

/// A vLLM server on this machine.
pub const VLLM: Provider = Provider(&ProviderEntry {
    name: "vllm",
    about: "vLLM on this machine",
    base: "http://127.0.0.1:8000/v1",
    keys: &[("VLLM_API_KEY", Key::Bearer)],
    is_open: true,
    ..COMPATIBLE
});

/// LM Studio on this machine.
pub const LM_STUDIO: Provider = Provider(&ProviderEntry {
    name: "lmstudio",
    about: "LM Studio on this machine",
    base: "http://127.0.0.1:1234/v1",
    keys: &[("LM_API_TOKEN", Key::Bearer)],
    is_open: true,
    ..COMPATIBLE
});

/// A server of llama.cpp on this machine, which has one model and asks for no name.
pub const LLAMA_CPP: Provider = Provider(&ProviderEntry {
    name: "llama.cpp",
    about: "llama.cpp on this machine",
    base: "http://127.0.0.1:8080/v1",
    keys: &[("LLAMA_API_KEY", Key::Bearer)],
    is_open: true,
    model: Some("default"),
    ..COMPATIBLE
});
