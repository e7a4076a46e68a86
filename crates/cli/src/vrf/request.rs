//! `offchain vrf request`

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use crate::api::{Api, View, read};
use crate::error::CliError;
use crate::output::Output;
use crate::vrf::show;

/// How often a pending request is looked at.
const POLL: Duration = Duration::from_millis(250);

#[derive(Args)]
pub(crate) struct Request {
    /// The smallest value, included.
    #[arg(long, allow_negative_numbers = true)]
    min: i64,
    /// The largest value, included.
    #[arg(long, allow_negative_numbers = true)]
    max: i64,
    /// Due so long from now, such as 10s or 5m.
    #[arg(long, value_name = "DURATION", conflicts_with_all = ["at", "height"])]
    after: Option<SignedDuration>,
    /// Due at a time, such as 2030-01-31T12:00:00Z.
    #[arg(long, value_name = "TIME", conflicts_with = "height")]
    at: Option<Timestamp>,
    /// Due at a block height of the configured chain.
    #[arg(long, value_name = "BLOCK")]
    height: Option<u64>,
    /// 1 to 64 bytes of your own, in lower-case hex: they become part of what is proved.
    #[arg(long, value_name = "HEX")]
    seed: Option<String>,
    /// Makes the request idempotent: the same key gives the same request.
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// Wait for the value and verify its proof; with --json, print the bundle.
    #[arg(long)]
    wait: bool,
    /// How long to wait at most.
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "15m",
        requires = "wait"
    )]
    timeout: SignedDuration,
}

impl Request {
    pub(crate) async fn run(&self, api: &Api, output: &Output) -> Result<ExitCode, CliError> {
        let key = self.idempotency_key.clone().unwrap_or_else(random_key);
        let reply = api.request(&key, &self.body()?).await?;
        let view: View = read(&reply)?;
        if !self.wait {
            output.show(&reply, |output| show::print(&view, output))?;
            return Ok(ExitCode::SUCCESS);
        }
        output.note(format!("request {}", view.request_id));
        let timeout = Duration::try_from(self.timeout)
            .map_err(|_| CliError::input("--timeout: expected a positive duration"))?;
        let view = wait(api, &view.request_id, timeout).await?;
        show::finish(api, &view, output).await
    }

    fn body(&self) -> Result<Value, CliError> {
        let mut body = Map::new();
        body.insert("min".into(), self.min.to_string().into());
        body.insert("max".into(), self.max.to_string().into());
        if let Some(after) = self.after {
            let seconds = u32::try_from(after.as_secs()).map_err(|_| {
                CliError::input("--after: expected whole seconds from now, such as 10s")
            })?;
            body.insert("delay_seconds".into(), seconds.into());
        }
        if let Some(at) = self.at {
            body.insert("due_time".into(), json!(at));
        }
        if let Some(height) = self.height {
            body.insert("target_height".into(), height.into());
        }
        if let Some(seed) = &self.seed {
            body.insert("seed".into(), seed.as_str().into());
        }
        Ok(body.into())
    }
}

pub(crate) fn random_key() -> String {
    hex::encode(rand::random::<[u8; 16]>())
}

/// Waits until a request is closed.
pub(crate) async fn wait(api: &Api, id: &str, timeout: Duration) -> Result<View, CliError> {
    let start = Instant::now();
    loop {
        let view: View = read(&api.show(id).await?)?;
        if view.status != "pending" {
            return Ok(view);
        }
        if start.elapsed() >= timeout {
            return Err(CliError::TimedOut {
                id: id.to_owned(),
                waited: format!("{} s", timeout.as_secs()),
                reason: view.reason.unwrap_or_default(),
            });
        }
        tokio::time::sleep(POLL).await;
    }
}
