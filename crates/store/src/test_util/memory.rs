//! An AWS in memory: DynamoDB, whose conditions, transactions and late indexes
//! mean here what they mean there, and as much of SQS and Secrets Manager as it
//! takes to send a message and to read a secret. It stands where the HTTP client
//! stands. What is not used anywhere fails the test.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

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

pub use super::expression::Item;
use super::expression::{Expression, number};

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is done and answered.
    Done,
    /// It is not done, and the caller is told so.
    Refused,
    /// It is done, and the caller's connection breaks.
    Unanswered,
    /// The caller's connection breaks, and it is done so much later.
    Late(Duration),
    /// It is done, and the caller hears nothing for ever.
    Unheard,
    /// It is not done, and the caller hears nothing for ever.
    Unsent,
}

/// Decides what becomes of a call of an operation, and when.
pub type Gate = Arc<dyn Fn(&str) -> Pin<Box<dyn Future<Output = Fate> + Send>> + Send + Sync>;
/// Sees the state after each write.
pub type Watch = Box<dyn Fn(&View<'_>) + Send>;

/// A part of a key, in its order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Number(i128),
    Text(String),
}

type Key = Vec<Part>;

/// A table.
#[derive(Clone, Debug)]
pub struct Table {
    hash: &'static str,
    range: Option<&'static str>,
    index: Option<Index>,
    items: BTreeMap<Key, Item>,
    /// What the index knows, where it is late.
    indexed: Option<BTreeMap<Key, Item>>,
}

#[derive(Clone, Copy, Debug)]
struct Index {
    name: &'static str,
    hash: &'static str,
    range: &'static str,
}

impl Table {
    /// A table with this key, of one attribute or of two.
    #[must_use]
    pub fn new(hash: &'static str, range: Option<&'static str>) -> Self {
        Self {
            hash,
            range,
            index: None,
            items: BTreeMap::new(),
            indexed: None,
        }
    }

    /// With an index; where it lacks the attributes, an item is not in it.
    #[must_use]
    pub fn index(mut self, name: &'static str, hash: &'static str, range: &'static str) -> Self {
        self.index = Some(Index { name, hash, range });
        self
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

#[derive(Default)]
struct State {
    tables: BTreeMap<&'static str, Table>,
    /// The tokens of the transactions that were made.
    made: BTreeSet<String>,
    queues: BTreeMap<String, Vec<Value>>,
    secrets: BTreeMap<String, String>,
    watch: Option<Watch>,
}

/// What there is.
pub struct View<'a>(&'a State);

impl View<'_> {
    /// Every item of a table.
    pub fn items(&self, table: &str) -> impl Iterator<Item = &Item> {
        self.0.tables[table].items.values()
    }

    /// The messages of the queue at `url`, each as it was sent.
    #[must_use]
    pub fn messages(&self, url: &str) -> &[Value] {
        self.0.queues.get(url).map_or(&[], Vec::as_slice)
    }
}

/// The stand-in. Clones share what is in it.
#[derive(Clone)]
pub struct Memory {
    state: Arc<Mutex<State>>,
    gate: Gate,
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Memory")
    }
}

type Outcome = Result<Value, Value>;

impl Memory {
    /// One with these tables, whose calls are all done at once.
    #[must_use]
    pub fn new(tables: impl IntoIterator<Item = (&'static str, Table)>) -> Self {
        let state = State {
            tables: tables.into_iter().collect(),
            ..State::default()
        };
        Self {
            state: Arc::new(Mutex::new(state)),
            gate: Arc::new(|_| Box::pin(std::future::ready(Fate::Done))),
        }
    }

    /// The same, as those see it whose calls pass `gate`.
    #[must_use]
    pub fn behind(&self, gate: Gate) -> Self {
        Self {
            state: self.state.clone(),
            gate,
        }
    }

    /// Has each write seen.
    pub fn watch(&self, watch: Watch) {
        self.state.lock().unwrap().watch = Some(watch);
    }

    /// Puts a secret's text in its place.
    pub fn set_secret(&self, arn: &str, text: &str) {
        let mut state = self.state.lock().unwrap();
        state.secrets.insert(arn.to_owned(), text.to_owned());
    }

    /// What clients are made from; they try nothing twice.
    #[must_use]
    pub fn sdk_config(&self) -> SdkConfig {
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

    /// Puts an attribute into an item whose key is this text.
    pub fn set(&self, table: &str, key: &str, name: &str, value: &Value) {
        let mut state = self.state.lock().unwrap();
        let items = &mut state.tables.get_mut(table).unwrap().items;
        let item = items.get_mut(&vec![Part::Text(key.to_owned())]).unwrap();
        item.insert(name.to_owned(), value.clone());
    }

    /// From here on the indexes know nothing new.
    pub fn fall_behind(&self) {
        for table in self.state.lock().unwrap().tables.values_mut() {
            table.indexed = Some(table.items.clone());
        }
    }

    /// The indexes have caught up.
    pub fn catch_up(&self) {
        for table in self.state.lock().unwrap().tables.values_mut() {
            table.indexed = None;
        }
    }

    /// Looks at what there is.
    pub fn view<T>(&self, look: impl FnOnce(&View<'_>) -> T) -> T {
        look(&View(&self.state.lock().unwrap()))
    }

    /// Every item of a table.
    #[must_use]
    pub fn items(&self, table: &str) -> Vec<Item> {
        self.view(|view| view.items(table).cloned().collect())
    }

    /// Takes the messages out of the queue at `url`.
    #[must_use]
    pub fn receive(&self, url: &str) -> Vec<Value> {
        let mut state = self.state.lock().unwrap();
        state.queues.remove(url).unwrap_or_default()
    }

    fn answer(&self, operation: &str, body: &Value) -> Outcome {
        let mut state = self.state.lock().unwrap();
        let outcome = state.answer(operation, body);
        let reads = ["GetItem", "Query", "GetSecretValue"];
        if !reads.contains(&operation)
            && outcome.is_ok()
            && let Some(watch) = &state.watch
        {
            watch(&View(&state));
        }
        outcome
    }
}

impl HttpConnector for Memory {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap();
        let operation = target.rsplit('.').next().unwrap().to_owned();
        let body: Value = serde_json::from_slice(request.body().bytes().unwrap()).unwrap();
        let this = self.clone();
        HttpConnectorFuture::new(async move {
            let fate = (this.gate)(&operation).await;
            let broken = || Err(ConnectorError::io("the connection broke".into()));
            match fate {
                Fate::Refused => return Ok(reply(Err(error("ThrottlingException")))),
                Fate::Unsent => return std::future::pending().await,
                Fate::Late(after) => {
                    tokio::spawn(async move {
                        tokio::time::sleep(after).await;
                        let _ = this.answer(&operation, &body);
                    });
                    return broken();
                }
                Fate::Done | Fate::Unanswered | Fate::Unheard => {}
            }
            let outcome = this.answer(&operation, &body);
            match fate {
                Fate::Unanswered => broken(),
                Fate::Unheard => std::future::pending().await,
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
    json!({"__type": code, "message": "as AWS says"})
}

/// The largest message that SQS takes, as the AWS page "Amazon SQS message
/// quotas" gives it.
const MAX_MESSAGE: usize = 1024 * 1024;

impl State {
    fn answer(&mut self, operation: &str, request: &Value) -> Outcome {
        match operation {
            "GetItem" => {
                let (table, key) = self.of_key(request);
                let item = table.items.get(&key);
                Ok(item.map_or(json!({}), |item| json!({"Item": item})))
            }
            "PutItem" | "UpdateItem" | "DeleteItem" => {
                let kind = operation.trim_end_matches("Item");
                match self.write(kind, request) {
                    Ok(after) => {
                        self.put(request, after.clone());
                        Ok(after.map_or(json!({}), |after| json!({"Attributes": after})))
                    }
                    Err(item) => {
                        let mut failed = error("ConditionalCheckFailedException");
                        failed["Item"] = json!(item);
                        Err(failed)
                    }
                }
            }
            "Query" => Ok(self.query(request)),
            "TransactWriteItems" => self.transact(request),
            "SendMessage" => {
                let body = request["MessageBody"].as_str().unwrap();
                if body.is_empty() || body.len() > MAX_MESSAGE {
                    return Err(error("InvalidParameterValue"));
                }
                let url = request["QueueUrl"].as_str().unwrap().to_owned();
                self.queues.entry(url).or_default().push(request.clone());
                Ok(json!({"MessageId": "1"}))
            }
            "GetSecretValue" => match self.secrets.get(request["SecretId"].as_str().unwrap()) {
                Some(text) => Ok(json!({"VersionId": "1", "SecretString": text})),
                None => Err(error("ResourceNotFoundException")),
            },
            other => panic!("nobody uses {other}"),
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
            other => panic!("nobody uses {other}"),
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
        assert!(touched.len() <= 100, "a transaction is too large");
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
            (Some(asked), Some(index)) if asked == index.name => (index.hash, index.range),
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
            .filter(|(_, item)| Expression::new(condition, item, request).holds())
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
        let limit = request["Limit"].as_u64().map_or(usize::MAX, |limit| {
            usize::try_from(limit).expect("a small limit")
        });
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
