//! Sweeps through the handler, against a fake AWS. No node listens.

use offchain_codes::Coded;
use offchain_store::test_util::{FakeAws, done, item, items, refusal, seconds_from_now};
use serde_json::{Value, json};

use super::*;

const CHAIN: &str = r#"{"kind":"evm","nodes":[{"url":"http://127.0.0.1:9/hush"}],
    "chain_id":"31337","max_fee_wei":"1000","priority_fee_wei":"1"}"#;
const PAYOUT: &str = r#"{"batch":50,"in_flight":4,"confirmations":1,"attempts":3,"bump_seconds":60,
    "lease_seconds":60,"settle_deadline_seconds":3600,"low_balance":"0","amount":"1000",
    "retention_days":30,"decimals":6}"#;
const ENV: [(&str, &str); 9] = [
    ("FAUCET_NETWORK", "testnet"),
    ("FAUCET_ENVIRONMENT", "suite"),
    ("FAUCET_TABLE", "claims"),
    ("FAUCET_LIMITS_TABLE", "limits"),
    ("FAUCET_LOCKS_TABLE", "locks"),
    ("FAUCET_PAYOUTS_TABLE", "payouts"),
    ("FAUCET_CHAIN", CHAIN),
    ("FAUCET_PAYOUT", PAYOUT),
    ("FAUCET_QUEUE_URL", "https://sqs.test/claims"),
];

/// A function of which one variable has another value.
fn function(aws: &FakeAws, name: &str, value: &str) -> Result<Sweep, ConfigError> {
    let env = Env::new(|wanted| {
        let (_, usual) = ENV.iter().find(|(known, _)| *known == wanted)?;
        Some(if wanted == name { value } else { usual }.to_owned())
    });
    Sweep::from_env(env, &aws.sdk_config())
}

async fn sweep(aws: &FakeAws) -> Result<Value, ConfirmError> {
    let order = serde_json::from_value(json!({ "action": "sweep" })).unwrap();
    let census = function(aws, "", "")
        .unwrap()
        .handle(order, "invocation")
        .await?;
    Ok(serde_json::to_value(census).unwrap())
}

#[tokio::test]
async fn a_sweep_counts_what_there_is_and_wakes_the_payer() {
    let waiting = json!({
        "claim_id": "c1",
        "address": "0xa",
        "amount": "1000",
        "status": "queued",
        "attempts": 0,
        "created_time": seconds_from_now(-30).to_string(),
        "updated_time": seconds_from_now(-30).to_string(),
        "deadline": seconds_from_now(600).to_string(),
        "expiration": 2_000_000_000,
    });
    let aws = FakeAws::new()
        .about("open-payouts", "Query", items(&[]))
        .about("open-claims", "Query", items(&[waiting]))
        .about("suite-testnet-", "GetItem", done())
        .about("budget#", "GetItem", item(&json!({ "spent": 3000 })))
        .on("SendMessage", done());
    let census = sweep(&aws).await.unwrap();
    let oldest = census["oldest_unpaid_seconds"].as_i64().unwrap();
    assert!((30..40).contains(&oldest), "{oldest}");
    assert_eq!(
        census,
        json!({
            "waiting": 1,
            "oldest_unpaid_seconds": oldest,
            "expired": 0,
            "open_payouts": 0,
            "broken": null,
            "spent_today": 3000,
        })
    );
    let sent = aws.sent_once("SendMessage");
    assert_eq!(sent["QueueUrl"], "https://sqs.test/claims");
    assert_eq!(sent["MessageBody"], r#"{"waiting":1}"#);
}

#[tokio::test]
async fn a_store_that_cannot_be_used_fails_the_sweep() {
    let aws = FakeAws::new().on("Query", refusal(400, "ThrottlingException"));
    let error = sweep(&aws).await.unwrap_err();
    assert_eq!(
        (error.code(), error.retryable()),
        ("StoreUnavailable", true)
    );
}

#[test]
fn an_order_of_another_shape_is_refused() {
    for order in [
        json!({}),
        json!({ "action": "stop" }),
        json!({ "action": "sweep", "now": true }),
        json!("sweep"),
    ] {
        let read = serde_json::from_value::<Order>(order.clone());
        assert!(read.is_err(), "{order}");
    }
}

fn census() -> Census {
    Census {
        waiting: 3,
        oldest_unpaid_seconds: 45,
        expired: 1,
        open_payouts: 2,
        broken: None,
        balance: Some(2_500_000),
        spent_today: 500_000,
    }
}

#[test]
fn a_sweep_is_told_as_metrics() {
    assert_eq!(
        metrics::of(&census(), 6),
        [
            ("Broken", "Count", json!(0)),
            ("OldestUnpaidSeconds", "Seconds", json!(45)),
            ("WaitingClaims", "Count", json!(3)),
            ("OpenPayouts", "Count", json!(2)),
            // In whole coins.
            ("SpentToday", "None", json!(0.5)),
            ("Balance", "None", json!(2.5)),
        ]
    );
}

#[test]
fn a_balance_that_is_not_known_is_missing_and_a_flag_counts() {
    let metrics = metrics::of(
        &Census {
            balance: None,
            broken: Some("SequenceUsed".into()),
            ..census()
        },
        6,
    );
    assert_eq!(metrics[0], ("Broken", "Count", json!(1)));
    assert!(metrics.iter().all(|(name, ..)| *name != "Balance"));
}

#[test]
fn every_variable_is_needed_and_has_to_make_sense() {
    let aws = FakeAws::new();
    for (name, _) in ENV {
        let error = function(&aws, name, "").err().unwrap().to_string();
        assert!(error.contains(&format!("{name} is not set")), "{error}");
    }
    for (name, value) in [
        ("FAUCET_CHAIN", CHAIN.replace("31337", "none")),
        ("FAUCET_PAYOUT", PAYOUT.replace("50", "91")),
    ] {
        let error = function(&aws, name, &value).err().unwrap().to_string();
        assert!(error.contains(&format!("{name} is ")), "{error}");
        assert!(!error.contains("hush"), "{error}");
    }
    let error = Sweep::from_env(Env::new(|_| None), &aws.sdk_config());
    let error = error.err().unwrap().to_string();
    for (name, _) in ENV {
        assert!(error.contains(name), "{error}");
    }
}
