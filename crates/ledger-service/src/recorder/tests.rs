//! The recorder, with a node that knows a few transactions and against a fake
//! AWS. The transactions are signed by three people, whose seeds are 32 times
//! 1, 2 and 3: the first makes a car (`create`) and leases it to the second
//! (`lease`), who brings it back (`end`). Both `again` and `stolen` are well
//! signed and yet not to be: one spends the car a second time, one takes it from
//! the second person. `coins` are no car.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use offchain_ledger::{Event, Notice, Place};
use offchain_outbound::OutboundError;
use offchain_store::test_util::{
    FakeAws, Reply, answer, attributes, cancelled, condition_failed, done, item, parts, refusal,
};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::*;
use crate::node::{Block, Notices};

const TRANSACTIONS: &str = include_str!("transactions.json");
const HELD: &str = "ConditionalCheckFailed";
const NONE: &str = "None";

/// The text of a transaction, as the node has it.
fn text(name: &str) -> String {
    let all: BTreeMap<String, Box<RawValue>> = serde_json::from_str(TRANSACTIONS).unwrap();
    all[name].get().to_owned()
}

fn transaction(name: &str) -> Transaction {
    Transaction::verify(&text(name)).unwrap()
}

fn id(name: &str) -> Id {
    transaction(name).id
}

/// The three people.
fn lessor() -> PublicKey {
    transaction("create").outputs[0].public_keys[0].clone()
}

fn driver() -> PublicKey {
    transaction("lease").outputs[0].public_keys[0].clone()
}

/// A node that knows some texts, or cannot be asked.
#[derive(Default)]
struct Memory {
    texts: BTreeMap<String, String>,
    broken: bool,
    asked: Mutex<Vec<String>>,
}

impl Memory {
    fn knowing(names: &[&str]) -> Self {
        let texts = names.iter().map(|name| (id(name).to_string(), text(name)));
        Self {
            texts: texts.collect(),
            ..Self::default()
        }
    }
}

impl Chain for Memory {
    type Notices = Nothing;

    async fn height(&self) -> Result<u64, NodeError> {
        unreachable!("the recorder does not follow the chain")
    }

    async fn block(&self, _: u64) -> Result<Option<Block>, NodeError> {
        unreachable!("the recorder does not follow the chain")
    }

    async fn transaction(&self, id: &Id) -> Result<Option<String>, NodeError> {
        self.asked.lock().unwrap().push(id.to_string());
        if self.broken {
            return Err(OutboundError::TimedOut.into());
        }
        Ok(self.texts.get(id.as_str()).cloned())
    }

    async fn notices(&self) -> Result<Nothing, NodeError> {
        unreachable!("the recorder does not follow the chain")
    }
}

enum Nothing {}

impl Notices for Nothing {
    async fn next(&mut self) -> Result<Notice, NodeError> {
        match *self {}
    }
}

fn recorder(aws: &FakeAws, chain: Memory) -> Recorder<Memory> {
    let client = aws_sdk_dynamodb::Client::new(&aws.sdk_config());
    let events = Events::new(client.clone(), "events".into());
    Recorder {
        chain,
        events: events.clone(),
        assets: Assets::new(client, events, "assets".into(), "drivers".into()),
    }
}

/// Records one of the transactions while the node knows these.
async fn record(aws: &FakeAws, name: &str, known: &[&str]) -> Result<(), RecorderError> {
    recorder(aws, Memory::knowing(known))
        .record(&id(name))
        .await
}

/// The item of the transaction's event, with these attributes over its own.
fn event(name: &str, fields: &Value) -> Reply {
    let transaction = transaction(name);
    let event = Event::new(transaction.id, transaction.asset_id, Place::Height(7));
    let mut found = json!({
        "position": "7",
        "status": "received",
        "webhook_timestamp": 1,
        "received_time": "2026-11-21T12:00:00.250Z",
        "from": [],
        "to": [],
    });
    for part in [&serde_json::to_value(event).unwrap(), fields] {
        for (name, value) in part.as_object().unwrap() {
            found[name] = value.clone();
        }
    }
    item(&found)
}

/// What is kept of the car after these.
fn car(names: &[&str]) -> Value {
    let mut asset = Asset::new(&transaction("create")).unwrap();
    for name in names {
        asset.apply(&transaction(name)).unwrap();
    }
    let mut item = json!({
        "asset_id": asset.asset_id,
        "version": names.len(),
        "updated_time": "2026-11-21T12:00:00.250Z",
    });
    if let Some(driver) = asset.driver() {
        item["driver"] = json!(driver);
    }
    item["asset"] = serde_json::to_value(asset).unwrap();
    item
}

/// The driver's item after one lease, with what he or she leases.
fn leasing(open: &[Id], incidents: u32) -> Reply {
    let mut found = attributes(&json!({
        "public_key": driver(),
        "version": 4,
        "started": 1,
        "ended": 0,
        "claim_free": 0,
        "incidents": incidents,
    }));
    if !open.is_empty() {
        found["open"] = json!({ "SS": open });
    }
    answer(json!({ "Item": found }))
}

const EVENTS: &str = r#""TableName":"events""#;
const ASSETS: &str = r#""TableName":"assets""#;
const DRIVERS: &str = r#""TableName":"drivers""#;

#[tokio::test]
async fn a_car_that_is_made_counts_and_concerns_no_driver() {
    let aws = FakeAws::new()
        .about(EVENTS, "GetItem", event("create", &json!({})))
        .about(ASSETS, "GetItem", done())
        .on("TransactWriteItems", done());
    record(&aws, "create", &["create"]).await.unwrap();
    assert_eq!(
        aws.operations(),
        ["GetItem", "GetItem", "TransactWriteItems", "GetItem"]
    );
    let [event, asset] = parts(&aws).try_into().unwrap();
    let values = &event["Update"]["ExpressionAttributeValues"];
    assert_eq!(values[":operation"], "CREATE");
    assert_eq!(values[":to"], json!([lessor()]));
    let asset = &asset["Update"]["ExpressionAttributeValues"];
    assert_eq!(asset[":next"], 1);
    assert_eq!(asset[":asset"]["car"]["value"], 2_500_000);
}

#[tokio::test]
async fn a_lease_counts_and_its_premium_follows() {
    let aws = FakeAws::new()
        .about(EVENTS, "GetItem", event("lease", &json!({})))
        .on("GetItem", item(&car(&["create"])))
        .on("TransactWriteItems", done())
        .about(DRIVERS, "GetItem", leasing(&[id("create")], 1))
        .on("GetItem", item(&car(&["create", "lease"])))
        .on("GetItem", item(&car(&["create", "lease"])))
        .on("UpdateItem", done());
    record(&aws, "lease", &["create", "lease"]).await.unwrap();
    let parts = parts(&aws);
    assert_eq!(parts.len(), 3);
    let asset = &parts[1]["Update"];
    assert_eq!(asset["ConditionExpression"], "#version = :version");
    assert_eq!(
        asset["ExpressionAttributeValues"][":driver"],
        json!(driver())
    );
    assert_eq!(parts[2]["Update"]["Key"], json!({ "public_key": driver() }));
    // The record is read when the transaction counts, and so is the asset.
    let update = aws.sent_once("UpdateItem");
    assert_eq!(update["Key"], json!({ "asset_id": id("create") }));
    assert_eq!(
        update["ExpressionAttributeValues"],
        json!({
            ":driver": driver(),
            ":version": 4,
            // 4 % of 25 000, at 135 %.
            ":premium": {
                "yearly_cents": 135_000,
                "factor_percent": 135,
                "driver_version": 4,
            },
        })
    );
    assert_eq!(aws.operations().pop().unwrap(), "UpdateItem");
}

#[tokio::test]
async fn a_lease_that_ends_changes_what_its_driver_pays_elsewhere() {
    let aws = FakeAws::new()
        .about(EVENTS, "GetItem", event("end", &json!({})))
        .on("GetItem", item(&car(&["create", "lease"])))
        .on("TransactWriteItems", done())
        .on("GetItem", item(&car(&["create", "lease", "end"])))
        // Of two other cars one is gone, and one is none.
        .about(DRIVERS, "GetItem", leasing(&[id("coins"), id("lease")], 2))
        .on("GetItem", done())
        .on("GetItem", {
            let mut coins = car(&["create"]);
            coins["asset"]["car"] = Value::Null;
            item(&coins)
        });
    record(&aws, "end", &["end"]).await.unwrap();
    let driver = &parts(&aws)[2]["Update"];
    let values = &driver["ExpressionAttributeValues"];
    assert_eq!(
        (&values[":ended"], &values[":incidents"]),
        (&json!(1), &json!(2))
    );
    assert!(aws.sent("UpdateItem").is_empty());
}

#[tokio::test]
async fn a_transfer_that_comes_before_its_create_asks_the_node_what_the_asset_is() {
    let aws = FakeAws::new()
        .about(EVENTS, "GetItem", event("lease", &json!({})))
        .about(ASSETS, "GetItem", done())
        .on("TransactWriteItems", done())
        .about(DRIVERS, "GetItem", leasing(&[], 0));
    let recorder = recorder(&aws, Memory::knowing(&["create", "lease"]));
    recorder.record(&id("lease")).await.unwrap();
    let asked = recorder.chain.asked.lock().unwrap().clone();
    assert_eq!(asked, [id("lease").to_string(), id("create").to_string()]);
    let asset = &parts(&aws)[1]["Update"];
    assert_eq!(
        asset["ConditionExpression"],
        "attribute_not_exists(#version)"
    );
    let asset = &asset["ExpressionAttributeValues"][":asset"];
    assert_eq!(asset["car"]["lessor"], json!(lessor()));
    // The output of the CREATE is spent, though it is yet to come.
    assert_eq!(asset["transactions"], 1);
    let spent = format!("{}:0", id("create"));
    assert_eq!(asset["spent"][spent]["owners_before"], json!([lessor()]));
}

#[tokio::test]
async fn a_transaction_that_comes_late_sets_the_premium_of_whom_it_does_not_name() {
    let aws = FakeAws::new()
        .about(EVENTS, "GetItem", event("create", &json!({})))
        .about(DRIVERS, "GetItem", leasing(&[id("create")], 0))
        .on("GetItem", item(&car(&["lease"])))
        .on("TransactWriteItems", done())
        .always("GetItem", item(&car(&["lease", "create"])))
        .on("UpdateItem", done());
    record(&aws, "create", &["create"]).await.unwrap();
    // No driver's record changes, and the premium is gone with the old asset.
    let parts = parts(&aws);
    assert_eq!(parts.len(), 2);
    let expression = parts[1]["Update"]["UpdateExpression"].as_str().unwrap();
    assert!(expression.ends_with("REMOVE premium"), "{expression}");
    let update = aws.sent_once("UpdateItem");
    let values = &update["ExpressionAttributeValues"];
    assert_eq!(values[":driver"], json!(driver()));
    assert_eq!(values[":premium"]["yearly_cents"], 110_000);
}

#[tokio::test]
async fn where_the_asset_changed_meanwhile_it_is_applied_to_what_is_there_now() {
    let aws = FakeAws::new()
        .about(EVENTS, "GetItem", event("end", &json!({})))
        .about(DRIVERS, "GetItem", leasing(&[], 0))
        .on("GetItem", item(&car(&["create"])))
        .on(
            "TransactWriteItems",
            cancelled(&[(NONE, None), (HELD, None), (NONE, None)]),
        )
        .on("GetItem", item(&car(&["create", "lease"])))
        .on("TransactWriteItems", done())
        .on("GetItem", item(&car(&["create", "lease", "end"])));
    let recorder = recorder(&aws, Memory::knowing(&["end"]));
    recorder.record(&id("end")).await.unwrap();
    // The transaction itself does not change.
    assert_eq!(recorder.chain.asked.lock().unwrap().len(), 1);
    let versions: Vec<Value> = aws
        .sent("TransactWriteItems")
        .iter()
        .map(|sent| {
            sent["TransactItems"][1]["Update"]["ExpressionAttributeValues"][":version"].clone()
        })
        .collect();
    assert_eq!(versions, [1, 2]);
}

#[tokio::test]
async fn an_asset_that_always_changes_is_left_for_later() {
    let aws = FakeAws::new()
        .about(EVENTS, "GetItem", event("lease", &json!({})))
        .always("GetItem", item(&car(&["create"])))
        .always(
            "TransactWriteItems",
            cancelled(&[(NONE, None), (HELD, None), (NONE, None)]),
        );
    let error = record(&aws, "lease", &["lease"]).await.unwrap_err();
    assert_eq!((error.code(), error.retryable()), ("AssetContended", true));
    assert_eq!(aws.sent("TransactWriteItems").len(), 8);
}

#[tokio::test]
async fn what_counted_before_counts_once_and_its_premiums_are_made_good() {
    for aws in [
        // By another delivery, a moment ago.
        FakeAws::new()
            .about(EVENTS, "GetItem", event("lease", &json!({})))
            .on("GetItem", item(&car(&["create"])))
            .on(
                "TransactWriteItems",
                cancelled(&[(HELD, None), (HELD, None), (NONE, None)]),
            ),
        // By one that ended before the premiums were set.
        FakeAws::new().about(
            EVENTS,
            "GetItem",
            event(
                "lease",
                &json!({ "status": "recorded", "from": [], "to": [driver()] }),
            ),
        ),
    ] {
        let aws = aws
            .about(DRIVERS, "GetItem", leasing(&[id("create")], 0))
            .on("GetItem", item(&car(&["create", "lease"])))
            .on("GetItem", item(&car(&["create", "lease"])))
            .on("UpdateItem", condition_failed());
        record(&aws, "lease", &["lease"]).await.unwrap();
        let premium = aws.sent_once("UpdateItem");
        let premium = &premium["ExpressionAttributeValues"][":premium"];
        assert_eq!(premium["yearly_cents"], 110_000);
    }
}

#[tokio::test]
async fn of_what_counts_already_whoever_gave_and_whoever_got_are_looked_at() {
    let both = json!({ "status": "recorded", "from": [lessor()], "to": [driver()] });
    let aws = FakeAws::new()
        .about(EVENTS, "GetItem", event("lease", &both))
        .always("GetItem", done());
    let recorder = recorder(&aws, Memory::default());
    recorder.record(&id("lease")).await.unwrap();
    let drivers: BTreeSet<String> = aws
        .sent("GetItem")
        .iter()
        .filter_map(|get| get["Key"]["public_key"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(
        drivers,
        [lessor(), driver()].map(|key| key.to_string()).into()
    );
    // The node is not asked for what counts.
    assert!(recorder.chain.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn an_event_that_nobody_stored_is_not_recorded() {
    let aws = FakeAws::new().on("GetItem", done());
    let error = record(&aws, "create", &["create"]).await.unwrap_err();
    assert_eq!((error.code(), error.retryable()), ("EventUnknown", false));
    assert_eq!(aws.operations(), ["GetItem"]);
}

#[tokio::test]
async fn what_was_rejected_is_tried_again_when_it_is_redriven() {
    let aws = FakeAws::new()
        .about(
            EVENTS,
            "GetItem",
            event(
                "lease",
                &json!({ "status": "rejected", "reason": "TransactionIdMismatch" }),
            ),
        )
        .about(DRIVERS, "GetItem", leasing(&[], 0))
        .always("GetItem", item(&car(&["create"])))
        .on("TransactWriteItems", done());
    record(&aws, "lease", &["lease"]).await.unwrap();
    assert_eq!(aws.sent("TransactWriteItems").len(), 1);
}

/// A transaction that can never count: its event, the node's text of it, and
/// what is known of its asset.
fn unfit() -> Vec<(&'static str, Value, String, Option<Value>, &'static str)> {
    let none = || json!({});
    let elsewhere = json!({ "asset_id": id("coins") });
    vec![
        ("lease", none(), "{}".into(), None, "TransactionMalformed"),
        (
            "lease",
            none(),
            text("lease").replace("2.0", "3.0"),
            None,
            "TransactionMalformed",
        ),
        (
            "lease",
            none(),
            text("lease").replace(r#""metadata":null"#, r#""metadata":{"a":1}"#),
            None,
            "TransactionIdMismatch",
        ),
        ("lease", elsewhere, text("lease"), None, "EventMismatch"),
        (
            "again",
            none(),
            text("again"),
            Some(car(&["lease"])),
            "DoubleSpend",
        ),
        (
            "stolen",
            none(),
            text("stolen"),
            Some(car(&["create", "lease"])),
            "OwnersMismatch",
        ),
    ]
}

#[tokio::test]
async fn what_can_never_count_is_rejected_with_its_reason() {
    for (name, fields, text, known, code) in unfit() {
        for rejected in [true, false] {
            let verdict = if rejected { done() } else { condition_failed() };
            let mut aws = FakeAws::new().about(EVENTS, "GetItem", event(name, &fields));
            if let Some(known) = &known {
                aws = aws.on("GetItem", item(known));
            }
            let aws = aws.on("UpdateItem", verdict).on("GetItem", done());
            let mut chain = Memory::default();
            chain.texts.insert(id(name).to_string(), text.clone());
            let outcome = recorder(&aws, chain).record(&id(name)).await;
            if rejected {
                let error = outcome.unwrap_err();
                assert_eq!((error.code(), error.retryable()), (code, false), "{name}");
            } else {
                // It counts, by another delivery of the same message.
                outcome.unwrap();
            }
            assert!(aws.sent("TransactWriteItems").is_empty(), "{code}");
            let update = aws.sent_once("UpdateItem");
            assert_eq!(update["Key"], json!({ "transaction_id": id(name) }));
            assert_eq!(update["ConditionExpression"], "#status <> :recorded");
            assert_eq!(update["ExpressionAttributeValues"][":code"], code);
        }
    }
}

#[tokio::test]
async fn a_transaction_that_the_node_does_not_know_yet_is_waited_for() {
    let missing = || {
        FakeAws::new()
            .about(EVENTS, "GetItem", event("lease", &json!({})))
            .on("GetItem", done())
    };
    // Itself, and the one that made its asset.
    for (known, names) in [(&[][..], id("lease")), (&["lease"][..], id("create"))] {
        let aws = missing();
        let error = record(&aws, "lease", known).await.unwrap_err();
        assert_eq!(
            (error.code(), error.retryable()),
            ("TransactionUnknown", true)
        );
        assert!(error.to_string().contains(names.as_str()), "{error}");
        assert!(aws.sent("UpdateItem").is_empty());
    }
    // A node that answers with another one does not know it, either.
    let mut chain = Memory::default();
    chain.texts.insert(id("lease").to_string(), text("end"));
    let aws = missing();
    let outcome = recorder(&aws, chain).record(&id("lease")).await;
    assert_eq!(outcome.unwrap_err().code(), "TransactionUnknown");
}

#[tokio::test]
async fn a_node_that_cannot_be_asked_rejects_nothing() {
    let aws = FakeAws::new().on("GetItem", event("lease", &json!({})));
    let chain = Memory {
        broken: true,
        ..Memory::default()
    };
    let error = recorder(&aws, chain)
        .record(&id("lease"))
        .await
        .unwrap_err();
    assert_eq!((error.code(), error.retryable()), ("RemoteTimedOut", true));
    assert_eq!(aws.operations(), ["GetItem"]);
}

#[tokio::test]
async fn a_store_that_cannot_be_used_rejects_nothing() {
    let received = || FakeAws::new().about(EVENTS, "GetItem", event("lease", &json!({})));
    let applied = || received().on("GetItem", item(&car(&["create"])));
    let counted = || applied().on("TransactWriteItems", done());
    let changed = || counted().on("GetItem", item(&car(&["create", "lease"])));
    for (reply, code, retryable) in [
        (
            refusal(400, "ThrottlingException"),
            "StoreUnavailable",
            true,
        ),
        (refusal(400, "AccessDeniedException"), "StoreDenied", false),
    ] {
        for aws in [
            FakeAws::new().on("GetItem", reply.clone()),
            received().on("GetItem", reply.clone()),
            applied().on("TransactWriteItems", reply.clone()),
            counted().on("GetItem", reply.clone()),
            changed().on("GetItem", reply.clone()),
            changed()
                .on("GetItem", leasing(&[id("create")], 0))
                .on("GetItem", reply.clone()),
            changed()
                .on("GetItem", leasing(&[id("create")], 0))
                .on("GetItem", item(&car(&["create", "lease"])))
                .on("UpdateItem", reply.clone()),
        ] {
            let error = record(&aws, "lease", &["lease"]).await.unwrap_err();
            assert_eq!((error.code(), error.retryable()), (code, retryable));
        }
    }
    // Nor does one that cannot note it.
    let aws = received().on("UpdateItem", refusal(400, "ThrottlingException"));
    let mut chain = Memory::default();
    chain.texts.insert(id("lease").to_string(), "{}".into());
    let error = recorder(&aws, chain)
        .record(&id("lease"))
        .await
        .unwrap_err();
    assert_eq!(error.code(), "StoreUnavailable");
}
