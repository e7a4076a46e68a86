//! `offchain faucet send`

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use jiff::{SignedDuration, Timestamp};
use offchain_chains::Chain;
use offchain_faucet::{ClaimStatus, random_claim_id};
use offchain_faucet_service::{Wake, WakeMessage};
use offchain_store::faucet::{Claim, Reservation, Reserved};
use offchain_store::queue::Queue;

use crate::error::CliError;
use crate::faucet::claims::state;
use crate::faucet::{Site, sum};
use crate::output::{Output, bad, good};

/// How often a claim is looked at.
const POLL: Duration = Duration::from_millis(250);

#[derive(Args)]
#[command(
    after_help = "The amount is the faucet's. Neither throttle, cooldowns, budget nor captcha count \
                  for it.\n\nExamples:\n  offchain faucet send 0x52908400098527886E0F7030069857D2E4169EE7\n  \
                  offchain faucet send cosmos1… --no-wait --json"
)]
pub(crate) struct Send {
    /// Who is paid.
    address: String,
    /// How long to wait at most until a block has it, such as 30s or 5m.
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "2m",
        num_args = 0..=1,
        default_missing_value = "2m",
        require_equals = true
    )]
    wait: SignedDuration,
    /// Do not wait: print the claim as it is made.
    #[arg(long, conflicts_with = "wait")]
    no_wait: bool,
}

impl Send {
    pub(crate) async fn run(self, site: &Site, output: &Output) -> Result<ExitCode, CliError> {
        let wait = Duration::try_from(self.wait)
            .map_err(|_| CliError::input("--wait: expected a positive duration"))?;
        let claim = claim(site, &self.address, output).await?;
        if self.no_wait {
            show(&claim, site, output)?;
            return Ok(ExitCode::SUCCESS);
        }
        output.note(format!("claim {}", claim.claim_id));
        let claim = settled(site, claim, wait, output).await?;
        show(&claim, site, output)?;
        let failed = matches!(claim.status, ClaimStatus::Failed | ClaimStatus::Expired);
        Ok(ExitCode::from(u8::from(failed)))
    }
}

/// Makes a claim of the operator's own and wakes the payer.
async fn claim(site: &Site, address: &str, output: &Output) -> Result<Claim, CliError> {
    let policy = &site.config.intake;
    let address = site.chain.address(address).map_err(CliError::input)?;
    if !policy.send {
        return Err(CliError::No(
            "sending is disabled (faucet.send = false)".to_owned(),
        ));
    }
    let claim_id = random_claim_id(rand::random());
    let reserved = site
        .tables
        .desk
        .reserve(&Reservation {
            claim_id: &claim_id,
            address: &address,
            amount: policy.amount,
            now: Timestamp::now(),
            patience: duration(policy.claim_deadline_seconds),
            retention: SignedDuration::from_hours(24 * i64::from(policy.retention_days)),
            limits: None,
            challenge: None,
        })
        .await?;
    let claim = match reserved {
        Reserved::New(claim) | Reserved::Existing(claim) => *claim,
        // Nothing is counted that could be refused.
        Reserved::Refused(refusal) => return Err(CliError::No(format!("refused: {refusal:?}"))),
    };
    if let Some(url) = &site.queue_url {
        let queue = Queue::new(aws_sdk_sqs::Client::new(&site.sdk), url.clone());
        if let Err(error) = Wake::Queue(queue)
            .send(&WakeMessage::Claim { claim_id })
            .await
        {
            output.note(format!(
                "The payer was not woken, it finds the claim within a minute: {}",
                offchain_codes::chain(&error)
            ));
        }
    }
    Ok(claim)
}

/// Waits until a block has the claim's transaction, or the claim has ended.
async fn settled(
    site: &Site,
    mut claim: Claim,
    wait: Duration,
    output: &Output,
) -> Result<Claim, CliError> {
    let began = Instant::now();
    while matches!(claim.status, ClaimStatus::Queued | ClaimStatus::Sent) {
        if began.elapsed() >= wait {
            output.end_progress();
            return Err(CliError::No(format!(
                "the claim {} is {} after {} s, and goes on: `offchain faucet show {}`",
                claim.claim_id,
                state(&claim),
                wait.as_secs(),
                claim.claim_id
            )));
        }
        output.progress(format!(
            "{} for {} s",
            state(&claim),
            began.elapsed().as_secs()
        ));
        tokio::time::sleep(POLL).await;
        let found = site.tables.desk.claims.get(&claim.claim_id).await?;
        claim = found.unwrap_or(claim);
    }
    output.end_progress();
    Ok(claim)
}

fn show(claim: &Claim, site: &Site, output: &Output) -> Result<(), CliError> {
    output.show(claim, |output| output.line(line(claim, site)))
}

fn line(claim: &Claim, site: &Site) -> String {
    let what = format!("{}\nfor {}", sum(claim.units(), site), claim.address);
    match (claim.status, &claim.hash, claim.height) {
        (ClaimStatus::Committed | ClaimStatus::Paid, Some(hash), Some(height)) => {
            format!("{}: block {height} has {what}\n{hash}", good("paid"))
        }
        (ClaimStatus::Failed | ClaimStatus::Expired, ..) => {
            let reason = claim.reason.as_deref().unwrap_or_default();
            format!("{}: {what}: {reason}", bad(claim.status))
        }
        _ => format!("claim {}: {what} ({})", claim.claim_id, state(claim)),
    }
}

fn duration(seconds: u64) -> SignedDuration {
    SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use offchain_store::test_util::{FakeAws, Reply, done, item};
    use serde_json::{Value, json};

    use super::*;
    use crate::faucet::tests;
    use crate::output::plain;

    const TO: &str = "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf";

    fn order(address: &str, no_wait: bool) -> Send {
        Send {
            address: address.to_owned(),
            wait: SignedDuration::from_secs(60),
            no_wait,
        }
    }

    async fn sent(aws: &FakeAws, order: Send) -> Result<ExitCode, CliError> {
        order.run(&tests::site(aws), &Output::new(true)).await
    }

    fn claim(fields: &Value) -> Reply {
        let mut claim = tests::claim("aa");
        for (name, value) in fields.as_object().unwrap() {
            claim[name] = value.clone();
        }
        item(&claim)
    }

    #[tokio::test]
    async fn the_operator_s_claim_is_counted_nowhere_and_wakes_the_payer() {
        let aws = FakeAws::new()
            .on("TransactWriteItems", done())
            .on("SendMessage", done());
        let code = sent(&aws, order(&TO.to_lowercase(), true)).await.unwrap();
        assert_eq!(code, ExitCode::SUCCESS);
        let written = aws.sent_once("TransactWriteItems");
        let written = written["TransactItems"].as_array().unwrap();
        assert_eq!(written.len(), 1, "{written:?}");
        let put = &written[0]["Put"]["Item"];
        assert_eq!(
            (&put["address"], &put["status"]),
            (&json!(TO), &json!("queued"))
        );
        let message = aws.sent_once("SendMessage");
        assert_eq!(message["QueueUrl"], "https://sqs.test/claims");
        let body: Value = serde_json::from_str(message["MessageBody"].as_str().unwrap()).unwrap();
        assert_eq!(body, json!({"claim_id": put["claim_id"]}));
    }

    #[tokio::test]
    async fn it_is_waited_for_until_a_block_has_it_or_it_ends() {
        for (end, code) in [
            (
                json!({"status": "committed", "hash": "0xabc", "height": 7}),
                0,
            ),
            (json!({"status": "failed", "reason": "transfer_failed"}), 1),
        ] {
            let aws = FakeAws::new()
                .on("TransactWriteItems", done())
                // The payer finds it all the same.
                .on("SendMessage", Reply::NoConnection)
                .on("GetItem", claim(&json!({"status": "sent"})))
                .on("GetItem", claim(&end));
            let outcome = sent(&aws, order(TO, false)).await.unwrap();
            assert_eq!(outcome, ExitCode::from(code), "{end}");
        }
    }

    #[tokio::test]
    async fn one_that_takes_too_long_goes_on() {
        let aws = FakeAws::new()
            .on("TransactWriteItems", done())
            .on("SendMessage", done());
        let order = Send {
            wait: SignedDuration::ZERO,
            ..order(TO, false)
        };
        let error = sent(&aws, order).await.unwrap_err();
        assert!(
            plain(&error.to_string()).contains("is queued after 0 s"),
            "{error}"
        );
        assert_eq!(error.exit_code(), ExitCode::from(1));
    }

    #[tokio::test]
    async fn what_is_no_address_costs_nothing() {
        let aws = FakeAws::new();
        for address in ["", "0x12", "cosmos1w508d6qejxtdg4y5r3zarvary0c5xw7k"] {
            let error = sent(&aws, order(address, true)).await.unwrap_err();
            assert_eq!(error.exit_code(), ExitCode::from(2), "{address}");
        }
        let mut site = tests::site(&aws);
        site.config.intake.send = false;
        let error = order(TO, true)
            .run(&site, &Output::new(true))
            .await
            .unwrap_err();
        assert_eq!(error.exit_code(), ExitCode::from(1));
        assert!(aws.calls().is_empty());
    }
}
