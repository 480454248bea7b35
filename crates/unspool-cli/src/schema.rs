//! `unspool schema`: what columns a table of an API's items would have.

use std::cell::RefCell;
use std::io::Write;

use unspool::pages::RawItem;
use unspool::sinks::schema::Inference;
use unspool::{Error, sinks};

use crate::exit::Exit;
use crate::output::Output;
use crate::pages;
use crate::report;

/// Prints a line for each column, as `--schema` reads them.
pub(crate) async fn run(mut args: pages::Args, output: &mut Output) -> Exit {
    if args.common.to.is_some() {
        report::problem("--to: nothing is written: the columns go to standard output");
        return Exit::WrongRequest;
    }
    // As many as a sink looks at before it makes a table.
    args.common.take.get_or_insert(sinks::schema::SAMPLE);
    let seen = RefCell::new(Ok(Inference::default()));
    let exit = pages::run_with(args, output, |item, _| see(&seen, item)).await;
    match seen.into_inner() {
        Ok(inference) => print(&inference, exit),
        Err(error) => {
            report::problem(&format!("error: {error}"));
            Exit::of_error(&error)
        }
    }
}

fn see(seen: &RefCell<Result<Inference, Error>>, item: &RawItem) {
    let mut seen = seen.borrow_mut();
    let error = match &mut *seen {
        Ok(inference) => inference.see(item.as_str()).err(),
        Err(_) => None,
    };
    if let Some(error) = error {
        *seen = Err(error);
    }
}

fn print(inference: &Inference, exit: Exit) -> Exit {
    let lines = inference.schema().to_string();
    match std::io::stdout().write_all(lines.as_bytes()) {
        Ok(()) => exit,
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => exit,
        Err(error) => {
            report::problem(&format!("error: cannot write the columns: {error}"));
            Exit::Failed
        }
    }
}
