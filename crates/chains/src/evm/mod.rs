//! EVM chains, over the JSON-RPC of their nodes. Transactions are of EIP-1559.

mod answers;
mod batch;
mod client;
mod fees;
mod settings;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use alloy_consensus::{SignableTransaction, TxEip1559};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, Bytes, TxKind, U256};
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;

use self::client::{Client, Content, parsed};
use self::fees::{Limits, Market, Offer};
use crate::http::{Http, TIMEOUT};
use crate::nodes::Nodes;
use crate::{
    Account, AccountKey, AddressError, Broadcast, Chain, ChainFault, SignError, Signed, Terms,
    Transfer, TxStatus,
};

pub use self::settings::EvmSettings;

const BATCH_LIMIT: usize = 90;
/// What a plain transfer costs, where the recipient is no contract.
const PLAIN_GAS: u64 = 21_000;
/// A recipient that is a contract uses gas that the sender pays for. Some
/// chains count a transaction's data as well, so this leaves room.
const MOST_PLAIN_GAS: u64 = 500_000;
/// The contracts that are part of the EVM, from 1 on. They keep what they get.
const PRECOMPILES: u64 = 0x11;

/// An EVM chain and its nodes. Clones share what they learn of the nodes.
#[derive(Clone)]
pub struct Evm(Arc<Inner>);

struct Inner {
    client: Client,
    nodes: Nodes,
    settings: EvmSettings,
}

impl fmt::Debug for Evm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Evm").field(&self.0.settings).finish()
    }
}

impl Evm {
    /// The chain of these settings. No node is asked yet.
    pub fn new(settings: &EvmSettings) -> Result<Self, ChainFault> {
        Self::with_timeout(settings, TIMEOUT)
    }

    pub(crate) fn with_timeout(
        settings: &EvmSettings,
        timeout: Duration,
    ) -> Result<Self, ChainFault> {
        settings.validate()?;
        Ok(Self(Arc::new(Inner {
            client: Client {
                http: Http::new(timeout)?,
                chain_id: settings.chain_id,
            },
            nodes: Nodes::new(&settings.nodes)?,
            settings: settings.clone(),
        })))
    }
}

impl Chain for Evm {
    fn address(&self, text: &str) -> Result<String, AddressError> {
        let wrong = |reason: &str| AddressError(reason.to_owned());
        let digits = text
            .strip_prefix("0x")
            .filter(|digits| digits.len() == 40)
            .ok_or_else(|| wrong("it is not 0x and 40 digits"))?;
        let address: Address = digits
            .parse()
            .map_err(|_| wrong("it has a character that is no hexadecimal digit"))?;
        let spelling = address.to_checksum(None);
        // Without any mix of cases there is no checksum to check (EIP-55).
        let mixed = digits.bytes().any(|byte| byte.is_ascii_lowercase())
            && digits.bytes().any(|byte| byte.is_ascii_uppercase());
        if mixed && text != spelling {
            return Err(wrong("its checksum does not fit"));
        }
        let number = U256::from_be_slice(address.as_slice());
        if number.is_zero() {
            return Err(wrong("it is nobody's"));
        }
        if number <= U256::from(PRECOMPILES) {
            return Err(wrong("it is a contract of the EVM itself"));
        }
        Ok(spelling)
    }

    fn sender(&self, key: &AccountKey) -> String {
        // No number is kept as a key that could fail here.
        signer(key)
            .map(|signer| signer.address().to_checksum(None))
            .unwrap_or_default()
    }

    fn batch_limit(&self) -> usize {
        BATCH_LIMIT
    }

    async fn account(&self, address: &str, at_least: u64) -> Result<Account, ChainFault> {
        let Inner { client, nodes, .. } = &*self.0;
        nodes
            .ask(client, |node| client.account(node, address, at_least))
            .await
    }

    async fn sequence_at(&self, address: &str, height: u64) -> Result<u64, ChainFault> {
        let Inner { client, nodes, .. } = &*self.0;
        nodes
            .ask(client, |node| client.sequence_at(node, address, height))
            .await
    }

    async fn terms(
        &self,
        sender: &str,
        account: &Account,
        transfers: &[Transfer],
        last: Option<&Terms>,
    ) -> Result<Terms, ChainFault> {
        let Inner {
            client,
            nodes,
            settings,
        } = &*self.0;
        let content =
            content(transfers).map_err(|SignError(reason)| ChainFault::Impossible(reason))?;
        let limits = Limits {
            max_fee: settings.max_fee_wei,
            priority_fee: settings.priority_fee_wei,
        };
        let last = match last {
            Some(Terms::Evm {
                max_fee,
                priority_fee,
                ..
            }) => Some(Offer {
                max_fee: *max_fee,
                priority_fee: *priority_fee,
            }),
            Some(Terms::Cosmos { .. }) | None => None,
        };
        nodes
            .ask(client, async |node| {
                let market = Market {
                    base_fee: client.base_fee(node, account.height).await?,
                    advised: client.advised_priority_fee(node).await?,
                };
                let offer = Offer::new(market, limits, last)?;
                let estimate = client.estimate_gas(node, sender, &content).await?;
                Ok(Terms::Evm {
                    gas: gas(estimate, transfers.len())?,
                    max_fee: offer.max_fee,
                    priority_fee: offer.priority_fee,
                })
            })
            .await
    }

    fn sign(
        &self,
        key: &AccountKey,
        sequence: u64,
        transfers: &[Transfer],
        terms: &Terms,
    ) -> Result<Signed, SignError> {
        let Terms::Evm {
            gas,
            max_fee,
            priority_fee,
        } = *terms
        else {
            return Err(SignError("its terms are of a Cosmos chain".to_owned()));
        };
        let Content { to, value, input } = content(transfers)?;
        let transaction = TxEip1559 {
            chain_id: self.0.settings.chain_id,
            nonce: sequence,
            gas_limit: gas,
            max_fee_per_gas: max_fee,
            max_priority_fee_per_gas: priority_fee,
            to,
            value,
            input,
            access_list: Vec::new().into(),
        };
        let signature = signer(key)
            .ok_or_else(|| SignError("the key is not one".to_owned()))?
            .sign_hash_sync(&transaction.signature_hash())
            .map_err(|error| SignError(error.to_string()))?;
        let signed = transaction.into_signed(signature);
        Ok(Signed {
            hash: signed.hash().to_string(),
            bytes: signed.encoded_2718(),
        })
    }

    async fn broadcast(&self, bytes: &[u8]) -> Result<Broadcast, ChainFault> {
        let Inner { client, nodes, .. } = &*self.0;
        nodes
            .send(client, |node| client.broadcast(node, bytes))
            .await
    }

    async fn status(&self, hash: &str, at_least: u64) -> Result<TxStatus, ChainFault> {
        let Inner { client, nodes, .. } = &*self.0;
        nodes
            .ask(client, |node| client.tx(node, hash, at_least))
            .await
    }

    async fn height(&self) -> Result<u64, ChainFault> {
        let Inner { client, nodes, .. } = &*self.0;
        nodes.ask(client, |node| client.height(node, 0)).await
    }
}

fn signer(key: &AccountKey) -> Option<PrivateKeySigner> {
    PrivateKeySigner::from_slice(key.bytes()).ok()
}

/// A plain transaction for one transfer, and for several the code that makes
/// them.
fn content(transfers: &[Transfer]) -> Result<Content, SignError> {
    let wrong = |reason: &str| SignError(reason.to_owned());
    if transfers.len() > BATCH_LIMIT {
        return Err(SignError(format!("it has over {BATCH_LIMIT} transfers")));
    }
    let transfers: Vec<_> = transfers
        .iter()
        .map(|transfer| Some((parsed(&transfer.to)?, transfer.amount)))
        .collect::<Option<_>>()
        .ok_or_else(|| wrong("a recipient has no address of an EVM chain"))?;
    let (to, input) = match transfers[..] {
        [] => return Err(wrong("it has no transfer")),
        [(to, _)] => (TxKind::Call(to), Bytes::new()),
        _ => {
            let code = batch::init_code(&transfers).ok_or_else(|| wrong("it is too long"))?;
            (TxKind::Create, code)
        }
    };
    Ok(Content {
        to,
        // 90 sums of 128 bits fit in 256.
        value: transfers.iter().map(|(_, sum)| U256::from(*sum)).sum(),
        input,
    })
}

/// The gas limit: what the node estimates and a fifth more, for a recipient
/// may cost more by then.
fn gas(estimate: u64, transfers: usize) -> Result<u64, ChainFault> {
    if transfers == 1 && estimate == PLAIN_GAS {
        return Ok(PLAIN_GAS);
    }
    if transfers == 1 && estimate > MOST_PLAIN_GAS {
        return Err(ChainFault::Impossible(format!(
            "the recipient's contract would use {estimate} gas"
        )));
    }
    Ok(estimate.saturating_add(estimate / 5))
}

#[cfg(test)]
mod tests;
