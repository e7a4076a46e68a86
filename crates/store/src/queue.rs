//! An SQS queue that takes JSON messages.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{Message, MessageAttributeValue, MessageSystemAttributeName};
use jiff::Timestamp;
use offchain_codes::{Coded, chain};
use offchain_redrive::{DeadLetter, Destination};
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

    /// Ends one delivery of a message that this dead-letter queue belongs to.
    /// What can never be used is buried here, and so is what fails on its last
    /// delivery; what may be used later fails, and SQS delivers it again.
    pub async fn settle<E: Coded + From<StoreError>>(
        &self,
        body: &str,
        receives: u32,
        max_receives: u32,
        outcome: Result<(), E>,
    ) -> Result<(), E> {
        let Err(error) = outcome else { return Ok(()) };
        if error.retryable() && receives < max_receives {
            return Err(error);
        }
        self.bury(body, error.code(), &chain(&error)).await?;
        Ok(())
    }

    /// Has a message that was received, and not used, delivered again after so
    /// many seconds, rather than once its visibility timeout is over.
    pub async fn deliver_again_in(
        &self,
        receipt_handle: &str,
        seconds: u32,
    ) -> Result<(), StoreError> {
        self.client
            .change_message_visibility()
            .queue_url(&self.url)
            .receipt_handle(receipt_handle)
            .visibility_timeout(seconds.cast_signed())
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

/// When a message was sent, where SQS was asked to tell.
#[must_use]
pub fn sent(message: &Message) -> Option<Timestamp> {
    let sent = system(message, &MessageSystemAttributeName::SentTimestamp)?;
    Timestamp::from_millisecond(sent.parse().ok()?).ok()
}

/// A message's attributes, as far as they are text.
#[must_use]
pub fn attributes(message: &Message) -> BTreeMap<String, String> {
    let attributes = message.message_attributes.iter().flatten();
    attributes
        .filter_map(|(name, value)| Some((name.clone(), value.string_value.clone()?)))
        .collect()
}

/// What a message of a dead-letter queue means, whose letters go to `default`
/// where they name no destination themselves.
#[must_use]
pub fn dead_letter(message: &Message, default: Option<&Destination>) -> DeadLetter {
    let receives = system(
        message,
        &MessageSystemAttributeName::ApproximateReceiveCount,
    )
    .and_then(|count| count.parse().ok())
    .unwrap_or(0);
    let message = offchain_redrive::Message {
        id: message.message_id.as_deref().unwrap_or_default(),
        body: message.body.as_deref().unwrap_or_default(),
        attributes: &attributes(message),
        sent: sent(message),
        receives,
    };
    DeadLetter::of(&message, default)
}

fn system<'a>(message: &'a Message, name: &MessageSystemAttributeName) -> Option<&'a String> {
    message.attributes.as_ref()?.get(name)
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
        .map_err(StoreError::unbuilt)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::test_util::{FakeAws, Reply, done};

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

    #[derive(Debug, thiserror::Error)]
    enum Trouble {
        #[error("the message is not usable")]
        Never(#[source] std::fmt::Error),
        #[error("the machine is not available")]
        Later,
        #[error(transparent)]
        Store(#[from] StoreError),
    }

    impl Coded for Trouble {
        fn code(&self) -> &'static str {
            match self {
                Self::Never(_) => "MessageInvalid",
                Self::Later => "StartFailed",
                Self::Store(error) => error.code(),
            }
        }

        fn retryable(&self) -> bool {
            match self {
                Self::Never(_) => false,
                Self::Later => true,
                Self::Store(error) => error.retryable(),
            }
        }
    }

    async fn settled(
        aws: &FakeAws,
        receives: u32,
        outcome: Result<(), Trouble>,
    ) -> Result<(), &'static str> {
        let url = "https://sqs.test/dlq".into();
        Queue::new(Client::new(&aws.sdk_config()), url)
            .settle("{not json", receives, 5, outcome)
            .await
            .map_err(|error| error.code())
    }

    #[tokio::test]
    async fn a_delivery_ends_well_or_later_or_in_the_dead_letter_queue() {
        let never = || Err(Trouble::Never(std::fmt::Error));
        let later = || Err(Trouble::Later);
        for (receives, outcome, ends, buried) in [
            (9, Ok(()), Ok(()), None),
            (1, later(), Err("StartFailed"), None),
            (4, later(), Err("StartFailed"), None),
            (5, later(), Ok(()), Some(("StartFailed", "not available"))),
            (6, later(), Ok(()), Some(("StartFailed", "not available"))),
            (
                1,
                never(),
                Ok(()),
                Some(("MessageInvalid", "not usable: an error")),
            ),
        ] {
            let aws = FakeAws::new().always("SendMessage", done());
            assert_eq!(settled(&aws, receives, outcome).await, ends, "{receives}");
            let Some((code, reason)) = buried else {
                assert!(aws.calls().is_empty(), "{receives}");
                continue;
            };
            let sent = aws.sent_once("SendMessage");
            assert_eq!(sent["QueueUrl"], "https://sqs.test/dlq");
            assert_eq!(sent["MessageBody"], "{not json");
            let attributes = &sent["MessageAttributes"];
            assert_eq!(attributes["ErrorCode"], attribute(code));
            let said = attributes["ErrorMessage"]["StringValue"].as_str().unwrap();
            assert!(said.contains(reason), "{said}");
        }
    }

    #[tokio::test]
    async fn what_cannot_be_buried_fails_and_is_delivered_again() {
        let aws = FakeAws::new().always("SendMessage", Reply::NoConnection);
        let never = Err(Trouble::Never(std::fmt::Error));
        assert_eq!(settled(&aws, 9, never).await, Err("StoreUnavailable"));
    }
}
