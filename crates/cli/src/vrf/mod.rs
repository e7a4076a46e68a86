//! `offchain vrf`: ask for values, look at them, verify them.

pub(crate) mod request;
pub(crate) mod show;
mod token;
mod verify;

use std::process::ExitCode;

use clap::Subcommand;

use crate::api::Api;
use crate::error::CliError;
use crate::keys;
use crate::output::Output;
use crate::stack::Stack;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Ask for a random value.
    Request(request::Request),
    /// Show a request: its status, why it is pending, its proof.
    Show(show::Show),
    /// Verify a proof bundle, offline: exit 0 valid, 1 invalid, 2 unreadable.
    Verify(verify::Verify),
    /// List the published keys and from when they are active.
    Keys,
    /// Start a new key epoch with a new key.
    RotateKey,
    /// The API's bearer tokens.
    #[command(subcommand)]
    Token(token::Command),
}

impl Command {
    pub(crate) async fn run(self, stack: &Stack, output: &Output) -> Result<ExitCode, CliError> {
        match self {
            Self::Request(request) => request.run(&Api::new(stack)?, output).await,
            Self::Show(show) => show.run(&Api::new(stack)?, output).await,
            Self::Verify(verify) => verify.run(output),
            Self::Keys => keys::list(&Api::new(stack)?.vrf_keys().await?, output),
            Self::RotateKey => keys::rotate(stack, "vrf", &stack.vrf()?.functions, output).await,
            Self::Token(command) => command.run(stack, output).await,
        }
    }
}
