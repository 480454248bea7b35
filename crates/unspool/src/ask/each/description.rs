//! A question for each record of a file, as plain data.

use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::place::Place;
use super::records::Records;
use super::{Each, Request, Template};
use crate::error::Error;
use crate::position::Position;

/// For which records a [question](super::super::Description) is asked, and how.
///
/// ```
/// use unspool::ask::{Description, EachDescription};
///
/// let mut question = Description::new("");
/// question.each = Some(EachDescription::new("reviews.ndjson", "Classify: {text}"));
/// println!("{}", serde_json::to_string(&question).unwrap());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct EachDescription {
    /// The file of the records, a JSON text a line.
    pub file: PathBuf,
    /// The prompt, with places that a record fills; see [`Template`].
    pub template: String,
    /// How many answers are asked for at a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_flight: Option<NonZeroUsize>,
    /// Where the items with an `error` are written, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<PathBuf>,
    /// Whether the file is one of rows of an earlier run, whose records are asked about again.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub again: bool,
    /// After how many failures in a row it gives up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub give_up_after: Option<NonZeroU64>,
    /// What a million tokens cost, as `IN/OUT`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price: Option<String>,
    /// The most that all answers may cost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_cost: Option<f64>,
    /// The most tokens that all answers may take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens_total: Option<u64>,
    /// How many [partitions](crate::Description::partitions) there are to be at most. Limits of
    /// tokens and cost are divided among them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partitions: Option<NonZeroUsize>,
    /// After which record a part begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<Position>,
    /// The number of its last record.
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<u64>,
}

impl EachDescription {
    /// The records of a file, with nothing else said.
    pub fn new(file: impl Into<PathBuf>, template: impl Into<String>) -> Self {
        EachDescription {
            file: file.into(),
            template: template.into(),
            ..EachDescription::default()
        }
    }

    /// The same, without what only says how far and how fast it goes.
    pub(in super::super) fn without_limits(self) -> Self {
        EachDescription {
            in_flight: None,
            give_up_after: None,
            price: None,
            max_cost: None,
            max_tokens_total: None,
            partitions: None,
            ..self
        }
    }

    /// The walk over the records with this question.
    ///
    /// # Errors
    ///
    /// The template or the price is wrong.
    pub fn of(&self, request: Request) -> Result<Each, Error> {
        let mut each = request.each(&self.file, self.template.parse()?);
        each.until = self.until;
        each.from = self.after.clone();
        if let Some(answers) = self.in_flight {
            each = each.in_flight(answers.get());
        }
        if let Some(path) = &self.failed {
            each = each.failed(path);
        }
        if self.again {
            each = each.again();
        }
        if let Some(failures) = self.give_up_after {
            each = each.give_up_after(failures.get());
        }
        if let Some(price) = &self.price {
            each = each.price(price.parse()?);
        }
        if let Some(cost) = self.max_cost {
            each = each.max_cost(cost);
        }
        if let Some(tokens) = self.max_tokens_total {
            each = each.max_tokens_total(tokens);
        }
        Ok(each)
    }

    /// The parts by records; one that is a part itself is not cut any more.
    pub(in super::super) async fn parts(self) -> Result<Vec<Self>, Error> {
        let whole = EachDescription {
            partitions: None,
            ..self.clone()
        };
        let count = self.partitions.map_or(1, NonZeroUsize::get) as u64;
        if count == 1 || self.until.is_some() || self.after.is_some() {
            return Ok(vec![whole]);
        }
        if self.failed.is_some() {
            return Err(Error::request(
                "parts cannot write the records that fail to one file: leave out `failed`",
            ));
        }
        let template = self.template.parse()?;
        let (file, again) = (self.file, self.again);
        let cuts = tokio::task::spawn_blocking(move || cuts(&file, again, &template, count));
        let cuts = (cuts.await)
            .map_err(|error| Error::request(format!("the input was not read: {error}")))??;
        let shares = cuts.len() as u64;
        let parts = cuts.into_iter().map(|(after, until)| EachDescription {
            max_cost: whole.max_cost.map(|cost| cost / shares as f64),
            max_tokens_total: whole.max_tokens_total.map(|tokens| tokens / shares),
            after,
            until: Some(until),
            ..whole.clone()
        });
        Ok(parts.collect())
    }
}

/// After which record each part begins, and the number of its last one.
fn cuts(
    file: &std::path::Path,
    again: bool,
    template: &Template,
    count: u64,
) -> Result<Vec<(Option<Position>, u64)>, Error> {
    let (mut records, total) = Records::checked(file, again, template, None)?;
    let count = count.clamp(1, total.max(1));
    let end = |index: u64| total * (index + 1) / count;
    let mut cuts = vec![(None, end(0))];
    while let Some(record) = records.next(template)? {
        let index = cuts.len() as u64;
        if index < count && record.number == end(index - 1) {
            let place = Place {
                record: record.number,
                bytes: record.bytes,
                hash: record.hash,
                ..Place::default()
            };
            cuts.push((place.position(), end(index)));
        }
    }
    Ok(cuts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(folder: &std::path::Path, records: usize) -> PathBuf {
        let path = folder.join("records.ndjson");
        // Lines without a record are none.
        let lines = (0..records).map(|number| format!("{{\"n\":{number}}}\n\n"));
        std::fs::write(&path, lines.collect::<String>()).unwrap();
        path
    }

    #[tokio::test]
    async fn parts_cover_all_records_once_and_share_the_limits() {
        let folder = tempfile::tempdir().unwrap();
        for (records, count, expected) in [
            (10, 3, vec![3, 6, 10]),
            (2, 5, vec![1, 2]),
            (0, 4, vec![0]),
            (7, 1, vec![7]),
        ] {
            let mut whole = EachDescription::new(file(folder.path(), records), "{n}");
            whole.partitions = NonZeroUsize::new(count);
            whole.max_tokens_total = Some(90);
            let parts = whole.parts().await.unwrap();
            if count == 1 {
                assert_eq!((parts.len(), parts[0].until), (1, None));
                continue;
            }
            let ends: Vec<u64> = parts.iter().filter_map(|part| part.until).collect();
            assert_eq!(ends, expected);
            assert_eq!(parts[0].after, None);
            for (part, before) in parts.iter().skip(1).zip(&ends) {
                let place = Place::read(part.after.as_ref().unwrap()).unwrap();
                assert_eq!(place.record, *before);
            }
            let share = 90 / parts.len() as u64;
            assert!(
                parts
                    .iter()
                    .all(|part| part.max_tokens_total == Some(share))
            );
            // A part is not cut once more.
            let mut again = parts[0].clone();
            again.partitions = NonZeroUsize::new(2);
            assert_eq!(again.parts().await.unwrap().len(), 1);
        }
    }

    #[tokio::test]
    async fn parts_do_not_write_to_one_file() {
        let folder = tempfile::tempdir().unwrap();
        let mut whole = EachDescription::new(file(folder.path(), 3), "{n}");
        whole.partitions = NonZeroUsize::new(2);
        whole.failed = Some(folder.path().join("failed"));
        assert!(whole.parts().await.unwrap_err().is_request());
    }
}
