//! One writer at a time: a lock beside the target, which names its holder.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::error::Error;

/// The code of an error that says that another run writes to the target: to replace what that
/// holds would not help.
pub(super) const IN_USE: &str = "in-use";

/// The name of this machine.
#[cfg(feature = "postgres")]
pub(super) fn host() -> String {
    system::host()
}

/// A lock that is held until it is dropped, or the process ends in whatever way.
///
/// It is on a file of its own, `TARGET.lock`, and never on the target, which a rename may
/// replace.
#[derive(Debug)]
pub(crate) struct Lock {
    path: PathBuf,
    /// Closing it gives the lock back.
    _file: File,
}

/// Who holds a lock.
#[derive(Debug, Serialize, Deserialize)]
struct Holder {
    pid: u32,
    host: String,
    since: String,
}

impl Lock {
    /// Takes the lock of a target.
    ///
    /// # Errors
    ///
    /// Another run holds it, and is named; or the file of the lock cannot be made.
    pub(crate) fn hold(target: &Path) -> Result<Self, Error> {
        let mut name = target.as_os_str().to_owned();
        name.push(".lock");
        let path = PathBuf::from(name);
        loop {
            let mut file = system::open(&path).map_err(|error| cannot_lock(&path, error))?;
            if !system::lock(&file).map_err(|error| cannot_lock(&path, error))? {
                return Err(held(target, &mut file));
            }
            // Whoever held it before may have removed the file in the meantime.
            if system::is_at(&file, &path) {
                Holder::here()
                    .write(&mut file)
                    .map_err(|error| cannot_lock(&path, error))?;
                return Ok(Lock { path, _file: file });
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // While it is held: whoever has opened it sees then that it is not there any more. One
        // that stays does no harm.
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Holder {
    fn here() -> Self {
        Holder {
            pid: std::process::id(),
            host: system::host(),
            since: httpdate::fmt_http_date(SystemTime::now()),
        }
    }

    fn write(&self, file: &mut File) -> io::Result<()> {
        file.set_len(0)?;
        file.rewind()?;
        file.write_all(serde_json::to_string(self)?.as_bytes())
    }

    fn read(file: &mut File) -> Option<Self> {
        let mut text = String::new();
        file.take(4096).read_to_string(&mut text).ok()?;
        serde_json::from_str(&text).ok()
    }
}

fn cannot_lock(path: &Path, error: io::Error) -> Error {
    Error::sink(format!("cannot lock `{}`", path.display()), error)
}

/// That another run writes there.
fn held(target: &Path, file: &mut File) -> Error {
    let target = target.display();
    Error::request(match Holder::read(file) {
        Some(Holder { pid, host, since }) => {
            format!("another run writes to `{target}`: process {pid} on `{host}`, since {since}")
        }
        None => format!("another run writes to `{target}`"),
    })
    .with_code(Some(IN_USE.to_owned()))
}

#[cfg(unix)]
mod system {
    use std::fs::File;
    use std::io;
    use std::os::unix::fs::MetadataExt;
    use std::path::Path;

    use rustix::fs::{FlockOperation, flock};
    use rustix::io::Errno;

    pub(super) fn open(path: &Path) -> io::Result<File> {
        File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
    }

    /// Takes the lock, or says that somebody else has it.
    pub(super) fn lock(file: &File) -> io::Result<bool> {
        match flock(file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(true),
            Err(Errno::WOULDBLOCK) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether a path still leads to this file.
    pub(super) fn is_at(file: &File, path: &Path) -> bool {
        match (file.metadata(), std::fs::metadata(path)) {
            (Ok(own), Ok(there)) => (own.dev(), own.ino()) == (there.dev(), there.ino()),
            _ => false,
        }
    }

    pub(super) fn host() -> String {
        rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned()
    }
}

#[cfg(not(unix))]
mod system {
    use std::fs::File;
    use std::io;
    use std::path::Path;

    /// Windows gives a file that is not shared to one process at a time, and others an error.
    pub(super) fn open(path: &Path) -> io::Result<File> {
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(windows)]
        std::os::windows::fs::OpenOptionsExt::share_mode(&mut options, 0);
        options.open(path)
    }

    pub(super) fn lock(_: &File) -> io::Result<bool> {
        Ok(true)
    }

    pub(super) fn is_at(_: &File, _: &Path) -> bool {
        true
    }

    pub(super) fn host() -> String {
        std::env::var("COMPUTERNAME").unwrap_or_else(|_| "this host".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_the_first_is() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("items.jsonl");
        let first = Lock::hold(&target).unwrap();
        let error = Lock::hold(&target).unwrap_err();
        assert!(error.is_request());
        let words = error.to_string();
        assert!(
            words.contains(&format!("process {}", std::process::id())),
            "{words}"
        );
        assert!(words.contains("GMT"), "{words}");
        drop(first);
        drop(Lock::hold(&target).unwrap());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
