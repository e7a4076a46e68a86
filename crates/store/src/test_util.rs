//! A fake AWS for tests, and sample items.
//!
//! It stands where the HTTP client stands, so that a test goes through a
//! function's own configuration and the SDK's own serialisation, and sees the
//! calls to all services in one order. It answers as it is told to and knows
//! nothing: what a condition means is the business of DynamoDB, and that the
//! right condition is sent is the business of the test.

#![allow(
    clippy::expect_used,
    clippy::missing_panics_doc,
    clippy::panic,
    clippy::unwrap_used,
    reason = "only tests use it"
)]

pub mod clock;
mod expression;
pub mod memory;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_async::rt::sleep::{AsyncSleep, SharedAsyncSleep, Sleep, TokioSleep};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;
use aws_types::region::Region;
use jiff::{SignedDuration, Timestamp};
use offchain_oracle::{Aggregate, Reading, SignedReading, SigningKey, Slot};
use offchain_vrf::{SecretKey, Suite};
use serde_json::{Map, Value, json};

use crate::Moment;
use crate::oracle::Missed;
use crate::vrf::{Origin, RequestItem};

/// One call that was made.
#[derive(Clone, Debug)]
pub struct Call {
    /// The operation, such as `PutItem`.
    pub operation: String,
    /// The body. DynamoDB's attribute values are written plainly: `{"N":"1"}` is 1.
    pub body: Value,
    /// When it was made.
    pub at: Timestamp,
}

/// What a call is answered with.
#[derive(Clone, Debug)]
pub enum Reply {
    /// A status and a body.
    Http(u16, Value),
    /// Lambda's answer where the function failed, with this body.
    FunctionError(Value),
    /// The service cannot be reached.
    NoConnection,
    /// The service takes the call and never answers.
    Silence,
}

/// A successful reply.
#[must_use]
pub fn answer(body: Value) -> Reply {
    Reply::Http(200, body)
}

/// A successful reply that says nothing.
#[must_use]
pub fn done() -> Reply {
    answer(json!({}))
}

/// A reply with an error code.
#[must_use]
pub fn refusal(status: u16, code: &str) -> Reply {
    Reply::Http(
        status,
        json!({ "__type": code, "message": "as the test says" }),
    )
}

/// The reply of DynamoDB to a write whose condition does not hold.
#[must_use]
pub fn condition_failed() -> Reply {
    refusal(400, "ConditionalCheckFailedException")
}

/// As [`condition_failed`], with the item that the condition was held against,
/// for a write that asks for it.
#[must_use]
pub fn condition_failed_over(item: &Value) -> Reply {
    Reply::Http(
        400,
        json!({
            "__type": "ConditionalCheckFailedException",
            "message": "as the test says",
            "Item": attributes(item),
        }),
    )
}

/// The reply of DynamoDB to a transaction that it cancelled: for each part a
/// code, and the item that its condition was held against, where it tells.
#[must_use]
pub fn cancelled(reasons: &[(&str, Option<Value>)]) -> Reply {
    let reasons: Vec<Value> = reasons
        .iter()
        .map(|(code, item)| {
            let mut reason = json!({ "Code": code });
            if let Some(item) = item {
                reason["Item"] = attributes(item);
            }
            reason
        })
        .collect();
    Reply::Http(
        400,
        json!({
            "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
            "Message": "as the test says",
            "CancellationReasons": reasons,
        }),
    )
}

/// The reply of DynamoDB to a query.
#[must_use]
pub fn items(items: &[Value]) -> Reply {
    let items: Vec<Value> = items.iter().map(attributes).collect();
    answer(json!({ "Count": items.len(), "Items": items }))
}

/// As [`items`], where there are more after the item with this key.
#[must_use]
pub fn page(items: &[Value], last: &Value) -> Reply {
    let items: Vec<Value> = items.iter().map(attributes).collect();
    answer(json!({
        "Count": items.len(),
        "Items": items,
        "LastEvaluatedKey": attributes(last),
    }))
}

/// The reply of DynamoDB to the read of one item.
#[must_use]
pub fn item(item: &Value) -> Reply {
    answer(json!({ "Item": attributes(item) }))
}

/// The reply of DynamoDB to an update that asks for the item.
#[must_use]
pub fn updated(item: &Value) -> Reply {
    answer(json!({ "Attributes": attributes(item) }))
}

struct Rule {
    operation: &'static str,
    applies: Box<dyn Fn(&Value) -> bool + Send>,
    reply: Reply,
    once: bool,
}

#[derive(Default)]
struct State {
    rules: Vec<Rule>,
    calls: Vec<Call>,
}

/// The fake. Clones share their rules and calls.
#[derive(Clone, Default)]
pub struct FakeAws(Arc<Mutex<State>>);

impl std::fmt::Debug for FakeAws {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FakeAws")
    }
}

impl FakeAws {
    /// A fake that expects no call.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Answers the next call of `operation` that no earlier rule answers.
    #[must_use]
    pub fn on(self, operation: &'static str, reply: Reply) -> Self {
        self.rule(operation, Box::new(|_| true), reply, true)
    }

    /// Answers every call of `operation` that no earlier rule answers.
    #[must_use]
    pub fn always(self, operation: &'static str, reply: Reply) -> Self {
        self.rule(operation, Box::new(|_| true), reply, false)
    }

    /// Answers every call of `operation` whose body contains `text`.
    #[must_use]
    pub fn about(self, text: &'static str, operation: &'static str, reply: Reply) -> Self {
        let applies = Box::new(move |body: &Value| body.to_string().contains(text));
        self.rule(operation, applies, reply, false)
    }

    fn rule(
        self,
        operation: &'static str,
        applies: Box<dyn Fn(&Value) -> bool + Send>,
        reply: Reply,
        once: bool,
    ) -> Self {
        self.0.lock().unwrap().rules.push(Rule {
            operation,
            applies,
            reply,
            once,
        });
        self
    }

    /// The operations called so far, in their order.
    #[must_use]
    pub fn operations(&self) -> Vec<String> {
        self.calls()
            .into_iter()
            .map(|call| call.operation)
            .collect()
    }

    /// The calls so far, in their order.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.0.lock().unwrap().calls.clone()
    }

    /// The bodies of the calls of `operation`.
    #[must_use]
    pub fn sent(&self, operation: &str) -> Vec<Value> {
        self.calls()
            .into_iter()
            .filter(|call| call.operation == operation)
            .map(|call| call.body)
            .collect()
    }

    /// The body of the one call of `operation`.
    #[must_use]
    pub fn sent_once(&self, operation: &str) -> Value {
        let mut sent = self.sent(operation);
        assert_eq!(sent.len(), 1, "{operation}: {sent:?}");
        sent.remove(0)
    }

    /// What clients are made from that call this fake, each call once.
    #[must_use]
    pub fn sdk_config(&self) -> SdkConfig {
        let connector = SharedHttpConnector::new(self.clone());
        SdkConfig::builder()
            .region(Region::new("eu-central-1"))
            .credentials_provider(SharedCredentialsProvider::new(Credentials::new(
                "key", "secret", None, None, "test",
            )))
            .http_client(http_client_fn(move |_, _| connector.clone()))
            .sleep_impl(SharedAsyncSleep::new(Impatient))
            .retry_config(RetryConfig::disabled())
            .timeout_config(
                TimeoutConfig::builder()
                    .operation_attempt_timeout(PATIENCE)
                    .build(),
            )
            .build()
    }

    fn reply_to(&self, operation: &str, body: Value) -> Reply {
        let mut state = self.0.lock().unwrap();
        let found = state
            .rules
            .iter()
            .position(|rule| rule.operation == operation && (rule.applies)(&body));
        state.calls.push(Call {
            operation: operation.to_owned(),
            body,
            at: Timestamp::now(),
        });
        match found {
            Some(index) if state.rules[index].once => state.rules.remove(index).reply,
            Some(index) => state.rules[index].reply.clone(),
            None => {
                let call = state.calls.last().cloned();
                // Not poisoned, so that the test's own message is seen.
                drop(state);
                panic!("no reply is left for {call:?}");
            }
        }
    }
}

/// As long as a client of the fake waits for anything.
const PATIENCE: Duration = Duration::from_millis(200);

/// Cuts every wait, so that a test of a function that is more patient, or whose
/// client tries again, takes no longer.
#[derive(Debug)]
struct Impatient;

impl AsyncSleep for Impatient {
    fn sleep(&self, duration: Duration) -> Sleep {
        TokioSleep::new().sleep(duration.min(PATIENCE))
    }
}

impl HttpConnector for FakeAws {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (operation, body) = operation(&request);
        let is_query = !request.headers().contains_key("x-amz-target") && operation != "Invoke";
        match self.reply_to(&operation, plain(&body)) {
            Reply::Http(status, body) => {
                let text = if is_query {
                    xml(&operation, &body)
                } else {
                    body.to_string()
                };
                let status = status.try_into().expect("a status");
                HttpConnectorFuture::ready(Ok(HttpResponse::new(status, text.into())))
            }
            Reply::FunctionError(body) => {
                let status = 200.try_into().expect("a status");
                let mut response = HttpResponse::new(status, body.to_string().into());
                response
                    .headers_mut()
                    .insert("x-amz-function-error", "Unhandled");
                HttpConnectorFuture::ready(Ok(response))
            }
            Reply::NoConnection => {
                let error = ConnectorError::io("connection refused".into());
                HttpConnectorFuture::ready(Err(error))
            }
            Reply::Silence => HttpConnectorFuture::new(std::future::pending()),
        }
    }
}

/// What a request asks for. Most services name it in a header; Lambda has a path
/// for it, whose function is then added as `FunctionName` beside the `Payload`, and
/// SNS a form.
fn operation(request: &HttpRequest) -> (String, Value) {
    let body = request.body().bytes().unwrap_or_default();
    if let Some(target) = request.headers().get("x-amz-target") {
        let operation = target.rsplit('.').next().unwrap_or_default();
        let body = serde_json::from_slice(body).expect("a JSON body");
        return (operation.to_owned(), body);
    }
    let uri = request.uri().to_owned();
    if let Some((_, path)) = uri.split_once("/functions/") {
        let function = path.split('/').next().unwrap_or_default();
        let payload: Value = serde_json::from_slice(body).expect("a JSON payload");
        let body = json!({ "FunctionName": decoded(function), "Payload": payload });
        return ("Invoke".to_owned(), body);
    }
    let form = std::str::from_utf8(body).expect("a form");
    let mut fields: Map<String, Value> = form
        .split('&')
        .filter_map(|field| field.split_once('='))
        .map(|(name, value)| (decoded(name), decoded(value).into()))
        .collect();
    let action = fields.remove("Action").expect("an action");
    (action.as_str().expect("a text").to_owned(), fields.into())
}

/// A part of a URL or a form, as it was before it was escaped.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits: Vec<u8> = rest.by_ref().take(2).collect();
                hex::decode(digits).expect("two digits")[0]
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).expect("UTF-8")
}

/// What SNS answers: a message id, or an error with its code.
fn xml(operation: &str, body: &Value) -> String {
    match body["__type"].as_str() {
        Some(code) => format!(
            "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code>\
             <Message>as the test says</Message></Error></ErrorResponse>"
        ),
        None => format!(
            "<{operation}Response><{operation}Result><MessageId>m</MessageId>\
             </{operation}Result></{operation}Response>"
        ),
    }
}

/// An item as DynamoDB's JSON.
#[must_use]
pub fn attributes(item: &Value) -> Value {
    let fields = item.as_object().expect("an object");
    fields
        .iter()
        .map(|(name, value)| (name.clone(), attribute(value)))
        .collect::<Map<_, _>>()
        .into()
}

fn attribute(value: &Value) -> Value {
    match value {
        Value::String(text) => json!({ "S": text }),
        Value::Number(number) => json!({ "N": number.to_string() }),
        Value::Array(values) => {
            json!({ "L": values.iter().map(attribute).collect::<Vec<_>>() })
        }
        Value::Object(_) => json!({ "M": attributes(value) }),
        Value::Bool(_) => json!({ "BOOL": value }),
        Value::Null => json!({ "NULL": true }),
    }
}

fn plain(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            if let (1, Some((kind, value))) = (fields.len(), fields.iter().next()) {
                match (kind.as_str(), value) {
                    ("S", Value::String(_)) => return value.clone(),
                    ("N", Value::String(number)) => {
                        return serde_json::from_str(number).expect("a number");
                    }
                    ("L" | "M", inner) => return plain(inner),
                    ("BOOL", Value::Bool(_)) => return value.clone(),
                    ("NULL", Value::Bool(true)) => return Value::Null,
                    _ => {}
                }
            }
            fields
                .iter()
                .map(|(name, value)| (name.clone(), plain(value)))
                .collect::<Map<_, _>>()
                .into()
        }
        Value::Array(values) => values.iter().map(plain).collect(),
        other => other.clone(),
    }
}

/// The id of the sample request.
pub const REQUEST_ID: &str = "3f2a9c54-6c1e-4f0e-9d57-0a8f4e1b2c3d";

/// A time so many seconds from now.
#[must_use]
pub fn seconds_from_now(seconds: i64) -> Moment {
    (Timestamp::now() + SignedDuration::from_secs(seconds)).into()
}

/// A request for 1 to 6 that was due a second ago and expires in ten minutes.
#[must_use]
pub fn request() -> RequestItem {
    RequestItem {
        unique_identifier: REQUEST_ID.to_owned(),
        request_time: seconds_from_now(-31),
        fulfill_time_expected: Some(seconds_from_now(-1)),
        target_height: None,
        target_block_in_the_future: 1,
        min_random_value: 1,
        max_random_value: 6,
        seed: None,
        key_epoch: 1,
        deadline: seconds_from_now(600),
        origin: Origin::Schedule,
        submission: None,
        expiration: 2_000_000_000,
    }
}

/// The item of a request as the table holds it.
#[must_use]
pub fn stored(request: &RequestItem) -> Value {
    let mut item = serde_json::to_value(request).expect("an item");
    item["action"] = "request".into();
    item["open"] = "open".into();
    item
}

/// The item of the sample request's fulfilment, with these fields over those
/// of one that has just begun.
#[must_use]
pub fn fulfilment(fields: &Value) -> Value {
    let mut item = json!({
        "unique_identifier": REQUEST_ID,
        "action": "fulfill",
        "received_time": seconds_from_now(-30).to_string(),
        "failed_fulfill_attempts": 0,
        "expiration": 2_000_000_000,
    });
    for (name, value) in fields.as_object().expect("an object") {
        item[name] = value.clone();
    }
    item
}

/// The secret key of the sample epochs.
#[must_use]
pub fn secret_key() -> SecretKey {
    SecretKey::from_bytes(Suite::Edwards25519Sha512Tai, &[7; 32]).expect("a key")
}

/// An epoch of the sample key as the table holds it, active for an hour.
#[must_use]
pub fn epoch(number: u64) -> Value {
    json!({
        "key_set": "vrf",
        "epoch": number,
        "suite": "ECVRF-EDWARDS25519-SHA512-TAI",
        "public_key": hex::encode(secret_key().public_key().as_bytes()),
        "published_at": seconds_from_now(-3600).to_string(),
        "active_from": seconds_from_now(-3600).to_string(),
    })
}

/// The key that signs the sample readings.
#[must_use]
pub fn signing_key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

/// An epoch of the sample key of the oracle as the table holds it, active for
/// an hour.
#[must_use]
pub fn oracle_epoch(number: u64) -> Value {
    json!({
        "key_set": "oracle",
        "epoch": number,
        "suite": "ED25519",
        "public_key": signing_key().public_key().to_hex(),
        "published_at": seconds_from_now(-3600).to_string(),
        "active_from": seconds_from_now(-3600).to_string(),
    })
}

/// A feed as the table holds it.
#[must_use]
pub fn feed(id: &str, definition: &Value) -> Value {
    json!({ "feed": id, "definition": definition.to_string() })
}

/// A demo feed as the table holds it.
#[must_use]
pub fn demo_feed(id: &str) -> Value {
    feed(id, &json!({ "kind": "demo" }))
}

/// A demo feed's reading of 537, written so many milliseconds after its slot.
#[must_use]
pub fn reading(feed: &str, slot: Slot, late: i64) -> SignedReading {
    let observed = slot.timestamp() - SignedDuration::from_millis(30);
    let aggregate = Aggregate::demo(537, observed);
    Reading {
        feed: feed.parse().expect("a feed id"),
        slot,
        observed,
        written: slot.timestamp() + SignedDuration::from_millis(late),
        value: aggregate.value,
        exponent: 0,
        spread: aggregate.spread,
        sources: aggregate.sources,
        left_out: aggregate.left_out,
        key_epoch: 1,
    }
    .sign(&signing_key())
}

/// The record of that reading, a millisecond late, as the table holds it.
#[must_use]
pub fn published(feed: &str, slot: Slot) -> Value {
    let mut item = serde_json::to_value(reading(feed, slot, 1)).expect("an item");
    item["expiration"] = 2_000_000_000.into();
    item
}

/// What is said of a slot that was missed because its one source was stale.
#[must_use]
pub fn miss(feed: &str, slot: Slot) -> Missed {
    serde_json::from_value(json!({
        "feed": feed,
        "slot": slot,
        "reason": "QuorumNotReached",
        "left_out": [{ "source": "kraken", "reason": "SourceStale" }],
        "recorded": slot.timestamp(),
    }))
    .expect("a missed slot")
}

/// The record of that slot as the table holds it.
#[must_use]
pub fn missed(feed: &str, slot: Slot) -> Value {
    let mut item = serde_json::to_value(miss(feed, slot)).expect("an item");
    item["status"] = "missed".into();
    item["detail"] = "kraken SourceStale (for the operator alone)".into();
    item["expiration"] = 2_000_000_000.into();
    item
}

/// The reply of Secrets Manager with the text of a secret's version.
#[must_use]
pub fn secret(version: &str, text: &str) -> Reply {
    answer(json!({ "VersionId": version, "SecretString": text }))
}

/// The attributes that an update of DynamoDB sets, by name.
#[must_use]
pub fn written(update: &Value) -> Value {
    let expression = update["UpdateExpression"].as_str().unwrap();
    let set = expression.strip_prefix("SET ").unwrap();
    let set = set.split(" REMOVE ").next().unwrap();
    set.split(", ")
        .map(|assignment| {
            let (name, placeholder) = assignment.split_once(" = ").unwrap();
            let value = update["ExpressionAttributeValues"].get(placeholder);
            let value = value.unwrap_or_else(|| panic!("{placeholder} has no value"));
            (name.to_owned(), value.clone())
        })
        .collect::<Map<_, _>>()
        .into()
}

/// The parts of the one transaction of DynamoDB that was made.
#[must_use]
pub fn parts(aws: &FakeAws) -> Vec<Value> {
    let sent = aws.sent_once("TransactWriteItems");
    sent["TransactItems"].as_array().unwrap().clone()
}

/// Whether a number of nanoseconds is a time from `before` until now.
#[track_caller]
pub fn assert_now(nanoseconds: &Value, before: Timestamp) {
    let time = nanoseconds.as_i64().unwrap();
    assert!(before.as_nanosecond() <= i128::from(time));
    assert!(i128::from(time) <= Timestamp::now().as_nanosecond());
}

/// Whether a text is a time from `before` until now, as tables hold it.
#[track_caller]
pub fn assert_just_now(text: &Value, before: Timestamp) {
    let time: Moment = serde_json::from_value(text.clone()).unwrap();
    assert!(Moment::from(before) <= time && time.timestamp() <= Timestamp::now());
}
