//! Makes transactions count: fetches and verifies them, and brings assets,
//! drivers and premiums up to them.

use std::collections::BTreeSet;
use std::time::Duration;

use offchain_codes::Coded;
use offchain_ledger::{
    Asset, AssetError, Change, Id, Operation, PublicKey, Transaction, TransactionError,
    factor_percent, yearly_premium,
};
use offchain_store::StoreError;
use offchain_store::ledger::{Assets, EventItem, EventStatus, Events, Premium, Recorded};

use crate::node::{Chain, NodeError};

/// How often a transaction is applied anew because its asset changed meanwhile.
const TRIES: u32 = 8;

/// Why a transaction does not count.
#[derive(Debug, thiserror::Error)]
pub enum RecorderError {
    /// No such event is stored.
    #[error("no event of the transaction {0} is stored")]
    EventUnknown(Id),
    /// The node does not know the transaction.
    #[error("the node does not know the transaction {0}")]
    TransactionUnknown(Id),
    /// It is not what its ledger says it is.
    #[error("the transaction is not valid")]
    Transaction(#[from] TransactionError),
    /// The event says something else than the transaction.
    #[error("the event is about the asset {event}, and its transaction about {transaction}")]
    EventMismatch {
        /// The event's asset.
        event: Id,
        /// The transaction's.
        transaction: Id,
    },
    /// It does not fit what is known of its asset.
    #[error("the transaction does not fit its asset")]
    Asset(#[from] AssetError),
    /// Its asset changes too often.
    #[error("the asset {0} changed {TRIES} times while it was to be changed")]
    Contended(Id),
    /// The node could not be asked.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Coded for RecorderError {
    fn code(&self) -> &'static str {
        match self {
            Self::EventUnknown(_) => "EventUnknown",
            Self::TransactionUnknown(_) => "TransactionUnknown",
            Self::Transaction(error) => error.code(),
            Self::EventMismatch { .. } => "EventMismatch",
            Self::Asset(error) => error.code(),
            Self::Contended(_) => "AssetContended",
            Self::Node(error) => error.code(),
            Self::Store(error) => error.code(),
        }
    }

    fn retryable(&self) -> bool {
        match self {
            Self::EventUnknown(_)
            | Self::Transaction(_)
            | Self::EventMismatch { .. }
            | Self::Asset(_) => false,
            Self::TransactionUnknown(_) | Self::Contended(_) => true,
            Self::Node(error) => error.retryable(),
            Self::Store(error) => error.retryable(),
        }
    }
}

impl RecorderError {
    /// Whether it is the transaction that is at fault, for ever.
    fn rejects(&self) -> bool {
        matches!(
            self,
            Self::Transaction(_) | Self::EventMismatch { .. } | Self::Asset(_)
        )
    }
}

/// Makes transactions count.
pub struct Recorder<C> {
    /// The node.
    pub chain: C,
    /// The events.
    pub events: Events,
    /// The assets and drivers.
    pub assets: Assets,
}

impl<C: Chain> Recorder<C> {
    /// Makes the transaction of a stored event count, once. Done again, it
    /// changes nothing, and makes good what was left undone.
    pub async fn record(&self, id: &Id) -> Result<(), RecorderError> {
        let event = self.event(id).await?;
        let drivers = match event.status {
            // What was rejected is tried again: whoever redrives its dead letter may
            // have mended what rejected it, and the letter may never have been sent.
            EventStatus::Received | EventStatus::Rejected => match self.count(&event).await {
                Ok(drivers) => drivers,
                // Where it counts already, by another delivery of the same
                // message, it cannot count twice.
                Err(error) if error.rejects() && !self.events.reject(id, error.code()).await? => {
                    let event = self.event(id).await?;
                    [event.from, event.to].concat().into_iter().collect()
                }
                Err(error) => return Err(error),
            },
            EventStatus::Recorded => [event.from, event.to].concat().into_iter().collect(),
        };
        self.set_premiums(drivers, &event.event.asset_id).await
    }

    async fn event(&self, id: &Id) -> Result<EventItem, RecorderError> {
        let event = self.events.load(id).await?;
        event.ok_or_else(|| RecorderError::EventUnknown(id.clone()))
    }

    /// Returns the drivers whose record changed.
    async fn count(&self, event: &EventItem) -> Result<BTreeSet<PublicKey>, RecorderError> {
        let transaction = self.transaction(&event.event.transaction_id).await?;
        if transaction.asset_id != event.event.asset_id {
            return Err(RecorderError::EventMismatch {
                event: event.event.asset_id.clone(),
                transaction: transaction.asset_id,
            });
        }
        for tries in 0..TRIES {
            if tries > 0 {
                let most = 20 << tries;
                tokio::time::sleep(Duration::from_millis(rand::random_range(5..most))).await;
            }
            let (mut asset, version) = self.asset(&transaction).await?;
            let change: Change = asset.apply(&transaction)?;
            let recorded = self
                .assets
                .record(event, &transaction, &asset, version, &change)
                .await?;
            match recorded {
                Recorded::Now | Recorded::Before => {
                    return Ok(change.drivers.into_keys().collect());
                }
                Recorded::Meanwhile => {}
            }
        }
        Err(RecorderError::Contended(transaction.asset_id))
    }

    /// A transaction, verified.
    async fn transaction(&self, id: &Id) -> Result<Transaction, RecorderError> {
        let Some(text) = self.chain.transaction(id).await? else {
            return Err(RecorderError::TransactionUnknown(id.clone()));
        };
        let transaction = Transaction::verify(&text)?;
        if transaction.id != *id {
            return Err(RecorderError::TransactionUnknown(id.clone()));
        }
        Ok(transaction)
    }

    /// What is known of a transaction's asset, and its version. What an asset is,
    /// its CREATE says, whether or not that counts already.
    async fn asset(&self, transaction: &Transaction) -> Result<(Asset, u64), RecorderError> {
        if let Some(known) = self.assets.asset(&transaction.asset_id).await? {
            return Ok((known.asset, known.version));
        }
        let asset = match transaction.operation {
            Operation::Create => Asset::new(transaction)?,
            Operation::Transfer => Asset::new(&self.transaction(&transaction.asset_id).await?)?,
        };
        Ok((asset, 0))
    }

    /// Brings the premiums of all that these lease up to their records, and that
    /// of an asset which changed: it is its driver's, whom a transaction that
    /// came late does not name.
    async fn set_premiums(
        &self,
        mut drivers: BTreeSet<PublicKey>,
        changed: &Id,
    ) -> Result<(), RecorderError> {
        let changed = self.assets.asset(changed).await?;
        drivers.extend(changed.and_then(|item| item.driver));
        for driver in &drivers {
            self.set_premiums_of(driver).await?;
        }
        Ok(())
    }

    async fn set_premiums_of(&self, driver: &PublicKey) -> Result<(), RecorderError> {
        let known = self.assets.driver(driver).await?;
        for id in &known.open {
            let Some(item) = self.assets.asset(id).await? else {
                continue;
            };
            let Some(car) = &item.asset.car else { continue };
            let premium = Premium {
                yearly_cents: yearly_premium(car.value, &known.record),
                factor_percent: factor_percent(&known.record),
                driver_version: known.version,
            };
            self.assets.set_premium(id, driver, &premium).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
