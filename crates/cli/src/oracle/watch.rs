//! `offchain oracle watch`

use std::process::ExitCode;

use clap::Args;

use crate::api::Api;
use crate::error::CliError;
use crate::oracle::line::Layout;
use crate::oracle::{Follow, Record, Which};
use crate::output::Output;
use crate::stack::Oracle;

#[derive(Args)]
pub(crate) struct Watch {
    #[command(flatten)]
    which: Which,
    /// End after so many slots.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
}

impl Watch {
    pub(crate) async fn run(
        self,
        oracle: &Oracle,
        api: &Api,
        output: &Output,
    ) -> Result<ExitCode, CliError> {
        tokio::select! {
            // Who has seen enough has got what was asked for.
            Ok(()) = tokio::signal::ctrl_c() => Ok(ExitCode::SUCCESS),
            ended = self.follow(oracle, api, output) => ended,
        }
    }

    async fn follow(
        &self,
        oracle: &Oracle,
        api: &Api,
        output: &Output,
    ) -> Result<ExitCode, CliError> {
        let mut follow = Follow::new(api, self.which.feed.clone(), oracle.interval_seconds);
        let mut left = self.count;
        let mut layout: Option<Layout> = None;
        let mut invalid = false;
        loop {
            let records = follow.next(output).await?;
            let layout = *layout.get_or_insert_with(|| {
                let layout = Layout::new(output.width(), &records);
                if !output.is_json() {
                    output.note(layout.header());
                }
                layout
            });
            for record in &records {
                invalid |= Record::reading(record).is_some_and(|reading| reading.verify().is_err());
                let read = output.event(record, layout.line(record))?;
                left = left.map(|left| left - 1);
                if !read || left == Some(0) {
                    return Ok(ExitCode::from(u8::from(invalid)));
                }
            }
        }
    }
}
