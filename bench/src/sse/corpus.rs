//! A stream of events as an answer of Anthropic's has them, and the chunks that it
//! arrives in. The programs of the peers are made of this file, too.

/// One event in a line and the name before it.
const BEGIN: &str = concat!(
    "event: content_block_delta\n",
    r#"data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":""#
);
const END: &str = "\"}}\n\n";

/// What models write, as parts of a JSON string.
pub(crate) const WORDS: [&str; 16] = [
    " the",
    " rain",
    " fell",
    ",",
    " and",
    " nobody",
    " had",
    r"\n\n",
    " said",
    ".",
    " Zoë",
    "'s",
    " window",
    r#" \"yes\""#,
    " grüßt",
    " 雨",
];

/// About 100 MB.
pub(crate) const EVENTS: usize = 830_000;

/// How a stream is cut.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// One event in each chunk.
    Events,
    /// As reads of a socket give it.
    Large,
    /// As a server gives it that writes as the model does.
    Small,
}

impl Cut {
    pub(crate) const ALL: [Cut; 3] = [Cut::Events, Cut::Large, Cut::Small];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Cut::Events => "one event",
            Cut::Large => "1-16384 bytes",
            Cut::Small => "1-64 bytes",
        }
    }

    /// The lengths of the chunks, the same in every run.
    pub(crate) fn lengths(self) -> Vec<usize> {
        let longest = match self {
            Cut::Events => return (0..EVENTS).map(|number| event(number).len()).collect(),
            Cut::Large => 16_384,
            Cut::Small => 64,
        };
        let mut left = stream_bytes();
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        let mut lengths = Vec::new();
        while left > 0 {
            // Xorshift.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let length = (1 + (state % longest) as usize).min(left);
            lengths.push(length);
            left -= length;
        }
        lengths
    }
}

/// The whole stream.
pub(crate) fn stream() -> Vec<u8> {
    let mut stream = Vec::with_capacity(stream_bytes());
    for number in 0..EVENTS {
        stream.extend_from_slice(event(number).as_bytes());
    }
    stream
}

/// Bytes of the `data` fields together.
pub(crate) fn data_bytes() -> usize {
    stream_bytes() - EVENTS * "event: content_block_delta\ndata: \n\n".len()
}

/// The word of a delta.
pub(crate) fn word(number: usize) -> &'static str {
    WORDS[number * 7 % WORDS.len()]
}

fn event(number: usize) -> String {
    [BEGIN, word(number), END].concat()
}

fn stream_bytes() -> usize {
    (0..EVENTS)
        .map(|number| BEGIN.len() + word(number).len() + END.len())
        .sum()
}
