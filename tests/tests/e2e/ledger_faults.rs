//! Faults of the ledger bridge: the node, its stream, the listener, subscribers
//! and the tables. Whatever breaks, each event comes, and what it stands for
//! counts once. Where nothing of the stack is broken, a listener of the test's
//! own runs beside the stack's; else a twin is broken. `ledger_soak` has all of
//! it at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use aws_sdk_sfn::types::ExecutionStatus;
use futures_util::SinkExt;
use jiff::Timestamp;
use offchain_ledger::Id;
use offchain_store::ledger::{Cursor, EventStatus};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_tungstenite::accept_async;
use tokio_tungstenite::tungstenite::Message;

use crate::bigchain::{Bigchain, Node, Person, Tx, car, free_port};
use crate::faults::{BROKEN, LAST, THROTTLED, accepted, delivery, refused};
use crate::harness::{SOON, World, offchain_with, report, unique, until};
use crate::ledger_soak::{
    PATIENT, Runs, SMALL_BUFFER, agree, fleet, keep_listening, relay, stall, subscribe, through,
    try_again_soon,
};
use crate::ledger_world::{
    Answer, Ledger, Listening, OWN, Receiver, Signed, event, point_ledger_at, shift,
};
use crate::proxy::Fault;
use crate::redrive::Desk;
use crate::runtime_api::{Failure, Function};
use crate::twin::{Twin, signal};
use crate::wire;

/// As the stack's listener has it.
const LEASE: Duration = Duration::from_secs(4);

/// A node, a listener and a subscriber of a test's own.
struct Scene<'a> {
    world: &'a World,
    node: Node,
    receiver: Receiver,
    listening: Listening,
    lessor: Person,
}

impl<'a> Scene<'a> {
    async fn new(world: &'a World, options: &[&str]) -> Self {
        Self::of(world, Node::start(options).await, None).await
    }

    /// Likewise, whose listener takes what is at `url` for the node.
    async fn of(world: &'a World, node: Node, url: Option<&str>) -> Self {
        let receiver = Receiver::start().await;
        let mut listening = Listening::new(world, url.unwrap_or(node.url()));
        listening.tell(&world.ledger().await, &receiver, &Value::Null);
        Self {
            world,
            node,
            receiver,
            listening,
            lessor: Person::new(),
        }
    }

    /// A listener that runs.
    async fn listens(&self) -> Function {
        let function = self.listening.function(self.world).await;
        function.begin(&unique(), &shift());
        function
    }

    /// So many transactions, in blocks.
    async fn commit(&self, count: usize) -> Vec<Tx> {
        commit(&self.node.chain, &self.lessor, count).await
    }

    /// Waits until the subscriber has all of it.
    async fn told(&self, transactions: &[Tx]) {
        let ids: Vec<&Id> = transactions.iter().map(|made| &made.id).collect();
        self.receiver.took(&ids).await;
    }

    /// All of it was told of, nothing else, and nothing twice.
    fn each_once(&self, transactions: &[Tx]) {
        let mut expected: Vec<_> = transactions.iter().map(|made| made.id.clone()).collect();
        let taken = self.receiver.taken().into_iter();
        let mut taken: Vec<_> = taken.map(|event| event.transaction_id).collect();
        expected.sort();
        taken.sort();
        assert_eq!(taken, expected);
    }

    /// (token, whether somebody holds the lease, height of the cursor)
    async fn lease(&self) -> (u64, bool, u64) {
        lease(self.world, &self.listening).await
    }
}

async fn lease(world: &World, listening: &Listening) -> (u64, bool, u64) {
    let found = listening.feed(world).look().await.unwrap();
    let Some((state, cursor)) = found else {
        return (0, false, 0);
    };
    let height = cursor.map_or(0, |cursor| cursor.height);
    (state.token, state.holder.is_some(), height)
}

async fn commit(chain: &Bigchain, lessor: &Person, count: usize) -> Vec<Tx> {
    let made: Vec<_> = (0..count).map(|_| car(lessor, 2_500_000)).collect();
    for transaction in &made {
        chain.submit(transaction).await;
    }
    for transaction in &made {
        chain.committed(&transaction.id).await;
    }
    made
}

/// Of which transactions a subscriber knows.
fn different(receiver: &Receiver) -> BTreeSet<Id> {
    let taken = receiver.taken().into_iter();
    taken.map(|event| event.transaction_id).collect()
}

async fn fails(function: &Function) -> Failure {
    function.invoke(&shift()).await.unwrap_err()
}

/// `offchain ledger …` for a listener of the test's own.
async fn command(world: &World, listening: &Listening, arguments: &[&str]) -> (Option<i32>, Value) {
    let outputs = std::env::var("OFFCHAIN_STACK").unwrap();
    let text = std::fs::read_to_string(&outputs).unwrap();
    let mut stack: Value = serde_json::from_str(&text).unwrap();
    stack["ledger"]["environment"] = json!(listening.variables);
    let file = std::env::temp_dir().join(format!("{}.json", listening.environment));
    std::fs::write(&file, stack.to_string()).unwrap();
    let endpoint = world.endpoint();
    let mut all = vec!["--json", "--stack", file.to_str().unwrap(), "ledger"];
    all.extend(arguments);
    let ran = offchain_with(&all, "", &[("AWS_ENDPOINT_URL", Some(&endpoint))]).await;
    std::fs::remove_file(&file).unwrap();
    let said = serde_json::from_str(&ran.stdout);
    let said = said.unwrap_or_else(|_| format!("{}{}", ran.stdout, ran.stderr).into());
    (ran.code, said)
}

// The node.

#[tokio::test]
async fn a_node_that_is_killed_again_and_again_costs_time_and_no_event() {
    let world = World::shared().await;
    let mut scene = Scene::new(&world, &[]).await;
    let _function = scene.listens().await;
    let mut made = scene.commit(3).await;
    scene.told(&made).await;
    let (token, ..) = scene.lease().await;
    for _ in 0..3 {
        let more: Vec<_> = (0..4).map(|_| car(&scene.lessor, 1)).collect();
        for transaction in &more {
            scene.node.chain.submit(transaction).await;
        }
        scene.node.kill().await;
        scene.node.start_again().await;
        for transaction in &more {
            // What was in no block is gone; what was in one is refused.
            scene.node.chain.post(&transaction.json, "async").await;
            scene.node.chain.committed(&transaction.id).await;
        }
        made.extend(more);
        made.extend(scene.commit(2).await);
    }
    scene.told(&made).await;
    scene.each_once(&made);
    // It was one and the same run that lived through all of it.
    assert_eq!(scene.lease().await.0, token);
}

#[tokio::test]
async fn a_node_that_is_not_there_is_named_by_the_run_and_by_the_command() {
    let world = World::shared().await;
    let mut listening = Listening::new(&world, &format!("http://127.0.0.1:{}", free_port()));
    listening.set(&json!({"timeout_seconds": 2}));
    let function = listening.function(&world).await;
    let failure = fails(&function).await;
    assert_eq!(failure.error_type, "RemoteUnreachable", "{failure:?}");
    // The next one need not wait for the lease to expire.
    assert!(!lease(&world, &listening).await.1);
    let (code, said) = command(&world, &listening, &["status"]).await;
    assert_eq!(code, Some(1), "{said}");
    let error = said["node_error"].as_str().unwrap();
    assert!(error.contains("RemoteUnreachable"), "{said}");
    assert!(
        said["problems"]
            .as_array()
            .unwrap()
            .contains(&json!("node_unreachable")),
        "{said}"
    );
}

#[tokio::test]
async fn a_node_that_freezes_is_given_up_in_time_and_goes_on_where_it_was() {
    let world = World::shared().await;
    let mut scene = Scene::new(&world, &[]).await;
    scene.listening.set(&json!({"timeout_seconds": 1}));
    let _function = scene.listens().await;
    let mut made = scene.commit(2).await;
    scene.told(&made).await;
    scene.node.signal("STOP");
    let other = Listening::new(&world, scene.node.url());
    let failure = fails(&other.function(&world).await).await;
    assert_eq!(failure.error_type, "RemoteTimedOut", "{failure:?}");
    scene.node.signal("CONT");
    made.extend(scene.commit(2).await);
    scene.told(&made).await;
    scene.each_once(&made);
}

/// A node before which somebody answers its API root with something else.
async fn rooted(node: &Node, root: Value) -> String {
    let service = node.url().trim_start_matches("http://").to_owned();
    let address = wire::serve(move |call| {
        let (service, root) = (service.clone(), root.clone());
        async move {
            match call.path() {
                "/api/v1/" => Some(wire::reply(200, &[], &root.to_string())),
                _ => call.forward(&service).await.ok(),
            }
        }
    })
    .await;
    format!("http://{address}")
}

#[tokio::test]
async fn an_api_root_without_streams_is_named_whatever_else_it_has() {
    let world = World::shared().await;
    let node = Node::start(&[]).await;
    for (root, expected) in [
        (json!({"transactions": "/transactions/"}), "StreamsMissing"),
        (json!({"streams": null}), "StreamsMissing"),
        (json!({}), "StreamsMissing"),
        (json!({"streams": 7}), "NodeAnswerInvalid"),
        (json!(["streams"]), "NodeAnswerInvalid"),
    ] {
        let listening = Listening::new(&world, &rooted(&node, root.clone()).await);
        let failure = fails(&listening.function(&world).await).await;
        assert_eq!(failure.error_type, expected, "{root}: {failure:?}");
        assert!(!lease(&world, &listening).await.1, "{root}");
    }
}

#[tokio::test]
async fn a_stream_that_says_nonsense_or_breaks_off_costs_time_and_no_event() {
    const NONSENSE: [&str; 6] = [
        "",
        "[]",
        "{\"height\":",
        "{\"height\":-1,\"asset_id\":\"x\",\"transaction_id\":\"y\"}",
        "{\"height\":1e999}",
        "\u{1f697}",
    ];
    let world = World::shared().await;
    let node = Node::start(&[]).await;
    let stream = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = stream.local_addr().unwrap().port();
    let opened: &AtomicUsize = Box::leak(Box::default());
    tokio::spawn(async move {
        loop {
            let (socket, _) = stream.accept().await.unwrap();
            let turn = opened.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(async move {
                let mut socket = accept_async(socket).await.unwrap();
                for text in NONSENSE {
                    if socket.send(Message::text(text)).await.is_err() {
                        return;
                    }
                }
                match turn % 3 {
                    // It ends without a word; says what is no text; says nothing more.
                    0 => {}
                    1 => drop(socket.send(Message::binary(vec![0; 300])).await),
                    _ => std::future::pending().await,
                }
            });
        }
    });
    let root =
        json!({"streams": format!("ws://127.0.0.1:{port}/api/v1/streams/valid_transactions")});
    let url = rooted(&node, root).await;
    let scene = Scene::of(&world, node, Some(&url)).await;
    let _function = scene.listens().await;
    let mut made = Vec::new();
    until("a stream of each kind", SOON, async || {
        made.extend(scene.commit(1).await);
        (opened.load(Ordering::Relaxed) >= 3).then_some(())
    })
    .await;
    made.extend(scene.commit(3).await);
    scene.told(&made).await;
    scene.each_once(&made);
}

#[tokio::test]
async fn a_subscriber_of_the_node_who_never_reads_does_not_stop_the_events() {
    let world = World::shared().await;
    let mut scene = Scene::new(&world, &SMALL_BUFFER).await;
    let _stalled = stall(scene.node.stream_port).await;
    let mut reader = subscribe(scene.node.stream_port, 1 << 20).await;
    let function = scene.listens().await;
    // More than the buffers of one who does not read take.
    let fleet = fleet(scene.node.url(), 800, 80).await;
    through(&fleet).await;
    let mut made = Vec::new();
    let mut late = Vec::new();
    for _ in 0..4 {
        let one = car(&scene.lessor, 1);
        scene.node.chain.submit(&one).await;
        scene.node.chain.committed(&one.id).await;
        let committed = Timestamp::now();
        scene.told(std::slice::from_ref(&one)).await;
        let webhooks = scene.receiver.webhooks();
        let told = webhooks
            .iter()
            .find(|hook| hook.event().transaction_id == one.id);
        late.push(told.unwrap().time.duration_since(committed).as_millis());
        made.push(one);
    }
    until("all events", SOON, async || {
        (different(&scene.receiver).len() >= 804).then_some(())
    })
    .await;
    drop(function);
    // To one who does read the stream says nothing of them either.
    scene.node.kill().await;
    let mut heard = Vec::new();
    let _ = reader.read_to_end(&mut heard).await;
    let heard = String::from_utf8_lossy(&heard);
    let count = heard.matches("transaction_id").count();
    report(&format!(
        "ledger: of 804 events the starved stream tells {count}; the later ones are {late:?} ms late"
    ));
    for one in &made {
        assert!(
            !heard.contains(&one.id.to_string()),
            "the stream is not starved"
        );
    }
    // Each is found by a look at the chain, every two seconds.
    assert!(late.iter().all(|late| *late < 6000), "{late:?}");
}

#[tokio::test]
async fn a_transaction_that_the_node_does_not_know_yet_is_redriven_once_it_does() {
    const DEAD: &str = "ledger-transactions-dlq";
    let mut desk = Desk::quiet("ledger-unknown").await;
    let node = Node::start(&[]).await;
    point_ledger_at(&mut desk.twin.world, node.url()).await;
    let world = desk.world();
    let held = world.hold_messages_of("ledger-record").await;
    let ledger = world.ledger().await;
    let lessor = Person::new();
    let transaction = car(&lessor, 2_500_000);
    let keys = ledger.keys(OWN).await;
    let webhook = Signed::now(&keys, &event(&transaction, 1));
    assert_eq!(ledger.deliver(&webhook).await.status, 202);
    // The message that waits is received by the test alone.
    let id = transaction.id.to_string();
    let waits = world.messages_about("ledger-transactions", &id).await;
    let message = waits[0].to_string();
    let purge = world.sqs.purge_queue();
    let purge = purge.queue_url(&world.stack.ledger.queue_url);
    purge.send().await.unwrap();
    let recorder = Function::start(world, "ledger-record", &desk.twin.url()).await;
    let first = delivery(&message, 1);
    assert_eq!(recorder.invoke(&first).await.unwrap(), refused(&first));
    assert_eq!(world.depth(DEAD).await, 0);
    let last = delivery(&message, LAST);
    assert_eq!(recorder.invoke(&last).await.unwrap(), accepted());
    let stored = ledger.events.load(&transaction.id).await.unwrap().unwrap();
    assert_eq!(stored.status, EventStatus::Received);
    let letter = desk.dead(DEAD, 1).await.remove(0);
    assert!(
        letter.to_string().contains("TransactionUnknown"),
        "{letter}"
    );
    // By now the node has it.
    node.chain.commit(&transaction).await;
    drop(held);
    assert_eq!(desk.redriven(DEAD).await, 1);
    ledger.recorded(&transaction.id).await;
    let view = ledger.shown(&transaction.asset, 1, |_| true).await;
    assert_eq!(view["lessor"], lessor.text());
}

// The machine.

async fn start_execution(world: &World) -> String {
    let start = world.sfn.start_execution();
    let start = start.state_machine_arn(&world.stack.ledger.state_machine_arn);
    let started = start.input(shift().to_string()).send().await;
    started.unwrap().execution_arn
}

/// Waits until an execution has ended: how, and with which error.
async fn ended(world: &World, execution: &str) -> (ExecutionStatus, Option<String>) {
    until("an execution to end", SOON, async || {
        let describe = world.sfn.describe_execution().execution_arn(execution);
        let described = describe.send().await.unwrap();
        let status = described.status;
        (status != ExecutionStatus::Running).then_some((status, described.error))
    })
    .await
}

/// The stack's own lease: its token, and the cursor with its digest.
async fn own_lease(ledger: &Ledger<'_>) -> (u64, Option<Cursor>) {
    let found = ledger.feed.look().await.unwrap();
    found.map_or((0, None), |(state, cursor)| (state.token, cursor))
}

/// Waits until somebody else has the lease than under `token`. Returns the new
/// one, and how long that took.
async fn taken_over(ledger: &Ledger<'_>, token: u64) -> (u64, Duration) {
    let began = Instant::now();
    loop {
        let (now, _) = own_lease(ledger).await;
        if now > token {
            return (now, began.elapsed());
        }
        assert!(began.elapsed() < SOON, "nobody took the lease");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn another_chain_behind_the_url_fails_the_execution_until_the_cursor_is_set() {
    let reset = (ExecutionStatus::Failed, Some("ChainReset".to_owned()));
    let mut desk = Desk::quiet("ledger-reset").await;
    let mut node = Node::start(&[]).await;
    point_ledger_at(&mut desk.twin.world, node.url()).await;
    let world = desk.world();
    let ledger = world.ledger().await;
    let lessor = Person::new();
    let mut made = Vec::new();
    for _ in 0..3 {
        made.extend(commit(&node.chain, &lessor, 1).await);
    }
    let listens = start_execution(world).await;
    for transaction in &made {
        ledger.recorded(&transaction.id).await;
    }
    let top = node.chain.height().await;
    let cursor = until("the cursor at the top", SOON, async || {
        own_lease(&ledger)
            .await
            .1
            .filter(|cursor| cursor.height >= top)
    })
    .await;
    // A shorter one, seen by the run that listens.
    node.kill().await;
    node.forget();
    node.start_again().await;
    assert_eq!(ended(world, &listens).await, reset);
    assert_eq!(own_lease(&ledger).await.1.as_ref(), Some(&cursor));
    let made = commit(&node.chain, &lessor, 1).await;
    // By the next one.
    let listens = start_execution(world).await;
    assert_eq!(ended(world, &listens).await, reset);
    assert_eq!(own_lease(&ledger).await.1.as_ref(), Some(&cursor));
    for transaction in &made {
        assert_eq!(ledger.events.load(&transaction.id).await.unwrap(), None);
    }
    desk.dead("ledger-executions-dlq", 2).await;
    let refused = desk.offchain(&["ledger", "rewind", "0"]).await;
    assert_eq!(refused.code, Some(2), "{refused:?}");
    desk.offchain(&["ledger", "rewind", "0", "--yes"])
        .await
        .succeeded();
    start_execution(world).await;
    for transaction in &made {
        ledger.recorded(&transaction.id).await;
    }
}

#[tokio::test]
async fn executions_hand_over_and_a_killed_run_is_back_within_seconds() {
    const TIMES: usize = 3;
    let mut twin = Twin::quiet("ledger-handover").await;
    let node = Node::start(&[]).await;
    point_ledger_at(&mut twin.world, node.url()).await;
    let world = &twin.world;
    let ledger = world.ledger().await;
    let lessor = Person::new();
    let mut last = start_execution(world).await;
    let (mut token, _) = taken_over(&ledger, 0).await;
    let mut made = Vec::new();
    let (mut planned, mut killed) = (Vec::new(), Vec::new());
    for _ in 0..TIMES {
        // By the next execution, while the first still listens.
        made.extend(commit(&node.chain, &lessor, 2).await);
        let next = start_execution(world).await;
        let (new, took) = taken_over(&ledger, token).await;
        (token, planned) = (new, [planned, vec![took]].concat());
        made.extend(commit(&node.chain, &lessor, 2).await);
        let (status, _) = ended(world, &last).await;
        assert_eq!(status, ExecutionStatus::Succeeded);
        last = next;
        // By the machine, after the run was killed.
        let processes = twin.processes("ledger-listen").await;
        assert!(!processes.is_empty());
        signal("KILL", &processes);
        let (new, took) = taken_over(&ledger, token).await;
        (token, killed) = (new, [killed, vec![took]].concat());
        made.extend(commit(&node.chain, &lessor, 2).await);
    }
    for transaction in &made {
        ledger.recorded(&transaction.id).await;
    }
    report(&format!(
        "ledger: the lease changes hands after {planned:?} as planned, after {killed:?} where a run is killed"
    ));
    let worst = planned.iter().chain(&killed).max().unwrap();
    assert!(*worst <= Duration::from_secs(5), "{planned:?} {killed:?}");
    agree(world, &ledger, node.url(), SOON).await;
}

// The listener.

#[tokio::test]
async fn a_listener_killed_time_and_again_leaves_no_event_out() {
    let world = World::shared().await;
    let scene = Scene::new(&world, &[]).await;
    let made = Mutex::new(Vec::new());
    let trade = async {
        for _ in 0..30 {
            let more = scene.commit(2).await;
            made.lock().unwrap().extend(more);
        }
    };
    let over = AtomicUsize::new(0);
    let trade = async {
        trade.await;
        over.store(1, Ordering::Relaxed);
    };
    let kill = async {
        let (mut kills, mut taken) = (0, 0);
        while over.load(Ordering::Relaxed) == 0 {
            let function = scene.listens().await;
            // In the middle of things.
            taken = until("more events, or the end of them", SOON, async || {
                let now = different(&scene.receiver).len();
                let over = over.load(Ordering::Relaxed) == 1;
                (now > taken || over).then_some(now)
            })
            .await;
            function.kill();
            kills += 1;
        }
        kills
    };
    let ((), kills) = tokio::join!(trade, kill);
    let _function = scene.listens().await;
    let made = made.into_inner().unwrap();
    scene.told(&made).await;
    assert_eq!(different(&scene.receiver).len(), made.len());
    assert!(kills >= 5, "{kills}");
    report(&format!(
        "ledger: a listener killed {kills} times told of {} events {} times",
        made.len(),
        scene.receiver.taken().len()
    ));
}

#[tokio::test]
async fn who_slept_past_the_lease_finds_it_lost_and_a_daemon_that_is_asked_to_end_gives_it_back() {
    let world = World::shared().await;
    let scene = Scene::new(&world, &[]).await;
    let first = scene.listening.function(&world).await;
    let event = shift();
    let steps = async {
        let mut made = scene.commit(2).await;
        scene.told(&made).await;
        first.signal("STOP");
        let (token, held, before) = scene.lease().await;
        assert!(held);
        // One that was meant for an earlier time leaves it to who has it.
        let earlier = Timestamp::now() - Duration::from_secs(60);
        let older = scene.listening.function(&world).await;
        let reply = older.invoke(&json!({"scheduled_time": earlier})).await;
        assert_eq!(reply.unwrap()["outcome"], "handed_over");
        let began = Instant::now();
        let daemon = scene.listening.daemon(&world).await;
        made.extend(scene.commit(3).await);
        scene.told(&made).await;
        let (next, ..) = scene.lease().await;
        assert_eq!(next, token + 1);
        assert!(began.elapsed() < LEASE + Duration::from_secs(20));
        // It wakes, and may not move anything.
        first.signal("CONT");
        (made, daemon, before)
    };
    let (reply, (mut made, daemon, before)) = tokio::join!(first.invoke(&event), steps);
    let reply = reply.unwrap();
    // Its machine may begin anew: nobody younger listens, as far as it sees.
    let ends = ["handed_over", "time_up"];
    assert!(
        ends.contains(&reply["outcome"].as_str().unwrap()),
        "{reply}"
    );
    // What it had of the cursor is what it had when it fell asleep.
    assert!(reply["height"].as_u64().unwrap() <= before + 1, "{reply}");
    made.extend(scene.commit(2).await);
    scene.told(&made).await;
    let top = scene.node.chain.height().await;
    scene.listening.reached(&world, top).await;
    let (token, ..) = scene.lease().await;
    assert_eq!(daemon.stop().await, Some(0));
    assert_eq!(scene.lease().await, (token, false, top));
    assert_eq!(different(&scene.receiver).len(), made.len());
    // So the next one, of whatever time, has it at once.
    let older = scene.listening.function(&world).await;
    let earlier = Timestamp::now() - Duration::from_secs(60);
    older.begin(&unique(), &json!({"scheduled_time": earlier}));
    until("the next listener", SOON, async || {
        (scene.lease().await.0 > token).then_some(())
    })
    .await;
}

// Subscribers and tables.

#[tokio::test]
async fn a_subscriber_that_fails_a_third_of_the_time_takes_each_event_once_and_in_order() {
    let world = World::shared().await;
    let mut scene = Scene::new(&world, &[]).await;
    scene.listening.set(&json!({"retry_schedule": PATIENT}));
    scene.receiver.answer(|_| {
        let status = if rand::random_range(0..3) == 0 {
            500
        } else {
            204
        };
        Answer::Status(status)
    });
    let _function = scene.listens().await;
    let driver = Person::new();
    let mut made = scene.commit(20).await;
    let mut leased = Vec::new();
    let [first, second, ..] = &made[..] else {
        panic!()
    };
    for car in [first, second] {
        let there = car.hand_over(&scene.lessor, &driver, &Value::Null);
        let back = there.hand_over(&driver, &scene.lessor, &Value::Null);
        for transaction in [there, back] {
            scene.node.chain.commit(&transaction).await;
            leased.push(transaction);
        }
    }
    made.extend(leased);
    scene.told(&made).await;
    scene.each_once(&made);
    let mut heights: BTreeMap<Id, Vec<_>> = BTreeMap::new();
    for event in scene.receiver.taken() {
        heights
            .entry(event.asset_id)
            .or_default()
            .push(event.height);
    }
    assert!(
        heights.values().all(|heights| heights.is_sorted()),
        "{heights:?}"
    );
    let refused = scene.receiver.webhooks().len() - made.len();
    assert!(refused > 0);
    let feed = scene.listening.feed(&world);
    let names: BTreeSet<_> = scene
        .receiver
        .webhooks()
        .iter()
        .map(|hook| hook.id.clone())
        .collect();
    assert_eq!(names.len(), made.len());
    let top = scene.node.chain.height().await;
    scene.listening.reached(&world, top).await;
    assert!(feed.look().await.unwrap().is_some());
}

#[tokio::test]
async fn a_subscriber_that_never_answers_or_late_holds_nobody_else_up() {
    let world = World::shared().await;
    let mut scene = Scene::new(&world, &[]).await;
    let ledger = world.ledger().await;
    let (never, late) = (Receiver::start().await, Receiver::start().await);
    never.answer(|_| Answer::Never);
    late.answer(|_| Answer::Late(Duration::from_secs(2), 204));
    for receiver in [&never, &late] {
        scene.listening.tell(&ledger, receiver, &Value::Null);
    }
    let patient = json!({"timeout_seconds": 1, "retry_schedule": PATIENT});
    scene.listening.set(&patient);
    let _function = scene.listens().await;
    let made = scene.commit(5).await;
    scene.told(&made).await;
    scene.each_once(&made);
    // What waits is kept, so that the cursor goes on.
    let top = scene.node.chain.height().await;
    scene.listening.reached(&world, top).await;
    let ids: Vec<&Id> = made.iter().map(|made| &made.id).collect();
    for receiver in [&never, &late] {
        until("a webhook in vain", SOON, async || {
            (!receiver.webhooks().is_empty()).then_some(())
        })
        .await;
        receiver.answer_all(204);
        receiver.took(&ids).await;
    }
    scene.each_once(&made);
}

#[tokio::test]
async fn what_waits_for_a_subscriber_that_was_removed_is_shown_and_can_be_forgotten() {
    let world = World::shared().await;
    let ledger = world.ledger().await;
    let node = Node::start(&[]).await;
    let receiver = Receiver::start().await;
    receiver.answer_all(500);
    let mut listening = Listening::new(&world, node.url());
    listening.set(&json!({"retry_schedule": [86400]}));
    let name = listening.tell(&ledger, &receiver, &json!({}));
    let function = listening.function(&world).await;
    function.begin("listen", &shift());
    commit(&node.chain, &Person::new(), 3).await;
    let feed = listening.feed(&world);
    until("three to be kept", SOON, async || {
        let kept = feed.deliveries.waiting(&name).await.unwrap();
        (kept.len() == 3).then_some(())
    })
    .await;
    function.kill();

    let forget = ["forget", name.as_str()];
    let (code, said) = command(&world, &listening, &forget).await;
    assert_eq!(code, Some(2), "{said}");
    assert!(said.to_string().contains("is a subscriber"), "{said}");
    listening.tell_nobody();
    let (code, said) = command(&world, &listening, &["status"]).await;
    assert_eq!((code, &said["unsubscribed"][&name]), (Some(1), &json!(3)));
    let problems = said["problems"].as_array().unwrap();
    assert!(problems.contains(&json!("unsubscribed")), "{said}");
    let (code, said) = command(&world, &listening, &forget).await;
    assert_eq!(code, Some(2), "{said}");
    assert!(said.to_string().contains("--yes"), "{said}");
    let (code, said) = command(&world, &listening, &["forget", &name, "--yes"]).await;
    assert_eq!((code, &said["forgotten"]), (Some(0), &json!(3)));
    let (_, said) = command(&world, &listening, &["status"]).await;
    assert_eq!(said["unsubscribed"].get(&name), None, "{said}");
}

#[tokio::test]
async fn what_dynamodb_refuses_or_is_silent_about_is_neither_lost_nor_doubled() {
    let (mut twin, proxy) = Twin::behind_a_proxy("ledger-dynamodb").await;
    let node = Node::start(&[]).await;
    point_ledger_at(&mut twin.world, node.url()).await;
    let world = &twin.world;
    let ledger = world.ledger().await;
    try_again_soon(world).await;
    let (url, _) = relay(world).await;
    let mut listening = Listening::new(world, node.url());
    listening.tell_at(OWN, &url, ledger.secret_arn(OWN), &Value::Null);
    listening.set(&json!({"retry_schedule": PATIENT}));
    for fault in [THROTTLED, Fault::ReplyLost, BROKEN] {
        for operation in [
            "PutItem",
            "UpdateItem",
            "TransactWriteItems",
            "SendMessage",
            "GetItem",
        ] {
            proxy.fail(operation, "", 3, fault);
        }
        for operation in ["DeleteItem", "Query"] {
            proxy.fail(operation, "", 1, fault);
        }
    }
    let steps = async {
        let fleet = fleet(node.url(), 60, 12).await;
        through(&fleet).await;
        agree(world, &ledger, node.url(), SOON).await;
        let top = node.chain.height().await;
        listening.reached(world, top).await;
    };
    let (kill, runs) = (Notify::new(), Mutex::new(Runs::default()));
    tokio::select! {
        never = keep_listening(&listening, world, proxy.url(), &kill, &runs) => never,
        () = steps => {}
    }
    assert_eq!(world.depth("ledger-deliveries-dlq").await, 0);
    assert_eq!(world.depth("ledger-transactions-dlq").await, 0);
}
