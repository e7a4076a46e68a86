//! `offchain faucet`: make its key, see how it does, pay from it, serve it.

mod captcha;
mod claims;
mod intake_secret;
mod key;
mod send;
mod serve;
mod settings;
mod show;
mod site;
pub(crate) mod status;
pub(crate) mod visit;

pub(crate) use site::Site;

use std::path::Path;
use std::process::ExitCode;

use clap::Subcommand;
use offchain_faucet::coins;

use crate::error::CliError;
use crate::output::Output;
use crate::stack::Stack;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// The key of the account that pays.
    #[command(subcommand)]
    Key(key::Command),
    /// The secret that a captcha's provider gave for this faucet.
    #[command(subcommand)]
    Captcha(captcha::Command),
    /// The account, what waits and why: exit 0 all is well, 1 broken, empty or late.
    Status(status::Status),
    /// List claims: those that are not paid yet, or the newest of all.
    Claims(claims::List),
    /// Show a claim, and the payout that it belongs to.
    Show(show::Show),
    /// Pay an address from the faucet, without its limits: exit 0 in a block, 1 not.
    Send(send::Send),
    /// Serve the faucet from this process: the API, the page, and the payouts.
    Serve(Box<serve::Serve>),
}

impl Command {
    pub(crate) async fn run(
        self,
        stack: Option<&Path>,
        output: &Output,
    ) -> Result<ExitCode, CliError> {
        let site = async || Site::of_stack(&Stack::load(stack)?).await;
        match self {
            Self::Key(command) => command.run(stack, output).await,
            Self::Captcha(command) => command.run(&site().await?, output).await,
            Self::Status(status) => status.run(&site().await?, output).await,
            Self::Claims(list) => list.run(&site().await?, output).await,
            Self::Show(show) => show.run(&site().await?, output).await,
            Self::Send(send) => send.run(&site().await?, output).await,
            Self::Serve(serve) => serve.run(stack, output).await,
        }
    }
}

/// A sum for a person: in whole coins, and in the smallest unit.
fn sum(units: u128, site: &Site) -> String {
    let policy = &site.config.intake;
    format!(
        "{} {} ({units} of the smallest unit)",
        coins(units, policy.decimals),
        policy.symbol
    )
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeMap;

    use offchain_store::test_util::FakeAws;
    use serde_json::{Value, json};

    use super::*;
    use crate::faucet::settings::Settings;

    /// The address of the key 1.
    pub(crate) const ADDRESS: &str = "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf";

    pub(crate) fn policy() -> Value {
        json!({
            "amount": "1000000000000000000",
            "symbol": "ETH",
            "decimals": 18,
            "origins": [],
            "trusted_proxies": 0,
            "throttle": {"per_minute": 10, "burst": 10},
            "address_cooldown_seconds": 60,
            "source": {"claims": 5, "window_seconds": 60},
            "daily_budget": "5000000000000000000",
            "claim_deadline_seconds": 600,
            "wait_seconds": 15,
            "captcha": null,
            "proof_of_work": {"bits": 1, "valid_seconds": 60},
            "retention_days": 1,
            "send": true,
            "limits": true,
        })
    }

    pub(crate) fn payout() -> Value {
        json!({
            "batch": 50,
            "in_flight": 4,
            "confirmations": 1,
            "attempts": 3,
            "bump_seconds": 60,
            "lease_seconds": 60,
            "settle_deadline_seconds": 600,
            "low_balance": "1",
            "amount": "1000000000000000000",
            "retention_days": 1,
            "decimals": 18,
        })
    }

    pub(crate) fn evm() -> Value {
        json!({
            "kind": "evm",
            "nodes": [{"url": "https://node.test/access-key"}],
            "chain_id": 31337,
            "max_fee_wei": "100000000000",
            "priority_fee_wei": "1000000000",
        })
    }

    pub(crate) fn cosmos() -> Value {
        json!({
            "kind": "cosmos",
            "nodes": [{"url": "https://rest.test/access-key"}, {"url": "https://second.test"}],
            "chain_id": "testing",
            "prefix": "cosmos",
            "denom": "photon",
            "fee_denom": "stake",
            "gas_price": "0.1",
            "gas": 100_000,
            "gas_each": 20_000,
            "memo": "faucet drop",
            "timeout_blocks": 20,
        })
    }

    /// What the stack says of a faucet on this chain.
    pub(crate) fn environment(chain: &Value) -> BTreeMap<String, String> {
        [
            ("FAUCET_ENVIRONMENT", "offchain".to_owned()),
            ("FAUCET_NETWORK", "local".to_owned()),
            ("FAUCET_CHAIN", chain.to_string()),
            ("FAUCET_TABLE", "claims".to_owned()),
            ("FAUCET_LIMITS_TABLE", "limits".to_owned()),
            ("FAUCET_LOCKS_TABLE", "locks".to_owned()),
            ("FAUCET_PAYOUTS_TABLE", "payouts".to_owned()),
            ("FAUCET_POLICY", policy().to_string()),
            ("FAUCET_PAYOUT", payout().to_string()),
            ("FAUCET_KEY_SECRET_ARN", "arn:key".to_owned()),
            ("FAUCET_INTAKE_SECRET_ARN", "arn:intake".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// A faucet on an EVM chain.
    pub(crate) fn site(aws: &FakeAws) -> Site {
        let config = Settings::of_stack(&environment(&evm())).config().unwrap();
        Site {
            queue_url: Some("https://sqs.test/claims".to_owned()),
            ..Site::new(config, aws.sdk_config()).unwrap()
        }
    }

    /// A claim that waits, as its item has it.
    pub(crate) fn claim(id: &str) -> Value {
        json!({
            "claim_id": id,
            "address": ADDRESS,
            "amount": "1000000000000000000",
            "status": "queued",
            "attempts": 0,
            "created_time": "2026-11-21T11:00:00.000Z",
            "updated_time": "2026-11-21T11:00:00.000Z",
            "deadline": "2026-11-21T11:10:00.000Z",
            "expiration": 2_000_000_000,
        })
    }

    /// A payout of one claim, as its item has it.
    pub(crate) fn paying(sequence: u64, id: &str) -> Value {
        json!({
            "account": ADDRESS,
            "sequence": sequence,
            "status": "sent",
            "transfers": [{"claim_id": id, "address": ADDRESS, "amount": "1000000000000000000"}],
            "versions": [{
                "hash": "0xabc",
                "bytes": "02f8",
                "terms": "{\"kind\":\"evm\",\"gas\":21000,\"max_fee\":\"7\",\"priority_fee\":\"1\"}",
                "created_time": "2026-11-21T11:00:01.000Z",
            }],
            "wants_version": false,
            "created_time": "2026-11-21T11:00:01.000Z",
            "updated_time": "2026-11-21T11:00:01.000Z",
            "deadline": "2026-11-21T11:10:01.000Z",
        })
    }

    #[test]
    fn a_sum_is_told_in_both_units() {
        let site = site(&FakeAws::new());
        assert_eq!(
            sum(1_500_000_000_000_000_000, &site),
            "1.5 ETH (1500000000000000000 of the smallest unit)"
        );
    }
}
