//! ECVRF-P256-SHA256-TAI.

use hmac::{Hmac, KeyInit, Mac};
use p256::{
    AffinePoint, FieldBytes, ProjectivePoint, Scalar, Sec1Point,
    elliptic_curve::{
        BatchNormalize, Field, Group, PrimeField,
        ops::{LinearCombination, MulByGeneratorVartime, Reduce},
        point::DecompressPoint,
        sec1::ToSec1Point,
    },
};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{Challenge, Curve, Expanded};
use crate::Suite;

#[derive(Clone, Copy)]
pub(crate) struct P256;

impl Curve for P256 {
    const SUITE: Suite = Suite::P256Sha256Tai;

    type Hash = Sha256;
    type Point = ProjectivePoint;
    type EncodedPoint = Sec1Point;
    type Scalar = Scalar;

    fn expand(secret: &[u8; 32]) -> Option<Expanded<Self>> {
        let scalar = Zeroizing::new(Self::decode_scalar(*secret)?);
        (!bool::from(scalar.is_zero())).then(|| Expanded {
            scalar,
            nonce_key: Zeroizing::new(*secret),
        })
    }

    /// Section 5.4.2.1, which is the nonce of RFC 6979, section 3.2. The steps
    /// stand here because the published generator leaves its state in memory.
    fn nonce(nonce_key: &[u8; 32], h: &Sec1Point) -> Zeroizing<Scalar> {
        let message = Scalar::reduce(&Sha256::digest(h)).to_repr();
        let mut value = Zeroizing::new([1; 32]);
        let mut key = hmac(&[0; 32], &[&*value, &[0], nonce_key, &message]);
        value = hmac(&key, &[&*value]);
        key = hmac(&key, &[&*value, &[1], nonce_key, &message]);
        value = hmac(&key, &[&*value]);
        loop {
            value = hmac(&key, &[&*value]);
            if let Some(expanded) = Self::expand(&value) {
                return expanded.scalar;
            }
            key = hmac(&key, &[&*value, &[0]]);
            value = hmac(&key, &[&*value]);
        }
    }

    /// The compressed form of SEC 1, section 2.3.4, and no other.
    fn decode_point(bytes: &[u8]) -> Option<ProjectivePoint> {
        let (tag @ (2 | 3), x) = bytes.split_first()? else {
            return None;
        };
        decompress(x, tag & 1)
    }

    fn encode_points<const N: usize>(points: [ProjectivePoint; N]) -> [Sec1Point; N] {
        ProjectivePoint::batch_normalize(&points).map(|point| point.to_sec1_point(true))
    }

    fn point_of_hash(hash: &[u8]) -> Option<ProjectivePoint> {
        decompress(hash, 0)
    }

    fn clear_cofactor(point: ProjectivePoint) -> ProjectivePoint {
        point
    }

    fn is_identity(point: &ProjectivePoint) -> bool {
        point.is_identity().into()
    }

    fn decode_scalar(bytes: [u8; 32]) -> Option<Scalar> {
        Scalar::from_repr(bytes.into()).into_option()
    }

    fn encode_scalar(scalar: &Scalar) -> [u8; 32] {
        scalar.to_repr().into()
    }

    fn challenge_scalar(challenge: Challenge) -> Scalar {
        Scalar::from(u128::from_be_bytes(challenge))
    }

    fn mul(point: &ProjectivePoint, scalar: &Scalar) -> ProjectivePoint {
        point * scalar
    }

    fn mul_base(scalar: &Scalar) -> ProjectivePoint {
        ProjectivePoint::mul_by_generator(scalar)
    }

    /// Two products, because the table of the base point and the short c save
    /// more doublings than sharing them would.
    fn vartime_commit_base(s: &Scalar, c: &Scalar, y: &ProjectivePoint) -> ProjectivePoint {
        ProjectivePoint::mul_by_generator_vartime(s) - y.mul_vartime(c)
    }

    fn vartime_commit(
        s: &Scalar,
        h: &ProjectivePoint,
        c: &Scalar,
        gamma: &ProjectivePoint,
    ) -> ProjectivePoint {
        ProjectivePoint::lincomb_vartime(&[(*h, *s), (-gamma, *c)])
    }
}

fn decompress(x: &[u8], y_is_odd: u8) -> Option<ProjectivePoint> {
    let x = FieldBytes::try_from(x).ok()?;
    AffinePoint::decompress(&x, y_is_odd.into())
        .into_option()
        .map(ProjectivePoint::from)
}

fn hmac(key: &[u8; 32], parts: &[&[u8]]) -> Zeroizing<[u8; 32]> {
    // HMAC itself pads a short key with zeros to this block.
    let mut block = Zeroizing::new([0; 64]);
    block[..32].copy_from_slice(key);
    let mut mac = Hmac::<Sha256>::new((&*block).into());
    for part in parts {
        mac.update(part);
    }
    Zeroizing::new(mac.finalize().into_bytes().into())
}
