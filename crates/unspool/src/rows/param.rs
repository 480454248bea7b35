use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A value for a parameter of a statement.
///
/// A server that knows the types of its parameters reads it as one of that type, so that
/// a text can stand for a time or for a number.
///
/// ```
/// use futures_util::TryStreamExt;
/// use unspool::rows::Param;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), unspool::Error> {
/// let query = unspool::rows("sqlite::memory:", "select ? as number, ? as word, ? as empty");
/// let query = query.bind(7).bind("seven").bind(Param::null());
/// let rows: Vec<_> = query.raw().try_collect().await?;
/// assert_eq!(rows[0].as_str(), r#"{"number":7,"word":"seven","empty":null}"#);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Param(pub(super) Value);

impl Param {
    /// No value.
    #[must_use]
    pub fn null() -> Self {
        Param(Value::Null)
    }

    /// A value as a command line has it: a number, `true`, `false`, `null` or a text in
    /// double quotes as in JSON; everything else is a text as it stands.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        match serde_json::from_str(text) {
            // A number that JSON cannot hold exactly stays as it is written.
            Ok(Value::Number(number)) if number.to_string() != text => Param::from(text),
            Ok(value @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_))) => {
                Param(value)
            }
            _ => Param::from(text),
        }
    }

    /// The value as text; none for null.
    #[cfg(any(feature = "postgres", feature = "mysql"))]
    pub(super) fn text(&self) -> Option<String> {
        match &self.0 {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            value => Some(value.to_string()),
        }
    }
}

macro_rules! from {
    ($($type:ty),*) => {$(
        impl From<$type> for Param {
            fn from(value: $type) -> Self {
                Param(Value::from(value))
            }
        }
    )*};
}

from!(bool, i32, i64, u32, u64, f64, &str, String);

impl<T: Into<Param>> From<Option<T>> for Param {
    fn from(value: Option<T>) -> Self {
        value.map_or_else(Param::null, Into::into)
    }
}

/// Says of what kind it is; the value may be a secret.
impl fmt::Debug for Param {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Value::Null => "Param(null)",
            Value::Bool(_) => "Param(a boolean)",
            Value::Number(_) => "Param(a number)",
            _ => "Param(a text)",
        })
    }
}
