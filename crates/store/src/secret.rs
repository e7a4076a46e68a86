//! Secret values: read from Secrets Manager, kept in memory for a while.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use aws_sdk_secretsmanager::Client;
use offchain_codes::Coded;
use tokio::sync::Mutex;

use crate::AwsError;

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
        // The lock is held over the call, so that concurrent events read once.
        let mut seen = self.seen.lock().await;
        if let Some((read_at, text)) = seen.get(stage)
            && read_at.elapsed() < self.keep
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
        let text = SecretText(reply.secret_string.ok_or(SecretError::Absent)?);
        seen.insert(stage.to_owned(), (Instant::now(), text.clone()));
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_secretsmanager::operation::get_secret_value::{
        GetSecretValueError, GetSecretValueOutput,
    };
    use aws_sdk_secretsmanager::types::error::ResourceNotFoundException;
    use aws_smithy_mocks::{mock, mock_client};

    use super::*;

    #[tokio::test]
    async fn a_value_is_read_once_within_its_time() {
        let rule = mock!(Client::get_secret_value)
            .match_requests(|request| request.version_stage() == Some("AWSCURRENT"))
            .then_output(|| {
                GetSecretValueOutput::builder()
                    .secret_string("hush")
                    .build()
            });
        let client = mock_client!(aws_sdk_secretsmanager, [&rule]);
        let secret = Secret::new(client, "arn".into(), Duration::from_secs(60));
        for _ in 0..3 {
            let text = secret.at_stage("AWSCURRENT").await.unwrap();
            assert_eq!(text.expose(), "hush");
            assert_eq!(format!("{text:?}"), "SecretText(redacted)");
        }
        assert_eq!(rule.num_calls(), 1);
    }

    #[tokio::test]
    async fn a_value_is_read_again_after_its_time() {
        let rule = mock!(Client::get_secret_value).then_output(|| {
            GetSecretValueOutput::builder()
                .secret_string("hush")
                .build()
        });
        let client = mock_client!(aws_sdk_secretsmanager, [&rule]);
        let secret = Secret::new(client, "arn".into(), Duration::ZERO);
        for _ in 0..3 {
            secret.at_stage("AWSCURRENT").await.unwrap();
        }
        assert_eq!(rule.num_calls(), 3);
    }

    #[tokio::test]
    async fn a_secret_without_a_value_is_absent() {
        let rule = mock!(Client::get_secret_value).then_error(|| {
            GetSecretValueError::ResourceNotFoundException(
                ResourceNotFoundException::builder().build(),
            )
        });
        let client = mock_client!(aws_sdk_secretsmanager, [&rule]);
        let secret = Secret::new(client, "arn".into(), Duration::ZERO);
        let error = secret.at_stage("AWSCURRENT").await.unwrap_err();
        assert!(matches!(error, SecretError::Absent));
        assert_eq!(error.code(), "SecretUnavailable");
    }
}
