//! `offchain faucet show`

use std::process::ExitCode;

use clap::Args;
use offchain_store::faucet::{Claim, Payout};
use serde_json::{Value, json};

use crate::dlq::{clean, count, field};
use crate::error::CliError;
use crate::faucet::claims::state;
use crate::faucet::{Site, sum};
use crate::output::Output;

#[derive(Args)]
pub(crate) struct Show {
    /// The claim's id, 32 hexadecimal digits.
    claim_id: String,
}

impl Show {
    pub(crate) async fn run(self, site: &Site, output: &Output) -> Result<ExitCode, CliError> {
        let (claim, payout) = find(site, &self.claim_id).await?;
        output.show(&report(&claim, payout.as_ref()), |output| {
            output.title(format!("claim {}", claim.claim_id));
            let mut lines = claim_lines(&claim, site, output.width());
            if let Some(payout) = &payout {
                lines.push(format!("payout {} of {}", payout.sequence, payout.account));
                lines.extend(payout_lines(payout, output.width()));
            }
            lines.into_iter().for_each(|line| output.line(line));
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

async fn find(site: &Site, id: &str) -> Result<(Claim, Option<Payout>), CliError> {
    let tables = &site.tables;
    let claim = tables.desk.claims.get(id).await?;
    let claim = claim.ok_or_else(|| {
        CliError::No(format!(
            "there is no claim {}: it was never made, or is past its retention",
            clean(id)
        ))
    })?;
    let mut payout = None;
    if let Some(sequence) = claim.sequence {
        let account = tables.locks.account(&tables.names.account).await?;
        if let Some(account) = account {
            payout = tables.payouts.get(&account.address, sequence).await?;
        }
    }
    // Another account may have paid with the same number before.
    let payout = payout.filter(|payout| {
        let mut transfers = payout.transfers.iter();
        transfers.any(|transfer| transfer.claim_id == claim.claim_id)
    });
    Ok((claim, payout))
}

/// The payout's bytes are left out: whoever has them can send them again, which
/// is harmless, but nobody reads them.
fn report(claim: &Claim, payout: Option<&Payout>) -> Value {
    let mut payout = json!(payout);
    for version in payout["versions"].as_array_mut().into_iter().flatten() {
        if let Some(version) = version.as_object_mut() {
            version.remove("bytes");
        }
        // They are JSON within JSON.
        let terms = version["terms"].as_str().map(serde_json::from_str);
        if let Some(Ok(terms)) = terms {
            version["terms"] = terms;
        }
    }
    json!({"claim": claim, "payout": payout})
}

fn claim_lines(claim: &Claim, site: &Site, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut row = |name: &str, text: &str| lines.extend(field(name, text, width));
    row("address", &claim.address);
    row("amount", &sum(claim.units(), site));
    row("made", &claim.created_time.to_string());
    row("changed", &claim.updated_time.to_string());
    if claim.status.is_open() {
        row("deadline", &claim.deadline.to_string());
    }
    if claim.attempts > 0 {
        row("failed", &count_of(claim.attempts));
    }
    if let Some(sequence) = claim.sequence {
        row("payout", &sequence.to_string());
    }
    if let Some(height) = claim.height {
        row("block", &height.to_string());
    }
    if let Some(hash) = &claim.hash {
        lines.push(whole("hash", hash));
    }
    lines.insert(0, whole("state", state(claim)));
    lines
}

/// A line that is not broken, so that it can be copied, and keeps its colours.
fn whole(name: &str, text: impl std::fmt::Display) -> String {
    format!("  {name:<12}  {text}")
}

fn count_of(attempts: u32) -> String {
    count(
        usize::try_from(attempts).unwrap_or(usize::MAX),
        "transaction",
    )
}

fn payout_lines(payout: &Payout, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut row = |name: &str, text: &str| lines.extend(field(name, text, width));
    let state = match &payout.reason {
        Some(reason) => format!("{}: {reason}", payout.status),
        None => payout.status.to_string(),
    };
    row("state", &state);
    row("claims", &payout.transfers.len().to_string());
    row("signed", &payout.created_time.to_string());
    row("changed", &payout.updated_time.to_string());
    if let Some(height) = payout.height {
        row("block", &height.to_string());
    }
    if let Some(height) = payout.used_height {
        row(
            "used",
            &format!("its number was seen used at height {height}"),
        );
    }
    if payout.wants_version {
        row("next", "another version is wanted, on better terms");
    }
    for (index, version) in payout.versions.iter().enumerate() {
        let counts = match payout.hash.as_ref() == Some(&version.hash) {
            true => ", the one in the block",
            false => "",
        };
        let text = format!("signed {}{counts}", version.created_time);
        lines.extend(field(&format!("version {}", index + 1), &text, width));
        lines.push(whole("", &version.hash));
        lines.extend(field("", &terms(&version.terms), width));
    }
    lines
}

/// The terms' members as a person reads them.
fn terms(json: &str) -> String {
    let Ok(Value::Object(terms)) = serde_json::from_str(json) else {
        return json.to_owned();
    };
    let members: Vec<_> = terms
        .iter()
        .filter(|(name, _)| *name != "kind")
        .map(|(name, value)| match value {
            Value::String(text) => format!("{name} {text}"),
            value => format!("{name} {value}"),
        })
        .collect();
    members.join(", ")
}

#[cfg(test)]
mod tests {
    use std::process::ExitCode;

    use offchain_store::test_util::{FakeAws, answer, item};

    use super::*;
    use crate::faucet::tests::{ADDRESS, claim, paying, site};

    fn account() -> Value {
        json!({
            "Name": "offchain-local-accountnumber", "address": ADDRESS, "Value": "0",
            "balance": "9", "fee_balance": "9", "sequence": 3, "height": 7,
            "observed_time": "2026-11-21T11:00:00.000Z",
        })
    }

    fn aws(payout: &Value) -> FakeAws {
        let mut sent = claim("aa");
        sent["status"] = "sent".into();
        sent["sequence"] = 7.into();
        sent["hash"] = "0xabc".into();
        FakeAws::new()
            .about("\"claims\"", "GetItem", item(&sent))
            .about("\"locks\"", "GetItem", item(&account()))
            .about("\"payouts\"", "GetItem", item(payout))
    }

    #[tokio::test]
    async fn a_claim_is_shown_with_every_version_of_its_payout() {
        let site = site(&aws(&paying(7, "aa")));
        let (claim, payout) = find(&site, "aa").await.unwrap();
        let report = report(&claim, payout.as_ref());
        let version = &report["payout"]["versions"][0];
        assert_eq!(version["terms"]["max_fee"], "7");
        assert_eq!(version.get("bytes"), None);
        let lines = payout_lines(&payout.unwrap(), 80);
        assert_eq!(
            lines[lines.len() - 3..],
            [
                "  version 1     signed 2026-11-21T11:00:01.000Z",
                "                0xabc",
                "                gas 21000, max_fee 7, priority_fee 1",
            ]
        );
        let lines = claim_lines(&claim, &site, 80);
        assert_eq!(lines[0], "  state         sent");
        assert!(
            lines.contains(&"  hash          0xabc".to_owned()),
            "{lines:?}"
        );
    }

    #[tokio::test]
    async fn a_payout_of_other_claims_is_not_this_one_s() {
        let (_, payout) = find(&site(&aws(&paying(7, "bb"))), "aa").await.unwrap();
        assert_eq!(payout, None);
    }

    #[tokio::test]
    async fn a_claim_that_is_not_there_is_a_no() {
        let aws = FakeAws::new().on("GetItem", answer(json!({})));
        let error = find(&site(&aws), "aa").await.unwrap_err();
        assert_eq!(error.exit_code(), ExitCode::from(1));
    }
}
