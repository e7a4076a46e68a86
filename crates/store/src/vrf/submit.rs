//! How a request enters: the item first, then the message that names it.

use jiff::SignedDuration;
use offchain_vrf::{Due, RequestTerms};
use serde::{Deserialize, Serialize};

use super::{Origin, RequestItem, Requests, Submitted};
use crate::queue::Queue;
use crate::{Moment, StoreError};

/// The queue's message. The item it names is what counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestMessage {
    /// The request's id.
    pub unique_identifier: String,
    /// As in the item.
    pub target_block_in_the_future: u32,
    /// As in the item.
    pub min_random_value: i64,
    /// As in the item.
    pub max_random_value: i64,
}

impl From<&RequestItem> for RequestMessage {
    fn from(item: &RequestItem) -> Self {
        Self {
            unique_identifier: item.unique_identifier.clone(),
            target_block_in_the_future: item.target_block_in_the_future,
            min_random_value: item.min_random_value,
            max_random_value: item.max_random_value,
        }
    }
}

/// How long requests live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    /// From the due time to the deadline.
    pub fulfil: SignedDuration,
    /// From the acceptance to the deadline, where the request is due at a height.
    pub height: SignedDuration,
    /// From the deadline until DynamoDB may delete the items.
    pub retention: SignedDuration,
}

impl RequestItem {
    /// The item of a request accepted at `now`.
    #[must_use]
    pub fn new(
        terms: &RequestTerms,
        now: Moment,
        windows: Windows,
        key_epoch: u64,
        origin: Origin,
    ) -> Self {
        let (due, height, deadline) = match terms.due {
            Due::At(time) => {
                let due = time.timestamp();
                // A request that is due in the past is due now.
                let from = due.max(now.timestamp());
                (Some(Moment::from(due)), None, from + windows.fulfil)
            }
            Due::Height(height) => (None, Some(height), now.timestamp() + windows.height),
        };
        Self {
            unique_identifier: terms.request_id.to_string(),
            request_time: now,
            fulfill_time_expected: due,
            target_height: height,
            target_block_in_the_future: 0,
            min_random_value: terms.bounds.min(),
            max_random_value: terms.bounds.max(),
            seed: terms.seed.as_ref().map(ToString::to_string),
            key_epoch,
            deadline: deadline.into(),
            origin,
            submission: None,
            expiration: (deadline + windows.retention).as_second(),
        }
    }
}

/// Accepts a request: the item, then the message.
///
/// Called again with the same id it leaves the item alone and, while nothing
/// has picked the request up, sends the message again: the first call may have
/// died between the two.
pub async fn submit(
    requests: &Requests,
    queue: &Queue,
    item: &RequestItem,
    delay_seconds: u32,
) -> Result<Submitted, StoreError> {
    let submitted = requests.insert(item).await?;
    let unsent = match &submitted {
        Submitted::New => Some(item),
        Submitted::Existing(record) => record.fulfilment.is_none().then_some(&record.request),
    };
    if let Some(item) = unsent {
        queue
            .send(&RequestMessage::from(item), delay_seconds)
            .await?;
    }
    Ok(submitted)
}
