//! `offchain oracle header`: the secret values of headers that sources are
//! asked with. They are written and never shown.

use std::collections::BTreeMap;
use std::process::ExitCode;

use clap::Subcommand;
use reqwest::header::HeaderValue;
use serde_json::json;

use crate::error::CliError;
use crate::output::Output;
use crate::secret::Secret;
use crate::stack::{Oracle, Stack};
use crate::stdin;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Read a header's value from standard input and keep it under KEY.
    Set {
        /// The `secret_key` of the sources that need it.
        #[arg(value_parser = key)]
        key: String,
    },
    /// List the keys. Their values stay secret.
    List,
    /// Forget a header's value.
    Remove {
        /// The key to forget.
        key: String,
    },
}

type Headers = BTreeMap<String, String>;

impl Command {
    pub(crate) async fn run(
        self,
        stack: &Stack,
        oracle: &Oracle,
        output: &Output,
    ) -> Result<ExitCode, CliError> {
        // Before anything is asked of AWS, so that a mistake costs nothing.
        let value = match &self {
            Self::Set { .. } => given(output)?,
            Self::List | Self::Remove { .. } => String::new(),
        };
        let secret = Secret::new(stack, &oracle.headers_secret_arn).await;
        let text = secret.read().await?;
        let mut headers = parse(text.as_deref())
            .ok_or_else(|| secret.unusable("a JSON object whose values are texts"))?;
        match self {
            Self::Set { key } => {
                headers.insert(key.clone(), value);
                secret.write(json!(headers).to_string()).await?;
                output.show(&json!({"set": key}), |output| {
                    output.line(format!("the header {key} is set"));
                    output.note("Functions that read it before may use the old value for a while.");
                })?;
            }
            Self::List => {
                let keys: Vec<_> = headers.keys().collect();
                output.show(&keys, |output| {
                    let rows = keys.iter().map(|key| [(*key).clone()]).collect();
                    output.table(["key"], rows);
                })?;
            }
            Self::Remove { key } => {
                if headers.remove(&key).is_none() {
                    return Err(CliError::Input(format!("there is no header {key}")));
                }
                secret.write(json!(headers).to_string()).await?;
                output.show(&json!({"removed": key}), |output| {
                    output.line(format!("the header {key} is removed"));
                })?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// What a source's `secret_key` may be.
fn key(text: &str) -> Result<String, String> {
    let of_key = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    if (1..=64).contains(&text.len()) && text.bytes().all(of_key) {
        Ok(text.to_owned())
    } else {
        Err("expected 1 to 64 characters out of A-Z, a-z, 0-9, _ . and -".to_owned())
    }
}

fn given(output: &Output) -> Result<String, CliError> {
    value(&stdin::read(output, "The header's value, then Enter:")?)
}

/// The value without the end of the line that `echo` adds.
fn value(text: &str) -> Result<String, CliError> {
    let value = text.strip_suffix('\n').unwrap_or(text);
    let value = value.strip_suffix('\r').unwrap_or(value);
    let fits = u64::try_from(value.len()).is_ok_and(|length| length <= stdin::LIMIT);
    if value.trim().is_empty() || !fits || HeaderValue::from_str(value).is_err() {
        return Err(CliError::input(
            "standard input: expected a header's value, which is one line of at most 8 KB \
             without control characters",
        ));
    }
    Ok(value.to_owned())
}

/// `None` where the secret is something else. Serde's own message would quote it.
fn parse(text: Option<&str>) -> Option<Headers> {
    match text {
        None => Some(Headers::new()),
        Some(text) => serde_json::from_str(text).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_one_line_that_a_header_can_hold() {
        for (given, taken) in [
            ("Bearer abc\n", Some("Bearer abc")),
            ("Bearer abc\r\n", Some("Bearer abc")),
            ("Bearer abc", Some("Bearer abc")),
            ("", None),
            ("\n", None),
            ("  \n", None),
            ("one\ntwo\n", None),
            ("one\n\n", None),
            ("a\u{7f}", None),
        ] {
            assert_eq!(value(given).ok().as_deref(), taken, "{given:?}");
        }
        assert!(value(&"a".repeat(8 * 1024)).is_ok());
        let error = value(&"s3cret".repeat(2000)).unwrap_err();
        assert!(!error.to_string().contains("s3cret"));
    }

    #[test]
    fn a_key_is_what_a_feed_can_name() {
        for good in ["kraken", "KRAKEN_API.key-2"] {
            assert!(key(good).is_ok());
        }
        for bad in ["", "a b", "a/b", &"a".repeat(65)] {
            assert!(key(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_secret_is_an_object_of_texts_or_not_there_yet() {
        assert_eq!(parse(None), Some(Headers::new()));
        assert_eq!(parse(Some("{}")), Some(Headers::new()));
        let one = Headers::from([("k".to_owned(), "v".to_owned())]);
        assert_eq!(parse(Some(r#"{"k":"v"}"#)), Some(one));
        for other in ["[]", "v", r#"{"k":1}"#] {
            assert_eq!(parse(Some(other)), None);
        }
    }
}
