//! The bridge's flow: what happens on the ledger is stored, counts and is
//! shown; and all of it is what a plain reading of the chain says.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use futures_util::future::join_all;
use offchain_ledger::{Event, Id, Record};
use rand::RngExt;
use rand::seq::{IndexedRandom, SliceRandom};
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::bigchain::{Bigchain, Node, Person, To, Tx, car, create, transfer};
use crate::garbage::is_problem;
use crate::harness::{SOON, World, offchain, until};
use crate::ledger_world::{
    Ledger, Listening, OTHER, OWN, Receiver, Signed, event, point_ledger_at, shift,
};
use crate::twin::Twin;

/// What happened, the newest first: by whom, to whom, and what.
fn history(view: &Value) -> Vec<(String, Vec<String>, Vec<String>)> {
    let keys = |value: &Value| Vec::deserialize(value).unwrap();
    let events = view["history"].as_array().unwrap().iter();
    let told = events.map(|event| {
        assert_eq!(event["status"], "recorded", "{event}");
        assert!(event["height"].is_u64(), "{event}");
        let operation = event["operation"].as_str().unwrap().to_owned();
        (operation, keys(&event["from"]), keys(&event["to"]))
    });
    told.collect()
}

fn record(started: u64, ended: u64, claim_free: u64, incidents: u64) -> Record {
    Record {
        started,
        ended,
        claim_free,
        incidents,
    }
}

#[tokio::test]
async fn a_car_that_is_leased_returned_and_handed_over_is_shown_with_all_of_it() {
    let world = World::shared().await;
    let ledger = world.ledger().await;
    let node = &ledger.node;
    let [lessor, first, second] = [(); 3].map(|()| Person::new());
    let keys = [&lessor, &first, &second].map(Person::text);
    let [lessor_key, first_key, second_key] = keys.clone();

    let car = car(&lessor, 2_500_000);
    let created = node.commit(&car).await;
    let view = ledger.shown(&car.asset, 1, |_| true).await;
    assert_eq!(view["kind"], "car");
    assert_eq!(view["model"], "Fiat 500é");
    assert_eq!(
        (&view["lessor"], &view["value_cents"]),
        (&json!(lessor_key), &json!(2_500_000))
    );
    let owner = |key: &str, tx: &Tx| json!([{"public_keys": [key], "amount": "1", "transaction_id": tx.id, "output_index": 0}]);
    assert_eq!(view["owners"], owner(&lessor_key, &car));
    assert_eq!(view["history"][0]["height"], created);
    assert!(
        view.get("driver").is_none() && view.get("premium").is_none(),
        "{view}"
    );

    // A lease. 4 % of the value a year, and 10 % more of one who has proved nothing.
    let leased = car.hand_over(&lessor, &first, &Value::Null);
    node.commit(&leased).await;
    let priced = |view: &Value| view["premium"].is_object();
    let view = ledger.shown(&car.asset, 2, priced).await;
    assert_eq!(view["owners"], owner(&first_key, &leased));
    let premium =
        |percent: u64, cents: u64| json!({"factor_percent": percent, "yearly_cents": cents});
    assert_eq!(view["premium"], premium(110, 110_000));
    assert_eq!(view["driver"]["public_key"], first_key);
    assert_eq!(view["driver"]["started"], 1);

    // The driver has another car as well, which costs more once the first one
    // came back with an incident.
    let other = create(
        &lessor,
        &json!({"car": {"value": 1_000_001}}),
        &Value::Null,
        &[To(&[&lessor], 1)],
    );
    node.commit(&other).await;
    node.commit(&other.hand_over(&lessor, &first, &Value::Null))
        .await;
    let view = ledger.shown(&other.asset, 2, priced).await;
    assert_eq!(view["premium"], premium(110, 44_000));
    let returned = leased.hand_over(&first, &lessor, &json!({"incidents": 1}));
    node.commit(&returned).await;
    let view = ledger.shown(&car.asset, 3, |_| true).await;
    assert!(
        view.get("driver").is_none() && view.get("premium").is_none(),
        "{view}"
    );
    assert_eq!(view["owners"], owner(&lessor_key, &returned));
    let dearer = |view: &Value| view["premium"]["factor_percent"] == 135;
    let view = ledger.shown(&other.asset, 2, dearer).await;
    assert_eq!(view["premium"], premium(135, 54_000));

    // Leased again, and handed over by that driver to the first one.
    let again = returned.hand_over(&lessor, &second, &Value::Null);
    node.commit(&again).await;
    let handed = again.hand_over(&second, &first, &Value::Null);
    node.commit(&handed).await;
    let view = ledger.shown(&car.asset, 5, priced).await;
    assert_eq!(view["driver"]["public_key"], first_key);
    assert_eq!(view["premium"], premium(135, 135_000));
    let first_record = ledger.driver(&first.public_key()).await;
    assert_eq!(first_record.record, record(3, 1, 0, 1));
    let open = [car.asset.clone(), other.asset.clone()];
    assert_eq!(first_record.open, open.into());
    let second_record = ledger.driver(&second.public_key()).await;
    assert_eq!(second_record.record, record(1, 1, 1, 0));
    assert!(second_record.open.is_empty());

    let step = |operation: &str, from: &str, to: &str| {
        (
            operation.to_owned(),
            vec![from.to_owned()],
            vec![to.to_owned()],
        )
    };
    let all = [
        step("TRANSFER", &second_key, &first_key),
        step("TRANSFER", &lessor_key, &second_key),
        step("TRANSFER", &first_key, &lessor_key),
        step("TRANSFER", &lessor_key, &first_key),
        step("CREATE", &lessor_key, &lessor_key),
    ];
    assert_eq!(history(&view), all);

    // In pages.
    let mut path = format!("/v1/ledger/assets/{}?limit=2", car.asset);
    let mut paged = Vec::new();
    loop {
        let page = world.api.get(&path).await;
        assert_eq!(page.status, 200, "{page:?}");
        paged.extend(history(&page.body));
        let Some(next) = page.body["next"].as_str() else {
            break;
        };
        next.clone_into(&mut path);
    }
    assert_eq!(paged, all);

    // The command tells the same.
    let shown = offchain(&["ledger", "assets", &car.asset.to_string(), "--json"]).await;
    assert_eq!(shown.json(), view);
}

#[tokio::test]
async fn what_is_no_car_has_owners_and_no_premium() {
    let world = World::shared().await;
    let ledger = world.ledger().await;
    let node = &ledger.node;
    let [a, b, c] = [(); 3].map(|()| Person::new());

    // Shares, of which some are handed on, and two heaps become one.
    let shares = create(
        &a,
        &json!({"shares": "of a boat"}),
        &json!({"note": "é ☃ 😀 \" \\ /"}),
        &[
            To(&[&a], 3),
            To(&[&b], 4),
            To(&[&a], 9_000_000_000_000_000_000 - 7),
        ],
    );
    node.commit(&shares).await;
    let spent = [(shares.output(0), &[&a] as &[_]), (shares.output(1), &[&b])];
    let mixed = transfer(
        &shares.asset,
        &spent,
        &Value::Null,
        &[To(&[&c], 6), To(&[&a], 1)],
    );
    node.commit(&mixed).await;
    let view = ledger.shown(&shares.asset, 2, |_| true).await;
    assert_eq!(view["kind"], "other");
    for none in ["lessor", "model", "value_cents", "driver", "premium"] {
        assert!(view.get(none).is_none(), "{view}");
    }
    let mut owners: Vec<_> = view["owners"].as_array().unwrap().iter().collect();
    owners.sort_by_key(|owner| owner["amount"].as_str().unwrap().len());
    let amounts: Vec<_> = owners
        .iter()
        .map(|owner| {
            (
                owner["public_keys"][0].as_str().unwrap(),
                owner["amount"].as_str().unwrap(),
            )
        })
        .collect();
    let mut expected = [(c.text(), "6"), (a.text(), "1")];
    if amounts[0].1 == "1" {
        expected.reverse();
    }
    assert_eq!(amounts.len(), 3);
    for (found, wanted) in amounts.iter().zip(&expected) {
        assert_eq!((found.0, found.1), (wanted.0.as_str(), wanted.1));
    }
    assert_eq!(amounts[2], (a.text().as_str(), "8999999999999999993"));

    // A car of two people is none, and they hand it on together.
    let both = create(
        &a,
        &json!({"car": {"value": 100}}),
        &Value::Null,
        &[To(&[&a, &b], 1)],
    );
    node.commit(&both).await;
    let spent = [(both.output(0), &[&a, &b] as &[_])];
    node.commit(&transfer(
        &both.asset,
        &spent,
        &Value::Null,
        &[To(&[&c], 1)],
    ))
    .await;
    let view = ledger.shown(&both.asset, 2, |_| true).await;
    assert_eq!(view["kind"], "other");
    assert_eq!(view["owners"][0]["public_keys"], json!([c.text()]));
    assert!(view.get("premium").is_none(), "{view}");
    assert_eq!(
        ledger.driver(&c.public_key()).await.record,
        record(0, 0, 0, 0)
    );

    // Nothing that anybody could own.
    let nothing = create(&a, &Value::Null, &Value::Null, &[To(&[&a], 1)]);
    node.commit(&nothing).await;
    let view = ledger.shown(&nothing.asset, 1, |_| true).await;
    assert_eq!(view["kind"], "other");
}

/// Two transactions that a server of 2.2.2 recorded in its time.
const RECORDED: &str = include_str!("bigchaindb-2.2.2-transactions.json");

#[tokio::test]
async fn transactions_that_a_server_recorded_count() {
    let world = World::shared().await;
    let ledger = world.ledger().await;
    let transactions: Vec<Value> = serde_json::from_str(RECORDED).unwrap();
    let ids: Vec<Id> = transactions
        .iter()
        .map(|transaction| transaction["id"].as_str().unwrap().parse().unwrap())
        .collect();
    for (transaction, id) in transactions.iter().zip(&ids) {
        let (status, _) = ledger.node.get(&format!("/transactions/{id}")).await;
        if status == 404 {
            let (status, said) = ledger.node.post(transaction, "async").await;
            assert_eq!(status, 202, "{said}");
        }
        ledger.node.committed(id).await;
        ledger.recorded(id).await;
    }
    let view = ledger.shown(&ids[0], 2, |_| true).await;
    let last = &transactions[1]["outputs"][0];
    assert_eq!(view["owners"][0]["public_keys"], last["public_keys"]);
    assert_eq!(view["owners"][0]["amount"], last["amount"]);
}

/// What the naive reading of a chain says of it, up to a height.
async fn naive(node: &Bigchain, height: u64) -> Value {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let script: PathBuf = root.join("ledger/naive.py");
    let (url, height) = (node.url.clone(), height.to_string());
    let ran = tokio::task::spawn_blocking(move || {
        let mut python = Command::new("python3");
        python.arg(script).args([&url, "--to", &height]).output()
    });
    let ran = ran.await.unwrap().unwrap();
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{said}");
    serde_json::from_slice(&ran.stdout).unwrap()
}

/// Everything that the ledger's tables say, as the naive reading says it.
async fn state(ledger: &Ledger<'_>, world: &World) -> Value {
    let tables = ledger.tables().await;
    let text = |item: &crate::harness::Item, name: &str| item[name].as_s().unwrap().clone();
    let mut assets = BTreeMap::new();
    for item in &tables[world.stack.ledger.assets_table.as_str()] {
        let id: Id = text(item, "asset_id").parse().unwrap();
        let known = ledger.assets.asset(&id).await.unwrap().unwrap();
        let owners: Vec<_> = known
            .asset
            .owners()
            .into_iter()
            .map(|owned| {
                json!({
                    "public_keys": owned.public_keys, "amount": owned.amount.to_string(),
                    "transaction_id": owned.output.transaction_id,
                    "output_index": owned.output.output_index,
                })
            })
            .collect();
        let car = known.asset.car.as_ref();
        assets.insert(
            id.to_string(),
            json!({
                "lessor": car.map(|car| &car.lessor),
                "owners": owners,
                "car": car.is_some(),
                "premium_cents": known.premium.map(|premium| premium.yearly_cents),
            }),
        );
    }
    let mut drivers = BTreeMap::new();
    for item in &tables[world.stack.ledger.drivers_table.as_str()] {
        let key = text(item, "public_key");
        let driver = ledger.driver(&key.parse().unwrap()).await;
        drivers.insert(key, driver.record);
    }
    json!({"assets": assets, "drivers": drivers})
}

/// Waits until the tables say what the naive reading says, up to a height.
async fn is_naive(ledger: &Ledger<'_>, world: &World, node: &Bigchain) {
    let mut differing = String::new();
    let what = "the tables to say what the chain says";
    let found = until(what, SOON, async || {
        let height = node.height().await;
        let mut expected = naive(node, height).await;
        let (read, total) = (expected["height"].take(), expected["transactions"].take());
        assert_eq!(read, height);
        let found = state(ledger, world).await;
        for kind in ["assets", "drivers"] {
            let of = |value: &Value| value[kind].as_object().unwrap().clone();
            let (wanted, found) = (of(&expected), of(&found));
            let other = wanted
                .iter()
                .find(|(name, value)| found.get(*name) != Some(value));
            if let Some((name, value)) = other {
                differing = format!("{kind} {name}: {value} {:?}", found.get(name));
                return None;
            }
            if let Some(name) = found.keys().find(|name| !wanted.contains_key(*name)) {
                differing = format!("{kind} {name}: unknown to the chain");
                return None;
            }
        }
        Some(total)
    });
    let total = tokio::select! {
        total = found => total,
        // Says more than that it waited in vain.
        () = tokio::time::sleep(SOON - std::time::Duration::from_secs(5)) => panic!("{differing}"),
    };
    crate::harness::report(&format!(
        "{total} transactions count as a plain reading has them"
    ));
}

#[tokio::test]
async fn all_that_the_stack_knows_is_what_its_chain_says() {
    // Nobody else hands anything in.
    let world = World::alone().await;
    let ledger = world.ledger().await;
    trade(&ledger.node, 2, 20).await;
    is_naive(&ledger, &world, &ledger.node).await;
}

/// People trade with each other at random: with so many cars, and as many other
/// assets. Returns each transaction with its height.
async fn trade(node: &Bigchain, cars: usize, rounds: usize) -> Vec<(Tx, u64)> {
    let lessors = [Person::new(), Person::new()];
    let drivers = [(); 4].map(|()| Person::new());
    let pick = || drivers.choose(&mut rand::rng()).unwrap().clone();
    let mut made = Vec::new();
    // Each asset's newest transaction, who has it, and whose it is.
    let mut fleet = Vec::new();
    for number in 0..cars {
        let lessor = &lessors[number % lessors.len()];
        let car = car(lessor, rand::rng().random_range(1..=1_000_000_000_000));
        fleet.push((car.clone(), lessor.clone(), lessor.clone()));
        let thing = create(
            lessor,
            &json!({"thing": number}),
            &Value::Null,
            &[To(&[lessor], 1)],
        );
        fleet.push((thing.clone(), lessor.clone(), lessor.clone()));
        made.extend([car, thing]);
    }
    let mut all = Vec::new();
    for _ in 0..rounds {
        for transaction in &made {
            node.submit(transaction).await;
        }
        let heights = join_all(
            made.iter()
                .map(|transaction| node.committed(&transaction.id)),
        );
        let heights = heights.await;
        all.extend(made.drain(..).zip(heights));
        for (newest, holder, lessor) in &mut fleet {
            let to = if rand::rng().random_ratio(1, 3) {
                lessor.clone()
            } else {
                pick()
            };
            let metadata = match rand::rng().random_range(0..6) {
                0 => json!({"incidents": 1}),
                1 => json!({"incidents": 3, "note": "ouch"}),
                2 => json!({"incidents": -1}),
                3 => json!({"incidents": "2"}),
                _ => Value::Null,
            };
            *newest = newest.hand_over(holder, &to, &metadata);
            *holder = to;
            made.push(newest.clone());
        }
    }
    for transaction in &made {
        node.submit(transaction).await;
    }
    for transaction in made {
        let height = node.committed(&transaction.id).await;
        all.push((transaction, height));
    }
    all
}

#[tokio::test]
async fn events_in_any_order_and_more_than_once_come_to_the_same() {
    let node = Node::start(&[]).await;
    let mut twin = Twin::quiet("ledger-order").await;
    point_ledger_at(&mut twin.world, node.url()).await;
    let world = &twin.world;
    let ledger = world.ledger().await;
    let keys = ledger.keys(OWN).await;
    let traded = trade(&node.chain, 2, 6).await;
    let mut events: Vec<_> = traded
        .iter()
        .map(|(tx, height)| event(tx, *height))
        .collect();

    // Each asset's last first, and all else at random.
    events.reverse();
    events[4..].shuffle(&mut rand::rng());
    let deliver = async |events: &[Event], expected: (u16, &str)| {
        let webhooks: Vec<_> = events
            .iter()
            .map(|event| Signed::now(&keys, event))
            .collect();
        let replies = join_all(webhooks.iter().map(|webhook| ledger.deliver(webhook))).await;
        for reply in replies {
            assert_eq!(
                (reply.status, reply.body["status"].as_str()),
                (expected.0, Some(expected.1))
            );
        }
    };
    let seconds = async || {
        // A webhook of the same second is a replay.
        let now = jiff::Timestamp::now().as_second();
        until("the next second", SOON, async || {
            (jiff::Timestamp::now().as_second() > now).then_some(())
        })
        .await;
    };
    for chunk in events.chunks(8) {
        deliver(chunk, (202, "stored")).await;
    }
    seconds().await;
    events.shuffle(&mut rand::rng());
    for chunk in events.chunks(8) {
        deliver(chunk, (200, "duplicate")).await;
    }
    for event in &events {
        let recorded = ledger.recorded(&event.transaction_id).await;
        assert_eq!(recorded.event, *event);
    }
    is_naive(&ledger, world, &node.chain).await;
    let before = state(&ledger, world).await;

    // Once more, after all of it counts: webhooks and messages.
    seconds().await;
    deliver(&events[..8], (200, "duplicate")).await;
    for event in &events {
        let message = json!({"transaction_id": event.transaction_id}).to_string();
        let send = world.sqs.send_message().message_body(message);
        let send = send.queue_url(&world.stack.ledger.queue_url);
        send.send().await.unwrap();
    }
    until("the queue to be empty", SOON, async || {
        (world.depth("ledger-transactions").await == 0).then_some(())
    })
    .await;
    assert_eq!(state(&ledger, world).await, before);
    assert_eq!(world.depth("ledger-transactions-dlq").await, 0);
    let stored = &ledger.tables().await[world.stack.ledger.events_table.as_str()];
    assert_eq!(stored.len(), events.len());
}

#[tokio::test]
async fn a_subscriber_is_told_of_its_assets_and_owners_and_of_nothing_else() {
    let world = World::shared().await;
    let ledger = world.ledger().await;
    let node = &ledger.node;
    let [lessor, ann, bob] = [(); 3].map(|()| Person::new());
    let (first, second) = (car(&lessor, 100), car(&lessor, 200));
    let [by_asset, by_owner, by_both, own] = [
        Receiver::start().await,
        Receiver::start().await,
        Receiver::start().await,
        Receiver::start().await,
    ];
    let mut listening = Listening::new(&world, &world.stack.ledger.node);
    listening.set(&json!({"from_height": node.height().await + 1}));
    let assets = json!({"assets": [first.asset]});
    listening.tell(&ledger, &by_asset, &assets);
    listening.tell(&ledger, &by_owner, &json!({"owners": [ann.text()]}));
    let both =
        json!({"assets": [first.asset, second.asset], "owners": [bob.text(), lessor.text()]});
    listening.tell(&ledger, &by_both, &both);
    // One whose secret is another.
    listening.tell_at("own", &own.url, ledger.secret_arn(OWN), &assets);
    // The suite's own receiver takes it from this listener as well.
    let url = format!(
        "{}/v1/ledger/events",
        world.stack.api_url.trim_end_matches('/')
    );
    listening.tell_at("suite", &url, ledger.secret_arn(OWN), &assets);

    let function = listening.function(&world).await;
    function.begin("listen", &shift());
    node.commit(&first).await;
    node.commit(&second).await;
    let to_ann = first.hand_over(&lessor, &ann, &Value::Null);
    let to_bob = second.hand_over(&lessor, &bob, &Value::Null);
    node.commit(&to_ann).await;
    node.commit(&to_bob).await;
    let handed = to_ann.hand_over(&ann, &bob, &Value::Null);
    let back = to_bob.hand_over(&bob, &ann, &Value::Null);
    node.commit(&handed).await;
    let height = node.commit(&back).await;
    listening.reached(&world, height).await;

    let other_keys = ledger.keys(OTHER).await;
    let own_keys = ledger.keys(OWN).await;
    let of = |receiver: &Receiver| {
        let taken = receiver.taken();
        taken
            .into_iter()
            .map(|event| event.transaction_id)
            .collect::<Vec<_>>()
    };
    let of_first = [&first, &to_ann, &handed].map(|tx| tx.id.clone());
    assert_eq!(of(&by_asset), of_first);
    assert_eq!(of(&own), of_first);
    let of_ann = [&to_ann, &handed, &back].map(|tx| tx.id.clone());
    assert_eq!(of(&by_owner), of_ann);
    let mut of_both = of(&by_both);
    let mut all = [&first, &second, &to_ann, &to_bob, &handed, &back].map(|tx| tx.id.clone());
    of_both.sort();
    all.sort();
    assert_eq!(of_both, all);
    for (receiver, keys, others) in [
        (&by_asset, &other_keys, &own_keys),
        (&by_owner, &other_keys, &own_keys),
        (&own, &own_keys, &other_keys),
    ] {
        for webhook in receiver.webhooks() {
            webhook.verify(keys).unwrap();
            webhook.verify(others).unwrap_err();
            let event = webhook.event();
            assert_eq!(webhook.id, Some(event.webhook_id()));
            let head = webhook.head.to_lowercase();
            assert!(head.starts_with("post /hook http/1.1"), "{head}");
            assert!(head.contains("content-type: application/json"), "{head}");
            let body: Value = serde_json::from_slice(&webhook.body).unwrap();
            assert_eq!(body["type"], "ledger.transaction");
        }
    }
    let told = of_first.iter().map(|id| ledger.recorded(id));
    join_all(told).await;
}

#[tokio::test]
async fn an_asset_that_is_asked_for_in_vain_is_a_problem() {
    let world = World::shared().await;
    let ledger = world.ledger().await;
    let known = car(&Person::new(), 1);
    ledger.node.commit(&known).await;
    ledger.recorded(&known.id).await;
    let unknown = "0".repeat(64);
    let upper = known.asset.to_string().to_uppercase();
    for (path, status, code) in [
        (unknown.clone(), 404, "AssetUnknown"),
        ("nothing".to_owned(), 400, "AssetIdInvalid"),
        (upper, 400, "AssetIdInvalid"),
        (format!("{unknown}0"), 400, "AssetIdInvalid"),
        ("%00".to_owned(), 400, "AssetIdInvalid"),
        (format!("{}?limit=0", known.asset), 400, "QueryInvalid"),
        (format!("{}?limit=101", known.asset), 400, "QueryInvalid"),
        (format!("{}?limit=ten", known.asset), 400, "QueryInvalid"),
        (format!("{}?limit=", known.asset), 400, "QueryInvalid"),
        (format!("{}?after=1", known.asset), 400, "QueryInvalid"),
        (format!("{}?after=", known.asset), 400, "QueryInvalid"),
    ] {
        let reply = world.api.get(&format!("/v1/ledger/assets/{path}")).await;
        is_problem(&reply, status, code, &path);
    }
    let path = format!("/v1/ledger/assets/{}", known.asset);
    for method in [Method::POST, Method::PUT, Method::DELETE] {
        let reply = world.api.send(method, &path, &[], "").await;
        assert_eq!(reply.status, 404, "{reply:?}");
    }
}
