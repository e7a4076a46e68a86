//! What the listener tells as metrics.

use offchain_function::metrics::Metric;
use offchain_ledger_service::Beat;
use serde_json::json;

pub(crate) const NAMESPACE: &str = "offchain/ledger";

/// How the listener is.
pub(crate) fn of(beat: &Beat) -> [Metric; 5] {
    [
        ("Listening", "Count", json!(u8::from(beat.listening))),
        ("Height", "None", json!(beat.height)),
        ("Lag", "Count", json!(beat.lag)),
        ("Delivered", "Count", json!(beat.delivered)),
        ("Kept", "Count", json!(beat.kept)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_that_has_the_lease_counts_as_one() {
        for (listening, count) in [(true, 1), (false, 0)] {
            let beat = Beat {
                listening,
                height: 700,
                lag: 3,
                delivered: 12,
                kept: 2,
            };
            assert_eq!(
                of(&beat),
                [
                    ("Listening", "Count", json!(count)),
                    ("Height", "None", json!(700)),
                    ("Lag", "Count", json!(3)),
                    ("Delivered", "Count", json!(12)),
                    ("Kept", "Count", json!(2)),
                ]
            );
        }
    }
}
