//! Points in time, as RFC 3339 writes them. Text becomes one only where `--schema` says so.

/// Days since 1970-01-01, of `2024-01-31`.
pub(crate) fn date(text: &str) -> Option<i32> {
    let bytes = text.as_bytes();
    if bytes.len() != 10 || bytes[4] != b'-' || bytes[7] != b'-' {
        return None;
    }
    let (year, month, day) = (
        digits(&bytes[..4])?,
        digits(&bytes[5..7])?,
        digits(&bytes[8..])?,
    );
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last = match month {
        2 => 28 + i64::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=last).contains(&day) {
        return None;
    }
    i32::try_from(days(year, month, day)).ok()
}

/// Microseconds since 1970-01-01T00:00:00Z; none of a text that has more digits, or does
/// not say how far from Greenwich it is.
pub(crate) fn timestamp(text: &str) -> Option<i64> {
    let day = i64::from(date(text.get(..10)?)?);
    let rest = text.as_bytes().get(10..)?;
    if rest.len() < 10
        || !matches!(rest[0], b'T' | b't' | b' ')
        || rest[3] != b':'
        || rest[6] != b':'
    {
        return None;
    }
    let (hour, minute, second) = (
        digits(&rest[1..3])?,
        digits(&rest[4..6])?,
        digits(&rest[7..9])?,
    );
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let (micros, zone) = fraction(&rest[9..])?;
    let seconds = day * 86_400 + hour * 3600 + minute * 60 + second - offset(zone)?;
    Some(seconds * 1_000_000 + micros)
}

/// The microseconds that a text begins with, and what follows.
fn fraction(text: &[u8]) -> Option<(i64, &[u8])> {
    let Some(after) = text.strip_prefix(b".") else {
        return Some((0, text));
    };
    let count = after
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    let (written, zone) = after.split_at(count);
    let kept = written
        .iter()
        .rposition(|digit| *digit != b'0')
        .map_or(0, |at| at + 1);
    if count == 0 || kept > 6 {
        return None;
    }
    let value = digits(&written[..kept])?;
    Some((value * 10_i64.pow(u32::try_from(6 - kept).ok()?), zone))
}

/// Seconds to the east of Greenwich.
fn offset(zone: &[u8]) -> Option<i64> {
    let (sign, hours, minutes) = match zone {
        b"Z" | b"z" => return Some(0),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => (sign, [*h1, *h2], [*m1, *m2]),
        _ => return None,
    };
    let (hours, minutes) = (digits(&hours)?, digits(&minutes)?);
    let seconds = hours * 3600 + minutes * 60;
    let is_offset = hours < 24 && minutes < 60;
    is_offset.then_some(if *sign == b'-' { -seconds } else { seconds })
}

fn digits(text: &[u8]) -> Option<i64> {
    (text.iter()).try_fold(0, |value, byte| {
        byte.is_ascii_digit()
            .then(|| value * 10 + i64::from(byte - b'0'))
    })
}

/// Days from 1970-01-01, in the Gregorian calendar: years begin with March, so that the
/// leap day is their last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_from_1970() {
        for (text, days) in [
            ("1970-01-01", 0),
            ("1969-12-31", -1),
            ("2000-02-29", 11016),
            ("2024-03-01", 19783),
            ("0000-03-01", -719_468),
        ] {
            assert_eq!(date(text), Some(days), "{text}");
        }
        for text in [
            "2023-02-29",
            "2024-13-01",
            "2024-00-01",
            "2024-01-00",
            "2024-1-01",
            "24-01-01",
        ] {
            assert_eq!(date(text), None, "{text}");
        }
    }

    #[test]
    fn a_point_in_time_needs_its_distance_from_greenwich() {
        for (text, micros) in [
            ("1970-01-01T00:00:00Z", 0),
            ("1970-01-01T01:00:00.5+01:00", 500_000),
            ("1969-12-31 23:59:59.999999z", -1),
            ("2024-01-01T10:00:00.120000000-00:30", 1_704_105_000_120_000),
        ] {
            assert_eq!(timestamp(text), Some(micros), "{text}");
        }
        for text in [
            "2024-01-01T10:00:00",
            "2024-01-01",
            "2024-01-01T10:00Z",
            "2024-01-01T24:00:00Z",
            "2024-01-01T10:00:00.1234567Z",
            "2024-01-01T10:00:00.Z",
            "2024-01-01T10:00:00+1",
            "2024-01-01é",
        ] {
            assert_eq!(timestamp(text), None, "{text}");
        }
    }
}
