use std::fmt;

use serde::Serialize;

use crate::account::{Details, Verdict};

/// What a walk over an API did, and why it ended.
///
/// Serialises to the JSON object that `unspool pages --account` writes.
///
/// It is in the example of [`Walked`].
pub type Account = crate::Account<Walked>;

/// The part of the account of a walk that only walks have.
///
/// ```no_run
/// use futures_util::TryStreamExt;
///
/// # async fn example() -> Result<(), unspool::Error> {
/// let mut posts = unspool::pages("https://api.example.com/posts").raw().allow_doubts();
/// while posts.try_next().await?.is_some() {}
/// let account = posts.account();
/// println!("{} pages by `{}`, {}", account.pages, account.paginate, account.ended);
/// for doubt in &account.doubts {
///     println!("{doubt}");
/// }
/// for way in &account.tried {
///     println!("tried `{}`, as {}: {}", way.paginate, way.evidence, way.verdict);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Walked {
    /// Pages whose body was read to its end.
    pub pages: u64,
    /// Items that an earlier page had held already, as far as the last 32,768 items tell.
    pub repeated: u64,
    /// Items that were left out because of their key.
    pub left_out: u64,
    /// How many items there are, by the upstream's own word.
    pub stated_total: Option<u64>,
    /// How the walk got from page to page, as the text that makes it do so again;
    /// `auto` as long as that is not settled.
    pub paginate: String,
    /// The JSON pointer of the items in a page, once the first has been read.
    pub items_at: Option<String>,
    /// What was tried to find that out, in this order.
    pub tried: Vec<Try>,
}

/// Why a walk ended.
///
/// It is in the example of [`Walked`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "why")]
#[non_exhaustive]
pub enum Ended {
    /// The last page has no next link, or says that there is none.
    NoNext,
    /// The last page says that there is no more.
    NoMore,
    /// After its last item the upstream repeats the token that it was given.
    SameToken,
    /// There is nothing after the last key.
    NothingAfter,
    /// The page has the number that the upstream states as the last.
    LastPage {
        /// That number.
        page: u64,
    },
    /// As many items came as the upstream states that there are.
    AllItems,
    /// Two pages in a row, after all others, were empty.
    EmptyPages,
    /// The upstream has no page after this one, by its status.
    NoSuchPage {
        /// The page, or the offset, that was asked for in vain.
        page: u64,
    },
    /// The upstream answers that it has no content after this page (status 204).
    NoContent,
    /// Nothing on the page speaks of another one.
    OnlyPage,
    /// The only page leaves its list out, which is then empty.
    ListLeftOut,
    /// The answer is one thing, and no list: it is the only item.
    SingleResource,
    /// The caller asked for this much.
    Asked,
    /// The caller stopped, or has not come to the end.
    Stopped,
    /// The walk failed; the error says why.
    Failed,
}

/// Something that speaks against a walk being complete.
///
/// It is in the example of [`Walked`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "doubt")]
#[non_exhaustive]
pub enum Doubt {
    /// The upstream states another number of items than came.
    CountsDiffer {
        /// By the upstream's word.
        stated: u64,
        /// What came.
        received: u64,
    },
    /// As many items came as the upstream states, but some of them more than once: as
    /// many others are missing.
    Repeated {
        /// By the upstream's word.
        stated: u64,
        /// How many of those that came are different ones.
        distinct: u64,
    },
    /// Items came more than once where pages are counted and nothing states how many there
    /// are: each stands where another one was, which may never have come.
    Displaced {
        /// How many came again.
        repeated: u64,
    },
    /// A page in the middle was empty although all others were full, where pages are counted
    /// and nothing states how many items there are: its own may be missing.
    EmptyBetween {
        /// The number of the page in the walk, from 1.
        page: u64,
    },
    /// The stated number of items fell during a walk that counts from the front: those
    /// after moved forward, perhaps past the place where the walk was.
    Shrunk {
        /// What was stated first.
        from: u64,
        /// What was stated later.
        to: u64,
    },
    /// A page begins and ends with items of the same keys as the one before it: the
    /// upstream may not move on.
    SameItems {
        /// The number of the page in the walk, from 1.
        page: u64,
    },
    /// The only page looks like one of many.
    MorePages {
        /// What makes it look so.
        evidence: String,
    },
    /// The walk is at its end, but the last page says that there is more.
    SaysMore {
        /// Where it says so.
        evidence: String,
    },
    /// A page was refused, which may be the upstream's way to end or its limit.
    RefusedPage {
        /// The page, or the offset, that was asked for.
        page: u64,
        /// The status of the answer.
        status: u16,
    },
    /// The answer holds errors beside its items, or says that it is only a part.
    PartialAnswer {
        /// The first of the errors, or where it says so.
        error: String,
    },
    /// The items were lines, and neither the body nor its framing says where it ends.
    NoEndMark,
    /// An object around the items has a key twice, and which of the two is meant is
    /// not known.
    RepeatedKey {
        /// The JSON pointer of both.
        key: String,
    },
    /// No item has the key by which items were to be told apart.
    NoSuchKey {
        /// Its JSON pointer.
        key: String,
    },
    /// The page that a position stands on has changed since.
    Shifted,
    /// More than one array could have been the items.
    OtherItems {
        /// The JSON pointer of the one that was taken.
        taken: String,
        /// The JSON pointer of the one that was not.
        other: String,
    },
}

/// A way to the next page that was tried.
///
/// It is in the example of [`Walked`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Try {
    /// The text that makes a walk go this way.
    pub paginate: String,
    /// What spoke for it.
    pub evidence: String,
    /// What came of it.
    pub verdict: String,
}

impl Doubt {
    pub(crate) fn more_pages(evidence: impl Into<String>) -> Self {
        Doubt::MorePages {
            evidence: evidence.into(),
        }
    }

    /// All texts that may hold words of the upstream.
    pub(super) fn each_text(&mut self, mut change: impl FnMut(&mut String)) {
        match self {
            Doubt::MorePages { evidence } | Doubt::SaysMore { evidence } => change(evidence),
            Doubt::PartialAnswer { error } => change(error),
            Doubt::RepeatedKey { key } => change(key),
            Doubt::OtherItems { taken, other } => {
                change(taken);
                change(other);
            }
            _ => {}
        }
    }

    pub(crate) fn says_more(evidence: impl Into<String>) -> Self {
        Doubt::SaysMore {
            evidence: evidence.into(),
        }
    }
}

impl Walked {
    /// All texts that may hold words of the upstream.
    pub(super) fn each_text(&mut self, mut change: impl FnMut(&mut String)) {
        change(&mut self.paginate);
        self.items_at.iter_mut().for_each(&mut change);
        for tried in &mut self.tried {
            change(&mut tried.paginate);
            change(&mut tried.evidence);
            change(&mut tried.verdict);
        }
    }
}

impl Details for Walked {
    type Ended = Ended;
    type Doubt = Doubt;

    fn stopped() -> Ended {
        Ended::Stopped
    }

    fn failed() -> Ended {
        Ended::Failed
    }

    fn verdict(ended: &Ended) -> Verdict {
        match ended {
            Ended::Failed => Verdict::Failed,
            Ended::Asked => Verdict::Asked,
            Ended::Stopped => Verdict::Stopped,
            _ => Verdict::Complete,
        }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ended::NoNext => f.write_str("the last page names no next one"),
            Ended::NoMore => f.write_str("the last page says that there is no more"),
            Ended::SameToken => f.write_str("the upstream repeats its token after the last item"),
            Ended::NothingAfter => f.write_str("there is nothing after the last key"),
            Ended::LastPage { page } => write!(f, "page {page} is the last by the upstream's word"),
            Ended::AllItems => f.write_str("all items came that the upstream states"),
            Ended::EmptyPages => f.write_str("the pages after the last are empty"),
            Ended::NoSuchPage { page } => write!(f, "there is no page {page}"),
            Ended::NoContent => f.write_str("the upstream has no content after the last page"),
            Ended::OnlyPage => f.write_str("nothing on the page speaks of another"),
            Ended::ListLeftOut => {
                f.write_str("the only page leaves its list out, which is taken for an empty one")
            }
            Ended::SingleResource => f.write_str("the answer is a single resource, not a list"),
            Ended::Asked => f.write_str("no more was asked for"),
            Ended::Stopped => f.write_str("stopped by the reader"),
            Ended::Failed => f.write_str("failed"),
        }
    }
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Doubt::CountsDiffer { stated, received } => {
                write!(f, "the upstream states {stated} items, but {received} came")
            }
            Doubt::Repeated { stated, distinct } => {
                write!(
                    f,
                    "the upstream states {stated} items and as many came, but only {distinct} different ones: others are missing"
                )
            }
            Doubt::Displaced { repeated } => {
                write!(
                    f,
                    "{repeated} item{} came more than once while pages were counted: as many others may be missing",
                    if *repeated == 1 { "" } else { "s" }
                )
            }
            Doubt::EmptyBetween { page } => write!(
                f,
                "page {page} of the walk was empty, but all others before the last were full: its items may be missing"
            ),
            Doubt::Shrunk { from, to } => {
                write!(
                    f,
                    "the upstream stated {from} items and then {to}: those after moved forward, and the walk may have passed some"
                )
            }
            Doubt::SameItems { page } => {
                write!(
                    f,
                    "page {page} of the walk begins and ends with items of the same keys as the page before: the upstream may not move on"
                )
            }
            Doubt::SaysMore { evidence } => write!(f, "the walk is at its end, but {evidence}"),
            Doubt::MorePages { evidence } => {
                write!(
                    f,
                    "this looks like one page of many ({evidence}), but how to get the next is not known"
                )
            }
            Doubt::RefusedPage { page, status } => {
                write!(
                    f,
                    "page {page} was refused with status {status}: that may be the end, or as far as the upstream lets one go"
                )
            }
            Doubt::PartialAnswer { error } => {
                write!(f, "the answer is not whole by its own word: {error}")
            }
            Doubt::NoEndMark => f.write_str(
                "the items are lines of a body that ends with its connection: nothing tells whether all came",
            ),
            Doubt::RepeatedKey { key } => {
                write!(f, "the text around the items has `{key}` twice: which of the two is meant is not known")
            }
            Doubt::NoSuchKey { key } => {
                write!(f, "no item has a `{key}`, by which those that come twice were to be left out")
            }
            Doubt::Shifted => f.write_str(
                "the page has changed since the position was taken: items may be missing or come twice",
            ),
            Doubt::OtherItems { taken, other } => {
                write!(
                    f,
                    "the items were taken from `{taken}`, but `{other}` looks like items too"
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::Paginate;

    const DOCUMENT: &str = include_str!("../../../../docs/complete.md");

    /// One of each. What is added to the enum does not compile here until it has a place.
    fn ends() -> Vec<Ended> {
        let all = vec![
            Ended::NoNext,
            Ended::NoMore,
            Ended::SameToken,
            Ended::NothingAfter,
            Ended::LastPage { page: 1 },
            Ended::AllItems,
            Ended::EmptyPages,
            Ended::NoSuchPage { page: 1 },
            Ended::NoContent,
            Ended::OnlyPage,
            Ended::ListLeftOut,
            Ended::SingleResource,
            Ended::Asked,
            Ended::Stopped,
            Ended::Failed,
        ];
        for ended in &all {
            match ended {
                Ended::NoNext
                | Ended::NoMore
                | Ended::SameToken
                | Ended::NothingAfter
                | Ended::LastPage { .. }
                | Ended::AllItems
                | Ended::EmptyPages
                | Ended::NoSuchPage { .. }
                | Ended::NoContent
                | Ended::OnlyPage
                | Ended::ListLeftOut
                | Ended::SingleResource
                | Ended::Asked
                | Ended::Stopped
                | Ended::Failed => {}
            }
        }
        all
    }

    /// One of each, as above.
    fn doubts() -> Vec<Doubt> {
        let text = || "x".to_owned();
        let all = vec![
            Doubt::CountsDiffer {
                stated: 1,
                received: 2,
            },
            Doubt::Repeated {
                stated: 1,
                distinct: 1,
            },
            Doubt::Displaced { repeated: 1 },
            Doubt::EmptyBetween { page: 1 },
            Doubt::Shrunk { from: 2, to: 1 },
            Doubt::SameItems { page: 1 },
            Doubt::MorePages { evidence: text() },
            Doubt::SaysMore { evidence: text() },
            Doubt::RefusedPage {
                page: 1,
                status: 400,
            },
            Doubt::PartialAnswer { error: text() },
            Doubt::NoEndMark,
            Doubt::RepeatedKey { key: text() },
            Doubt::NoSuchKey { key: text() },
            Doubt::Shifted,
            Doubt::OtherItems {
                taken: text(),
                other: text(),
            },
        ];
        for doubt in &all {
            match doubt {
                Doubt::CountsDiffer { .. }
                | Doubt::Repeated { .. }
                | Doubt::Displaced { .. }
                | Doubt::EmptyBetween { .. }
                | Doubt::Shrunk { .. }
                | Doubt::SameItems { .. }
                | Doubt::MorePages { .. }
                | Doubt::SaysMore { .. }
                | Doubt::RefusedPage { .. }
                | Doubt::PartialAnswer { .. }
                | Doubt::NoEndMark
                | Doubt::RepeatedKey { .. }
                | Doubt::NoSuchKey { .. }
                | Doubt::Shifted
                | Doubt::OtherItems { .. } => {}
            }
        }
        all
    }

    /// The names in the first column of the table with this head.
    fn names(head: &str) -> Vec<&'static str> {
        let (_, table) = DOCUMENT.split_once(head).unwrap();
        let rows = table
            .lines()
            .skip(2)
            .take_while(|line| line.starts_with('|'));
        rows.map(|row| row.split('`').nth(1).unwrap()).collect()
    }

    fn name(value: &impl Serialize, tag: &str) -> String {
        serde_json::to_value(value).unwrap()[tag]
            .as_str()
            .unwrap()
            .to_owned()
    }

    #[test]
    fn the_document_has_every_end_and_every_doubt() {
        let ends: Vec<String> = ends().iter().map(|ended| name(ended, "why")).collect();
        assert_eq!(names("| `why` | what happened |"), ends);
        let doubts: Vec<String> = doubts().iter().map(|doubt| name(doubt, "doubt")).collect();
        assert_eq!(names("| `doubt` | why not complete |"), doubts);
        let mut of_kinds = names("| kind | end marks (`why`) |");
        let mut kinds: Vec<String> = Paginate::kinds()
            .map(|(syntax, _)| syntax.split([':', '[', ',']).next().unwrap().to_owned())
            .collect();
        of_kinds.sort_unstable();
        kinds.sort_unstable();
        assert_eq!(of_kinds, kinds);
    }
}
