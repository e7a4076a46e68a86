//! `offchain oracle history`

use std::process::ExitCode;

use clap::Args;
use jiff::Timestamp;

use crate::api::Api;
use crate::error::CliError;
use crate::oracle::line::Layout;
use crate::oracle::record::Summary;
use crate::oracle::span::Span;
use crate::oracle::{Which, pages};
use crate::output::Output;
use crate::stack::Oracle;

#[derive(Args)]
pub(crate) struct History {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    span: Span,
}

impl History {
    pub(crate) async fn run(
        &self,
        oracle: &Oracle,
        api: &Api,
        output: &Output,
    ) -> Result<ExitCode, CliError> {
        let (from, to) = self.span.at(Timestamp::now())?;
        let records = pages::all(api, &self.which.feed, Some(from), Some(to)).await?;
        output.show(&records, |output| {
            let layout = Layout::new(output.width(), &records);
            output.line(layout.header());
            for record in &records {
                output.line(layout.line(record));
            }
            output.note(Summary::of(&records, oracle.interval_seconds));
        })?;
        Ok(ExitCode::SUCCESS)
    }
}
