use reqwest::header::{HeaderMap, HeaderValue, LINK};

use crate::http::{field_text, link_target};

/// Each line is the value of a `Link` field.
///
/// # Panics
///
/// The target of the next link is none that a field has, other links change it, or
/// a link after those in the fields is not found.
pub fn check_link(data: &[u8]) {
    let fields = data.split(|byte| *byte == b'\n');
    let fields: Vec<_> = fields
        .filter_map(|field| HeaderValue::from_bytes(field).ok())
        .collect();
    let found = next(&fields);
    let Some(target) = &found else {
        let with_another = [fields, vec![HeaderValue::from_static("</x>; rel=next")]].concat();
        assert_eq!(next(&with_another).as_deref(), Some("/x"));
        return;
    };
    assert!(
        (fields.iter()).any(|field| has_target(&field_text(field), target)),
        "`{target}` is no target"
    );
    let previous = HeaderValue::from_static("</p>; rel=\"prev\"; title=\"a, <b>; rel=next\"");
    let behind_another = [vec![previous], fields].concat();
    assert_eq!(next(&behind_another), found, "another link changes it");
    let Ok(alone) = HeaderValue::from_bytes(format!("<{target}>; rel=\"last next\"").as_bytes())
    else {
        panic!("`{target}` is not what a field can hold");
    };
    assert_eq!(next(&[alone]), found, "alone it is another");
}

fn next(fields: &[HeaderValue]) -> Option<String> {
    let fields = fields.iter().map(|field| (LINK, field.clone()));
    link_target(&fields.collect::<HeaderMap>(), "next")
}

/// Whether the text holds it in angle brackets, and a relation after it.
fn has_target(text: &str, target: &str) -> bool {
    let mut rest = text;
    while let Some((_, begun)) = rest.split_once('<') {
        if let Some((written, after)) = begun.split_once('>')
            && written.trim() == target
        {
            let after = after.to_ascii_lowercase();
            let relation = after.split_once("rel").map(|(_, relation)| relation);
            if relation.is_some_and(|relation| relation.contains("next")) {
                return true;
            }
        }
        rest = begun;
    }
    false
}

#[cfg(test)]
#[test]
fn random_fields_hold_the_properties_that_are_fuzzed() {
    let parts: &[&[u8]] = &[
        b"<",
        b">",
        b";",
        b",",
        b"=",
        b"\"",
        b"\\",
        b" ",
        b"\n",
        b"rel",
        b"next",
        b"rel=next",
        b"; rel=\"next\"",
        b"rel=\"prev\"",
        b"; anchor=x",
        b"</a?b=c,d>",
        b"</\xC3\xAB\xEB>",
        b"title=\"x\"",
        b"REL=NEXT",
        b"</n>; rel=next",
        b"<?page=2>; rel=\"last next\", ",
    ];
    super::check_random(parts, check_link);
}
