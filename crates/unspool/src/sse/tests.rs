use bytes::Bytes;

use super::*;

/// The events of a stream, as `name=data` or `name=data#id`, the same however it is cut.
#[track_caller]
fn check(stream: impl AsRef<[u8]>, expected: &[&str]) {
    let stream = stream.as_ref();
    assert_eq!(events(&[stream]), expected, "in one chunk");
    let bytes: Vec<&[u8]> = stream.chunks(1).collect();
    assert_eq!(events(&bytes), expected, "byte by byte");
    for at in 0..stream.len() {
        let (begin, rest) = stream.split_at(at);
        assert_eq!(events(&[begin, rest]), expected, "cut at {at}");
    }
}

fn events(chunks: &[&[u8]]) -> Vec<String> {
    let mut decoder = Decoder::new();
    let mut events = Vec::new();
    for chunk in chunks {
        decoder.push(Bytes::copy_from_slice(chunk));
        while let Some(event) = decoder.next_event().unwrap() {
            let id = match event.last_event_id.is_empty() {
                true => String::new(),
                false => format!("#{}", event.last_event_id),
            };
            events.push(format!("{}={}{id}", event.name, event.data));
        }
    }
    events
}

#[test]
fn the_examples_of_the_standard_are_read_as_it_says() {
    check(
        "data: YHOO\ndata: +2\ndata: 10\n\n",
        &["message=YHOO\n+2\n10"],
    );
    check(
        ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
        &[
            "message=first event#1",
            "message=second event",
            "message= third event",
        ],
    );
    check("data\n\ndata\ndata\n\ndata:", &["message=", "message=\n"]);
    check(
        "data:test\n\ndata: test\n\n",
        &["message=test", "message=test"],
    );
    check(
        "event: add\ndata: 73857293\n\nevent: remove\ndata: 2153\n\n",
        &["add=73857293", "remove=2153"],
    );
}

#[test]
fn events_that_begin_like_the_one_before_are_read_as_any() {
    let alike = "event: a\ndata: 1\n\n";
    for (odd, event) in [
        ("event: b\ndata: 2\n\n", "b=2"),
        ("event: ab\ndata: 2\n\n", "ab=2"),
        ("data: 2\n\n", "message=2"),
        ("data: 2\n\ndata: 3\n\n", "message=2 message=3"),
        ("event: a\ndata: 2\ndata: 3\n\n", "a=2\n3"),
        ("event: a\ndata: 2\nid: 7\n\n", "a=2#7"),
        ("event: a\ndata: 2\r\n\r\n", "a=2"),
        ("event: a\ndata: 2\n\r\n", "a=2"),
        ("event: a\ndata: 2\r3\n\n", "a=2"),
        ("event: a\ndata:  2\n\n", "a= 2"),
        ("event: a\ndata: \n\n", "a="),
        ("event: a\n\n", ""),
        ("event:\ndata: 2\n\n", "message=2"),
        ("id: 8\nevent: a\ndata: 2\n\n", "a=2#8"),
        ("data: 0\nevent: a\ndata: 2\n\n", "a=0\n2"),
        ("event: b\nevent: a\ndata: 2\n\n", "a=2"),
    ] {
        let after = match event.split_once('#') {
            Some((_, id)) => format!("a=1#{id}"),
            None => "a=1".to_owned(),
        };
        let mut expected = vec!["a=1", "a=1"];
        expected.extend(
            event
                .split(' ')
                .filter(|_| event != "a= 2" && !event.is_empty()),
        );
        expected.extend((event == "a= 2").then_some(event));
        expected.extend([&*after, &*after]);
        let stream = [alike, alike, odd, alike, alike].concat();
        check(&stream, &expected);
    }
}

#[test]
fn a_limit_holds_for_events_that_begin_like_the_one_before() {
    let mut decoder = Decoder::new().max_event(20);
    decoder.push(Bytes::from_static(b"data: 1\n\ndata: 123456789012345\n\n"));
    assert_eq!(&*decoder.next_event().unwrap().unwrap().data, "1");
    assert!(decoder.next_event().unwrap_err().is_too_large());
}

#[test]
fn lines_end_in_three_ways() {
    check("data: a\n\ndata: b\n\n", &["message=a", "message=b"]);
    check("data: a\r\rdata: b\r\r", &["message=a", "message=b"]);
    check(
        "data: a\r\n\r\ndata: b\r\n\r\n",
        &["message=a", "message=b"],
    );
    check("data: a\r\n\rdata: b\n\r\n", &["message=a", "message=b"]);
    check("data: a\n\rdata: b\r\n\n", &["message=a", "message=b"]);
}

#[test]
fn a_byte_order_mark_is_left_out_at_the_begin_only() {
    check("\u{FEFF}data: a\n\n", &["message=a"]);
    check("\u{FEFF}\u{FEFF}data: a\n\n", &[]);
    check("data: a\n\n\u{FEFF}data: b\n\n", &["message=a"]);
    check("\u{FEFF}\ndata: a\n\n", &["message=a"]);
    check("\u{FEFF}", &[]);
    check("data: \u{FEFF}\n\n", &["message=\u{FEFF}"]);
}

#[test]
fn an_event_without_a_name_is_a_message() {
    check("event:\ndata: a\n\n", &["message=a"]);
    check("event: \ndata: a\n\n", &["message=a"]);
    check("event\ndata: a\n\n", &["message=a"]);
    check("event: a\nevent:\ndata: b\n\n", &["message=b"]);
    check("event: a\nevent: b\ndata: c\n\n", &["b=c"]);
}

#[test]
fn an_event_without_data_is_none_and_leaves_no_name_behind() {
    check("event: a\n\ndata: b\n\n", &["message=b"]);
    check("event: a\ndata\n\ndata: b\n\n", &["a=", "message=b"]);
    check("\n\n\n", &[]);
    check("id: 1\n\ndata: a\n\n", &["message=a#1"]);
}

#[test]
fn what_does_not_end_with_an_empty_line_is_no_event() {
    check("data: a", &[]);
    check("data: a\n", &[]);
    check("data: a\n\ndata: b\n", &["message=a"]);
    check("data: a\r\n", &[]);
}

#[test]
fn an_id_holds_until_the_next_and_may_not_have_a_nul() {
    check(
        "id: 1\ndata: a\n\ndata: b\n\nid:\ndata: c\n\n",
        &["message=a#1", "message=b#1", "message=c"],
    );
    check("id: 1\nid: 2\0\ndata: a\n\n", &["message=a#1"]);
    check("id: ä\ndata: a\n\n", &["message=a#ä"]);
}

#[test]
fn only_the_fields_of_the_standard_count_and_their_case_does() {
    check(
        "Data: a\nDATA: a\n data: a\ndata : a\ndatax: a\ndat: a\n\n",
        &[],
    );
    check("x:data: a\n:data: a\ndata: b\n\n", &["message=b"]);
    check("data:a:b\n\n", &["message=a:b"]);
    check("data:\ta\n\n", &["message=\ta"]);
    check("a-field-with-a-longer-name: 1\ndata: a\n\n", &["message=a"]);
}

#[test]
fn what_is_not_utf_8_becomes_the_replacement_character() {
    check(b"data: a\xFFb\n\n", &["message=a\u{FFFD}b"]);
    check(b"data: \xF0\x9F\x98\n\n", &["message=\u{FFFD}"]);
    check(
        b"data: \xE2\x82\ndata: \xAC\n\n",
        &["message=\u{FFFD}\n\u{FFFD}"],
    );
    check(
        b"event: \xFF\ndata: \xED\xA0\x80\n\n",
        &["\u{FFFD}=\u{FFFD}\u{FFFD}\u{FFFD}"],
    );
    check("data: 😀\n\n", &["message=😀"]);
}

#[test]
fn the_reconnection_time_is_made_of_digits() {
    let retry = |stream: &'static str| {
        let mut decoder = Decoder::new();
        decoder.push(Bytes::from_static(stream.as_bytes()));
        while decoder.next_event().unwrap().is_some() {}
        decoder.retry()
    };
    assert_eq!(retry("retry: 1500\n"), Some(Duration::from_millis(1500)));
    assert_eq!(
        retry("retry: 1500\nretry: x\n"),
        Some(Duration::from_millis(1500))
    );
    assert_eq!(retry("retry: 15\n\nretry: 0\n"), Some(Duration::ZERO));
    for wrong in [
        "retry\n",
        "retry:\n",
        "retry: -1\n",
        "retry: +1\n",
        "retry: 1.5\n",
        "retry: 1 \n",
    ] {
        assert_eq!(retry(wrong), None, "{wrong}");
    }
    // More than fits is no time that anybody means.
    assert_eq!(retry("retry: 99999999999999999999\n"), None);
}

#[test]
fn an_event_is_a_slice_of_its_chunk() {
    let chunk = Bytes::from_static(b"data: abc\n\n");
    let mut decoder = Decoder::new();
    decoder.push(chunk.clone());
    let event = decoder.next_event().unwrap().unwrap();
    assert_eq!(event.data.as_ptr(), chunk[6..].as_ptr());
}

#[test]
fn an_event_above_the_limit_is_refused_in_one_line_or_in_many() {
    let mut decoder = Decoder::new().max_event(10);
    decoder.push(Bytes::from_static(b"data: ab\n\ndata: abcdef\n\n"));
    assert_eq!(&*decoder.next_event().unwrap().unwrap().data, "ab");
    assert!(decoder.next_event().unwrap_err().is_too_large());
    let mut decoder = Decoder::new().max_event(10);
    decoder.push(Bytes::from_static(b"data: abc\ndata: def\ndata: ghi\n\n"));
    assert!(decoder.next_event().unwrap_err().is_too_large());
}

#[test]
fn the_id_of_an_event_that_has_not_ended_is_not_the_last_one() {
    for rest in ["", "data: b", "data: b\n", "data: b\r"] {
        let mut decoder = Decoder::new();
        let begun = format!("id: 1\ndata: a\n\nid: 2\n{rest}");
        decoder.push(Bytes::from(begun));
        let event = decoder.next_event().unwrap().unwrap();
        assert_eq!(&*event.last_event_id, "1");
        assert!(decoder.next_event().unwrap().is_none());
        assert_eq!(decoder.last_event_id(), "1", "after {rest:?}");
    }
}

#[test]
fn an_id_without_data_counts_once_its_event_has_ended() {
    let mut decoder = Decoder::new();
    decoder.push(Bytes::from_static(b"id: 7\n"));
    assert!(decoder.next_event().unwrap().is_none());
    assert_eq!(decoder.last_event_id(), "");
    decoder.push(Bytes::from_static(b"\nid: 8\n\nid\n"));
    assert!(decoder.next_event().unwrap().is_none());
    assert_eq!(decoder.last_event_id(), "8");
}
