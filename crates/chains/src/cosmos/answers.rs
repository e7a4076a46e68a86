//! What nodes answer, and what it means.

use serde::Deserialize;
use serde_json::Value;

use crate::error::words;
use crate::http::{Failure, RpcError};
use crate::{Broadcast, Refusal, TxStatus};

/// `GET /cosmos/base/tendermint/v1beta1/node_info`.
#[derive(Deserialize)]
pub(super) struct NodeInfo {
    pub(super) default_node_info: Network,
}

#[derive(Deserialize)]
pub(super) struct Network {
    pub(super) network: String,
    #[serde(default)]
    pub(super) other: Other,
}

#[derive(Default, Deserialize)]
pub(super) struct Other {
    #[serde(default)]
    pub(super) tx_index: String,
}

/// `GET /cosmos/base/tendermint/v1beta1/syncing`.
#[derive(Deserialize)]
pub(super) struct Syncing {
    pub(super) syncing: bool,
}

/// `GET /cosmos/base/tendermint/v1beta1/blocks/latest`.
#[derive(Deserialize)]
pub(super) struct LatestBlock {
    pub(super) block: Block,
}

#[derive(Deserialize)]
pub(super) struct Block {
    pub(super) header: Header,
}

#[derive(Deserialize)]
pub(super) struct Header {
    #[serde(deserialize_with = "digits")]
    pub(super) height: u64,
}

/// CometBFT's `status`.
#[derive(Deserialize)]
pub(super) struct Status {
    pub(super) node_info: Network,
    pub(super) sync_info: SyncInfo,
}

#[derive(Deserialize)]
pub(super) struct SyncInfo {
    #[serde(deserialize_with = "digits")]
    pub(super) latest_block_height: u64,
    pub(super) catching_up: bool,
}

/// `GET /cosmos/auth/v1beta1/accounts/{address}`.
#[derive(Deserialize)]
pub(super) struct AccountAnswer {
    account: Value,
}

#[derive(Deserialize)]
pub(super) struct BaseAccount {
    #[serde(deserialize_with = "digits")]
    pub(super) account_number: u64,
    #[serde(deserialize_with = "digits")]
    pub(super) sequence: u64,
}

impl AccountAnswer {
    /// The base account. Other kinds, such as vesting accounts and those of
    /// chains with a key type of their own, wrap one, some of them twice.
    pub(super) fn base(self) -> Option<BaseAccount> {
        fn find(value: &Value, depth: u8) -> Option<BaseAccount> {
            if let Ok(account) = BaseAccount::deserialize(value) {
                return Some(account);
            }
            let depth = depth.checked_sub(1)?;
            value
                .as_object()?
                .iter()
                .filter(|(name, _)| name.starts_with("base"))
                .find_map(|(_, member)| find(member, depth))
        }
        find(&self.account, 3)
    }
}

/// `GET /cosmos/bank/v1beta1/balances/{address}`.
#[derive(Deserialize)]
pub(super) struct Balances {
    pub(super) balances: Vec<CoinAnswer>,
    #[serde(default)]
    pub(super) pagination: Option<Pagination>,
}

#[derive(Deserialize)]
pub(super) struct CoinAnswer {
    pub(super) denom: String,
    #[serde(deserialize_with = "digits")]
    pub(super) amount: u128,
}

#[derive(Deserialize)]
pub(super) struct Pagination {
    pub(super) next_key: Option<String>,
}

/// Of `GET` and `POST /cosmos/tx/v1beta1/txs`.
#[derive(Deserialize)]
pub(super) struct TxAnswer {
    pub(super) tx_response: TxResponse,
}

#[derive(Deserialize)]
pub(super) struct TxResponse {
    #[serde(deserialize_with = "digits")]
    pub(super) height: u64,
    #[serde(flatten)]
    pub(super) result: TxResult,
}

/// CometBFT's `tx`.
#[derive(Deserialize)]
pub(super) struct RpcTx {
    #[serde(deserialize_with = "digits")]
    pub(super) height: u64,
    pub(super) tx_result: TxResult,
}

/// How a transaction did, in a node's check or in a block.
#[derive(Deserialize)]
pub(super) struct TxResult {
    #[serde(default)]
    pub(super) code: u32,
    #[serde(default)]
    pub(super) codespace: String,
    #[serde(default, alias = "raw_log")]
    pub(super) log: String,
}

fn digits<'de, D, N>(from: D) -> Result<N, D::Error>
where
    D: serde::Deserializer<'de>,
    N: std::str::FromStr<Err: std::fmt::Display>,
{
    let text = String::deserialize(from)?;
    text.parse().map_err(serde::de::Error::custom)
}

impl TxResult {
    /// What a node's check says. The codes are those of the SDK's own errors;
    /// a module's errors are in a codespace of their own.
    pub(super) fn verdict(&self) -> Result<Broadcast, Failure> {
        if self.code == 0 {
            return Ok(Broadcast::Accepted);
        }
        let says = |words: &str| self.log.to_lowercase().contains(words);
        let refusal = match (self.codespace.as_str(), self.code) {
            ("sdk", 19) => return Ok(Broadcast::Known),
            ("sdk", 20) => return Err(Failure::Refused("has a full mempool".to_owned())),
            ("sdk", 32) => match sequences(&self.log) {
                Some((expected, got)) if expected > got => return Ok(Broadcast::SequenceUsed),
                Some((expected, got)) if expected < got => return Ok(Broadcast::SequenceAhead),
                _ => Refusal::Other,
            },
            ("sdk", 13) => Refusal::Fee,
            // Of an account that does not exist: it has nothing.
            ("sdk", 5 | 9) => Refusal::Funds,
            ("sdk", 11) => Refusal::Gas,
            ("sdk", 7) if says("sender") || says("from address") => Refusal::Other,
            ("sdk", 7) => Refusal::Recipient,
            ("sdk", 4) if says("not allowed to receive funds") => Refusal::Recipient,
            ("sdk", 4) => Refusal::Signature,
            ("sdk", 30) => Refusal::Expired,
            (codespace, _) if codespace != "sdk" && says("insufficient fee") => Refusal::Fee,
            _ => Refusal::Other,
        };
        Ok(Broadcast::Refused {
            refusal,
            reason: words(&self.log),
        })
    }

    /// What became of a transaction that a block has.
    pub(super) fn included(&self, height: u64, head: u64) -> TxStatus {
        if self.code != 0 && !self.failed_in_its_messages() {
            return TxStatus::Unknown;
        }
        let failure = (self.code != 0).then(|| {
            let Self {
                code,
                codespace,
                log,
            } = self;
            words(&format!("code {code} of {codespace}: {log}"))
        });
        TxStatus::Included {
            height,
            confirmations: head.saturating_sub(height) + 1,
            failure,
        }
    }

    /// A transaction that fails in the checks before its messages (its fee
    /// cannot be paid any more, or its last block has passed) uses up neither
    /// its number nor its fee, and a later block may take it yet.
    fn failed_in_its_messages(&self) -> bool {
        const OUT_OF_GAS: u32 = 11;
        const PANIC: u32 = 111_222;
        // These two end a transaction wherever it is, but the checks are the
        // same as when the node let it in.
        let ended = self.codespace == "sdk" && matches!(self.code, OUT_OF_GAS | PANIC);
        ended || self.log.contains("failed to execute message")
    }
}

/// The numbers of `account sequence mismatch, expected 1, got 0`.
fn sequences(log: &str) -> Option<(u64, u64)> {
    let after = |word: &str| {
        let (_, rest) = log.split_once(word)?;
        let end = rest.find(|c: char| !c.is_ascii_digit());
        rest[..end.unwrap_or(rest.len())].parse().ok()
    };
    Some((after("expected ")?, after("got ")?))
}

/// What an error of `broadcast_tx_sync` says.
pub(super) fn refused(error: &RpcError) -> Result<Broadcast, Failure> {
    let text = error.text();
    let says = |words: &str| text.to_lowercase().contains(words);
    if says("tx already exists in cache") {
        Ok(Broadcast::Known)
    } else if says("tx too large") {
        Ok(Broadcast::Refused {
            refusal: Refusal::Other,
            reason: text,
        })
    } else if says("mempool is full") || says("method not found") || says("invalid params") {
        Err(Failure::Refused(format!("said {text}")))
    } else {
        Err(Failure::Lost(format!("said {text}")))
    }
}

/// Whether an error says that there is no such transaction. A node without an
/// index says something else.
pub(super) fn no_such_tx(text: &str) -> bool {
    let text = text.to_lowercase();
    text.contains("tx") && text.contains("not found") && !text.contains("method")
}
