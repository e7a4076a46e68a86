//! `offchain oracle feeds`

use std::process::ExitCode;

use offchain_oracle::FeedId;
use serde::Deserialize;

use crate::api::{Api, read};
use crate::error::CliError;
use crate::output::Output;

/// The API's list of feeds.
#[derive(Deserialize)]
pub(crate) struct Feeds {
    pub(crate) feeds: Vec<Feed>,
}

/// A feed as it is configured. Demo feeds have no more than a name.
#[derive(Deserialize)]
pub(crate) struct Feed {
    pub(crate) feed: FeedId,
    kind: String,
    interval_seconds: u32,
    exponent: i8,
    quorum: Option<u8>,
    max_age_seconds: Option<u32>,
    max_spread_bps: Option<u32>,
    #[serde(default)]
    sources: Vec<String>,
}

pub(crate) async fn list(api: &Api, output: &Output) -> Result<ExitCode, CliError> {
    let reply = api.feeds().await?;
    let Feeds { feeds } = read(&reply)?;
    output.show(&reply, |output| {
        let rows = feeds.iter().map(row).collect();
        let header = [
            "feed", "kind", "every", "decimals", "quorum", "max age", "spread", "sources",
        ];
        output.table(header, rows);
    })?;
    Ok(ExitCode::SUCCESS)
}

fn row(feed: &Feed) -> [String; 8] {
    let none = || "-".to_owned();
    [
        feed.feed.to_string(),
        feed.kind.clone(),
        format!("{} s", feed.interval_seconds),
        feed.exponent.unsigned_abs().to_string(),
        feed.quorum
            .map_or_else(none, |quorum| format!("{quorum} of {}", feed.sources.len())),
        feed.max_age_seconds
            .map_or_else(none, |age| format!("{age} s")),
        // Hundredths of a percent.
        feed.max_spread_bps
            .map_or_else(none, |bps| format!("{}.{:02}%", bps / 100, bps % 100)),
        feed.sources.join(", "),
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_feed_is_one_row_of_what_counts() {
        let feeds = json!({"feeds": [
            {"feed": "demo", "kind": "demo", "interval_seconds": 2, "exponent": 0},
            {"feed": "eth-usd", "kind": "http", "interval_seconds": 2, "exponent": -2,
             "quorum": 2, "max_age_seconds": 60, "max_spread_bps": 205,
             "sources": ["binance", "coinbase", "kraken"]},
        ]});
        let Feeds { feeds } = read(&feeds).unwrap();
        assert_eq!(
            row(&feeds[0]),
            ["demo", "demo", "2 s", "0", "-", "-", "-", ""]
        );
        assert_eq!(
            row(&feeds[1]),
            [
                "eth-usd",
                "http",
                "2 s",
                "2",
                "2 of 3",
                "60 s",
                "2.05%",
                "binance, coinbase, kraken"
            ]
        );
    }
}
