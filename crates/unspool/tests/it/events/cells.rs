//! The faults that nine clients of feeds were measured with, the right answer to each, and the
//! test that has it.

/// What a feed does and what is right, and the tests of that: `module::name`.
const CELLS: &[(&str, &[&str])] = &[
    (
        "SSE: ids 1 to 15, cut after each 5: each item once, asked after the last id",
        &["faults::a_connection_that_breaks_is_made_again_after_the_last_event"],
    ),
    (
        "SSE: an id on every third event: what comes again up to the id is left out, items keep \
         the id before",
        &["faults::an_id_on_every_third_event_is_enough"],
    ),
    (
        "SSE: an empty `id:` resets: no header, and the reconnect is a doubt",
        &["faults::an_empty_id_is_a_position_no_more"],
    ),
    (
        "SSE: a lone `retry:`, a comment, an id without data: no items, and the position stays",
        &["faults::a_body_without_events_and_a_lone_retry_are_no_items"],
    ),
    (
        "SSE: 204 on reconnect: the end",
        &["faults::status_204_is_the_end"],
    ),
    (
        "SSE: 200 `text/plain`: an error, no items",
        &["faults::another_content_type_is_an_error_and_never_items"],
    ),
    (
        "SSE: a login page as 200 HTML on reconnect: an error, no items, asked once",
        &["faults::a_page_to_log_in_after_a_reconnect_is_an_error"],
    ),
    (
        "SSE: 503 on reconnect: waited out; on the first connection an error",
        &[
            "faults::a_status_that_may_pass_is_an_error_at_first_and_waited_out_later",
            "faults::retry_after_is_waited_for_and_one_that_is_too_long_is_not",
        ],
    ),
    (
        "SSE: 307, also to a relative address: followed, each time from the first address",
        &["faults::a_redirect_is_followed_each_time_from_the_first_address"],
    ),
    (
        "SSE: an open socket without a byte: left after a silence, resumed",
        &[
            "faults::a_socket_that_says_nothing_is_left_for_a_new_one",
            "faults::comments_are_signs_of_life",
        ],
    ),
    (
        "SSE: the first connection is reset: tried again, and given up in the end",
        &["faults::a_first_connection_that_is_reset_is_tried_again"],
    ),
    (
        "SSE: `retry: 0`, hang up at once: no storm, and no end without one",
        &[
            "faults::a_server_that_asks_for_no_wait_and_hangs_up_causes_no_storm",
            "faults::a_server_that_accepts_and_hangs_up_without_a_byte_is_given_up",
        ],
    ),
    (
        "SSE: the server ignores the id and replays: each item once",
        &["faults::what_a_server_sends_again_is_not_handed_out_twice"],
    ),
    (
        "SSE: the server ignores the id and goes on (gap 4 to 10): a doubt when it happens",
        &["faults::a_gap_is_said_when_it_happens"],
    ),
    (
        "SSE: an event of 100 MB: an error at the limit",
        &[
            "faults::an_event_above_the_limit_is_an_error_however_its_lines_are",
            // Its memory: `large_events` in the tests of the command.
        ],
    ),
    (
        "SSE: a line that never ends: an error at the limit",
        &[
            "faults::a_line_that_never_ends_is_an_error_at_the_limit",
            "faults::a_feed_that_is_small_until_it_is_decompressed_has_the_same_limit",
        ],
    ),
    (
        "SSE: the reader is asleep behind a flood: the server is held up",
        &["faults::a_reader_that_pauses_holds_the_server_up"],
    ),
    (
        "WebSocket: 1000, 1011, 4000: told apart",
        &["sockets::close_codes_are_told_apart"],
    ),
    (
        "WebSocket: FIN without a close frame: no end",
        &["sockets::an_end_without_a_close_frame_is_no_end"],
    ),
    (
        "WebSocket: fragments with a ping between: one message, answered",
        &[
            "sockets::a_ping_between_fragments_is_answered",
            "sockets::a_ping_is_answered_while_the_reader_pauses",
        ],
    ),
    (
        "WebSocket: a masked frame of a server: an error, and 1002",
        &[
            "sockets::a_frame_that_breaks_the_rules_is_an_error",
            "sockets::who_breaks_the_rules_is_told_which",
        ],
    ),
    (
        "WebSocket: 503 at the handshake: an error with its status",
        &["sockets::a_refused_handshake_is_an_error_with_its_status"],
    ),
    (
        "WebSocket: a redirect at the handshake: followed, without credentials for others",
        &["sockets::a_redirected_handshake_is_followed_from_the_first_address_each_time"],
    ),
    (
        "WebSocket: the peer answers no ping: left",
        &[
            "sockets::a_peer_that_answers_no_ping_is_left",
            "sockets::a_peer_that_answers_pings_may_be_quiet",
        ],
    ),
    (
        "WebSocket: a frame of 200 MB: refused by its head, and 1009",
        &[
            "sockets::a_message_above_the_limit_is_refused_by_its_head",
            "sockets::who_breaks_the_rules_is_told_which",
        ],
    ),
    (
        "WebSocket: a deflate bomb: no extension is offered, and none that was not is taken",
        &["sockets::a_compression_that_was_not_offered_is_refused"],
    ),
];

/// The modules with tests of faults, and their text.
const MODULES: &[(&str, &str)] = &[
    ("faults", include_str!("faults.rs")),
    ("sockets", include_str!("sockets.rs")),
];

#[test]
fn each_fault_has_its_test() {
    for (cell, tests) in CELLS {
        assert!(!tests.is_empty(), "{cell}");
        for test in *tests {
            let (module, name) = test.split_once("::").unwrap();
            let text = MODULES.iter().find(|(known, _)| *known == module);
            let (_, text) = text.unwrap_or_else(|| panic!("{cell}: no module `{module}`"));
            let head = format!("#[tokio::test]\nasync fn {name}() {{");
            assert!(text.contains(&head), "{cell}: no test `{test}`");
        }
    }
}
