//! What talks to a chain.
//!
//! [`HeightSource`] tells a chain's height. [`Chain`] is all that a payer needs
//! of a chain, and knows two kinds: [`Cosmos`] and [`Evm`]; [`Network`] is
//! either.

mod chain;
mod cosmos;
mod error;
mod evm;
mod height;
mod http;
mod key;
mod network;
mod nodes;
mod settings;
#[cfg(test)]
mod stub;

pub use chain::{Account, Broadcast, Chain, Refusal, Signed, Terms, Transfer, TxStatus};
pub use cosmos::{Cosmos, CosmosSettings};
pub use error::{AddressError, ChainFault, KeyError, SignError};
pub use evm::{Evm, EvmSettings};
pub use height::{AnswerError, ChainError, ChainKind, HeightSource};
pub use key::AccountKey;
pub use network::Network;
pub use settings::{ChainSettings, ChainSettingsError, Node};
