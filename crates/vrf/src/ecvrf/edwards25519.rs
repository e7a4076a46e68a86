//! ECVRF-EDWARDS25519-SHA512-TAI.

use curve25519_dalek::{
    EdwardsPoint, Scalar,
    edwards::CompressedEdwardsY,
    scalar::clamp_integer,
    traits::{IsIdentity, VartimeMultiscalarMul},
};
use sha2::{Digest, Sha512};
use zeroize::Zeroizing;

use super::{Challenge, Curve, Expanded};
use crate::Suite;

#[derive(Clone, Copy)]
pub(crate) struct Edwards25519;

impl Curve for Edwards25519 {
    const SUITE: Suite = Suite::Edwards25519Sha512Tai;

    type Hash = Sha512;
    type Point = EdwardsPoint;
    type EncodedPoint = [u8; 32];
    type Scalar = Scalar;

    /// RFC 8032, section 5.1.5. The clamped scalar is reduced, which changes
    /// no product because only points of prime order are multiplied by it.
    fn expand(secret: &[u8; 32]) -> Option<Expanded<Self>> {
        let hash = Zeroizing::new(<[u8; 64]>::from(Sha512::digest(secret)));
        let (scalar, nonce_key) = hash.split_first_chunk()?;
        let scalar = Zeroizing::new(clamp_integer(*scalar));
        Some(Expanded {
            scalar: Zeroizing::new(Scalar::from_bytes_mod_order(*scalar)),
            nonce_key: Zeroizing::new(nonce_key.try_into().ok()?),
        })
    }

    /// Section 5.4.2.2, which is the nonce of RFC 8032, section 5.1.6.
    fn nonce(nonce_key: &[u8; 32], h: &[u8; 32]) -> Zeroizing<Scalar> {
        let hash = Sha512::new().chain_update(nonce_key).chain_update(h);
        let hash = Zeroizing::new(<[u8; 64]>::from(hash.finalize()));
        Zeroizing::new(Scalar::from_bytes_mod_order_wide(&hash))
    }

    /// RFC 8032, section 5.1.3. The curve library also accepts a y of p or
    /// above, and a sign for x = 0, which the RFC refuses.
    fn decode_point(bytes: &[u8]) -> Option<EdwardsPoint> {
        let encoded = CompressedEdwardsY::from_slice(bytes).ok()?;
        let [first, middle @ .., last] = encoded.as_bytes();
        let y_below_p =
            *first < 0xed || last & 0x7f != 0x7f || middle.iter().any(|byte| *byte != 0xff);
        let point = encoded.decompress().filter(|_| y_below_p)?;
        let signed = last >> 7 == 1;
        // Only the points with x = 0 are their own negatives.
        (!(signed && point == -point)).then_some(point)
    }

    fn encode_points<const N: usize>(points: [EdwardsPoint; N]) -> [[u8; 32]; N] {
        EdwardsPoint::compress_batch(&points).map(|point| point.to_bytes())
    }

    fn point_of_hash(hash: &[u8]) -> Option<EdwardsPoint> {
        Self::decode_point(hash.get(..32)?)
    }

    fn clear_cofactor(point: EdwardsPoint) -> EdwardsPoint {
        point.mul_by_cofactor()
    }

    fn is_identity(point: &EdwardsPoint) -> bool {
        point.is_identity()
    }

    fn decode_scalar(bytes: [u8; 32]) -> Option<Scalar> {
        Scalar::from_canonical_bytes(bytes).into_option()
    }

    fn encode_scalar(scalar: &Scalar) -> [u8; 32] {
        scalar.to_bytes()
    }

    fn challenge_scalar(challenge: Challenge) -> Scalar {
        Scalar::from(u128::from_le_bytes(challenge))
    }

    fn mul(point: &EdwardsPoint, scalar: &Scalar) -> EdwardsPoint {
        point * scalar
    }

    fn mul_base(scalar: &Scalar) -> EdwardsPoint {
        EdwardsPoint::mul_base(scalar)
    }

    fn vartime_commit_base(s: &Scalar, c: &Scalar, y: &EdwardsPoint) -> EdwardsPoint {
        EdwardsPoint::vartime_double_scalar_mul_basepoint(c, &-y, s)
    }

    fn vartime_commit(
        s: &Scalar,
        h: &EdwardsPoint,
        c: &Scalar,
        gamma: &EdwardsPoint,
    ) -> EdwardsPoint {
        EdwardsPoint::vartime_multiscalar_mul([s, c], [*h, -gamma])
    }
}
