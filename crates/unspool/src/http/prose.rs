//! Waits that a server asks for in a sentence only.

use std::time::Duration;

use super::limits::in_range;

/// Words before a time that make it one to wait for.
const ASKING: &[&str] = &[
    "again",
    "available",
    "reset",
    "resets",
    "retry",
    "retryafter",
    "retrying",
    "wait",
];

/// How many words may stand between such a word and the time: "wait for at least 5 seconds".
const BETWEEN: usize = 5;

/// Words between the two that make the time a limit: "100 requests per 1 minute".
const OF_A_LIMIT: &[&str] = &["per", "every", "each", "last", "ago"];

#[derive(Debug, PartialEq)]
enum Token {
    Number(f64),
    Word(String),
    /// Punctuation, or another end.
    Stop,
}

/// The wait that a text asks for: "try again in 5 minutes", "retry after 1m30s",
/// `"retry_after": 30`.
pub(super) fn wait_in(text: &str) -> Option<Duration> {
    let tokens = tokens(text);
    let is_asking = |token: &Token| matches!(token, Token::Word(word) if ASKING.contains(&&**word));
    let askings = tokens
        .iter()
        .enumerate()
        .filter(|(_, token)| is_asking(token));
    let mut waits = askings.filter_map(|(at, _)| wait_after(&tokens[at..]));
    waits.next()
}

/// The time that is asked for by the first of these.
fn wait_after(tokens: &[Token]) -> Option<Duration> {
    for (at, token) in tokens.iter().enumerate().skip(1).take(BETWEEN + 1) {
        match token {
            Token::Number(number) => {
                let wait = time(&tokens[at..]).or_else(|| {
                    let is_alone = matches!(tokens.get(at + 1), None | Some(Token::Stop));
                    let scale = unit_before(&tokens[..at])?;
                    is_alone.then_some(number * scale)
                })?;
                return in_range(Duration::try_from_secs_f64(wait).ok()?);
            }
            Token::Word(word) if OF_A_LIMIT.contains(&&**word) => return None,
            // "in a minute"
            Token::Word(word) if matches!(&**word, "a" | "an" | "one") => {
                if let Some(Token::Word(next)) = tokens.get(at + 1)
                    && let Some(scale) = unit(next)
                {
                    return in_range(Duration::from_secs_f64(scale));
                }
            }
            Token::Word(_) | Token::Stop => {}
        }
    }
    None
}

/// A time in seconds, of one number or more: `30 seconds`, `1m30s`, `1 minute and 5 s`.
fn time(tokens: &[Token]) -> Option<f64> {
    let mut sum = None;
    let mut rest = tokens;
    while let [Token::Number(number), Token::Word(word), after @ ..] = rest
        && let Some(scale) = unit(word)
    {
        sum = Some(sum.unwrap_or(0.0) + number * scale);
        rest = match after {
            [Token::Word(and), after @ ..] if and == "and" => after,
            after => after,
        };
    }
    sum
}

/// What a number without a unit counts, by the name that it stands under:
/// `retry_after_ms`.
fn unit_before(tokens: &[Token]) -> Option<f64> {
    let mut words = tokens.iter().rev().filter_map(|token| match token {
        Token::Word(word) => Some(word.as_str()),
        _ => None,
    });
    let last = words.next()?;
    match (unit(last), last) {
        (Some(scale), _) => Some(scale),
        (None, "after" | "in" | "retryafter" | "for") => Some(1.0),
        _ => None,
    }
}

fn unit(word: &str) -> Option<f64> {
    Some(match word {
        "ms" | "msec" | "millis" | "millisecond" | "milliseconds" => 1e-3,
        "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
        "m" | "min" | "mins" | "minute" | "minutes" => 60.0,
        "h" | "hr" | "hrs" | "hour" | "hours" => 3600.0,
        "d" | "day" | "days" => 86_400.0,
        _ => return None,
    })
}

fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let is_number = first.is_ascii_digit();
        let is_word = first.is_alphabetic();
        let is_part = |char: char| match (is_number, is_word) {
            (true, _) => char.is_ascii_digit() || char == '.',
            (_, true) => char.is_alphabetic(),
            _ => false,
        };
        let end = rest.find(|char| !is_part(char)).unwrap_or(rest.len());
        let part = &rest[..end];
        rest = if end == 0 {
            &rest[first.len_utf8()..]
        } else {
            &rest[end..]
        };
        if is_number {
            // The dot may be that of the sentence.
            let number = part.trim_end_matches('.').parse();
            tokens.push(number.map_or(Token::Stop, Token::Number));
            if part.ends_with('.') {
                tokens.push(Token::Stop);
            }
        } else if is_word {
            tokens.push(Token::Word(part.to_lowercase()));
        } else if ".,;}\n".contains(first) {
            tokens.push(Token::Stop);
        }
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_to_wait_is_found_in_a_sentence() {
        for (text, seconds) in [
            ("Please retry after 30 seconds.", 30.0),
            ("Too many requests, try again in 5 minutes", 300.0),
            (
                "Request was throttled. Expected available in 43 seconds.",
                43.0,
            ),
            ("Please wait for at least 2 mins before you go on", 120.0),
            ("limit 3 / min. Please try again in 20s. Contact us", 20.0),
            ("Please try again in 1m30.5s.", 90.5),
            ("try again in 6m0s", 360.0),
            ("Try again in 1 minute and 5 seconds", 65.0),
            ("try again in 250ms", 0.25),
            ("Try again in a minute.", 60.0),
            ("Your quota resets in 2 hours", 7200.0),
            (
                r#"{"message":"slow down","retry_after":64.5,"global":false}"#,
                64.5,
            ),
            (r#"{"retryAfter": 7}"#, 7.0),
            (r#"{"retry_after_ms": 1500}"#, 1.5),
            ("Retry after 5.", 5.0),
        ] {
            let wait = wait_in(text).map(|wait| wait.as_secs_f64());
            assert_eq!(wait, Some(seconds), "{text}");
        }
    }

    #[test]
    fn what_is_no_wait_is_none() {
        for text in [
            "",
            "busy",
            "Rate limit: 100 requests per 1 minute",
            "retry, the limit is 60 requests per 1 minute",
            "Try again later",
            "Try again in a few minutes",
            "Please wait until 2026-11-27 10:00",
            "retry after 2026-11-27T10:00:00Z",
            "try again with 5 items",
            "Retry after 5 requests",
            "created 30 seconds ago",
            "retry after 1e999 seconds",
            "retry after 99999999999999999999 days",
        ] {
            assert_eq!(wait_in(text), None, "{text}");
        }
    }
}
