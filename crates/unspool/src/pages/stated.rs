//! What an upstream says of its own size.

use std::sync::LazyLock;

use reqwest::header::{CONTENT_RANGE, HeaderMap};
use rustc_hash::FxHashMap;
use serde_json::{Map, Value};

use super::place::number_of;

/// Header fields with the number of items.
const ITEMS_HEADERS: &[&str] = &[
    "x-total-count",
    "x-total",
    "x-wp-total",
    "x-pagination-total-count",
];

/// Header fields with the number of pages.
const PAGES_HEADERS: &[&str] = &[
    "x-total-pages",
    "x-wp-totalpages",
    "x-pagination-page-count",
];

/// Keys with the number of all items.
const ITEMS_KEYS: &[&str] = &[
    "total",
    "total_count",
    "totalCount",
    "total_items",
    "totalItems",
    "total_results",
    "totalResults",
    "total_records",
    "totalRecords",
    "totalElements",
    "total_entries",
    "@odata.count",
    "total-results",
    "totalHits",
    "nbHits",
    "numFound",
    "total_rows",
    "recordsTotal",
    "opensearch:totalResults",
    "filtered_table_rows_count",
];

/// A key with the number of all items in some APIs, of this page's in others.
const COUNT_KEY: &str = "count";

/// Keys with the number of all pages.
const PAGES_KEYS: &[&str] = &[
    "total_pages",
    "totalPages",
    "totalpages",
    "page_count",
    "pageCount",
    "last_page",
    "lastPage",
    "num_pages",
    "nbPages",
    "pages",
];

/// Keys with the number of items that a page may hold.
const SIZE_KEYS: &[&str] = &[
    "per_page",
    "perPage",
    "page_size",
    "pageSize",
    "itemsPerPage",
    "items_per_page",
    "limit",
    "size",
];

/// Objects around those keys, by the keys that lead to them.
const AROUND: &[&[&str]] = &[
    &["meta"],
    &["pagination"],
    &["meta", "pagination"],
    &["page"],
    &["paging"],
    &["page_info"],
    &["info"],
    &["hits"],
    &["message"],
    &["response"],
    &["result"],
    &["0"],
];

/// What one page states.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Stated {
    pub(crate) items: Option<u64>,
    pub(crate) pages: Option<u64>,
    /// How many items a page may hold.
    pub(crate) size: Option<u64>,
    /// A `count` that may be of all items or of this page's.
    count: Option<u64>,
}

impl Stated {
    pub(crate) fn read(headers: &HeaderMap, envelope: &Value) -> Self {
        let in_headers = |names: &[&str]| {
            let field = names.iter().find_map(|name| headers.get(*name))?;
            field.to_str().ok()?.trim().parse().ok()
        };
        let mut stated = Stated::default();
        around(envelope, &mut |object| stated.add(object));
        let of_all = in_headers(ITEMS_HEADERS).or_else(|| of_range(headers));
        Stated {
            items: of_all.or(stated.items),
            pages: in_headers(PAGES_HEADERS).or(stated.pages),
            ..stated
        }
    }

    /// Takes in what an object states that those before it did not.
    fn add(&mut self, object: &Map<String, Value>) {
        // Of each kind, the key that stands first in its list.
        let mut best: [Option<(usize, u64)>; KINDS.len()] = [None; KINDS.len()];
        for (key, value) in object {
            let Some(&(kind, rank)) = KEYS.get(key.as_str()) else {
                continue;
            };
            if best[kind].is_none_or(|(known, _)| rank < known)
                && let Some(number) = number(value)
            {
                best[kind] = Some((rank, number));
            }
        }
        let places = [
            &mut self.items,
            &mut self.pages,
            &mut self.size,
            &mut self.count,
        ];
        for (place, best) in places.into_iter().zip(best) {
            *place = place.or(best.map(|(_, number)| number));
        }
    }
}

/// The kinds of keys, in the order of the members of [`Stated`].
const KINDS: [&[&str]; 4] = [ITEMS_KEYS, PAGES_KEYS, SIZE_KEYS, &[COUNT_KEY]];

/// Which kind a key is of, and where in its list it stands.
static KEYS: LazyLock<FxHashMap<&str, (usize, usize)>> = LazyLock::new(|| {
    let kinds = KINDS.iter().enumerate();
    let keys = kinds.flat_map(|(kind, names)| {
        let names = names.iter().enumerate();
        names.map(move |(rank, name)| (*name, (kind, rank)))
    });
    keys.collect()
});

/// Calls `each` with the objects that may state something, the outermost first.
fn around<'v>(envelope: &'v Value, each: &mut dyn FnMut(&'v Map<String, Value>)) {
    let fields = match envelope {
        Value::Object(fields) => fields,
        // Of a list that begins with what speaks of the page.
        Value::Array(parts) => {
            if let Some(first) = parts.first().and_then(Value::as_object) {
                each(first);
            }
            return;
        }
        _ => return,
    };
    each(fields);
    let of = |fields: &'v Map<String, Value>, key: &str| fields.get(key).and_then(Value::as_object);
    if fields.values().any(Value::is_object) {
        for path in AROUND {
            let mut steps = path.iter();
            if let Some(object) = steps.try_fold(fields, |fields, step| of(fields, step)) {
                each(object);
            }
        }
    }
    // The element around all others, where the envelope was XML.
    if let (1, Some(root)) = (fields.len(), fields.values().next()) {
        root.as_object().into_iter().for_each(each);
    }
}

/// The `7` of `Content-Range: items 0-2/7`, as PostgREST and others count items, not
/// bytes.
fn of_range(headers: &HeaderMap) -> Option<u64> {
    let field = headers.get(CONTENT_RANGE)?.to_str().ok()?;
    let (range, total) = field.rsplit_once('/')?;
    if range.trim_start().starts_with("bytes") {
        return None;
    }
    total.trim().parse().ok()
}

/// A number as such, in a string, or with the word that it is exact.
fn number(value: &Value) -> Option<u64> {
    match value {
        Value::Object(fields) if fields.contains_key("#text") => number_of(value),
        Value::Object(fields)
            if fields
                .get("relation")
                .is_none_or(|relation| relation == "eq") =>
        {
            fields.get("value")?.as_u64()
        }
        value => number_of(value),
    }
}

/// The number of all items as the pages state it, one after the other.
#[derive(Debug, Default)]
pub(crate) struct Total {
    certain: Option<u64>,
    /// Whether each page with items stated just their number.
    is_of_each_page: bool,
    count: Option<u64>,
    /// Whether a `count` was that of its page, or changed.
    is_refuted: bool,
    pages: u64,
    /// Pages with items.
    full_pages: u64,
    had_page_count: bool,
}

impl Total {
    /// Takes in what a page with that many items states. Gives what was stated before
    /// and what is stated now, where that is less.
    pub(crate) fn note(&mut self, stated: &Stated, items: u64) -> Option<(u64, u64)> {
        let before = self.certain();
        self.take(stated, items);
        let is_same_kind = stated.items.is_some() || self.certain.is_none();
        before
            .zip(self.certain())
            .filter(|(before, now)| is_same_kind && now < before)
    }

    fn take(&mut self, stated: &Stated, items: u64) {
        self.pages += 1;
        self.full_pages += u64::from(items > 0);
        let is_own = items == 0 || stated.items == Some(items);
        self.is_of_each_page = is_own && (self.pages == 1 || self.is_of_each_page);
        self.certain = stated.items.or(self.certain);
        if let Some(count) = stated.count {
            self.is_refuted |= self.count.is_some_and(|earlier| earlier != count);
            self.had_page_count |= count == items;
            self.count = Some(count);
        }
    }

    /// The total, as far as nothing speaks against what was stated being one.
    pub(crate) fn items(&self) -> Option<u64> {
        let is_of_page = self.is_refuted || self.pages > 1 && self.had_page_count;
        self.stated().or(self.count.filter(|_| !is_of_page))
    }

    /// The total, if one is stated beyond doubt about what it counts: a `count` that is
    /// that of the only page so far may be one of each page.
    pub(crate) fn certain(&self) -> Option<u64> {
        let is_of_page = self.is_refuted || self.had_page_count;
        self.stated().or(self.count.filter(|_| !is_of_page))
    }

    /// What is stated as a total, unless several pages stated their own size.
    fn stated(&self) -> Option<u64> {
        let is_of_each = self.is_of_each_page && self.full_pages > 1;
        self.certain.filter(|_| !is_of_each)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::HeaderValue;
    use serde_json::json;

    fn stated(envelope: Value) -> Stated {
        Stated::read(&HeaderMap::new(), &envelope)
    }

    #[track_caller]
    fn check(pages: &[(Value, u64)], expected: Option<u64>) {
        let mut total = Total::default();
        for (envelope, items) in pages {
            total.note(&stated(envelope.clone()), *items);
        }
        assert_eq!(total.items(), expected);
    }

    #[test]
    fn totals_are_found_where_apis_put_them() {
        assert_eq!(stated(json!({"total": 7})).items, Some(7));
        assert_eq!(
            stated(json!({"meta": {"pagination": {"total": "7", "total_pages": 2}}})).items,
            Some(7)
        );
        assert_eq!(
            stated(json!({"page": {"totalElements": 7, "totalPages": 2}})).pages,
            Some(2)
        );
        assert_eq!(stated(json!({"total": "many"})), Stated::default());
        let mut headers = HeaderMap::new();
        headers.insert("x-total-count", "7".parse().unwrap());
        assert_eq!(Stated::read(&headers, &json!([])).items, Some(7));
    }

    #[test]
    fn a_range_of_items_states_their_total_and_one_of_bytes_does_not() {
        let of_range = |field: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_RANGE, HeaderValue::from_static(field));
            Stated::read(&headers, &json!([])).items
        };
        assert_eq!(of_range("0-24/3573"), Some(3573));
        assert_eq!(of_range("posts 0-24/319"), Some(319));
        assert_eq!(of_range("0-24/*"), None);
        assert_eq!(of_range("bytes 0-1023/4096"), None);
    }

    #[test]
    fn a_total_that_falls_is_noticed() {
        let mut total = Total::default();
        assert_eq!(total.note(&stated(json!({"total": 30})), 10), None);
        assert_eq!(total.note(&stated(json!({"total": 31})), 10), None);
        assert_eq!(total.note(&stated(json!({})), 10), None);
        assert_eq!(total.note(&stated(json!({"total": 29})), 9), Some((31, 29)));
        let mut count = Total::default();
        assert_eq!(count.note(&stated(json!({"count": 10})), 10), None);
        assert_eq!(count.note(&stated(json!({"count": 9})), 9), None);
    }

    #[test]
    fn a_total_that_is_the_size_of_each_page_is_none() {
        check(&[(json!({"total": 3}), 3), (json!({"total": 2}), 2)], None);
        check(
            &[(json!({"total": 3}), 3), (json!({"total": 3}), 0)],
            Some(3),
        );
        check(
            &[(json!({"total": 3}), 3), (json!({"total": 5}), 2)],
            Some(5),
        );
    }

    #[test]
    fn a_count_of_the_only_page_is_not_certain() {
        let mut total = Total::default();
        total.note(&stated(json!({"count": 10})), 10);
        assert_eq!((total.items(), total.certain()), (Some(10), None));
        let mut total = Total::default();
        total.note(&stated(json!({"count": 25})), 10);
        assert_eq!(total.certain(), Some(25));
    }

    #[test]
    fn a_total_that_is_only_a_lower_bound_is_none() {
        assert_eq!(
            stated(json!({"hits": {"total": {"value": 10_000, "relation": "gte"}}})).items,
            None
        );
        assert_eq!(
            stated(json!({"hits": {"total": {"value": 12, "relation": "eq"}}})).items,
            Some(12)
        );
    }

    #[test]
    fn a_count_of_all_items_is_the_total() {
        check(
            &[
                (json!({"count": 5}), 2),
                (json!({"count": 5}), 2),
                (json!({"count": 5}), 1),
            ],
            Some(5),
        );
        check(&[(json!({"count": 2}), 2)], Some(2));
        check(&[(json!({"count": 9}), 2)], Some(9));
    }

    #[test]
    fn a_count_of_each_page_is_no_total() {
        check(&[(json!({"count": 2}), 2), (json!({"count": 2}), 2)], None);
        check(&[(json!({"count": 2}), 2), (json!({"count": 1}), 1)], None);
    }
}
