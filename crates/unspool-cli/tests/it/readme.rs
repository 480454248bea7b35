//! The README: its commands run, and its table is what the library has.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use test_servers::dialect::{Protocol, Reason};
use test_servers::{Reply, Server};

const BEGIN: &str = "readme` -->\n";
const END: &str = "<!-- /table -->";

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md")
}

/// What there is of each, from the library's own tables.
fn table() -> String {
    let names = |names: Vec<String>| names.join(" · ");
    let kinds = unspool::pages::Paginate::kinds().map(|(syntax, _)| {
        let name = syntax.split([',', '=', ' ', ':', '[']).next().unwrap();
        format!("`{name}`")
    });
    let providers = unspool::ask::Provider::all().map(|provider| format!("`{}`", provider.name()));
    let transports = unspool::events::Transport::all().map(|(name, _)| format!("`{name}`"));
    let targets = unspool::sinks::formats().map(|(syntax, _)| format!("`{syntax}`"));
    let rows = [
        ("[Pagination](docs/pagination.md)", names(kinds.collect())),
        ("[Models](docs/ask.md)", names(providers.collect())),
        ("[Feeds](docs/events.md)", names(transports.collect())),
        (
            "[Databases](docs/rows.md)",
            "PostgreSQL · SQLite · MySQL and MariaDB".to_owned(),
        ),
        ("[Targets](docs/sinks.md)", names(targets.collect())),
    ];
    let lines = rows.map(|(name, all)| format!("| {name} | {all} |\n"));
    format!("| | |\n|---|---|\n{}", lines.concat())
}

#[test]
fn the_table_is_what_the_library_has() {
    let text = fs::read_to_string(path()).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (found, after) = rest.split_once(END).unwrap();
    if std::env::var_os("UPDATE").is_some() {
        let text = format!("{before}{BEGIN}{}{END}{after}", table());
        fs::write(path(), text).unwrap();
        return;
    }
    assert_eq!(found, table(), "UPDATE=1 writes it");
}

#[test]
fn it_is_under_200_lines_and_links_to_files_that_are_there() {
    let text = fs::read_to_string(path()).unwrap();
    assert!(text.lines().count() < 200);
    let root = path().parent().unwrap().to_owned();
    for link in text.split("](").skip(1) {
        let target = link.split(')').next().unwrap();
        let is_there = target.starts_with("https:") || root.join(target).exists();
        assert!(is_there, "{target}");
    }
}

#[test]
fn its_commands_run() {
    let text = fs::read_to_string(path()).unwrap();
    let api = Server::start(|request| match request.path() {
        "/changes" => {
            let events = (0..100).map(|n| format!("id: {n}\ndata: {{\"n\":{n}}}\n\n"));
            Reply::status(200)
                .header("content-type", "text/event-stream")
                .chunked()
                .chunk(events.collect::<String>())
        }
        _ => Reply::json(r#"[{"id":1,"title":"a"},{"id":2,"title":"b"}]"#),
    });
    let model = Server::start(|_| {
        let script = Protocol::Anthropic.script().begin();
        let script = script.text(r#"{"items": [1]}"#).reason(Reason::End);
        script.mark(Reason::End).end()
    });
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("notes.txt", "one\ntwo\n");
    write("posts.ndjson", "{\"title\":\"a\"}\n");
    let users = rusqlite::Connection::open(folder.path().join("users.db")).unwrap();
    let sql = "create table users (id integer primary key, name text); \
               insert into users values (7, 'Ada'), (8, 'Grace')";
    users.execute_batch(sql).unwrap();
    let asked = format!("unspool ask --base-url '{}'", model.url(""));
    let blocks = text.split("```sh\n").skip(1);
    let mut count = 0;
    for line in blocks.flat_map(|block| block.split("```").next().unwrap().lines()) {
        let line = (line.replace("https://api.example.com", api.url("").trim_end_matches('/')))
            .replace(
                "https://stream.example.com",
                api.url("").trim_end_matches('/'),
            )
            .replace("unspool ask", &asked)
            .replace("unspool ", concat!(env!("CARGO_BIN_EXE_unspool"), " "));
        let output = Command::new("sh")
            .args(["-c", &line])
            .current_dir(folder.path())
            .env("ANTHROPIC_API_KEY", "test")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{line}: {words}");
        count += 1;
    }
    assert!(count >= 10, "{count}");
}
