use std::collections::{BTreeMap, BTreeSet};

use offchain_ledger::{
    Asset, Change, DriverChange, Input, Operation, Output, OutputRef, Record, Transaction,
};

use super::*;
use crate::Moment;
use crate::ledger::{AssetItem, Assets, Driver, Premium, Recorded};
use crate::test_util::{
    answer, assert_just_now, attributes, cancelled, condition_failed, done, item, items, parts,
};

const HELD: &str = "ConditionalCheckFailed";
const NONE: &str = "None";
const LESSOR: u8 = 1;
const DRIVER: u8 = 2;

fn assets(aws: &FakeAws) -> Assets {
    Assets::new(client(aws), events(aws), "assets".into(), "drivers".into())
}

fn output(owner: u8) -> Output {
    Output {
        public_keys: vec![key(owner)],
        amount: 1,
        condition: format!("ni:///{owner}"),
    }
}

/// The CREATE of the car `a`.
fn create() -> Transaction {
    Transaction {
        id: id('a'),
        asset_id: id('a'),
        operation: Operation::Create,
        asset_data: Some(json!({ "car": { "value": 2_500_000, "model": "Bug" } })),
        metadata: None,
        inputs: vec![Input {
            owners_before: vec![key(LESSOR)],
            fulfills: None,
            condition: Some(output(LESSOR).condition),
        }],
        outputs: vec![output(LESSOR)],
    }
}

/// The TRANSFER of the car from the output of another transaction.
fn transfer(name: char, spent: char, from: u8, to: u8) -> Transaction {
    Transaction {
        id: id(name),
        asset_id: id('a'),
        operation: Operation::Transfer,
        asset_data: None,
        metadata: None,
        inputs: vec![Input {
            owners_before: vec![key(from)],
            fulfills: Some(OutputRef {
                transaction_id: id(spent),
                output_index: 0,
            }),
            condition: Some(output(from).condition),
        }],
        outputs: vec![output(to)],
    }
}

/// What becomes of the car by these, and what the last of them means.
fn after(transactions: &[Transaction]) -> (Asset, Change) {
    let mut asset = Asset::new(&create()).unwrap();
    let mut change = Change::default();
    for transaction in transactions {
        change = asset.apply(transaction).unwrap();
    }
    (asset, change)
}

/// A lease of the car.
fn lease() -> Transaction {
    transfer('b', 'a', LESSOR, DRIVER)
}

/// Makes the last of these count.
async fn recorded(
    aws: &FakeAws,
    transactions: &[Transaction],
    version: u64,
) -> Result<Recorded, StoreError> {
    let (asset, change) = after(transactions);
    let last = transactions.last().unwrap();
    let event = Event::new(last.id.clone(), id('a'), Place::Height(7));
    let event = EventItem::new(event, 0, noon());
    assets(aws)
        .record(&event, last, &asset, version, &change)
        .await
}

#[tokio::test]
async fn a_transaction_counts_for_its_event_its_asset_and_its_drivers_at_once() {
    let aws = FakeAws::new().on("TransactWriteItems", done());
    let before = Timestamp::now();
    let outcome = recorded(&aws, &[create(), lease()], 1).await;
    assert_eq!(outcome.unwrap(), Recorded::Now);
    let [event, asset, driver] = parts(&aws).try_into().unwrap();

    let now = &event["Update"]["ExpressionAttributeValues"][":now"];
    assert_just_now(now, before);
    assert_eq!(
        event["Update"],
        json!({
            "TableName": "events",
            "Key": { "transaction_id": id('b') },
            // Whatever happens beside it, it counts once.
            "ConditionExpression": "#status <> :recorded",
            "UpdateExpression":
                "SET #status = :recorded, recorded_time = :now, operation = :operation, \
                 #from = :from, #to = :to REMOVE reason",
            "ExpressionAttributeNames": { "#status": "status", "#from": "from", "#to": "to" },
            "ExpressionAttributeValues": {
                ":recorded": "recorded",
                ":now": now,
                ":operation": "TRANSFER",
                ":from": [key(LESSOR)],
                ":to": [key(DRIVER)],
            },
        })
    );
    assert_eq!(
        asset["Update"],
        json!({
            "TableName": "assets",
            "Key": { "asset_id": id('a') },
            "ConditionExpression": "#version = :version",
            "UpdateExpression":
                "SET asset = :asset, #version = :next, updated_time = :now, driver = :driver \
                 REMOVE premium",
            "ExpressionAttributeNames": { "#version": "version" },
            "ExpressionAttributeValues": {
                ":version": 1,
                ":next": 2,
                ":now": now,
                ":driver": key(DRIVER),
                ":asset": {
                    "asset_id": id('a'),
                    "car": { "lessor": key(LESSOR), "model": "Bug", "value": 2_500_000 },
                    "unspent": {
                        format!("{}:0", id('b')): {
                            "public_keys": [key(DRIVER)],
                            "amount": 1,
                            "condition": "ni:///2",
                        },
                    },
                    "spent": {},
                    "transactions": 2,
                },
            },
        })
    );
    assert_eq!(
        driver["Update"],
        json!({
            "TableName": "drivers",
            "Key": { "public_key": key(DRIVER) },
            "UpdateExpression":
                "ADD #version :one, started :started, ended :ended, claim_free :claim_free, \
                 incidents :incidents, #open :asset",
            "ExpressionAttributeNames": { "#version": "version", "#open": "open" },
            "ExpressionAttributeValues": {
                ":one": 1,
                ":started": 1,
                ":ended": 0,
                ":claim_free": 0,
                ":incidents": 0,
                ":asset": { "SS": [id('a')] },
            },
        })
    );
}

#[tokio::test]
async fn the_first_transaction_of_an_asset_makes_its_item() {
    let aws = FakeAws::new().on("TransactWriteItems", done());
    recorded(&aws, &[create()], 0).await.unwrap();
    let [event, asset] = parts(&aws).try_into().unwrap();
    let values = &event["Update"]["ExpressionAttributeValues"];
    assert_eq!(values[":operation"], "CREATE");
    assert_eq!(
        (&values[":from"], &values[":to"]),
        (&json!([key(LESSOR)]), &json!([key(LESSOR)]))
    );
    let asset = &asset["Update"];
    assert_eq!(
        asset["ConditionExpression"],
        "attribute_not_exists(#version)"
    );
    assert_eq!(
        asset["UpdateExpression"],
        "SET asset = :asset, #version = :next, updated_time = :now REMOVE driver, premium"
    );
    let values = &asset["ExpressionAttributeValues"];
    assert_eq!(values[":next"], 1);
    assert_eq!(
        (values.get(":version"), values.get(":driver")),
        (None, None)
    );
}

#[tokio::test]
async fn a_lease_that_ends_is_taken_out_of_what_its_driver_has() {
    let mut ends = transfer('c', 'b', DRIVER, LESSOR);
    ends.metadata = Some(json!({ "incidents": 2 }));
    let aws = FakeAws::new().on("TransactWriteItems", done());
    recorded(&aws, &[create(), lease(), ends], 2).await.unwrap();
    let driver = &parts(&aws)[2]["Update"];
    assert_eq!(
        driver["UpdateExpression"],
        "ADD #version :one, started :started, ended :ended, claim_free :claim_free, \
         incidents :incidents DELETE #open :asset"
    );
    assert_eq!(
        driver["ExpressionAttributeValues"],
        json!({
            ":one": 1,
            ":started": 0,
            ":ended": 1,
            ":claim_free": 0,
            ":incidents": 2,
            ":asset": { "SS": [id('a')] },
        })
    );
}

#[tokio::test]
async fn a_handover_changes_both_drivers_in_the_one_transaction() {
    let aws = FakeAws::new().on("TransactWriteItems", done());
    let handover = transfer('c', 'b', DRIVER, 3);
    recorded(&aws, &[create(), lease(), handover], 2)
        .await
        .unwrap();
    let parts = parts(&aws);
    assert_eq!(parts.len(), 4);
    let changed: BTreeMap<String, bool> = parts[2..]
        .iter()
        .map(|part| {
            let update = &part["Update"];
            let opens = update["UpdateExpression"].as_str().unwrap();
            let whose = update["Key"]["public_key"].as_str().unwrap();
            (whose.to_owned(), opens.ends_with(", #open :asset"))
        })
        .collect();
    assert_eq!(
        changed,
        BTreeMap::from([(key(DRIVER).to_string(), false), (key(3).to_string(), true)])
    );
}

#[tokio::test]
async fn whoever_hands_a_car_over_to_himself_has_it_before_and_after() {
    let same = Change {
        drivers: BTreeMap::from([
            (
                key(2),
                DriverChange {
                    started: 1,
                    ended: 1,
                    claim_free: 1,
                    ..DriverChange::default()
                },
            ),
            (
                key(3),
                DriverChange {
                    opened: true,
                    closed: true,
                    ..DriverChange::default()
                },
            ),
        ]),
    };
    let aws = FakeAws::new().on("TransactWriteItems", done());
    let (asset, _) = after(&[create(), lease()]);
    assets(&aws)
        .record(&received(), &lease(), &asset, 1, &same)
        .await
        .unwrap();
    for part in &parts(&aws)[2..] {
        let driver = &part["Update"];
        assert_eq!(
            driver["UpdateExpression"],
            "ADD #version :one, started :started, ended :ended, claim_free :claim_free, \
             incidents :incidents"
        );
        assert_eq!(
            driver["ExpressionAttributeNames"],
            json!({ "#version": "version" })
        );
        assert_eq!(driver["ExpressionAttributeValues"].get(":asset"), None);
    }
}

#[tokio::test]
async fn each_owner_is_named_once() {
    let mut several = lease();
    several.inputs.push(several.inputs[0].clone());
    several.outputs = vec![output(3), output(2), output(3)];
    let (asset, change) = after(&[create()]);
    let aws = FakeAws::new().on("TransactWriteItems", done());
    assets(&aws)
        .record(&received(), &several, &asset, 1, &change)
        .await
        .unwrap();
    let values = parts(&aws)[0]["Update"]["ExpressionAttributeValues"].clone();
    assert_eq!(values[":from"], json!([key(LESSOR)]));
    assert_eq!(values[":to"], json!([key(2), key(3)]));
}

#[tokio::test]
async fn a_transaction_that_counts_already_is_told_from_an_asset_that_changed() {
    for (reasons, outcome) in [
        ([HELD, NONE, NONE], Recorded::Before),
        // Where it counted meanwhile, its asset changed as well.
        ([HELD, HELD, NONE], Recorded::Before),
        ([NONE, HELD, NONE], Recorded::Meanwhile),
        (["TransactionConflict", HELD, NONE], Recorded::Meanwhile),
    ] {
        let reply = cancelled(&reasons.map(|code| (code, None)));
        let aws = FakeAws::new().on("TransactWriteItems", reply);
        let found = recorded(&aws, &[create(), lease()], 1).await;
        assert_eq!(found.unwrap(), outcome, "{reasons:?}");
    }
}

/// What is kept of the car while it is leased.
fn kept() -> AssetItem {
    AssetItem {
        asset_id: id('a'),
        asset: after(&[create(), lease()]).0,
        version: 2,
        driver: Some(key(DRIVER)),
        premium: Some(Premium {
            yearly_cents: 110_000,
            factor_percent: 110,
            driver_version: 1,
        }),
        updated_time: noon().into(),
    }
}

#[tokio::test]
async fn an_asset_is_read_as_it_was_written() {
    let free = AssetItem {
        asset: after(&[create()]).0,
        version: 1,
        driver: None,
        premium: None,
        ..kept()
    };
    // A spend that came before the output that it spends.
    let gap = AssetItem {
        asset: after(&[transfer('c', 'b', DRIVER, LESSOR)]).0,
        ..free.clone()
    };
    for expected in [kept(), free, gap] {
        let found = item(&serde_json::to_value(&expected).unwrap());
        let aws = FakeAws::new().on("GetItem", found);
        let read = assets(&aws).asset(&id('a')).await.unwrap();
        assert_eq!(read, Some(expected));
        assert_eq!(
            aws.sent_once("GetItem"),
            json!({
                "TableName": "assets",
                "Key": { "asset_id": id('a') },
                "ConsistentRead": true,
            })
        );
    }
}

#[tokio::test]
async fn what_is_written_of_an_asset_is_read_back() {
    let aws = FakeAws::new().on("TransactWriteItems", done());
    recorded(&aws, &[create(), lease()], 1).await.unwrap();
    let values = parts(&aws)[1]["Update"]["ExpressionAttributeValues"].clone();
    let aws = FakeAws::new().on(
        "GetItem",
        item(&json!({
            "asset_id": id('a'),
            "asset": values[":asset"],
            "version": values[":next"],
            "driver": values[":driver"],
            "updated_time": values[":now"],
        })),
    );
    let now: Moment = serde_json::from_value(values[":now"].clone()).unwrap();
    let read = assets(&aws).asset(&id('a')).await.unwrap();
    let expected = AssetItem {
        premium: None,
        updated_time: now,
        ..kept()
    };
    assert_eq!(read, Some(expected));
}

#[tokio::test]
async fn assets_are_read_from_the_start_of_their_table() {
    let all = items(&[serde_json::to_value(kept()).unwrap()]);
    let aws = FakeAws::new().on("Scan", all);
    let found = assets(&aws).scan(20).await.unwrap();
    assert_eq!(found, (vec![kept()], false));
    assert_eq!(aws.sent_once("Scan"), json!({ "TableName": "assets" }));
}

#[tokio::test]
async fn an_asset_that_is_not_there_is_none_and_one_of_another_shape_an_error() {
    let aws = FakeAws::new().on("GetItem", done());
    assert_eq!(assets(&aws).asset(&id('a')).await.unwrap(), None);
    for (name, torn) in [
        ("asset", json!({})),
        ("version", json!("2")),
        ("driver", json!("nobody")),
        ("premium", json!({ "yearly_cents": 1 })),
    ] {
        let mut found = serde_json::to_value(kept()).unwrap();
        found[name] = torn;
        let aws = FakeAws::new().on("GetItem", item(&found));
        let outcome = assets(&aws).asset(&id('a')).await;
        assert_eq!(failed(outcome), ("StoreRejected", false), "{name}");
    }
}

#[tokio::test]
async fn a_driver_is_read_with_what_he_or_she_leases() {
    let mut found = attributes(&json!({
        "public_key": key(DRIVER),
        "version": 3,
        "started": 2,
        "ended": 1,
        "claim_free": 1,
        "incidents": 0,
    }));
    let record = Record {
        started: 2,
        ended: 1,
        claim_free: 1,
        incidents: 0,
    };
    for open in [vec![], vec![id('a')], vec![id('a'), id('c')]] {
        // DynamoDB has no empty set: with its last element it is gone.
        if !open.is_empty() {
            found["open"] = json!({ "SS": open });
        }
        let aws = FakeAws::new().on("GetItem", answer(json!({ "Item": found })));
        let driver = assets(&aws).driver(&key(DRIVER)).await.unwrap();
        assert_eq!(
            driver,
            Driver {
                version: 3,
                record,
                open: BTreeSet::from_iter(open),
            }
        );
        assert_eq!(
            aws.sent_once("GetItem"),
            json!({
                "TableName": "drivers",
                "Key": { "public_key": key(DRIVER) },
                "ConsistentRead": true,
            })
        );
    }
}

#[tokio::test]
async fn of_a_driver_who_never_leased_nothing_is_known() {
    let aws = FakeAws::new().on("GetItem", done());
    let driver = assets(&aws).driver(&key(DRIVER)).await.unwrap();
    assert_eq!(driver, Driver::default());
    let aws = FakeAws::new().on("GetItem", item(&json!({ "version": 3 })));
    let outcome = assets(&aws).driver(&key(DRIVER)).await;
    assert_eq!(failed(outcome), ("StoreRejected", false));
}

#[tokio::test]
async fn a_premium_is_set_for_its_driver_and_not_over_a_newer_one() {
    for (reply, set) in [(done(), true), (condition_failed(), false)] {
        let aws = FakeAws::new().on("UpdateItem", reply);
        let premium = Premium {
            yearly_cents: 105_000,
            factor_percent: 105,
            driver_version: 4,
        };
        let outcome = assets(&aws)
            .set_premium(&id('a'), &key(DRIVER), &premium)
            .await;
        assert_eq!(outcome.unwrap(), set);
        assert_eq!(
            aws.sent_once("UpdateItem"),
            json!({
                "TableName": "assets",
                "Key": { "asset_id": id('a') },
                "ConditionExpression":
                    "driver = :driver AND (attribute_not_exists(premium) \
                     OR premium.driver_version < :version)",
                "UpdateExpression": "SET premium = :premium",
                "ExpressionAttributeValues": {
                    ":driver": key(DRIVER),
                    ":version": 4,
                    ":premium": {
                        "yearly_cents": 105_000,
                        "factor_percent": 105,
                        "driver_version": 4,
                    },
                },
            })
        );
    }
}

#[tokio::test]
async fn assets_that_cannot_be_used_are_told_as_such() {
    for (reply, outcome) in troubles() {
        let aws = FakeAws::new()
            .always("GetItem", reply.clone())
            .always("UpdateItem", reply.clone())
            .always("TransactWriteItems", reply.clone())
            .always("Scan", reply);
        let table = assets(&aws);
        assert_eq!(failed(table.scan(1).await), outcome);
        assert_eq!(failed(table.asset(&id('a')).await), outcome);
        assert_eq!(failed(table.driver(&key(DRIVER)).await), outcome);
        let premium = kept().premium.unwrap();
        let set = table.set_premium(&id('a'), &key(DRIVER), &premium).await;
        assert_eq!(failed(set), outcome);
        assert_eq!(failed(recorded(&aws, &[create()], 0).await), outcome);
    }
}
