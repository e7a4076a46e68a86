//! The `offchain` command: use a deployment, verify its proofs, see what it does.
//!
//! Exit codes: 0 for success; 1 where the answer is no (a bundle or a reading is
//! invalid, a request expired, a letter was not redriven, the faucet is broken or
//! empty, nobody listens to the ledger); 2 where the input cannot be used; 3 where the deployment could not be
//! reached or refused; 130 where a second signal ended a process that served.

mod api;
mod aws;
mod cost;
mod daemon;
mod demo;
mod dlq;
mod error;
mod faucet;
mod keys;
mod ledger;
mod oracle;
mod output;
mod percentiles;
mod rides;
mod secret;
mod stack;
mod status;
mod stdin;
mod vrf;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::error::CliError;
use crate::output::Output;
use crate::stack::Stack;

/// Serverless services that a blockchain needs beside it.
#[derive(Parser)]
#[command(name = "offchain", version, about, max_term_width = 100)]
struct Args {
    /// The deployment: a file with the Terraform output `stack`.
    #[arg(long, env = "OFFCHAIN_STACK", global = true, value_name = "FILE")]
    stack: Option<PathBuf>,

    /// Print JSON for machines.
    #[arg(long, global = true)]
    json: bool,

    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Verifiable random numbers.
    #[command(subcommand)]
    Vrf(vrf::Command),
    /// Signed values of feeds, one a slot.
    #[command(subcommand)]
    Oracle(oracle::Command),
    /// Rides, the example of events whose recording survives failure.
    #[command(subcommand)]
    Rides(rides::Command),
    /// Test coins of a chain: serve, look after and use a faucet.
    #[command(subcommand)]
    Faucet(faucet::Command),
    /// Assets of a ledger, and who follows it: listen, look, replay, rotate secrets.
    #[command(subcommand)]
    Ledger(ledger::Command),
    /// One screen: requests, feeds, lateness, the faucet, the ledger, queues, quarantine, alarms.
    Status,
    /// What the dead-letter queues hold, and how it goes back where it came from.
    #[command(subcommand)]
    Dlq(dlq::Command),
    /// What designs and this deployment cost a month.
    Cost(cost::Cost),
    /// Makes a few requests and shows them being fulfilled, then the next slots of a feed,
    /// then a claim of the faucet, then a car of the ledger that changes hands.
    Demo(demo::Demo),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let args = Args::parse();
    let output = Output::new(args.json);
    match run(args, &output).await {
        Ok(code) => code,
        Err(error) => {
            output.error(&error);
            error.exit_code()
        }
    }
}

async fn run(args: Args, output: &Output) -> Result<ExitCode, CliError> {
    let load = || Stack::load(args.stack.as_deref());
    match args.command {
        // Verifying needs no deployment, and most questions of cost need none.
        Command::Vrf(vrf::Command::Verify(verify)) => verify.run(output),
        Command::Oracle(oracle::Command::Verify(verify)) => verify.run(output),
        Command::Cost(cost) => cost.run(args.stack.as_deref(), output).await,
        Command::Vrf(command) => command.run(&load()?, output).await,
        Command::Oracle(command) => command.run(&load()?, output).await,
        Command::Rides(command) => command.run(&load()?, output).await,
        // A key can be looked at, and a faucet be served, without a stack.
        Command::Faucet(command) => command.run(args.stack.as_deref(), output).await,
        // As a faucet, a listener may be given its variables without a stack.
        Command::Ledger(command) => command.run(args.stack.as_deref(), output).await,
        Command::Status => status::run(&load()?, output).await,
        Command::Dlq(command) => command.run(&load()?, output).await,
        Command::Demo(demo) => demo.run(&load()?, output).await,
    }
}
