//! Metrics in the embedded metric format: a line of JSON on standard output
//! that CloudWatch turns into metrics (AWS page "Specification: Embedded metric
//! format"). A line costs its bytes; a call of the metrics API would cost time
//! and a permission as well.

use std::io::Write;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// The most values that one metric of a line may have.
pub const MAX_VALUES: usize = 100;

/// A metric's name, its unit as CloudWatch calls it, and its value: a number, or
/// up to [`MAX_VALUES`] of them.
pub type Metric = (&'static str, &'static str, Value);

/// Writes a line to standard output.
pub fn emit(
    namespace: &str,
    dimensions: &[(&str, &str)],
    metrics: impl IntoIterator<Item = Metric>,
    now: Timestamp,
) {
    // Without standard output there is nobody to tell that it fails.
    let _ = writeln!(
        std::io::stdout().lock(),
        "{}",
        line(namespace, dimensions, metrics, now)
    );
}

/// The line.
pub fn line(
    namespace: &str,
    dimensions: &[(&str, &str)],
    metrics: impl IntoIterator<Item = Metric>,
    now: Timestamp,
) -> Value {
    let mut line = Map::new();
    let mut described = Vec::new();
    for (name, unit, value) in metrics {
        described.push(json!({ "Name": name, "Unit": unit }));
        line.insert(name.to_owned(), value);
    }
    for (name, value) in dimensions {
        line.insert((*name).to_owned(), (*value).into());
    }
    let names: Vec<&str> = dimensions.iter().map(|(name, _)| *name).collect();
    line.insert(
        "_aws".to_owned(),
        json!({
            "Timestamp": now.as_millisecond(),
            "CloudWatchMetrics": [{
                "Namespace": namespace,
                "Dimensions": [names],
                "Metrics": described,
            }],
        }),
    );
    Value::Object(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_describes_what_it_holds() {
        let metrics = [
            ("Lag", "Count", json!(7)),
            ("Age", "Seconds", json!([1, 2])),
        ];
        let dimensions = [("Suite", "offchain"), ("Network", "testnet")];
        assert_eq!(
            line("offchain/test", &dimensions, metrics, Timestamp::UNIX_EPOCH),
            json!({
                "Lag": 7,
                "Age": [1, 2],
                "Suite": "offchain",
                "Network": "testnet",
                "_aws": {
                    "Timestamp": 0,
                    "CloudWatchMetrics": [{
                        "Namespace": "offchain/test",
                        "Dimensions": [["Suite", "Network"]],
                        "Metrics": [
                            { "Name": "Lag", "Unit": "Count" },
                            { "Name": "Age", "Unit": "Seconds" },
                        ],
                    }],
                },
            })
        );
    }
}
