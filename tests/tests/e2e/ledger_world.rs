//! The ledger bridge, as nodes, subscribers and readers see it, and what its
//! tables hold; and listeners of a test's own, beside those of the stack.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use offchain_ledger::{
    Envelope, Event, Headers, Id, Keys, Place, PublicKey, SigningKey, WebhookError, sign, verify,
};
use offchain_store::ledger::{Assets, Driver, EventItem, EventStatus, Events, Feed};
use reqwest::Method;
use serde_json::{Map, Value, json};

use crate::beside::Beside;
use crate::bigchain::{Bigchain, Tx};
use crate::harness::{
    Item, Reply, SOON, World, binary, environment, set_environment, unique, until,
};
use crate::runtime_api::Function;
use crate::wire::{self, Call};

/// The ledger of a stack.
pub(crate) struct Ledger<'a> {
    world: &'a World,
    /// The stack's node.
    pub(crate) node: Bigchain,
    pub(crate) events: Events,
    pub(crate) assets: Assets,
    /// The stack's own listener's lease, cursor and deliveries.
    pub(crate) feed: Feed,
}

/// Nobody makes the same secret at the same time.
static SECRETS: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// The suite's own receiver, as the listener knows it.
pub(crate) const OWN: &str = "ledger";
/// The subscriber that the tests' stack has for its secret (tests/stack.tfvars).
pub(crate) const OTHER: &str = "other";

impl World {
    /// The ledger of the stack, each of whose subscribers has a secret.
    pub(crate) async fn ledger(&self) -> Ledger<'_> {
        let stack = &self.stack.ledger;
        let client = &self.dynamodb;
        let events = Events::new(client.clone(), stack.events_table.clone());
        let ledger = Ledger {
            world: self,
            node: Bigchain::at(&stack.node),
            assets: Assets::new(
                client.clone(),
                events.clone(),
                stack.assets_table.clone(),
                stack.drivers_table.clone(),
            ),
            events,
            feed: self.ledger_feed(&stack.environment["LEDGER_ENVIRONMENT"]),
        };
        let _making = SECRETS.lock().await;
        for subscriber in &stack.subscribers {
            let arn = &subscriber.secret_arn;
            let reply = self.secrets.get_secret_value().secret_id(arn).send().await;
            // AWS has no version of a secret that was never written.
            if !reply.is_ok_and(|value| value.secret_string.is_some()) {
                self.put_secret(arn, &new_keys().to_json()).await;
            }
        }
        ledger
    }

    fn ledger_feed(&self, environment: &str) -> Feed {
        let (locks, deliveries) = (
            self.stack.ledger.locks_table.clone(),
            self.stack.ledger.deliveries_table.clone(),
        );
        Feed::new(&self.dynamodb, locks, deliveries, environment)
    }

    /// Where AWS is.
    pub(crate) fn endpoint(&self) -> String {
        let endpoint = self.config.endpoint_url().map(ToOwned::to_owned);
        endpoint.unwrap_or_else(|| std::env::var("AWS_ENDPOINT_URL").unwrap())
    }
}

/// Keys that nobody knows.
pub(crate) fn new_keys() -> Keys {
    Keys::new(vec![SigningKey::shared(&rand::random())]).unwrap()
}

/// Points the ledger of a twin at another node.
pub(crate) async fn point_ledger_at(world: &mut World, url: &str) {
    url.clone_into(&mut world.stack.ledger.node);
    let variables = &mut world.stack.ledger.environment;
    variables.insert("LEDGER_NODE".to_owned(), url.to_owned());
    for role in ["ledger-listen", "ledger-record"] {
        let function = world.function(role);
        let mut deployed = environment(&world.lambda, function).await;
        deployed.insert("LEDGER_NODE".to_owned(), url.to_owned());
        set_environment(&world.lambda, function, deployed).await;
    }
}

impl Ledger<'_> {
    /// The secret of a subscriber.
    pub(crate) fn secret_arn(&self, name: &str) -> &str {
        let mut all = self.world.stack.ledger.subscribers.iter();
        let found = all.find(|subscriber| subscriber.name == name);
        &found.unwrap().secret_arn
    }

    /// The keys that webhooks to a subscriber are signed with.
    pub(crate) async fn keys(&self, name: &str) -> Keys {
        let text = self.world.secret(self.secret_arn(name)).await;
        text.parse().unwrap()
    }

    /// An asset, as the API shows it, whether it knows it or not.
    pub(crate) async fn show(&self, id: &Id) -> Reply {
        let path = format!("/v1/ledger/assets/{id}");
        self.world.api.get(&path).await
    }

    /// Waits until an asset is shown of which so many transactions count, and
    /// for which `settled` holds.
    pub(crate) async fn shown(
        &self,
        id: &Id,
        transactions: u64,
        settled: impl Fn(&Value) -> bool,
    ) -> Value {
        let mut last = Value::Null;
        let what = format!("{transactions} transactions of {id}");
        let found = until(&what, SOON, async || {
            let reply = self.show(id).await;
            last = reply.body;
            let counted = reply.status == 200 && last["transactions"] == transactions;
            (counted && settled(&last)).then(|| last.clone())
        });
        found.await
    }

    /// Waits until an event has this status.
    pub(crate) async fn reached(&self, id: &Id, status: EventStatus) -> EventItem {
        until(&format!("event {id} to be {status:?}"), SOON, async || {
            let event = self.events.load(id).await.unwrap()?;
            let ended = event.status != EventStatus::Received;
            assert!(!ended || event.status == status, "{event:?}");
            ended.then_some(event)
        })
        .await
    }

    /// Waits until a transaction counts.
    pub(crate) async fn recorded(&self, id: &Id) -> EventItem {
        self.reached(id, EventStatus::Recorded).await
    }

    /// A driver, as the table has it.
    pub(crate) async fn driver(&self, key: &PublicKey) -> Driver {
        self.assets.driver(key).await.unwrap()
    }

    /// Posts a webhook at the suite's own receiver.
    pub(crate) async fn deliver(&self, webhook: &Signed) -> Reply {
        self.deliver_with(&webhook.headers(), webhook.body.clone())
            .await
    }

    /// Posts anything there.
    pub(crate) async fn deliver_with(
        &self,
        headers: &[(&str, &str)],
        body: impl Into<reqwest::Body>,
    ) -> Reply {
        let mut all = vec![("content-type", "application/json")];
        all.extend(headers);
        let api = &self.world.api;
        api.send(Method::POST, "/v1/ledger/events", &all, body)
            .await
    }

    /// Everything that the tables of the ledger hold, table by table.
    pub(crate) async fn tables(&self) -> BTreeMap<&str, Vec<Item>> {
        let stack = &self.world.stack.ledger;
        let mut tables = BTreeMap::new();
        for name in [
            &stack.events_table,
            &stack.assets_table,
            &stack.drivers_table,
            &stack.deliveries_table,
            &stack.locks_table,
        ] {
            let scan = self.world.dynamodb.scan().table_name(name);
            let scan = scan.consistent_read(true).into_paginator().items();
            let items = scan.send().collect::<Result<_, _>>().await.unwrap();
            tables.insert(name.as_str(), items);
        }
        tables
    }
}

/// What a listener says of a transaction.
pub(crate) fn event(transaction: &Tx, height: u64) -> Event {
    let (id, asset) = (transaction.id.clone(), transaction.asset.clone());
    Event::new(id, asset, Place::Height(height))
}

/// A signed webhook.
#[derive(Clone, Debug)]
pub(crate) struct Signed {
    pub(crate) id: String,
    pub(crate) timestamp: String,
    pub(crate) signature: String,
    pub(crate) body: String,
}

impl Signed {
    /// A webhook that tells of an event now.
    pub(crate) fn now(keys: &Keys, event: &Event) -> Self {
        Self::at(keys, event, Timestamp::now().as_second())
    }

    /// Likewise, at some other time, in Unix seconds.
    pub(crate) fn at(keys: &Keys, event: &Event, seconds: i64) -> Self {
        let seen = Timestamp::from_second(seconds).unwrap();
        let body = Envelope::new(event.clone(), seen).to_json();
        Self::of(keys, &event.webhook_id(), seconds, &body)
    }

    /// A webhook with any id and body.
    pub(crate) fn of(keys: &Keys, id: &str, seconds: i64, body: &str) -> Self {
        Self {
            id: id.to_owned(),
            timestamp: seconds.to_string(),
            signature: sign(keys, id, seconds, body.as_bytes()),
            body: body.to_owned(),
        }
    }

    pub(crate) fn headers(&self) -> [(&str, &str); 3] {
        [
            ("webhook-id", &self.id),
            ("webhook-timestamp", &self.timestamp),
            ("webhook-signature", &self.signature),
        ]
    }
}

/// How a subscriber answers a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// With a status at once.
    Status(u16),
    /// With a status after a while.
    Late(Duration, u16),
    /// It closes the connection.
    Close,
    /// It never does, and keeps the connection.
    Never,
}

/// A webhook, as a subscriber got it.
#[derive(Clone, Debug)]
pub(crate) struct Webhook {
    /// The request line and the headers.
    pub(crate) head: String,
    pub(crate) id: Option<String>,
    pub(crate) timestamp: Option<String>,
    pub(crate) signature: Option<String>,
    pub(crate) body: Vec<u8>,
    /// When it came.
    pub(crate) time: Timestamp,
    /// What it was answered.
    pub(crate) answer: Answer,
}

impl Webhook {
    /// Whether these keys signed it, just then.
    pub(crate) fn verify(&self, keys: &Keys) -> Result<i64, WebhookError> {
        let headers = Headers {
            id: self.id.as_deref(),
            timestamp: self.timestamp.as_deref(),
            signature: self.signature.as_deref(),
        };
        let now = self.time.as_second();
        let tolerance = Duration::from_secs(300);
        verify(&keys.verifying(), headers, &self.body, now, tolerance)
    }

    pub(crate) fn event(&self) -> Event {
        Envelope::parse(&self.body).unwrap().data
    }

    /// Whether the subscriber took it.
    pub(crate) fn taken(&self) -> bool {
        match self.answer {
            Answer::Status(status) | Answer::Late(_, status) => (200..300).contains(&status),
            Answer::Close | Answer::Never => false,
        }
    }
}

type Answering = Box<dyn Fn(&Webhook) -> Answer + Send + Sync>;

/// A subscriber over HTTP.
pub(crate) struct Receiver {
    pub(crate) url: String,
    webhooks: Arc<Mutex<Vec<Webhook>>>,
    answering: Arc<Mutex<Answering>>,
}

impl Receiver {
    /// One that takes everything.
    pub(crate) async fn start() -> Self {
        let webhooks = Arc::new(Mutex::new(Vec::new()));
        let all: Answering = Box::new(|_| Answer::Status(204));
        let answering = Arc::new(Mutex::new(all));
        let (kept, asked) = (webhooks.clone(), answering.clone());
        let address = wire::serve(move |call| {
            let (kept, asked) = (kept.clone(), asked.clone());
            async move { receive(&call, &kept, &asked).await }
        })
        .await;
        Self {
            url: format!("http://{address}/hook"),
            webhooks,
            answering,
        }
    }

    /// From now on it answers so.
    pub(crate) fn answer(&self, with: impl Fn(&Webhook) -> Answer + Send + Sync + 'static) {
        *self.answering.lock().unwrap() = Box::new(with);
    }

    /// From now on it answers everything with this status.
    pub(crate) fn answer_all(&self, status: u16) {
        self.answer(move |_| Answer::Status(status));
    }

    /// Every webhook that came so far, in order.
    pub(crate) fn webhooks(&self) -> Vec<Webhook> {
        self.webhooks.lock().unwrap().clone()
    }

    /// The events that it took so far, in the order of their coming.
    pub(crate) fn taken(&self) -> Vec<Event> {
        let all = self.webhooks();
        let taken = all.iter().filter(|webhook| webhook.taken());
        taken.map(Webhook::event).collect()
    }

    /// Waits until it has taken the events of all these transactions.
    pub(crate) async fn took(&self, ids: &[&Id]) {
        let what = format!("{} events to be taken", ids.len());
        until(&what, SOON, async || {
            let taken = self.taken();
            let taken: BTreeSet<_> = taken.iter().map(|event| &event.transaction_id).collect();
            ids.iter().all(|id| taken.contains(id)).then_some(())
        })
        .await;
    }
}

async fn receive(
    call: &Call,
    kept: &Mutex<Vec<Webhook>>,
    asked: &Mutex<Answering>,
) -> Option<Vec<u8>> {
    let header = |name| call.header(name).map(ToOwned::to_owned);
    let mut webhook = Webhook {
        head: call.head().to_owned(),
        id: header("webhook-id"),
        timestamp: header("webhook-timestamp"),
        signature: header("webhook-signature"),
        body: call.body.clone(),
        time: Timestamp::now(),
        answer: Answer::Close,
    };
    let answer = asked.lock().unwrap()(&webhook);
    webhook.answer = answer;
    kept.lock().unwrap().push(webhook);
    match answer {
        Answer::Status(status) => Some(wire::reply(status, &[], "")),
        Answer::Late(pause, status) => {
            tokio::time::sleep(pause).await;
            Some(wire::reply(status, &[], ""))
        }
        Answer::Close => None,
        Answer::Never => std::future::pending().await,
    }
}

/// A listener of a test's own: with a lease and a cursor of its own in the
/// stack's tables, on any node, for subscribers of the test alone.
pub(crate) struct Listening {
    pub(crate) environment: String,
    /// Its environment variables, where they are not those of the stack.
    pub(crate) variables: BTreeMap<String, String>,
    subscribers: Vec<Value>,
}

impl Listening {
    /// A listener to the node at `url`, from its first block on, that tells
    /// nobody yet.
    pub(crate) fn new(world: &World, url: &str) -> Self {
        let name = format!("test-{}", unique());
        let stack = &world.stack.ledger.environment;
        let mut listening = Self {
            environment: name.clone(),
            variables: stack.clone(),
            subscribers: Vec::new(),
        };
        let of_its_own = [
            ("LEDGER_NODE", url),
            ("LEDGER_ENVIRONMENT", &name),
            ("LEDGER_SUBSCRIBERS", "[]"),
        ];
        for (name, value) in of_its_own {
            let value = value.to_owned();
            listening.variables.insert(name.to_owned(), value);
        }
        listening
    }

    /// Tells a receiver too, signed with the keys of [`OTHER`], of what a filter
    /// takes: `{"assets": […], "owners": […]}`. Returns the subscriber's name,
    /// which nobody else has.
    pub(crate) fn tell(&mut self, ledger: &Ledger<'_>, to: &Receiver, filter: &Value) -> String {
        let name = format!("t-{}", &unique()[..18]);
        self.tell_at(&name, &to.url, ledger.secret_arn(OTHER), filter);
        name
    }

    /// Tells anybody.
    pub(crate) fn tell_at(&mut self, name: &str, url: &str, secret_arn: &str, filter: &Value) {
        let mut subscriber = json!({"name": name, "url": url, "secret_arn": secret_arn});
        let filter = filter.as_object().into_iter().flatten();
        for (name, value) in filter {
            subscriber[name] = value.clone();
        }
        self.subscribers.push(subscriber);
        let all = json!(self.subscribers).to_string();
        self.variables.insert("LEDGER_SUBSCRIBERS".to_owned(), all);
    }

    /// Takes every subscriber out.
    pub(crate) fn tell_nobody(&mut self) {
        self.subscribers.clear();
        self.variables
            .insert("LEDGER_SUBSCRIBERS".to_owned(), "[]".to_owned());
    }

    /// Changes how it listens: members of `LEDGER_LISTEN`.
    pub(crate) fn set(&mut self, changes: &Value) {
        let settings = self.variables.get_mut("LEDGER_LISTEN").unwrap();
        let mut value: Map<String, Value> = serde_json::from_str(settings).unwrap();
        let changes = changes.as_object().unwrap().clone();
        value.extend(changes);
        *settings = Value::Object(value).to_string();
    }

    /// The lease, the cursor, and the deliveries that wait.
    pub(crate) fn feed(&self, world: &World) -> Feed {
        world.ledger_feed(&self.environment)
    }

    /// A process of the function ledger-listen that listens so, once invoked
    /// with a [`shift`].
    pub(crate) async fn function(&self, world: &World) -> Function {
        self.function_at(world, &world.endpoint()).await
    }

    /// Likewise, which finds AWS elsewhere: behind a proxy, say.
    pub(crate) async fn function_at(&self, world: &World, endpoint: &str) -> Function {
        let variables = self.variables();
        Function::start_with(world, "ledger-listen", endpoint, &variables).await
    }

    /// A process of `offchain ledger listen` that listens so.
    pub(crate) async fn daemon(&self, world: &World) -> Beside {
        let endpoint = world.endpoint();
        let mut variables = self.variables();
        variables.push(("AWS_ENDPOINT_URL", &endpoint));
        let arguments = ["ledger", "listen", "--json"];
        let (program, ()) = Beside::start(&binary(), &arguments, &variables, |line| {
            line.contains("listen").then_some(())
        })
        .await;
        program
    }

    fn variables(&self) -> Vec<(&str, &str)> {
        let all = self.variables.iter();
        all.map(|(name, value)| (name.as_str(), value.as_str()))
            .collect()
    }

    /// Waits until the cursor has come to a height.
    pub(crate) async fn reached(&self, world: &World, height: u64) {
        let feed = self.feed(world);
        until(&format!("the cursor at {height}"), SOON, async || {
            let (_, cursor) = feed.look().await.unwrap()?;
            (cursor?.height >= height).then_some(())
        })
        .await;
    }
}

/// The event of a run that is meant for now.
pub(crate) fn shift() -> Value {
    json!({"scheduled_time": Timestamp::now()})
}
