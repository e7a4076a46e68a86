//! The key of an account: secp256k1, on both kinds of chain.

use std::fmt;

use serde::Deserialize;
use zeroize::{Zeroize, Zeroizing};

use crate::KeyError;

const KEY_LEN: usize = 32;

/// A private key. Its bytes are wiped when it goes; `Debug` does not show it.
#[derive(Clone)]
pub struct AccountKey(Zeroizing<[u8; KEY_LEN]>);

#[derive(Deserialize, Zeroize)]
#[serde(deny_unknown_fields)]
#[zeroize(drop)]
struct Text {
    private_key: String,
}

impl AccountKey {
    /// The key of these bytes: a number from 1 to the curve's order less one.
    pub fn from_bytes(bytes: &[u8; KEY_LEN]) -> Result<Self, KeyError> {
        cosmrs::crypto::secp256k1::SigningKey::from_slice(bytes).map_err(|_| KeyError::Number)?;
        Ok(Self(Zeroizing::new(*bytes)))
    }

    /// The key that a secret's text holds: `{"private_key": "<hexadecimal>"}`.
    pub fn from_secret(text: &str) -> Result<Self, KeyError> {
        // An array of the members in order would be taken as well.
        if !text.trim_start().starts_with('{') {
            return Err(KeyError::Shape);
        }
        let text: Text = serde_json::from_str(text).map_err(|_| KeyError::Shape)?;
        let mut bytes = Zeroizing::new([0; KEY_LEN]);
        let digits = text.private_key.strip_prefix("0x");
        hex::decode_to_slice(digits.unwrap_or(&text.private_key), bytes.as_mut_slice())
            .map_err(|_| KeyError::Shape)?;
        Self::from_bytes(&bytes)
    }

    /// The text that [`AccountKey::from_secret`] reads.
    #[must_use]
    pub fn to_secret(&self) -> Zeroizing<String> {
        let digits = Zeroizing::new(hex::encode(self.0.as_slice()));
        Zeroizing::new(format!(r#"{{"private_key":"{}"}}"#, digits.as_str()))
    }

    /// The public key, compressed, in lower-case hexadecimal.
    #[must_use]
    pub fn public_key(&self) -> String {
        self.cosmos()
            .map(|key| hex::encode(key.public_key().to_bytes()))
            .unwrap_or_default()
    }

    pub(crate) fn bytes(&self) -> &[u8; KEY_LEN] {
        &self.0
    }

    pub(crate) fn cosmos(&self) -> Result<cosmrs::crypto::secp256k1::SigningKey, KeyError> {
        cosmrs::crypto::secp256k1::SigningKey::from_slice(self.bytes())
            .map_err(|_| KeyError::Number)
    }
}

impl fmt::Debug for AccountKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccountKey(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The order of the curve, from which on no number is a key.
    const ORDER: &str = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";

    fn secret(digits: &str) -> Result<AccountKey, KeyError> {
        AccountKey::from_secret(&format!(r#"{{"private_key":"{digits}"}}"#))
    }

    #[test]
    fn a_key_comes_back_from_its_secret() {
        let digits = "0123456789abcdef".repeat(4);
        for text in [digits.clone(), digits.to_uppercase(), format!("0x{digits}")] {
            let key = secret(&text).unwrap();
            let written = key.to_secret();
            assert_eq!(*written, format!(r#"{{"private_key":"{digits}"}}"#));
            assert_eq!(
                AccountKey::from_secret(&written).unwrap().bytes(),
                key.bytes()
            );
        }
    }

    #[test]
    fn what_holds_no_key_is_refused() {
        let one = format!("{:064x}", 1);
        for text in [
            String::new(),
            one.clone(),
            format!(r#"["{one}"]"#),
            format!(r#"{{"private_key":"{one}","x":1}}"#),
            r#"{"private_key":1}"#.to_owned(),
        ] {
            let error = AccountKey::from_secret(&text).unwrap_err();
            assert_eq!(error, KeyError::Shape, "{text}");
        }
        for (digits, error) in [
            (one[1..].to_owned(), KeyError::Shape),
            (format!("{one}0"), KeyError::Shape),
            (format!("0x0x{}", &one[4..]), KeyError::Shape),
            ("g".repeat(64), KeyError::Shape),
            ("0".repeat(64), KeyError::Number),
            (ORDER.to_owned(), KeyError::Number),
        ] {
            assert_eq!(secret(&digits).unwrap_err(), error, "{digits}");
        }
        secret(&one).unwrap();
    }

    #[test]
    fn debug_shows_no_key() {
        let key = AccountKey::from_bytes(&[0x46; 32]).unwrap();
        assert_eq!(format!("{key:?}"), "AccountKey(redacted)");
    }
}
