use std::fmt;

use bytes::Bytes;
use memchr::memchr2;
#[cfg(feature = "ask")]
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The JSON text of one item: valid, in UTF-8, on one line, with the numbers and
/// escapes that the upstream wrote.
///
/// It is a slice of the chunk that it arrived in, which lives as long as the item
/// does: whoever keeps many items for long copies them.
///
/// ```no_run
/// use futures_util::TryStreamExt;
///
/// # async fn example() -> Result<(), unspool::Error> {
/// #[derive(serde::Deserialize)]
/// struct Post {
///     title: String,
/// }
///
/// let mut posts = unspool::pages("https://api.example.com/posts").raw();
/// while let Some(post) = posts.try_next().await? {
///     println!("{}", post.as_str());
///     if let Ok(Post { title }) = post.parse() {
///         println!("{title}");
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RawItem {
    text: Bytes,
}

impl RawItem {
    /// Wraps an element that has been checked to be valid JSON.
    pub(crate) fn new(element: Bytes) -> Self {
        // JSON has line breaks only between tokens.
        let text = match memchr2(b'\n', b'\r', &element) {
            None => element,
            Some(_) => without_space(&element),
        };
        RawItem { text }
    }

    /// Wraps valid JSON that has no line breaks.
    #[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
    pub(crate) fn of_line(text: Bytes) -> Self {
        RawItem { text }
    }

    /// The JSON text of a value; none where it has none.
    #[cfg(feature = "ask")]
    pub(crate) fn of(value: &impl Serialize) -> Option<Self> {
        let text = serde_json::to_vec(value).ok()?;
        Some(RawItem { text: text.into() })
    }

    /// The JSON text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text).unwrap_or_default()
    }

    /// The JSON text in UTF-8.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.text
    }

    /// The item as a value of a type of yours.
    ///
    /// # Errors
    ///
    /// Fails where the item is not of that type.
    pub fn parse<T: DeserializeOwned>(&self) -> serde_json::Result<T> {
        serde_json::from_slice(&self.text)
    }
}

impl fmt::Display for RawItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for RawItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RawItem").field(&self.as_str()).finish()
    }
}

/// The element without white space between its tokens.
fn without_space(element: &[u8]) -> Bytes {
    let mut text = Vec::with_capacity(element.len());
    let mut rest = element;
    while let Some(begin) = memchr::memchr(b'"', rest) {
        let (between, string) = rest.split_at(begin);
        text.extend(between.iter().filter(|byte| !byte.is_ascii_whitespace()));
        let mut end = 1;
        while let Some(found) = memchr2(b'"', b'\\', &string[end..]) {
            end += found + 1;
            if string[end - 1] == b'"' {
                break;
            }
            end += 1;
        }
        text.extend_from_slice(&string[..end]);
        rest = &string[end..];
    }
    text.extend(rest.iter().filter(|byte| !byte.is_ascii_whitespace()));
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(element: &str, expected: &str) {
        assert_eq!(
            RawItem::new(Bytes::copy_from_slice(element.as_bytes())).as_str(),
            expected
        );
    }

    #[test]
    fn an_item_on_several_lines_becomes_one_line() {
        check(
            "{\n  \"a b\": [1,\r\n 2],\n \"c\": \"d \\\" e\\\\\"\n}",
            r#"{"a b":[1,2],"c":"d \" e\\"}"#,
        );
        check("[\n]", "[]");
    }

    #[test]
    fn an_item_on_one_line_stays_as_it_is() {
        check(
            r#"{"a": 1.0e5, "b": "\u00e9"}"#,
            r#"{"a": 1.0e5, "b": "\u00e9"}"#,
        );
    }
}
