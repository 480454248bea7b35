use super::{Entry, Kind, Next, PageEnd, Paginate};
use crate::error::Error;
use crate::http::link_target;
use crate::pages::account::Ended;

pub(super) const ENTRY: Entry = Entry {
    name: "link",
    syntax: "",
    about: "the `Link` header with `rel=\"next\"` (RFC 8288)",
    parse: |_| Ok(Box::new(LinkHeader::new())),
    // A last page has no next link, but may have one of these.
    detect: |page| {
        ["next", "prev", "previous", "first", "last"]
            .iter()
            .any(|relation| link_target(&page.headers, relation).is_some())
            .then(|| Box::new(LinkHeader::new()) as Box<dyn Kind>)
    },
};

/// The `Link` header with `rel="next"` (RFC 8288); a page without one is the last.
#[derive(Clone, Debug, Default)]
pub struct LinkHeader {
    _private: (),
}

impl LinkHeader {
    /// Follows `rel="next"`.
    #[must_use]
    pub fn new() -> Self {
        LinkHeader::default()
    }
}

impl From<LinkHeader> for Paginate {
    fn from(link: LinkHeader) -> Self {
        Paginate::new(link)
    }
}

impl Kind for LinkHeader {
    fn after(&mut self, page: &PageEnd) -> Result<Next, Error> {
        match link_target(&page.headers, "next") {
            Some(target) => page.resolve(target).map(Next::Page),
            None => Ok(Next::End(Ended::NoNext)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::page;
    use super::*;
    use serde_json::json;

    #[test]
    fn the_last_page_of_one_is_recognised_by_its_other_links() {
        let mut only = page(json!([]), 3);
        assert!((ENTRY.detect)(&only).is_none());
        only.headers
            .insert("link", "</things?page=1>; rel=\"first\"".parse().unwrap());
        let mut kind = (ENTRY.detect)(&only).unwrap();
        assert_eq!(kind.after(&only).unwrap(), Next::End(Ended::NoNext));
    }

    #[test]
    fn a_relative_target_is_resolved() {
        let mut first = page(json!([]), 3);
        first
            .headers
            .insert("link", "<?page=2>; rel=next".parse().unwrap());
        let next = LinkHeader::new().after(&first).unwrap();
        assert_eq!(
            next,
            Next::Page("http://api.test/v1/things?page=2".parse().unwrap())
        );
    }
}
