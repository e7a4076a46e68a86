//! What is asked of one node.

use alloy_primitives::{Address, Bytes, TxKind, U256};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::answers::{Block, FeeHistory, Quantity, Receipt, refused, unestimated};
use crate::http::{Failure, Http, answer};
use crate::nodes::{Endpoint, Probe};
use crate::{Account, Broadcast, ChainFault, TxStatus};

pub(super) struct Client {
    pub(super) http: Http,
    pub(super) chain_id: u64,
}

/// What a transaction does, apart from its gas and fees.
pub(super) struct Content {
    pub(super) to: TxKind,
    pub(super) value: U256,
    pub(super) input: Bytes,
}

impl Probe for Client {
    async fn probe(&self, node: &Endpoint) -> Result<(), ChainFault> {
        let id: Quantity = self
            .result(node, "eth_chainId", json!([]), "a chain id")
            .await?;
        if id.count() != self.chain_id {
            return Err(ChainFault::WrongChain {
                expected: self.chain_id.to_string(),
                found: id.count().to_string(),
            });
        }
        // Details of how far behind it is differ from node to node, and one
        // that does not tell is taken to have caught up.
        let syncing: Result<Value, _> = self.http.call(&node.url, "eth_syncing", json!([])).await?;
        if syncing.is_ok_and(|syncing| syncing != Value::Bool(false)) {
            let found = self.height(node, 0).await?;
            return Err(ChainFault::Behind {
                expected: found.saturating_add(1),
                found,
            });
        }
        Ok(())
    }
}

impl Client {
    /// The result of a call that a node must not refuse.
    async fn result<T: DeserializeOwned>(
        &self,
        node: &Endpoint,
        method: &'static str,
        params: Value,
        expected: &'static str,
    ) -> Result<T, ChainFault> {
        self.http
            .call(&node.url, method, params)
            .await?
            .map_err(|error| answer(expected, &error.text()))
    }

    /// The height of the newest block, which must not be below `at_least`.
    pub(super) async fn height(&self, node: &Endpoint, at_least: u64) -> Result<u64, ChainFault> {
        let height: Quantity = self
            .result(node, "eth_blockNumber", json!([]), "a height")
            .await?;
        in_step(height.count(), at_least)
    }

    pub(super) async fn account(
        &self,
        node: &Endpoint,
        address: &str,
        at_least: u64,
    ) -> Result<Account, ChainFault> {
        let height = self.height(node, at_least).await?;
        // Both of the same block, or the balance would not fit the nonce.
        let of = json!([address, quantity(height)]);
        let (nonce, balance): (Quantity, Quantity) = tokio::try_join!(
            self.result(node, "eth_getTransactionCount", of.clone(), "a nonce"),
            self.result(node, "eth_getBalance", of.clone(), "a balance"),
        )?;
        Ok(Account {
            sequence: nonce.count(),
            number: 0,
            balance: balance.sum(),
            fee_balance: balance.sum(),
            height,
        })
    }

    /// The nonce after a block, which the node must have.
    pub(super) async fn sequence_at(
        &self,
        node: &Endpoint,
        address: &str,
        height: u64,
    ) -> Result<u64, ChainFault> {
        self.height(node, height).await?;
        let of = json!([address, quantity(height)]);
        let nonce: Quantity = self
            .result(node, "eth_getTransactionCount", of, "a nonce")
            .await?;
        Ok(nonce.count())
    }

    /// The base fee of the next block.
    pub(super) async fn base_fee(
        &self,
        node: &Endpoint,
        at_least: u64,
    ) -> Result<u128, ChainFault> {
        const EXPECTED: &str = "a history of base fees";
        let params = json!(["0x1", "latest", []]);
        let history: FeeHistory = self
            .result(node, "eth_feeHistory", params, EXPECTED)
            .await?;
        in_step(history.height(), at_least)?;
        history
            .next_base_fee()
            .ok_or_else(|| answer(EXPECTED, "the chain has none (EIP-1559)"))
    }

    /// What the node advises to offer a block's producer.
    pub(super) async fn advised_priority_fee(&self, node: &Endpoint) -> Result<u128, ChainFault> {
        let method = "eth_maxPriorityFeePerGas";
        let advised = self.http.call(&node.url, method, json!([])).await?;
        // Not every node gives advice.
        Ok(advised.map_or(0, |advised: Quantity| advised.sum()))
    }

    pub(super) async fn estimate_gas(
        &self,
        node: &Endpoint,
        from: &str,
        content: &Content,
    ) -> Result<u64, ChainFault> {
        let mut call = json!({
            "from": from,
            "value": format!("{:#x}", content.value),
        });
        if let TxKind::Call(to) = content.to {
            call["to"] = to.to_string().into();
        }
        if !content.input.is_empty() {
            call["data"] = content.input.to_string().into();
        }
        let params = json!([call, "latest"]);
        let estimate: Result<Quantity, _> =
            self.http.call(&node.url, "eth_estimateGas", params).await?;
        estimate
            .map(Quantity::count)
            .map_err(|error| unestimated(&error))
    }

    pub(super) async fn broadcast(
        &self,
        node: &Endpoint,
        bytes: &[u8],
    ) -> Result<Broadcast, Failure> {
        let params = json!([format!("0x{}", hex::encode(bytes))]);
        let said = self
            .http
            .call_once::<String>(&node.url, "eth_sendRawTransaction", params)
            .await?;
        match said {
            Ok(_) => Ok(Broadcast::Accepted),
            Err(error) => refused(&error),
        }
    }

    pub(super) async fn tx(
        &self,
        node: &Endpoint,
        hash: &str,
        at_least: u64,
    ) -> Result<TxStatus, ChainFault> {
        let head = self.height(node, at_least).await?;
        let of = json!([hash]);
        let receipt: Option<Receipt> = self
            .result(node, "eth_getTransactionReceipt", of.clone(), "a receipt")
            .await?;
        if let Some(receipt) = receipt {
            return self.included(node, &receipt, head).await;
        }
        let waiting: Option<Value> = self
            .result(node, "eth_getTransactionByHash", of, "a transaction")
            .await?;
        Ok(match waiting {
            Some(_) => TxStatus::Pending,
            None => TxStatus::Unknown,
        })
    }

    async fn included(
        &self,
        node: &Endpoint,
        receipt: &Receipt,
        head: u64,
    ) -> Result<TxStatus, ChainFault> {
        let height = receipt.block_number.count();
        let of = json!([quantity(height), false]);
        let block: Option<Block> = self
            .result(node, "eth_getBlockByNumber", of, "a block")
            .await?;
        // A node may show a receipt of a block that the chain has left.
        if !block.is_some_and(|block| block.hash.eq_ignore_ascii_case(&receipt.block_hash)) {
            return Ok(TxStatus::Pending);
        }
        let failed = receipt.status.count() == 0;
        Ok(TxStatus::Included {
            height,
            confirmations: head.saturating_sub(height) + 1,
            failure: failed.then(|| "the transaction was reverted".to_owned()),
        })
    }
}

fn in_step(found: u64, at_least: u64) -> Result<u64, ChainFault> {
    if found < at_least {
        return Err(ChainFault::Behind {
            expected: at_least,
            found,
        });
    }
    Ok(found)
}

fn quantity(number: u64) -> String {
    format!("{number:#x}")
}

/// The address of a text that [`crate::Chain::address`] wrote.
pub(super) fn parsed(text: &str) -> Option<Address> {
    text.starts_with("0x").then(|| text.parse().ok()).flatten()
}
