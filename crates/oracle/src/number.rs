//! Decimal numbers, read exactly from their text.

/// No observation has this absolute value or more. It keeps every sum and
/// product of the aggregation within an `i128`.
pub(crate) const LIMIT: i128 = 10_i128.pow(LIMIT_DIGITS as u32);

const LIMIT_DIGITS: usize = 33;

/// Reads a number of JSON's grammar (RFC 8259, section 6) times 10^`shift`,
/// rounded to an integer, a half to even.
///
/// `None` if the text is no such number, or if the result is not between the
/// negative and the positive [`LIMIT`].
pub(crate) fn decimal(text: &str, shift: i8) -> Option<i128> {
    let (negative, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, parse_exponent(exponent)?),
        None => (rest, 0),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((_, "")) => return None,
        Some(parts) => parts,
        None => (mantissa, ""),
    };
    let leading_zero = whole.len() > 1 && whole.starts_with('0');
    if whole.is_empty() || leading_zero {
        return None;
    }
    let digits = || whole.bytes().chain(fraction.bytes());
    if !digits().all(|byte| byte.is_ascii_digit()) {
        return None;
    }

    // The number is 0.d1d2d3... times 10^point with d1 not zero.
    let zeros = digits().take_while(|digit| *digit == b'0').count();
    let mut digits = digits().skip(zeros).map(|digit| i128::from(digit - b'0'));
    let point = i64::try_from(whole.len()).ok()? - i64::try_from(zeros).ok()?;
    let point = point.saturating_add(exponent) + i64::from(shift);
    if digits.clone().next().is_none() || point < 0 {
        return Some(0);
    }
    let point = usize::try_from(point)
        .ok()
        .filter(|point| *point <= LIMIT_DIGITS)?;

    let mut integer: i128 = 0;
    for _ in 0..point {
        integer = integer * 10 + digits.next().unwrap_or(0);
    }
    let next = digits.next().unwrap_or(0);
    let above_half = next > 5 || (next == 5 && digits.any(|digit| digit != 0));
    let half = next == 5 && !above_half;
    if above_half || (half && integer % 2 == 1) {
        integer += 1;
    }
    (integer < LIMIT).then_some(if negative { -integer } else { integer })
}

/// An exponent that is too long to matter is as good as a trillion.
fn parse_exponent(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let size = digits.bytes().fold(0, |size: i64, digit| {
        (size * 10 + i64::from(digit - b'0')).min(1_000_000_000_000)
    });
    Some(if text.starts_with('-') { -size } else { size })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rust_decimal::{Decimal, RoundingStrategy};

    use super::*;

    #[test]
    fn decimals_are_exact() {
        for (text, shift, value) in [
            ("0", 0, 0),
            ("-0", 0, 0),
            ("-0.0e5", 18, 0),
            ("1", 0, 1),
            ("0.1", 1, 1),
            ("0.30000000000000004", 17, 30_000_000_000_000_004),
            ("3141.59", 2, 314_159),
            ("1e3", 0, 1000),
            ("1E+3", 0, 1000),
            ("1.5e-3", 4, 15),
            (
                "123456789012345678901234567890",
                0,
                123_456_789_012_345_678_901_234_567_890,
            ),
            ("0.123456789012345678", 18, 123_456_789_012_345_678),
            ("999999999999999.999999999999999999", 18, LIMIT - 1),
            ("-999999999999999999999999999999999", 0, 1 - LIMIT),
            ("9007199254740993", 0, 9_007_199_254_740_993),
            ("1e-400", 18, 0),
            ("1e-99999999999999999999999999", 18, 0),
            ("0e99999999999999999999999999", 18, 0),
            ("1234", -2, 12),
            ("0.000001e6", 0, 1),
        ] {
            assert_eq!(decimal(text, shift), Some(value), "{text}");
        }
        let zeros = format!("0.{}1e20001", "0".repeat(20_000));
        assert_eq!(decimal(&zeros, 0), Some(1));
    }

    #[test]
    fn a_half_goes_to_the_even_number() {
        for (text, value) in [
            ("0.5", 0),
            ("1.5", 2),
            ("2.5", 2),
            ("3.5", 4),
            ("-0.5", 0),
            ("-1.5", -2),
            ("-2.5", -2),
            ("0.49999999999999999999999999999999999999999999999999", 0),
            ("0.50000000000000000000000000000000000000000000000001", 1),
            ("2.50000000000000000000000000000000000000000000000000", 2),
            ("2.50000000000000000000000000000000000000000000000001", 3),
            ("0.05e1", 0),
            ("0.049", 0),
            ("0.9", 1),
            ("9.5", 10),
            ("99.5", 100),
        ] {
            assert_eq!(decimal(text, 0), Some(value), "{text}");
        }
        assert_eq!(decimal("0.05", 0), Some(0));
    }

    #[test]
    fn what_is_too_large_is_refused() {
        for text in [
            "1e33",
            "-1e33",
            "1e400",
            "-1e400",
            "1e99999999999999999999999999",
            "1000000000000000000000000000000000",
            "999999999999999999999999999999999.5",
        ] {
            assert_eq!(decimal(text, 0), None, "{text}");
        }
        assert_eq!(decimal("1e15", 18), None);
    }

    #[test]
    fn only_the_grammar_of_json_is_a_number() {
        for text in [
            "", "-", "+1", "--1", ".5", "1.", "1.e3", "01", "-01", "00", "1e", "1e+", "1e+-3",
            "1e1.5", "1_000", "1,000", " 1", "1 ", "0x1", "1f", "abc", "NaN", "Infinity", "-inf",
            "true", "null", "１", "1.2.3", "1e2e3", "1\n", "1-", "1.-5",
        ] {
            assert_eq!(decimal(text, 0), None, "{text:?}");
        }
    }

    proptest! {
        /// Another library, within the range where it is exact as well.
        #[test]
        fn another_library_reads_the_same(
            mantissa in -(10_i64.pow(17))..10_i64.pow(17),
            point in 0_u32..=10,
            decimals in 0_u8..=8,
        ) {
            let number = Decimal::new(mantissa, point);
            let expected = number
                .round_dp_with_strategy(decimals.into(), RoundingStrategy::MidpointNearestEven);
            let expected = expected.mantissa() * 10_i128.pow(u32::from(decimals) - expected.scale());
            let shift = decimals.cast_signed();
            prop_assert_eq!(decimal(&number.to_string(), shift), Some(expected));
            let scientific = format!("{mantissa}e-{point}");
            prop_assert_eq!(decimal(&scientific, shift), Some(expected));
        }

        #[test]
        fn integers_read_back(number in 1 - LIMIT..LIMIT, zeros in 0_i8..=18) {
            prop_assert_eq!(decimal(&number.to_string(), 0), Some(number));
            let shifted = format!("{number}{}", "0".repeat(zeros.unsigned_abs().into()));
            prop_assert_eq!(decimal(&shifted, -zeros), Some(number));
        }

        /// Another parser says what a number is, and about how large.
        #[test]
        fn the_grammar_is_that_of_json(text in "-?[0-9.eE+-]{0,12}", shift in -36_i8..=36) {
            let number = decimal(&text, shift);
            prop_assert!(number.is_none_or(|number| number.abs() < LIMIT));
            let valid = serde_json::from_str::<&serde_json::value::RawValue>(&text).is_ok();
            prop_assert!(valid || number.is_none());
            let float = text.parse::<f64>().map(|float| float.abs() * 10_f64.powi(shift.into()));
            if valid && float.is_ok_and(|float| float < 9e32) {
                prop_assert!(number.is_some());
            }
        }
    }
}
