//! `offchain faucet status`, and the faucet's part of `offchain status`.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use aws_config::SdkConfig;
use clap::Args;
use jiff::Timestamp;
use offchain_chains::{Account, Chain, ChainFault};
use offchain_codes::Coded;
use offchain_faucet::{PayoutStatus, budget_day, budget_resets, coins};
use offchain_store::Moment;
use offchain_store::faucet::{AccountRecord, Broken, OpenClaim, Payout};
use serde::Serialize;

use crate::dlq::{age, clean, count};
use crate::error::CliError;
use crate::faucet::Site;
use crate::faucet::settings::Settings;
use crate::output::{Output, bad, good, warning};
use crate::stack::Stack;

/// More claims than a person counts.
const CLAIMS: usize = 1000;
/// More payouts than are open at once.
const PAYOUTS: i32 = 100;
/// Claims that a person sees; `claims` has them all.
const SHOWN: usize = 10;
/// How long the chain may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Args)]
#[command(
    after_help = "Sums are text in the coin's smallest unit with --json.\n\nExit: 0 all is well, \
                  1 the faucet is broken, empty, without a key, or the oldest claim waits too long"
)]
pub(crate) struct Status {
    /// How many seconds the oldest claim that is not paid may wait.
    #[arg(long, value_name = "SECONDS", default_value_t = LATE)]
    late: i64,
}

/// What is known of a faucet. Sums are text, in the smallest unit.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    network: String,
    /// What is wrong: `no_key`, `unfunded`, `empty`, `broken`, `late`.
    problems: Vec<&'static str>,
    account: Option<AccountReport>,
    /// Why the chain could not be asked, where it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    chain_error: Option<String>,
    amount: String,
    symbol: String,
    decimals: u8,
    broken: Option<Broken>,
    waiting: Waiting,
    payouts: Vec<PayoutReport>,
    budget: Budget,
    /// Whether anything is sent.
    send: bool,
}

#[derive(Debug, Serialize)]
struct AccountReport {
    address: String,
    balance: String,
    fee_balance: String,
    sequence: u64,
    height: u64,
    observed_time: Moment,
    /// Whether the chain said so just now; else it is what was last seen.
    is_fresh: bool,
}

#[derive(Debug, Serialize)]
struct Waiting {
    claims: usize,
    /// Of claims that wait and of payouts that have not ended.
    oldest_unpaid_seconds: i64,
    /// How many wait for which reason.
    reasons: BTreeMap<String, usize>,
    oldest: Vec<WaitingClaim>,
}

#[derive(Debug, Serialize)]
struct WaitingClaim {
    claim_id: String,
    reason: String,
    age_seconds: i64,
    address: String,
}

#[derive(Debug, Serialize)]
struct PayoutReport {
    account: String,
    sequence: u64,
    status: PayoutStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    claims: usize,
    versions: usize,
    age_seconds: i64,
    hash: String,
}

#[derive(Debug, Serialize)]
struct Budget {
    daily: String,
    spent: String,
    left: String,
    resets_time: Timestamp,
}

/// What the tables say at one moment.
struct Seen {
    account: Option<AccountRecord>,
    /// What the chain says; `None` where it was not asked.
    chain: Option<Result<Account, Unseen>>,
    broken: Option<Broken>,
    waiting: Vec<OpenClaim>,
    payouts: Vec<Payout>,
    spent: u128,
    now: Timestamp,
}

/// Why the chain said nothing of the account.
enum Unseen {
    /// It does not know it.
    Unfunded,
    /// It did not answer.
    Unanswered(String),
}

impl Status {
    pub(crate) async fn run(self, site: &Site, output: &Output) -> Result<ExitCode, CliError> {
        let mut seen = Seen::of_tables(site).await?;
        if let Some(account) = &seen.account {
            seen.chain = Some(ask(site, &account.address).await);
        }
        let report = Report::of(site, seen, self.late);
        output.show(&report, |output| report.print(output))?;
        Ok(ExitCode::from(u8::from(!report.problems.is_empty())))
    }
}

async fn ask(site: &Site, address: &str) -> Result<Account, Unseen> {
    match tokio::time::timeout(PATIENCE, site.chain.account(address, 0)).await {
        Ok(Ok(account)) => Ok(account),
        Ok(Err(ChainFault::UnknownAccount(_))) => Err(Unseen::Unfunded),
        Ok(Err(fault)) => Err(Unseen::Unanswered(format!("{}: {fault}", fault.code()))),
        Err(_) => Err(Unseen::Unanswered(format!(
            "no answer for {} s",
            PATIENCE.as_secs()
        ))),
    }
}

/// The faucet's part of `offchain status`, of the tables alone; `None` where
/// the deployment has no faucet.
pub(crate) async fn report(stack: &Stack, config: &SdkConfig) -> Result<Option<Report>, CliError> {
    let Some(faucet) = &stack.faucet else {
        return Ok(None);
    };
    let settings = Settings::of_stack(&faucet.environment).config()?;
    let site = Site::new(settings, config.clone())?;
    let seen = Seen::of_tables(&site).await?;
    Ok(Some(Report::of(&site, seen, LATE)))
}

/// As the alarm has it where nobody sets it.
const LATE: i64 = 600;

impl Seen {
    async fn of_tables(site: &Site) -> Result<Self, CliError> {
        let tables = &site.tables;
        let now = Timestamp::now();
        let day = budget_day(now);
        let (account, broken, waiting, open, spent) = tokio::try_join!(
            tables.locks.account(&tables.names.account),
            tables.locks.broken(&tables.names.broken),
            tables.desk.claims.waiting(CLAIMS),
            tables.payouts.open(PAYOUTS),
            tables.desk.limits.spent(&day),
        )?;
        let mut payouts = Vec::new();
        for (account, sequence) in open {
            // The index is a moment late.
            payouts.extend(
                tables
                    .payouts
                    .get(&account, sequence)
                    .await?
                    .filter(|payout| payout.status.is_open()),
            );
        }
        Ok(Self {
            account,
            chain: None,
            broken,
            waiting,
            payouts,
            spent,
            now,
        })
    }
}

impl Report {
    fn of(site: &Site, seen: Seen, late: i64) -> Self {
        let policy = &site.config.intake;
        let now = seen.now;
        let age = |time: Moment| now.duration_since(time.timestamp()).as_secs().max(0);
        let unfunded = match (&seen.chain, &seen.account) {
            (Some(Err(Unseen::Unfunded)), _) => true,
            (Some(Ok(_)), _) => false,
            (_, Some(account)) => account.height == 0,
            (_, None) => false,
        };
        let chain_error = match &seen.chain {
            Some(Err(Unseen::Unanswered(why))) => Some(clean(why)),
            _ => None,
        };
        let account = seen.account.map(|known| match seen.chain {
            Some(Ok(account)) => AccountReport {
                address: known.address,
                balance: account.balance.to_string(),
                fee_balance: account.fee_balance.to_string(),
                sequence: account.sequence,
                height: account.height,
                observed_time: now.into(),
                is_fresh: true,
            },
            _ => AccountReport {
                address: known.address,
                balance: known.balance,
                fee_balance: known.fee_balance,
                sequence: known.sequence,
                height: known.height,
                observed_time: known.observed_time,
                is_fresh: false,
            },
        });
        let unpaid = seen.waiting.iter().map(|claim| claim.created_time);
        let sent = seen
            .payouts
            .iter()
            .filter(|payout| payout.status != PayoutStatus::Committed)
            .map(|payout| payout.created_time);
        let waiting = Waiting {
            claims: seen.waiting.len(),
            oldest_unpaid_seconds: unpaid.chain(sent).map(age).max().unwrap_or(0),
            reasons: reasons(&seen.waiting),
            oldest: seen
                .waiting
                .iter()
                .take(SHOWN)
                .map(|claim| WaitingClaim {
                    claim_id: claim.waiting.claim_id.clone(),
                    reason: reason(claim).to_owned(),
                    age_seconds: age(claim.created_time),
                    address: claim.waiting.address.clone(),
                })
                .collect(),
        };
        let balance = account
            .as_ref()
            .and_then(|account| account.balance.parse().ok());
        let empty = balance.unwrap_or(0) < policy.amount;
        let problems = [
            (account.is_none(), "no_key"),
            (unfunded, "unfunded"),
            (account.is_some() && !unfunded && empty, "empty"),
            (seen.broken.is_some(), "broken"),
            (waiting.oldest_unpaid_seconds > late, "late"),
        ];
        Self {
            network: site.config.network.clone(),
            problems: problems
                .into_iter()
                .filter_map(|(is_so, problem)| is_so.then_some(problem))
                .collect(),
            account,
            chain_error,
            amount: policy.amount.to_string(),
            symbol: policy.symbol.clone(),
            decimals: policy.decimals,
            broken: seen.broken,
            waiting,
            payouts: seen
                .payouts
                .iter()
                .map(|payout| PayoutReport {
                    account: payout.account.clone(),
                    sequence: payout.sequence,
                    status: payout.status,
                    reason: payout.reason.clone(),
                    claims: payout.transfers.len(),
                    versions: payout.versions.len(),
                    age_seconds: age(payout.created_time),
                    hash: payout
                        .hash
                        .clone()
                        .or_else(|| payout.last().map(|version| version.hash.clone()))
                        .unwrap_or_default(),
                })
                .collect(),
            budget: Budget {
                daily: policy.daily_budget.to_string(),
                spent: seen.spent.to_string(),
                left: policy.daily_budget.saturating_sub(seen.spent).to_string(),
                resets_time: budget_resets(now),
            },
            send: policy.send,
        }
    }

    fn print(&self, output: &Output) {
        output.title(format!("Faucet of {}", self.network));
        self.lines().into_iter().for_each(|line| output.line(line));
        if !self.waiting.oldest.is_empty() {
            output.line("");
            let rows = self.waiting.oldest.iter().map(WaitingClaim::row).collect();
            output.table(["claim", "age", "waits", "address"], rows);
            if self.waiting.claims > SHOWN {
                output.note("All of them: `offchain faucet claims`");
            }
        }
        if !self.payouts.is_empty() {
            output.line("");
            let rows = self.payouts.iter().map(PayoutReport::row).collect();
            output.table(["payout", "claims", "age", "state", "hash"], rows);
        }
    }

    /// What matters, one line each.
    pub(crate) fn lines(&self) -> Vec<String> {
        let row = |name: &str, text: String| format!("{name:<10} {text}");
        let mut lines = vec![row("state", self.state())];
        match &self.account {
            None => lines.push(row("account", bad("none: `offchain faucet key create`"))),
            Some(account) => {
                let seen = match account.is_fresh {
                    _ if account.height == 0 => "never on the chain".to_owned(),
                    true => format!("at block {}", account.height),
                    false => format!(
                        "at block {}, {:.0}",
                        account.height,
                        account.observed_time.timestamp()
                    ),
                };
                lines.push(row("account", account.address.clone()));
                lines.push(row("balance", self.coins(&account.balance)));
                let units = format!("{} of the smallest unit", account.balance);
                lines.push(row("", units));
                lines.push(row("seen", seen));
            }
        }
        if let Some(why) = &self.chain_error {
            lines.push(row("chain", warning(format!("cannot be asked: {why}"))));
        }
        if let Some(broken) = &self.broken {
            let since = broken.since.timestamp();
            lines.push(row(
                "broken",
                bad(format!("{} since {since:.0}", broken.code)),
            ));
            lines.push(row("", clean(&broken.reason)));
        }
        lines.push(row("waiting", self.waiting.text()));
        let unended = count(self.payouts.len(), "payout");
        lines.push(row("sent", format!("{unended} not ended")));
        lines.push(row(
            "budget",
            format!(
                "{} of {} given out today",
                self.coins(&self.budget.spent),
                self.coins(&self.budget.daily)
            ),
        ));
        lines
    }

    fn state(&self) -> String {
        let state = match self.problems.as_slice() {
            [] => good("all is well"),
            problems => {
                let told: Vec<_> = problems.iter().map(|problem| self.told(problem)).collect();
                bad(told.join("; "))
            }
        };
        match self.send {
            true => state,
            false => format!("{state}; sending is disabled"),
        }
    }

    fn told(&self, problem: &str) -> String {
        match problem {
            "no_key" => "it has no key".to_owned(),
            "unfunded" => "its account was never funded".to_owned(),
            "empty" => format!("empty: a claim takes {}", self.coins(&self.amount)),
            "late" => format!(
                "the oldest claim waits for {}",
                seconds(self.waiting.oldest_unpaid_seconds)
            ),
            other => other.to_owned(),
        }
    }

    /// A sum in whole coins.
    fn coins(&self, units: &str) -> String {
        match units.parse() {
            Ok(units) => format!("{} {}", coins(units, self.decimals), clean(&self.symbol)),
            Err(_) => format!("{units} of the smallest unit"),
        }
    }
}

impl Waiting {
    fn text(&self) -> String {
        if self.claims == 0 {
            return "nothing".to_owned();
        }
        let reasons: Vec<_> = self
            .reasons
            .iter()
            .map(|(reason, count)| format!("{count} {}", clean(reason)))
            .collect();
        let least = if self.claims >= CLAIMS {
            "at least "
        } else {
            ""
        };
        format!(
            "{least}{} ({}), the oldest for {}",
            count(self.claims, "claim"),
            reasons.join(", "),
            seconds(self.oldest.first().map_or(0, |claim| claim.age_seconds))
        )
    }
}

impl WaitingClaim {
    fn row(&self) -> [String; 4] {
        [
            self.claim_id.clone(),
            seconds(self.age_seconds),
            clean(&self.reason),
            self.address.clone(),
        ]
    }
}

impl PayoutReport {
    fn row(&self) -> [String; 5] {
        let state = match &self.reason {
            Some(reason) => format!("{}: {}", self.status, clean(reason)),
            None => self.status.to_string(),
        };
        [
            self.sequence.to_string(),
            self.claims.to_string(),
            seconds(self.age_seconds),
            state,
            self.hash.clone(),
        ]
    }
}

fn reason(claim: &OpenClaim) -> &str {
    claim.reason.as_deref().unwrap_or("waiting")
}

fn reasons(waiting: &[OpenClaim]) -> BTreeMap<String, usize> {
    let mut reasons = BTreeMap::new();
    for claim in waiting {
        *reasons.entry(reason(claim).to_owned()).or_default() += 1;
    }
    reasons
}

/// A stretch of time, roughly.
pub(crate) fn seconds(seconds: i64) -> String {
    age(seconds.max(0).unsigned_abs())
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use offchain_store::test_util::{FakeAws, answer, item, items};
    use serde_json::{Value, json};

    use super::*;
    use crate::faucet::tests::{ADDRESS, claim, paying, site};
    use crate::output::plain;

    fn now() -> Timestamp {
        "2026-11-21T11:03:00Z".parse().unwrap()
    }

    fn known(balance: &str, height: u64) -> AccountRecord {
        AccountRecord {
            address: ADDRESS.to_owned(),
            number: "0".to_owned(),
            balance: balance.to_owned(),
            fee_balance: balance.to_owned(),
            sequence: 3,
            height,
            observed_time: now().into(),
        }
    }

    /// A faucet with two coins, for which nothing waits.
    fn seen() -> Seen {
        Seen {
            account: Some(known("2000000000000000000", 7)),
            chain: None,
            broken: None,
            waiting: Vec::new(),
            payouts: Vec::new(),
            spent: 0,
            now: now(),
        }
    }

    fn report(seen: Seen) -> Report {
        Report::of(&site(&FakeAws::new()), seen, LATE)
    }

    fn waiting(id: &str, reason: Option<&str>, since: i64) -> OpenClaim {
        OpenClaim {
            waiting: offchain_faucet::Waiting {
                claim_id: id.to_owned(),
                address: ADDRESS.to_owned(),
                amount: 1,
                attempts: 0,
            },
            created_time: (now() - SignedDuration::from_secs(since)).into(),
            deadline: now().into(),
            reason: reason.map(str::to_owned),
        }
    }

    #[test]
    fn all_is_well_with_coins_and_nothing_that_waits() {
        let report = report(seen());
        assert!(report.problems.is_empty());
        assert_eq!(
            plain(&report.lines().join("\n")),
            format!(
                "state      all is well\n\
                 account    {ADDRESS}\n\
                 balance    2 ETH\n           \
                 2000000000000000000 of the smallest unit\n\
                 seen       at block 7, 2026-11-21T11:03:00Z\n\
                 waiting    nothing\n\
                 sent       0 payouts not ended\n\
                 budget     0 ETH of 5 ETH given out today"
            )
        );
    }

    #[test]
    fn what_the_chain_says_counts_more_than_what_was_seen() {
        let account = |balance| Account {
            sequence: 4,
            number: 0,
            balance,
            fee_balance: balance,
            height: 9,
        };
        let report_of = |chain| {
            report(Seen {
                chain: Some(chain),
                ..seen()
            })
        };
        let empty = report_of(Ok(account(5)));
        assert_eq!(empty.problems, ["empty"]);
        let account_report = empty.account.unwrap();
        assert!(account_report.is_fresh);
        assert_eq!(
            (account_report.balance.as_str(), account_report.height),
            ("5", 9)
        );
        let unfunded = report_of(Err(Unseen::Unfunded));
        assert_eq!(unfunded.problems, ["unfunded"]);
        let silent = report_of(Err(Unseen::Unanswered(
            "ChainUnavailable: no node".to_owned(),
        )));
        assert!(silent.problems.is_empty());
        let lines = plain(&silent.lines().join("\n"));
        assert!(
            lines.contains("cannot be asked: ChainUnavailable: no node"),
            "{lines}"
        );
        assert!(lines.contains("balance    2 ETH"), "{lines}");
    }

    #[test]
    fn what_is_wrong_is_said() {
        let broken = Broken {
            code: "BroadcastUnknown".to_owned(),
            reason: "payout 7: timed out".to_owned(),
            since: now().into(),
        };
        let report = report(Seen {
            account: Some(known("0", 7)),
            broken: Some(broken),
            waiting: vec![
                waiting("aa", Some("faucet_empty"), 601),
                waiting("bb", Some("faucet_empty"), 30),
                waiting("cc", None, 1),
            ],
            spent: 1_500_000_000_000_000_000,
            ..seen()
        });
        assert_eq!(report.problems, ["empty", "broken", "late"]);
        let lines = plain(&report.lines().join("\n"));
        for part in [
            "state      empty: a claim takes 1 ETH; broken; the oldest claim waits for 10 min",
            "broken     BroadcastUnknown since 2026-11-21T11:03:00Z",
            "payout 7: timed out",
            "waiting    3 claims (2 faucet_empty, 1 waiting), the oldest for 10 min",
            "budget     1.5 ETH of 5 ETH given out today",
        ] {
            assert!(lines.contains(part), "{part} is not in {lines}");
        }
        assert_eq!(
            report.waiting.oldest[1].row(),
            ["bb", "30 s", "faucet_empty", ADDRESS]
        );
    }

    #[test]
    fn an_account_that_nobody_made_or_saw_is_told_apart() {
        let none = report(Seen {
            account: None,
            ..seen()
        });
        assert_eq!(none.problems, ["no_key"]);
        let unseen = report(Seen {
            account: Some(known("0", 0)),
            ..seen()
        });
        assert_eq!(unseen.problems, ["unfunded"]);
    }

    #[test]
    fn a_payout_that_no_block_has_keeps_its_claims_waiting() {
        let payout = |status: &str| -> Payout {
            let mut payout = paying(7, "aa");
            payout["status"] = status.into();
            payout["created_time"] = "2026-11-21T10:50:00Z".into();
            serde_json::from_value(payout).unwrap()
        };
        let of = |status| {
            report(Seen {
                payouts: vec![payout(status)],
                ..seen()
            })
        };
        assert_eq!(of("sent").problems, ["late"]);
        assert!(of("committed").problems.is_empty());
        assert_eq!(
            of("sent").payouts[0].row(),
            ["7", "1", "13 min", "sent", "0xabc"]
        );
    }

    #[tokio::test]
    async fn the_overview_is_of_the_tables_alone() {
        let flag = json!({
            "Name": "offchain-local-brokenflag", "Value": "AccountEmpty", "reason": "r",
            "since": "2026-11-21T11:00:00.000Z",
        });
        let account = json!({
            "Name": "offchain-local-accountnumber", "address": ADDRESS, "Value": "0",
            "balance": "9000000000000000000", "fee_balance": "9", "sequence": 3, "height": 7,
            "observed_time": "2026-11-21T11:00:00.000Z",
        });
        let aws = FakeAws::new()
            .about("accountnumber", "GetItem", item(&account))
            .about("brokenflag", "GetItem", item(&flag))
            .about("budget#", "GetItem", answer(json!({})))
            .about("\"payouts\"", "GetItem", item(&paying(7, "bb")))
            .about("open-claims", "Query", items(&[claim("aa")]))
            .about(
                "open-payouts",
                "Query",
                items(&[json!({"account": ADDRESS, "sequence": 7})]),
            );
        let seen = Seen::of_tables(&site(&aws)).await.unwrap();
        let report = json!(report(seen));
        assert_eq!(report["problems"], json!(["broken", "late"]));
        assert_eq!(report["broken"]["Value"], "AccountEmpty");
        assert_eq!(report["waiting"]["reasons"], json!({"waiting": 1}));
        assert_eq!(report["payouts"][0]["hash"], "0xabc");
        assert_eq!(report["account"]["is_fresh"], json!(false));
        assert_eq!(report["chain_error"], Value::Null);
    }
}
