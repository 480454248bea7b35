//! What a token is worth: whether it leads on, or says that there is no more.

use serde_json::Value;

use crate::pages::place::{number_of, text_of, text_of_element};

/// A token as it is sent, out of what stands in its place: the text of an element of
/// XML that has attributes, too. None where it is empty or `false`.
pub(super) fn of(value: Value) -> Option<Value> {
    match value {
        Value::Null | Value::Bool(false) => None,
        Value::String(text) if text.is_empty() => None,
        value => match text_of_element(&value) {
            Some("") => None,
            Some(text) => Some(Value::from(text)),
            None => Some(value),
        },
    }
}

/// Whether a value in the place of a token or a URL says in words that there is none: the
/// text that some languages write for it. No server takes it for a place in a list.
pub(super) fn is_word_for_none(value: &Value) -> bool {
    let text = value.as_str().unwrap_or_default().trim();
    ["null", "none", "nil", "undefined"]
        .iter()
        .any(|word| text.eq_ignore_ascii_case(word))
}

/// Whether a token would lead to where the list begins: 0 and -1, as those servers end
/// with that give the number of the next item, or a cursor as Redis has it.
pub(super) fn is_begin(value: &Value) -> bool {
    matches!(text_of(value).trim(), "0" | "-1")
}

/// The tokens that have been sent, as far as they are numbers.
#[derive(Clone, Debug, Default)]
pub(super) struct Numbers {
    last: Option<u64>,
    step_down: Option<u64>,
}

impl Numbers {
    pub(super) fn note(&mut self, token: &Value) {
        let number = number_of(token);
        self.step_down = (self.last.zip(number)).and_then(|(last, now)| last.checked_sub(now));
        self.last = number;
    }

    /// Whether 0 is the next number of a walk that counts down, and not where it began.
    pub(super) fn count_down_to_zero(&self) -> bool {
        let step = self.step_down.filter(|step| *step > 0);
        self.last == Some(1) || self.last.is_some() && self.last == step
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_token_may_be_the_text_of_an_element() {
        let element = json!({"@cursor": "225", "#text": "abc"});
        assert_eq!(of(element), Some(json!("abc")));
        assert_eq!(of(json!({"@cursor": "225"})), None);
        assert_eq!(of(json!({"k": {"S": "7"}})), Some(json!({"k": {"S": "7"}})));
        for none in [json!(null), json!(false), json!("")] {
            assert_eq!(of(none), None);
        }
    }

    #[test]
    fn zero_is_a_number_only_where_a_walk_counts_down_to_it() {
        let counts_down = |tokens: &[u64]| {
            let mut numbers = Numbers::default();
            for token in tokens {
                numbers.note(&json!(token));
            }
            numbers.count_down_to_zero()
        };
        for down in [&[1][..], &[3, 2, 1], &[50, 25], &[100, 75, 50, 25]] {
            assert!(counts_down(down), "{down:?}");
        }
        for other in [&[][..], &[25], &[25, 50, 75], &[17, 5, 9], &[17, 5]] {
            assert!(!counts_down(other), "{other:?}");
        }
    }
}
