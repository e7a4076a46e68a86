//! The tables of rides: what was recorded, and the fleet.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};
use offchain_codes::Coded;
use offchain_rides::{Ride, RideId, Unicorn};
use serde_dynamo::{from_item, to_item};
use serde_json::Value;

use crate::StoreError;
use crate::item::{get, text};

const RIDE_ID: &str = "RideId";

type Item = HashMap<String, AttributeValue>;

/// Why a ride was not recorded.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Its id is taken by a ride that says something else.
    #[error("another ride is recorded as {0}")]
    Conflict(RideId),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Coded for RecordError {
    fn code(&self) -> &'static str {
        match self {
            Self::Conflict(_) => "RideConflict",
            Self::Store(error) => error.code(),
        }
    }

    fn retryable(&self) -> bool {
        match self {
            Self::Conflict(_) => false,
            Self::Store(error) => error.retryable(),
        }
    }
}

/// The table of rides.
#[derive(Clone, Debug)]
pub struct Rides {
    client: Client,
    table: String,
}

impl Rides {
    /// The table named `table`.
    #[must_use]
    pub fn new(client: Client, table: String) -> Self {
        Self { client, table }
    }

    /// Writes a ride as it stands, where its id is free. The same ride may
    /// come again, by the same door or by another: that changes nothing.
    pub async fn record(&self, ride: &Ride) -> Result<(), RecordError> {
        let item: Item = to_item(ride).map_err(StoreError::Item)?;
        let outcome = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(RideId)")
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let Err(error) = outcome else { return Ok(()) };
        let Some(PutItemError::ConditionalCheckFailedException(taken)) = error.as_service_error()
        else {
            return Err(StoreError::from(error).into());
        };
        let recorded = taken.item.clone().unwrap_or_default();
        if is_same(&plain(ride)?, &plain_item(recorded)?) {
            Ok(())
        } else {
            Err(RecordError::Conflict(ride.ride_id.clone()))
        }
    }

    /// The ride with this id.
    pub async fn get(&self, id: &RideId) -> Result<Option<Ride>, StoreError> {
        get(&self.client, &self.table, [(RIDE_ID, text(id))]).await
    }
}

fn plain(ride: &Ride) -> Result<Value, StoreError> {
    serde_json::to_value(ride).map_err(StoreError::Message)
}

fn plain_item(item: Item) -> Result<Value, StoreError> {
    from_item(item).map_err(StoreError::Item)
}

/// Whether two values say the same. DynamoDB keeps a number, not how it was
/// written: 1.0 comes back as 1.
fn is_same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => {
            one == other || one.as_f64() == other.as_f64()
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .zip(other)
                    .all(|(one, other)| is_same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .all(|(name, one)| other.get(name).is_some_and(|other| is_same(one, other)))
        }
        _ => one == other,
    }
}

/// The table of unicorns. Terraform writes it.
#[derive(Clone, Debug)]
pub struct Fleet {
    client: Client,
    table: String,
}

impl Fleet {
    /// The table named `table`.
    #[must_use]
    pub fn new(client: Client, table: String) -> Self {
        Self { client, table }
    }

    /// Every unicorn. One that somebody spoilt is left out: the others fly.
    pub async fn all(&self) -> Result<Vec<Unicorn>, StoreError> {
        let mut unicorns = Vec::new();
        let mut start = None;
        loop {
            let page = self
                .client
                .scan()
                .table_name(&self.table)
                .set_exclusive_start_key(start)
                .send()
                .await?;
            for item in page.items.unwrap_or_default() {
                match from_item(item) {
                    Ok(unicorn) => unicorns.push(unicorn),
                    Err(error) => tracing::warn!(
                        error = offchain_codes::chain(&error),
                        "an item of the fleet is no unicorn"
                    ),
                }
            }
            start = page.last_evaluated_key;
            if start.is_none() {
                return Ok(unicorns);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::test_util::{FakeAws, Reply, answer, done, items, page, refusal};

    fn ride() -> Ride {
        Ride::from_json(
            r#"{"RideId":"0123456789abcdef","Unicorn":{"Name":"Rocinante","Color":"Yellow"},
                "RequestTime":"2026-01-31 12:00:00.000001",
                "PickupLocation":{"Latitude":42.0,"Longitude":-71.05}}"#,
        )
        .unwrap()
    }

    fn taken(item: Value) -> Reply {
        Reply::Http(
            400,
            json!({
                "__type": "ConditionalCheckFailedException",
                "message": "as the test says",
                "Item": item,
            }),
        )
    }

    fn recorded(latitude: &str) -> Value {
        json!({
            "RideId": { "S": "0123456789abcdef" },
            "Unicorn": { "M": { "Name": { "S": "Rocinante" }, "Color": { "S": "Yellow" } } },
            "RequestTime": { "S": "2026-01-31 12:00:00.000001" },
            "PickupLocation": { "M": { "Latitude": { "N": latitude }, "Longitude": { "N": "-71.05" } } },
        })
    }

    async fn record(reply: Reply) -> (FakeAws, Result<(), RecordError>) {
        let aws = FakeAws::new().on("PutItem", reply);
        let rides = Rides::new(Client::new(&aws.sdk_config()), "rides".into());
        let outcome = rides.record(&ride()).await;
        (aws, outcome)
    }

    #[tokio::test]
    async fn a_ride_is_written_as_it_stands_where_its_id_is_free() {
        let (aws, outcome) = record(done()).await;
        outcome.unwrap();
        let call = aws.sent_once("PutItem");
        assert_eq!(call["ConditionExpression"], "attribute_not_exists(RideId)");
        assert_eq!(call["ReturnValuesOnConditionCheckFailure"], "ALL_OLD");
        let mut expected = serde_json::to_value(ride()).unwrap();
        expected["PickupLocation"]["Latitude"] = 42.into();
        assert_eq!(call["Item"], expected);
    }

    #[tokio::test]
    async fn the_same_ride_again_changes_nothing_and_succeeds() {
        let (_, outcome) = record(taken(recorded("42"))).await;
        outcome.unwrap();
    }

    #[tokio::test]
    async fn another_ride_under_the_same_id_is_refused() {
        let (_, outcome) = record(taken(recorded("43"))).await;
        let error = outcome.unwrap_err();
        assert_eq!((error.code(), error.retryable()), ("RideConflict", false));
    }

    #[tokio::test]
    async fn a_table_that_cannot_be_used_is_the_store_s_error() {
        let (_, outcome) = record(refusal(400, "ThrottlingException")).await;
        let error = outcome.unwrap_err();
        assert_eq!(
            (error.code(), error.retryable()),
            ("StoreUnavailable", true)
        );
    }

    #[tokio::test]
    async fn a_spoilt_unicorn_is_left_out() {
        let aws = FakeAws::new().on(
            "Scan",
            items(&[
                json!({"Name": "Rocinante", "Color": "Yellow"}),
                json!({"Name": "Spoilt"}),
            ]),
        );
        let fleet = Fleet::new(Client::new(&aws.sdk_config()), "fleet".into());
        let names: Vec<String> = fleet
            .all()
            .await
            .unwrap()
            .into_iter()
            .map(|u| u.name)
            .collect();
        assert_eq!(names, ["Rocinante"]);
    }

    #[tokio::test]
    async fn every_page_of_the_fleet_is_read() {
        let unicorn = |name| json!({ "Name": name, "Color": "White" });
        let aws = FakeAws::new()
            .on(
                "Scan",
                page(&[unicorn("Shadowfax")], &json!({ "Name": "Shadowfax" })),
            )
            .on("Scan", items(&[unicorn("Silver")]));
        let fleet = Fleet::new(Client::new(&aws.sdk_config()), "fleet".into());
        assert_eq!(fleet.all().await.unwrap().len(), 2);
        let scans = aws.sent("Scan");
        assert_eq!(scans[0].get("ExclusiveStartKey"), None);
        assert_eq!(scans[1]["ExclusiveStartKey"]["Name"], "Shadowfax");
    }

    #[tokio::test]
    async fn a_recorded_ride_is_read_as_it_was() {
        let aws = FakeAws::new().on("GetItem", answer(json!({ "Item": recorded("42") })));
        let rides = Rides::new(Client::new(&aws.sdk_config()), "rides".into());
        let found = rides.get(&ride().ride_id).await.unwrap();
        assert_eq!(found, Some(ride()));
        let get = aws.sent_once("GetItem");
        assert_eq!(get["Key"], json!({ "RideId": "0123456789abcdef" }));
        assert_eq!(get["ConsistentRead"], true);
    }

    #[tokio::test]
    async fn a_ride_that_nobody_recorded_is_not_there() {
        let aws = FakeAws::new().on("GetItem", answer(json!({})));
        let rides = Rides::new(Client::new(&aws.sdk_config()), "rides".into());
        assert!(rides.get(&ride().ride_id).await.unwrap().is_none());
    }
}
