//! Values of flags that several commands take.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use reqwest::header::{ACCEPT, ACCEPT_LANGUAGE, CONTENT_TYPE, HeaderName, HeaderValue, USER_AGENT};

/// The largest file that a flag names.
const MAX_FILE: u64 = 64 << 20;

pub(crate) type Header = (HeaderName, HeaderValue);

/// Whether a header says nothing about who somebody is.
pub(crate) fn is_harmless(name: &HeaderName) -> bool {
    [ACCEPT, ACCEPT_LANGUAGE, CONTENT_TYPE, USER_AGENT].contains(name)
}

/// Whether a word of a header is the name of a way to log in.
pub(crate) fn is_scheme(word: &str) -> bool {
    ["basic", "bearer", "token"].contains(&word.to_ascii_lowercase().as_str())
}

/// `Name: value`, as curl takes it.
pub(crate) fn header(text: &str) -> Result<Header, String> {
    let (name, value) = text.split_once(':').ok_or("expected `Name: value`")?;
    let name = name
        .trim()
        .parse()
        .map_err(|_| "expected a header name before the `:`")?;
    let value = value
        .trim()
        .parse()
        .map_err(|_| "expected visible characters after the `:`")?;
    Ok((name, value))
}

/// A JSON document, itself or as `@FILE`; `@-` is standard input.
pub(crate) fn json(text: &str) -> Result<serde_json::Value, String> {
    let text = match text.strip_prefix('@') {
        None => text.to_owned(),
        Some("-") => text_of(std::io::stdin().lock(), "standard input")?,
        Some(path) => text_of_file(path)?,
    };
    serde_json::from_str(&text).map_err(|error| format!("expected JSON: {error}"))
}

/// A text, itself or as `@FILE`.
pub(crate) fn text(text: &str) -> Result<String, String> {
    match text.strip_prefix('@') {
        None => Ok(text.to_owned()),
        Some(path) => text_of_file(path).map(|text| text.trim_end_matches(['\r', '\n']).to_owned()),
    }
}

/// The text of a file, up to a limit.
pub(crate) fn text_of_file(path: impl AsRef<Path>) -> Result<String, String> {
    let name = format!("`{}`", path.as_ref().display());
    let file = File::open(path).map_err(|error| format!("cannot read {name}: {error}"))?;
    text_of(file, &name)
}

pub(crate) fn text_of(reader: impl Read, name: &str) -> Result<String, String> {
    String::from_utf8(content_of(reader, name)?)
        .map_err(|error| format!("cannot read {name}: {error}"))
}

/// All that comes, up to a limit: there are files that do not end.
pub(crate) fn content_of(reader: impl Read, name: &str) -> Result<Vec<u8>, String> {
    let mut content = Vec::new();
    reader
        .take(MAX_FILE + 1)
        .read_to_end(&mut content)
        .map_err(|error| format!("cannot read {name}: {error}"))?;
    if content.len() as u64 > MAX_FILE {
        return Err(format!("{name} holds more than {} MiB", MAX_FILE >> 20));
    }
    Ok(content)
}

/// A number of seconds, or one with a unit: `90`, `1.5s`, `500ms`, `2m`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "expected seconds, or a number with `ms`, `s` or `m`".to_owned();
    let (number, unit) = split_unit(text);
    let scale = match unit {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        _ => return Err(wrong()),
    };
    let number: f64 = number.parse().map_err(|_| wrong())?;
    match Duration::try_from_secs_f64(number * scale) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        _ => Err(wrong()),
    }
}

/// A number of bytes, or one with a unit of 1,024: `16M`.
pub(crate) fn bytes(text: &str) -> Result<usize, String> {
    let wrong = || "expected bytes, or a number with `K`, `M` or `G`".to_owned();
    let (number, unit) = split_unit(text);
    let shift = match unit.to_ascii_uppercase().as_str() {
        "" | "B" => 0,
        "K" | "KB" | "KIB" => 10,
        "M" | "MB" | "MIB" => 20,
        "G" | "GB" | "GIB" => 30,
        _ => return Err(wrong()),
    };
    let number: usize = number.parse().map_err(|_| wrong())?;
    number.checked_mul(1 << shift).ok_or_else(wrong)
}

fn split_unit(text: &str) -> (&str, &str) {
    let end = text
        .find(|char: char| char.is_ascii_alphabetic())
        .unwrap_or(text.len());
    (text[..end].trim(), &text[end..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        assert_eq!(duration("90"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        for wrong in ["", "0", "-1", "2h", "x", "1e400"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes_have_units() {
        assert_eq!(bytes("4096"), Ok(4096));
        assert_eq!(bytes("16M"), Ok(16 << 20));
        assert_eq!(bytes("1GiB"), Ok(1 << 30));
        for wrong in ["", "M", "1.5M", "2T", "99999999999999G"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_file_that_does_not_end_is_not_read_without_end() {
        for error in [
            json("@/dev/zero").unwrap_err(),
            text("@/dev/zero").unwrap_err(),
        ] {
            assert!(error.contains("more than 64 MiB"), "{error}");
        }
    }

    #[test]
    fn a_document_is_given_itself_or_as_a_file() {
        assert_eq!(json(r#"{"a": 1}"#), Ok(serde_json::json!({"a": 1})));
        assert!(json("{").unwrap_err().contains("JSON"));
        assert!(
            json("@/no/such/file")
                .unwrap_err()
                .contains("/no/such/file")
        );
    }

    #[test]
    fn headers_are_written_as_for_curl() {
        let (name, value) = header("X-Key:  a: b ").unwrap();
        assert_eq!((name.as_str(), value.to_str().unwrap()), ("x-key", "a: b"));
        for wrong in ["X-Key", ": a", "a b: c", "A: a\u{0}b"] {
            assert!(header(wrong).is_err(), "{wrong}");
        }
    }
}
