//! AWS clients for a person: the usual profiles, sign-ins and variables.

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_smithy_http_client::{Builder, tls};

use crate::stack::Stack;

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
