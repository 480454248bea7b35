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
        let to = variable(first.base)
            .map(|name| To::body(Pointer::from_steps(vec!["variables".to_owned(), name])));
        let candidates = page_infos.into_iter().filter_map(|at| {
            let evidence = format!("`{at}` is the `pageInfo` of a GraphQL connection");
            let kind = Relay {
                at: Some(at),
                to: Some(to.clone().unwrap_or_else(|| Relay::default().target())),
                ..Relay::default()
            };
            first.candidate(kind, Trust::Token, evidence)
        });
        candidates.collect()
    },
};

/// A connection as GraphQL Cursor Connections (Relay) specify it: its `pageInfo` says
/// whether there is more, and holds the cursor that a variable of the next request
/// takes.
#[derive(Clone, Debug, Default)]
pub struct Relay {
    at: Option<Pointer>,
    to: Option<To>,
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
        self.to = Some(To::body(Pointer::from_steps(vec![
            "variables".to_owned(),
            name.into(),
        ])));
        self
    }

    fn target(&self) -> To {
        let after = || ["variables", "after"].map(str::to_owned).to_vec();
        (self.to.clone()).unwrap_or_else(|| To::body(Pointer::from_steps(after())))
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
        Ok(call)
    }

    fn after(&mut self, page: &PageEnd) -> Result<Next, Error> {
        if self.cursor.is_none() {
            let at = match &self.at {
                Some(at) => at.clone(),
                None => only(page_infos(&page.envelope), page)?,
            };
            let of = |key: &str| Pointer::from_steps([at.steps(), &[key.to_owned()]].concat());
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

/// The variable that the query of a request passes as `after`.
fn variable(call: &Call) -> Option<String> {
    let query = call.body.as_ref()?.get("query")?.as_str()?;
    let (_, after) = query.split_once("after:")?;
    let name = after.trim_start().strip_prefix('$')?;
    let end = name
        .find(|char: char| !char.is_ascii_alphanumeric() && char != '_')
        .unwrap_or(name.len());
    (end > 0).then(|| name[..end].to_owned())
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
    fn the_only_connection_is_found() {
        let mut kind = Relay::new();
        let asked = asks(kind.after(&answer(true, "c")));
        assert!(asked.contains(r#""after":"c""#), "{asked}");
        let mut none = answer(true, "c");
        none.envelope = json!({"data": {}});
        let error = Relay::new().after(&none).unwrap_err();
        assert!(error.to_string().contains("pageInfo"), "{error}");
    }
}
