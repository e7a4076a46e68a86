//! A bridge on a chain, subscribers and tables of its own, its processes, and
//! what must hold.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use offchain_codes::Coded;
use offchain_ledger::{Id, PublicKey, Subscriber};
use offchain_ledger_service::{
    Beat, ListenError, ListenSettings, Listener, Outcome, Receiver, RecordMessage, Recorder,
    RecorderError, Report,
};
use offchain_store::StoreError;
use offchain_store::ledger::{Assets, EventStatus, Events, Feed};
use offchain_store::queue::Queue;
use offchain_store::secret::Secret;
use offchain_store::test_util::clock::follow_timers;
use offchain_store::test_util::memory::{Memory, Table, View};
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::chain::{Ledger, Node};
use crate::fleet::{DRIVERS, Fleet};
use crate::model::{Known, Model};
use crate::people::key;
use crate::post::{Mood, Post, Town};
use crate::weather::{Actor, Plan, Weather};

/// The suite's own subscriber.
pub(crate) const SUITE: &str = "ledger";
/// One that is told of all.
pub(crate) const OTHER: &str = "other";
/// One that is told of what the first driver gives and gets.
pub(crate) const PICKY: &str = "picky";
pub(crate) const SECRET: &str =
    r#"{"secrets":["whsec_AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="]}"#;

pub(crate) const LOCKS: &str = "locks";
pub(crate) const DELIVERIES: &str = "deliveries";
const EVENTS: &str = "events";
const ASSETS: &str = "assets";
const DRIVER_TABLE: &str = "drivers";
/// Where the listener buries.
pub(crate) const LETTERS: &str = "https://sqs.test/deliveries-dlq";
/// What the recorder reads, and where it buries.
pub(crate) const RECORDS: &str = "https://sqs.test/records";
pub(crate) const REJECTS: &str = "https://sqs.test/records-dlq";
/// Seconds after which all has to be well, once nothing goes wrong any more.
const PATIENCE: u64 = 900;

/// What a listener came to.
#[derive(Debug)]
pub(crate) enum End {
    Ended(Report),
    Failed(&'static str, bool),
    Died,
}

pub(crate) fn settings() -> ListenSettings {
    ListenSettings {
        from_height: 1,
        poll_seconds: 2,
        stall_seconds: 5,
        lease_seconds: 4,
        run_seconds: 90,
        concurrency: 4,
        max_kept: 10_000,
        retry_schedule: offchain_ledger::Schedule::new(&[1, 2, 4, 8, 16, 30, 60, 120, 240, 480])
            .unwrap(),
        timeout_seconds: 15,
    }
}

pub(crate) fn subscribers() -> Vec<Subscriber> {
    let named = |name: &str, owners: &[u8]| Subscriber {
        name: name.to_owned(),
        url: format!("https://{name}.test/"),
        secret_arn: name.to_owned(),
        assets: BTreeSet::new(),
        owners: owners.iter().map(|who| key(*who)).collect(),
    };
    vec![
        named(SUITE, &[]),
        named(OTHER, &[]),
        named(PICKY, &[DRIVERS[0]]),
    ]
}

/// The deliveries that were given up: subscriber and transaction.
pub(crate) fn buried(view: &View<'_>) -> BTreeSet<(String, String)> {
    let letters = view.messages(LETTERS).iter().filter_map(|letter| {
        let letter: Value = serde_json::from_str(letter["MessageBody"].as_str()?).ok()?;
        let said = |value: &Value| value.as_str().map(str::to_owned);
        Some((
            said(&letter["subscriber"])?,
            said(&letter["event"]["transaction_id"])?,
        ))
    });
    letters.collect()
}

/// The cursor, as it is written.
pub(crate) fn cursor(view: &View<'_>) -> u64 {
    let written = view.items(LOCKS).next();
    let written = written.and_then(|lock| lock.get("Value")?["S"].as_str());
    written.map_or(0, |cursor| {
        let cursor: Value = serde_json::from_str(cursor).unwrap();
        cursor["height"].as_u64().unwrap()
    })
}

/// Who moved the cursor under which token.
type Movers = Arc<Mutex<BTreeMap<String, BTreeSet<String>>>>;

pub(crate) struct Bridge {
    pub(crate) weather: Weather,
    pub(crate) memory: Memory,
    pub(crate) ledger: Ledger,
    pub(crate) town: Town,
    pub(crate) settings: ListenSettings,
    pub(crate) fleet: Fleet,
    pub(crate) movers: Movers,
    pub(crate) beats: Arc<Mutex<Vec<Beat>>>,
    next_holder: u64,
}

impl Bridge {
    pub(crate) fn new(seed: u64) -> Self {
        follow_timers();
        let memory = Memory::new([
            (LOCKS, Table::new("Name", None)),
            (DELIVERIES, Table::new("subscriber", Some("position"))),
            (
                EVENTS,
                Table::new("transaction_id", None).index("by-asset", "asset_id", "position"),
            ),
            (ASSETS, Table::new("asset_id", None)),
            (DRIVER_TABLE, Table::new("public_key", None)),
        ]);
        memory.set_secret(SUITE, SECRET);
        let weather = Weather::new(seed);
        let ledger = Ledger::new();
        let receiver = {
            let actor = Actor::new("receiver", &weather);
            let sdk = memory.behind(actor.gate()).sdk_config();
            let secrets = aws_sdk_secretsmanager::Client::new(&memory.sdk_config());
            Receiver {
                events: Events::new(aws_sdk_dynamodb::Client::new(&sdk), EVENTS.to_owned()),
                queue: Queue::new(aws_sdk_sqs::Client::new(&sdk), RECORDS.to_owned()),
                secret: Secret::new(secrets, SUITE.to_owned(), Duration::from_secs(60)),
            }
        };
        let town = Town::new(&ledger, &memory, receiver);
        let bridge = Self {
            weather,
            memory,
            ledger,
            town,
            settings: settings(),
            fleet: Fleet::default(),
            movers: Arc::default(),
            beats: Arc::default(),
            next_holder: 1_000,
        };
        bridge.watch();
        bridge
    }

    /// Has each write seen: the cursor is over nothing that is not done with.
    fn watch(&self) {
        let (ledger, town, movers) = (self.ledger.clone(), self.town.clone(), self.movers.clone());
        let weather = self.weather.clone();
        let subscribers = subscribers();
        let moved = Mutex::new((0, String::new()));
        self.memory.watch(Box::new(move |view| {
            let cursor = cursor(view);
            if let Some(lock) = view.items(LOCKS).next() {
                let token = lock["Token"]["N"].as_str().unwrap();
                let mut moved = moved.lock().unwrap();
                if moved.0 != cursor && moved.1 == token {
                    weather.note(format_args!("the cursor is {cursor}"));
                    let mut movers = movers.lock().unwrap();
                    movers
                        .entry(token.to_owned())
                        .or_default()
                        .insert(weather.caller());
                }
                *moved = (cursor, token.to_owned());
            }
            if cursor == 0 {
                return;
            }
            let dead = buried(view);
            let waiting: BTreeSet<(&str, &str)> = view
                .items(DELIVERIES)
                .map(|item| {
                    let id = &item["event"]["M"]["transaction_id"];
                    (text(&item["subscriber"]), text(id))
                })
                .collect();
            let net = ledger.net();
            for (id, told) in net.up_to(cursor) {
                for subscriber in &subscribers {
                    let name = subscriber.name.as_str();
                    let done = !subscriber.takes(&told.transaction)
                        || town.has(name, id)
                        || waiting.contains(&(name, id.as_str()))
                        || dead.contains(&(name.to_owned(), id.to_string()));
                    if !done {
                        let height = told.height;
                        weather.wrong(format!(
                            "the cursor {cursor} is over {id} of {height}, which {name} has not"
                        ));
                    }
                }
            }
            let letters = view.messages(LETTERS);
            for (height, text) in &net.unreadable {
                let found = letters.iter().any(|letter| {
                    let body = letter["MessageBody"].as_str().unwrap();
                    text.starts_with(body)
                });
                if *height <= cursor && !found {
                    weather.wrong(format!("{text:.60} is buried nowhere"));
                }
            }
        }));
    }

    fn listener(&self, actor: &Actor) -> Listener<Node, Post> {
        let sdk = self.memory.behind(actor.gate()).sdk_config();
        let client = aws_sdk_dynamodb::Client::new(&sdk);
        let beats = self.beats.clone();
        Listener {
            chain: Node {
                ledger: self.ledger.clone(),
                actor: actor.clone(),
            },
            carrier: Post {
                town: self.town.clone(),
                actor: actor.clone(),
            },
            feed: Feed::new(&client, LOCKS.to_owned(), DELIVERIES.to_owned(), "test"),
            dead_letters: Queue::new(aws_sdk_sqs::Client::new(&sdk), LETTERS.to_owned()),
            subscribers: subscribers(),
            settings: self.settings.clone(),
            watch: Box::new(move |beat| beats.lock().unwrap().push(beat.clone())),
        }
    }

    /// A listener's feed as the test itself uses it.
    pub(crate) fn feed(&self) -> Feed {
        let client = aws_sdk_dynamodb::Client::new(&self.memory.sdk_config());
        Feed::new(&client, LOCKS.to_owned(), DELIVERIES.to_owned(), "test")
    }

    pub(crate) fn events(&self) -> Events {
        let client = aws_sdk_dynamodb::Client::new(&self.memory.sdk_config());
        Events::new(client, EVENTS.to_owned())
    }

    pub(crate) fn assets(&self) -> Assets {
        let client = aws_sdk_dynamodb::Client::new(&self.memory.sdk_config());
        let (assets, drivers) = (ASSETS.to_owned(), DRIVER_TABLE.to_owned());
        Assets::new(client, self.events(), assets, drivers)
    }

    pub(crate) fn holder(&mut self) -> u64 {
        self.next_holder += 1;
        self.next_holder
    }

    /// One run of a listener.
    pub(crate) fn run(&self, actor: &Actor, holder: u64) -> JoinHandle<End> {
        let (listener, actor) = (self.listener(actor), actor.clone());
        tokio::spawn(async move {
            actor
                .weather()
                .note(format_args!("{} runs as {holder}", actor.name));
            let end = ended(actor.live(listener.run(holder)).await);
            actor
                .weather()
                .note(format_args!("{}: {end:?}", actor.name));
            end
        })
    }

    /// A daemon that listens, or stands by, until it is told to stop.
    pub(crate) fn stand_by(
        &self,
        actor: &Actor,
        holder: u64,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> JoinHandle<Option<Result<(), ListenError>>> {
        let (listener, actor) = (self.listener(actor), actor.clone());
        tokio::spawn(async move { actor.live(listener.stand_by(holder, stop)).await })
    }

    /// As the machine does: runs a listener again and again, until a younger
    /// one listens.
    pub(crate) fn machine(&self, name: &'static str, holder: u64) -> JoinHandle<&'static str> {
        let weather = self.weather.clone();
        let this = self.handle();
        tokio::spawn(async move {
            loop {
                let actor = Actor::new(name, &weather);
                match this.run(&actor, holder).await.unwrap() {
                    End::Ended(report) if report.outcome == Outcome::HandedOver => {
                        return "handed over";
                    }
                    End::Ended(_) => {}
                    End::Failed(code, false) => return code,
                    End::Failed(_, true) => sleep(Duration::from_secs(1)).await,
                    End::Died => sleep(Duration::from_secs(3)).await,
                }
            }
        })
    }

    /// The same bridge, for a task of its own.
    pub(crate) fn handle(&self) -> Self {
        Self {
            weather: self.weather.clone(),
            memory: self.memory.clone(),
            ledger: self.ledger.clone(),
            town: self.town.clone(),
            settings: self.settings.clone(),
            fleet: Fleet::default(),
            movers: self.movers.clone(),
            beats: self.beats.clone(),
            next_holder: self.next_holder,
        }
    }

    pub(crate) fn recorder(&self, actor: &Actor) -> Recorder<Node> {
        let sdk = self.memory.behind(actor.gate()).sdk_config();
        let client = aws_sdk_dynamodb::Client::new(&sdk);
        let events = Events::new(client.clone(), EVENTS.to_owned());
        let (assets, drivers) = (ASSETS.to_owned(), DRIVER_TABLE.to_owned());
        Recorder {
            chain: Node {
                ledger: self.ledger.clone(),
                actor: actor.clone(),
            },
            events: events.clone(),
            assets: Assets::new(client, events, assets, drivers),
        }
    }

    /// Takes messages for as long as the test runs, some at once, some twice,
    /// in any order.
    pub(crate) fn record(&self) {
        let this = self.handle();
        tokio::spawn(async move {
            loop {
                for message in this.memory.receive(RECORDS) {
                    let body = message["MessageBody"].as_str().unwrap().to_owned();
                    let times = 1 + u32::from(this.weather.chance(|dice| dice.once_in(4)));
                    for _ in 0..times {
                        let (this, body) = (this.handle(), body.clone());
                        tokio::spawn(async move {
                            let message: RecordMessage = serde_json::from_str(&body).unwrap();
                            this.settled(&message.transaction_id).await;
                        });
                    }
                }
                sleep(Duration::from_millis(100)).await;
            }
        });
    }

    /// One message, delivered until it ends.
    pub(crate) async fn settled(&self, id: &Id) {
        let body = serde_json::to_string(&RecordMessage {
            transaction_id: id.clone(),
        })
        .unwrap();
        let mut receives = 0;
        loop {
            let wait = self.weather.chance(|dice| dice.below(1500));
            sleep(Duration::from_millis(wait)).await;
            receives += 1;
            let actor = Actor::new("recorder", &self.weather);
            let recorder = self.recorder(&actor);
            let sdk = self.memory.behind(actor.gate()).sdk_config();
            let dlq = Queue::new(aws_sdk_sqs::Client::new(&sdk), REJECTS.to_owned());
            let settled = actor
                .live(async {
                    let outcome = recorder.record(id).await;
                    let outcome = outcome.map_err(MessageError::Record);
                    dlq.settle(&body, receives, 1000, outcome).await
                })
                .await;
            match settled {
                Some(Ok(())) => return,
                other => self
                    .weather
                    .note(format_args!("recorder {body}: {other:?}")),
            }
            sleep(Duration::from_secs(2)).await;
        }
    }

    /// A block of some transactions.
    pub(crate) fn trade(&mut self, times: u64) {
        let made = (0..times)
            .map(|_| self.weather.chance(|dice| self.fleet.something(dice)))
            .collect();
        self.ledger.net().mine(made, Vec::new());
    }

    pub(crate) fn cursor(&self) -> u64 {
        self.memory.view(cursor)
    }

    /// What is not as it has to be in the end.
    fn open(&self) -> Option<String> {
        let height = self.ledger.net().height();
        if self.cursor() < height {
            return Some(format!("the cursor is {} of {height}", self.cursor()));
        }
        let waiting = self.memory.items(DELIVERIES).len();
        if waiting > 0 {
            return Some(format!("{waiting} deliveries wait"));
        }
        let received = self.memory.view(|view| {
            let items = view.items(EVENTS);
            items
                .filter(|item| item["status"]["S"] == "received")
                .count()
        });
        (received > 0).then(|| format!("{received} events are not recorded"))
    }

    /// Waits until all is done, with nothing going wrong any more.
    pub(crate) async fn settle(&self) {
        self.calm();
        for _ in 0..PATIENCE {
            if self.open().is_none() {
                // The premiums of what was recorded last.
                sleep(Duration::from_secs(20)).await;
                return;
            }
            self.weather.is_right();
            sleep(Duration::from_secs(1)).await;
        }
        let open = self.open();
        panic!("{open:?} after {PATIENCE} s");
    }

    pub(crate) fn calm(&self) {
        self.weather.note("all is well from here on");
        self.weather.plan(Plan::Calm);
        for name in [SUITE, OTHER, PICKY] {
            self.town.mood(name, Mood::Open);
        }
        let mut net = self.ledger.net();
        net.up = true;
        net.behind = 0;
        net.slow = Duration::ZERO;
        if net.flow != crate::chain::Flow::Open {
            net.flow = crate::chain::Flow::Open;
            net.cut();
        }
    }

    /// Everybody has all that they are to have, and what follows from the chain
    /// is what is known. Returns how often something was taken again.
    pub(crate) async fn holds(&self) -> usize {
        let again = self.told();
        // Each event is stored once, and counts.
        let (told, order) = {
            let net = self.ledger.net();
            (net.told.clone(), net.order.clone())
        };
        let items = self.memory.items(EVENTS);
        assert_eq!(items.len(), told.len());
        for id in told.keys() {
            let event = self.events().load(id).await.unwrap().unwrap();
            assert_eq!(event.status, EventStatus::Recorded, "{event:?}");
        }
        self.follows(&order).await;
        again
    }

    /// Everybody has taken all that they are to be told of, but for what was
    /// given up. Returns how often something was taken again.
    pub(crate) fn told(&self) -> usize {
        self.weather.is_right();
        let told = self.ledger.net().told.clone();
        let dead = self.memory.view(buried);
        let mut again = 0;
        for subscriber in subscribers() {
            let taken = self.town.taken(&subscriber.name);
            let ids: BTreeSet<&Id> = taken.iter().map(|event| &event.transaction_id).collect();
            again += taken.len() - ids.len();
            for (id, told) in &told {
                let given_up = dead.contains(&(subscriber.name.clone(), id.to_string()));
                let expected = subscriber.takes(&told.transaction);
                let name = &subscriber.name;
                assert!(
                    ids.contains(id) == expected || (expected && given_up),
                    "{name} has {id}: {}",
                    !expected
                );
            }
        }
        again
    }

    /// Owners, drivers and premiums are those that follow from these.
    pub(crate) async fn follows(&self, order: &[Value]) {
        let model = Model::of(order);
        assert_eq!(self.memory.items(ASSETS).len(), model.assets().len());
        for name in model.assets() {
            let id: Id = name.parse().unwrap();
            let found = self.assets().asset(&id).await.unwrap().unwrap();
            assert!(found.asset.spent.is_empty(), "{found:?}");
            let owners = found.asset.owners().into_iter().map(|owned| {
                let [owner] = owned.public_keys.as_slice() else {
                    panic!("{owned:?}");
                };
                (owned.output.to_string(), (owner.to_string(), owned.amount))
            });
            let known = Known {
                owners: owners.collect(),
                transactions: found.asset.transactions,
                driver: found.driver.as_ref().map(PublicKey::to_string),
                yearly_cents: found.premium.as_ref().map(|premium| premium.yearly_cents),
            };
            assert_eq!(known, model.asset(name), "{name}");
        }
        for who in DRIVERS {
            let found = self.assets().driver(&key(who)).await.unwrap();
            let record = found.record;
            let counts = [
                record.started,
                record.ended,
                record.claim_free,
                record.incidents,
            ];
            assert_eq!(counts, model.driver(who), "{who}");
        }
    }

    /// Whoever moved the cursor did it under a token of their own.
    pub(crate) fn fenced(&self) {
        for (token, movers) in self.movers.lock().unwrap().iter() {
            assert_eq!(movers.len(), 1, "{token}: {movers:?}");
        }
    }
}

/// Runs to the end, on a clock of its own that waits for nothing.
pub(crate) fn at_once<T>(run: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(run)
}

/// The text of an attribute.
fn text(value: &Value) -> &str {
    value["S"].as_str().unwrap()
}

fn ended(run: Option<Result<Report, ListenError>>) -> End {
    match run {
        None => End::Died,
        Some(Ok(report)) => End::Ended(report),
        Some(Err(error)) => End::Failed(error.code(), error.retryable()),
    }
}

/// As the function has it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MessageError {
    #[error(transparent)]
    Record(#[from] RecorderError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Coded for MessageError {
    fn code(&self) -> &'static str {
        match self {
            Self::Record(error) => error.code(),
            Self::Store(error) => error.code(),
        }
    }

    fn retryable(&self) -> bool {
        match self {
            Self::Record(error) => error.retryable(),
            Self::Store(error) => error.retryable(),
        }
    }
}
