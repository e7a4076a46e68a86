//! Partial batch responses: each record succeeds or fails on its own.

use std::future::Future;

use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use futures_util::future::join_all;
use offchain_codes::{Coded, chain};

/// Handles every record of a batch at the same time and names those that
/// failed, so that SQS delivers exactly them again.
///
/// A record without a message id cannot be named, and naming nothing would
/// acknowledge it: the whole batch is then failed by an empty identifier, as
/// the AWS page "Handling errors for an SQS event source in Lambda" describes.
pub async fn each_record<'a, F, Fut, E>(event: &'a SqsEvent, handle: F) -> SqsBatchResponse
where
    F: Fn(&'a SqsMessage) -> Fut,
    Fut: Future<Output = Result<(), E>>,
    E: Coded,
{
    let outcomes = join_all(event.records.iter().map(|record| {
        let outcome = handle(record);
        async move { (record, outcome.await) }
    }))
    .await;
    let mut response = SqsBatchResponse::default();
    for (record, outcome) in outcomes {
        let Err(error) = outcome else { continue };
        let message_id = record.message_id.clone().unwrap_or_default();
        tracing::error!(
            code = error.code(),
            message_id,
            error = chain(&error),
            "the record failed and will be delivered again"
        );
        let mut failure = BatchItemFailure::default();
        failure.item_identifier = message_id;
        response.batch_item_failures.push(failure);
    }
    response
}

/// How often a message was delivered, this delivery included.
#[must_use]
pub fn receives(record: &SqsMessage) -> u32 {
    record
        .attributes
        .get("ApproximateReceiveCount")
        .and_then(|count| count.parse().ok())
        .unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("no good")]
    struct NoGood;

    impl Coded for NoGood {
        fn code(&self) -> &'static str {
            "NoGood"
        }
        fn retryable(&self) -> bool {
            true
        }
    }

    fn record(id: Option<&str>, body: &str) -> SqsMessage {
        let mut message = SqsMessage::default();
        message.message_id = id.map(str::to_owned);
        message.body = Some(body.to_owned());
        message
    }

    async fn failures(records: Vec<SqsMessage>) -> Vec<String> {
        let mut event = SqsEvent::default();
        event.records = records;
        each_record(&event, |record| async move {
            if record.body.as_deref() == Some("bad") {
                Err(NoGood)
            } else {
                Ok(())
            }
        })
        .await
        .batch_item_failures
        .into_iter()
        .map(|failure| failure.item_identifier)
        .collect()
    }

    #[tokio::test]
    async fn only_the_failed_records_are_named() {
        let records = vec![
            record(Some("1"), "good"),
            record(Some("2"), "bad"),
            record(Some("3"), "good"),
        ];
        assert_eq!(failures(records).await, ["2"]);
    }

    #[tokio::test]
    async fn a_failed_record_without_an_id_fails_the_batch() {
        assert_eq!(failures(vec![record(None, "bad")]).await, [""]);
    }
}
