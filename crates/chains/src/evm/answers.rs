//! What nodes answer, and what it means.

use alloy_primitives::U256;
use serde::{Deserialize, Deserializer};

use crate::http::{Failure, RpcError, answer};
use crate::{Broadcast, ChainFault, Refusal};

/// A number as the Ethereum JSON-RPC writes it: `0x` and hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Quantity(U256);

impl Quantity {
    /// A sum. No chain has as much of its coin as does not fit.
    pub(super) fn sum(self) -> u128 {
        self.0.saturating_to()
    }

    /// A height, a nonce or gas.
    pub(super) fn count(self) -> u64 {
        self.0.saturating_to()
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        text.strip_prefix("0x")
            .filter(|digits| !digits.is_empty())
            .and_then(|digits| U256::from_str_radix(digits, 16).ok())
            .map(Self)
            .ok_or_else(|| serde::de::Error::custom("a quantity is not 0x and digits"))
    }
}

/// `eth_feeHistory` of one block.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FeeHistory {
    oldest_block: Quantity,
    #[serde(default)]
    base_fee_per_gas: Vec<Quantity>,
}

impl FeeHistory {
    pub(super) fn height(&self) -> u64 {
        self.oldest_block.count()
    }

    /// What the block after it burns.
    pub(super) fn next_base_fee(&self) -> Option<u128> {
        self.base_fee_per_gas.last().map(|fee| fee.sum())
    }
}

/// `eth_getTransactionReceipt`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Receipt {
    pub(super) block_hash: String,
    pub(super) block_number: Quantity,
    pub(super) status: Quantity,
}

/// `eth_getBlockByNumber`.
#[derive(Deserialize)]
pub(super) struct Block {
    pub(super) hash: String,
}

/// What an error of `eth_sendRawTransaction` says. Only its words tell; they
/// differ between geth, erigon, nethermind, besu, reth and anvil.
pub(super) fn refused(error: &RpcError) -> Result<Broadcast, Failure> {
    let reason = error.text();
    let text = reason.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|words| text.contains(words));
    if says(&[
        "already known",
        "alreadyknown",
        "already imported",
        "known transaction",
        "already exists",
    ]) {
        return Ok(Broadcast::Known);
    }
    if says(&["nonce too low", "noncetoolow", "oldnonce", "old nonce"]) {
        return Ok(Broadcast::SequenceUsed);
    }
    if says(&[
        "nonce too high",
        "nonce gap",
        "noncegap",
        "noncetoofarinfuture",
        "nonce is too distant",
    ]) {
        return Ok(Broadcast::SequenceAhead);
    }
    let refusal = if says(&[
        "underpriced",
        "max fee per gas less than block base fee",
        "fee cap less",
        "fee too low",
        "feetoolow",
        "gas price below",
        "gas price too low",
        "replacementnotallowed",
        "could not replace existing",
    ]) {
        Refusal::Fee
    } else if says(&[
        "insufficient funds",
        "insufficientfunds",
        "upfront cost exceeds",
    ]) {
        Refusal::Funds
    } else if says(&[
        "intrinsic gas",
        "exceeds block gas limit",
        "gas limit exceed",
        "gaslimitexceeded",
        "gas too high",
        "gas limit too high",
    ]) {
        Refusal::Gas
    } else if says(&[
        "invalid sender",
        "invalid chain id",
        "invalid chainid",
        "invalid signature",
        "incompatible eip-155",
    ]) {
        Refusal::Signature
    } else if is_of_the_node(error.code, &text) {
        return Err(Failure::Refused(format!("said {reason}")));
    } else if is_of_the_transaction(error.code) {
        Refusal::Other
    } else {
        return Err(Failure::Lost(format!("said {reason}")));
    };
    Ok(Broadcast::Refused { refusal, reason })
}

/// An error that comes before a node looks at a transaction.
fn is_of_the_node(code: i64, text: &str) -> bool {
    const PARSE_ERROR: i64 = -32700;
    const INVALID_REQUEST: i64 = -32600;
    const METHOD_NOT_FOUND: i64 = -32601;
    const LIMIT_EXCEEDED: i64 = -32005;
    matches!(
        code,
        PARSE_ERROR | INVALID_REQUEST | METHOD_NOT_FOUND | LIMIT_EXCEEDED | 429
    ) || [
        "rate limit",
        "too many requests",
        "txpool is full",
        "pool is full",
    ]
    .iter()
    .any(|words| text.contains(words))
}

/// An error that comes of looking at a transaction: geth's, that of EIP-1474,
/// nethermind's, and parameters that are none.
fn is_of_the_transaction(code: i64) -> bool {
    matches!(code, -32000 | -32003 | -32010 | -32602)
}

/// What an error of `eth_estimateGas` says.
pub(super) fn unestimated(error: &RpcError) -> ChainFault {
    const REVERTED: i64 = 3;
    let reason = error.text();
    let text = reason.to_lowercase();
    let fails = [
        "revert",
        "out of gas",
        "gas required exceeds",
        "invalid opcode",
    ];
    if error.code == REVERTED || fails.iter().any(|words| text.contains(words)) {
        return ChainFault::Impossible(reason);
    }
    answer("an estimate of gas", &reason)
}
