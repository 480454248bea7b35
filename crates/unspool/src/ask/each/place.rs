//! Where a walk over records stands, and what it has come to by then.

use serde::{Deserialize, Serialize};

use super::super::outcome::Usage;
use crate::error::Error;
use crate::position::Position;

/// The name of the source.
pub(super) const NAME: &str = "ask-each";

const VERSION: u32 = 1;

/// Where the source stands after a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Place {
    /// How many records there were so far.
    pub(super) record: u64,
    /// The bytes of the input up to here, and their hash (XXH3, 64 bits).
    pub(super) bytes: u64,
    #[serde(with = "hex")]
    pub(super) hash: u64,
    /// The length of the file of those that failed.
    pub(super) failed_bytes: u64,
    #[serde(flatten)]
    pub(super) tally: Tally,
}

/// What came of the records so far, in all runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tally {
    /// Records whose question failed after all tries.
    pub(super) failed: u64,
    /// Records whose answer stopped before its natural end.
    pub(super) incomplete: u64,
    /// Records whose answer is in doubt.
    pub(super) doubtful: u64,
    pub(super) input_tokens: u64,
    pub(super) output_tokens: u64,
}

impl Place {
    pub(super) fn read(position: &Position) -> Result<Self, Error> {
        position.read(NAME, VERSION)
    }

    pub(super) fn position(&self) -> Option<Position> {
        Position::new(NAME, VERSION, self)
    }
}

impl Tally {
    pub(super) fn uses(&mut self, usage: &Usage) {
        self.input_tokens += usage.input_tokens.unwrap_or(0);
        self.output_tokens += usage.output_tokens.unwrap_or(0);
    }
}

/// A hash as text: JSON readers round large numbers.
mod hex {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(hash: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{hash:016x}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
        let text = String::deserialize(from)?;
        u64::from_str_radix(&text, 16).map_err(D::Error::custom)
    }
}
