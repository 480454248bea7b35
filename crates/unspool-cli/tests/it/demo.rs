use crate::run;

#[test]
fn the_demo_shows_the_main_job_and_checks_it() {
    let (code, lines, words) = run(&["demo"]);
    assert_eq!(code, 0, "{words}");
    // Eleven items, two feeds, rows, a poem, its first line, and a line and a half of it.
    assert_eq!(lines.len(), 11 + 12 + 6 + 3 + 5 + 9 + 1 + 2);
    for part in [
        "$ unspool pages http://127.0.0.1:",
        "complete: 5,000 items from 50 pages in 52 requests (2 repeated)",
        "5000 posts.ndjson",
        "gives the first page again",
        "found: --paginate cursor:/paging/next_token,to=after --items /notes",
        "truncated: ",
        "$ echo $?\n3",
        "$ unspool ask 'Write a poem about loops' --base-url http://127.0.0.1:",
        "2 requests (1 repeated); the model came to its end",
        "not complete: 9 tokens (14 in)",
        "$ echo $?\n4",
        "$ unspool events http://127.0.0.1:",
        "complete: 12 events, ",
        "doubt: after a reconnect the ids go on with `11`, and the last one was `4`",
        "truncated: the answer ended after 14 events, without `message_stop`",
        "no such column: amuont",
        "unspool: mode `keyset`, as there is a key: ",
    ] {
        assert!(words.contains(part), "{part} in {words}");
    }
}
