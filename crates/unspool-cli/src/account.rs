use std::fs::File;
use std::io::Write;
use std::path::Path;

use serde_json::Value;

use crate::exit::Exit;
use crate::{report, secrets};

/// Where `--account` writes, if anywhere.
pub(crate) struct AccountFile(Option<Box<dyn Write>>);

impl AccountFile {
    /// Opens the file, before anything is sent; `-` is standard error.
    pub(crate) fn open(path: Option<&Path>) -> Result<Self, String> {
        let Some(path) = path else {
            return Ok(AccountFile(None));
        };
        if path.as_os_str() == "-" {
            return Ok(AccountFile(Some(Box::new(std::io::stderr()))));
        }
        match File::create(path) {
            Ok(file) => Ok(AccountFile(Some(Box::new(file)))),
            Err(error) => Err(format!(
                "cannot write the account to `{}`: {error}",
                path.display()
            )),
        }
    }

    /// Writes the account, with the error, and gives the exit code: that of the run, unless
    /// the account cannot be written.
    pub(crate) fn write(self, mut account: Value, error: Option<&str>, exit: Exit) -> Exit {
        let Some(mut file) = self.0 else {
            return exit;
        };
        account["error"] = serde_json::json!(error);
        secrets::without_in(&mut account);
        match writeln!(file, "{account}").and_then(|()| file.flush()) {
            Ok(()) => exit,
            Err(error) => {
                report::problem(&format!("error: cannot write the account: {error}"));
                Exit::Failed
            }
        }
    }
}
