//! `offchain oracle plot`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use jiff::{SignedDuration, Timestamp};
use offchain_oracle::{FeedId, Interval, SignedReading};
use serde_json::json;

use crate::api::Api;
use crate::error::CliError;
use crate::oracle::figure::{Figure, Point, float};
use crate::oracle::record::{Record, Summary, lateness};
use crate::oracle::span::Span;
use crate::oracle::{Which, pages};
use crate::output::Output;
use crate::stack::Oracle;

#[derive(Args)]
pub(crate) struct Plot {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    span: Span,
    /// The file to write: its name ends in .svg.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

impl Plot {
    pub(crate) async fn run(
        &self,
        oracle: &Oracle,
        api: &Api,
        output: &Output,
    ) -> Result<ExitCode, CliError> {
        is_svg(&self.out)?;
        let (from, to) = self.span.at(Timestamp::now())?;
        let feed = &self.which.feed;
        let records = pages::all(api, feed, Some(from), Some(to)).await?;
        if records.is_empty() {
            return Err(CliError::Input(format!(
                "{feed} has no slot from {from:.0} to {to:.0}"
            )));
        }
        let figure = figure(feed, oracle.interval_seconds, (from, to), &records);
        let svg = figure
            .svg()
            .map_err(|error| CliError::Input(format!("the picture cannot be drawn: {error}")))?;
        std::fs::write(&self.out, svg)
            .map_err(|error| CliError::Input(format!("{}: {error}", self.out.display())))?;
        let report = json!({"file": self.out, "slots": records.len()});
        output.show(&report, |output| {
            output.line(format!("{}: {}", self.out.display(), figure.subtitle));
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

fn is_svg(file: &Path) -> Result<(), CliError> {
    let extension = file.extension().and_then(|extension| extension.to_str());
    if extension.is_some_and(|extension| extension.eq_ignore_ascii_case("svg")) {
        return Ok(());
    }
    Err(CliError::Input(format!(
        "--out {}: expected a file name that ends in .svg, the one format that is written",
        file.display()
    )))
}

fn figure(
    feed: &FeedId,
    interval: Interval,
    (from, to): (Timestamp, Timestamp),
    records: &[Record],
) -> Figure {
    let one_day = from.strftime("%F").to_string() == to.strftime("%F").to_string();
    let until = if one_day { "%T" } else { "%F %T" };
    Figure {
        title: format!(
            "{feed}, every {interval} s, {} to {} UTC",
            from.strftime("%F %T"),
            to.strftime(until)
        ),
        subtitle: Summary::of(records, interval).to_string(),
        span: (from, to),
        step: SignedDuration::from_secs(interval.seconds().into()),
        published: records
            .iter()
            .filter_map(Record::reading)
            .map(point)
            .collect(),
        missed: records
            .iter()
            .filter(|record| record.reading().is_none())
            .map(|record| record.slot().timestamp())
            .collect(),
    }
}

fn point(signed: &SignedReading) -> Point {
    let reading = signed.reading();
    Point {
        slot: reading.slot.timestamp(),
        value: float(reading.value) * 10_f64.powi(reading.exponent.into()),
        late_ms: lateness(signed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracle::record::tests::{interval, missed, published, slot};

    #[test]
    fn only_an_svg_is_written() {
        for good in ["a.svg", "dir.png/a.SVG"] {
            assert!(is_svg(Path::new(good)).is_ok(), "{good}");
        }
        for bad in ["a.png", "a", "svg", ".svg", "a.svg.png", "a.svg/"] {
            let shown = is_svg(Path::new(bad));
            // A path's last separator does not count.
            assert_eq!(shown.is_ok(), bad == "a.svg/", "{bad}");
        }
        let error = is_svg(Path::new("a.png")).unwrap_err();
        assert_eq!(error.exit_code(), ExitCode::from(2));
        assert!(error.to_string().contains("--out a.png"), "{error}");
    }

    #[test]
    fn the_picture_says_what_it_shows() {
        let records = [published(0, 12), missed(1), published(2, 40)];
        let span = (slot(0).timestamp(), slot(30).timestamp());
        let svg = figure(&"demo".parse().unwrap(), interval(), span, &records)
            .svg()
            .unwrap();
        for text in [
            "<svg ",
            "demo, every 2 s, 2026-11-21 11:00:00 to 11:01:00 UTC",
            "2 published \u{b7} 1 missed \u{b7} 0 early",
            "missed slot",
            "p50 12 ms",
            "p99 40 ms",
            "11:00:30",
            "</svg>",
        ] {
            assert!(svg.contains(text), "{text}");
        }
        let day = (slot(0).timestamp(), slot(43_200).timestamp());
        let title = figure(&"demo".parse().unwrap(), interval(), day, &records).title;
        assert!(
            title.ends_with("11:00:00 to 2026-11-22 11:00:00 UTC"),
            "{title}"
        );
    }
}
