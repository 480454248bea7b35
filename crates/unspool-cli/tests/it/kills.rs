//! SIGKILL at random moments, and the same command again: for every sink, what is durable is
//! a prefix of what an undisturbed run writes, at each kill, and all of it at the end.
//!
//! A sink is one line in `SINKS`. Each is killed 8 times; `UNSPOOL_KILLS=N` makes it N.

use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::each;
use crate::read_back::{self, Whole};
use crate::read_tables;
use crate::server::dialect::Protocol::Anthropic;
use crate::server::{Reply, Request, Server};
use crate::{run, unspool};

/// Pages, and items on each.
const PAGES: u64 = 40;
const SIZE: u64 = 50;

/// A sink that is killed.
struct Sink {
    name: &'static str,
    /// What `--to` gets, where this folder is the run's own.
    to: fn(&Path) -> String,
    flags: &'static [&'static str],
    /// The items that are durable, as a run that resumes sees it; nothing is changed.
    durable: fn(&Path) -> Vec<Value>,
    /// The items that others see once a run has ended.
    all: fn(&Path) -> Vec<Value>,
}

/// A sink that is one file, whose state is beside it.
macro_rules! file {
    ($extension:literal) => {
        Sink {
            name: $extension,
            to: |folder| format!("{}/items.{}", folder.display(), $extension),
            flags: &["--resume"],
            durable: |folder| {
                let target = folder.join(concat!("items.", $extension));
                read_back::durable(
                    &target,
                    &folder.join(concat!("items.", $extension, ".state")),
                )
            },
            all: |folder| read_back::items(&folder.join(concat!("items.", $extension)), Whole::Yes),
        }
    };
}

/// A sink that is a table of a SQLite file.
macro_rules! sqlite {
    ($name:literal, $flags:expr) => {
        Sink {
            name: $name,
            to: |folder| format!("sqlite:{}/items.db#items", folder.display()),
            flags: $flags,
            durable: |folder| read_tables::sqlite(&folder.join("items.db")),
            all: |folder| read_tables::sqlite(&folder.join("items.db")),
        }
    };
}

/// A sink that is a table of a PostgreSQL database.
#[cfg(unix)]
macro_rules! postgres {
    ($name:literal, $flags:expr) => {
        Sink {
            name: $name,
            to: postgres_of,
            flags: $flags,
            durable: |folder| read_tables::postgres(&table_of(folder)),
            all: |folder| read_tables::postgres(&table_of(folder)),
        }
    };
}

/// All sinks that resume. To add one: a line here.
static SINKS: &[Sink] = &[
    file!("jsonl"),
    file!("jsonl.gz"),
    file!("jsonl.zst"),
    file!("json"),
    file!("json.zst"),
    file!("csv"),
    file!("csv.zst"),
    sqlite!("sqlite", &[]),
    sqlite!("sqlite, with a key", &["--key", "id"]),
    #[cfg(unix)]
    postgres!("postgres", &[]),
    #[cfg(unix)]
    postgres!("postgres, with a key", &["--key", "id"]),
    Sink {
        name: "parquet",
        to: |folder| format!("{}/items.parquet", folder.display()),
        flags: &["--resume"],
        durable: |folder| {
            let target = folder.join("items.parquet");
            read_tables::durable_parquet(&target, &folder.join("items.parquet.state"))
        },
        all: |folder| read_tables::parquet(&folder.join("items.parquet")),
    },
];

/// The target of a run in the PostgreSQL server.
#[cfg(unix)]
fn postgres_of(folder: &Path) -> String {
    let server = crate::server::Postgres::shared().unwrap();
    format!("{}#{}", server.address("postgres"), table_of(folder))
}

/// The table of a run in the PostgreSQL server that the tests share.
#[cfg(unix)]
fn table_of(folder: &Path) -> String {
    let name = folder.file_name().unwrap().to_string_lossy();
    let letters = name.chars().filter(char::is_ascii_alphanumeric);
    format!("t{}", letters.collect::<String>().to_ascii_lowercase())
}

#[test]
fn what_is_durable_is_a_prefix_at_every_kill_and_all_of_it_at_the_end() {
    let kills = std::env::var("UNSPOOL_KILLS").map_or(8, |kills| kills.parse().unwrap());
    let seed = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
    println!("seed {seed}");
    #[cfg(unix)]
    let server = crate::server::Postgres::shared().map_err(|why| println!("skipped: {why}"));
    #[cfg(unix)]
    let is_there = |sink: &&Sink| server.is_ok() || !sink.name.starts_with("postgres");
    #[cfg(not(unix))]
    let is_there = |_: &&Sink| true;
    let sinks: Vec<&Sink> = SINKS.iter().filter(is_there).collect();
    let threads: Vec<_> = (sinks.iter().copied().zip(1..))
        .map(|(sink, number)| {
            let random = Random::new(seed.wrapping_mul(number));
            std::thread::spawn(move || disturb(sink, kills, random))
        })
        .collect();
    let failed: Vec<_> = (sinks.iter().zip(threads))
        .filter_map(|(sink, thread)| thread.join().is_err().then_some(sink.name))
        .collect();
    assert!(failed.is_empty(), "{failed:?} with seed {seed}");
}

/// Kills runs into a sink, each followed by the same command, until there were enough.
fn disturb(sink: &Sink, kills: u64, mut random: Random) {
    let expected: Vec<Value> = (0..PAGES * SIZE).map(item).collect();
    let server = misbehaving(random.next());
    let url = server.url("/items");
    let mut done = 0;
    let mut resumed = 0;
    let mut longest = 600;
    while done < kills {
        let folder = tempfile::tempdir().unwrap();
        let to = (sink.to)(folder.path());
        let fixed = [
            "pages",
            &url,
            "--to",
            &to,
            "--checkpoint",
            "20ms",
            "--retries",
            "20",
        ];
        let args = [&fixed, sink.flags].concat();
        let mut before = 0;
        while done < kills && is_killed(&args, &[0], longest, &mut random) {
            done += 1;
            let durable = (sink.durable)(folder.path());
            assert!(
                durable.len() >= before,
                "{}: {before}, then {}",
                sink.name,
                durable.len()
            );
            assert_eq!(durable, expected[..durable.len()], "{}", sink.name);
            resumed += u64::from(!durable.is_empty());
            // A busy machine needs longer for the first checkpoint.
            if durable.len() == before {
                longest = (longest * 2).min(20_000);
            }
            before = durable.len();
        }
        let (code, _, words) = run(&args);
        assert_eq!(code, 0, "{}: {words}", sink.name);
        assert_eq!((sink.all)(folder.path()), expected, "{}", sink.name);
    }
    assert!(resumed > 0, "{}: nothing was ever resumed", sink.name);
}

#[test]
fn a_question_for_each_record_is_answered_once_however_often_it_is_killed() {
    const RECORDS: u64 = 400;
    /// The record whose question fails.
    const WRONG: &str = "17";
    /// A record failed; a run that was killed after its end leaves that to the next one to say.
    const CODES: [i32; 2] = [1, 3];
    let kills = std::env::var("UNSPOOL_KILLS").map_or(8, |kills| kills.parse().unwrap());
    let seed = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
    println!("seed {seed}");
    let mut random = Random::new(seed);
    let count = AtomicU64::new(seed);
    let server = Server::start(move |request| {
        let random = Random::new(count.fetch_add(1, Relaxed)).next();
        let prompt = each::prompt(request);
        match random % 24 {
            _ if prompt == WRONG => Reply::status(400).body("wrong"),
            0 => Reply::status(503).header("retry-after", 0).body("busy"),
            1 => Anthropic.script().begin().text("half").cut(),
            _ => each::answer(&prompt, Duration::from_millis(random / 100 % 16)),
        }
    });
    let mut done = 0;
    let mut resumed = 0;
    while done < kills {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let (input, to, failed) = (path("in.ndjson"), path("out.jsonl"), path("failed.jsonl"));
        let lines = (0..RECORDS).map(|number| format!("{{\"n\":{number}}}\n"));
        std::fs::write(&input, lines.collect::<String>()).unwrap();
        let url = server.url("");
        let asked = [
            "ask",
            "--base-url",
            &url,
            "--each",
            &input,
            "--template",
            "{n}",
        ];
        let into = [
            "--to",
            &to,
            "--resume",
            "--failed",
            &failed,
            "--checkpoint",
            "20ms",
        ];
        let args = [&asked[..], &into, &["--in-flight", "4", "--retries", "20"]].concat();
        let durable = || read_back::durable(Path::new(&to), Path::new(&path("out.jsonl.state")));
        let mut before = 0;
        while done < kills && is_killed(&args, &CODES, 600, &mut random) {
            done += 1;
            let durable = durable();
            assert!(durable.len() >= before, "{before}, then {}", durable.len());
            check_answers(&durable, WRONG);
            before = durable.len();
            resumed += u64::from(before > 0);
        }
        let (code, _, words) = run(&args);
        assert!(CODES.contains(&code), "{code}: {words}");
        let rows = read_back::items(Path::new(&to), Whole::Yes);
        assert_eq!(rows.len() as u64, RECORDS);
        check_answers(&rows, WRONG);
        let failed = read_back::items(Path::new(&failed), Whole::Yes);
        assert_eq!(failed, rows[17..18]);
    }
    assert!(resumed > 0, "nothing was ever resumed");
}

/// Whether these are the first records, each with its own answer.
fn check_answers(rows: &[Value], wrong: &str) {
    for (row, number) in rows.iter().zip(0..) {
        assert_eq!(row["record"]["n"], number, "{row}");
        let number = number.to_string();
        let is_wrong = number == wrong;
        assert_eq!(
            row["answer"].as_str(),
            Some(&*number).filter(|_| !is_wrong),
            "{row}"
        );
        assert_eq!(row["error"].is_null(), !is_wrong, "{row}");
    }
}

/// Runs a command and kills it after a random time of so many milliseconds at most; false where
/// it had ended by then, with one of these codes.
fn is_killed(args: &[&str], codes: &[i32], longest: u64, random: &mut Random) -> bool {
    let mut child = unspool(args).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(20 + random.next() % longest));
    if let Some(status) = child.try_wait().unwrap() {
        let is_expected = status.code().is_some_and(|code| codes.contains(&code));
        assert!(is_expected, "{args:?} ended with {status}");
        return false;
    }
    child.kill().unwrap();
    // It may have ended in the moment before.
    child.wait().unwrap().code().is_none()
}

/// An item as the server gives it.
fn item(number: u64) -> Value {
    let text = "é\"\\ and ".repeat(number as usize % 30);
    serde_json::json!({"id": number, "text": text, "ratio": number as f64 / 8.0, "tags": [number % 7]})
}

/// A server that is slow, refuses requests and cuts bodies, now and then.
fn misbehaving(seed: u64) -> Server {
    let count = AtomicU64::new(seed);
    Server::start(move |request| {
        let random = Random::new(count.fetch_add(1, Relaxed)).next();
        let slow = Duration::from_millis(random / 100 % 8);
        match random % 24 {
            0 => Reply::status(503).header("retry-after", 0).body("busy"),
            1 => page(request, |reply, body| {
                reply.cut(&body[..body.len() / 2], body.len())
            }),
            2 => Reply::drop_connection(),
            _ => page(request, |reply, body| {
                reply
                    .header("content-length", body.len())
                    .pause(slow)
                    .send(body)
            }),
        }
    })
}

/// A page, whose body is sent in the way that is said.
fn page(request: &Request, send: impl FnOnce(Reply, String) -> Reply) -> Reply {
    let number = request.page();
    let items: Vec<Value> = ((number - 1) * SIZE..number * SIZE).map(item).collect();
    let body = Value::from(items).to_string();
    let mut reply = Reply::status(200).header("content-type", "application/json");
    if number < PAGES {
        reply = reply.header(
            "link",
            format!("</items?page={}>; rel=\"next\"", number + 1),
        );
    }
    send(reply, body)
}

/// Numbers that look random (SplitMix64).
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Random(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
