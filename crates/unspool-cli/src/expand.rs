//! Values of flags that stand elsewhere: in the environment, `${NAME}`, or in a
//! file, `@FILE`. So they are in no list of processes and in no history.

use unspool::Secret;

use crate::report::SECRETS;

/// A value of its own, with what it names looked up.
pub(crate) fn value(text: &str) -> Result<String, String> {
    let secret = Secret::new(text);
    let value = secret.resolve().map_err(|error| error.to_string())?;
    if text.starts_with('@') {
        value.lines().for_each(|word| SECRETS.keep(word));
    }
    keep_variables(&secret, |_| true)?;
    Ok(value)
}

/// The same for an address. The host of a server is not a secret.
pub(crate) fn address(text: &str) -> Result<String, String> {
    let secret = Secret::new(text);
    // Only a value begins with `@`.
    if text.starts_with('@') {
        return Ok(text.to_owned());
    }
    let address = secret.resolve().map_err(|error| error.to_string())?;
    let url = reqwest::Url::parse(&address).ok();
    let host = url.as_ref().and_then(|url| url.host_str());
    let host = host.unwrap_or_default();
    keep_variables(&secret, |value| {
        !value.contains("://") && !host.contains(value)
    })?;
    Ok(address)
}

/// Keeps the values of the variables out of all messages, as far as they are secrets.
fn keep_variables(secret: &Secret, is_secret: impl Fn(&str) -> bool) -> Result<(), String> {
    for name in secret.variables().map_err(|error| error.to_string())? {
        let value = std::env::var(name).unwrap_or_default();
        if is_secret(&value) {
            SECRETS.keep(&value);
        }
    }
    Ok(())
}
