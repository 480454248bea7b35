use crate::Secrets;

/// Secrets, one a line up to an empty one, and after that a text that may repeat them.
///
/// # Panics
///
/// A secret is shown, in capital or small letters, or something that a terminal obeys.
pub fn check_secrets(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (words, text) = text.split_once("\n\n").unwrap_or(("", &text));
    let secrets = Secrets::new();
    words.lines().for_each(|word| secrets.keep(word));
    let shown = secrets.shown(text);
    assert!(!shown.contains(char::is_control), "{shown:?}");
    assert!(
        shown.chars().count() <= 4001,
        "{} characters",
        shown.chars().count()
    );
    let (masked, small) = (secrets.masked(text), shown.to_ascii_lowercase());
    for word in words.lines().filter(|word| word.len() >= 4) {
        let word = word.to_ascii_lowercase();
        assert!(!small.contains(&word), "{word:?} in {shown:?}");
        assert!(
            !masked.to_ascii_lowercase().contains(&word),
            "{word:?} in {masked:?}"
        );
    }
    if words.is_empty() {
        assert_eq!(masked, text, "there is nothing to hide");
    }
}

#[cfg(test)]
#[test]
fn random_texts_hold_the_properties_that_are_fuzzed() {
    let parts: &[&[u8]] = &[
        b"\n",
        b"\n\n",
        b"abab",
        b"s3cr3t",
        b"S3CR3T-t0ken",
        b"%73%33cr3t",
        b"\\u0073\\u0033cr3t",
        b"c3MzY3IzdA",
        b"czNjcjN0",
        b"%25",
        b"%",
        b"\\",
        b"\\u00",
        b"\\ud83d\\ude00",
        b"\xF0\x9F\x98\x80",
        b"\xC3\xB6",
        b"%C3",
        b"\xE2\x80\xA6",
        b"+ ",
        b"==",
        b"\x1B[2J",
        b"\xE2\x80\xAE",
    ];
    super::check_random(parts, check_secrets);
}
