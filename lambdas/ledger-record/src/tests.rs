//! Batches through the handler, against a fake AWS and a node on the loopback
//! that knows one transaction: somebody makes a car.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};

use offchain_ledger::Transaction;
use offchain_store::test_util::{FakeAws, Reply, done, item, refusal};
use serde_json::{Value, json};

use super::*;

const CREATE: &str = include_str!("create.json");
/// Where no node listens.
const NOWHERE: &str = "http://127.0.0.1:9";
const ENV: [(&str, &str); 7] = [
    ("LEDGER_ALLOW_PRIVATE", "true"),
    ("LEDGER_EVENTS_TABLE", "events"),
    ("LEDGER_ASSETS_TABLE", "assets"),
    ("LEDGER_DRIVERS_TABLE", "drivers"),
    ("LEDGER_QUEUE_URL", "https://sqs.test/transactions"),
    ("LEDGER_QUEUE_DLQ_URL", "https://sqs.test/transactions-dlq"),
    ("LEDGER_MAX_RECEIVES", "5"),
];

/// A function whose node is there, and of which one variable has another value.
fn recorder(aws: &FakeAws, node: &str, name: &str, value: &str) -> Result<Record, ConfigError> {
    let env = Env::new(|wanted| {
        if wanted == name {
            return Some(value.to_owned());
        }
        if wanted == "LEDGER_NODE" {
            return Some(node.to_owned());
        }
        let (_, usual) = ENV.iter().find(|(known, _)| *known == wanted)?;
        Some((*usual).to_owned())
    });
    Record::from_env(env, &aws.sdk_config())
}

/// The id of the transaction that the node knows.
fn id() -> String {
    Transaction::verify(CREATE).unwrap().id.to_string()
}

fn node() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            std::thread::spawn(move || converse(socket.unwrap()));
        }
    });
    url
}

fn converse(socket: TcpStream) {
    let mut from = BufReader::new(socket.try_clone().unwrap());
    let mut to = socket;
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if from.read_line(&mut head).is_err() || head.is_empty() {
                return;
            }
        }
        let known = format!("GET /api/v1/transactions/{} ", id());
        let (status, body) = if head.starts_with(&known) {
            ("200 OK", CREATE)
        } else {
            (
                "404 NOT FOUND",
                r#"{"message":"no such thing","status":404}"#,
            )
        };
        let length = body.len();
        let reply = format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\n\
             content-length: {length}\r\n\r\n{body}"
        );
        if to.write_all(reply.as_bytes()).is_err() {
            return;
        }
    }
}

fn message(id: &str) -> String {
    json!({ "transaction_id": id }).to_string()
}

fn record(id: &str, body: &str, receives: u32) -> Value {
    json!({
        "messageId": id,
        "receiptHandle": format!("receipt-{id}"),
        "body": body,
        "attributes": { "ApproximateReceiveCount": receives.to_string() },
    })
}

/// The ids of the records that SQS is to deliver again.
async fn failures(aws: &FakeAws, node: &str, records: &[Value]) -> Vec<String> {
    let event = serde_json::from_value(json!({ "Records": records })).unwrap();
    recorder(aws, node, "", "")
        .unwrap()
        .handle(event, "invocation")
        .await
        .unwrap()
        .batch_item_failures
        .into_iter()
        .map(|failure| failure.item_identifier)
        .collect()
}

/// What was put into the dead-letter queue: each body with its code and reason.
fn buried(aws: &FakeAws) -> Vec<[String; 3]> {
    aws.sent("SendMessage")
        .into_iter()
        .map(|sent| {
            assert_eq!(sent["QueueUrl"], "https://sqs.test/transactions-dlq");
            let attributes = &sent["MessageAttributes"];
            [
                &sent["MessageBody"],
                &attributes["ErrorCode"]["StringValue"],
                &attributes["ErrorMessage"]["StringValue"],
            ]
            .map(|text| text.as_str().unwrap().to_owned())
        })
        .collect()
}

/// The event of a transaction that made this asset.
fn event(transaction: &str, asset: &str) -> Reply {
    item(&json!({
        "transaction_id": transaction,
        "asset_id": asset,
        "height": 7,
        "position": "7",
        "status": "received",
        "webhook_timestamp": 1,
        "received_time": "2026-11-21T12:00:00.250Z",
        "from": [],
        "to": [],
    }))
}

const EVENTS: &str = r#""TableName":"events""#;
const ASSETS: &str = r#""TableName":"assets""#;

#[tokio::test]
async fn a_message_makes_its_transaction_count() {
    let aws = FakeAws::new()
        .about(EVENTS, "GetItem", event(&id(), &id()))
        .about(ASSETS, "GetItem", done())
        .on("TransactWriteItems", done());
    let records = [record("m1", &message(&id()), 1)];
    assert!(failures(&aws, &node(), &records).await.is_empty());
    let counted = &aws.sent_once("TransactWriteItems")["TransactItems"];
    let tables = [0, 1].map(|part: usize| counted[part]["Update"]["TableName"].clone());
    assert_eq!(tables, ["events", "assets"]);
    let asset = &counted[1]["Update"]["ExpressionAttributeValues"][":asset"];
    assert_eq!(asset["car"]["value"], 2_500_000);
}

#[tokio::test]
async fn what_is_no_message_is_buried_with_its_code() {
    for body in [
        "",
        "{",
        "{}",
        r#"{"transaction_id":"b"}"#,
        r#"{"transaction_id":7}"#,
        r#"{"id":"b"}"#,
    ] {
        let aws = FakeAws::new().on("SendMessage", done());
        let failed = failures(&aws, NOWHERE, &[record("m1", body, 1)]).await;
        assert!(failed.is_empty(), "{body}");
        let [[text, code, reason]] = buried(&aws).try_into().unwrap();
        assert_eq!(text, if body.is_empty() { "\"\"" } else { body });
        assert_eq!(code, "MessageInvalid");
        assert!(reason.contains("transaction_id"), "{reason}");
    }
}

#[tokio::test]
async fn one_message_s_trouble_is_no_other_s() {
    let (later, never) = ("c".repeat(64), "d".repeat(64));
    let aws = FakeAws::new()
        .about("dddd", "GetItem", done())
        .about("cccc", "GetItem", event(&later, &later))
        .about(EVENTS, "GetItem", event(&id(), &id()))
        .about(ASSETS, "GetItem", done())
        .on("TransactWriteItems", done())
        .on("SendMessage", done())
        .on("SendMessage", done())
        .on("ChangeMessageVisibility", done());
    let records = [
        record("m1", "{", 1),
        record("m2", &message(&id()), 1),
        record("m3", &message(&later), 1),
        record("m4", &message(&never), 1),
    ];
    assert_eq!(failures(&aws, &node(), &records).await, ["m3"]);
    assert_eq!(aws.sent("TransactWriteItems").len(), 1);
    let mut codes: Vec<String> = buried(&aws).into_iter().map(|[_, code, _]| code).collect();
    codes.sort();
    assert_eq!(codes, ["EventUnknown", "MessageInvalid"]);
}

#[tokio::test]
async fn a_transaction_that_can_never_count_is_rejected_and_buried() {
    let other = "c".repeat(64);
    let aws = FakeAws::new()
        .about(EVENTS, "GetItem", event(&id(), &other))
        .on("UpdateItem", done())
        .on("SendMessage", done());
    let records = [record("m1", &message(&id()), 1)];
    assert!(failures(&aws, &node(), &records).await.is_empty());
    let noted = aws.sent_once("UpdateItem");
    assert_eq!(noted["ExpressionAttributeValues"][":code"], "EventMismatch");
    let [[body, code, reason]] = buried(&aws).try_into().unwrap();
    assert_eq!((body, code.as_str()), (message(&id()), "EventMismatch"));
    assert!(reason.contains(&other), "{reason}");
}

#[tokio::test]
async fn what_may_pass_is_delivered_again_and_buried_at_last() {
    let unknown = "c".repeat(64);
    let known = || FakeAws::new().about(EVENTS, "GetItem", event(&unknown, &unknown));
    let node = node();
    for (aws, node, code) in [
        (known(), node.as_str(), "TransactionUnknown"),
        (known(), NOWHERE, "RemoteUnreachable"),
        (
            FakeAws::new().always("GetItem", refusal(400, "ThrottlingException")),
            NOWHERE,
            "StoreUnavailable",
        ),
    ] {
        let aws = aws
            .on("SendMessage", done())
            .on("ChangeMessageVisibility", done());
        let records = [
            record("m1", &message(&unknown), 4),
            record("m2", &message(&unknown), 5),
        ];
        assert_eq!(failures(&aws, node, &records).await, ["m1"], "{code}");
        let [[_, found, reason]] = buried(&aws).try_into().unwrap();
        assert_eq!(found, code);
        assert!(!reason.contains("127.0.0.1:9"), "{reason}");
    }
}

#[tokio::test]
async fn what_may_pass_is_delivered_again_soon_at_first() {
    let seconds: Vec<u32> = (0..8).map(again_in).collect();
    assert_eq!(seconds, [5, 5, 15, 45, 135, 180, 180, 180]);
    assert_eq!(again_in(u32::MAX), 180);
    let unknown = "c".repeat(64);
    for reply in [done(), refusal(403, "AccessDeniedException")] {
        let aws = FakeAws::new()
            .about(EVENTS, "GetItem", event(&unknown, &unknown))
            .on("ChangeMessageVisibility", reply);
        let records = [record("m1", &message(&unknown), 3)];
        // Where it cannot be said, SQS delivers it again all the same.
        assert_eq!(failures(&aws, NOWHERE, &records).await, ["m1"]);
        assert_eq!(
            aws.sent_once("ChangeMessageVisibility"),
            json!({
                "QueueUrl": "https://sqs.test/transactions",
                "ReceiptHandle": "receipt-m1",
                "VisibilityTimeout": 45,
            })
        );
    }
}

#[tokio::test]
async fn what_cannot_be_buried_is_delivered_again() {
    let aws = FakeAws::new()
        .on("SendMessage", refusal(503, "ServiceUnavailable"))
        .on("ChangeMessageVisibility", done());
    let failed = failures(&aws, NOWHERE, &[record("m1", "{", 9)]).await;
    assert_eq!(failed, ["m1"]);
}

#[test]
fn every_variable_is_needed_and_has_to_make_sense() {
    let aws = FakeAws::new();
    let names = ["LEDGER_NODE"].into_iter().chain(ENV.map(|(name, _)| name));
    for name in names.clone() {
        let error = recorder(&aws, NOWHERE, name, "").err().unwrap().to_string();
        assert!(error.contains(&format!("{name} is not set")), "{error}");
    }
    for (name, value) in [
        ("LEDGER_ALLOW_PRIVATE", "yes"),
        ("LEDGER_MAX_RECEIVES", "many"),
    ] {
        let error = recorder(&aws, NOWHERE, name, value).err().unwrap();
        let error = error.to_string();
        assert!(error.contains(&format!("{name} is ")), "{error}");
    }
    for node in [
        "hush",
        "http://127.0.0.1:9/hush",
        "http://me:hush@127.0.0.1:9",
    ] {
        let error = recorder(&aws, node, "", "").err().unwrap().to_string();
        assert!(error.contains("LEDGER_NODE: "), "{error}");
        assert!(!error.contains("hush"), "{error}");
    }
    let error = Record::from_env(Env::new(|_| None), &aws.sdk_config());
    let error = error.err().unwrap().to_string();
    for name in names {
        assert!(error.contains(name), "{error}");
    }
}
