//! What a batch tells as metrics.

use offchain_function::metrics::Metric;
use serde_json::json;

use crate::event::Redriven;

pub(crate) const NAMESPACE: &str = "offchain/redrive";

/// What a batch came to.
pub(crate) fn of(redriven: &Redriven) -> [Metric; 3] {
    [
        ("Redriven", "Count", json!(redriven.redriven)),
        ("Failed", "Count", json!(redriven.failed)),
        ("Quarantined", "Count", json!(redriven.quarantined)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_outcome_is_counted() {
        let redriven = Redriven {
            redriven: 3,
            failed: 1,
            quarantined: 2,
            letters: Vec::new(),
        };
        assert_eq!(
            of(&redriven),
            [
                ("Redriven", "Count", json!(3)),
                ("Failed", "Count", json!(1)),
                ("Quarantined", "Count", json!(2)),
            ]
        );
    }
}
