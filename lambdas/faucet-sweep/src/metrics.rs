//! What a sweep tells as metrics.

use offchain_faucet::coins_f64;
use offchain_faucet_service::Census;
use offchain_function::metrics::Metric;
use serde_json::json;

pub(crate) const NAMESPACE: &str = "offchain/faucet";

/// What a sweep found.
pub(crate) fn of(census: &Census, decimals: u8) -> Vec<Metric> {
    let coins = |amount| json!(coins_f64(amount, decimals));
    let mut metrics = vec![
        ("Broken", "Count", json!(u8::from(census.broken.is_some()))),
        (
            "OldestUnpaidSeconds",
            "Seconds",
            json!(census.oldest_unpaid_seconds),
        ),
        ("WaitingClaims", "Count", json!(census.waiting)),
        ("OpenPayouts", "Count", json!(census.open_payouts)),
        ("SpentToday", "None", coins(census.spent_today)),
    ];
    // A balance that is not known is no number: its alarm rings for missing data.
    metrics.extend(
        census
            .balance
            .map(|balance| ("Balance", "None", coins(balance))),
    );
    metrics
}
