//! What an EVM chain's settings are.

use std::fmt;

use serde::Deserialize;

use crate::settings::{addresses, number, wrong};
use crate::{ChainSettingsError, Node};

/// An EVM chain. Each number may be text as well.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvmSettings {
    /// Its nodes, in order of preference.
    pub nodes: Vec<Node>,
    /// Such as 31337.
    #[serde(deserialize_with = "number")]
    pub chain_id: u64,
    /// The most wei that a unit of gas may cost.
    #[serde(deserialize_with = "number")]
    pub max_fee_wei: u128,
    /// Wei a unit of gas for the block's producer, at least.
    #[serde(deserialize_with = "number")]
    pub priority_fee_wei: u128,
}

impl fmt::Debug for EvmSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EvmSettings")
            .field("chain_id", &self.chain_id)
            .field("max_fee_wei", &self.max_fee_wei)
            .field("priority_fee_wei", &self.priority_fee_wei)
            .finish_non_exhaustive()
    }
}

impl EvmSettings {
    pub(crate) fn validate(&self) -> Result<(), ChainSettingsError> {
        addresses(&self.nodes)?;
        if self.chain_id == 0 {
            return Err(wrong("chain_id", "is zero"));
        }
        if self.max_fee_wei == 0 {
            return Err(wrong("max_fee_wei", "is zero"));
        }
        if self.priority_fee_wei > self.max_fee_wei {
            return Err(wrong("priority_fee_wei", "is more than max_fee_wei"));
        }
        Ok(())
    }
}
