use std::mem;

use super::alike::Template;
use super::event::Event;
use super::frames::{Frame, Frames};
use super::protocols::{Events, Progress, Reader};
use crate::error::Error;

/// An answer that is being read: the loop over its frames.
pub(crate) struct Reading {
    /// None once it is over: the connection is closed.
    body: Option<(Frames, Box<dyn Reader>)>,
    template: Template,
    events: Events,
    /// How it failed, to be said after the events that came before.
    failed: Option<Error>,
}

impl Reading {
    pub(super) fn new(frames: Frames, reader: Box<dyn Reader>) -> Self {
        Reading {
            body: Some((frames, reader)),
            template: Template::default(),
            events: Events::new(),
            failed: None,
        }
    }

    /// The next event; none after the proved end.
    pub(crate) async fn next(&mut self) -> Result<Option<Event>, Error> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(Some(event));
            }
            if let Some(error) = self.failed.take() {
                return Err(error);
            }
            let Some((frames, reader)) = &mut self.body else {
                return Ok(None);
            };
            let read = match frames.next().await {
                Ok(Some(frame)) => {
                    let events = &mut self.events;
                    read_alike(&mut self.template, &frame, frames, reader.as_mut(), events)
                }
                Ok(None) => reader
                    .end(frames, &mut self.events)
                    .map(|()| Progress::Over),
                Err(error) => Err(error),
            };
            if self.events.iter().any(Event::is_progress) {
                frames.brought();
            }
            if read
                .as_ref()
                .is_ok_and(|progress| *progress == Progress::More)
            {
                continue;
            }
            self.body = None;
            self.failed = read.err();
        }
    }

    /// Ends the answer here: what has been read after this is dropped, and the connection is
    /// closed.
    pub(super) fn close_with(&mut self, event: Event) {
        drop(mem::take(&mut self.events));
        self.events.push_back(event);
        self.failed = None;
        self.body = None;
    }
}

/// Reads a frame, of which nothing but its piece of text need be parsed where it is like those
/// before it.
fn read_alike(
    template: &mut Template,
    frame: &Frame,
    frames: &mut Frames,
    reader: &mut dyn Reader,
    events: &mut Events,
) -> Result<Progress, Error> {
    if let Some((piece, voice)) = template.piece(frame) {
        reader.tell(piece, voice, events);
        return Ok(Progress::More);
    }
    let progress = read(frame, frames, reader, events)?;
    if reader.can_tell() {
        template.learn(frame, events.make_contiguous());
    }
    Ok(progress)
}

/// Reads a frame, or each of the documents that some servers put into one.
fn read(
    frame: &Frame,
    frames: &mut Frames,
    reader: &mut dyn Reader,
    events: &mut Events,
) -> Result<Progress, Error> {
    let error = match reader.read(frame, frames, events) {
        Ok(progress) => return Ok(progress),
        Err(error) => error,
    };
    let Some(documents) = frame.documents() else {
        return Err(error);
    };
    for document in documents {
        if reader.read(&document, frames, events)? == Progress::Over {
            return Ok(Progress::Over);
        }
    }
    Ok(Progress::More)
}
