//! The table of published key epochs. It is append-only: an epoch is written
//! once and never changed, so that an old bundle verifies for ever.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Deserialize, Serialize};
use serde_dynamo::{from_item, from_items, to_item};

use crate::{Moment, StoreError};

/// The one key set of this table.
pub const KEY_SET: &str = "vrf";

/// A public key, and from when requests are bound to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyEpoch {
    /// Counts from 1.
    pub epoch: u64,
    /// The suite's name.
    pub suite: String,
    /// Lower-case hex.
    pub public_key: String,
    /// When this item was written.
    pub published_at: Moment,
    /// Requests made from this time on are answered with this key.
    pub active_from: Moment,
}

#[derive(Serialize)]
struct Item<'a> {
    key_set: &'static str,
    #[serde(flatten)]
    epoch: &'a KeyEpoch,
}

/// The table.
#[derive(Clone, Debug)]
pub struct KeyEpochs {
    client: Client,
    table: String,
}

impl KeyEpochs {
    /// The table named `table`.
    #[must_use]
    pub fn new(client: Client, table: String) -> Self {
        Self { client, table }
    }

    /// Every epoch, newest first.
    pub async fn all(&self) -> Result<Vec<KeyEpoch>, StoreError> {
        let mut epochs = Vec::new();
        let mut start = None;
        loop {
            let page = self
                .newest_first()
                .set_exclusive_start_key(start)
                .send()
                .await?;
            epochs.extend(from_items(page.items.unwrap_or_default()).map_err(StoreError::Item)?);
            start = page.last_evaluated_key;
            if start.is_none() {
                return Ok(epochs);
            }
        }
    }

    /// The newest epoch, active already or not.
    pub async fn newest(&self) -> Result<Option<KeyEpoch>, StoreError> {
        let page = self.newest_first().limit(1).send().await?;
        let epochs: Vec<KeyEpoch> =
            from_items(page.items.unwrap_or_default()).map_err(StoreError::Item)?;
        Ok(epochs.into_iter().next())
    }

    /// The epoch that requests made at `time` are bound to.
    pub async fn active_at(&self, time: Moment) -> Result<Option<KeyEpoch>, StoreError> {
        let page = self
            .newest_first()
            .filter_expression("active_from <= :time")
            .expression_attribute_values(":time", AttributeValue::S(time.to_string()))
            .send()
            .await?;
        let epochs: Vec<KeyEpoch> =
            from_items(page.items.unwrap_or_default()).map_err(StoreError::Item)?;
        Ok(epochs.into_iter().next())
    }

    /// One epoch by its number.
    pub async fn get(&self, epoch: u64) -> Result<Option<KeyEpoch>, StoreError> {
        let reply = self
            .client
            .get_item()
            .table_name(&self.table)
            .key("key_set", AttributeValue::S(KEY_SET.to_owned()))
            .key("epoch", AttributeValue::N(epoch.to_string()))
            .consistent_read(true)
            .send()
            .await?;
        reply
            .item
            .map(from_item)
            .transpose()
            .map_err(StoreError::Item)
    }

    /// Publishes an epoch whose number is free; `false` where it is taken.
    pub async fn publish(&self, epoch: &KeyEpoch) -> Result<bool, StoreError> {
        let item = to_item(Item {
            key_set: KEY_SET,
            epoch,
        })
        .map_err(StoreError::Item)?;
        let outcome = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(key_set)")
            .send()
            .await;
        match outcome {
            Ok(_) => Ok(true),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(|error| error.is_conditional_check_failed_exception()) =>
            {
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn newest_first(&self) -> aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder {
        self.client
            .query()
            .table_name(&self.table)
            .key_condition_expression("key_set = :set")
            .expression_attribute_values(":set", AttributeValue::S(KEY_SET.to_owned()))
            .scan_index_forward(false)
            .consistent_read(true)
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::operation::put_item::{PutItemError, PutItemOutput};
    use aws_sdk_dynamodb::types::error::ConditionalCheckFailedException;
    use aws_smithy_mocks::{mock, mock_client};

    use super::*;

    fn epoch() -> KeyEpoch {
        let time: jiff::Timestamp = "2026-01-31T12:00:00Z".parse().unwrap();
        KeyEpoch {
            epoch: 1,
            suite: "ECVRF-EDWARDS25519-SHA512-TAI".into(),
            public_key: "ab".into(),
            published_at: time.into(),
            active_from: time.into(),
        }
    }

    #[tokio::test]
    async fn an_epoch_is_published_only_where_its_number_is_free() {
        let free = mock!(Client::put_item)
            .match_requests(|request| {
                request.condition_expression() == Some("attribute_not_exists(key_set)")
                    && request.item().is_some_and(|item| {
                        item["key_set"] == AttributeValue::S("vrf".into())
                            && item["epoch"] == AttributeValue::N("1".into())
                    })
            })
            .then_output(|| PutItemOutput::builder().build());
        let client = mock_client!(aws_sdk_dynamodb, [&free]);
        assert!(
            KeyEpochs::new(client, "t".into())
                .publish(&epoch())
                .await
                .unwrap()
        );

        let taken = mock!(Client::put_item).then_error(|| {
            PutItemError::ConditionalCheckFailedException(
                ConditionalCheckFailedException::builder().build(),
            )
        });
        let client = mock_client!(aws_sdk_dynamodb, [&taken]);
        assert!(
            !KeyEpochs::new(client, "t".into())
                .publish(&epoch())
                .await
                .unwrap()
        );
    }
}
