//! The bearer tokens that may request values. Secrets Manager holds only
//! their SHA-256 hashes: a token has 256 random bits, so a plain hash cannot
//! be searched.

use offchain_store::secret::{Secret, SecretError};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::error::ApiError;

const CURRENT: &str = "AWSCURRENT";

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
        let list = match self.secret.at_stage(CURRENT).await {
            // Before the first token is made, no token is valid.
            Err(SecretError::Absent) => return Err(ApiError::TokenInvalid),
            list => list.map_err(ApiError::TokensUnread)?,
        };
        if let Ok(caller) = listed(list.expose(), token) {
            return Ok(caller);
        }
        // The token may have been made, or the list mended, since it was read.
        let list = self.secret.again_at_stage(CURRENT).await;
        listed(list.map_err(ApiError::TokensUnread)?.expose(), token)
    }
}

fn listed(list: &str, token: &str) -> Result<String, ApiError> {
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
        assert_eq!(listed(&list(), "one").unwrap(), "alice");
        assert_eq!(listed(&list(), "two").unwrap(), "bob");
    }

    #[test]
    fn another_token_is_refused() {
        for token in ["", "three", "One", "one "] {
            let error = listed(&list(), token).unwrap_err();
            assert_eq!(error.code(), "TokenInvalid");
        }
    }

    #[test]
    fn a_garbled_secret_is_our_own_fault() {
        let error = listed("garbage", "one").unwrap_err();
        assert_eq!(error.code(), "TokensInvalid");
    }
}
