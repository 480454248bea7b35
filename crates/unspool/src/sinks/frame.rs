//! Compression in frames, each of which can be read, and cut off, by itself.

use std::io::{self, Write};

use flate2::write::GzEncoder;

use super::compression::Compression;

/// The level of gzip: the fastest, as who wants small files takes zstd.
const GZIP_LEVEL: u32 = 1;

/// The level of zstd.
const ZSTD_LEVEL: i32 = 3;

/// A frame that is being written: a member of a gzip, a frame of zstd.
pub(super) enum Frame {
    Gzip(GzEncoder<Vec<u8>>),
    Zstd(zstd::Encoder<'static, Vec<u8>>),
}

impl Frame {
    /// Begins a frame; none where nothing is compressed.
    pub(super) fn begin(compression: Compression) -> io::Result<Option<Self>> {
        Ok(match compression {
            Compression::None => None,
            Compression::Gzip => {
                let level = flate2::Compression::new(GZIP_LEVEL);
                Some(Frame::Gzip(GzEncoder::new(Vec::new(), level)))
            }
            Compression::Zstd => {
                let mut encoder = zstd::Encoder::new(Vec::new(), ZSTD_LEVEL)?;
                encoder.include_checksum(true)?;
                Some(Frame::Zstd(encoder))
            }
        })
    }

    pub(super) fn write(&mut self, text: &[u8]) -> io::Result<()> {
        match self {
            Frame::Gzip(encoder) => encoder.write_all(text),
            Frame::Zstd(encoder) => encoder.write_all(text),
        }
    }

    /// What has been compressed since this was called last; whoever has written it clears it.
    pub(super) fn output(&mut self) -> &mut Vec<u8> {
        match self {
            Frame::Gzip(encoder) => encoder.get_mut(),
            Frame::Zstd(encoder) => encoder.get_mut(),
        }
    }

    /// Ends the frame: the rest of its bytes.
    pub(super) fn finish(self) -> io::Result<Vec<u8>> {
        match self {
            Frame::Gzip(encoder) => encoder.finish(),
            Frame::Zstd(encoder) => encoder.finish(),
        }
    }
}
