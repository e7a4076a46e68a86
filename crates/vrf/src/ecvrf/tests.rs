//! What only the inside shows: the intermediate values of the RFC's vectors,
//! and proofs that only their author can make.

use curve25519_dalek::{EdwardsPoint, constants::EIGHT_TORSION};
use vrf_rfc9381::{
    Prover, VRF, Verifier,
    ec::{edwards25519::tai::EdVrfEdwards25519Tai, p256::tai::EcVrfP256Tai},
};

use super::*;

/// One example of RFC 9381, appendix B, in hexadecimal.
struct Vector {
    secret_key: &'static str,
    public_key: &'static str,
    alpha: &'static str,
    counter: u8,
    h: &'static str,
    k: &'static str,
    u: &'static str,
    v: &'static str,
    pi: &'static str,
    beta: &'static str,
}

/// Examples 16, 17 and 18 of appendix B.3.
const EDWARDS25519: [Vector; 3] = [
    Vector {
        secret_key: "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        public_key: "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        alpha: "",
        counter: 0,
        h: "91bbed02a99461df1ad4c6564a5f5d829d0b90cfc7903e7a5797bd658abf3318",
        k: "8a49edbd1492a8ee09766befe50a7d563051bf3406cbffc20a88def030730f0f",
        u: "aef27c725be964c6a9bf4c45ca8e35df258c1878b838f37d9975523f09034071",
        v: "5016572f71466c646c119443455d6cb9b952f07d060ec8286d678615d55f954f",
        pi: "8657106690b5526245a92b003bb079ccd1a92130477671f6fc01ad16f26f723f\
             26f8a57ccaed74ee1b190bed1f479d97\
             27d2d0f9b005a6e456a35d4fb0daab1268a1b0db10836d9826a528ca76567805",
        beta: "90cf1df3b703cce59e2a35b925d411164068269d7b2d29f3301c03dd757876ff\
               66b71dda49d2de59d03450451af026798e8f81cd2e333de5cdf4f3e140fdd8ae",
    },
    Vector {
        secret_key: "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        public_key: "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        alpha: "72",
        counter: 1,
        h: "5b659fc3d4e9263fd9a4ed1d022d75eaacc20df5e09f9ea937502396598dc551",
        k: "d8c3a66921444cb3427d5d989f9b315aa8ca3375e9ec4d52207711a1fdb44107",
        u: "1dcb0a4821a2c48bf53548228b7f170962988f6d12f5439f31987ef41f034ab3",
        v: "fd03c0bf498c752161bae4719105a074630a2aa5f200ff7b3995f7bfb1513423",
        pi: "f3141cd382dc42909d19ec5110469e4feae18300e94f304590abdced48aed593\
             3bf0864a62558b3ed7f2fea45c92a465\
             301b3bbf5e3e54ddf2d935be3b67926da3ef39226bbc355bdc9850112c8f4b02",
        beta: "eb4440665d3891d668e7e0fcaf587f1b4bd7fbfe99d0eb2211ccec90496310eb\
               5e33821bc613efb94db5e5b54c70a848a0bef4553a41befc57663b56373a5031",
    },
    Vector {
        secret_key: "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        public_key: "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        alpha: "af82",
        counter: 0,
        h: "bf4339376f5542811de615e3313d2b36f6f53c0acfebb482159711201192576a",
        k: "5ffdbc72135d936014e8ab708585fda379405542b07e3bd2c0bd48437fbac60a",
        u: "2bae73e15a64042fcebf062abe7e432b2eca6744f3e8265bc38e009cd577ecd5",
        v: "88cba1cb0d4f9b649d9a86026b69de076724a93a65c349c988954f0961c5d506",
        pi: "9bc0f79119cc5604bf02d23b4caede71393cedfbb191434dd016d30177ccbf80\
             96bb474e53895c362d8628ee9f9ea3c0\
             e52c7a5c691b6c18c9979866568add7a2d41b00b05081ed0f58ee5e31b3a970e",
        beta: "645427e5d00c62a23fb703732fa5d892940935942101e456ecca7bb217c61c45\
               2118fec1219202a0edcf038bb6373241578be7217ba85a2687f7a0310b2df19f",
    },
];

/// Examples 10, 11 and 12 of appendix B.1.
const P_256: [Vector; 3] = [
    Vector {
        secret_key: "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721",
        public_key: "0360fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6",
        alpha: "73616d706c65",
        counter: 1,
        h: "0272a877532e9ac193aff4401234266f59900a4a9e3fc3cfc6a4b7e467a15d06d4",
        k: "0d90591273453d2dc67312d39914e3a93e194ab47a58cd598886897076986f77",
        u: "02bb6a034f67643c6183c10f8b41dc4babf88bff154b674e377d90bde009c21672",
        v: "02893ebee7af9a0faa6da810da8a91f9d50e1dc071240c9706726820ff919e8394",
        pi: "035b5c726e8c0e2c488a107c600578ee75cb702343c153cb1eb8dec77f4b5071b4\
             a53f0a46f018bc2c56e58d383f2305e0\
             975972c26feea0eb122fe7893c15af376b33edf7de17c6ea056d4d82de6bc02f",
        beta: "a3ad7b0ef73d8fc6655053ea22f9bede8c743f08bbed3d38821f0e16474b505e",
    },
    Vector {
        secret_key: "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721",
        public_key: "0360fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6",
        alpha: "74657374",
        counter: 3,
        h: "02173119b4fff5e6f8afed4868a29fe8920f1b54c2cf89cc7b301d0d473de6b974",
        k: "5852353a868bdce26938cde1826723e58bf8cb06dd2fed475213ea6f3b12e961",
        u: "022779a2cafcb65414c4a04a4b4d2adf4c50395f57995e89e6de823250d91bc48e",
        v: "033b4a14731672e82339f03b45ff6b5b13dee7ada38c9bf1d6f8f61e2ce5921119",
        pi: "034dac60aba508ba0c01aa9be80377ebd7562c4a52d74722e0abae7dc3080ddb56\
             c19e067b15a8a8174905b13617804534\
             214f935b94c2287f797e393eb0816969d864f37625b443f30f1a5a33f2b3c854",
        beta: "a284f94ceec2ff4b3794629da7cbafa49121972671b466cab4ce170aa365f26d",
    },
    Vector {
        secret_key: "2ca1411a41b17b24cc8c3b089cfd033f1920202a6c0de8abb97df1498d50d2c8",
        public_key: "03596375e6ce57e0f20294fc46bdfcfd19a39f8161b58695b3ec5b3d16427c274d",
        alpha: "4578616d706c65207573696e67204543445341206b65792066726f6d20417070\
                656e646978204c2e342e32206f6620414e53492e58392d36322d32303035",
        counter: 1,
        h: "0258055c26c4b01d01c00fb57567955f7d39cd6f6e85fd37c58f696cc6b7aa761d",
        k: "5689e2e08e1110b4dda293ac21667eac6db5de4a46a519c73d533f69be2f4da3",
        u: "020f465cd0ec74d2e23af0abde4c07e866ae4e5138bded5dd1196b8843f380db84",
        v: "036cb6f811428fc4904370b86c488f60c280fa5b496d2f34ff8772f60ed24b2d1d",
        pi: "03d03398bf53aa23831d7d1b2937e005fb0062cbefa06796579f2a1fc7e7b8c667\
             d091c00b0f5c3619d10ecea44363b5a5\
             99cadc5b2957e223fec62e81f7b4825fc799a771a3d7334b9186bdbee87316b1",
        beta: "90871e06da5caa39a3c61578ebb844de8635e27ac0b13e829997d0d95dd98c19",
    },
];

fn bytes(hex: &str) -> Vec<u8> {
    hex::decode(hex).unwrap()
}

fn encoded<C: Curve>(point: C::Point) -> String {
    let [point] = C::encode_points([point]);
    hex::encode(point)
}

fn reproduces<C: Curve, Other: VRF>(other: &Other, vectors: &[Vector; 3]) {
    for vector in vectors {
        let secret = Secret::<C>::from_bytes(&bytes(vector.secret_key)).unwrap();
        let Expanded { nonce_key, .. } = &secret.expanded;
        let alpha = bytes(vector.alpha);
        assert_eq!(hex::encode(secret.public.encoded), vector.public_key);

        let candidate = secret.public.curve_candidates(&alpha);
        assert!((0..vector.counter).all(|counter| candidate(counter).is_none()));
        let h = candidate(vector.counter).unwrap();
        let [encoded_h] = C::encode_points([h]);
        assert_eq!(hex::encode(encoded_h), vector.h);

        let k = C::nonce(nonce_key, &encoded_h);
        assert_eq!(hex::encode(C::encode_scalar(&k)), vector.k);
        assert_eq!(encoded::<C>(C::mul_base(&k)), vector.u);
        assert_eq!(encoded::<C>(C::mul(&h, &k)), vector.v);

        let proof = secret.prove(&alpha).unwrap();
        assert_eq!(hex::encode(proof.to_bytes()), vector.pi);
        let public = Public::<C>::from_bytes(&bytes(vector.public_key)).unwrap();
        let decoded = Parts::<C>::from_bytes(&bytes(vector.pi)).unwrap();
        let s = &decoded.s;
        let c = C::challenge_scalar(decoded.challenge);
        let u = C::vartime_commit_base(s, &c, &public.point);
        assert_eq!(encoded::<C>(u), vector.u);
        let v = C::vartime_commit(s, &h, &c, &decoded.gamma);
        assert_eq!(encoded::<C>(v), vector.v);

        let gamma = public.verify(&alpha, &decoded).unwrap();
        assert_eq!(hex::encode(output::<C>(&gamma)), vector.beta);
        let gamma = decoded.cleared_gamma();
        assert_eq!(hex::encode(output::<C>(&gamma)), vector.beta);

        // A vector is trusted only because others reproduce it too.
        let prover = Other::Prover::from_slice(&bytes(vector.secret_key)).unwrap();
        let pi = other.prove(&prover, &alpha).unwrap();
        assert_eq!(hex::encode(pi), vector.pi);
        let verifier = Other::Verifier::from_slice(&bytes(vector.public_key)).unwrap();
        let beta = other.verify(&verifier, &alpha, &bytes(vector.pi)).unwrap();
        assert_eq!(hex::encode(beta), vector.beta);
    }
}

#[test]
fn edwards25519_reproduces_the_vectors_of_the_rfc() {
    reproduces::<Edwards25519, _>(&EdVrfEdwards25519Tai, &EDWARDS25519);
}

#[test]
fn p256_reproduces_the_vectors_of_the_rfc() {
    reproduces::<P256, _>(&EcVrfP256Tai, &P_256);
}

/// The holder of a key can add torsion to the key and to Gamma, and search for
/// a challenge that cancels it. The RFC accepts such a proof, and what it
/// promises is that the output is still the same.
#[test]
fn torsion_changes_no_output() {
    let alpha = b"torsion";
    let secret = Secret::<Edwards25519>::from_bytes(&[7; 32]).unwrap();
    let honest = output::<Edwards25519>(&secret.prove(alpha).unwrap().cleared_gamma());
    for torsion in &EIGHT_TORSION[1..] {
        let public = Public::<Edwards25519>::from_bytes(
            (secret.public.point + torsion).compress().as_bytes(),
        )
        .unwrap();
        // The key salts the hash to the curve, so its own output is compared
        // with that of the proof without torsion in Gamma.
        let betas = [EdwardsPoint::default(), *torsion].map(|in_gamma| {
            let h = public.encode_to_curve(alpha).unwrap();
            let gamma = Edwards25519::mul(&h, &secret.expanded.scalar) + in_gamma;
            let (k, challenge) = (1_u64..)
                .map(|k| {
                    let k = k.into();
                    let [encoded_h, encoded_gamma, u, v] = Edwards25519::encode_points([
                        h,
                        gamma,
                        Edwards25519::mul_base(&k),
                        Edwards25519::mul(&h, &k),
                    ]);
                    let points = [&public.encoded, &encoded_h, &encoded_gamma, &u, &v];
                    (k, challenge::<Edwards25519>(points))
                })
                .find(|(_, challenge)| challenge[0] % 8 == 0)
                .unwrap();
            let c = Edwards25519::challenge_scalar(challenge);
            let s = k + c * *secret.expanded.scalar;
            let pi = [
                gamma.compress().as_bytes().as_slice(),
                &challenge,
                s.as_bytes(),
            ]
            .concat();
            let proof = Parts::<Edwards25519>::from_bytes(&pi).unwrap();
            let gamma = public.verify(alpha, &proof).unwrap();
            output::<Edwards25519>(&gamma).as_ref().to_vec()
        });
        assert_eq!(betas[0], betas[1]);
        assert_ne!(betas[0], honest.as_ref());
    }
}

/// A nonce of zero makes U and V the identity, which SEC 1 encodes in one
/// byte. The RFC accepts that proof.
#[test]
fn p256_accepts_the_nonce_of_zero() {
    let alpha = b"zero";
    let secret = Secret::<P256>::from_bytes(&[7; 32]).unwrap();
    let honest = secret.prove(alpha).unwrap();
    let h = secret.public.encode_to_curve(alpha).unwrap();
    let identity = ::p256::ProjectivePoint::IDENTITY;
    let [h, u, v] = P256::encode_points([h, identity, identity]);
    assert_eq!(u.as_ref(), [0]);
    let challenge = challenge::<P256>([&secret.public.encoded, &h, &honest.encoded_gamma, &u, &v]);
    let s = P256::challenge_scalar(challenge) * *secret.expanded.scalar;
    let proof = Parts {
        challenge,
        s,
        ..honest
    };
    let gamma = secret.public.verify(alpha, &proof).unwrap();
    assert_eq!(gamma, honest.encoded_gamma);
}

/// The scalar 0 and the challenge 0 have an encoding, and prove nothing.
#[test]
fn zero_scalars_decode() {
    fn check<C: Curve>() {
        let secret = Secret::<C>::from_bytes(&[7; 32]).unwrap();
        let mut pi = secret.prove(b"").unwrap().to_bytes();
        let gamma = C::SUITE.public_key_len();
        pi[gamma..].fill(0);
        let proof = Parts::<C>::from_bytes(&pi).unwrap();
        assert_eq!(proof.to_bytes(), pi);
        assert!(secret.public.verify(b"", &proof).is_err());
    }
    check::<Edwards25519>();
    check::<P256>();
}
