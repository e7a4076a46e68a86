//! `offchain faucet claims`

use std::collections::HashMap;
use std::process::ExitCode;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use clap::Args;
use jiff::Timestamp;
use offchain_faucet::ClaimStatus;
use offchain_store::AwsError;
use offchain_store::faucet::Claim;
use serde::de::IntoDeserializer;
use serde::{Deserialize, de};

use crate::dlq::clean;
use crate::error::CliError;
use crate::faucet::Site;
use crate::faucet::status::seconds;
use crate::output::{Output, bad, good};

/// Items read at most; of a larger table that is a sample.
const SAMPLE: usize = 20_000;
/// Claims that are shown where nobody says how many.
const LAST: usize = 20;
/// Claims that wait, at most.
const WAITING: usize = 1000;
/// Payouts that have not ended, at most.
const PAYOUTS: i32 = 100;

#[derive(Args)]
#[command(
    after_help = "Without options: the claims that are not paid yet. With one, the table is read \
                  from end to end.\n\nExamples:\n  offchain faucet claims\n  offchain faucet claims \
                  --status failed\n  offchain faucet claims --last 100 --json"
)]
pub(crate) struct List {
    /// Claims that are queued, sent, committed, paid, failed or expired.
    #[arg(long, value_parser = status)]
    status: Option<ClaimStatus>,
    /// So many of the newest, whatever became of them.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    last: Option<u16>,
}

fn status(text: &str) -> Result<ClaimStatus, String> {
    let read: Result<_, de::value::Error> = ClaimStatus::deserialize(text.into_deserializer());
    read.map_err(|_| "expected queued, sent, committed, paid, failed or expired".to_owned())
}

impl List {
    pub(crate) async fn run(self, site: &Site, output: &Output) -> Result<ExitCode, CliError> {
        let claims = self.read(site, output).await?;
        let now = Timestamp::now();
        output.show(&claims, |output| {
            if claims.is_empty() {
                return output.line("none");
            }
            let rows = claims.iter().map(|claim| row(claim, now)).collect();
            output.table(["claim", "age", "state", "address"], rows);
        })?;
        Ok(ExitCode::SUCCESS)
    }

    /// The oldest first.
    async fn read(&self, site: &Site, output: &Output) -> Result<Vec<Claim>, CliError> {
        if self.status.is_none() && self.last.is_none() {
            return unpaid(site).await;
        }
        let (mut claims, is_sample) = scan(site, self.status).await?;
        if is_sample {
            output.note(format!(
                "The table has more than {SAMPLE} claims: these are out of a sample."
            ));
        }
        claims.sort_by_key(|claim| claim.created_time);
        let most = self.last.map_or(LAST, usize::from);
        Ok(claims.split_off(claims.len().saturating_sub(most)))
    }
}

/// Those that wait, and those of payouts that have not ended.
async fn unpaid(site: &Site) -> Result<Vec<Claim>, CliError> {
    let tables = &site.tables;
    let waiting = tables.desk.claims.waiting(WAITING).await?;
    let mut ids: Vec<_> = waiting
        .into_iter()
        .map(|claim| claim.waiting.claim_id)
        .collect();
    for (account, sequence) in tables.payouts.open(PAYOUTS).await? {
        if let Some(payout) = tables.payouts.get(&account, sequence).await? {
            ids.extend(
                payout
                    .transfers
                    .into_iter()
                    .map(|transfer| transfer.claim_id),
            );
        }
    }
    let mut claims = HashMap::new();
    for id in ids {
        if !claims.contains_key(&id)
            && let Some(claim) = tables.desk.claims.get(&id).await?
            && claim.status.is_open()
        {
            claims.insert(id, claim);
        }
    }
    let mut claims: Vec<_> = claims.into_values().collect();
    claims.sort_by_key(|claim| claim.created_time);
    Ok(claims)
}

/// The claims of the whole table, and whether it was too large to be read to
/// its end. No index has those that have ended.
async fn scan(site: &Site, status: Option<ClaimStatus>) -> Result<(Vec<Claim>, bool), CliError> {
    let client = Client::new(&site.sdk);
    let mut claims = Vec::new();
    let mut read = 0;
    let mut start = None;
    loop {
        let page = client
            .scan()
            .table_name(&site.config.tables.claims)
            .set_exclusive_start_key(start)
            .send()
            .await
            .map_err(AwsError::from)?;
        let items: Vec<HashMap<String, AttributeValue>> = page.items.unwrap_or_default();
        read += items.len();
        for item in items {
            let claim: Claim = serde_dynamo::from_item(item)
                .map_err(|error| CliError::Aws(format!("an item is no claim: {error}")))?;
            if status.is_none_or(|status| status == claim.status) {
                claims.push(claim);
            }
        }
        start = page.last_evaluated_key;
        if start.is_none() || read >= SAMPLE {
            return Ok((claims, start.is_some()));
        }
    }
}

fn row(claim: &Claim, now: Timestamp) -> [String; 4] {
    let age = now.duration_since(claim.created_time.timestamp()).as_secs();
    [
        claim.claim_id.clone(),
        seconds(age),
        state(claim),
        claim.address.clone(),
    ]
}

/// Where a claim is, and why.
pub(crate) fn state(claim: &Claim) -> String {
    let reason = claim.reason.as_deref().map(clean);
    let text = match reason {
        Some(reason) => format!("{}: {reason}", claim.status),
        None => claim.status.to_string(),
    };
    match claim.status {
        ClaimStatus::Paid | ClaimStatus::Committed => good(text),
        ClaimStatus::Failed | ClaimStatus::Expired => bad(text),
        ClaimStatus::Queued | ClaimStatus::Sent => text,
    }
}

#[cfg(test)]
mod tests {
    use offchain_store::test_util::{FakeAws, item, items, page};
    use serde_json::{Value, json};

    use super::*;
    use crate::faucet::tests::{ADDRESS, claim, paying, site};
    use crate::output::{plain, table};

    fn at(id: &str, second: u32, status: &str) -> Value {
        let mut claim = claim(id);
        claim["created_time"] = format!("2026-11-21T11:00:{second:02}.000Z").into();
        claim["status"] = status.into();
        claim
    }

    async fn ids(aws: &FakeAws, list: &List) -> Vec<String> {
        let claims = list.read(&site(aws), &Output::new(true)).await.unwrap();
        claims.into_iter().map(|claim| claim.claim_id).collect()
    }

    #[tokio::test]
    async fn those_that_are_not_paid_yet_are_found_by_the_indexes() {
        let aws = FakeAws::new()
            .about("open-claims", "Query", items(&[at("waits", 3, "queued")]))
            .about(
                "open-payouts",
                "Query",
                items(&[json!({"account": ADDRESS, "sequence": 7})]),
            )
            .about("\"payouts\"", "GetItem", item(&paying(7, "sent")))
            .about("waits", "GetItem", item(&at("waits", 3, "queued")))
            .about("\"sent\"", "GetItem", item(&at("sent", 2, "sent")));
        let list = List {
            status: None,
            last: None,
        };
        assert_eq!(ids(&aws, &list).await, ["sent", "waits"]);
        assert!(aws.sent("Scan").is_empty());
    }

    #[tokio::test]
    async fn the_newest_of_all_are_found_by_reading_the_table() {
        let aws = || {
            FakeAws::new()
                .on(
                    "Scan",
                    page(
                        &[at("c", 3, "paid"), at("a", 1, "failed")],
                        &json!({"claim_id": "a"}),
                    ),
                )
                .on("Scan", items(&[at("b", 2, "paid")]))
        };
        let list = |status, last| List { status, last };
        assert_eq!(ids(&aws(), &list(None, Some(2))).await, ["b", "c"]);
        let failed = list(Some(status("failed").unwrap()), None);
        assert_eq!(ids(&aws(), &failed).await, ["a"]);
        assert!(status("lost").is_err());
    }

    #[test]
    fn a_claim_is_one_row() {
        let mut item = at(&"a".repeat(32), 0, "expired");
        item["reason"] = "faucet_empty".into();
        let claim: Claim = serde_json::from_value(item).unwrap();
        let now = "2026-11-21T11:05:00Z".parse().unwrap();
        let shown = table(
            ["claim", "age", "state", "address"],
            vec![row(&claim, now)],
            Some(120),
        );
        let last = plain(&shown).lines().last().unwrap().to_owned();
        assert_eq!(
            last,
            format!(
                " {}  5 min  expired: faucet_empty  {ADDRESS}",
                "a".repeat(32)
            )
        );
    }
}
