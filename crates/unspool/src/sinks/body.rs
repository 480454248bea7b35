//! The bytes of a file that grows at its end and can be cut back.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use twox_hash::XxHash3_64;

use super::compression::Compression;
use super::frame::Frame;
use super::state::{Extent, sync_folder_of};

/// How much of the end of a file it is known again by.
const DIGESTED: u64 = 4096;

/// How many compressed bytes are collected before they are written.
const COMPRESSED: usize = 128 << 10;

/// A file with whole items at its begin, and perhaps something after them.
pub(super) struct Body {
    file: File,
    compression: Compression,
    frame: Option<Frame>,
    /// As much of the file as holds whole items in whole frames.
    whole: u64,
    /// Where the file ends.
    end: u64,
    /// Whether what stands after the last item is there, and nothing else.
    is_sealed: bool,
    /// Whether what is written next goes after the whole items, and after what has been
    /// written of the frame.
    is_at_end: bool,
    /// Whether it can be cut and made durable: it is no pipe and no device.
    is_regular: bool,
    /// Whether the folder has to be told of it.
    is_new: bool,
}

impl Body {
    /// Opens a file, or makes one, that whole items are in up to `whole`.
    pub(super) fn open(path: &Path, compression: Compression, whole: u64) -> io::Result<Self> {
        let metadata = std::fs::metadata(path).ok();
        let is_regular = metadata.as_ref().is_none_or(std::fs::Metadata::is_file);
        let mut options = File::options();
        let options = options.write(true).read(is_regular).create(is_regular);
        Ok(Body {
            file: options.open(path)?,
            compression,
            frame: None,
            whole,
            end: metadata.as_ref().map_or(0, std::fs::Metadata::len),
            is_sealed: false,
            is_at_end: false,
            is_regular,
            is_new: metadata.is_none(),
        })
    }

    /// How long the file is.
    pub(super) fn length(&self) -> u64 {
        self.end
    }

    /// Appends a text of whole items.
    pub(super) fn append(&mut self, text: &[u8]) -> io::Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        self.is_sealed = false;
        self.go_to_end()?;
        if self.frame.is_none() {
            self.frame = Frame::begin(self.compression)?;
        }
        match &mut self.frame {
            None => {
                self.file.write_all(text)?;
                self.end += text.len() as u64;
                self.whole = self.end;
            }
            Some(frame) => {
                frame.write(text)?;
                let output = frame.output();
                if output.len() >= COMPRESSED {
                    self.file.write_all(output)?;
                    self.end += output.len() as u64;
                    output.clear();
                }
            }
        }
        Ok(())
    }

    /// Ends the frame, writes what stands after the last item, and makes all of it durable.
    pub(super) fn seal(&mut self, tail: &[u8]) -> io::Result<Extent> {
        if !self.is_sealed {
            match self.frame.take() {
                Some(frame) => self.end_frame(frame)?,
                None => self.go_to_end()?,
            }
            self.whole = self.end;
            self.write_tail(tail)?;
            self.is_sealed = true;
        }
        self.sync()?;
        self.extent()
    }

    /// The same for a file that nothing more is appended to: an empty one is what its
    /// compression takes for one.
    pub(super) fn close(&mut self, tail: &[u8]) -> io::Result<Extent> {
        if self.whole == 0 && self.frame.is_none() && tail.is_empty() {
            self.cut_to_whole()?;
            self.frame = Frame::begin(self.compression)?;
            self.is_sealed = false;
        }
        self.seal(tail)
    }

    /// Takes away what is no whole item in a whole frame; as far as that can be done, where
    /// everything else may have failed.
    pub(super) fn cut(&mut self, tail: &[u8]) {
        self.frame = None;
        if self.is_sealed || !self.is_regular {
            return;
        }
        if self.cut_to_whole().is_ok() && self.whole > 0 {
            // It is written again by the run that resumes.
            let _ = self.write_tail(tail);
        }
    }

    /// How much of the file is durable, after it has been made so.
    fn extent(&mut self) -> io::Result<Extent> {
        Ok(Extent {
            length: self.whole,
            tail: self.end - self.whole,
            digest: self.digest(self.whole)?,
        })
    }

    /// The hash of the last 4 KiB before a length.
    pub(super) fn digest(&mut self, length: u64) -> io::Result<String> {
        let mut last = vec![0; DIGESTED.min(length) as usize];
        if self.is_regular {
            self.file
                .seek(SeekFrom::Start(length - last.len() as u64))?;
            self.file.read_exact(&mut last)?;
            self.file.seek(SeekFrom::Start(self.end))?;
        }
        Ok(format!("xxh3-64:{:016x}", XxHash3_64::oneshot(&last)))
    }

    fn end_frame(&mut self, frame: Frame) -> io::Result<()> {
        let rest = frame.finish()?;
        self.file.write_all(&rest)?;
        self.end += rest.len() as u64;
        Ok(())
    }

    /// Writes what stands after the last item, in a frame of its own.
    fn write_tail(&mut self, tail: &[u8]) -> io::Result<()> {
        if tail.is_empty() {
            return Ok(());
        }
        self.is_at_end = false;
        match Frame::begin(self.compression)? {
            None => {
                self.file.write_all(tail)?;
                self.end += tail.len() as u64;
                Ok(())
            }
            Some(mut frame) => {
                frame.write(tail)?;
                self.end_frame(frame)
            }
        }
    }

    /// Goes to where the next items are written, if it is not there: cutting costs as much as a
    /// write.
    fn go_to_end(&mut self) -> io::Result<()> {
        if !self.is_at_end {
            self.cut_to_whole()?;
        }
        Ok(())
    }

    /// Goes to the end of the whole items, and takes away what is after them.
    fn cut_to_whole(&mut self) -> io::Result<()> {
        if self.is_regular {
            self.file.set_len(self.whole)?;
            self.file.seek(SeekFrom::Start(self.whole))?;
        }
        self.end = self.whole;
        self.is_at_end = true;
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.is_regular {
            self.file.sync_data()?;
        }
        Ok(())
    }

    /// Makes durable that the file is there.
    pub(super) fn sync_folder(&mut self, path: &Path) -> io::Result<()> {
        if std::mem::take(&mut self.is_new) {
            sync_folder_of(path)?;
        }
        Ok(())
    }
}
