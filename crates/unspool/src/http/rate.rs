use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::error::Error;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The units of a rate, and how long they are.
const UNITS: [(&str, u64); 4] = [("s", 1), ("m", 60), ("h", 60 * 60), ("d", 24 * 60 * 60)];

/// How many requests may start in a span of time: one after the other, evenly,
/// retries and redirects included.
///
/// ```
/// use std::time::Duration;
/// use unspool::Rate;
///
/// # fn main() -> Result<(), unspool::Error> {
/// assert_eq!("10/s".parse::<Rate>()?, Rate::every(Duration::from_millis(100)));
/// assert_eq!("0.5/s".parse::<Rate>()?, Rate::every(Duration::from_secs(2)));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    interval: Duration,
}

impl Rate {
    /// One request in this time.
    #[must_use]
    pub fn every(interval: Duration) -> Self {
        Rate { interval }
    }

    pub(super) fn interval(self) -> Duration {
        self.interval
    }
}

/// From a number and a unit, `s`, `m`, `h` or `d`: `10/s`, `600/m`, `0.5/s`.
impl FromStr for Rate {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = || {
            Error::request(format!(
                "expected a rate such as `10/s`, `600/m` or `100/h`, found `{text}`"
            ))
        };
        let (number, unit) = text.split_once('/').ok_or_else(wrong)?;
        let (_, seconds) = UNITS
            .into_iter()
            .find(|(name, _)| *name == unit.trim())
            .ok_or_else(wrong)?;
        let number: f64 = number.trim().parse().map_err(|_| wrong())?;
        match Duration::try_from_secs_f64(seconds as f64 / number) {
            Ok(interval) if !interval.is_zero() && interval <= DAY => Ok(Rate { interval }),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "one request in {:?}", self.interval)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_have_units() {
        for (text, millis) in [
            ("10/s", 100),
            ("600/m", 100),
            ("0.5/s", 2_000),
            ("100/h", 36_000),
            ("1/d", 86_400_000),
        ] {
            let rate: Rate = text.parse().unwrap();
            assert_eq!(rate.interval(), Duration::from_millis(millis), "{text}");
        }
        for wrong in [
            "", "10", "/s", "10/", "0/s", "-1/s", "x/s", "1/y", "0.5/d", "inf/s", "NaN/s",
        ] {
            assert!(wrong.parse::<Rate>().is_err(), "{wrong}");
        }
    }
}
