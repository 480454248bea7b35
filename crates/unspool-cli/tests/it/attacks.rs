//! Upstreams that mean harm, and surroundings that are broken: whatever they do, a run ends with
//! the code that it should, without much time or memory, and in its own words.

use std::fs;
use std::io::Read;
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use wait4::Wait4;

use crate::server::attacks::{self, EXTREMES, FORGERY};
use crate::server::{Reply, Server, linked_page};
use crate::{run, unspool};

/// What no run here may use, with much room: half a second and 60 MiB are usual, built without
/// optimisations.
const MOST_TIME: Duration = Duration::from_secs(20);
const MOST_MEMORY: u64 = 200 << 20;

/// When a run counts as one that hangs.
const HANGS: Duration = Duration::from_secs(90);

/// How a run ended, and what it said.
struct Run {
    code: Option<i32>,
    peak: u64,
    items: String,
    words: String,
}

/// Runs to the end, within the limits.
#[track_caller]
fn attacked(args: &[&str]) -> Run {
    limited(unspool(args).env("ANTHROPIC_API_KEY", "sk-ant-0123456789"))
}

#[track_caller]
fn limited(command: &mut Command) -> Run {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (items, words) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let (items, words) = (read(items), read(words));
    let pid = Pid::from_child(&child);
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    let waiter = thread::spawn(move || child.wait4().unwrap());
    let begin = Instant::now();
    while !waiter.is_finished() && begin.elapsed() < HANGS {
        thread::park_timeout(Duration::from_millis(5));
        peak = peak.max(peak_memory(&status));
    }
    let hangs = !waiter.is_finished();
    if hangs {
        // It may be over by now.
        let _ = kill_process(pid, Signal::KILL);
    }
    let used = waiter.join().unwrap();
    let (items, words) = (items.join().unwrap(), words.join().unwrap());
    assert!(!hangs, "{command:?} hangs: {words}");
    let time = used.rusage.utime + used.rusage.stime;
    assert!(time < MOST_TIME, "{command:?} took {time:?}: {words}");
    assert!(peak < MOST_MEMORY, "{command:?} took {peak} bytes: {words}");
    let code = used.status.code();
    assert_ne!(code, Some(101), "{command:?} panicked: {words}");
    assert!(code.is_some(), "{command:?} crashed: {words}");
    Run {
        code,
        peak,
        items,
        words,
    }
}

/// Runs to the end, within the limits: the peak of its memory, its code, and its words.
#[track_caller]
pub(crate) fn peak_of(args: &[&str]) -> (u64, i32, String) {
    let run = limited(&mut unspool(args));
    (run.peak, run.code.unwrap_or_default(), run.words)
}

/// The most memory that a process has had since it began to run its program; the system's own
/// count at the end begins before, with that of this test.
fn peak_memory(status: &str) -> u64 {
    let status = fs::read_to_string(status).unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = peak.and_then(|peak| peak.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) << 10
}

fn read(mut pipe: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// That nothing in it is obeyed by a terminal, or looks like a line of ours, and that it is short.
#[track_caller]
fn check_words(words: &str) {
    assert!(words.len() < 20_000, "{} bytes of words", words.len());
    for line in words.lines() {
        assert!(!line.contains(char::is_control), "{line:?}");
        assert!(!line.contains(['\u{202e}', '\u{2028}']), "{line:?}");
        assert!(!line.starts_with("unspool: complete: 7 items"), "{words}");
    }
}

/// The upstream is at fault, and that is said.
#[track_caller]
fn check_failed(run: &Run, words: &str) {
    assert_eq!(run.code, Some(1), "{}", run.words);
    assert!(run.words.contains(words), "{}", run.words);
    check_words(&run.words);
}

fn pages(url: &str) -> [&str; 6] {
    ["pages", url, "--retries", "0", "--timeout", "1s"]
}

fn ask(url: &str) -> [&str; 8] {
    [
        "ask",
        "hi",
        "--base-url",
        url,
        "--retries",
        "0",
        "--timeout",
        "1s",
    ]
}

/// Both commands against one reply.
fn check_both(reply: impl Fn() -> Reply + Clone + Send + Sync + 'static, check: impl Fn(&Run)) {
    let server = Server::start(move |_| reply());
    let url = server.url("/");
    check(&attacked(&pages(&url)));
    check(&attacked(
        &[&ask(&url)[..], &["--first-byte", "1s"]].concat(),
    ));
}

// Nothing hangs.

const PAUSE: Duration = Duration::from_millis(30);

#[test]
fn a_reset_that_is_no_time_holds_nothing_up() {
    for name in [
        "x-ratelimit-reset",
        "ratelimit-reset",
        "x-rate-limit-reset",
        "retry-after",
    ] {
        let server = Server::start(move |request| {
            let page = request.page();
            let value = EXTREMES
                .get(usize::try_from(page).unwrap() - 1)
                .unwrap_or(&"0");
            let last = EXTREMES.len() as u64 + 1;
            // Some ask for a wait that nobody makes, which is an end, too.
            linked_page(request, last, 2)
                .header("x-ratelimit-remaining", 1)
                .header("ratelimit-remaining", 1)
                .header(name, value)
        });
        let run = attacked(&pages(&server.url("/")));
        assert_eq!(run.code, Some(0), "{name}: {}", run.words);
    }
}

#[test]
fn a_refusal_that_asks_for_no_time_is_asked_again() {
    for value in EXTREMES {
        let server = Server::start(move |_| {
            Reply::status(429)
                .header("retry-after", value)
                .header("x-ratelimit-remaining", 0)
                .header("x-ratelimit-reset", value)
                .body("")
        });
        let run = attacked(&["pages", &server.url("/"), "--retries", "1"]);
        check_failed(&run, "answered 429");
    }
}

#[test]
fn a_head_that_never_ends_is_not_waited_for() {
    check_both(
        || attacks::dripping_head(PAUSE),
        |run| check_failed(run, "no answer within 1s"),
    );
}

#[test]
fn interim_answers_without_end_are_no_answer() {
    check_both(attacks::endless_early_hints, |run| {
        check_failed(run, "no answer within 1s")
    });
}

#[test]
fn a_head_without_end_is_refused() {
    check_both(attacks::endless_head, |run| {
        check_failed(run, "the connection broke")
    });
}

#[test]
fn a_chunk_extension_or_trailers_without_end_bring_nothing() {
    let silent = |run: &Run| check_failed(run, "of the body within 1s");
    let server = Server::start(|_| attacks::dripping_chunk_extension(PAUSE));
    silent(&attacked(&pages(&server.url("/"))));
    let server = Server::start(|_| attacks::dripping_trailers("[1, 2]", PAUSE));
    silent(&attacked(&pages(&server.url("/"))));
}

#[test]
fn white_space_and_comments_that_drip_end_a_run() {
    let cases = [("[1, ", " "), ("[1, \"", "a"), ("", "\n")].map(|(begin, drop)| {
        thread::spawn(move || {
            let reply = move || attacks::dripping_body("application/json", begin, drop, PAUSE);
            let server = Server::start(move |_| reply());
            let args = ["pages", &server.url("/"), "--timeout", "300ms", "--quiet"];
            let run = attacked(&args);
            check_failed(&run, "no item, in ");
            assert!(
                run.words.contains("hint: `--timeout TIME`"),
                "{}",
                run.words
            );
            assert_eq!(server.targets().len(), 1);
        })
    });
    let server =
        Server::start(|_| attacks::dripping_body("text/event-stream", "", ": ping\n\n", PAUSE));
    let url = server.url("/");
    let run = attacked(&["ask", "hi", "--base-url", &url, "--timeout", "300ms"]);
    check_failed(&run, "no piece of the answer, in ");
    assert!(
        run.words.contains("how long it may send pings"),
        "{}",
        run.words
    );
    for case in cases {
        case.join().unwrap();
    }
}

#[test]
fn comments_without_end_end_an_answer() {
    let comment = format!(": {}\n", attacks::long(4000));
    let server = Server::start(move |_| attacks::endless_body("text/event-stream", "", &comment));
    check_failed(
        &attacked(&ask(&server.url("/"))),
        "no piece of the answer in the last ",
    );
}

#[test]
fn an_answer_without_end_is_ended_by_the_deadline() {
    let word = "data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"thinking_delta\",\"thinking\":\"hm\"}}\n\n";
    let server = Server::start(|_| attacks::endless_body("text/event-stream", "", word));
    let run = attacked(&[&ask(&server.url("/"))[..], &["--deadline", "1s"]].concat());
    check_failed(&run, "deadline");
}

#[test]
fn a_handshake_that_never_ends_is_not_waited_for() {
    // The system accepts for it, and nobody says a word.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/", silent.local_addr().unwrap());
    check_failed(&attacked(&pages(&url)), "within 1s");
    check_failed(
        &attacked(&[&ask(&url)[..], &["--first-byte", "1s"]].concat()),
        "within 1s",
    );
}

#[test]
fn redirects_lead_round_only_so_often() {
    for target in ["/", "/?again", "//127.0.0.1:1/", "http://[::1", "\u{1b}[2J"] {
        let server = Server::start(move |_| Reply::status(307).header("location", target).body(""));
        let run = attacked(&pages(&server.url("/")));
        assert!(matches!(run.code, Some(1 | 3)), "{target}: {}", run.words);
        check_words(&run.words);
        assert!(
            server.targets().len() <= 12,
            "{target}: {:?}",
            server.targets()
        );
    }
}

// The first Ctrl-C gets in, and a run that is too busy for it ends by the second.

#[test]
fn ctrl_c_ends_a_run_that_is_busy() {
    // 16 GiB of white space, all of which is at hand at once.
    let server = Server::start(|_| attacks::bomb("[1, ", b' ', 128 << 10));
    let folder = tempfile::tempdir().unwrap();
    let account = folder.path().join("account");
    let mut command = unspool(&["pages", &server.url("/"), "--max-item", "1G", "--account"]);
    let mut child = command
        .arg(&account)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = Pid::from_child(&child);
    // It is busy once it has used some time of the processor.
    let stat = format!("/proc/{}/stat", child.id());
    while ticks(&fs::read_to_string(&stat).unwrap()) < 40 {
        thread::park_timeout(Duration::from_millis(5));
    }
    let begin = Instant::now();
    kill_process(pid, Signal::INT).unwrap();
    let mut words = String::new();
    let mut pipe = child.stderr.take().unwrap();
    pipe.read_to_string(&mut words).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{words}");
    assert!(
        begin.elapsed() < Duration::from_secs(5),
        "{:?}",
        begin.elapsed()
    );
    assert!(words.contains("interrupted: 1 item"), "{words}");
    assert!(
        fs::read_to_string(&account)
            .unwrap()
            .contains("\"requests\":1")
    );
}

/// The user time of a process, in hundredths of a second (`proc_pid_stat(5)`).
fn ticks(stat: &str) -> u64 {
    let (_, after) = stat.rsplit_once(')').unwrap();
    after.split_whitespace().nth(11).unwrap().parse().unwrap()
}

// Memory is what we say.

#[test]
fn a_bomb_of_white_space_or_of_one_item_is_refused() {
    for (begin, byte) in [
        ("[1, ", b' '),
        ("", b' '),
        ("[1, \"", b'a'),
        ("{\"a\": \"", b'a'),
        ("[1, ", b'['),
    ] {
        let server = Server::start(move |_| attacks::bomb(begin, byte, 64 << 10));
        let run = attacked(&pages(&server.url("/")));
        assert_eq!(run.code, Some(1), "{begin}: {}", run.words);
        assert!(run.items.len() < 10, "{begin}: {}", run.items.len());
        check_words(&run.words);
        assert_eq!(server.targets().len(), 1, "{begin}: {}", run.words);
    }
}

#[test]
fn an_event_without_end_is_refused() {
    for (begin, more) in [
        ("data: ", "a"),
        ("data: a\n", "data: a\n"),
        ("{\"a\": \"", "a"),
        ("", " "),
        ("[", "["),
    ] {
        let server =
            Server::start(move |_| attacks::endless_body("text/event-stream", begin, more));
        let run = attacked(&ask(&server.url("/")));
        assert_eq!(run.code, Some(1), "{begin}{more}: {}", run.words);
        check_words(&run.words);
    }
}

#[test]
fn what_surrounds_the_items_costs_a_few_times_the_limit_at_most() {
    let keys: Vec<String> = (0..1_000_000).map(|key| format!("\"{key}\":0")).collect();
    let elements: String = (0..600_000).map(|name| format!("<a{name}/>")).collect();
    for body in [
        format!("{{\"items\": [1, 2], {}}}", keys.join(",")),
        format!("[{{\"a\": [{}[]]}}]", "[],".repeat(4 << 20)),
        format!("<a><entry>{elements}</entry>{elements}</a>"),
        format!("<feed><entry>{}</entry></feed>", "<a/>".repeat(2_500_000)),
    ] {
        let begin: String = body.chars().take(20).collect();
        let server = Server::start(move |_| Reply::status(200).body(body.clone()));
        let run = attacked(&pages(&server.url("/")));
        assert!(
            matches!(run.code, Some(0 | 1 | 3)),
            "{begin}: {}",
            run.words
        );
        check_words(&run.words);
    }
}

#[test]
fn pages_in_flight_share_one_budget() {
    let server = Server::start(|request| {
        let item = format!("\"{} {}\"", request.page(), attacks::long(200_000));
        let items = vec![item; if request.page() <= 100 { 10 } else { 0 }];
        Reply::json(format!("[{}]", items.join(",")))
    });
    let url = server.url("/");
    let flags = [
        "--paginate",
        "page:page",
        "--in-flight",
        "64",
        "--take",
        "500",
    ];
    let mut command = unspool(&[&["pages", &url, "--quiet"][..], &flags].concat());
    let script = "exec \"$0\" \"$@\" >/dev/null";
    let run = limited(shell(script, &mut command, &mut Command::new("sh")));
    assert_eq!(run.code, Some(0), "{}", run.words);
}

// Work is linear.

#[test]
fn many_arrays_and_much_white_space_take_little_time() {
    let arrays: Vec<String> = (0..10_000)
        .map(|key| format!("\"k{key}\": [{{\"a\": 1}}]"))
        .collect();
    let spaces = format!("{}[1, 2]", " ".repeat(8 << 20));
    for body in [format!("{{{}}}", arrays.join(",")), spaces] {
        let begin: String = body.chars().take(20).collect();
        let server = Server::start(move |_| Reply::json(&body));
        let run = attacked(&pages(&server.url("/")));
        assert!(
            matches!(run.code, Some(0 | 1 | 3)),
            "{begin}: {}",
            run.words
        );
        check_words(&run.words);
    }
}

#[test]
fn hundreds_of_tokens_lead_to_few_requests_and_few_words() {
    let tokens: Vec<String> = (0..500)
        .map(|key| format!("\"next_token_{key}\": \"t{key}\", \"cursor{key}\": \"c\""))
        .collect();
    let body = format!(
        "{{\"items\": [1, 2], \"has_more\": true, {}}}",
        tokens.join(", ")
    );
    let server = Server::start(move |_| Reply::json(&body));
    for flags in [&[][..], &["--explain"]] {
        let before = server.targets().len();
        let run = attacked(&[&pages(&server.url("/"))[..], flags].concat());
        assert_eq!(run.code, Some(3), "{}", run.words);
        check_words(&run.words);
        assert!(server.targets().len() - before < 60, "{}", run.words);
    }
}

#[test]
fn a_refusal_without_end_is_read_as_far_as_it_says_why() {
    let reply = || {
        let begun = Reply::status(500)
            .header("connection", "close")
            .send("too bad ");
        begun.repeating(b"and so on ".repeat(1000)).0
    };
    check_both(reply, |run| check_failed(run, "too bad and so on"));
}

#[test]
fn documents_in_documents_are_followed_only_so_deep() {
    for depth in [2_000, 200_000] {
        let body = attacks::deep(depth);
        let server = Server::start(move |_| Reply::json(&body));
        check_failed(&attacked(&pages(&server.url("/"))), "deep");
        let xml = format!("<?xml version=\"1.0\"?>{}", "<a>".repeat(depth));
        let server = Server::start(move |_| Reply::status(200).body(xml.clone()));
        assert_eq!(attacked(&pages(&server.url("/"))).code, Some(1));
        let event = format!("data: {}\n\n", attacks::deep(depth));
        let server = Server::start(move |_| {
            Reply::status(200)
                .header("content-type", "text/event-stream")
                .body(event.clone())
        });
        check_failed(&attacked(&ask(&server.url("/"))), "cannot be read");
    }
}

#[test]
fn a_length_that_is_no_number_is_refused() {
    for length in [
        "18446744073709551615",
        "18446744073709551616",
        "-1",
        "1, 2",
        "inf",
    ] {
        let server = Server::start(move |_| {
            Reply::status(200)
                .header("content-length", length)
                .send("[1]")
                .close()
        });
        let run = attacked(&pages(&server.url("/")));
        assert!(matches!(run.code, Some(1 | 3)), "{length}: {}", run.words);
    }
}

#[test]
fn numbers_of_others_are_in_range_or_not_taken() {
    let numbers = [
        "1e400",
        "-1",
        "18446744073709551615",
        "18446744073709551616",
        "1e19",
        "0",
        "1e-9",
    ];
    for number in numbers {
        for page in [
            format!("{{\"items\": [1, 2], \"total\": {number}, \"page\": 1, \"per_page\": 2}}"),
            format!(
                "{{\"items\": [1, 2], \"total\": 9, \"page\": {number}, \"per_page\": {number}}}"
            ),
            format!(
                "{{\"items\": [1, 2], \"total\": 9, \"offset\": {number}, \"limit\": {number}}}"
            ),
            format!("{{\"items\": [1, 2], \"next_page\": {number}, \"total_pages\": {number}}}"),
            format!("{{\"items\": [1, 2], \"next_cursor\": {number}}}"),
            format!("{{\"items\": [{{\"id\": {number}}}], \"has_more\": true}}"),
        ] {
            let body = page.clone();
            let server = Server::start(move |_| Reply::json(&body));
            let run = attacked(&pages(&server.url("/")));
            assert!(matches!(run.code, Some(0 | 1 | 3)), "{page}: {}", run.words);
            assert!(
                server.targets().len() < 40,
                "{page}: {:?}",
                server.targets()
            );
            check_words(&run.words);
        }
    }
}

// What is too long is the upstream's fault, and is shortened.

/// What a server does with a request.
type Answering = Box<dyn Fn() -> Reply + Send + Sync>;

#[test]
fn a_link_a_cursor_or_a_redirect_of_over_64_kb_is_the_upstreams_fault() {
    let long = || attacks::long(70_000);
    let page = |next: &str| format!("{{\"items\": [1, 2], {next}}}");
    let link =
        move || Reply::status(200).header("link", format!("</?page={}>; rel=\"next\"", long()));
    let redirect = move || {
        Reply::status(302)
            .header("location", format!("/?{}", long()))
            .body("")
    };
    let url = move || Reply::json(page(&format!("\"next\": \"/?page={}\"", long())));
    let cursor = move || {
        Reply::json(page(&format!(
            "\"next_cursor\": \"{}\", \"has_more\": true",
            long()
        )))
    };
    let cases: [(&[&str], Answering); 6] = [
        (&[], Box::new(move || link().body("[1, 2]"))),
        (
            &["--paginate", "link"],
            Box::new(move || link().body("[1, 2]")),
        ),
        (&[], Box::new(redirect)),
        (&[], Box::new(url)),
        (&["--paginate", "next:/next"], Box::new(url)),
        (
            &["--paginate", "cursor:/next_cursor,to=cursor"],
            Box::new(cursor),
        ),
    ];
    for (flags, reply) in cases {
        let server = attacks::leading_on(reply);
        let run = attacked(&[&pages(&server.url("/"))[..], flags].concat());
        assert_eq!(run.code, Some(1), "{flags:?}: {}", run.words);
        check_words(&run.words);
        assert!(run.words.len() < 3000, "{flags:?}: {}", run.words);
        assert_eq!(server.targets().len(), 1, "{flags:?}");
    }
    // Where nothing says what the token is for, others are tried, and there is a doubt.
    let server = attacks::leading_on(cursor);
    let run = attacked(&pages(&server.url("/")));
    assert_eq!(run.code, Some(3), "{}", run.words);
    check_words(&run.words);
    assert!(server.targets().iter().all(|target| target.len() < 100));
}

// Nobody forges our words.

#[test]
fn nothing_of_an_upstream_speaks_in_our_name() {
    let forged = serde_json::json!(FORGERY).to_string();
    let model = format!(
        "data: {{\"type\":\"message_start\",\"message\":{{\"model\":{forged},\"id\":{forged}}}}}\n\n\
         data: {{\"type\":\"message_delta\",\"delta\":{{\"stop_reason\":{forged}}}}}\n\n\
         data: {{\"type\":\"message_stop\"}}\n\n"
    );
    let error = format!("{{\"error\": {{\"type\": {forged}, \"message\": {forged}}}}}");
    let keys = format!("{{{forged}: [1, 2], \"next_cursor\": {forged}, \"has_more\": true}}");
    let nested = format!("{{\"items\": [1], \"errors\": [{forged}], \"message\": {forged}}}");
    for body in [model, error, keys, nested, FORGERY.to_owned()] {
        for status in [200, 400, 500] {
            let body = body.clone();
            check_both(
                move || {
                    Reply::status(status)
                        .header("content-type", "x/y")
                        .body(body.clone())
                },
                |run| check_words(&run.words),
            );
        }
    }
}

#[test]
fn an_account_holds_nothing_that_a_terminal_obeys() {
    let body = format!("{{{}: [1, 2]}}", serde_json::json!(FORGERY));
    let server = Server::start(move |_| Reply::json(&body));
    let run = attacked(&["pages", &server.url("/"), "--account", "-", "--explain"]);
    check_words(&run.words);
}

// Ends are clean.

/// A shell that runs the command, which is `"$0" "$@"` in the script.
fn shell<'s>(script: &str, command: &mut Command, shell: &'s mut Command) -> &'s mut Command {
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    let shell = shell.args(["-c", script]).arg(command.get_program());
    shell.args(command.get_args()).stdin(Stdio::null())
}

/// What comes of the command with this redirection.
fn redirected(how: &str, args: &[&str]) -> Output {
    let script = format!("exec \"$0\" \"$@\" {how}");
    let mut sh = Command::new("sh");
    shell(&script, &mut unspool(args), &mut sh)
        .output()
        .unwrap()
}

#[test]
fn standard_output_that_is_closed_is_a_failure_before_anything_is_sent() {
    let server = Server::linked_pages(2, 2);
    let url = server.url("/");
    for args in [&["pages", &url][..], &["ask", "hi", "--base-url", &url]] {
        for how in [">&-", "<&- >&-"] {
            let output = redirected(how, args);
            let words = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{how}: {words}");
            assert!(
                words.contains("standard output is closed"),
                "{how}: {words}"
            );
        }
        assert_eq!(redirected(">&- 2>&-", args).status.code(), Some(1));
    }
    assert_eq!(server.targets(), [""; 0]);
}

#[test]
fn standard_output_may_be_dev_null_however_it_was_opened() {
    let server = Server::linked_pages(2, 2);
    for how in [
        ">/dev/null",
        "1<>/dev/null",
        "</dev/null >/dev/null 2>/dev/null",
        "<&- 1<>/dev/null",
    ] {
        let output = redirected(how, &["pages", &server.url("/")]);
        assert_eq!(output.status.code(), Some(0), "{how}: {output:?}");
    }
}

#[test]
fn standard_error_that_is_closed_or_full_changes_nothing() {
    let server = Server::linked_pages(2, 2);
    let empty = Server::start(|_| Reply::json("{\"items\": [1, 2], \"has_more\": true}"));
    for how in ["2>&-", "2>/dev/full", "2>/dev/null", "2</dev/null"] {
        let output = redirected(how, &["pages", &server.url("/"), "--account", "-"]);
        assert_eq!(output.status.code(), Some(0), "{how}: {output:?}");
        assert_eq!(output.stdout, b"0\n1\n2\n3\n", "{how}");
        let output = redirected(how, &["pages", &empty.url("/")]);
        assert_eq!(output.status.code(), Some(3), "{how}: {output:?}");
        let output = redirected(how, &["pages"]);
        assert_eq!(output.status.code(), Some(2), "{how}: {output:?}");
    }
}

#[test]
fn an_account_that_cannot_be_written_there_is_refused_before_anything_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let server = Server::linked_pages(1, 1);
    fs::write(folder.join("file"), "").unwrap();
    for place in ["", "missing/account", "file/account", "loop"] {
        if place == "loop" {
            symlink(folder.join("loop"), folder.join("loop")).unwrap();
        }
        let path = folder.join(place);
        let (code, _, words) = run(&[
            "pages",
            &server.url("/"),
            "--account",
            path.to_str().unwrap(),
        ]);
        assert_eq!(code, 2, "{place}: {words}");
        assert!(
            words.contains("cannot write the account"),
            "{place}: {words}"
        );
    }
    assert_eq!(server.targets(), [""; 0]);
}

#[test]
fn an_account_goes_to_where_a_link_leads() {
    let folder = tempfile::tempdir().unwrap();
    let (file, link) = (folder.path().join("file"), folder.path().join("link"));
    symlink("file", &link).unwrap();
    let server = Server::linked_pages(1, 1);
    for old in [None, Some("old")] {
        if let Some(old) = old {
            fs::write(&file, old).unwrap();
        }
        let args = [
            "pages",
            &server.url("/"),
            "--account",
            link.to_str().unwrap(),
        ];
        assert_eq!(run(&args).0, 0);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert!(
            fs::read_to_string(&file)
                .unwrap()
                .contains("\"complete\":true")
        );
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}

#[test]
fn an_account_goes_through_a_named_pipe_and_a_pipe_without_a_reader_can_be_interrupted() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    assert!(
        Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    let server = Server::linked_pages(1, 1);
    let args = [
        "pages",
        &server.url("/"),
        "--account",
        pipe.to_str().unwrap(),
    ];
    let mut child = unspool(&args).stdout(Stdio::null()).spawn().unwrap();
    let account = fs::read_to_string(&pipe).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(account.contains("\"complete\":true"), "{account}");

    let mut child = unspool(&args).stdout(Stdio::null()).spawn().unwrap();
    // It waits once it listens for signals and does nothing else.
    while !catches_interrupts(child.id()) {
        thread::park_timeout(Duration::from_millis(5));
    }
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let args = [&args[..], &["--deadline", "200ms"]].concat();
    let child = unspool(&args)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    let output = child.unwrap().wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(server.targets().len(), 1);
}

#[test]
fn ctrl_c_ends_a_wait_for_standard_input_or_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let token = format!("@{}", pipe.display());
    for args in [
        &["ask"][..],
        &["pages", "http://127.0.0.1:1/", "--bearer", &token],
    ] {
        let mut command = unspool(args);
        let mut child = command
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // To wait for it would close it.
        let _stdin = child.stdin.take();
        while !catches_interrupts(child.id()) {
            thread::park_timeout(Duration::from_millis(5));
        }
        kill_process(Pid::from_child(&child), Signal::INT).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(130), "{args:?}");
    }
}

#[test]
fn files_without_end_are_refused() {
    let url = "http://127.0.0.1:1/";
    let pages = ["--bearer", "-H", "--netrc-file", "--data", "--cookie"];
    let ask = [
        "--api-key",
        "--system",
        "--messages",
        "--attach",
        "--schema",
        "--extra",
        "-H",
        "--tools",
    ];
    let runs = pages
        .map(|flag| ("pages", flag))
        .into_iter()
        .chain(ask.map(|flag| ("ask", flag)));
    for (command, flag) in runs {
        let run = attacked(&[command, url, flag, "@/dev/zero"]);
        // A flag may have no files, and then `@` is a letter.
        assert!(matches!(run.code, Some(1 | 2)), "{flag}: {}", run.words);
        check_words(&run.words);
    }
}

/// Whether a process has a handler for Ctrl-C (`proc_pid_status(5)`).
fn catches_interrupts(id: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let caught = caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    caught.is_some_and(|mask| mask >> 1 & 1 == 1)
}

#[test]
fn an_account_on_a_full_disk_is_a_failure_and_what_was_there_stays() {
    let folder = tempfile::tempdir().unwrap();
    let account = folder.path().join("account");
    fs::write(&account, "old").unwrap();
    let server = Server::linked_pages(1, 1);
    let path = account.to_str().unwrap();
    // A file may have no byte.
    let mut shell = Command::new("sh");
    let script = "trap '' XFSZ; ulimit -f 0; exec \"$0\" \"$@\"";
    let program = unspool(&[]).get_program().to_owned();
    let command = shell.args(["-c", script]).arg(program);
    let output = command
        .args(["pages", &server.url("/"), "--account", path])
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{words}");
    assert!(words.contains("cannot write the account"), "{words}");
    assert_eq!(fs::read_to_string(&account).unwrap(), "old");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    let (code, _, words) = run(&["pages", &server.url("/"), "--account", "/dev/full"]);
    assert_eq!(code, 1, "{words}");
}

#[test]
fn sigterm_ends_a_run_as_ctrl_c_does() {
    let server = Server::start(|request| match request.page() {
        1 => linked_page(request, 2, 3),
        _ => Reply::silence(),
    });
    let folder = tempfile::tempdir().unwrap();
    let account = folder.path().join("account");
    let args = [
        "pages",
        &server.url("/"),
        "--account",
        account.to_str().unwrap(),
    ];
    let mut child = unspool(&args)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    while server.targets().len() < 2 {
        thread::yield_now();
    }
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(
        fs::read_to_string(&account)
            .unwrap()
            .contains("\"items\":3")
    );
}
