//! `offchain ledger secret`: what a subscriber's webhooks are signed with. It is
//! in Secrets Manager, and shown only where that is asked for.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use offchain_ledger::{Keys, SigningKey, VerifyingKey};
use serde_json::json;
use zeroize::Zeroizing;

use crate::aws;
use crate::dlq::count;
use crate::error::CliError;
use crate::output::Output;
use crate::secret::Secret;
use crate::stack::{Ledger, Stack};
use crate::stdin;

const EXPECTED: &str = r#"{"secrets": ["whsec_…"]}"#;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make a new key. The one before it goes on signing beside it.
    #[command(after_help = EXAMPLES)]
    Rotate(Rotate),
    /// Read a key from standard input and keep it, for a subscriber that issues its own.
    ///
    /// It is one key, `whsec_…` or `whsk_…`, which comes before those that are there; or all of
    /// them as {"secrets": ["whsec_…", …]}, the newest first.
    #[command(after_help = EXAMPLES)]
    Set {
        /// The subscriber's name.
        name: String,
        /// How many keys sign, with the new one, where one is given.
        #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=10))]
        keep: u8,
    },
    /// Print the public keys that a subscriber verifies with, the newest first.
    Public {
        /// The subscriber's name.
        name: String,
    },
}

const EXAMPLES: &str = "Each key signs every webhook, so that a receiver may know any of them. \
The listener and the suite's own receiver read the secret anew within a minute.

Examples:
  offchain ledger secret rotate ledger --if-absent   for scripts
  offchain ledger secret rotate fleet --show         to hand it to the subscriber
  offchain ledger secret rotate fleet --ed25519 && offchain ledger secret public fleet
  offchain ledger secret rotate fleet --keep 1       the old one was found out
  offchain ledger secret set fleet < whsec";

#[derive(Args)]
pub(crate) struct Rotate {
    /// The subscriber's name.
    name: String,
    /// A key of Ed25519, whose public half the subscriber is given; else one that both share.
    #[arg(long)]
    ed25519: bool,
    /// How many keys sign, with the new one.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=10))]
    keep: u8,
    /// Where there is a usable key, leave all as it is.
    #[arg(long)]
    if_absent: bool,
    /// Print the new key, which is secret.
    #[arg(long)]
    show: bool,
}

/// What a subscriber's secret holds.
enum Stored {
    Nothing,
    Unusable,
    Keys(Keys),
}

impl Command {
    pub(crate) async fn run(self, stack: &Stack, output: &Output) -> Result<ExitCode, CliError> {
        let ledger = stack.ledger()?;
        let secret = async |name: &str| {
            let arn = arn(ledger, name)?;
            Ok::<_, CliError>(Secret::of(&aws::config(stack).await, arn))
        };
        match self {
            Self::Rotate(rotate) => rotate.run(&secret(&rotate.name).await?, output).await?,
            Self::Set { name, keep } => {
                let secret = secret(&name).await?;
                let given = stdin::read(output, "The key, then Enter:")?;
                set(&secret, &name, &given, keep.into(), output).await?;
            }
            Self::Public { name } => public(&secret(&name).await?, &name, output).await?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn arn<'a>(ledger: &'a Ledger, name: &str) -> Result<&'a str, CliError> {
    let mut subscribers = ledger.subscribers.iter();
    let found = subscribers.find(|subscriber| subscriber.name == name);
    found
        .map(|subscriber| subscriber.secret_arn.as_str())
        .ok_or_else(|| unknown(name, ledger.subscribers.iter().map(|one| one.name.as_str())))
}

/// That nobody of this name is told of anything.
pub(crate) fn unknown<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> CliError {
    let known: Vec<_> = known.collect();
    CliError::Input(format!(
        "there is no subscriber {name}: expected one of {}",
        known.join(", ")
    ))
}

async fn stored(secret: &Secret) -> Result<Stored, CliError> {
    let text = secret.read().await?.map(Zeroizing::new);
    Ok(match text.map(|text| Keys::parse(&text)) {
        None => Stored::Nothing,
        Some(Err(_)) => Stored::Unusable,
        Some(Ok(keys)) => Stored::Keys(keys),
    })
}

/// Whether the secret has a value, and a usable one.
pub(crate) async fn state(secret: &Secret) -> Result<&'static str, CliError> {
    Ok(match stored(secret).await? {
        Stored::Nothing => "missing",
        Stored::Unusable => "unusable",
        Stored::Keys(_) => "usable",
    })
}

impl Rotate {
    async fn run(&self, secret: &Secret, output: &Output) -> Result<(), CliError> {
        let stored = stored(secret).await?;
        if let (true, Stored::Keys(keys)) = (self.if_absent, &stored) {
            let said = json!({
                "subscriber": self.name,
                "created": false,
                "secrets": keys.as_slice().len(),
            });
            return output.show(&said, |output| {
                output.line(format!("{} has a key already", self.name));
            });
        }
        let bytes = Zeroizing::new(rand::random::<[u8; 32]>());
        let new = if self.ed25519 {
            SigningKey::secret(&bytes)
        } else {
            SigningKey::shared(&bytes)
        };
        let keys = before(&new, &stored, self.keep.into())?;
        secret.write(keys.to_json().to_string()).await?;
        tell(&self.name, &new, &keys, self.show, output)?;
        if matches!(stored, Stored::Unusable) {
            output.note("What was there before was no key.");
        }
        Ok(())
    }
}

/// The new key with the newest of the others, `keep` in all.
fn before(new: &SigningKey, stored: &Stored, keep: usize) -> Result<Keys, CliError> {
    let older = match stored {
        Stored::Keys(keys) => keys.as_slice(),
        Stored::Nothing | Stored::Unusable => &[],
    };
    let text = new.to_text();
    let others = older.iter().filter(|key| key.to_text() != text).cloned();
    let keys = std::iter::once(new.clone()).chain(others).take(keep);
    Keys::new(keys.collect()).map_err(CliError::input)
}

fn tell(
    name: &str,
    new: &SigningKey,
    keys: &Keys,
    show: bool,
    output: &Output,
) -> Result<(), CliError> {
    let kind = match new {
        SigningKey::Shared(_) => "whsec",
        SigningKey::Secret(_) => "whsk",
    };
    let older = keys.as_slice().len() - 1;
    let public_key = public_text(&new.verifying_key());
    let text = show.then(|| new.to_text());
    let mut said = json!({
        "subscriber": name,
        "created": true,
        "kind": kind,
        "secrets": older + 1,
        "public_key": public_key,
    });
    if let Some(text) = &text {
        said["secret"] = text.as_str().into();
    }
    output.show(&said, |output| {
        let beside = match older {
            0 => "no other signs".to_owned(),
            older => format!("{} beside it", count(older, "older one")),
        };
        output.line(format!("{name} has a new {kind}_ key, {beside}"));
        for line in public_key
            .as_deref()
            .into_iter()
            .chain(text.as_ref().map(|text| text.as_str()))
        {
            output.line(line);
        }
        output.note("It signs within a minute.");
    })
}

/// The text of a key that is no secret.
fn public_text(key: &VerifyingKey) -> Option<String> {
    match key {
        VerifyingKey::Shared(_) => None,
        VerifyingKey::Public(_) => Some(key.to_text().to_string()),
    }
}

async fn set(
    secret: &Secret,
    name: &str,
    given: &str,
    keep: usize,
    output: &Output,
) -> Result<(), CliError> {
    let given = given.trim();
    let unusable = |error: &dyn std::fmt::Display| {
        // Neither of them tells anything of the text.
        CliError::Input(format!("standard input: {error}"))
    };
    let stored = stored(secret).await?;
    let keys = if given.starts_with('{') {
        Keys::parse(given).map_err(|error| unusable(&error))?
    } else {
        let new: SigningKey = given.parse().map_err(|error| unusable(&error))?;
        before(&new, &stored, keep)?
    };
    let text = keys.to_json();
    if matches!(&stored, Stored::Keys(old) if old.to_json() == text) {
        let said = json!({"subscriber": name, "created": false, "secrets": keys.as_slice().len()});
        return output.show(&said, |output| {
            output.line(format!("{name} has that key already"));
        });
    }
    secret.write(text.to_string()).await?;
    match keys.as_slice() {
        [new, ..] => tell(name, new, &keys, false, output),
        [] => Ok(()),
    }
}

async fn public(secret: &Secret, name: &str, output: &Output) -> Result<(), CliError> {
    let keys = match stored(secret).await? {
        Stored::Keys(keys) => keys,
        Stored::Nothing => {
            return Err(CliError::No(format!(
                "{name} has no key yet: `offchain ledger secret rotate {name} --ed25519` makes one"
            )));
        }
        Stored::Unusable => return Err(secret.unusable(EXPECTED)),
    };
    let public: Vec<_> = keys.verifying().iter().filter_map(public_text).collect();
    if public.is_empty() {
        return Err(CliError::No(format!(
            "the keys of {name} are shared ones, whsec_, which have no public half: `offchain \
             ledger secret rotate {name} --ed25519` makes one that has"
        )));
    }
    output.show(
        &json!({"subscriber": name, "public_keys": public}),
        |output| {
            public.iter().for_each(|key| output.line(key));
        },
    )
}

#[cfg(test)]
mod tests {
    use offchain_store::test_util::{FakeAws, done, secret as holding};
    use serde_json::Value;

    use super::*;
    use crate::ledger::tests::stack;

    const OLD: &str = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    const OLDER: &str = "whsec_AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
    const ED25519: &str = "whsk_AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";

    fn text(keys: &[&str]) -> String {
        json!({ "secrets": keys }).to_string()
    }

    fn aws(held: &str) -> FakeAws {
        FakeAws::new()
            .on("GetSecretValue", holding("1", held))
            .always("PutSecretValue", done())
    }

    fn secret(aws: &FakeAws) -> Secret {
        Secret::of(&aws.sdk_config(), "arn:fleet")
    }

    fn rotate() -> Rotate {
        Rotate {
            name: "fleet".to_owned(),
            ed25519: false,
            keep: 2,
            if_absent: false,
            show: false,
        }
    }

    /// The keys that were written.
    fn written(aws: &FakeAws) -> Vec<String> {
        let put = aws.sent_once("PutSecretValue");
        assert_eq!(put["SecretId"], "arn:fleet");
        let text: Value = serde_json::from_str(put["SecretString"].as_str().unwrap()).unwrap();
        serde_json::from_value(text["secrets"].clone()).unwrap()
    }

    async fn rotated(held: &str, rotate: Rotate) -> Vec<String> {
        let aws = aws(held);
        rotate.run(&secret(&aws), &Output::new(true)).await.unwrap();
        written(&aws)
    }

    #[tokio::test]
    async fn a_new_key_comes_before_as_many_old_ones_as_are_kept() {
        let keys = rotated(&text(&[OLD, OLDER]), rotate()).await;
        assert_eq!(keys.len(), 2);
        assert!(keys[0].starts_with("whsec_") && keys[0] != OLD);
        assert_eq!(keys[1], OLD);
        let three = Rotate {
            keep: 3,
            ..rotate()
        };
        assert_eq!(
            rotated(&text(&[OLD, OLDER]), three).await[1..],
            [OLD, OLDER]
        );
        let one = Rotate {
            keep: 1,
            ..rotate()
        };
        assert_eq!(rotated(&text(&[OLD, OLDER]), one).await.len(), 1);
        let other = Rotate {
            ed25519: true,
            ..rotate()
        };
        let keys = rotated(&text(&[OLD]), other).await;
        assert!(keys[0].starts_with("whsk_"));
    }

    #[tokio::test]
    async fn the_first_key_is_made_where_none_can_be_used() {
        // What an emulator answers for a secret without a value, and garbage.
        for held in ["", "hush", r#"["hush"]"#] {
            let absent = Rotate {
                if_absent: true,
                ..rotate()
            };
            assert_eq!(rotated(held, absent).await.len(), 1, "{held}");
            assert_eq!(rotated(held, rotate()).await.len(), 1, "{held}");
        }
    }

    #[tokio::test]
    async fn a_usable_key_is_left_alone_where_that_is_asked_for() {
        let aws = aws(&text(&[OLD]));
        let absent = Rotate {
            if_absent: true,
            ..rotate()
        };
        absent.run(&secret(&aws), &Output::new(true)).await.unwrap();
        assert!(aws.sent("PutSecretValue").is_empty());
    }

    async fn set_to(held: &str, given: &str) -> Result<FakeAws, CliError> {
        let aws = aws(held);
        let output = Output::new(true);
        set(&secret(&aws), "fleet", given, 2, &output).await?;
        Ok(aws)
    }

    #[tokio::test]
    async fn a_key_that_is_given_comes_first_and_once() {
        let aws = set_to(&text(&[OLD]), &format!(" {ED25519}\r\n"))
            .await
            .unwrap();
        assert_eq!(written(&aws), [ED25519, OLD]);
        let aws = set_to(&text(&[OLD, OLDER]), OLDER).await.unwrap();
        assert_eq!(written(&aws), [OLDER, OLD]);
        let aws = set_to(&text(&[OLD]), &text(&[OLDER, ED25519]))
            .await
            .unwrap();
        assert_eq!(written(&aws), [OLDER, ED25519]);
        let aws = set_to(&text(&[OLD]), OLD).await.unwrap();
        assert!(aws.sent("PutSecretValue").is_empty());
    }

    #[tokio::test]
    async fn what_is_no_key_is_refused_and_not_shown() {
        for given in ["", "hush", "whsec_hush", "{\"hush\":1}", "whpk_hush", "{}"] {
            let error = set_to("", given).await.unwrap_err();
            assert!(
                error.to_string().starts_with("standard input: expected"),
                "{error}"
            );
            assert!(!error.to_string().contains("hush"), "{error}");
            assert_eq!(error.exit_code(), ExitCode::from(2));
        }
    }

    #[tokio::test]
    async fn only_a_key_of_ed25519_has_a_public_half() {
        let output = Output::new(true);
        let shown = async |held: &str| {
            let aws = aws(held);
            public(&secret(&aws), "fleet", &output).await
        };
        shown(&text(&[OLD, ED25519])).await.unwrap();
        for (held, said, code) in [
            (text(&[OLD]), "no public half", 1),
            (String::new(), "has no key yet", 1),
            ("hush".to_owned(), "is unusable", 2),
        ] {
            let error = shown(&held).await.unwrap_err();
            assert!(error.to_string().contains(said), "{error}");
            assert!(!error.to_string().contains("hush"), "{error}");
            assert_eq!(error.exit_code(), ExitCode::from(code));
        }
        let key: SigningKey = ED25519.parse().unwrap();
        let public = public_text(&key.verifying_key()).unwrap();
        assert!(public.starts_with("whpk_"));
    }

    #[test]
    fn a_subscriber_that_is_none_is_answered_with_those_that_are() {
        let stack = stack();
        let ledger = stack.ledger().unwrap();
        assert_eq!(arn(ledger, "fleet").unwrap(), "arn:fleet");
        let error = arn(ledger, "nobody").unwrap_err();
        assert_eq!(
            error.to_string(),
            "there is no subscriber nobody: expected one of ledger, fleet"
        );
    }
}
