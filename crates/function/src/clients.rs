//! The AWS clients' shared configuration inside a function.
//!
//! A function gets its region and its role's credentials in environment
//! variables, so the credential chain of `aws-config`, which costs start-up
//! time and size, is not needed.

use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use aws_smithy_http_client::{Builder, tls};
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;
use aws_types::region::Region;

use crate::config;
use crate::config::{ConfigError, Env};

/// How long one attempt of a call may take. DynamoDB and SQS answer within
/// tens of milliseconds; a lost connection should not eat the function's time.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);

struct LambdaEnvironment {
    region: Option<String>,
    access_key: Option<String>,
    secret_key: Option<String>,
    session_token: Option<String>,
    endpoint: Option<String>,
}

/// The configuration that every AWS client of this function is made from.
pub fn sdk_config(env: Env<'_>) -> Result<SdkConfig, ConfigError> {
    let environment = config!(env => LambdaEnvironment {
        region: optional "AWS_REGION", "a region, set by Lambda",
        access_key: optional "AWS_ACCESS_KEY_ID", "an access key, set by Lambda",
        secret_key: optional "AWS_SECRET_ACCESS_KEY", "a secret key, set by Lambda",
        session_token: optional "AWS_SESSION_TOKEN", "a session token, set by Lambda",
        endpoint: optional "AWS_ENDPOINT_URL", "the URL of an emulator",
    })?;
    let credentials = Credentials::new(
        environment.access_key.unwrap_or_default(),
        environment.secret_key.unwrap_or_default(),
        environment.session_token,
        None,
        "lambda",
    );
    let mut builder = SdkConfig::builder()
        .region(environment.region.map(Region::new))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .http_client(
            Builder::new()
                .tls_provider(tls::Provider::Rustls(
                    tls::rustls_provider::CryptoMode::Ring,
                ))
                .build_https(),
        )
        .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
        .retry_config(RetryConfig::standard().with_max_attempts(3))
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(Duration::from_secs(1))
                .operation_attempt_timeout(ATTEMPT_TIMEOUT)
                .build(),
        );
    builder.set_endpoint_url(environment.endpoint);
    Ok(builder.build())
}
