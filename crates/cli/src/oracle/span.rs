//! The stretch of time that a command is about.

use clap::Args;
use jiff::{SignedDuration, Timestamp};

use crate::error::CliError;

#[derive(Args)]
pub(crate) struct Span {
    /// So long back from now, such as 30s or 5m.
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "5m",
        conflicts_with_all = ["from", "to"]
    )]
    last: SignedDuration,
    /// From this time on, such as 2030-01-31T12:00:00Z.
    #[arg(long, value_name = "TIME")]
    from: Option<Timestamp>,
    /// Up to this time and without it; now where it is not given.
    #[arg(long, value_name = "TIME", requires = "from")]
    to: Option<Timestamp>,
}

impl Span {
    /// The first time that belongs to the stretch and the first that does not.
    pub(crate) fn at(&self, now: Timestamp) -> Result<(Timestamp, Timestamp), CliError> {
        let to = self.to.unwrap_or(now);
        let from = match self.from {
            Some(from) => from,
            None if self.last.is_positive() => to
                .checked_sub(self.last)
                .map_err(|_| CliError::input("--last: expected a shorter duration"))?,
            None => return Err(CliError::input("--last: expected a positive duration")),
        };
        if from < to {
            Ok((from, to))
        } else {
            Err(CliError::Input(format!(
                "--from: expected a time before {to:.0}, found {from:.0}"
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        span: Span,
    }

    fn at(arguments: &[&str]) -> Option<(String, String)> {
        let line = Line::try_parse_from([&["x"], arguments].concat()).ok()?;
        let now = "2026-11-21T11:00:00Z".parse().unwrap();
        let (from, to) = line.span.at(now).ok()?;
        Some((from.to_string(), to.to_string()))
    }

    #[test]
    fn a_stretch_is_so_long_back_or_between_two_times() {
        let span = |from: &str, to: &str| Some((from.to_owned(), to.to_owned()));
        let now = "2026-11-21T11:00:00Z";
        let before = "2026-11-21T10:55:00Z";
        assert_eq!(at(&[]), span(before, now));
        assert_eq!(at(&["--last", "90s"]), span("2026-11-21T10:58:30Z", now));
        assert_eq!(at(&["--from", before]), span(before, now));
        assert_eq!(
            at(&["--from", "2026-11-21T10:00:00+01:00", "--to", before]),
            span("2026-11-21T09:00:00Z", before)
        );
    }

    #[test]
    fn a_stretch_that_is_none_is_refused() {
        for arguments in [
            vec!["--last", "0s"],
            vec!["--last=-5m"],
            vec!["--last", "199999999h"],
            vec!["--last", "soon"],
            vec!["--to", "2026-11-21T11:00:00Z"],
            vec!["--from", "2026-11-21T11:00:00Z"],
            vec!["--from", "yesterday"],
            vec!["--last", "5m", "--from", "2026-11-21T10:00:00Z"],
        ] {
            assert_eq!(at(&arguments), None, "{arguments:?}");
        }
    }
}
