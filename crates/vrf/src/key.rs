use std::fmt;

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::{
    HashToCurveError, Output, Proof, PublicKeyError, SecretKeyError, Suite, VerifyError,
    ecvrf::{Edwards25519, P256, Public, Secret},
    proof::Inner as ProofInner,
};

/// A secret key, with its public key and all else that proving needs computed
/// beforehand.
///
/// Its memory is zeroed on drop and its `Debug` shows the public key only.
pub struct SecretKey(SecretInner);

enum SecretInner {
    Edwards25519(Secret<Edwards25519>),
    P256(Secret<P256>),
}

impl SecretKey {
    /// Reads a secret key of 32 bytes (RFC 9381, section 5.5): a seed of
    /// RFC 8032 for edwards25519, a big-endian scalar for P-256.
    ///
    /// # Errors
    ///
    /// [`SecretKeyError::Length`] for another length, and for P-256
    /// [`SecretKeyError::OutOfRange`] for zero or the group order or above.
    pub fn from_bytes(suite: Suite, bytes: &[u8]) -> Result<Self, SecretKeyError> {
        Ok(Self(match suite {
            Suite::Edwards25519Sha512Tai => SecretInner::Edwards25519(Secret::from_bytes(bytes)?),
            Suite::P256Sha256Tai => SecretInner::P256(Secret::from_bytes(bytes)?),
        }))
    }

    /// Draws a uniform secret key from the caller's generator.
    pub fn generate<R: CryptoRng + ?Sized>(suite: Suite, rng: &mut R) -> Self {
        let mut bytes = Zeroizing::new([0; Suite::SECRET_KEY_LEN]);
        // One draw in about 2^32 is out of the range of P-256.
        loop {
            rng.fill_bytes(&mut *bytes);
            if let Ok(key) = Self::from_bytes(suite, &*bytes) {
                return key;
            }
        }
    }

    /// The 32 bytes that [`SecretKey::from_bytes`] reads.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<[u8; Suite::SECRET_KEY_LEN]> {
        match &self.0 {
            SecretInner::Edwards25519(secret) => secret.bytes.clone(),
            SecretInner::P256(secret) => secret.bytes.clone(),
        }
    }

    /// The suite of this key.
    #[must_use]
    pub fn suite(&self) -> Suite {
        match &self.0 {
            SecretInner::Edwards25519(_) => Suite::Edwards25519Sha512Tai,
            SecretInner::P256(_) => Suite::P256Sha256Tai,
        }
    }

    /// The public key.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        PublicKey(match &self.0 {
            SecretInner::Edwards25519(secret) => PublicInner::Edwards25519(secret.public),
            SecretInner::P256(secret) => PublicInner::P256(secret.public),
        })
    }

    /// Proves the output for an input of any length (RFC 9381, section 5.1).
    /// Equal inputs give equal proofs.
    ///
    /// # Errors
    ///
    /// [`HashToCurveError`], which no one will ever see.
    pub fn prove(&self, alpha: &[u8]) -> Result<Proof, HashToCurveError> {
        Ok(Proof(match &self.0 {
            SecretInner::Edwards25519(secret) => ProofInner::Edwards25519(secret.prove(alpha)?),
            SecretInner::P256(secret) => ProofInner::P256(secret.prove(alpha)?),
        }))
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretKey")
            .field("public_key", &self.public_key())
            .finish_non_exhaustive()
    }
}

/// A validated public key.
///
/// `Display` writes its bytes as lower-case hexadecimal.
#[derive(Clone, Copy)]
pub struct PublicKey(PublicInner);

#[derive(Clone, Copy)]
enum PublicInner {
    Edwards25519(Public<Edwards25519>),
    P256(Public<P256>),
}

impl PublicKey {
    /// Reads and validates a public key (RFC 9381, section 5.4.5): 32 bytes of
    /// RFC 8032 for edwards25519, 33 bytes of compressed SEC 1 for P-256.
    ///
    /// Refuses points of low order. As in the RFC, a point of edwards25519
    /// with a torsion component passes: the cofactor keeps its outputs unique.
    ///
    /// # Errors
    ///
    /// [`PublicKeyError`] tells which rule the bytes break.
    pub fn from_bytes(suite: Suite, bytes: &[u8]) -> Result<Self, PublicKeyError> {
        Ok(Self(match suite {
            Suite::Edwards25519Sha512Tai => PublicInner::Edwards25519(Public::from_bytes(bytes)?),
            Suite::P256Sha256Tai => PublicInner::P256(Public::from_bytes(bytes)?),
        }))
    }

    /// The bytes that [`PublicKey::from_bytes`] reads.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            PublicInner::Edwards25519(public) => &public.encoded,
            PublicInner::P256(public) => public.encoded.as_ref(),
        }
    }

    /// The suite of this key.
    #[must_use]
    pub fn suite(&self) -> Suite {
        match &self.0 {
            PublicInner::Edwards25519(_) => Suite::Edwards25519Sha512Tai,
            PublicInner::P256(_) => Suite::P256Sha256Tai,
        }
    }

    /// Verifies a proof for an input (RFC 9381, section 5.3) and returns the
    /// output it proves. Takes variable time, for all it reads is public.
    ///
    /// # Errors
    ///
    /// [`VerifyError`] if the proof is of another suite, another key or
    /// another input.
    pub fn verify(&self, alpha: &[u8], proof: &Proof) -> Result<Output, VerifyError> {
        match (&self.0, &proof.0) {
            (PublicInner::Edwards25519(key), ProofInner::Edwards25519(proof)) => {
                Ok(Output::of::<Edwards25519>(&key.verify(alpha, proof)?))
            }
            (PublicInner::P256(key), ProofInner::P256(proof)) => {
                Ok(Output::of::<P256>(&key.verify(alpha, proof)?))
            }
            _ => Err(VerifyError::Suite {
                key: self.suite(),
                proof: proof.suite(),
            }),
        }
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.suite() == other.suite() && self.as_bytes() == other.as_bytes()
    }
}

impl Eq for PublicKey {}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.as_bytes()))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({}, {self})", self.suite())
    }
}
