//! Calls that are fit to be sent: what anybody proposes, without what must not go there.

use std::fmt;

use serde_json::Value;
use url::Url;

use super::credentials::Grants;
use super::secrets::{LinkGuard, percent_decoded};
use super::{Call, check_scheme, shortened_to};
use crate::error::Error;

/// The longest address that a request may have, in bytes: as the `http` crate has it.
const MAX_ADDRESS: usize = 65_534;

/// How much of an address that is refused is shown, in characters.
const SHOWN: usize = 200;

/// What stands in the place of a credential that cannot be put back.
const LOST: &str = "…?";

/// A call without credentials in its address, but for those that its own origin put
/// there, to an origin that may have it. Only a [`Session`](super::Session) makes one, and
/// nothing else is sent.
#[derive(Clone)]
pub(crate) struct CleanCall {
    call: Call,
    /// The same without what its origin put there, if it put something there.
    stored: Option<Box<Call>>,
}

impl CleanCall {
    /// What is sent, apart from credentials.
    pub(crate) fn call(&self) -> &Call {
        &self.call
    }

    pub(crate) fn into_call(self) -> Call {
        self.call
    }

    /// What a position may hold.
    pub(crate) fn stored(&self) -> &Call {
        self.stored.as_deref().unwrap_or(&self.call)
    }

    /// The request as messages name it.
    pub(crate) fn redacted(&self) -> String {
        self.stored().redacted()
    }
}

impl fmt::Debug for CleanCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CleanCall").field(&self.redacted()).finish()
    }
}

/// The same requests: what their origin put into them is a part of that.
impl PartialEq for CleanCall {
    fn eq(&self, other: &Self) -> bool {
        self.call == other.call
    }
}

/// Makes a call fit to be sent.
///
/// # Errors
///
/// It leads to another origin with a body or a credential, or its address is too long or
/// of another scheme: the upstream is at fault. The message says what it does, to be put
/// after what it is.
pub(super) fn clean(mut call: Call, grants: &Grants) -> Result<CleanCall, Error> {
    grants.strip(&mut call.url);
    let length = call.url.as_str().len();
    if length > MAX_ADDRESS {
        let begin = shortened_to(call.url.as_str(), SHOWN);
        return Err(Error::content(format!(
            "leads to an address of {length} bytes, which is too long to be sent: `{begin}`"
        )));
    }
    check_scheme(&call.url).map_err(|_| {
        let scheme = call.url.scheme();
        Error::content(format!("leads to an address that is not HTTP: `{scheme}:`"))
    })?;
    let guard = grants.link_guard();
    let holds_secret = !guard.is_empty() && is_in(&call, &guard);
    if !grants.is_home(&call.url) {
        let origin = call.url.origin().ascii_serialization();
        if call.body.is_some() {
            return Err(Error::content(format!(
                "leads to another origin, which the body is not meant for: {origin}"
            ))
            .with_withheld_from(origin));
        }
        if holds_secret || grants.repeats_address(&call.url) {
            return Err(Error::content(format!(
                "leads to another origin with an address that holds a credential which is not \
                 meant for it: {origin}"
            ))
            .with_withheld_from(origin));
        }
    }
    let stored = holds_secret.then(|| Box::new(stored(&call, &guard, grants)));
    Ok(CleanCall { call, stored })
}

fn is_in(call: &Call, guard: &LinkGuard) -> bool {
    let mut is_in = guard.is_in(call.url.as_str());
    is_in |= call.fields.values().any(|value| guard.is_in(value));
    if let Some(body) = &call.body {
        each_text(body, &mut |text| is_in |= guard.is_in(text));
    }
    is_in
}

/// A call as it may be written down. Where a whole parameter is a credential that the
/// caller gave, it stays here: a position can put that back, and hides it itself.
fn stored(call: &Call, guard: &LinkGuard, grants: &Grants) -> Call {
    let mut stored = call.clone();
    hide_in_path(&mut stored.url, guard);
    let given = grants.given();
    hide_in_query(&mut stored.url, |value| {
        guard.is_in(value) && !given.iter().any(|secret| secret == value)
    });
    for value in stored
        .fields
        .values_mut()
        .filter(|value| guard.is_in(value))
    {
        *value = LOST.to_owned();
    }
    if let Some(body) = &mut stored.body {
        hide_in_document(body, guard);
    }
    stored
}

fn hide_in_path(url: &mut Url, guard: &LinkGuard) {
    let is_secret = |segment: &&str| guard.is_in(&percent_decoded(segment));
    let segments = url
        .path_segments()
        .map(|segments| segments.collect::<Vec<_>>());
    let Some(segments) = segments.filter(|segments| segments.iter().any(is_secret)) else {
        return;
    };
    let hidden: Vec<&str> = (segments.into_iter())
        .map(|segment| {
            if is_secret(&segment) {
                "%E2%80%A6%3F"
            } else {
                segment
            }
        })
        .collect();
    let path = format!("/{}", hidden.join("/"));
    url.set_path(&path);
}

fn hide_in_query(url: &mut Url, is_secret: impl Fn(&str) -> bool) {
    if !url
        .query_pairs()
        .any(|(name, value)| is_secret(&name) || is_secret(&value))
    {
        return;
    }
    let hidden: Vec<(String, String)> = (url.query_pairs())
        .map(|(name, value)| {
            let shown = |text: &str| if is_secret(text) { LOST } else { text }.to_owned();
            (shown(&name), shown(&value))
        })
        .collect();
    url.query_pairs_mut().clear().extend_pairs(hidden);
}

fn hide_in_document(value: &mut Value, guard: &LinkGuard) {
    match value {
        Value::String(text) if guard.is_in(text) => LOST.clone_into(text),
        Value::Array(values) => values
            .iter_mut()
            .for_each(|value| hide_in_document(value, guard)),
        Value::Object(members) => {
            (members.values_mut()).for_each(|value| hide_in_document(value, guard));
        }
        _ => {}
    }
}

/// Whether something of a stored call was a credential that cannot be put back.
pub(crate) fn is_lost(call: &Call) -> bool {
    let in_document = |value: &Value| {
        let mut is_lost = false;
        each_text(value, &mut |text| is_lost |= text == LOST);
        is_lost
    };
    let mut segments = call.url.path_segments().into_iter().flatten();
    segments.any(|segment| percent_decoded(segment) == LOST)
        || call
            .url
            .query_pairs()
            .any(|(name, value)| name == LOST || value == LOST)
        || call.fields.values().any(|value| value == LOST)
        || call.body.as_ref().is_some_and(in_document)
}

fn each_text(value: &Value, visit: &mut impl FnMut(&str)) {
    match value {
        Value::String(text) => visit(text),
        Value::Array(values) => values.iter().for_each(|value| each_text(value, visit)),
        Value::Object(members) => members.values().for_each(|value| each_text(value, visit)),
        _ => {}
    }
}
