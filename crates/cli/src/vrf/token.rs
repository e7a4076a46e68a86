//! `offchain vrf token`: the API's bearer tokens. A token is shown once, when it
//! is made; Secrets Manager holds only its hash.

use std::process::ExitCode;

use clap::Subcommand;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::error::CliError;
use crate::output::Output;
use crate::secret::Secret;
use crate::stack::Stack;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make a token and print it, this once. An existing token of the name is replaced.
    Create {
        /// Who will use it.
        #[arg(long)]
        name: String,
    },
    /// Take a token back. Functions forget it within a minute.
    Revoke {
        /// Whose it is.
        #[arg(long)]
        name: String,
    },
    /// List the tokens' names.
    List,
}

#[derive(Default, Deserialize, Serialize)]
struct TokenList {
    tokens: Vec<Token>,
}

#[derive(Deserialize, Serialize)]
struct Token {
    name: String,
    sha256: String,
}

impl Command {
    pub(crate) async fn run(self, stack: &Stack, output: &Output) -> Result<ExitCode, CliError> {
        let secret = Secret::new(stack, &stack.vrf()?.api_tokens_secret_arn).await;
        let mut list = read(&secret).await?;
        match self {
            Self::Create { name } => {
                let token = hex::encode(rand::random::<[u8; 32]>());
                list.tokens.retain(|known| known.name != name);
                list.tokens.push(Token {
                    name: name.clone(),
                    sha256: hex::encode(Sha256::digest(&token)),
                });
                write(&secret, &list).await?;
                output.show(&json!({"name": name, "token": token}), |output| {
                    output.line(&token);
                    output.note("This is shown once. Set OFFCHAIN_API_TOKEN to it.");
                })?;
            }
            Self::Revoke { name } => {
                let before = list.tokens.len();
                list.tokens.retain(|known| known.name != name);
                if list.tokens.len() == before {
                    return Err(CliError::Input(format!("there is no token of {name}")));
                }
                write(&secret, &list).await?;
                output.show(&json!({"revoked": name}), |output| {
                    output.line(format!("the token of {name} is revoked"));
                })?;
            }
            Self::List => {
                let names: Vec<_> = list.tokens.iter().map(|token| &token.name).collect();
                output.show(&names, |output| {
                    let rows = names.iter().map(|name| [(*name).clone()]).collect();
                    output.table(["name"], rows);
                })?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

async fn read(secret: &Secret) -> Result<TokenList, CliError> {
    match secret.read().await? {
        None => Ok(TokenList::default()),
        Some(text) => {
            serde_json::from_str(&text).map_err(|_| secret.unusable("a list of tokens in JSON"))
        }
    }
}

async fn write(secret: &Secret, list: &TokenList) -> Result<(), CliError> {
    let text = serde_json::to_string(list).map_err(CliError::input)?;
    secret.write(text).await
}
