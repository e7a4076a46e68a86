//! Key epochs, whatever the keys are for: how they are listed and rotated.

use std::collections::BTreeMap;
use std::process::ExitCode;

use aws_sdk_lambda::primitives::Blob;
use offchain_store::keys::KeyEpoch;
use serde::Deserialize;
use serde_json::Value;

use crate::api::read;
use crate::aws;
use crate::error::CliError;
use crate::output::Output;
use crate::stack::Stack;

/// The API's list of key epochs.
#[derive(Deserialize)]
pub(crate) struct Keys {
    pub(crate) keys: Vec<KeyEpoch>,
}

impl Keys {
    pub(crate) fn epoch(self, epoch: u64) -> Option<KeyEpoch> {
        self.keys.into_iter().find(|key| key.epoch == epoch)
    }
}

/// Prints the API's list.
pub(crate) fn list(reply: &Value, output: &Output) -> Result<ExitCode, CliError> {
    let Keys { keys } = read(reply)?;
    // No table: beside a key there is no room for anything in 80 columns.
    output.show(reply, |output| {
        for key in keys {
            output.title(format!("epoch {}, {}", key.epoch, key.suite));
            output.line(format!("  active from  {}", key.active_from));
            output.line(format!("  {}", key.public_key));
        }
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Starts a new epoch by a subsystem's function `rotate-key`.
pub(crate) async fn rotate(
    stack: &Stack,
    subsystem: &str,
    functions: &BTreeMap<String, String>,
    output: &Output,
) -> Result<ExitCode, CliError> {
    let function = functions.get("rotate-key").ok_or_else(|| {
        CliError::Input(format!(
            "the stack names no function {subsystem}.functions.rotate-key"
        ))
    })?;
    let client = aws_sdk_lambda::Client::new(&aws::config(stack).await);
    let reply = client
        .invoke()
        .function_name(function)
        .payload(Blob::new(r#"{"action":"rotate"}"#))
        .send()
        .await
        .map_err(offchain_store::AwsError::from)?;
    let payload = reply.payload.map(Blob::into_inner).unwrap_or_default();
    let payload: Value = serde_json::from_slice(&payload)
        .map_err(|error| CliError::Aws(format!("the function's reply: {error}")))?;
    if reply.function_error.is_some() {
        return Err(CliError::Aws(payload.to_string()));
    }
    let field = |name: &str| {
        let value = payload.get(name).unwrap_or(&Value::Null);
        value.as_str().map_or(value.to_string(), str::to_owned)
    };
    output.show(&payload, |output| {
        output.line(format!(
            "epoch {} is published and active from {}: {}",
            field("epoch"),
            field("active_from"),
            field("public_key")
        ));
    })?;
    Ok(ExitCode::SUCCESS)
}
