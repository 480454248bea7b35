//! What every source promises, whatever it pulls from: one suite that runs over all of
//! them.

mod ask;
mod each;
mod events;
mod pages;
mod polls;
#[cfg(feature = "postgres")]
mod rows;
mod subject;

use std::time::{Duration, Instant};

use futures_util::stream::FusedStream;
use futures_util::{FutureExt, StreamExt, TryStreamExt};
use serde_json::{Value, json};
use unspool::{Account, Error, Position, Source, SourceExt, Verdict};

use subject::{How, Opened, SECRET, Serve, Subject, Upstream, item};

/// Every source, with an entry for each of its forms. A new one joins with one line here,
/// and a file that says what its upstream is.
const SOURCES: &[&[&dyn Subject]] = &[
    pages::SUBJECTS,
    ask::SUBJECTS,
    each::SUBJECTS,
    events::SUBJECTS,
    polls::SUBJECTS,
    #[cfg(feature = "postgres")]
    rows::SUBJECTS,
];

/// Items of a whole source.
const ALL: usize = 7;

/// How long it may take until a server sees that its client has gone.
const LIMIT: Duration = Duration::from_millis(50);

/// Runs a test over every source whose upstream can do this.
async fn check(serve: Serve, test: impl AsyncFn(&dyn Subject, &Upstream)) {
    for subject in SOURCES.iter().copied().flatten() {
        if let Some(upstream) = subject.serve(serve) {
            // A test that fails shows what it printed: the last one is the one that failed.
            println!("{}", subject.title());
            test(*subject, &upstream).await;
        }
    }
}

fn items(count: usize) -> Vec<String> {
    (0..count).map(item).collect()
}

/// As many items, one after the other.
async fn take(source: &mut Opened, count: usize) {
    for number in 0..count {
        assert_eq!(source.try_next().await.unwrap(), Some(item(number)));
    }
}

/// All items up to the end or an error.
async fn drain(source: &mut Opened) -> (Vec<String>, Option<Error>) {
    let mut items = Vec::new();
    while let Some(item) = source.next().await {
        match item {
            Ok(item) => items.push(item),
            Err(error) => return (items, Some(error)),
        }
    }
    (items, None)
}

/// It is at its end, and stays there; to ask again sends nothing.
async fn check_over(source: &mut Opened, upstream: &Upstream) {
    let (requests, account) = (upstream.requests().len(), source.account());
    for _ in 0..3 {
        assert!(source.next().await.is_none());
        assert!(source.is_terminated() && !source.is_ready());
    }
    assert_eq!(upstream.requests().len(), requests);
    assert_eq!(heads(&source.account()), heads(&account));
    assert_eq!(source.waiting(), None);
}

/// What an account says of how it ended, and how much came.
fn heads(account: &Account) -> (Verdict, bool, usize, u64, u64, u64) {
    let Account {
        complete,
        items,
        requests,
        bytes,
        ..
    } = *account;
    let doubts = account.doubts.len();
    (account.verdict(), complete, doubts, items, requests, bytes)
}

/// A position as another process gets it.
fn stored(position: &Position) -> Position {
    serde_json::from_str(&text(position)).unwrap()
}

fn text(position: &Position) -> String {
    serde_json::to_string(position).unwrap()
}

#[tokio::test]
async fn nothing_happens_before_the_first_poll() {
    check(Serve::Whole(ALL), async |subject, upstream| {
        let source = upstream.open();
        assert_eq!(source.name(), subject.source());
        assert_eq!((source.position(), source.waiting()), (None, None));
        assert!(!source.is_ready() && !source.is_terminated());
        let account = source.account();
        assert_eq!((account.items, account.requests, account.bytes), (0, 0, 0));
        assert_eq!(
            (account.verdict(), account.complete),
            (Verdict::Stopped, false)
        );
        drop(source);
        let mut source = upstream.open();
        source.close().await;
        check_over(&mut source, upstream).await;
        assert_eq!(upstream.requests().len(), 0);
    })
    .await;
}

#[tokio::test]
async fn a_demand_makes_only_the_requests_that_its_item_needs() {
    check(Serve::Whole(ALL), async |subject, upstream| {
        let mut source = upstream.open();
        for count in 1..=ALL {
            assert_eq!(source.try_next().await.unwrap(), Some(item(count - 1)));
            let requests = upstream.requests().len();
            assert_eq!(requests, subject.requests(count), "at item {count}");
            // Items are counted as they are handed out.
            let account = source.account();
            let counted = (account.items, account.requests);
            assert_eq!(counted, (count as u64, requests as u64));
            assert!(!account.complete);
        }
        assert_eq!(source.try_next().await.unwrap(), None);
        assert_eq!(upstream.requests().len(), subject.requests(ALL));
    })
    .await;
}

#[tokio::test]
async fn an_item_that_has_arrived_is_taken_without_a_wait() {
    check(Serve::Whole(ALL), async |_, upstream| {
        let mut source = upstream.open();
        loop {
            let (requests, is_ready) = (upstream.requests().len(), source.is_ready());
            let next = source.next().now_or_never();
            if is_ready {
                assert_eq!(upstream.requests().len(), requests);
            }
            match next {
                Some(None) => break,
                Some(Some(item)) => drop(item.unwrap()),
                None => {
                    assert!(!is_ready, "an item is ready, but not there");
                    tokio::task::yield_now().await;
                }
            }
        }
        assert_eq!(source.account().items, ALL as u64);
    })
    .await;
}

#[tokio::test]
async fn the_end_mark_is_the_end_and_stays_it() {
    check(Serve::Whole(ALL), async |subject, upstream| {
        let mut source = upstream.open();
        let (items_found, error) = drain(&mut source).await;
        assert!(error.is_none(), "{error:?}");
        assert_eq!(items_found, items(ALL));
        let account = source.account();
        assert_eq!(
            (account.verdict(), account.complete),
            (subject.ends(), true)
        );
        assert!(account.doubts.is_empty() && account.bytes > 0);
        check_over(&mut source, upstream).await;
        source.close().await;
        check_over(&mut source, upstream).await;
        assert!(source.account().complete, "closed after its end");
    })
    .await;
}

#[tokio::test]
async fn the_stream_is_send() {
    check(Serve::Whole(ALL), async |_, upstream| {
        let mut source = upstream.open();
        let drained = tokio::spawn(async move { drain(&mut source).await.0 });
        assert_eq!(drained.await.unwrap(), items(ALL));
    })
    .await;
}

/// A source that ends with one error, which has its account.
async fn check_fails(source: &mut Opened, upstream: &Upstream, count: usize) -> Error {
    let (items_found, error) = drain(source).await;
    let error = error.unwrap();
    assert_eq!(items_found, items(count), "{error}");
    let account = source.account();
    assert_eq!(
        (account.verdict(), account.complete),
        (Verdict::Failed, false)
    );
    assert_eq!(account.items, count as u64);
    assert_eq!(account.requests, upstream.requests().len() as u64);
    assert_eq!(error.account().map(heads), Some(heads(&account)));
    check_over(source, upstream).await;
    error
}

#[tokio::test]
async fn a_failure_ends_the_stream_with_one_error_that_has_the_account() {
    check(Serve::Failing(2), async |subject, upstream| {
        let mut source = upstream.open_as(How {
            retries: 3,
            ..How::default()
        });
        let error = check_fails(&mut source, upstream, 2).await;
        assert!(!error.is_truncated() && !error.is_incomplete());
        assert_eq!(upstream.requests().len(), subject.requests(3), "{error}");
    })
    .await;
}

#[tokio::test]
async fn a_body_that_is_cut_is_an_error() {
    for count in 0..5 {
        check(Serve::Cut(count), async |_, upstream| {
            let error = check_fails(&mut upstream.open(), upstream, count).await;
            assert!(error.is_truncated(), "cut after {count}: {error}");
        })
        .await;
    }
}

/// The connection of a source that was ended in this way, half-way, is closed at once,
/// and nothing more is sent.
async fn check_closes(end: impl AsyncFn(Opened, &Upstream) -> Option<Opened>) {
    for count in [0, 1, 3] {
        check(Serve::Slow(count), async |subject, _| {
            // How long it took at best: machines have other things to do.
            let mut best = Duration::MAX;
            for _ in 0..5 {
                let mut upstream = subject.serve(Serve::Slow(count)).unwrap();
                let mut source = upstream.open();
                take(&mut source, count).await;
                let requests = subject.requests(count + 1);
                // What it waits for now is the next item.
                while upstream.requests().len() < requests {
                    assert!(source.next().now_or_never().is_none());
                    tokio::task::yield_now().await;
                }
                let begin = Instant::now();
                let kept = end(source, &upstream).await;
                best = best.min(upstream.gone_at().await.saturating_duration_since(begin));
                assert_eq!(upstream.requests().len(), requests);
                drop(kept);
                if best < LIMIT {
                    return;
                }
            }
            panic!("the connection was closed after {best:?}");
        })
        .await;
    }
}

#[tokio::test]
async fn dropping_half_way_closes_the_connection_and_sends_nothing_more() {
    check_closes(async |source, _| {
        drop(source);
        None
    })
    .await;
}

#[tokio::test]
async fn closing_half_way_closes_the_connection_and_sends_nothing_more() {
    check_closes(async |mut source, upstream| {
        let (items, position) = (source.account().items, source.position());
        source.close().await;
        check_over(&mut source, upstream).await;
        let account = source.account();
        assert_eq!(
            (account.verdict(), account.complete),
            (Verdict::Stopped, false)
        );
        assert_eq!((account.items, source.position()), (items, position));
        Some(source)
    })
    .await;
}

#[tokio::test]
async fn a_doubtful_end_is_an_error_unless_doubts_are_allowed() {
    check(Serve::Doubtful(ALL), async |_, upstream| {
        for allows_doubts in [false, true] {
            let mut source = upstream.open_as(How {
                allows_doubts,
                ..How::default()
            });
            let (items_found, error) = drain(&mut source).await;
            assert_eq!(items_found, items(ALL));
            assert_eq!(error.is_none(), allows_doubts, "{error:?}");
            let account = source.account();
            let verdict = (account.verdict(), account.complete, account.doubts.len());
            assert_eq!(verdict, (Verdict::NotProved, false, 1));
            if let Some(error) = error {
                assert!(error.is_incomplete() && !error.is_truncated());
                assert_eq!(error.account().map(heads), Some(heads(&account)));
                let doubt = account.doubts[0].to_string();
                assert!(error.to_string().contains(&doubt), "{error}: {doubt}");
            }
            check_over(&mut source, upstream).await;
        }
    })
    .await;
}

#[tokio::test]
async fn resuming_after_any_item_gives_exactly_the_rest() {
    check(Serve::Whole(ALL), async |subject, upstream| {
        // After the item that was to be the last, there is nothing more to ask for.
        let last = match subject.ends() {
            Verdict::Asked => ALL - 1,
            _ => ALL,
        };
        for count in 1..=last {
            let mut source = upstream.open();
            take(&mut source, count).await;
            let position = source.position();
            assert_eq!(position.is_some(), subject.resumes());
            let Some(position) = position else { return };
            drop(source);
            let mut resumed = upstream.open_as(How {
                from: Some(stored(&position)),
                ..How::default()
            });
            let (rest, error) = drain(&mut resumed).await;
            assert!(error.is_none(), "after {count}: {error:?}");
            assert_eq!(rest, items(ALL)[count..]);
            assert_eq!(resumed.account().items, rest.len() as u64);
        }
    })
    .await;
}

#[tokio::test]
async fn a_position_has_its_name_and_the_same_bytes_each_time() {
    check(Serve::Whole(ALL), async |subject, upstream| {
        for count in 1..=ALL {
            let mut texts = Vec::new();
            for _ in 0..2 {
                let mut source = upstream.open();
                take(&mut source, count).await;
                let Some(position) = source.position() else {
                    assert!(!subject.resumes());
                    return;
                };
                assert_eq!(position.source(), subject.source());
                texts.extend([text(&position), text(&stored(&position))]);
            }
            assert!(texts.iter().all(|text| *text == texts[0]), "{texts:#?}");
        }
    })
    .await;
}

#[tokio::test]
async fn an_old_or_foreign_position_is_refused_before_anything_is_sent() {
    check(Serve::Whole(ALL), async |subject, upstream| {
        if !subject.resumes() {
            return;
        }
        let name = subject.source();
        for (position, says) in [
            (json!({"source": "elsewhere", "version": 1}), "`elsewhere`"),
            (json!({"source": name, "version": 0}), "version 0"),
            (json!({"source": name, "version": 9999}), "version 9999"),
            (
                json!({"version": 1, "index": 3}),
                "version 1 without the name",
            ),
        ] {
            let mut source = upstream.open_as(How {
                from: Some(serde_json::from_value(position).unwrap()),
                ..How::default()
            });
            let error = check_fails(&mut source, upstream, 0).await;
            assert!(error.is_request(), "{error}");
            let shown = error.to_string();
            assert!(
                shown.contains(says) && shown.contains(&format!("`{name}`")),
                "{shown}"
            );
        }
        assert_eq!(upstream.requests().len(), 0);
    })
    .await;
}

/// Polls until it waits before a retry, and gives what it says then.
async fn until_it_waits(source: &mut Opened) -> String {
    loop {
        assert!(source.next().now_or_never().is_none());
        match source.waiting() {
            Some(waiting) => return waiting,
            None => tokio::task::yield_now().await,
        }
    }
}

#[tokio::test]
async fn a_wait_before_a_retry_says_what_is_waited_for() {
    check(Serve::Busy, async |_, upstream| {
        let mut source = upstream.open_as(How {
            retries: 2,
            ..How::default()
        });
        let waiting = until_it_waits(&mut source).await;
        assert!(waiting.starts_with("waiting "), "{waiting}");
        assert!(waiting.contains("(1 of 2)"), "{waiting}");
        assert!(waiting.contains("503"), "{waiting}");
        source.close().await;
        check_over(&mut source, upstream).await;
        assert_eq!(upstream.requests().len(), 1);
    })
    .await;
}

/// Checks that the account is an object with what every account has.
#[track_caller]
fn check_head(account: &Account) {
    let written = serde_json::to_value(account).unwrap();
    assert_eq!(written["source"], account.source);
    assert_eq!(written["complete"], account.complete);
    assert_eq!(written["items"], account.items);
    assert_eq!(written["bytes"], account.bytes);
    assert_eq!(written["requests"], account.requests);
    assert_eq!(written["retries"], account.retries);
    assert!(written["waited"].is_f64(), "{written}");
    assert_eq!(written["ended"], *account.ended.data());
    let doubts: Vec<&Value> = account.doubts.iter().map(|doubt| doubt.data()).collect();
    assert_eq!(written["doubts"], json!(doubts));
}

#[tokio::test]
async fn an_account_is_written_with_the_head_that_all_have() {
    for serve in [Serve::Whole(ALL), Serve::Doubtful(ALL), Serve::Failing(2)] {
        check(serve, async |_, upstream| {
            let mut source = upstream.open();
            check_head(&source.account());
            take(&mut source, 1).await;
            check_head(&source.account());
            drain(&mut source).await;
            check_head(&source.account());
        })
        .await;
    }
}

#[tokio::test]
async fn no_credential_is_in_anything_that_a_source_shows() {
    let serves = [
        Serve::Whole(ALL),
        Serve::Doubtful(ALL),
        Serve::Cut(3),
        Serve::Failing(2),
    ];
    for serve in serves {
        check(serve, async |_, upstream| {
            let mut source = upstream.open();
            let mut shown = String::new();
            while let Some(item) = source.next().await {
                let position = source.position().map(|position| text(&position));
                let account = source.account();
                let written = serde_json::to_string(&account).unwrap();
                shown += &format!("{item:?} {position:?} {account:?} {written}");
                if let Err(error) = item {
                    shown += &format!("{error} {error:#} {:?}", error.account());
                }
            }
            let is_sent = upstream.requests().iter().all(|sent| sent.contains(SECRET));
            assert!(is_sent, "the credential was not sent");
            assert!(!shown.contains(SECRET), "{shown}");
        })
        .await;
    }
}
