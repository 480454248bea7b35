//! What shells and `man` know of the command, from the same definitions as the help.

use std::path::PathBuf;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::Cli;
use crate::exit::Exit;
use crate::report;

#[derive(clap::Args)]
pub(crate) struct Completions {
    /// For which shell.
    shell: Shell,
}

#[derive(clap::Args)]
pub(crate) struct Man {
    /// Where to write them, such as `~/.local/share/man/man1`.
    folder: PathBuf,
}

/// Prints what a shell completes, for it to read.
pub(crate) fn completions(args: &Completions) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "unspool", &mut script);
    // Whoever closes the pipe has read enough.
    let _ = std::io::Write::write_all(&mut std::io::stdout().lock(), &script);
    Exit::Complete
}

/// Writes a page for each command.
pub(crate) fn man(args: &Man) -> Exit {
    let written = std::fs::create_dir_all(&args.folder)
        .and_then(|()| clap_mangen::generate_to(Cli::command(), &args.folder));
    match written {
        Ok(()) => Exit::Complete,
        Err(error) => {
            report::problem(&format!(
                "cannot write to `{}`: {error}",
                args.folder.display()
            ));
            Exit::Failed
        }
    }
}
