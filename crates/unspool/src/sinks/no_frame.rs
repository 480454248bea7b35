//! Without the feature `compression` there are no frames: [`Compression::check`] has refused what
//! asks for some.

use std::io;

use super::compression::Compression;

/// Never there.
pub(super) enum Frame {}

impl Frame {
    pub(super) fn begin(compression: Compression) -> io::Result<Option<Self>> {
        match compression {
            Compression::None => Ok(None),
            _ => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    pub(super) fn write(&mut self, _: &[u8]) -> io::Result<()> {
        match *self {}
    }

    pub(super) fn output(&mut self) -> &mut Vec<u8> {
        match *self {}
    }

    pub(super) fn finish(self) -> io::Result<Vec<u8>> {
        match self {}
    }
}
