//! The one loop of all commands: takes items of a source, writes them, and says how it
//! ended.

use std::pin::Pin;
use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use unspool::rows::RecordBatch;
use unspool::sinks::{Ended, SinkAccount};
use unspool::{Account, Error, ErrorKind, Source, SourceKind, SourceStream, Verdict};

use crate::account::AccountFile;
use crate::args::Common;
use crate::destination::Destination;
use crate::exit::Exit;
use crate::output::Stop;
use crate::progress::{Progress, SoFar};
use crate::report::{self, Report};
use crate::signals::{self, Watchdog};

/// After how many items it is looked whether something is to be said of them.
const ITEMS_PER_UPDATE: u64 = 4096;

/// How pulling ended.
pub(crate) enum End {
    /// The source came to its end.
    Source,
    /// All that was asked for is there.
    Taken,
    /// The reader closed the pipe.
    Closed,
    Interrupted,
    /// The deadline of the caller passed.
    Late(Duration),
    Upstream(Error),
    Output(std::io::Error),
    Sink(Error),
}

impl From<Stop> for End {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Closed => End::Closed,
            Stop::Failed(error) => End::Output(error),
        }
    }
}

/// How items get to their destination. What appends an item to a buffer, as it is to stand
/// there, is one.
pub(crate) trait Put<T> {
    /// Puts an item there, or several that travel together; gives how many.
    async fn put(&self, item: T, destination: &mut Destination<'_>) -> Result<u64, End>;
}

impl<T, F: Fn(&T, &mut Vec<u8>)> Put<T> for F {
    async fn put(&self, item: T, destination: &mut Destination<'_>) -> Result<u64, End> {
        destination.put(|buffer| self(&item, buffer)).await?;
        Ok(1)
    }
}

/// Arrow batches, for a destination that takes those.
pub(crate) struct AsArrow;

impl Put<RecordBatch> for AsArrow {
    async fn put(&self, batch: RecordBatch, destination: &mut Destination<'_>) -> Result<u64, End> {
        let rows = batch.num_rows() as u64;
        destination.put_arrow(batch).await?;
        Ok(rows)
    }
}

/// Pulls a source to its end, or to where the flags say, into `destination`; `put` says how an
/// item gets there.
pub(crate) async fn pull<T, K>(
    source: SourceStream<T, K>,
    common: &Common,
    mut destination: Destination<'_>,
    report: &dyn Report<K::Details>,
    put: impl Put<T>,
) -> Exit
where
    T: Send,
    K: SourceKind,
{
    let account_file = match account_file(common).await {
        Ok(file) => file,
        Err(exit) => return exit,
    };
    let watchdog = Watchdog::start(common.deadline);
    let mut run = Run {
        source: source.allow_doubts(),
        before: destination.begun().items,
        progress: Progress::new(!common.quiet),
        report,
    };
    let end = tokio::select! {
        biased;
        () = signals::interrupted() => End::Interrupted,
        limit = late(common.deadline) => End::Late(limit),
        end = run.take(common.take, &mut destination, put) => end.unwrap_or_else(|end| end),
    };
    // Whoever closes the connection first saves the upstream work.
    let position = run.source.position();
    run.source.close().await;
    let account = run.source.account();
    let ended = match end {
        End::Source => Ended::of(&account).map(|ended| Ended {
            code: Some(report.exit(&account, exit_of(&account, &end)) as u8),
            ..ended
        }),
        _ => None,
    };
    let end = match destination.end(&end, position, ended).await {
        Ok(()) => end,
        Err(end) => end,
    };
    let took = run.progress.end();
    let closing = Closing {
        account: &account,
        sink: destination.account(),
        end: &end,
        report,
        took,
    };
    let exit = closing.conclude(common, account_file);
    drop(watchdog);
    exit
}

/// Opens what the account goes to; says why it cannot.
pub(crate) async fn account_file(common: &Common) -> Result<AccountFile, Exit> {
    if let Some(gathered) = &common.gathered {
        return Ok(AccountFile::Gathered(gathered.clone()));
    }
    tokio::select! {
        biased;
        () = signals::interrupted() => Err(Exit::Interrupted),
        limit = late(common.deadline) => {
            report::problem(&format!("error: nobody read the account within {limit:?}, the deadline"));
            Err(Exit::Failed)
        }
        opened = AccountFile::open(common.account.as_deref()) => opened.map_err(|message| {
            report::problem(&message);
            Exit::WrongRequest
        }),
    }
}

/// Waits until the time of the caller is up; for ever where there is none.
async fn late(deadline: Option<Duration>) -> Duration {
    match deadline {
        Some(limit) => {
            tokio::time::sleep(limit).await;
            limit
        }
        None => std::future::pending().await,
    }
}

/// A source that is pulled.
struct Run<'r, T: Send, K: SourceKind> {
    source: SourceStream<T, K>,
    /// How many items came in earlier runs.
    before: u64,
    progress: Progress,
    report: &'r dyn Report<K::Details>,
}

impl<T: Send, K: SourceKind> Run<'_, T, K> {
    /// Takes items and writes them, and says why it stopped.
    async fn take(
        &mut self,
        limit: Option<u64>,
        destination: &mut Destination<'_>,
        put: impl Put<T>,
    ) -> Result<End, End> {
        destination.check()?;
        let mut taken = self.before;
        while limit.is_none_or(|limit| taken < limit) {
            let next = match self.source.next().now_or_never() {
                Some(next) => next,
                None => self.wait(destination).await?,
            };
            let item = match next {
                Some(Ok(item)) => item,
                Some(Err(error)) => return Ok(End::Upstream(error)),
                None => return Ok(End::Source),
            };
            // On a terminal the items themselves are the progress.
            if taken == self.before && destination.is_terminal() {
                self.progress.end();
            }
            let before = taken;
            taken += put.put(item, destination).await?;
            if !self.source.is_ready() {
                self.serve(destination).await?;
            }
            if taken / ITEMS_PER_UPDATE > before / ITEMS_PER_UPDATE && self.progress.is_due() {
                self.say(None);
            }
        }
        Ok(End::Taken)
    }

    /// Waits for the next item, or until the reader closes the pipe. What there is goes out
    /// meanwhile, and becomes durable.
    async fn wait(
        &mut self,
        destination: &mut Destination<'_>,
    ) -> Result<Option<Result<T, Error>>, End> {
        destination.pause().await?;
        loop {
            if self.source.awaits_durable() {
                destination.hurry(|| self.source.position()).await?;
            }
            let next_at = self.progress.next_at();
            let tick = next_at.unwrap_or_else(std::time::Instant::now);
            tokio::select! {
                biased;
                next = self.source.next() => return Ok(next),
                due = destination.due() => {
                    due?;
                    self.serve(destination).await?;
                }
                () = tokio::time::sleep_until(tick.into()), if next_at.is_some() => {
                    self.say(self.source.waiting());
                }
            }
        }
    }

    /// Does what is due at the destination, and tells the source what is durable there.
    async fn serve(&mut self, destination: &mut Destination<'_>) -> Result<(), End> {
        let durable = destination.serve(|| self.source.position()).await?;
        if let Some(position) = durable.and_then(|mark| mark.position) {
            Pin::new(&mut self.source).acknowledge(&position);
        }
        Ok(())
    }

    fn say(&self, waiting: Option<String>) {
        let account = self.source.account();
        let mut text = self.report.so_far(&account, self.progress.elapsed());
        if self.before > 0 {
            let before = report::count(self.before, "item");
            text = format!("after {before} of earlier runs: {text}");
        }
        self.progress.say(SoFar {
            text,
            waiting,
            items: self.before + account.items,
            total: self.report.total(&account),
        });
    }
}

/// What is said when a run is over.
struct Closing<'c, D: unspool::Details> {
    account: &'c Account<D>,
    sink: Option<SinkAccount>,
    end: &'c End,
    report: &'c dyn Report<D>,
    took: Duration,
}

impl<D: unspool::Details> Closing<'_, D> {
    /// Says how it ended, in words, in the account and as an exit code.
    fn conclude(&self, common: &Common, account_file: AccountFile) -> Exit {
        let (account, end) = (self.account, self.end);
        if let End::Upstream(error) = end
            && error.kind() == ErrorKind::NotSent
        {
            report::problem(&format!("would ask for: {error}"));
            return Exit::Complete;
        }
        let exit = self.report.exit(account, exit_of(account, end));
        let error = match end {
            End::Upstream(error) | End::Sink(error) => Some(error.to_string()),
            End::Output(error) => Some(format!("cannot write the items: {error}")),
            End::Late(limit) => Some(format!("not complete within {limit:?}, the deadline")),
            _ => None,
        };
        if let Some(message) = &error {
            report::problem(&format!("error: {message}"));
        }
        let doubts = account.doubts.iter();
        for doubt in doubts.filter(|_| !self.report.says_doubts_at_once()) {
            report::problem(&format!("doubt: {doubt}"));
        }
        let notes = self.sink.iter().flat_map(|sink| &sink.notes);
        for note in notes.filter(|_| !common.quiet) {
            report::problem(&format!("note: {note}"));
        }
        self.report.notes(account, end, common.quiet);
        // Of a request that was wrong there is nothing more to say.
        let is_sent = account.requests > 0 || exit != Exit::WrongRequest;
        if !common.quiet && is_sent {
            report::problem(&self.sentence());
        } else if common.quiet && exit == Exit::Incomplete {
            report::problem(&format!(
                "{}: {}",
                account.verdict(),
                self.report.why(account)
            ));
        }
        let upstream = match end {
            End::Upstream(error) => Some(error),
            _ => None,
        };
        if let Some(hint) = self.report.hint(account, upstream) {
            report::hint(&hint);
        }
        if !is_sent {
            return exit;
        }
        let mut account = serde_json::json!(account);
        if let Some(sink) = &self.sink {
            account["sink"] = serde_json::json!(sink);
        }
        account_file.write(account, error.as_deref(), exit)
    }

    /// The closing sentence: how it ended, what came and where it is, and why.
    fn sentence(&self) -> String {
        let account = self.account;
        let (verdict, why) = match self.end {
            End::Interrupted => ("interrupted".to_owned(), None),
            End::Upstream(_) | End::Output(_) | End::Sink(_) | End::Late(_) => {
                ("failed".to_owned(), None)
            }
            End::Taken if account.doubts.is_empty() => (
                Verdict::Stopped.to_string(),
                Some("no more was asked for".to_owned()),
            ),
            End::Closed if account.doubts.is_empty() => (
                Verdict::Stopped.to_string(),
                Some("the reader closed the pipe".to_owned()),
            ),
            _ => (
                account.verdict().to_string(),
                Some(self.report.why(account)),
            ),
        };
        let mut summary = self.report.summary(account, self.took);
        if let Some(sink) = &self.sink {
            summary.push_str(&held(sink));
        }
        match why {
            Some(why) => format!(
                "{verdict}: {summary}; {why}{}",
                self.report.agreement(account)
            ),
            None => format!("{verdict}: {summary}"),
        }
    }
}

/// What a target holds.
fn held(sink: &SinkAccount) -> String {
    let items = report::count(sink.items, "item");
    match sink.before {
        0 => format!("; {items} in `{}`", sink.target),
        before => format!(
            "; {items} in `{}`, {} of them from earlier runs",
            sink.target,
            indicatif::HumanCount(before)
        ),
    }
}

/// The exit code of a source that ended so.
fn exit_of<D: unspool::Details>(account: &Account<D>, end: &End) -> Exit {
    match end {
        End::Interrupted => Exit::Interrupted,
        End::Upstream(error) | End::Sink(error) => Exit::of_error(error),
        End::Output(_) | End::Late(_) => Exit::Failed,
        End::Source | End::Taken | End::Closed => Exit::of_verdict(account.verdict()),
    }
}
