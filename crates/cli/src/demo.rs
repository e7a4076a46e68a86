//! `offchain demo`: a few requests, live, from the first to the verified proof,
//! then the next slots of a feed, then a claim of the faucet, then an asset of
//! the ledger.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use jiff::Timestamp;
use offchain_oracle::{FeedId, SignedReading};
use serde_json::json;

use crate::api::{Api, View, read};
use crate::error::CliError;
use crate::faucet;
use crate::ledger;
use crate::oracle::start::start;
use crate::oracle::{Feeds, Follow, Record, decimal, lateness, verify_published};
use crate::output::{Output, bad, good};
use crate::stack::{Oracle, Stack};
use crate::vrf::request::random_key;
use crate::vrf::show;

/// A new deployment's first slot comes within two minutes.
const FIRST_SLOTS: Duration = Duration::from_secs(180);

#[derive(Args)]
pub(crate) struct Demo {
    /// How many requests to make, each due a second later than the one before.
    #[arg(long, default_value_t = 5)]
    requests: u32,
    /// How many slots of a feed to show after that.
    #[arg(long, default_value_t = 3)]
    slots: u32,
    /// How many claims of the faucet to make after that, each for a new address.
    #[arg(long, default_value_t = 1)]
    claims: u32,
    /// How many assets of the ledger to show after that, as they change owners.
    #[arg(long, default_value_t = 1)]
    assets: usize,
}

impl Demo {
    pub(crate) async fn run(self, stack: &Stack, output: &Output) -> Result<ExitCode, CliError> {
        if stack.vrf.is_none()
            && stack.oracle.is_none()
            && stack.faucet.is_none()
            && stack.ledger.is_none()
        {
            return Err(CliError::input(
                "this deployment has nothing to show (vrf, oracle, faucet and ledger are null)",
            ));
        }
        let api = Api::new(stack)?;
        let mut failed = false;
        if stack.vrf.is_some() {
            failed |= self.show_requests(&api, output).await?;
        }
        if let Some(oracle) = stack.oracle.as_ref().filter(|_| self.slots > 0) {
            failed |= self.show_slots(stack, oracle, &api, output).await?;
        }
        if stack.faucet.is_some() && self.claims > 0 {
            failed |= faucet::visit::show(stack, &api, self.claims, output).await?;
        }
        if let Some(part) = stack.ledger.as_ref().filter(|_| self.assets > 0) {
            ledger::trade::show(stack, part, &api, self.assets, output).await?;
        }
        Ok(ExitCode::from(u8::from(failed)))
    }

    /// Whether anything went wrong.
    async fn show_requests(&self, api: &Api, output: &Output) -> Result<bool, CliError> {
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
                        let proof = show::verify_published(api, view.key_epoch, bundle).await?;
                        let proof = match proof {
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
        Ok(failed)
    }

    /// Whether anything went wrong. A missed slot did not: it says why.
    async fn show_slots(
        &self,
        stack: &Stack,
        oracle: &Oracle,
        api: &Api,
        output: &Output,
    ) -> Result<bool, CliError> {
        let Some(feed) = first_feed(read(&api.feeds().await?)?) else {
            output.note("The oracle has no feed.");
            return Ok(false);
        };
        tell(
            output,
            feed.as_str(),
            &format!("publishes a value every {} s", oracle.interval_seconds),
        );
        if !runs(api, &feed, oracle).await {
            // A new deployment's schedule has not struck yet.
            let started = start(stack, oracle).await?;
            tell(
                output,
                feed.as_str(),
                &format!("is started at once; its first slot is {}", started.first),
            );
        }
        let mut follow = Follow::new(api, feed.clone(), oracle.interval_seconds);
        let deadline = Instant::now() + FIRST_SLOTS;
        let mut left = self.slots;
        let mut failed = false;
        while left > 0 {
            let wait = deadline.saturating_duration_since(Instant::now());
            let records = tokio::time::timeout(wait, follow.next(output))
                .await
                .map_err(|_| CliError::Api {
                    url: format!("the feed {feed}"),
                    reason: format!(
                        "no new slot for {} s; see `offchain status`",
                        FIRST_SLOTS.as_secs()
                    ),
                })??;
            for record in records.iter().take(usize::try_from(left).unwrap_or(1)) {
                left -= 1;
                let text = match record {
                    Record::Published(reading) => {
                        let checked = verify_published(api, reading).await?;
                        failed |= checked.is_err();
                        value(reading, &checked)
                    }
                    Record::Missed(missed) => bad(format!("missed: {}", missed.reason)),
                    Record::Absent { .. } => bad("was not recorded"),
                };
                let slot = record.slot().timestamp().strftime("%H:%M:%S");
                tell(output, feed.as_str(), &format!("slot {slot} {text}"));
            }
        }
        Ok(failed)
    }
}

/// Whether the feed's newest reading is no older than two slots.
async fn runs(api: &Api, feed: &FeedId, oracle: &Oracle) -> bool {
    // Without a reading the API answers that there is none.
    let Ok(latest) = api.latest(feed).await else {
        return false;
    };
    let age = latest["age_seconds"].as_u64();
    age.is_some_and(|age| age <= u64::from(2 * oracle.interval_seconds.seconds()))
}

/// The demo feed where there is one.
fn first_feed(feeds: Feeds) -> Option<FeedId> {
    let mut feeds = feeds.feeds;
    let demo = feeds.iter().position(|feed| feed.feed.as_str() == "demo");
    if feeds.is_empty() {
        return None;
    }
    Some(feeds.swap_remove(demo.unwrap_or(0)).feed)
}

fn value(signed: &SignedReading, checked: &Result<(), String>) -> String {
    let reading = signed.reading();
    let signature = match checked {
        Ok(()) => good("signature verified"),
        Err(reason) => bad(reason),
    };
    format!(
        "has the value {}, {} ms after it, {signature}",
        decimal(reading.value, reading.exponent),
        lateness(signed)
    )
}

pub(crate) fn tell(output: &Output, id: &str, text: &str) {
    let time = Timestamp::now().strftime("%H:%M:%S");
    let short = id.get(..8).unwrap_or(id);
    output.line(format!("{time}  {short:<8}  {text}"));
}
