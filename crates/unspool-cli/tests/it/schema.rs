//! `unspool schema`: prints what `--schema` reads.

use crate::run;
use crate::server::{Reply, Server};

#[test]
fn the_columns_of_the_items_are_printed() {
    let items = r#"[{"id":1,"price":2,"tags":["a"]},{"id":2,"price":2.5,"a b":null}]"#;
    let server = Server::start(move |_| Reply::json(items));
    let url = server.url("/");
    let (exit, lines, errors) = run(&["schema", &url, "--paginate", "single"]);
    assert_eq!(exit, 0, "{errors}");
    let expected = ["id int", "price double", "tags text[]", "\"a b\" null"];
    assert_eq!(lines, expected);
    let (exit, _, errors) = run(&["schema", &url, "--to", "a.csv"]);
    assert_eq!(exit, 2);
    assert!(errors.contains("--to: nothing is written"), "{errors}");
}

#[test]
fn an_item_that_is_no_row_is_an_error() {
    let server = Server::start(|_| Reply::json(r#"[{"a":1},2]"#));
    let (exit, lines, errors) = run(&["schema", &server.url("/"), "--paginate", "single"]);
    assert_eq!((exit, lines.len()), (1, 0));
    assert!(errors.contains("item 2 is not an object"), "{errors}");
}
