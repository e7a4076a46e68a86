//! A chain of either kind.

use crate::{
    Account, AccountKey, AddressError, Broadcast, Chain, ChainFault, ChainSettings, Cosmos, Evm,
    SignError, Signed, Terms, Transfer, TxStatus,
};

/// A chain of either kind.
#[derive(Clone, Debug)]
pub enum Network {
    /// A Cosmos SDK chain.
    Cosmos(Cosmos),
    /// An EVM chain.
    Evm(Evm),
}

impl Network {
    /// The chain of these settings. No node is asked yet.
    pub fn new(settings: &ChainSettings) -> Result<Self, ChainFault> {
        match settings {
            ChainSettings::Cosmos(settings) => Cosmos::new(settings).map(Self::Cosmos),
            ChainSettings::Evm(settings) => Evm::new(settings).map(Self::Evm),
        }
    }
}

impl Chain for Network {
    fn address(&self, text: &str) -> Result<String, AddressError> {
        match self {
            Self::Cosmos(chain) => chain.address(text),
            Self::Evm(chain) => chain.address(text),
        }
    }

    fn sender(&self, key: &AccountKey) -> String {
        match self {
            Self::Cosmos(chain) => chain.sender(key),
            Self::Evm(chain) => chain.sender(key),
        }
    }

    fn batch_limit(&self) -> usize {
        match self {
            Self::Cosmos(chain) => chain.batch_limit(),
            Self::Evm(chain) => chain.batch_limit(),
        }
    }

    async fn account(&self, address: &str, at_least: u64) -> Result<Account, ChainFault> {
        match self {
            Self::Cosmos(chain) => chain.account(address, at_least).await,
            Self::Evm(chain) => chain.account(address, at_least).await,
        }
    }

    async fn sequence_at(&self, address: &str, height: u64) -> Result<u64, ChainFault> {
        match self {
            Self::Cosmos(chain) => chain.sequence_at(address, height).await,
            Self::Evm(chain) => chain.sequence_at(address, height).await,
        }
    }

    async fn terms(
        &self,
        sender: &str,
        account: &Account,
        transfers: &[Transfer],
        last: Option<&Terms>,
    ) -> Result<Terms, ChainFault> {
        match self {
            Self::Cosmos(chain) => chain.terms(sender, account, transfers, last).await,
            Self::Evm(chain) => chain.terms(sender, account, transfers, last).await,
        }
    }

    fn sign(
        &self,
        key: &AccountKey,
        sequence: u64,
        transfers: &[Transfer],
        terms: &Terms,
    ) -> Result<Signed, SignError> {
        match self {
            Self::Cosmos(chain) => chain.sign(key, sequence, transfers, terms),
            Self::Evm(chain) => chain.sign(key, sequence, transfers, terms),
        }
    }

    async fn broadcast(&self, bytes: &[u8]) -> Result<Broadcast, ChainFault> {
        match self {
            Self::Cosmos(chain) => chain.broadcast(bytes).await,
            Self::Evm(chain) => chain.broadcast(bytes).await,
        }
    }

    async fn status(&self, hash: &str, at_least: u64) -> Result<TxStatus, ChainFault> {
        match self {
            Self::Cosmos(chain) => chain.status(hash, at_least).await,
            Self::Evm(chain) => chain.status(hash, at_least).await,
        }
    }

    async fn height(&self) -> Result<u64, ChainFault> {
        match self {
            Self::Cosmos(chain) => chain.height().await,
            Self::Evm(chain) => chain.height().await,
        }
    }
}
