//! What must not pass, and what keys and proofs show of themselves.

#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

use curve25519_dalek::{constants::EIGHT_TORSION, edwards::CompressedEdwardsY};
use offchain_vrf::{
    Proof, ProofError, PublicKey, PublicKeyError, SecretKey, SecretKeyError, Suite, VerifyError,
};

const ED: Suite = Suite::Edwards25519Sha512Tai;
const P256: Suite = Suite::P256Sha256Tai;
const ALPHA: &[u8] = b"the input of all these proofs";

fn secret_key(suite: Suite) -> SecretKey {
    SecretKey::from_bytes(suite, &[0x42; 32]).unwrap()
}

fn pi(suite: Suite) -> Vec<u8> {
    secret_key(suite).prove(ALPHA).unwrap().to_bytes()
}

fn verifies(suite: Suite, public_key: &[u8], alpha: &[u8], pi: &[u8]) -> bool {
    PublicKey::from_bytes(suite, public_key).is_ok_and(|key| {
        Proof::from_bytes(suite, pi).is_ok_and(|proof| key.verify(alpha, &proof).is_ok())
    })
}

/// Every variant of some bytes with one bit, or all bits of one byte, flipped.
fn flips(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    (0..bytes.len()).flat_map(move |index| {
        [1 << (index % 8), 0x80, 0xff].map(|mask| {
            let mut flipped = bytes.to_vec();
            flipped[index] ^= mask;
            flipped
        })
    })
}

/// Replaces the leading point of some bytes.
fn with_point(point: &[u8], bytes: &[u8]) -> Vec<u8> {
    [point, &bytes[point.len()..]].concat()
}

/// Adds the group order of edwards25519 to a little-endian scalar.
fn plus_order(scalar: &[u8]) -> Vec<u8> {
    let order =
        hex::decode("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010").unwrap();
    let mut carry = 0;
    let sum = scalar.iter().zip(&order).map(|(a, b)| {
        let sum = u16::from(*a) + u16::from(*b) + carry;
        carry = sum >> 8;
        sum.to_le_bytes()[0]
    });
    sum.collect()
}

#[test]
fn every_flip_is_refused() {
    for suite in Suite::ALL {
        let key = secret_key(suite).public_key();
        let (key, pi) = (key.as_bytes(), pi(suite));
        assert!(verifies(suite, key, ALPHA, &pi));
        for (index, flipped) in flips(&pi).enumerate() {
            assert!(!verifies(suite, key, ALPHA, &flipped), "{suite} {index}");
        }
        for (index, flipped) in flips(key).enumerate() {
            assert!(!verifies(suite, &flipped, ALPHA, &pi), "{suite} {index}");
        }
        for (index, flipped) in flips(ALPHA).enumerate() {
            assert!(!verifies(suite, key, &flipped, &pi), "{suite} {index}");
        }
        for alpha in [&[][..], &ALPHA[1..], &[ALPHA, &[0]].concat()] {
            assert!(!verifies(suite, key, alpha, &pi));
        }
    }
}

#[test]
fn every_wrong_length_is_refused() {
    for suite in Suite::ALL {
        let bytes = [pi(suite), vec![2; 80]].concat();
        for found in (0..bytes.len()).filter(|&found| found != suite.proof_len()) {
            let expected = suite.proof_len();
            assert_eq!(
                Proof::from_bytes(suite, &bytes[..found]),
                Err(ProofError::Length { expected, found })
            );
        }
        let key = secret_key(suite).public_key();
        let bytes = [key.as_bytes(), &[2; 80]].concat();
        for found in (0..bytes.len()).filter(|&found| found != suite.public_key_len()) {
            let expected = suite.public_key_len();
            assert_eq!(
                PublicKey::from_bytes(suite, &bytes[..found]),
                Err(PublicKeyError::Length { expected, found })
            );
        }
        for found in (0..70).filter(|&found| found != Suite::SECRET_KEY_LEN) {
            assert_eq!(
                SecretKey::from_bytes(suite, &[1; 70][..found]).map(|_| ()),
                Err(SecretKeyError::Length { found })
            );
        }
    }
}

#[test]
fn the_other_suite_is_refused() {
    let keys = [ED, P256].map(|suite| secret_key(suite).public_key());
    let proofs = [ED, P256].map(|suite| Proof::from_bytes(suite, &pi(suite)).unwrap());
    assert_eq!(
        keys[0].verify(ALPHA, &proofs[1]),
        Err(VerifyError::Suite {
            key: ED,
            proof: P256
        })
    );
    assert_eq!(
        keys[1].verify(ALPHA, &proofs[0]),
        Err(VerifyError::Suite {
            key: P256,
            proof: ED
        })
    );
    assert_eq!(
        secret_key(ED).public_key().verify(b"", &proofs[0]),
        Err(VerifyError::Challenge)
    );
    assert_ne!(keys[0], keys[1]);
    assert_ne!(proofs[0], proofs[1]);
}

#[test]
fn edwards25519_scalars_have_one_encoding() {
    let pi = pi(ED);
    let mut s = pi[48..].to_vec();
    // The order fits several times into the 256 bits.
    for _ in 0..14 {
        s = plus_order(&s);
        let pi = [&pi[..48], &s].concat();
        assert_eq!(Proof::from_bytes(ED, &pi), Err(ProofError::Scalar));
    }
    let order = plus_order(&[0; 32]);
    let pi = [&pi[..48], &order].concat();
    assert_eq!(Proof::from_bytes(ED, &pi), Err(ProofError::Scalar));
}

#[test]
fn p256_scalars_have_one_encoding() {
    let pi = pi(P256);
    let order = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
    for s in [hex::decode(order).unwrap(), vec![0xff; 32]] {
        let pi = [&pi[..49], &s].concat();
        assert_eq!(Proof::from_bytes(P256, &pi), Err(ProofError::Scalar));
    }
}

#[test]
fn edwards25519_points_of_low_order_are_refused() {
    let pi = pi(ED);
    let key = secret_key(ED).public_key();
    for torsion in EIGHT_TORSION {
        let point = torsion.compress().to_bytes();
        assert_eq!(
            PublicKey::from_bytes(ED, &point),
            Err(PublicKeyError::LowOrder)
        );
        // As Gamma it decodes, since the RFC says so, and proves nothing.
        assert!(!verifies(
            ED,
            key.as_bytes(),
            ALPHA,
            &with_point(&point, &pi)
        ));
    }
}

/// Every encoding that decodes to a point only if y is reduced modulo p, or if
/// x = 0 may have a sign.
#[test]
fn edwards25519_points_have_one_encoding() {
    let mut encodings = Vec::new();
    for low in 0xed..=0xff {
        for high in [0x7f, 0xff] {
            let mut y = [0xff; 32];
            (y[0], y[31]) = (low, high);
            encodings.push(y);
        }
    }
    let mut one = [0; 32];
    (one[0], one[31]) = (1, 0x80);
    let mut minus_one = [0xff; 32];
    minus_one[0] = 0xec;
    encodings.extend([one, minus_one]);
    let lenient = |bytes: &[u8; 32]| CompressedEdwardsY(*bytes).decompress().is_some();
    assert!(encodings.iter().filter(|bytes| lenient(bytes)).count() >= 8);
    let pi = pi(ED);
    for point in encodings {
        assert_eq!(
            PublicKey::from_bytes(ED, &point),
            Err(PublicKeyError::NotAPoint)
        );
        assert_eq!(
            Proof::from_bytes(ED, &with_point(&point, &pi)),
            Err(ProofError::Gamma)
        );
    }
    // The largest y below p is no point, the point of order 2 is just below.
    let mut order_2 = [0xff; 32];
    (order_2[0], order_2[31]) = (0xec, 0x7f);
    assert_eq!(
        PublicKey::from_bytes(ED, &order_2),
        Err(PublicKeyError::LowOrder)
    );
}

#[test]
fn edwards25519_keys_with_torsion_pass_as_in_the_rfc() {
    let key = secret_key(ED).public_key();
    let point = CompressedEdwardsY::from_slice(key.as_bytes()).unwrap();
    let mixed = point.decompress().unwrap() + EIGHT_TORSION[1];
    let mixed = mixed.compress().to_bytes();
    assert!(PublicKey::from_bytes(ED, &mixed).is_ok());
    assert!(!verifies(ED, &mixed, ALPHA, &pi(ED)));
}

#[test]
fn points_off_the_curve_are_refused() {
    for (suite, start) in [(ED, 0), (P256, 1)] {
        let pi = pi(suite);
        let mut refused = 0;
        for x in 0..=u8::MAX {
            let mut point = vec![2; suite.public_key_len()];
            point[start..].fill(0);
            point[start + 5] = x;
            point[start + 9] = 1;
            let key = PublicKey::from_bytes(suite, &point);
            let proof = Proof::from_bytes(suite, &with_point(&point, &pi));
            assert_eq!(key.is_ok(), proof.is_ok());
            if key.is_err() {
                refused += 1;
                assert_eq!(key, Err(PublicKeyError::NotAPoint));
                assert_eq!(proof, Err(ProofError::Gamma));
            }
        }
        // About half of all x or y are of a point.
        assert!((90..166).contains(&refused), "{suite}: {refused}");
    }
}

#[test]
fn p256_has_no_other_form_of_a_point() {
    let pi = pi(P256);
    let key = secret_key(P256).public_key();
    let good = key.as_bytes();
    for tag in (0..=u8::MAX).filter(|tag| ![2, 3].contains(tag)) {
        let point = with_point(&[tag], good);
        assert_eq!(
            PublicKey::from_bytes(P256, &point),
            Err(PublicKeyError::NotAPoint)
        );
        let pi = with_point(&[tag], &pi);
        assert_eq!(Proof::from_bytes(P256, &pi), Err(ProofError::Gamma));
    }
    // The identity is one zero byte in SEC 1 and 33 zeros elsewhere.
    for zeros in [&[0; 1][..], &[0; 33], &[0; 65]] {
        assert!(PublicKey::from_bytes(P256, zeros).is_err());
        assert!(Proof::from_bytes(P256, &[zeros, &pi[33..]].concat()).is_err());
    }
    let point = p256::PublicKey::from_sec1_bytes(good).unwrap();
    let mut uncompressed = point.to_sec1_bytes().to_vec();
    if uncompressed.len() == 33 {
        use p256::elliptic_curve::sec1::ToSec1Point;
        uncompressed = point.to_sec1_point(false).as_bytes().to_vec();
    }
    assert_eq!(uncompressed.len(), 65);
    for tag in [4, 6, 7] {
        uncompressed[0] = tag;
        assert!(PublicKey::from_bytes(P256, &uncompressed).is_err());
        let pi = [&uncompressed, &pi[33..]].concat();
        assert!(Proof::from_bytes(P256, &pi).is_err());
    }
    // An x of p or above: p + 5 is a second encoding of x = 5, which is on the
    // curve.
    let p_plus_5 = "ffffffff00000001000000000000000000000001000000000000000000000004";
    let mut five = [0; 33];
    (five[0], five[32]) = (2, 5);
    assert!(PublicKey::from_bytes(P256, &five).is_ok());
    let x = [&[2][..], &hex::decode(p_plus_5).unwrap()].concat();
    assert_eq!(
        PublicKey::from_bytes(P256, &x),
        Err(PublicKeyError::NotAPoint)
    );
}

#[test]
fn secret_keys_out_of_range_are_refused() {
    let order = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
    for bytes in [vec![0; 32], vec![0xff; 32], hex::decode(order).unwrap()] {
        assert_eq!(
            SecretKey::from_bytes(P256, &bytes).map(|_| ()),
            Err(SecretKeyError::OutOfRange)
        );
        assert!(SecretKey::from_bytes(ED, &bytes).is_ok());
    }
}

/// Yields given bytes, and zeros before them.
struct Script(Vec<u8>);

impl rand_core::TryRng for Script {
    type Error = std::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        unreachable!("keys are made from bytes")
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        unreachable!("keys are made from bytes")
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
        bytes.copy_from_slice(&self.0[..bytes.len()]);
        self.0.drain(..bytes.len());
        Ok(())
    }
}

impl rand_core::TryCryptoRng for Script {}

#[test]
fn generation_draws_again_when_out_of_range() {
    let script = || Script([[0; 32], [0xff; 32], [5; 32]].concat());
    assert_eq!(
        *SecretKey::generate(P256, &mut script()).to_bytes(),
        [5; 32]
    );
    assert_eq!(*SecretKey::generate(ED, &mut script()).to_bytes(), [0; 32]);
}

#[test]
fn debug_shows_no_secret() {
    for suite in Suite::ALL {
        let key = secret_key(suite);
        let shown = format!("{key:?}");
        assert!(!shown.contains(&"42".repeat(4)), "{shown}");
        assert!(!shown.contains("66, 66"), "{shown}");
        assert!(shown.contains(&key.public_key().to_string()));
        assert_eq!(*key.to_bytes(), [0x42; 32]);
        let proof = key.prove(ALPHA).unwrap();
        assert_eq!(proof.to_string(), hex::encode(proof.to_bytes()));
        assert_eq!(proof.to_hash().as_bytes().len(), suite.output_len());
    }
}
