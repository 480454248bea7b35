//! Which elements of a listing are its items.

use std::collections::VecDeque;

use super::element::{Element, by_name};

/// The names that listings give to their items.
const ITEMS: &[&str] = &[
    "Contents", "entry", "item", "Item", "row", "record", "member",
];

/// Where the items are of listings that may well have none.
const LISTINGS: &[&[&str]] = &[
    &["ListBucketResult", "Contents"],
    &["feed", "entry"],
    &["rss", "channel", "item"],
];

/// Whether the element at the end of these names, from the root on, has a usual
/// name at a usual depth: below the root or one level further down. What AWS wraps
/// around its answers is no level.
pub(super) fn is_usual<'n>(names: impl Iterator<Item = &'n str>) -> bool {
    let names: Vec<&str> = names.map(local).collect();
    let inner = match names.as_slice() {
        [root, result, inner @ ..] if root.ends_with("Response") && result.ends_with("Result") => {
            inner
        }
        [_, inner @ ..] => inner,
        [] => return false,
    };
    match inner {
        [name] | [_, name] => ITEMS.contains(name),
        _ => false,
    }
}

/// Where the items of this listing would be, had it any.
pub(super) fn items_of(root: &Element) -> Option<Vec<String>> {
    let listing = LISTINGS
        .iter()
        .find(|listing| listing[0] == local(&root.name))?;
    let mut steps = vec![root.name.clone()];
    let mut element = root;
    for name in &listing[1..listing.len() - 1] {
        element = element
            .children
            .iter()
            .find(|child| local(&child.name) == *name)?;
        steps.push(element.name.clone());
    }
    // In the namespace of what surrounds them.
    let prefix = element.name.len() - local(&element.name).len();
    steps.push(format!(
        "{}{}",
        &element.name[..prefix],
        listing[listing.len() - 1]
    ));
    Some(steps)
}

/// Where elements repeat under their parent, the fewest levels down first.
pub(super) fn repeated(root: &Element) -> Vec<Vec<String>> {
    let mut found: Vec<Vec<String>> = Vec::new();
    let mut queue = VecDeque::from([(vec![root.name.clone()], root)]);
    while let Some((path, element)) = queue.pop_front() {
        for children in by_name(&element.children) {
            let mut below = path.clone();
            below.push(children[0].name.clone());
            match children[..] {
                [child] => queue.push_back((below, child)),
                // What is in them is part of them.
                _ => found.push(below),
            }
        }
    }
    found
}

/// The name without the prefix of its namespace.
fn local(name: &str) -> &str {
    name.rsplit(':').next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_names_are_found_at_the_depths_where_listings_have_them() {
        let is_usual = |path: &str| is_usual(path.split('/'));
        assert!(is_usual("ListBucketResult/Contents"));
        assert!(is_usual("atom:feed/atom:entry"));
        assert!(is_usual("rss/channel/item"));
        assert!(is_usual("DescribeThingsResponse/thingSet/item"));
        assert!(is_usual("ListUsersResponse/ListUsersResult/Users/member"));
        assert!(!is_usual("entry"));
        assert!(!is_usual("feed/author"));
        assert!(!is_usual("a/b/c/item"));
    }
}
