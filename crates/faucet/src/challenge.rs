//! Challenges: work that a computer has to do before it may claim, told without
//! anything being stored.

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use offchain_codes::Coded;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

/// How much work a claim takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProofOfWork {
    /// Leading zero bits, 1 to 32. Each doubles the work.
    pub bits: u8,
    /// How long a challenge may be answered.
    pub valid_seconds: u32,
}

/// A challenge for one address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// What is to be worked on.
    pub text: String,
    /// How many leading zero bits the work has to show.
    pub bits: u8,
    /// From when on it counts no more.
    pub expires: Timestamp,
}

/// A challenge that was solved, and may not be used again before it expires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Used {
    /// The challenge, among all that the faucet gave out.
    pub id: String,
    /// From when on it counts no more.
    pub expires: Timestamp,
}

/// Why a response to a challenge does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ChallengeError {
    /// It has another form.
    #[error(
        "expected `<challenge>:<nonce>` in `response`, the nonce of 1 to 32 characters out of 0-9, A-Z and a-z: ask for a challenge and solve it"
    )]
    Malformed,
    /// This faucet gave out no such challenge for this address.
    #[error(
        "expected a challenge that this faucet gave out for this address: ask for one with the address of the claim"
    )]
    Foreign,
    /// Its time is over.
    #[error("expected a challenge that is still valid: ask for another one")]
    Expired,
    /// More work is demanded by now.
    #[error("expected a challenge of at least {expected} bits, found {found}: ask for another one")]
    TooEasy {
        /// What is demanded now.
        expected: u8,
        /// What was demanded then.
        found: u8,
    },
    /// The work was not done.
    #[error("expected a SHA-256 of the response with {bits} leading zero bits: try other nonces")]
    Unsolved {
        /// How many there have to be.
        bits: u8,
    },
    /// It was used for a claim. Whoever stores what was used says so.
    #[error("expected a challenge that was not used before: ask for another one")]
    Used,
}

impl Coded for ChallengeError {
    fn code(&self) -> &'static str {
        match self {
            Self::Malformed
            | Self::Foreign
            | Self::Expired
            | Self::TooEasy { .. }
            | Self::Unsolved { .. }
            | Self::Used => "ChallengeInvalid",
        }
    }

    fn retryable(&self) -> bool {
        match self {
            Self::Malformed
            | Self::Foreign
            | Self::Expired
            | Self::TooEasy { .. }
            | Self::Unsolved { .. }
            | Self::Used => false,
        }
    }
}

impl Challenge {
    /// A challenge for an address in its one right spelling. The key is secret,
    /// and `random` is used once.
    #[must_use]
    pub fn issue(
        key: &[u8],
        address: &str,
        now: Timestamp,
        policy: &ProofOfWork,
        random: [u8; 16],
    ) -> Self {
        // The format has no time before 1970.
        let expires = now.as_second().max(0) + i64::from(policy.valid_seconds);
        let expires = Timestamp::from_second(expires).unwrap_or(Timestamp::MAX);
        let bits = policy.bits;
        let signed = format!("v1.{}.{bits}.{}", expires.as_second(), hex::encode(random));
        let mac = hex::encode(mac(key, address, &signed).finalize().into_bytes());
        Self {
            text: format!("{signed}.{mac}"),
            bits,
            expires,
        }
    }
}

/// Whether a response lets a claim for this address through.
///
/// # Errors
///
/// [`ChallengeError`] tells what is wrong, and what to do.
pub fn verify(
    key: &[u8],
    address: &str,
    response: &str,
    now: Timestamp,
    policy: &ProofOfWork,
) -> Result<Used, ChallengeError> {
    let read = Response::read(response).ok_or(ChallengeError::Malformed)?;
    mac(key, address, read.signed)
        .verify_slice(&read.mac)
        .map_err(|_| ChallengeError::Foreign)?;
    let Response { bits, expires, .. } = read;
    if now >= expires {
        return Err(ChallengeError::Expired);
    }
    if bits < policy.bits {
        return Err(ChallengeError::TooEasy {
            expected: policy.bits,
            found: bits,
        });
    }
    if leading_zeros(&Sha256::digest(response)) < u32::from(bits) {
        return Err(ChallengeError::Unsolved { bits });
    }
    Ok(Used {
        id: read.random.to_owned(),
        expires,
    })
}

struct Response<'a> {
    signed: &'a str,
    expires: Timestamp,
    bits: u8,
    random: &'a str,
    mac: Vec<u8>,
}

impl<'a> Response<'a> {
    fn read(response: &'a str) -> Option<Self> {
        let (challenge, nonce) = response.rsplit_once(':')?;
        let of_nonce = |byte: u8| byte.is_ascii_alphanumeric();
        if !(1..=32).contains(&nonce.len()) || !nonce.bytes().all(of_nonce) {
            return None;
        }
        let (signed, mac) = challenge.rsplit_once('.')?;
        let parts: Vec<_> = signed.split('.').collect();
        let &["v1", expires, bits, random] = parts.as_slice() else {
            return None;
        };
        Some(Self {
            signed,
            expires: Timestamp::from_second(expires.parse().ok()?).ok()?,
            bits: bits.parse().ok()?,
            random,
            mac: hex::decode(mac)
                .ok()
                .filter(|bytes| hex::encode(bytes) == mac)?,
        })
    }
}

fn mac(key: &[u8], address: &str, signed: &str) -> Hmac<Sha256> {
    // RFC 2104: the key is filled up with zeros to a block, a longer one hashed.
    let mut block = [0; 64];
    if let Some(start) = block.get_mut(..key.len()) {
        start.copy_from_slice(key);
    } else {
        block[..32].copy_from_slice(&Sha256::digest(key));
    }
    Hmac::new(&block.into())
        .chain_update("offchain-faucet-challenge|")
        .chain_update(address)
        .chain_update("|")
        .chain_update(signed)
}

fn leading_zeros(digest: &[u8]) -> u32 {
    let zeros = digest.iter().take_while(|byte| **byte == 0).count();
    let next = digest.get(zeros).map_or(0, |byte| byte.leading_zeros());
    8 * zeros as u32 + next
}
