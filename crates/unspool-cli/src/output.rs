//! Where lines go: a thread of its own writes them, so that a reader that is slow
//! or stuck holds up the source, but neither Ctrl-C nor the progress line.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use unspool::RawItem;

use crate::pull::End;
use crate::system::{self, Pipe};
use crate::visible::Visible;

/// How much is collected before it is handed to the writer; there are two of them.
const BUFFER: usize = 256 << 10;

/// How long a pipe's reader has, the first few times that it gets lines, to say
/// that it has enough.
const GRACE: Duration = Duration::from_millis(20);
const GRACES: u32 = 3;

/// How long text is collected that is not for a terminal.
const COALESCE: Duration = Duration::from_millis(16);

/// How long Ctrl-C waits for a reader to take what was written before.
pub(crate) const LAST_FLUSH: Duration = Duration::from_secs(2);

/// Appends an item as a line.
pub(crate) fn line(item: &RawItem, buffer: &mut Vec<u8>) {
    buffer.extend_from_slice(item.as_bytes());
    buffer.push(b'\n');
}

/// Why nothing more can be written.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The reader has closed the pipe: it has what it wants.
    Closed,
    /// The disk is full, or the like.
    Failed(io::Error),
}

/// Lines on their way out.
pub(crate) struct Output {
    buffer: Vec<u8>,
    /// When the buffer was begun.
    since: Option<Instant>,
    /// The last byte that was written.
    last: Option<u8>,
    /// The second buffer, while the writer does not have it.
    spare: Option<Vec<u8>>,
    to_writer: mpsc::Sender<Vec<u8>>,
    from_writer: mpsc::Receiver<io::Result<Vec<u8>>>,
    /// Whether somebody looks at each line when it comes.
    is_watched: bool,
    is_terminal: bool,
    /// What a terminal is shown, which is not always what came.
    visible: Option<Visible>,
    /// Why nothing can be written at all, as long as nobody was told.
    broken: Option<io::Error>,
    /// The pipe, to see when its reader goes away.
    pipe: Option<Pipe>,
    graces: u32,
    flow: Flow,
}

/// In what portions bytes come, which decides when they go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    /// Whole lines, many at a time.
    Lines,
    /// Pieces of a text, one at a time.
    Text,
}

impl Output {
    /// To standard output.
    pub(crate) fn stdout() -> Self {
        match system::stdout() {
            Ok(file) => Output::to_file(file),
            Err(error) => Output::to_broken(error),
        }
    }

    /// To an open file, pipe or terminal.
    pub(crate) fn to_file(file: File) -> Self {
        let is_terminal = file.is_terminal();
        let pipe = Pipe::watch(&file);
        Output {
            is_watched: is_terminal || pipe.is_some(),
            is_terminal,
            visible: is_terminal.then(Visible::default),
            graces: if pipe.is_some() { GRACES } else { 0 },
            pipe,
            ..Output::to_writer(move |bytes| (&file).write_all(bytes))
        }
    }

    /// The same for text that comes in small pieces, which are collected for a moment.
    pub(crate) fn for_text(mut self) -> Self {
        self.flow = Flow::Text;
        self
    }

    fn to_broken(error: io::Error) -> Self {
        Output {
            broken: Some(error),
            ..Output::to_writer(|_| Err(io::ErrorKind::BrokenPipe.into()))
        }
    }

    fn to_writer(mut write: impl FnMut(&[u8]) -> io::Result<()> + Send + 'static) -> Self {
        let (to_writer, mut buffers) = mpsc::channel::<Vec<u8>>(1);
        let (back, from_writer) = mpsc::channel(2);
        std::thread::spawn(move || {
            while let Some(mut buffer) = buffers.blocking_recv() {
                let result = write(&buffer);
                buffer.clear();
                if back.blocking_send(result.map(|()| buffer)).is_err() {
                    break;
                }
            }
        });
        Output {
            buffer: Vec::with_capacity(BUFFER),
            since: None,
            last: None,
            spare: Some(Vec::with_capacity(BUFFER)),
            to_writer,
            from_writer,
            is_watched: false,
            is_terminal: false,
            visible: None,
            broken: None,
            pipe: None,
            graces: 0,
            flow: Flow::Lines,
        }
    }

    pub(crate) fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// Whether anything can be written: it is better said before something is asked for.
    pub(crate) fn check(&mut self) -> Result<(), Stop> {
        self.broken
            .take()
            .map_or(Ok(()), |error| Err(Stop::Failed(error)))
    }

    /// Adds what `write` appends: an item, and the end of its line if it has one. On a terminal
    /// nothing is in it that it would obey.
    pub(crate) async fn put(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), Stop> {
        if self.buffer.is_empty() && self.flow == Flow::Text {
            self.since = Some(Instant::now());
        }
        match &mut self.visible {
            None => write(&mut self.buffer),
            Some(visible) => {
                let mut piece = Vec::new();
                write(&mut piece);
                visible.put(&piece, &mut self.buffer);
            }
        }
        if self.buffer.len() >= BUFFER {
            self.hand_over().await?;
        }
        Ok(())
    }

    /// Writes what is left, and on a terminal the end of a line that has none.
    pub(crate) async fn end(&mut self, end: &End) -> Result<(), Stop> {
        if let Some(visible) = &mut self.visible {
            visible.end(&mut self.buffer);
        }
        let is_shown = self.is_terminal && !matches!(end, End::Closed | End::Output(_));
        if is_shown && !self.ends_with_line() {
            self.buffer.push(b'\n');
        }
        self.flush().await
    }

    /// Whether what was written ends with a line, or is nothing.
    fn ends_with_line(&self) -> bool {
        let last = self.buffer.last().copied().or(self.last);
        last.is_none_or(|last| last == b'\n')
    }

    /// When text that was added is to go out, if the source still waits then: at once on a
    /// terminal, and not one by one elsewhere.
    pub(crate) fn flush_at(&self) -> Option<Instant> {
        let since = self.since.filter(|_| !self.buffer.is_empty())?;
        Some(if self.is_terminal {
            since
        } else {
            since + COALESCE
        })
    }

    /// The source has to wait: whoever watches gets what there is, and a reader
    /// that has enough may say so before more is asked for.
    pub(crate) async fn pause(&mut self) -> Result<(), Stop> {
        if !self.is_watched || self.buffer.is_empty() || self.flow == Flow::Text {
            return Ok(());
        }
        self.flush().await?;
        if self.graces > 0 {
            self.graces -= 1;
            // The time is up if nobody closed the pipe in it.
            let _ = tokio::time::timeout(GRACE, self.closed()).await;
        }
        if self.is_closed() {
            return Err(Stop::Closed);
        }
        Ok(())
    }

    /// Writes all that there is.
    pub(crate) async fn flush(&mut self) -> Result<(), Stop> {
        if !self.buffer.is_empty() {
            self.hand_over().await?;
        }
        if self.spare.is_none() {
            self.spare = Some(self.take_back().await?);
        }
        Ok(())
    }

    /// Waits until the reader closes the pipe; for ever where there is none.
    pub(crate) async fn closed(&self) {
        match &self.pipe {
            Some(pipe) => pipe.closed().await,
            None => std::future::pending().await,
        }
    }

    fn is_closed(&self) -> bool {
        use futures_util::FutureExt as _;
        self.closed().now_or_never().is_some()
    }

    async fn hand_over(&mut self) -> Result<(), Stop> {
        let spare = match self.spare.take() {
            Some(spare) => spare,
            None => self.take_back().await?,
        };
        self.last = self.buffer.last().copied().or(self.last);
        let full = std::mem::replace(&mut self.buffer, spare);
        self.to_writer.send(full).await.map_err(|_| Stop::Closed)
    }

    async fn take_back(&mut self) -> Result<Vec<u8>, Stop> {
        match self.from_writer.recv().await {
            Some(Ok(buffer)) => Ok(buffer),
            Some(Err(error)) if error.kind() == io::ErrorKind::BrokenPipe => Err(Stop::Closed),
            Some(Err(error)) => Err(Stop::Failed(error)),
            None => Err(Stop::Closed),
        }
    }
}
