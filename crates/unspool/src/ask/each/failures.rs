//! The file of those that failed.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::item::RawItem;

/// The items with an error, once more in a file of their own.
///
/// A line is durable before its item is handed out, and so before any position after it is:
/// a run that resumes cuts away what is beyond its position.
pub(super) struct Failures {
    file: Option<(File, PathBuf)>,
    bytes: u64,
}

impl Failures {
    /// Opens the file, with so many bytes of what it holds.
    pub(super) fn open(path: Option<&Path>, input: &Path, bytes: u64) -> Result<Self, Error> {
        let Some(path) = path else {
            return Ok(Failures { file: None, bytes });
        };
        let wrong = |what: String| Error::request(format!("`{}` {what}", path.display()));
        let is_input = std::fs::canonicalize(path)
            .is_ok_and(|path| std::fs::canonicalize(input).is_ok_and(|input| input == path));
        if is_input {
            return Err(wrong("is the input, and would be replaced".to_owned()));
        }
        let open = || -> std::io::Result<(File, u64)> {
            let mut file = File::options()
                .write(true)
                .create(true)
                .truncate(false)
                .open(path)?;
            let length = file.metadata()?.len();
            if length >= bytes {
                file.set_len(bytes)?;
                file.seek(SeekFrom::Start(bytes))?;
            }
            Ok((file, length))
        };
        let (file, length) =
            open().map_err(|error| wrong(format!("cannot be written: {error}")))?;
        if length < bytes {
            return Err(wrong(format!(
                "has {length} bytes, and an earlier run left {bytes} there"
            )));
        }
        Ok(Failures {
            file: Some((file, path.to_owned())),
            bytes,
        })
    }

    /// Adds an item; the length of the file then.
    pub(super) fn write(&mut self, item: &RawItem) -> Result<u64, Error> {
        if let Some((file, path)) = &mut self.file {
            let line = format!("{item}\n");
            (file.write_all(line.as_bytes()))
                .and_then(|()| file.sync_data())
                .map_err(|error| {
                    Error::sink(format!("cannot write `{}`", path.display()), error)
                })?;
            self.bytes += line.len() as u64;
        }
        Ok(self.bytes)
    }
}
