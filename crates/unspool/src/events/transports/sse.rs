use std::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;

use super::Arrival;
use crate::error::Error;
use crate::sse::Decoder;

/// Reads server-sent events.
pub(super) struct SseReader {
    decoder: Decoder,
}

impl SseReader {
    /// For a connection that goes on after the event with this id.
    pub(super) fn new(after: ByteString, max_event: usize) -> Self {
        SseReader {
            decoder: Decoder::new().max_event(max_event).after(after),
        }
    }

    pub(super) fn read(&mut self, chunk: Bytes, arrivals: &mut Vec<Arrival>) -> Result<(), Error> {
        self.decoder.push(chunk);
        while let Some(event) = self.decoder.next_event()? {
            arrivals.push(Arrival {
                name: event.name,
                position: event.last_event_id.clone(),
                id: event.last_event_id,
                data: event.data,
            });
        }
        Ok(())
    }

    /// Whether the body may not end here.
    pub(super) fn is_inside(&self) -> bool {
        self.decoder.is_inside()
    }

    pub(super) fn retry(&self) -> Option<Duration> {
        self.decoder.retry()
    }
}
