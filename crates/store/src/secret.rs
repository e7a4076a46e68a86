//! Secret values: read from Secrets Manager, kept in memory for a while.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use aws_sdk_secretsmanager::Client;
use offchain_codes::Coded;
use tokio::sync::Mutex;

use crate::AwsError;

/// How soon a value that proved unusable is read again. It bounds what callers
/// without a valid token can make a function spend.
const AGAIN: Duration = Duration::from_secs(5);

/// A secret's text. `Debug` does not show it.
#[derive(Clone)]
pub struct SecretText(String);

impl SecretText {
    /// The text itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for SecretText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretText(redacted)")
    }
}

/// A secret that could not be had.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// Secrets Manager did not answer, or refused.
    #[error("the secret could not be read")]
    Unread(#[source] AwsError),
    /// There is no such secret, version or stage yet.
    #[error("the secret has no value at this stage")]
    Absent,
}

impl Coded for SecretError {
    fn code(&self) -> &'static str {
        match self {
            Self::Unread(_) | Self::Absent => "SecretUnavailable",
        }
    }

    fn retryable(&self) -> bool {
        match self {
            Self::Unread(error) => error.retryable(),
            Self::Absent => true,
        }
    }
}

/// Reads one secret and remembers each stage's value for a time.
pub struct Secret {
    client: Client,
    arn: String,
    keep: Duration,
    seen: Mutex<HashMap<String, (Instant, SecretText)>>,
}

impl Secret {
    /// The secret named by `arn`; a value is read again after `keep`.
    #[must_use]
    pub fn new(client: Client, arn: String, keep: Duration) -> Self {
        Self {
            client,
            arn,
            keep,
            seen: Mutex::default(),
        }
    }

    /// The value at a staging label, such as `AWSCURRENT`.
    pub async fn at_stage(&self, stage: &str) -> Result<SecretText, SecretError> {
        self.read(stage, self.keep).await
    }

    /// The value at a staging label, where the one from [`Secret::at_stage`]
    /// proved unusable: it may have been mended since it was read.
    pub async fn again_at_stage(&self, stage: &str) -> Result<SecretText, SecretError> {
        self.read(stage, self.keep.min(AGAIN)).await
    }

    async fn read(&self, stage: &str, keep: Duration) -> Result<SecretText, SecretError> {
        // The lock is held over the call, so that concurrent events read once.
        let mut seen = self.seen.lock().await;
        if let Some((read_at, text)) = seen.get(stage)
            && read_at.elapsed() < keep
        {
            return Ok(text.clone());
        }
        let reply = self
            .client
            .get_secret_value()
            .secret_id(&self.arn)
            .version_stage(stage)
            .send()
            .await
            .map_err(|error| {
                if error
                    .as_service_error()
                    .is_some_and(|error| error.is_resource_not_found_exception())
                {
                    SecretError::Absent
                } else {
                    SecretError::Unread(error.into())
                }
            })?;
        let text = reply
            .secret_string
            // AWS has no version without a value; emulators make one with the secret.
            .filter(|text| !text.is_empty())
            .map(SecretText)
            .ok_or(SecretError::Absent)?;
        seen.insert(stage.to_owned(), (Instant::now(), text.clone()));
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::test_util::{FakeAws, Reply, answer, refusal};

    fn secret(aws: &FakeAws, keep: Duration) -> Secret {
        Secret::new(Client::new(&aws.sdk_config()), "arn:secret".into(), keep)
    }

    fn hush() -> Reply {
        answer(json!({ "SecretString": "hush" }))
    }

    #[tokio::test]
    async fn a_value_is_read_once_within_its_time() {
        let aws = FakeAws::new().on("GetSecretValue", hush());
        let secret = secret(&aws, Duration::from_secs(60));
        for _ in 0..3 {
            let text = secret.at_stage("AWSCURRENT").await.unwrap();
            assert_eq!(text.expose(), "hush");
            assert_eq!(format!("{text:?}"), "SecretText(redacted)");
        }
        assert_eq!(
            aws.sent_once("GetSecretValue"),
            json!({ "SecretId": "arn:secret", "VersionStage": "AWSCURRENT" })
        );
    }

    #[tokio::test]
    async fn a_value_is_read_again_after_its_time() {
        let aws = FakeAws::new().always("GetSecretValue", hush());
        let secret = secret(&aws, Duration::ZERO);
        for _ in 0..3 {
            secret.at_stage("AWSCURRENT").await.unwrap();
        }
        assert_eq!(aws.operations().len(), 3);
    }

    #[tokio::test]
    async fn an_unusable_value_is_read_again_after_a_moment_and_not_at_once() {
        let aws = FakeAws::new()
            .on(
                "GetSecretValue",
                answer(json!({ "SecretString": "garbage" })),
            )
            .on("GetSecretValue", hush());
        let secret = secret(&aws, Duration::from_secs(60));
        for _ in 0..3 {
            let value = secret.again_at_stage("AWSCURRENT").await.unwrap();
            assert_eq!(value.expose(), "garbage");
        }
        // As if AGAIN had passed.
        secret.read("AWSCURRENT", Duration::ZERO).await.unwrap();
        let value = secret.at_stage("AWSCURRENT").await.unwrap();
        assert_eq!(value.expose(), "hush");
    }

    #[tokio::test]
    async fn each_stage_has_a_value_of_its_own() {
        let aws = FakeAws::new()
            .about(
                "key-1",
                "GetSecretValue",
                answer(json!({ "SecretString": "old" })),
            )
            .about(
                "key-2",
                "GetSecretValue",
                answer(json!({ "SecretString": "new" })),
            );
        let secret = secret(&aws, Duration::from_secs(60));
        for (stage, value) in [("key-1", "old"), ("key-2", "new"), ("key-1", "old")] {
            assert_eq!(secret.at_stage(stage).await.unwrap().expose(), value);
        }
    }

    #[tokio::test]
    async fn a_secret_without_a_value_is_absent_and_is_asked_for_again() {
        let aws = FakeAws::new()
            .on("GetSecretValue", refusal(400, "ResourceNotFoundException"))
            .on("GetSecretValue", answer(json!({ "VersionId": "binary" })))
            .on("GetSecretValue", hush());
        let secret = secret(&aws, Duration::from_secs(60));
        for _ in 0..2 {
            let error = secret.at_stage("AWSCURRENT").await.unwrap_err();
            assert!(matches!(error, SecretError::Absent), "{error:?}");
            assert_eq!(
                (error.code(), error.retryable()),
                ("SecretUnavailable", true)
            );
        }
        assert_eq!(
            secret.at_stage("AWSCURRENT").await.unwrap().expose(),
            "hush"
        );
    }

    #[tokio::test]
    async fn a_denied_secret_is_not_worth_another_try_and_a_throttled_one_is() {
        for (reply, retryable) in [
            (refusal(400, "AccessDeniedException"), false),
            (refusal(400, "ThrottlingException"), true),
            (Reply::NoConnection, true),
        ] {
            let aws = FakeAws::new().on("GetSecretValue", reply);
            let error = secret(&aws, Duration::ZERO)
                .at_stage("AWSCURRENT")
                .await
                .unwrap_err();
            assert_eq!(
                (error.code(), error.retryable()),
                ("SecretUnavailable", retryable)
            );
        }
    }
}
