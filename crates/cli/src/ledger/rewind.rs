//! `offchain ledger rewind`

use std::process::ExitCode;

use aws_config::SdkConfig;
use clap::Args;
use offchain_store::ledger::Cursor;
use serde_json::json;

use crate::aws;
use crate::error::CliError;
use crate::ledger::settings::Settings;
use crate::output::Output;
use crate::stack::Stack;

#[derive(Args)]
#[command(
    after_help = "Everything after the height is delivered again. Who was told of it before is told \
                  by the same webhook-id.\n\nExamples:\n  offchain ledger rewind 0 --yes      \
                  everything once more\n  offchain ledger rewind 1200 --yes   go on at height 1201"
)]
pub(crate) struct Rewind {
    /// Go on after this height; 0 is before the first.
    #[arg(value_parser = clap::value_parser!(u64).range(0..=i64::MAX as u64))]
    height: u64,
    /// It is understood what that means.
    #[arg(long)]
    yes: bool,
}

impl Rewind {
    pub(crate) async fn run(self, stack: &Stack, output: &Output) -> Result<ExitCode, CliError> {
        let settings = Settings::of_stack(stack.ledger()?)?;
        self.set(&settings, &aws::config(stack).await, output)
            .await?;
        Ok(ExitCode::SUCCESS)
    }

    async fn set(
        &self,
        settings: &Settings,
        config: &SdkConfig,
        output: &Output,
    ) -> Result<(), CliError> {
        let feed = settings.feed(config);
        let before = feed.look().await?.and_then(|(_, cursor)| cursor);
        let before = before.map(|cursor| cursor.height);
        let height = self.height;
        if !self.yes {
            return Err(CliError::Input(self.warning(before)));
        }
        feed.rewind(&Cursor { height, mark: None }).await?;
        let said = json!({"height": height, "before": before});
        output.show(&said, |output| {
            output.line(match before {
                Some(before) => format!("the cursor is at height {height}; it was at {before}"),
                None => format!("the cursor is at height {height}; there was none"),
            });
            output
                .note("Whoever listened has lost the lease; the next listener goes on from here.");
        })
    }

    /// What it would do.
    fn warning(&self, before: Option<u64>) -> String {
        let height = self.height;
        let effect = match before {
            Some(before) if before > height => format!(
                "everything after height {height} would be delivered again, {} heights so far",
                before - height
            ),
            Some(before) if before < height => format!(
                "the {} heights after {before} would never be delivered",
                height - before
            ),
            Some(_) => "the cursor is at that height already, and whatever block is there would \
                        be taken for the right one"
                .to_owned(),
            None => format!("nobody listened yet, and whoever does would begin after {height}"),
        };
        format!("{effect}; whoever listens loses the lease: --yes does it")
    }
}

#[cfg(test)]
mod tests {
    use offchain_store::test_util::{FakeAws, answer, done, item};
    use serde_json::Value;

    use super::*;
    use crate::ledger::tests::stack;

    fn lock() -> Value {
        json!({
            "Name": "offchain-ledger-listener", "LockerID": 7, "Token": 3, "LastWrite": 1,
            "Value": r#"{"height":12,"mark":{"height":12,"digest":"aa"}}"#,
        })
    }

    async fn set(aws: &FakeAws, height: u64, yes: bool) -> Result<(), CliError> {
        let settings = Settings::of_stack(stack().ledger().unwrap()).unwrap();
        let rewind = Rewind { height, yes };
        rewind
            .set(&settings, &aws.sdk_config(), &Output::new(true))
            .await
    }

    #[tokio::test]
    async fn the_cursor_is_set_and_whoever_listens_loses_the_lease() {
        let aws = FakeAws::new()
            .on("GetItem", item(&lock()))
            .on("UpdateItem", done());
        set(&aws, 5, true).await.unwrap();
        let update = aws.sent_once("UpdateItem");
        let values = &update["ExpressionAttributeValues"];
        assert_eq!(update["TableName"], "locks");
        assert_eq!(values[":value"], r#"{"height":5}"#);
        assert_eq!(values[":free"], 0);
    }

    #[tokio::test]
    async fn nothing_is_done_without_a_yes_but_to_say_what_would_be() {
        for (height, effect) in [
            (
                5,
                "everything after height 5 would be delivered again, 7 heights",
            ),
            (12, "whatever block is there"),
            (20, "the 8 heights after 12 would never be delivered"),
        ] {
            let aws = FakeAws::new().on("GetItem", item(&lock()));
            let error = set(&aws, height, false).await.unwrap_err();
            assert!(error.to_string().contains(effect), "{error}");
            assert!(error.to_string().contains("--yes"), "{error}");
            assert_eq!(error.exit_code(), ExitCode::from(2));
        }
        let aws = FakeAws::new().on("GetItem", answer(json!({})));
        let error = set(&aws, 5, false).await.unwrap_err();
        assert!(error.to_string().contains("nobody listened yet"), "{error}");
    }
}
