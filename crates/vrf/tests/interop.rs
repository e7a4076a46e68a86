//! Agreement with an independent implementation, both ways.

#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

use offchain_vrf::{Proof, PublicKey, SecretKey, Suite};
use proptest::prelude::*;
use vrf_rfc9381::{
    Prover, VRF, Verifier,
    ec::{edwards25519::tai::EdVrfEdwards25519Tai, p256::tai::EcVrfP256Tai},
};

fn agree<Other: VRF>(
    other: &Other,
    suite: Suite,
    secret: &[u8],
    alpha: &[u8],
) -> Result<(), TestCaseError> {
    let ours = SecretKey::from_bytes(suite, secret);
    let theirs = Other::Prover::from_slice(secret);
    prop_assert_eq!(ours.is_ok(), theirs.is_ok());
    let (Ok(ours), Ok(theirs)) = (ours, theirs) else {
        return Ok(());
    };
    let our_public_key = ours.public_key();
    let their_public_key = Other::Verifier::from_slice(our_public_key.as_bytes()).unwrap();
    prop_assert!(theirs.verifier() == their_public_key);
    prop_assert_eq!(
        PublicKey::from_bytes(suite, our_public_key.as_bytes()),
        Ok(our_public_key)
    );

    let our_proof = ours.prove(alpha).unwrap();
    let their_proof = other.prove(&theirs, alpha).unwrap();
    prop_assert_eq!(our_proof.to_bytes(), their_proof.as_slice());

    let their_proof = Proof::from_bytes(suite, &their_proof).unwrap();
    prop_assert_eq!(their_proof, our_proof);
    let our_beta = our_public_key.verify(alpha, &their_proof).unwrap();
    let their_beta = other
        .verify(&their_public_key, alpha, &our_proof.to_bytes())
        .unwrap();
    prop_assert_eq!(our_beta.as_bytes(), their_beta.as_slice());
    prop_assert_eq!(our_proof.to_hash(), our_beta);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn edwards25519(secret: [u8; 32], alpha in prop::collection::vec(any::<u8>(), 0..200)) {
        agree(&EdVrfEdwards25519Tai, Suite::Edwards25519Sha512Tai, &secret, &alpha)?;
    }

    #[test]
    fn p256(secret: [u8; 32], alpha in prop::collection::vec(any::<u8>(), 0..200)) {
        agree(&EcVrfP256Tai, Suite::P256Sha256Tai, &secret, &alpha)?;
    }
}

/// Both refuse the same secret keys at the ends of the range of P-256.
#[test]
fn p256_secret_keys_at_the_ends() {
    let order = hex::decode("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551");
    let mut order = order.unwrap();
    let mut secrets = vec![[0; 32].to_vec(), [0xff; 32].to_vec(), order.clone()];
    order[31] -= 1;
    secrets.push(order);
    secrets.push([&[0; 31][..], &[1]].concat());
    for secret in secrets {
        agree(&EcVrfP256Tai, Suite::P256Sha256Tai, &secret, b"alpha").unwrap();
    }
}
