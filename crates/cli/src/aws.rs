//! AWS clients for a person: the usual profiles, sign-ins and variables.

use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_smithy_http_client::{Builder, tls};

use crate::stack::Stack;

/// How long one attempt of a call may take where a process serves: none of its
/// calls is long.
const ATTEMPT: Duration = Duration::from_secs(5);

pub(crate) async fn config(stack: &Stack) -> SdkConfig {
    config_in(Some(stack.region.clone())).await
}

/// Of a region; without one, of the one that the usual places name.
pub(crate) async fn config_in(region: Option<String>) -> SdkConfig {
    let mut defaults = aws_config::defaults(BehaviorVersion::latest());
    if let Some(region) = region {
        defaults = defaults.region(Region::new(region));
    }
    defaults
        .http_client(
            Builder::new()
                .tls_provider(tls::Provider::Rustls(
                    tls::rustls_provider::CryptoMode::Ring,
                ))
                .build_https(),
        )
        .load()
        .await
}

/// As [`config_in`], for a process that serves until it is stopped.
pub(crate) async fn serving(region: Option<String>) -> SdkConfig {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(2))
        .operation_attempt_timeout(ATTEMPT)
        .build();
    config_in(region)
        .await
        .into_builder()
        .timeout_config(timeouts)
        .build()
}
