use std::{fmt, str::FromStr};

use ed25519_dalek::{Signature, Signer, VerifyingKey};
use offchain_codes::Coded;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::text::{hex_bytes, serde_as_text};

/// The name of the signature scheme, as key epochs and secrets write it.
pub const SUITE: &str = "ED25519";

/// A secret key of Ed25519 (RFC 8032, section 5.1).
///
/// Its memory is zeroed on drop and its `Debug` shows the public key only.
pub struct SigningKey(ed25519_dalek::SigningKey);

impl SigningKey {
    /// The key of a seed of 32 bytes (RFC 8032, section 5.1.5). Every seed has
    /// one.
    #[must_use]
    pub fn from_bytes(seed: &[u8; 32]) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(seed))
    }

    /// The seed that [`SigningKey::from_bytes`] reads.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// The public key.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    /// Signs a message. Equal messages get equal signatures.
    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("public_key", &self.public_key())
            .finish_non_exhaustive()
    }
}

/// Why a text is no public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum KeyError {
    /// It is not 32 bytes.
    #[error("expected a public key of 32 bytes, as 64 characters of lower-case hexadecimal")]
    Hex,
    /// The bytes are not the canonical encoding of a point.
    #[error("expected a public key that encodes a point of the curve canonically")]
    NotAPoint,
    /// Under a point of low order, one signature fits many messages.
    #[error("expected a public key that is no point of low order")]
    Weak,
}

impl Coded for KeyError {
    fn code(&self) -> &'static str {
        "KeyInvalid"
    }

    fn retryable(&self) -> bool {
        match self {
            Self::Hex | Self::NotAPoint | Self::Weak => false,
        }
    }
}

/// A validated public key of Ed25519.
///
/// Its text, in `Display`, `FromStr` and serde, is lower-case hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// Reads and validates a public key of 32 bytes.
    ///
    /// # Errors
    ///
    /// [`KeyError::NotAPoint`] and [`KeyError::Weak`].
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| KeyError::NotAPoint)?;
        if key.to_edwards().compress().as_bytes() != bytes {
            return Err(KeyError::NotAPoint);
        }
        if key.is_weak() {
            return Err(KeyError::Weak);
        }
        Ok(Self(key))
    }

    /// The bytes that [`PublicKey::from_bytes`] reads.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// Reads and validates a public key in lower-case hexadecimal.
    ///
    /// # Errors
    ///
    /// [`KeyError`] tells which rule the text breaks.
    pub fn from_hex(text: &str) -> Result<Self, KeyError> {
        Self::from_bytes(&hex_bytes(text).ok_or(KeyError::Hex)?)
    }

    /// The text that [`PublicKey::from_hex`] reads.
    #[must_use]
    pub fn to_hex(&self) -> String {
        hex::encode(self.as_bytes())
    }

    /// Whether the signature is this key's for the message. Strict: the
    /// scalar is below the group order, the point canonical and of no low
    /// order, and the equation is that without the cofactor.
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        let signature = Signature::from_bytes(signature);
        self.0.verify_strict(message, &signature).is_ok()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_hex())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        Self::from_hex(text)
    }
}

serde_as_text!(PublicKey);

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8032, section 7.1: seed, public key, message, signature. Tests 1 to
    /// 3 and SHA(abc).
    const VECTORS: [[&str; 4]; 4] = [
        [
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            concat!(
                "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155",
                "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
            ),
        ],
        [
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            concat!(
                "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da",
                "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
            ),
        ],
        [
            "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            "af82",
            concat!(
                "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac",
                "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
            ),
        ],
        [
            "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
            "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
            concat!(
                "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a",
                "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
            ),
            concat!(
                "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b589",
                "09351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704",
            ),
        ],
    ];

    #[test]
    fn the_vectors_of_rfc_8032() {
        for [seed, public_key, message, signature] in VECTORS {
            let key = SigningKey::from_bytes(&hex_bytes(seed).unwrap());
            assert_eq!(hex::encode(*key.to_bytes()), seed);
            assert_eq!(key.public_key().to_hex(), public_key);
            assert_eq!(PublicKey::from_hex(public_key), Ok(key.public_key()));

            let message = hex::decode(message).unwrap();
            let mut expected: [u8; 64] = hex_bytes(signature).unwrap();
            assert_eq!(key.sign(&message), expected);
            assert!(key.public_key().verifies(&message, &expected));
            let longer = [&message[..], &[0]].concat();
            assert!(!key.public_key().verifies(&longer, &expected));
            for index in 0..64 {
                expected[index] ^= 1;
                assert!(!key.public_key().verifies(&message, &expected), "{index}");
                expected[index] ^= 1;
            }
        }
    }

    #[test]
    fn a_signature_has_one_encoding() {
        let key = SigningKey::from_bytes(&[0x42; 32]);
        let mut signature = key.sign(b"message");
        // The group order added to the scalar changes nothing modulo the order.
        let order = hex::decode("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010")
            .unwrap();
        let mut carry = 0;
        for (byte, add) in signature[32..].iter_mut().zip(order) {
            let sum = u16::from(*byte) + u16::from(add) + carry;
            [*byte, _] = sum.to_le_bytes();
            carry = sum >> 8;
        }
        assert!(!key.public_key().verifies(b"message", &signature));
    }

    #[test]
    fn weak_keys_are_refused() {
        // The points of the orders 1, 2, 4, 4, 8, 8, 8, 8.
        for text in [
            "0100000000000000000000000000000000000000000000000000000000000000",
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "0000000000000000000000000000000000000000000000000000000000000000",
            "0000000000000000000000000000000000000000000000000000000000000080",
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        ] {
            assert_eq!(PublicKey::from_hex(text), Err(KeyError::Weak), "{text}");
        }
    }

    #[test]
    fn a_key_has_one_encoding() {
        // The prime 2^255 - 19 plus 0 to 18 are second names of 0 to 18.
        for sign in [0x00, 0x80] {
            for low in 0xed..=0xff {
                let mut bytes = [0xff; 32];
                bytes[0] = low;
                bytes[31] = 0x7f | sign;
                assert_eq!(PublicKey::from_bytes(&bytes), Err(KeyError::NotAPoint));
            }
        }
        // 2 is no y of the curve, and x = 0 has no sign.
        let mut bytes = [0; 32];
        bytes[0] = 2;
        assert_eq!(PublicKey::from_bytes(&bytes), Err(KeyError::NotAPoint));
        bytes[0] = 1;
        bytes[31] = 0x80;
        assert_eq!(PublicKey::from_bytes(&bytes), Err(KeyError::NotAPoint));
        let text = VECTORS[0][1];
        for text in ["", "d7", &text.to_uppercase(), &text[1..], &text.repeat(2)] {
            assert_eq!(PublicKey::from_hex(text), Err(KeyError::Hex), "{text}");
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let [seed, public_key, ..] = VECTORS[0];
        let key = SigningKey::from_bytes(&hex_bytes(seed).unwrap());
        let text = format!("{key:?}");
        assert!(text.contains(public_key), "{text}");
        assert!(!text.contains(&seed[..8]), "{text}");
        assert!(!text.contains("157, 97"), "{text}");
    }

    #[test]
    fn the_text_is_hexadecimal_everywhere() {
        let key: PublicKey = VECTORS[0][1].parse().unwrap();
        let json = serde_json::to_string(&key).unwrap();
        assert_eq!(json, format!("\"{key}\""));
        assert_eq!(serde_json::from_str::<PublicKey>(&json).unwrap(), key);
        assert!(serde_json::from_str::<PublicKey>("\"00\"").is_err());
        for error in [KeyError::Hex, KeyError::NotAPoint, KeyError::Weak] {
            assert_eq!((error.code(), error.retryable()), ("KeyInvalid", false));
            assert!(error.to_string().starts_with("expected"), "{error}");
        }
    }
}
