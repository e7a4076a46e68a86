//! A fleet trades while everything around the listener breaks, time and again;
//! in the end the tables say what the chain says, as `tests/ledger/naive.py`
//! reads it. `scripts/bench ledger --soak` runs it with other sizes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::types::{AttributeValue, Select};
use aws_sdk_sqs::types::QueueAttributeName;
use offchain_ledger::{Envelope, Id};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Notify;

use crate::beside::Beside;
use crate::bigchain::Node;
use crate::harness::{Item, SOON, World, report, unique, until};
use crate::ledger_world::{Ledger, Listening, OWN, point_ledger_at, shift};
use crate::runtime_api::Outcome;
use crate::twin::Twin;
use crate::wire::{self, Call};

const FLEET: &str = "scripts/lib/fleet.py";
const NAIVE: &str = "tests/ledger/naive.py";
/// The packages of the scripts' own BigchainDB, its driver among them.
const PYTHON: &str = ".local/bigchaindb/bin/python";
/// After this a machine begins a run anew that failed.
const AGAIN: Duration = Duration::from_secs(1);
/// So small a buffer that a subscriber who does not read is soon felt.
pub(crate) const SMALL_BUFFER: [&str; 2] = ["--stream-buffer", "4096"];
/// As many tries as a schedule may have, so that none is given up.
pub(crate) const PATIENT: [u8; 20] = [1; 20];

/// A subscriber who never reads: in the end it starves all others.
pub(crate) async fn stall(stream_port: u16) -> TcpStream {
    subscribe(stream_port, 4096).await
}

/// A subscriber of a node's stream, with so large a buffer.
pub(crate) async fn subscribe(stream_port: u16, buffer: u32) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(buffer).unwrap();
    let address = ([127, 0, 0, 1], stream_port).into();
    let mut stream = socket.connect(address).await.unwrap();
    let request = "GET /api/v1/streams/valid_transactions HTTP/1.1\r\nHost: 127.0.0.1\r\n\
        Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    // Once it is answered, it is a subscriber.
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 101");
    stream
}

/// A fleet that makes so many transactions as fast as the node takes them.
pub(crate) async fn fleet(node: &str, transactions: usize, cars: usize) -> Beside {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let (python, script) = (root.join(PYTHON), root.join(FLEET));
    let (transactions, cars) = (transactions.to_string(), cars.to_string());
    // It says nothing before its end; the shell does.
    let say = r#"echo started; exec "$@""#;
    let mut arguments = vec!["-c", say, "sh"];
    arguments.extend([python.to_str().unwrap(), script.to_str().unwrap()]);
    arguments.extend(["--node", node, "--transactions", &transactions]);
    arguments.extend(["--cars", &cars, "--others"]);
    let (fleet, ()) = Beside::start(Path::new("/bin/sh"), &arguments, &[], |line| {
        (line == "started").then_some(())
    })
    .await;
    fleet
}

/// Waits until a fleet has made all of its transactions. Returns its summary.
pub(crate) async fn through(fleet: &Beside) -> Value {
    until("the fleet to be through", SOON, async || {
        let last = fleet.output().pop()?;
        serde_json::from_str(&last).ok()
    })
    .await
}

/// What a chain comes to, by whoever reads it the slow and plain way.
pub(crate) async fn naive(node: &str) -> Value {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut command = Command::new("python3");
    command.arg(root.join(NAIVE)).arg(node);
    let ran = tokio::task::spawn_blocking(move || command.output());
    let ran = ran.await.unwrap().unwrap();
    assert!(
        ran.status.success(),
        "{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    serde_json::from_slice(&ran.stdout).unwrap()
}

/// What the tables say, in the form of [`naive`].
pub(crate) async fn said(world: &World, ledger: &Ledger<'_>) -> Value {
    let (assets, more) = ledger.assets.scan(usize::MAX).await.unwrap();
    assert!(!more);
    let assets: BTreeMap<_, _> = assets
        .into_iter()
        .map(|item| {
            let owners: Vec<_> = item.asset.owners();
            let owners: Vec<_> = owners
                .iter()
                .map(|owned| {
                    json!({
                        "public_keys": owned.public_keys,
                        "amount": owned.amount.to_string(),
                        "transaction_id": owned.output.transaction_id,
                        "output_index": owned.output.output_index,
                    })
                })
                .collect();
            let car = item.asset.car;
            let said = json!({
                "car": car.is_some(),
                "lessor": car.map(|car| car.lessor),
                "owners": owners,
                "premium_cents": item.premium.map(|premium| premium.yearly_cents),
            });
            (item.asset_id.to_string(), said)
        })
        .collect();
    let drivers = items(world, &world.stack.ledger.drivers_table).await;
    let drivers: BTreeMap<_, _> = drivers
        .iter()
        .map(|item| {
            let number = |name: &str| -> u64 {
                let value = item.get(name).map(|value| value.as_n().unwrap());
                value.map_or(0, |value| value.parse().unwrap())
            };
            let names = ["started", "ended", "claim_free", "incidents"];
            let record: BTreeMap<_, _> = names.map(|name| (name, number(name))).into();
            (item["public_key"].as_s().unwrap().clone(), record)
        })
        .collect();
    json!({"assets": assets, "drivers": drivers})
}

async fn items(world: &World, table: &str) -> Vec<Item> {
    let scan = world.dynamodb.scan().table_name(table);
    let scan = scan.consistent_read(true).into_paginator().items();
    scan.send().collect::<Result<_, _>>().await.unwrap()
}

/// How many events have this status.
async fn events(world: &World, status: &str) -> usize {
    let scan = world.dynamodb.scan();
    let mut pages = scan
        .table_name(&world.stack.ledger.events_table)
        .select(Select::Count)
        .filter_expression("#status = :status")
        .expression_attribute_names("#status", "status")
        .expression_attribute_values(":status", AttributeValue::S(status.to_owned()))
        .consistent_read(true)
        .into_paginator()
        .send();
    let mut count = 0;
    while let Some(page) = pages.next().await {
        count += usize::try_from(page.unwrap().count).unwrap();
    }
    count
}

/// Waits until so many transactions count, and holds the tables against the
/// chain.
pub(crate) async fn agree(
    world: &World,
    ledger: &Ledger<'_>,
    node: &str,
    limit: Duration,
) -> Value {
    let naive = naive(node).await;
    let transactions = usize::try_from(naive["transactions"].as_u64().unwrap()).unwrap();
    let what = format!("{transactions} transactions to count");
    let mut told = 0;
    let mut since = Instant::now();
    until(&what, limit, async || {
        let recorded = events(world, "recorded").await;
        if recorded != told {
            (told, since) = (recorded, Instant::now());
        }
        assert!(since.elapsed() < SOON, "{told} of {what}");
        (recorded >= transactions).then_some(())
    })
    .await;
    let stored = items(world, &world.stack.ledger.events_table).await.len();
    assert_eq!(stored, transactions, "events that no transaction is behind");
    // The last premium is set after its transaction counts.
    let expected = json!({"assets": naive["assets"], "drivers": naive["drivers"]});
    let found = until("the tables to say what the chain says", SOON, async || {
        let found = said(world, ledger).await;
        (found == expected || since.elapsed() > SOON / 2).then_some(found)
    })
    .await;
    for part in ["assets", "drivers"] {
        let (found, expected) = (&found[part], &expected[part]);
        let names = found.as_object().unwrap().keys();
        let names: BTreeSet<_> = names.chain(expected.as_object().unwrap().keys()).collect();
        for name in names {
            assert_eq!(found[name], expected[name], "{part} {name}");
        }
    }
    naive
}

/// A transaction that was not recorded, as the node was away, is tried again in
/// seconds rather than in minutes.
pub(crate) async fn try_again_soon(world: &World) {
    let set = world.sqs.set_queue_attributes();
    let set = set.queue_url(&world.stack.ledger.queue_url);
    let set = set.attributes(QueueAttributeName::VisibilityTimeout, "15");
    set.send().await.unwrap();
}

/// What came of the webhooks at a [`relay`].
#[derive(Default)]
pub(crate) struct Passed {
    asked: u32,
    refused: u32,
    lost: u32,
    statuses: BTreeMap<u16, u32>,
    /// How often each event was taken, as the listener sees it.
    taken: HashMap<Id, u32>,
}

/// A door before the suite's own receiver that answers a third of the webhooks
/// with 500: half of them before the receiver hears of it, half of them after.
/// Returns the URL for webhooks.
pub(crate) async fn relay(world: &World) -> (String, Arc<Mutex<Passed>>) {
    let passed = Arc::new(Mutex::new(Passed::default()));
    let counted = passed.clone();
    let service = world.config.endpoint_url().unwrap();
    let service = service.trim_start_matches("http://").to_owned();
    let address = wire::serve(move |call| {
        let (service, counted) = (service.clone(), counted.clone());
        async move { Some(pass(&call, &service, &counted).await) }
    })
    .await;
    // The receiver is known by its host's name, whatever the port.
    let (_, port) = address.split_once(':').unwrap();
    let url = &world.stack.ledger.subscribers[0].url;
    assert_eq!(world.stack.ledger.subscribers[0].name, OWN);
    let mut url: reqwest::Url = url.parse().unwrap();
    url.set_port(Some(port.parse().unwrap())).unwrap();
    (url.into(), passed)
}

async fn pass(call: &Call, service: &str, counted: &Mutex<Passed>) -> Vec<u8> {
    let turn = {
        let mut counted = counted.lock().unwrap();
        counted.asked += 1;
        rand::random_range(0..6)
    };
    let failure = || wire::reply(500, &[], "{}");
    if turn == 0 {
        counted.lock().unwrap().refused += 1;
        return failure();
    }
    let Ok(reply) = call.forward(service).await else {
        return failure();
    };
    let head = String::from_utf8_lossy(&reply[..reply.len().min(12)]).into_owned();
    let status: u16 = head.split(' ').nth(1).unwrap_or_default().parse().unwrap();
    let mut counted = counted.lock().unwrap();
    *counted.statuses.entry(status).or_default() += 1;
    if turn == 1 {
        counted.lost += 1;
        return failure();
    }
    if (200..300).contains(&status) {
        let event = Envelope::parse(&call.body).unwrap().data;
        *counted.taken.entry(event.transaction_id).or_default() += 1;
    }
    reply
}

struct Sizes {
    transactions: usize,
    cars: usize,
    node_kills: usize,
    listener_kills: usize,
    limit: Duration,
}

impl Sizes {
    fn from_env() -> Self {
        let size = |name: &str, usual| {
            let text = std::env::var(format!("OFFCHAIN_SOAK_{name}"));
            text.map_or(usual, |text| text.parse().unwrap())
        };
        Self {
            transactions: size("TRANSACTIONS", 300),
            cars: size("CARS", 30),
            node_kills: size("NODE_KILLS", 2),
            listener_kills: size("LISTENER_KILLS", 4),
            limit: Duration::from_secs(size("SECONDS", 240) as u64),
        }
    }
}

/// What the runs of a listener came to, one after the other.
#[derive(Default)]
pub(crate) struct Runs {
    begun: u32,
    killed: u32,
    outcomes: BTreeMap<String, u32>,
}

/// Runs a listener as its machine does: again, whenever it ends.
pub(crate) async fn keep_listening(
    listening: &Listening,
    world: &World,
    endpoint: &str,
    kill: &Notify,
    runs: &Mutex<Runs>,
) -> ! {
    enum End {
        Killed,
        By(Outcome),
    }
    loop {
        let function = listening.function_at(world, endpoint).await;
        runs.lock().unwrap().begun += 1;
        let event = shift();
        let end = tokio::select! {
            outcome = function.invoke(&event) => End::By(outcome),
            () = kill.notified() => End::Killed,
        };
        let named = match end {
            End::Killed => {
                function.kill();
                runs.lock().unwrap().killed += 1;
                "killed".to_owned()
            }
            End::By(Ok(reply)) => reply["outcome"].as_str().unwrap().to_owned(),
            End::By(Err(failure)) => failure.error_type,
        };
        *runs.lock().unwrap().outcomes.entry(named).or_default() += 1;
        tokio::time::sleep(AGAIN).await;
    }
}

/// The chain's transactions, counted as they come.
struct Counter {
    next: u64,
    transactions: usize,
}

impl Counter {
    async fn count(&mut self, node: &Node) -> usize {
        while let Some(block) = node.chain.block(self.next).await {
            self.transactions += block["transactions"].as_array().unwrap().len();
            self.next += 1;
        }
        self.transactions
    }
}

#[tokio::test]
async fn whatever_breaks_the_tables_say_in_the_end_what_the_chain_says() {
    let sizes = Sizes::from_env();
    let mut twin = Twin::quiet(&format!("ledger-soak-{}", unique())).await;
    let mut node = Node::start(&SMALL_BUFFER).await;
    point_ledger_at(&mut twin.world, node.url()).await;
    let world = &twin.world;
    let ledger = world.ledger().await;
    let (url, passed) = relay(world).await;
    let mut listening = Listening::new(world, node.url());
    listening.tell_at(OWN, &url, ledger.secret_arn(OWN), &Value::Null);
    listening.set(&json!({"retry_schedule": PATIENT}));
    try_again_soon(world).await;
    let (kill, runs) = (Notify::new(), Mutex::new(Runs::default()));
    let began = Instant::now();

    let drive = async {
        let fleet = fleet(node.url(), sizes.transactions, sizes.cars).await;
        let mut stalled = stall(node.stream_port).await;
        let mut counter = Counter {
            next: 1,
            transactions: 0,
        };
        let (mut node_kills, mut listener_kills, mut told) = (0, 0, 0);
        let due = |done: usize, all: usize| sizes.transactions * (done + 1) / (all + 1);
        until(
            "the fleet and the listener to be through",
            sizes.limit,
            async || {
                let made = counter.count(&node).await;
                let taken = passed.lock().unwrap().taken.len();
                let progress = 10 * taken / sizes.transactions;
                if progress != told {
                    told = progress;
                    let seconds = began.elapsed().as_secs();
                    report(&format!(
                        "soak: {made} made, {taken} told of after {seconds} s"
                    ));
                }
                if node_kills < sizes.node_kills && made >= due(node_kills, sizes.node_kills) {
                    node.kill().await;
                    node.start_again().await;
                    // The subscriber that does not read is there before the listener is back.
                    stalled = stall(node.stream_port).await;
                    node_kills += 1;
                }
                if listener_kills < sizes.listener_kills
                    && taken >= due(listener_kills, sizes.listener_kills)
                    && runs.lock().unwrap().killed == u32::try_from(listener_kills).unwrap()
                {
                    kill.notify_one();
                    listener_kills += 1;
                }
                (taken >= sizes.transactions).then_some(())
            },
        )
        .await;
        drop(stalled);
        let summary = through(&fleet).await;
        assert_eq!(summary["transactions"], sizes.transactions);
        let told_after = began.elapsed();
        let naive = agree(world, &ledger, node.url(), sizes.limit).await;
        let height = naive["height"].as_u64().unwrap();
        listening.reached(world, height).await;
        (summary, naive, told_after, node_kills)
    };
    let endpoint = world.endpoint();
    let (summary, naive, told_after, node_kills) = tokio::select! {
        never = keep_listening(&listening, world, &endpoint, &kill, &runs) => never,
        done = drive => done,
    };

    let seconds = began.elapsed().as_secs_f64();
    let runs = runs.into_inner().unwrap();
    assert_eq!(runs.killed as usize, sizes.listener_kills);
    let (_, cursor) = listening.feed(world).look().await.unwrap().unwrap();
    let cursor = cursor.unwrap().height;
    assert_eq!(naive["height"], cursor);
    // Nobody gave anything up.
    let dead =
        world.depth("ledger-deliveries-dlq").await + world.depth("ledger-transactions-dlq").await;
    assert_eq!(dead, 0);
    let waiting = items(world, &world.stack.ledger.deliveries_table).await;
    assert_eq!(waiting.len(), 0, "{waiting:?}");
    let passed = passed.lock().unwrap();
    let again = passed.taken.values().filter(|times| **times > 1).count();
    let result = json!({
        "transactions": naive["transactions"],
        "height": naive["height"],
        "assets": naive["assets"].as_object().unwrap().len(),
        "drivers": naive["drivers"].as_object().unwrap().len(),
        "fleet_seconds": summary["seconds"],
        "fleet_lost_replies": summary["lost_replies"],
        "seconds": (seconds * 10.0).round() / 10.0,
        "told_after_seconds": (told_after.as_secs_f64() * 10.0).round() / 10.0,
        "node_kills": node_kills,
        "listener_kills": runs.killed,
        "listener_runs": runs.begun,
        "outcomes": runs.outcomes,
        "webhooks": passed.asked,
        "refused_before": passed.refused,
        "refused_after": passed.lost,
        "statuses": passed.statuses,
        "told_again": again,
        "dead_letters": dead,
        "cursor": cursor,
        "agrees": true,
    });
    report(&format!("soak: {result}"));
    if let Ok(file) = std::env::var("OFFCHAIN_SOAK_RESULT") {
        std::fs::write(file, result.to_string()).unwrap();
    }
}
