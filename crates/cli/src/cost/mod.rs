//! `offchain cost`: what designs cost, one against another, and what a month of
//! this deployment comes to.

mod answers;
mod deployment;
mod layout;
mod measure;
mod month;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use clap::builder::RangedU64ValueParser;
use jiff::{SignedDuration, Timestamp};
use offchain_cost::{Dated, PriceTable};
use serde::Serialize;

use crate::aws;
use crate::cost::answers::Answers;
use crate::cost::deployment::Deployment;
use crate::cost::measure::Measures;
use crate::cost::month::{Months, Rates};
use crate::error::CliError;
use crate::output::Output;
use crate::stack::Stack;

/// A million million a month: what no account is allowed.
const MOST: u64 = 1_000_000_000_000;

#[derive(Args)]
pub(crate) struct Cost {
    /// Requests a month that the designs are compared at.
    #[arg(long, value_name = "N", default_value_t = 10_000_000, value_parser = up_to(MOST))]
    requests: u64,
    /// How long a function runs for one of them.
    #[arg(long, value_name = "MS", default_value_t = 100, value_parser = up_to(900_000))]
    duration_ms: u64,
    /// The memory that the function is given.
    #[arg(
        long,
        value_name = "MB",
        default_value_t = 128,
        value_parser = clap::value_parser!(u32).range(128..=10_240)
    )]
    memory_mb: u32,
    /// How much later an answer comes through a gateway; assumed to be 10 where it is not given.
    #[arg(long, value_name = "MS", value_parser = RangedU64ValueParser::<u64>::new().range(0..=30_000))]
    gateway_ms: Option<u64>,
    /// Messages that a run takes from a queue, on average.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 10,
        value_parser = clap::value_parser!(u32).range(1..=10_000)
    )]
    batch: u32,
    /// Random numbers that the deployment is asked for; assumed to be one a minute where it is not given.
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<u64>::new().range(0..=MOST))]
    vrf_requests_a_day: Option<u64>,
    /// Rides; assumed to be 1800 where it is not given.
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<u64>::new().range(0..=MOST))]
    rides_a_day: Option<u64>,
    /// Transactions of the ledger; assumed to be one a minute where it is not given.
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<u64>::new().range(0..=MOST))]
    ledger_transactions_a_day: Option<u64>,
    /// What is measured of the deployment is of so long, such as 1h or 3d.
    #[arg(long, value_name = "DURATION", default_value = "1h")]
    last: SignedDuration,
    /// Other prices: a file of the form of crates/cost/prices.json.
    #[arg(long, value_name = "FILE")]
    price_table: Option<PathBuf>,
}

fn up_to(most: u64) -> RangedU64ValueParser<u64> {
    RangedU64ValueParser::new().range(1..=most)
}

/// Everything that is told.
#[derive(Serialize)]
struct Report<'a> {
    prices: Dated<'a>,
    #[serde(flatten)]
    answers: Answers,
    #[serde(skip_serializing_if = "Option::is_none")]
    deployment: Option<Months>,
}

/// A table under its title.
#[derive(Debug)]
struct Section {
    title: String,
    body: String,
}

impl Cost {
    pub(crate) async fn run(
        &self,
        stack: Option<&Path>,
        output: &Output,
    ) -> Result<ExitCode, CliError> {
        let prices = self.prices()?;
        let span = measure::span(self.last, Timestamp::now())?;
        let deployment = match stack {
            Some(path) => {
                let config = aws::config(&Stack::load(Some(path))?).await;
                let deployment = Deployment::load(path)?;
                let measures = Measures::of(&deployment, &config, span).await?;
                let rates = Rates::new(
                    self.vrf_requests_a_day,
                    self.rides_a_day,
                    self.ledger_transactions_a_day,
                );
                Some(Months::of(&deployment, rates, &measures, &prices))
            }
            None => None,
        };
        let report = Report {
            prices: prices.dated(),
            answers: Answers::of(self, &prices),
            deployment,
        };
        output.show(&report, |output| report.print(output))?;
        Ok(ExitCode::SUCCESS)
    }

    fn prices(&self) -> Result<PriceTable, CliError> {
        let Some(path) = &self.price_table else {
            return PriceTable::built_in().map_err(CliError::input);
        };
        let wrong = |error: &dyn std::fmt::Display| {
            CliError::Input(format!("--price-table {}: {error}", path.display()))
        };
        let text = std::fs::read_to_string(path).map_err(|error| wrong(&error))?;
        PriceTable::from_json(&text).map_err(|error| wrong(&error))
    }
}

impl Report<'_> {
    fn print(&self, output: &Output) {
        for section in self.sections() {
            output.title(section.title);
            output.line(section.body);
            output.line("");
        }
        if self.deployment.is_none() {
            output.note(
                "What a month of a deployment costs: give --stack FILE or set OFFCHAIN_STACK.",
            );
        }
    }

    fn sections(&self) -> Vec<Section> {
        let mut sections = self.answers.sections(self.prices);
        if let Some(months) = &self.deployment {
            sections.extend(months.sections(self.prices));
        }
        sections
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::{Value, json};

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        cost: Cost,
    }

    fn cost(arguments: &[&str]) -> Cost {
        Line::try_parse_from([&["x"], arguments].concat())
            .unwrap_or_else(|error| panic!("{error}"))
            .cost
    }

    fn report<T>(arguments: &[&str], look: impl FnOnce(&Report<'_>) -> T) -> T {
        let cost = cost(arguments);
        let prices = cost.prices().unwrap();
        look(&Report {
            prices: prices.dated(),
            answers: Answers::of(&cost, &prices),
            deployment: None,
        })
    }

    fn text(arguments: &[&str]) -> String {
        report(arguments, |report| {
            report
                .sections()
                .iter()
                .map(|section| format!("{}\n{}\n\n", section.title, section.body))
                .collect()
        })
    }

    fn json_of(arguments: &[&str]) -> Value {
        report(arguments, |report| serde_json::to_value(report).unwrap())
    }

    #[test]
    fn the_questions_are_answered_as_text() {
        let expected = include_str!("answers.txt");
        assert_eq!(text(&[]), expected, "\n{}", text(&[]));
        for line in expected.lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }

    #[test]
    fn the_questions_are_answered_as_json() {
        let expected: Value = serde_json::from_str(include_str!("answers.json")).unwrap();
        let found = json_of(&[]);
        assert_eq!(found, expected, "\n{found:#}");
    }

    #[test]
    fn a_gateways_delay_is_assumed_until_it_is_given() {
        let assumed = json!({ "value": 10, "origin": "assumed" });
        assert_eq!(json_of(&[])["hop"]["gateway_ms"], assumed);
        let given = ["--gateway-ms", "25"];
        assert_eq!(
            json_of(&given)["hop"]["gateway_ms"],
            json!({ "value": 25, "origin": "given" })
        );
        assert!(text(&[]).contains("assumed"), "{}", text(&[]));
        assert!(!text(&given).contains("assumed"), "{}", text(&given));
    }

    #[test]
    fn large_numbers_fit_the_terminal() {
        let most = [
            "--requests",
            "1000000000000",
            "--duration-ms",
            "900000",
            "--memory-mb",
            "10240",
        ];
        for line in text(&most).lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }

    #[test]
    fn arguments_out_of_range_are_refused() {
        for arguments in [
            ["--requests", "0"],
            ["--requests", "1000000000001"],
            ["--duration-ms", "900001"],
            ["--memory-mb", "127"],
            ["--memory-mb", "10241"],
            ["--batch", "0"],
            ["--gateway-ms", "30001"],
            ["--rides-a-day", "-1"],
            ["--last", "soon"],
        ] {
            let line = Line::try_parse_from([&["x"], &arguments[..]].concat());
            assert!(line.is_err(), "{arguments:?}");
        }
    }

    #[test]
    fn other_prices_are_read_from_a_file_and_dated() {
        let folder = std::env::temp_dir().join(format!("offchain-cost-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("prices.json");
        let built_in = include_str!("../../../cost/prices.json");
        let dearer = built_in
            .replacen("\"2025\"", "\"2031-07\"", 1)
            .replacen("\"0.20\"", "\"0.40\"", 1);
        std::fs::write(&path, dearer).unwrap();
        let file = path.to_str().unwrap();
        let found = json_of(&["--price-table", file]);
        assert_eq!(found["prices"]["as_of"], "2031-07");
        assert_eq!(found["lambda"]["rows"][0]["requests"], 4);
        let told = text(&["--price-table", file]);
        assert!(
            told.contains("list prices of us-east-1 as of 2031-07"),
            "{told}"
        );

        std::fs::write(&path, "{}").unwrap();
        let error = cost(&["--price-table", file]).prices().unwrap_err();
        let said = error.to_string();
        assert!(
            said.contains("prices.json: expected a price table"),
            "{said}"
        );
        std::fs::remove_dir_all(&folder).unwrap();
        let error = cost(&["--price-table", file]).prices().unwrap_err();
        assert!(error.to_string().contains("--price-table"), "{error}");
    }
}
