//! `offchain vrf token`: the API's bearer tokens. A token is shown once, when it
//! is made; Secrets Manager holds only its hash.

use std::process::ExitCode;

use aws_sdk_secretsmanager::Client;
use clap::Subcommand;
use offchain_store::AwsError;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::aws;
use crate::error::CliError;
use crate::output::Output;
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
        let client = Client::new(&aws::config(stack).await);
        let secret = &stack.vrf()?.api_tokens_secret_arn;
        let mut list = read(&client, secret).await?;
        match self {
            Self::Create { name } => {
                let token = hex::encode(rand::random::<[u8; 32]>());
                list.tokens.retain(|known| known.name != name);
                list.tokens.push(Token {
                    name: name.clone(),
                    sha256: hex::encode(Sha256::digest(&token)),
                });
                write(&client, secret, &list).await?;
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
                write(&client, secret, &list).await?;
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

async fn read(client: &Client, secret: &str) -> Result<TokenList, CliError> {
    let reply = client.get_secret_value().secret_id(secret).send().await;
    let text = match reply {
        Err(error)
            if error
                .as_service_error()
                .is_some_and(|error| error.is_resource_not_found_exception()) =>
        {
            return Ok(TokenList::default());
        }
        reply => reply.map_err(AwsError::from)?.secret_string,
    };
    // AWS has no version without a value; emulators make one with the secret.
    let Some(text) = text.filter(|text| !text.is_empty()) else {
        return Ok(TokenList::default());
    };
    serde_json::from_str(&text)
        .map_err(|error| CliError::Input(format!("the secret {secret} is unusable: {error}")))
}

async fn write(client: &Client, secret: &str, list: &TokenList) -> Result<(), CliError> {
    let text = serde_json::to_string(list).map_err(CliError::input)?;
    client
        .put_secret_value()
        .secret_id(secret)
        .secret_string(text)
        .send()
        .await
        .map_err(AwsError::from)?;
    Ok(())
}
