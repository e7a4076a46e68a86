//! The page: plain files, which are part of the binary.

use aws_lambda_events::apigw::ApiGatewayV2httpResponse;
use aws_lambda_events::encodings::Body;
use aws_lambda_events::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use offchain_faucet::{Captcha, Provider};

const INDEX: &str = include_str!("page/index.html");
const FILES: [(&str, &str, &str); 3] = [
    (
        "app.js",
        "text/javascript; charset=utf-8",
        include_str!("page/app.js"),
    ),
    (
        "worker.js",
        "text/javascript; charset=utf-8",
        include_str!("page/worker.js"),
    ),
    (
        "style.css",
        "text/css; charset=utf-8",
        include_str!("page/style.css"),
    ),
];

/// The page itself. It may load nothing but its own files, and the captcha's.
pub(crate) fn index(captcha: Option<&Captcha>) -> ApiGatewayV2httpResponse {
    let theirs = captcha.map_or("", |captcha| match captcha.provider {
        Provider::Recaptcha => {
            " https://www.google.com https://www.gstatic.com https://recaptcha.google.com"
        }
        Provider::Hcaptcha => " https://hcaptcha.com https://*.hcaptcha.com",
        Provider::Turnstile => " https://challenges.cloudflare.com",
    });
    let policy = format!(
        "default-src 'none'; script-src 'self'{theirs}; style-src 'self'{theirs}; \
         connect-src 'self'{theirs}; worker-src 'self'; img-src 'self' data:; \
         frame-src 'self'{theirs}; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    );
    let mut reply = shown("text/html; charset=utf-8", INDEX);
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        reply.headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    reply
}

/// A file of the page.
pub(crate) fn file(name: &str) -> Option<ApiGatewayV2httpResponse> {
    FILES
        .iter()
        .find(|(file, ..)| *file == name)
        .map(|(_, kind, text)| shown(kind, text))
}

fn shown(kind: &'static str, text: &str) -> ApiGatewayV2httpResponse {
    let mut reply = ApiGatewayV2httpResponse::default();
    reply.status_code = 200;
    reply.body = Some(Body::Text(text.to_owned()));
    for (name, value) in [
        (CONTENT_TYPE, kind),
        (CACHE_CONTROL, "no-cache"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
    ] {
        reply.headers.insert(name, HeaderValue::from_static(value));
    }
    reply
}
