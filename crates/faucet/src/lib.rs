#![doc = include_str!("../README.md")]

mod amount;
mod budget;
pub mod captcha;
pub mod challenge;
mod claim;
mod id;
mod object;
mod plan;
mod policy;
pub mod source;
mod status;
mod throttle;

pub use amount::{coins, coins_f64};
pub use budget::{budget_day, budget_resets};
pub use captcha::{Captcha, CaptchaError, Provider};
pub use challenge::{Challenge, ChallengeError, ProofOfWork};
pub use claim::{ClaimBody, ClaimError};
pub use id::{IdempotencyKey, IdempotencyKeyError, random_claim_id};
pub use plan::{Plan, Waiting, plan};
pub use policy::{IntakePolicy, PayoutPolicy, PolicyError, SourceLimit};
pub use source::{Source, UnknownSource};
pub use status::{ClaimStatus, PayoutStatus};
pub use throttle::{Gcra, Judgement, Throttle};
