//! Sinks with columns, and what others read in them.

mod csv;
#[cfg(feature = "parquet")]
mod parquet;
#[cfg(all(unix, feature = "postgres"))]
mod postgres;
#[cfg(feature = "sqlite")]
mod sqlite;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use tokio::sync::Barrier;
use unspool::Error;
use unspool::sinks::{self, Ended, Identity, Options, SinkAccount, Writer};

/// More than the sample that is held back.
const LATE: usize = 30_000;

fn options() -> Options {
    Options::new(Identity::new("test"))
}

fn with_key(key: &str) -> Options {
    let mut options = options();
    options.key = vec![key.to_owned()];
    options
}

fn with_schema(schema: &str) -> Options {
    let mut options = options();
    options.schema = Some(schema.to_owned());
    options
}

/// Writes all items in one run, which comes to the end of its source.
async fn write<I: AsRef<str>>(
    target: &str,
    options: Options,
    items: impl IntoIterator<Item = I>,
) -> Result<SinkAccount, Error> {
    let mut writer = Writer::open(sinks::open(target, options)?).await?;
    for item in items {
        writer.put(item.as_ref().as_bytes()).await?;
    }
    writer.end(None, Some(Ended::default())).await?;
    Ok(writer.account())
}

/// The same in a run that ends before its source does, with a checkpoint in its middle.
async fn write_some<I: AsRef<str>>(
    target: &str,
    options: Options,
    items: impl IntoIterator<Item = I>,
) -> Result<SinkAccount, Error> {
    let mut writer = Writer::open(sinks::open(target, options)?).await?;
    for item in items {
        writer.put(item.as_ref().as_bytes()).await?;
        writer.checkpoint(None).await?;
    }
    writer.end(None, None).await?;
    Ok(writer.account())
}

/// Writes one item into each of these targets, all at the same time.
async fn write_at_once(targets: Vec<String>) {
    let all = Arc::new(Barrier::new(targets.len()));
    let runs: Vec<_> = (targets.into_iter())
        .map(|target| {
            let all = Arc::clone(&all);
            tokio::spawn(async move {
                all.wait().await;
                write(&target, options(), [r#"{"a":1}"#]).await
            })
        })
        .collect();
    for run in runs {
        assert_eq!(run.await.unwrap().unwrap().items, 1);
    }
}

/// Many items with a whole number, and then this one.
fn after_many<'a>(last: &'a str) -> impl Iterator<Item = String> + 'a {
    let numbers = (0..LATE).map(|n| format!(r#"{{"a":{n}}}"#));
    numbers.chain([last.to_owned()])
}

#[track_caller]
fn check_refused(result: Result<SinkAccount, Error>, words: &[&str]) {
    let error = result.unwrap_err().to_string();
    for words in words {
        assert!(error.contains(words), "`{words}` is not in: {error}");
    }
}

/// What a Python script prints, with these arguments.
#[track_caller]
fn python(program: &Path, script: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(program);
    let output = command
        .arg("-c")
        .arg(script)
        .args(arguments)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout).unwrap()
}
