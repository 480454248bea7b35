//! Elements of a JSON array in the text of an answer, each as soon as it is whole.

use std::iter::{Once, once};
use std::sync::Arc;

use bytes::Bytes;
use unspool_core::{AsyncGenerator, generator};

use super::event::Event;
use super::outcome::Stop;
use super::source::{Plan, answer};
use super::watch::Watch;
use crate::error::Error;
use crate::json::{Check, Place, Pointer, Splitter};

/// Yields the elements of the array at a place of the document in the answer.
///
/// Models put words around a document, and fences: it begins at the first line that
/// begins with `{` or `[`, and what is after its end is passed over.
pub(super) fn items<T: Send>(
    plan: Plan,
    watch: Arc<Watch>,
    pointer: Pointer,
    check: Check,
    decode: fn(&Bytes) -> serde_json::Result<T>,
) -> impl AsyncGenerator<Yield = Once<(T, ())>, Return = Result<(), Error>> + Send {
    generator! {
        let max_bytes = plan.max_event;
        let mut stop = Stop::Unstated;
        let mut extent = Extent::Before { is_line_begin: true };
        let mut splitter = Splitter::new(Place::At(pointer), check, max_bytes);
        let mut events = Box::pin(answer(plan, Arc::clone(&watch), Some));
        // What ended the answer says more than what that did to the document.
        while let Some(mut event) = events.try_anext().await? {
            let Some((event, ())) = event.next() else { continue };
            let text = match event {
                Event::Text { text } => text,
                Event::Stop { stop: stated, .. } => {
                    stop = stated;
                    continue;
                }
                _ => continue,
            };
            let document = extent.cut(Bytes::from(text));
            if document.is_empty() {
                continue;
            }
            splitter.push(document);
            while let Some(element) = splitter.next().map_err(|error| in_text(error, &watch))? {
                let item = decode(&element).map_err(|error| in_text(splitter.unfit(&element, error), &watch))?;
                yield once((item, ()));
            }
        }
        match extent {
            Extent::Behind => splitter.end().map(drop).map_err(|error| in_text(error, &watch)),
            // A document that a limit cut is told by the outcome.
            _ if !stop.is_natural() => Ok(()),
            Extent::Before { .. } => Err(Error::content("the answer holds no JSON document")),
            Extent::Inside { .. } => Err(Error::content("the answer is whole, but its JSON document is not")),
        }
    }
}

fn in_text(error: Error, watch: &Watch) -> Error {
    error
        .map_words(|words| watch.redacted(words))
        .without_source()
        .with_note("in the text of the answer")
}

/// Where the document is in the text.
#[derive(Debug)]
enum Extent {
    Before {
        is_line_begin: bool,
    },
    Inside {
        /// How many arrays and objects are open.
        depth: u64,
        is_string: bool,
        is_escaped: bool,
    },
    Behind,
}

impl Extent {
    /// The part of a piece of text that belongs to the document.
    fn cut(&mut self, piece: Bytes) -> Bytes {
        let mut begin = piece.len();
        if !matches!(self, Extent::Before { .. }) {
            begin = 0;
        }
        for (at, byte) in piece.iter().enumerate() {
            match self {
                Extent::Before { is_line_begin } => match byte {
                    b'{' | b'[' if *is_line_begin => {
                        begin = at;
                        *self = Extent::Inside {
                            depth: 1,
                            is_string: false,
                            is_escaped: false,
                        };
                    }
                    b'\n' => *is_line_begin = true,
                    b' ' | b'\t' | b'\r' => {}
                    _ => *is_line_begin = false,
                },
                Extent::Inside {
                    depth,
                    is_string,
                    is_escaped,
                } => match (byte, *is_string) {
                    _ if *is_escaped => *is_escaped = false,
                    (b'\\', true) => *is_escaped = true,
                    (b'"', _) => *is_string = !*is_string,
                    (b'{' | b'[', false) => *depth += 1,
                    (b'}' | b']', false) => {
                        *depth -= 1;
                        if *depth == 0 {
                            *self = Extent::Behind;
                            return piece.slice(begin..=at);
                        }
                    }
                    _ => {}
                },
                Extent::Behind => return Bytes::new(),
            }
        }
        piece.slice(begin..)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, document: &str) {
        for size in 1..=text.len() {
            let mut extent = Extent::Before {
                is_line_begin: true,
            };
            let pieces = text.as_bytes().chunks(size);
            let cut = pieces.map(|piece| extent.cut(Bytes::copy_from_slice(piece)));
            let found: Vec<u8> = cut.flatten().collect();
            assert_eq!(
                String::from_utf8(found).unwrap(),
                document,
                "in pieces of {size}"
            );
        }
    }

    #[test]
    fn a_document_is_found_among_words_and_fences() {
        check("[1, 2]", "[1, 2]");
        check(
            "Here [are] {two}:\n\n```json\n  {\"a\": [1]}\n```\n[3]",
            "{\"a\": [1]}",
        );
        check("{\"a\": \"}\\\"]\"} and {}", "{\"a\": \"}\\\"]\"}");
        check("nothing", "");
        check("{\"a\": [", "{\"a\": [");
    }
}
