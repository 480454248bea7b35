use super::{Random, cut, read_answer};
use crate::ask::{ANTHROPIC, Event, GEMINI, OLLAMA, OPENAI, Provider, RESPONSES};

/// The first byte chooses a protocol, the second how the answer is cut; the others are UTF-16,
/// of which each pair of bytes makes a unit, halves of characters among them.
///
/// # Panics
///
/// The text of the answer is not what all its pieces together say, wherever characters and
/// chunks are cut.
pub fn check_pieces(data: &[u8]) {
    let [protocol, seed, rest @ ..] = data else {
        return;
    };
    let mut random = Random::new(u64::from(*seed) << 8 | u64::from(*protocol));
    let units: Vec<u16> = rest.chunks(2).map(unit).collect();
    let mut pieces = Vec::new();
    let mut left = &units[..];
    while !left.is_empty() {
        let (piece, after) = left.split_at(random.below(4).min(left.len()));
        pieces.push(escaped(piece, &mut random));
        left = after;
    }
    let (provider, body) = answer(*protocol, &pieces);
    let chunks = cut(body.as_bytes(), &mut random);
    let (events, end) = read_answer(provider, None, &chunks);
    assert!(end.is_ok(), "{end:?}, of {body}");
    let text = events.iter().filter_map(|event| match event {
        Event::Text { text } => Some(text.as_str()),
        _ => None,
    });
    let text: Vec<&str> = text.collect();
    assert!(!text.contains(&""), "an empty piece of {body}");
    assert_eq!(text.concat(), String::from_utf16_lossy(&units), "of {body}");
}

/// A unit of UTF-16 in which halves of characters are frequent.
fn unit(pair: &[u8]) -> u16 {
    let [kind, low] = *pair else { return 0x41 };
    match kind % 6 {
        0 => 0xD83D,
        1 => 0xDE00 | u16::from(low & 0x3F),
        2 => 0xD800 | u16::from(low) << 2,
        3 => u16::from(low & 0x7F),
        4 => u16::from_be_bytes([kind, low]),
        _ => 0xE000 | u16::from(low),
    }
}

/// A string of JSON in which some are escaped: those that must be, and others.
fn escaped(units: &[u16], random: &mut Random) -> String {
    let mut text = String::from("\"");
    for unit in units {
        match char::from_u32(u32::from(*unit)) {
            Some(char) if *unit >= 0x20 && !matches!(char, '"' | '\\') && random.below(2) == 0 => {
                text.push(char);
            }
            _ => text.push_str(&format!("\\u{unit:04x}")),
        }
    }
    text.push('"');
    text
}

/// The answer whose text comes in these pieces.
fn answer(protocol: u8, pieces: &[String]) -> (Provider, String) {
    let (provider, begin, piece, end): (_, _, fn(&str) -> String, _) = match protocol % 5 {
        0 => (
            ANTHROPIC,
            "data: {\"type\":\"message_start\",\"message\":{\"id\":\"m\"}}\n\n",
            |text| {
                let delta = format!("{{\"type\":\"text_delta\",\"text\":{text}}}");
                format!(
                    "data: {{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{delta}}}\n\n"
                )
            },
            "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"}}\n\ndata: {\"type\":\"message_stop\"}\n\n",
        ),
        1 => (
            OPENAI,
            "",
            |text| {
                let choice = format!("{{\"index\":0,\"delta\":{{\"content\":{text}}}}}");
                format!("data: {{\"choices\":[{choice}]}}\n\n")
            },
            "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n",
        ),
        2 => (
            RESPONSES,
            "",
            |text| {
                format!("data: {{\"type\":\"response.output_text.delta\",\"delta\":{text}}}\n\n")
            },
            "data: {\"type\":\"response.completed\",\"response\":{\"id\":\"r\",\"status\":\"completed\"}}\n\n",
        ),
        3 => (
            OLLAMA,
            "",
            |text| format!("{{\"message\":{{\"content\":{text}}},\"done\":false}}\n"),
            "{\"message\":{\"content\":\"\"},\"done\":true,\"done_reason\":\"stop\"}\n",
        ),
        _ => (
            GEMINI,
            "",
            |text| {
                let content = format!("{{\"parts\":[{{\"text\":{text}}}]}}");
                format!("data: {{\"candidates\":[{{\"content\":{content}}}]}}\n\n")
            },
            "data: {\"candidates\":[{\"content\":{\"parts\":[]},\"finishReason\":\"STOP\"}]}\n\n",
        ),
    };
    let pieces: String = pieces.iter().map(|text| piece(text)).collect();
    (provider, [begin, &pieces, end].concat())
}

#[cfg(test)]
#[test]
fn random_pieces_hold_the_properties_that_are_fuzzed() {
    let parts: &[&[u8]] = &[
        b"\x00\x00",
        b"\x01\x00",
        b"\x02\x09",
        b"\x03a",
        b"\x03\x22",
        b"\x03\\",
        b"\x03\n",
        b"\x04\xE9",
        b"\x05\x00",
        b"\x02",
    ];
    super::check_random(parts, check_pieces);
}
