//! What a hostile upstream can make a walk cost: the time of a processor grows with the
//! bytes that come, and memory does not grow beyond a few times the limit.
//!
//! Each walk runs in a process of its own, which is this binary again with the address in
//! its environment: it measures itself, and is ended where it takes far too long. The
//! bounds are several times what has been measured without optimisation.
#![cfg(target_os = "linux")]

use std::env;
use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use unspool::Pointer;
use unspool::pages::PageNumber;

use crate::server::{Reply, Server};

/// Holds the address in the process of a walk.
const ADDRESS: &str = "UNSPOOL_BOUNDS_ADDRESS";

/// Holds a pointer to the items, if the walk has one.
const ITEMS: &str = "UNSPOOL_BOUNDS_ITEMS";

/// Holds how many pages are in flight, numbered from 1.
const IN_FLIGHT: &str = "UNSPOOL_BOUNDS_IN_FLIGHT";

/// The longest time for a walk, on a machine that does a lot else.
const PATIENCE: Duration = Duration::from_secs(120);

const MIB: usize = 1 << 20;

/// The largest item of these walks, a quarter of the default: what memory is measured by.
const LIMIT: usize = 4 * MIB;

/// There is one of these walks at a time, for the sake of the tests beside them.
static ONE: Mutex<()> = Mutex::new(());

/// What a walk cost, and what came of it.
#[derive(Debug)]
struct Cost {
    seconds: f64,
    /// Above what the process had before.
    mib: usize,
    items: usize,
    /// The error, or else the account.
    outcome: String,
}

/// A walk in a process of its own.
struct Measured {
    command: Command,
}

impl Measured {
    fn walk(server: &Server) -> Self {
        let mut command = Command::new(env::current_exe().unwrap());
        command
            .args(["--exact", "bounds::a_walk_measures_itself", "--nocapture"])
            .env(ADDRESS, server.url("/"))
            .stdout(Stdio::piped());
        Measured { command }
    }

    fn set(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    #[track_caller]
    fn cost(mut self) -> Cost {
        let _turn = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let mut child = self.command.spawn().unwrap();
        let begun = Instant::now();
        while child.try_wait().unwrap().is_none() {
            if begun.elapsed() > PATIENCE {
                child.kill().unwrap();
                child.wait().unwrap();
                panic!("the walk takes more than {PATIENCE:?}");
            }
            thread::sleep(Duration::from_millis(20));
        }
        let output = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
        let line = (output.lines()).find_map(|line| line.split_once("measured: "));
        let (_, line) = line.unwrap_or_else(|| panic!("{output}"));
        let mut fields = line.splitn(4, ' ');
        let mut field = || fields.next().unwrap();
        let cost = Cost {
            seconds: field().parse().unwrap(),
            mib: field().parse().unwrap(),
            items: field().parse().unwrap(),
            outcome: field().to_owned(),
        };
        let test = thread::current().name().unwrap_or_default().to_owned();
        println!("{test}: {:.2} s, {} MiB", cost.seconds, cost.mib);
        cost
    }
}

/// The process of a walk; without an address nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_walk_measures_itself() {
    let Ok(address) = env::var(ADDRESS) else {
        return;
    };
    let mut request = unspool::pages(&address).retries(0).max_item(LIMIT);
    if let Ok(pages) = env::var(IN_FLIGHT) {
        request = request
            .paginate(PageNumber::new("page"))
            .in_flight(pages.parse().unwrap());
    }
    if let Ok(items) = env::var(ITEMS) {
        request = request.items_at(items.parse::<Pointer>().unwrap());
    }
    let before = memory("VmRSS");
    let mut pages = request.raw().allow_doubts();
    let mut items = 0;
    let mut error = None;
    while let Some(item) = pages.next().await {
        match item {
            Ok(_) => items += 1,
            Err(failed) => error = Some(failed.to_string()),
        }
    }
    let outcome = error.unwrap_or_else(|| format!("{:?}", pages.account()));
    let peak = memory("VmHWM").saturating_sub(before);
    let line = format!(
        "\nmeasured: {} {} {items} {outcome}\n",
        seconds(),
        peak >> 10
    );
    std::io::stdout().write_all(line.as_bytes()).unwrap();
}

/// A size in KiB that the system gives for this process.
fn memory(name: &str) -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let size = line.unwrap().trim_matches([':', ' ', '\t']);
    size.trim_end_matches(" kB").trim().parse().unwrap()
}

/// The time that processors have spent on this process: of a hundred ticks a second, in all
/// versions of Linux there are.
fn seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let mut ticks = fields.split(' ').skip(12).take(2);
    let mut next = || ticks.next().unwrap().parse::<f64>().unwrap();
    (next() + next()) / 100.0
}

fn serve(content_type: &'static str, body: String) -> Server {
    Server::start(move |_| {
        Reply::status(200)
            .header("content-type", content_type)
            .body(body.clone())
    })
}

#[track_caller]
fn check_time(body: String, seconds: f64) -> Cost {
    let content_type = if body.starts_with('<') {
        "application/xml"
    } else {
        "application/json"
    };
    let cost = Measured::walk(&serve(content_type, body)).cost();
    assert!(cost.seconds < seconds, "{cost:?}");
    cost
}

#[track_caller]
fn check_memory(body: String, mib: usize) -> Cost {
    let content_type = if body.starts_with('<') {
        "application/xml"
    } else {
        "application/json"
    };
    let cost = Measured::walk(&serve(content_type, body)).cost();
    assert!(cost.mib < mib, "{cost:?}");
    cost
}

/// `count` texts of a number, one after the other.
fn many(count: usize, text: impl Fn(usize) -> String) -> String {
    (0..count).map(text).collect()
}

#[test]
fn many_arrays_under_unknown_names_take_linear_time() {
    let arrays = many(30_000, |index| format!("\"k{index}\":[{index}],"));
    let cost = check_time(format!("{{{arrays}\"z\":0}}"), 5.0);
    assert!(cost.outcome.contains("30000 arrays"), "{cost:?}");
    check_time(format!("{{\"w\":{{{arrays}\"z\":0}}}}"), 5.0);
}

#[test]
fn white_space_before_a_document_takes_linear_time_and_no_memory() {
    let cost = check_time(format!("{}[1,2]", " \n".repeat(6 * MIB)), 5.0);
    assert_eq!(cost.items, 2);
    assert!(cost.mib < 24, "{cost:?}");
    let space = "\n".repeat(12 * MIB);
    let cost = check_time(format!("{space}<feed><entry/></feed>"), 5.0);
    assert_eq!(cost.items, 1);
}

#[test]
fn white_space_between_tokens_takes_linear_time() {
    let space = " ".repeat(MIB / 2);
    let body =
        format!("{{{space}\"a\":{space}[],{space}\"items\":[{space}1{space},{space}2{space}]}}");
    assert_eq!(check_time(body, 5.0).items, 2);
    let space = "\n".repeat(MIB);
    let body = format!("<feed>{space}{}</feed>", " <entry/>".repeat(20_000));
    assert_eq!(check_time(body, 5.0).items, 20_000);
}

#[test]
fn what_stands_below_a_long_key_takes_linear_time_and_memory() {
    let key = "k".repeat(MIB);
    for members in [
        many(10_000, |index| format!("\"a{index}\":[],")),
        many(10_000, |index| format!("\"error{index}\":\"x\",")),
        many(20, |index| {
            format!("\"a{index}\":[{}0],", "0,".repeat(40 << 10))
        }),
    ] {
        let envelope = format!("\"{key}\":{{{members}\"z\":0}}");
        let beside = format!("{{\"items\":[1],{envelope}}}");
        let alone = serve("application/json", format!("{{{envelope}}}"));
        for cost in [
            check_time(beside, 10.0),
            Measured::walk(&alone).cost(),
            Measured::walk(&alone).set(ITEMS, "/k/items").cost(),
        ] {
            assert!(cost.seconds < 10.0 && cost.mib < 60, "{cost:?}");
        }
    }
}

#[test]
fn deep_nesting_takes_linear_time() {
    let (open, close) = ("{\"a\":".repeat(1000), "}".repeat(1000));
    let arrays = "\"b\":[],".repeat(300_000);
    check_time(format!("{open}{{{arrays}\"c\":0}}{close}"), 5.0);
    let (open, close) = ("<a>".repeat(120), "</a>".repeat(120));
    let elements = "<b/><c/>".repeat(50_000);
    check_time(format!("{open}{elements}{close}"), 5.0);
}

#[test]
fn repeated_keys_long_numbers_and_escapes_take_linear_time() {
    let repeated = "\"a\":1,".repeat(100_000);
    let cost = check_time(format!("{{\"items\":[1],{repeated}\"b\":2}}"), 5.0);
    assert!(cost.outcome.contains("values"), "{cost:?}");
    let repeated = "\"a\":1,".repeat(50_000);
    let cost = check_time(format!("{{\"items\":[1],{repeated}\"b\":2}}"), 5.0);
    assert!(cost.outcome.contains("RepeatedKey"), "{cost:?}");
    let number = "7".repeat(2 * MIB);
    check_time(format!("{{\"items\":[{number}],\"n\":0.{number}}}"), 5.0);
    let text = "\\n\\u00e9".repeat(MIB / 4);
    let cost = check_time(format!("{{\"items\":[\"{text}\"],\"n\":\"{text}\"}}"), 5.0);
    assert_eq!(cost.items, 1);
}

#[test]
fn attributes_references_and_namespaces_take_linear_time() {
    let attributes = many(100_000, |index| format!(" a{index}=''"));
    let cost = check_time(format!("<feed><entry{attributes}/></feed>"), 5.0);
    assert_eq!(cost.items, 1);
    let cost = check_time(format!("<feed><entry{attributes} a7=''/></feed>"), 5.0);
    assert!(cost.outcome.contains("`a7` is there twice"), "{cost:?}");
    let names = many(30_000, |index| format!(" xmlns:n{index}='u'"));
    let cost = check_time(format!("<feed{names}><entry/></feed>"), 15.0);
    assert_eq!(cost.items, 1);
    let text = "&lt;".repeat(MIB / 2);
    let cost = check_time(format!("<feed><entry>{text}</entry></feed>"), 5.0);
    assert_eq!(cost.items, 1);
    let name = "n".repeat(MIB);
    let cost = check_time(format!("<{name}><entry/></{name}>"), 5.0);
    assert!(cost.outcome.contains("1024 bytes"), "{cost:?}");
}

#[test]
fn what_looks_like_tokens_costs_a_budget_of_requests_and_words() {
    for kind in ["tokens", "urls", "below", "fields"] {
        let members = many(2000, |index| match kind {
            "tokens" => format!("\"next_token{index}\":\"t{index}\","),
            "urls" => format!("\"next_cursor_{index}\":\"/?c={index}\","),
            "below" => format!("\"o{index}\":{{\"next\":\"t{index}\"}},"),
            _ => String::new(),
        });
        let server = Server::start(move |request| match (request.target.as_str(), kind) {
            ("/", "fields") => (0..80).fold(Reply::json("[1,2,3]"), |reply, index| {
                reply.header(&format!("x-next-{index}-page"), format!("t{index}"))
            }),
            ("/", _) => Reply::json(format!("{{{members}\"items\":[1,2,3]}}")),
            _ => Reply::status(404).body(""),
        });
        let cost = Measured::walk(&server).cost();
        let requests = server.targets().len();
        assert!(requests <= 60, "{kind}: {requests} requests");
        let words = cost.outcome.len();
        assert!(words < 40_000, "{kind}: {words} bytes");
        assert!(cost.seconds < 10.0, "{kind}: {cost:?}");
    }
}

#[test]
fn short_values_around_the_items_have_a_limit() {
    let members = many(350_000, |index| format!("\"{index:x}\":0,"));
    let cost = check_memory(format!("{{\"items\":[1],{members}\"z\":0}}"), 50);
    assert!(cost.outcome.contains("over 65536 values"), "{cost:?}");
    // Those in a large array are not looked at.
    let zeros = "0,".repeat(30_000);
    let arrays = many(60, |_| format!("[{zeros}0],"));
    let body = format!("{{\"items\":[1],\"a\":{{\"b\":[{arrays}0]}}}}");
    assert_eq!(check_memory(body, 50).items, 1);
}

#[test]
fn elements_around_the_items_have_a_limit() {
    let elements = many(300_000, |index| format!("<e{index:x}/>"));
    let cost = check_memory(format!("<feed><entry/>{elements}</feed>"), 50);
    assert!(cost.outcome.contains("over 65536 values"), "{cost:?}");
    check_memory(format!("<other>{elements}</other>"), 50);
    let elements = many(200_000, |index| format!("<e{index:x} a=''/>"));
    check_memory(format!("<other>{elements}</other>"), 50);
}

#[test]
fn an_item_of_short_values_takes_little_more_than_its_text() {
    let values = "[],".repeat(5 * MIB / 4);
    for item in [
        format!("[{values}0]"),
        format!("{{\"a\":[{values}0]}}"),
        format!(
            "{{{}\"z\":0}}",
            many(300_000, |index| format!("\"{index:x}\":0,"))
        ),
    ] {
        let cost = check_memory(format!("[{item}]"), 40);
        assert_eq!(cost.items, 1);
    }
}

#[test]
fn an_item_of_short_elements_takes_a_few_times_its_text() {
    for elements in [
        "<a/>".repeat(3 * MIB / 4),
        "<a/><b/>".repeat(3 * MIB / 8),
        many(300_000, |index| format!("<e{index:x}/>")),
    ] {
        let cost = check_memory(format!("<feed><entry>{elements}</entry></feed>"), 50);
        assert_eq!(cost.items, 1);
    }
}

/// Without that, each of them holds an item or an envelope of 3 MiB.
#[test]
fn pages_in_flight_share_a_fixed_number_of_bytes() {
    let large = format!("\"{}\"", "x".repeat(3 * MIB));
    let small = format!("[{}0]", "0,".repeat(3 * MIB / 2));
    for around in [false, true] {
        for value in [&large, &small] {
            let value = value.clone();
            let server = Server::start(move |request| {
                let page = request.page();
                Reply::json(if page > 24 {
                    "{\"items\":[]}".to_owned()
                } else if around {
                    format!("{{\"o\":{{\"x\":{value}}},\"items\":[{page}]}}")
                } else {
                    format!("{{\"items\":[{page},{value}]}}")
                })
            });
            let cost = Measured::walk(&server).set(IN_FLIGHT, "64").cost();
            assert!(cost.mib < 80, "{cost:?}");
            assert_eq!(cost.items, if around { 24 } else { 48 }, "{cost:?}");
        }
    }
}
