//! What is looked at in an answer, whatever protocol it is in.

use super::event::Event;
use super::outcome::{Doubt, Stop};
use super::prompt::Prompt;
use super::reading::Reading;
use super::schema::Schema;
use super::stop_at::StopAt;
use super::watch::Watch;
use crate::error::Error;

/// What is looked at in an answer.
pub(super) struct Checks {
    pattern: Option<String>,
    stop_at: Option<StopAt>,
    schema: Option<Schema>,
    /// The token limit, where an answer that it cut may be called complete.
    hidden_limit: Option<u64>,
    /// The token limit of the request.
    limit: Option<u64>,
}

impl Checks {
    /// # Errors
    ///
    /// The pattern or the schema is invalid.
    pub(super) fn new(
        pattern: Option<String>,
        prompt: &Prompt,
        hides_limits: bool,
    ) -> Result<Self, Error> {
        let mut checks = Checks {
            pattern,
            stop_at: None,
            schema: prompt.schema.as_ref().map(Schema::new).transpose()?,
            hidden_limit: prompt.max_tokens.filter(|_| hides_limits),
            limit: prompt.max_tokens,
        };
        checks.start_over()?;
        Ok(checks)
    }

    /// Another answer begins.
    pub(super) fn start_over(&mut self) -> Result<(), Error> {
        if let Some(schema) = &mut self.schema {
            schema.start_over();
        }
        self.stop_at = self.pattern.as_deref().map(StopAt::new).transpose()?;
        Ok(())
    }

    /// Makes the event what is to be handed out. It may be the last one.
    pub(super) fn look_at(
        &mut self,
        event: &mut Event,
        reading: &mut Reading,
        watch: &Watch,
    ) -> Result<(), Error> {
        match event {
            Event::Text { text } => self.text(text, reading)?,
            Event::Stop { stop, .. } => *stop = self.stop(*stop, watch),
            _ => {}
        }
        Ok(())
    }

    /// Cuts the text where it should stop; then the answer is read no further.
    fn text(&mut self, text: &mut String, reading: &mut Reading) -> Result<(), Error> {
        if let Some(stop_at) = &mut self.stop_at
            && let Some(end) = stop_at.end(text)?
        {
            text.truncate(end);
            reading.close_with(Event::Stop {
                stop: Stop::Asked,
                reason: None,
                sequence: None,
            });
        }
        if let Some(schema) = &mut self.schema {
            schema.add(text);
        }
        Ok(())
    }

    fn stop(&self, stop: Stop, watch: &Watch) -> Stop {
        let used = watch.output_tokens();
        match stop {
            // Without a word of the upstream's, the count tells.
            Stop::Unstated
                if used
                    .zip(self.limit)
                    .is_some_and(|(used, limit)| used >= limit) =>
            {
                Stop::MaxTokens
            }
            // A server that does not know the limit goes past it; one that keeps to it and
            // says nothing stops right there.
            Stop::End if used.is_some() && used == self.hidden_limit => {
                watch.doubt(Doubt::AtTokenLimit);
                Stop::Doubtful
            }
            // An answer that a limit cut, or that calls a tool, is something else.
            Stop::End | Stop::StopSequence => {
                match self.schema.as_ref().and_then(Schema::mismatch) {
                    Some(what) => {
                        watch.doubt(Doubt::SchemaMismatch { what });
                        Stop::Mismatch
                    }
                    None => stop,
                }
            }
            stop => stop,
        }
    }
}
