//! How files are compressed, by their names.

use crate::error::Error;

/// How a file is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    Gzip,
    Zstd,
}

impl Compression {
    /// The compression that the name of a file asks for, and the name without it.
    pub(super) fn of(name: &str) -> (Self, &str) {
        for (suffix, compression) in [(".gz", Compression::Gzip), (".zst", Compression::Zstd)] {
            let begin = name.len().saturating_sub(suffix.len());
            if name.is_char_boundary(begin) && name[begin..].eq_ignore_ascii_case(suffix) {
                return (compression, &name[..begin]);
            }
        }
        (Compression::None, name)
    }

    /// That files can be compressed so.
    ///
    /// # Errors
    ///
    /// This program was built without what does it.
    pub(super) fn check(self) -> Result<(), Error> {
        if cfg!(feature = "compression") || self == Compression::None {
            Ok(())
        } else {
            Err(Error::request(
                "the target is to be compressed, and this program was built without the feature \
                 `compression` of `unspool`",
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_tells_the_compression() {
        assert_eq!(Compression::of("a.jsonl"), (Compression::None, "a.jsonl"));
        assert_eq!(Compression::of("a.json.gz"), (Compression::Gzip, "a.json"));
        assert_eq!(Compression::of("a.CSV.ZST"), (Compression::Zstd, "a.CSV"));
        assert_eq!(Compression::of("é"), (Compression::None, "é"));
    }
}
