//! A secret that a person fills through the command.

use aws_config::SdkConfig;
use aws_sdk_secretsmanager::Client;
use offchain_store::AwsError;

use crate::aws;
use crate::error::CliError;
use crate::stack::Stack;

/// The secret's current version, read and replaced whole.
pub(crate) struct Secret {
    client: Client,
    arn: String,
}

impl Secret {
    pub(crate) async fn new(stack: &Stack, arn: &str) -> Self {
        Self::of(&aws::config(stack).await, arn)
    }

    pub(crate) fn of(config: &SdkConfig, arn: &str) -> Self {
        Self {
            client: Client::new(config),
            arn: arn.to_owned(),
        }
    }

    /// The text; `None` where nobody has written one yet.
    pub(crate) async fn read(&self) -> Result<Option<String>, CliError> {
        let reply = self
            .client
            .get_secret_value()
            .secret_id(&self.arn)
            .send()
            .await;
        let text = match reply {
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(|error| error.is_resource_not_found_exception()) =>
            {
                return Ok(None);
            }
            reply => reply.map_err(AwsError::from)?.secret_string,
        };
        // AWS has no version without a value; emulators make one with the secret.
        Ok(text.filter(|text| !text.is_empty()))
    }

    pub(crate) async fn write(&self, text: String) -> Result<(), CliError> {
        self.client
            .put_secret_value()
            .secret_id(&self.arn)
            .secret_string(text)
            .send()
            .await
            .map_err(AwsError::from)?;
        Ok(())
    }

    /// That the text is not what it should be. Of the text itself it says
    /// nothing, because that is secret.
    pub(crate) fn unusable(&self, expected: &str) -> CliError {
        CliError::Input(format!(
            "the secret {} is unusable: expected {expected}",
            self.arn
        ))
    }
}
