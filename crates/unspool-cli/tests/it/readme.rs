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

/// A row of the table of figures: what was done, by us and by another, and the command.
struct Figure {
    work: String,
    ours: f64,
    other: String,
    theirs: f64,
    times: String,
}

/// The table of figures, whose cells are: work, ours with its unit, the other, theirs, how many
/// times ours that is, command.
fn figures() -> Vec<Figure> {
    let text = fs::read_to_string(path()).unwrap();
    let (_, table) = text.split_once("<!-- figures -->\n").unwrap();
    let (table, _) = table.split_once("<!-- /figures -->").unwrap();
    let number = |cell: &str| -> f64 {
        let digits = cell.split(' ').next().unwrap().replace(',', "");
        digits
            .parse()
            .unwrap_or_else(|_| panic!("no number in `{cell}`"))
    };
    let rows = table.lines().skip(2).map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [work, ours, other, theirs, times, command] = cells[..] else {
            panic!("not six cells: {line}");
        };
        assert!(command.starts_with('`'), "{line}");
        Figure {
            work: work.to_owned(),
            ours: number(ours),
            other: other.to_owned(),
            theirs: number(theirs),
            times: times.to_owned(),
        }
    });
    rows.collect()
}

/// Bars from the line in the middle, which is ours: to the right where the other takes more. A
/// bar is as long as the logarithm of how many times that is.
fn chart(figures: &[Figure]) -> String {
    const ROW: usize = 26;
    const MIDDLE: f64 = 560.0;
    const DOUBLE: f64 = 30.0;
    let height = ROW * figures.len() + 40;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"860\" height=\"{height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
         <text x=\"12\" y=\"20\" fill=\"#666666\">What others take, in times of what unspool takes (logarithmic; to the left of the line they take less)</text>\n"
    );
    for (index, figure) in figures.iter().enumerate() {
        let y = 34 + ROW * index;
        let length = (figure.theirs / figure.ours).log2() * DOUBLE;
        let (x, fill) = if length < 0.0 {
            (MIDDLE + length, "#c2571a")
        } else {
            (MIDDLE, "#2f6f4f")
        };
        svg += &format!(
            "<text x=\"12\" y=\"{text_y}\">{work}: {other}</text>\n\
             <rect x=\"{x:.1}\" y=\"{y}\" width=\"{width:.1}\" height=\"16\" fill=\"{fill}\"/>\n\
             <text x=\"{end:.1}\" y=\"{text_y}\">{times}</text>\n",
            text_y = y + 12,
            work = figure.work,
            other = figure.other,
            width = length.abs(),
            end = x + length.abs() + 6.0,
            times = figure.times,
        );
    }
    svg + &format!(
        "<line x1=\"{MIDDLE}\" y1=\"28\" x2=\"{MIDDLE}\" y2=\"{}\" stroke=\"#222222\"/>\n</svg>\n",
        height - 6
    )
}

#[test]
fn the_chart_is_of_the_figures() {
    let figures = figures();
    assert!(figures.len() >= 10);
    for figure in &figures {
        let times = figure.theirs / figure.ours;
        let stated: f64 = figure.times.trim_end_matches('x').parse().unwrap();
        let is_rounded = (stated / times - 1.0).abs() < 0.06;
        assert!(is_rounded, "{}: {times}, not {stated}", figure.work);
    }
    let path = path().with_file_name("docs").join("figures.svg");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(path, chart(&figures)).unwrap();
        return;
    }
    let drawn = fs::read_to_string(path).unwrap();
    assert_eq!(drawn, chart(&figures), "UPDATE=1 writes it");
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
