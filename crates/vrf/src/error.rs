use thiserror::Error;

use crate::Suite;

/// Why some bytes are no secret key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SecretKeyError {
    /// Every secret key is 32 bytes long.
    #[error("expected a secret key of 32 bytes, found {found}")]
    Length {
        /// Bytes found.
        found: usize,
    },
    /// A P-256 secret key is a big-endian number from 1 to the group order
    /// less one.
    #[error("expected a P-256 secret key from 1 to the group order less one")]
    OutOfRange,
}

/// Why some bytes are no public key (RFC 9381, section 5.4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PublicKeyError {
    /// The length is not that of one point.
    #[error("expected a public key of {expected} bytes, found {found}")]
    Length {
        /// Bytes of a public key of this suite.
        expected: usize,
        /// Bytes found.
        found: usize,
    },
    /// The bytes are not the canonical encoding of a point.
    #[error("expected a public key that encodes a point of the curve canonically")]
    NotAPoint,
    /// The cofactor times the point is the identity.
    #[error("expected a public key that is no point of low order")]
    LowOrder,
}

/// Why some bytes are no proof (RFC 9381, section 5.4.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ProofError {
    /// The length is not that of a point, a challenge and a scalar.
    #[error("expected a proof of {expected} bytes, found {found}")]
    Length {
        /// Bytes of a proof of this suite.
        expected: usize,
        /// Bytes found.
        found: usize,
    },
    /// Gamma is not the canonical encoding of a point.
    #[error("expected a proof whose Gamma encodes a point of the curve canonically")]
    Gamma,
    /// The scalar s is not below the group order.
    #[error("expected a proof whose scalar s is below the group order")]
    Scalar,
}

/// No one of the 256 candidates of try-and-increment is a point (RFC 9381,
/// section 5.4.1.1), which happens to one input in about 2^256.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("expected a point among the 256 candidates of try-and-increment")]
pub struct HashToCurveError;

/// Why a proof does not verify (RFC 9381, section 5.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum VerifyError {
    /// The key and the proof are of different suites.
    #[error("expected a proof of the suite of the key, {key}, found {proof}")]
    Suite {
        /// Suite of the public key.
        key: Suite,
        /// Suite of the proof.
        proof: Suite,
    },
    /// The input has no point.
    #[error(transparent)]
    HashToCurve(#[from] HashToCurveError),
    /// The recomputed challenge differs, so this key did not prove this input.
    #[error("expected a proof made by this public key for this input")]
    Challenge,
}
