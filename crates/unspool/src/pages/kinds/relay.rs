use serde_json::Value;

use super::{Cursor, Description, Kind, KindEntry, Next, PageEnd, Paginate, Trust, signs};
use crate::error::Error;
use crate::http::Call;
use crate::json::Pointer;
use crate::pages::account::Ended;
use crate::pages::place::To;

pub(super) const ENTRY: KindEntry = KindEntry {
    name: "relay",
    syntax: "[:POINTER][,to=TO]",
    about: "a GraphQL connection: `endCursor` and `hasNextPage` of the `pageInfo` at POINTER, or of \
            the only one, sent in TO (`body:/variables/after`)",
    parse: |options| {
        Ok(Box::new(Relay {
            at: options.unnamed_value()?,
            to: options.value("to")?,
            ..Relay::default()
        }))
    },
    detect: |first| {
        let page_infos = page_infos(&first.page.envelope);
        let to = variable(first.base);
        // What the query cannot take is said, and not tried.
        let trust = if query_of(first.base).is_some() && to.is_none() {
            Trust::Stated
        } else {
            Trust::Token
        };
        let candidates = page_infos.into_iter().filter_map(|at| {
            let evidence = format!("`{at}` is the `pageInfo` of a GraphQL connection");
            let kind = Relay {
                at: Some(at),
                to: Some(to.clone().unwrap_or_else(|| Relay::default().target())),
                is_found: true,
                ..Relay::default()
            };
            first.candidate(kind, trust, evidence)
        });
        candidates.collect()
    },
};

/// A connection as GraphQL Cursor Connections (Relay) specify it: its `pageInfo` says
/// whether there is more, and holds the cursor that a variable of the next request
/// takes.
///
/// ```
/// use unspool::pages::Relay;
///
/// let posts = unspool::pages("https://api.example.com/posts")
///     .paginate(Relay::new().at("/data/posts".parse()?).variable("after"))
///     .raw();
/// # drop(posts);
/// # Ok::<(), unspool::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Relay {
    at: Option<Pointer>,
    to: Option<To>,
    /// Whether it was found on a first page, and not asked for.
    is_found: bool,
    base: Option<Call>,
    cursor: Option<Cursor>,
}

impl Relay {
    /// The only `pageInfo` of the answer, with the variable `after`.
    #[must_use]
    pub fn new() -> Self {
        Relay::default()
    }

    /// The `pageInfo` at this place.
    #[must_use]
    pub fn at(mut self, pointer: Pointer) -> Self {
        self.at = Some(pointer);
        self
    }

    /// The variable that takes the cursor.
    #[must_use]
    pub fn variable(mut self, name: impl Into<String>) -> Self {
        self.to = Some(in_variable(name.into()));
        self
    }

    /// Checks that the query takes the cursor, where the request holds a query.
    fn check_query(&self, call: &Call) -> Result<(), Error> {
        let target = self.target();
        let (Some(query), Some(name)) = (query_of(call), target.variable()) else {
            return Ok(());
        };
        if takes_variable(query, name) {
            return Ok(());
        }
        Err(Error::request(format!(
            "the query takes no cursor: it has no variable `${name}`, which the next page needs; \
             declare it (`query(${name}: String)`) and pass it on (`after: ${name}`), or say which \
             it is (`relay,to=body:/variables/NAME`)"
        )))
    }

    fn target(&self) -> To {
        (self.to.clone()).unwrap_or_else(|| in_variable("after".to_owned()))
    }
}

impl From<Relay> for Paginate {
    fn from(relay: Relay) -> Self {
        Paginate::new(relay)
    }
}

impl Kind for Relay {
    fn describe(&self) -> String {
        Description::new(ENTRY.name)
            .unnamed(self.at.as_ref())
            .option("to", self.to.as_ref())
            .end()
    }

    fn begin(&mut self, call: Call) -> Result<Call, Error> {
        self.base = Some(call.clone());
        self.to = self.to.take().or_else(|| variable(&call));
        // Where the first page decides, it may hold all that there is.
        if !self.is_found {
            self.check_query(&call)?;
        }
        Ok(call)
    }

    fn after(&mut self, page: &PageEnd) -> Result<Next, Error> {
        if self.cursor.is_none() {
            let at = match &self.at {
                Some(at) => at.clone(),
                None => only(page_infos(&page.envelope), page)?,
            };
            let of = |key: &str| Pointer::from_steps([at.steps(), &[key.to_owned()]].concat());
            let has_next = Pointer::find(&of("hasNextPage"), &page.envelope);
            if has_next == Some(&Value::Bool(true)) {
                self.check_query(&page.call)?;
            }
            let mut cursor = Cursor::new(of("endCursor"), self.target()).more(of("hasNextPage"));
            cursor.begin(self.base.clone().unwrap_or_else(|| page.call.clone()))?;
            self.at = Some(at);
            self.cursor = Some(cursor);
        }
        match &mut self.cursor {
            Some(cursor) => cursor.after(page),
            None => Ok(Next::End(Ended::NoNext)),
        }
    }

    fn counterproof(&self) -> Option<Call> {
        self.cursor.as_ref()?.counterproof()
    }
}

fn only(mut found: Vec<Pointer>, page: &PageEnd) -> Result<Pointer, Error> {
    let message = match (found.pop(), found.pop()) {
        (Some(at), None) => return Ok(at),
        (None, _) => {
            "expected a `pageInfo` with `hasNextPage` in the answer; the query has to ask \
                      for it"
                .to_owned()
        }
        (Some(one), Some(other)) => {
            format!("found several: `{one}` and `{other}`; say which with `relay:POINTER`")
        }
    };
    Err(Error::content(message).at_request(page.call.redacted()))
}

/// Where the answer has `pageInfo` objects.
fn page_infos(envelope: &Value) -> Vec<Pointer> {
    signs::members(envelope)
        .into_iter()
        .filter(|member| member.key == "pageInfo" && member.value.get("hasNextPage").is_some())
        .map(|member| member.pointer())
        .collect()
}

fn in_variable(name: String) -> To {
    To::body(Pointer::from_steps(vec!["variables".to_owned(), name]))
}

/// The variable that the query of a request passes as `after`.
fn variable(call: &Call) -> Option<To> {
    let query = query_of(call)?;
    let mut passed = query.split("after").skip(1).filter_map(|after| {
        let name = after.trim_start().strip_prefix(':')?.trim_start();
        Some(name_at(name.strip_prefix('$')?))
    });
    (passed.find(|name| !name.is_empty())).map(|name| in_variable(name.to_owned()))
}

/// The query of a request, if it holds one.
fn query_of(call: &Call) -> Option<&str> {
    call.body.as_ref()?.get("query")?.as_str()
}

/// Whether a query has a variable of this name.
fn takes_variable(query: &str, name: &str) -> bool {
    query.split('$').skip(1).any(|after| name_at(after) == name)
}

/// The name that a text begins with.
fn name_at(text: &str) -> &str {
    let end = text.find(|char: char| !char.is_ascii_alphanumeric() && char != '_');
    &text[..end.unwrap_or(text.len())]
}

#[cfg(test)]
mod tests {
    use super::super::tests::{asks, detected, ends, page};
    use super::*;
    use serde_json::json;

    fn answer(has_next: bool, cursor: &str) -> PageEnd {
        let connection =
            json!({"nodes": [], "pageInfo": {"hasNextPage": has_next, "endCursor": cursor}});
        let mut page = page(json!({"data": {"repo": {"issues": connection}}}), 2);
        page.call.body = Some(json!({
            "query": "query($n: Int, $next: String) { repo { issues(first: $n, after: $next) { nodes } } }",
            "variables": {"n": 2},
        }));
        page
    }

    #[test]
    fn the_variable_of_the_query_takes_the_cursor() {
        let first = answer(true, "Y3Vyc29y");
        let mut found = detected(&ENTRY, &first).remove(0).kind;
        assert_eq!(
            found.describe(),
            "relay:/data/repo/issues/pageInfo,to=body:/variables/next"
        );
        let asked = asks(found.after(&first));
        assert!(
            asked.contains(r#""variables":{"n":2,"next":"Y3Vyc29y"}"#),
            "{asked}"
        );
        assert_eq!(ends(found.after(&answer(false, "x"))), Ended::NoMore);
    }

    #[test]
    fn a_query_without_a_variable_for_the_cursor_is_a_wrong_request() {
        let call = |query: &str| {
            let mut call = answer(true, "c").call;
            call.body = Some(json!({ "query": query }));
            call
        };
        let takes = |kind: &str, query: &str| {
            let mut kind = kind.parse::<Paginate>().unwrap().into_kind();
            match kind.begin(call(query)) {
                Ok(_) => true,
                Err(error) => !error.is_request(),
            }
        };
        assert!(!takes("relay", "{ a { nodes } }"));
        assert!(!takes("relay", "{ a(first: 9, after: null) { nodes } }"));
        assert!(!takes(
            "relay,to=body:/variables/next",
            "query($nextPage: X) { a(after: $nextPage) }"
        ));
        assert!(takes(
            "relay",
            "query($after: X) { a(after: $after) { nodes } }"
        ));
        assert!(takes(
            "relay",
            "query ($c:X) { a(first: 9, after : $c) { nodes } }"
        ));
        assert!(takes(
            "relay,to=body:/variables/next",
            "query($next: X) { a(args: {cursor: $next}) }"
        ));
        assert!(takes("relay,to=body:/extensions/next", "{ a { nodes } }"));
        let mut kind = Relay::new();
        kind.begin(call("query ($c:X) { a(first: 9, after : $c) { nodes } }"))
            .unwrap();
        assert_eq!(kind.describe(), "relay:to=body:/variables/c");
        // Where the first page decides, only one that is not the last.
        for (has_next, is_wrong) in [(true, true), (false, false)] {
            let mut first = answer(has_next, "c");
            first.call = call("{ a { nodes } }");
            let mut candidate = detected(&ENTRY, &first).remove(0);
            assert_eq!(candidate.trust, Trust::Stated);
            assert_eq!(candidate.kind.after(&first).is_err(), is_wrong);
        }
    }

    #[test]
    fn the_only_connection_is_found() {
        let mut kind = Relay::new();
        kind.begin(answer(true, "c").call).unwrap();
        let asked = asks(kind.after(&answer(true, "c")));
        assert!(asked.contains(r#""next":"c""#), "{asked}");
        let mut none = answer(true, "c");
        none.envelope = json!({"data": {}});
        let error = Relay::new().after(&none).unwrap_err();
        assert!(error.to_string().contains("pageInfo"), "{error}");
    }
}
