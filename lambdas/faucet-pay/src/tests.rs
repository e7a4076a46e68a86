//! Batches through the handler, against a fake AWS and a node on the loopback.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};

use offchain_store::test_util::{
    FakeAws, Reply, answer, attributes, done, items, refusal, seconds_from_now, secret,
};
use serde_json::{Value, json};

use super::*;

const KEY: &str =
    r#"{"private_key":"4646464646464646464646464646464646464646464646464646464646464646"}"#;
/// The address of that key.
const PAYER: &str = "0x9d8A62f656a8d1615C1294fd71e9CFb3E4855A4F";
const PAYOUT: &str = r#"{"batch":50,"in_flight":4,"confirmations":1,"attempts":3,"bump_seconds":60,
    "lease_seconds":60,"settle_deadline_seconds":3600,"low_balance":"0","amount":"1000",
    "retention_days":30,"decimals":6}"#;
/// Where no node listens.
const NOWHERE: &str = "http://127.0.0.1:9/hush";
const ENV: [(&str, &str); 11] = [
    ("FAUCET_NETWORK", "testnet"),
    ("FAUCET_ENVIRONMENT", "suite"),
    ("FAUCET_TABLE", "claims"),
    ("FAUCET_LIMITS_TABLE", "limits"),
    ("FAUCET_LOCKS_TABLE", "locks"),
    ("FAUCET_PAYOUTS_TABLE", "payouts"),
    ("FAUCET_PAYOUT", PAYOUT),
    ("FAUCET_KEY_SECRET_ARN", "arn:key"),
    ("FAUCET_STATE_MACHINE_ARN", "arn:machine"),
    ("FAUCET_QUEUE_DLQ_URL", "https://sqs.test/claims-dlq"),
    ("FAUCET_MAX_RECEIVES", "5"),
];

fn chain(node: &str) -> String {
    json!({
        "kind": "evm",
        "nodes": [{ "url": node }],
        "chain_id": "31337",
        "max_fee_wei": "1000000",
        "priority_fee_wei": "1",
    })
    .to_string()
}

/// A function whose node is there, and of which one variable has another value.
fn pay(aws: &FakeAws, node: &str, name: &str, value: &str) -> Result<Pay, ConfigError> {
    let env = Env::new(|wanted| {
        if wanted == name {
            return Some(value.to_owned());
        }
        if wanted == "FAUCET_CHAIN" {
            return Some(chain(node));
        }
        let (_, usual) = ENV.iter().find(|(known, _)| *known == wanted)?;
        Some((*usual).to_owned())
    });
    Pay::from_env(env, &aws.sdk_config())
}

/// An EVM node with a funded account whose next nonce is 7. It takes every
/// transaction.
fn node() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
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
    while let Some(asked) = question(&mut from) {
        let result = match asked["method"].as_str().unwrap() {
            "eth_chainId" => json!("0x7a69"),
            "eth_syncing" => json!(false),
            "eth_blockNumber" => json!("0x64"),
            "eth_getTransactionCount" => json!("0x7"),
            "eth_getBalance" => json!("0xde0b6b3a7640000"),
            "eth_feeHistory" => json!({
                "oldestBlock": "0x64",
                "baseFeePerGas": ["0x3e7", "0x3e8"],
                "gasUsedRatio": [0.5],
            }),
            "eth_maxPriorityFeePerGas" => json!("0x1"),
            "eth_estimateGas" => json!("0x5208"),
            "eth_sendRawTransaction" => json!(format!("0x{:064x}", 1)),
            other => panic!("nobody asks for {other}"),
        };
        let body = json!({ "jsonrpc": "2.0", "id": asked["id"], "result": result }).to_string();
        let length = body.len();
        let reply = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}");
        to.write_all(reply.as_bytes()).unwrap();
    }
}

fn question(from: &mut BufReader<TcpStream>) -> Option<Value> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        from.read_line(&mut line).ok()?;
        match line.trim_end().to_lowercase().split_once(": ") {
            Some(("content-length", value)) => length = value.parse().unwrap(),
            Some(_) => {}
            None if line.trim_end().is_empty() => break,
            // The request's line.
            None => {}
        }
    }
    let mut body = vec![0; length];
    from.read_exact(&mut body).ok()?;
    serde_json::from_slice(&body).ok()
}

fn record(id: &str, body: &str, receives: u32) -> Value {
    json!({
        "messageId": id,
        "body": body,
        "attributes": { "ApproximateReceiveCount": receives.to_string() },
    })
}

const WAKE: &str = r#"{"claim_id":"c1"}"#;

/// The ids of the records that SQS is to deliver again.
async fn failures(aws: &FakeAws, node: &str, records: &[Value]) -> Vec<String> {
    let event = serde_json::from_value(json!({ "Records": records })).unwrap();
    pay(aws, node, "", "")
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
            assert_eq!(sent["QueueUrl"], "https://sqs.test/claims-dlq");
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

/// A fake with a key, a free lease, and the table's claims and payouts.
fn stack(claims: &[Value]) -> FakeAws {
    let lease = json!({ "Name": "suite-testnet-sequence", "LockerID": 1, "Token": 9 });
    let lease = answer(json!({ "Attributes": attributes(&lease) }));
    FakeAws::new()
        .on("GetSecretValue", secret("v1", KEY))
        .about("ADD #token", "UpdateItem", lease)
        .about("\"payouts\"", "Query", items(&[]))
        .always("UpdateItem", done())
        .always("GetItem", done())
        .on("Query", items(claims))
        .always("Query", items(&[]))
}

/// A fake with one claim that waits.
fn with_claim() -> FakeAws {
    stack(&[json!({
        "claim_id": "c1",
        "address": "0x9858EfFD232B4033E47d90003D41EC34EcaEda94",
        "amount": "1000",
        "status": "queued",
        "attempts": 0,
        "created_time": seconds_from_now(-30).to_string(),
        "updated_time": seconds_from_now(-30).to_string(),
        "deadline": seconds_from_now(600).to_string(),
        "expiration": 2_000_000_000,
    })])
    .on("TransactWriteItems", done())
}

#[tokio::test]
async fn a_message_leads_to_a_payout_that_an_execution_follows() {
    let aws = with_claim().on("StartExecution", done());
    let records = [record("m1", WAKE, 1), record("m2", r#"{"sequence":6}"#, 1)];
    assert!(failures(&aws, &node(), &records).await.is_empty());
    // However many messages there are, the key is read and the lease taken once.
    assert_eq!(aws.sent("GetSecretValue").len(), 1);
    assert_eq!(aws.sent_once("GetSecretValue")["SecretId"], "arn:key");

    let stored = &aws.sent_once("TransactWriteItems")["TransactItems"][1]["Put"]["Item"];
    assert_eq!(stored["account"], PAYER);
    assert_eq!(stored["sequence"], 7);
    let hash = stored["versions"][0]["hash"].as_str().unwrap();
    let start = aws.sent_once("StartExecution");
    assert_eq!(start["stateMachineArn"], "arn:machine");
    assert_eq!(start["name"], format!("testnet-7-{}", &hash[2..18]));
    let input: Value = serde_json::from_str(start["input"].as_str().unwrap()).unwrap();
    assert_eq!(
        input,
        json!({ "account": PAYER, "sequence": 7, "deadline": stored["deadline"] })
    );
    // The execution begins when all is stored and sent.
    assert_eq!(aws.operations().pop().unwrap(), "StartExecution");
}

#[tokio::test]
async fn an_execution_that_is_there_or_cannot_be_started_is_no_failure() {
    for reply in [
        refusal(400, "ExecutionAlreadyExists"),
        refusal(400, "ThrottlingException"),
        refusal(400, "AccessDeniedException"),
        Reply::NoConnection,
    ] {
        let aws = with_claim().on("StartExecution", reply.clone());
        let failed = failures(&aws, &node(), &[record("m1", WAKE, 5)]).await;
        assert!(failed.is_empty() && buried(&aws).is_empty(), "{reply:?}");
    }
}

#[tokio::test]
async fn only_an_execution_that_exists_is_as_good_as_started() {
    for (reply, started) in [
        (done(), true),
        (refusal(400, "ExecutionAlreadyExists"), true),
        (refusal(400, "ExecutionLimitExceeded"), false),
        (refusal(400, "StateMachineDoesNotExist"), false),
    ] {
        let aws = FakeAws::new().on("StartExecution", reply);
        let payout = SentPayout {
            account: "cosmos1payer".into(),
            sequence: 3,
            hash: "0123456789ABCDEF0123456789ABCDEF".into(),
            deadline: seconds_from_now(60).timestamp(),
        };
        let pay = pay(&aws, NOWHERE, "", "").unwrap();
        assert_eq!(pay.follow(&payout).await.is_ok(), started);
        let name = &aws.sent_once("StartExecution")["name"];
        assert_eq!(name, "testnet-3-0123456789ABCDEF");
    }
}

#[tokio::test]
async fn without_claims_nothing_is_stored_and_the_message_is_done() {
    let aws = stack(&[]);
    let records = [record("m1", r#"{"waiting":1}"#, 1)];
    assert!(failures(&aws, &node(), &records).await.is_empty());
    assert!(aws.sent("TransactWriteItems").is_empty());
}

#[tokio::test]
async fn what_is_no_wake_is_buried_with_its_code_and_wakes_nobody() {
    let bodies = [
        "",
        "{",
        "null",
        "{}",
        r#"{"claim":"c1"}"#,
        r#"{"sequence":"7"}"#,
    ];
    for body in bodies {
        let aws = FakeAws::new().on("SendMessage", done());
        let failed = failures(&aws, NOWHERE, &[record("m1", body, 1)]).await;
        assert!(failed.is_empty(), "{body}");
        let [[text, code, reason]] = buried(&aws).try_into().unwrap();
        assert_eq!(text, if body.is_empty() { "\"\"" } else { body });
        assert_eq!(code, "MessageInvalid");
        assert!(reason.contains("claim_id"), "{reason}");
    }
}

#[tokio::test]
async fn a_bad_message_does_not_keep_the_good_ones_from_paying() {
    let aws = with_claim()
        .on("StartExecution", done())
        .on("SendMessage", done());
    let records = [record("m1", "{", 1), record("m2", WAKE, 1)];
    assert!(failures(&aws, &node(), &records).await.is_empty());
    assert_eq!(aws.sent("StartExecution").len(), 1);
    assert_eq!(buried(&aws)[0][1], "MessageInvalid");
}

#[tokio::test]
async fn where_a_run_fails_its_messages_are_delivered_again() {
    let records = [record("m1", WAKE, 1), record("m2", r#"{"sequence":6}"#, 4)];
    // The chain, the key, and the store.
    for aws in [
        stack(&[]),
        FakeAws::new().always("GetSecretValue", secret("v1", "hush")),
        FakeAws::new().on("GetSecretValue", refusal(400, "AccessDeniedException")),
        FakeAws::new()
            .on("GetSecretValue", secret("v1", KEY))
            .on("UpdateItem", refusal(400, "ThrottlingException")),
    ] {
        assert_eq!(failures(&aws, NOWHERE, &records).await, ["m1", "m2"]);
        assert!(buried(&aws).is_empty());
    }
}

#[tokio::test]
async fn the_last_delivery_is_buried_with_the_reason_and_no_secret() {
    for (aws, code, says) in [
        (stack(&[]), "ChainUnavailable", "no node"),
        (
            FakeAws::new().always("GetSecretValue", secret("v1", r#"{"private_key":"hush"}"#)),
            "KeyInvalid",
            "private_key",
        ),
        (
            FakeAws::new().on("GetSecretValue", refusal(400, "AccessDeniedException")),
            "SecretUnavailable",
            "AccessDenied",
        ),
    ] {
        let aws = aws.on("SendMessage", done());
        let records = [record("m1", WAKE, 5), record("m2", WAKE, 1)];
        assert_eq!(failures(&aws, NOWHERE, &records).await, ["m2"]);
        let [[body, found, reason]] = buried(&aws).try_into().unwrap();
        assert_eq!((&*body, &*found), (WAKE, code));
        assert!(reason.contains(says), "{reason}");
        assert!(!reason.contains("hush"), "{reason}");
    }
}

#[tokio::test]
async fn what_cannot_be_buried_is_delivered_again() {
    let aws = FakeAws::new().on("SendMessage", refusal(503, "ServiceUnavailable"));
    let failed = failures(&aws, NOWHERE, &[record("m1", "{", 9)]).await;
    assert_eq!(failed, ["m1"]);
}

#[test]
fn every_variable_is_needed_and_has_to_make_sense() {
    let aws = FakeAws::new();
    let names = ENV.iter().map(|(name, _)| *name).chain(["FAUCET_CHAIN"]);
    for name in names.clone() {
        let error = pay(&aws, NOWHERE, name, "").err().unwrap().to_string();
        assert!(error.contains(&format!("{name} is not set")), "{error}");
    }
    for (name, value) in [
        ("FAUCET_CHAIN", chain(NOWHERE).replace("31337", "none")),
        ("FAUCET_PAYOUT", PAYOUT.replace("50", "91")),
        ("FAUCET_MAX_RECEIVES", "many".to_owned()),
    ] {
        let error = pay(&aws, NOWHERE, name, &value).err().unwrap().to_string();
        assert!(error.contains(&format!("{name} is ")), "{error}");
        assert!(!error.contains("hush"), "{error}");
    }
    let error = Pay::from_env(Env::new(|_| None), &aws.sdk_config());
    let error = error.err().unwrap().to_string();
    for name in names {
        assert!(error.contains(name), "{error}");
    }
}
