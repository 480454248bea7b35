//! The one loop of all commands: takes items of a source, writes them, and says how it
//! ended.

use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use tokio::time::{Instant, MissedTickBehavior};
use unspool::{Account, Error, SourceKind, SourceStream, Verdict};

use crate::account::AccountFile;
use crate::args::Common;
use crate::exit::Exit;
use crate::output::{LAST_FLUSH, Output, Stop};
use crate::report::{self, Progress, Report};
use crate::signals::{self, Watchdog};

/// How often the progress line is renewed while items flow.
const ITEMS_PER_UPDATE: u64 = 4096;

/// How often it is renewed during a wait.
const TICK: Duration = Duration::from_millis(100);

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
}

impl From<Stop> for End {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Closed => End::Closed,
            Stop::Failed(error) => End::Output(error),
        }
    }
}

/// Pulls a source to its end, or to where the flags say, into `output`; `write` appends
/// an item as it is to stand there.
pub(crate) async fn pull<T, K>(
    source: SourceStream<T, K>,
    common: &Common,
    output: &mut Output,
    report: &dyn Report<K::Details>,
    write: impl Fn(&T, &mut Vec<u8>),
) -> Exit
where
    T: Send,
    K: SourceKind,
{
    let account_file = match account_file(common).await {
        Ok(file) => file,
        Err(exit) => return exit,
    };
    let mut source = source.allow_doubts();
    let progress = Progress::new(!common.quiet);
    let watchdog = Watchdog::start(common.deadline);
    let end = tokio::select! {
        biased;
        () = signals::interrupted() => End::Interrupted,
        limit = late(common.deadline) => End::Late(limit),
        end = take(&mut source, common, output, report, &progress, write) => end,
    };
    // Whoever closes the connection first saves the upstream work.
    source.close().await;
    // Ctrl-C must not hang on a reader that has stopped reading.
    let end = match tokio::time::timeout(LAST_FLUSH, output.end(&end)).await {
        Ok(Err(Stop::Failed(error))) => End::Output(error),
        _ => end,
    };
    let took = progress.end();
    let exit = conclude(&source.account(), &end, common, report, took, account_file);
    drop(watchdog);
    exit
}

/// Opens what the account goes to; says why it cannot.
async fn account_file(common: &Common) -> Result<AccountFile, Exit> {
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

/// Takes items and writes them, and says why it stopped.
async fn take<T, K>(
    source: &mut SourceStream<T, K>,
    common: &Common,
    output: &mut Output,
    report: &dyn Report<K::Details>,
    progress: &Progress,
    write: impl Fn(&T, &mut Vec<u8>),
) -> End
where
    T: Send,
    K: SourceKind,
{
    let mut taken = 0;
    if let Err(stop) = output.check() {
        return stop.into();
    }
    while common.take.is_none_or(|take| taken < take) {
        let next = match source.next().now_or_never() {
            Some(next) => next,
            None => match wait(source, output, report, progress).await {
                Ok(next) => next,
                Err(stop) => return stop.into(),
            },
        };
        let item = match next {
            Some(Ok(item)) => item,
            Some(Err(error)) => return End::Upstream(error),
            None => return End::Source,
        };
        // On a terminal the items themselves are the progress.
        if taken == 0 && output.is_terminal() {
            progress.end();
        }
        if let Err(stop) = output.put(|buffer| write(&item, buffer)).await {
            return stop.into();
        }
        taken += 1;
        if taken % ITEMS_PER_UPDATE == 0 && progress.is_shown() {
            progress.say(report.so_far(&source.account(), progress.elapsed()), None);
        }
    }
    End::Taken
}

/// Waits for the next item, or until the reader closes the pipe. What there is goes out
/// meanwhile.
async fn wait<T, K>(
    source: &mut SourceStream<T, K>,
    output: &mut Output,
    report: &dyn Report<K::Details>,
    progress: &Progress,
) -> Result<Option<Result<T, Error>>, Stop>
where
    T: Send,
    K: SourceKind,
{
    output.pause().await?;
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        let flush_at = output.flush_at();
        let due = tokio::time::sleep_until(flush_at.unwrap_or_else(Instant::now));
        tokio::select! {
            biased;
            next = source.next() => return Ok(next),
            () = output.closed() => return Err(Stop::Closed),
            () = due, if flush_at.is_some() => output.flush().await?,
            _ = tick.tick(), if progress.is_shown() => {
                let so_far = report.so_far(&source.account(), progress.elapsed());
                progress.say(so_far, source.waiting());
            }
        }
    }
}

/// Says how it ended, in words, in the account and as an exit code.
fn conclude<D: unspool::Details>(
    account: &Account<D>,
    end: &End,
    common: &Common,
    report: &dyn Report<D>,
    took: Duration,
    account_file: AccountFile,
) -> Exit {
    let exit = exit_of(account, end);
    let error = match end {
        End::Upstream(error) => Some(error.to_string()),
        End::Output(error) => Some(format!("cannot write the items: {error}")),
        End::Late(limit) => Some(format!("not complete within {limit:?}, the deadline")),
        _ => None,
    };
    if let Some(message) = &error {
        report::problem(&format!("error: {message}"));
    }
    for doubt in &account.doubts {
        report::problem(&format!("doubt: {doubt}"));
    }
    report.notes(account, end, common.quiet);
    // Of a request that was wrong there is nothing more to say.
    let is_sent = account.requests > 0 || exit != Exit::WrongRequest;
    if !common.quiet && is_sent {
        report::problem(&sentence(account, end, report, took));
    } else if common.quiet && exit == Exit::Incomplete {
        report::problem(&format!("{}: {}", account.verdict(), report.why(account)));
    }
    let upstream = match end {
        End::Upstream(error) => Some(error),
        _ => None,
    };
    if let Some(hint) = report.hint(account, upstream) {
        report::hint(&hint);
    }
    if !is_sent {
        return exit;
    }
    account_file.write(serde_json::json!(account), error.as_deref(), exit)
}

/// The exit code of a source that ended so.
fn exit_of<D: unspool::Details>(account: &Account<D>, end: &End) -> Exit {
    match end {
        End::Interrupted => Exit::Interrupted,
        End::Upstream(error) => Exit::of_error(error),
        End::Output(_) | End::Late(_) => Exit::Failed,
        End::Source | End::Taken | End::Closed => Exit::of_verdict(account.verdict()),
    }
}

/// The closing sentence: how it ended, what came, and why.
fn sentence<D: unspool::Details>(
    account: &Account<D>,
    end: &End,
    report: &dyn Report<D>,
    took: Duration,
) -> String {
    let (verdict, why) = match end {
        End::Interrupted => ("interrupted".to_owned(), None),
        End::Upstream(_) | End::Output(_) | End::Late(_) => ("failed".to_owned(), None),
        End::Taken if account.doubts.is_empty() => (
            Verdict::Stopped.to_string(),
            Some("no more was asked for".to_owned()),
        ),
        End::Closed if account.doubts.is_empty() => (
            Verdict::Stopped.to_string(),
            Some("the reader closed the pipe".to_owned()),
        ),
        _ => (account.verdict().to_string(), Some(report.why(account))),
    };
    let summary = report.summary(account, took);
    match why {
        Some(why) => format!("{verdict}: {summary}; {why}{}", report.agreement(account)),
        None => format!("{verdict}: {summary}"),
    }
}
