//! Shifts through the handler, against a fake AWS. No node listens.

use offchain_codes::{Coded, chain};
use offchain_store::test_util::{FakeAws, condition_failed, done, items, refusal, updated};
use serde_json::{Value, json};

use super::*;

const SUBSCRIBERS: &str =
    r#"[{"name":"ledger","url":"https://ledger.test/hush","secret_arn":"arn:secret"}]"#;
const LISTEN: &str = r#"{"from_height":1,"poll_seconds":2,"stall_seconds":5,"lease_seconds":4,
    "run_seconds":630,"concurrency":16,"max_kept":10000,"retry_schedule":[5,300],
    "timeout_seconds":15}"#;
const ENV: [(&str, &str); 8] = [
    ("LEDGER_ENVIRONMENT", "suite"),
    ("LEDGER_NODE", "http://127.0.0.1:9"),
    ("LEDGER_ALLOW_PRIVATE", "true"),
    ("LEDGER_LOCKS_TABLE", "locks"),
    ("LEDGER_DELIVERIES_TABLE", "deliveries"),
    ("LEDGER_SUBSCRIBERS", SUBSCRIBERS),
    ("LEDGER_LISTEN", LISTEN),
    (
        "LEDGER_DELIVERIES_DLQ_URL",
        "https://sqs.test/deliveries-dlq",
    ),
];

/// A function of which one variable has another value.
fn listen(aws: &FakeAws, name: &str, value: &str) -> Result<Listen, ConfigError> {
    let env = Env::new(|wanted| {
        let (_, usual) = ENV.iter().find(|(known, _)| *known == wanted)?;
        Some(if wanted == name { value } else { usual }.to_owned())
    });
    Listen::from_env(env, &aws.sdk_config())
}

/// The run of noon, as the machine asks for it.
async fn run(aws: &FakeAws) -> Result<Value, ListenError> {
    let event = json!({ "scheduled_time": "2026-11-21T12:00:00Z" });
    let report = listen(aws, "", "")
        .unwrap()
        .handle(serde_json::from_value(event).unwrap(), "invocation")
        .await?;
    Ok(serde_json::to_value(report).unwrap())
}

#[tokio::test]
async fn a_run_that_is_older_than_the_one_that_listens_ends_at_once() {
    let aws = FakeAws::new().on("UpdateItem", condition_failed());
    assert_eq!(
        run(&aws).await.unwrap(),
        json!({ "outcome": "handed_over", "height": 0, "delivered": 0, "kept": 0 })
    );
    let update = aws.sent_once("UpdateItem");
    assert_eq!(update["TableName"], "locks");
    assert_eq!(update["Key"], json!({ "Name": "suite-ledger-listener" }));
    let values = &update["ExpressionAttributeValues"];
    // The time that it was meant for, in milliseconds: a younger one is greater.
    assert_eq!(values[":me"], 1_795_262_400_000_i64);
    let apart = values[":now"].as_i64().unwrap() - values[":expired"].as_i64().unwrap();
    assert_eq!(apart, 4_000_000_000);
}

#[tokio::test]
async fn a_time_before_all_times_is_still_somebody() {
    let aws = FakeAws::new().on("UpdateItem", condition_failed());
    let event = json!({ "scheduled_time": "1969-01-01T00:00:00Z" });
    let listen = listen(&aws, "", "").unwrap();
    let shift = serde_json::from_value(event).unwrap();
    listen.handle(shift, "invocation").await.unwrap();
    let values = &aws.sent_once("UpdateItem")["ExpressionAttributeValues"];
    assert_eq!(values[":me"], 1);
}

#[tokio::test]
async fn what_fails_has_a_code_that_the_machine_knows() {
    let lease = json!({ "Name": "suite-ledger-listener", "LockerID": 1, "Token": 9 });
    let leased = || FakeAws::new().on("UpdateItem", updated(&lease));
    for (aws, code, retryable) in [
        (
            FakeAws::new().on("UpdateItem", refusal(400, "ThrottlingException")),
            "StoreUnavailable",
            true,
        ),
        (
            FakeAws::new().on("UpdateItem", refusal(400, "AccessDeniedException")),
            "StoreDenied",
            false,
        ),
        // No node: the lease is given back.
        (
            leased()
                .always("UpdateItem", done())
                .always("Query", items(&[])),
            "RemoteUnreachable",
            true,
        ),
    ] {
        let error = run(&aws).await.unwrap_err();
        assert_eq!((error.code(), error.retryable()), (code, retryable));
        let said = chain(&error);
        assert!(
            !said.contains("127.0.0.1:9") && !said.contains("hush"),
            "{said}"
        );
    }
}

#[test]
fn an_event_of_another_shape_is_refused() {
    for event in [
        json!({}),
        json!({ "scheduled_time": "noon" }),
        json!({ "scheduled_time": 1_795_262_400 }),
        json!({ "scheduled_time": "2026-11-21T12:00:00Z", "height": 7 }),
        json!("2026-11-21T12:00:00Z"),
    ] {
        let read = serde_json::from_value::<Shift>(event.clone());
        assert!(read.is_err(), "{event}");
    }
    // As EventBridge Scheduler writes it.
    let event = json!({ "scheduled_time": "2026-11-21T12:00:00Z" });
    serde_json::from_value::<Shift>(event).unwrap();
}

#[test]
fn every_variable_is_needed_and_has_to_make_sense() {
    let aws = FakeAws::new();
    for (name, _) in ENV {
        let error = listen(&aws, name, "").err().unwrap().to_string();
        assert!(error.contains(&format!("{name} is not set")), "{error}");
    }
    for (name, value) in [
        ("LEDGER_ALLOW_PRIVATE", "yes".to_owned()),
        (
            "LEDGER_SUBSCRIBERS",
            SUBSCRIBERS.replace("ledger\"", "Ledger\""),
        ),
        (
            "LEDGER_SUBSCRIBERS",
            SUBSCRIBERS.replace("secret_arn", "secret"),
        ),
        ("LEDGER_LISTEN", "{}".to_owned()),
        ("LEDGER_LISTEN", LISTEN.replace("630", "871")),
    ] {
        let error = listen(&aws, name, &value).err().unwrap().to_string();
        assert!(error.contains(&format!("{name} is ")), "{error}");
        assert!(!error.contains("hush"), "{error}");
    }
    for node in [
        "hush",
        "http://127.0.0.1:9/hush",
        "http://me:hush@127.0.0.1:9",
        "ws://hush.test",
    ] {
        let error = listen(&aws, "LEDGER_NODE", node).err().unwrap().to_string();
        assert!(error.contains("LEDGER_NODE: "), "{error}");
        assert!(!error.contains("hush"), "{error}");
    }
    let error = Listen::from_env(Env::new(|_| None), &aws.sdk_config());
    let error = error.err().unwrap().to_string();
    for (name, _) in ENV {
        assert!(error.contains(name), "{error}");
    }
}
