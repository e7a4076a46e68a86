//! Amounts of money and of other things, as they are shown.

use std::iter::Sum;
use std::ops::Add;

use rust_decimal::{Decimal, RoundingStrategy};
use serde::{Serialize, Serializer};

/// Digits after the point of the smallest amount that is told of.
const MICRO: u32 = 6;

/// An amount in dollars, exact until it is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Dollars(Decimal);

impl Dollars {
    /// So many dollars.
    #[must_use]
    pub fn new(amount: Decimal) -> Self {
        Self(amount)
    }

    /// The amount.
    #[must_use]
    pub fn amount(self) -> Decimal {
        self.0
    }

    /// How often `other` goes into this; `None` where `other` is nothing.
    #[must_use]
    pub fn over(self, other: Self) -> Option<Decimal> {
        self.0.checked_div(other.0)
    }

    fn rounded(self, places: u32) -> Decimal {
        self.0
            .round_dp_with_strategy(places, RoundingStrategy::MidpointAwayFromZero)
    }
}

impl Add for Dollars {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sum for Dollars {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::default(), Add::add)
    }
}

/// Cents; below a dime two digits that say something, down to a millionth.
impl std::fmt::Display for Dollars {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let size = self.0.abs();
        if !size.is_zero() && self.rounded(MICRO).is_zero() {
            return f.pad("<$0.000001");
        }
        // The first power of ten that the amount reaches, two digits from there.
        let places = (1..MICRO)
            .find(|&places| size >= Decimal::new(1, places))
            .unwrap_or(MICRO);
        let places = if size.is_zero() {
            2
        } else {
            (places + 1).min(MICRO)
        };
        let text = format!("{:.*}", places as usize, self.rounded(places).abs());
        let (whole, fraction) = text.split_at(text.len() - places as usize - 1);
        let sign = if self.0.is_sign_negative() { "-" } else { "" };
        f.pad(&format!("{sign}${}{fraction}", thousands(whole)))
    }
}

/// A comma before every third digit from the end.
fn thousands(digits: &str) -> String {
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number, rounded to a millionth of a dollar.
impl Serialize for Dollars {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        number(self.rounded(MICRO), serializer)
    }
}

/// How much of something, exact until it is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quantity(Decimal);

impl Quantity {
    /// So much.
    #[must_use]
    pub fn new(amount: Decimal) -> Self {
        Self(amount)
    }

    /// How much.
    #[must_use]
    pub fn amount(self) -> Decimal {
        self.0
    }
}

impl From<u64> for Quantity {
    fn from(count: u64) -> Self {
        Self(count.into())
    }
}

/// Two digits after the point at the most.
impl std::fmt::Display for Quantity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = Dollars(self.0).rounded(2).normalize().to_string();
        let (whole, fraction) = text.split_at(text.find('.').unwrap_or(text.len()));
        let sign = if whole.starts_with('-') { "-" } else { "" };
        let whole = thousands(whole.trim_start_matches('-'));
        f.pad(&format!("{sign}{whole}{fraction}"))
    }
}

/// A number, rounded to a millionth.
impl Serialize for Quantity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        number(Dollars(self.0).rounded(MICRO), serializer)
    }
}

/// A decimal as a JSON number that reads the same.
fn number<S: Serializer>(value: Decimal, serializer: S) -> Result<S::Ok, S::Error> {
    use rust_decimal::prelude::ToPrimitive as _;
    use serde::ser::Error as _;

    let value = value.normalize();
    if value.scale() == 0
        && let Some(whole) = value.to_i64()
    {
        return serializer.serialize_i64(whole);
    }
    // Through its text, so that the nearest double is written and not a neighbour.
    let nearest: f64 = value.to_string().parse().map_err(S::Error::custom)?;
    serializer.serialize_f64(nearest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dollars(text: &str) -> Dollars {
        Dollars(text.parse().unwrap())
    }

    #[test]
    fn an_amount_has_cents_and_a_small_one_two_digits() {
        for (amount, text) in [
            ("0", "$0.00"),
            ("4.0833375", "$4.08"),
            ("1", "$1.00"),
            ("0.995", "$1.00"),
            ("0.125", "$0.13"),
            ("0.1", "$0.10"),
            ("0.0993", "$0.099"),
            ("0.0012345", "$0.0012"),
            ("0.000012", "$0.000012"),
            ("0.0000016", "$0.000002"),
            ("0.0000004", "<$0.000001"),
            ("999.999", "$1,000.00"),
            ("1234567.891", "$1,234,567.89"),
            ("-2.5", "-$2.50"),
        ] {
            assert_eq!(dollars(amount).to_string(), text, "{amount}");
        }
        assert_eq!(format!("{:>8}", dollars("4.08")), "   $4.08");
    }

    #[test]
    fn an_amount_is_a_number_of_millionths_in_json() {
        for (amount, json) in [
            ("0", "0"),
            ("4.0833375", "4.083338"),
            ("100.00", "100"),
            ("0.1", "0.1"),
            ("0.0000004", "0"),
        ] {
            assert_eq!(serde_json::to_string(&dollars(amount)).unwrap(), json);
        }
    }

    #[test]
    fn a_quantity_has_two_digits_at_the_most() {
        for (amount, text, json) in [
            ("0", "0", "0"),
            ("43800", "43,800", "43800"),
            ("4.20", "4.2", "4.2"),
            ("1234567.126", "1,234,567.13", "1234567.126"),
            ("-1234.5", "-1,234.5", "-1234.5"),
        ] {
            let quantity = Quantity(amount.parse().unwrap());
            assert_eq!(quantity.to_string(), text);
            assert_eq!(serde_json::to_string(&quantity).unwrap(), json);
        }
    }

    #[test]
    fn amounts_add_up_and_divide() {
        let amounts = [dollars("0.1"), dollars("0.2")];
        let sum: Dollars = amounts.into_iter().sum();
        assert_eq!(sum, dollars("0.3"));
        assert_eq!(sum.over(dollars("0.1")), Some(Decimal::from(3)));
        assert_eq!(sum.over(Dollars::default()), None);
        let most = Dollars(Decimal::MAX);
        assert_eq!(most + most, most);
    }
}
