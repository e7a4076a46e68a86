//! `offchain ledger events`

use std::process::ExitCode;

use clap::Args;
use jiff::Timestamp;
use offchain_ledger::Id;
use offchain_store::ledger::{EventItem, EventStatus, Events};
use serde::Serialize;

use crate::aws;
use crate::dlq::clean;
use crate::error::CliError;
use crate::ledger::{SAMPLE, note_sample, short, since};
use crate::output::{Output, bad, good};
use crate::stack::Stack;

/// As many as one query asks for.
const PAGE: u32 = 100;

const HEADER: [&str; 6] = [
    "age",
    "height",
    "operation",
    "asset",
    "transaction",
    "state",
];

#[derive(Args)]
#[command(
    after_help = "Without --asset the table is read from end to end.\n\nExamples:\n  offchain ledger \
                  events\n  offchain ledger events --asset ID --limit 100 --json"
)]
pub(crate) struct List {
    /// Those of one asset.
    #[arg(long, value_name = "ID")]
    asset: Option<Id>,
    /// So many of the newest.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..))]
    limit: u16,
}

/// The newest first.
#[derive(Debug, Serialize)]
struct Listed {
    /// Whether the table was too large to be read to its end.
    sampled: bool,
    events: Vec<EventItem>,
}

impl List {
    pub(crate) async fn run(self, stack: &Stack, output: &Output) -> Result<ExitCode, CliError> {
        let table = super::events(stack.ledger()?, &aws::config(stack).await);
        let listed = self.read(&table).await?;
        note_sample(output, listed.sampled, "events");
        let now = Timestamp::now();
        output.show(&listed, |output| {
            if listed.events.is_empty() {
                return output.line("none");
            }
            let rows = listed.events.iter().map(|event| row(event, now)).collect();
            output.table(HEADER, rows);
        })?;
        Ok(ExitCode::SUCCESS)
    }

    async fn read(&self, table: &Events) -> Result<Listed, CliError> {
        let limit = usize::from(self.limit);
        if let Some(asset) = &self.asset {
            let events = of_asset(table, asset, limit).await?;
            let sampled = false;
            return Ok(Listed { sampled, events });
        }
        let (mut events, sampled) = table.scan(SAMPLE).await?;
        // What came in one moment is in the chain's order.
        events.sort_by(|a, b| {
            let key = |event: &EventItem| (event.received_time, event.position.clone());
            key(b).cmp(&key(a))
        });
        events.truncate(limit);
        Ok(Listed { sampled, events })
    }
}

/// The newest events of an asset, page after page.
async fn of_asset(table: &Events, asset: &Id, limit: usize) -> Result<Vec<EventItem>, CliError> {
    let mut events: Vec<EventItem> = Vec::new();
    loop {
        let left = u32::try_from(limit - events.len()).unwrap_or(PAGE);
        let after = events.last().map(|last| last.position.clone());
        let (page, more) = table
            .of_asset(asset, after.as_deref(), left.min(PAGE))
            .await?;
        let is_last = page.is_empty() || !more;
        events.extend(page);
        if is_last || events.len() >= limit {
            return Ok(events);
        }
    }
}

fn row(event: &EventItem, now: Timestamp) -> [String; 6] {
    let place = match (event.event.height, &event.event.block_id) {
        (Some(height), _) => height.to_string(),
        (None, Some(block)) => short(&clean(block)),
        (None, None) => "-".to_owned(),
    };
    [
        since(event.received_time, now),
        place,
        event.operation.as_deref().map_or("-".to_owned(), clean),
        short(event.event.asset_id.as_str()),
        short(event.event.transaction_id.as_str()),
        state(event.status, event.reason.as_deref()),
    ]
}

/// What became of an event, and why.
pub(crate) fn state(status: EventStatus, reason: Option<&str>) -> String {
    match (status, reason) {
        (EventStatus::Received, _) => "received".to_owned(),
        (EventStatus::Recorded, _) => good("recorded"),
        (EventStatus::Rejected, None) => bad("rejected"),
        (EventStatus::Rejected, Some(reason)) => bad(format!("rejected: {}", clean(reason))),
    }
}

#[cfg(test)]
mod tests {
    use offchain_store::test_util::{FakeAws, items, page};
    use serde_json::{Value, json};

    use super::*;
    use crate::ledger::tests::{event, id, stack};
    use crate::output::{plain, table};

    async fn read(aws: &FakeAws, asset: Option<Id>, limit: u16) -> (Vec<String>, bool) {
        let stack = stack();
        let events = crate::ledger::events(stack.ledger().unwrap(), &aws.sdk_config());
        let listed = List { asset, limit }.read(&events).await.unwrap();
        let short = |event: EventItem| short(event.event.transaction_id.as_str());
        (
            listed.events.into_iter().map(short).collect(),
            listed.sampled,
        )
    }

    #[tokio::test]
    async fn the_newest_of_all_are_found_by_reading_the_table() {
        let aws = FakeAws::new()
            .on(
                "Scan",
                page(
                    &[event('1', 5, 1), event('3', 7, 3)],
                    &json!({"transaction_id": id('3')}),
                ),
            )
            .on("Scan", items(&[event('2', 6, 2), event('4', 8, 3)]));
        let (found, sampled) = read(&aws, None, 3).await;
        assert_eq!(found, ["44444444", "33333333", "22222222"]);
        assert!(!sampled);
        assert_eq!(aws.sent("Scan")[0]["TableName"], "events");
    }

    #[tokio::test]
    async fn those_of_an_asset_are_found_by_the_index_page_after_page() {
        let last = json!({"transaction_id": id('4')});
        let first: Vec<Value> = (0..100).map(|_| event('4', 8, 3)).collect();
        let aws = FakeAws::new()
            .on("Query", page(&first, &last))
            .on("Query", items(&[event('1', 5, 1)]));
        let asset: Id = id('a').parse().unwrap();
        let (found, _) = read(&aws, Some(asset), 200).await;
        assert_eq!(found.len(), 101);
        let queries = aws.sent("Query");
        assert_eq!(queries[0]["Limit"], 100);
        assert_eq!(queries[1]["ExpressionAttributeValues"][":asset"], id('a'));
        assert!(aws.sent("Scan").is_empty());
    }

    #[test]
    fn an_event_is_one_row_of_80_columns() {
        let mut rejected = event('1', 1_234_567, 0);
        rejected["status"] = "rejected".into();
        rejected["reason"] = "OwnersMismatch".into();
        let mut old = event('2', 0, 0);
        for name in ["height", "operation", "recorded_time"] {
            old.as_object_mut().unwrap().remove(name);
        }
        old["block_id"] = id('b').into();
        old["status"] = "received".into();
        let now = "2026-11-21T11:05:00Z".parse().unwrap();
        let rows = [rejected, old]
            .map(|item| row(&serde_json::from_value(item).unwrap(), now))
            .into();
        assert_eq!(
            plain(&table(HEADER, rows, Some(80))),
            " AGE    HEIGHT    OPERATION  ASSET     TRANSACTION  STATE\n \
             5 min  1234567   TRANSFER   aaaaaaaa  11111111     rejected: OwnersMismatch\n \
             5 min  bbbbbbbb  -          aaaaaaaa  22222222     received"
        );
    }
}
