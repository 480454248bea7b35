use super::{Description, Kind, KindEntry, Next, PageEnd, Paginate, Trust, next_url};
use crate::error::Error;
use crate::http::{has_unreadable_link, link_target, link_with};
use crate::pages::account::{Doubt, Ended};

pub(super) const ENTRY: KindEntry = KindEntry {
    name: "link",
    syntax: "[:REL]",
    about: "the `Link` header with the relation REL, `next` by default (RFC 8288)",
    parse: |options| {
        Ok(Box::new(LinkHeader {
            relation: options.unnamed().unwrap_or_else(|| NEXT.to_owned()),
        }))
    },
    detect: |first| {
        // A last page has no next link, but may have one of these.
        let relation = [NEXT, "prev", "previous", "first", "last"]
            .into_iter()
            .find(|relation| link_target(&first.page.headers, relation).is_some());
        let candidate = relation.and_then(|relation| {
            let evidence = format!("there is a `Link` header with `rel=\"{relation}\"`");
            first.candidate(LinkHeader::new(), Trust::Stated, evidence)
        });
        candidate.into_iter().collect()
    },
};

const NEXT: &str = "next";

/// What a field is that has no link in it, but seems to mean one.
pub(super) const UNREADABLE: &str = "its `Link` header is not one that can be read (RFC 8288)";

/// The `Link` header with `rel="next"` (RFC 8288); a page without one is the last.
///
/// ```
/// use unspool::pages::LinkHeader;
///
/// let posts = unspool::pages("https://api.example.com/posts")
///     .paginate(LinkHeader::relation("older"))
///     .raw();
/// # drop(posts);
/// # Ok::<(), unspool::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct LinkHeader {
    relation: String,
}

impl LinkHeader {
    /// Follows `rel="next"`.
    #[must_use]
    pub fn new() -> Self {
        LinkHeader::relation(NEXT)
    }

    /// Follows another relation.
    #[must_use]
    pub fn relation(relation: impl Into<String>) -> Self {
        LinkHeader {
            relation: relation.into(),
        }
    }
}

impl Default for LinkHeader {
    fn default() -> Self {
        LinkHeader::new()
    }
}

impl From<LinkHeader> for Paginate {
    fn from(link: LinkHeader) -> Self {
        Paginate::new(link)
    }
}

impl Kind for LinkHeader {
    fn describe(&self) -> String {
        let relation = (self.relation != NEXT).then_some(&self.relation);
        Description::new(ENTRY.name).unnamed(relation).end()
    }

    fn after(&mut self, page: &PageEnd) -> Result<Next, Error> {
        match link_with(&page.headers, &self.relation, "results") {
            // Sentry's way to say that the link leads nowhere.
            Some((_, Some(results))) if results == "false" => Ok(Next::End(Ended::NoMore)),
            Some((target, _)) => page.resolve(&target).map(Next::Call),
            None if has_unreadable_link(&page.headers, &self.relation) => {
                Ok(Next::Doubtful(Ended::NoNext, Doubt::more_pages(UNREADABLE)))
            }
            // The body knows better.
            None if self.relation == NEXT && next_url::is_there(page) => Ok(Next::Doubtful(
                Ended::NoNext,
                Doubt::says_more("the last page has the URL of a next one in its body"),
            )),
            None => Ok(Next::End(Ended::NoNext)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{asks, detected, ends, page};
    use super::*;
    use serde_json::json;

    #[test]
    fn the_last_page_of_one_is_recognised_by_its_other_links() {
        let mut only = page(json!([]), 3);
        assert!(detected(&ENTRY, &only).is_empty());
        only.headers
            .insert("link", "</things?page=1>; rel=\"first\"".parse().unwrap());
        let mut found = detected(&ENTRY, &only);
        assert_eq!(ends(found.remove(0).kind.after(&only)), Ended::NoNext);
    }

    #[test]
    fn a_header_that_cannot_be_read_is_a_doubt() {
        let mut first = page(json!([]), 3);
        first
            .headers
            .insert("link", "/things?page=2; rel=next".parse().unwrap());
        let next = LinkHeader::new().after(&first).unwrap();
        assert!(matches!(next, Next::Doubtful(Ended::NoNext, _)), "{next:?}");
    }

    #[test]
    fn a_relative_target_is_resolved() {
        let mut first = page(json!([]), 3);
        first
            .headers
            .insert("link", "<?page=2>; rel=next".parse().unwrap());
        assert_eq!(
            asks(LinkHeader::new().after(&first)),
            "http://api.test/v1/things?page=2"
        );
    }
}
