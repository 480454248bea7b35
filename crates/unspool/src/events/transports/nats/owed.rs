//! What a durable consumer was given: what is known again, and what is not acknowledged.

use std::collections::VecDeque;
use std::fmt;

use super::super::own::Settled;

/// How many messages may wait for their acknowledgement.
pub(super) const MAX_OWED: usize = 1000;

/// How many ranges of messages are known to be open.
const RANGES: usize = 100;

/// Which messages were handed out: all up to the last one but those in open ranges, which may
/// have been given to a run that was killed.
///
/// As a text it is the position of a durable consumer: `1000`, or `1000 701-800 950-950`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Handed {
    last: u64,
    open: Vec<(u64, u64)>,
    /// Whether the message that came last is the last one, come for the first time.
    is_at_last: bool,
}

impl Handed {
    /// Reads a position; nothing where it is none.
    pub(super) fn read(text: &str) -> Self {
        let mut words = text.split(' ');
        let last = words.next().and_then(|word| word.parse().ok());
        let ranges = words.filter_map(|word| {
            let (first, last) = word.split_once('-')?;
            Some((first.parse().ok()?, last.parse().ok()?))
        });
        Handed {
            open: ranges.collect(),
            last: last.unwrap_or(0),
            is_at_last: false,
        }
    }

    pub(super) fn last(&self) -> u64 {
        self.last
    }

    /// The message up to which all were handed out.
    pub(super) fn whole_until(&self) -> u64 {
        let first = self.open.first().map(|(first, _)| first - 1);
        first.unwrap_or(self.last)
    }

    /// All up to this message have been acknowledged: what is missing there is for nobody.
    pub(super) fn close_until(&mut self, floor: u64) {
        self.open.retain(|(_, last)| *last > floor);
    }

    fn has(&self, sequence: u64) -> bool {
        let is_in = |(first, last): &(u64, u64)| (*first..=*last).contains(&sequence);
        sequence <= self.last && !self.open.iter().any(is_in)
    }

    /// Takes note of a message; whether it is to be handed out. `follows` as for
    /// [`add`](Handed::add), which says nothing after a message that came again: others may
    /// have been given to somebody else since it came first.
    pub(super) fn take(&mut self, sequence: u64, follows: bool) -> bool {
        let follows = follows && self.is_at_last;
        self.is_at_last = sequence > self.last;
        let is_new = !self.has(sequence);
        if is_new {
            self.add(sequence, follows);
        }
        is_new
    }

    /// A message is handed out. Whether nothing was given to anybody since the message before
    /// it: what is passed over is not for this consumer then.
    fn add(&mut self, sequence: u64, follows: bool) {
        if sequence > self.last {
            if !follows && sequence > self.last + 1 {
                self.open.push((self.last + 1, sequence - 1));
            }
            self.last = sequence;
        } else if let Some(at) =
            (self.open.iter()).position(|(first, last)| (*first..=*last).contains(&sequence))
        {
            let (first, last) = self.open.remove(at);
            let parts = [(first, sequence - 1), (sequence + 1, last)];
            let parts = parts.into_iter().filter(|(first, last)| first <= last);
            self.open.splice(at..at, parts);
        }
        while self.open.len() > RANGES {
            // Rather twice than not at all.
            let (first, _) = self.open.remove(0);
            self.open[0].0 = first;
        }
    }
}

impl fmt::Display for Handed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.last)?;
        (self.open.iter()).try_for_each(|(first, last)| write!(f, " {first}-{last}"))
    }
}

/// A message that was handed out and is not acknowledged.
pub(super) struct Owed {
    pub(super) sequence: u64,
    /// Where its acknowledgement goes.
    pub(super) reply: String,
    /// The position after it.
    pub(super) position: String,
}

/// What was handed out and is not acknowledged.
#[derive(Default)]
pub(super) struct Debts {
    /// In the order in which it was handed out.
    fresh: VecDeque<Owed>,
    /// What was known when it came.
    again: Vec<Owed>,
}

impl Debts {
    pub(super) fn is_empty(&self) -> bool {
        self.fresh.is_empty() && self.again.is_empty()
    }

    pub(super) fn has_again(&self) -> bool {
        !self.again.is_empty()
    }

    /// How many more messages may wait for their acknowledgement.
    pub(super) fn room(&self) -> usize {
        MAX_OWED.saturating_sub(self.fresh.len() + self.again.len())
    }

    /// Takes note of a message that is handed out.
    pub(super) fn add(&mut self, owed: Owed) {
        self.fresh.push_back(owed);
    }

    /// Takes note of a message that was handed out before; it may wait already, and then the
    /// newest delivery is acknowledged.
    pub(super) fn add_again(&mut self, owed: Owed) {
        let mut all = self.fresh.iter_mut().chain(&mut self.again);
        match all.find(|known| known.sequence == owed.sequence) {
            Some(known) => known.reply = owed.reply,
            None => self.again.push(owed),
        }
    }

    /// What may be acknowledged now.
    pub(super) fn settled(&mut self, settled: &Settled) -> Vec<Owed> {
        if settled.is_all {
            let again = std::mem::take(&mut self.again);
            return self.fresh.drain(..).chain(again).collect();
        }
        let is_last = |owed: &Owed| owed.position == *settled.id;
        let last = self.fresh.iter().rposition(is_last);
        self.fresh.drain(..last.map_or(0, |at| at + 1)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_given_to_a_run_that_was_killed_is_new_and_all_else_is_known() {
        let mut handed = Handed::default();
        for sequence in 1..=3 {
            handed.add(sequence, sequence > 1);
        }
        // Somebody else was given some since, which come again, out of order.
        handed.add(10, false);
        // What is passed over here is for other consumers.
        handed.add(15, true);
        assert_eq!(handed.to_string(), "15 4-9");
        let mut handed = Handed::read("15 4-9");
        assert_eq!((handed.last(), handed.whole_until()), (15, 3));
        let known = |handed: &Handed| (1..=16).filter(|at| handed.has(*at)).collect::<Vec<u64>>();
        assert_eq!(known(&handed), [1, 2, 3, 10, 11, 12, 13, 14, 15]);
        handed.add(6, false);
        handed.add(4, true);
        assert_eq!(handed.to_string(), "15 5-5 7-9");
        handed.add(5, true);
        handed.close_until(8);
        assert_eq!(handed.to_string(), "15 7-9");
        handed.close_until(9);
        assert_eq!(handed.to_string(), "15");
        assert_eq!(Handed::read(""), Handed::default());
    }

    #[test]
    fn a_message_that_comes_again_says_nothing_of_those_between_it_and_the_next() {
        for again in [2, 3] {
            let mut handed = Handed::default();
            assert!((1..=3).all(|sequence| handed.take(sequence, sequence > 1)));
            // Meanwhile 4 to 9 are given to a run that is killed.
            assert!(!handed.take(again, false));
            assert!(handed.take(10, true));
            assert_eq!(handed.to_string(), "10 4-9");
            assert!(handed.take(11, true));
            assert!(handed.take(5, true));
            assert!(handed.take(15, true));
            assert_eq!(handed.to_string(), "15 4-4 6-9 12-14");
        }
    }

    #[test]
    fn the_ranges_are_bounded_and_nothing_is_known_that_was_not_handed_out() {
        let mut handed = Handed::default();
        (1..=500).for_each(|number| handed.add(number * 2, false));
        assert_eq!(handed.open.len(), RANGES);
        assert!((1..=500).all(|number| !handed.has(number * 2 - 1)));
        assert!(handed.has(1000) && handed.has(998));
    }
}
