//! `offchain faucet captcha`: what the captcha's provider knows this faucet by.
//! It is written and never shown.

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::json;

use crate::error::CliError;
use crate::faucet::Site;
use crate::faucet::intake_secret::IntakeText;
use crate::output::Output;
use crate::stdin;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Read the secret from standard input and keep it in Secrets Manager.
    ///
    /// It is the secret key beside the site key that reCAPTCHA, hCaptcha or Turnstile gave.
    /// The functions use it within a minute.
    #[command(after_help = "Example:\n  offchain faucet captcha set < captcha-secret")]
    Set,
    /// Forget the secret. A faucet that demands a captcha then takes no claim.
    Clear,
}

impl Command {
    pub(crate) async fn run(self, site: &Site, output: &Output) -> Result<ExitCode, CliError> {
        match self {
            Self::Set => {
                let given = stdin::read(output, "The captcha's secret, then Enter:")?;
                set(site, value(&given)?, output).await?;
            }
            Self::Clear => clear(site, output).await?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

async fn set(site: &Site, value: &str, output: &Output) -> Result<(), CliError> {
    let secret = site.intake_secret();
    let (mut text, _) = IntakeText::read(&secret).await?;
    text.captcha_secret = Some(value.to_owned());
    text.write(&secret).await?;
    let demanded = site.config.intake.captcha.is_some();
    output.show(&json!({"set": true, "demanded": demanded}), |output| {
        output.line("the captcha's secret is set");
        if !demanded {
            output.note("This faucet demands no captcha: set faucet.captcha in Terraform.");
        }
    })
}

async fn clear(site: &Site, output: &Output) -> Result<(), CliError> {
    let secret = site.intake_secret();
    let (mut text, _) = IntakeText::read(&secret).await?;
    if text.captcha_secret.take().is_none() {
        return Err(CliError::input("there is no captcha secret"));
    }
    text.write(&secret).await?;
    output.show(&json!({"cleared": true}), |output| {
        output.line("the captcha's secret is forgotten");
    })
}

/// Providers give one word.
fn value(text: &str) -> Result<&str, CliError> {
    let value = text.trim();
    let usable =
        (1..=1024).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_graphic());
    if usable {
        Ok(value)
    } else {
        Err(CliError::input(
            "standard input: expected the captcha's secret, one word of at most 1024 characters",
        ))
    }
}

#[cfg(test)]
mod tests {
    use offchain_store::test_util::{FakeAws, done, secret};
    use serde_json::Value;

    use super::*;
    use crate::faucet::tests::site;

    fn written(aws: &FakeAws) -> Value {
        let put = aws.sent_once("PutSecretValue");
        assert_eq!(put["SecretId"], "arn:intake");
        serde_json::from_str(put["SecretString"].as_str().unwrap()).unwrap()
    }

    #[tokio::test]
    async fn the_captcha_s_secret_comes_and_goes_beside_the_key_of_the_challenges() {
        let output = Output::new(true);
        let key = "07".repeat(32);
        let before = json!({"challenge_key": key}).to_string();
        let aws = FakeAws::new()
            .on("GetSecretValue", secret("1", &before))
            .always("PutSecretValue", done());
        set(&site(&aws), "hush", &output).await.unwrap();
        let after = json!({"challenge_key": key, "captcha_secret": "hush"});
        assert_eq!(written(&aws), after);

        let aws = FakeAws::new()
            .on("GetSecretValue", secret("2", &after.to_string()))
            .always("PutSecretValue", done());
        clear(&site(&aws), &output).await.unwrap();
        assert_eq!(written(&aws), json!({"challenge_key": key}));
    }

    #[tokio::test]
    async fn a_secret_without_a_value_gets_a_key_as_well() {
        // What an emulator answers for it.
        let aws = FakeAws::new()
            .on("GetSecretValue", secret("1", ""))
            .always("PutSecretValue", done());
        set(&site(&aws), "hush", &Output::new(true)).await.unwrap();
        let written = written(&aws);
        assert_eq!(written["captcha_secret"], "hush");
        assert_eq!(written["challenge_key"].as_str().unwrap().len(), 64);
    }

    #[tokio::test]
    async fn what_cannot_be_cleared_or_read_is_left_alone_and_not_shown() {
        for (text, expected) in [
            (r#"{"challenge_key":"07"}"#, "there is no captcha secret"),
            (r#"{"hush":"07"}"#, "is unusable"),
            (r#"["hush"]"#, "is unusable"),
        ] {
            let aws = FakeAws::new().on("GetSecretValue", secret("1", text));
            let error = clear(&site(&aws), &Output::new(true)).await.unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
            assert!(!error.to_string().contains("hush"), "{error}");
            assert_eq!(error.exit_code(), ExitCode::from(2));
        }
    }

    #[test]
    fn a_secret_is_one_word() {
        assert_eq!(value(" 0x4AAA-b_c\r\n").unwrap(), "0x4AAA-b_c");
        for wrong in ["", "\n", "two words", "é", &"x".repeat(1025)] {
            let error = value(wrong).unwrap_err().to_string();
            assert!(wrong.trim().is_empty() || !error.contains(wrong), "{error}");
        }
    }
}
