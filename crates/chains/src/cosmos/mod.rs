//! Cosmos SDK chains, over the REST interface of their nodes and, where a node
//! has it, the RPC of the CometBFT below. Keys are `secp256k1` with addresses
//! as the SDK makes them.

mod answers;
mod client;
mod messages;
mod price;
mod settings;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use cosmrs::AccountId;

use self::client::Client;
use self::messages::Around;
use self::settings::Parts;
use crate::http::{Http, TIMEOUT};
use crate::nodes::Nodes;
use crate::{
    Account, AccountKey, AddressError, Broadcast, Chain, ChainFault, SignError, Signed, Terms,
    Transfer, TxStatus,
};

pub use self::settings::CosmosSettings;

const BATCH_LIMIT: usize = 90;
/// Longer than any address of an account.
const MAX_ADDRESS: usize = 128;
/// A fee is raised with each new version of a transaction, but not for ever.
const MOST_RAISED: u128 = 10;

/// A Cosmos SDK chain and its nodes. Clones share what they learn of the nodes.
#[derive(Clone)]
pub struct Cosmos(Arc<Inner>);

struct Inner {
    client: Client,
    nodes: Nodes,
    parts: Parts,
    settings: CosmosSettings,
}

impl fmt::Debug for Cosmos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cosmos").field(&self.0.settings).finish()
    }
}

impl Cosmos {
    /// The chain of these settings. No node is asked yet.
    pub fn new(settings: &CosmosSettings) -> Result<Self, ChainFault> {
        Self::with_timeout(settings, TIMEOUT)
    }

    pub(crate) fn with_timeout(
        settings: &CosmosSettings,
        timeout: Duration,
    ) -> Result<Self, ChainFault> {
        settings.validate()?;
        Ok(Self(Arc::new(Inner {
            client: Client {
                http: Http::new(timeout)?,
                chain_id: settings.chain_id.clone(),
            },
            nodes: Nodes::new(&settings.nodes)?,
            parts: settings.parts()?,
            settings: settings.clone(),
        })))
    }
}

impl Chain for Cosmos {
    fn address(&self, text: &str) -> Result<String, AddressError> {
        let prefix = &self.0.settings.prefix;
        let wrong = |reason: &str| AddressError(reason.to_owned());
        if text.len() > MAX_ADDRESS || !text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(wrong("it is not of letters and digits"));
        }
        let lower = text.to_ascii_lowercase();
        // One half in upper case and the other in lower case has no checksum.
        if text != lower && text != text.to_ascii_uppercase() {
            return Err(wrong("it mixes upper and lower case"));
        }
        if !lower
            .strip_prefix(prefix)
            .is_some_and(|rest| rest.starts_with('1'))
        {
            return Err(AddressError(format!("it does not begin with {prefix}1")));
        }
        let id: AccountId = lower
            .parse()
            .map_err(|_| wrong("its checksum does not fit"))?;
        // The last 1 separates, and a prefix may have one of its own.
        if id.prefix() != prefix {
            return Err(AddressError(format!("it does not begin with {prefix}1")));
        }
        if !matches!(id.to_bytes().len(), 20 | 32) {
            return Err(wrong("it has neither 20 nor 32 bytes"));
        }
        Ok(id.into())
    }

    fn sender(&self, key: &AccountKey) -> String {
        // Neither a key nor a prefix is kept that could fail here.
        key.cosmos()
            .ok()
            .and_then(|key| key.public_key().account_id(&self.0.settings.prefix).ok())
            .map(String::from)
            .unwrap_or_default()
    }

    fn batch_limit(&self) -> usize {
        BATCH_LIMIT
    }

    async fn account(&self, address: &str, at_least: u64) -> Result<Account, ChainFault> {
        let Inner {
            client,
            nodes,
            settings,
            ..
        } = &*self.0;
        let denoms = [settings.denom.as_str(), settings.fee_denom.as_str()];
        nodes
            .ask(client, async |node| {
                let height = client.height(node, at_least).await?;
                let (account, [balance, fee_balance]) = tokio::try_join!(
                    client.account(node, address),
                    client.balances(node, address, denoms),
                )?;
                Ok(Account {
                    sequence: account.sequence,
                    number: account.account_number,
                    balance,
                    fee_balance,
                    height,
                })
            })
            .await
    }

    async fn terms(
        &self,
        _sender: &str,
        account: &Account,
        transfers: &[Transfer],
        last: Option<&Terms>,
    ) -> Result<Terms, ChainFault> {
        let Inner {
            parts, settings, ..
        } = &*self.0;
        let further = transfers.len().saturating_sub(1) as u64;
        let gas = settings
            .gas_each
            .saturating_mul(further)
            .saturating_add(settings.gas);
        let plain = parts
            .gas_price
            .fee(gas)
            .ok_or_else(|| ChainFault::Impossible("the fee is too large".to_owned()))?;
        let fee = match last {
            Some(Terms::Cosmos { fee: last, .. }) => last
                .saturating_mul(5)
                .div_ceil(4)
                .min(plain.saturating_mul(MOST_RAISED))
                .max(plain)
                .max(*last),
            Some(Terms::Evm { .. }) | None => plain,
        };
        Ok(Terms::Cosmos {
            account_number: account.number,
            timeout_height: account.height.saturating_add(settings.timeout_blocks),
            gas,
            fee,
        })
    }

    fn sign(
        &self,
        key: &AccountKey,
        sequence: u64,
        transfers: &[Transfer],
        terms: &Terms,
    ) -> Result<Signed, SignError> {
        let Inner {
            parts, settings, ..
        } = &*self.0;
        let Terms::Cosmos {
            account_number,
            timeout_height,
            gas,
            fee,
        } = *terms
        else {
            return Err(SignError("its terms are of an EVM chain".to_owned()));
        };
        if transfers.len() > BATCH_LIMIT {
            return Err(SignError(format!("it has over {BATCH_LIMIT} transfers")));
        }
        let around = Around {
            prefix: &settings.prefix,
            memo: &settings.memo,
            sequence,
            account_number,
            timeout_height,
            gas,
            fee,
        };
        messages::sign(key, parts, transfers, &around)
    }

    async fn broadcast(&self, bytes: &[u8]) -> Result<Broadcast, ChainFault> {
        let Inner { client, nodes, .. } = &*self.0;
        nodes
            .send(client, |node| client.broadcast(node, bytes))
            .await
    }

    /// A node shows no transaction that still waits: [`TxStatus::Unknown`]
    /// stands for [`TxStatus::Pending`] too.
    async fn status(&self, hash: &str, at_least: u64) -> Result<TxStatus, ChainFault> {
        let Inner { client, nodes, .. } = &*self.0;
        nodes
            .ask(client, async |node| {
                let head = client.height(node, at_least).await?;
                client.tx(node, hash, head).await
            })
            .await
    }

    async fn height(&self) -> Result<u64, ChainFault> {
        let Inner { client, nodes, .. } = &*self.0;
        nodes.ask(client, |node| client.height(node, 0)).await
    }
}

#[cfg(test)]
mod tests;
