//! What is said of live feeds.

use std::time::Duration;

use indicatif::{HumanBytes, HumanCount, HumanDuration};
use unspool::events::{Account, Followed};
use unspool::{Error, ErrorKind};

use super::{Report, count};
use crate::pull::End;

pub(crate) struct EventsReport;

impl Report<Followed> for EventsReport {
    fn so_far(&self, account: &Account, elapsed: Duration) -> String {
        let connections = count(account.connections, "connection");
        let events = count(account.items, "event");
        format!("{events}, {connections}, {}", HumanDuration(elapsed))
    }

    fn summary(&self, account: &Account, took: Duration) -> String {
        let mut parts = vec![count(account.items, "event")];
        if account.replayed > 0 {
            parts.push(format!("{} sent again", HumanCount(account.replayed)));
        }
        parts.push(HumanBytes(account.bytes).to_string());
        parts.push(count(account.connections, "connection"));
        parts.push(format!("{:.1} s", took.as_secs_f64()));
        parts.join(", ")
    }

    fn says_doubts_at_once(&self) -> bool {
        true
    }

    fn notes(&self, _: &Account, _: &End, _: bool) {}

    fn hint(&self, account: &Account, error: Option<&Error>) -> Option<String> {
        let error = error?;
        let hint = match error.kind() {
            ErrorKind::TooLarge => "`--max-item SIZE` raises the limit",
            ErrorKind::Content if error.to_string().contains("found `text/html`") => {
                "a page in the place of a feed may be one to log in: `unspool events --help` has the \
                 flags for credentials"
            }
            ErrorKind::Content if account.connections == 0 => {
                "`unspool pages URL` is for APIs that answer with a document, and `--every TIME` \
                 asks for one again and again"
            }
            ErrorKind::Truncated if error.to_string().contains("nothing says where to go on") => {
                "`--position POINTER --resume-as NAME` says where to go on, `--once` that the end of \
                 the body is the end; `--every TIME` asks for a document again and again"
            }
            _ if error.is_unauthorized() => "`unspool events --help` has the flags for credentials",
            _ => return None,
        };
        Some(hint.to_owned())
    }
}
