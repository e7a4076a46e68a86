//! `offchain oracle`: look at feeds, follow them, verify their readings.

mod decimal;
mod feeds;
mod figure;
mod follow;
mod header;
mod history;
mod latest;
mod line;
mod pages;
mod plot;
mod record;
mod span;
pub(crate) mod start;
pub(crate) mod status;
mod verify;
mod watch;

pub(crate) use decimal::decimal;
pub(crate) use feeds::Feeds;
pub(crate) use follow::Follow;
pub(crate) use latest::verify_published;
pub(crate) use record::{Record, lateness};

use std::process::ExitCode;

use clap::{Args, Subcommand};
use offchain_oracle::FeedId;

use crate::api::Api;
use crate::error::CliError;
use crate::keys;
use crate::output::Output;
use crate::stack::Stack;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// List the feeds.
    Feeds,
    /// Show a feed's newest reading, verified.
    Latest(latest::Latest),
    /// Follow a feed live: one line a slot.
    Watch(watch::Watch),
    /// List the slots of a stretch of time.
    History(history::History),
    /// Verify readings, offline: exit 0 valid, 1 invalid, 2 unreadable.
    Verify(verify::Verify),
    /// Draw a feed's values and lateness as an SVG.
    Plot(plot::Plot),
    /// Start a minute of slots at once, beside the schedule.
    Start,
    /// List the published keys and from when they are active.
    Keys,
    /// Start a new key epoch with a new key.
    RotateKey,
    /// The secret headers that sources are asked with.
    #[command(subcommand)]
    Header(header::Command),
}

/// The feed that a command is about.
#[derive(Args)]
struct Which {
    /// The feed's name.
    #[arg(default_value = "demo")]
    feed: FeedId,
}

impl Command {
    pub(crate) async fn run(self, stack: &Stack, output: &Output) -> Result<ExitCode, CliError> {
        let oracle = stack.oracle()?;
        match self {
            Self::Feeds => feeds::list(&Api::new(stack)?, output).await,
            Self::Latest(latest) => latest.run(&Api::new(stack)?, output).await,
            Self::Watch(watch) => watch.run(oracle, &Api::new(stack)?, output).await,
            Self::History(history) => history.run(oracle, &Api::new(stack)?, output).await,
            Self::Verify(verify) => verify.run(output),
            Self::Plot(plot) => plot.run(oracle, &Api::new(stack)?, output).await,
            Self::Start => start::run(stack, oracle, output).await,
            Self::Keys => keys::list(&Api::new(stack)?.oracle_keys().await?, output),
            Self::RotateKey => keys::rotate(stack, "oracle", &oracle.functions, output).await,
            Self::Header(command) => command.run(stack, oracle, output).await,
        }
    }
}
