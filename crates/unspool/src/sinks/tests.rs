//! Files as every format leaves them: resumed, refused, cut.
#![allow(
    clippy::unwrap_used,
    clippy::allow_attributes,
    reason = "a helper of a test may fail it"
)]

use std::io::Read;
use std::path::{Path, PathBuf};

use std::task::{Context, Poll};

use unspool_core::generator;

use super::*;
use crate::position::Position;
use crate::source::Source;

/// Every format of files, by its extension.
const FILES: &[&str] = &[
    "jsonl",
    "jsonl.gz",
    "jsonl.zst",
    "json",
    "json.gz",
    "json.zst",
];

struct Case {
    folder: tempfile::TempDir,
    extension: &'static str,
}

impl Case {
    fn new(extension: &'static str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Case { folder, extension }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join(format!("items.{}", self.extension))
    }

    fn options(&self) -> Options {
        let mut options = Options::new(Identity::new("test"));
        options.state = Some(self.folder.path().join("state"));
        options
    }

    fn sink(&self, options: Options) -> Sink {
        open(self.path().to_str().unwrap(), options).unwrap()
    }

    async fn writer(&self) -> Result<Writer, Error> {
        Writer::open(self.sink(self.options())).await
    }

    async fn refused(&self) -> String {
        let error = self.writer().await.unwrap_err();
        assert!(error.is_request(), "{error}");
        error.to_string()
    }

    /// The items in the file, which has to be whole.
    fn items(&self) -> Vec<u64> {
        let text = String::from_utf8(content(&self.path())).unwrap();
        if self.extension.starts_with("jsonl") {
            assert!(text.is_empty() || text.ends_with('\n'));
            text.lines().map(|line| line.parse().unwrap()).collect()
        } else {
            serde_json::from_str(&text).unwrap()
        }
    }

    /// How many items there are up to where the file is whole by its state.
    fn size(&self) -> u64 {
        std::fs::metadata(self.path()).unwrap().len()
    }
}

/// What is in a file, decompressed.
fn content(path: &Path) -> Vec<u8> {
    let raw = std::fs::read(path).unwrap();
    let mut text = Vec::new();
    match path.extension().unwrap().to_str().unwrap() {
        "gz" => flate2::read::MultiGzDecoder::new(&*raw)
            .read_to_end(&mut text)
            .unwrap(),
        "zst" => zstd::Decoder::new(&*raw)
            .unwrap()
            .read_to_end(&mut text)
            .unwrap(),
        _ => return raw,
    };
    text
}

fn position(after: u64) -> Option<Position> {
    Position::new("test", 1, &serde_json::json!({"after": after}))
}

async fn put(writer: &mut Writer, items: std::ops::Range<u64>) {
    for item in items {
        writer.put(item.to_string().as_bytes()).await.unwrap();
    }
}

/// Waits until this many items are durable.
async fn durable(writer: &mut Writer, items: u64) {
    while writer.durable().items < items {
        writer.due().await.unwrap();
        writer.newly_durable();
    }
}

#[tokio::test]
async fn a_run_that_was_left_is_resumed_after_what_was_durable() {
    for extension in FILES {
        let case = Case::new(extension);
        let mut first = case.writer().await.unwrap();
        assert_eq!(*first.begun(), Mark::default());
        put(&mut first, 0..1000).await;
        first.checkpoint(position(1000)).await.unwrap();
        durable(&mut first, 1000).await;
        assert_eq!(case.items(), (0..1000).collect::<Vec<_>>(), "{extension}");
        put(&mut first, 1000..200_000).await;
        drop(first);
        let mut second = loop {
            // The first one lets go of its lock on its thread.
            if let Ok(writer) = case.writer().await {
                break writer;
            }
        };
        assert_eq!(second.begun().position, position(1000));
        put(&mut second, 1000..2000).await;
        second
            .end(position(2000), Some(Ended::default()))
            .await
            .unwrap();
        assert_eq!(case.items(), (0..2000).collect::<Vec<_>>(), "{extension}");
        assert_eq!(second.account().items, 2000);
    }
}

#[tokio::test]
async fn what_is_not_durable_and_not_whole_is_cut_when_the_run_is_left() {
    for extension in FILES {
        let case = Case::new(extension);
        let mut writer = case.writer().await.unwrap();
        put(&mut writer, 0..10).await;
        writer.checkpoint(position(10)).await.unwrap();
        durable(&mut writer, 10).await;
        put(&mut writer, 10..300_000).await;
        drop(writer);
        while Case::is_locked(&case) {
            tokio::task::yield_now().await;
        }
        let items = case.items();
        assert!(items.len() >= 10, "{extension}");
        assert!(
            items.iter().copied().eq(0..items.len() as u64),
            "{extension}"
        );
    }
}

impl Case {
    fn is_locked(&self) -> bool {
        lock::Lock::hold(&self.path()).is_err()
    }
}

#[tokio::test]
async fn a_run_that_brings_nothing_new_leaves_the_position_where_it_was() {
    let case = Case::new("jsonl");
    let mut writer = case.writer().await.unwrap();
    put(&mut writer, 0..5).await;
    writer.end(position(5), None).await.unwrap();
    // As a source stands that passes over what came before.
    for stands in [None, position(2)] {
        let mut writer = case.writer().await.unwrap();
        writer.end(stands, None).await.unwrap();
        let mut writer = case.writer().await.unwrap();
        assert_eq!(writer.begun().position, position(5));
        writer.end(None, None).await.unwrap();
    }
}

#[tokio::test]
async fn a_complete_target_stays_as_it_is() {
    for extension in FILES {
        let case = Case::new(extension);
        let mut writer = case.writer().await.unwrap();
        put(&mut writer, 0..3).await;
        let ended = Ended {
            code: None,
            doubts: vec!["a doubt".to_owned()],
        };
        writer.end(position(3), Some(ended.clone())).await.unwrap();
        let size = case.size();
        let mut again = case.writer().await.unwrap();
        assert_eq!(again.begun().ended, Some(ended.clone()));
        again.end(position(3), Some(ended)).await.unwrap();
        assert_eq!(
            (case.size(), case.items()),
            (size, vec![0, 1, 2]),
            "{extension}"
        );
    }
}

#[tokio::test]
async fn an_empty_run_leaves_an_empty_file_that_is_one() {
    for extension in FILES {
        let case = Case::new(extension);
        let mut writer = case.writer().await.unwrap();
        writer
            .end(position(0), Some(Ended::default()))
            .await
            .unwrap();
        assert_eq!(case.items(), [0; 0], "{extension}");
        assert_eq!(case.size() == 0, *extension == "jsonl");
    }
}

#[tokio::test]
async fn a_target_that_somebody_else_has_changed_is_refused() {
    for extension in FILES {
        let case = Case::new(extension);
        let mut writer = case.writer().await.unwrap();
        put(&mut writer, 0..1000).await;
        writer.end(position(1000), None).await.unwrap();
        let whole = std::fs::read(case.path()).unwrap();

        let mut changed = whole.clone();
        changed[whole.len() / 2] ^= 1;
        std::fs::write(case.path(), &changed).unwrap();
        assert!(
            case.refused().await.contains("somebody else has changed"),
            "{extension}"
        );
        std::fs::write(case.path(), &whole[..whole.len() / 2]).unwrap();
        assert!(case.refused().await.contains("were durable"));
        std::fs::remove_file(case.path()).unwrap();
        assert!(case.refused().await.contains("it is gone"));

        // What it refuses stays as it is, and what is right goes on.
        std::fs::write(case.path(), [&whole[..], b"half an it"].concat()).unwrap();
        let mut writer = case.writer().await.unwrap();
        put(&mut writer, 1000..1001).await;
        writer
            .end(position(1001), Some(Ended::default()))
            .await
            .unwrap();
        assert_eq!(case.items().len(), 1001, "{extension}");

        let complete = std::fs::read(case.path()).unwrap();
        std::fs::write(case.path(), [&complete[..], b"more\n"].concat()).unwrap();
        assert!(
            case.refused().await.contains("it was complete with"),
            "{extension}"
        );
    }
}

#[tokio::test]
async fn another_command_is_refused_with_what_differs() {
    let case = Case::new("jsonl");
    let mut writer = case.writer().await.unwrap();
    writer.end(None, None).await.unwrap();
    let mut options = case.options();
    options.identity = Identity::new("test").with("url", "http://b.test/");
    let error = Writer::open(case.sink(options)).await.unwrap_err();
    assert!(error.is_request());
    let words = error.to_string();
    assert!(
        words.contains("`url` is `http://b.test/` and was not given"),
        "{words}"
    );
}

#[tokio::test]
async fn a_file_that_holds_something_is_replaced_only_when_that_is_asked_for() {
    for has_state in [false, true] {
        let case = Case::new("jsonl");
        std::fs::write(case.path(), "precious\n").unwrap();
        let mut options = case.options();
        options.state = options.state.filter(|_| has_state);
        let refused = Writer::open(case.sink(options.clone())).await.unwrap_err();
        assert!(refused.to_string().contains("holds 9 bytes"), "{refused}");
        assert_eq!(content(&case.path()), b"precious\n");
        options.overwrite = true;
        let mut writer = Writer::open(case.sink(options)).await.unwrap();
        put(&mut writer, 0..2).await;
        writer.end(None, Some(Ended::default())).await.unwrap();
        assert_eq!(case.items(), [0, 1]);
    }
}

#[tokio::test]
async fn a_full_disk_is_the_sinks_failure() {
    let sink = open("/dev/full", Options::default());
    assert!(sink.is_err(), "it has no extension");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("full.jsonl");
    std::os::unix::fs::symlink("/dev/full", &path).unwrap();
    let sink = open(path.to_str().unwrap(), Options::default()).unwrap();
    let mut writer = Writer::open(sink).await.unwrap();
    writer.put(b"1").await.unwrap();
    let error = writer.end(None, None).await.unwrap_err();
    assert!(
        error.is_sink() && error.to_string().contains("No space left"),
        "{error}"
    );
}

#[tokio::test]
async fn a_slow_sink_stops_the_source() {
    let (release, released) = tokio::sync::oneshot::channel::<()>();
    let sink = Sink::new("slow", move || {
        generator! {
            let Delivery::Items(_) = (yield None) else { return Ok(()) };
            let _ = released.await;
            while let Delivery::Items(_) | Delivery::Checkpoint(_) = (yield None) {}
            Ok(())
        }
    });
    let mut writer = Writer::open(sink).await.unwrap();
    let item = vec![b'1'; 64 << 10];
    let mut items = 0;
    let time = std::time::Duration::from_millis(100);
    while tokio::time::timeout(time, writer.put(&item)).await.is_ok() {
        items += 1;
        assert!(items < 100, "nothing holds it back");
    }
    release.send(()).unwrap();
    writer.end(None, None).await.unwrap();
    assert_eq!(writer.account().items, items + 1);
}

#[tokio::test]
async fn a_sink_that_fails_says_why_at_once_and_at_the_end() {
    let sink = Sink::new("broken", || {
        generator! {
            let _item: Delivery = yield None;
            let failure: Result<(), Error> = Err(Error::sink("cannot go on", "out of ink"));
            failure
        }
    });
    let mut writer = Writer::open(sink).await.unwrap();
    writer.put(b"1").await.unwrap();
    // It may have failed before the checkpoint is asked for.
    let told = match writer.checkpoint(None).await {
        Ok(()) => writer.due().await,
        told => told,
    };
    assert_eq!(told.unwrap_err().to_string(), "cannot go on: out of ink");
    assert!(writer.end(None, None).await.is_err());
}

#[test]
fn an_unknown_target_is_refused_with_what_there_is() {
    let error = open("items.xyz", Options::default()).unwrap_err();
    assert!(error.to_string().contains("FILE.jsonl"), "{error}");
    let options = Options {
        key: vec!["id".to_owned()],
        ..Options::default()
    };
    assert!(open("items.jsonl", options).unwrap_err().is_request());
}

/// A walk that remembers what it was told, and what the state said then.
struct Told {
    walk: crate::pages::Pages<crate::RawItem>,
    state: PathBuf,
    told: std::sync::Arc<std::sync::Mutex<Vec<Position>>>,
}

impl futures_core::Stream for Told {
    type Item = Result<crate::RawItem, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.walk).poll_next(cx)
    }
}

impl futures_core::FusedStream for Told {
    fn is_terminated(&self) -> bool {
        self.walk.is_terminated()
    }
}

impl Source<crate::RawItem> for Told {
    fn name(&self) -> &'static str {
        "told"
    }

    fn position(&self) -> Option<Position> {
        self.walk.position()
    }

    fn account(&self) -> crate::Account {
        self.walk.account().erased()
    }

    fn waiting(&self) -> Option<String> {
        self.walk.waiting()
    }

    fn is_ready(&self) -> bool {
        self.walk.is_ready()
    }

    fn acknowledge(self: Pin<&mut Self>, position: &Position) {
        let kept = std::fs::read_to_string(&self.state).unwrap();
        let kept = state::Record::read(&kept, "the state").unwrap();
        assert_eq!(
            kept.mark.position.as_ref(),
            Some(position),
            "first the state, then the source"
        );
        self.told.lock().unwrap().push(position.clone());
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.walk).poll_close(cx)
    }
}

#[tokio::test]
async fn a_source_is_told_what_is_durable_and_a_pull_is_resumed() {
    use test_servers::{Reply, Server, linked_page};
    let is_broken = std::sync::atomic::AtomicBool::new(true);
    let server = Server::start(move |request| match request.page() {
        3 if is_broken.swap(false, std::sync::atomic::Ordering::Relaxed) => {
            Reply::status(404).body("gone")
        }
        // The source waits, so that what came becomes durable before the next page does.
        _ => linked_page(request, 4, 10).pause(std::time::Duration::from_millis(100)),
    });
    let case = Case::new("jsonl");
    let told = std::sync::Arc::default();
    let run = || {
        let request = crate::pages(server.url("/"));
        let mut options = Options::new(request.identity().unwrap());
        options.state = case.options().state;
        options.checkpoint_after = Some(Duration::from_millis(1));
        let told = std::sync::Arc::clone(&told);
        let state = case.options().state.unwrap();
        let open = |from| {
            Ok(Told {
                walk: request.resume(from).raw(),
                state,
                told,
            })
        };
        crate::pull(open, case.sink(options))
    };
    let error = run().await.unwrap_err();
    assert_eq!(error.status(), Some(404));
    assert!(!told.lock().unwrap().is_empty());
    let pulled = run().await.unwrap();
    assert_eq!((pulled.sink.before, pulled.sink.items), (20, 40));
    assert_eq!(pulled.source.unwrap().items, 20);
    assert_eq!(case.items(), (0..40).collect::<Vec<_>>());
    let again = run().await.unwrap();
    assert_eq!((again.source, again.sink.items), (None, 40));
}
