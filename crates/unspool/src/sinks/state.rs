//! What a target is known by when it is opened again.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::delivery::Mark;
use super::identity::Identity;
use super::lock::Lock;
use super::not_a_target;
use crate::error::Error;

/// The form of a record; another one is refused.
const VERSION: u32 = 1;

/// What is kept of a run, in a file or a table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    version: u32,
    /// The command that it belongs to.
    pub(crate) identity: Identity,
    /// How far the target is durable.
    #[serde(flatten)]
    pub(crate) mark: Mark,
    /// What the format has to know to go on, such as the columns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) saved: Option<Value>,
    /// As much of a file as is durable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) file: Option<Extent>,
}

/// The durable part of a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Extent {
    pub(crate) length: u64,
    /// How much stands after it to make the file whole.
    #[serde(default)]
    pub(crate) tail: u64,
    /// The hash of its last 4 KiB, by which it is known again.
    pub(crate) digest: String,
}

impl Extent {
    /// That of a file which has not been begun.
    pub(crate) fn nothing() -> Self {
        Extent {
            length: 0,
            tail: 0,
            digest: String::new(),
        }
    }
}

impl Record {
    /// The record of a target that holds nothing yet.
    pub(crate) fn new(identity: Identity) -> Self {
        Record {
            version: VERSION,
            identity,
            mark: Mark::default(),
            saved: None,
            file: None,
        }
    }

    /// Reads a record from its JSON text; `place` names where it was.
    ///
    /// # Errors
    ///
    /// It is damaged, or has another version.
    pub(crate) fn read(text: &str, place: &str) -> Result<Self, Error> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let damaged = |error: serde_json::Error| {
            Error::request(format!("the state in {place} is damaged: {error}"))
        };
        let Versioned { version } = serde_json::from_str(text).map_err(damaged)?;
        if version != VERSION {
            return Err(Error::request(format!(
                "expected a state of version {VERSION} in {place}; found version {version}"
            )));
        }
        serde_json::from_str(text).map_err(damaged)
    }

    /// Its JSON text, on one line.
    ///
    /// # Errors
    ///
    /// There is none that would not have one.
    pub(crate) fn text(&self) -> Result<String, Error> {
        serde_json::to_string(self).map_err(|error| Error::sink("cannot write the state", error))
    }

    /// That it belongs to this command.
    ///
    /// # Errors
    ///
    /// It belongs to another one; what differs is said.
    pub(crate) fn check(&self, identity: &Identity, place: &str) -> Result<(), Error> {
        let differences = identity.differences(&self.identity);
        match differences.is_empty() {
            true => Ok(()),
            false => Err(Error::request(format!(
                "the state in {place} belongs to another command: {}",
                differences.join("; ")
            ))),
        }
    }
}

/// A record in a file of its own.
#[derive(Debug)]
pub(crate) struct StateFile {
    path: PathBuf,
    _lock: Option<Lock>,
}

impl StateFile {
    /// That of a target, for this run alone; `is_own` knows the files of the target by their
    /// names, besides the target itself.
    ///
    /// # Errors
    ///
    /// It is a file of the target, which it would replace, or another run's.
    pub(crate) fn hold(
        path: PathBuf,
        target: &Path,
        is_own: impl Fn(&str) -> bool,
    ) -> Result<Self, Error> {
        let (own, its) = (real(&path), real(target));
        let name = |path: &Path| {
            path.file_name()
                .map(|name| name.to_string_lossy().into_owned())
        };
        if let (Some(name), Some(target)) = (name(&own), name(&its))
            && own.parent() == its.parent()
            && (name == target
                || name == format!("{target}.lock")
                || *new(&name) == *target
                || is_own(&name))
        {
            let path = path.display();
            return Err(not_a_target(Error::request(format!(
                "the state cannot be in `{path}`, which belongs to the target"
            ))));
        }
        // Beside the target it has the target's lock.
        let is_beside = path.as_os_str().to_string_lossy() == format!("{}.state", target.display());
        let lock = (!is_beside).then(|| Lock::hold(&path)).transpose()?;
        Ok(StateFile { path, _lock: lock })
    }

    /// How it is named in messages.
    pub(crate) fn place(&self) -> String {
        format!("`{}`", self.path.display())
    }

    /// The record, if there is one.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub(crate) fn load(&self) -> Result<Option<Record>, Error> {
        match std::fs::read_to_string(&self.path) {
            // A file that was made for it, as `mktemp` does.
            Ok(text) if text.is_empty() => Ok(None),
            Ok(text) => Record::read(&text, &self.place()).map(Some),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::sink(format!("cannot read {}", self.place()), error)),
        }
    }

    /// Puts a record in the place of the one before, so that after a crash one of the two is
    /// there.
    ///
    /// # Errors
    ///
    /// It cannot be written, or not be made durable.
    pub(crate) fn store(&self, record: &Record) -> Result<(), Error> {
        let text = record.text()?;
        (self.replace(text.as_bytes()))
            .map_err(|error| Error::sink(format!("cannot write {}", self.place()), error))
    }

    fn replace(&self, text: &[u8]) -> io::Result<()> {
        let new = PathBuf::from(new(&self.path));
        let mut file = File::create(&new)?;
        file.write_all(text)?;
        file.write_all(b"\n")?;
        // Before the rename, which else might come to the disk before what the file holds.
        file.sync_all()?;
        std::fs::rename(&new, &self.path)?;
        sync_folder_of(&self.path)
    }
}

/// What a state is called until it takes the place of the one before.
fn new(path: impl AsRef<OsStr>) -> OsString {
    let mut name = path.as_ref().to_owned();
    name.push(".new");
    name
}

/// A path without symbolic links, as far as it exists.
fn real(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default();
    let whole = path.canonicalize();
    whole.unwrap_or_else(|_| match folder_of(path).canonicalize() {
        Ok(folder) => folder.join(name),
        Err(_) => path.to_owned(),
    })
}

/// The folder that a file is in.
fn folder_of(path: &Path) -> &Path {
    let folder = path.parent();
    (folder.filter(|folder| !folder.as_os_str().is_empty())).unwrap_or(Path::new("."))
}

/// Makes durable that a file is where it is.
pub(crate) fn sync_folder_of(path: &Path) -> io::Result<()> {
    if cfg!(unix) {
        File::open(folder_of(path))?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_comes_back_as_it_was_stored() {
        let folder = tempfile::tempdir().unwrap();
        let (path, target) = (
            folder.path().join("state"),
            folder.path().join("items.jsonl"),
        );
        let state = StateFile::hold(path, &target, |_| false).unwrap();
        assert_eq!(state.load().unwrap(), None);
        let mut record = Record::new(Identity::new("pages").with("url", "http://a.test/"));
        record.mark.items = u64::MAX;
        record.file = Some(Extent {
            length: 7,
            tail: 0,
            digest: "xxh3-64:0".to_owned(),
        });
        state.store(&record).unwrap();
        assert_eq!(state.load().unwrap(), Some(record));
    }

    #[test]
    fn a_state_that_cannot_be_read_is_refused() {
        let refused = |text| Record::read(text, "`s`").unwrap_err().to_string();
        assert!(refused("{").contains("the state in `s` is damaged"));
        assert!(refused(r#"{"version": 9}"#).contains("found version 9"));
        assert!(refused(r#"{"version": 1}"#).contains("missing field"));
    }
}
