//! The examples, which a Python programmer should recognise line by line.

use futures_util::TryStreamExt;

use crate::server::{Reply, Server};

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
