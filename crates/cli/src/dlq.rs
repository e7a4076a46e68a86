//! `offchain dlq`: what failed, why, and the message itself.

use std::process::ExitCode;

use aws_config::SdkConfig;
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName};
use clap::Subcommand;
use jiff::Timestamp;
use offchain_store::AwsError;
use offchain_store::queue::{ERROR_CODE, ERROR_MESSAGE};
use serde::Serialize;
use serde_json::Value;

use crate::aws;
use crate::error::CliError;
use crate::output::Output;
use crate::stack::Stack;
use crate::status::{print_queues, queues};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// The dead-letter queues and how much is in them.
    List,
    /// What a dead-letter queue holds. The messages stay in it.
    Show {
        /// The queue's name, as `offchain dlq list` prints it.
        queue: String,
        /// How many messages to show at most.
        #[arg(long, default_value_t = 10)]
        limit: usize,
    },
}

/// One message, with why it is here.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Dead {
    message_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    sent: Option<Timestamp>,
    code: String,
    reason: String,
    body: Value,
}

impl Command {
    pub(crate) async fn run(self, stack: &Stack, output: &Output) -> Result<ExitCode, CliError> {
        let config = aws::config(stack).await;
        match self {
            Self::List => {
                let mut queues = queues(stack, &config).await?;
                queues.retain(|queue| queue.dead_letter);
                output.show(&queues, |output| print_queues(&queues, output))?;
            }
            Self::Show { queue, limit } => {
                let dead = peek(stack, &config, &queue, limit).await?;
                output.show(&dead, |output| print(&dead, output))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Reads messages and hides them from nobody.
async fn peek(
    stack: &Stack,
    config: &SdkConfig,
    name: &str,
    limit: usize,
) -> Result<Vec<Dead>, CliError> {
    let queue = stack
        .queues
        .get(name)
        .filter(|queue| queue.dead_letter)
        .ok_or_else(|| {
            let known: Vec<_> = stack
                .queues
                .iter()
                .filter(|(_, queue)| queue.dead_letter)
                .map(|(name, _)| name.as_str())
                .collect();
            CliError::Input(format!("expected one of {}", known.join(", ")))
        })?;
    let client = aws_sdk_sqs::Client::new(config);
    // With a visibility timeout of 0 the queue would hand out the same messages
    // again at once, so each is hidden while the others are read, then shown again.
    let mut messages: Vec<Message> = Vec::new();
    while messages.len() < limit {
        let wanted = (limit - messages.len()).min(10);
        let reply = client
            .receive_message()
            .queue_url(&queue.url)
            .max_number_of_messages(i32::try_from(wanted).unwrap_or(10))
            .visibility_timeout(30)
            .message_attribute_names("All")
            .message_system_attribute_names(MessageSystemAttributeName::All)
            .send()
            .await
            .map_err(AwsError::from)?;
        let batch = reply.messages.unwrap_or_default();
        if batch.is_empty() {
            break;
        }
        messages.extend(batch);
    }
    for message in &messages {
        client
            .change_message_visibility()
            .queue_url(&queue.url)
            .set_receipt_handle(message.receipt_handle.clone())
            .visibility_timeout(0)
            .send()
            .await
            .map_err(AwsError::from)?;
    }
    Ok(messages.iter().map(Dead::of).collect())
}

impl Dead {
    fn of(message: &Message) -> Self {
        let text = message.body.as_deref().unwrap_or_default();
        let body = serde_json::from_str(text).unwrap_or_else(|_| Value::from(text));
        let attribute = |name: &str| {
            let attribute = message.message_attributes.as_ref()?.get(name)?;
            attribute.string_value.clone()
        };
        let inside = |part: &str, name: &str| Some(body.get(part)?.get(name)?.as_str()?.to_owned());
        // An execution that failed says why in EventBridge's event.
        let detail = |name: &str| inside("detail", name);
        // An asynchronous invocation that failed may come as the record of it.
        let reply = |name: &str| inside("responsePayload", name);
        let sent = message
            .attributes
            .as_ref()
            .and_then(|attributes| attributes.get(&MessageSystemAttributeName::SentTimestamp))
            .and_then(|sent| sent.parse().ok())
            .and_then(|sent| Timestamp::from_millisecond(sent).ok());
        Self {
            message_id: message.message_id.clone().unwrap_or_default(),
            sent,
            // Lambda writes the first name of each pair, the suite's functions
            // the second.
            code: attribute(ERROR_CODE)
                .or_else(|| detail("error"))
                .or_else(|| detail("status"))
                .or_else(|| reply("errorType"))
                .or_else(|| attribute("ERROR_CODE"))
                .unwrap_or_else(|| "unknown".to_owned()),
            reason: attribute(ERROR_MESSAGE)
                .or_else(|| detail("cause"))
                .or_else(|| reply("errorMessage"))
                .or_else(|| attribute("ERROR_MESSAGE"))
                .unwrap_or_else(|| "delivered too often without success".to_owned()),
            body,
        }
    }
}

fn print(dead: &[Dead], output: &Output) {
    if dead.is_empty() {
        output.line("empty");
    }
    for message in dead {
        let sent = message
            .sent
            .map_or_else(|| "unknown".to_owned(), |sent| format!("{sent:.0}"));
        output.title(format!("{}  {sent}", message.message_id));
        output.line(format!("  code    {}", message.code));
        output.line(format!("  reason  {}", message.reason));
        output.line(format!("  body    {}", message.body));
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_sqs::types::MessageAttributeValue;

    use super::*;

    fn message(body: &str, attributes: &[(&str, &str)]) -> Message {
        let mut message = Message::builder().message_id("m").body(body);
        for (name, value) in attributes {
            let value = MessageAttributeValue::builder()
                .data_type("String")
                .string_value(*value)
                .build()
                .unwrap();
            message = message.message_attributes(*name, value);
        }
        message.build()
    }

    #[test]
    fn every_kind_of_dead_letter_says_why() {
        let event = r#"{"detail":{"error":"RequestExpired","cause":"SimulatedFailure"}}"#;
        let record = r#"{"responsePayload":{"errorType":"InputInvalid","errorMessage":"expected a schedule"}}"#;
        for (message, code, reason) in [
            (
                message(
                    "{",
                    &[(ERROR_CODE, "MessageInvalid"), (ERROR_MESSAGE, "EOF")],
                ),
                "MessageInvalid",
                "EOF",
            ),
            (message(event, &[]), "RequestExpired", "SimulatedFailure"),
            (message(record, &[]), "InputInvalid", "expected a schedule"),
            (
                message("{}", &[("ERROR_CODE", "200"), ("ERROR_MESSAGE", "boom")]),
                "200",
                "boom",
            ),
            (
                message("{}", &[]),
                "unknown",
                "delivered too often without success",
            ),
        ] {
            let dead = Dead::of(&message);
            assert_eq!((dead.code.as_str(), dead.reason.as_str()), (code, reason));
        }
    }
}
