//! `postgres://…#table`: a table of a PostgreSQL database.
//!
//! Rows go in by `COPY`, and are committed in one transaction with the position. With a key
//! they go into a temporary table first, and from there they replace those of the same key.
//! Lists, objects and what has no common type are `json`, which keeps a text as it is;
//! numbers that neither 64 bits nor a float hold are `numeric`.

mod layout;
mod server;
mod target;

use std::pin::Pin;

use bytes::Bytes;
use futures_util::SinkExt;
use tokio_postgres::CopyInSink;

use super::schema::{Columns, Schema};
use super::state::Record;
use super::tables::{
    Found, Table, check_count, conflict, failed, misfit_at, pinned, quoted, table_sink,
};
use super::{Format, Mark, Notes, Options, Sink};
use crate::error::Error;
use layout::{Change, Layout};
use server::Server;
use target::Target;

pub(super) const FORMAT: Format = Format {
    syntax: "postgres://USER@HOST/DATABASE#TABLE",
    about: "a table of a PostgreSQL database; `--key` replaces rows of the same key",
    is_named: target::is_named,
    open,
    keeps_state: true,
};

/// How many bytes of rows go to the server at a time.
const CHUNK: usize = 64 << 10;

/// How many columns a table has at most, where the values of a row are short enough.
const MOST_COLUMNS: usize = 1600;

/// Where rows wait that have a key.
const STAGE: &str = "_unspool_stage";

fn open(target: &str, mut options: Options) -> Result<Sink, Error> {
    let target = Target::parse(target)?;
    // What the caller wrote may hold a password.
    options.identity = options.identity.with("to", target.shown.clone());
    let notes = Notes::default();
    let noting = notes.clone();
    let sink = Sink::new(target.shown.clone(), move || {
        table_sink(options, async move |options| {
            PostgresTable::open(target, options, noting).await
        })
    });
    Ok(sink.notes(notes))
}

struct PostgresTable {
    server: Server,
    target: Target,
    options: Options,
    pinned: Schema,
    notes: Notes,
    /// None as long as the table is not there.
    layout: Option<Layout>,
    in_transaction: bool,
    copy: Option<Pin<Box<CopyInSink<Bytes>>>>,
    /// Rows on their way.
    buffer: Vec<u8>,
}

impl PostgresTable {
    async fn open(
        target: Target,
        options: Options,
        notes: Notes,
    ) -> Result<(Self, Option<Found>), Error> {
        let pinned = pinned(&options)?;
        let server = Server::connect(&target).await?;
        server.lock(&target).await?;
        let mut table = PostgresTable {
            server,
            target,
            options,
            pinned,
            notes,
            layout: None,
            in_transaction: false,
            copy: None,
            buffer: Vec::new(),
        };
        let found = table.take_hold().await?;
        Ok((table, found))
    }

    /// Finds out what the database has of this table.
    async fn take_hold(&mut self) -> Result<Option<Found>, Error> {
        let state = self.server.state(&self.target).await?;
        let Some(state) = state.filter(|_| !self.options.overwrite) else {
            self.begin_anew().await?;
            return Ok(None);
        };
        let place = self.target.state_place();
        let record = Record::read(&state, &place)?;
        record.check(&self.options.identity, &place)?;
        let found = Found::of(&record, &self.pinned)?;
        if let Some(columns) = &found.columns {
            let layout = Layout::new(columns.clone(), &self.options.key, &self.notes)?;
            self.check_unchanged(&layout, found.mark.items).await?;
            self.layout = Some(layout);
            self.make_stage().await?;
        }
        Ok(Some(found))
    }

    /// Makes room for a table of this name, where that is allowed.
    async fn begin_anew(&mut self) -> Result<(), Error> {
        self.begin().await?;
        if self.options.overwrite {
            let sql = format!("drop table if exists {}", self.target.quoted);
            self.server.run(&sql).await?;
        } else if self.server.has_table(&self.target).await? {
            return Err(Error::request(format!(
                "the database has a table `{}` that no run has begun: name another one, or replace \
                 it with `--overwrite`",
                self.target.table
            )));
        }
        self.keep(&Mark::default()).await?;
        self.end_transaction().await
    }

    /// Refuses a table that is not as the last run left it.
    async fn check_unchanged(&self, layout: &Layout, items: u64) -> Result<(), Error> {
        const CHANGED: &str = "somebody else has changed";
        let columns = layout.quoted_names(0..layout.columns.list().len());
        let sql = format!("select {columns} from {} limit 0", self.target.quoted);
        (self.server.run(&sql).await)
            .map_err(|error| error.with_note(format!("{CHANGED} `{}`", self.target.shown)))?;
        // With a key, rows are replaced, and others may write them as well.
        if !layout.key.is_empty() {
            return Ok(());
        }
        let count = self.server.count(&self.target).await?;
        if count == items {
            return Ok(());
        }
        Err(Error::request(format!(
            "{CHANGED} `{}`: expected {items} rows, and there are {count}",
            self.target.shown
        )))
    }

    async fn begin(&mut self) -> Result<(), Error> {
        if !self.in_transaction {
            self.server.run("begin").await?;
            self.in_transaction = true;
        }
        Ok(())
    }

    async fn keep(&self, mark: &Mark) -> Result<(), Error> {
        self.server
            .keep(&self.target, &self.record(mark).text()?)
            .await
    }

    fn record(&self, mark: &Mark) -> Record {
        let mut record = Record::new(self.options.identity.clone());
        record.mark = mark.clone();
        record.saved = (self.layout.as_ref()).map(|layout| layout.columns.lines().into());
        record
    }

    async fn end_transaction(&mut self) -> Result<(), Error> {
        self.in_transaction = false;
        self.server.run("commit").await
    }

    /// Commits rows and position. Where the connection is lost meanwhile, the server is asked
    /// what came of it: to write the rows once more might be to write them twice.
    async fn end_with(&mut self, mark: &Mark) -> Result<(), Error> {
        let Err(lost) = self.end_transaction().await else {
            return Ok(());
        };
        if !self.server.is_gone() {
            return Err(lost);
        }
        match self.take_up(mark).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(lost.with_note("the last rows are not there")),
            Err(why) => Err(lost.with_note(format!(
                "whether the last rows are there, the next run will see: {why}"
            ))),
        }
    }

    /// Goes on with a new connection, if what was to be committed is there.
    async fn take_up(&mut self, mark: &Mark) -> Result<bool, Error> {
        let server = Server::connect_again(&self.target).await?;
        // The lock first: the server may still be at the commit, and gives it back after that.
        server.lock(&self.target).await?;
        let is_there = server.state(&self.target).await? == Some(self.record(mark).text()?);
        if is_there {
            self.server = server;
            self.make_stage().await?;
        }
        Ok(is_there)
    }

    async fn make_stage(&self) -> Result<(), Error> {
        match &self.layout {
            Some(layout) if !layout.key.is_empty() => self.server.run(&layout.create_stage()).await,
            _ => Ok(()),
        }
    }

    /// Sends the rows that are ready.
    async fn send(&mut self) -> Result<(), Error> {
        let Some(layout) = &self.layout else {
            return Ok(());
        };
        if self.buffer.is_empty() {
            return Ok(());
        }
        if self.copy.is_none() {
            let sql = layout.copy(&self.target.quoted);
            self.copy = Some(Box::pin(self.server.copy_in(&sql).await?));
        }
        let rows = std::mem::replace(&mut self.buffer, Vec::with_capacity(CHUNK + CHUNK / 4));
        if let Some(copy) = &mut self.copy {
            (copy.send(rows.into()).await).map_err(|error| self.server.failure(&error))?;
        }
        Ok(())
    }

    /// Sends the rows that are ready, and lets the server take them in.
    async fn finish_copy(&mut self) -> Result<(), Error> {
        self.send().await?;
        if let Some(mut copy) = self.copy.take() {
            let finished = copy.as_mut().finish().await;
            finished.map_err(|error| self.server.failure(&error))?;
        }
        Ok(())
    }

    /// Changes the table for what an item needs.
    async fn change(&mut self, layout: &mut Layout, changes: &[Change]) -> Result<(), Error> {
        for change in changes {
            self.server.run(&change.sql(&self.target.quoted)).await?;
            if !layout.key.is_empty() {
                self.server.run(&change.sql(&quoted(STAGE))).await?;
            }
        }
        Ok(())
    }

    /// Appends an item to the rows on their way.
    async fn put(&mut self, number: u64, item: &str) -> Result<(), Error> {
        let begin = self.buffer.len();
        let Some(layout) = &mut self.layout else {
            return Ok(());
        };
        let count = layout.columns.list().len();
        (layout.columns.split(item, &mut layout.row))
            .map_err(|misfit| misfit_at(number, &misfit))?;
        let is_wider = layout.columns.list().len() > count;
        if !is_wider && layout.encode(number, item, &mut self.buffer)? {
            return Ok(());
        }
        check_count(&layout.columns, MOST_COLUMNS)?;
        self.buffer.truncate(begin);
        self.finish_copy().await?;
        let Some(mut layout) = self.layout.take() else {
            return Ok(());
        };
        let changes = (layout.changes(item))
            .map_err(|(at, value)| conflict(number, &layout.columns.list()[at], value))?;
        for change in &changes {
            if let Change::Widen { name } = change {
                self.notes.add(format!(
                    "the column {name} is numeric from item {number} on"
                ));
            }
        }
        self.change(&mut layout, &changes).await?;
        let fits = layout.encode(number, item, &mut self.buffer)?;
        self.layout = Some(layout);
        if fits {
            Ok(())
        } else {
            Err(failed(format!("item {number} fits in no row")))
        }
    }
}

impl Table for PostgresTable {
    async fn create(&mut self, columns: Columns) -> Result<(), Error> {
        self.begin().await?;
        check_count(&columns, MOST_COLUMNS)?;
        let layout = Layout::new(columns, &self.options.key, &self.notes)?;
        self.server.run(&layout.create(&self.target.quoted)).await?;
        self.layout = Some(layout);
        self.make_stage().await
    }

    async fn write<'a>(
        &mut self,
        number: u64,
        items: impl Iterator<Item = &'a str>,
    ) -> Result<(), Error> {
        self.begin().await?;
        for (number, item) in (number..).zip(items) {
            self.put(number, item).await?;
            if self.buffer.len() >= CHUNK {
                self.send().await?;
            }
        }
        Ok(())
    }

    async fn commit(&mut self, mark: &Mark, _is_end: bool) -> Result<bool, Error> {
        self.begin().await?;
        self.finish_copy().await?;
        if let Some(layout) = &self.layout
            && !layout.key.is_empty()
        {
            self.server.run(&layout.merge(&self.target.quoted)).await?;
        }
        self.keep(mark).await?;
        self.end_with(mark).await?;
        Ok(true)
    }

    async fn close(self) -> Result<(), Error> {
        self.server.unlock().await
    }
}
