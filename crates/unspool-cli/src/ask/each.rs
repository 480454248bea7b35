//! `unspool ask --each`: a question for each record of a file.

use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;

use unspool::ask::{Each, Price, Request, Template};
use unspool::sinks::Identity;

use crate::args::Common;
use crate::destination::{Content, Destination};
use crate::exit::Exit;
use crate::flags;
use crate::output::{Output, line};
use crate::pull::pull;
use crate::report::each::EachReport;

/// What the flags of `--each` stand under in the help; that of the others follows again.
const HEADING: &str = "A question for each record";

/// The flags of `--each`.
#[derive(clap::Args)]
pub(super) struct EachArgs {
    /// Ask about each record of FILE, a JSON text a line.
    ///
    /// With `--template`. Each answer is an object with its record, `{"record", "answer",
    /// "error", "stop", "usage"}`, in the order of the records; `--to TARGET --resume` goes on
    /// after the last one.
    #[arg(
        help_heading = HEADING,
        long = "each",
        value_name = "FILE",
        requires = "template",
        conflicts_with_all = ["prompt", "items", "events", "tools"]
    )]
    pub(super) file: Option<PathBuf>,

    /// Ask TEXT, with `{name}` replaced by that member; `@FILE` reads it.
    ///
    /// `{/a/b}` is the value at a JSON pointer, `{}` the whole record, `{{` and `}}` the braces.
    #[arg(help_heading = HEADING, long, value_name = "TEXT", requires = "file", value_parser = template)]
    template: Option<Template>,

    /// Wait for up to N answers at a time.
    ///
    /// They come in the order of the records.
    #[arg(
        help_heading = HEADING,
        long,
        value_name = "N",
        requires = "file",
        default_value = "1",
        hide_default_value = true
    )]
    in_flight: NonZeroUsize,

    /// Write records without a whole answer to FILE, too.
    ///
    /// With why; FILE is replaced, or cut back to where the run resumes.
    #[arg(help_heading = HEADING, long, value_name = "FILE", requires = "file")]
    failed: Option<PathBuf>,

    /// Ask again about the records that failed: FILE is what an earlier run wrote to `--failed`.
    ///
    /// Its rows go to another `--to`, and those that fail once more to another `--failed`.
    #[arg(help_heading = HEADING, long, requires = "file")]
    again: bool,

    /// Stop after N records in a row have failed in the same way; 10 by default.
    ///
    /// Their rows have been written; exit code 1.
    #[arg(help_heading = HEADING, long, value_name = "N", requires = "file")]
    give_up_after: Option<NonZeroU64>,

    /// State what a million tokens cost, such as `3/15`.
    #[arg(help_heading = HEADING, long, value_name = "IN/OUT", requires = "file")]
    price: Option<Price>,

    /// Stop once all runs together have cost AMOUNT.
    ///
    /// In the money of `--price`. Answers on their way are waited for; exit code 4, and the same
    /// command with a larger AMOUNT goes on.
    #[arg(help_heading = HEADING, long, value_name = "AMOUNT", requires_all = ["file", "price"], value_parser = amount)]
    max_cost: Option<f64>,

    /// Stop once all runs together have used N tokens.
    ///
    /// Of requests and answers; otherwise as `--max-cost`.
    #[arg(help_heading = HEADING, long, value_name = "N", requires = "file")]
    max_tokens_total: Option<u64>,
}

/// Asks as the flags say.
pub(super) async fn run(
    args: &EachArgs,
    file: &PathBuf,
    request: Request,
    (identity, key): (Identity, &[String]),
    common: &Common,
    output: Output,
) -> Exit {
    let Some(template) = args.template.clone() else {
        return Exit::WrongRequest;
    };
    let identity = identity
        .with("each", file.display().to_string())
        .with_text("template", Some(&template.to_string()))
        .with("again", args.again.then_some(true))
        .with(
            "failed",
            args.failed.as_ref().map(|path| path.display().to_string()),
        );
    let mut each = (request.each(file, template)).in_flight(args.in_flight.get());
    if let Some(path) = &args.failed {
        each = each.failed(path);
    }
    if args.again {
        each = each.again();
    }
    if let Some(failures) = args.give_up_after {
        each = each.give_up_after(failures.get());
    }
    if let Some(price) = args.price {
        each = each.price(price);
    }
    if let Some(cost) = args.max_cost {
        each = each.max_cost(cost);
    }
    if let Some(tokens) = args.max_tokens_total {
        each = each.max_tokens_total(tokens);
    }
    answer(each, (identity, key), common, output).await
}

/// Writes each record with its answer to where the flags say.
pub(crate) async fn answer(
    each: Each,
    (identity, key): (Identity, &[String]),
    common: &Common,
    mut output: Output,
) -> Exit {
    let content = Content {
        identity,
        key: key.to_vec(),
        schema: None,
        is_text: false,
        resumes: true,
    };
    let destination = match Destination::open(common, content, &mut output).await {
        Ok(destination) => destination,
        Err(exit) => return exit,
    };
    let mut each = each.resume(destination.begun().position);
    if let Some(records) = common.take {
        each = each.first(records);
    }
    let report = EachReport::new(destination.begun().items);
    pull(each.raw(), common, destination, &report, line).await
}

fn template(text: &str) -> Result<Template, String> {
    flags::text(text)?
        .parse()
        .map_err(|error: unspool::Error| error.to_string())
}

/// An amount of money.
fn amount(text: &str) -> Result<f64, String> {
    let amount = text.parse::<f64>().ok();
    amount
        .filter(|amount| amount.is_finite() && *amount > 0.0)
        .ok_or_else(|| "expected an amount above 0, such as `2.50`".to_owned())
}
