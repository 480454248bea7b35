//! What goes into a sink and what comes out of it.

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::account::{Account, Details, Verdict};
use crate::position::Position;

/// What a sink is sent.
///
/// It is in the example of [`Sink`](super::Sink).
#[derive(Debug)]
pub enum Delivery {
    /// Items to write; they need not be durable yet.
    Items(Batch),
    /// Make durable what has been sent, up to this mark, if that can be now: the sink yields
    /// the mark once it is durable, here or in answer to a later delivery.
    Checkpoint(Mark),
    /// Nothing more comes in this run: make durable what has been sent, publish it, and
    /// return. [`Mark::ended`] tells whether the source came to its end.
    End(Mark),
}

/// A place between two items: all items before it, and where the source stands there.
///
/// It is in the example of [`Sink`](super::Sink).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Mark {
    /// Where the source resumes; none where it has not begun or cannot resume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
    /// How many items are before it, those of earlier runs included.
    pub items: u64,
    /// How many bytes they have as lines of text.
    pub bytes: u64,
    /// How the source ended there, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Ended>,
}

/// How a source came to its end.
///
/// It is in the example of [`Writer`](super::Writer).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// What speaks against it being complete; nothing where it is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub doubts: Vec<String>,
    /// The exit code of the command that came to this end, for the next one to repeat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<u8>,
}

impl Ended {
    /// How a source came to its end by its account, if it did. A feed whose time was up did
    /// not: the same request again goes on.
    #[must_use]
    pub fn of<D: Details>(account: &Account<D>) -> Option<Self> {
        if D::goes_on(&account.ended) {
            return None;
        }
        let mut doubts: Vec<String> = account.doubts.iter().map(ToString::to_string).collect();
        match account.verdict() {
            Verdict::Complete | Verdict::Asked | Verdict::NotProved => {}
            Verdict::Incomplete => doubts.push(account.ended.to_string()),
            Verdict::Stopped | Verdict::Failed => return None,
        }
        Some(Ended { doubts, code: None })
    }
}

/// Items on their way into a sink: their JSON texts, each on a line of its own. Of a text
/// that comes in pieces, the pieces.
///
/// ```
/// use unspool::sinks::Batch;
///
/// let mut batch = Batch::default();
/// batch.push(br#"{"id": 1}"#);
/// batch.push(br#"{"id": 2}"#);
/// assert_eq!(batch.len(), 2);
/// assert_eq!(batch.lines(), b"{\"id\": 1}\n{\"id\": 2}\n");
/// ```
#[derive(Debug, Default)]
pub struct Batch {
    lines: Vec<u8>,
    /// Where each line ends, after its line feed.
    ends: Vec<usize>,
    /// Items as an Arrow batch, in the place of lines.
    #[cfg(feature = "arrow")]
    columns: Option<arrow_array::RecordBatch>,
    /// Where its memory goes to be used again: new pages cost more than what is written to
    /// them.
    home: Option<mpsc::Sender<Memory>>,
}

/// The largest memory that is used again: one item may have been a thousand times the others.
const KEPT: usize = 1 << 20;

/// The memory of a batch.
#[derive(Debug, Default)]
pub(super) struct Memory {
    lines: Vec<u8>,
    ends: Vec<usize>,
}

impl Memory {
    /// Room for so many bytes.
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Memory {
            lines: Vec::with_capacity(bytes),
            ends: Vec::new(),
        }
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        let Some(home) = self.home.take() else { return };
        if self.lines.capacity() > KEPT {
            return;
        }
        self.lines.clear();
        self.ends.clear();
        // Where nobody wants it any more, it is given back.
        let _ = home.try_send(Memory {
            lines: std::mem::take(&mut self.lines),
            ends: std::mem::take(&mut self.ends),
        });
    }
}

impl Batch {
    /// An empty one in this memory, which goes home at its end.
    pub(super) fn within(memory: Memory, home: &mpsc::Sender<Memory>) -> Self {
        Batch {
            lines: memory.lines,
            ends: memory.ends,
            #[cfg(feature = "arrow")]
            columns: None,
            home: Some(home.clone()),
        }
    }

    /// Items of an Arrow batch, for a sink that [takes those](super::Sink::takes_arrow).
    #[cfg(feature = "arrow")]
    pub(super) fn of_arrow(columns: arrow_array::RecordBatch) -> Self {
        let mut batch = Batch::default();
        batch.columns = Some(columns);
        batch
    }

    /// The items as an Arrow batch, where they come so: there are no lines then.
    #[cfg(feature = "arrow")]
    #[must_use]
    pub fn arrow(&self) -> Option<&arrow_array::RecordBatch> {
        self.columns.as_ref()
    }

    /// Adds an item by its JSON text, which has to be on one line.
    pub fn push(&mut self, item: &[u8]) {
        self.lines.extend_from_slice(item);
        self.lines.push(b'\n');
        self.ends.push(self.lines.len());
    }

    /// Adds what `write` appends: an item and a line feed, or a piece of a text. How many
    /// bytes that are.
    pub fn push_with(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> usize {
        let begin = self.lines.len();
        write(&mut self.lines);
        self.ends.push(self.lines.len());
        self.lines.len() - begin
    }

    /// How many items there are.
    #[must_use]
    pub fn len(&self) -> usize {
        #[cfg(feature = "arrow")]
        if let Some(columns) = &self.columns {
            return columns.num_rows();
        }
        self.ends.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All of them, each followed by a line feed.
    #[must_use]
    pub fn lines(&self) -> &[u8] {
        &self.lines
    }

    /// The JSON texts of the items, in UTF-8.
    pub fn items(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        let mut begin = 0;
        self.ends.iter().map(move |&end| {
            let line = &self.lines[begin..end];
            begin = end;
            line.strip_suffix(b"\n").unwrap_or(line)
        })
    }
}
