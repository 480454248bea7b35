use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use serde_json::Value;

use super::raw;
use crate::ask::event::Event;
use crate::ask::outcome::Stop;
use crate::error::{Error, Kind};

/// The largest arguments of the calls that are open together, in bytes. What a call takes
/// beside them counts, too.
const MAX_ARGUMENTS: usize = 16 << 20;
const CALL: usize = 256;

/// Tool calls, put together from their pieces.
#[derive(Default)]
pub(super) struct ToolCalls {
    open: BTreeMap<u64, Open>,
    /// Bytes of their arguments.
    held: usize,
    /// Whether there has been any.
    pub(super) any: bool,
    /// The tool of a call whose arguments are not JSON.
    broken: Option<String>,
}

struct Open {
    id: Option<String>,
    name: String,
    arguments: String,
    /// Whether they are no JSON, but text for the tool.
    is_text: bool,
}

impl Open {
    fn held(&self) -> usize {
        CALL + self.name.len() + self.arguments.len()
    }
}

impl ToolCalls {
    pub(super) fn is_open(&self, index: u64) -> bool {
        self.open.contains_key(&index)
    }

    /// Which call a piece belongs to: the one of its number, if it has one, and is not the
    /// begin of another with the same number, as some servers count; else the one of its
    /// name, or the last. It may not have been started.
    pub(super) fn place(&self, index: Option<u64>, id: Option<&str>, is_begin: bool) -> u64 {
        let next = self.open.keys().next_back().map_or(0, |last| last + 1);
        let is_other = |open: &Open| match (id, &open.id) {
            (Some(id), Some(open)) => is_begin && id != open,
            _ => false,
        };
        match (index, id) {
            (Some(index), _) => match self.open.get(&index) {
                Some(open) if is_other(open) => next,
                _ => index,
            },
            (None, Some(id)) => {
                let mut open = self.open.iter();
                let found = open.find(|(_, call)| call.id.as_deref() == Some(id));
                found.map_or(next, |(index, _)| *index)
            }
            (None, None) => next.saturating_sub(1),
        }
    }

    pub(super) fn start(&mut self, index: u64, id: Option<String>, name: String) -> Event {
        self.start_as(index, id, name, false)
    }

    /// A call of a tool that takes text.
    pub(super) fn start_text(&mut self, index: u64, id: Option<String>, name: String) -> Event {
        self.start_as(index, id, name, true)
    }

    fn start_as(&mut self, index: u64, id: Option<String>, name: String, is_text: bool) -> Event {
        self.any = true;
        self.held += CALL + name.len();
        let open = Open {
            id: id.clone(),
            name: name.clone(),
            arguments: String::new(),
            is_text,
        };
        if let Some(other) = self.open.insert(index, open) {
            self.held -= other.held();
        }
        Event::ToolStart { index, id, name }
    }

    /// A piece of the arguments of a call that has been started.
    pub(super) fn delta(&mut self, index: u64, piece: String) -> Result<Option<Event>, Error> {
        let Some(open) = self.open.get_mut(&index) else {
            return Ok(None);
        };
        open.arguments.push_str(&piece);
        self.held += piece.len();
        if self.held > MAX_ARGUMENTS {
            return Err(Error::new(
                Kind::TooLarge,
                format!(
                    "the arguments of open calls, the last one of `{}`, are over {MAX_ARGUMENTS} bytes",
                    open.name
                ),
            ));
        }
        Ok((!piece.is_empty()).then_some(Event::ToolDelta {
            index,
            arguments: piece,
        }))
    }

    /// A call has ended; `arguments` if the upstream gives them once more, as a whole.
    pub(super) fn finish(&mut self, index: u64, arguments: Option<String>) -> Option<Event> {
        let open = self.open.remove(&index)?;
        self.held -= open.held();
        let Open {
            id,
            name,
            arguments: pieces,
            is_text,
        } = open;
        let all = match arguments {
            Some(arguments) if !arguments.trim().is_empty() => arguments,
            _ => pieces,
        };
        let all = match is_text {
            true => Value::from(all).to_string(),
            // No arguments at all are an empty object.
            false if all.trim().is_empty() => "{}".to_owned(),
            false => all,
        };
        match serde_json::from_str::<IgnoredAny>(&all).map(|_| raw(&all)) {
            Ok(Ok(arguments)) => Some(Event::ToolCall {
                index,
                id,
                name,
                arguments,
            }),
            _ => {
                self.broken = Some(name);
                None
            }
        }
    }

    /// The calls that nothing has ended.
    pub(super) fn finish_all(&mut self) -> Vec<Event> {
        let open: Vec<u64> = self.open.keys().copied().collect();
        open.into_iter()
            .filter_map(|index| self.finish(index, None))
            .collect()
    }

    /// A model that stopped by itself has written whole arguments.
    pub(super) fn check(&self, stop: Stop) -> Result<(), Error> {
        match &self.broken {
            Some(name) if stop.is_natural() => Err(Error::content(format!(
                "the arguments of the call of `{name}` are not JSON"
            ))),
            _ => Ok(()),
        }
    }
}
