//! Payouts through the handler, against a fake AWS. No node listens.

use offchain_codes::Coded;
use offchain_store::test_util::{FakeAws, done, item, refusal, seconds_from_now};
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
fn confirm(aws: &FakeAws, name: &str, value: &str) -> Result<Confirm, ConfigError> {
    let env = Env::new(|wanted| {
        let (_, usual) = ENV.iter().find(|(known, _)| *known == wanted)?;
        Some(if wanted == name { value } else { usual }.to_owned())
    });
    Confirm::from_env(env, &aws.sdk_config())
}

/// Asks about a payout, as the machine does.
async fn look(aws: &FakeAws) -> Result<Value, ConfirmError> {
    let event = json!({ "account": "0xpayer", "sequence": 7 });
    let look = confirm(aws, "", "")
        .unwrap()
        .handle(serde_json::from_value(event).unwrap(), "invocation")
        .await?;
    Ok(serde_json::to_value(look).unwrap())
}

fn payout(status: &str, reason: Value) -> Value {
    let mut item = json!({
        "account": "0xpayer",
        "sequence": 7,
        "status": status,
        "transfers": [],
        "versions": [{
            "hash": format!("0x{}", "ab".repeat(32)),
            "bytes": "",
            "terms": "{}",
            "created_time": seconds_from_now(-30).to_string(),
        }],
        "created_time": seconds_from_now(-30).to_string(),
        "updated_time": seconds_from_now(-30).to_string(),
        "deadline": seconds_from_now(600).to_string(),
    });
    if !reason.is_null() {
        item["reason"] = reason;
    }
    item
}

#[tokio::test]
async fn the_machine_is_told_how_a_payout_ended() {
    for (status, reason, told) in [
        ("paid", Value::Null, json!({ "status": "paid" })),
        (
            "failed",
            json!("out of gas"),
            json!({ "status": "failed", "reason": "out of gas" }),
        ),
        (
            "lost",
            json!("number_used"),
            json!({ "status": "lost", "reason": "number_used" }),
        ),
    ] {
        let aws = FakeAws::new().on("GetItem", item(&payout(status, reason)));
        assert_eq!(look(&aws).await.unwrap(), told);
        let read = aws.sent_once("GetItem");
        assert_eq!(read["TableName"], "payouts");
        assert_eq!(read["Key"], json!({ "account": "0xpayer", "sequence": 7 }));
    }
}

#[tokio::test]
async fn what_fails_has_a_code_that_the_machine_knows() {
    for (reply, code, retryable) in [
        (done(), "PayoutNotFound", false),
        (
            refusal(400, "ThrottlingException"),
            "StoreUnavailable",
            true,
        ),
        (item(&payout("sent", Value::Null)), "ChainUnavailable", true),
    ] {
        let aws = FakeAws::new().on("GetItem", reply);
        let error = look(&aws).await.unwrap_err();
        assert_eq!((error.code(), error.retryable()), (code, retryable));
        assert!(!offchain_codes::chain(&error).contains("hush"));
    }
}

#[test]
fn an_event_of_another_shape_is_refused() {
    for event in [
        json!({}),
        json!({ "account": "0xpayer" }),
        json!({ "account": "0xpayer", "sequence": "7" }),
        json!({ "account": "0xpayer", "sequence": -1 }),
        json!({ "account": "0xpayer", "sequence": 7, "hash": "0x" }),
    ] {
        let read = serde_json::from_value::<Target>(event.clone());
        assert!(read.is_err(), "{event}");
    }
}

#[test]
fn every_variable_is_needed_and_has_to_make_sense() {
    let aws = FakeAws::new();
    for (name, _) in ENV {
        let error = confirm(&aws, name, "").err().unwrap().to_string();
        assert!(error.contains(&format!("{name} is not set")), "{error}");
    }
    for (name, value) in [
        ("FAUCET_CHAIN", CHAIN.replace("31337", "none")),
        ("FAUCET_PAYOUT", PAYOUT.replace("50", "91")),
    ] {
        let error = confirm(&aws, name, &value).err().unwrap().to_string();
        assert!(error.contains(&format!("{name} is ")), "{error}");
        assert!(!error.contains("hush"), "{error}");
    }
    let error = Confirm::from_env(Env::new(|_| None), &aws.sdk_config());
    let error = error.err().unwrap().to_string();
    for (name, _) in ENV {
        assert!(error.contains(name), "{error}");
    }
}
