//! The table of feeds. Terraform writes it; everything else reads it whole.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use offchain_codes::Coded;
use offchain_oracle::{Feed, FeedError, FeedId};

use crate::StoreError;

/// A feed whose definition cannot be used. The others are not affected.
#[derive(Debug, thiserror::Error)]
#[error("the definition of the feed {id} is unusable")]
pub struct InvalidFeed {
    /// The feed.
    pub id: FeedId,
    /// Why.
    #[source]
    pub reason: FeedError,
}

impl Coded for InvalidFeed {
    fn code(&self) -> &'static str {
        "FeedInvalid"
    }

    fn retryable(&self) -> bool {
        false
    }
}

/// The table.
#[derive(Clone, Debug)]
pub struct Feeds {
    client: Client,
    table: String,
}

impl Feeds {
    /// The table named `table`.
    #[must_use]
    pub fn new(client: Client, table: String) -> Self {
        Self { client, table }
    }

    /// Every feed by its name, usable or not. What no feed could be named is
    /// left out.
    pub async fn all(&self) -> Result<BTreeMap<FeedId, Result<Feed, InvalidFeed>>, StoreError> {
        let mut feeds = BTreeMap::new();
        let mut start = None;
        loop {
            let page = self
                .client
                .scan()
                .table_name(&self.table)
                .set_exclusive_start_key(start)
                .send()
                .await?;
            for item in page.items.unwrap_or_default() {
                // An item that somebody spoilt is no other feed's trouble.
                let Ok(id) = text(&item, "feed").parse::<FeedId>() else {
                    tracing::warn!(
                        feed = text(&item, "feed"),
                        "an item of the table of feeds is left out: no feed can have its name"
                    );
                    continue;
                };
                let definition = text(&item, "definition");
                let parsed = Feed::parse(id.as_str(), definition).map_err(|reason| InvalidFeed {
                    id: id.clone(),
                    reason,
                });
                feeds.insert(id, parsed);
            }
            start = page.last_evaluated_key;
            if start.is_none() {
                return Ok(feeds);
            }
        }
    }
}

/// An attribute's text; none where it has another type, which is no definition
/// either.
fn text<'item>(item: &'item HashMap<String, AttributeValue>, attribute: &str) -> &'item str {
    let value = item.get(attribute).and_then(|value| value.as_s().ok());
    value.map_or("", String::as_str)
}
