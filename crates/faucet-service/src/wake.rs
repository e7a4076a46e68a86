//! How a payer hears that there is something to pay.

use std::sync::Arc;

use offchain_store::StoreError;
use offchain_store::queue::Queue;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

/// The queue's message. It wakes the payer; what is paid, the tables say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum WakeMessage {
    /// A claim has come.
    Claim {
        /// Its id.
        claim_id: String,
    },
    /// A payout has moved on: there may be room for the next, or it needs
    /// another version.
    Payout {
        /// Its number.
        sequence: u64,
    },
    /// Claims wait and nobody seems to know.
    Sweep {
        /// How many, as far as was looked.
        waiting: usize,
    },
}

/// A way to wake the payer. A wake that is lost delays a payout until the next
/// sweep and does no other harm.
#[derive(Clone, Debug)]
pub enum Wake {
    /// By a message, which starts a function.
    Queue(Queue),
    /// Within this process.
    Local(Arc<Notify>),
}

impl Wake {
    /// Wakes the payer.
    pub async fn send(&self, message: &WakeMessage) -> Result<(), StoreError> {
        match self {
            Self::Queue(queue) => queue.send(message, 0).await,
            Self::Local(notify) => {
                notify.notify_one();
                Ok(())
            }
        }
    }
}
