//! The pages of `docs/`: they are in the book, their links lead somewhere, and the tutorial runs.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::unspool;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn pages() -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join("docs")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let is_page = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "md");
    paths.filter(is_page).collect()
}

/// The targets of the links in a text, but for those in code.
fn links(text: &str) -> Vec<String> {
    let outside = text.split("```").step_by(2).collect::<String>();
    let after = outside.split("](").skip(1);
    let targets = after.map(|rest| rest.split(')').next().unwrap().to_owned());
    targets.collect()
}

/// What a heading is called in an address.
fn anchor(heading: &str) -> String {
    let heading = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = |char: &char| char.is_alphanumeric() || " -_".contains(*char);
    heading
        .chars()
        .filter(kept)
        .collect::<String>()
        .replace(' ', "-")
}

#[test]
fn each_page_is_in_the_book() {
    let summary = fs::read_to_string(root().join("docs/SUMMARY.md")).unwrap();
    for page in pages() {
        let name = page.file_name().unwrap().to_str().unwrap();
        let is_in_it = name == "SUMMARY.md" || summary.contains(&format!("]({name})"));
        assert!(is_in_it, "docs/SUMMARY.md does not have {name}");
    }
}

#[test]
fn links_lead_to_files_and_headings_that_are_there() {
    let others = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"].map(|name| root().join(name));
    for page in pages().into_iter().chain(others) {
        let text = fs::read_to_string(&page).unwrap();
        for link in links(&text) {
            if link.starts_with("https:") || link.starts_with("http:") {
                continue;
            }
            let (file, heading) = link.split_once('#').unwrap_or((&link, ""));
            let target = match file {
                "" => page.clone(),
                file => page.parent().unwrap().join(file),
            };
            assert!(target.exists(), "{}: {link}", page.display());
            if !heading.is_empty() {
                let text = fs::read_to_string(&target).unwrap();
                let mut headings = text.lines().filter(|line| line.starts_with('#'));
                let is_there = headings.any(|line| anchor(line) == heading);
                assert!(is_there, "{}: {link}", page.display());
            }
        }
    }
}

/// The files below a folder, but for what is built.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            files.push(path);
        } else if !path.ends_with("target") && !path.is_symlink() {
            files.extend(files_below(&path));
        }
    }
    files
}

#[test]
fn what_the_architecture_names_is_there() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let files = files_below(&root().join("crates"));
    let is_source = |path: &&PathBuf| path.extension().is_some_and(|is| is == "rs" || is == "py");
    let sources = files
        .iter()
        .filter(is_source)
        .map(|path| fs::read_to_string(path).unwrap());
    let sources = sources.collect::<Vec<_>>().concat();
    let words: std::collections::HashSet<&str> =
        (sources.split(|char: char| !char.is_alphanumeric() && char != '_')).collect();
    let mut count = 0;
    for name in text.split('`').skip(1).step_by(2) {
        let is_path = |char: char| char.is_alphanumeric() || "._-/".contains(char);
        let is_type = |part: &str| {
            part.starts_with(|char: char| char.is_ascii_uppercase())
                && part.chars().any(|char| char.is_ascii_lowercase())
                && part.chars().all(char::is_alphanumeric)
        };
        if name.chars().all(is_path) && name.ends_with(".rs") {
            assert!(files.iter().any(|file| file.ends_with(name)), "{name}");
            count += 1;
        } else if name.chars().all(is_path) && name.ends_with('/') {
            let is_there = |file: &PathBuf| file.to_string_lossy().contains(&format!("/{name}"));
            assert!(
                files.iter().any(is_there) || root().join(name).is_dir(),
                "{name}"
            );
            count += 1;
        } else if name
            .split("::")
            .all(|part| is_type(part) || part.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
        {
            for part in name.split("::").filter(|part| is_type(part)) {
                assert!(words.contains(part), "{name}");
                count += 1;
            }
        }
    }
    assert!(count > 150, "{count}");
}

#[test]
fn all_spans_and_fields_are_described() {
    let described = fs::read_to_string(root().join("docs/observability.md")).unwrap();
    let spans = fs::read_to_string(root().join("crates/unspool/src/spans.rs")).unwrap();
    let is_in_name = |char: char| char.is_ascii_lowercase() || "._".contains(char);
    let mut count = 0;
    for line in spans.lines().map(str::trim) {
        let assigned = line.split_once(" = ").map(|(name, _)| name);
        let field = assigned.filter(|name| name.contains('.') && name.chars().all(is_in_name));
        let target = line.split('"').find(|text| text.starts_with("unspool::"));
        for name in field.into_iter().chain(target) {
            count += 1;
            assert!(described.contains(&format!("`{name}`")), "{name}");
        }
    }
    assert!(count > 40, "{count}");
}

/// `unspool demo --serve`, until it is dropped.
struct Demo {
    child: Child,
    /// In the order of its lines: pages, model, feed.
    addresses: Vec<String>,
}

impl Demo {
    fn start() -> Self {
        let mut child = unspool(&["demo", "--serve"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = |line: String| {
            let line: Value = serde_json::from_str(&line).unwrap();
            let url = line["url"].as_str().or(line["base_url"].as_str()).unwrap();
            let after = url.strip_prefix("http://").unwrap();
            after.split('/').next().unwrap().to_owned()
        };
        let addresses = lines.take(3).map(|line| address(line.unwrap())).collect();
        Demo { child, addresses }
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // It removes its folder.
        kill_process(Pid::from_child(&self.child), Signal::INT).unwrap();
        self.child.wait().unwrap();
    }
}

#[test]
fn the_tutorial_runs_as_it_stands() {
    let demo = Demo::start();
    let [pages, model, feed] = &demo.addresses[..] else {
        panic!("{:?}", demo.addresses);
    };
    let folder = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(root().join("docs/tutorial.md")).unwrap();
    let mut count = 0;
    for block in text.split("```sh").skip(1) {
        let (head, rest) = block.split_once('\n').unwrap();
        let expected = head
            .strip_prefix(",exit=")
            .map_or(0, |code| code.parse().unwrap());
        for line in rest.split("```").next().unwrap().lines() {
            let own = (line.replace("127.0.0.1:8000", pages))
                .replace("127.0.0.1:8001", feed)
                .replace("127.0.0.1:8002", model)
                .replace("unspool ", concat!(env!("CARGO_BIN_EXE_unspool"), " "));
            let output = Command::new("sh")
                .args(["-c", &own])
                .current_dir(folder.path())
                .stdin(Stdio::null())
                .output()
                .unwrap();
            let words = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(expected), "{line}: {words}");
            count += 1;
        }
    }
    assert_eq!(count, 14);
    let posts = fs::read_to_string(folder.path().join("posts.ndjson")).unwrap();
    assert_eq!(posts.lines().count(), 5000);
    let poems = fs::read_to_string(folder.path().join("poems.jsonl")).unwrap();
    assert_eq!(poems.lines().count(), 2);
}
