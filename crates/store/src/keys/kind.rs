//! The kinds of keys, and how a secret key lies in Secrets Manager.

use offchain_oracle::SigningKey;
use offchain_vrf::{SecretKey, Suite};
use rand::Rng;
use serde::Deserialize;
use zeroize::Zeroizing;

/// Bytes in a secret key, of every kind.
const SECRET_KEY_LEN: usize = 32;

type SecretBytes = Zeroizing<[u8; SECRET_KEY_LEN]>;

/// A secret key that is kept in Secrets Manager and published in epochs.
pub trait KeyKind: Sized + Send + Sync {
    /// What a new key is made for.
    type Suite: Copy + Send + Sync;

    /// Draws a new key.
    fn generate(suite: Self::Suite) -> Self;

    /// The key of these bytes, which are of the suite of this name.
    fn from_bytes(suite: &str, bytes: &SecretBytes) -> Result<Self, KeyTextError>;

    /// The bytes of the secret key.
    fn to_bytes(&self) -> SecretBytes;

    /// The name of this key's suite.
    fn suite(&self) -> &'static str;

    /// The public key in lower-case hexadecimal.
    fn public_key(&self) -> String;
}

impl KeyKind for SecretKey {
    type Suite = Suite;

    fn generate(suite: Suite) -> Self {
        Self::generate(suite, &mut rand::rng())
    }

    fn from_bytes(suite: &str, bytes: &SecretBytes) -> Result<Self, KeyTextError> {
        let suite = suite.parse().map_err(|_| KeyTextError::Suite)?;
        Self::from_bytes(suite, bytes.as_slice()).map_err(|error| KeyTextError::Key(error.into()))
    }

    fn to_bytes(&self) -> SecretBytes {
        self.to_bytes()
    }

    fn suite(&self) -> &'static str {
        self.suite().name()
    }

    fn public_key(&self) -> String {
        hex::encode(self.public_key().as_bytes())
    }
}

impl KeyKind for SigningKey {
    /// There is one.
    type Suite = ();

    fn generate((): ()) -> Self {
        let mut bytes = SecretBytes::default();
        rand::rng().fill_bytes(bytes.as_mut_slice());
        Self::from_bytes(&bytes)
    }

    fn from_bytes(suite: &str, bytes: &SecretBytes) -> Result<Self, KeyTextError> {
        if suite == offchain_oracle::SUITE {
            Ok(Self::from_bytes(bytes))
        } else {
            Err(KeyTextError::Suite)
        }
    }

    fn to_bytes(&self) -> SecretBytes {
        self.to_bytes()
    }

    fn suite(&self) -> &'static str {
        offchain_oracle::SUITE
    }

    fn public_key(&self) -> String {
        self.public_key().to_hex()
    }
}

/// Why a secret's text is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyTextError {
    /// It is not the JSON that was expected. The cause is not kept, because it
    /// could quote the secret.
    #[error("expected {{\"suite\": \"…\", \"secret_key\": \"64 hexadecimal digits\"}}")]
    Shape,
    /// It is a key of another suite, which could be the secret in the wrong
    /// place: it is not quoted.
    #[error("expected a suite of this kind of key")]
    Suite,
    /// The bytes are no key of the suite.
    #[error("expected a key of the suite")]
    Key(#[source] Box<dyn std::error::Error + Send + Sync>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyText {
    suite: Zeroizing<String>,
    secret_key: Zeroizing<String>,
}

/// Reads the secret's text.
pub fn parse<K: KeyKind>(text: &str) -> Result<K, KeyTextError> {
    let text: KeyText = serde_json::from_str(text).map_err(|_| KeyTextError::Shape)?;
    let mut bytes = SecretBytes::default();
    hex::decode_to_slice(text.secret_key.as_bytes(), bytes.as_mut_slice())
        .map_err(|_| KeyTextError::Shape)?;
    K::from_bytes(&text.suite, &bytes)
}

/// Writes the secret's text.
#[must_use]
pub fn write<K: KeyKind>(key: &K) -> Zeroizing<String> {
    let bytes = Zeroizing::new(hex::encode(key.to_bytes().as_slice()));
    // Written by hand, so that no copy of the key is left in a serializer.
    Zeroizing::new(format!(
        r#"{{"suite":"{}","secret_key":"{}"}}"#,
        key.suite(),
        &*bytes
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads_what_it_writes<K: KeyKind>(key: &K) {
        let read: K = parse(&write(key)).unwrap();
        assert_eq!(read.suite(), key.suite());
        assert_eq!(read.public_key(), key.public_key());
        assert_eq!(*read.to_bytes(), *key.to_bytes());
    }

    #[test]
    fn what_is_written_is_read() {
        for suite in Suite::ALL {
            let key = <SecretKey as KeyKind>::generate(suite);
            assert_eq!(KeyKind::suite(&key), suite.name());
            reads_what_it_writes(&key);
        }
        reads_what_it_writes(&<SigningKey as KeyKind>::generate(()));
    }

    #[test]
    fn a_new_key_is_no_key_that_was() {
        let new = || KeyKind::public_key(&<SigningKey as KeyKind>::generate(()));
        assert_ne!(new(), new());
    }

    #[test]
    fn the_text_is_what_the_documents_say() {
        let key = SigningKey::from_bytes(&[7; 32]);
        let text = format!(
            r#"{{"suite":"ED25519","secret_key":"{}"}}"#,
            "07".repeat(32)
        );
        assert_eq!(*write(&key), text);
    }

    #[test]
    fn a_key_of_another_kind_is_refused() {
        let signing = SigningKey::from_bytes(&[7; 32]);
        let vrf = SecretKey::from_bytes(Suite::Edwards25519Sha512Tai, &[7; 32]).unwrap();
        let error = parse::<SecretKey>(&write(&signing)).unwrap_err();
        assert!(matches!(error, KeyTextError::Suite), "{error:?}");
        let error = parse::<SigningKey>(&write(&vrf)).unwrap_err();
        assert!(matches!(error, KeyTextError::Suite), "{error:?}");
    }

    #[test]
    fn bytes_that_are_no_key_of_the_suite_are_refused() {
        let text = format!(
            r#"{{"suite":"ECVRF-P256-SHA256-TAI","secret_key":"{}"}}"#,
            "00".repeat(32)
        );
        let said = offchain_codes::chain(&parse::<SecretKey>(&text).unwrap_err());
        assert!(said.contains("P-256"), "{said}");
    }

    #[test]
    fn an_unusable_text_is_refused_and_not_quoted() {
        fn refused<K: KeyKind>(text: &str) {
            let error = parse::<K>(text).map(drop).unwrap_err();
            let said = offchain_codes::chain(&error);
            assert!(said.contains("expected"), "{said}");
            assert!(!said.contains("hush"), "{said}");
        }
        for text in [
            "",
            "hush",
            r#"{"suite":"hush","secret_key":"hush"}"#,
            r#"{"suite":"ED25519","secret_key":"hush"}"#,
            r#"{"suite":"ED25519","secret_key":"0707"}"#,
            r#"{"suite":"ECVRF-EDWARDS25519-SHA512-TAI","secret_key":"hush"}"#,
            r#"{"suite":"ECVRF-EDWARDS25519-SHA512-TAI","secret_key":"0707"}"#,
            &format!(r#"{{"suite":"hush","secret_key":"{}"}}"#, "07".repeat(32)),
        ] {
            refused::<SecretKey>(text);
            refused::<SigningKey>(text);
        }
    }
}
