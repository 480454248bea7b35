use serde::{Deserialize, Serialize};
use url::Url;

use super::kinds::{Kind, Paginate};
use super::trail::Trail;
use crate::error::Error;
use crate::http::{Call, is_lost, is_secret_name};
use crate::position::Position;

/// The name of the source.
pub(super) const SOURCE: &str = "pages";

/// The form of the data; another one is refused.
const VERSION: u32 = 2;

/// The name of the hash of an item, with which a mark begins.
const HASH: &str = "xxh3-64:";

/// What stands in the place of a credential.
const HIDDEN: &str = "…";

/// The shortest secret that is known again in a link.
const ECHO: usize = 8;

/// The same as a part of a value: a shorter one may stand there by chance, as a date does.
const ECHO_IN_PART: usize = 16;

/// Where a walk stands after an item: what its position holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Stand {
    /// The request that the walk began with.
    pub(super) origin: Call,
    /// How it gets from page to page, as far as that is settled.
    pub(super) paginate: String,
    /// Where the items are, if that is settled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) items_at: Option<String>,
    /// The request for the page of the item; none where nothing has been asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) call: Option<Call>,
    /// How many items of that page have been taken.
    pub(super) index: u64,
    /// The hash of the last of them, with its name: the mark of its text on one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) last: Option<String>,
    /// The number of the page in the walk, from 1.
    pub(super) page: u64,
    /// How many items there were on the pages before.
    pub(super) received: u64,
    /// How many of those a page before theirs had held.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) repeated: u64,
    /// Whether the walk has come to its end.
    pub(super) is_over: bool,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// The item that was taken last.
#[derive(Clone, Copy, Debug)]
pub struct Taken {
    pub(super) page: u64,
    /// How many items of the page there are with it.
    pub(super) index: u64,
    pub(super) mark: u64,
}

impl Stand {
    /// Reads a position of the walk that begins with `base`.
    ///
    /// # Errors
    ///
    /// It is one of another source, form or request, or it is damaged.
    pub(super) fn read(position: &Position, base: &Call) -> Result<Self, Error> {
        let stand: Stand = position.read(SOURCE, VERSION)?;
        let own = without_credentials(base, base);
        if own != stand.origin {
            return Err(Error::request(format!(
                "the position belongs to another request: {}, not {}",
                stand.origin.redacted(),
                own.redacted()
            )));
        }
        if stand.page == 0 {
            return Err(Error::request("the position has no page"));
        }
        if stand.last.is_some() && stand.mark().is_none() {
            return Err(Error::request(format!(
                "expected the last item of the position as `{HASH}` and 16 digits"
            )));
        }
        Ok(stand)
    }

    /// The mark of the last item that was taken.
    pub(super) fn mark(&self) -> Option<u64> {
        let digits = self.last.as_deref()?.strip_prefix(HASH)?;
        u64::from_str_radix(digits, 16).ok()
    }

    /// The call to go on with, with the credentials that the new request brings: those in
    /// its address, and those that it was given besides.
    pub(super) fn call(&self, base: &Call, given: &[String]) -> Result<Option<Call>, Error> {
        let Some(mut call) = self.call.clone() else {
            return Ok(None);
        };
        if is_lost(&call) {
            return Err(Error::request(
                "the upstream put a credential into its links, where it cannot be put back",
            ));
        }
        call.url = revealed(&call.url, &base.url);
        let pairs: Vec<(String, String)> = call.url.query_pairs().into_owned().collect();
        for (name, value) in pairs {
            let Some(which) = value.strip_prefix(HIDDEN).filter(|which| !which.is_empty()) else {
                continue;
            };
            let given = which.parse().ok().and_then(|which: usize| given.get(which));
            let secret = given.ok_or_else(|| {
                Error::request(format!(
                    "the upstream put a credential into `{name}` of its links, which this request \
                     does not have"
                ))
            })?;
            call.url = super::place::with_parameter(&call.url, &name, secret);
        }
        Ok(Some(call))
    }

    /// How the walk gets from page to page.
    pub(super) fn kind(&self) -> Result<Box<dyn Kind>, Error> {
        let paginate = self.paginate.parse::<Paginate>().map_err(|error| {
            Error::request(format!(
                "the position is of a walk that goes by `{}`, which cannot be read here: {}",
                self.paginate,
                error.message()
            ))
        })?;
        Ok(paginate.into_kind())
    }
}

/// The position after an item.
pub(super) fn position(trail: &Trail, taken: Option<Taken>) -> Option<Position> {
    let (index, mark) = match taken.filter(|taken| taken.page == trail.page) {
        Some(taken) => (taken.index, Some(taken.mark)),
        None => trail.skipped,
    };
    let base = trail.base.as_ref()?;
    let call = trail.call.as_ref();
    let stand = Stand {
        origin: without_credentials(base, base),
        paginate: trail.paginate.clone(),
        items_at: trail.items_at.as_ref().map(ToString::to_string),
        call: call.map(|call| without_echoes(without_credentials(call, base), &trail.given)),
        index,
        last: mark.map(|mark| format!("{HASH}{mark:016x}")),
        page: trail.page.max(1),
        received: trail.before.received,
        repeated: trail.before.repeated,
        is_over: trail.is_over,
    };
    Position::new(SOURCE, VERSION, &stand)
}

/// The call that a walk begins with, without credentials.
pub(super) fn without_own_credentials(call: &Call) -> Call {
    let mut own = without_credentials(call, call);
    // Neither fails for an address that is asked over HTTP.
    let _ = own.url.set_password(None);
    let _ = own.url.set_username("");
    own
}

/// A call whose parameters do not hold what the caller's request holds under names
/// for secrets.
fn without_credentials(call: &Call, base: &Call) -> Call {
    let secrets: Vec<(String, String)> = secrets(&base.url);
    let mut call = call.clone();
    if !secrets.is_empty() && call.url.query().is_some() {
        let pairs: Vec<(String, String)> = call.url.query_pairs().into_owned().collect();
        for pair in pairs.iter().filter(|pair| secrets.contains(pair)) {
            call.url = super::place::with_parameter(&call.url, &pair.0, HIDDEN);
        }
    }
    call
}

/// A call whose parameters do not hold what the caller gave as a header or a key: there are
/// servers that put it into their links. In its place stands which one it was.
fn without_echoes(mut call: Call, given: &[String]) -> Call {
    let is_long = |secret: &&String| secret.len() >= ECHO_IN_PART;
    let pairs: Vec<(String, String)> = call.url.query_pairs().into_owned().collect();
    for (name, value) in pairs {
        let which = given.iter().position(|secret| *secret == value);
        let which = match which.filter(|_| value.len() >= ECHO) {
            Some(which) => which.to_string(),
            // A part of a value cannot be put back.
            None if given
                .iter()
                .filter(is_long)
                .any(|secret| value.contains(secret)) =>
            {
                "?".to_owned()
            }
            None => continue,
        };
        call.url = super::place::with_parameter(&call.url, &name, &format!("{HIDDEN}{which}"));
    }
    call
}

/// The call's URL with the secrets of the base in their places.
fn revealed(url: &Url, base: &Url) -> Url {
    let mut url = url.clone();
    let hidden: Vec<String> = (url.query_pairs())
        .filter(|(_, value)| value == HIDDEN)
        .map(|(name, _)| name.into_owned())
        .collect();
    for (name, value) in secrets(base) {
        if hidden.contains(&name) {
            url = super::place::with_parameter(&url, &name, &value);
        }
    }
    url
}

fn secrets(url: &Url) -> Vec<(String, String)> {
    (url.query_pairs().into_owned())
        .filter(|(name, value)| is_secret_name(name) && !value.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::trail::Before;
    use super::*;

    fn call(url: &str) -> Call {
        Call::get(url.parse().unwrap())
    }

    #[test]
    fn a_position_holds_no_credentials_and_gets_those_of_the_new_request() {
        let base = call("http://api.test/v1?api_key=hush&limit=2");
        let trail = Trail {
            base: Some(base.clone()),
            call: Some(call("http://api.test/v1?api_key=hush&page_token=abc")),
            page: 2,
            ..Trail::default()
        };
        let position = position(&trail, None).unwrap();
        let text = serde_json::to_string(&position).unwrap();
        assert!(!text.contains("hush"), "{text}");
        assert!(text.contains("page_token=abc"), "{text}");
        let new = call("http://api.test/v1?api_key=new&limit=2");
        let stand = Stand::read(&position, &new).unwrap();
        assert_eq!(
            stand.call(&new, &[]).unwrap().unwrap().url.as_str(),
            "http://api.test/v1?api_key=new&page_token=abc"
        );
    }

    #[test]
    fn a_credential_that_the_upstream_put_into_its_links_is_hidden_and_put_back() {
        let base = call("http://api.test/v1");
        let position = |link: &str| {
            let trail = Trail {
                base: Some(base.clone()),
                given: vec!["Bearer".to_owned(), "a-very-secret-token".to_owned()],
                call: Some(call(link)),
                page: 2,
                ..Trail::default()
            };
            let position = position(&trail, None).unwrap();
            let text = serde_json::to_string(&position).unwrap();
            assert!(!text.contains("a-very-secret-token"), "{text}");
            Stand::read(&position, &base).unwrap()
        };
        let echoed = position("http://api.test/v1?page=2&auth=a-very-secret-token");
        let given = ["Bearer".to_owned(), "renewed-secret".to_owned()];
        let call = echoed.call(&base, &given).unwrap().unwrap();
        assert_eq!(
            call.url.as_str(),
            "http://api.test/v1?page=2&auth=renewed-secret"
        );
        assert!(echoed.call(&base, &[]).unwrap_err().is_request());
        let part = position("http://api.test/v1?page=2&auth=Bearer+a-very-secret-token");
        assert!(part.call(&base, &given).unwrap_err().is_request());
    }

    #[test]
    fn a_position_of_another_request_is_refused() {
        let trail = Trail {
            base: Some(call("http://api.test/v1")),
            ..Trail::default()
        };
        let position = position(&trail, None).unwrap();
        let error = Stand::read(&position, &call("http://api.test/v2")).unwrap_err();
        assert!(
            error.is_request() && error.to_string().contains("/v1"),
            "{error}"
        );
    }

    #[test]
    fn a_position_has_the_same_bytes_on_every_machine() {
        let trail = Trail {
            base: Some(call("http://api.test/v1?limit=2")),
            paginate: "link".to_owned(),
            items_at: Some("/data".parse().unwrap()),
            call: Some(call("http://api.test/v1?limit=2&page=2")),
            page: 2,
            before: Before {
                received: 2,
                repeated: 0,
            },
            ..Trail::default()
        };
        let taken = Taken {
            page: 2,
            index: 1,
            mark: super::super::seen::mark_of(b"{\"id\":7}"),
        };
        let text = serde_json::to_string(&position(&trail, Some(taken))).unwrap();
        let golden = concat!(
            r#"{"call":{"url":"http://api.test/v1?limit=2&page=2"},"index":1,"is_over":false,"#,
            r#""items_at":"/data","last":"xxh3-64:36b0ffd15110a7e1","origin":{"url":"#,
            r#""http://api.test/v1?limit=2"},"page":2,"paginate":"link","received":2,"#,
            r#""source":"pages","version":2}"#,
        );
        assert_eq!(text, golden);
    }
}
