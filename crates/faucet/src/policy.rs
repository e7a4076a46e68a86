use std::str::FromStr;

use offchain_codes::Coded;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    Captcha, ProofOfWork, Provider, Throttle, amount,
    object::{Object, object, object_or_null},
};

/// Who may claim how much.
///
/// serde reads its form; [`FromStr`] checks it, too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IntakePolicy {
    /// What a claim is paid, in the smallest unit.
    #[serde(with = "amount::text")]
    pub amount: u128,
    /// What people call a whole coin.
    pub symbol: String,
    /// How many decimals a whole coin has.
    pub decimals: u8,
    /// The origins whose pages may claim; `*` is any.
    pub origins: Vec<String>,
    /// How many proxies in front of the faucet append to X-Forwarded-For.
    pub trusted_proxies: u8,
    /// How often a source may ask.
    #[serde(deserialize_with = "object")]
    pub throttle: Throttle,
    /// How long an address waits between two claims.
    pub address_cooldown_seconds: u64,
    /// How often a source may claim.
    #[serde(deserialize_with = "object")]
    pub source: SourceLimit,
    /// What all claims of a day in UTC are paid together.
    #[serde(with = "amount::text")]
    pub daily_budget: u128,
    /// How long a claim may wait to be sent.
    pub claim_deadline_seconds: u64,
    /// How long an answer may wait for a block.
    pub wait_seconds: u32,
    /// The captcha that a claim takes.
    #[serde(deserialize_with = "object_or_null")]
    pub captcha: Option<Captcha>,
    /// The work that a claim takes where it takes no captcha.
    #[serde(deserialize_with = "object_or_null")]
    pub proof_of_work: Option<ProofOfWork>,
    /// How long a claim is remembered.
    pub retention_days: u32,
    /// Whether anything is sent.
    pub send: bool,
    /// Whether there are limits.
    pub limits: bool,
}

/// How often a source may claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceLimit {
    /// Claims in a window.
    pub claims: u32,
    /// How long the window is that begins with the first of them.
    pub window_seconds: u64,
}

/// How claims are paid.
///
/// serde reads its form; [`FromStr`] checks it, too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PayoutPolicy {
    /// How many claims a payout pays at most, 1 to 90.
    pub batch: u32,
    /// How many payouts may be open at once.
    pub in_flight: u32,
    /// How many blocks, its own included, make a payout final.
    pub confirmations: u64,
    /// How many payouts a claim may fail in.
    pub attempts: u32,
    /// How long a payout waits before it offers a higher fee.
    pub bump_seconds: u64,
    /// How long the right to sign lasts without being renewed.
    pub lease_seconds: u32,
    /// How long a payout is followed closely.
    pub settle_deadline_seconds: u64,
    /// The balance below which somebody is told.
    #[serde(with = "amount::text")]
    pub low_balance: u128,
    /// What a claim is paid, in the smallest unit.
    #[serde(with = "amount::text")]
    pub amount: u128,
    /// How long a settled payout's claims are remembered.
    pub retention_days: u32,
    /// How many decimals a whole coin has.
    pub decimals: u8,
}

/// Why a text is no policy.
#[derive(Debug, Error)]
pub enum PolicyError {
    /// It is not JSON, or its members are not those of a policy.
    #[error("expected a policy in JSON: {0}")]
    Json(serde_json::Error),
    /// A member is not what it may be.
    #[error("expected {expected} in `{path}`")]
    Member {
        /// The names that lead to the member, with dots.
        path: &'static str,
        /// What it may be.
        expected: &'static str,
    },
}

impl Coded for PolicyError {
    fn code(&self) -> &'static str {
        match self {
            Self::Json(_) | Self::Member { .. } => "ConfigInvalid",
        }
    }

    fn retryable(&self) -> bool {
        match self {
            Self::Json(_) | Self::Member { .. } => false,
        }
    }
}

impl FromStr for IntakePolicy {
    type Err = PolicyError;

    fn from_str(json: &str) -> Result<Self, PolicyError> {
        let Object(policy): Object<Self> = serde_json::from_str(json).map_err(PolicyError::Json)?;
        policy.check()?;
        Ok(policy)
    }
}

impl FromStr for PayoutPolicy {
    type Err = PolicyError;

    fn from_str(json: &str) -> Result<Self, PolicyError> {
        let Object(policy): Object<Self> = serde_json::from_str(json).map_err(PolicyError::Json)?;
        policy.check()?;
        Ok(policy)
    }
}

/// Ten years. Longer ones would leave the times that can be written.
const MAX_DAYS: u32 = 3650;
const MAX_SECONDS: u64 = MAX_DAYS as u64 * 24 * 60 * 60;

const POSITIVE: &str = "a whole number from 1";
const SUM: &str = "a sum greater than 0";
const DECIMALS: &str = "a whole number from 0 to 36";
const DAYS: &str = "a whole number of days from 1 to 3650";
const SECONDS: &str = "a whole number of seconds from 1 to 315360000, which is ten years";
const NO_OR_SECONDS: &str = "a whole number of seconds from 0 to 315360000, which is ten years";

fn require(holds: bool, path: &'static str, expected: &'static str) -> Result<(), PolicyError> {
    if holds {
        Ok(())
    } else {
        Err(PolicyError::Member { path, expected })
    }
}

fn is_duration(seconds: u64) -> bool {
    (1..=MAX_SECONDS).contains(&seconds)
}

/// As a browser sends it: a scheme and a host in lower case, perhaps a port.
fn is_origin(text: &str) -> bool {
    let authority = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    let of_authority =
        |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b':' | b'[' | b']');
    let is_authority = |text: &str| !text.is_empty() && text.bytes().all(of_authority);
    text == "*" || authority.is_some_and(is_authority)
}

/// As a provider sends it: without a scheme, a port or a path.
fn is_host(text: &str) -> bool {
    let of_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    !text.is_empty() && text.bytes().all(of_host)
}

fn is_url(text: &str) -> bool {
    text.starts_with("https://") || text.starts_with("http://")
}

impl IntakePolicy {
    /// Checks what the form leaves open.
    ///
    /// # Errors
    ///
    /// [`PolicyError::Member`] tells the first rule that it breaks.
    pub fn check(&self) -> Result<(), PolicyError> {
        let symbol = 1..=32;
        require(self.amount > 0, "amount", SUM)?;
        require(
            symbol.contains(&self.symbol.chars().count()),
            "symbol",
            "a text of 1 to 32 characters",
        )?;
        require(self.decimals <= 36, "decimals", DECIMALS)?;
        require(
            self.origins.iter().all(|origin| is_origin(origin)),
            "origins",
            "`*`, or origins such as https://example.org, in lower case and without a path",
        )?;
        require(
            self.throttle.per_minute >= 1,
            "throttle.per_minute",
            POSITIVE,
        )?;
        require(self.throttle.burst >= 1, "throttle.burst", POSITIVE)?;
        require(
            self.address_cooldown_seconds <= MAX_SECONDS,
            "address_cooldown_seconds",
            NO_OR_SECONDS,
        )?;
        require(self.source.claims >= 1, "source.claims", POSITIVE)?;
        require(
            is_duration(self.source.window_seconds),
            "source.window_seconds",
            SECONDS,
        )?;
        require(
            self.daily_budget >= self.amount,
            "daily_budget",
            "a sum of at least `amount`",
        )?;
        require(
            is_duration(self.claim_deadline_seconds),
            "claim_deadline_seconds",
            SECONDS,
        )?;
        require(
            self.wait_seconds <= 25,
            "wait_seconds",
            "a whole number of seconds from 0 to 25",
        )?;
        require(
            (1..=MAX_DAYS).contains(&self.retention_days),
            "retention_days",
            DAYS,
        )?;
        if let Some(captcha) = &self.captcha {
            captcha.check()?;
        }
        if let Some(proof_of_work) = &self.proof_of_work {
            proof_of_work.check()?;
        }
        Ok(())
    }
}

impl Captcha {
    fn check(&self) -> Result<(), PolicyError> {
        require(
            !self.site_key.is_empty(),
            "captcha.site_key",
            "the public key that the provider gave for the site",
        )?;
        require(
            !self.hosts.is_empty() && self.hosts.iter().all(|host| is_host(host)),
            "captcha.hosts",
            "one host or more, such as example.org, without a port",
        )?;
        let action = self.action.as_deref();
        require(
            action != Some(""),
            "captcha.action",
            "null or a text that is not empty",
        )?;
        require(
            action.is_none() || self.provider != Provider::Hcaptcha,
            "captcha.action",
            "null, as hcaptcha knows no actions,",
        )?;
        require(
            self.verify_url.as_deref().is_none_or(is_url),
            "captcha.verify_url",
            "null or a URL of HTTP",
        )
    }
}

impl ProofOfWork {
    fn check(&self) -> Result<(), PolicyError> {
        require(
            (1..=32).contains(&self.bits),
            "proof_of_work.bits",
            "a whole number from 1 to 32",
        )?;
        require(
            is_duration(self.valid_seconds.into()),
            "proof_of_work.valid_seconds",
            SECONDS,
        )
    }
}

impl PayoutPolicy {
    /// Checks what the form leaves open.
    ///
    /// # Errors
    ///
    /// [`PolicyError::Member`] tells the first rule that it breaks.
    pub fn check(&self) -> Result<(), PolicyError> {
        require(
            (1..=90).contains(&self.batch),
            "batch",
            "a whole number from 1 to 90",
        )?;
        require(self.in_flight >= 1, "in_flight", POSITIVE)?;
        require(self.confirmations >= 1, "confirmations", POSITIVE)?;
        require(self.attempts >= 1, "attempts", POSITIVE)?;
        require(is_duration(self.bump_seconds), "bump_seconds", SECONDS)?;
        require(
            is_duration(self.lease_seconds.into()),
            "lease_seconds",
            SECONDS,
        )?;
        require(
            is_duration(self.settle_deadline_seconds),
            "settle_deadline_seconds",
            SECONDS,
        )?;
        require(self.amount > 0, "amount", SUM)?;
        require(
            (1..=MAX_DAYS).contains(&self.retention_days),
            "retention_days",
            DAYS,
        )?;
        require(self.decimals <= 36, "decimals", DECIMALS)
    }
}
