//! Sums of coins.

use std::collections::BTreeMap;
use std::fmt;

use cosmrs::proto::cosmos::base::v1beta1::Coin as WireCoin;
use serde::{Serialize, Serializer};

use crate::SetupError;

/// A sum of one coin, in its smallest unit. Written `1000stake`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Coin {
    /// The coin.
    pub denom: String,
    /// How much of it; text in JSON.
    #[serde(serialize_with = "text")]
    pub amount: u128,
}

/// What an account has, by coin. A coin that it has none of is not in it.
pub(crate) type Balances = BTreeMap<String, u128>;

impl Coin {
    /// Reads `1000stake`.
    pub fn parse(text: &str) -> Result<Self, SetupError> {
        let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (amount, denom) = text.split_at(digits);
        match amount.parse() {
            Ok(amount) if is_denom(denom) => Ok(Self {
                denom: denom.to_owned(),
                amount,
            }),
            _ => Err(SetupError::new(format!("not a sum of coins: {text}"))),
        }
    }

    /// Reads `1000stake,5uatom`; the empty text is no coins.
    pub fn parse_all(text: &str) -> Result<Vec<Self>, SetupError> {
        let mut coins = text
            .split(',')
            .filter(|part| !part.is_empty())
            .map(Self::parse)
            .collect::<Result<Vec<_>, _>>()?;
        coins.sort_by(|a, b| a.denom.cmp(&b.denom));
        if coins.windows(2).any(|two| two[0].denom == two[1].denom) {
            return Err(SetupError::new(format!("a coin stands twice in {text}")));
        }
        Ok(coins)
    }

    /// The sum as a message carries it. A real node takes 256 bits; 128 are
    /// more than any test needs.
    pub(crate) fn from_wire(coin: &WireCoin) -> Option<Self> {
        Some(Self {
            denom: coin.denom.clone(),
            amount: coin.amount.parse().ok()?,
        })
    }
}

impl fmt::Display for Coin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.amount, self.denom)
    }
}

/// `1000stake,5uatom`, as the node's texts and events have it.
pub(crate) fn join<T: ToString>(coins: &[T]) -> String {
    let coins: Vec<String> = coins.iter().map(ToString::to_string).collect();
    coins.join(",")
}

/// Whether a message may carry these coins: in order of their names, each once,
/// none of them zero.
pub(crate) fn are_valid(coins: &[Coin]) -> bool {
    coins
        .iter()
        .all(|coin| coin.amount > 0 && is_denom(&coin.denom))
        && coins.windows(2).all(|two| two[0].denom < two[1].denom)
}

/// A letter, then 2 to 127 letters, digits and slashes.
pub(crate) fn is_denom(text: &str) -> bool {
    (3..=128).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '/')
}

fn text<S: Serializer>(amount: &u128, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(amount)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        let coins = Coin::parse_all("5uatom,1000stake").unwrap();
        assert_eq!(join(&coins), "1000stake,5uatom");
        assert!(Coin::parse_all("").unwrap().is_empty());
        for bad in [
            "stake",
            "1000",
            "-1stake",
            "1 stake",
            "1st",
            "1stake,2stake",
        ] {
            assert!(Coin::parse_all(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_message_has_each_coin_once_in_order() {
        let coins = |text: &str| -> Vec<Coin> {
            text.split(',')
                .map(|one| Coin::parse(one).unwrap())
                .collect()
        };
        assert!(are_valid(&coins("1stake,2uatom")));
        assert!(!are_valid(&coins("2uatom,1stake")));
        assert!(!are_valid(&coins("1stake,1stake")));
        assert!(!are_valid(&coins("0stake")));
    }
}
