use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Map, Value};

use crate::exit::Exit;
use crate::report;
use crate::report::SECRETS;

/// Where `--account` writes, if anywhere.
pub(crate) enum AccountFile {
    None,
    StandardError,
    /// What is no file, such as a pipe.
    Open(File),
    /// A file, which is written beside its place and renamed: until then that keeps what
    /// it holds.
    Beside(Beside),
    /// One of several in one account.
    Gathered(Gathered),
}

/// The accounts of several pulls by their names, of which it writes one.
#[derive(Clone, Default)]
pub(crate) struct Gathered {
    accounts: Arc<Mutex<Map<String, Value>>>,
    name: String,
}

impl Gathered {
    /// The same for a pull of this name.
    pub(crate) fn named(&self, name: &str) -> Self {
        Gathered {
            accounts: Arc::clone(&self.accounts),
            name: name.to_owned(),
        }
    }

    fn put(&self, account: Value) {
        let mut accounts = (self.accounts.lock()).unwrap_or_else(PoisonError::into_inner);
        accounts.insert(self.name.clone(), account);
    }

    /// All that have come.
    pub(crate) fn take(&self) -> Map<String, Value> {
        let mut accounts = (self.accounts.lock()).unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut accounts)
    }
}

/// A new file beside the one that it is to replace; it goes away if it does not.
pub(crate) struct Beside {
    file: File,
    path: PathBuf,
    target: PathBuf,
}

impl AccountFile {
    /// Opens the file, before anything is sent; `-` is standard error. A named pipe is waited
    /// for until somebody reads it.
    pub(crate) async fn open(path: Option<&Path>) -> Result<Self, String> {
        let path = path.map(Path::to_owned);
        let opened = tokio::task::spawn_blocking(move || AccountFile::open_now(path.as_deref()));
        opened.await.unwrap_or_else(|error| Err(error.to_string()))
    }

    fn open_now(path: Option<&Path>) -> Result<Self, String> {
        let Some(path) = path else {
            return Ok(AccountFile::None);
        };
        if path.as_os_str() == "-" {
            return Ok(AccountFile::StandardError);
        }
        let is_other = fs::metadata(path).is_ok_and(|metadata| !metadata.is_file());
        let opened = if is_other {
            File::options()
                .write(true)
                .open(path)
                .map(AccountFile::Open)
        } else {
            Beside::create(path).map(AccountFile::Beside)
        };
        opened.map_err(|error| format!("cannot write the account to `{}`: {error}", path.display()))
    }

    /// Writes the account, with the error, and gives the exit code: that of the run, unless
    /// the account cannot be written.
    pub(crate) fn write(self, mut account: Value, error: Option<&str>, exit: Exit) -> Exit {
        account["error"] = serde_json::json!(error);
        SECRETS.shown_in(&mut account);
        let written = match self {
            AccountFile::None => Ok(()),
            // Nobody sees it where standard error is closed: that is no failure.
            AccountFile::StandardError => {
                report::say(&account.to_string());
                Ok(())
            }
            AccountFile::Open(mut file) => writeln!(file, "{account}"),
            AccountFile::Beside(beside) => beside.replace(&account),
            AccountFile::Gathered(gathered) => {
                gathered.put(account);
                Ok(())
            }
        };
        match written {
            Ok(()) => exit,
            Err(error) => {
                report::problem(&format!("error: cannot write the account: {error}"));
                Exit::Failed
            }
        }
    }
}

impl Beside {
    fn create(path: &Path) -> io::Result<Self> {
        let target = &resolved(path)?;
        let name = target.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let mut own = name.to_owned();
        own.push(format!(".{}.new", std::process::id()));
        let path = target.with_file_name(own);
        Ok(Beside {
            file: File::create(&path)?,
            path,
            target: target.to_owned(),
        })
    }

    fn replace(mut self, account: &Value) -> io::Result<()> {
        writeln!(self.file, "{account}")?;
        fs::rename(&self.path, &self.target)
    }
}

/// Where symbolic links lead: those stay, and the file that they mean is replaced.
fn resolved(path: &Path) -> io::Result<PathBuf> {
    /// As many as systems follow.
    const MOST_LINKS: usize = 40;
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        match fs::read_link(&path) {
            Ok(target) => path = path.with_file_name("").join(target),
            // It is no link, or not there.
            Err(_) => return Ok(path),
        }
    }
    Err(io::Error::other("too many symbolic links"))
}

impl Drop for Beside {
    fn drop(&mut self) {
        // It is gone already where it took its place.
        let _ = fs::remove_file(&self.path);
    }
}
