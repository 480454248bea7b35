use std::fmt;
use std::str::FromStr;

use crate::Error;

/// A JSON pointer (RFC 6901): where in a document a value stands.
///
/// ```
/// use unspool::Pointer;
///
/// let items: Pointer = "/data/items".parse()?;
/// let posts = unspool::pages("https://api.example.com/posts").items_at(items);
/// assert!("data/items".parse::<Pointer>().is_err());
/// # drop(posts);
/// # Ok::<(), unspool::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pointer {
    steps: Vec<String>,
}

impl Pointer {
    pub(crate) fn from_steps(steps: Vec<String>) -> Self {
        Pointer { steps }
    }

    /// The keys and indices from the root to the value.
    pub(crate) fn steps(&self) -> &[String] {
        &self.steps
    }

    /// The pointer for a message: the empty one has a name.
    pub(crate) fn described(&self) -> String {
        match self.steps.as_slice() {
            [] => "the root".to_owned(),
            _ => format!("`{self}`"),
        }
    }

    /// The value in a document, if there is one.
    pub(crate) fn find<'d>(
        &self,
        document: &'d serde_json::Value,
    ) -> Option<&'d serde_json::Value> {
        self.steps
            .iter()
            .try_fold(document, |value, step| match value {
                serde_json::Value::Object(fields) => fields.get(step),
                serde_json::Value::Array(elements) => elements.get(step.parse::<usize>().ok()?),
                _ => None,
            })
    }

    /// Leaves an empty array in the place of a value below objects.
    pub(crate) fn take_out(&self, document: &mut serde_json::Value) {
        let place = (self.steps.iter()).try_fold(document, |value, step| value.get_mut(step));
        if let Some(place) = place {
            *place = serde_json::Value::Array(Vec::new());
        }
    }
}

impl FromStr for Pointer {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if text.is_empty() {
            return Ok(Pointer::default());
        }
        let Some(steps) = text.strip_prefix('/') else {
            return Err(Error::request(format!(
                "expected a JSON pointer such as `/data/items`, or nothing for the whole document; found `{text}`"
            )));
        };
        let steps = steps
            .split('/')
            .map(|step| step.replace("~1", "/").replace("~0", "~"))
            .collect();
        Ok(Pointer { steps })
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.steps
            .iter()
            .try_for_each(|step| write!(f, "/{}", step.replace('~', "~0").replace('/', "~1")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_read_and_written_as_the_rfc_says() {
        let pointer: Pointer = "/a~1b/m~0n/0".parse().unwrap();
        assert_eq!(pointer.steps(), ["a/b", "m~n", "0"]);
        assert_eq!(pointer.to_string(), "/a~1b/m~0n/0");
    }

    #[test]
    fn the_empty_pointer_is_the_whole_document() {
        let pointer: Pointer = "".parse().unwrap();
        assert_eq!(pointer, Pointer::default());
        assert_eq!(pointer.to_string(), "");
    }

    #[test]
    fn a_pointer_without_a_slash_is_refused() {
        let error = "items".parse::<Pointer>().unwrap_err();
        assert!(error.to_string().contains("`items`"), "{error}");
    }
}
