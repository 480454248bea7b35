//! Which elements of a listing are its items.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::splitter::Root;
use crate::error::{Error, Kind};
use crate::json::{self, Pointer};

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
    let names: Vec<&str> = names.take(MOST_NAMES + 1).collect();
    let inner = match names.as_slice() {
        [root, result, inner @ ..] if root.ends_with("Response") && result.ends_with("Result") => {
            inner
        }
        [_, inner @ ..] => inner,
        [] => return false,
    };
    match inner {
        [name] | [_, name] => ITEMS.contains(&local(name)),
        _ => false,
    }
}

/// How many names lead to an item at most where [`is_usual`] knows it.
const MOST_NAMES: usize = 4;

/// Where the items of this listing would be, had it any.
pub(super) fn items_of(root: &Root) -> Option<Vec<String>> {
    let listing = LISTINGS
        .iter()
        .find(|listing| listing[0] == local(&root.name))?;
    let mut steps = vec![root.name.clone()];
    let mut inside = &root.text[..];
    for name in &listing[1..listing.len() - 1] {
        let (name, value) = child_where(inside, |child| local(child) == *name)?;
        steps.push(name.into_owned());
        inside = value.get().as_bytes();
    }
    // In the namespace of what surrounds them.
    let parent = steps.last()?;
    let prefix = parent.len() - local(parent).len();
    steps.push(format!(
        "{}{}",
        &parent[..prefix],
        listing[listing.len() - 1]
    ));
    Some(steps)
}

/// Elements that repeat under their parent.
pub(super) struct Repeated<'t> {
    pub(super) place: Pointer,
    /// All of them, where they stand in the text of the root.
    pub(super) array: &'t [u8],
}

/// The first two places where elements repeat, the fewest levels down first.
pub(super) fn repeated(root: &Root, max_bytes: usize) -> Result<Vec<Repeated<'_>>, Error> {
    let mut found = Vec::new();
    let mut level = vec![(0, Cow::Borrowed(root.name.as_str()), &root.text[..])];
    // The elements that are looked into, each with the one that it is in.
    let mut known: Vec<(usize, Cow<'_, str>)> = Vec::new();
    for _ in 0..DEEPEST {
        let mut below = Vec::new();
        for (parent, name, text) in level {
            let here = known.len();
            known.push((parent, name));
            if here > max_bytes / BYTES_PER_ELEMENT {
                return Err(too_many(here, max_bytes));
            }
            each_child(text, &mut |name, value| match value.get().as_bytes() {
                // What is in them is part of them.
                array @ [b'[', _, _, ..] if found.len() < 2 => found.push(Repeated {
                    place: place(&known, here, &name),
                    array,
                }),
                object @ [b'{', ..] if found.len() < 2 => below.push((here, name, object)),
                _ => {}
            });
            if found.len() == 2 {
                return Ok(found);
            }
        }
        level = below;
    }
    Ok(found)
}

/// How many levels down elements are looked for that repeat.
const DEEPEST: usize = 16;

/// How many bytes of the limit an element takes that is looked into.
const BYTES_PER_ELEMENT: usize = 32;

fn place(known: &[(usize, Cow<'_, str>)], mut here: usize, name: &str) -> Pointer {
    let mut steps = vec![name.to_owned(), known[here].1.to_string()];
    while here > 0 {
        here = known[here].0;
        steps.push(known[here].1.to_string());
    }
    steps.reverse();
    Pointer::from_steps(steps)
}

fn too_many(elements: usize, max_bytes: usize) -> Error {
    Error::new(
        Kind::TooLarge,
        format!(
            "the document has over {elements} elements with others in them, as many as go with the limit of {max_bytes} bytes: say where the items are with a JSON pointer such as `/feed/entry`"
        ),
    )
}

/// Calls `each` with the elements in one, by the JSON of it: with their names, and what each
/// of them is.
pub(super) fn each_child<'t>(text: &'t [u8], each: &mut dyn FnMut(Cow<'t, str>, &'t RawValue)) {
    // What has text alone has none.
    let _ = json::members(text, &mut |name, value| {
        if !name.starts_with(['@', '#']) {
            each(name, value);
        }
    });
}

/// The first of them with a name that is wanted.
pub(super) fn child_where(
    text: &[u8],
    is_wanted: impl Fn(&str) -> bool,
) -> Option<(Cow<'_, str>, &RawValue)> {
    let mut found = None;
    each_child(text, &mut |name, value| {
        if found.is_none() && is_wanted(&name) {
            found = Some((name, value));
        }
    });
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
