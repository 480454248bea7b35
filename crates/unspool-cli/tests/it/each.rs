//! `unspool ask --each`: a question for each record of a file.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use serde_json::{Value, json};

use crate::server::dialect::{Protocol::Anthropic, Reason};
use crate::server::{Reply, Request, Server};
use crate::{run, unspool};

/// What an answer of the server takes: 9 tokens in, 7 out.
const TOKENS: u64 = 16;

/// The last message of a question.
pub(crate) fn prompt(request: &Request) -> String {
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    let messages = body["messages"].as_array().unwrap();
    let content = &messages.last().unwrap()["content"];
    content.as_str().unwrap().to_owned()
}

/// A whole answer with this text, and nothing but its begin before so much time.
pub(crate) fn answer(text: &str, after: Duration) -> Reply {
    let script = Anthropic.script().begin().pause(after).text(text);
    script.reason(Reason::End).mark(Reason::End).end()
}

/// A server that says the prompt in capitals.
fn shouting() -> Server {
    Server::start(|request| answer(&prompt(request).to_uppercase(), Duration::ZERO))
}

/// A folder with an input, where the targets go.
struct Folder(tempfile::TempDir);

impl Folder {
    fn with(input: &str) -> Self {
        let folder = Folder(tempfile::tempdir().unwrap());
        std::fs::write(folder.path("in.ndjson"), input).unwrap();
        folder
    }

    /// Records with the texts `r1`, `r2` and so on.
    fn of(records: u64) -> Self {
        let lines = (1..=records).map(|number| format!("{{\"text\":\"r{number}\"}}\n"));
        Folder::with(&lines.collect::<String>())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    fn ask(&self, server: &Server, flags: &[&str]) -> (i32, Vec<String>, String) {
        self.ask_with(server, "{text}", flags)
    }

    fn ask_with(
        &self,
        server: &Server,
        template: &str,
        flags: &[&str],
    ) -> (i32, Vec<String>, String) {
        let (url, input) = (server.url(""), self.text("in.ndjson"));
        let fixed = ["ask", "--base-url", &url, "--each", &input];
        run(&[&fixed[..], &["--template", template], flags].concat())
    }
}

fn rows(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    lines.collect()
}

fn records(rows: &[Value]) -> Vec<&str> {
    let texts = rows.iter().map(|row| row["record"]["text"].as_str());
    texts.map(Option::unwrap).collect()
}

#[test]
fn each_record_is_written_with_its_answer() {
    let folder = Folder::with("{\"text\": \"a\", \"n\": 1.0e400}\n\n{\"text\":\"b\"}");
    let (code, lines, words) = folder.ask_with(&shouting(), "say {{{text}}}", &[]);
    assert_eq!(code, 0, "{words}");
    assert_eq!(
        lines,
        [
            r#"{"record":{"text": "a", "n": 1.0e400},"answer":"SAY {A}","error":null,"stop":"end","usage":{"input_tokens":9,"output_tokens":7}}"#,
            r#"{"record":{"text":"b"},"answer":"SAY {B}","error":null,"stop":"end","usage":{"input_tokens":9,"output_tokens":7}}"#,
        ]
    );
    assert!(
        words.starts_with("unspool: complete: 2 records, 32 tokens (18 in), 2 requests, "),
        "{words}"
    );
}

#[test]
fn answers_come_in_the_order_of_the_records_though_several_are_on_their_way() {
    // The first of four can end only after the fourth has been asked for.
    let (first, gate) = Anthropic.script().begin().gate();
    let first = first.text("r1").reason(Reason::End).mark(Reason::End).end();
    let held = Mutex::new((Some(first), gate));
    let server = Server::start(move |request| match prompt(request).as_str() {
        "r1" => held.lock().unwrap().0.take().unwrap(),
        "r4" => {
            held.lock().unwrap().1.send(()).unwrap();
            answer("r4", Duration::ZERO)
        }
        prompt => answer(prompt, Duration::ZERO),
    });
    let (code, lines, words) = Folder::of(8).ask(&server, &["--in-flight", "4"]);
    assert_eq!(code, 0, "{words}");
    let rows: Vec<Value> = (lines.iter())
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let expected: Vec<String> = (1..=8).map(|number| format!("r{number}")).collect();
    assert_eq!(records(&rows), expected);
    assert!(
        rows.iter()
            .all(|row| row["answer"] == row["record"]["text"])
    );
}

#[test]
fn an_answer_that_breaks_off_is_asked_for_again_and_one_that_fails_has_its_reason() {
    let tries = Mutex::new(0);
    let server = Server::start(move |request| match prompt(request).as_str() {
        "r1" => {
            let mut tries = tries.lock().unwrap();
            *tries += 1;
            match *tries {
                1 => Anthropic.script().begin().text("half").cut(),
                2 => Reply::status(503).header("retry-after", 0).body("busy"),
                _ => answer("whole", Duration::ZERO),
            }
        }
        "r2" => Reply::status(400).body("no such thing"),
        "r3" => {
            let script = Anthropic.script().begin().text("cut");
            let script = script.reason(Reason::TokenLimit);
            script.mark(Reason::TokenLimit).end()
        }
        _ => answer("well", Duration::ZERO),
    });
    let folder = Folder::of(4);
    let (to, failed) = (folder.text("out.jsonl"), folder.text("failed.jsonl"));
    let (code, _, words) = folder.ask(&server, &["--to", &to, "--failed", &failed]);
    assert_eq!(code, 1, "{words}");
    assert!(
        words.contains("doubt: the question failed for 1 record"),
        "{words}"
    );
    let rows = rows(Path::new(&to));
    assert_eq!(records(&rows), ["r1", "r2", "r3", "r4"]);
    assert_eq!(
        (&rows[0]["answer"], &rows[0]["error"]),
        (&json!("whole"), &Value::Null)
    );
    assert_eq!(
        (&rows[1]["answer"], &rows[1]["stop"]),
        (&Value::Null, &json!("failed"))
    );
    assert!(
        rows[1]["error"].as_str().unwrap().contains("400"),
        "{}",
        rows[1]
    );
    assert_eq!(
        (&rows[2]["answer"], &rows[2]["stop"]),
        (&json!("cut"), &json!("max-tokens"))
    );
    assert_eq!(self::rows(Path::new(&failed)), rows[1..3]);
    assert_eq!(server.targets().len(), 6);
}

#[test]
fn a_complete_target_exits_as_the_run_did_that_completed_it() {
    let limited = |_: &Request| {
        let script = Anthropic.script().told().reason(Reason::TokenLimit);
        script.mark(Reason::TokenLimit).end()
    };
    let refused = |_: &Request| Reply::status(400).body("no such thing");
    for (server, expected) in [
        (Server::start(limited), 4),
        (Server::start(refused), 1),
        (shouting(), 0),
    ] {
        let folder = Folder::of(2);
        let to = folder.text("out.jsonl");
        for _ in 0..2 {
            let (code, _, words) = folder.ask(&server, &["--to", &to, "--resume"]);
            assert_eq!(code, expected, "{words}");
        }
        assert_eq!(server.targets().len(), 2);
    }
}

#[test]
fn records_that_failed_are_asked_about_again_and_no_others() {
    let is_well = AtomicBool::new(false);
    let server = Server::start(move |request| {
        let prompt = prompt(request);
        if prompt == "r5" || prompt == "r2" && !is_well.swap(true, Relaxed) {
            return Reply::status(400).body("no such thing");
        }
        answer(&prompt, Duration::ZERO)
    });
    let folder = Folder::of(6);
    let (to, failed) = (folder.text("out.jsonl"), folder.text("failed.jsonl"));
    let flags = ["--to", &to, "--resume", "--failed", &failed];
    assert_eq!(folder.ask(&server, &flags).0, 1);
    assert_eq!(records(&rows(Path::new(&failed))), ["r2", "r5"]);

    let (url, again, still) = (
        server.url(""),
        folder.text("again.jsonl"),
        folder.text("still.jsonl"),
    );
    let asked = ["ask", "--base-url", &url, "--each", &failed, "--again"];
    let into = ["--template", "{text}", "--to", &again, "--failed", &still];
    let (code, _, words) = run(&[&asked[..], &into].concat());
    assert_eq!(code, 1, "{words}");
    let rows_again = rows(Path::new(&again));
    assert_eq!(records(&rows_again), ["r2", "r5"]);
    assert_eq!(rows_again[0]["answer"], "r2");
    assert_eq!(rows(Path::new(&still)), rows_again[1..]);
    assert_eq!(server.targets().len(), 8);

    let input = folder.text("in.ndjson");
    let asked = ["ask", "--base-url", &url, "--each", &input, "--again"];
    let (code, _, words) = run(&[&asked[..], &["--template", "{text}"]].concat());
    assert_eq!(code, 2, "{words}");
    assert!(words.contains("is no row of an earlier run"), "{words}");
}

#[test]
fn a_run_gives_up_after_failures_in_a_row_that_are_alike() {
    let server = Server::start(|request| match prompt(request).as_str() {
        "r1" | "r2" | "r4" | "r5" | "r8" => Reply::status(400).body("too long"),
        "r3" => answer("well", Duration::ZERO),
        _ => Reply::status(403).body("not you"),
    });
    let folder = Folder::of(100);
    let to = folder.text("out.jsonl");
    let flags = ["--to", &to, "--resume", "--give-up-after", "3"];
    let (code, _, words) = folder.ask(&server, &flags);
    assert_eq!(code, 1, "{words}");
    let error = "gave up after 3 records in a row whose question failed in the same way";
    assert!(words.contains(error), "{words}");
    assert!(words.contains("403"), "{words}");
    // Those of 4 and 5, of 6 and 7, and of 8 are not alike.
    assert_eq!(rows(Path::new(&to)).len(), 11);
    assert_eq!(server.targets().len(), 11);
    let (code, _, words) = folder.ask(&server, &["--to", &folder.text("b.jsonl")]);
    assert_eq!(code, 1, "{words}");
    assert_eq!(rows(&folder.path("b.jsonl")).len(), 18, "10 by default");
}

#[test]
fn a_token_limit_alone_is_exit_code_4() {
    let server = Server::start(|_| {
        let script = Anthropic.script().told().reason(Reason::TokenLimit);
        script.mark(Reason::TokenLimit).end()
    });
    let (code, lines, words) = Folder::of(2).ask(&server, &[]);
    assert_eq!((code, lines.len()), (4, 2), "{words}");
    assert!(words.contains("2 not whole"), "{words}");
}

#[test]
fn what_would_fail_for_every_record_ends_the_run() {
    let server = Server::start(|_| Reply::status(401).body("who are you?"));
    let (code, lines, words) = Folder::of(5).ask(&server, &["--in-flight", "1"]);
    assert_eq!((code, lines.len()), (1, 0), "{words}");
    assert_eq!(server.targets().len(), 1);
}

#[track_caller]
fn check_refused(input: &str, template: &str, expected: &[&str]) {
    let server = shouting();
    let (code, lines, words) = Folder::with(input).ask_with(&server, template, &[]);
    assert_eq!((code, lines.len()), (2, 0), "{words}");
    for part in expected {
        assert!(words.contains(part), "{part} in {words}");
    }
    assert_eq!(server.targets().len(), 0, "nothing is asked");
}

#[test]
fn what_is_wrong_with_the_input_is_said_before_anything_is_asked() {
    let good = "{\"text\":\"a\"}\n\n";
    check_refused(
        &format!("{good}{{\"other\":1}}\n"),
        "{text}",
        &["record 2 (line 3)", "`{text}`", "no member `text`"],
    );
    check_refused(
        &format!("{good}{{\"text\":"),
        "{text}",
        &["record 2 (line 3)", "no JSON"],
    );
    check_refused(
        &format!("{good}7"),
        "{text}",
        &["record 2 (line 3)", "`7` has no member"],
    );
    check_refused(good, "{text", &["lone `{`"]);
    check_refused("{\"text\":\" \"}", "{text}", &["record 1", "empty prompt"]);
}

#[test]
fn records_need_not_be_objects_and_there_may_be_none() {
    let folder = Folder::with("\"one\"\n[2]\n");
    let (code, lines, words) = folder.ask_with(&shouting(), "{}", &[]);
    assert_eq!((code, lines.len()), (0, 2), "{words}");
    assert!(
        lines[0].starts_with(r#"{"record":"one","answer":"ONE""#),
        "{}",
        lines[0]
    );
    assert!(
        lines[1].starts_with(r#"{"record":[2],"answer":"[2]""#),
        "{}",
        lines[1]
    );
    let server = shouting();
    let folder = Folder::with("");
    let (code, lines, words) = folder.ask(&server, &["--to", &folder.text("o.jsonl"), "--resume"]);
    assert_eq!((code, lines.len()), (0, 0), "{words}");
    assert_eq!(std::fs::read(folder.path("o.jsonl")).unwrap(), b"");
    assert_eq!(server.targets().len(), 0);
}

#[test]
fn a_limit_of_tokens_stops_cleanly_and_a_larger_one_goes_on() {
    let (server, folder) = (shouting(), Folder::of(6));
    let to = folder.text("out.jsonl");
    let limited = |limit: u64| {
        let limit = limit.to_string();
        folder.ask(
            &server,
            &["--to", &to, "--resume", "--max-tokens-total", &limit],
        )
    };
    let (code, _, words) = limited(2 * TOKENS);
    assert_eq!(code, 4, "{words}");
    assert!(
        words.contains("tokens that it may use are used, with 4 records left"),
        "{words}"
    );
    assert_eq!(records(&rows(Path::new(&to))), ["r1", "r2"]);
    // What earlier runs used counts.
    let (code, _, words) = limited(2 * TOKENS);
    assert_eq!((code, server.targets().len()), (4, 2), "{words}");
    let (code, _, words) = limited(1000);
    assert_eq!(code, 0, "{words}");
    let rows = rows(Path::new(&to));
    assert_eq!(records(&rows), ["r1", "r2", "r3", "r4", "r5", "r6"]);
    assert_eq!(server.targets().len(), 6);
    assert!(words.contains("96 tokens (54 in)"), "{words}");
}

#[test]
fn a_limit_of_cost_needs_a_price_and_stops() {
    let (server, folder) = (shouting(), Folder::of(6));
    let (code, _, words) = folder.ask(&server, &["--max-cost", "1"]);
    assert_eq!(code, 2, "{words}");
    assert!(words.contains("--price"), "{words}");
    // 9 / 10 + 7 / 10 of it for each answer.
    let flags = ["--price", "100000/100000", "--max-cost", "4"];
    let (code, lines, words) = folder.ask(&server, &flags);
    assert_eq!((code, lines.len()), (4, 3), "{words}");
    assert!(words.contains("4.8000 in cost"), "{words}");
}

#[test]
fn an_answer_that_matches_its_schema_is_json_and_another_one_is_in_doubt() {
    let server = Server::start(|request| match prompt(request).as_str() {
        "r1" => answer("{\n \"n\": 1.50\n}", Duration::ZERO),
        _ => answer("{\"n\": \"x\"}", Duration::ZERO),
    });
    let folder = Folder::of(2);
    let schema = r#"{"type": "object", "properties": {"n": {"type": "number"}}}"#;
    std::fs::write(folder.path("schema.json"), schema).unwrap();
    let (code, lines, words) = folder.ask(&server, &["--schema", &folder.text("schema.json")]);
    assert_eq!(code, 3, "{words}");
    assert!(
        lines[0].contains(r#""answer":{"n":1.50},"error":null"#),
        "{}",
        lines[0]
    );
    assert!(
        lines[1].contains(r#""answer":"{\"n\": \"x\"}","error":"it does not"#),
        "{}",
        lines[1]
    );
}

#[test]
fn an_input_that_has_changed_is_refused_and_one_that_has_grown_goes_on() {
    let (server, folder) = (shouting(), Folder::of(4));
    let to = folder.text("out.jsonl");
    let flags = ["--to", &to, "--resume", "--max-tokens-total", "32"];
    assert_eq!(folder.ask(&server, &flags).0, 4);
    let input = std::fs::read_to_string(folder.path("in.ndjson")).unwrap();
    let go_on = ["--to", &to, "--resume"];
    std::fs::write(folder.path("in.ndjson"), input.replace("r2", "rr")).unwrap();
    let (code, _, words) = folder.ask(&server, &go_on);
    assert_eq!(code, 2, "{words}");
    assert!(words.contains("has changed"), "{words}");
    std::fs::write(folder.path("in.ndjson"), input + "{\"text\":\"r5\"}").unwrap();
    let (code, _, words) = folder.ask(&server, &go_on);
    assert_eq!(code, 0, "{words}");
    assert_eq!(
        records(&rows(Path::new(&to))),
        ["r1", "r2", "r3", "r4", "r5"]
    );
    let (code, _, words) = folder.ask_with(&server, "{text}!", &go_on);
    assert_eq!(code, 2, "{words}");
    assert!(words.contains("`template` is"), "{words}");
}

#[test]
fn take_asks_for_no_more_than_it_takes() {
    let (server, folder) = (shouting(), Folder::of(6));
    let (code, lines, words) = folder.ask(&server, &["--take", "2", "--in-flight", "5"]);
    assert_eq!((code, lines.len()), (0, 2), "{words}");
    assert_eq!(server.targets().len(), 2);
}

#[test]
fn rows_go_into_tables_where_one_may_fail_late() {
    let server = Server::start(|request| match prompt(request).as_str() {
        "r1500" => Reply::status(400).body("no"),
        prompt => answer(prompt, Duration::ZERO),
    });
    let folder = Folder::of(1600);
    for (target, flag) in [
        (format!("sqlite:{}#answers", folder.text("out.db")), None),
        (folder.text("out.csv"), Some("--resume")),
        (folder.text("out.parquet"), Some("--resume")),
    ] {
        let flags = ["--to", &target, "--in-flight", "8"];
        let flags = [&flags[..], &flag.into_iter().collect::<Vec<_>>()].concat();
        let (code, _, words) = folder.ask(&server, &flags);
        assert_eq!(code, 1, "{target}: {words}");
        assert!(words.contains("1,600 items in"), "{target}: {words}");
        let asked = server.targets().len();
        let (code, _, words) = folder.ask(&server, &flags);
        assert_eq!(
            (code, server.targets().len()),
            (1, asked),
            "{target}: {words}"
        );
        assert!(
            words.contains("the question failed for 1 record"),
            "{words}"
        );
    }
}

#[test]
fn the_input_is_not_taken_for_the_file_of_failures() {
    let (server, folder) = (shouting(), Folder::of(1));
    let (code, _, words) = folder.ask(&server, &["--failed", &folder.text("in.ndjson")]);
    assert_eq!(code, 2, "{words}");
    assert!(words.contains("is the input"), "{words}");
    assert!(!std::fs::read(folder.path("in.ndjson")).unwrap().is_empty());
}

/// Asks with these flags and this on standard input, into a target that resumes.
fn ask_into(server: &Server, folder: &Folder, flags: &[&str], input: &str) -> (i32, String) {
    use std::io::Write as _;
    use std::process::Stdio;
    let (url, to) = (server.url(""), folder.text("answer.txt"));
    let fixed = ["ask", "--base-url", &url, "hi", "--to", &to, "--resume"];
    let mut child = unspool(&[&fixed, flags].concat())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It may have refused the command without reading it.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let words = String::from_utf8(output.stderr).unwrap();
    (output.status.code().unwrap(), words)
}

#[test]
fn whatever_changes_a_question_makes_it_another_one() {
    let (server, folder) = (shouting(), Folder::with("{}"));
    let file = |name: &str, content: &str| {
        std::fs::write(folder.path(name), content).unwrap();
        folder.text(name)
    };
    let schema = file("schema.json", "{}");
    let attached = file("a.pdf", "%PDF-1.4 one");
    let flags = ["--attach", &attached];
    // The answer itself does not matter.
    let server = {
        drop(server);
        Server::start(|_| Anthropic.good())
    };
    let (code, words) = ask_into(&server, &folder, &flags, "context");
    assert_eq!(code, 0, "{words}");
    let (code, words) = ask_into(&server, &folder, &flags, "context");
    assert_eq!((code, server.targets().len()), (0, 1), "{words}");
    let changed: [(&[&str], &str, &str); 7] = [
        (&flags, "another context", "`prompt` is"),
        (
            &["--attach", &attached, "--temperature", "0.5"],
            "context",
            "`temperature` is",
        ),
        (
            &["--attach", &attached, "--schema", &schema],
            "context",
            "`schema of the answer` is",
        ),
        (
            &["--attach", &attached, "--extra", "{\"seed\":1}"],
            "context",
            "`extra` is",
        ),
        (
            &[
                "--attach",
                &attached,
                "--tools",
                "[{\"name\":\"t\",\"description\":\"d\",\"parameters\":{}}]",
            ],
            "context",
            "`tools` is",
        ),
        (
            &["--attach", &attached, "--system", "s"],
            "context",
            "`system` is",
        ),
        (
            &["--attach", &attached, "--model", "claude-x"],
            "context",
            "`model` is",
        ),
    ];
    for (flags, input, expected) in changed {
        let (code, words) = ask_into(&server, &folder, flags, input);
        assert_eq!(code, 2, "{expected}: {words}");
        assert!(words.contains(expected), "{expected}: {words}");
    }
    file("a.pdf", "%PDF-1.4 two");
    let (code, words) = ask_into(&server, &folder, &flags, "context");
    assert_eq!(code, 2, "{words}");
    assert!(words.contains("`attach `"), "{words}");
    assert_eq!(server.targets().len(), 1, "nothing is asked");
}
