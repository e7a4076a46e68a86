//! Transactions of DynamoDB.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{AttributeValue, TransactWriteItem};

use crate::{AwsError, StoreError};

/// Which conditions of a transaction did not hold, by position, each with the
/// item that it was held against.
pub(crate) type Failed = Vec<Option<HashMap<String, AttributeValue>>>;

/// How often a transaction that met another one is made.
const TRIES: u32 = 12;

/// Makes a transaction. Where it meets another, it is made again: DynamoDB
/// does not queue them, and some items are everybody's.
pub(crate) async fn transact(
    client: &Client,
    items: Vec<TransactWriteItem>,
) -> Result<Option<Failed>, StoreError> {
    let token = hex::encode(rand::random::<[u8; 16]>());
    let mut tries = 0;
    loop {
        tries += 1;
        let outcome = client
            .transact_write_items()
            .set_transact_items(Some(items.clone()))
            // The SDK's own tries are then one and the same transaction.
            .client_request_token(format!("{token}-{tries}"))
            .send()
            .await;
        let Err(error) = outcome else { return Ok(None) };
        let Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) =
            error.as_service_error()
        else {
            return Err(error.into());
        };
        let reasons = cancelled.cancellation_reasons();
        let failed: Failed = reasons
            .iter()
            .map(|reason| {
                (reason.code() == Some("ConditionalCheckFailed"))
                    .then(|| reason.item().cloned().unwrap_or_default())
            })
            .collect();
        if failed.iter().any(Option::is_some) {
            return Ok(Some(failed));
        }
        let later = reasons.iter().all(|reason| {
            matches!(
                reason.code(),
                None | Some(
                    "None"
                        | "TransactionConflict"
                        | "ThrottlingError"
                        | "ProvisionedThroughputExceeded"
                )
            )
        });
        if !later || tries == TRIES {
            let cause = format!("the transaction was cancelled: {reasons:?}");
            return Err(StoreError::Aws(if later {
                AwsError::Unavailable(cause.into())
            } else {
                AwsError::Rejected(cause.into())
            }));
        }
        let most = 20_u64 << tries.min(6);
        tokio::time::sleep(Duration::from_millis(rand::random_range(5..most))).await;
    }
}

#[cfg(test)]
mod tests;
