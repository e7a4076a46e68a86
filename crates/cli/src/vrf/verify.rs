//! `offchain vrf verify`

use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use offchain_vrf::{ProofBundle, PublicKey};
use serde_json::json;

use crate::error::CliError;
use crate::output::{Output, bad, good};

/// No bundle is larger: longer input is not read to its end.
const LIMIT: u64 = 64 * 1024;

#[derive(Args)]
pub(crate) struct Verify {
    /// The bundle's file, or - for standard input.
    bundle: PathBuf,
    /// The key it must be proved by, in hex, as its operator published it.
    #[arg(long, value_name = "HEX")]
    key: Option<String>,
}

impl Verify {
    pub(crate) fn run(&self, output: &Output) -> Result<ExitCode, CliError> {
        let bundle = ProofBundle::from_json(&self.read()?)
            .map_err(|error| CliError::Input(offchain_codes::chain(&error)))?;
        let verified = match &self.key {
            None => bundle.verify(),
            Some(key) => {
                let bytes = hex::decode(key)
                    .map_err(|error| CliError::Input(format!("--key: expected hex: {error}")))?;
                let key = PublicKey::from_bytes(bundle.suite, &bytes)
                    .map_err(|error| CliError::Input(format!("--key: {error}")))?;
                bundle.verify_with_key(&key)
            }
        };
        match verified {
            Ok(verified) => {
                let report = json!({
                    "valid": true,
                    "value": verified.value.to_string(),
                    "public_key": verified.public_key.to_string(),
                });
                output.show(&report, |output| {
                    output.line(format!(
                        "{}: request {} has the value {} by the key {}",
                        good("valid"),
                        bundle.request_id,
                        verified.value,
                        verified.public_key
                    ));
                    if self.key.is_none() {
                        output.note(
                            "Compare the key with the one its operator published before the \
                             request was made, or give it with --key.",
                        );
                    }
                })?;
                Ok(ExitCode::SUCCESS)
            }
            Err(error) => {
                let reason = offchain_codes::chain(&error);
                output.show(&json!({"valid": false, "reason": reason}), |output| {
                    output.line(format!("{}: {reason}", bad("invalid")));
                })?;
                Ok(ExitCode::FAILURE)
            }
        }
    }

    fn read(&self) -> Result<String, CliError> {
        let mut text = String::new();
        let read = if self.bundle.as_os_str() == "-" {
            std::io::stdin().take(LIMIT).read_to_string(&mut text)
        } else {
            std::fs::File::open(&self.bundle)
                .and_then(|file| file.take(LIMIT).read_to_string(&mut text))
        };
        match read {
            Ok(_) => Ok(text),
            Err(error) => Err(CliError::Input(format!(
                "{}: {error}",
                self.bundle.display()
            ))),
        }
    }
}
