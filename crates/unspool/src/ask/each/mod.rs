//! A question for each record of a file.
//!
//! *Upstream*: a model's server, as for one [`answer`](super). *Order*: that of the records,
//! however long each answer takes. *Ends when*: each record has its answer, or has failed
//! after its tries; or a limit of tokens or cost is reached, and then it goes on later.
//! *Resumes from*: any record; an answer that was on its way is asked for again. *Cost*: one
//! request a record, and memory for the answers on their way and for those that wait for an
//! earlier one, [`in_flight`](Each::in_flight) together; the input is read once before anything
//! is asked. *Auth*: as for one answer.

mod account;
mod budget;
mod description;
mod failures;
mod place;
mod question;
mod records;
mod template;

use std::collections::VecDeque;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use unspool_core::{AsyncGenerator, generator};

pub use account::{EachAnswered, EachDoubt, EachStop, EachWatch};
pub use budget::Price;
pub use description::EachDescription;
pub use template::Template;

use super::Request;
use crate::error::Error;
use crate::http::Http;
use crate::item::RawItem;
use crate::position::Position;
use crate::source::SourceStream;
use account::one;
use budget::Budget;
use failures::Failures;
use place::Place;
use question::{Asked, Failure, Question};
use records::{Record, Records};

impl Request {
    /// The same question for each record of a file of one JSON text a line: `template`, filled
    /// from the record, is the last message of the conversation.
    ///
    /// ```no_run
    /// use futures_util::TryStreamExt;
    ///
    /// # async fn example() -> Result<(), unspool::Error> {
    /// let question = unspool::ask("").system("One word: good or bad.");
    /// let each = question.each("reviews.ndjson", "Classify: {text}".parse()?);
    /// let mut answers = each.in_flight(4).raw();
    /// while let Some(row) = answers.try_next().await? {
    ///     println!("{row}");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn each(self, input: impl Into<PathBuf>, template: Template) -> Each {
        Each {
            request: self,
            input: input.into(),
            template,
            in_flight: 1,
            failed: None,
            budget: Budget::default(),
            first: u64::MAX,
            until: None,
            from: None,
            takes_rows: false,
            most_failures: MOST_FAILURES,
        }
    }
}

/// After how many failures in a row a walk gives up.
const MOST_FAILURES: u64 = 10;

/// A question for each record of a file, and how to ask it. Made by [`Request::each`].
///
/// The item for a record is an object, in the order of the records, one for each of them:
///
/// - `record`: the record as it stands in the file,
/// - `answer`: the text of the answer, or its JSON where there is a
///   [schema](Request::schema); what came of it where it is not whole, and `null` where
///   nothing did,
/// - `error`: why the answer is not whole; `null` where it is,
/// - `stop`: why it ended ([`Stop`](super::Stop)),
/// - `usage`: the tokens that it took, by the upstream's count.
///
/// A question that fails, in a way that may pass, is [asked again](Request::retries), also
/// where a part of the answer had come. What would fail for every record (no key, no such
/// model, nobody there, a rate limit that does not pass) ends the source instead.
///
/// It is in the example of [`Request::each`].
#[derive(Clone)]
#[must_use = "nothing is asked before the answers are polled"]
pub struct Each {
    request: Request,
    input: PathBuf,
    template: Template,
    in_flight: usize,
    failed: Option<PathBuf>,
    budget: Budget,
    first: u64,
    /// The number of the last record, where those after it are in another part.
    until: Option<u64>,
    from: Option<Position>,
    takes_rows: bool,
    most_failures: u64,
}

impl Each {
    /// Asks for up to so many answers at a time; one by default.
    pub fn in_flight(mut self, answers: usize) -> Self {
        self.in_flight = answers.max(1);
        self
    }

    /// Writes the items with an `error` to this file, too. It is replaced, or where the source
    /// resumes cut back to where it stood.
    pub fn failed(mut self, path: impl Into<PathBuf>) -> Self {
        self.failed = Some(path.into());
        self
    }

    /// What tokens cost, for the account and for [`max_cost`](Each::max_cost).
    pub fn price(mut self, price: Price) -> Self {
        self.budget.price = Some(price);
        self
    }

    /// Asks nothing more once the answers, those of earlier runs included, have cost so much.
    /// Those on their way are waited for, and may go beyond it.
    pub fn max_cost(mut self, cost: f64) -> Self {
        self.budget.max_cost = Some(cost);
        self
    }

    /// Asks nothing more once the requests and answers, those of earlier runs included, have
    /// had so many tokens. Those on their way are waited for, and may go beyond it.
    pub fn max_tokens_total(mut self, tokens: u64) -> Self {
        self.budget.max_tokens = Some(tokens);
        self
    }

    /// Asks about the first so many records only.
    pub fn first(mut self, records: u64) -> Self {
        self.first = records;
        self
    }

    /// The lines of the input are items of an earlier source, such as those in its [file of
    /// failures](Each::failed): asks about their records again.
    pub fn again(mut self) -> Self {
        self.takes_rows = true;
        self
    }

    /// Ends the source with an error once so many questions in a row have failed in the same
    /// way, rather than ask about all records; after 10 by default. Their items have been
    /// handed out by then, and [`again`](Each::again) asks about them once more.
    pub fn give_up_after(mut self, failures: u64) -> Self {
        self.most_failures = failures.max(1);
        self
    }

    /// Goes on after a position of the same source. The input has to begin as it did then; it
    /// may have grown.
    pub fn resume(mut self, from: Option<Position>) -> Self {
        self.from = from;
        self
    }

    /// The records with their answers, as JSON text.
    pub fn raw(self) -> SourceStream<RawItem, EachWatch> {
        let watch = Arc::new(EachWatch::new(self.budget));
        let generator = each(self, Arc::clone(&watch));
        SourceStream::new(Box::pin(generator), watch)
    }
}

impl fmt::Debug for Each {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Each")
            .field("request", &self.request)
            .field("input", &self.input)
            .finish_non_exhaustive()
    }
}

/// Yields each record with its answer, in the order of the records.
fn each(
    each: Each,
    watch: Arc<EachWatch>,
) -> impl AsyncGenerator<Yield = std::iter::Once<(RawItem, Place)>, Return = Result<EachStop, Error>>
+ Send {
    generator! {
        let mut walk = Walk::open(each, watch).await?;
        try {
            loop {
                walk.ask_ahead()?;
                let Some(answered) = walk.next_answer().await? else {
                    return Ok(walk.stop);
                };
                let (item, place) = walk.take(answered)?;
                yield one(item, place);
                walk.check()?;
            }
        } finally {
            walk.close().await;
        }
    }
}

/// A walk over the records.
struct Walk {
    template: Template,
    question: Arc<Question>,
    watch: Arc<EachWatch>,
    records: Records,
    failures: Failures,
    /// Answers on their way, and those that wait for an earlier one.
    asked: VecDeque<Asked>,
    in_flight: usize,
    first: u64,
    until: u64,
    /// After the record that was taken last.
    place: Place,
    /// How many records have been asked about.
    begun: u64,
    /// Why nothing more is asked.
    stop: EachStop,
    is_over: bool,
    /// Whether the answer that was taken last stated no tokens.
    is_uncounted: bool,
    in_a_row: InARow,
}

/// Failures in a row that are alike.
struct InARow {
    most: u64,
    count: u64,
    last: Option<Failure>,
}

impl Walk {
    /// Looks at all of the input, so that what is wrong with it is said before anything is
    /// asked.
    async fn open(each: Each, watch: Arc<EachWatch>) -> Result<Self, Error> {
        watch.budget().check()?;
        let from = each.from.as_ref().map(Place::read).transpose()?;
        let (template, input) = (each.template.clone(), each.input.clone());
        let checked = tokio::task::spawn_blocking(move || {
            Records::checked(&input, each.takes_rows, &template, from.as_ref())
        });
        let (records, total) = (checked.await)
            .map_err(|error| Error::request(format!("the input was not read: {error}")))??;
        if let Some(until) = each.until.filter(|until| *until > total) {
            return Err(Error::request(format!(
                "`{}` has changed: it has {total} records, and this part of it ends after record \
                 {until}",
                each.input.display()
            )));
        }
        let place = from.unwrap_or_default();
        let failures = Failures::open(each.failed.as_deref(), &each.input, place.failed_bytes)?;
        watch.begins(place, total);
        let question = Question::new(shared(each.request)?, Arc::clone(&watch));
        Ok(Walk {
            template: each.template,
            question: Arc::new(question),
            watch,
            records,
            failures,
            asked: VecDeque::new(),
            in_flight: each.in_flight,
            first: each.first,
            until: each.until.unwrap_or(u64::MAX),
            begun: place.record,
            place,
            stop: EachStop::End,
            is_over: false,
            is_uncounted: false,
            in_a_row: InARow {
                most: each.most_failures,
                count: 0,
                last: None,
            },
        })
    }

    /// Asks about the next records, as far as that may be.
    fn ask_ahead(&mut self) -> Result<(), Error> {
        while !self.is_over && self.asked.len() < self.in_flight {
            if self.begun >= self.until {
                self.is_over = true;
                return Ok(());
            }
            let Some(record) = self.records.next(&self.template)? else {
                self.is_over = true;
                return Ok(());
            };
            let reached = (self.begun >= self.first).then_some(EachStop::Taken);
            if let Some(stop) = reached.or_else(|| self.watch.reached()) {
                self.stop = stop;
                self.is_over = true;
                return Ok(());
            }
            self.begun = record.number;
            self.asked.push_back(Question::ask(&self.question, record));
        }
        Ok(())
    }

    /// The answer to the earliest record that has been asked about.
    async fn next_answer(&mut self) -> Result<Option<Answered>, Error> {
        let Some(asked) = self.asked.front_mut() else {
            return Ok(None);
        };
        let answered = asked.answer().await;
        self.asked.pop_front();
        answered.map(Some)
    }

    /// Gives up the answers on their way, and waits until their connections are closed.
    async fn close(&mut self) {
        for asked in &mut self.asked {
            asked.close().await;
        }
    }

    /// Counts an answer: the item, and where the source stands after it.
    fn take(&mut self, answered: Answered) -> Result<(RawItem, Place), Error> {
        let Answered { record, row } = answered;
        self.place.tally.uses(&row.usage);
        self.is_uncounted = row.error.is_none()
            && row.usage.input_tokens.is_none()
            && row.usage.output_tokens.is_none();
        match row.flaw {
            None => {}
            Some(Flaw::Failed) => self.place.tally.failed += 1,
            Some(Flaw::Incomplete) => self.place.tally.incomplete += 1,
            Some(Flaw::Doubtful) => self.place.tally.doubtful += 1,
        }
        self.in_a_row.note(row.failure.as_ref());
        let item = row.item(&record);
        if row.flaw.is_some() {
            self.place.failed_bytes = self.failures.write(&item)?;
        }
        self.place.record = record.number;
        self.place.bytes = record.bytes;
        self.place.hash = record.hash;
        self.watch.hands_out(self.place.tally);
        Ok((item, self.place))
    }

    /// Whether it is worth asking about the next record.
    fn check(&self) -> Result<(), Error> {
        self.in_a_row.check()?;
        self.check_counted()
    }

    /// A limit that nothing counts against would never be reached.
    fn check_counted(&self) -> Result<(), Error> {
        if self.is_uncounted && self.watch.budget().is_limited() {
            return Err(Error::content(
                "the upstream does not state how many tokens an answer took, and a limit of \
                 tokens or cost needs that",
            ));
        }
        Ok(())
    }
}

impl InARow {
    fn note(&mut self, failure: Option<&Failure>) {
        let is_alike = |last: &Failure| failure.is_some_and(|failure| failure.is_like(last));
        if self.last.as_ref().is_some_and(is_alike) {
            self.count += 1;
        } else {
            self.count = u64::from(failure.is_some());
        }
        self.last = failure.cloned();
    }

    fn check(&self) -> Result<(), Error> {
        match &self.last {
            Some(last) if self.count >= self.most => Err(last.error(self.count)),
            _ => Ok(()),
        }
    }
}

/// A record, and what came of its question.
struct Answered {
    record: Record,
    row: question::Row,
}

/// What is wrong with an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    /// There is none.
    Failed,
    /// It stopped before its natural end.
    Incomplete,
    /// It is not proved whole, or does not match the schema.
    Doubtful,
}

/// The request with connections, a pace and cookies that all records share.
fn shared(mut request: Request) -> Result<Request, Error> {
    let rate = request.http.rate.take();
    match (&request.http.http, rate) {
        (Some(_), Some(_)) => Err(Error::request(
            "the rate of questions that share a client is that of the client",
        )),
        (Some(_), None) => Ok(request),
        (None, rate) => {
            let builder = rate
                .into_iter()
                .fold(Http::builder(), |builder, rate| builder.rate(rate));
            request.http.http = Some(builder.build()?);
            Ok(request)
        }
    }
}
