use std::fmt;
use std::str::FromStr;

use serde_json::Value;

use crate::error::Error;
use crate::json::Pointer;

/// Which event is to be the last one: `POINTER=VALUE`, where VALUE is JSON, or else a text.
/// Without a pointer it is compared with the data as it came.
///
/// ```
/// use unspool::events::Until;
///
/// let feed = unspool::events("https://example.com/jobs/7").until("/status=done".parse::<Until>()?);
/// assert!("done".parse::<Until>().is_err());
/// # drop(feed);
/// # Ok::<(), unspool::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Until {
    pointer: Option<Pointer>,
    text: String,
    value: Option<Value>,
}

impl Until {
    /// The event whose data has this value there.
    #[must_use]
    pub fn value(pointer: Pointer, value: impl Into<Value>) -> Self {
        let value = value.into();
        Until {
            pointer: Some(pointer),
            text: value.to_string(),
            value: Some(value),
        }
    }

    /// Whether this is the event.
    pub(super) fn is_met(&self, data: &str) -> bool {
        let Some(pointer) = &self.pointer else {
            return data == self.text;
        };
        // Most events need not be parsed for that.
        let Ok(document) = serde_json::from_str::<Value>(data) else {
            return false;
        };
        match (pointer.find(&document), &self.value) {
            (Some(found), Some(value)) => found == value,
            (Some(Value::String(found)), None) => *found == self.text,
            _ => false,
        }
    }
}

impl fmt::Display for Until {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.pointer {
            Some(pointer) => write!(f, "{pointer}={}", self.text),
            None => write!(f, "={}", self.text),
        }
    }
}

impl FromStr for Until {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (pointer, value) = text.split_once('=').ok_or_else(|| {
            Error::request(format!(
                "expected `POINTER=VALUE`, such as `/status=done`; found `{text}`"
            ))
        })?;
        Ok(Until {
            pointer: (!pointer.is_empty()).then(|| pointer.parse()).transpose()?,
            text: value.to_owned(),
            value: serde_json::from_str(value).ok(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_the_last_by_its_value_or_its_text() {
        for (until, data, is_met) in [
            ("/status=done", r#"{"status":"done"}"#, true),
            ("/status=\"done\"", r#"{"status":"done"}"#, true),
            ("/status=done", r#"{"status":"running"}"#, false),
            ("/status=done", "done", false),
            ("/n=3", r#"{"n":3}"#, true),
            ("/n=3", r#"{"n":"3"}"#, false),
            ("/a/0=null", r#"{"a":[null]}"#, true),
            ("/a=null", "{}", false),
            ("=[DONE]", "[DONE]", true),
            ("=[DONE]", "[\"DONE\"]", false),
        ] {
            let parsed: Until = until.parse().unwrap();
            assert_eq!(parsed.is_met(data), is_met, "{until} {data}");
        }
        assert!("status".parse::<Until>().is_err());
        assert!("status=1".parse::<Until>().is_err());
    }
}
