//! The name of a parameter, made from that of its sibling in the request: who takes
//! `$limit` takes `$offset`, and `resultOffset` goes with `resultRecordCount`.

use serde_json::Value;

use crate::http::Call;

/// Names for the number of items before the page, made from the sizes in a request, the
/// likeliest first.
pub(super) fn offsets(call: &Call) -> Vec<Sibling> {
    derived(call, |word| match word {
        "rows" | "row" | "length" => &["start", "offset"],
        "top" | "take" | "first" => &["skip", "offset"],
        "size" => &["offset", "from", "start"],
        _ => &["offset", "skip", "start"],
    })
}

/// Names for the number of the page.
pub(super) fn pages(call: &Call) -> Vec<Sibling> {
    derived(call, |_| &["page", "number"])
}

/// Whether a parameter of this name says how many items a page is to hold.
pub(super) fn is_size(name: &str) -> bool {
    // SonarQube's has no word in it.
    name == "ps" || SizeName::read(name).is_some()
}

/// A name that was made from another.
#[derive(Debug, PartialEq)]
pub(super) struct Sibling {
    pub(super) name: String,
    /// Whether it has something of the other one that a usual name has not.
    pub(super) is_alike: bool,
    /// Whether the other one speaks of pages.
    pub(super) is_of_pages: bool,
}

fn derived(call: &Call, words_for: fn(&str) -> &'static [&'static str]) -> Vec<Sibling> {
    let mut found: Vec<Sibling> = Vec::new();
    for name in sizes(call) {
        let Some(size) = SizeName::read(&name) else {
            continue;
        };
        for word in words_for(&size.word) {
            let sibling = Sibling {
                name: size.with(word),
                is_alike: size.is_special(),
                is_of_pages: words(&name).iter().any(|word| word.contains("page")),
            };
            if !found.contains(&sibling) {
                found.push(sibling);
            }
        }
    }
    found
}

/// The parameters of a request that hold a number.
fn sizes(call: &Call) -> Vec<String> {
    let in_query = (call.url.query_pairs())
        .filter(|(_, value)| value.parse::<u64>().is_ok())
        .map(|(name, _)| name.into_owned());
    let in_body = (call.body.iter().filter_map(Value::as_object).flatten())
        .filter(|(_, value)| value.is_u64())
        .map(|(name, _)| name.clone());
    in_query.chain(in_body).collect()
}

/// Words that say in the name of a parameter that it is the size of a page.
const SIZES: &[&str] = &[
    "limit", "count", "size", "rows", "row", "top", "take", "first", "length", "per", "max",
];

/// Words that may stand beside them, and say of what.
const UNITS: &[&str] = &[
    "page", "pages", "record", "records", "results", "items", "hits", "keys", "rows", "num",
    "number",
];

/// The name of a parameter for the size of a page, in parts.
struct SizeName {
    /// What stands before its words: `$`, `page[`.
    before: String,
    /// The words that are not about the size.
    stem: Vec<String>,
    /// The word that is.
    word: String,
    style: Style,
    after: String,
}

#[derive(Clone, Copy, PartialEq)]
enum Style {
    Camel,
    Separated(char),
    /// All in one: `srlimit`.
    Joined,
}

impl SizeName {
    fn read(name: &str) -> Option<Self> {
        let begin = name.rfind('[').map_or(0, |open| open + 1);
        let begin = begin + name[begin..].find(char::is_alphanumeric)?;
        let end = begin + name[begin..].rfind(char::is_alphanumeric)?;
        let end = end + name[end..].chars().next()?.len_utf8();
        let core = &name[begin..end];
        let words = words(core);
        let separator = core.chars().find(|char| !char.is_alphanumeric());
        let is_size = |word: &&String| SIZES.contains(&word.as_str());
        let (stem, word, style) = match (words.iter().rfind(is_size), separator) {
            (Some(word), separator) => {
                let is_stem = |word: &&String| {
                    !SIZES.contains(&word.as_str()) && !UNITS.contains(&word.as_str())
                };
                let stem = words.iter().filter(is_stem).cloned().collect();
                (
                    stem,
                    word.clone(),
                    separator.map_or(Style::Camel, Style::Separated),
                )
            }
            (None, _) => {
                let lower = core.to_ascii_lowercase();
                let word = SIZES.iter().filter(|word| word.len() > 3);
                let word = word.clone().find(|word| lower.ends_with(**word))?;
                let stem = lower[..lower.len() - word.len()].to_owned();
                // `perpage` and the like are not about anything else.
                let is_stem = !UNITS.contains(&stem.as_str()) && !SIZES.contains(&stem.as_str());
                let stem = if is_stem { vec![stem] } else { Vec::new() };
                (stem, (*word).to_owned(), Style::Joined)
            }
        };
        Some(SizeName {
            before: name[..begin].to_owned(),
            stem,
            word,
            style,
            after: name[end..].to_owned(),
        })
    }

    /// Whether it is not simply one of the usual names.
    fn is_special(&self) -> bool {
        !self.before.is_empty() || !self.stem.is_empty()
    }

    fn with(&self, word: &str) -> String {
        let mut words = self.stem.clone();
        words.push(word.to_owned());
        let core = match self.style {
            Style::Separated(separator) => words.join(&separator.to_string()),
            Style::Joined => words.concat(),
            Style::Camel => (words.iter().enumerate())
                .map(|(index, word)| {
                    if index == 0 {
                        word.clone()
                    } else {
                        capitalised(word)
                    }
                })
                .collect(),
        };
        format!("{}{core}{}", self.before, self.after)
    }
}

fn capitalised(word: &str) -> String {
    let mut chars = word.chars();
    let first = chars.next().into_iter().flat_map(char::to_uppercase);
    first.chain(chars).collect()
}

/// The words of a name, in small letters: `resultRecordCount`, `page_size`, `@odata.nextLink`.
pub(crate) fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut is_open = false;
    let mut was_lower = false;
    for char in name.chars() {
        if !char.is_alphanumeric() {
            is_open = false;
            continue;
        }
        let begins = !is_open || was_lower && char.is_uppercase();
        if begins {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut() {
            word.extend(char.to_lowercase());
        }
        is_open = true;
        was_lower = char.is_lowercase() || char.is_ascii_digit();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_in_the_style_of_their_sibling() {
        let first = |query: &str, of: fn(&Call) -> Vec<Sibling>| {
            let url = format!("http://api.test/?q=abc&{query}");
            let found = of(&Call::get(url.parse().unwrap()));
            found.into_iter().next().map(|sibling| sibling.name)
        };
        for (query, offset, page) in [
            ("$limit=5", "$offset", "$page"),
            ("$top=5", "$skip", "$page"),
            ("resultRecordCount=5", "resultOffset", "resultPage"),
            ("limit=5", "offset", "page"),
            ("per_page=5", "offset", "page"),
            ("page[size]=5", "page[offset]", "page[page]"),
            ("page[limit]=5", "page[offset]", "page[page]"),
            ("_limit=5", "_offset", "_page"),
            ("iDisplayLength=5", "iDisplayStart", "iDisplayPage"),
            ("srlimit=5", "sroffset", "srpage"),
            ("list_max_count=5", "list_offset", "list_page"),
            ("x-row-count=5", "x-offset", "x-page"),
            ("rows=5", "start", "page"),
            ("maxResults=5", "offset", "page"),
        ] {
            assert_eq!(first(query, offsets).as_deref(), Some(offset), "{query}");
            assert_eq!(first(query, pages).as_deref(), Some(page), "{query}");
        }
        for none in ["limit=all", "year=2026", "id=7"] {
            assert_eq!(first(none, offsets), None, "{none}");
        }
    }

    #[test]
    fn words_begin_at_capitals_and_behind_other_signs() {
        assert_eq!(words("resultRecordCount"), ["result", "record", "count"]);
        assert_eq!(words("@odata.nextLink"), ["odata", "next", "link"]);
        assert_eq!(words("X-Next-Page"), ["x", "next", "page"]);
        assert_eq!(words("isLastPage"), ["is", "last", "page"]);
        assert_eq!(words("IDs"), ["ids"]);
    }
}
