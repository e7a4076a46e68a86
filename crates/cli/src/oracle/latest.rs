//! `offchain oracle latest`, and whether a reading is by the published key.

use std::process::ExitCode;

use clap::Args;
use offchain_oracle::{PublicKey, SUITE, SignedReading};
use serde::Deserialize;

use crate::api::{Api, read};
use crate::error::CliError;
use crate::keys::Keys;
use crate::oracle::record::lateness;
use crate::oracle::{Which, decimal};
use crate::output::{Output, bad, good, warning};

#[derive(Args)]
pub(crate) struct Latest {
    #[command(flatten)]
    which: Which,
}

#[derive(Deserialize)]
struct Reply {
    reading: SignedReading,
    age_seconds: i64,
    stale: bool,
}

impl Latest {
    pub(crate) async fn run(&self, api: &Api, output: &Output) -> Result<ExitCode, CliError> {
        let reply = api.latest(&self.which.feed).await?;
        let latest: Reply = read(&reply)?;
        let checked = verify_published(api, &latest.reading).await?;
        output.show(&reply, |output| print(&latest, &checked, output))?;
        Ok(ExitCode::from(u8::from(checked.is_err())))
    }
}

/// Verifies a reading with the key that was published for its epoch.
pub(crate) async fn verify_published(
    api: &Api,
    reading: &SignedReading,
) -> Result<Result<(), String>, CliError> {
    let keys: Keys = read(&api.oracle_keys().await?)?;
    let epoch = reading.reading().key_epoch;
    let Some(key) = keys.epoch(epoch) else {
        return Ok(Err(format!("epoch {epoch} is not published")));
    };
    if key.suite != SUITE {
        return Ok(Err(format!("epoch {epoch} is of the suite {}", key.suite)));
    }
    Ok(PublicKey::from_hex(&key.public_key)
        .map_err(|error| error.to_string())
        .and_then(|key| {
            reading
                .verify_with_key(&key)
                .map_err(|error| offchain_codes::chain(&error))
        }))
}

fn print(latest: &Reply, checked: &Result<(), String>, output: &Output) {
    let row = |name: &str, value: String| output.line(format!("{name:<10} {value}"));
    let reading = latest.reading.reading();
    let text = |value| decimal(value, reading.exponent);
    row("feed", reading.feed.to_string());
    row("slot", reading.slot.to_string());
    row("value", text(reading.value));
    let age = format!("{} s", latest.age_seconds);
    if latest.stale {
        row("age", bad(format!("{age}: stale")));
    } else {
        row("age", age);
    }
    row("lateness", format!("{} ms", lateness(&latest.reading)));
    if reading.sources.len() > 1 {
        row("spread", text(reading.spread));
    }
    for (number, part) in reading.sources.iter().enumerate() {
        let name = if number == 0 { "sources" } else { "" };
        row(name, format!("{} {}", part.source, text(part.value)));
    }
    for (number, left_out) in reading.left_out.iter().enumerate() {
        let name = if number == 0 { "left out" } else { "" };
        let why = format!("{} {}", left_out.source, left_out.reason);
        row(name, warning(why));
    }
    let signature = match checked {
        Ok(()) => good(format!("valid, by the key of epoch {}", reading.key_epoch)),
        Err(reason) => bad(reason),
    };
    row("signature", signature);
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::api::stub::Stub;
    use crate::oracle::record::tests::{reading, reading_of};

    fn keys(suite: &str, key: &str) -> Value {
        let time = "2026-11-21T10:00:00.000Z";
        json!({"keys": [{"epoch": 1, "suite": suite, "public_key": key,
                         "published_at": time, "active_from": time}]})
    }

    #[tokio::test]
    async fn a_reading_is_only_valid_by_the_key_of_its_epoch() {
        let signed = reading(0, 12);
        let key = signed.public_key().to_hex();
        let other = reading_of(0, 12, 537, 2).public_key().to_hex();
        for (keys, valid) in [
            (keys(SUITE, &key), true),
            (keys(SUITE, &other), false),
            (keys(SUITE, "ab"), false),
            (keys("ECVRF-EDWARDS25519-SHA512-TAI", &key), false),
            (json!({"keys": []}), false),
        ] {
            let stub = Stub::answering(vec![(200, keys)]);
            let checked = verify_published(&stub.api(), &signed).await.unwrap();
            assert_eq!(checked.is_ok(), valid, "{checked:?}");
            assert_eq!(stub.asked(), ["/v1/oracle/keys"]);
        }
    }
}
