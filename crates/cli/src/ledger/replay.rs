//! `offchain ledger replay`

use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use offchain_ledger_service::{Carrier, Chain, Listener, Replayed};
use serde::Serialize;
use serde_json::{Value, json};

use crate::aws;
use crate::error::CliError;
use crate::ledger::assets::counted;
use crate::ledger::settings::Settings;
use crate::ledger::{secret, short};
use crate::output::{Output, bad, good};
use crate::stack::Stack;

#[derive(Args)]
#[command(
    after_help = "The cursor and the deliveries that wait have no part in it, and who listens goes on \
                  listening. It runs with the settings of `offchain ledger listen`.\n\nExamples:\n  \
                  offchain ledger replay --from 1200 --to 1300\n  offchain ledger replay --from 1 --to \
                  5000 --subscriber fleet --json"
)]
pub(crate) struct Replay {
    /// The first height.
    #[arg(long, value_name = "HEIGHT", value_parser = clap::value_parser!(u64).range(1..))]
    from: u64,
    /// The last height. Where the chain has not come so far, its newest.
    #[arg(long, value_name = "HEIGHT", value_parser = clap::value_parser!(u64).range(1..))]
    to: u64,
    /// To this one alone; without it, to all.
    #[arg(long, value_name = "NAME")]
    subscriber: Option<String>,
}

/// What it came to.
#[derive(Debug, Serialize)]
struct Report {
    from: u64,
    to: u64,
    /// How many of them the chain has.
    heights: u64,
    delivered: u64,
    failed: Vec<Value>,
}

impl Replay {
    pub(crate) async fn run(
        self,
        stack: Option<&Path>,
        output: &Output,
    ) -> Result<ExitCode, CliError> {
        let stack = stack.map(|path| Stack::load(Some(path))).transpose()?;
        let settings = Settings::of_process(stack.as_ref())?;
        let sdk = aws::serving(stack.map(|stack| stack.region)).await;
        let report = self
            .again(&settings.listener(&sdk, |_| {})?, output)
            .await?;
        report.show(output)?;
        Ok(report.code())
    }

    async fn again<C: Chain, P: Carrier>(
        &self,
        listener: &Listener<C, P>,
        output: &Output,
    ) -> Result<Report, CliError> {
        if self.to < self.from {
            return Err(CliError::Input(format!(
                "--to: expected {} at least, as --from is",
                self.from
            )));
        }
        let names = || listener.subscribers.iter().map(|one| one.name.as_str());
        if let Some(name) = &self.subscriber
            && !names().any(|known| known == name)
        {
            return Err(secret::unknown(name, names()));
        }
        let only = self.subscriber.as_deref();
        let told = |height| output.progress(format!("height {height} of {}", self.to));
        let replayed = listener.replay(self.from, self.to, only, told).await;
        output.end_progress();
        let Replayed {
            heights,
            delivered,
            failed,
        } = replayed.map_err(super::failed)?;
        let failed = failed.into_iter().map(|(subscriber, event, code)| {
            json!({"subscriber": subscriber, "code": code, "event": event})
        });
        Ok(Report {
            from: self.from,
            to: self.to,
            heights,
            delivered,
            failed: failed.collect(),
        })
    }
}

impl Report {
    fn code(&self) -> ExitCode {
        ExitCode::from(u8::from(!self.failed.is_empty()))
    }

    fn show(&self, output: &Output) -> Result<(), CliError> {
        output.show(self, |output| {
            output.line(self.summary());
            if !self.failed.is_empty() {
                let rows = self.failed.iter().map(row).collect();
                output.table(["subscriber", "height", "transaction", "code"], rows);
            }
        })
    }

    fn summary(&self) -> String {
        let asked = self.to - self.from + 1;
        let heights = match asked - self.heights {
            0 => counted(self.heights, "height"),
            // They may come while nobody replays.
            missing => format!(
                "{} (the chain does not have the other {missing} yet)",
                counted(self.heights, "height")
            ),
        };
        let taken = good(format!("{} taken", counted(self.delivered, "webhook")));
        match self.failed.len() {
            0 => format!("{heights}: {taken}"),
            failed => format!("{heights}: {taken}, {}", bad(format!("{failed} not"))),
        }
    }
}

fn row(failed: &Value) -> [String; 4] {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    };
    [
        text(&failed["subscriber"]),
        text(&failed["event"]["height"]),
        short(&text(&failed["event"]["transaction_id"])),
        bad(text(&failed["code"])),
    ]
}

#[cfg(test)]
mod tests {
    use offchain_ledger::{Event, Id, Notice, Subscriber};
    use offchain_ledger_service::{Block, DeliveryError, NodeError, Notices};
    use offchain_store::test_util::FakeAws;
    use serde_json::value::RawValue;

    use super::*;
    use crate::ledger::tests::{id, stack};
    use crate::output::plain;

    /// A transaction that a node recorded.
    fn recorded() -> String {
        let vectors = include_str!("../../../ledger/tests/vectors/transactions.json");
        let vectors: Value = serde_json::from_str(vectors).unwrap();
        vectors[0]["transaction"].as_str().unwrap().to_owned()
    }

    /// A chain of three heights, the second of which has a transaction.
    struct Short;

    struct Quiet;

    impl Notices for Quiet {
        async fn next(&mut self) -> Result<Notice, NodeError> {
            std::future::pending().await
        }
    }

    impl Chain for Short {
        type Notices = Quiet;

        async fn height(&self) -> Result<u64, NodeError> {
            Ok(3)
        }

        async fn block(&self, height: u64) -> Result<Option<Block>, NodeError> {
            let transactions = match height {
                2 => vec![RawValue::from_string(recorded()).unwrap()],
                _ => Vec::new(),
            };
            Ok(Some(Block {
                height,
                transactions,
            }))
        }

        async fn transaction(&self, _: &Id) -> Result<Option<String>, NodeError> {
            Ok(None)
        }

        async fn notices(&self) -> Result<Quiet, NodeError> {
            Ok(Quiet)
        }
    }

    /// Only `ledger` takes anything.
    struct Carriage;

    impl Carrier for Carriage {
        async fn carry(&self, subscriber: &Subscriber, _: &Event) -> Result<(), DeliveryError> {
            match subscriber.name.as_str() {
                "ledger" => Ok(()),
                _ => Err(DeliveryError::Url),
            }
        }
    }

    async fn replayed(replay: Replay) -> Report {
        let stack = stack();
        let settings = Settings::of_stack(stack.ledger().unwrap()).unwrap();
        let aws = FakeAws::new();
        let built = settings.listener(&aws.sdk_config(), |_| {}).unwrap();
        let listener = Listener {
            chain: Short,
            carrier: Carriage,
            feed: built.feed,
            dead_letters: built.dead_letters,
            subscribers: built.subscribers,
            settings: built.settings,
            watch: built.watch,
        };
        let output = Output::new(true);
        let report = replay.again(&listener, &output).await.unwrap();
        assert!(aws.calls().is_empty(), "the cursor has no part in it");
        report
    }

    #[tokio::test]
    async fn what_is_there_is_delivered_once_more_and_what_failed_is_named() {
        let report = replayed(replay(1, 9, None)).await;
        assert_eq!((report.heights, report.delivered), (3, 1));
        assert_eq!(row(&report.failed[0])[..2], ["fleet", "2"]);
        assert_eq!(report.failed[0]["code"], "UrlInvalid");
        assert_eq!(report.code(), ExitCode::from(1));
        let report = replayed(replay(2, 2, Some("ledger"))).await;
        assert_eq!((report.heights, report.delivered), (1, 1));
        assert_eq!(report.code(), ExitCode::SUCCESS);
    }

    fn replay(from: u64, to: u64, subscriber: Option<&str>) -> Replay {
        Replay {
            from,
            to,
            subscriber: subscriber.map(str::to_owned),
        }
    }

    async fn refused(replay: Replay) -> CliError {
        let stack = stack();
        let settings = Settings::of_stack(stack.ledger().unwrap()).unwrap();
        let aws = FakeAws::new();
        let listener = settings.listener(&aws.sdk_config(), |_| {}).unwrap();
        replay
            .again(&listener, &Output::new(true))
            .await
            .unwrap_err()
    }

    #[tokio::test]
    async fn heights_and_a_subscriber_that_are_none_are_refused() {
        let error = refused(replay(5, 4, None)).await;
        assert_eq!(error.to_string(), "--to: expected 5 at least, as --from is");
        let error = refused(replay(5, 5, Some("nobody"))).await;
        assert!(
            error.to_string().ends_with("one of ledger, fleet"),
            "{error}"
        );
        assert_eq!(error.exit_code(), ExitCode::from(2));
    }

    #[tokio::test]
    async fn a_node_that_does_not_answer_is_told_with_its_code() {
        let error = refused(replay(5, 5, Some("fleet"))).await;
        assert!(
            error.to_string().contains(": RemoteUnreachable: "),
            "{error}"
        );
        assert_eq!(error.exit_code(), ExitCode::from(3));
    }

    #[test]
    fn it_is_summed_up() {
        let event = json!({"height": 7, "asset_id": id('a'), "transaction_id": id('b')});
        let failed = json!({"subscriber": "fleet", "code": "RemoteStatus", "event": event});
        let mut report = Report {
            from: 5,
            to: 9,
            heights: 5,
            delivered: 1,
            failed: Vec::new(),
        };
        assert_eq!(plain(&report.summary()), "5 heights: 1 webhook taken");
        report.heights = 3;
        report.failed.push(failed.clone());
        assert_eq!(
            plain(&report.summary()),
            "3 heights (the chain does not have the other 2 yet): 1 webhook taken, 1 not"
        );
        let row = row(&failed).map(|cell| plain(&cell));
        assert_eq!(row, ["fleet", "7", "bbbbbbbb", "RemoteStatus"]);
    }
}
