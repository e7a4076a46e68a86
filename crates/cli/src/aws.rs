//! AWS clients for a person: the usual profiles, sign-ins and variables.

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_smithy_http_client::{Builder, tls};

use crate::stack::Stack;

pub(crate) async fn config(stack: &Stack) -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new(stack.region.clone()))
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
