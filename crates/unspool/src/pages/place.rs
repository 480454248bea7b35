//! Where in a page a value is found, and where in a request it goes.

use std::fmt;
use std::str::FromStr;

use reqwest::header::{HeaderMap, HeaderName};
use serde_json::{Map, Value};
use serde_json_path::JsonPath;
use url::Url;

use crate::error::Error;
use crate::http::{Call, field_text};
use crate::json::Pointer;

/// Where in a page something is: at a JSON pointer (RFC 6901), at the first match of
/// a JSONPath (RFC 9535), or in a header field.
///
/// As text: `/meta/next`, `$.meta.next`, `header:X-Next-Page`. The items themselves
/// are not looked into.
///
/// ```
/// use unspool::pages::At;
///
/// for place in ["/meta/next", "$.meta.next", "header:X-Next-Page"] {
///     let at: At = place.parse()?;
///     println!("{at:?}");
/// }
/// assert!("meta.next".parse::<At>().is_err());
/// # Ok::<(), unspool::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct At {
    kind: AtKind,
}

#[derive(Clone, Debug, PartialEq)]
enum AtKind {
    Pointer(Pointer),
    Path(Path),
    Field(HeaderName),
}

/// A JSONPath with the text that it was made from: what the parser writes for it is not
/// always a text that it reads, or one with the same meaning.
#[derive(Clone, Debug, PartialEq)]
struct Path {
    text: String,
    path: JsonPath,
}

impl At {
    /// In the header field of that name.
    #[must_use]
    pub fn header(name: HeaderName) -> Self {
        At {
            kind: AtKind::Field(name),
        }
    }

    /// The value; none where there is none, or `null`.
    pub(crate) fn find(&self, headers: &HeaderMap, envelope: &Value) -> Option<Value> {
        let value = match &self.kind {
            AtKind::Pointer(pointer) => pointer.find(envelope)?.clone(),
            AtKind::Path(Path { path, .. }) => path.query(envelope).first()?.clone(),
            AtKind::Field(name) => Value::String(field_text(headers.get(name)?).trim().to_owned()),
        };
        (!value.is_null()).then_some(value)
    }
}

impl From<Pointer> for At {
    fn from(pointer: Pointer) -> Self {
        At {
            kind: AtKind::Pointer(pointer),
        }
    }
}

impl FromStr for At {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let kind = if let Some(name) = text.strip_prefix("header:") {
            AtKind::Field(header_name(name)?)
        } else if text.starts_with('$') {
            let path = json_path(text).map_err(|error| {
                Error::request(format!(
                    "expected a JSONPath such as `$.meta.next`, found `{text}`: {error}"
                ))
            })?;
            let text = text.to_owned();
            AtKind::Path(Path { text, path })
        } else {
            AtKind::Pointer(text.parse()?)
        };
        Ok(At { kind })
    }
}

/// A JSONPath (RFC 9535). The parser panics where a text ends within an escape sequence: those
/// stand in strings only, so that a quote follows the last one.
fn json_path(text: &str) -> Result<JsonPath, String> {
    let is_open = (text.rsplit_once('\\')).is_some_and(|(_, rest)| !rest.contains(['\'', '"']));
    if is_open {
        return Err("it ends within a string".to_owned());
    }
    JsonPath::parse(text).map_err(|error| error.to_string())
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            AtKind::Pointer(pointer) => pointer.fmt(f),
            AtKind::Path(Path { text, .. }) => f.write_str(text),
            AtKind::Field(name) => write!(f, "header:{name}"),
        }
    }
}

/// Where in a request a value goes: a query parameter, a header field, or a place in
/// the JSON body.
///
/// As text: `cursor`, `header:X-Cursor`, `body:/start_cursor`; `*` takes the members
/// of an object as parameters of their names. `query:` stands before the name of a
/// parameter that would be read as one of these: `query:*`.
///
/// ```
/// use unspool::pages::To;
///
/// assert_eq!("cursor".parse::<To>()?, To::query("cursor"));
/// assert_eq!("body:/start_cursor".parse::<To>()?, To::body("/start_cursor".parse()?));
/// # Ok::<(), unspool::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct To {
    kind: ToKind,
}

#[derive(Clone, Debug, PartialEq)]
enum ToKind {
    Query(String),
    Field(HeaderName),
    Body(Pointer),
    Members,
}

impl To {
    /// A parameter of the query.
    #[must_use]
    pub fn query(name: impl Into<String>) -> Self {
        To {
            kind: ToKind::Query(name.into()),
        }
    }

    /// A header field.
    #[must_use]
    pub fn header(name: HeaderName) -> Self {
        To {
            kind: ToKind::Field(name),
        }
    }

    /// A place in the JSON body.
    #[must_use]
    pub fn body(pointer: Pointer) -> Self {
        To {
            kind: ToKind::Body(pointer),
        }
    }

    /// The variable of a GraphQL request that it is.
    pub(crate) fn variable(&self) -> Option<&str> {
        match &self.kind {
            ToKind::Body(pointer) => match pointer.steps() {
                [variables, name] if variables == "variables" => Some(name),
                _ => None,
            },
            _ => None,
        }
    }

    /// A call with the value in its place.
    pub(crate) fn set(&self, call: &Call, value: &Value) -> Result<Call, Error> {
        let mut call = call.clone();
        match &self.kind {
            ToKind::Query(name) => call.url = with_parameter(&call.url, name, &text_of(value)),
            ToKind::Field(name) => {
                call.fields.insert(name.as_str().to_owned(), text_of(value));
            }
            ToKind::Body(pointer) => {
                let body = call.body.as_mut().ok_or_else(|| {
                    Error::request(format!(
                        "a value for `{self}` needs a request with a JSON body"
                    ))
                })?;
                *member(body, pointer)? = value.clone();
            }
            ToKind::Members => {
                let Value::Object(members) = value else {
                    return Err(Error::content(format!(
                        "expected an object whose members are parameters, found `{value}`"
                    )));
                };
                for (name, value) in members {
                    call.url = with_parameter(&call.url, name, &text_of(value));
                }
            }
        }
        Ok(call)
    }

    /// A call without anything in this place.
    pub(crate) fn remove(&self, call: &Call) -> Call {
        let mut call = call.clone();
        match &self.kind {
            ToKind::Query(name) => call.url = without_parameter(&call.url, name),
            ToKind::Field(name) => {
                call.fields.remove(name.as_str());
            }
            ToKind::Body(pointer) => {
                let object = pointer.steps().split_last().and_then(|(last, above)| {
                    let above = Pointer::from_steps(above.to_vec()).to_string();
                    Some((
                        last,
                        call.body.as_mut()?.pointer_mut(&above)?.as_object_mut()?,
                    ))
                });
                if let Some((last, members)) = object {
                    members.remove(last);
                }
            }
            ToKind::Members => {}
        }
        call
    }

    /// What a call has in this place.
    pub(crate) fn read(&self, call: &Call) -> Option<Value> {
        match &self.kind {
            ToKind::Query(name) => {
                let (_, value) = call.url.query_pairs().find(|(found, _)| found == name)?;
                Some(Value::String(value.into_owned()))
            }
            ToKind::Field(name) => call.fields.get(name.as_str()).cloned().map(Value::String),
            ToKind::Body(pointer) => pointer.find(call.body.as_ref()?).cloned(),
            ToKind::Members => None,
        }
    }
}

/// The parameter of that name.
impl From<&str> for To {
    fn from(name: &str) -> Self {
        To::query(name)
    }
}

impl FromStr for To {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let kind = if text == "*" {
            ToKind::Members
        } else if let Some(name) = text.strip_prefix("header:") {
            ToKind::Field(header_name(name)?)
        } else if let Some(pointer) = text.strip_prefix("body:") {
            ToKind::Body(pointer.parse()?)
        } else if let Some(name) = text.strip_prefix(QUERY) {
            ToKind::Query(name.to_owned())
        } else if text.is_empty() {
            return Err(Error::request(
                "expected the name of a parameter, found nothing",
            ));
        } else {
            ToKind::Query(text.to_owned())
        };
        Ok(To { kind })
    }
}

impl fmt::Display for To {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            ToKind::Query(name) => {
                let is_ambiguous = [QUERY, "header:", "body:"]
                    .iter()
                    .any(|prefix| name.starts_with(prefix));
                let is_ambiguous = is_ambiguous || name.is_empty() || name == "*";
                write!(f, "{}{name}", if is_ambiguous { QUERY } else { "" })
            }
            ToKind::Field(name) => write!(f, "header:{name}"),
            ToKind::Body(pointer) => write!(f, "body:{pointer}"),
            ToKind::Members => f.write_str("*"),
        }
    }
}

/// Says that what follows is the name of a parameter, whatever it looks like.
const QUERY: &str = "query:";

/// A value as parameters and header fields have it: a string as it is, all else as
/// JSON.
pub(crate) fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A whole number, as such, in a string, or in an element of XML.
pub(crate) fn number_of(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.trim().parse().ok(),
        // An element of XML that has attributes.
        Value::Object(fields) => fields.get(TEXT)?.as_str()?.trim().parse().ok(),
        _ => None,
    }
}

/// The text of an element of XML that has attributes, which may be empty.
pub(crate) fn text_of_element(value: &Value) -> Option<&str> {
    let fields = value.as_object().filter(|fields| !fields.is_empty())?;
    let is_element = fields.keys().all(|key| key.starts_with('@') || key == TEXT);
    let text = fields.get(TEXT).map_or(Some(""), Value::as_str);
    text.filter(|_| is_element)
}

/// The key of the text in an element that has more than that.
const TEXT: &str = "#text";

/// The URL without a parameter; all others stay as they are written.
fn without_parameter(url: &Url, name: &str) -> Url {
    let is_other = |part: &&str| {
        url::form_urlencoded::parse(part.as_bytes())
            .next()
            .is_none_or(|(found, _)| found != name)
    };
    let parts: Vec<&str> = (url.query().into_iter())
        .flat_map(|query| query.split('&'))
        .filter(is_other)
        .collect();
    let query = parts.join("&");
    let mut url = url.clone();
    url.set_query((!query.is_empty()).then_some(&query));
    url
}

/// The URL with one parameter set; all others stay as they are written.
pub(crate) fn with_parameter(url: &Url, name: &str, value: &str) -> Url {
    let pair = url::form_urlencoded::Serializer::new(String::new())
        .append_pair(name, value)
        .finish();
    let is_same = |part: &str| {
        url::form_urlencoded::parse(part.as_bytes())
            .next()
            .is_some_and(|(found, _)| found == name)
    };
    let mut parts: Vec<&str> = Vec::new();
    let mut is_set = false;
    for part in url.query().into_iter().flat_map(|query| query.split('&')) {
        if !is_same(part) {
            parts.push(part);
        } else if !is_set {
            parts.push(&pair);
            is_set = true;
        }
    }
    if !is_set {
        parts.push(&pair);
    }
    let query = parts.join("&");
    let mut url = url.clone();
    url.set_query(Some(query.trim_start_matches('&')));
    url
}

fn header_name(text: &str) -> Result<HeaderName, Error> {
    text.trim().parse().map_err(|_| {
        Error::request(format!(
            "expected the name of a header field, found `{text}`"
        ))
    })
}

/// The value at a pointer, with the objects on the way to it.
fn member<'b>(body: &'b mut Value, pointer: &Pointer) -> Result<&'b mut Value, Error> {
    let wrong = || Error::request(format!("the body has no place for a value at `{pointer}`"));
    pointer.steps().iter().try_fold(body, |value, step| {
        if value.is_null() {
            *value = Value::Object(Map::new());
        }
        match value {
            Value::Object(members) => Ok(members.entry(step.clone()).or_insert(Value::Null)),
            Value::Array(elements) => {
                let index: usize = step.parse().map_err(|_| wrong())?;
                elements.get_mut(index).ok_or_else(wrong)
            }
            _ => Err(wrong()),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::HeaderValue;
    use serde_json::json;

    fn call(body: Option<Value>) -> Call {
        Call {
            body,
            ..Call::get("http://api.test/?a=%7E+b&c=1&c=2".parse().unwrap())
        }
    }

    #[test]
    fn a_path_that_ends_within_an_escape_sequence_is_refused() {
        let sequences = [r"\", r"\u", r"\uD", r"\uD83", r"\uD83D\u", r"\uD83D\uD"];
        for sequence in sequences {
            for quote in ['\'', '"'] {
                let text = format!("$[{quote}a{sequence}");
                let error = text.parse::<At>().unwrap_err().to_string();
                assert!(error.contains("it ends within a string"), "{text}: {error}");
            }
        }
        assert!(r"$['\u00e9']".parse::<At>().is_ok());
    }

    #[test]
    fn places_are_read_as_they_are_written() {
        for text in ["/meta/next", "", "$.meta.next", "header:x-next-page"] {
            assert_eq!(text.parse::<At>().unwrap().to_string(), text);
        }
        for text in [
            "cursor",
            "page[after]",
            "header:x-cursor",
            "body:/a/b",
            "*",
            "query:*",
            "query:",
        ] {
            assert_eq!(text.parse::<To>().unwrap().to_string(), text);
        }
        for wrong in ["meta", "$.[", "header:a b"] {
            assert!(wrong.parse::<At>().unwrap_err().is_request(), "{wrong}");
        }
        for wrong in ["", "header:", "body:x"] {
            assert!(wrong.parse::<To>().unwrap_err().is_request(), "{wrong}");
        }
    }

    #[test]
    fn a_value_is_found_by_pointer_path_and_header() {
        let mut headers = HeaderMap::new();
        headers.insert("x-next", "7".parse().unwrap());
        let envelope = json!({"links": [{"rel": "self"}, {"rel": "next", "u": "/b"}], "n": null});
        let find = |text: &str| text.parse::<At>().unwrap().find(&headers, &envelope);
        assert_eq!(find("/links/1/u"), Some(json!("/b")));
        assert_eq!(
            find("$.links[?@.rel=='next'].u"),
            Some(json!("/b")),
            "a filter picks the link"
        );
        assert_eq!(find("header:X-Next"), Some(json!("7")));
        let name = HeaderValue::from_bytes("é7".as_bytes()).unwrap();
        headers.insert("x-next", name);
        let at: At = "header:x-next".parse().unwrap();
        assert_eq!(at.find(&headers, &envelope), Some(json!("é7")));
        let find = |text: &str| text.parse::<At>().unwrap().find(&headers, &envelope);
        assert_eq!(find("/n"), None);
        assert_eq!(find("/missing"), None);
    }

    #[test]
    fn a_value_goes_where_it_is_meant_to() {
        let to = |text: &str| text.parse::<To>().unwrap();
        let query = to("c").set(&call(None), &json!("x y+z")).unwrap();
        assert_eq!(query.url.as_str(), "http://api.test/?a=%7E+b&c=x+y%2Bz");
        let field = to("header:X-C").set(&call(None), &json!(7)).unwrap();
        assert_eq!(field.fields["x-c"], "7");
        let body = to("body:/variables/after")
            .set(&call(Some(json!({"q": 1}))), &json!({"k": [2]}))
            .unwrap();
        assert_eq!(
            body.body,
            Some(json!({"q": 1, "variables": {"after": {"k": [2]}}}))
        );
        assert_eq!(
            to("body:/variables/after").read(&body),
            Some(json!({"k": [2]}))
        );
        let members = to("*")
            .set(&call(None), &json!({"c": "3", "d": "4|x"}))
            .unwrap();
        assert_eq!(members.url.as_str(), "http://api.test/?a=%7E+b&c=3&d=4%7Cx");
    }

    #[test]
    fn a_value_is_taken_out_of_its_place() {
        let without = |text: &str, body| text.parse::<To>().unwrap().remove(&call(body));
        assert_eq!(without("c", None).url.as_str(), "http://api.test/?a=%7E+b");
        assert_eq!(without("x", None), call(None));
        let body = json!({"q": {"a": 1, "b": 2}});
        let removed = without("body:/q/a", Some(body.clone()));
        assert_eq!(removed.body, Some(json!({"q": {"b": 2}})));
        assert_eq!(without("body:/q/a/z", Some(body.clone())).body, Some(body));
    }

    #[test]
    fn a_body_that_has_no_such_place_is_refused() {
        let to: To = "body:/q/x".parse().unwrap();
        assert!(to.set(&call(Some(json!({"q": 1}))), &json!(1)).is_err());
        assert!(to.set(&call(None), &json!(1)).unwrap_err().is_request());
    }
}
