//! A DynamoDB with the faucet's tables, in memory: conditions, transactions and
//! indexes that are late mean here what they mean there. It stands where the
//! HTTP client stands. What the faucet does not use fails the test.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;
use aws_types::region::Region;
use serde_json::{Value, json};

use crate::expression::{Expression, Item, number};
use crate::gate::{Fate, Gate};

pub(crate) const CLAIMS: &str = "claims";
pub(crate) const LIMITS: &str = "limits";
pub(crate) const LOCKS: &str = "locks";
pub(crate) const PAYOUTS: &str = "payouts";

/// A part of a key, in its order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Number(i128),
    Text(String),
}

type Key = Vec<Part>;

struct Table {
    hash: &'static str,
    range: Option<&'static str>,
    /// The sparse index on `open`, and the attribute it is sorted by.
    index: Option<(&'static str, &'static str)>,
    items: BTreeMap<Key, Item>,
    /// What the index knows, where it is late.
    indexed: Option<BTreeMap<Key, Item>>,
}

impl Table {
    fn new(
        hash: &'static str,
        range: Option<&'static str>,
        index: Option<(&'static str, &'static str)>,
    ) -> Self {
        Self {
            hash,
            range,
            index,
            items: BTreeMap::new(),
            indexed: None,
        }
    }

    fn key(&self, item: &Item) -> Key {
        let names = [Some(self.hash), self.range];
        names
            .iter()
            .flatten()
            .map(|name| part(&item[*name]))
            .collect()
    }
}

fn part(value: &Value) -> Part {
    match value["S"].as_str() {
        Some(text) => Part::Text(text.to_owned()),
        None => Part::Number(number(value)),
    }
}

struct State {
    tables: BTreeMap<&'static str, Table>,
    /// The tokens of the transactions that were made.
    made: BTreeSet<String>,
}

/// The stand-in.
#[derive(Clone)]
pub(crate) struct Dynamo {
    state: Arc<Mutex<State>>,
    gate: Gate,
}

impl std::fmt::Debug for Dynamo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Dynamo")
    }
}

type Outcome = Result<Value, Value>;

impl Dynamo {
    pub(crate) fn new(gate: Gate) -> Self {
        let tables = BTreeMap::from([
            (
                CLAIMS,
                Table::new("claim_id", None, Some(("open-claims", "created_time"))),
            ),
            (LIMITS, Table::new("limit", None, None)),
            (LOCKS, Table::new("Name", None, None)),
            (
                PAYOUTS,
                Table::new(
                    "account",
                    Some("sequence"),
                    Some(("open-payouts", "sequence")),
                ),
            ),
        ]);
        let state = State {
            tables,
            made: BTreeSet::new(),
        };
        Self {
            state: Arc::new(Mutex::new(state)),
            gate,
        }
    }

    /// What clients are made from; they try nothing twice.
    pub(crate) fn sdk_config(&self) -> SdkConfig {
        let connector = SharedHttpConnector::new(self.clone());
        let credentials = Credentials::new("key", "secret", None, None, "test");
        SdkConfig::builder()
            .region(Region::new("us-east-1"))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .http_client(http_client_fn(move |_, _| connector.clone()))
            .retry_config(RetryConfig::disabled())
            .timeout_config(TimeoutConfig::disabled())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .build()
    }

    /// From here on the indexes know nothing new.
    pub(crate) fn fall_behind(&self) {
        for table in self.state.lock().unwrap().tables.values_mut() {
            table.indexed = Some(table.items.clone());
        }
    }

    /// The indexes have caught up.
    pub(crate) fn catch_up(&self) {
        for table in self.state.lock().unwrap().tables.values_mut() {
            table.indexed = None;
        }
    }

    /// Every item of a table.
    pub(crate) fn items(&self, table: &str) -> Vec<Item> {
        let state = self.state.lock().unwrap();
        state.tables[table].items.values().cloned().collect()
    }
}

impl HttpConnector for Dynamo {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap();
        let operation = target.rsplit('.').next().unwrap().to_owned();
        let body: Value = serde_json::from_slice(request.body().bytes().unwrap()).unwrap();
        let this = self.clone();
        HttpConnectorFuture::new(async move {
            let fate = this.gate.pass(&operation).await;
            if fate == Fate::Refused {
                return Ok(reply(Err(error("ThrottlingException"))));
            }
            let outcome = this.state.lock().unwrap().answer(&operation, &body);
            match fate {
                Fate::Unanswered => Err(ConnectorError::io("the connection broke".into())),
                Fate::Fatal => std::future::pending().await,
                _ => Ok(reply(outcome)),
            }
        })
    }
}

fn reply(outcome: Outcome) -> HttpResponse {
    let (status, body) = match outcome {
        Ok(body) => (200, body),
        Err(body) => (400, body),
    };
    HttpResponse::new(status.try_into().unwrap(), body.to_string().into())
}

fn error(code: &str) -> Value {
    json!({"__type": code, "message": "as DynamoDB says"})
}

impl State {
    fn answer(&mut self, operation: &str, request: &Value) -> Outcome {
        match operation {
            "GetItem" => {
                let (table, key) = self.of_key(request);
                let item = table.items.get(&key);
                Ok(item.map_or(json!({}), |item| json!({"Item": item})))
            }
            "UpdateItem" => match self.write("Update", request) {
                Ok(after) => {
                    self.put(request, after.clone());
                    Ok(json!({"Attributes": after}))
                }
                Err(item) => {
                    let mut failed = error("ConditionalCheckFailedException");
                    failed["Item"] = json!(item);
                    Err(failed)
                }
            },
            "Query" => Ok(self.query(request)),
            "TransactWriteItems" => self.transact(request),
            other => panic!("the faucet does not use {other}"),
        }
    }

    fn table(&mut self, request: &Value) -> &mut Table {
        let name = request["TableName"].as_str().unwrap();
        self.tables.get_mut(name).unwrap()
    }

    fn of_key(&mut self, request: &Value) -> (&mut Table, Key) {
        let key: Item = serde_json::from_value(request["Key"].clone()).unwrap();
        let table = self.table(request);
        let key = table.key(&key);
        (table, key)
    }

    /// What a write would leave, or what its condition did not hold for.
    fn write(&mut self, kind: &str, request: &Value) -> Result<Option<Item>, Item> {
        let given = if kind == "Put" { "Item" } else { "Key" };
        let given: Item = serde_json::from_value(request[given].clone()).unwrap();
        let table = self.table(request);
        let before = table.items.get(&table.key(&given)).cloned();
        let seen = before.clone().unwrap_or_default();
        if let Some(condition) = request["ConditionExpression"].as_str()
            && !Expression::new(condition, &seen, request).holds()
        {
            return Err(seen);
        }
        Ok(match kind {
            "Put" => Some(given),
            "Delete" => None,
            "ConditionCheck" => before,
            "Update" => {
                let seen = before.unwrap_or(given);
                let update = request["UpdateExpression"].as_str().unwrap();
                Some(Expression::new(update, &seen, request).updated())
            }
            other => panic!("the faucet does not use {other}"),
        })
    }

    fn put(&mut self, request: &Value, after: Option<Item>) {
        let given = if request["Item"].is_null() {
            "Key"
        } else {
            "Item"
        };
        let given: Item = serde_json::from_value(request[given].clone()).unwrap();
        let table = self.table(request);
        let key = table.key(&given);
        match after {
            Some(item) => table.items.insert(key, item),
            None => table.items.remove(&key),
        };
    }

    fn transact(&mut self, request: &Value) -> Outcome {
        let token = request["ClientRequestToken"].as_str().unwrap().to_owned();
        if self.made.contains(&token) {
            return Ok(json!({}));
        }
        let mut reasons = Vec::new();
        let mut writes = Vec::new();
        let mut touched = BTreeSet::new();
        for item in request["TransactItems"].as_array().unwrap() {
            let (kind, write) = item.as_object().unwrap().iter().next().unwrap();
            let given = if kind == "Put" { "Item" } else { "Key" };
            let given: Item = serde_json::from_value(write[given].clone()).unwrap();
            let key = self.table(write).key(&given);
            let name = write["TableName"].as_str().unwrap().to_owned();
            assert!(touched.insert((name, key)), "an item is written twice");
            match self.write(kind, write) {
                Ok(after) => {
                    reasons.push(json!({"Code": "None"}));
                    writes.push((write.clone(), after));
                }
                Err(item) => {
                    reasons.push(json!({"Code": "ConditionalCheckFailed", "Item": item}));
                }
            }
        }
        if writes.len() < reasons.len() {
            let mut cancelled = error("TransactionCanceledException");
            cancelled["CancellationReasons"] = json!(reasons);
            return Err(cancelled);
        }
        for (write, after) in writes {
            self.put(&write, after);
        }
        self.made.insert(token);
        Ok(json!({}))
    }

    fn query(&mut self, request: &Value) -> Value {
        let nothing = Item::new();
        let condition = request["KeyConditionExpression"].as_str().unwrap();
        let (name, value) = Expression::new(condition, &nothing, request).key();
        let index = request["IndexName"].as_str();
        let table = self.table(request);
        let (hash, range) = match (index, table.index) {
            (Some(asked), Some((known, range))) if asked == known => ("open", range),
            (None, _) => (table.hash, table.range.unwrap()),
            _ => panic!("there is no index {index:?}"),
        };
        assert_eq!(name, hash);
        let items = match index {
            Some(_) => {
                assert_ne!(request["ConsistentRead"], json!(true), "of an index");
                table.indexed.as_ref().unwrap_or(&table.items)
            }
            None => &table.items,
        };
        let mut found: Vec<(Part, &Key, &Item)> = items
            .iter()
            .filter(|(_, item)| item.get(hash) == Some(&value))
            .map(|(key, item)| (part(&item[range]), key, item))
            .collect();
        found.sort_by(|one, other| one.0.cmp(&other.0));
        if request["ScanIndexForward"] == json!(false) {
            found.reverse();
        }
        if let Ok(start) = serde_json::from_value::<Item>(request["ExclusiveStartKey"].clone()) {
            let start = table.key(&start);
            let at = found.iter().position(|(_, key, _)| **key == start);
            found.drain(..=at.unwrap());
        }
        let limit = request["Limit"]
            .as_u64()
            .map_or(usize::MAX, |limit| limit as usize);
        assert_ne!(limit, 0, "DynamoDB takes no such limit");
        let more = found.len() > limit;
        found.truncate(limit);
        let mut reply = json!({
            "Count": found.len(),
            "Items": found.iter().map(|(_, _, item)| json!(item)).collect::<Vec<_>>(),
        });
        if more {
            let (_, _, last) = found.last().unwrap();
            let names = [
                Some(table.hash),
                table.range,
                index.map(|_| hash),
                index.map(|_| range),
            ];
            let key: Item = names
                .into_iter()
                .flatten()
                .map(|name| (name.to_owned(), last[name].clone()))
                .collect();
            reply["LastEvaluatedKey"] = json!(key);
        }
        reply
    }
}
