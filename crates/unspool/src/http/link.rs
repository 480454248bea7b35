//! The `Link` header field (RFC 8288).

use std::borrow::Cow;

use reqwest::header::{HeaderMap, HeaderValue, LINK};

/// The target of the first link with this relation, as it is written: it may be
/// relative to the page.
pub(crate) fn link_target(headers: &HeaderMap, relation: &str) -> Option<String> {
    find(headers, relation, |link| Some(link.target.to_owned()))
}

/// The target of the first link with this relation, and its parameter of that name.
pub(crate) fn link_with(
    headers: &HeaderMap,
    relation: &str,
    name: &str,
) -> Option<(String, Option<String>)> {
    find(headers, relation, |link| {
        let mut parameters = parameters(link.parameters);
        let parameter = parameters.find(|(found, _)| found.eq_ignore_ascii_case(name));
        let value = parameter.map(|(_, value)| value.to_owned());
        Some((link.target.to_owned(), value))
    })
}

/// Whether a field speaks of this relation, but not in links that can be read: what
/// it says is not known then.
pub(crate) fn has_unreadable_link(headers: &HeaderMap, relation: &str) -> bool {
    let relation = relation.to_ascii_lowercase();
    (headers.get_all(LINK).into_iter()).any(|field| {
        let field = field_text(field);
        !is_readable(&field) && field.to_ascii_lowercase().contains(&relation)
    })
}

/// The text of a field. What is not ASCII should not be there, but is: as UTF-8, or
/// else as ISO 8859-1 (RFC 9110, section 5.5).
pub(crate) fn field_text(field: &HeaderValue) -> Cow<'_, str> {
    match std::str::from_utf8(field.as_bytes()) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(field.as_bytes().iter().copied().map(char::from).collect()),
    }
}

/// What `take` makes of the first link with this relation.
fn find<T>(
    headers: &HeaderMap,
    relation: &str,
    take: impl Fn(&Link<'_>) -> Option<T>,
) -> Option<T> {
    (headers.get_all(LINK).into_iter()).find_map(|field| {
        let field = field_text(field);
        let link = links(&field).find(|link| link.has_relation(relation))?;
        Some(take(&link))
    })?
}

struct Link<'t> {
    target: &'t str,
    parameters: &'t str,
}

impl Link<'_> {
    /// Whether this links from the page itself by that relation. A link with an
    /// `anchor` is one from somewhere else (section 3.2).
    fn has_relation(&self, relation: &str) -> bool {
        let mut relations = None;
        for (name, value) in parameters(self.parameters) {
            if name.eq_ignore_ascii_case("anchor") {
                return false;
            }
            // The first `rel` counts, all further ones are ignored (section 3.3).
            if name.eq_ignore_ascii_case("rel") && relations.is_none() {
                relations = Some(value);
            }
        }
        relations.is_some_and(|relations| {
            relations
                .split_ascii_whitespace()
                .any(|candidate| candidate.eq_ignore_ascii_case(relation))
        })
    }
}

/// The links of one field: `<target>; name=value; name="value", <target>…`.
fn links(field: &str) -> impl Iterator<Item = Link<'_>> {
    let mut rest = field;
    std::iter::from_fn(move || {
        let (_, begun) = rest.split_once('<')?;
        let (target, after) = begun.split_once('>')?;
        let end = unquoted(after, ',').unwrap_or(after.len());
        rest = &after[end..];
        Some(Link {
            target: target.trim(),
            parameters: &after[..end],
        })
    })
}

/// Whether nothing stands in a field but links.
fn is_readable(field: &str) -> bool {
    let separators = |char: char| char == ',' || char.is_ascii_whitespace();
    let mut rest = field.trim_start_matches(separators);
    while !rest.is_empty() {
        let Some((_, after)) = (rest.strip_prefix('<')).and_then(|begun| begun.split_once('>'))
        else {
            return false;
        };
        let end = unquoted(after, ',').unwrap_or(after.len());
        let has_open_quote = after[..end].matches('"').count() % 2 == 1;
        if has_open_quote && end == after.len() {
            return false;
        }
        rest = after[end..].trim_start_matches(separators);
    }
    true
}

/// Names and values, quoted values without their quotes. Escapes stay: no
/// relation has one.
fn parameters(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = unquoted(rest, ';').unwrap_or(rest.len());
        let parameter = &rest[..end];
        rest = rest.get(end + 1..).unwrap_or_default();
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        Some((name.trim(), value.trim().trim_matches('"')))
    })
}

/// The first `separator` that does not stand in quotes.
pub(super) fn unquoted(text: &str, separator: char) -> Option<usize> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    text.char_indices().find_map(|(index, char)| {
        match char {
            _ if is_escaped => is_escaped = false,
            '\\' if is_quoted => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            char if char == separator && !is_quoted => return Some(index),
            _ => {}
        }
        None
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(fields: &[&str], expected: Option<&str>) {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(LINK, HeaderValue::from_bytes(field.as_bytes()).unwrap());
        }
        assert_eq!(
            link_target(&headers, "next").as_deref(),
            expected,
            "{fields:?}"
        );
    }

    #[test]
    fn the_link_target_is_found_among_others() {
        check(
            &[
                r#"<https://api.example.com/?page=1>; rel="prev", <https://api.example.com/?page=3>; rel="next""#,
            ],
            Some("https://api.example.com/?page=3"),
        );
        check(&["</last>; rel=last", "</n>; rel=next"], Some("/n"));
        check(&[r#"</p>; rel="prev""#], None);
        check(&[], None);
    }

    #[test]
    fn commas_and_semicolons_in_targets_and_quotes_do_not_separate() {
        check(
            &[r#"</a?ids=1,2;3>; title="x, <y>; rel=\"no\""; rel=prev, </b?ids=4,5>; rel=next"#],
            Some("/b?ids=4,5"),
        );
    }

    #[test]
    fn one_link_may_have_several_relations_in_any_case() {
        check(&[r#"<?page=2>; REL="last  Next""#], Some("?page=2"));
        check(&["<?page=2> ; rel = next"], Some("?page=2"));
    }

    #[test]
    fn only_the_first_rel_of_a_link_counts() {
        check(&["</x>; rel=prev; rel=next"], None);
    }

    #[test]
    fn a_link_from_somewhere_else_is_not_ours() {
        check(&[r##"</x>; rel=next; anchor="#part""##], None);
    }

    #[test]
    fn what_is_not_a_link_is_passed_over() {
        check(&["rel=next", "<unclosed; rel=next", ""], None);
    }

    #[test]
    fn a_target_that_is_not_ascii_is_read_all_the_same() {
        check(&["</?q=Zoë&page=2>; rel=next"], Some("/?q=Zoë&page=2"));
        let mut headers = HeaderMap::new();
        let latin = HeaderValue::from_bytes(b"</?q=Zo\xEB>; rel=next").unwrap();
        headers.insert(LINK, latin);
        assert_eq!(link_target(&headers, "next").as_deref(), Some("/?q=Zoë"));
    }

    #[test]
    fn a_field_that_is_no_link_but_speaks_of_the_relation_is_noticed() {
        let is_unreadable = |field: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(LINK, HeaderValue::from_static(field));
            has_unreadable_link(&headers, "next")
        };
        assert!(is_unreadable("/?page=2; rel=\"next\""));
        assert!(is_unreadable("</?page=2; rel=\"Next\""));
        assert!(is_unreadable("</a>; rel=prev, /b; rel=next"));
        assert!(is_unreadable("</a>; title=\"a, </b>; rel=next"));
        assert!(!is_unreadable("</a>; rel=prev, </b>; rel=\"next\";, ,"));
        assert!(!is_unreadable(""));
        assert!(!is_unreadable("/?page=1; rel=\"prev\""));
    }
}
