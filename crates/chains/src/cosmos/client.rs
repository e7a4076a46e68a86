//! What is asked of one node.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::json;

use super::answers::{
    AccountAnswer, Balances, BaseAccount, LatestBlock, NodeInfo, RpcTx, Status, Syncing, TxAnswer,
    TxResult, no_such_tx, refused,
};
use crate::error::words;
use crate::http::{Failure, Http, answer};
use crate::nodes::{Endpoint, Probe};
use crate::{Broadcast, ChainFault, Refusal, TxStatus};

/// The code of gRPC for what does not exist.
const NOT_FOUND: i64 = 5;
/// An account has a balance of every coin that anybody ever sent to it.
const MAX_PAGES: usize = 20;

pub(super) struct Client {
    pub(super) http: Http,
    pub(super) chain_id: String,
}

impl Probe for Client {
    async fn probe(&self, node: &Endpoint) -> Result<(), ChainFault> {
        const PATH: &str = "/cosmos/base/tendermint/v1beta1/node_info";
        let reply = self.http.get(&node.url, PATH, &[]).await?;
        let info: NodeInfo = reply.json("a Cosmos node's description")?;
        let info = info.default_node_info;
        self.is_this_chain(info.network)?;
        // Such a node would say of every transaction that it never was.
        if info.other.tx_index == "off" {
            return Err(answer(
                "from a node that indexes transactions",
                "its tx_index is off",
            ));
        }
        let (catching_up, height) = match self.status(node).await? {
            Some(status) => {
                self.is_this_chain(status.node_info.network)?;
                let sync = status.sync_info;
                (sync.catching_up, sync.latest_block_height)
            }
            None if self.is_syncing(node).await? => (true, self.height(node, 0).await?),
            None => (false, 0),
        };
        if catching_up {
            return Err(ChainFault::Behind {
                expected: height.saturating_add(1),
                found: height,
            });
        }
        Ok(())
    }
}

impl Client {
    fn is_this_chain(&self, found: String) -> Result<(), ChainFault> {
        if found == self.chain_id {
            return Ok(());
        }
        Err(ChainFault::WrongChain {
            expected: self.chain_id.clone(),
            found: words(&found),
        })
    }

    async fn is_syncing(&self, node: &Endpoint) -> Result<bool, ChainFault> {
        const PATH: &str = "/cosmos/base/tendermint/v1beta1/syncing";
        let reply = self.http.get(&node.url, PATH, &[]).await?;
        // Some nodes do not show it.
        if reply.grpc_error().is_some() {
            return Ok(false);
        }
        let answer: Syncing = reply.json("whether a node is catching up")?;
        Ok(answer.syncing)
    }

    async fn status(&self, node: &Endpoint) -> Result<Option<Status>, ChainFault> {
        let Some(rpc_url) = &node.rpc_url else {
            return Ok(None);
        };
        let reply = self.http.get(rpc_url, "/status", &[]).await?;
        let status = reply
            .rpc()?
            .map_err(|error| answer("a CometBFT status", &error.text()))?;
        Ok(Some(status))
    }

    /// The height of the newest block, which must not be below `at_least`.
    pub(super) async fn height(&self, node: &Endpoint, at_least: u64) -> Result<u64, ChainFault> {
        const PATH: &str = "/cosmos/base/tendermint/v1beta1/blocks/latest";
        let found = match self.status(node).await? {
            Some(status) => status.sync_info.latest_block_height,
            None => {
                let reply = self.http.get(&node.url, PATH, &[]).await?;
                let latest: LatestBlock = reply.json("the newest block")?;
                latest.block.header.height
            }
        };
        if found < at_least {
            return Err(ChainFault::Behind {
                expected: at_least,
                found,
            });
        }
        Ok(found)
    }

    pub(super) async fn account(
        &self,
        node: &Endpoint,
        address: &str,
    ) -> Result<BaseAccount, ChainFault> {
        let path = format!("/cosmos/auth/v1beta1/accounts/{address}");
        let reply = self.http.get(&node.url, &path, &[]).await?;
        if reply
            .grpc_error()
            .is_some_and(|error| error.code == NOT_FOUND)
        {
            return Err(ChainFault::UnknownAccount(address.to_owned()));
        }
        let found: AccountAnswer = reply.json("an account")?;
        found
            .base()
            .ok_or_else(|| answer("an account", "it has no number and sequence"))
    }

    /// What `address` has of each of these coins.
    pub(super) async fn balances<const N: usize>(
        &self,
        node: &Endpoint,
        address: &str,
        denoms: [&str; N],
    ) -> Result<[u128; N], ChainFault> {
        let path = format!("/cosmos/bank/v1beta1/balances/{address}");
        let mut found = [None; N];
        let mut key: Option<String> = None;
        for _ in 0..MAX_PAGES {
            let query = [
                ("pagination.limit", "500"),
                ("pagination.key", key.as_deref().unwrap_or_default()),
            ];
            let query = if key.is_some() {
                &query[..]
            } else {
                &query[..1]
            };
            let reply = self.http.get(&node.url, &path, query).await?;
            let page: Balances = reply.json("balances")?;
            for (denom, found) in denoms.iter().zip(&mut found) {
                let coin = page.balances.iter().find(|coin| coin.denom == *denom);
                *found = found.or(coin.map(|coin| coin.amount));
            }
            key = page.pagination.and_then(|page| page.next_key);
            let more = key.as_ref().is_some_and(|key| !key.is_empty());
            if !more || found.iter().all(Option::is_some) {
                return Ok(found.map(Option::unwrap_or_default));
            }
        }
        Err(answer("balances", "there are too many of them"))
    }

    pub(super) async fn tx(
        &self,
        node: &Endpoint,
        hash: &str,
        head: u64,
    ) -> Result<TxStatus, ChainFault> {
        const EXPECTED: &str = "a transaction";
        if let Some(rpc_url) = &node.rpc_url {
            let hash = format!("0x{hash}");
            let reply = self.http.get(rpc_url, "/tx", &[("hash", &hash)]).await?;
            return match reply.rpc::<RpcTx>()? {
                Ok(tx) => Ok(tx.tx_result.included(tx.height, head)),
                Err(error) if no_such_tx(&error.text()) => Ok(TxStatus::Unknown),
                Err(error) => Err(answer(EXPECTED, &error.text())),
            };
        }
        let path = format!("/cosmos/tx/v1beta1/txs/{hash}");
        let reply = self.http.get(&node.url, &path, &[]).await?;
        if reply
            .grpc_error()
            .is_some_and(|error| no_such_tx(&error.message))
        {
            return Ok(TxStatus::Unknown);
        }
        let tx: TxAnswer = reply.json(EXPECTED)?;
        let tx = tx.tx_response;
        Ok(tx.result.included(tx.height, head))
    }

    pub(super) async fn broadcast(
        &self,
        node: &Endpoint,
        bytes: &[u8],
    ) -> Result<Broadcast, Failure> {
        let bytes = BASE64_STANDARD.encode(bytes);
        if let Some(rpc_url) = &node.rpc_url {
            let params = json!({"tx": bytes});
            let said = self
                .http
                .call_once::<TxResult>(rpc_url, "broadcast_tx_sync", params)
                .await?;
            return match said {
                Ok(result) => result.verdict(),
                Err(error) => refused(&error),
            };
        }
        let body = json!({"tx_bytes": bytes, "mode": "BROADCAST_MODE_SYNC"});
        let path = "/cosmos/tx/v1beta1/txs";
        let reply = self.http.post(&node.url, path, &body).await?;
        if let Some(error) = reply.grpc_error() {
            return match reply.failure() {
                // The gateway could not read what was posted.
                Failure::Refused(_) if reply.is_bad_request() => Ok(Broadcast::Refused {
                    refusal: Refusal::Other,
                    reason: words(&error.message),
                }),
                failure => Err(failure),
            };
        }
        match reply.json::<TxAnswer>("the answer to a transaction") {
            Ok(answer) => answer.tx_response.result.verdict(),
            Err(_) => Err(reply.failure()),
        }
    }
}
