//! `offchain ledger forget`

use std::process::ExitCode;

use aws_config::SdkConfig;
use clap::Args;
use futures_util::{StreamExt, TryStreamExt, stream};
use offchain_store::ledger::Deliveries;
use serde_json::json;

use crate::aws;
use crate::dlq::count;
use crate::error::CliError;
use crate::ledger::settings::Settings;
use crate::output::Output;
use crate::stack::Stack;

/// How many deliveries are removed at once.
const AT_ONCE: usize = 16;

#[derive(Args)]
#[command(
    after_help = "Webhooks that waited for a retry when their subscriber was taken out of the \
                  configuration stay in the table, and are delivered should it come back. This \
                  drops them; the transactions themselves are on the chain.\n\nExample:\n  \
                  offchain ledger forget fleet --yes"
)]
pub(crate) struct Forget {
    /// Whom `offchain ledger status` names as no subscriber.
    subscriber: String,
    /// It is understood what that means.
    #[arg(long)]
    yes: bool,
}

impl Forget {
    pub(crate) async fn run(self, stack: &Stack, output: &Output) -> Result<ExitCode, CliError> {
        let settings = Settings::of_stack(stack.ledger()?)?;
        self.forget(&settings, &aws::config(stack).await, output)
            .await?;
        Ok(ExitCode::SUCCESS)
    }

    async fn forget(
        &self,
        settings: &Settings,
        config: &SdkConfig,
        output: &Output,
    ) -> Result<(), CliError> {
        let name = &self.subscriber;
        if settings.subscribers.0.iter().any(|one| one.name == *name) {
            return Err(CliError::Input(format!(
                "{name} is a subscriber: take it out of the Terraform variable `ledger` first"
            )));
        }
        let deliveries = settings.feed(config).deliveries;
        let waiting = deliveries.waiting(name).await?;
        let what = count(waiting.len(), "webhook");
        if !self.yes && !waiting.is_empty() {
            return Err(CliError::Input(format!(
                "{what} to {name} would be dropped: --yes does it"
            )));
        }
        let positions = waiting.into_iter().map(|one| one.position).collect();
        let forgotten = remove(&deliveries, name, positions).await?;
        let said = json!({"subscriber": name, "forgotten": forgotten});
        output.show(&said, |output| output.line(format!("{what} dropped")))
    }
}

async fn remove(
    deliveries: &Deliveries,
    subscriber: &str,
    positions: Vec<String>,
) -> Result<usize, CliError> {
    let removals = stream::iter(positions)
        .map(|position| async move { deliveries.remove(subscriber, &position).await });
    let removed: Vec<()> = removals.buffer_unordered(AT_ONCE).try_collect().await?;
    Ok(removed.len())
}

#[cfg(test)]
mod tests {
    use offchain_store::test_util::{FakeAws, done, items};
    use serde_json::Value;

    use super::*;
    use crate::ledger::tests::{id, stack};

    fn delivery(height: u64) -> Value {
        json!({
            "subscriber": "gone",
            "position": format!("{height:020}"),
            "event": {"height": height, "asset_id": id('a'), "transaction_id": id('b')},
            "attempts": 1,
            "next_attempt": "2026-11-21T11:05:00.000Z",
        })
    }

    async fn forget(aws: &FakeAws, subscriber: &str, yes: bool) -> Result<(), CliError> {
        let settings = Settings::of_stack(stack().ledger().unwrap()).unwrap();
        let subscriber = subscriber.to_owned();
        let forget = Forget { subscriber, yes };
        forget
            .forget(&settings, &aws.sdk_config(), &Output::new(true))
            .await
    }

    #[tokio::test]
    async fn what_waits_for_one_who_is_gone_is_dropped() {
        let waiting: Vec<_> = (1..=40).map(delivery).collect();
        let aws = FakeAws::new()
            .on("Query", items(&waiting))
            .always("DeleteItem", done());
        forget(&aws, "gone", true).await.unwrap();
        let mut removed: Vec<_> = aws
            .sent("DeleteItem")
            .into_iter()
            .map(|request| request["Key"].clone())
            .collect();
        removed.sort_by_key(Value::to_string);
        let keys = waiting
            .iter()
            .map(|one| json!({"subscriber": "gone", "position": one["position"]}));
        assert_eq!(removed, keys.collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn nothing_is_dropped_without_a_yes() {
        let aws = FakeAws::new().on("Query", items(&[delivery(7), delivery(8)]));
        let error = forget(&aws, "gone", false).await.unwrap_err();
        assert!(error.to_string().contains("2 webhooks to gone"), "{error}");
        assert!(error.to_string().contains("--yes"), "{error}");
        assert_eq!(error.exit_code(), ExitCode::from(2));
    }

    #[tokio::test]
    async fn who_is_a_subscriber_is_not_forgotten() {
        let error = forget(&FakeAws::new(), "fleet", true).await.unwrap_err();
        assert!(
            error.to_string().contains("fleet is a subscriber"),
            "{error}"
        );
        assert_eq!(error.exit_code(), ExitCode::from(2));
    }

    #[tokio::test]
    async fn where_nothing_waits_nothing_need_be_understood() {
        let aws = FakeAws::new().on("Query", items(&[]));
        forget(&aws, "never-there", false).await.unwrap();
    }
}
