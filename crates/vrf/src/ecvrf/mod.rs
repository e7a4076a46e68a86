//! The algorithms of RFC 9381, section 5, written once for every curve.

mod edwards25519;
mod p256;

use std::ops::{Add, Mul};

use sha2::Digest;
use zeroize::{Zeroize, Zeroizing};

pub(crate) use self::{edwards25519::Edwards25519, p256::P256};
use crate::{HashToCurveError, ProofError, PublicKeyError, SecretKeyError, Suite, VerifyError};

const ENCODE_TO_CURVE: u8 = 0x01;
const CHALLENGE: u8 = 0x02;
const PROOF_TO_HASH: u8 = 0x03;
const BACK: u8 = 0x00;

const CHALLENGE_LEN: usize = 16;
const SCALAR_LEN: usize = 32;

/// The parameters of one ciphersuite (RFC 9381, section 5.5).
///
/// What takes a secret runs in constant time. What is named `vartime` takes
/// public values only.
pub(crate) trait Curve {
    const SUITE: Suite;

    type Hash: Digest + Clone;
    type Point: Copy;
    type EncodedPoint: Copy + AsRef<[u8]> + for<'a> TryFrom<&'a [u8]>;
    type Scalar: Copy + Zeroize + Add<Output = Self::Scalar> + Mul<Output = Self::Scalar>;

    /// Derives the secret scalar and the key of the nonce from a secret key,
    /// or `None` if that is out of range.
    fn expand(secret: &[u8; SCALAR_LEN]) -> Option<Expanded<Self>>;

    /// The nonce k (section 5.4.2) for the encoded point H.
    fn nonce(nonce_key: &[u8; 32], h: &Self::EncodedPoint) -> Zeroizing<Self::Scalar>;

    /// `string_to_point`: `None` for anything but a canonical encoding.
    fn decode_point(bytes: &[u8]) -> Option<Self::Point>;

    /// `point_to_string` of several points, which share one field inversion.
    fn encode_points<const N: usize>(points: [Self::Point; N]) -> [Self::EncodedPoint; N];

    /// `interpret_hash_value_as_a_point`.
    fn point_of_hash(hash: &[u8]) -> Option<Self::Point>;

    fn clear_cofactor(point: Self::Point) -> Self::Point;
    fn is_identity(point: &Self::Point) -> bool;

    /// Decodes a scalar: `None` unless it is below the group order.
    fn decode_scalar(bytes: [u8; SCALAR_LEN]) -> Option<Self::Scalar>;
    fn encode_scalar(scalar: &Self::Scalar) -> [u8; SCALAR_LEN];
    fn challenge_scalar(challenge: Challenge) -> Self::Scalar;

    fn mul(point: &Self::Point, scalar: &Self::Scalar) -> Self::Point;
    fn mul_base(scalar: &Self::Scalar) -> Self::Point;

    /// `s*B - c*Y`.
    fn vartime_commit_base(s: &Self::Scalar, c: &Self::Scalar, y: &Self::Point) -> Self::Point;

    /// `s*H - c*Gamma`.
    fn vartime_commit(
        s: &Self::Scalar,
        h: &Self::Point,
        c: &Self::Scalar,
        gamma: &Self::Point,
    ) -> Self::Point;
}

pub(crate) struct Expanded<C: Curve + ?Sized> {
    pub(crate) scalar: Zeroizing<C::Scalar>,
    pub(crate) nonce_key: Zeroizing<[u8; 32]>,
}

/// A challenge c. Its bytes are the start of a hash, in the byte order of the
/// suite, so they need no conversion in a proof.
type Challenge = [u8; CHALLENGE_LEN];

/// A secret key with all that proving needs.
pub(crate) struct Secret<C: Curve> {
    pub(crate) bytes: Zeroizing<[u8; SCALAR_LEN]>,
    pub(crate) public: Public<C>,
    expanded: Expanded<C>,
}

#[derive(Clone, Copy)]
pub(crate) struct Public<C: Curve> {
    point: C::Point,
    pub(crate) encoded: C::EncodedPoint,
}

/// A decoded proof (Gamma, c, s).
#[derive(Clone, Copy)]
pub(crate) struct Parts<C: Curve> {
    gamma: C::Point,
    encoded_gamma: C::EncodedPoint,
    challenge: Challenge,
    s: C::Scalar,
}

impl<C: Curve> Secret<C> {
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, SecretKeyError> {
        if bytes.len() != SCALAR_LEN {
            return Err(SecretKeyError::Length { found: bytes.len() });
        }
        let mut secret = Zeroizing::new([0; SCALAR_LEN]);
        secret.copy_from_slice(bytes);
        let expanded = C::expand(&secret).ok_or(SecretKeyError::OutOfRange)?;
        let point = C::mul_base(&expanded.scalar);
        let [encoded] = C::encode_points([point]);
        Ok(Self {
            bytes: secret,
            public: Public { point, encoded },
            expanded,
        })
    }

    /// `ECVRF_prove` (section 5.1).
    pub(crate) fn prove(&self, alpha: &[u8]) -> Result<Parts<C>, HashToCurveError> {
        let Expanded { scalar, nonce_key } = &self.expanded;
        let h = self.public.encode_to_curve(alpha)?;
        let gamma = C::mul(&h, scalar);
        let [encoded_h, encoded_gamma] = C::encode_points([h, gamma]);
        let k = C::nonce(nonce_key, &encoded_h);
        let [u, v] = C::encode_points([C::mul_base(&k), C::mul(&h, &k)]);
        let challenge = challenge::<C>([&self.public.encoded, &encoded_h, &encoded_gamma, &u, &v]);
        let s = *k + C::challenge_scalar(challenge) * **scalar;
        Ok(Parts {
            gamma,
            encoded_gamma,
            challenge,
            s,
        })
    }
}

impl<C: Curve> Public<C> {
    /// Decodes and validates a key (section 5.4.5).
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, PublicKeyError> {
        let expected = C::SUITE.public_key_len();
        if bytes.len() != expected {
            return Err(PublicKeyError::Length {
                expected,
                found: bytes.len(),
            });
        }
        let (point, encoded) = decode::<C>(bytes).ok_or(PublicKeyError::NotAPoint)?;
        if C::is_identity(&C::clear_cofactor(point)) {
            return Err(PublicKeyError::LowOrder);
        }
        Ok(Self { point, encoded })
    }

    /// `ECVRF_verify` (section 5.3): the encoding of cofactor*Gamma, whose
    /// hash is the output.
    pub(crate) fn verify(
        &self,
        alpha: &[u8],
        proof: &Parts<C>,
    ) -> Result<C::EncodedPoint, VerifyError> {
        let Parts { gamma, s, .. } = proof;
        let c = C::challenge_scalar(proof.challenge);
        let h = self.encode_to_curve(alpha)?;
        let [encoded_h, u, v, cleared_gamma] = C::encode_points([
            h,
            C::vartime_commit_base(s, &c, &self.point),
            C::vartime_commit(s, &h, &c, gamma),
            C::clear_cofactor(*gamma),
        ]);
        let expected = challenge::<C>([&self.encoded, &encoded_h, &proof.encoded_gamma, &u, &v]);
        if expected == proof.challenge {
            Ok(cleared_gamma)
        } else {
            Err(VerifyError::Challenge)
        }
    }

    /// `ECVRF_encode_to_curve_try_and_increment` (section 5.4.1.1), salted
    /// with this key.
    fn encode_to_curve(&self, alpha: &[u8]) -> Result<C::Point, HashToCurveError> {
        (0..=u8::MAX)
            .find_map(self.curve_candidates(alpha))
            .ok_or(HashToCurveError)
    }

    /// The candidate of each counter.
    fn curve_candidates(&self, alpha: &[u8]) -> impl Fn(u8) -> Option<C::Point> {
        let prefix = C::Hash::new()
            .chain_update([C::SUITE.suite_string(), ENCODE_TO_CURVE])
            .chain_update(self.encoded)
            .chain_update(alpha);
        move |counter| {
            let hash = prefix.clone().chain_update([counter, BACK]).finalize();
            C::point_of_hash(&hash)
                .map(C::clear_cofactor)
                .filter(|point| !C::is_identity(point))
        }
    }
}

impl<C: Curve> Parts<C> {
    /// `ECVRF_decode_proof` (section 5.4.4).
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, ProofError> {
        let length = ProofError::Length {
            expected: C::SUITE.proof_len(),
            found: bytes.len(),
        };
        let (gamma, rest) = bytes
            .split_at_checked(C::SUITE.public_key_len())
            .ok_or(length)?;
        let (challenge, s) = rest.split_first_chunk().ok_or(length)?;
        let s = s.try_into().map_err(|_| length)?;
        let (gamma, encoded_gamma) = decode::<C>(gamma).ok_or(ProofError::Gamma)?;
        Ok(Self {
            gamma,
            encoded_gamma,
            challenge: *challenge,
            s: C::decode_scalar(s).ok_or(ProofError::Scalar)?,
        })
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let s = C::encode_scalar(&self.s);
        [self.encoded_gamma.as_ref(), &self.challenge, &s].concat()
    }

    /// The encoding of cofactor*Gamma, whose hash is the output.
    pub(crate) fn cleared_gamma(&self) -> C::EncodedPoint {
        let [cleared_gamma] = C::encode_points([C::clear_cofactor(self.gamma)]);
        cleared_gamma
    }
}

/// Decodes a point and keeps its bytes, which are its only encoding, to save
/// the inversion of encoding it again.
fn decode<C: Curve>(bytes: &[u8]) -> Option<(C::Point, C::EncodedPoint)> {
    Some((C::decode_point(bytes)?, bytes.try_into().ok()?))
}

/// `ECVRF_challenge_generation` (section 5.4.3).
fn challenge<C: Curve>(points: [&C::EncodedPoint; 5]) -> Challenge {
    let mut hash = C::Hash::new().chain_update([C::SUITE.suite_string(), CHALLENGE]);
    for point in points {
        hash.update(point);
    }
    let hash = hash.chain_update([BACK]).finalize();
    let mut challenge = Challenge::default();
    challenge.copy_from_slice(&hash[..CHALLENGE_LEN]);
    challenge
}

/// The end of `ECVRF_proof_to_hash` (section 5.2).
pub(crate) fn output<C: Curve>(cleared_gamma: &C::EncodedPoint) -> impl AsRef<[u8]> + use<C> {
    C::Hash::new()
        .chain_update([C::SUITE.suite_string(), PROOF_TO_HASH])
        .chain_update(cleared_gamma)
        .chain_update([BACK])
        .finalize()
}

#[cfg(test)]
mod tests;
