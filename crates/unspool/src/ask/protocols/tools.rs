//! Tool calls, put together from their pieces, in whatever way a server sends them.

use std::collections::{BTreeMap, VecDeque};
use std::hash::BuildHasher;

use rustc_hash::FxBuildHasher;
use serde::de::IgnoredAny;
use serde_json::Value;
use serde_json::value::RawValue;

use super::raw;
use crate::ask::event::Event;
use crate::ask::outcome::Stop;
use crate::ask::text::{Joined, Piece};
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
    /// Where the calls are that a server numbers otherwise, such as all with 0.
    places: BTreeMap<u64, u64>,
    /// The first number that no call has had.
    next: u64,
    /// Calls that have been handed out whole, by fingerprints of what names them.
    whole: Vec<u64>,
    /// How many have begun, and whether any has.
    begun: usize,
    pub(super) any: bool,
    /// What is wrong with a call, of the first for which something is.
    broken: Option<String>,
    /// Arguments came for a call that had not begun.
    orphan: Option<u64>,
}

#[derive(Default)]
struct Open {
    id: Option<String>,
    /// Empty as long as it has not come.
    name: String,
    /// Arguments that were whole before others began.
    earlier: String,
    arguments: String,
    joined: Joined,
    /// Whether they are no JSON, but text for the tool.
    is_text: bool,
}

/// What a piece says of the call that it belongs to.
#[derive(Debug, Default)]
pub(super) struct Named {
    pub(super) index: Option<u64>,
    pub(super) id: Option<String>,
    pub(super) name: Option<String>,
}

impl Open {
    fn held(&self) -> usize {
        CALL + self.name.len() + self.earlier.len() + self.arguments.len()
    }

    fn is_whole(&self) -> bool {
        self.arguments.trim_end().ends_with('}') && is_json(&self.arguments)
    }

    /// Whether what is named so is another call than this one, though it has its place.
    fn is_other(&self, named: &Named) -> bool {
        let Some(name) = &named.name else {
            return false;
        };
        if self.name.is_empty() {
            return false;
        }
        match (&named.id, &self.id) {
            (Some(id), Some(own)) => id != own,
            _ => *name != self.name || self.is_whole(),
        }
    }

    /// The arguments, from all that came of them: as JSON text, or what is wrong.
    fn settled(&self, whole: Option<&str>) -> Result<String, &'static str> {
        let whole = whole.filter(|whole| !whole.trim().is_empty());
        if self.is_text {
            return Ok(Value::from(whole.unwrap_or(&self.arguments)).to_string());
        }
        let pieces = [self.earlier.as_str(), &self.arguments];
        let pieces = pieces.into_iter().filter(|text| !text.trim().is_empty());
        let all: Vec<String> = pieces.chain(whole).map(unquoted).collect();
        let mut found: Option<&String> = None;
        for text in &all {
            let is_last_word = whole.is_some() && std::ptr::eq(text, &all[all.len() - 1]);
            match found {
                _ if is_nothing(text) => {}
                // What came in pieces may have been cut, where the whole follows.
                _ if !is_json(text) && whole.is_some() && !is_last_word => {}
                _ if !is_json(text) => return Err("are not JSON"),
                Some(other) if !is_same(other, text) => return Err("come twice and differ"),
                _ => found = Some(text),
            }
        }
        Ok(found.map_or_else(|| "{}".to_owned(), String::clone))
    }
}

impl ToolCalls {
    /// A piece of a call in a protocol that leaves it to the server how calls are named;
    /// `beside` are the calls that came before it in the same event.
    pub(super) fn piece(
        &mut self,
        named: Named,
        arguments: Piece,
        beside: &mut Vec<u64>,
        events: &mut VecDeque<Event>,
    ) -> Result<(), Error> {
        let place = self.place(&named, beside);
        if let Some(stated) = named.index {
            self.places.insert(stated, place);
        }
        beside.push(place);
        if !self.open.contains_key(&place) {
            self.begin(place, Open::default());
        }
        self.name(place, named.id, named.name, events);
        self.add(place, arguments, events)
    }

    /// Which call a piece belongs to; it may not have begun.
    fn place(&self, named: &Named, beside: &[u64]) -> u64 {
        let is_free = |place: &u64| {
            let is_beside = named.name.is_some() && beside.contains(place);
            !is_beside
                && !self
                    .open
                    .get(place)
                    .is_some_and(|open| open.is_other(named))
        };
        let found = match (named.index, &named.id) {
            (Some(stated), _) => match self.places.get(&stated) {
                Some(place) => Some(*place),
                None => Some(stated).filter(|place| *place >= self.next),
            },
            (None, Some(id)) => {
                let mut open = self.open.iter();
                let found = open.find(|(_, call)| call.id.as_ref() == Some(id));
                found.map(|(place, _)| *place)
            }
            (None, None) => {
                let last = self.open.last_key_value();
                // One that has a name is another, unless the last one is in the middle.
                let is_in_middle = |open: &Open| !open.arguments.is_empty() && !open.is_whole();
                last.filter(|(_, open)| named.name.is_none() || is_in_middle(open))
                    .map(|(place, _)| *place)
            }
        };
        found.filter(is_free).unwrap_or(self.next)
    }

    pub(super) fn is_open(&self, index: u64) -> bool {
        self.open.contains_key(&index)
    }

    /// The call of this number; without one, the last that is open.
    pub(super) fn numbered(&self, index: Option<u64>) -> u64 {
        let last = || self.open.last_key_value().map(|(place, _)| *place);
        index.or_else(last).unwrap_or(self.next)
    }

    /// How many calls have begun.
    pub(super) fn count(&self) -> usize {
        self.begun
    }

    /// A call begins, whose number the protocol states.
    pub(super) fn start(&mut self, named: Named, events: &mut VecDeque<Event>) {
        self.start_as(named, false, events);
    }

    /// A call of a tool that takes text.
    pub(super) fn start_text(&mut self, named: Named, events: &mut VecDeque<Event>) {
        self.start_as(named, true, events);
    }

    fn start_as(&mut self, named: Named, is_text: bool, events: &mut VecDeque<Event>) {
        let place = named.index.unwrap_or(self.next);
        let open = self.open.get(&place);
        if open.is_some_and(|open| open.id.is_some() && open.id == named.id) {
            return;
        }
        // Another call in its place ends it.
        self.finish(place, None, events);
        if self.orphan == Some(place) {
            let problem = "the arguments of a call came before the call";
            self.broken.get_or_insert_with(|| problem.to_owned());
        }
        let open = Open {
            is_text,
            ..Open::default()
        };
        self.begin(place, open);
        self.name(place, named.id, named.name, events);
    }

    fn begin(&mut self, place: u64, open: Open) {
        self.any = true;
        self.begun += 1;
        self.next = self.next.max(place + 1);
        self.held += open.held();
        self.open.insert(place, open);
    }

    /// Takes what a call is called, once that comes.
    fn name(
        &mut self,
        index: u64,
        id: Option<String>,
        name: Option<String>,
        events: &mut VecDeque<Event>,
    ) {
        let Some(open) = self.open.get_mut(&index) else {
            return;
        };
        open.id = open.id.take().or(id);
        if let Some(name) = name
            && open.name.is_empty()
        {
            self.held += name.len();
            open.name.clone_from(&name);
            let id = open.id.clone();
            events.push_back(Event::ToolStart { index, id, name });
        }
    }

    /// A piece of the arguments of a call.
    pub(super) fn add(
        &mut self,
        index: u64,
        piece: Piece,
        events: &mut VecDeque<Event>,
    ) -> Result<(), Error> {
        let Some(open) = self.open.get_mut(&index) else {
            if !piece.is_empty() && !self.whole.contains(&print(None, index)) {
                self.orphan = Some(index);
            }
            return Ok(());
        };
        let piece = open.joined.add(piece);
        // Whole arguments, and then some that begin: such as `{}` before those that count.
        if piece.trim_start().starts_with('{') && open.is_whole() {
            self.held -= open.earlier.len();
            open.earlier = std::mem::take(&mut open.arguments);
        }
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
        let is_placeholder = piece.trim() == "{}" && open.arguments.trim() == "{}";
        if !piece.is_empty() && !is_placeholder {
            events.push_back(Event::ToolDelta {
                index,
                arguments: piece,
            });
        }
        Ok(())
    }

    /// A call has ended; `arguments` if the upstream gives them once more, as a whole.
    pub(super) fn finish(
        &mut self,
        index: u64,
        arguments: Option<&str>,
        events: &mut VecDeque<Event>,
    ) {
        let Some(mut open) = self.open.remove(&index) else {
            return;
        };
        self.held -= open.held();
        open.arguments.extend(open.joined.end());
        self.orphan = self.orphan.filter(|orphan| *orphan != index);
        self.whole.push(print(None, index));
        self.whole
            .extend(open.id.as_deref().map(|id| print(Some(id), index)));
        let arguments = open.settled(arguments);
        let problem = match &arguments {
            _ if open.name.is_empty() => "a call came without the name of its tool".to_owned(),
            Err(what) => format!("the arguments of the call of `{}` {what}", open.name),
            Ok(_) => String::new(),
        };
        match arguments.as_deref().map(raw) {
            Ok(Ok(arguments)) if problem.is_empty() => events.push_back(Event::ToolCall {
                index,
                id: open.id,
                name: open.name,
                arguments,
            }),
            _ => {
                self.broken.get_or_insert(problem);
            }
        }
    }

    /// A call that comes as a whole, perhaps once more, and perhaps after pieces of it.
    pub(super) fn whole(
        &mut self,
        named: Named,
        arguments: Option<&str>,
        is_text: bool,
        events: &mut VecDeque<Event>,
    ) {
        let is_known = |id: &String| self.whole.contains(&print(Some(id), 0));
        let place = match (self.open_as(&named), named.index) {
            (Some(place), _) => place,
            (None, _) if named.id.as_ref().is_some_and(is_known) => return,
            (None, Some(index))
                if named.id.is_none() && self.whole.contains(&print(None, index)) =>
            {
                return;
            }
            (None, Some(index)) if !self.open.contains_key(&index) => index,
            (None, _) => self.next,
        };
        self.orphan = self.orphan.filter(|orphan| *orphan != place);
        if !self.open.contains_key(&place) {
            let open = Open {
                is_text,
                ..Open::default()
            };
            self.begin(place, open);
        }
        self.name(place, named.id, named.name, events);
        self.finish(place, arguments, events);
    }

    /// The open call that is named so: by its id, its number, or as the last of its tool.
    fn open_as(&self, named: &Named) -> Option<u64> {
        let by_id = |open: &Open| open.id.is_some() && open.id == named.id;
        let by_name = |open: &Open| Some(&open.name) == named.name.as_ref();
        let is_other = |open: &Open| open.id.is_some() && named.id.is_some();
        let mut all = self.open.iter();
        if let Some((place, _)) = all.find(|(_, open)| by_id(open)) {
            return Some(*place);
        }
        let found = match named.index {
            Some(index) => self.open.get_key_value(&index),
            None => self.open.iter().rev().find(|(_, open)| by_name(open)),
        };
        found
            .filter(|(_, open)| !is_other(open))
            .map(|(place, _)| *place)
    }

    /// The calls that nothing has ended.
    pub(super) fn finish_all(&mut self, events: &mut VecDeque<Event>) {
        while let Some(index) = self.open.first_key_value().map(|(index, _)| *index) {
            self.finish(index, None, events);
        }
    }

    /// A model that stopped by itself has made whole calls.
    pub(super) fn check(&self, stop: Stop) -> Result<(), Error> {
        match &self.broken {
            _ if !stop.is_natural() => Ok(()),
            Some(problem) => Err(Error::content(problem.clone())),
            None if self.orphan.is_some() => Err(Error::new(
                Kind::Truncated,
                "arguments came for a call that never began",
            )),
            None if stop == Stop::ToolUse && !self.any => Err(Error::new(
                Kind::Truncated,
                "the upstream says that the model called a tool, but no call came",
            )),
            None => Ok(()),
        }
    }
}

/// A call's name among those that were handed out: the upstream's own, or its number.
fn print(id: Option<&str>, index: u64) -> u64 {
    match id {
        Some(id) => FxBuildHasher.hash_one(id),
        None => index,
    }
}

/// Arguments in a form that servers differ in, as a piece of text: a string, or what it
/// would hold.
pub(super) fn arguments(json: Option<&RawValue>) -> Piece {
    let Some(json) = json.map(RawValue::get) else {
        return Piece::default();
    };
    match json.trim() {
        "null" => Piece::default(),
        text if text.starts_with('"') => serde_json::from_str(text).unwrap_or_default(),
        text => Piece::from(text),
    }
}

/// JSON that a server has put into a string once more.
fn unquoted(text: &str) -> String {
    let inner: Option<String> = (text.trim_start().starts_with('"'))
        .then(|| serde_json::from_str(text).ok())
        .flatten();
    inner
        .filter(|inner| is_nothing(inner) || inner.trim_start().starts_with('{') && is_json(inner))
        .unwrap_or_else(|| text.to_owned())
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// No arguments, in one of the ways to write that.
fn is_nothing(text: &str) -> bool {
    matches!(text.trim(), "" | "{}" | "null") || matches!(text.trim(), "{ }")
}

fn is_same(one: &str, other: &str) -> bool {
    let value = |text| serde_json::from_str::<Value>(text).ok();
    one == other || value(one) == value(other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::slice::from_ref;

    /// What a delta says of one call: number, id, name and arguments.
    type Said<'s> = (Option<u64>, Option<&'s str>, Option<&'s str>, Value);

    /// The calls that come of deltas, each a list of pieces.
    #[track_caller]
    fn check(deltas: &[&[Said<'_>]], expected: &[(&str, Value)]) {
        let mut tools = ToolCalls::default();
        let mut events = VecDeque::new();
        for delta in deltas {
            let mut beside = Vec::new();
            for (index, id, name, said) in *delta {
                let named = Named {
                    index: *index,
                    id: id.map(str::to_owned),
                    name: name.map(str::to_owned),
                };
                let json = serde_json::value::to_raw_value(said).unwrap();
                let piece = arguments(Some(&json));
                tools.piece(named, piece, &mut beside, &mut events).unwrap();
            }
        }
        tools.finish_all(&mut events);
        tools.check(Stop::ToolUse).unwrap();
        let calls = events.iter().filter_map(|event| match event {
            Event::ToolCall {
                name, arguments, ..
            } => Some((
                name.as_str(),
                serde_json::from_str(arguments.get()).unwrap(),
            )),
            _ => None,
        });
        assert_eq!(calls.collect::<Vec<(&str, Value)>>(), expected);
    }

    #[test]
    fn calls_without_ids_and_numbers_are_never_merged() {
        let (rome, utc) = (json!({"city": "Rome"}), json!({"tz": "UTC"}));
        let (rome_text, utc_text) = (json!(rome.to_string()), json!(utc.to_string()));
        let both = [("w", rome.clone()), ("t", utc.clone())];
        let w = (None, None, Some("w"), rome_text.clone());
        let t = (None, None, Some("t"), utc_text.clone());
        check(&[&[w.clone(), t.clone()]], &both);
        check(&[from_ref(&w), &[t]], &both);
        let none = (None, None, Some("t"), json!(""));
        check(
            &[&[w.clone(), none.clone()]],
            &[both[0].clone(), ("t", json!({}))],
        );
        check(
            &[from_ref(&none), from_ref(&none)],
            &[("t", json!({})), ("t", json!({}))],
        );
        check(
            &[from_ref(&w), from_ref(&w)],
            &[both[0].clone(), both[0].clone()],
        );
    }

    #[test]
    fn calls_that_all_have_one_number_are_told_apart() {
        let w = |args| (Some(0), None, Some("w"), args);
        let rest = |args| (Some(0), None, None, args);
        let expected = [("w", json!({"a": 1})), ("w", json!({"a": 2}))];
        let first = json!("{\"a\": 1}");
        check(
            &[
                &[w(first.clone())],
                &[w(json!("{\"a\""))],
                &[rest(json!(": 2}"))],
            ],
            &expected,
        );
        check(&[&[w(first), w(json!("{\"a\": 2}"))]], &expected);
        let with_id = |id, args| (Some(0), Some(id), Some("w"), args);
        check(
            &[
                &[with_id("1", json!(""))],
                &[rest(json!("{\"a\": 1}"))],
                &[with_id("2", json!("{\"a\": 2}"))],
            ],
            &expected,
        );
    }

    #[test]
    fn a_name_or_an_id_that_is_repeated_in_each_delta_is_one_call() {
        let expected = [("w", json!({"a": 1}))];
        for (index, id) in [(Some(0), None), (Some(0), Some("c")), (None, Some("c"))] {
            let piece = |args| (index, id, Some("w"), json!(args));
            check(
                &[&[piece("{\"a\"")], &[piece(": ")], &[piece("1}")]],
                &expected,
            );
        }
        let piece = |args| (None, None, Some("w"), json!(args));
        check(
            &[&[piece("{\"a\"")], &[piece(": ")], &[piece("1}")]],
            &expected,
        );
        // The id comes only later.
        let begin = (Some(3), None, Some("w"), json!(""));
        check(
            &[&[begin], &[(Some(3), Some("c"), None, json!("{\"a\":1}"))]],
            &expected,
        );
    }

    #[test]
    fn arguments_come_in_all_forms() {
        let expected = [("w", json!({"a": 1}))];
        for forms in [
            &[json!({"a": 1})][..],
            &[json!("{\"a\": 1}")],
            &[json!("\"{\\\"a\\\": 1}\"")],
            &[json!("{}"), json!("{\"a\""), json!(": 1}")],
            &[json!({}), json!({"a": 1})],
            &[json!(null), json!("{\"a\": 1}")],
            &[json!({"a": 1}), json!({"a": 1})],
            &[json!("{\"a\": 1}"), json!("")],
        ] {
            let deltas: Vec<Said<'_>> = (forms.iter().enumerate())
                .map(|(at, form)| (Some(0), Some("c"), (at == 0).then_some("w"), form.clone()))
                .collect();
            let deltas: Vec<&[Said<'_>]> = deltas.iter().map(std::slice::from_ref).collect();
            check(&deltas, &expected);
        }
        for nothing in [
            json!(null),
            json!(""),
            json!("{}"),
            json!({}),
            json!("null"),
        ] {
            check(
                &[&[(Some(0), None, Some("w"), nothing)]],
                &[("w", json!({}))],
            );
        }
    }

    #[test]
    fn arguments_that_are_repeated_and_differ_are_an_error() {
        let mut tools = ToolCalls::default();
        let mut events = VecDeque::new();
        let named = || Named {
            index: Some(0),
            id: None,
            name: Some("w".to_owned()),
        };
        tools.start(named(), &mut events);
        tools
            .add(0, Piece::from("{\"a\": 1}"), &mut events)
            .unwrap();
        tools.finish(0, Some("{\"a\": 2}"), &mut events);
        let error = tools.check(Stop::ToolUse).unwrap_err();
        assert!(error.to_string().contains("differ"), "{error}");
        let mut tools = ToolCalls::default();
        tools.start(named(), &mut events);
        tools.add(0, Piece::from("{\"a\""), &mut events).unwrap();
        tools.finish(0, Some("{ \"a\": 2 }"), &mut events);
        tools.check(Stop::ToolUse).unwrap();
    }

    #[test]
    fn a_call_that_is_spoken_of_and_does_not_come_is_an_error() {
        let mut tools = ToolCalls::default();
        assert!(tools.check(Stop::ToolUse).unwrap_err().is_truncated());
        tools.check(Stop::End).unwrap();
        tools
            .add(1, Piece::from("{}"), &mut VecDeque::new())
            .unwrap();
        assert!(tools.check(Stop::End).unwrap_err().is_truncated());
        tools.check(Stop::MaxTokens).unwrap();
    }
}
