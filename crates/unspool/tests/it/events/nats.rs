//! Streams of NATS JetStream, against a real server that is killed and started again.

use std::pin::Pin;
use std::time::Duration;

use futures_util::StreamExt;
use serde_json::json;
use unspool::Source as _;
use unspool::events::{Doubt, Event, Events, Request};

use super::LONG;
use super::nkeys::{ACCOUNT, Key, OPERATOR, USER};
use crate::server::Nats;

/// A server with a stream `s` of the subjects `a` and `b`.
fn server() -> Option<Nats> {
    let server = super::installed(Nats::start())?;
    make(&server);
    Some(server)
}

fn make(server: &Nats) {
    let config = r#"{"name":"s","subjects":["a","b"],"retention":"limits","storage":"file"}"#;
    server.api("STREAM.CREATE.s", config);
}

fn stream(server: &Nats, parameters: &str) -> Request {
    unspool::events(format!("nats://{}?stream=s{parameters}", server.host()))
        .first_wait(Duration::from_millis(10))
        .stop_after(LONG)
}

fn add(server: &Nats, numbers: impl IntoIterator<Item = u64>) {
    server.publish("a", numbers.into_iter().map(|number| number.to_string()));
}

async fn take(feed: &mut Events<Event>, count: usize) -> Vec<u64> {
    let mut numbers = Vec::new();
    for _ in 0..count {
        let event = feed.next().await.unwrap().unwrap();
        assert_eq!((&*event.name, &event.id), ("a", &event.data));
        numbers.push(event.data.parse().unwrap());
    }
    numbers
}

fn numbers(range: std::ops::RangeInclusive<u64>) -> Vec<u64> {
    range.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_nats_goes_on_after_its_last_message_when_the_server_was_killed() {
    let Some(server) = server() else { return };
    add(&server, 1..=700);
    let mut feed = stream(&server, "").events();
    assert_eq!(take(&mut feed, 300).await, numbers(1..=300));
    server.crash();
    assert_eq!(take(&mut feed, 400).await, numbers(301..=700));
    server.crash();
    add(&server, 701..=720);
    assert_eq!(take(&mut feed, 10).await, numbers(701..=710));
    let account = feed.account();
    assert!(account.doubts.is_empty(), "{account:?}");
    assert_eq!((account.transport, account.connections), (Some("nats"), 3));
    let position = feed.position().unwrap();
    drop(feed);
    let mut feed = stream(&server, "").from(position).events();
    assert_eq!(take(&mut feed, 10).await, numbers(711..=720));
    assert!(feed.account().doubts.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subject_of_a_stream_is_followed_alone_and_binary_payloads_are_base64() {
    let Some(server) = server() else { return };
    server.publish("a", ["1".to_owned()]);
    server.publish("b", ["2".to_owned(), "3".to_owned()]);
    server.publish("a", ["4".to_owned()]);
    let mut feed = stream(&server, "&subject=a").events();
    assert_eq!(take(&mut feed, 2).await, [1, 4]);
    // That others are passed over is no gap, also not after a reconnect.
    server.crash();
    server.publish("b", ["5".to_owned()]);
    server.publish("a", ["6".to_owned()]);
    assert_eq!(take(&mut feed, 1).await, [6]);
    assert!(feed.account().doubts.is_empty(), "{:?}", feed.account());
}

#[tokio::test]
async fn messages_that_the_stream_dropped_before_they_were_read_are_a_doubt() {
    let Some(server) = server() else { return };
    add(&server, 1..=10);
    let mut feed = stream(&server, "").events();
    assert_eq!(take(&mut feed, 3).await, numbers(1..=3));
    let position = feed.position().unwrap();
    drop(feed);
    server.api("STREAM.PURGE.s", r#"{"seq":4}"#);
    let mut feed = stream(&server, "").from(position.clone()).events();
    assert_eq!(take(&mut feed, 7).await, numbers(4..=10));
    assert!(feed.account().doubts.is_empty());
    server.api("STREAM.PURGE.s", r#"{"seq":7}"#);
    let mut feed = stream(&server, "").from(position).events();
    assert_eq!(take(&mut feed, 4).await, numbers(7..=10));
    let doubt = Doubt::Trimmed {
        after: "3".to_owned(),
        next: "7".to_owned(),
    };
    assert_eq!(feed.account().doubts, [doubt]);
}

#[tokio::test]
async fn a_stream_of_nats_that_was_made_anew_is_a_doubt() {
    let Some(server) = server() else { return };
    add(&server, 1..=5);
    for parameters in ["", "&consumer=c"] {
        let mut feed = stream(&server, parameters).events();
        assert_eq!(take(&mut feed, 5).await, numbers(1..=5));
        let position = feed.position().unwrap();
        drop(feed);
        server.api("STREAM.DELETE.s", "");
        make(&server);
        add(&server, 1..=2);
        let mut feed = stream(&server, parameters).from(position).events();
        assert_eq!(take(&mut feed, 2).await, [1, 2]);
        let after = "5".to_owned();
        assert_eq!(feed.account().doubts, [Doubt::MadeAnew { after }]);
        add(&server, 3..=5);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_from_now_on_begins_after_the_last_message() {
    let Some(server) = server() else { return };
    add(&server, 1..=5);
    let mut feed = stream(&server, "&from=now").events();
    let added = async {
        while server.api("STREAM.INFO.s", "")["state"]["consumer_count"] == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        server.crash();
        add(&server, 6..=8);
    };
    let (taken, ()) = tokio::join!(take(&mut feed, 3), added);
    assert_eq!(taken, numbers(6..=8));
    assert!(feed.account().doubts.is_empty(), "{:?}", feed.account());
}

/// How many messages the consumer `c` has given that are not acknowledged.
fn owed(server: &Nats) -> u64 {
    let info = server.api("CONSUMER.INFO.s.c", "");
    info["num_ack_pending"].as_u64().unwrap()
}

async fn run_until_owed(server: &Nats, feed: &mut Events<Event>, count: u64) {
    let reached = async {
        while owed(server) != count {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        event = feed.next() => panic!("{event:?}"),
        () = reached => {}
    }
}

/// A consumer whose messages come again soon.
fn make_consumer(server: &Nats) {
    let config = r#"{"stream_name":"s","config":{"durable_name":"c","ack_policy":"explicit",
        "deliver_policy":"all","ack_wait":500000000}}"#;
    server.api("CONSUMER.DURABLE.CREATE.s.c", config);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_durable_consumer_acknowledges_what_is_durable_and_no_more() {
    let Some(server) = server() else { return };
    add(&server, 1..=10);
    make_consumer(&server);
    let acknowledging = || stream(&server, "&consumer=c").await_durable();
    let mut feed = acknowledging().events();
    assert_eq!(take(&mut feed, 6).await, numbers(1..=6));
    let durable = feed.position().unwrap();
    assert_eq!(take(&mut feed, 4).await, numbers(7..=10));
    assert_eq!(owed(&server), 10);
    Pin::new(&mut feed).acknowledge(&durable);
    run_until_owed(&server, &mut feed, 4).await;
    // What comes again while it waits for being durable is not handed out twice, and what was
    // not durable when the run was killed comes again, after a while.
    drop(feed);
    let mut feed = acknowledging().from(durable).events();
    let mut again = take(&mut feed, 4).await;
    again.sort_unstable();
    assert_eq!(again, numbers(7..=10));
    let position = feed.position().unwrap();
    Pin::new(&mut feed).acknowledge(&position);
    run_until_owed(&server, &mut feed, 0).await;
    server.crash();
    add(&server, 11..=12);
    assert_eq!(take(&mut feed, 2).await, numbers(11..=12));
    assert!(feed.account().doubts.is_empty(), "{:?}", feed.account());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_run_had_made_durable_is_not_handed_out_twice() {
    let Some(server) = server() else { return };
    add(&server, 1..=5);
    make_consumer(&server);
    let acknowledging = || stream(&server, "&consumer=c").await_durable();
    let mut feed = acknowledging().events();
    assert_eq!(take(&mut feed, 5).await, numbers(1..=5));
    // Durable, and killed before that was told to the server.
    let position = feed.position().unwrap();
    drop(feed);
    let mut feed = acknowledging().from(position).events();
    run_until_owed(&server, &mut feed, 0).await;
    add(&server, 6..=6);
    assert_eq!(take(&mut feed, 1).await, [6]);
    let account = feed.account();
    assert!(
        account.replayed >= 5 && account.doubts.is_empty(),
        "{account:?}"
    );
}

#[tokio::test]
async fn what_nats_refuses_is_an_error() {
    let Some(server) = server() else { return };
    let address = format!("nats://{}?stream=other", server.host());
    let error = unspool::events(address)
        .events()
        .next()
        .await
        .unwrap()
        .unwrap_err();
    assert!(error.to_string().contains("stream not found"), "{error}");
    add(&server, [1]);
    server.publish("a", ["x".repeat(2000)]);
    let mut feed = stream(&server, "").max_item(1000).events();
    assert_eq!(take(&mut feed, 1).await, [1]);
    let error = feed.next().await.unwrap().unwrap_err();
    assert_eq!(error.kind(), unspool::ErrorKind::TooLarge, "{error}");
    for (address, said) in [
        ("nats://h", "?stream=NAME"),
        ("nats://h?stream=a%20b", "no name"),
    ] {
        let error = unspool::events(address)
            .events()
            .next()
            .await
            .unwrap()
            .unwrap_err();
        assert!(
            error.is_request() && error.to_string().contains(said),
            "{error}"
        );
    }
}

/// A server on which those without a name are `admin`, and its stream `s`; and what is in the
/// files with which others log in.
struct Locked {
    server: Nats,
    folder: tempfile::TempDir,
}

impl Locked {
    fn start(config: &str) -> Option<Self> {
        let server = super::installed(Nats::start_with(config))?;
        let folder = tempfile::tempdir().unwrap();
        Some(Locked { server, folder })
    }

    /// The stream `s`, by whoever this file says.
    fn stream(&self, creds: &str) -> Request {
        let file = self.folder.path().join("user.creds");
        std::fs::write(&file, creds).unwrap();
        stream(&self.server, &format!("&creds={}", file.display()))
    }
}

/// The error with which a feed ends that gives nothing.
async fn refused(request: Request) -> String {
    let mut feed = request.events();
    feed.next().await.unwrap().unwrap_err().to_string()
}

/// The example of the documentation of NATS, and another user.
const SEED: &str = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY";
const PUBLIC: &str = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4";

#[tokio::test]
async fn who_connects_is_known_by_a_key() {
    let config = format!(
        "authorization {{ users = [{{user: admin, password: admin}}, {{nkey: {PUBLIC}}}] }}\n\
         no_auth_user: admin\n"
    );
    let Some(locked) = Locked::start(&config) else {
        return;
    };
    make(&locked.server);
    add(&locked.server, 1..=3);
    let mut feed = locked.stream(SEED).events();
    assert_eq!(take(&mut feed, 2).await, [1, 2]);
    let position = feed.position().unwrap();
    let shown = serde_json::to_string(&position).unwrap();
    assert!(
        !shown.contains("creds") && !shown.contains("SUA"),
        "{shown}"
    );
    drop(feed);
    // Where the file lies is no part of what is followed.
    let mut feed = locked.stream(&format!("{SEED}\n")).from(position).events();
    assert_eq!(take(&mut feed, 1).await, [3]);
}

#[tokio::test]
async fn a_key_that_is_not_known_or_not_wanted_is_refused_and_not_shown() {
    let other = PUBLIC.replace("UDXU", "UDXV");
    let config = format!("authorization {{ users = [{{nkey: {PUBLIC}}}] }}\n");
    let Some(locked) = Locked::start(&config) else {
        return;
    };
    let said = refused(locked.stream(&other)).await;
    assert!(
        said.contains("the seed of a user") && !said.contains("UDXV"),
        "{said}"
    );
    let said = refused(locked.stream(&Key::new(USER).seed)).await;
    assert!(
        said.to_lowercase().contains("authorization violation"),
        "{said}"
    );
    let missing = stream(&locked.server, "&creds=/nowhere/user.creds");
    let said = refused(missing).await;
    assert!(
        said.contains("`/nowhere/user.creds` cannot be read"),
        "{said}"
    );
    let Some(open) = Locked::start("") else {
        return;
    };
    let said = refused(open.stream(SEED)).await;
    assert!(said.contains("no users that are known by a key"), "{said}");
    let address = format!("nats://me:hush@{}?stream=s&creds=x", open.server.host());
    let said = refused(unspool::events(address)).await;
    assert!(
        said.contains("not by both") && !said.contains("hush"),
        "{said}"
    );
}

#[tokio::test]
async fn a_credentials_file_logs_in_who_its_account_vouches_for() {
    let [operator, system, account, user] = [OPERATOR, ACCOUNT, ACCOUNT, USER].map(Key::new);
    let claims = json!({"type": "operator", "version": 2});
    let operators = operator.token(&operator, claims);
    let mut limits = json!({"wildcards": true});
    for name in [
        "subs", "data", "payload", "imports", "exports", "conn", "leaf",
    ] {
        limits[name] = json!(-1);
    }
    let claims = json!({"type": "account", "version": 2, "limits": limits});
    let accounts = [&system, &account].map(|account| {
        let token = operator.token(account, claims.clone());
        format!("{}: \"{token}\"", account.public)
    });
    let claims = json!({
        "type": "user", "version": 2, "pub": {}, "sub": {}, "subs": -1, "data": -1, "payload": -1,
    });
    let users = account.token(&user, claims.clone());
    let config = format!(
        "operator: \"{operators}\"\nresolver: MEMORY\nsystem_account: {}\n\
         resolver_preload: {{\n{}\n}}\n",
        system.public,
        accounts.join("\n")
    );
    let Some(locked) = Locked::start(&config) else {
        return;
    };
    let file = |token: &str, seed: &str| {
        format!(
            "-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
        )
    };
    // It is in: what has no JetStream is the account.
    let said = refused(locked.stream(&file(&users, &user.seed))).await;
    assert!(said.contains("JetStream"), "{said}");
    // Somebody else's key, and a token of somebody else.
    let other = Key::new(USER);
    let forged = Key::new(ACCOUNT).token(&user, claims);
    for wrong in [file(&users, &other.seed), file(&forged, &user.seed)] {
        let said = refused(locked.stream(&wrong)).await;
        let is_refused = said.to_lowercase().contains("authorization violation");
        assert!(is_refused && !said.contains(&users), "{said}");
    }
}
