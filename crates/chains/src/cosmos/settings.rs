//! What a Cosmos SDK chain's settings are.

use std::fmt;

use cosmrs::{Denom, tendermint::chain};
use serde::Deserialize;

use super::price::GasPrice;
use crate::settings::{addresses, wrong};
use crate::{ChainSettingsError, Node};

/// A Cosmos SDK chain.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CosmosSettings {
    /// Its nodes, in order of preference.
    pub nodes: Vec<Node>,
    /// Such as `cosmoshub-4`.
    pub chain_id: String,
    /// What its addresses begin with, such as `cosmos`.
    pub prefix: String,
    /// The coin that is paid out, in its smallest unit.
    pub denom: String,
    /// The coin that fees are paid in.
    pub fee_denom: String,
    /// What a unit of gas costs, a decimal number such as `0.025`.
    pub gas_price: String,
    /// Gas of a transaction with one transfer, and of each further one.
    pub gas: u64,
    /// See `gas`.
    pub gas_each: u64,
    /// Beside every transaction.
    pub memo: String,
    /// For how many blocks a transaction may be taken.
    pub timeout_blocks: u64,
}

impl fmt::Debug for CosmosSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CosmosSettings")
            .field("chain_id", &self.chain_id)
            .field("prefix", &self.prefix)
            .field("denom", &self.denom)
            .finish_non_exhaustive()
    }
}

/// The parts of the settings that are not plain text or numbers.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) chain_id: chain::Id,
    pub(super) denom: Denom,
    pub(super) fee_denom: Denom,
    pub(super) gas_price: GasPrice,
}

impl CosmosSettings {
    pub(crate) fn validate(&self) -> Result<(), ChainSettingsError> {
        addresses(&self.nodes)?;
        self.parts()?;
        if self.prefix.is_empty()
            || !self
                .prefix
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        {
            return Err(wrong("prefix", "is not of lower-case letters and digits"));
        }
        if self.gas == 0 {
            return Err(wrong("gas", "is zero"));
        }
        if self.timeout_blocks == 0 {
            return Err(wrong("timeout_blocks", "is zero"));
        }
        Ok(())
    }

    pub(super) fn parts(&self) -> Result<Parts, ChainSettingsError> {
        let id = self.chain_id.parse();
        let coin = |member, denom: &str| {
            denom
                .parse()
                .map_err(|_| wrong(member, "is not the name of a coin"))
        };
        Ok(Parts {
            chain_id: id.map_err(|_| wrong("chain_id", "is empty or no chain's"))?,
            denom: coin("denom", &self.denom)?,
            fee_denom: coin("fee_denom", &self.fee_denom)?,
            gas_price: GasPrice::parse(&self.gas_price)
                .ok_or(wrong("gas_price", "is no decimal number such as 0.025"))?,
        })
    }
}
