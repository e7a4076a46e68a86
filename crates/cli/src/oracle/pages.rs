//! A feed's records, page after page.

use jiff::Timestamp;
use offchain_oracle::{FeedId, Slot};
use serde::Deserialize;

use crate::api::{Api, read};
use crate::error::CliError;
use crate::oracle::Record;

/// As many as the API gives at once.
const LIMIT: &str = "1000";

#[derive(Deserialize)]
struct Page {
    readings: Vec<Record>,
    /// Where the next page begins.
    next: Option<Slot>,
}

/// Every record from `from` on and before `to`, ascending. Where they are not
/// given, the API chooses them: five minutes up to its own now.
pub(crate) async fn all(
    api: &Api,
    feed: &FeedId,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
) -> Result<Vec<Record>, CliError> {
    let mut records: Vec<Record> = Vec::new();
    let mut from = from.map(|from| from.to_string());
    let to = to.map(|to| to.to_string());
    loop {
        let given = [("from", &from), ("to", &to)];
        let mut query = vec![("limit", LIMIT)];
        for (name, value) in given {
            query.extend(value.as_deref().map(|value| (name, value)));
        }
        let page: Page = read(&api.readings(feed, &query).await?)?;
        records.extend(page.readings);
        let Some(next) = page.next else {
            return Ok(records);
        };
        // Else the same page would come again and again.
        if records.last().is_none_or(|last| next <= last.slot()) {
            return Err(CliError::Input(format!(
                "the API's next page begins at {next}, which is not after the page before it"
            )));
        }
        from = Some(next.to_string());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::stub::Stub;
    use crate::oracle::record::tests::{missed, published, slot};

    #[tokio::test]
    async fn every_page_is_fetched_and_the_end_stays_the_same() {
        let stub = Stub::answering(vec![
            (
                200,
                json!({"readings": [published(0, 5), missed(1)], "next": slot(2)}),
            ),
            (200, json!({"readings": [published(2, 5)], "next": null})),
        ]);
        let feed = "demo".parse().unwrap();
        let (from, to) = (slot(0).timestamp(), slot(9).timestamp());
        let records = all(&stub.api(), &feed, Some(from), Some(to)).await.unwrap();
        let slots: Vec<_> = records.iter().map(Record::slot).collect();
        assert_eq!(slots, [slot(0), slot(1), slot(2)]);
        let path = "/v1/feeds/demo/readings?limit=1000";
        let to = "to=2026-11-21T11%3A00%3A18Z";
        assert_eq!(
            stub.asked(),
            [
                format!("{path}&from=2026-11-21T11%3A00%3A00Z&{to}"),
                format!("{path}&from=2026-11-21T11%3A00%3A04Z&{to}"),
            ]
        );
    }

    #[tokio::test]
    async fn a_page_that_leads_back_is_refused() {
        for next in [slot(0), slot(1)] {
            let page = json!({"readings": [published(0, 5), missed(1)], "next": next});
            let stub = Stub::answering(vec![(200, page)]);
            let feed = "demo".parse().unwrap();
            let error = all(&stub.api(), &feed, None, None).await.unwrap_err();
            assert!(error.to_string().contains("not after the page"), "{error}");
            assert_eq!(stub.asked(), ["/v1/feeds/demo/readings?limit=1000"]);
        }
    }
}
