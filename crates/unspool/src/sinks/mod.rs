//! Where items go: files and tables, exactly once.
//!
//! A sink is a two-way generator: it is sent [deliveries](Delivery) and yields the
//! [mark](Mark) that it has made durable; it cleans up in `finally`. What it yields first,
//! before anything was sent, is what its target held already, and where the source resumes.
//! The order is always: items durable, then the position durable, then the source is
//! [told](crate::Source::acknowledge).
//!
//! [`open`] makes a sink of a text such as `posts.jsonl.zst` or `sqlite:posts.db#posts`, and
//! [`pull`](crate::pull) runs a source into it:
//!
//! ```no_run
//! use unspool::sinks::{self, Options};
//!
//! # async fn example() -> Result<(), unspool::Error> {
//! let request = unspool::pages("https://api.example.com/posts");
//! let mut options = Options::new(request.identity()?);
//! options.state = Some("posts.state".into());
//! let sink = sinks::open("posts.jsonl", options)?;
//! let pulled = unspool::pull(|from| Ok(request.resume(from).raw()), sink).await?;
//! println!("{} items are in the file", pulled.sink.items);
//! # Ok(())
//! # }
//! ```
//!
//! Killed at any moment and started again, it ends with the items of an undisturbed run.

mod body;
mod compression;
mod csv;
mod delivery;
mod encoder;
mod file;
#[cfg_attr(not(feature = "compression"), path = "no_frame.rs")]
mod frame;
mod identity;
mod json;
mod lock;
mod ndjson;
mod notes;
#[cfg(feature = "parquet")]
mod parquet;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg_attr(
    not(all(feature = "parquet", feature = "postgres", feature = "sqlite")),
    expect(dead_code, unused_imports, reason = "what only some targets need")
)]
pub mod schema;
#[cfg(feature = "sqlite")]
mod sqlite;
mod state;
#[cfg_attr(
    not(any(feature = "postgres", feature = "sqlite")),
    expect(dead_code, reason = "what only some targets need")
)]
mod tables;
mod text;
mod writer;

use std::fmt;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use serde::Serialize;
use unspool_core::AsyncGenerator;

pub use delivery::{Batch, Delivery, Ended, Mark};
pub use identity::Identity;
pub use notes::Notes;
#[cfg(feature = "parquet")]
pub use parquet::Batches;
pub use writer::Writer;

use crate::error::Error;

/// All formats, in the order in which they are asked whether a target is theirs. To add one:
/// its module, a line here.
static FORMATS: &[&Format] = &[
    &ndjson::FORMAT,
    &json::FORMAT,
    &csv::FORMAT,
    #[cfg(feature = "parquet")]
    &parquet::FORMAT,
    #[cfg(feature = "sqlite")]
    &sqlite::FORMAT,
    #[cfg(feature = "postgres")]
    &postgres::FORMAT,
];

/// A format by the text of its targets.
pub(crate) struct Format {
    /// How its targets are written, for the help.
    pub(crate) syntax: &'static str,
    /// What it is, for the help: one line.
    pub(crate) about: &'static str,
    /// Whether a target is of this format.
    pub(crate) is_named: fn(&str) -> bool,
    /// Whether its targets keep by themselves how far they are durable.
    pub(crate) keeps_state: bool,
    /// Makes the sink. What can be checked without the target is checked here; the target is
    /// not touched before the generator runs.
    pub(crate) open: fn(&str, Options) -> Result<Sink, Error>,
}

/// How items are written.
///
/// It is in the example of [`open`].
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Options {
    /// Which command it is; compared with the one that began the target.
    pub identity: Identity,
    /// Where the state of a file is kept, to resume: a file of its own. Tables keep it
    /// themselves.
    pub state: Option<PathBuf>,
    /// The names of the members that tell items apart: of two items with the same values the
    /// later one replaces the earlier one, where the target can do that.
    pub key: Vec<String>,
    /// The text of a schema, a JSON Schema or lines of `name type`; by default it is found out
    /// from the items.
    pub schema: Option<String>,
    /// Whether what the target holds, or its state, is replaced.
    pub overwrite: bool,
    /// After which time a checkpoint is made, in the place of what the format has by default.
    pub checkpoint_after: Option<Duration>,
}

impl Options {
    /// What a command writes, with nothing else said.
    #[must_use]
    pub fn new(identity: Identity) -> Self {
        Options {
            identity,
            ..Options::default()
        }
    }
}

impl Options {
    /// Adds to the identity what belongs to the target.
    fn identify(&mut self, target: &str) {
        let identity = std::mem::take(&mut self.identity);
        self.identity = (identity.with("to", target))
            .with("key", (!self.key.is_empty()).then(|| self.key.clone()))
            .with_text("schema", self.schema.as_deref());
    }
}

/// The code of an error that says that this is no target, whatever it may hold.
const NOT_A_TARGET: &str = "not-a-target";

/// How often checkpoints are made.
///
/// ```
/// use std::time::Duration;
/// use unspool::sinks::{self, Options, Pace};
///
/// # fn example() -> Result<(), unspool::Error> {
/// let sink = sinks::open("posts.jsonl", Options::default())?.pace(Pace {
///     time: Duration::from_secs(10),
///     ..Pace::DEFAULT
/// });
/// # drop(sink);
/// # Ok(())
/// # }
/// # example().unwrap();
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// After this time.
    pub time: Duration,
    /// After this many bytes of items.
    pub bytes: u64,
}

/// What a sink is inside: the generator that runs on its thread.
///
/// It yields first what its target held already, then in answer to each delivery what became
/// durable, if anything did. After [`Delivery::End`] it returns. Where it returns an error,
/// or is closed, the target keeps whole items only.
///
/// It is in the example of [`Sink`].
pub type SinkGenerator =
    Pin<Box<dyn AsyncGenerator<Delivery, Yield = Option<Mark>, Return = Result<(), Error>>>>;

/// A target that items are written to, not opened yet.
///
/// ```
/// use std::io::Write;
/// use unspool::sinks::{Delivery, Mark, Sink};
/// use unspool::generator;
///
/// /// Writes items to standard error: nothing of that is durable.
/// fn to_stderr() -> Sink {
///     Sink::new("stderr", || {
///         generator! {
///             // What the target held before, which is nothing.
///             let mut durable = Some(Mark::default());
///             loop {
///                 match yield durable.take() {
///                     Delivery::Items(batch) => {
///                         let _ = std::io::stderr().write_all(batch.lines());
///                     }
///                     Delivery::Checkpoint(mark) => durable = Some(mark),
///                     Delivery::End(_) => return Ok(()),
///                 }
///             }
///         }
///     })
/// }
/// assert_eq!(to_stderr().target(), "stderr");
/// ```
pub struct Sink {
    target: String,
    pace: Pace,
    notes: Notes,
    takes_arrow: bool,
    /// Makes the generator on its thread, so that it need not be `Send`.
    make: Box<dyn FnOnce() -> SinkGenerator + Send>,
}

impl Sink {
    /// A sink by its generator, which is made on the thread that it runs on and need not be
    /// `Send`; `target` names it in messages and accounts.
    pub fn new<G>(target: impl Into<String>, make: impl FnOnce() -> G + Send + 'static) -> Self
    where
        G: AsyncGenerator<Delivery, Yield = Option<Mark>, Return = Result<(), Error>> + 'static,
    {
        Sink {
            target: target.into(),
            pace: Pace::DEFAULT,
            notes: Notes::default(),
            takes_arrow: false,
            make: Box::new(|| Box::pin(make())),
        }
    }

    /// How often checkpoints are made; by default after a second and after 128 MiB.
    #[must_use]
    pub fn pace(mut self, pace: Pace) -> Self {
        self.pace = pace;
        self
    }

    /// Where it says what its account is to have.
    #[must_use]
    pub fn notes(mut self, notes: Notes) -> Self {
        self.notes = notes;
        self
    }

    /// Whether it takes Arrow batches in the place of lines, such as those of
    /// [`rows`](crate::rows::Request::batches): no text is in between then. Which of the two
    /// come is chosen once, before the first.
    #[must_use]
    pub fn takes_arrow(&self) -> bool {
        self.takes_arrow
    }

    /// A sink whose generator looks at [`Batch::arrow`].
    #[cfg(feature = "arrow")]
    #[must_use]
    pub fn taking_arrow(mut self) -> Self {
        self.takes_arrow = true;
        self
    }

    fn checkpoint_after(mut self, time: Option<Duration>) -> Self {
        self.pace.time = time.unwrap_or(self.pace.time);
        self
    }

    /// The text that names it.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.target
    }
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sink")
            .field("target", &self.target)
            .field("pace", &self.pace)
            .finish_non_exhaustive()
    }
}

/// What a sink did.
///
/// It is `pulled.sink` in the example of [`pull`](crate::pull()).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SinkAccount {
    /// The text that names it.
    pub target: String,
    /// How many items are durable, those of earlier runs included.
    pub items: u64,
    /// How many bytes of text they have.
    pub bytes: u64,
    /// How many of them were there when the run began.
    pub before: u64,
    /// How often something became durable in this run.
    pub checkpoints: u64,
    /// What whoever reads the target has to know, such as columns that have another name than
    /// their key.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// Makes a sink of the text that names its target.
///
/// ```
/// use unspool::sinks::{self, Options};
///
/// let posts = unspool::pages("https://api.example.com/posts");
/// let mut options = Options::new(posts.identity()?);
/// options.state = Some("posts.state".into());
/// // Nothing is opened, or made, before items go in.
/// let sink = sinks::open("posts.jsonl.zst", options)?;
/// assert_eq!(sink.target(), "posts.jsonl.zst");
/// assert!(sinks::open("posts.xls", Options::default()).is_err());
/// # Ok::<(), unspool::Error>(())
/// ```
///
/// # Errors
///
/// No format has such targets, or it cannot do what the options ask for.
pub fn open(target: &str, mut options: Options) -> Result<Sink, Error> {
    options.identify(target);
    let format = (FORMATS.iter()).find(|format| (format.is_named)(target));
    match format {
        Some(format) => {
            let after = options.checkpoint_after;
            let sink = (format.open)(target, options).map_err(not_a_target)?;
            Ok(sink.checkpoint_after(after))
        }
        None => {
            let syntaxes: Vec<_> = FORMATS.iter().map(|format| format.syntax).collect();
            Err(not_a_target(Error::request(format!(
                "expected a target, one of `{}`; found `{target}`",
                syntaxes.join("`, `")
            ))))
        }
    }
}

/// An error of the text that names a target, or of the options.
fn not_a_target(error: Error) -> Error {
    error.with_code(Some(NOT_A_TARGET.to_owned()))
}

/// Makes a sink of the name of a file that a text goes into, piece by piece and as it is:
/// what is put in is not items.
///
/// ```no_run
/// # async fn example() -> Result<(), unspool::Error> {
/// use unspool::sinks::{self, Options, Writer};
///
/// let mut poem = Writer::open(sinks::open_text("poem.txt", Options::default())?).await?;
/// poem.put_with(|text| text.extend_from_slice(b"A river wide,\n")).await?;
/// poem.end(None, None).await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// The target is one of items, or the options ask for what a text has not.
pub fn open_text(target: &str, mut options: Options) -> Result<Sink, Error> {
    match FORMATS.iter().find(|format| (format.is_named)(target)) {
        Some(format) => Err(not_a_target(Error::request(format!(
            "expected the name of a file for a text; found `{target}`, which is for items: {}",
            format.about
        )))),
        None => {
            options.identify(target);
            let after = options.checkpoint_after;
            let sink = text::open(target, options).map_err(not_a_target)?;
            Ok(sink.checkpoint_after(after))
        }
    }
}

/// Whether a target keeps by itself how far it is durable, as tables do.
///
/// ```
/// use unspool::sinks::keeps_state;
///
/// assert!(!keeps_state("posts.jsonl"));
/// # #[cfg(feature = "sqlite")]
/// assert!(keeps_state("sqlite:posts.db#posts"));
/// ```
#[must_use]
pub fn keeps_state(target: &str) -> bool {
    let format = FORMATS.iter().find(|format| (format.is_named)(target));
    format.is_some_and(|format| format.keeps_state)
}

/// How the targets of all formats are written, and what each is.
///
/// ```
/// for (syntax, about) in unspool::sinks::formats() {
///     println!("{syntax}: {about}");
/// }
/// ```
pub fn formats() -> impl Iterator<Item = (&'static str, &'static str)> {
    FORMATS.iter().map(|format| (format.syntax, format.about))
}

#[cfg(all(test, unix))]
mod tests;
