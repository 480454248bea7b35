use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::error::Error;

/// A file that goes with a question: an image or a PDF.
///
/// What it is, is found from its content. Protocols take different kinds of files; one that
/// cannot be carried is an error before anything is sent. As JSON it is `{"name": "…", "data": "…"}`
/// with the content in base64.
///
/// ```
/// use unspool::ask::Attachment;
///
/// let report = Attachment::new("report.pdf", b"%PDF-1.7 ...")?;
/// assert_eq!(report.media_type(), "application/pdf");
/// let question = unspool::ask("What does it say?").attach(report);
/// assert!(Attachment::new("notes.txt", b"words").is_err());
/// # drop(question);
/// # Ok::<(), unspool::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(into = "Written")]
pub struct Attachment {
    name: String,
    media_type: &'static str,
    /// In base64.
    data: String,
}

/// An attachment as it is written down.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: String,
    data: String,
}

impl<'de> Deserialize<'de> for Attachment {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let Written { name, data } = Written::deserialize(from)?;
        let content = STANDARD.decode(&data).map_err(|error| {
            D::Error::custom(format!(
                "cannot attach `{name}`: it is not in base64: {error}"
            ))
        })?;
        Attachment::new(name, &content).map_err(D::Error::custom)
    }
}

impl From<Attachment> for Written {
    fn from(attachment: Attachment) -> Self {
        Written {
            name: attachment.name,
            data: attachment.data,
        }
    }
}

/// The kinds of files that are known, by how they begin.
const KINDS: &[(&[u8], &str)] = &[
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"%PDF-", PDF),
];

const PDF: &str = "application/pdf";

/// How far into a file a PDF may begin.
const PDF_WITHIN: usize = 1024;

impl Attachment {
    /// A file of this name and content.
    ///
    /// # Errors
    ///
    /// It is not a PNG, JPEG, GIF, WebP or HEIC image, and not a PDF.
    pub fn new(name: impl Into<String>, content: &[u8]) -> Result<Self, Error> {
        let name = name.into();
        let media_type = media_type(content).ok_or_else(|| {
            let what = match content {
                [] => "is empty",
                content if std::str::from_utf8(content).is_ok() => {
                    "is text: put it into the prompt"
                }
                _ => "is of a kind that is not known",
            };
            Error::request(format!(
                "cannot attach `{name}`, which {what}; expected a PNG, JPEG, GIF, WebP or HEIC \
                 image, or a PDF"
            ))
        })?;
        Ok(Attachment {
            name,
            media_type,
            data: STANDARD.encode(content),
        })
    }

    /// What it is, such as `image/png`.
    #[must_use]
    pub fn media_type(&self) -> &'static str {
        self.media_type
    }

    pub(super) fn is_pdf(&self) -> bool {
        self.media_type == PDF
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn data(&self) -> &str {
        &self.data
    }

    /// Its content in an address of its own (RFC 2397).
    pub(super) fn data_url(&self) -> String {
        format!("data:{};base64,{}", self.media_type, self.data)
    }

    /// # Errors
    ///
    /// It is not of one of these kinds, which are those that `who` takes.
    pub(super) fn one_of(&self, who: &str, media_types: &[&str]) -> Result<(), Error> {
        if media_types.contains(&self.media_type) {
            return Ok(());
        }
        Err(Error::request(format!(
            "cannot attach `{}`, which is `{}`: `{who}` takes `{}`",
            self.name,
            self.media_type,
            media_types.join("`, `")
        )))
    }
}

fn media_type(content: &[u8]) -> Option<&'static str> {
    let known = KINDS.iter().find(|(begin, _)| content.starts_with(begin));
    if let Some((_, media_type)) = known {
        return Some(media_type);
    }
    // Both are containers that say a little later what they hold.
    match (content.get(..4), content.get(4..8), content.get(8..12)) {
        (Some(b"RIFF"), _, Some(b"WEBP")) => return Some("image/webp"),
        (_, Some(b"ftyp"), Some(b"heic" | b"heix" | b"mif1" | b"heif")) => {
            return Some("image/heic");
        }
        _ => {}
    }
    let begin = &content[..content.len().min(PDF_WITHIN)];
    let is_pdf = begin.windows(5).any(|bytes| bytes == b"%PDF-");
    (is_pdf && std::str::from_utf8(content).is_err()).then_some(PDF)
}

impl fmt::Debug for Attachment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attachment")
            .field("name", &self.name)
            .field("media_type", &self.media_type)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_file_is_is_found_from_its_content() {
        for (content, expected) in [
            (&b"\x89PNG\r\n\x1a\n\0\0"[..], Some("image/png")),
            (b"\xff\xd8\xff\xe0\0\x10JFIF", Some("image/jpeg")),
            (b"GIF89a\x01\0", Some("image/gif")),
            (b"RIFF\x24\0\0\0WEBPVP8 ", Some("image/webp")),
            (b"\0\0\0\x18ftypheic\0\0\0\0", Some("image/heic")),
            (b"%PDF-1.7\n", Some("application/pdf")),
            (b"\xef\xbb\xbf\0%PDF-1.4\n\xff", Some("application/pdf")),
            (b"RIFF\x24\0\0\0WAVEfmt ", None),
            (b"a text about %PDF- files", None),
            (b"", None),
            (b"\x89PN", None),
        ] {
            assert_eq!(media_type(content), expected, "{content:?}");
        }
    }

    #[test]
    fn a_file_that_cannot_be_attached_says_why() {
        for (content, words) in [
            (&b"hello"[..], "is text"),
            (b"", "is empty"),
            (b"\0\xff", "is not known"),
        ] {
            let error = Attachment::new("a.bin", content).unwrap_err();
            assert!(
                error.is_request() && error.to_string().contains(words),
                "{error}"
            );
        }
    }
}
