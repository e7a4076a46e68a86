//! Delivers what the listener had given up, when it is redriven.

use offchain_codes::Coded;
use offchain_ledger::{Event, Subscriber};
use serde::{Deserialize, Serialize};

use crate::courier::{Carrier, DeliveryError};

/// A dead letter of the listener's.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Letter {
    /// The subscriber's name.
    pub subscriber: String,
    /// What it was to be told.
    pub event: Event,
}

/// A webhook that was taken.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case", tag = "status")]
pub enum Delivered {
    /// By its subscriber.
    Delivered,
}

/// Why it was not.
#[derive(Debug, thiserror::Error)]
pub enum DeliverError {
    /// Nobody of that name subscribes any more.
    #[error("expected the name of a subscriber, found {0:?}")]
    SubscriberUnknown(String),
    /// The subscriber did not take it.
    #[error(transparent)]
    Failed(#[from] DeliveryError),
}

impl Coded for DeliverError {
    fn code(&self) -> &'static str {
        match self {
            Self::SubscriberUnknown(_) => "SubscriberUnknown",
            Self::Failed(error) => error.code(),
        }
    }

    fn retryable(&self) -> bool {
        match self {
            Self::SubscriberUnknown(_) => false,
            Self::Failed(error) => error.retryable(),
        }
    }
}

/// Delivers dead letters.
pub struct Deliverer<P> {
    /// Who brings webhooks.
    pub carrier: P,
    /// Who is told.
    pub subscribers: Vec<Subscriber>,
}

impl<P: Carrier> Deliverer<P> {
    /// Tries once.
    pub async fn deliver(&self, letter: &Letter) -> Result<Delivered, DeliverError> {
        let named = |subscriber: &&Subscriber| subscriber.name == letter.subscriber;
        let Some(subscriber) = self.subscribers.iter().find(named) else {
            let name = letter.subscriber.chars().take(64).collect();
            return Err(DeliverError::SubscriberUnknown(name));
        };
        self.carrier.carry(subscriber, &letter.event).await?;
        Ok(Delivered::Delivered)
    }
}

#[cfg(test)]
mod tests;
