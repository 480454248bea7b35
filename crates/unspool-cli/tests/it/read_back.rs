//! Files of items, as somebody else reads them.

use std::io::Read;
use std::path::Path;

use serde_json::Value;

/// Whether a file has to be whole, or what stands after its items may be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whole {
    Yes,
    No,
}

/// The items in a file, by its name.
pub(crate) fn items(path: &Path, whole: Whole) -> Vec<Value> {
    let name = path.file_name().unwrap().to_str().unwrap();
    decoded(std::fs::read(path).unwrap(), name, whole)
}

/// The items in as much of a file as is durable by its state; nothing where neither is there.
pub(crate) fn durable(path: &Path, state: &Path) -> Vec<Value> {
    let Ok(text) = std::fs::read_to_string(state) else {
        return Vec::new();
    };
    let state: Value = serde_json::from_str(&text).unwrap();
    let length = state["file"]["length"].as_u64().unwrap_or(0) as usize;
    let mut bytes = std::fs::read(path).unwrap_or_default();
    assert!(bytes.len() >= length, "{} of {length} bytes", bytes.len());
    bytes.truncate(length);
    let name = path.file_name().unwrap().to_str().unwrap();
    let items = decoded(bytes, name, Whole::No);
    assert_eq!(
        items.len() as u64,
        state["items"].as_u64().unwrap(),
        "{state}"
    );
    items
}

fn decoded(bytes: Vec<u8>, name: &str, whole: Whole) -> Vec<Value> {
    let mut text = Vec::new();
    // Cut before its first checkpoint.
    if bytes.is_empty() && whole == Whole::No {
        return Vec::new();
    }
    let name = if let Some(name) = name.strip_suffix(".gz") {
        flate2::read::MultiGzDecoder::new(&*bytes)
            .read_to_end(&mut text)
            .unwrap();
        name
    } else if let Some(name) = name.strip_suffix(".zst") {
        zstd::Decoder::new(&*bytes)
            .unwrap()
            .read_to_end(&mut text)
            .unwrap();
        name
    } else {
        text = bytes;
        name
    };
    let mut text = String::from_utf8(text).unwrap();
    if name.ends_with(".json") {
        if whole == Whole::No && !text.is_empty() && !text.ends_with("]\n") {
            text.push(']');
        }
        return serde_json::from_str(&text).unwrap();
    }
    assert!(text.is_empty() || text.ends_with('\n'), "a line is cut");
    if name.ends_with(".csv") {
        return crate::read_tables::csv(&text);
    }
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}
