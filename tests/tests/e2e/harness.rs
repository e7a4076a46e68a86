//! What every end-to-end test needs: the stack, its clients, the API, the
//! `offchain` command, settings that are put back, and waits.

use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::pin::Pin;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::{Environment, InvocationType, LastUpdateStatus};
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName, QueueAttributeName};
use aws_smithy_http_client::{Builder, tls};
use offchain_store::keys::{KeyEpoch, KeyEpochs};
use offchain_store::oracle::{Feeds, Readings};
use offchain_store::vrf::{Record, Requests};
use offchain_vrf::ProofBundle;
use reqwest::header::HeaderMap;
use reqwest::{Method, Url};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// How long a test waits for what takes seconds when all is well. Long, because
/// the machine may be busy: a test that passes never waits this long.
pub(crate) const SOON: Duration = Duration::from_secs(120);
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// The Terraform output `stack`.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Stack {
    pub(crate) name: String,
    pub(crate) region: String,
    pub(crate) api_url: String,
    pub(crate) alarm_topic_arn: String,
    pub(crate) queues: BTreeMap<String, Queue>,
    pub(crate) vrf: Vrf,
    pub(crate) oracle: Oracle,
    pub(crate) rides: RidesStack,
    pub(crate) faucet: FaucetStack,
    pub(crate) ledger: LedgerStack,
    pub(crate) redrive: Redrive,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Queue {
    pub(crate) url: String,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Vrf {
    pub(crate) table: String,
    pub(crate) keys_table: String,
    pub(crate) queue_url: String,
    pub(crate) state_machine_arn: String,
    pub(crate) key_secret_arn: String,
    pub(crate) api_tokens_secret_arn: String,
    pub(crate) functions: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Oracle {
    pub(crate) table: String,
    pub(crate) feeds_table: String,
    pub(crate) keys_table: String,
    pub(crate) key_secret_arn: String,
    pub(crate) headers_secret_arn: String,
    pub(crate) state_machine_arn: String,
    pub(crate) machine_type: String,
    pub(crate) interval_seconds: u32,
    pub(crate) lead_seconds: u32,
    pub(crate) functions: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct RidesStack {
    pub(crate) table: String,
    pub(crate) fleet_table: String,
    pub(crate) topic_arn: String,
    pub(crate) record_url: String,
    pub(crate) functions: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct FaucetStack {
    pub(crate) network: String,
    pub(crate) table: String,
    pub(crate) payouts_table: String,
    pub(crate) locks_table: String,
    pub(crate) limits_table: String,
    pub(crate) queue_url: String,
    pub(crate) state_machine_arn: String,
    pub(crate) key_secret_arn: String,
    pub(crate) intake_secret_arn: String,
    pub(crate) functions: BTreeMap<String, String>,
    /// What `offchain faucet serve` starts from.
    pub(crate) environment: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct LedgerStack {
    /// The BigchainDB node.
    pub(crate) node: String,
    pub(crate) events_table: String,
    pub(crate) assets_table: String,
    pub(crate) drivers_table: String,
    pub(crate) deliveries_table: String,
    pub(crate) locks_table: String,
    pub(crate) queue_url: String,
    pub(crate) state_machine_arn: String,
    pub(crate) subscribers: Vec<SubscriberStack>,
    pub(crate) functions: BTreeMap<String, String>,
    /// What `offchain ledger listen` starts from.
    pub(crate) environment: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct SubscriberStack {
    pub(crate) name: String,
    pub(crate) url: String,
    pub(crate) secret_arn: String,
}

#[derive(Clone, Debug, Deserialize)]
#[allow(dead_code, reason = "not every member is needed yet")]
pub(crate) struct Redrive {
    pub(crate) table: String,
    pub(crate) state_machine_arn: String,
    pub(crate) function: String,
    pub(crate) max_redrives: u32,
}

/// A function's or a queue's name without the suite's: `oracle-publish`. Where
/// it names no subsystem, it is the VRF's: `fulfil` is `vrf-fulfil`.
pub(crate) fn full_name(name: &str) -> String {
    let others = ["oracle-", "rides-", "faucet-", "ledger-", "dlq-"];
    if others.iter().any(|subsystem| name.starts_with(subsystem)) {
        name.to_owned()
    } else {
        format!("vrf-{name}")
    }
}

/// Tests run side by side; the stack's settings are one. Who needs them as
/// deployed shares them, who changes them has them alone.
static SETTINGS: RwLock<()> = RwLock::const_new(());
/// Reading a dead-letter queue hides its messages from other readers.
static DEAD_LETTERS: Mutex<()> = Mutex::const_new(());

enum Turn {
    Shared(#[allow(dead_code, reason = "held, not read")] RwLockReadGuard<'static, ()>),
    Alone(RwLockWriteGuard<'static, ()>),
    /// Of a stack that nobody else knows.
    None,
}

/// The stack and everything to reach it with.
pub(crate) struct World {
    pub(crate) stack: Stack,
    pub(crate) config: SdkConfig,
    pub(crate) dynamodb: aws_sdk_dynamodb::Client,
    pub(crate) sqs: aws_sdk_sqs::Client,
    pub(crate) sfn: aws_sdk_sfn::Client,
    pub(crate) lambda: aws_sdk_lambda::Client,
    pub(crate) cloudwatch: aws_sdk_cloudwatch::Client,
    pub(crate) secrets: aws_sdk_secretsmanager::Client,
    pub(crate) sns: aws_sdk_sns::Client,
    pub(crate) requests: Requests,
    pub(crate) keys: KeyEpochs,
    pub(crate) feeds: Feeds,
    pub(crate) readings: Readings,
    pub(crate) oracle_keys: KeyEpochs,
    pub(crate) api: Api,
    // The last field: the turn ends when all else is gone.
    turn: Turn,
}

/// Ends the whole target where there is no stack of its own to test.
fn stack() -> Stack {
    if std::env::var_os("OFFCHAIN_E2E").is_none() {
        // Past the test runner, which captures what tests print.
        let _ = writeln!(
            std::io::stderr(),
            "\n\nSKIPPED: not one end-to-end test ran. They need a stack that they may break: scripts/test --e2e\n"
        );
        std::process::exit(0);
    }
    let path = std::env::var("OFFCHAIN_STACK").expect("OFFCHAIN_STACK names the stack's outputs");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The endpoint is the environment's unless it is given.
async fn sdk_config(region: String, endpoint: Option<String>) -> SdkConfig {
    let mut loader = aws_config::defaults(BehaviorVersion::latest());
    if let Some(endpoint) = endpoint {
        loader = loader.endpoint_url(endpoint);
    }
    loader
        .region(Region::new(region))
        .http_client(
            Builder::new()
                .tls_provider(tls::Provider::Rustls(
                    tls::rustls_provider::CryptoMode::Ring,
                ))
                .build_https(),
        )
        .load()
        .await
}

impl World {
    /// For a test that needs the settings as they were deployed.
    pub(crate) async fn shared() -> Self {
        let stack = stack();
        let turn = Turn::Shared(SETTINGS.read().await);
        Self::new(stack, turn).await
    }

    /// For a test that changes settings, or needs a queue or an alarm for itself.
    pub(crate) async fn alone() -> Self {
        let stack = stack();
        let turn = Turn::Alone(SETTINGS.write().await);
        Self::new(stack, turn).await
    }

    /// Another stack than the tested one, at an endpoint of its own.
    pub(crate) async fn of(stack: Stack, endpoint: &str) -> Self {
        let config = sdk_config(stack.region.clone(), Some(endpoint.to_owned())).await;
        Self::with(stack, config, Turn::None)
    }

    /// Lets others in again, who share the settings: they are as deployed now.
    pub(crate) fn no_longer_alone(mut self) -> Self {
        if let Turn::Alone(turn) = self.turn {
            self.turn = Turn::Shared(turn.downgrade());
        }
        self
    }

    async fn new(stack: Stack, turn: Turn) -> Self {
        let config = sdk_config(stack.region.clone(), None).await;
        Self::with(stack, config, turn)
    }

    fn with(stack: Stack, config: SdkConfig, turn: Turn) -> Self {
        let dynamodb = aws_sdk_dynamodb::Client::new(&config);
        Self {
            requests: Requests::new(dynamodb.clone(), stack.vrf.table.clone()),
            keys: KeyEpochs::vrf(dynamodb.clone(), stack.vrf.keys_table.clone()),
            feeds: Feeds::new(dynamodb.clone(), stack.oracle.feeds_table.clone()),
            readings: Readings::new(dynamodb.clone(), stack.oracle.table.clone()),
            oracle_keys: KeyEpochs::oracle(dynamodb.clone(), stack.oracle.keys_table.clone()),
            sqs: aws_sdk_sqs::Client::new(&config),
            sfn: aws_sdk_sfn::Client::new(&config),
            lambda: aws_sdk_lambda::Client::new(&config),
            cloudwatch: aws_sdk_cloudwatch::Client::new(&config),
            secrets: aws_sdk_secretsmanager::Client::new(&config),
            sns: aws_sdk_sns::Client::new(&config),
            api: Api::at(&stack.api_url),
            dynamodb,
            config,
            stack,
            turn,
        }
    }

    /// The deployed name of a function: of the VRF's `fulfil`, `rotate-key`, …,
    /// of the oracle's `oracle-publish`, `oracle-rotate-key`, …, of the rides'
    /// `rides-request`, …, of the faucet's `faucet-pay`, …, of the ledger's
    /// `ledger-listen`, …; and `dlq-redrive`.
    pub(crate) fn function(&self, role: &str) -> &str {
        let stack = &self.stack;
        match role.split_once('-') {
            Some(("oracle", role)) => &stack.oracle.functions[role],
            Some(("rides", role)) => &stack.rides.functions[role],
            Some(("faucet", role)) => &stack.faucet.functions[role],
            Some(("ledger", role)) => &stack.ledger.functions[role],
            Some(("dlq", "redrive")) => &stack.redrive.function,
            _ => &stack.vrf.functions[role],
        }
    }

    /// The doors of the rides, and their table.
    pub(crate) fn rides(&self) -> Rides<'_> {
        Rides { world: self }
    }

    /// The URL of a queue: of the VRF's `requests-dlq`, …, of the oracle's
    /// `oracle-minutes-dlq`, …, of the rides' `rides-record-dlq`, …, of the
    /// faucet's `faucet-claims-dlq`, …, of the ledger's `ledger-transactions-dlq`, …
    pub(crate) fn queue(&self, name: &str) -> &str {
        &self.stack.queues[&format!("{}-{}", self.stack.name, full_name(name))].url
    }

    /// Sets a function's environment variables (`None` takes one away) until
    /// the returned value is dropped.
    pub(crate) async fn set_env(&self, role: &str, changes: &[(&str, Option<&str>)]) -> Undo {
        let function = self.function(role).to_owned();
        let before = environment(&self.lambda, &function).await;
        let mut after = before.clone();
        for (name, value) in changes {
            match value {
                Some(value) => after.insert((*name).to_owned(), (*value).to_owned()),
                None => after.remove(*name),
            };
        }
        set_environment(&self.lambda, &function, after).await;
        self.undo(move |config| {
            Box::pin(async move {
                set_environment(&aws_sdk_lambda::Client::new(&config), &function, before).await;
            })
        })
    }

    /// Puts a text into a secret until the returned value is dropped.
    pub(crate) async fn set_secret(&self, arn: &str, text: &str) -> Undo {
        let before = self.secret(arn).await;
        self.put_secret(arn, text).await;
        let arn = arn.to_owned();
        self.undo(move |config| {
            Box::pin(async move {
                aws_sdk_secretsmanager::Client::new(&config)
                    .put_secret_value()
                    .secret_id(arn)
                    .secret_string(before)
                    .send()
                    .await
                    .unwrap();
            })
        })
    }

    pub(crate) async fn secret(&self, arn: &str) -> String {
        let reply = self.secrets.get_secret_value().secret_id(arn).send().await;
        reply.unwrap().secret_string.unwrap()
    }

    pub(crate) async fn put_secret(&self, arn: &str, text: &str) {
        self.secrets
            .put_secret_value()
            .secret_id(arn)
            .secret_string(text)
            .send()
            .await
            .unwrap();
    }

    /// Leaves messages in the queue `requests` until the returned value is dropped.
    pub(crate) async fn hold_messages(&self) -> Undo {
        self.hold_messages_of("start").await
    }

    /// Leaves messages in the queue of a function until the returned value is dropped.
    pub(crate) async fn hold_messages_of(&self, role: &str) -> Undo {
        let function = self.function(role).to_owned();
        switch_source(&self.lambda, &function, false).await;
        self.undo(move |config| {
            Box::pin(async move {
                switch_source(&aws_sdk_lambda::Client::new(&config), &function, true).await;
            })
        })
    }

    /// The bodies of the visible messages of a queue that speak of an id. They
    /// stay in it: nothing else may read the queue at the time.
    pub(crate) async fn messages_about(&self, queue: &str, id: &str) -> Vec<Value> {
        let mut all = Vec::new();
        loop {
            let batch = self
                .sqs
                .receive_message()
                .queue_url(self.queue(queue))
                .max_number_of_messages(10)
                .visibility_timeout(60)
                .wait_time_seconds(0)
                .send()
                .await
                .unwrap();
            let batch = batch.messages.unwrap_or_default();
            if batch.is_empty() {
                break;
            }
            all.extend(batch);
        }
        for message in &all {
            self.show_again(queue, message).await;
        }
        all.iter()
            .filter_map(Message::body)
            .filter(|body| body.contains(id))
            .map(|body| serde_json::from_str(body).unwrap())
            .collect()
    }

    async fn show_again(&self, queue: &str, message: &Message) {
        self.sqs
            .change_message_visibility()
            .queue_url(self.queue(queue))
            .set_receipt_handle(message.receipt_handle.clone())
            .visibility_timeout(0)
            .send()
            .await
            .unwrap();
    }

    /// What `undo` does happens when the returned value is dropped, however the
    /// test ends. Declare it after the `World`.
    pub(crate) fn undo(
        &self,
        undo: impl FnOnce(SdkConfig) -> Pin<Box<dyn Future<Output = ()>>> + Send + 'static,
    ) -> Undo {
        let endpoint = self.config.endpoint_url().map(ToOwned::to_owned);
        Undo(Some((self.stack.region.clone(), endpoint, Box::new(undo))))
    }

    /// Invokes a function and waits for its reply: `Err` holds Lambda's error
    /// document.
    pub(crate) async fn invoke(&self, role: &str, event: &Value) -> Result<Value, Value> {
        let reply = self
            .lambda
            .invoke()
            .function_name(self.function(role))
            .payload(Blob::new(event.to_string()))
            .send()
            .await
            .unwrap();
        let payload = reply.payload.map(Blob::into_inner).unwrap_or_default();
        let payload = serde_json::from_slice(&payload).unwrap_or(Value::Null);
        match reply.function_error {
            None => Ok(payload),
            Some(_) => Err(payload),
        }
    }

    /// Invokes a function as a schedule does: the reply is for nobody.
    pub(crate) async fn invoke_later(&self, role: &str, event: &Value) {
        let reply = self
            .lambda
            .invoke()
            .function_name(self.function(role))
            .invocation_type(InvocationType::Event)
            .payload(Blob::new(event.to_string()))
            .send()
            .await
            .unwrap();
        assert_eq!(reply.status_code, 202);
    }

    /// Calls a service that one of the JSON protocols reaches: one call is not
    /// worth a crate of the SDK. The emulator does not check a root key's
    /// signature.
    pub(crate) async fn call(&self, service: &str, target: &str, body: &Value) -> Value {
        let endpoint = self.config.endpoint_url().map(ToOwned::to_owned);
        let endpoint = endpoint.unwrap_or_else(|| std::env::var("AWS_ENDPOINT_URL").unwrap());
        let key = format!("Credential=test/20260101/us-east-1/{service}/aws4_request");
        let reply = reqwest::Client::new()
            .post(endpoint)
            .header("x-amz-target", target)
            .header("content-type", "application/x-amz-json-1.1")
            .header(
                "authorization",
                format!("AWS4-HMAC-SHA256 {key}, SignedHeaders=host, Signature=none"),
            )
            .body(body.to_string())
            .send()
            .await
            .unwrap();
        let (status, text) = (reply.status(), reply.text().await.unwrap());
        assert!(status.is_success(), "{target}: {text}");
        serde_json::from_str(&text).unwrap()
    }

    /// What a function has logged that holds a text, line by line.
    pub(crate) async fn logged(&self, role: &str, text: &str) -> Vec<String> {
        let group = format!("/aws/lambda/{}", self.function(role));
        let (mut lines, mut token) = (Vec::new(), Value::Null);
        loop {
            let mut call = json!({"logGroupName": group});
            if !token.is_null() {
                call["nextToken"] = token;
            }
            let page = self
                .call("logs", "Logs_20140328.FilterLogEvents", &call)
                .await;
            let found = page["events"].as_array().unwrap().iter();
            let found = found.filter_map(|event| event["message"].as_str());
            lines.extend(found.filter(|line| line.contains(text)).map(str::to_owned));
            token = page["nextToken"].clone();
            if token.is_null() {
                return lines;
            }
        }
    }

    /// A queue that hears what a topic says, until it is dropped.
    pub(crate) async fn inbox(&self, topic: &str) -> Inbox {
        let name = format!("{}-test-inbox-{}", self.stack.name, unique());
        let created = self.sqs.create_queue().queue_name(name).send().await;
        let url = created.unwrap().queue_url.unwrap();
        let reply = self
            .sqs
            .get_queue_attributes()
            .queue_url(&url)
            .attribute_names(QueueAttributeName::QueueArn)
            .send()
            .await
            .unwrap();
        let arn = reply.attributes.unwrap()[&QueueAttributeName::QueueArn].clone();
        let policy = json!({
            "Version": "2012-10-17",
            "Statement": [{
                "Effect": "Allow",
                "Principal": {"Service": "sns.amazonaws.com"},
                "Action": "sqs:SendMessage",
                "Resource": arn,
                "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
            }],
        });
        self.sqs
            .set_queue_attributes()
            .queue_url(&url)
            .attributes(QueueAttributeName::Policy, policy.to_string())
            .send()
            .await
            .unwrap();
        let subscribed = self
            .sns
            .subscribe()
            .topic_arn(topic)
            .protocol("sqs")
            .endpoint(&arn)
            .send()
            .await
            .unwrap();
        let (subscription, gone) = (subscribed.subscription_arn.unwrap(), url.clone());
        let undo = self.undo(move |config| {
            Box::pin(async move {
                let sns = aws_sdk_sns::Client::new(&config);
                sns.unsubscribe()
                    .subscription_arn(subscription)
                    .send()
                    .await
                    .unwrap();
                let sqs = aws_sdk_sqs::Client::new(&config);
                sqs.delete_queue().queue_url(gone).send().await.unwrap();
            })
        });
        Inbox {
            sqs: self.sqs.clone(),
            url,
            _gone: undo,
        }
    }

    /// A request as the table holds it.
    pub(crate) async fn record(&self, id: &str) -> Record {
        let record = self.requests.load(id).await.unwrap();
        record.unwrap_or_else(|| panic!("there is no request {id}"))
    }

    /// One item, as DynamoDB holds it: `action` is `request` or `fulfill`.
    pub(crate) async fn item(
        &self,
        id: &str,
        action: &str,
    ) -> Option<HashMap<String, AttributeValue>> {
        self.dynamodb
            .get_item()
            .table_name(&self.stack.vrf.table)
            .key("unique_identifier", AttributeValue::S(id.to_owned()))
            .key("action", AttributeValue::S(action.to_owned()))
            .consistent_read(true)
            .send()
            .await
            .unwrap()
            .item
    }

    /// Waits until each of the requests has its value or has expired, and
    /// returns them in the order of the ids.
    pub(crate) async fn closed(&self, ids: &[String], limit: Duration) -> Vec<Record> {
        let mut closed = HashMap::new();
        let what = format!("{} requests to be closed", ids.len());
        until(&what, limit, async || {
            for id in ids {
                if closed.contains_key(id) {
                    continue;
                }
                let record = self.record(id).await;
                record.outcome().unwrap()?;
                closed.insert(id.clone(), record);
            }
            Some(())
        })
        .await;
        ids.iter().map(|id| closed.remove(id).unwrap()).collect()
    }

    pub(crate) fn execution_arn(&self, id: &str) -> String {
        let arn = self
            .stack
            .vrf
            .state_machine_arn
            .replace(":stateMachine:", ":execution:");
        format!("{arn}:{id}")
    }

    /// The events of a request's execution, the oldest first.
    pub(crate) async fn history(&self, id: &str) -> Vec<aws_sdk_sfn::types::HistoryEvent> {
        let (mut events, mut token) = (Vec::new(), None);
        loop {
            let page = self
                .sfn
                .get_execution_history()
                .execution_arn(self.execution_arn(id))
                .max_results(1000)
                .set_next_token(token)
                .send()
                .await
                .unwrap();
            events.extend(page.events);
            token = page.next_token;
            if token.is_none() {
                return events;
            }
        }
    }

    /// Waits for a dead letter for which `wanted` holds, takes it out of the
    /// queue and returns it. All others stay.
    pub(crate) async fn dead_letter(
        &self,
        queue: &str,
        what: &str,
        wanted: impl Fn(&Message) -> bool,
    ) -> Message {
        let what = format!("a dead letter in {queue}: {what}");
        until(&what, SOON, async || {
            self.dead_letters(queue, &wanted).await.pop()
        })
        .await
    }

    /// Takes every dead letter for which `wanted` holds out of the queue.
    pub(crate) async fn dead_letters(
        &self,
        queue: &str,
        wanted: impl Fn(&Message) -> bool,
    ) -> Vec<Message> {
        let _reading = self.reading_dead_letters().await;
        let url = self.queue(queue);
        let mut all = Vec::new();
        loop {
            let batch = self
                .sqs
                .receive_message()
                .queue_url(url)
                .max_number_of_messages(10)
                .visibility_timeout(60)
                .wait_time_seconds(0)
                .message_attribute_names("All")
                .message_system_attribute_names(MessageSystemAttributeName::All)
                .send()
                .await
                .unwrap();
            let batch = batch.messages.unwrap_or_default();
            if batch.is_empty() {
                break;
            }
            all.extend(batch);
        }
        let (taken, left): (Vec<_>, Vec<_>) = all.into_iter().partition(|letter| wanted(letter));
        for letter in &left {
            self.show_again(queue, letter).await;
        }
        for letter in &taken {
            self.sqs
                .delete_message()
                .queue_url(url)
                .set_receipt_handle(letter.receipt_handle.clone())
                .send()
                .await
                .unwrap();
        }
        taken
    }

    /// Held while dead letters are read, by the command too.
    pub(crate) async fn reading_dead_letters(&self) -> MutexGuard<'static, ()> {
        DEAD_LETTERS.lock().await
    }

    /// Messages in a queue: waiting, delayed or in flight.
    pub(crate) async fn depth(&self, queue: &str) -> u32 {
        let counts = [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesDelayed,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
        ];
        let reply = self
            .sqs
            .get_queue_attributes()
            .queue_url(self.queue(queue))
            .set_attribute_names(Some(counts.to_vec()))
            .send()
            .await
            .unwrap();
        let attributes = reply.attributes.unwrap_or_default();
        let count = |name| {
            attributes
                .get(name)
                .map_or(0, |count| count.parse().unwrap())
        };
        counts.iter().map(count).sum::<u32>()
    }

    /// Each alarm's state: `OK`, `ALARM` or `INSUFFICIENT_DATA`.
    pub(crate) async fn alarms(&self) -> BTreeMap<String, String> {
        let (mut alarms, mut token) = (BTreeMap::new(), None);
        loop {
            let page = self
                .cloudwatch
                .describe_alarms()
                .alarm_name_prefix(format!("{}-", self.stack.name))
                .set_next_token(token)
                .send()
                .await
                .unwrap();
            for alarm in page.metric_alarms.unwrap_or_default() {
                let state = alarm.state_value.unwrap().as_str().to_owned();
                alarms.insert(alarm.alarm_name.unwrap(), state);
            }
            token = page.next_token;
            if token.is_none() {
                return alarms;
            }
        }
    }
}

/// The rides, as their callers see them, and what is recorded of them.
pub(crate) struct Rides<'a> {
    world: &'a World,
}

/// An item, as DynamoDB holds it.
pub(crate) type Item = HashMap<String, AttributeValue>;

impl Rides<'_> {
    /// Asks for a ride, whatever the body.
    pub(crate) async fn post_ride(&self, body: impl Into<reqwest::Body>) -> Reply {
        let headers = [("content-type", "application/json")];
        let api = &self.world.api;
        api.send(Method::POST, "/ride", &headers, body).await
    }

    /// Takes a ride and returns it, as it was answered.
    pub(crate) async fn ride(&self) -> Value {
        let reply = self.post_ride(HERE).await;
        assert_eq!(reply.status, 201, "{}", reply.body);
        reply.body
    }

    /// Has a ride recorded over HTTP.
    pub(crate) async fn record(&self, body: impl Into<reqwest::Body>) -> Reply {
        let headers = [("content-type", "application/json")];
        let api = &self.world.api;
        api.send(Method::POST, "/record", &headers, body).await
    }

    /// What is recorded of a ride.
    pub(crate) async fn item(&self, id: &str) -> Option<Item> {
        self.world
            .dynamodb
            .get_item()
            .table_name(&self.world.stack.rides.table)
            .key("RideId", AttributeValue::S(id.to_owned()))
            .consistent_read(true)
            .send()
            .await
            .unwrap()
            .item
    }

    /// Waits until a ride is recorded.
    pub(crate) async fn recorded(&self, id: &str) -> Item {
        until(&format!("ride {id} to be recorded"), SOON, async || {
            self.item(id).await
        })
        .await
    }

    /// Everything that is recorded.
    pub(crate) async fn items(&self) -> Vec<Item> {
        let scan = self.world.dynamodb.scan();
        scan.table_name(&self.world.stack.rides.table)
            .consistent_read(true)
            .into_paginator()
            .items()
            .send()
            .collect::<Result<_, _>>()
            .await
            .unwrap()
    }

    /// How many rides are recorded.
    pub(crate) async fn count(&self) -> usize {
        self.items().await.len()
    }
}

/// A body of `POST /ride`.
pub(crate) const HERE: &str = r#"{"PickupLocation":{"Latitude":42.35,"Longitude":-71.05}}"#;

/// The id of a ride that was answered.
pub(crate) fn ride_id(ride: &Value) -> &str {
    ride["RideId"].as_str().unwrap()
}

pub(crate) async fn environment(
    lambda: &aws_sdk_lambda::Client,
    function: &str,
) -> HashMap<String, String> {
    let reply = lambda
        .get_function_configuration()
        .function_name(function)
        .send()
        .await
        .unwrap();
    reply.environment.unwrap().variables.unwrap_or_default()
}

pub(crate) async fn set_environment(
    lambda: &aws_sdk_lambda::Client,
    function: &str,
    variables: HashMap<String, String>,
) {
    lambda
        .update_function_configuration()
        .function_name(function)
        .environment(
            Environment::builder()
                .set_variables(Some(variables))
                .build(),
        )
        .send()
        .await
        .unwrap();
    until("the function's update", SOON, async || {
        let reply = lambda
            .get_function_configuration()
            .function_name(function)
            .send()
            .await
            .unwrap();
        (reply.last_update_status != Some(LastUpdateStatus::InProgress)).then_some(())
    })
    .await;
}

/// Turns the event source of a function on or off.
async fn switch_source(lambda: &aws_sdk_lambda::Client, function: &str, on: bool) {
    let sources = lambda
        .list_event_source_mappings()
        .function_name(function)
        .send()
        .await;
    let sources = sources.unwrap().event_source_mappings.unwrap_or_default();
    let id = sources[0].uuid.clone().unwrap();
    lambda
        .update_event_source_mapping()
        .uuid(&id)
        .enabled(on)
        .send()
        .await
        .unwrap();
    let state = if on { "Enabled" } else { "Disabled" };
    until(
        &format!("the event source to be {state}"),
        SOON,
        async || {
            let source = lambda
                .get_event_source_mapping()
                .uuid(&id)
                .send()
                .await
                .unwrap();
            (source.state.as_deref() == Some(state)).then_some(())
        },
    )
    .await;
}

type Undoing = Box<dyn FnOnce(SdkConfig) -> Pin<Box<dyn Future<Output = ()>>> + Send>;

/// What is to be done when this is dropped.
#[must_use = "it is undone at once"]
pub(crate) struct Undo(Option<(String, Option<String>, Undoing)>);

impl Drop for Undo {
    fn drop(&mut self) {
        let Some((region, endpoint, undo)) = self.0.take() else {
            return;
        };
        // A thread with a runtime of its own: the test's may be unwinding.
        let undone = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.unwrap().block_on(async {
                undo(sdk_config(region, endpoint).await).await;
            });
        })
        .join();
        if undone.is_err() && !std::thread::panicking() {
            panic!("a setting could not be put back");
        }
    }
}

/// A queue that hears what a topic says.
pub(crate) struct Inbox {
    sqs: aws_sdk_sqs::Client,
    url: String,
    _gone: Undo,
}

impl Inbox {
    /// The next notifications that are there, each of which comes once.
    pub(crate) async fn hear(&self) -> Vec<Value> {
        let reply = self
            .sqs
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(10)
            .send()
            .await
            .unwrap();
        let mut notifications = Vec::new();
        for message in reply.messages.unwrap_or_default() {
            notifications.push(serde_json::from_str(message.body().unwrap()).unwrap());
            self.sqs
                .delete_message()
                .queue_url(&self.url)
                .set_receipt_handle(message.receipt_handle)
                .send()
                .await
                .unwrap();
        }
        notifications
    }
}

/// Looks until there is something to see. Panics at the limit, saying what was
/// waited for.
pub(crate) async fn until<T>(
    what: &str,
    limit: Duration,
    mut look: impl AsyncFnMut() -> Option<T>,
) -> T {
    let start = Instant::now();
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(
            start.elapsed() < limit,
            "waited {} s in vain for {what}",
            limit.as_secs()
        );
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Says what was measured, past the test runner, which captures what tests print.
pub(crate) fn report(text: &str) {
    let _ = writeln!(std::io::stdout(), "measured: {text}");
}

/// A text that nothing else has.
pub(crate) fn unique() -> String {
    uuid::Builder::from_random_bytes(rand::random())
        .into_uuid()
        .to_string()
}

/// A dead letter's attribute, such as `ErrorCode`.
pub(crate) fn attribute(message: &Message, name: &str) -> Option<String> {
    let attributes = message.message_attributes.as_ref()?;
    attributes.get(name)?.string_value.clone()
}

/// The API, as any HTTP client sees it.
pub(crate) struct Api {
    client: reqwest::Client,
    url: Url,
    token: String,
}

/// A reply of the API.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    /// The JSON body, or the text where it is none.
    pub(crate) body: Value,
    /// The body as it came.
    pub(crate) text: String,
}

impl Api {
    /// The API at a URL, which the tests' token is for.
    pub(crate) fn at(url: &str) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let url: Url = url.parse().unwrap();
        let mut builder = reqwest::Client::builder().timeout(Duration::from_secs(60));
        if let Some(host) = url.host_str().filter(|host| host.ends_with(".localhost")) {
            let port = url.port_or_known_default().unwrap();
            builder = builder.resolve(host, SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        }
        Self {
            client: builder.build().unwrap(),
            token: std::env::var("OFFCHAIN_API_TOKEN").expect("OFFCHAIN_API_TOKEN is a token"),
            url,
        }
    }

    pub(crate) fn token(&self) -> &str {
        self.token.trim()
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<reqwest::Body>,
    ) -> Reply {
        let mut url = self.url.clone();
        let (path, query) = match path.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (path, None),
        };
        url.set_path(path);
        url.set_query(query);
        let mut request = self.client.request(method, url).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let reply = request.send().await.unwrap();
        let (status, headers) = (reply.status().as_u16(), reply.headers().clone());
        let bytes = reply.bytes().await.unwrap();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let body = serde_json::from_str(&text).unwrap_or_else(|_| Value::from(text.as_str()));
        Reply {
            status,
            headers,
            body,
            text,
        }
    }

    /// Posts a request under an idempotency key.
    pub(crate) async fn post(&self, key: &str, body: &Value) -> Reply {
        let token = format!("Bearer {}", self.token());
        let headers = [
            ("authorization", token.as_str()),
            ("idempotency-key", key),
            ("content-type", "application/json"),
        ];
        self.send(Method::POST, "/v1/vrf/requests", &headers, body.to_string())
            .await
    }

    /// Makes a new request and returns its id.
    pub(crate) async fn request(&self, body: &Value) -> String {
        let reply = self.post(&unique(), body).await;
        assert_eq!(reply.status, 202, "{}", reply.body);
        reply.body["request_id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.send(Method::GET, path, &[], "").await
    }

    /// A request as the API shows it.
    pub(crate) async fn show(&self, id: &str) -> Value {
        let reply = self.get(&format!("/v1/vrf/requests/{id}")).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        reply.body
    }

    /// Waits until the API shows a request as closed.
    pub(crate) async fn closed(&self, id: &str, limit: Duration) -> Value {
        until(&format!("request {id} to be closed"), limit, async || {
            let view = self.show(id).await;
            (view["status"] != "pending").then_some(view)
        })
        .await
    }

    /// Makes a request that is due at once, and returns its fulfilled view.
    pub(crate) async fn fulfilled(&self) -> Value {
        let id = self.request(&json!({"min": 1, "max": 6})).await;
        let view = self.closed(&id, SOON).await;
        assert_eq!(view["status"], "fulfilled", "{view}");
        view
    }

    /// The VRF's published keys, the newest first.
    pub(crate) async fn keys(&self) -> Vec<KeyEpoch> {
        let reply = self.get("/v1/vrf/keys").await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        Vec::deserialize(&reply.body["keys"]).unwrap()
    }

    /// The oracle's published keys, the newest first.
    pub(crate) async fn oracle_keys(&self) -> Vec<KeyEpoch> {
        let reply = self.get("/v1/oracle/keys").await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        Vec::deserialize(&reply.body["keys"]).unwrap()
    }
}

/// The bundle in a request's view.
pub(crate) fn bundle(view: &Value) -> ProofBundle {
    ProofBundle::deserialize(&view["bundle"]).unwrap_or_else(|error| panic!("{error}: {view}"))
}

/// How a run of the command ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// What it printed, where it succeeded.
    pub(crate) fn succeeded(self) -> String {
        assert_eq!(self.code, Some(0), "{}{}", self.stdout, self.stderr);
        self.stdout
    }

    /// The JSON it printed, where it succeeded.
    pub(crate) fn json(self) -> Value {
        let text = self.succeeded();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }
}

/// Runs the `offchain` command.
pub(crate) async fn offchain(arguments: &[&str]) -> Ran {
    offchain_with(arguments, "", &[]).await
}

/// Runs the `offchain` command with a standard input and other variables
/// (`None` takes one away).
pub(crate) async fn offchain_with(
    arguments: &[&str],
    input: &str,
    variables: &[(&str, Option<&str>)],
) -> Ran {
    let mut command = Command::new(binary());
    command.args(arguments);
    for (name, value) in variables {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let input = input.to_owned();
    tokio::task::spawn_blocking(move || {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A command that does not read its input may be gone already.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        Ran {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    })
    .await
    .unwrap()
}

/// The command that was built with these tests: `target/debug/deps/e2e-…` is
/// two folders below it.
pub(crate) fn binary() -> PathBuf {
    let this = std::env::current_exe().unwrap();
    let path = this.ancestors().nth(2).unwrap().join("offchain");
    assert!(
        path.is_file(),
        "{} is missing: cargo build --workspace --bins",
        path.display()
    );
    path
}
