//! How a VRF secret key lies in Secrets Manager.

use offchain_vrf::{SecretKey, SecretKeyError, Suite};
use serde::Deserialize;
use zeroize::Zeroizing;

/// The staging label of an epoch's version of the secret. A version that has a
/// label is kept by Secrets Manager, however many versions follow.
#[must_use]
pub fn stage(epoch: u64) -> String {
    format!("epoch-{epoch}")
}

/// Why a secret's text is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyTextError {
    /// It is not the JSON that was expected. The cause is not kept, because it
    /// could quote the secret.
    #[error("expected {{\"suite\": \"…\", \"secret_key\": \"64 hexadecimal digits\"}}")]
    Shape,
    /// The bytes are no key of the suite.
    #[error(transparent)]
    Key(#[from] SecretKeyError),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyText {
    suite: Suite,
    secret_key: Zeroizing<String>,
}

/// Reads the secret's text.
pub fn parse(text: &str) -> Result<SecretKey, KeyTextError> {
    let text: KeyText = serde_json::from_str(text).map_err(|_| KeyTextError::Shape)?;
    let bytes = hex::decode(text.secret_key.as_bytes())
        .map(Zeroizing::new)
        .map_err(|_| KeyTextError::Shape)?;
    Ok(SecretKey::from_bytes(text.suite, &bytes)?)
}

/// Writes the secret's text.
#[must_use]
pub fn write(key: &SecretKey) -> Zeroizing<String> {
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

    #[test]
    fn what_is_written_is_read() {
        for suite in [Suite::Edwards25519Sha512Tai, Suite::P256Sha256Tai] {
            let key = SecretKey::from_bytes(suite, &[7; 32]).unwrap();
            let read = parse(&write(&key)).unwrap();
            assert_eq!(read.public_key().as_bytes(), key.public_key().as_bytes());
        }
    }

    #[test]
    fn an_unusable_text_is_refused_and_not_quoted() {
        for text in [
            "",
            "hush",
            r#"{"suite":"hush","secret_key":"hush"}"#,
            r#"{"suite":"ECVRF-EDWARDS25519-SHA512-TAI","secret_key":"hush"}"#,
            r#"{"suite":"ECVRF-EDWARDS25519-SHA512-TAI","secret_key":"0707"}"#,
        ] {
            let error = parse(text).map(drop).unwrap_err();
            let said = offchain_codes::chain(&error);
            assert!(said.contains("expected"), "{said}");
            assert!(!said.contains("hush"), "{said}");
        }
    }
}
