//! A line of metrics in the embedded metric format (AWS page "Specification:
//! Embedded metric format").

use std::io::Write;

use jiff::Timestamp;
use offchain_faucet::coins_f64;
use offchain_faucet_service::Census;
use serde_json::{Map, Value, json};

const NAMESPACE: &str = "offchain/faucet";

/// Writes what a sweep found to standard output.
pub(crate) fn emit(suite: &str, network: &str, decimals: u8, census: &Census, now: Timestamp) {
    // Without standard output there is nobody to tell that it fails.
    let _ = writeln!(
        std::io::stdout().lock(),
        "{}",
        line(suite, network, decimals, census, now)
    );
}

pub(crate) fn line(
    suite: &str,
    network: &str,
    decimals: u8,
    census: &Census,
    now: Timestamp,
) -> Value {
    let mut values: Vec<(&str, &str, Value)> = vec![
        ("Broken", "Count", u8::from(census.broken.is_some()).into()),
        (
            "OldestUnpaidSeconds",
            "Seconds",
            census.oldest_unpaid_seconds.into(),
        ),
        ("WaitingClaims", "Count", census.waiting.into()),
        ("OpenPayouts", "Count", census.open_payouts.into()),
        (
            "SpentToday",
            "None",
            coins_f64(census.spent_today, decimals).into(),
        ),
    ];
    // A balance that is not known is no number: its alarm rings for missing data.
    if let Some(balance) = census.balance {
        values.push(("Balance", "None", coins_f64(balance, decimals).into()));
    }
    let metrics: Vec<Value> = values
        .iter()
        .map(|(name, unit, _)| json!({ "Name": name, "Unit": unit }))
        .collect();
    let mut line = Map::from_iter(
        values
            .into_iter()
            .map(|(name, _, value)| (name.to_owned(), value)),
    );
    line.insert("Suite".to_owned(), suite.into());
    line.insert("Network".to_owned(), network.into());
    line.insert(
        "_aws".to_owned(),
        json!({
            "Timestamp": now.as_millisecond(),
            "CloudWatchMetrics": [{
                "Namespace": NAMESPACE,
                "Dimensions": [["Suite", "Network"]],
                "Metrics": metrics,
            }],
        }),
    );
    Value::Object(line)
}
