//! A dead-letter queue, as this function takes from it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, Message, MessageSystemAttributeName,
};
use offchain_redrive::{DeadLetter, Destination};
use offchain_store::AwsError;
use offchain_store::queue::{attributes, dead_letter};

/// The most messages that one look reads.
const MOST: usize = 2000;
/// How long one look may take; what it has not read by then it leaves.
const LOOK_LIMIT: Duration = Duration::from_secs(30);
/// As many messages as SQS hands out, and takes back, in one call.
const BATCH: usize = 10;

/// A message that is hidden from others while it is worked on.
pub(crate) struct Held {
    receipt: String,
    pub(crate) body: String,
    pub(crate) attributes: BTreeMap<String, String>,
    pub(crate) letter: DeadLetter,
}

/// What was read of a queue.
pub(crate) struct Taken {
    pub(crate) held: Vec<Held>,
    /// Whether the queue had no more.
    pub(crate) complete: bool,
}

/// One dead-letter queue.
pub(crate) struct DeadLetterQueue<'a> {
    client: &'a Client,
    url: String,
    default: Option<&'a Destination>,
    hold_seconds: i32,
}

impl<'a> DeadLetterQueue<'a> {
    /// The queue named `name`, whose letters go to `default` where they name
    /// no destination themselves.
    pub(crate) async fn open(
        client: &'a Client,
        name: &str,
        default: Option<&'a Destination>,
        hold_seconds: i32,
    ) -> Result<Self, AwsError> {
        Ok(Self {
            client,
            url: url(client, name, None).await?,
            default,
            hold_seconds,
        })
    }

    /// Takes up to ten messages that nobody else holds.
    pub(crate) async fn next(&self) -> Result<Vec<Held>, AwsError> {
        let reply = self
            .client
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(BATCH as i32)
            .visibility_timeout(self.hold_seconds)
            // Without a wait SQS asks a few of its servers only, and says that
            // a queue is empty which is not.
            .wait_time_seconds(1)
            .message_attribute_names("All")
            .message_system_attribute_names(MessageSystemAttributeName::All)
            .send()
            .await?;
        let messages = reply.messages.unwrap_or_default();
        Ok(messages
            .into_iter()
            .map(|message| Held::new(message, self.default))
            .collect())
    }

    /// Takes all that can be read in one look.
    pub(crate) async fn all(&self) -> Result<Taken, AwsError> {
        let start = Instant::now();
        let mut held = Vec::new();
        while held.len() < MOST && start.elapsed() < LOOK_LIMIT {
            let messages = self.next().await?;
            if messages.is_empty() {
                return Ok(Taken {
                    held,
                    complete: true,
                });
            }
            held.extend(messages);
        }
        Ok(Taken {
            held,
            complete: false,
        })
    }

    /// Shows messages to others again. Where that fails, they show themselves
    /// when their time is over.
    pub(crate) async fn release(&self, held: &[Held]) {
        for held in held.chunks(BATCH) {
            let entries = held.iter().enumerate().map(|(index, held)| {
                ChangeMessageVisibilityBatchRequestEntry::builder()
                    .id(index.to_string())
                    .receipt_handle(&held.receipt)
                    .visibility_timeout(0)
                    .build()
            });
            // Each of these has its id and its receipt, so each can be built.
            let entries = entries.filter_map(Result::ok).collect();
            let outcome = self
                .client
                .change_message_visibility_batch()
                .queue_url(&self.url)
                .set_entries(Some(entries))
                .send()
                .await;
            if let Err(error) = outcome {
                let error = offchain_codes::chain(&AwsError::from(error));
                tracing::warn!(error, "messages stay hidden until their time is over");
            }
        }
    }

    /// Deletes a message.
    pub(crate) async fn delete(&self, held: &Held) -> Result<(), AwsError> {
        self.client
            .delete_message()
            .queue_url(&self.url)
            .receipt_handle(&held.receipt)
            .send()
            .await?;
        Ok(())
    }
}

impl Held {
    fn new(message: Message, default: Option<&Destination>) -> Self {
        Self {
            attributes: attributes(&message),
            letter: dead_letter(&message, default),
            receipt: message.receipt_handle.unwrap_or_default(),
            body: message.body.unwrap_or_default(),
        }
    }
}

/// The URL of a queue; of this account, where no other is given.
pub(crate) async fn url(
    client: &Client,
    name: &str,
    account: Option<&str>,
) -> Result<String, AwsError> {
    let reply = client
        .get_queue_url()
        .queue_name(name)
        .set_queue_owner_aws_account_id(account.map(str::to_owned))
        .send()
        .await?;
    Ok(reply.queue_url.unwrap_or_default())
}
