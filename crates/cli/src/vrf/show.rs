//! `offchain vrf show`, and how a request is printed.

use std::process::ExitCode;

use clap::Args;
use offchain_store::keys::KeyEpoch;
use offchain_vrf::{ProofBundle, PublicKey, Verified};

use crate::api::{Api, View, read};
use crate::error::CliError;
use crate::keys::Keys;
use crate::output::{Output, bad, good};

#[derive(Args)]
pub(crate) struct Show {
    /// The request's id.
    id: String,
}

impl Show {
    pub(crate) async fn run(&self, api: &Api, output: &Output) -> Result<ExitCode, CliError> {
        let reply = api.show(&self.id).await?;
        let view: View = read(&reply)?;
        output.show(&reply, |output| print(&view, output))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Prints a closed request, verified against the published key: with JSON, the bundle.
pub(crate) async fn finish(api: &Api, view: &View, output: &Output) -> Result<ExitCode, CliError> {
    let Some(bundle) = &view.bundle else {
        output.show(
            &serde_json::json!({"status": view.status, "reason": view.reason}),
            |output| {
                print(view, output);
            },
        )?;
        return Ok(ExitCode::FAILURE);
    };
    let checked = verify_published(api, view.key_epoch, bundle).await?;
    output.show(bundle, |output| {
        print(view, output);
        match &checked {
            Ok(_) => output.line(format!(
                "proof      {}",
                good(format!("valid, by the key of epoch {}", view.key_epoch))
            )),
            Err(reason) => output.line(format!("proof      {}", bad(reason))),
        }
    })?;
    Ok(ExitCode::from(u8::from(checked.is_err())))
}

/// Verifies a bundle with the key that was published for its epoch.
pub(crate) async fn verify_published(
    api: &Api,
    epoch: u64,
    bundle: &ProofBundle,
) -> Result<Result<Verified, String>, CliError> {
    let keys: Keys = read(&api.vrf_keys().await?)?;
    let Some(key) = keys.epoch(epoch) else {
        return Ok(Err(format!("epoch {epoch} is not published")));
    };
    Ok(verify_by(&key, bundle))
}

pub(crate) fn verify_by(key: &KeyEpoch, bundle: &ProofBundle) -> Result<Verified, String> {
    let suite = key.suite.parse().map_err(|error| format!("{error}"))?;
    let bytes = hex::decode(&key.public_key).map_err(|error| error.to_string())?;
    let key = PublicKey::from_bytes(suite, &bytes).map_err(|error| error.to_string())?;
    bundle
        .verify_with_key(&key)
        .map_err(|error| offchain_codes::chain(&error))
}

/// Prints a request for a person.
pub(crate) fn print(view: &View, output: &Output) {
    let row = |name: &str, value: String| output.line(format!("{name:<10} {value}"));
    row("request", view.request_id.clone());
    let reason = view.reason.as_deref().unwrap_or_default();
    let status = match view.status.as_str() {
        "fulfilled" => good("fulfilled"),
        "expired" => bad(format!("expired: {reason}")),
        status => format!("{status}: {reason}"),
    };
    row("status", status);
    row("range", format!("{} to {}", view.min, view.max));
    if let Some(due) = view.due_time {
        row("due", format!("{due:.3}"));
    }
    if let Some(height) = &view.target_height {
        let observed = view.observed_height.as_deref().unwrap_or("unknown");
        row("due", format!("block {height}, now {observed}"));
    }
    if view.status == "pending" {
        row("deadline", format!("{:.3}", view.deadline));
    }
    if view.failed_attempts > 0 {
        let last = view.last_error.as_deref().unwrap_or("overcome");
        row("failures", format!("{} ({last})", view.failed_attempts));
    }
    if let (Some(at), Some(due)) = (view.fulfilled_at, view.due_time) {
        let late = at.duration_since(due).as_millis();
        row("fulfilled", format!("{at:.3}, {late} ms after it was due"));
    } else if let Some(at) = view.fulfilled_at {
        row("fulfilled", format!("{at:.3}"));
    }
    if let Some(bundle) = &view.bundle {
        row("value", bundle.value.to_string());
    }
}
