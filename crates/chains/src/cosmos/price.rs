//! What gas costs, without rounding before the end.

const MAX_DECIMALS: usize = 18;

/// A decimal number of coins for a unit of gas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct GasPrice {
    /// The number without its point.
    digits: u128,
    /// What `digits` is to be divided by: a power of ten.
    scale: u128,
}

impl GasPrice {
    /// The number of a text such as `0.025`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(decimals) || decimals.len() > MAX_DECIMALS {
            return None;
        }
        let scale = 10_u128.pow(u32::try_from(decimals.len()).ok()?);
        let digits = whole
            .parse::<u128>()
            .ok()?
            .checked_mul(scale)?
            .checked_add(decimals.parse().ok()?)?;
        Some(Self { digits, scale })
    }

    /// The least fee that pays this price for `gas`.
    pub(super) fn fee(self, gas: u64) -> Option<u128> {
        let product = self.digits.checked_mul(u128::from(gas))?;
        Some(product.div_ceil(self.scale))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fee(price: &str, gas: u64) -> u128 {
        GasPrice::parse(price).unwrap().fee(gas).unwrap()
    }

    #[test]
    fn a_fee_is_rounded_up() {
        assert_eq!(fee("0.025", 100_000), 2500);
        assert_eq!(fee("0.025", 100_001), 2501);
        assert_eq!(fee("0.000000000000000001", 1), 1);
        assert_eq!(fee("25000000000", 21_000), 525_000_000_000_000);
        assert_eq!(fee("1.10", 10), 11);
        assert_eq!(fee("0", 100_000), 0);
        assert_eq!(fee("0.0", 100_000), 0);
    }

    #[test]
    fn what_is_no_decimal_number_is_no_price() {
        for text in [
            "",
            ".",
            "1.",
            ".1",
            "-1",
            "+1",
            "1e3",
            "0,1",
            " 1",
            "1 ",
            "0.1.2",
            "0x1",
            "٣",
            "0.0000000000000000001",
            "340282366920938463463374607431768211456",
        ] {
            assert_eq!(GasPrice::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_fee_beyond_any_sum_is_none() {
        let price = GasPrice::parse("100000000000000000000000000000").unwrap();
        assert_eq!(price.fee(u64::MAX), None);
    }

    proptest! {
        #[test]
        fn a_fee_is_the_least_that_pays(millionths in 0_u64..1 << 40, gas in 0_u64..1 << 30) {
            let price = format!("{}.{:06}", millionths / 1_000_000, millionths % 1_000_000);
            let fee = fee(&price, gas);
            let exact = u128::from(millionths) * u128::from(gas);
            prop_assert!(fee * 1_000_000 >= exact);
            prop_assert!(fee == 0 || (fee - 1) * 1_000_000 < exact);
        }
    }
}
