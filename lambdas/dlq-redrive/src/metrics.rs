//! A line of metrics in the embedded metric format (AWS page "Specification:
//! Embedded metric format").

use std::io::Write;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::event::Redriven;

const NAMESPACE: &str = "offchain/redrive";

/// Writes what a batch came to to standard output.
pub(crate) fn emit(suite: &str, redriven: &Redriven, now: Timestamp) {
    // Without standard output there is nobody to tell that it fails.
    let _ = writeln!(std::io::stdout().lock(), "{}", line(suite, redriven, now));
}

fn line(suite: &str, redriven: &Redriven, now: Timestamp) -> Value {
    let metrics: Vec<Value> = ["Redriven", "Failed", "Quarantined"]
        .iter()
        .map(|name| json!({ "Name": name, "Unit": "Count" }))
        .collect();
    json!({
        "_aws": {
            "Timestamp": now.as_millisecond(),
            "CloudWatchMetrics": [{
                "Namespace": NAMESPACE,
                "Dimensions": [["Suite"]],
                "Metrics": metrics,
            }],
        },
        "Suite": suite,
        "Redriven": redriven.redriven,
        "Failed": redriven.failed,
        "Quarantined": redriven.quarantined,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_counts_each_outcome_of_the_suite() {
        let redriven = Redriven {
            redriven: 3,
            failed: 1,
            quarantined: 2,
            letters: Vec::new(),
        };
        let line = line("offchain", &redriven, Timestamp::UNIX_EPOCH);
        assert_eq!(line["_aws"]["CloudWatchMetrics"][0]["Namespace"], NAMESPACE);
        assert_eq!(
            (
                &line["Suite"],
                &line["Redriven"],
                &line["Failed"],
                &line["Quarantined"]
            ),
            (&json!("offchain"), &json!(3), &json!(1), &json!(2))
        );
    }
}
