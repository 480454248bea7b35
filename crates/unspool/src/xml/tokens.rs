//! Cuts a document into tags and the text between them.

use std::ops::Range;

use bytes::{Buf, Bytes, BytesMut};
use memchr::{memchr, memchr3, memmem};

use crate::error::{Error, Kind};
use crate::lines::BYTE_ORDER_MARK;

/// Takes chunks and gives tokens; keeps the token that is not there as a whole.
pub(super) struct Tokens {
    text: BytesMut,
    /// Where the next token begins in it.
    at: usize,
    /// How far the end of that token has been looked for.
    scanned: usize,
    /// The quote that the search is inside of, in a tag.
    quote: Option<u8>,
    /// Where the text begins in the document.
    offset: u64,
    max_bytes: usize,
}

/// A piece of a document, without its brackets.
#[derive(Debug, PartialEq)]
pub(super) enum Token<'t> {
    /// `<name attributes>`, or with a slash at its end.
    Start(&'t str),
    /// `</name>`
    End(&'t str),
    /// With references as they are written.
    Text(&'t str),
    /// Text in which nothing is a reference or a tag.
    Verbatim(&'t str),
    /// `<?target …?>`
    Instruction(&'t str),
    Comment,
}

/// What begins where a token begins.
#[derive(Clone, Copy)]
enum Form {
    Text,
    Start,
    /// Between these two; which kind it is, is in the first.
    Between(&'static [u8], &'static [u8]),
}

const FORMS: [(&[u8], &[u8]); 4] = [
    (b"</", b">"),
    (b"<?", b"?>"),
    (b"<!--", b"-->"),
    (b"<![CDATA[", b"]]>"),
];

impl Tokens {
    pub(super) fn new(max_bytes: usize) -> Self {
        Tokens {
            text: BytesMut::new(),
            at: 0,
            scanned: 0,
            quote: None,
            offset: 0,
            max_bytes,
        }
    }

    /// Begins at this position in the body: nothing but white space was before.
    pub(super) fn starting_at(&mut self, position: u64) {
        self.offset = position;
    }

    pub(super) fn push(&mut self, chunk: &Bytes) {
        self.text.advance(self.at);
        self.offset += self.at as u64;
        self.scanned -= self.at;
        self.at = 0;
        self.text.extend_from_slice(chunk);
    }

    /// Where in the document the next token begins.
    pub(super) fn position(&self) -> u64 {
        self.offset + self.at as u64
    }

    /// Where in the document the bytes end that have come.
    pub(super) fn end(&self) -> u64 {
        self.offset + self.text.len() as u64
    }

    /// What has come of a token that is not there as a whole.
    pub(super) fn rest(&self) -> &[u8] {
        &self.text[self.at..]
    }

    /// The next token that is there as a whole, and where in the document it begins.
    pub(super) fn next(&mut self) -> Result<Option<(u64, Token<'_>)>, Error> {
        if self.position() == 0 && !self.skip_mark()? {
            return Ok(None);
        }
        let Some(form) = self.form()? else {
            return Ok(None);
        };
        self.scanned = self.scanned.max(self.at + form.opening());
        let Some(inside) = self.find_end(form) else {
            if self.rest().len() > self.max_bytes {
                return Err(self.too_large());
            }
            return Ok(None);
        };
        let (begin, begins_at) = (self.at, self.position());
        self.at = inside.end + form.closing();
        self.scanned = self.at;
        let position = self.offset + inside.start as u64;
        let text = std::str::from_utf8(&self.text[inside]).map_err(|error| {
            let position = position + error.valid_up_to() as u64;
            Error::content(format!("not XML in UTF-8: invalid byte {position}")).with_source(error)
        })?;
        let token = match (form, self.text.get(begin + 1)) {
            (Form::Text, _) => Token::Text(text),
            (Form::Start, _) => Token::Start(text),
            (_, Some(b'/')) => Token::End(text),
            (_, Some(b'?')) => Token::Instruction(text),
            (Form::Between(b"<!--", _), _) => Token::Comment,
            _ => Token::Verbatim(text),
        };
        Ok(Some((begins_at, token)))
    }

    /// Passes over a byte order mark. Whether it is known if there is one.
    fn skip_mark(&mut self) -> Result<bool, Error> {
        let rest = self.rest();
        if rest.starts_with(b"\xFE\xFF") || rest.starts_with(b"\xFF\xFE") {
            return Err(Error::content("expected text in UTF-8, found UTF-16"));
        }
        if rest.starts_with(BYTE_ORDER_MARK) {
            self.at = BYTE_ORDER_MARK.len();
            self.scanned = self.at;
            return Ok(true);
        }
        Ok(!BYTE_ORDER_MARK.starts_with(rest))
    }

    /// What begins here, as soon as that is known.
    fn form(&self) -> Result<Option<Form>, Error> {
        let rest = self.rest();
        match rest {
            [] => return Ok(None),
            [b'<'] => return Ok(None),
            [b'<', b'/' | b'?' | b'!', ..] => {}
            [b'<', ..] => return Ok(Some(Form::Start)),
            _ => return Ok(Some(Form::Text)),
        }
        if let Some((opening, closing)) =
            FORMS.iter().find(|(opening, _)| rest.starts_with(opening))
        {
            return Ok(Some(Form::Between(opening, closing)));
        }
        if FORMS.iter().any(|(opening, _)| opening.starts_with(rest)) {
            return Ok(None);
        }
        Err(Error::content(format!(
            "expected a listing in XML or JSON, found a document type (`<!…`) at byte {}, which is refused: this is a web page, or declares entities",
            self.position()
        )))
    }

    /// The bytes between the brackets, or those of the text.
    fn find_end(&mut self, form: Form) -> Option<Range<usize>> {
        let begin = self.at + form.opening();
        let rest = &self.text[self.scanned..];
        match form {
            Form::Text => {
                if let Some(length) = memchr(b'<', rest) {
                    return Some(begin..self.scanned + length);
                }
                self.scanned = self.text.len();
            }
            Form::Between(_, closing) => {
                if let Some(length) = memmem::find(rest, closing) {
                    return Some(begin..self.scanned + length);
                }
                // The last bytes may be the first of what closes it.
                self.scanned = (self.text.len() + 1)
                    .saturating_sub(closing.len())
                    .max(begin);
            }
            Form::Start => loop {
                let rest = &self.text[self.scanned..];
                let found = match self.quote {
                    Some(quote) => memchr(quote, rest),
                    None => memchr3(b'>', b'"', b'\'', rest),
                };
                let Some(length) = found else {
                    self.scanned = self.text.len();
                    break;
                };
                let end = self.scanned + length;
                if self.quote.take().is_none() {
                    match self.text[end] {
                        b'>' => return Some(begin..end),
                        quote => self.quote = Some(quote),
                    }
                }
                self.scanned = end + 1;
            },
        }
        None
    }

    fn too_large(&self) -> Error {
        Error::new(
            Kind::TooLarge,
            format!(
                "a tag or a text at byte {} is over the limit of {} bytes",
                self.position(),
                self.max_bytes
            ),
        )
    }
}

impl Form {
    /// How many bytes open it.
    fn opening(self) -> usize {
        match self {
            Form::Text => 0,
            Form::Start => 1,
            Form::Between(opening, _) => opening.len(),
        }
    }

    fn closing(self) -> usize {
        match self {
            Form::Text => 0,
            Form::Start => 1,
            Form::Between(_, closing) => closing.len(),
        }
    }
}
