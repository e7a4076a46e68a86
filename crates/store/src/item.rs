//! Items and their attributes.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use serde::de::DeserializeOwned;
use serde_dynamo::from_item;

use crate::StoreError;

/// A string attribute.
pub(crate) fn text(value: impl ToString) -> AttributeValue {
    AttributeValue::S(value.to_string())
}

/// A number attribute.
pub(crate) fn number(value: impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

/// The item with this key as it is now, if it is there.
pub(crate) async fn get<T: DeserializeOwned, const N: usize>(
    client: &Client,
    table: &str,
    key: [(&str, AttributeValue); N],
) -> Result<Option<T>, StoreError> {
    let key = key.map(|(name, value)| (name.to_owned(), value));
    let reply = client
        .get_item()
        .table_name(table)
        .set_key(Some(key.into()))
        .consistent_read(true)
        .send()
        .await?;
    reply
        .item
        .map(from_item)
        .transpose()
        .map_err(StoreError::Item)
}
