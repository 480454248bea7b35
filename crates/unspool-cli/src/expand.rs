//! Values of flags that stand elsewhere: in the environment, `${NAME}`, or in a
//! file, `@FILE`. So they are in no list of processes and in no history.

use crate::secrets;

/// The text with `${NAME}` replaced by the variable of that name; `$${` is a `${`.
pub(crate) fn variables(text: &str) -> Result<String, String> {
    let (expanded, values) = expanded(text, |name| std::env::var(name).ok())?;
    values.iter().for_each(|value| secrets::keep(value));
    Ok(expanded)
}

/// The same for an address. The host of a server is not a secret.
pub(crate) fn address(text: &str) -> Result<String, String> {
    let (expanded, values) = expanded(text, |name| std::env::var(name).ok())?;
    let url = reqwest::Url::parse(&expanded).ok();
    let host = url
        .as_ref()
        .and_then(|url| url.host_str())
        .unwrap_or_default();
    for value in values {
        if !value.contains("://") && !host.contains(&value) {
            secrets::keep(&value);
        }
    }
    Ok(expanded)
}

/// A value of its own: with variables, or all that stands in a file.
pub(crate) fn value(text: &str) -> Result<String, String> {
    match text.strip_prefix('@') {
        None => variables(text),
        Some(path) => file(path),
    }
}

/// The text of a file, without the end of its last line.
pub(crate) fn file(path: &str) -> Result<String, String> {
    let text =
        std::fs::read_to_string(path).map_err(|error| format!("cannot read `{path}`: {error}"))?;
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        return Err(format!("`{path}` is empty"));
    }
    text.lines().for_each(secrets::keep);
    Ok(text.to_owned())
}

/// The text, and the values that went into it.
fn expanded(
    text: &str,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<(String, Vec<String>), String> {
    let (mut expanded, mut values) = (String::new(), Vec::new());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once("${") {
        if let Some(before) = before.strip_suffix('$') {
            expanded.push_str(before);
            expanded.push_str("${");
            rest = behind;
            continue;
        }
        let (name, behind) = (behind.split_once('}'))
            .filter(|(name, _)| is_name(name))
            .ok_or("expected the name of a variable and `}` behind `${`; `$${` is a `${`")?;
        // An empty one is a secret that somebody forgot to set.
        let value = variable(name)
            .filter(|value| !value.is_empty())
            .ok_or_else(|| {
                format!("the variable `{name}` of the environment is not set, or empty")
            })?;
        expanded.push_str(before);
        expanded.push_str(&value);
        values.push(value);
        rest = behind;
    }
    expanded.push_str(rest);
    Ok((expanded, values))
}

fn is_name(text: &str) -> bool {
    text.starts_with(|char: char| char.is_ascii_alphabetic() || char == '_')
        && (text.chars()).all(|char| char.is_ascii_alphanumeric() || char == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<String, String> {
        let variable = |name: &str| match name {
            "TOKEN" => Some("hush".to_owned()),
            "_b2" => Some("${TOKEN}".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        expanded(text, variable).map(|(text, _)| text)
    }

    #[test]
    fn variables_are_put_in() {
        for (text, expected) in [
            ("", ""),
            ("Bearer ${TOKEN}", "Bearer hush"),
            ("${TOKEN}${TOKEN}", "hushhush"),
            ("a$b $TOKEN {TOKEN} $", "a$b $TOKEN {TOKEN} $"),
            ("$${TOKEN} ${TOKEN}", "${TOKEN} hush"),
            ("é${_b2}é", "é${TOKEN}é"),
        ] {
            assert_eq!(check(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_not_set_is_named() {
        for (text, words) in [
            ("${MISSING}", "the variable `MISSING`"),
            ("${EMPTY}", "the variable `EMPTY`"),
            ("${TOKEN", "expected the name"),
            ("${}", "expected the name"),
            ("${a b}", "expected the name"),
            ("${1}", "expected the name"),
        ] {
            let error = check(text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
