//! The table of published key epochs. It is append-only: an epoch is written
//! once and never changed, so that an old bundle verifies for ever.

use aws_sdk_dynamodb::Client;
use serde::{Deserialize, Serialize};
use serde_dynamo::{from_items, to_item};

use crate::error::made;
use crate::item::{get, number, text};
use crate::{Moment, StoreError};

/// A public key, and from when it signs.
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
    /// What is bound to a key from this time on is bound to this one.
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
    set: &'static str,
}

impl KeyEpochs {
    /// The epochs of the VRF's keys, in the table named `table`.
    #[must_use]
    pub fn vrf(client: Client, table: String) -> Self {
        Self::new(client, table, "vrf")
    }

    /// The epochs of the oracle's keys, in the table named `table`.
    #[must_use]
    pub fn oracle(client: Client, table: String) -> Self {
        Self::new(client, table, "oracle")
    }

    fn new(client: Client, table: String, set: &'static str) -> Self {
        Self { client, table, set }
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

    /// The newest epochs, active already or not, newest first.
    pub async fn latest(&self, count: u8) -> Result<Vec<KeyEpoch>, StoreError> {
        let page = self.newest_first().limit(count.into()).send().await?;
        from_items(page.items.unwrap_or_default()).map_err(StoreError::Item)
    }

    /// The newest epoch, active already or not.
    pub async fn newest(&self) -> Result<Option<KeyEpoch>, StoreError> {
        Ok(self.latest(1).await?.pop())
    }

    /// The epoch that what is made at `time` is bound to.
    pub async fn active_at(&self, time: Moment) -> Result<Option<KeyEpoch>, StoreError> {
        let page = self
            .newest_first()
            .filter_expression("active_from <= :time")
            .expression_attribute_values(":time", text(time))
            .send()
            .await?;
        let epochs: Vec<KeyEpoch> =
            from_items(page.items.unwrap_or_default()).map_err(StoreError::Item)?;
        Ok(epochs.into_iter().next())
    }

    /// One epoch by its number.
    pub async fn get(&self, epoch: u64) -> Result<Option<KeyEpoch>, StoreError> {
        let key = [("key_set", text(self.set)), ("epoch", number(epoch))];
        get(&self.client, &self.table, key).await
    }

    /// Publishes an epoch whose number is free; `false` where it is taken.
    pub async fn publish(&self, epoch: &KeyEpoch) -> Result<bool, StoreError> {
        let item = to_item(Item {
            key_set: self.set,
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
        made(outcome)
    }

    fn newest_first(&self) -> aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder {
        self.client
            .query()
            .table_name(&self.table)
            .key_condition_expression("key_set = :set")
            .expression_attribute_values(":set", text(self.set))
            .scan_index_forward(false)
            .consistent_read(true)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::test_util::{
        FakeAws, attributes, condition_failed, done, item, items, seconds_from_now,
    };

    fn epochs(aws: &FakeAws) -> KeyEpochs {
        KeyEpochs::vrf(Client::new(&aws.sdk_config()), "keys".into())
    }

    fn epoch(number: u64) -> KeyEpoch {
        let time: jiff::Timestamp = "2026-01-31T12:00:00Z".parse().unwrap();
        KeyEpoch {
            epoch: number,
            suite: "ECVRF-EDWARDS25519-SHA512-TAI".into(),
            public_key: "ab".into(),
            published_at: time.into(),
            active_from: time.into(),
        }
    }

    fn stored(number: u64) -> Value {
        json!({
            "key_set": "vrf",
            "epoch": number,
            "suite": "ECVRF-EDWARDS25519-SHA512-TAI",
            "public_key": "ab",
            "published_at": "2026-01-31T12:00:00.000Z",
            "active_from": "2026-01-31T12:00:00.000Z",
        })
    }

    #[tokio::test]
    async fn an_epoch_is_published_only_where_its_number_is_free() {
        let aws = FakeAws::new()
            .on("PutItem", done())
            .on("PutItem", condition_failed());
        for published in [true, false] {
            assert_eq!(epochs(&aws).publish(&epoch(1)).await.unwrap(), published);
        }
        let put = &aws.sent("PutItem")[0];
        assert_eq!(put["TableName"], "keys");
        assert_eq!(put["ConditionExpression"], "attribute_not_exists(key_set)");
        assert_eq!(put["Item"], stored(1));
    }

    #[tokio::test]
    async fn every_page_of_epochs_is_read() {
        let page = |number: u64, more: bool| {
            let mut page = json!({ "Items": [attributes(&stored(number))] });
            if more {
                page["LastEvaluatedKey"] =
                    attributes(&json!({ "key_set": "vrf", "epoch": number }));
            }
            crate::test_util::answer(page)
        };
        let aws = FakeAws::new()
            .on("Query", page(2, true))
            .on("Query", page(1, false));
        let all = epochs(&aws).all().await.unwrap();
        assert_eq!(all, [epoch(2), epoch(1)]);
        let queries = aws.sent("Query");
        assert_eq!(queries[0]["ScanIndexForward"], false);
        assert_eq!(queries[0].get("ExclusiveStartKey"), None);
        assert_eq!(
            queries[1]["ExclusiveStartKey"],
            json!({ "key_set": "vrf", "epoch": 2 })
        );
    }

    #[tokio::test]
    async fn the_newest_epochs_are_those_with_the_largest_numbers() {
        let aws = FakeAws::new().on("Query", items(&[stored(2), stored(1)]));
        let latest = epochs(&aws).latest(16).await.unwrap();
        assert_eq!(latest, [epoch(2), epoch(1)]);
        let query = aws.sent_once("Query");
        assert_eq!(query["ScanIndexForward"], false);
        assert_eq!(query["Limit"], 16);
        assert_eq!(query["ConsistentRead"], true);
    }

    #[tokio::test]
    async fn a_key_set_knows_its_own_epochs_only() {
        let aws = FakeAws::new()
            .on("Query", items(&[]))
            .on("GetItem", done())
            .on("PutItem", done());
        let client = Client::new(&aws.sdk_config());
        let epochs = KeyEpochs::oracle(client, "keys".into());
        assert_eq!(epochs.all().await.unwrap(), []);
        assert_eq!(epochs.get(1).await.unwrap(), None);
        assert!(epochs.publish(&epoch(1)).await.unwrap());
        assert_eq!(
            aws.sent_once("Query")["ExpressionAttributeValues"],
            json!({ ":set": "oracle" })
        );
        assert_eq!(aws.sent_once("GetItem")["Key"]["key_set"], "oracle");
        assert_eq!(aws.sent_once("PutItem")["Item"]["key_set"], "oracle");
    }

    #[tokio::test]
    async fn the_active_epoch_is_the_newest_of_those_that_have_begun() {
        let aws = FakeAws::new().on("Query", items(&[stored(2), stored(1)]));
        let now = seconds_from_now(0);
        assert_eq!(epochs(&aws).active_at(now).await.unwrap(), Some(epoch(2)));
        let query = aws.sent_once("Query");
        assert_eq!(query["ScanIndexForward"], false);
        assert_eq!(query["FilterExpression"], "active_from <= :time");
        assert_eq!(
            query["ExpressionAttributeValues"],
            json!({ ":set": "vrf", ":time": now.to_string() })
        );
        // A limit counts what the filter drops, and could hide the active one.
        assert_eq!(query.get("Limit"), None);
    }

    #[tokio::test]
    async fn an_epoch_is_read_by_its_number() {
        let aws = FakeAws::new()
            .on("GetItem", item(&stored(7)))
            .on("GetItem", done());
        assert_eq!(epochs(&aws).get(7).await.unwrap(), Some(epoch(7)));
        assert_eq!(epochs(&aws).get(7).await.unwrap(), None);
        let get = &aws.sent("GetItem")[0];
        assert_eq!(get["Key"], json!({ "key_set": "vrf", "epoch": 7 }));
        assert_eq!(get["ConsistentRead"], true);
    }
}
