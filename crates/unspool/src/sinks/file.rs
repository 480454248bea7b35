//! A file that grows at its end: what all formats of files share.
//!
//! Items are appended, compressed in frames if the name asks for that. At a checkpoint the
//! frame ends, the file is made durable, and then the state, if there is one: how long the
//! file is and how it ends. A run that resumes cuts the file back to that length. Unless it is
//! killed, a run leaves whole lines and whole frames, however it ends.

use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};

use unspool_core::generator;

use super::body::Body;
use super::compression::Compression;
use super::delivery::{Batch, Delivery, Mark};
use super::encoder::Encoder;
use super::lock::Lock;
use super::state::{Extent, Record, StateFile};
use super::{Options, Sink, not_a_target};
use crate::error::Error;

/// Whether a target is the name of a file with one of these extensions, before that of a
/// compression.
pub(crate) fn has_extension(target: &str, extensions: &[&str]) -> bool {
    let (_, name) = Compression::of(target);
    let extension = Path::new(name)
        .extension()
        .and_then(|extension| extension.to_str());
    extension.is_some_and(|own| extensions.iter().any(|one| own.eq_ignore_ascii_case(one)))
}

/// That nothing is asked for that needs columns.
///
/// # Errors
///
/// A schema is given.
pub(crate) fn has_no_columns(options: &Options) -> Result<(), Error> {
    match options.schema {
        Some(_) => Err(Error::request("a schema is for targets that have columns")),
        None => Ok(()),
    }
}

/// That the target is not a folder.
///
/// # Errors
///
/// It is.
pub(crate) fn has_no_folder_at(path: &Path) -> Result<(), Error> {
    if path.is_dir() {
        let path = path.display();
        return Err(not_a_target(Error::request(format!(
            "`{path}` is a folder"
        ))));
    }
    Ok(())
}

/// A sink into a file, by the format that `encoder` makes.
///
/// # Errors
///
/// The options ask for what a file cannot do, or are refused by the format.
pub(crate) fn open(
    target: &str,
    options: Options,
    encoder: impl FnOnce(&Options) -> Result<Box<dyn Encoder>, Error>,
) -> Result<Sink, Error> {
    if !options.key.is_empty() {
        return Err(Error::request(
            "a key is for tables: an item of a file is not replaced by a later one",
        ));
    }
    Compression::of(target).0.check()?;
    let encoder = encoder(&options)?;
    let path = PathBuf::from(target);
    Ok(Sink::new(target, move || {
        generator! {
            let mut file = Target::open(path, options, encoder)?;
            let mut durable = Some(file.record.mark.clone());
            try {
                loop {
                    match yield durable.take() {
                        Delivery::Items(batch) => file.write(&batch)?,
                        Delivery::Checkpoint(mark) => durable = file.checkpoint(mark)?,
                        Delivery::End(mark) => return file.end(mark),
                    }
                }
            } finally {
                file.cut();
            }
        }
    }))
}

/// A file that is written, in its format, with its state beside it.
struct Target {
    path: PathBuf,
    body: Body,
    encoder: Box<dyn Encoder>,
    buffer: Vec<u8>,
    record: Record,
    state: Option<StateFile>,
    /// Last, so that it is given back last.
    _lock: Option<Lock>,
}

impl Target {
    fn open(path: PathBuf, options: Options, mut encoder: Box<dyn Encoder>) -> Result<Self, Error> {
        let is_regular = std::fs::metadata(&path).map_or(true, |metadata| metadata.is_file());
        if !is_regular && options.state.is_some() {
            return Err(not_a_target(Error::request(format!(
                "`{}` is not a regular file: it is written, but a run cannot resume into it",
                path.display()
            ))));
        }
        has_no_folder_at(&path)?;
        let lock = is_regular.then(|| Lock::hold(&path)).transpose()?;
        let state = options.state;
        let state = state
            .map(|state| StateFile::hold(state, &path, |_| false))
            .transpose()?;
        let earlier = match &state {
            Some(state) if !options.overwrite => state.load()?,
            _ => None,
        };
        let (body, record) = match (earlier, &state) {
            (Some(record), Some(state)) => {
                record.check(&options.identity, &state.place())?;
                (reopened(&path, &record)?, record)
            }
            _ => {
                let record = Record::new(options.identity);
                (
                    begun(&path, &record, state.as_ref(), options.overwrite)?,
                    record,
                )
            }
        };
        encoder.begin(record.saved.as_ref())?;
        Ok(Target {
            path,
            body,
            encoder,
            buffer: Vec::new(),
            record,
            state,
            _lock: lock,
        })
    }

    fn write(&mut self, batch: &Batch) -> Result<(), Error> {
        self.buffer.clear();
        let text = self.encoder.encode(batch, &mut self.buffer)?;
        (self.body.append(text)).map_err(|error| cannot("write", &self.path, error))
    }

    /// Makes durable what came up to a mark, unless the format still holds some of it back.
    fn checkpoint(&mut self, mark: Mark) -> Result<Option<Mark>, Error> {
        if !self.flush(false)? {
            return Ok(None);
        }
        let extent = self.body.seal(self.encoder.tail());
        self.keep(mark, extent)?;
        Ok(Some(self.record.mark.clone()))
    }

    /// The same at the end of the run.
    fn end(&mut self, mark: Mark) -> Result<(), Error> {
        if self.record.mark.ended.is_some() && self.record.mark == mark {
            return Ok(());
        }
        self.flush(true)?;
        let extent = self.body.close(self.encoder.tail());
        self.keep(mark, extent)
    }

    /// Takes away what is no whole item in a whole frame.
    fn cut(&mut self) {
        if self.record.mark.ended.is_none() {
            self.body.cut(self.encoder.tail());
        }
    }

    /// Writes what the format has held back; false where it goes on doing so.
    fn flush(&mut self, is_last: bool) -> Result<bool, Error> {
        self.buffer.clear();
        let is_all = self.encoder.flush(is_last, &mut self.buffer)?;
        (self.body.append(&self.buffer)).map_err(|error| cannot("write", &self.path, error))?;
        Ok(is_all)
    }

    /// Keeps in the state what is durable in the file now.
    ///
    /// A sync that failed is not tried again: the system may have forgotten by then what was
    /// not written, and would say that all is well.
    fn keep(&mut self, mark: Mark, extent: io::Result<Extent>) -> Result<(), Error> {
        let made_durable = extent.and_then(|extent| {
            self.body.sync_folder(&self.path)?;
            Ok(extent)
        });
        let extent =
            made_durable.map_err(|error| cannot("make durable what is in", &self.path, error))?;
        self.record.file = Some(extent);
        self.record.saved = self.encoder.saved();
        self.record.mark = mark;
        match &self.state {
            Some(state) => state.store(&self.record),
            None => Ok(()),
        }
    }
}

/// Begins a file anew, and its state.
fn begun(
    path: &Path,
    record: &Record,
    state: Option<&StateFile>,
    overwrites: bool,
) -> Result<Body, Error> {
    let length = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    if length > 0 && !overwrites {
        let shown = path.display();
        return Err(Error::request(match state {
            Some(state) => format!(
                "`{shown}` holds {length} bytes, and there is no state in {} to resume from",
                state.place()
            ),
            None => format!("`{shown}` holds {length} bytes already"),
        }));
    }
    // First the state, which is then known to be that of a file that does not exist yet: where
    // the run is killed in between, the next one begins here again.
    if let Some(state) = state {
        state.store(record)?;
    }
    Body::open(path, Compression::of(&path.to_string_lossy()).0, 0)
        .map_err(|error| cannot("write", path, error))
}

/// Opens the file of an earlier run, as that left it.
fn reopened(path: &Path, record: &Record) -> Result<Body, Error> {
    let changed = |what: &dyn Display| {
        Err(Error::request(format!(
            "`{}` is not as it was left: {what}",
            path.display()
        )))
    };
    let durable = record.file.clone().unwrap_or_else(Extent::nothing);
    if durable.length > 0 && !path.exists() {
        return changed(&"it is gone");
    }
    let mut body = Body::open(
        path,
        Compression::of(&path.to_string_lossy()).0,
        durable.length,
    )
    .map_err(|error| cannot("write", path, error))?;
    let length = body.length();
    if length < durable.length {
        return changed(&format_args!(
            "it has {length} bytes, and {} were durable",
            durable.length
        ));
    }
    let is_over = record.mark.ended.is_some();
    if is_over && length != durable.length + durable.tail {
        return changed(&format_args!(
            "it was complete with {} bytes, and has {length}",
            durable.length + durable.tail
        ));
    }
    let digest = (body.digest(durable.length)).map_err(|error| cannot("read", path, error))?;
    if record.file.is_some() && digest != durable.digest {
        return changed(&format_args!(
            "somebody else has changed the first {} bytes",
            durable.length
        ));
    }
    Ok(body)
}

fn cannot(what: &str, path: &Path, error: io::Error) -> Error {
    Error::sink(format!("cannot {what} `{}`", path.display()), error)
}
