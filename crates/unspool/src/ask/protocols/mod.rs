//! The protocols that models' servers speak, one file each, and the table of them.
//!
//! A protocol puts a question into its words and reads the answer a frame at a time. It does
//! no I/O: the loop over the frames is [`Reading`](super::reading::Reading)'s.

mod anthropic;
mod chat;
mod compatible;
mod gemini;
mod ollama;
mod openai;
mod reasons;
mod responses;
mod told;
mod tools;

use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;

use serde_json::Value;
use serde_json::value::RawValue;
use url::Url;

pub use anthropic::ANTHROPIC;
pub use compatible::*;
pub use gemini::GEMINI;
pub use ollama::OLLAMA;
pub use responses::RESPONSES;

use super::alike::Voice;
use super::event::Event;
use super::frames::{Frame, Frames};
use super::prompt::Prompt;
#[cfg(any(test, feature = "internals"))]
use super::reading::Reading;
use super::text::Piece;
use crate::error::Error;

/// All of them. To add one takes a file and a line here.
pub(super) const PROVIDERS: &[Provider] = &[
    ANTHROPIC, OPENAI, RESPONSES, OLLAMA, GEMINI, OPENROUTER, GROQ, MISTRAL, DEEPSEEK, TOGETHER,
    FIREWORKS, XAI, VLLM, LM_STUDIO, LLAMA_CPP,
];

/// Whom to ask: a protocol, and where it is spoken unless you say otherwise.
///
/// Parses from its name, such as `anthropic`.
///
/// ```
/// use unspool::ask::Provider;
///
/// for provider in Provider::all() {
///     println!("{}: {}, at {}", provider.name(), provider.about(), provider.base_url());
/// }
/// let provider: Provider = "anthropic".parse()?;
/// assert!(provider.key_variables().any(|name| name == "ANTHROPIC_API_KEY"));
/// # Ok::<(), unspool::Error>(())
/// ```
#[derive(Clone, Copy)]
pub struct Provider(&'static ProviderEntry);

/// A provider, as the table has it.
pub(super) struct ProviderEntry {
    pub(super) name: &'static str,
    /// A line for the help.
    pub(super) about: &'static str,
    /// Where it is spoken if nobody says otherwise.
    pub(super) base: &'static str,
    /// Variables of the environment that say where.
    pub(super) base_variables: &'static [&'static str],
    /// Variables that hold a key, and how it is sent.
    pub(super) keys: &'static [(&'static str, Key)],
    /// Whether it is asked without a key, even where it is usually spoken.
    pub(super) is_open: bool,
    /// The model that is asked there if none is named.
    pub(super) model: Option<&'static str>,
    /// Whether a model is one of its own, by its name.
    pub(super) serves: fn(&str) -> bool,
    /// What differs from others that speak the protocol.
    pub(super) dialect: Dialect,
    /// The request.
    ///
    /// # Errors
    ///
    /// The protocol cannot carry something of the question.
    pub(super) request: fn(&ProviderEntry, &Prompt, Url) -> Result<Asked, Error>,
    /// What reads the answer.
    pub(super) reader: fn() -> Box<dyn Reader>,
}

/// What differs among those who speak a protocol.
#[derive(Clone, Copy)]
pub(super) struct Dialect {
    /// The name of the token limit, where there are two.
    pub(super) max_tokens: &'static str,
    /// Whether the usage is to be asked for.
    pub(super) has_stream_options: bool,
    /// Whether messages may hold PDFs, where that differs.
    pub(super) takes_pdf: bool,
    /// Whether compatible servers are known to call an answer complete that the token limit
    /// cut.
    pub(super) hides_limits: bool,
}

impl Dialect {
    pub(super) const USUAL: Dialect = Dialect {
        max_tokens: "max_tokens",
        has_stream_options: true,
        takes_pdf: false,
        hides_limits: false,
    };
}

/// How a key is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// As a bearer token in `Authorization`.
    Bearer,
    /// In a header of this name.
    Header(&'static str),
}

/// A request in the words of a protocol.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) url: Url,
    pub(super) body: Value,
    /// Headers, unless the caller has some of that name.
    pub(super) headers: Vec<(&'static str, String)>,
}

/// Events that have been read and not been handed out.
pub(super) type Events = VecDeque<Event>;

/// Reads the answer of a protocol, a frame at a time.
pub(super) trait Reader: Send {
    /// Reads a frame. Its events, which end with [`Event::Stop`], go to `events`.
    ///
    /// # Errors
    ///
    /// The answer fails; what has been read before is in `events`.
    fn read(
        &mut self,
        frame: &Frame,
        frames: &mut Frames,
        events: &mut Events,
    ) -> Result<Progress, Error>;

    /// The body is over: the last events, if what came proves that the answer is whole.
    ///
    /// # Errors
    ///
    /// It does not.
    fn end(&mut self, frames: &Frames, events: &mut Events) -> Result<(), Error>;

    /// Whether frames that differ in nothing but a piece of text may be read by
    /// [`tell`](Reader::tell).
    fn can_tell(&self) -> bool {
        false
    }

    /// Does what [`read`](Reader::read) does for a frame that is like the last one but for
    /// this piece, which is not empty.
    fn tell(&mut self, piece: Piece, voice: Voice, events: &mut Events) {
        let _ = (piece, voice, events);
    }
}

/// Whether there is more to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    More,
    /// The end mark has come.
    Over,
}

impl Provider {
    /// All that there are.
    pub fn all() -> impl Iterator<Item = Provider> {
        PROVIDERS.iter().copied()
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.0.name
    }

    /// What it is, in a line.
    #[must_use]
    pub fn about(self) -> &'static str {
        self.0.about
    }

    /// Variables of the environment that it looks at: for a key, then for where it is.
    pub fn variables(self) -> impl Iterator<Item = &'static str> {
        self.key_variables()
            .chain(self.0.base_variables.iter().copied())
    }

    /// Those of them that hold a key.
    pub fn key_variables(self) -> impl Iterator<Item = &'static str> {
        self.0.keys.iter().map(|(name, _)| *name)
    }

    /// Where it is asked if nobody says otherwise.
    #[must_use]
    pub fn base_url(self) -> &'static str {
        self.0.base
    }

    /// The model that is asked there if none is named.
    #[must_use]
    pub fn default_model(self) -> Option<&'static str> {
        self.0.model
    }

    pub(super) fn entry(self) -> &'static ProviderEntry {
        self.0
    }

    /// Reads an answer.
    #[cfg(any(test, feature = "internals"))]
    pub(crate) fn read(self, frames: Frames) -> Reading {
        Reading::new(frames, (self.0.reader)())
    }
}

impl PartialEq for Provider {
    fn eq(&self, other: &Self) -> bool {
        self.0.name == other.0.name
    }
}

impl Eq for Provider {}

impl FromStr for Provider {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let found = Provider::all().find(|provider| provider.name() == name);
        found.ok_or_else(|| {
            let names: Vec<_> = Provider::all().map(Provider::name).collect();
            Error::request(format!(
                "no provider `{name}`; there are `{}`",
                names.join("`, `")
            ))
        })
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Provider").field(&self.name()).finish()
    }
}

/// The address of something below a base, whose path may end with the version already.
fn below(mut base: Url, version: &str, path: &[&str]) -> Url {
    let has_version = base
        .path_segments()
        .and_then(|segments| segments.rev().find(|segment| !segment.is_empty()))
        .is_some_and(|last| last == version);
    // Cannot fail: an HTTP address has a path.
    if let Ok(mut segments) = base.path_segments_mut() {
        segments.pop_if_empty();
        if !has_version {
            segments.push(version);
        }
        segments.extend(path);
    }
    base
}

/// The error for an answer that begins a second time: whoever starts over on the other side
/// of a proxy would have its text come twice.
fn begins_again(has_content: bool) -> Error {
    Error::content("the answer begins a second time").with_retryable(Some(!has_content))
}

/// A text of the upstream as an event of its own: what is not JSON, as a string of it.
fn other(name: &str, data: &str) -> Result<Event, Error> {
    Ok(Event::Other {
        name: name.to_owned(),
        data: raw(data).or_else(|_| raw(&Value::from(data).to_string()))?,
    })
}

/// JSON text that has been read already.
fn raw(text: &str) -> Result<Box<RawValue>, Error> {
    RawValue::from_string(text.to_owned())
        .map_err(|error| Error::content(format!("not JSON: {error}")).with_source(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_may_end_with_the_version_or_not() {
        let url = |base: &str| below(base.parse().unwrap(), "v1", &["messages"]).to_string();
        for (base, expected) in [
            ("http://h", "http://h/v1/messages"),
            ("http://h/", "http://h/v1/messages"),
            ("http://h/v1", "http://h/v1/messages"),
            ("http://h/v1/", "http://h/v1/messages"),
            ("http://h/api/v1", "http://h/api/v1/messages"),
            ("http://h/proxy", "http://h/proxy/v1/messages"),
            ("http://h/?a=b", "http://h/v1/messages?a=b"),
        ] {
            assert_eq!(url(base), expected, "{base}");
        }
    }

    #[test]
    fn a_provider_has_a_name_of_its_own() {
        for provider in Provider::all() {
            assert_eq!(provider.name().parse::<Provider>().unwrap(), provider);
        }
        assert!("x".parse::<Provider>().unwrap_err().is_request());
    }
}
