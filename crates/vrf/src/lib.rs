#![doc = include_str!("../README.md")]

mod bundle;
mod ecvrf;
mod error;
mod key;
mod proof;
mod range;
mod request;
mod suite;
mod text;

pub use bundle::{InvalidBundle, ProofBundle, UnreadableBundle, Verified};
pub use error::{HashToCurveError, ProofError, PublicKeyError, SecretKeyError, VerifyError};
pub use key::{PublicKey, SecretKey};
pub use proof::{Output, Proof};
pub use range::{Bounds, BoundsError};
pub use request::{Due, DueTime, RequestId, RequestTerms, Seed, TermError};
pub use suite::{Suite, UnknownSuite};
