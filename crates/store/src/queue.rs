//! An SQS queue that takes JSON messages.

use std::collections::HashMap;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::MessageAttributeValue;
use serde::Serialize;

use crate::StoreError;

/// The attribute that holds why a message is in a dead-letter queue.
pub const ERROR_CODE: &str = "ErrorCode";
/// The attribute that holds the error's text.
pub const ERROR_MESSAGE: &str = "ErrorMessage";

/// The longest delay of a message, as the AWS page "Amazon SQS message quotas" gives it.
pub const MAX_DELAY_SECONDS: u32 = 900;

/// One queue.
#[derive(Clone, Debug)]
pub struct Queue {
    client: Client,
    url: String,
}

impl Queue {
    /// The queue at `url`.
    #[must_use]
    pub fn new(client: Client, url: String) -> Self {
        Self { client, url }
    }

    /// Sends a message that becomes visible after `delay_seconds`.
    pub async fn send(
        &self,
        message: &impl Serialize,
        delay_seconds: u32,
    ) -> Result<(), StoreError> {
        let body = serde_json::to_string(message).map_err(StoreError::Message)?;
        self.client
            .send_message()
            .queue_url(&self.url)
            .message_body(body)
            .delay_seconds(delay_seconds.min(MAX_DELAY_SECONDS).cast_signed())
            .send()
            .await?;
        Ok(())
    }

    /// Sends what could not be used, unchanged, with the reason beside it.
    pub async fn bury(&self, body: &str, code: &str, reason: &str) -> Result<(), StoreError> {
        let attributes = HashMap::from([
            (ERROR_CODE.to_owned(), text(code)?),
            (ERROR_MESSAGE.to_owned(), text(reason)?),
        ]);
        self.client
            .send_message()
            .queue_url(&self.url)
            // SQS refuses an empty body, and nothing may be lost.
            .message_body(if body.is_empty() { "\"\"" } else { body })
            .set_message_attributes(Some(attributes))
            .send()
            .await?;
        Ok(())
    }
}

fn text(value: &str) -> Result<MessageAttributeValue, StoreError> {
    // Characters that SQS allows in no message, and an empty value, which it
    // does not allow in an attribute, are replaced.
    let printable: String = value
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(1000)
        .collect();
    let printable = if printable.is_empty() {
        "unknown".to_owned()
    } else {
        printable
    };
    MessageAttributeValue::builder()
        .data_type("String")
        .string_value(printable)
        .build()
        .map_err(|error| StoreError::Aws(crate::AwsError::Rejected(Box::new(error))))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::test_util::{FakeAws, done};

    async fn buried(body: &str, code: &str, reason: &str) -> Value {
        let aws = FakeAws::new().on("SendMessage", done());
        Queue::new(
            Client::new(&aws.sdk_config()),
            "https://sqs.test/dlq".into(),
        )
        .bury(body, code, reason)
        .await
        .unwrap();
        aws.sent_once("SendMessage")
    }

    fn attribute(text: &str) -> Value {
        json!({ "DataType": "String", "StringValue": text })
    }

    #[tokio::test]
    async fn a_buried_message_keeps_its_body_and_tells_why() {
        let reason = "expected an object,\nline 1";
        assert_eq!(
            buried("{not json", "MessageInvalid", reason).await,
            json!({
                "QueueUrl": "https://sqs.test/dlq",
                "MessageBody": "{not json",
                "MessageAttributes": {
                    "ErrorCode": attribute("MessageInvalid"),
                    "ErrorMessage": attribute("expected an object, line 1"),
                },
            })
        );
    }

    #[tokio::test]
    async fn what_sqs_would_refuse_is_made_acceptable_and_nothing_is_lost() {
        let message = buried("", "MessageInvalid", "").await;
        assert_eq!(message["MessageBody"], "\"\"");
        assert_eq!(
            message["MessageAttributes"]["ErrorMessage"],
            attribute("unknown")
        );
        let message = buried("x", "MessageInvalid", &"é".repeat(2000)).await;
        assert_eq!(
            message["MessageAttributes"]["ErrorMessage"],
            attribute(&"é".repeat(1000))
        );
    }

    #[tokio::test]
    async fn a_delay_never_exceeds_what_sqs_takes() {
        for (asked, sent) in [(0, 0), (900, 900), (901, 900), (u32::MAX, 900)] {
            let aws = FakeAws::new().on("SendMessage", done());
            Queue::new(Client::new(&aws.sdk_config()), "https://sqs.test/q".into())
                .send(&"hello", asked)
                .await
                .unwrap();
            assert_eq!(aws.sent_once("SendMessage")["DelaySeconds"], sent);
        }
    }
}
