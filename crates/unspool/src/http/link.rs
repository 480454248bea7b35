//! The `Link` header field (RFC 8288).

use reqwest::header::{HeaderMap, LINK};

/// The target of the first link with this relation, as it is written: it may be
/// relative to the page.
pub(crate) fn link_target<'h>(headers: &'h HeaderMap, relation: &str) -> Option<&'h str> {
    link(headers, relation).map(|link| link.target)
}

/// A parameter of the first link with this relation.
pub(crate) fn link_parameter<'h>(
    headers: &'h HeaderMap,
    relation: &str,
    name: &str,
) -> Option<&'h str> {
    let parameters = link(headers, relation)?.parameters;
    self::parameters(parameters)
        .find(|(found, _)| found.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

/// The first link with this relation.
fn link<'h>(headers: &'h HeaderMap, relation: &str) -> Option<Link<'h>> {
    let fields = headers.get_all(LINK).into_iter();
    fields
        .filter_map(|field| field.to_str().ok())
        .find_map(|field| links(field).find(|link| link.has_relation(relation)))
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
        let (target, behind) = begun.split_once('>')?;
        let end = unquoted(behind, ',').unwrap_or(behind.len());
        rest = &behind[end..];
        Some(Link {
            target: target.trim(),
            parameters: &behind[..end],
        })
    })
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
            headers.append(LINK, field.parse().unwrap());
        }
        assert_eq!(link_target(&headers, "next"), expected, "{fields:?}");
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
}
