//! Where the items of a command go: lines on standard output, or a sink.

use std::path::PathBuf;

use tokio::time::Instant;
use unspool::rows::RecordBatch;
use unspool::sinks::{self, Ended, Identity, Mark, Options, Sink, SinkAccount, Writer};
use unspool::{Error, Position};

use crate::args::{Common, TableArgs};
use crate::exit::Exit;
use crate::flags;
use crate::output::{Output, Stop};
use crate::pull::{End, account_file};
use crate::report;

/// What is written, and whether it can go on where it was left.
pub(crate) struct Content {
    pub(crate) identity: Identity,
    /// By which members the rows of a table replace each other.
    pub(crate) key: Vec<String>,
    /// Where a schema of the items is.
    pub(crate) schema: Option<PathBuf>,
    /// Whether it is a text that comes in pieces.
    pub(crate) is_text: bool,
    /// Whether the source resumes; one that does not starts over.
    pub(crate) resumes: bool,
}

impl Content {
    /// Items of a source that resumes after any of them. Why there are none has been said.
    pub(crate) fn of_items(
        identity: Result<Identity, Error>,
        table: &TableArgs,
    ) -> Result<Self, Exit> {
        let identity = identity.map_err(|error| {
            report::problem(&error.to_string());
            Exit::WrongRequest
        })?;
        Ok(Content {
            identity,
            key: table.row.key.clone(),
            schema: table.schema.clone(),
            is_text: false,
            resumes: true,
        })
    }
}

/// Where items go.
pub(crate) enum Destination<'o> {
    Lines(&'o mut Output),
    Sink(Box<Writer>),
}

impl<'o> Destination<'o> {
    /// Opens what `--to` names; standard output where it names nothing. Where there is nothing
    /// to do, or it cannot be done, that has been said and the exit code is the error.
    pub(crate) async fn open(
        common: &Common,
        content: Content,
        output: &'o mut Output,
    ) -> Result<Self, Exit> {
        let target = match common.to.as_deref() {
            None => return Ok(Destination::Lines(output)),
            Some("-") if common.state().is_none() => return Ok(Destination::Lines(output)),
            Some("-") => {
                report::problem("--state: what is on standard output is not resumed");
                return Err(Exit::WrongRequest);
            }
            Some(target) => target,
        };
        let writer = match open(target, common, content).await {
            Ok(writer) => writer,
            Err(error) => return Err(refused(&error)),
        };
        match writer.begun().ended.clone() {
            None => Ok(Destination::Sink(Box::new(writer))),
            Some(ended) => Err(ended_before(writer, ended, common).await),
        }
    }

    /// What the target holds already.
    pub(crate) fn begun(&self) -> Mark {
        match self {
            Destination::Lines(_) => Mark::default(),
            Destination::Sink(writer) => writer.begun().clone(),
        }
    }

    /// Whether it keeps how far it is durable, so that the same command resumes: in a file, or
    /// as tables do, by themselves.
    pub(crate) fn keeps_state(&self, common: &Common) -> bool {
        let is_table = || (common.to.as_deref()).is_some_and(sinks::keeps_state);
        matches!(self, Destination::Sink(_)) && (common.state().is_some() || is_table())
    }

    /// Whether somebody sees each item when it comes.
    pub(crate) fn is_terminal(&self) -> bool {
        match self {
            Destination::Lines(output) => output.is_terminal(),
            Destination::Sink(_) => false,
        }
    }

    /// Whether anything can be written: it is better said before something is asked for.
    pub(crate) fn check(&mut self) -> Result<(), End> {
        match self {
            Destination::Lines(output) => Ok(output.check()?),
            Destination::Sink(_) => Ok(()),
        }
    }

    /// Adds what `write` appends.
    pub(crate) async fn put(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), End> {
        match self {
            Destination::Lines(output) => Ok(output.put(write).await?),
            Destination::Sink(writer) => writer.put_with(write).await.map_err(End::Sink),
        }
    }

    /// Whether it takes Arrow batches in the place of lines.
    pub(crate) fn takes_arrow(&self) -> bool {
        match self {
            Destination::Lines(_) => false,
            Destination::Sink(writer) => writer.takes_arrow(),
        }
    }

    /// Adds the rows of a batch.
    pub(crate) async fn put_arrow(&mut self, batch: RecordBatch) -> Result<(), End> {
        match self {
            Destination::Lines(_) => Err(End::Sink(Error::wrong(
                "lines take no Arrow batches".to_owned(),
            ))),
            Destination::Sink(writer) => writer.put_arrow(batch).await.map_err(End::Sink),
        }
    }

    /// The source has to wait.
    pub(crate) async fn pause(&mut self) -> Result<(), End> {
        match self {
            Destination::Lines(output) => Ok(output.pause().await?),
            Destination::Sink(_) => Ok(()),
        }
    }

    /// Waits until something is to be done before the next item comes:
    /// [`serve`](Destination::serve) does it.
    pub(crate) async fn due(&mut self) -> Result<(), End> {
        match self {
            Destination::Sink(writer) => writer.due().await.map_err(End::Sink),
            Destination::Lines(output) => {
                let flush_at = output.flush_at();
                tokio::select! {
                    biased;
                    () = output.closed() => Err(End::Closed),
                    () = tokio::time::sleep_until(flush_at.unwrap_or_else(Instant::now)),
                        if flush_at.is_some() => Ok(()),
                }
            }
        }
    }

    /// Writes out what is due, and makes a checkpoint if one is; the source stands at
    /// `position`. What has become durable since this was called last.
    pub(crate) async fn serve(
        &mut self,
        position: impl FnOnce() -> Option<Position>,
    ) -> Result<Option<Mark>, End> {
        match self {
            Destination::Lines(output) => {
                if output.flush_at().is_some_and(|at| at <= Instant::now()) {
                    output.flush().await?;
                }
                Ok(None)
            }
            Destination::Sink(writer) => {
                let durable = writer.newly_durable();
                (writer.checkpoint_if_due(position).await).map_err(End::Sink)?;
                Ok(durable)
            }
        }
    }

    /// Makes durable and closes what there is.
    pub(crate) async fn end(
        &mut self,
        end: &End,
        position: Option<Position>,
        ended: Option<Ended>,
    ) -> Result<(), End> {
        match (self, end) {
            (_, End::Sink(_)) => Ok(()),
            (Destination::Sink(writer), _) => writer.end(position, ended).await.map_err(End::Sink),
            (Destination::Lines(output), end) => {
                // Ctrl-C must not hang on a reader that has stopped reading.
                let flushed = tokio::time::timeout(crate::output::LAST_FLUSH, output.end(end));
                match flushed.await {
                    Ok(Err(Stop::Failed(error))) => Err(End::Output(error)),
                    _ => Ok(()),
                }
            }
        }
    }

    /// The source waits until what it gave is durable: a checkpoint is due at once.
    pub(crate) async fn hurry(
        &mut self,
        position: impl FnOnce() -> Option<Position>,
    ) -> Result<(), End> {
        match self {
            Destination::Lines(_) => Ok(()),
            Destination::Sink(writer) => writer.hurry(position).await.map_err(End::Sink),
        }
    }

    /// What the sink did, where there is one.
    pub(crate) fn account(&self) -> Option<SinkAccount> {
        match self {
            Destination::Lines(_) => None,
            Destination::Sink(writer) => Some(writer.account()),
        }
    }
}

/// Opens a sink, by the flags.
async fn open(target: &str, common: &Common, content: Content) -> Result<Writer, Error> {
    let mut options = Options::new(content.identity);
    options.state = common.state();
    options.key = content.key.clone();
    options.overwrite = common.overwrite;
    options.checkpoint_after = common.checkpoint;
    if let Some(path) = &content.schema {
        options.schema = Some(flags::text_of_file(path).map_err(Error::wrong)?);
    }
    let sink = |options: Options| -> Result<Sink, Error> {
        if content.is_text {
            sinks::open_text(target, options)
        } else {
            sinks::open(target, options)
        }
    };
    let writer = Writer::open(sink(options.clone())?).await?;
    let is_left = writer.begun().items > 0 && writer.begun().ended.is_none();
    if content.resumes || !is_left {
        return Ok(writer);
    }
    report::problem(&format!(
        "`{target}` holds a part of an earlier run, which cannot be resumed: it starts over"
    ));
    let mut writer = writer;
    writer.end(None, None).await?;
    options.overwrite = true;
    Writer::open(sink(options)?).await
}

/// Says why the target is not written to.
fn refused(error: &Error) -> Exit {
    report::problem(&format!("error: {error}"));
    if error.is_request() && error.code().is_none() {
        report::hint("`--overwrite` starts over, and replaces what the target holds");
    }
    Exit::of_error(error)
}

/// The target holds all that there is: nothing is asked for.
async fn ended_before(mut writer: Writer, ended: Ended, common: &Common) -> Exit {
    let position = writer.begun().position.clone();
    let closed = writer.end(position, Some(ended.clone())).await;
    if let Err(error) = closed {
        return refused(&error);
    }
    let sink = writer.account();
    let held = format!("{} in `{}`", report::count(sink.items, "item"), sink.target);
    for doubt in &ended.doubts {
        report::problem(&format!("doubt: {doubt}"));
    }
    let exit = Exit::of_ended(&ended);
    if exit != Exit::Complete {
        report::problem(&format!("not proved complete by an earlier run: {held}"));
    } else if !common.quiet {
        report::problem(&format!("complete already: {held}"));
    }
    if exit != Exit::Complete || !common.quiet {
        report::hint("`--overwrite` starts over");
    }
    let account = serde_json::json!({
        "complete": ended.doubts.is_empty(),
        "doubts": ended.doubts,
        "requests": 0,
        "items": 0,
        "sink": sink,
    });
    match account_file(common).await {
        Ok(file) => file.write(account, None, exit),
        Err(exit) => exit,
    }
}

/// The sinks that `--to` takes, from the library's own table, for the help.
pub(crate) fn help() -> String {
    let formats: Vec<String> = sinks::formats()
        .map(|(syntax, about)| format!("  {syntax}\n          {about}"))
        .collect();
    format!(
        "Targets of `--to`:\n  -\n          standard output, one JSON text a line; this is the default\n{}",
        formats.join("\n")
    )
}
