//! The examples, which a Python programmer should recognise line by line.

use std::pin::pin;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt};
use tokio::time::Instant;
use unspool::AsyncGenerator;
#[cfg(feature = "sqlite")]
use unspool::try_aiter;

use crate::server::{Reply, Server};

#[cfg(feature = "sqlite")]
#[path = "../../../../examples/database_cursor.rs"]
#[allow(dead_code, reason = "its main function")]
mod database_cursor;
#[path = "../../../../examples/events.rs"]
#[allow(dead_code, reason = "its main function")]
mod events;
#[path = "../../../../examples/generate_text.rs"]
#[allow(dead_code, reason = "its main function")]
mod generate_text;
#[path = "../../../../examples/number_stream.rs"]
#[allow(dead_code, reason = "its main function")]
mod number_stream;
#[path = "../../../../examples/paginate.rs"]
#[allow(dead_code, reason = "its main function")]
mod paginate;

#[tokio::test]
async fn paginate_asks_for_as_many_pages_as_it_was_told() {
    let server = Server::start(|request| {
        let page = request.page();
        Reply::json(format!(
            r#"[{{"title": "a{page}"}}, {{"title": "b{page}", "more": 1}}]"#
        ))
    });
    let posts: Vec<_> = paginate::paginate(&server.url("/posts"), 2)
        .try_collect()
        .await
        .unwrap();
    let titles: Vec<_> = posts.iter().map(|post| post.title.as_str()).collect();
    assert_eq!(titles, ["a1", "b1", "a2", "b2"]);
    assert_eq!(server.targets(), ["/posts?page=1", "/posts?page=2"]);
}

#[tokio::test]
async fn generate_text_yields_pieces_as_the_model_writes_them() {
    let (reply, gate) = Reply::status(200)
        .header("content-type", "text/event-stream")
        .send("data: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"Roses\"}}\n\n")
        .gate();
    let reply = reply
        .send("data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"}}\n\n")
        .send("data: {\"type\":\"message_stop\"}\n\n");
    let reply = std::sync::Mutex::new(Some(reply));
    let server = Server::start(move |_| reply.lock().unwrap().take().unwrap());
    let request = unspool::ask("Write a poem").base_url(server.url(""));
    let mut answer = generate_text::generate_text(request);
    assert_eq!(answer.try_next().await.unwrap().as_deref(), Some("Roses"));
    gate.send(()).unwrap();
    assert_eq!(answer.try_next().await.unwrap(), None);
    assert!(answer.outcome().complete);
}

#[tokio::test(start_paused = true)]
async fn number_stream_pauses_between_its_numbers() {
    let begin = Instant::now();
    let numbers: Vec<_> = number_stream::number_stream(3)
        .into_stream()
        .collect()
        .await;
    assert_eq!(numbers, [0, 1, 2]);
    assert!(begin.elapsed() >= Duration::from_millis(300));
}

#[tokio::test]
async fn scaled_stream_is_sent_its_factors() {
    let mut scaled = pin!(number_stream::scaled_stream(3));
    assert_eq!(scaled.start().await, Ok(Some(0)));
    assert_eq!(scaled.asend(10).await, Ok(Some(10)));
    assert_eq!(scaled.asend(100).await, Ok(Some(200)));
    assert_eq!(scaled.asend(1).await, Ok(None));
}

#[tokio::test(start_paused = true)]
async fn events_end_with_their_cleanup() {
    let mut events = pin!(events::events());
    for _ in 0..3 {
        assert!(events.anext().await.is_some());
    }
    // The cleanup waits.
    let begin = Instant::now();
    assert_eq!(events.aclose().await, Ok(()));
    assert!(begin.elapsed() >= Duration::from_millis(100));
    assert_eq!(events.anext().await, None);
}

#[tokio::test]
async fn a_feed_is_followed_to_its_end() {
    let server = Server::start(|request| match request.header("last-event-id") {
        None => Reply::status(200)
            .header("content-type", "text/event-stream")
            .body("id: 1\ndata: something happened\n\n"),
        Some(_) => Reply::status(204),
    });
    let events: Vec<_> = events::feed(&server.url("/")).try_collect().await.unwrap();
    assert_eq!(events.len(), 1);
    assert_eq!(&*events[0].data, "something happened");
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn database_cursor_gives_all_rows_in_batches() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("users.sqlite");
    let connection = rusqlite::Connection::open(&file).unwrap();
    connection
        .execute_batch(
            "create table users (id integer primary key, name text);
             with recursive ids (id) as (select 1 union all select id + 1 from ids where id < 250)
             insert into users select id, 'user ' || id from ids;",
        )
        .unwrap();
    let query = "select id, name from users order by id";
    let cursor = database_cursor::DatabaseCursor::new(connection, query);
    let users: Vec<_> = try_aiter(cursor).try_collect().await.unwrap();
    assert_eq!(users.len(), 250);
    assert_eq!(users[249], (250, "user 250".to_owned()));
    // By hand, and in one line.
    let dsn = format!("sqlite:{}", file.display());
    let rows: Vec<_> = database_cursor::users(&dsn).try_collect().await.unwrap();
    let rows: Vec<_> = rows.into_iter().map(|user| (user.id, user.name)).collect();
    assert_eq!(rows, users);

    let connection = rusqlite::Connection::open(&file).unwrap();
    let cursor = database_cursor::DatabaseCursor::new(connection, "select id from nowhere");
    let error = try_aiter(cursor).try_collect::<Vec<_>>().await.unwrap_err();
    assert!(error.to_string().contains("no such table"), "{error}");
}
