//! Values as a person writes them.

/// An integer times a power of ten as decimal text, digit for digit: nothing
/// is rounded, and zeros at the end stay, because they are the feed's precision.
pub(crate) fn decimal(value: i128, exponent: i8) -> String {
    let digits = value.unsigned_abs().to_string();
    let places = usize::from(exponent.unsigned_abs());
    let sign = if value < 0 { "-" } else { "" };
    if exponent < 0 {
        let digits = format!("{digits:0>width$}", width = places + 1);
        let (whole, fraction) = digits.split_at(digits.len() - places);
        format!("{sign}{whole}.{fraction}")
    } else if value == 0 {
        digits
    } else {
        format!("{sign}{digits}{zeros}", zeros = "0".repeat(places))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_written_digit_for_digit() {
        for (value, exponent, text) in [
            (537, 0, "537"),
            (-537, 0, "-537"),
            (0, 0, "0"),
            (314_159, -2, "3141.59"),
            (314_100, -2, "3141.00"),
            (-314_159, -2, "-3141.59"),
            (5, -2, "0.05"),
            (-5, -2, "-0.05"),
            (0, -2, "0.00"),
            (1, -18, "0.000000000000000001"),
            (12, 3, "12000"),
            (0, 3, "0"),
            (i128::MIN, 0, "-170141183460469231731687303715884105728"),
            (i128::MAX, -18, "170141183460469231731.687303715884105727"),
        ] {
            assert_eq!(decimal(value, exponent), text);
        }
        assert_eq!(decimal(1, i8::MIN).len(), 130);
    }
}
