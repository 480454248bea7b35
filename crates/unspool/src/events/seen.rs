//! Which events have been handed out: what a server that is asked to go on after one may
//! send again, and what it may leave out.

use std::collections::VecDeque;

use bytestring::ByteString;
use rustc_hash::FxHashMap;
use twox_hash::XxHash3_64;

use super::account::Doubt;
use super::transports::Arrival;

/// How many events are known again.
pub(super) const KNOWN: usize = 1000;

/// How many events after the last id are known again in order, and stand in a position.
pub(super) const TAIL: usize = 32;

/// So many steps by one make ids a count.
const COUNTED: u32 = 2;

/// Where a feed stands: after the event with this id, and the events after it that have
/// none of their own.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Stood {
    /// Empty where the feed has no ids.
    pub(super) id: ByteString,
    /// The fingerprint of the event with the id.
    pub(super) head: Option<u64>,
    /// The fingerprints of the events that came after it without an id of their own, the
    /// first few.
    pub(super) tail: Vec<u64>,
    /// Whether the ids have counted up one by one.
    pub(super) is_counted: bool,
}

/// What ids are good for.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) enum Manner {
    /// The feed goes on after the last one, or it does not.
    #[default]
    Usual,
    /// They only ever grow, by the caller's word.
    Ordered,
    /// They are cursors of answers, and the items of an answer but the last stand after the
    /// cursor before it, or after none.
    Cursor,
    /// The upstream keeps the events, gives those after the last one, and says itself what it
    /// no longer has.
    Kept,
    /// The same, but what the upstream does not know to have been taken comes again, in any
    /// order.
    Redelivered,
    /// The feed is a document that is asked for again and again, of which all comes again.
    Window,
}

/// What was handed out, for a position.
#[derive(Clone, Debug)]
pub(super) struct Mark {
    pub(super) id: ByteString,
    pub(super) fingerprint: u64,
    pub(super) has_own_id: bool,
    /// Whether the ids have counted up one by one until here.
    pub(super) is_counted: bool,
    /// What its id is good for.
    pub(super) manner: Manner,
}

/// What an event is to somebody who has seen those before.
#[derive(Debug)]
pub(super) enum Sight {
    New(Mark),
    /// It was handed out before the connection was made.
    Replayed,
}

/// The events that have been seen.
#[derive(Default)]
pub(super) struct Seen {
    manner: Manner,
    /// How many are known again: more where a page holds more.
    room: usize,
    stood: Stood,
    /// What the server may send again at the begin of this connection, in order.
    expected: VecDeque<u64>,
    /// Whether the next event may be the one that the server was asked to go on after.
    may_be_head: bool,
    /// Whether this connection has given something new.
    has_new: bool,
    connection: u32,
    /// Fingerprints, each with the connection that it came on.
    known: FxHashMap<u64, u32>,
    in_order: VecDeque<u64>,
    /// The last id as a number, and how often one was by one above that before it.
    number: Option<u64>,
    steps: u32,
    is_irregular: bool,
}

impl Manner {
    /// How many events that have this position, and came after the one that it is of, are known
    /// again in their order.
    fn tail(self, position: &str) -> usize {
        match self {
            Manner::Cursor => KNOWN,
            Manner::Kept => 0,
            _ if position.is_empty() => 0,
            _ => TAIL,
        }
    }
}

impl Stood {
    /// Where it stands after an event.
    pub(super) fn add(&mut self, mark: &Mark) {
        self.is_counted = mark.is_counted;
        if mark.manner == Manner::Redelivered {
            self.id = mark.id.clone();
        }
        if matches!(mark.manner, Manner::Window | Manner::Redelivered) {
            self.tail.push(mark.fingerprint);
            if self.tail.len() > KNOWN {
                self.tail.remove(0);
            }
        } else if mark.has_own_id {
            self.id = mark.id.clone();
            self.head = Some(mark.fingerprint);
            self.tail.clear();
        } else if self.tail.len() < mark.manner.tail(&self.id) {
            self.tail.push(mark.fingerprint);
        }
    }
}

impl Seen {
    /// For a feed that stands there.
    pub(super) fn new(stood: Stood, manner: Manner) -> Self {
        let number = number(&stood.id);
        let window = match manner {
            Manner::Window | Manner::Redelivered => stood.tail.clone(),
            _ => Vec::new(),
        };
        let mut seen = Seen {
            manner,
            room: KNOWN,
            steps: if stood.is_counted { COUNTED } else { 0 },
            number,
            stood,
            ..Seen::default()
        };
        window.into_iter().for_each(|known| seen.keep(known));
        seen
    }

    /// Whether all of a feed comes again each time.
    pub(super) fn is_window(&self) -> bool {
        self.manner == Manner::Window
    }

    /// So many events come at a time: all of them are to be known again.
    pub(super) fn expect(&mut self, count: usize) {
        if self.is_window() {
            self.connection += 1;
            self.room = self.room.max(2 * count);
        }
    }

    /// Whether there is nothing between these and what came before, as far as that can be
    /// told: where all of a feed comes again, some of it must be known.
    pub(super) fn is_overlapped_by(&self, arrivals: &[Arrival]) -> bool {
        let is_known = |arrival: &Arrival| self.known.contains_key(&known_by(&arrival.position));
        !self.is_window()
            || self.known.is_empty()
            || arrivals.is_empty()
            || arrivals.iter().any(is_known)
    }

    /// The id of the last event; empty where there is none.
    pub(super) fn id(&self) -> &ByteString {
        &self.stood.id
    }

    /// Whether the ids count up one by one.
    fn is_counted(&self) -> bool {
        self.steps >= COUNTED && !self.is_irregular
    }

    /// Whether the connection at hand has given something new.
    pub(super) fn has_new(&self) -> bool {
        self.has_new
    }

    /// A connection is made, which goes on after the last event.
    pub(super) fn connect(&mut self) {
        self.connection += 1;
        self.has_new = false;
        self.may_be_head = true;
        self.expected = self.stood.tail.iter().copied().collect();
    }

    /// The feed goes on after this id, and not after the last event: what it gives has not
    /// been seen.
    pub(super) fn begin_at(&mut self, id: ByteString) {
        self.stood = Stood {
            id,
            ..Stood::default()
        };
        self.known.clear();
        self.in_order.clear();
    }

    /// There is no going on after the last event: what comes is what there is now.
    pub(super) fn forget_position(&mut self) {
        self.stood = Stood::default();
        self.number = None;
        self.steps = 0;
    }

    /// Looks at the next event, whose position is `id`.
    pub(super) fn look(
        &mut self,
        id: &ByteString,
        name: &str,
        data: &str,
    ) -> (Sight, Option<Doubt>) {
        if matches!(self.manner, Manner::Window | Manner::Redelivered) {
            return (self.look_in_window(id), None);
        }
        let fingerprint = fingerprint(id, name, data);
        let has_own_id = *id != self.stood.id;
        if self.is_replayed(id, fingerprint, has_own_id) {
            return (Sight::Replayed, None);
        }
        let is_counted = has_own_id && self.manner != Manner::Kept;
        let doubt = if is_counted { self.count(id) } else { None };
        self.has_new = true;
        self.may_be_head = false;
        self.expected.clear();
        self.keep(fingerprint);
        let mark = Mark {
            id: id.clone(),
            fingerprint,
            has_own_id,
            is_counted: self.is_counted(),
            manner: self.manner,
        };
        self.stood.add(&mark);
        (Sight::New(mark), doubt)
    }

    fn look_in_window(&mut self, id: &ByteString) -> Sight {
        let fingerprint = known_by(id);
        if let Some(connection) = self.known.get_mut(&fingerprint) {
            *connection = self.connection;
            return Sight::Replayed;
        }
        self.has_new = true;
        self.keep(fingerprint);
        let mark = Mark {
            id: if self.is_window() {
                ByteString::new()
            } else {
                id.clone()
            },
            fingerprint,
            has_own_id: false,
            is_counted: false,
            manner: self.manner,
        };
        self.stood.id = mark.id.clone();
        Sight::New(mark)
    }

    fn is_replayed(&mut self, id: &ByteString, fingerprint: u64, has_own_id: bool) -> bool {
        if self.connection < 1 || self.manner.tail(id) == 0 {
            return false;
        }
        if self.manner == Manner::Ordered
            && let (Some(number), Some(last)) = (number(id), self.number)
            && (number < last || (number == last && !self.has_new))
        {
            return true;
        }
        if has_own_id {
            // What comes twice on one connection is two events.
            let known = self.known.get(&fingerprint);
            return known.is_some_and(|&connection| connection < self.connection);
        }
        // The event of the id itself may come again, as the first one.
        let is_head = std::mem::take(&mut self.may_be_head) && self.stood.head == Some(fingerprint);
        let is_next = !is_head && self.expected.front() == Some(&fingerprint);
        if is_next {
            self.expected.pop_front();
        }
        is_head || is_next
    }

    /// Whether the ids go on where they were, if they count.
    fn count(&mut self, id: &ByteString) -> Option<Doubt> {
        let (next, last) = (number(id), self.number);
        let was_counted = self.is_counted();
        let is_first = !self.has_new;
        self.number = next;
        let (Some(next), Some(last)) = (next, last) else {
            self.is_irregular |= next.is_none();
            return None;
        };
        if last.checked_add(1) == Some(next) {
            self.steps = self.steps.saturating_add(1);
            return None;
        }
        if !(is_first && was_counted) {
            self.is_irregular = true;
            return None;
        }
        let is_gap = next > last;
        let (after, next) = (self.stood.id.to_string(), id.to_string());
        Some(if is_gap {
            Doubt::Gap { after, next }
        } else {
            Doubt::Renumbered { after, next }
        })
    }

    fn keep(&mut self, fingerprint: u64) {
        if self.known.insert(fingerprint, self.connection).is_some() {
            return;
        }
        self.in_order.push_back(fingerprint);
        while self.in_order.len() > self.room
            && let Some(oldest) = self.in_order.pop_front()
        {
            let is_there_still =
                |connection: &u32| self.is_window() && *connection + 1 >= self.connection;
            if self.known.get(&oldest).is_some_and(is_there_still) {
                self.in_order.push_back(oldest);
            } else {
                self.known.remove(&oldest);
            }
        }
    }
}

/// What an event is known again by in a document that comes again and again.
fn known_by(id: &str) -> u64 {
    XxHash3_64::oneshot(id.as_bytes())
}

/// What an event is known again by: the same in every build.
fn fingerprint(id: &str, name: &str, data: &str) -> u64 {
    let seed = XxHash3_64::oneshot_with_seed(id.len() as u64, id.as_bytes());
    let seed = XxHash3_64::oneshot_with_seed(seed, name.as_bytes());
    XxHash3_64::oneshot_with_seed(seed, data.as_bytes())
}

/// An id that is a number as people count.
fn number(id: &str) -> Option<u64> {
    let is_plain = id.bytes().all(|byte| byte.is_ascii_digit());
    let is_number = is_plain && (!id.starts_with('0') || id == "0");
    is_number.then(|| id.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks at events `id:data` of one connection after the other, and gives those that are
    /// new, and the doubts.
    fn look(seen: &mut Seen, connections: &[&[&str]]) -> (Vec<String>, Vec<String>) {
        let (mut new, mut doubts) = (Vec::new(), Vec::new());
        for events in connections {
            seen.connect();
            for event in *events {
                let (id, data) = event.split_once(':').unwrap();
                let (sight, doubt) = seen.look(&id.into(), "message", data);
                if let Sight::New(_) = sight {
                    new.push((*event).to_owned());
                }
                doubts.extend(doubt.map(|doubt| doubt.to_string()));
            }
        }
        (new, doubts)
    }

    #[track_caller]
    fn check(connections: &[&[&str]], new: &[&str], doubts: &[&str]) {
        let (found, said) = look(&mut Seen::new(Stood::default(), Manner::Usual), connections);
        assert_eq!(found, new);
        assert_eq!(said.len(), doubts.len(), "{said:?}");
        for (said, doubt) in said.iter().zip(doubts) {
            assert!(said.contains(doubt), "{said}");
        }
    }

    #[test]
    fn what_a_server_sends_again_is_known_by_its_id_and_what_it_says() {
        check(
            &[&["a:1", "b:2"], &["a:1", "b:2", "c:3"], &["b:2", "d:4"]],
            &["a:1", "b:2", "c:3", "d:4"],
            &[],
        );
        // Nothing is lost where a server counts anew.
        check(
            &[&["1:a", "2:b", "3:c", "4:d"], &["1:x", "2:y"]],
            &["1:a", "2:b", "3:c", "4:d", "1:x", "2:y"],
            &["counts anew"],
        );
    }

    #[test]
    fn the_same_twice_on_one_connection_is_two_events() {
        check(&[&["a:1", "a:1", "a:1"]], &["a:1", "a:1", "a:1"], &[]);
        check(&[&[":1", ":1"], &[":1"]], &[":1", ":1", ":1"], &[]);
    }

    #[test]
    fn events_without_an_id_of_their_own_are_known_in_their_order() {
        check(
            &[
                &["3:c", "3:x", "3:x", "3:y"],
                &["3:x", "3:x", "3:y", "3:y", "6:f"],
            ],
            &["3:c", "3:x", "3:x", "3:y", "3:y", "6:f"],
            &[],
        );
        // The event of the id itself may come again, too.
        check(
            &[&["3:c", "3:x"], &["3:c", "3:x", "3:z"]],
            &["3:c", "3:x", "3:z"],
            &[],
        );
        // A server that does not send them again goes on with the next.
        check(
            &[&["3:c", "3:x", "3:y"], &["3:z", "3:x"]],
            &["3:c", "3:x", "3:y", "3:z", "3:x"],
            &[],
        );
    }

    #[test]
    fn ids_that_count_tell_what_is_missing() {
        check(
            &[
                &["1:a", "2:b", "3:c"],
                &["4:d"],
                &["10:j", "11:k"],
                &["13:m"],
            ],
            &["1:a", "2:b", "3:c", "4:d", "10:j", "11:k", "13:m"],
            &[
                "go on with `10`, and the last one was `4`",
                "`13`, and the last one was `11`",
            ],
        );
        // These do not count.
        check(
            &[&["1:a", "3:b", "4:c", "5:d"], &["9:e"]],
            &["1:a", "3:b", "4:c", "5:d", "9:e"],
            &[],
        );
        check(&[&["1:a", "2:b"], &["9:c"]], &["1:a", "2:b", "9:c"], &[]);
    }

    #[test]
    fn ids_that_only_grow_tell_what_was_sent_again() {
        let stood = Stood {
            id: "5".into(),
            ..Stood::default()
        };
        let mut seen = Seen::new(stood, Manner::Ordered);
        let (new, doubts) = look(
            &mut seen,
            &[&["2:b", "5:e", "7:g", "9:i"], &["7:other", "10:j"]],
        );
        assert_eq!(new, ["7:g", "9:i", "10:j"]);
        assert!(doubts.is_empty());
    }

    #[test]
    fn a_position_knows_what_may_come_again_and_whether_ids_count() {
        let mut seen = Seen::new(Stood::default(), Manner::Usual);
        look(&mut seen, &[&["1:a", "2:b", "3:c", "3:x"]]);
        let stood = seen.stood;
        let mut resumed = Seen::new(stood.clone(), Manner::Usual);
        let (new, doubts) = look(&mut resumed, &[&["3:x", "3:y", "4:d"]]);
        assert_eq!(new, ["3:y", "4:d"]);
        assert!(doubts.is_empty());
        let (_, doubts) = look(&mut Seen::new(stood, Manner::Usual), &[&["6:f"]]);
        assert_eq!(doubts.len(), 1);
    }

    #[test]
    fn memory_is_bounded() {
        let mut seen = Seen::new(Stood::default(), Manner::Usual);
        seen.connect();
        for number in 0..10 * KNOWN {
            seen.look(&"x".into(), "message", &number.to_string());
        }
        assert_eq!((seen.known.len(), seen.in_order.len()), (KNOWN, KNOWN));
        assert_eq!(seen.stood.tail.len(), TAIL);
    }
}
