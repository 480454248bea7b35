//! What a number's text needs so that none of its digits is lost.

/// The greatest whole number up to which a double has all of them.
pub(crate) const EXACT_IN_DOUBLE: u64 = 1 << 53;

/// How many digits a decimal column has.
pub(crate) const DECIMAL_DIGITS: u32 = 38;

/// The digits of a number: the value is 0.d₁d₂d₃… × 10^exponent, without zeros at either
/// end. Zero has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Digits {
    pub(crate) count: u32,
    pub(crate) exponent: i32,
}

impl Digits {
    pub(crate) fn of(number: &str) -> Self {
        let (mantissa, written) = match number.find(['e', 'E']) {
            Some(at) => (&number[..at], exponent(&number[at + 1..])),
            None => (number, 0),
        };
        let (mut count, mut zeros, mut whole) = (0, 0, 0_i32);
        let mut in_fraction = false;
        for byte in mantissa.bytes() {
            match byte {
                b'.' => in_fraction = true,
                b'0' if count == 0 => whole -= i32::from(in_fraction),
                b'0'..=b'9' => {
                    whole += i32::from(!in_fraction);
                    count += 1;
                    zeros = if byte == b'0' { zeros + 1 } else { 0 };
                }
                _ => {}
            }
        }
        if count == 0 {
            return Digits {
                count: 0,
                exponent: 0,
            };
        }
        Digits {
            count: count - zeros,
            exponent: whole.saturating_add(written),
        }
    }

    /// How many stand before the point.
    pub(crate) fn whole(self) -> u32 {
        u32::try_from(self.exponent).unwrap_or(0)
    }

    /// How many stand after the point.
    pub(crate) fn scale(self) -> u32 {
        let scale = i64::from(self.count) - i64::from(self.exponent);
        u32::try_from(scale.max(0)).unwrap_or(u32::MAX)
    }
}

/// An exponent as it is written; what is out of all range counts as a billion.
fn exponent(text: &str) -> i32 {
    const FAR: i32 = 1_000_000_000;
    let digits = text.trim_start_matches(['+', '-']);
    let size = digits.parse::<i32>().unwrap_or(FAR).min(FAR);
    if text.starts_with('-') { -size } else { size }
}

/// The number as 64-bit integer; none where it is none, and for `-0`.
pub(crate) fn integer(number: &str) -> Option<i64> {
    if number == "-0" {
        return None;
    }
    number.parse().ok()
}

/// The number as a double, where the double's shortest text has the same digits.
pub(crate) fn double(number: &str) -> Option<f64> {
    let value: f64 = number.parse().ok()?;
    if number.len() <= 15 && !number.contains(['e', 'E']) {
        return Some(value);
    }
    let digits = Digits::of(number);
    // Every decimal of up to 15 digits comes back from a normal double.
    let is_ordinary = digits.count <= 15 && (-300..300).contains(&digits.exponent);
    (is_ordinary || value.is_finite() && same_digits(&format!("{value:e}"), number))
        .then_some(value)
}

/// The number as a column of doubles has it, if that takes it: of whole numbers those that a
/// double tells apart.
pub(crate) fn exact_double(number: &str) -> Option<f64> {
    match integer(number) {
        Some(integer) if integer.unsigned_abs() > EXACT_IN_DOUBLE => None,
        Some(integer) => Some(integer as f64),
        None => double(number),
    }
}

/// Whether a column of doubles takes the number.
pub(crate) fn is_exact_double(number: &str) -> bool {
    exact_double(number).is_some()
}

/// Whether a number has a fraction, an exponent or is minus zero: a long whole number is
/// an identifier more often than a measurement.
pub(crate) fn is_written_as_double(number: &str) -> bool {
    number == "-0" || number.contains(['.', 'e', 'E'])
}

/// Whether two texts are the same number.
fn same_digits(left: &str, right: &str) -> bool {
    Digits::of(left) == Digits::of(right)
        && significant(left).eq(significant(right))
        && left.starts_with('-') == right.starts_with('-')
}

/// The digits between the first and the last that is not zero; the zeros after the last
/// one are left to the caller's count.
fn significant(number: &str) -> impl Iterator<Item = u8> + '_ {
    let count = usize::try_from(Digits::of(number).count).unwrap_or(0);
    number
        .bytes()
        .take_while(|byte| !matches!(byte, b'e' | b'E'))
        .filter(u8::is_ascii_digit)
        .skip_while(|byte| *byte == b'0')
        .take(count)
}

/// The number times 10^scale, where that is a whole number of up to 38 digits.
pub(crate) fn decimal(number: &str, scale: u32) -> Option<i128> {
    let digits = Digits::of(number);
    if digits.scale() > scale || digits.whole() + scale > DECIMAL_DIGITS {
        return None;
    }
    let mut value: i128 = 0;
    for digit in significant(number) {
        value = value * 10 + i128::from(digit - b'0');
    }
    // Below 10^38, by what was asked above.
    let zeros = i64::from(digits.exponent) + i64::from(scale) - i64::from(digits.count);
    if digits.count > 0 {
        value *= 10_i128.checked_pow(u32::try_from(zeros).ok()?)?;
    }
    Some(if number.starts_with('-') {
        -value
    } else {
        value
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_counted_without_zeros_at_either_end() {
        for (number, whole, scale) in [
            ("0", 0, 0),
            ("-0.000", 0, 0),
            ("0e99999999999", 0, 0),
            ("120", 3, 0),
            ("1.50", 1, 1),
            ("-0.00123", 0, 5),
            ("1.5e3", 4, 0),
            ("15e-4", 0, 4),
            ("10.25E+1", 3, 1),
            ("100e-2", 1, 0),
        ] {
            let digits = Digits::of(number);
            assert_eq!((digits.whole(), digits.scale()), (whole, scale), "{number}");
        }
    }

    #[test]
    fn a_double_is_one_only_with_all_digits() {
        for number in [
            "2.5",
            "0.1",
            "-0",
            "1e300",
            "10.00",
            "1.7976931348623157e308",
            "5e-324",
            "123456789.12345678",
        ] {
            assert!(double(number).is_some(), "{number}");
        }
        for number in [
            "9007199254740993.0",
            "0.1000000000000000055511151231257827",
            "1234567890123.4567890123456",
            "1e400",
            "-1e-400",
            "1.23456789012345678",
        ] {
            assert!(double(number).is_none(), "{number}");
        }
    }

    #[test]
    fn a_decimal_has_all_digits_or_is_none() {
        assert_eq!(decimal("12.5", 2), Some(1250));
        assert_eq!(decimal("-12.50", 1), Some(-125));
        assert_eq!(decimal("12.55", 1), None);
        assert_eq!(decimal("1e3", 0), Some(1000));
        assert_eq!(decimal("0.000", 0), Some(0));
        assert_eq!(decimal("1e-3", 3), Some(1));
        let most = "99999999999999999999999999999999999999";
        assert_eq!(decimal(most, 0), Some(10_i128.pow(38) - 1));
        assert_eq!(decimal(most, 1), None);
        assert_eq!(decimal("1e38", 0), None);
        assert_eq!(
            decimal("1234567890123456789012345.678", 3),
            Some(1_234_567_890_123_456_789_012_345_678)
        );
    }

    #[test]
    fn an_integer_is_one_of_64_bits() {
        assert_eq!(integer("9223372036854775807"), Some(i64::MAX));
        assert_eq!(integer("9223372036854775808"), None);
        assert_eq!(integer("-0"), None);
        assert_eq!(integer("1.0"), None);
    }
}
