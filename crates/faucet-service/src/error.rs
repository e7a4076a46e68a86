//! What can go wrong at work.

use offchain_chains::{AddressError, ChainFault, KeyError, SignError};
use offchain_codes::Coded;
use offchain_faucet::source::UnknownSource;
use offchain_faucet::{CaptchaError, ChallengeError, ClaimError, IdempotencyKeyError, Judgement};
use offchain_function::http::{BodyError, Public, our_fault};
use offchain_outbound::OutboundError;
use offchain_store::StoreError;
use offchain_store::faucet::LockError;
use offchain_store::secret::SecretError;

/// Why nothing more is paid in this run.
#[derive(Debug, thiserror::Error)]
pub enum PayError {
    /// The lease.
    #[error(transparent)]
    Lease(#[from] LockError),
    /// The chain.
    #[error(transparent)]
    Chain(#[from] ChainFault),
    /// The secret with the key.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The key in it.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The signature.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Coded for PayError {
    fn code(&self) -> &'static str {
        match self {
            Self::Lease(error) => error.code(),
            Self::Chain(error) => error.code(),
            Self::Secret(error) => error.code(),
            Self::Key(error) => error.code(),
            Self::Sign(error) => error.code(),
            Self::Store(error) => error.code(),
        }
    }

    fn retryable(&self) -> bool {
        match self {
            Self::Lease(error) => error.retryable(),
            Self::Chain(error) => error.retryable(),
            Self::Secret(error) => error.retryable(),
            Self::Key(error) => error.retryable(),
            Self::Sign(error) => error.retryable(),
            Self::Store(error) => error.retryable(),
        }
    }
}

/// Why nothing is known of a payout.
#[derive(Debug, thiserror::Error)]
pub enum ConfirmError {
    /// There is none with this number.
    #[error("there is no payout {0}")]
    NotFound(u64),
    /// The chain.
    #[error(transparent)]
    Chain(#[from] ChainFault),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Coded for ConfirmError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "PayoutNotFound",
            Self::Chain(error) => error.code(),
            Self::Store(error) => error.code(),
        }
    }

    fn retryable(&self) -> bool {
        match self {
            Self::NotFound(_) => false,
            Self::Chain(error) => error.retryable(),
            Self::Store(error) => error.retryable(),
        }
    }
}

/// Why a request over HTTP is not served.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// The body cannot be taken.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// It is no claim.
    #[error(transparent)]
    Claim(#[from] ClaimError),
    /// The address is not one of the chain.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The `Idempotency-Key` is unusable.
    #[error(transparent)]
    IdempotencyKey(#[from] IdempotencyKeyError),
    /// The `Idempotency-Key` was used for a claim of another address.
    #[error("this Idempotency-Key belongs to a claim of another address: use a new one")]
    IdempotencyKeyReused,
    /// The page that asks is of another origin.
    #[error("pages of the origin {0} may not claim here")]
    Origin(String),
    /// Nobody knows where the request comes from.
    #[error(transparent)]
    Source(#[from] UnknownSource),
    /// A captcha is demanded, and there is none.
    #[error("expected a solved captcha in `response`")]
    CaptchaMissing,
    /// The captcha does not count.
    #[error(transparent)]
    Captcha(#[from] CaptchaError),
    /// The captcha's provider cannot be asked.
    #[error("the captcha's provider could not be asked")]
    CaptchaProvider(#[source] OutboundError),
    /// The challenge does not count.
    #[error(transparent)]
    Challenge(#[from] ChallengeError),
    /// There are no challenges.
    #[error("this faucet demands no proof of work")]
    NoChallenge,
    /// Too many requests.
    #[error("limit exceeded")]
    Limit(Judgement),
    /// The address was served.
    #[error("this address was served: it may claim again in {seconds} s")]
    AddressCooldown {
        /// Seconds until it may claim again.
        seconds: u32,
    },
    /// Enough claims came from there.
    #[error("{claims} claims came from where you are: it may claim again in {seconds} s")]
    SourceCooldown {
        /// How many are allowed.
        claims: u32,
        /// Seconds until it may claim again.
        seconds: u32,
    },
    /// The day's budget is given out.
    #[error("today's budget is given out: there is more in {seconds} s")]
    Budget {
        /// Seconds until there is more.
        seconds: u32,
    },
    /// Every transaction that was tried failed.
    #[error("the payout failed ({reason}): claim again with a new Idempotency-Key")]
    PayoutFailed {
        /// Why.
        reason: String,
    },
    /// Nothing was paid in time.
    #[error("the claim was not paid in time ({reason}): claim again with a new Idempotency-Key")]
    ClaimExpired {
        /// Why.
        reason: String,
    },
    /// There is no such claim.
    #[error("there is no claim {0:?}")]
    NotFound(String),
    /// There is no such route.
    #[error("there is no route {0:?}")]
    Route(String),
    /// The route has no such method.
    #[error("the route has no method {0}")]
    Method(String),
    /// The secret with the challenge's key or the captcha's secret.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// What the secret holds.
    #[error(
        "the secret is not {{\"challenge_key\": \"<64 hexadecimal digits>\", \"captcha_secret\": \"…\"}}, or lacks what this faucet demands"
    )]
    SecretInvalid,
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Coded for IntakeError {
    fn code(&self) -> &'static str {
        match self {
            Self::Body(error) => error.code(),
            Self::Claim(error) => error.code(),
            Self::Address(error) => error.code(),
            Self::IdempotencyKey(error) => error.code(),
            Self::IdempotencyKeyReused => "IdempotencyKeyReused",
            Self::Origin(_) => "OriginNotAllowed",
            Self::Source(error) => error.code(),
            Self::CaptchaMissing => "CaptchaMissing",
            Self::Captcha(error) => error.code(),
            Self::CaptchaProvider(_) => "CaptchaUnavailable",
            Self::Challenge(error) => error.code(),
            Self::NoChallenge => "ChallengeNotConfigured",
            Self::Limit(_) => "LimitExceeded",
            Self::AddressCooldown { .. } => "AddressCooldown",
            Self::SourceCooldown { .. } => "SourceCooldown",
            Self::Budget { .. } => "BudgetSpent",
            Self::PayoutFailed { .. } => "PayoutFailed",
            Self::ClaimExpired { .. } => "ClaimExpired",
            Self::NotFound(_) => "ClaimNotFound",
            Self::Route(_) => "RouteNotFound",
            Self::Method(_) => "MethodNotAllowed",
            Self::Secret(error) => error.code(),
            Self::SecretInvalid => "SecretInvalid",
            Self::Store(error) => error.code(),
        }
    }

    fn retryable(&self) -> bool {
        match self {
            Self::Body(_)
            | Self::Claim(_)
            | Self::Address(_)
            | Self::IdempotencyKey(_)
            | Self::IdempotencyKeyReused
            | Self::Origin(_)
            | Self::Source(_)
            | Self::CaptchaMissing
            | Self::Challenge(_)
            | Self::NoChallenge
            | Self::PayoutFailed { .. }
            | Self::ClaimExpired { .. }
            | Self::NotFound(_)
            | Self::Route(_)
            | Self::Method(_)
            | Self::SecretInvalid => false,
            Self::CaptchaProvider(_)
            | Self::Limit(_)
            | Self::AddressCooldown { .. }
            | Self::SourceCooldown { .. }
            | Self::Budget { .. } => true,
            Self::Captcha(error) => error.retryable(),
            Self::Secret(error) => error.retryable(),
            Self::Store(error) => error.retryable(),
        }
    }
}

impl Public for IntakeError {
    fn status(&self) -> u16 {
        match self {
            Self::Body(error) => error.status(),
            Self::Claim(_)
            | Self::Address(_)
            | Self::IdempotencyKey(_)
            | Self::CaptchaMissing
            | Self::Source(_) => 400,
            Self::Captcha(CaptchaError::Rejected(_)) | Self::Challenge(_) | Self::Origin(_) => 403,
            Self::NoChallenge | Self::NotFound(_) | Self::Route(_) => 404,
            Self::Method(_) => 405,
            Self::IdempotencyKeyReused => 409,
            Self::Limit(_)
            | Self::AddressCooldown { .. }
            | Self::SourceCooldown { .. }
            | Self::Budget { .. } => 429,
            Self::PayoutFailed { .. } => 502,
            Self::ClaimExpired { .. } | Self::Captcha(_) | Self::CaptchaProvider(_) => 503,
            Self::Secret(error) if error.retryable() => 503,
            Self::Store(error) if error.retryable() => 503,
            Self::SecretInvalid | Self::Secret(_) | Self::Store(_) => 500,
        }
    }

    fn detail(&self) -> String {
        match self {
            Self::Captcha(_) | Self::PayoutFailed { .. } | Self::ClaimExpired { .. } => {
                self.to_string()
            }
            Self::CaptchaProvider(_) => {
                "the captcha's provider cannot be reached: try again later".to_owned()
            }
            _ if self.status() < 500 => self.to_string(),
            _ => our_fault(self.retryable()).to_owned(),
        }
    }

    fn retry_after(&self) -> Option<u32> {
        match self {
            Self::Limit(judgement) => {
                let wait = judgement.retry_after.unwrap_or(judgement.reset_after);
                Some(seconds(wait.as_millis()))
            }
            Self::AddressCooldown { seconds }
            | Self::SourceCooldown { seconds, .. }
            | Self::Budget { seconds } => Some(*seconds),
            _ => self.retryable().then_some(1),
        }
    }
}

/// Whole seconds, rounded up.
pub(crate) fn seconds(milliseconds: i128) -> u32 {
    u32::try_from(milliseconds.max(0).unsigned_abs().div_ceil(1000)).unwrap_or(u32::MAX)
}
