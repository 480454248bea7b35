//! Which array of a page holds its items.

use std::sync::Arc;

use super::Pointer;

/// Where the items of a page are.
#[derive(Clone, Debug, Default)]
pub(crate) enum Place {
    /// Find them: the document itself, else an array under the usual names,
    /// else the only array that there is.
    #[default]
    Auto,
    /// The array at this pointer, or `null` there.
    At(Pointer),
    /// The members of an object, whose keys become a member of each item.
    Members(Members),
}

/// The object whose members are the items.
#[derive(Clone, Debug)]
pub(crate) struct Members {
    /// Where it is; by default it is found once the page has been read.
    pub(crate) at: Option<Pointer>,
    /// The name of the member that takes the key.
    pub(crate) key: Arc<str>,
}

impl Place {
    /// Where the items are said to be, or were found.
    pub(crate) fn pointer(&self) -> Option<&Pointer> {
        match self {
            Place::Auto => None,
            Place::At(pointer) => Some(pointer),
            Place::Members(members) => members.at.as_ref(),
        }
    }

    /// The same items at this pointer.
    pub(crate) fn at(&self, pointer: Pointer) -> Self {
        match self {
            Place::Auto | Place::At(_) => Place::At(pointer),
            Place::Members(members) => Place::Members(Members {
                at: Some(pointer),
                key: Arc::clone(&members.key),
            }),
        }
    }

    /// The same items as the members of an object, with this name for their keys.
    pub(crate) fn of_object(&self, key: &str) -> Self {
        Place::Members(Members {
            at: self.pointer().cloned(),
            key: key.into(),
        })
    }
}

/// The names that APIs give to the array of items.
const ARRAYS: &[&str] = &[
    "data",
    "items",
    "results",
    "entries",
    "records",
    "rows",
    "values",
    "value",
    "objects",
    "elements",
    "list",
    "content",
    "docs",
    "documents",
    "entities",
    "hits",
    "nodes",
    "features",
    "members",
    "resources",
];

/// The names that APIs give to the object around that array.
const WRAPPERS: &[&str] = &[
    "data",
    "response",
    "result",
    "results",
    "hits",
    "payload",
    "body",
    "content",
    "page",
    "d",
    "query",
    "_embedded",
];

/// How many keys lead to the array at most where [`is_usual`] knows it.
pub(super) const MOST_KEYS: usize = 6;

/// Whether an array under these keys, from the root down, goes by a usual name.
pub(crate) fn is_usual(keys: &[&str]) -> bool {
    match keys {
        [] => true,
        // HAL names the array after what it holds.
        ["_embedded", _] => true,
        // A connection of GraphQL stands somewhere in the answer's data.
        ["data", fields @ .., "nodes" | "edges"] if !fields.is_empty() && fields.len() <= 4 => true,
        [wrappers @ .., array] => {
            wrappers.len() <= 2
                && wrappers.iter().all(|name| WRAPPERS.contains(name))
                && ARRAYS.contains(array)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_names_are_found_at_the_depths_where_apis_put_them() {
        assert!(is_usual(&[]));
        assert!(is_usual(&["results"]));
        assert!(is_usual(&["hits", "hits"]));
        assert!(is_usual(&["_embedded", "orders"]));
        assert!(!is_usual(&["errors"]));
        assert!(!is_usual(&["meta", "items"]));
        assert!(!is_usual(&["data", "data", "data", "data"]));
    }
}
