//! SIGKILL at random moments, and the same command again: for every sink, what is durable is
//! a prefix of what an undisturbed run writes, at each kill, and all of it at the end.
//!
//! A sink is one line in `SINKS`, a source with a sink one in `runs`. Each is killed 8 times, and
//! a query into each of them twice; `UNSPOOL_KILLS=N` makes both N.

use std::any::Any;
use std::io::{Read, Seek};
use std::path::Path;
use std::process::Stdio;
use std::sync::Mutex;
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
    sqlite!("sqlite, with a key", KEYED),
    #[cfg(unix)]
    postgres!("postgres", &[]),
    #[cfg(unix)]
    postgres!("postgres, with a key", KEYED),
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

/// What a sink whose table has a key is given; not by a query, which has one already.
const KEYED: &[&str] = &["--key", "id"];

/// A source that is pulled.
struct Source {
    name: &'static str,
    /// An upstream of its own, which holds the items.
    start: fn(seed: u64) -> Upstream,
    /// How often it is killed, where nothing else is said.
    kills: u64,
    /// What makes the key that of a table.
    keyed: &'static [&'static str],
}

/// What is pulled from, and the command that does so.
struct Upstream {
    args: Vec<String>,
    /// Whatever has to stay there meanwhile.
    _kept: Box<dyn Any>,
}

static FROM_PAGES: Source = Source {
    name: "pages",
    kills: 8,
    keyed: KEYED,
    start: |seed| {
        let server = misbehaving(seed);
        Upstream::new(&["pages", &server.url("/items")], server)
    },
};

static FROM_SQLITE: Source = Source {
    name: "rows of SQLite",
    kills: 2,
    keyed: &["--upsert"],
    start: |_| rows_of_sqlite(),
};

#[cfg(unix)]
static FROM_POSTGRES: Source = Source {
    name: "rows of postgres",
    kills: 2,
    keyed: &["--upsert"],
    start: |_| rows_of_postgres(),
};

#[cfg(unix)]
static FROM_MARIADB: Source = Source {
    name: "rows of MariaDB",
    kills: 2,
    keyed: &["--upsert"],
    start: |_| rows_of_mariadb(),
};

static FROM_FEED: Source = Source {
    name: "events",
    kills: 8,
    keyed: KEYED,
    start: |seed| {
        let server = cut_feed(seed);
        Upstream::new(&["events", &server.url("/feed")], server)
    },
};

static FROM_LONG_POLL: Source = Source {
    name: "events by long polling",
    kills: 8,
    keyed: KEYED,
    start: |seed| {
        let server = forgetful(seed);
        let last = format!("/id={}", PAGES * SIZE - 1);
        let url = server.url("/updates");
        let args = ["events", &url, "--cursor", "/next", "--resume-as", "since"];
        let more = ["--items", "/items", "--until", &last];
        Upstream::new(&[&args[..], &more].concat(), server)
    },
};

/// All that is killed: a source and a sink each. To add one: a line here.
fn runs() -> Vec<(&'static Source, &'static Sink)> {
    let sink = |name: &str| SINKS.iter().find(|sink| sink.name == name).unwrap();
    let into_all = |source| SINKS.iter().map(move |sink| (source, sink));
    let mut runs: Vec<(&Source, &Sink)> = into_all(&FROM_PAGES).collect();
    runs.extend(into_all(&FROM_SQLITE));
    runs.extend([
        (&FROM_FEED, sink("jsonl")),
        (&FROM_FEED, sink("sqlite")),
        (&FROM_LONG_POLL, sink("jsonl")),
        (&FROM_LONG_POLL, sink("sqlite")),
    ]);
    #[cfg(unix)]
    runs.extend(into_all(&FROM_POSTGRES).chain(into_all(&FROM_MARIADB)));
    runs
}

/// How many of them run at a time.
const AT_A_TIME: usize = 24;

#[test]
fn what_is_durable_is_a_prefix_at_every_kill_and_all_of_it_at_the_end() {
    let kills = std::env::var("UNSPOOL_KILLS").ok();
    let kills = kills.map(|kills| kills.parse().unwrap());
    let seed = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
    println!("seed {seed}");
    // Held until the end: a server ends with the last who has it.
    #[cfg(unix)]
    let servers = (
        crate::server::Postgres::shared().map_err(|why| println!("skipped: {why}")),
        crate::server::MariaDb::shared().map_err(|why| println!("skipped: {why}")),
    );
    #[cfg(unix)]
    let (has_postgres, has_mariadb) = (servers.0.is_ok(), servers.1.is_ok());
    #[cfg(not(unix))]
    let (has_postgres, has_mariadb) = (false, false);
    let runs = (runs().into_iter().zip(1..))
        .map(|((source, sink), number)| {
            let name = format!("{} into {}", source.name, sink.name);
            (name, source, sink, number)
        })
        .filter(|(name, ..)| has_postgres || !name.contains("postgres"))
        .filter(|(name, ..)| has_mariadb || !name.contains("MariaDB"));
    let runs = Mutex::new(runs);
    let work = || {
        let mut failed = Vec::new();
        loop {
            let next = runs.lock().unwrap().next();
            let Some((name, source, sink, number)) = next else {
                return failed;
            };
            let random = Random::new(seed.wrapping_mul(number));
            let kills = kills.unwrap_or(source.kills);
            let run = || disturb(&name, source, sink, kills, random);
            if std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).is_err() {
                failed.push(name);
            }
        }
    };
    let names: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..AT_A_TIME).map(|_| scope.spawn(work)).collect();
        (threads.into_iter())
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    });
    assert!(names.is_empty(), "{names:?} with seed {seed}");
}

/// Kills runs into a sink, each followed by the same command, until there were enough.
fn disturb(name: &str, source: &Source, sink: &Sink, kills: u64, mut random: Random) {
    let expected: Vec<Value> = (0..PAGES * SIZE).map(item).collect();
    let mut done = 0;
    let mut resumed = 0;
    let mut longest = 600;
    // Also until one was killed after its first checkpoint, but not for ever.
    let is_due = |done: u64, resumed: u64| done < kills || resumed == 0 && done < kills + 20;
    while is_due(done, resumed) {
        let upstream = (source.start)(random.next());
        let folder = tempfile::tempdir().unwrap();
        let to = (sink.to)(folder.path());
        let mut args: Vec<&str> = upstream.args.iter().map(String::as_str).collect();
        args.extend(["--to", &to, "--checkpoint", "20ms", "--retries", "20"]);
        let is_keyed = sink.flags == KEYED;
        args.extend(if is_keyed { source.keyed } else { sink.flags });
        let mut before = 0;
        while is_due(done, resumed) && is_killed(&args, &[0], longest, &mut random) {
            done += 1;
            let durable: Vec<Value> = (sink.durable)(folder.path())
                .into_iter()
                .map(plain)
                .collect();
            assert!(
                durable.len() >= before,
                "{name}: {before}, then {}",
                durable.len()
            );
            assert_eq!(durable, expected[..durable.len()], "{name}");
            resumed += u64::from(!durable.is_empty());
            // A busy machine needs longer for the first checkpoint.
            if durable.len() == before {
                longest = (longest * 2).min(20_000);
            }
            before = durable.len();
        }
        // One that ended by itself was given too long.
        longest = (longest / 2).max(100);
        let (code, _, words) = run(&args);
        assert_eq!(code, 0, "{name}: {words}");
        let all: Vec<Value> = (sink.all)(folder.path()).into_iter().map(plain).collect();
        assert_eq!(all, expected, "{name}");
    }
    assert!(resumed > 0, "{name}: nothing was ever resumed");
}

impl Upstream {
    fn new(args: &[&str], kept: impl Any) -> Self {
        Upstream {
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            _kept: Box::new(kept),
        }
    }
}

/// An item as the server gives it: events hold it as a text, and a SQLite database has no
/// lists.
fn plain(mut item: Value) -> Value {
    if let Some(data) = item["data"].as_str() {
        item = serde_json::from_str(data).unwrap();
    }
    if let Some(tags) = item["tags"].as_str() {
        item["tags"] = serde_json::from_str(tags).unwrap();
    }
    item["ratio"] = Value::from(item["ratio"].as_f64().unwrap());
    item
}

/// The items in a table of a SQLite database, in a query that takes its time.
fn rows_of_sqlite() -> Upstream {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("source.db");
    let mut connection = rusqlite::Connection::open(&file).unwrap();
    let table = "create table items (id integer primary key, text text, ratio real, tags text)";
    connection.execute_batch(table).unwrap();
    let transaction = connection.transaction().unwrap();
    for item in (0..PAGES * SIZE).map(item) {
        let sql = "insert into items values (?, ?, ?, ?)";
        let values = (
            item["id"].as_i64(),
            item["text"].as_str(),
            item["ratio"].as_f64(),
            item["tags"].to_string(),
        );
        transaction.execute(sql, values).unwrap();
    }
    transaction.commit().unwrap();
    let sql = "select id, text, ratio, tags from items where 0 < (with recursive step (n) as \
               (select items.id union all select n + 1 from step where n < items.id + 1000) \
               select count(*) from step)";
    let args = [
        "rows",
        file.to_str().unwrap(),
        sql,
        "--key",
        "id",
        "--batch",
        "20",
    ];
    Upstream::new(&args, folder)
}

/// The items in a table of a PostgreSQL database, in a query that takes its time.
#[cfg(unix)]
fn rows_of_postgres() -> Upstream {
    let server = crate::server::Postgres::shared().unwrap();
    let database = server.database();
    let count = PAGES * SIZE;
    server.psql(
        &database,
        &format!(
            "create table items as select id, repeat('é\"\\ and ', (id % 30)::int) as text, \
             id / 8.0::float8 as ratio, json_build_array(id % 7) as tags \
             from generate_series(0::bigint, {count} - 1) as id; \
             alter table items add primary key (id); analyze items"
        ),
    );
    let sql = "select id, text, ratio, tags from items where pg_sleep(0.0005) is not null";
    Upstream::new(
        &["rows", &database, sql, "--key", "id", "--batch", "20"],
        server,
    )
}

/// The items in a table of a MariaDB database, in a query that takes its time.
#[cfg(unix)]
fn rows_of_mariadb() -> Upstream {
    let server = crate::server::MariaDb::shared().unwrap();
    let database = server.database();
    let last = PAGES * SIZE - 1;
    server.sql(
        &database,
        &format!(
            "create table items (id bigint primary key, text text, ratio double, tags json) \
             as select seq as id, repeat('é\"\\\\ and ', seq mod 30) as text, \
             cast(seq as double) / 8 as ratio, json_array(seq mod 7) as tags from seq_0_to_{last}"
        ),
    );
    let sql = "select id, text, ratio, tags from items where sleep(0.0005) = 0";
    let args = ["rows", &database, sql, "--key", "id", "--batch", "20"];
    Upstream::new(&args, server)
}

/// A feed that numbers its events, and whose connections are cut, mostly inside of an event.
fn cut_feed(seed: u64) -> Server {
    let count = AtomicU64::new(seed);
    Server::start(move |request| {
        let random = Random::new(count.fetch_add(1, Relaxed)).next();
        let after: u64 = (request.header("last-event-id")).map_or(0, |id| id.parse().unwrap());
        let until = (PAGES * SIZE).min(after + random / 100 % 200);
        let event = |number: u64| format!("id: {number}\ndata: {}\n\n", item(number - 1));
        match random % 8 {
            0 => Reply::drop_connection(),
            _ if after == PAGES * SIZE => Reply::status(204),
            _ => {
                let events: Vec<String> = (after + 1..=until).map(event).collect();
                let (begin, end) = events.split_at(events.len() / 2);
                let cut = event(until + 1);
                let middle = (cut.len() / 2..).find(|at| cut.is_char_boundary(*at));
                Reply::status(200)
                    .header("content-type", "text/event-stream")
                    .chunked()
                    .chunk(": hello\n\n")
                    .chunk(begin.concat() + ": half\n\n")
                    .pause(Duration::from_millis(random / 1000 % 40))
                    .chunk(end.concat() + &cut[..middle.unwrap()])
                    .close()
            }
        }
    })
}

/// A server that forgets what it was told that its client has.
fn forgetful(seed: u64) -> Server {
    let count = AtomicU64::new(seed);
    let forgotten = AtomicU64::new(0);
    Server::start(move |request| {
        let random = Random::new(count.fetch_add(1, Relaxed)).next();
        let since = (request.query("since")).map_or(0, |since| since.parse().unwrap());
        let begin = forgotten.fetch_max(since, Relaxed).max(since);
        if random.is_multiple_of(12) {
            return Reply::drop_connection();
        }
        let next = (PAGES * SIZE).min(begin + random / 100 % 60);
        let items: Vec<Value> = (begin..next).map(item).collect();
        let answer = serde_json::json!({"items": items, "next": next.to_string()});
        let body = answer.to_string();
        Reply::status(200)
            .header("content-type", "application/json")
            .header("content-length", body.len())
            .pause(Duration::from_millis(random / 10_000 % 20))
            .send(body)
    })
}

#[test]
fn a_question_for_each_record_is_answered_once_however_often_it_is_killed() {
    const RECORDS: u64 = 400;
    /// The record whose question fails.
    const WRONG: &str = "17";
    /// A record failed.
    const CODES: [i32; 1] = [1];
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
    let mut longest = 600;
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
        while done < kills && is_killed(&args, &CODES, longest, &mut random) {
            done += 1;
            let durable = durable();
            assert!(durable.len() >= before, "{before}, then {}", durable.len());
            check_answers(&durable, WRONG);
            resumed += u64::from(!durable.is_empty());
            // A busy machine needs longer for the first checkpoint.
            if durable.len() == before {
                longest = (longest * 2).min(20_000);
            }
            before = durable.len();
        }
        longest = (longest / 2).max(100);
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

#[cfg(unix)]
#[test]
fn a_database_server_that_is_killed_leaves_a_prefix_and_the_same_command_goes_on() {
    const CRASHES: u64 = 3;
    let server = match crate::server::Postgres::start() {
        Ok(server) => server,
        Err(why) if std::env::var_os("CI").is_none() => return println!("skipped: {why}"),
        Err(why) => panic!("{why}"),
    };
    let address = server.database();
    let seed = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
    println!("seed {seed}");
    let mut random = Random::new(seed);
    let expected: Vec<Value> = (0..PAGES * SIZE).map(item).collect();
    let rows = |table: &str| -> Vec<Value> {
        let is_there = format!("select to_regclass('{table}') is not null");
        if server.psql(&address, &is_there) != "t\n" {
            return Vec::new();
        }
        let sql = format!("select row_to_json(t) from {table} t order by id");
        let rows = server.psql(&address, &sql);
        let row = |line: &str| plain(serde_json::from_str(line).unwrap());
        rows.lines().map(row).collect()
    };
    let (mut crashes, mut table) = (0, String::new());
    let mut args = Vec::new();
    let upstream = misbehaving(seed);
    let url = upstream.url("/items");
    loop {
        if args.is_empty() {
            table = format!("t{crashes}");
            args = [
                "pages",
                &url,
                "--checkpoint",
                "20ms",
                "--retries",
                "20",
                "--to",
            ]
            .map(str::to_owned)
            .to_vec();
            args.push(format!("{address}#{table}"));
        }
        let args_now: Vec<&str> = args.iter().map(String::as_str).collect();
        let child = unspool(&args_now).stderr(Stdio::piped()).spawn().unwrap();
        if crashes < CRASHES {
            std::thread::sleep(Duration::from_millis(20 + random.next() % 600));
            server.crash();
            crashes += 1;
        }
        let output = child.wait_with_output().unwrap();
        let words = String::from_utf8_lossy(&output.stderr);
        let durable = rows(&table);
        assert_eq!(durable, expected[..durable.len()], "{words}");
        match output.status.code() {
            Some(1) => {}
            Some(0) => {
                assert_eq!(durable, expected, "{words}");
                if crashes == CRASHES {
                    return;
                }
                args.clear();
            }
            code => panic!("{code:?}: {words}"),
        }
    }
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
    // A file, as a pipe that is full would stop it.
    let mut words = tempfile::tempfile().unwrap();
    let stderr = words.try_clone().unwrap();
    let mut child = unspool(args).stderr(stderr).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(20 + random.next() % longest));
    if let Some(status) = child.try_wait().unwrap() {
        let mut said = String::new();
        words.rewind().unwrap();
        words.read_to_string(&mut said).unwrap();
        let is_expected = status.code().is_some_and(|code| codes.contains(&code));
        assert!(is_expected, "{args:?} ended with {status}: {said}");
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
