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

    fn notes(&self, _: &Account, _: &End, _: bool) {}

    fn hint(&self, account: &Account, error: Option<&Error>) -> Option<String> {
        let error = error?;
        let hint = match error.kind() {
            ErrorKind::TooLarge => "`--max-item SIZE` raises the limit",
            ErrorKind::Content if account.connections == 0 => {
                "`unspool pages URL` is for APIs that answer with a document"
            }
            _ if error.is_unauthorized() => "`unspool events --help` has the flags for credentials",
            _ => return None,
        };
        Some(hint.to_owned())
    }
}
