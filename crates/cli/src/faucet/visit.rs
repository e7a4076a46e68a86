//! Claims as anybody makes them over HTTP, for `offchain demo`.

use std::time::{Duration, Instant};

use offchain_chains::Chain;
use offchain_faucet::{ClaimStatus, coins};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::api::{Api, read};
use crate::demo::tell;
use crate::dlq::clean;
use crate::error::CliError;
use crate::faucet::{Site, key};
use crate::output::{Output, bad, good};
use crate::stack::Stack;
use crate::vrf::request::random_key;

const POLL: Duration = Duration::from_millis(250);
/// How long the chain may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// More work than somebody who looks on waits for.
const MOST_BITS: u8 = 24;

/// The faucet as it tells of itself.
#[derive(Deserialize)]
struct Faucet {
    name: String,
    status: String,
    captcha: Option<Value>,
    proof_of_work: Option<Work>,
}

#[derive(Deserialize)]
struct Work {
    bits: u8,
}

#[derive(Deserialize)]
struct Challenge {
    challenge: String,
    bits: u8,
}

#[derive(Deserialize)]
struct Made {
    claim_id: String,
}

#[derive(Deserialize)]
struct View {
    status: ClaimStatus,
    reason: Option<String>,
    hash: Option<String>,
    height: Option<u64>,
}

/// Makes so many claims, each for an address whose key nobody keeps. Whether
/// anything went wrong.
pub(crate) async fn show(
    stack: &Stack,
    api: &Api,
    claims: u32,
    output: &Output,
) -> Result<bool, CliError> {
    let faucet: Faucet = read(&api.faucet_status().await?)?;
    if let Some(reason) = faucet.closed() {
        output.note(format!("No claim of the faucet is shown: {reason}."));
        return Ok(false);
    }
    let site = Site::of_stack(stack).await?;
    tell(
        output,
        &faucet.name,
        "gives coins of a test network to whoever asks",
    );
    let mut failed = false;
    for _ in 0..claims {
        failed |= show_one(&site, api, output).await?;
    }
    Ok(failed)
}

impl Faucet {
    /// Why nothing can be claimed here.
    fn closed(&self) -> Option<String> {
        // What was just funded nobody may have seen yet.
        if !matches!(self.status.as_str(), "ok" | "unfunded") {
            return Some(format!("it is {}", clean(&self.status)));
        }
        if self.captcha.is_some() {
            return Some("it demands a captcha, which is on its page".to_owned());
        }
        let bits = self.proof_of_work.as_ref().map_or(0, |work| work.bits);
        (bits > MOST_BITS).then(|| format!("its work of {bits} bits takes too long"))
    }
}

async fn show_one(site: &Site, api: &Api, output: &Output) -> Result<bool, CliError> {
    let address = site.chain.sender(&key::random()?);
    let challenge = match api.challenge(&address).await {
        Ok(reply) => Some(read::<Challenge>(&reply)?),
        Err(CliError::Refused { title, .. }) if title == "ChallengeNotConfigured" => None,
        Err(error) => return Err(error),
    };
    let began = Instant::now();
    let response = challenge
        .as_ref()
        .map(|challenge| solve(&challenge.challenge, challenge.bits));
    let work = match &challenge {
        Some(challenge) => format!(
            ", with {} bits of work in {} ms",
            challenge.bits,
            began.elapsed().as_millis()
        ),
        None => String::new(),
    };
    let body = json!({"address": address, "response": response.unwrap_or_default()});
    let Made { claim_id } = read(&api.claim(&random_key(), &body).await?)?;
    let began = Instant::now();
    tell(output, &claim_id, &format!("claims for {address}{work}"));
    let mut last = ClaimStatus::Queued;
    loop {
        let view: View = read(&api.faucet_claim(&claim_id).await?)?;
        match view.status {
            ClaimStatus::Committed | ClaimStatus::Paid => {
                let text = paid(site, &address, &view, began).await;
                tell(output, &claim_id, &text);
                return Ok(false);
            }
            ClaimStatus::Failed | ClaimStatus::Expired => {
                let reason = clean(view.reason.as_deref().unwrap_or_default());
                tell(
                    output,
                    &claim_id,
                    &bad(format!("{}: {reason}", view.status)),
                );
                return Ok(true);
            }
            ClaimStatus::Sent if last != ClaimStatus::Sent => {
                last = ClaimStatus::Sent;
                let hash = clean(view.hash.as_deref().unwrap_or_default());
                tell(output, &claim_id, &format!("is sent in {hash}"));
            }
            ClaimStatus::Sent | ClaimStatus::Queued => {}
        }
        if began.elapsed() > PATIENCE {
            return Err(CliError::No(format!(
                "the claim {claim_id} is still {}: `offchain faucet show {claim_id}`",
                view.status
            )));
        }
        tokio::time::sleep(POLL).await;
    }
}

async fn paid(site: &Site, address: &str, view: &View, began: Instant) -> String {
    let height = view.height.unwrap_or(0);
    let policy = &site.config.intake;
    // Whoever runs this may not reach the chain's nodes.
    let asked = tokio::time::timeout(POLL * 40, site.chain.account(address, height)).await;
    let has = match asked {
        Ok(Ok(account)) => good(format!(
            "the chain says that the address has {} {}",
            coins(account.balance, policy.decimals),
            policy.symbol
        )),
        _ => good("paid"),
    };
    let seconds = began.elapsed().as_secs_f32();
    format!("is in block {height} after {seconds:.1} s; {has}")
}

/// Finds what to send for a challenge: a nonce with which the hash begins with
/// so many zero bits.
fn solve(challenge: &str, bits: u8) -> String {
    let mut nonce = 0_u64;
    loop {
        let response = format!("{challenge}:{nonce}");
        if zeros(&Sha256::digest(&response)) >= u32::from(bits) {
            return response;
        }
        nonce += 1;
    }
}

fn zeros(digest: &[u8]) -> u32 {
    let mut zeros = 0;
    for byte in digest {
        zeros += byte.leading_zeros();
        if *byte != 0 {
            break;
        }
    }
    zeros
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use offchain_faucet::{ProofOfWork, challenge};

    use super::*;

    #[test]
    fn a_challenge_is_solved_as_the_faucet_wants_it() {
        let work = ProofOfWork {
            bits: 10,
            valid_seconds: 60,
        };
        let (key, address, now) = ([7; 32], "0xabc", Timestamp::now());
        let issued = offchain_faucet::Challenge::issue(&key, address, now, &work, [1; 16]);
        let response = solve(&issued.text, issued.bits);
        challenge::verify(&key, address, &response, now, &work).unwrap();
    }

    #[test]
    fn zeros_are_counted_over_bytes() {
        assert_eq!(zeros(&[0x80]), 0);
        assert_eq!(zeros(&[0x01, 0xff]), 7);
        assert_eq!(zeros(&[0, 0, 0x1f, 0]), 19);
        assert_eq!(zeros(&[0, 0]), 16);
    }

    #[test]
    fn a_faucet_that_gives_nothing_is_left_alone() {
        let faucet = |status: &str, captcha: Option<Value>, bits| Faucet {
            name: "local".to_owned(),
            status: status.to_owned(),
            captcha,
            proof_of_work: Some(Work { bits }),
        };
        assert_eq!(faucet("ok", None, 24).closed(), None);
        assert_eq!(faucet("unfunded", None, 0).closed(), None);
        for status in ["unknown", "empty", "broken", "disabled"] {
            assert!(faucet(status, None, 18).closed().is_some(), "{status}");
        }
        assert!(faucet("ok", Some(json!({})), 0).closed().is_some());
        assert!(faucet("ok", None, 25).closed().is_some());
    }
}
