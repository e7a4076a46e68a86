//! Captchas: what their providers are asked, and what their answers mean.

use std::{fmt, fmt::Write};

use offchain_codes::Coded;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

use crate::{Source, object::Object};

/// Who tells people from machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    /// reCAPTCHA of Google.
    Recaptcha,
    /// hCaptcha.
    Hcaptcha,
    /// Turnstile of Cloudflare.
    Turnstile,
}

impl Provider {
    /// Its name, as in a policy.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Recaptcha => "recaptcha",
            Self::Hcaptcha => "hcaptcha",
            Self::Turnstile => "turnstile",
        }
    }

    /// Where it is asked about a response.
    #[must_use]
    pub fn verify_url(self) -> &'static str {
        match self {
            Self::Recaptcha => "https://www.google.com/recaptcha/api/siteverify",
            Self::Hcaptcha => "https://api.hcaptcha.com/siteverify",
            Self::Turnstile => "https://challenges.cloudflare.com/turnstile/v0/siteverify",
        }
    }

    /// What a page loads to show the captcha.
    #[must_use]
    pub fn script_url(self) -> &'static str {
        match self {
            Self::Recaptcha => "https://www.google.com/recaptcha/api.js",
            Self::Hcaptcha => "https://js.hcaptcha.com/1/api.js",
            Self::Turnstile => "https://challenges.cloudflare.com/turnstile/v0/api.js",
        }
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Which captcha has to be solved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Captcha {
    /// Whose it is.
    pub provider: Provider,
    /// The public key of the site.
    pub site_key: String,
    /// The hosts whose pages may show it.
    pub hosts: Vec<String>,
    /// What it has to be solved for, where the provider tells.
    #[serde(deserialize_with = "Option::deserialize")]
    pub action: Option<String>,
    /// Asked in place of the provider's own URL.
    #[serde(deserialize_with = "Option::deserialize")]
    pub verify_url: Option<String>,
}

impl Captcha {
    /// The URL that is asked about a response.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        let own = self.provider.verify_url();
        self.verify_url.as_deref().unwrap_or(own)
    }
}

/// Why a response to a captcha does not count.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CaptchaError {
    /// It is not a good one.
    #[error("expected a solved captcha: {0}")]
    Rejected(String),
    /// The provider's answer is none.
    #[error("the captcha's provider gave no answer that can be read: try again later")]
    Unreadable,
    /// The provider cannot or will not judge for this faucet.
    #[error("the captcha's provider did not judge: try again later")]
    NotJudged,
}

impl Coded for CaptchaError {
    fn code(&self) -> &'static str {
        match self {
            Self::Rejected(_) => "CaptchaFailed",
            Self::Unreadable | Self::NotJudged => "CaptchaUnavailable",
        }
    }

    fn retryable(&self) -> bool {
        match self {
            Self::Rejected(_) => false,
            Self::Unreadable | Self::NotJudged => true,
        }
    }
}

/// The body, `application/x-www-form-urlencoded`, that a provider is asked with.
/// It names the address that the response came from, where that is known.
#[must_use]
pub fn form(secret: &str, response: &str, source: Option<&Source>) -> String {
    let address = source.and_then(Source::address);
    let members = [("secret", Some(secret)), ("response", Some(response))]
        .into_iter()
        .chain([("remoteip", address)]);
    let mut form = String::new();
    for (name, value) in members {
        let Some(value) = value else { continue };
        if !form.is_empty() {
            form.push('&');
        }
        form.push_str(name);
        form.push('=');
        escape(value, &mut form);
    }
    form
}

/// As the URL Standard of WHATWG writes `application/x-www-form-urlencoded`.
fn escape(value: &str, to: &mut String) {
    for byte in value.bytes() {
        match byte {
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'*' | b'-' | b'.' | b'_' => {
                to.push(char::from(byte));
            }
            b' ' => to.push('+'),
            // Writing to a string cannot fail.
            _ => drop(write!(to, "%{byte:02X}")),
        }
    }
}

/// What the providers answer. Only `success` is always there.
#[derive(Deserialize)]
struct Answer {
    success: bool,
    #[serde(default)]
    hostname: Value,
    #[serde(default)]
    action: Value,
    #[serde(default, rename = "error-codes")]
    error_codes: Value,
}

/// What no response can bring about.
const NOT_JUDGED: [&str; 3] = [
    "missing-input-secret",
    "invalid-input-secret",
    "internal-error",
];

/// Whether the provider's answer lets a claim through.
///
/// # Errors
///
/// [`CaptchaError`] unless the answer says plainly that this captcha was solved
/// on a page of one of these hosts, and for this action where there is one.
pub fn judge(body: &[u8], captcha: &Captcha) -> Result<(), CaptchaError> {
    let Object(answer): Object<Answer> =
        serde_json::from_slice(body).map_err(|_| CaptchaError::Unreadable)?;
    if !answer.success {
        return Err(refusal(&answer.error_codes));
    }
    let rejected = |reason: &str| Err(CaptchaError::Rejected(reason.to_owned()));
    let is_it = |host: &String| {
        let name = answer.hostname.as_str();
        name.is_some_and(|name| name.eq_ignore_ascii_case(host))
    };
    if !captcha.hosts.iter().any(is_it) {
        return rejected("this one was solved on another host's page");
    }
    match &captcha.action {
        Some(action) if answer.action.as_str() != Some(action) => {
            rejected("this one was solved for another action")
        }
        _ => Ok(()),
    }
}

fn refusal(error_codes: &Value) -> CaptchaError {
    let codes = error_codes.as_array().map(Vec::as_slice);
    let codes = codes.unwrap_or_default().iter().filter_map(Value::as_str);
    if codes.clone().any(|code| NOT_JUDGED.contains(&code)) {
        return CaptchaError::NotJudged;
    }
    // The names that providers give are short and plain; nothing else is said on.
    let of_code = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
    let is_plain = |code: &&str| code.len() <= 64 && code.bytes().all(of_code);
    let told: Vec<_> = codes.filter(is_plain).take(4).collect();
    CaptchaError::Rejected(if told.is_empty() {
        "the provider refused this one".to_owned()
    } else {
        format!("the provider says {}", told.join(", "))
    })
}
