use std::fmt;

use crate::{
    ProofError, Suite,
    ecvrf::{self, Curve, Edwards25519, P256, Parts},
};

/// A well-formed proof, true or not.
///
/// `Display` writes its bytes as lower-case hexadecimal.
#[derive(Clone, Copy)]
pub struct Proof(pub(crate) Inner);

#[derive(Clone, Copy)]
pub(crate) enum Inner {
    Edwards25519(Parts<Edwards25519>),
    P256(Parts<P256>),
}

impl Proof {
    /// Reads a proof (RFC 9381, section 5.4.4): the point Gamma, the challenge
    /// c of 16 bytes and the scalar s of 32 bytes. Every proof has exactly one
    /// encoding.
    ///
    /// # Errors
    ///
    /// [`ProofError`] for a wrong length, a Gamma that is no canonical point,
    /// or an s not below the group order.
    pub fn from_bytes(suite: Suite, bytes: &[u8]) -> Result<Self, ProofError> {
        Ok(Self(match suite {
            Suite::Edwards25519Sha512Tai => Inner::Edwards25519(Parts::from_bytes(bytes)?),
            Suite::P256Sha256Tai => Inner::P256(Parts::from_bytes(bytes)?),
        }))
    }

    /// The bytes that [`Proof::from_bytes`] reads.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        match &self.0 {
            Inner::Edwards25519(parts) => parts.to_bytes(),
            Inner::P256(parts) => parts.to_bytes(),
        }
    }

    /// The suite of this proof.
    #[must_use]
    pub fn suite(&self) -> Suite {
        match &self.0 {
            Inner::Edwards25519(_) => Suite::Edwards25519Sha512Tai,
            Inner::P256(_) => Suite::P256Sha256Tai,
        }
    }

    /// The output of this proof (RFC 9381, section 5.2). It means nothing
    /// until [`PublicKey::verify`](crate::PublicKey::verify) accepts the proof.
    #[must_use]
    pub fn to_hash(&self) -> Output {
        match &self.0 {
            Inner::Edwards25519(parts) => Output::of::<Edwards25519>(&parts.cleared_gamma()),
            Inner::P256(parts) => Output::of::<P256>(&parts.cleared_gamma()),
        }
    }
}

impl PartialEq for Proof {
    fn eq(&self, other: &Self) -> bool {
        self.suite() == other.suite() && self.to_bytes() == other.to_bytes()
    }
}

impl Eq for Proof {}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.to_bytes()))
    }
}

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proof({}, {self})", self.suite())
    }
}

/// The output beta of the VRF: 64 bytes for edwards25519, 32 for P-256.
///
/// `Display` writes its bytes as lower-case hexadecimal.
#[derive(Clone, PartialEq, Eq)]
pub struct Output(Vec<u8>);

impl Output {
    pub(crate) fn of<C: Curve>(cleared_gamma: &C::EncodedPoint) -> Self {
        Self(ecvrf::output::<C>(cleared_gamma).as_ref().to_vec())
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Output({self})")
    }
}
