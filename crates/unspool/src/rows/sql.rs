//! What can be seen of a statement without knowing its language: where it ends, its first
//! word, and where in it something is.

use std::error::Error as StdError;
use std::fmt;

use crate::error::Error;

/// In what the databases' ways to write a statement differ, as far as that says where a
/// statement ends.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Dialect {
    /// A backslash in a string escapes what comes after it.
    pub(super) has_backslashes: bool,
    /// Comments can stand in comments.
    pub(super) nests_comments: bool,
    /// `$tag$ … $tag$` is a string.
    pub(super) has_dollar_quotes: bool,
    /// `#` begins a comment.
    pub(super) has_hash_comments: bool,
}

/// One statement.
#[derive(Clone, Debug)]
pub(super) struct Statement {
    /// Without what may stand after it: a semicolon and comments.
    pub(super) text: String,
    #[cfg_attr(
        not(feature = "postgres"),
        expect(dead_code, reason = "only one database goes by it")
    )]
    /// In small letters; empty where it begins with something else.
    pub(super) first_word: String,
    /// The table, in quotes, where it asks for all rows of one.
    #[cfg_attr(
        not(feature = "postgres"),
        expect(dead_code, reason = "only one database goes by it")
    )]
    pub(super) table: Option<String>,
}

impl Statement {
    /// Reads one.
    ///
    /// # Errors
    ///
    /// There is none, or more than one.
    pub(super) fn read(text: &str, dialect: Dialect) -> Result<Self, Error> {
        let mut first = None;
        let mut end = None;
        let mut last = 0;
        let mut scan = Scan {
            text,
            at: 0,
            dialect,
        };
        while let Some((begin, is_token)) = scan.next() {
            if !is_token {
                continue;
            }
            if text[begin..].starts_with(';') {
                end.get_or_insert(last);
            } else if end.is_some() {
                if first.is_some() {
                    return Err(Error::request(
                        "expected one statement; there is another after the `;`",
                    ));
                }
                end = None;
            }
            if !text[begin..].starts_with(';') {
                first.get_or_insert(begin);
                last = scan.at;
            }
        }
        let first = first.ok_or_else(|| Error::request("expected a statement; there is none"))?;
        let text = &text[first..end.unwrap_or(last)];
        let start = text.trim_start_matches(|char: char| char == '(' || char.is_whitespace());
        let word: String = (start.chars())
            .take_while(|char| char.is_ascii_alphabetic())
            .collect();
        Ok(Statement {
            text: text.to_owned(),
            first_word: word.to_ascii_lowercase(),
            table: None,
        })
    }
}

/// Goes over a text from token to token.
struct Scan<'t> {
    text: &'t str,
    at: usize,
    dialect: Dialect,
}

impl Scan<'_> {
    /// Where the next token or gap begins, and whether it is a token.
    fn next(&mut self) -> Option<(usize, bool)> {
        let begin = self.at;
        let rest = &self.text[begin..];
        let first = rest.chars().next()?;
        let is_line_comment =
            rest.starts_with("--") || self.dialect.has_hash_comments && first == '#';
        let (length, is_token) = if first.is_whitespace() {
            (first.len_utf8(), false)
        } else if is_line_comment {
            (rest.find('\n').unwrap_or(rest.len()), false)
        } else if rest.starts_with("/*") {
            (self.comment(rest), false)
        } else if matches!(first, '\'' | '"' | '`') {
            (self.quoted(rest, first), true)
        } else if first == '$' {
            (self.dollar_quoted(rest), true)
        } else {
            (first.len_utf8(), true)
        };
        self.at += length;
        Some((begin, is_token))
    }

    fn comment(&self, rest: &str) -> usize {
        let (mut depth, mut at) = (0, 0);
        loop {
            if rest[at..].starts_with("/*") && (depth == 0 || self.dialect.nests_comments) {
                (depth, at) = (depth + 1, at + 2);
            } else if rest[at..].starts_with("*/") {
                (depth, at) = (depth - 1, at + 2);
                if depth == 0 {
                    return at;
                }
            } else {
                match rest[at..].chars().next() {
                    Some(char) => at += char.len_utf8(),
                    None => return rest.len(),
                }
            }
        }
    }

    fn quoted(&self, rest: &str, quote: char) -> usize {
        // `E'…'` has backslashes, wherever there are such strings.
        let before = &self.text.as_bytes()[..self.at];
        let is_escaped = quote == '\''
            && self.dialect.has_dollar_quotes
            && matches!(before, [.., b'e' | b'E'])
            && !matches!(before, [.., before, _] if before.is_ascii_alphanumeric() || *before == b'_');
        let has_backslashes = is_escaped || self.dialect.has_backslashes && quote != '`';
        let mut chars = rest.char_indices().skip(1);
        while let Some((at, char)) = chars.next() {
            if char == '\\' && has_backslashes {
                chars.next();
            } else if char == quote {
                // A doubled one is read as two strings, which ends at the same place.
                return at + char.len_utf8();
            }
        }
        rest.len()
    }

    fn dollar_quoted(&self, rest: &str) -> usize {
        if !self.dialect.has_dollar_quotes {
            return 1;
        }
        let Some(length) = rest[1..].find('$') else {
            return 1;
        };
        let tag = &rest[..length + 2];
        let is_tag = |char: char| char.is_alphanumeric() || char == '_';
        let word = &tag[1..tag.len() - 1];
        if !word.chars().all(is_tag) || word.starts_with(|char: char| char.is_ascii_digit()) {
            return 1;
        }
        match rest[tag.len()..].find(tag) {
            Some(end) => tag.len() + end + tag.len(),
            None => rest.len(),
        }
    }
}

/// Where in a statement something is wrong: the source of an error that the database has
/// with it.
///
/// It is displayed as the line and, below it, a caret at the place.
///
/// ```
/// use std::error::Error as _;
/// use futures_util::TryStreamExt;
/// use unspool::rows::SqlPosition;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let mut rows = unspool::rows("sqlite::memory:", "select 1,\n  selec").raw();
/// let error = rows.try_next().await.unwrap_err();
/// let place = error.source().and_then(|source| source.downcast_ref::<SqlPosition>());
/// println!("{error}");
/// if let Some(place) = place {
///     println!("line {}, column {}:\n{place}", place.line(), place.column());
/// }
/// # }
/// ```
#[derive(Debug)]
pub struct SqlPosition {
    line: usize,
    column: usize,
    excerpt: String,
    caret: usize,
}

/// How many characters of the line are shown on each side of the place.
const SHOWN: usize = 60;

impl SqlPosition {
    /// The place with this number of bytes before it.
    pub(super) fn at(sql: &str, offset: usize) -> Self {
        let mut offset = offset.min(sql.len());
        while !sql.is_char_boundary(offset) {
            offset -= 1;
        }
        let begin = sql[..offset].rfind('\n').map_or(0, |at| at + 1);
        let end = sql[offset..].find('\n').map_or(sql.len(), |at| offset + at);
        let before: Vec<char> = sql[begin..offset].chars().collect();
        let shown = &before[before.len().saturating_sub(SHOWN)..];
        let after = sql[offset..end].chars().take(SHOWN);
        let plain = |char: char| if char.is_control() { ' ' } else { char };
        SqlPosition {
            line: sql[..begin].matches('\n').count() + 1,
            column: before.len() + 1,
            caret: shown.len(),
            excerpt: shown.iter().copied().chain(after).map(plain).collect(),
        }
    }

    /// The same for a number of characters before it.
    #[cfg(feature = "postgres")]
    pub(super) fn at_character(sql: &str, characters: usize) -> Self {
        let offset = sql.char_indices().nth(characters);
        SqlPosition::at(sql, offset.map_or(sql.len(), |(at, _)| at))
    }

    /// The number of the line, from 1.
    #[must_use]
    pub fn line(&self) -> usize {
        self.line
    }

    /// The number of the character in the line, from 1.
    #[must_use]
    pub fn column(&self) -> usize {
        self.column
    }

    /// The error that the database has with the statement.
    pub(super) fn error(self, message: impl fmt::Display) -> Error {
        Error::request(format!(
            "the statement is wrong at line {}, column {}: {message}",
            self.line, self.column
        ))
        .with_source(self)
    }
}

impl fmt::Display for SqlPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.excerpt.trim_end())?;
        write!(f, "{}^", " ".repeat(self.caret))
    }
}

impl StdError for SqlPosition {}

/// A name as SQL has it between double quotes, each part of it where it has a schema.
pub(super) fn quoted(name: &str, quote: char) -> String {
    let doubled = [quote, quote].iter().collect::<String>();
    format!("{quote}{}{quote}", name.replace(quote, &doubled))
}

/// `schema.table` with both parts quoted; a name that is quoted already stays so.
pub(super) fn quoted_table(name: &str, quote: char) -> String {
    if name.starts_with(quote) {
        return name.to_owned();
    }
    let parts: Vec<String> = name.split('.').map(|part| quoted(part, quote)).collect();
    parts.join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    const POSTGRES: Dialect = Dialect {
        has_backslashes: false,
        nests_comments: true,
        has_dollar_quotes: true,
        has_hash_comments: false,
    };

    #[track_caller]
    fn check(sql: &str, dialect: Dialect, expected: Result<&str, &str>) {
        match (Statement::read(sql, dialect), expected) {
            (Ok(statement), Ok(text)) => assert_eq!(statement.text, text, "{sql}"),
            (Err(error), Err(words)) => {
                let error = error.to_string();
                assert!(error.contains(words), "{sql}: {error}");
            }
            (found, expected) => panic!("{sql}: {found:?}, not {expected:?}"),
        }
    }

    #[test]
    fn a_statement_ends_before_its_semicolon_and_comments() {
        for (sql, text) in [
            (" select 1 ; -- done\n", "select 1"),
            (
                "/* a ; b */ select ';', \"a;b\" /* c */",
                "select ';', \"a;b\"",
            ),
            ("select 'it''s; x';;", "select 'it''s; x'"),
            ("select $$a;b$$, $x$;$$;$x$;", "select $$a;b$$, $x$;$$;$x$"),
            ("select E'\\';', $1 ;", "select E'\\';', $1"),
            ("select 1 /* /* ; */ ; */", "select 1"),
            (";select é", "select é"),
        ] {
            check(sql, POSTGRES, Ok(text));
        }
        let mysql = Dialect {
            has_backslashes: true,
            has_hash_comments: true,
            ..Dialect::default()
        };
        check("select '\\'; ' # ; x\n ;", mysql, Ok("select '\\'; '"));
    }

    #[test]
    fn one_statement_is_expected() {
        for sql in ["", " ; ", "-- x", "/* x"] {
            check(sql, POSTGRES, Err("there is none"));
        }
        for sql in [
            "select 1; select 2",
            "select 1;;x",
            "select 'a\\'; select 'b",
        ] {
            check(sql, POSTGRES, Err("there is another"));
        }
    }

    #[test]
    fn the_first_word_is_found() {
        for (sql, word) in [
            ("SELECT 1", "select"),
            ("-- a\n ((values(1)))", "values"),
            ("with a as (select 1) table a", "with"),
            ("1", ""),
        ] {
            let statement = Statement::read(sql, POSTGRES).unwrap();
            assert_eq!(statement.first_word, word, "{sql}");
        }
    }

    #[test]
    fn a_caret_stands_below_the_place() {
        let sql = "select é,\n\tnaem from users";
        let at = SqlPosition::at(sql, sql.find("naem").unwrap());
        assert_eq!((at.line(), at.column()), (2, 2));
        assert_eq!(at.to_string(), " naem from users\n ^");
        let at = SqlPosition::at(sql, 1000);
        assert_eq!((at.line(), at.column()), (2, 17));
        let long = format!("select {} frm t", "x, ".repeat(99));
        let at = SqlPosition::at(&long, long.find("frm").unwrap());
        let shown = at.to_string();
        let (line, caret) = shown.split_once('\n').unwrap();
        assert!(line[caret.len() - 1..].starts_with("frm"), "{shown}");
    }

    #[test]
    fn names_are_quoted() {
        assert_eq!(
            quoted_table("public.My \"t\"", '"'),
            r#""public"."My ""t""""#
        );
        assert_eq!(quoted_table("`a.b`", '`'), "`a.b`");
    }
}
