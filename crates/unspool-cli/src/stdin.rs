//! What comes on standard input.

use std::io::{IsTerminal, Read};
use std::sync::mpsc;
use std::time::Duration;

use crate::report;
use crate::system::is_piped;

/// How long standard input may take before it is said that it is waited for.
const PATIENCE: Duration = Duration::from_secs(3);

/// The longest text that is taken from standard input.
const MAX_INPUT: u64 = 16 << 20;

/// What to ask, of the argument and of standard input; none is enough if there are
/// messages.
pub(crate) fn prompt(argument: Option<&str>, is_needed: bool) -> Result<Option<String>, String> {
    let argument = argument.filter(|text| *text != "-");
    let is_waited_for = argument.is_none() && is_needed;
    let input = match is_piped() || is_waited_for && !std::io::stdin().is_terminal() {
        true => read_input()?,
        false => String::new(),
    };
    let input = input.trim_end_matches(['\r', '\n']);
    match (input, argument) {
        ("", None) if is_needed => {
            Err("there is nothing to ask: give PROMPT, or pipe it in".to_owned())
        }
        ("", None) => Ok(None),
        ("", Some(argument)) => Ok(Some(argument.to_owned())),
        (input, None) => Ok(Some(input.to_owned())),
        (input, Some(argument)) => Ok(Some(format!("{input}\n\n{argument}"))),
    }
}

/// All of standard input. Somebody may have left a pipe open: what is waited for is said.
fn read_input() -> Result<String, String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut text = String::new();
        let read = std::io::stdin()
            .take(MAX_INPUT + 1)
            .read_to_string(&mut text);
        // Nobody may wait for it any more.
        let _ = sender.send(read.map(|_| text));
    });
    let read = match receiver.recv_timeout(PATIENCE) {
        Ok(read) => read,
        Err(_) => {
            report::problem("waiting for standard input to end; `< /dev/null` leaves it out");
            let ended = || std::io::Error::other("the reader is gone");
            receiver.recv().unwrap_or_else(|_| Err(ended()))
        }
    };
    let text = read.map_err(|error| format!("cannot read standard input: {error}"))?;
    match text.len() as u64 > MAX_INPUT {
        true => Err(format!(
            "standard input has over {MAX_INPUT} bytes, more than any model reads"
        )),
        false => Ok(text),
    }
}
