//! The suite end to end: real binaries, real Terraform, IAM enforced.
//! `scripts/test --e2e` brings the stack up and runs it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test may fail anywhere"
)]

mod alarms;
mod beside;
mod bigchain;
mod chain;
mod command;
mod epochs;
mod expiry;
mod faucet;
mod faucet_chain_faults;
mod faucet_command;
mod faucet_faults;
mod faucet_iam;
mod faucet_limits;
mod faucet_many;
mod faucet_secrets;
mod faucet_sweep;
mod faucet_world;
mod faults;
mod fulfilment;
mod garbage;
mod harness;
mod heights;
mod iam;
mod intake;
mod ledger;
mod ledger_faults;
mod ledger_iam;
mod ledger_retries;
mod ledger_soak;
mod ledger_webhook;
mod ledger_world;
mod oracle;
mod oracle_alarms;
mod oracle_api;
mod oracle_command;
mod oracle_faults;
mod oracle_flow;
mod oracle_garbage;
mod oracle_machine;
mod oracle_secrets;
mod proxy;
mod redrive;
mod redrive_command;
mod redrive_faults;
mod redrive_sources;
mod rides;
mod rides_faults;
mod rides_migration;
mod runtime_api;
mod source;
mod twin;
mod wire;
