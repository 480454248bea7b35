//! A pull that is killed, and goes on.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::api::{Api, ITEMS};
use super::{expect, run_pages, say};
use crate::exit::Exit;
use crate::output::Output;
use crate::report::quoted;

/// After how many items it is killed.
const ENOUGH: usize = 1_000;

/// How long they may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// How often it is looked how many there are.
const LOOK: Duration = Duration::from_millis(5);

/// Kills a pull into a file in this folder, and runs the same command again.
pub(super) async fn show(api: &Api, folder: &Path) -> io::Result<()> {
    let url = api.url("/slowly");
    let file = folder.join("posts.jsonl");
    let target = file.to_string_lossy();
    let args = [&url, "--to", &target, "--resume", "--checkpoint", "50ms"];
    let shown: Vec<String> = args.iter().map(|arg| quoted(arg)).collect();
    let shown = format!("unspool pages {}", shown.join(" "));

    say("\nA pull into a file, killed in the middle (SIGKILL):");
    say(&format!("\n$ {shown} & sleep 1; kill -KILL $!"));
    let mut child = own_command()?
        .arg("pages")
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let came = until_enough(&file, &mut child).await;
    child.kill()?;
    child.wait()?;
    came?;

    say("\nThe same command again goes on where it was, and ends with each item once:");
    say(&format!("\n$ {shown}"));
    expect(&run_pages(&args, Output::stdout()).await, Exit::Complete)?;
    let lines = lines(&file);
    say(&format!("\n$ wc -l posts.jsonl\n{lines} posts.jsonl"));
    if lines == ITEMS {
        Ok(())
    } else {
        Err(io::Error::other(format!("expected {ITEMS} lines")))
    }
}

/// The command that this process is.
fn own_command() -> io::Result<Command> {
    let program = std::env::current_exe()?;
    let name = program.file_name().unwrap_or_default().to_string_lossy();
    let is_python = name.starts_with("python");
    let mut command = Command::new(program);
    if is_python {
        command.args(["-m", "unspool"]);
    }
    Ok(command)
}

/// Waits until the file holds enough, and some are missing.
async fn until_enough(file: &Path, child: &mut Child) -> io::Result<()> {
    let begin = Instant::now();
    while lines(file) < ENOUGH {
        if child.try_wait()?.is_some() || begin.elapsed() > PATIENCE {
            return Err(io::Error::other(
                "the pull that was to be killed did not run",
            ));
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

fn lines(file: &Path) -> usize {
    File::open(file).map_or(0, |file| BufReader::new(file).lines().count())
}
