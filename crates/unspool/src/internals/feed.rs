use super::{Random, cut};
use crate::events::{FEED_READERS, read_feed};

/// The first byte chooses the reader, the next two the chunks; the others are what comes.
///
/// # Panics
///
/// What a reader makes of bytes depends on how they are cut, or an item of a feed of JSON is
/// not JSON.
pub fn check_feed(data: &[u8]) {
    let [reader, first, second, stream @ ..] = data else {
        return;
    };
    let reader = usize::from(*reader) % FEED_READERS;
    let expected = read_feed(reader, &[stream]);
    if reader == 0 {
        for item in &expected.0 {
            let checked: Result<serde::de::IgnoredAny, _> = serde_json::from_str(item);
            assert!(checked.is_ok(), "not JSON: {item}");
        }
    }
    let mut random = Random::new(u64::from(*first) << 8 | u64::from(*second));
    let chunks = cut(stream, &mut random);
    assert_eq!(
        read_feed(reader, &chunks),
        expected,
        "in {} chunks",
        chunks.len()
    );
}

#[cfg(test)]
#[test]
fn readers_of_feeds_do_not_depend_on_how_bytes_are_cut() {
    let parts: &[&[u8]] = &[
        b"{\"seq\":1}",
        b"[1,2]",
        b"\"text\"",
        b"12 ",
        b"\x1e",
        b"\n",
        b"\r\n",
        b"*1\r\n*2\r\n$1\r\ns\r\n",
        b"*2\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\nn\r\n$1\r\nv\r\n",
        b"*1\r\n",
        b"*-1\r\n",
        b"$3\r\nabc\r\n",
        b":1\r\n",
        b"-ERR no\r\n",
        b"PING\r\n",
        b"INFO {}\r\n",
        b"MSG a 1 3\r\nabc\r\n",
        b"MSG a 1 $JS.ACK.s.c.1.2.3.4.5 0\r\n\r\n",
        b"HMSG i 1 12 12\r\nNATS/1.0\r\n\r\n\r\n",
        b"HMSG i 1 99 3\r\nabc\r\n",
        b"\xff",
    ];
    super::check_random(parts, check_feed);
}
