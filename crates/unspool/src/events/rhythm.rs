use std::time::Duration;

/// The shortest silence that speaks of a dead connection, where nobody says another.
const SHORTEST: Duration = Duration::from_secs(60);

/// How many times its longest pause a feed may be silent.
const PATIENCE: u32 = 3;

/// How long a feed may be silent: what was said, or what its own rhythm tells.
///
/// A feed that has not had a pause yet has no rhythm, and may be silent for ever: whether
/// its connection is still there is then for the system to find out.
#[derive(Debug)]
pub(super) struct Rhythm {
    said: Option<Duration>,
    longest: Option<Duration>,
}

impl Rhythm {
    pub(super) fn new(said: Option<Duration>) -> Self {
        Rhythm {
            said,
            longest: None,
        }
    }

    /// The longest silence before the connection counts as dead.
    pub(super) fn limit(&self) -> Duration {
        let from_rhythm = (self.longest).map_or(Duration::MAX, |pause| {
            pause.saturating_mul(PATIENCE).max(SHORTEST)
        });
        self.said.unwrap_or(from_rhythm)
    }

    /// Something came after this pause, or did not come at all in it.
    pub(super) fn paused(&mut self, pause: Duration) {
        self.longest = self.longest.max(Some(pause));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_feed_may_be_silent_for_three_times_its_longest_pause() {
        let mut rhythm = Rhythm::new(None);
        assert_eq!(rhythm.limit(), Duration::MAX);
        for (pause, limit) in [(1, 60), (15, 60), (40, 120), (2, 120), (120, 360)] {
            rhythm.paused(pause * SECOND);
            assert_eq!(rhythm.limit(), limit * SECOND);
        }
    }

    #[test]
    fn what_was_said_goes_before_that() {
        let mut rhythm = Rhythm::new(Some(5 * SECOND));
        rhythm.paused(100 * SECOND);
        assert_eq!(rhythm.limit(), 5 * SECOND);
    }
}
