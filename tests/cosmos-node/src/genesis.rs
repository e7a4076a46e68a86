//! What a chain begins with.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::SetupError;
use crate::account::{Accounts as _, Changes, State, View};
use crate::address;
use crate::coin::Coin;
use crate::gas::GasPrice;

const FEE_COLLECTOR: &str = "fee_collector";

/// What a chain begins with, and where its node listens.
#[derive(Clone, Debug)]
pub struct Genesis {
    /// Such as `probe-1`.
    pub chain_id: String,
    /// What addresses begin with, such as `cosmos`.
    pub prefix: String,
    /// Addresses and what they have, such as `1000stake,5uatom`. Accounts are
    /// numbered in this order, from 0.
    pub funds: Vec<(String, String)>,
    /// The least fee for a unit of gas, such as `0.025stake`, of several coins
    /// any one; empty where gas is free.
    pub min_gas_price: String,
    /// The time between two blocks. Without it, blocks come only from
    /// [`Chain::produce_block`](crate::Chain::produce_block).
    pub block_time: Option<Duration>,
    /// Addresses that cannot be paid.
    pub blocked: Vec<String>,
    /// Where the REST API listens; port 0 takes any free port.
    pub rest: SocketAddr,
    /// Where the RPC listens.
    pub rpc: SocketAddr,
}

impl Default for Genesis {
    fn default() -> Self {
        let local = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            chain_id: "stand-in-1".to_owned(),
            prefix: "cosmos".to_owned(),
            funds: Vec::new(),
            min_gas_price: "0.025stake".to_owned(),
            block_time: Some(Duration::from_secs(1)),
            blocked: Vec::new(),
            rest: local,
            rpc: local,
        }
    }
}

/// A genesis that was read: what stays as it is for the chain's whole life.
#[derive(Debug)]
pub(crate) struct Constants {
    pub(crate) chain_id: String,
    pub(crate) prefix: String,
    pub(crate) gas_prices: Vec<GasPrice>,
    pub(crate) fee_collector: String,
}

impl Constants {
    /// An address in its one right spelling.
    pub(crate) fn address(&self, text: &str) -> Result<String, SetupError> {
        address::canonical(text, &self.prefix)
            .map_err(|reason| SetupError::new(format!("not an address: {text}: {reason}")))
    }
}

impl Genesis {
    pub(crate) fn read(&self) -> Result<(Constants, State, BTreeSet<String>), SetupError> {
        if self.chain_id.is_empty() || self.chain_id.len() > 50 {
            return Err(SetupError::new("a chain id has 1 to 50 characters"));
        }
        if self.prefix.is_empty() || !self.prefix.chars().all(|c| c.is_ascii_lowercase()) {
            return Err(SetupError::new(format!("not a prefix: {}", self.prefix)));
        }
        let constants = Constants {
            chain_id: self.chain_id.clone(),
            prefix: self.prefix.clone(),
            gas_prices: GasPrice::parse_all(&self.min_gas_price)?,
            fee_collector: address::of_module(&self.prefix, FEE_COLLECTOR),
        };
        let mut state = State::default();
        state.apply(self.accounts(&constants)?);
        let blocked = self.blocked.iter().map(|text| constants.address(text));
        let mut blocked: BTreeSet<String> = blocked.collect::<Result<_, _>>()?;
        blocked.insert(constants.fee_collector.clone());
        Ok((constants, state, blocked))
    }

    fn accounts(&self, constants: &Constants) -> Result<Changes, SetupError> {
        let empty = State::default();
        let mut view = View::new(&empty);
        for (text, coins) in &self.funds {
            let address = constants.address(text)?;
            if view.account(&address).is_some() {
                return Err(SetupError::new(format!("{text} is funded twice")));
            }
            view.account_mut(&address);
            view.receive(&address, &Coin::parse_all(coins)?);
        }
        view.account_mut(&constants.fee_collector).module = Some(FEE_COLLECTOR);
        Ok(view.into_changes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: &str = "cosmos19rl4cm2hmr8afy4kldpxz3fka4jguq0auqdal4";

    fn refused(genesis: &Genesis) -> String {
        genesis.read().unwrap_err().to_string()
    }

    #[test]
    fn accounts_are_numbered_in_order() {
        let genesis = Genesis {
            funds: vec![(ADDRESS.to_owned(), "5stake".to_owned())],
            ..Genesis::default()
        };
        let (constants, state, blocked) = genesis.read().unwrap();
        assert_eq!(state.account(ADDRESS).unwrap().number, 0);
        assert_eq!(state.balance(ADDRESS, "stake"), 5);
        let collector = state.account(&constants.fee_collector).unwrap();
        assert_eq!(collector.number, 1);
        assert!(blocked.contains(&constants.fee_collector));
    }

    #[test]
    fn a_wrong_genesis_says_what_is_wrong() {
        let fund = |text: &str| (ADDRESS.to_owned(), text.to_owned());
        let twice = Genesis {
            funds: vec![fund("5stake"), fund("5stake")],
            ..Genesis::default()
        };
        assert_eq!(refused(&twice), format!("{ADDRESS} is funded twice"));
        let other = Genesis {
            prefix: "osmo".to_owned(),
            funds: vec![fund("5stake")],
            ..Genesis::default()
        };
        assert!(refused(&other).contains("expected osmo, got cosmos"));
        let price = Genesis {
            min_gas_price: "much".to_owned(),
            ..Genesis::default()
        };
        assert_eq!(refused(&price), "not a gas price: much");
    }
}
