//! Values that are to be in no message: those of the credentials' flags, of the
//! environment and of files.

use std::sync::{Mutex, MutexGuard, PoisonError};

use reqwest::Url;
use serde_json::Value;

/// The shortest word that is taken out: a shorter one is in half of all texts.
const SHORTEST: usize = 4;

static SECRETS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Keeps a value, and what it becomes in an address, out of all messages.
pub(crate) fn keep(value: &str) {
    let mut secrets = lock();
    let prefix = "http://a/?=";
    for url in [
        Url::parse(&format!("{prefix}{value}")),
        Url::parse_with_params("http://a/", [("", value)]),
    ] {
        let written = url.ok().map(String::from);
        secrets.extend(written.and_then(|url| Some(url.strip_prefix(prefix)?.to_owned())));
    }
    secrets.push(value.to_owned());
    secrets.retain(|secret| secret.len() >= SHORTEST);
    // One may be a part of another.
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    secrets.dedup();
}

/// The text without the secrets.
pub(crate) fn without(text: &str) -> String {
    (lock().iter()).fold(text.to_owned(), |text, secret| text.replace(secret, "…"))
}

/// The document without the secrets in its texts.
pub(crate) fn without_in(value: &mut Value) {
    match value {
        Value::String(text) => *text = without(text),
        Value::Array(values) => values.iter_mut().for_each(without_in),
        Value::Object(members) => members.values_mut().for_each(without_in),
        _ => {}
    }
}

fn lock() -> MutexGuard<'static, Vec<String>> {
    SECRETS.lock().unwrap_or_else(PoisonError::into_inner)
}
