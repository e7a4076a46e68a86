//! The bearer tokens that may request values. Secrets Manager holds only
//! their SHA-256 hashes: a token has 256 random bits, so a plain hash cannot
//! be searched.

use offchain_store::secret::{Secret, SecretError};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::error::ApiError;

/// The secret's JSON.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenList {
    tokens: Vec<Token>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Token {
    name: String,
    sha256: String,
}

/// Where the tokens' hashes are.
pub(crate) struct Tokens {
    secret: Secret,
}

impl Tokens {
    pub(crate) fn new(secret: Secret) -> Self {
        Self { secret }
    }

    /// The name of the caller whose token this is.
    pub(crate) async fn caller(&self, token: Option<&str>) -> Result<String, ApiError> {
        let token = token.ok_or(ApiError::TokenMissing)?;
        match self.secret.at_stage("AWSCURRENT").await {
            Ok(list) => caller(list.expose(), token),
            // Before the first token is made, no token is valid.
            Err(SecretError::Absent) => Err(ApiError::TokenInvalid),
            Err(error) => Err(ApiError::TokensUnread(error)),
        }
    }
}

fn caller(list: &str, token: &str) -> Result<String, ApiError> {
    let list: TokenList = serde_json::from_str(list).map_err(ApiError::Tokens)?;
    let hash = hex::encode(Sha256::digest(token));
    let mut caller = None;
    // Every hash is compared, whichever fits, and each in constant time.
    for known in list.tokens {
        if bool::from(known.sha256.as_bytes().ct_eq(hash.as_bytes())) {
            caller = Some(known.name);
        }
    }
    caller.ok_or(ApiError::TokenInvalid)
}

#[cfg(test)]
mod tests {
    use offchain_codes::Coded;

    use super::*;

    fn list() -> String {
        let [one, two] = ["one", "two"].map(|token| hex::encode(Sha256::digest(token)));
        format!(
            r#"{{"tokens":[{{"name":"alice","sha256":"{one}"}},{{"name":"bob","sha256":"{two}"}}]}}"#
        )
    }

    #[test]
    fn a_token_names_its_caller() {
        assert_eq!(caller(&list(), "one").unwrap(), "alice");
        assert_eq!(caller(&list(), "two").unwrap(), "bob");
    }

    #[test]
    fn another_token_is_refused() {
        for token in ["", "three", "One", "one "] {
            let error = caller(&list(), token).unwrap_err();
            assert_eq!(error.code(), "TokenInvalid");
        }
    }

    #[test]
    fn a_garbled_secret_is_our_own_fault() {
        let error = caller("garbage", "one").unwrap_err();
        assert_eq!(error.code(), "TokensInvalid");
    }
}
