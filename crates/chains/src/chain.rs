//! What a payer needs of a chain.
//!
//! A transaction is known by its sender and its sequence number (a nonce, in
//! EVM's words): of all transactions that were ever signed with one number, a
//! chain takes at most one. That is what makes it safe to sign again, and to
//! send the same bytes any number of times.

use std::future::Future;

use serde::{Deserialize, Serialize};

use crate::{AccountKey, AddressError, ChainFault, SignError};

/// The sender's account, as the newest block leaves it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The sequence number of the next transaction that a block may take.
    pub sequence: u64,
    /// The account's number on a Cosmos chain; 0 on an EVM chain.
    pub number: u64,
    /// What it has of the coin that is paid out, in the smallest unit.
    pub balance: u128,
    /// What it has of the coin that fees are paid in; the same coin on EVM.
    pub fee_balance: u128,
    /// The height of the block that says so.
    pub height: u64,
}

/// A sum that goes to an address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transfer {
    /// As [`Chain::address`] wrote it.
    pub to: String,
    /// In the smallest unit.
    pub amount: u128,
}

/// On what terms a transaction is sent: everything in it that is neither its
/// sequence number nor its transfers. Kept beside the signed bytes, so that
/// the next version of a transaction can offer more than the last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Terms {
    /// Of a Cosmos SDK chain.
    Cosmos {
        /// The sender's account number, which is signed.
        account_number: u64,
        /// The highest block that may take the transaction.
        timeout_height: u64,
        /// The gas limit.
        gas: u64,
        /// The fee, in the smallest unit of the fee's coin.
        #[serde(with = "decimal")]
        fee: u128,
    },
    /// Of an EVM chain (EIP-1559).
    Evm {
        /// The gas limit.
        gas: u64,
        /// Wei a unit of gas, at most.
        #[serde(with = "decimal")]
        max_fee: u128,
        /// Wei a unit of gas for the block's producer.
        #[serde(with = "decimal")]
        priority_fee: u128,
    },
}

impl Terms {
    /// The highest block that may take the transaction, where there is one.
    #[must_use]
    pub fn timeout_height(&self) -> Option<u64> {
        match self {
            Self::Cosmos { timeout_height, .. } => Some(*timeout_height),
            Self::Evm { .. } => None,
        }
    }

    /// The most that the fee comes to, in the smallest unit of the fee's coin.
    #[must_use]
    pub fn most(&self) -> u128 {
        match self {
            Self::Cosmos { fee, .. } => *fee,
            Self::Evm { gas, max_fee, .. } => max_fee.saturating_mul(u128::from(*gas)),
        }
    }
}

/// A signed transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// Its hash, as explorers write it: upper-case hexadecimal on Cosmos,
    /// `0x` and lower-case on EVM.
    pub hash: String,
    /// Its bytes, as nodes take them.
    pub bytes: Vec<u8>,
}

/// What a node said to a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Broadcast {
    /// It took the transaction.
    Accepted,
    /// It has the transaction already, waiting or in a block.
    Known,
    /// A block has taken this sequence number, or the node's mempool holds
    /// another transaction with it that it does not give up for this one.
    SequenceUsed,
    /// The node misses a transaction with a lower sequence number.
    SequenceAhead,
    /// The node will not take these bytes.
    Refused {
        /// What is wrong.
        refusal: Refusal,
        /// The node's own words, at most 300 characters.
        reason: String,
    },
}

/// What is wrong with a transaction that a node will not take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The fee is too low; the next version must offer more.
    Fee,
    /// The account cannot pay the fee, or the sum.
    Funds,
    /// The gas limit is too low, or higher than a block.
    Gas,
    /// A recipient cannot be paid.
    Recipient,
    /// The signature does not fit: another chain id, account number or key.
    Signature,
    /// The highest block that may take it has passed.
    Expired,
    /// Something else.
    Other,
}

/// What became of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TxStatus {
    /// The node knows nothing of it, or a block had it and left its sequence
    /// number unused, as if it had not. Just after a block has taken it, it may
    /// be unknown for a moment: nodes write their index behind their blocks.
    Unknown,
    /// It waits in the node's mempool.
    Pending,
    /// A block has it, and its sequence number is used up.
    Included {
        /// The block's height.
        height: u64,
        /// Blocks since, its own included: 1 in the newest block.
        confirmations: u64,
        /// Why its transfers were not made, where they were not. The fee is
        /// paid all the same.
        failure: Option<String>,
    },
}

/// All that a payer needs of a chain.
pub trait Chain: Send + Sync {
    /// An address of this chain in its one right spelling.
    fn address(&self, text: &str) -> Result<String, AddressError>;

    /// The address that a key pays from.
    fn sender(&self, key: &AccountKey) -> String;

    /// How many transfers one transaction may have.
    fn batch_limit(&self) -> usize;

    /// The account at `address`. A node that is further behind than `at_least`
    /// is not believed.
    fn account(
        &self,
        address: &str,
        at_least: u64,
    ) -> impl Future<Output = Result<Account, ChainFault>> + Send;

    /// The sequence number of the next transaction as the block at `height` left
    /// it: what is below that stays used while the block stays. A chain whose
    /// blocks always stay answers as of its newest block.
    fn sequence_at(
        &self,
        address: &str,
        height: u64,
    ) -> impl Future<Output = Result<u64, ChainFault>> + Send {
        async move { Ok(self.account(address, height).await?.sequence) }
    }

    /// The terms on which these transfers would be taken now. With `last`, terms
    /// on which nodes give up a waiting transaction that offered those.
    fn terms(
        &self,
        sender: &str,
        account: &Account,
        transfers: &[Transfer],
        last: Option<&Terms>,
    ) -> impl Future<Output = Result<Terms, ChainFault>> + Send;

    /// Signs the transaction with this sequence number. The same arguments
    /// give the same bytes.
    fn sign(
        &self,
        key: &AccountKey,
        sequence: u64,
        transfers: &[Transfer],
        terms: &Terms,
    ) -> Result<Signed, SignError>;

    /// Sends a transaction to the nodes: to each in turn until one takes it.
    /// An error means that nothing is known: a node may have taken it.
    fn broadcast(&self, bytes: &[u8])
    -> impl Future<Output = Result<Broadcast, ChainFault>> + Send;

    /// What became of a transaction. A node that is further behind than
    /// `at_least` is not believed.
    fn status(
        &self,
        hash: &str,
        at_least: u64,
    ) -> impl Future<Output = Result<TxStatus, ChainFault>> + Send;

    /// The height of the newest block.
    fn height(&self) -> impl Future<Output = Result<u64, ChainFault>> + Send;
}

/// Numbers beyond 2^53 are written as text.
mod decimal {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(value: &u128, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(value)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u128, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}
