//! Items out of a body as its bytes arrive, whatever it is written in: a document
//! in JSON or XML, or JSON on lines.

use bytes::{Buf, Bytes};

use crate::error::Error;
use crate::json::{self, Check, End, Place, RECORD, is_space};
use crate::lines::BYTE_ORDER_MARK;
use crate::xml;

/// Splits one body by what it is, not by what it is said to be: XML begins with
/// `<`, and all else should be JSON. Only a body that could be one document as well
/// as lines of them is what its content type says.
pub(crate) struct Splitter {
    place: Place,
    check: Check,
    max_bytes: usize,
    is_said_to_be_lines: bool,
    form: Form,
}

enum Form {
    /// So far there has been nothing, or white space.
    Unknown(Blank),
    Json(Box<json::Splitter>),
    Xml(Box<xml::Splitter>),
}

/// A body of which nothing has come but white space, which is counted and not kept.
#[derive(Default)]
struct Blank {
    /// How many bytes of a byte order mark have come.
    marks: usize,
    /// How many bytes have come.
    length: u64,
}

/// What is in the content types of JSON on lines: `application/x-ndjson`,
/// `application/jsonl`, `application/json-seq` and the like.
const LINES: [&str; 5] = ["ndjson", "jsonl", "json-l", "json-seq", "stream+json"];

impl Splitter {
    pub(crate) fn new(place: Place, check: Check, max_bytes: usize) -> Self {
        Splitter {
            place,
            check,
            max_bytes,
            is_said_to_be_lines: false,
            form: Form::Unknown(Blank::default()),
        }
    }

    /// What the upstream says that the body is.
    pub(crate) fn said_to_be(mut self, content_type: Option<&str>) -> Self {
        let content_type = content_type.unwrap_or_default().to_ascii_lowercase();
        self.is_said_to_be_lines = LINES.iter().any(|name| content_type.contains(name));
        self
    }

    /// Gives the next bytes of the body; those before must have been read.
    pub(crate) fn push(&mut self, mut chunk: Bytes) {
        match &mut self.form {
            Form::Json(splitter) => splitter.push(chunk),
            Form::Xml(splitter) => splitter.push(&chunk),
            Form::Unknown(blank) => {
                let begin = blank.skip(&mut chunk);
                if let Some(&first) = chunk.first() {
                    self.form = self.begun(first, begin);
                    self.push(chunk);
                }
            }
        }
    }

    /// The next item, or none where more bytes are needed.
    pub(crate) fn next(&mut self) -> Result<Option<Bytes>, Error> {
        match &mut self.form {
            Form::Json(splitter) => splitter.next(),
            Form::Xml(splitter) => splitter.next(),
            Form::Unknown(_) => Ok(None),
        }
    }

    /// How many bytes of what surrounds the items are kept.
    pub(crate) fn around(&self) -> usize {
        match &self.form {
            Form::Json(splitter) => splitter.around(),
            Form::Xml(splitter) => splitter.around(),
            Form::Unknown(_) => 0,
        }
    }

    /// The error for the item that came last: it does not parse as it should.
    pub(crate) fn unfit(&self, item: &[u8], error: serde_json::Error) -> Error {
        match &self.form {
            Form::Json(splitter) => splitter.unfit(item, error),
            Form::Xml(splitter) => splitter.unfit(error),
            Form::Unknown(_) => Error::content(error.to_string()).with_source(error),
        }
    }

    /// There is no more: proves that the body is whole.
    pub(crate) fn end(&mut self) -> Result<End, Error> {
        if let Form::Unknown(blank) = &self.form {
            self.form = Form::Json(self.json(blank.length));
        }
        match &mut self.form {
            Form::Json(splitter) => splitter.end(),
            Form::Xml(splitter) => splitter.end(),
            Form::Unknown(_) => Err(Error::content("the body is empty")),
        }
    }

    /// What a body is whose first byte after the white space, at this position, is this one.
    fn begun(&self, first: u8, position: u64) -> Form {
        match first {
            // UTF-16 begins with one of the latter two.
            b'<' | 0xFE | 0xFF => {
                let splitter = xml::Splitter::new(self.place.clone(), self.max_bytes);
                Form::Xml(Box::new(splitter.starting_at(position)))
            }
            first if self.is_lines(first) => {
                let splitter = json::Splitter::on_lines(self.check, self.max_bytes);
                Form::Json(Box::new(splitter.starting_at(position)))
            }
            _ => Form::Json(self.json(position)),
        }
    }

    /// Whether a body that begins with this byte has an item on each line. One that
    /// begins as an array is that array: if more lines follow, it is refused.
    fn is_lines(&self, first: u8) -> bool {
        let is_at_root = match &self.place {
            Place::Auto => true,
            Place::At(pointer) => pointer.steps().is_empty(),
            Place::Members(_) => false,
        };
        let is_said = self.is_said_to_be_lines && first != b'[';
        is_at_root && (is_said || first == RECORD)
    }

    fn json(&self, position: u64) -> Box<json::Splitter> {
        let splitter = json::Splitter::new(self.place.clone(), self.check, self.max_bytes);
        Box::new(splitter.starting_at(position))
    }
}

impl Blank {
    /// Takes a byte order mark and white space off the front of a chunk; where in the body
    /// the rest begins.
    fn skip(&mut self, chunk: &mut Bytes) -> u64 {
        while self.length == self.marks as u64
            && let Some(mark) = BYTE_ORDER_MARK.get(self.marks)
            && chunk.first() == Some(mark)
        {
            chunk.advance(1);
            self.marks += 1;
            self.length += 1;
        }
        let is_part = 0 < self.marks && self.marks < BYTE_ORDER_MARK.len();
        if is_part && !chunk.is_empty() {
            // What reads the body will say so.
            *chunk = [&BYTE_ORDER_MARK[..self.marks], chunk].concat().into();
            return 0;
        }
        let blank = (chunk.iter().position(|byte| !is_space(*byte))).unwrap_or(chunk.len());
        chunk.advance(blank);
        self.length += blank as u64;
        self.length
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The items of a body, which must be the same for every way to cut it in two
    /// and for single bytes.
    #[track_caller]
    fn split(body: &[u8], content_type: &str) -> Result<Vec<String>, String> {
        let whole = items(&[body], content_type);
        for cut in 0..=body.len() {
            let (front, back) = body.split_at(cut);
            assert_eq!(items(&[front, back], content_type), whole, "cut at {cut}");
        }
        let bytes: Vec<&[u8]> = body.chunks(1).collect();
        assert_eq!(items(&bytes, content_type), whole);
        whole
    }

    fn items(chunks: &[&[u8]], content_type: &str) -> Result<Vec<String>, String> {
        let splitter = Splitter::new(Place::Auto, Check::Valid, 1 << 20);
        let mut splitter = splitter.said_to_be(Some(content_type));
        let mut items = Vec::new();
        for chunk in chunks {
            splitter.push(Bytes::copy_from_slice(chunk));
            while let Some(item) = splitter.next().map_err(|error| error.to_string())? {
                items.push(String::from_utf8(item.into()).unwrap());
            }
        }
        match splitter.end().map_err(|error| error.to_string())? {
            End::Whole(_) => {}
            End::Late(_, late) => items.push(String::from_utf8(late.into()).unwrap()),
        }
        Ok(items)
    }

    #[track_caller]
    fn check(body: &str, content_type: &str, expected: &[&str]) {
        assert_eq!(split(body.as_bytes(), content_type).unwrap(), expected);
    }

    #[track_caller]
    fn check_error(body: &str, content_type: &str, part: &str) {
        let error = split(body.as_bytes(), content_type).unwrap_err();
        assert!(error.contains(part), "{error}");
    }

    const LINES: &str = "application/x-ndjson";

    #[test]
    fn the_first_byte_says_what_a_body_is() {
        check("\u{FEFF} \n[1]", "application/xml", &["1"]);
        check(
            "\u{FEFF} \n<feed><entry>1</entry></feed>",
            "application/json",
            &["\"1\""],
        );
        check_error(" \n ", "", "truncated: the body ends at byte 3");
        check_error("", "", "truncated: the body is empty");
        check_error("\u{FEFF}", "", "truncated");
    }

    #[test]
    fn white_space_before_a_body_counts_in_positions() {
        check_error(" \n x", "", "expected a value at byte 3");
        check_error("\u{FEFF}\n x", "", "expected a value at byte 5");
        check_error(" \n {}\n{]", LINES, "item 2, at byte 6, is not valid JSON");
        check_error("\t\n<a></b>", "", "expected `</a>` at byte 5");
        check_error("\x0C[1]", "", "expected a value at byte 0");
        check_error("\u{FEFF}\u{FEFF}[1]", "", "expected a value at byte 3");
    }

    #[test]
    fn a_part_of_a_byte_order_mark_is_refused() {
        let error = split(b"\xEF\xBB[1]", "").unwrap_err();
        assert!(
            error.contains("expected a whole byte order mark"),
            "{error}"
        );
    }

    #[test]
    fn lines_are_items_where_the_content_type_says_so() {
        for content_type in [
            LINES,
            "application/jsonl; charset=utf-8",
            "application/stream+json",
        ] {
            check("{\"items\":[1]}\n", content_type, &["{\"items\":[1]}"]);
        }
        check(
            "\n{\"a\": 1}\r\n\n \"b\"\n3\n{}",
            LINES,
            &["{\"a\": 1}", "\"b\"", "3", "{}"],
        );
        check("null\n[1]\n", LINES, &["null", "[1]"]);
    }

    #[test]
    fn lines_of_objects_are_items_whatever_the_content_type() {
        check(
            "{\"a\": [1, \"\\u00e9\"]}\n{\"items\": [2]}\n{}\n",
            "application/json",
            &["{\"a\": [1, \"\\u00e9\"]}", "{\"items\": [2]}", "{}"],
        );
    }

    #[test]
    fn records_of_a_text_sequence_are_items() {
        check(
            "\x1E{\"a\":1}\n\x1E2\n",
            "application/json-seq",
            &["{\"a\":1}", "2"],
        );
        check("\x1E{}\x1E{}", "", &["{}", "{}"]);
    }

    /// Which of the two it is cannot be known.
    #[test]
    fn lines_of_arrays_and_of_whole_pages_are_refused() {
        check("[\n1,\n2]\n", LINES, &["1", "2"]);
        check_error("[1]\n[2]\n", LINES, "expected nothing more at byte 4");
        check_error(
            "{\"items\":[1]}\n{\"items\":[2]}",
            "",
            "expected nothing more at byte 14",
        );
    }

    #[test]
    fn values_on_one_line_are_refused() {
        check_error(
            "{} {}\n",
            LINES,
            "expected the end of the line after 1 items, at byte 3",
        );
        check_error("{} {}", "", "expected nothing more");
        check_error("{\"a\":\"\\x\"}\n{}", "", "not JSON");
        check_error("{}\n{]\n", LINES, "item 2, at byte 3, is not valid JSON");
        check_error("{},\n{}\n", LINES, "expected the end of the line");
    }

    #[test]
    fn a_line_that_stops_is_truncated() {
        check_error(
            "{}\n{\"a\"",
            "",
            "truncated: the body ends at byte 7, inside of item 2",
        );
        check_error(
            "{}\n{\"a\"",
            LINES,
            "truncated: the body ends at byte 7, inside of item 2",
        );
        // Another digit could follow.
        check_error(
            "1\n2",
            LINES,
            "truncated: the body ends at byte 3, inside of item 2",
        );
    }
}
