//! The faucet at work against a fake AWS and a scripted chain.

mod confirmer;
mod intake;
mod payer;
mod resync;
mod script;
mod secret;
mod siteverify;
mod sweeper;

use offchain_faucet::PayoutPolicy;
use offchain_store::queue::Queue;
use offchain_store::test_util::{FakeAws, Reply, answer, attributes, done, item, seconds_from_now};
use serde_json::{Value, json};

use crate::{TableNames, Tables, Wake};
use script::Script;

fn tables(aws: &FakeAws) -> Tables {
    let names = TableNames {
        claims: "claims".into(),
        limits: "limits".into(),
        locks: "locks".into(),
        payouts: "payouts".into(),
    };
    let client = aws_sdk_dynamodb::Client::new(&aws.sdk_config());
    Tables::new(&client, names, "suite", "testnet")
}

fn wake(aws: &FakeAws) -> Wake {
    let client = aws_sdk_sqs::Client::new(&aws.sdk_config());
    Wake::Queue(Queue::new(client, "https://sqs.test/claims".into()))
}

/// Two payouts at once, and a second confirmation.
fn policy() -> PayoutPolicy {
    PayoutPolicy {
        batch: 2,
        in_flight: 2,
        confirmations: 2,
        attempts: 3,
        bump_seconds: 60,
        lease_seconds: 60,
        settle_deadline_seconds: 3600,
        low_balance: 0,
        amount: 1000,
        retention_days: 30,
        decimals: 6,
    }
}

/// The item of a claim that waits, with these fields over it.
fn claim(id: &str, fields: &Value) -> Value {
    let item = json!({
        "claim_id": id,
        "address": format!("addr-{id}"),
        "amount": "1000",
        "status": "queued",
        "attempts": 0,
        "created_time": seconds_from_now(-30).to_string(),
        "updated_time": seconds_from_now(-30).to_string(),
        "deadline": seconds_from_now(600).to_string(),
        "expiration": 2_000_000_000,
    });
    with(item, fields)
}

/// The item of a payout that was sent, with these fields over it.
fn payout(sequence: u64, fields: &Value) -> Value {
    let item = json!({
        "account": "payer",
        "sequence": sequence,
        "status": "sent",
        "open": "payout",
        "transfers": [
            { "claim_id": "c1", "address": "addr-c1", "amount": "1000" },
            { "claim_id": "c2", "address": "addr-c2", "amount": "1000" },
        ],
        "versions": [version(&format!("H{sequence}"), 10)],
        "wants_version": false,
        "created_time": seconds_from_now(-30).to_string(),
        "updated_time": seconds_from_now(-30).to_string(),
        "deadline": seconds_from_now(600).to_string(),
    });
    with(item, fields)
}

/// A version that offers this fee and may be taken up to block 1000.
fn version(hash: &str, fee: u32) -> Value {
    json!({
        "hash": hash,
        "bytes": hex::encode(format!("bytes of {hash}")),
        "terms": serde_json::to_string(&script::terms(fee.into())).unwrap(),
        "created_time": seconds_from_now(-30).to_string(),
    })
}

fn with(mut item: Value, fields: &Value) -> Value {
    for (name, value) in fields.as_object().unwrap() {
        item[name] = value.clone();
    }
    item
}

/// What an update is answered with that asks for the item.
fn updated(item: &Value) -> Reply {
    answer(json!({ "Attributes": attributes(item) }))
}

/// A fake whose lease is free, with this value, whose faucet is not broken, and
/// whose account nobody saw before.
fn with_lease(value: Value) -> FakeAws {
    lease(value)
        .about("brokenflag", "GetItem", done())
        .about("accountnumber", "GetItem", done())
}

/// The same, where the last run did not learn what became of a transaction.
fn with_broken_lease(value: Value) -> FakeAws {
    let flag = json!({
        "Name": "suite-testnet-brokenflag",
        "Value": "BroadcastUnknown",
        "reason": "payout 7: no answer",
        "since": seconds_from_now(-5).to_string(),
    });
    lease(value)
        .about("brokenflag", "GetItem", item(&flag))
        .about("accountnumber", "GetItem", done())
}

fn lease(value: Value) -> FakeAws {
    let lease = json!({
        "Name": "suite-testnet-sequence",
        "LockerID": 1,
        "Token": 9,
        "Value": value,
    });
    FakeAws::new().about("ADD #token", "UpdateItem", updated(&lease))
}

/// What is known of the account at this address.
fn record(address: &str) -> Value {
    json!({
        "Name": "suite-testnet-accountnumber",
        "Value": "17",
        "address": address,
        "balance": "5",
        "fee_balance": "5",
        "sequence": 7,
        "height": 90,
        "observed_time": seconds_from_now(-60).to_string(),
    })
}

/// All that happened, in its order: calls to AWS by what they are about, and
/// calls to the chain.
fn steps(aws: &FakeAws, chain: &Script) -> Vec<String> {
    let mut steps = Vec::new();
    let mut asked = chain.calls().into_iter().peekable();
    for (index, call) in aws.calls().into_iter().enumerate() {
        while let Some((_, what)) = asked.next_if(|(at, _)| *at <= index) {
            steps.push(what);
        }
        let body = &call.body;
        let about = [&body["Key"]["Name"], &body["IndexName"], &body["TableName"]];
        let about = about.iter().find_map(|name| name.as_str());
        let about = about
            .unwrap_or_default()
            .trim_start_matches("suite-testnet-");
        steps.push(format!("{} {about}", call.operation).trim_end().to_owned());
    }
    steps.extend(asked.map(|(_, what)| what));
    steps
}

/// The updates of one table, or of one lock.
fn updates(aws: &FakeAws, about: &str) -> Vec<Value> {
    let is_it = |update: &Value| {
        update["TableName"] == about || update["Key"]["Name"] == format!("suite-testnet-{about}")
    };
    let mut updates = aws.sent("UpdateItem");
    updates.retain(is_it);
    updates
}

/// The values that an update was made with.
fn values(update: &Value) -> &Value {
    &update["ExpressionAttributeValues"]
}

/// What the payer was woken with.
fn woken(aws: &FakeAws) -> Vec<Value> {
    aws.sent("SendMessage")
        .iter()
        .map(|sent| {
            assert_eq!(sent["QueueUrl"], "https://sqs.test/claims");
            serde_json::from_str(sent["MessageBody"].as_str().unwrap()).unwrap()
        })
        .collect()
}
