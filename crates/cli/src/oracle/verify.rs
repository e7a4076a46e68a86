//! `offchain oracle verify`

use std::collections::{BTreeSet, HashMap};
use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use offchain_oracle::{FeedId, PublicKey, SignedReading, Slot};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::error::CliError;
use crate::output::{Output, bad, good};

/// A week of readings of a feed with three sources. Longer input is refused.
const LIMIT: u64 = 512 * 1024 * 1024;

#[derive(Args)]
pub(crate) struct Verify {
    /// The readings' file, or - for standard input: a reading, an array of
    /// them, a reply of the API, or any number of these.
    readings: PathBuf,
    /// A key that they may be signed by, in hex, as its operator published it.
    #[arg(long, value_name = "HEX")]
    key: Vec<PublicKey>,
}

/// What came of verifying.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Report {
    /// Whether every reading is valid.
    valid: bool,
    /// How many are.
    readings: usize,
    /// Slots without a reading. Nobody signs those.
    missed: usize,
    invalid: Vec<Invalid>,
    /// Who signed the valid ones.
    public_keys: BTreeSet<String>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Invalid {
    #[serde(skip_serializing_if = "Option::is_none")]
    feed: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    slot: Option<String>,
    /// Which of the records it is, counted from 1.
    position: usize,
    reason: String,
}

impl Verify {
    pub(crate) fn run(&self, output: &Output) -> Result<ExitCode, CliError> {
        let text = self.read()?;
        let report = verify(&text, &self.key)
            .map_err(|reason| CliError::Input(format!("{}: {reason}", self.readings.display())))?;
        output.show(&report, |output| print(&report, output))?;
        if report.valid && self.key.is_empty() {
            output.note(
                "Compare the key with one that its operator published, or give it with --key.",
            );
        }
        Ok(ExitCode::from(u8::from(!report.valid)))
    }

    fn read(&self) -> Result<String, CliError> {
        let mut text = String::new();
        let read = if self.readings.as_os_str() == "-" {
            std::io::stdin().take(LIMIT).read_to_string(&mut text)
        } else {
            std::fs::File::open(&self.readings)
                .and_then(|file| file.take(LIMIT).read_to_string(&mut text))
        };
        match read {
            Ok(length) if u64::try_from(length).is_ok_and(|length| length < LIMIT) => Ok(text),
            Ok(_) => Err(CliError::Input(format!(
                "{}: expected less than {LIMIT} bytes",
                self.readings.display()
            ))),
            Err(error) => Err(CliError::Input(format!(
                "{}: {error}",
                self.readings.display()
            ))),
        }
    }
}

/// Verifies every record of a text, by one of `keys` where there are any.
fn verify(text: &str, keys: &[PublicKey]) -> Result<Report, String> {
    let mut report = Report {
        valid: false,
        readings: 0,
        missed: 0,
        invalid: Vec::new(),
        public_keys: BTreeSet::new(),
    };
    let mut slots: HashMap<(FeedId, Slot), SignedReading> = HashMap::new();
    for (number, raw) in records(text)?.into_iter().enumerate() {
        let position = number + 1;
        // Of an object with a name twice, this sees the last; the reading's own
        // reader refuses such an object.
        let head: Value = serde_json::from_str(raw.get()).unwrap_or_default();
        let name = |field: &str| head.get(field).and_then(Value::as_str).map(str::to_owned);
        if name("feed").is_none() && name("slot").is_none() {
            return Err(format!("record {position} is no reading"));
        }
        if name("status").is_some_and(|status| status == "missed" || status == "absent") {
            report.missed += 1;
            continue;
        }
        let checked = check(raw.get(), keys).and_then(|signed| {
            let reading = signed.reading();
            let slot = (reading.feed.clone(), reading.slot);
            match slots.insert(slot, signed.clone()) {
                Some(other) if other.reading() != reading => {
                    Err("another reading of the same slot says otherwise".to_owned())
                }
                _ => Ok(signed),
            }
        });
        match checked {
            Ok(signed) => {
                report.readings += 1;
                report.public_keys.insert(signed.public_key().to_hex());
            }
            Err(reason) => report.invalid.push(Invalid {
                feed: name("feed"),
                slot: name("slot"),
                position,
                reason,
            }),
        }
    }
    report.valid = report.invalid.is_empty();
    // Nothing verified must not look like all verified.
    if report.valid && report.readings == 0 {
        return Err(match report.missed {
            0 => "there is no reading in it".to_owned(),
            missed => format!("there is no reading in it, only {missed} missed slots"),
        });
    }
    Ok(report)
}

fn check(json: &str, keys: &[PublicKey]) -> Result<SignedReading, String> {
    let signed = SignedReading::from_json(json).map_err(|error| error.to_string())?;
    if !keys.is_empty() && !keys.contains(signed.public_key()) {
        let key = signed.public_key();
        return Err(format!(
            "it is by the key {key}, which is none of those given"
        ));
    }
    match signed.verify() {
        Ok(()) => Ok(signed),
        Err(error) => Err(offchain_codes::chain(&error)),
    }
}

/// A reply of the API. A record has neither of these names.
#[derive(Deserialize)]
struct Reply<'a> {
    #[serde(borrow)]
    reading: Option<&'a RawValue>,
    #[serde(borrow)]
    readings: Option<Vec<&'a RawValue>>,
}

/// The records of every form that a text may have.
fn records(text: &str) -> Result<Vec<&RawValue>, String> {
    let unreadable = |error| format!("expected readings in JSON: {error}");
    let mut records = Vec::new();
    for document in serde_json::Deserializer::from_str(text).into_iter::<&RawValue>() {
        let document = document.map_err(unreadable)?;
        if document.get().starts_with('[') {
            let array: Vec<&RawValue> = serde_json::from_str(document.get()).map_err(unreadable)?;
            records.extend(array);
            continue;
        }
        let reply: Reply<'_> = serde_json::from_str(document.get()).map_err(unreadable)?;
        match (reply.reading, reply.readings) {
            (None, None) => records.push(document),
            (reading, readings) => {
                records.extend(reading);
                records.extend(readings.unwrap_or_default());
            }
        }
    }
    Ok(records)
}

fn print(report: &Report, output: &Output) {
    let missed = match report.missed {
        0 => String::new(),
        1 => "; 1 missed slot, which nobody signs".to_owned(),
        missed => format!("; {missed} missed slots, which nobody signs"),
    };
    let readings = count(report.readings);
    if report.valid {
        output.line(format!("{}: {readings}{missed}", good("valid")));
    } else {
        for invalid in &report.invalid {
            let feed = invalid.feed.as_deref().unwrap_or("a feed without a name");
            let slot = invalid.slot.as_deref().unwrap_or("without a slot");
            output.line(format!(
                "{}: {feed} {slot} (record {}): {}",
                bad("invalid"),
                invalid.position,
                invalid.reason
            ));
        }
        let wrong = count(report.invalid.len());
        output.line(format!(
            "{wrong} invalid, {} valid{missed}",
            report.readings
        ));
    }
    for key in &report.public_keys {
        output.line(format!("by the key {key}"));
    }
}

fn count(readings: usize) -> String {
    match readings {
        1 => "1 reading".to_owned(),
        readings => format!("{readings} readings"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::oracle::record::tests::{missed, reading, reading_of, slot};

    fn ok(text: &Value) -> Report {
        verify(&text.to_string(), &[]).unwrap()
    }

    #[test]
    fn every_form_of_readings_is_verified() {
        let (one, two) = (reading(0, 12), reading(1, 15));
        let key = one.public_key().to_hex();
        for (text, readings, missed) in [
            (json!(one), 1, 0),
            (json!([one, two]), 2, 0),
            (json!([one, missed(1), two]), 2, 1),
            (
                json!({"reading": one, "age_seconds": 1, "stale": false}),
                1,
                0,
            ),
            (json!({"readings": [one, missed(1)], "next": null}), 1, 1),
        ] {
            let report = ok(&text);
            assert_eq!((report.readings, report.missed), (readings, missed));
            assert!(report.valid);
            assert_eq!(report.public_keys, BTreeSet::from([key.clone()]));
        }
        // As `watch --json` prints them, and as pages that were put together.
        let lines = format!("{}\n{}\n", json!(one), json!({"readings": [two]}));
        assert_eq!(verify(&lines, &[]).unwrap().readings, 2);
    }

    #[test]
    fn an_invalid_reading_is_named_and_the_others_are_still_verified() {
        let change = |name: &str, value: Value| {
            let mut changed = json!(reading(1, 15));
            changed[name] = value;
            changed
        };
        for changed in [
            change("value", "538".into()),
            change("observed", "2026-11-21T11:00:01.601Z".into()),
            change("written", "2026-11-21T11:00:01.999Z".into()),
            change("key_epoch", 2.into()),
            change("exponent", (-1).into()),
            change("signature", "00".repeat(64).into()),
            change("signature", "00".into()),
            change(
                "public_key",
                reading_of(1, 15, 537, 2).public_key().to_hex().into(),
            ),
            change("status", "lost".into()),
            change("extra", 1.into()),
        ] {
            let report = ok(&json!([reading(0, 12), changed]));
            assert!(!report.valid, "{changed}");
            assert_eq!(report.readings, 1);
            let [invalid] = report.invalid.as_slice() else {
                panic!("{report:?}");
            };
            assert_eq!(invalid.position, 2);
            assert_eq!(invalid.feed.as_deref(), Some("demo"));
            assert_eq!(invalid.slot, Some(slot(1).to_string()));
        }
        let twice = json!(reading(0, 12))
            .to_string()
            .replacen('{', r#"{"exponent":0,"#, 1);
        assert!(!verify(&twice, &[]).unwrap().valid);
    }

    #[test]
    fn two_readings_of_a_slot_that_differ_are_not_both_valid() {
        let (one, other) = (reading(0, 12), reading_of(0, 12, 538, 1));
        assert!(ok(&json!([one, one])).valid);
        let report = ok(&json!([one, other]));
        assert_eq!(
            (report.valid, report.readings, report.invalid.len()),
            (false, 1, 1)
        );
        assert!(report.invalid[0].reason.contains("same slot"));
    }

    #[test]
    fn only_the_keys_given_count() {
        let (one, other) = (reading(0, 12), reading_of(1, 12, 5, 2));
        let (key, other_key) = (*one.public_key(), *other.public_key());
        let text = json!([one, other]).to_string();
        let valid = |keys: &[PublicKey]| verify(&text, keys).unwrap().valid;
        assert!(valid(&[]));
        assert!(valid(&[key, other_key]));
        assert!(!valid(&[key]));
        assert!(!valid(&[other_key]));
    }

    #[test]
    fn what_holds_no_reading_is_unreadable() {
        for text in [
            "",
            "[]",
            "{",
            "1",
            "null",
            "[1]",
            r#"{"readings":[]}"#,
            r#"{"readings":5}"#,
            r#"{"request_id":"a","proof":"b"}"#,
            &json!([missed(0)]).to_string(),
            &format!("{} trailing", json!(reading(0, 12))),
        ] {
            assert!(verify(text, &[]).is_err(), "{text}");
        }
    }

    #[test]
    fn the_exit_code_says_valid_invalid_or_unreadable() {
        let code = |name: &str, text: &str| {
            let name = format!("offchain-oracle-verify-{}-{name}", std::process::id());
            let file = std::env::temp_dir().join(name);
            std::fs::write(&file, text).unwrap();
            let verify = Verify {
                readings: file.clone(),
                key: Vec::new(),
            };
            let ran = verify.run(&Output::new(true));
            std::fs::remove_file(file).unwrap();
            ran.unwrap_or_else(|error| error.exit_code())
        };
        let valid = json!(reading(0, 12)).to_string();
        assert_eq!(code("valid", &valid), ExitCode::SUCCESS);
        let invalid = valid.replace("537", "538");
        assert_eq!(code("invalid", &invalid), ExitCode::from(1));
        assert_eq!(code("unreadable", "{"), ExitCode::from(2));
        let missing = Verify {
            readings: "no/such/file".into(),
            key: Vec::new(),
        };
        let error = missing.run(&Output::new(true)).unwrap_err();
        assert_eq!(error.exit_code(), ExitCode::from(2));
    }
}
