//! A reader whose rows a task writes: what databases with a connection share.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt, Stream, StreamExt};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, Sleep, sleep};

use super::batch::Batch;
use super::database::{Answer, Reader};
use super::write::RowWriter;
use crate::error::{Error, Kind};

/// What the task hands over.
pub(super) enum Message {
    Batch(Batch),
    /// The end, which is the last.
    End(Result<(), Error>),
}

impl Message {
    fn of(batch: Result<Batch, Error>) -> Self {
        batch.map_or_else(|error| Message::End(Err(error)), Message::Batch)
    }
}

/// Stops what runs on a server.
pub(super) trait Stop: Send + Sync + 'static {
    /// Stops it, if it runs, and waits until the server has heard of it; not for long.
    fn stop(&self) -> Answer<'_, ()>;
}

type Work = Box<dyn FnOnce(mpsc::Sender<Message>) -> JoinHandle<()> + Send>;

/// A query that a task answers.
pub(super) struct TaskReader<S: Stop> {
    /// None once the task has been started.
    work: Option<Work>,
    stop: Arc<S>,
    task: Option<JoinHandle<()>>,
    messages: Option<mpsc::Receiver<Message>>,
}

impl<S: Stop> TaskReader<S> {
    /// A reader that does this in a task; it ends with a [`Message::End`].
    pub(super) fn new<F>(
        stop: Arc<S>,
        work: impl FnOnce(mpsc::Sender<Message>) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        TaskReader {
            work: Some(Box::new(|sender| tokio::spawn(work(sender)))),
            stop,
            task: None,
            messages: None,
        }
    }
}

impl<S: Stop> Reader for TaskReader<S> {
    fn read(&mut self) -> Answer<'_, Result<Option<Batch>, Error>> {
        Box::pin(async {
            if let Some(work) = self.work.take() {
                // One batch waits while the next is written.
                let (sender, receiver) = mpsc::channel(1);
                self.task = Some(work(sender));
                self.messages = Some(receiver);
            }
            let message = match &mut self.messages {
                Some(messages) => messages.recv().await,
                None => None,
            };
            match message {
                Some(Message::Batch(batch)) => Ok(Some(batch)),
                Some(Message::End(end)) => end.map(|()| None),
                None => Err(Error::new(
                    Kind::Truncated,
                    "the task that reads the rows is gone",
                )),
            }
        })
    }

    fn close(&mut self) -> Answer<'_, ()> {
        Box::pin(async {
            if let Some(task) = self.task.take() {
                self.stop.stop().await;
                task.abort();
            }
        })
    }
}

impl<S: Stop> Drop for TaskReader<S> {
    fn drop(&mut self) {
        let Some(task) = self.task.take() else { return };
        let stop = Arc::clone(&self.stop);
        // Where there is no runtime any more, the connection ends with it, and servers that
        // can look for that do.
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(async move {
                stop.stop().await;
                task.abort();
            })),
            Err(_) => task.abort(),
        }
    }
}

/// Where rows are written, and from where they are handed over.
pub(super) struct Outlet<'a> {
    pub(super) writer: RowWriter,
    sender: &'a mpsc::Sender<Message>,
    /// How long rows wait for others: one timer for all batches.
    timer: Option<Pin<Box<Sleep>>>,
    /// Whether it is set for the rows that there are.
    is_timed: bool,
}

impl<'a> Outlet<'a> {
    pub(super) fn new(writer: RowWriter, sender: &'a mpsc::Sender<Message>) -> Self {
        Outlet {
            writer,
            sender,
            timer: None,
            is_timed: false,
        }
    }

    /// Writes all that a stream gives, and hands over what is full, or what there is while
    /// nothing comes and somebody waits; gives how many parts there were.
    pub(super) async fn pour<T, E>(
        &mut self,
        stream: impl Stream<Item = Result<T, E>>,
        fail: impl Fn(E) -> Error,
        mut write: impl FnMut(&mut RowWriter, T) -> Result<(), Error>,
    ) -> Result<usize, Error> {
        let mut stream = pin!(stream);
        let mut count = 0;
        loop {
            let next = match stream.next().now_or_never() {
                Some(next) => next,
                None => self.wait(stream.next()).await,
            };
            let written = match next {
                Some(Ok(part)) => write(&mut self.writer, part),
                Some(Err(error)) => Err(fail(error)),
                None => return Ok(count),
            };
            if written.is_err() || self.writer.is_full() {
                // What came before a fault is not lost.
                self.flush().await;
                written?;
            }
            count += 1;
        }
    }

    /// Waits for the next part; whoever wants rows gets those that there are, after a moment.
    async fn wait<T>(&mut self, next: impl Future<Output = T>) -> T {
        let mut next = pin!(next);
        if !self.writer.is_empty()
            && let Some(moment) = self.writer.moment()
        {
            tokio::select! {
                biased;
                part = &mut next => return part,
                () = self.timer(moment) => {}
            }
        }
        loop {
            tokio::select! {
                biased;
                part = &mut next => return part,
                Ok(permit) = self.sender.reserve(), if !self.writer.is_empty() => {
                    self.is_timed = false;
                    permit.send(Message::of(self.writer.take()));
                }
            }
        }
    }

    /// Over when the rows that there are have waited for others for so long.
    fn timer(&mut self, moment: Duration) -> Pin<&mut Sleep> {
        let timer = (self.timer).get_or_insert_with(|| Box::pin(sleep(moment)));
        if !self.is_timed {
            timer.as_mut().reset(Instant::now() + moment);
            self.is_timed = true;
        }
        timer.as_mut()
    }

    /// Hands over the rows that there are.
    pub(super) async fn flush(&mut self) {
        if !self.writer.is_empty() {
            self.send().await;
        }
    }

    /// Hands over the last rows. Where there were none at all, that tells the columns.
    pub(super) async fn end(&mut self) {
        if !self.writer.is_empty() || self.writer.owes_columns() {
            self.send().await;
        }
    }

    async fn send(&mut self) {
        self.is_timed = false;
        let sent = self.sender.send(Message::of(self.writer.take())).await;
        if sent.is_err() {
            // Nobody wants them: the task is about to be dropped, and does not take the
            // time of the one that stops the query.
            std::future::pending().await
        }
    }
}
