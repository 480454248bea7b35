//! How far a run is, while it runs: a line on a terminal that is renewed, and elsewhere a
//! line a minute.

use std::cell::Cell;
use std::fmt::Write as _;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::report::{self, SECRETS};

/// How often the line on a terminal is renewed during a wait.
const TICK: Duration = Duration::from_millis(100);

/// How often a line is written where there is no terminal.
const MINUTE: Duration = Duration::from_secs(60);

/// What is shown where the total is not known.
const LINE: &str = "{spinner} {wide_msg}";

/// What is shown where it is.
const BAR: &str = "{spinner} {bar:20} {percent}%, {eta} left: {wide_msg}";

/// How far a run is, for people.
pub(crate) struct Progress {
    shown: Shown,
    begin: Instant,
    next: Cell<Instant>,
}

enum Shown {
    Nothing,
    Line(ProgressBar),
    Lines { every: Duration },
}

/// What is known of how far a run is.
pub(crate) struct SoFar {
    pub(crate) text: String,
    pub(crate) waiting: Option<String>,
    pub(crate) items: u64,
    pub(crate) total: Option<u64>,
}

impl Progress {
    /// Shows something if `is_wanted`.
    pub(crate) fn new(is_wanted: bool) -> Self {
        Progress::showing(match (is_wanted, std::io::stderr().is_terminal()) {
            (false, _) => Shown::Nothing,
            (true, true) => Shown::Line(line()),
            (true, false) => Shown::Lines { every: MINUTE },
        })
    }

    fn showing(shown: Shown) -> Self {
        let begin = Instant::now();
        let first = match &shown {
            Shown::Lines { every } => begin + *every,
            _ => begin,
        };
        Progress {
            shown,
            begin,
            next: Cell::new(first),
        }
    }

    /// When it is to be said next how far the run is; never where nobody wants to know.
    pub(crate) fn next_at(&self) -> Option<Instant> {
        match self.shown {
            Shown::Nothing => None,
            _ => Some(self.next.get()),
        }
    }

    /// Whether that is now.
    pub(crate) fn is_due(&self) -> bool {
        self.next_at().is_some_and(|next| next <= Instant::now())
    }

    /// Says how far the run is.
    pub(crate) fn say(&self, so_far: SoFar) {
        let mut text = so_far.text;
        if let Some(waiting) = so_far.waiting {
            // Writing to a string does not fail.
            let _ = write!(text, "; {}", SECRETS.shown(&waiting));
        }
        match &self.shown {
            Shown::Nothing => {}
            Shown::Line(bar) => {
                if let Some(total) = so_far.total {
                    measure(bar, so_far.items, total);
                }
                bar.set_message(text);
                self.next.set(Instant::now() + TICK);
            }
            Shown::Lines { every } => {
                report::problem(&text);
                self.next.set(Instant::now() + *every);
            }
        }
    }

    /// How long it has been since the begin.
    pub(crate) fn elapsed(&self) -> Duration {
        self.begin.elapsed()
    }

    /// Takes the line away; the time that it was there.
    pub(crate) fn end(&self) -> Duration {
        if let Shown::Line(bar) = &self.shown {
            bar.finish_and_clear();
        }
        self.begin.elapsed()
    }
}

fn line() -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    set_style(&bar, LINE);
    bar.enable_steady_tick(TICK);
    bar
}

fn set_style(bar: &ProgressBar, template: &str) {
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
}

/// Turns the line into a bar, unless it is one already, and moves it.
fn measure(bar: &ProgressBar, items: u64, total: u64) {
    let total = total.max(items);
    if bar.length() == Some(total) {
        bar.set_position(items);
        return;
    }
    let is_first = bar.length().is_none();
    bar.set_length(total);
    bar.set_position(items);
    if is_first {
        set_style(bar, BAR);
        // What an earlier run did says nothing of how fast this one is.
        bar.reset_eta();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn so_far() -> SoFar {
        SoFar {
            text: "3 items".to_owned(),
            waiting: None,
            items: 3,
            total: Some(10),
        }
    }

    #[test]
    fn off_a_terminal_it_is_said_after_each_interval_and_not_before() {
        let progress = Progress::showing(Shown::Lines { every: MINUTE });
        assert!(!progress.is_due());
        let first = progress.next_at().unwrap();
        assert!(first > Instant::now() + MINUTE / 2);
        let progress = Progress::showing(Shown::Lines {
            every: Duration::ZERO,
        });
        assert!(progress.is_due());
        progress.say(so_far());
        assert!(Progress::showing(Shown::Nothing).next_at().is_none());
    }

    #[test]
    fn a_known_total_makes_a_bar() {
        let bar = ProgressBar::hidden();
        measure(&bar, 3, 10);
        assert_eq!((bar.position(), bar.length()), (3, Some(10)));
        measure(&bar, 12, 10);
        assert_eq!((bar.position(), bar.length()), (12, Some(12)));
    }
}
