//! `offchain demo`: a few requests, live, from the first to the verified proof.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use jiff::Timestamp;
use serde_json::json;

use crate::api::{Api, View, read};
use crate::error::CliError;
use crate::output::{Output, bad, good};
use crate::stack::Stack;
use crate::vrf::request::random_key;
use crate::vrf::show::verify_published;

#[derive(Args)]
pub(crate) struct Demo {
    /// How many requests to make, each due a second later than the one before.
    #[arg(long, default_value_t = 5)]
    requests: u32,
}

impl Demo {
    pub(crate) async fn run(self, stack: &Stack, output: &Output) -> Result<ExitCode, CliError> {
        stack.vrf()?;
        let api = Api::new(stack)?;
        let mut open = Vec::new();
        for after in 0..self.requests {
            let body = json!({"min": 1, "max": 6, "delay_seconds": after});
            let view: View = read(&api.request(&random_key(), &body).await?)?;
            tell(
                output,
                &view.request_id,
                &format!("asks for 1 to 6, due in {after} s"),
            );
            open.push(view.request_id);
        }
        let deadline = Instant::now() + Duration::from_secs(60 + u64::from(self.requests));
        let mut failed = false;
        while !open.is_empty() {
            if Instant::now() > deadline {
                return Err(CliError::TimedOut {
                    id: open.join(", "),
                    waited: "a minute".to_owned(),
                    reason: "see `offchain status`".to_owned(),
                });
            }
            let mut pending = Vec::new();
            for id in open {
                let view: View = read(&api.show(&id).await?)?;
                match (&view.bundle, view.status.as_str()) {
                    (Some(bundle), _) => {
                        let proof = match verify_published(&api, view.key_epoch, bundle).await? {
                            Ok(_) => good("proof verified"),
                            Err(reason) => {
                                failed = true;
                                bad(reason)
                            }
                        };
                        let late = match (view.fulfilled_at, view.due_time) {
                            (Some(at), Some(due)) => at.duration_since(due).as_millis(),
                            _ => 0,
                        };
                        let text = format!(
                            "has the value {}, {late} ms after it was due, {proof}",
                            bundle.value
                        );
                        tell(output, &id, &text);
                    }
                    (None, "pending") => pending.push(id),
                    (None, status) => {
                        failed = true;
                        tell(output, &id, &bad(status));
                    }
                }
            }
            open = pending;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Ok(ExitCode::from(u8::from(failed)))
    }
}

fn tell(output: &Output, id: &str, text: &str) {
    let time = Timestamp::now().strftime("%H:%M:%S");
    let short = id.get(..8).unwrap_or(id);
    output.line(format!("{time}  {short}  {text}"));
}
