//! What gas costs, and how much of it a transaction uses.

use std::fmt;

use crate::SetupError;
use crate::coin::{Coin, is_denom};

/// The least a node takes for a unit of gas, in one coin: `0.025stake`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GasPrice {
    denom: String,
    whole: u64,
    /// What follows the point, in units of 10^-18.
    fraction: u64,
}

const FRACTION_DIGITS: usize = 18;
const FRACTION: u128 = 1_000_000_000_000_000_000;

impl GasPrice {
    /// Reads `0.025stake,0.01uatom`; the empty text means that gas is free.
    pub(crate) fn parse_all(text: &str) -> Result<Vec<Self>, SetupError> {
        text.split(',')
            .filter(|part| !part.is_empty())
            .map(Self::parse)
            .collect()
    }

    fn parse(text: &str) -> Result<Self, SetupError> {
        let error = || SetupError::new(format!("not a gas price: {text}"));
        let number = text.len()
            - text
                .trim_start_matches(|c: char| c.is_ascii_digit() || c == '.')
                .len();
        let (number, denom) = text.split_at(number);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
        if fraction.len() > FRACTION_DIGITS || !is_denom(denom) {
            return Err(error());
        }
        Ok(Self {
            denom: denom.to_owned(),
            whole: whole.parse().map_err(|_| error())?,
            fraction: format!("{fraction:0<FRACTION_DIGITS$}")
                .parse()
                .map_err(|_| error())?,
        })
    }

    /// The least fee for this much gas, rounded up.
    pub(crate) fn fee(&self, gas: u64) -> Coin {
        let gas = u128::from(gas);
        let fraction = (gas * u128::from(self.fraction)).div_ceil(FRACTION);
        Coin {
            denom: self.denom.clone(),
            amount: gas * u128::from(self.whole) + fraction,
        }
    }
}

impl fmt::Display for GasPrice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:018}{}", self.whole, self.fraction, self.denom)
    }
}

// A model that comes near the recorded node's figures, no more: there, each
// read and write of the store has its price.
const TRANSACTION: u64 = 48_000;
const BYTE: u64 = 10;
const TRANSFER: u64 = 10_000;
const NEW_ACCOUNT: u64 = 13_000;

/// Gas that is used before the messages: by the checks, the fee, the signature.
pub(crate) fn of_checks(bytes: &[u8]) -> u64 {
    TRANSACTION + BYTE * bytes.len() as u64
}

/// Gas of one transfer, to an account that is there or not yet.
pub(crate) fn of_transfer(new_account: bool) -> u64 {
    TRANSFER + if new_account { NEW_ACCOUNT } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fee_is_rounded_up() {
        let price = &GasPrice::parse_all("0.025stake").unwrap()[0];
        assert_eq!(price.fee(100_000).to_string(), "2500stake");
        assert_eq!(price.fee(100_001).to_string(), "2501stake");
        let price = &GasPrice::parse_all("2uatom").unwrap()[0];
        assert_eq!(price.fee(u64::MAX).amount, u128::from(u64::MAX) * 2);
    }

    #[test]
    fn refuses_what_is_not_a_price() {
        for bad in ["stake", "0.025", "1.2.3stake", "-1stake", ".5.stake"] {
            assert!(GasPrice::parse_all(bad).is_err(), "{bad}");
        }
        assert!(GasPrice::parse_all("").unwrap().is_empty());
    }
}
