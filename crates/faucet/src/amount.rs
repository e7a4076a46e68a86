//! Sums in a coin's smallest unit, and in whole coins for people.

/// A sum in whole coins, exactly: 1500000 units of 6 decimals are `1.5`.
#[must_use]
pub fn coins(units: u128, decimals: u8) -> String {
    let decimals = usize::from(decimals);
    let digits = format!("{units:0>width$}", width = decimals + 1);
    let (whole, part) = digits.split_at(digits.len() - decimals);
    match part.trim_end_matches('0') {
        "" => whole.to_owned(),
        part => format!("{whole}.{part}"),
    }
}

/// A sum in whole coins, as near as a metric needs it.
#[must_use]
pub fn coins_f64(units: u128, decimals: u8) -> f64 {
    units as f64 / 10_f64.powi(i32::from(decimals))
}

/// Sums as text, because many readers of JSON cut numbers beyond 2^53.
pub(crate) mod text {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    /// DynamoDB holds numbers of up to 38 digits.
    const MAX_DIGITS: usize = 38;

    pub(crate) fn serialize<S: Serializer>(units: &u128, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(units)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u128, D::Error> {
        let text = String::deserialize(from)?;
        match text.parse::<u128>() {
            // One spelling for each sum: `+1` and `007` are none.
            Ok(units) if text.len() <= MAX_DIGITS && units.to_string() == text => Ok(units),
            _ => Err(D::Error::custom(
                "expected a sum of at most 38 digits in text, such as \"1000000\"",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn coins_are_exact() {
        for (units, decimals, text) in [
            (0, 0, "0"),
            (0, 6, "0"),
            (1, 0, "1"),
            (1, 6, "0.000001"),
            (10, 6, "0.00001"),
            (999_999, 6, "0.999999"),
            (1_000_000, 6, "1"),
            (1_500_000, 6, "1.5"),
            (120_000_000, 6, "120"),
            (1_000_000_000_000_000_001, 18, "1.000000000000000001"),
            (u128::MAX, 0, "340282366920938463463374607431768211455"),
            (u128::MAX, 36, "340.282366920938463463374607431768211455"),
            (u128::MAX, 40, "0.0340282366920938463463374607431768211455"),
        ] {
            assert_eq!(coins(units, decimals), text);
        }
    }

    #[test]
    fn coins_for_a_metric_are_near() {
        assert_eq!(coins_f64(0, 18), 0.0);
        assert_eq!(coins_f64(1_500_000, 6), 1.5);
        assert_eq!(coins_f64(7, 0), 7.0);
        assert_eq!(coins_f64(1_250_000_000_000_000_000, 18), 1.25);
    }

    proptest! {
        #[test]
        fn coins_read_back(units: u128, decimals in 0..=36_u8) {
            let text = coins(units, decimals);
            let (whole, part) = text.split_once('.').unwrap_or((&text, ""));
            let digits = format!("{whole}{part:0<width$}", width = usize::from(decimals));
            prop_assert_eq!(digits.parse(), Ok(units));
            prop_assert!(!part.ends_with('0'));
            let near: f64 = text.parse().unwrap();
            prop_assert!((coins_f64(units, decimals) - near).abs() <= near * 1e-15);
        }
    }
}
