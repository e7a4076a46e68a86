//! The tables of the ledger bridge: events, the assets and drivers that follow
//! from them, the listener's cursor, and the deliveries that wait for a retry.

mod assets;
mod cursor;
mod deliveries;
mod events;
#[cfg(test)]
mod tests;

pub use assets::{AssetItem, Assets, Driver, Premium, Recorded};
pub use cursor::{Cursor, Feed, Mark};
pub use deliveries::{Deliveries, Delivery};
pub use events::{EventItem, EventStatus, Events, Stored};

use aws_sdk_dynamodb::Client;
use serde::de::DeserializeOwned;
use serde_dynamo::from_items;

use crate::StoreError;

/// Reads a table from its start until it has `limit` items: those, and whether
/// there are more.
async fn scan<T: DeserializeOwned>(
    client: &Client,
    table: &str,
    limit: usize,
) -> Result<(Vec<T>, bool), StoreError> {
    let mut found = Vec::new();
    let mut start = None;
    loop {
        let page = client
            .scan()
            .table_name(table)
            .set_exclusive_start_key(start)
            .send()
            .await?;
        let items = page.items.unwrap_or_default();
        found.extend(from_items::<_, T>(items).map_err(StoreError::Item)?);
        start = page.last_evaluated_key;
        if start.is_none() || found.len() >= limit {
            return Ok((found, start.is_some()));
        }
    }
}
