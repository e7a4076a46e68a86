//! Signed webhooks, as Standard Webhooks 1.0 has them.

use std::{fmt, str::FromStr, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use ed25519_dalek::Signer;
use hmac::{Hmac, KeyInit, Mac};
use offchain_codes::Coded;
use serde::Deserialize;
use sha2::Sha256;
use subtle::ConstantTimeEq;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::condition::signed;

/// The header that names a webhook, the same at each attempt.
pub const ID: &str = "webhook-id";
/// The header with the time of an attempt, in Unix seconds.
pub const TIMESTAMP: &str = "webhook-timestamp";
/// The header with the signatures.
pub const SIGNATURE: &str = "webhook-signature";

/// How far the time of an attempt may be from now, before or after.
pub const TOLERANCE: Duration = Duration::from_secs(300);

/// How many signatures are looked at, and in how long a header.
const MAX_SIGNATURES: usize = 32;
const MAX_HEADER: usize = 4096;
const MAX_ID: usize = 256;

/// How many keys may sign at once, while one takes the place of another.
const MAX_KEYS: usize = 10;

const SHARED: &str = "whsec_";
const SECRET: &str = "whsk_";
const PUBLIC: &str = "whpk_";
const MIN_SHARED: usize = 24;
const MAX_SHARED: usize = 64;

/// A key that webhooks are signed with. Its text is a secret: `Debug` does not
/// show it, and its memory is zeroed on drop.
#[derive(Clone)]
pub enum SigningKey {
    /// For HMAC-SHA256, `whsec_` and 24 to 64 bytes in base64.
    Shared(SharedKey),
    /// For Ed25519, `whsk_` and in base64 the seed of 32 bytes, or it and the
    /// public key.
    Secret(SecretKey),
}

/// A key that webhooks are verified with.
#[derive(Clone)]
pub enum VerifyingKey {
    /// The one that they are signed with. It is as secret as that.
    Shared(SharedKey),
    /// The public one of Ed25519, `whpk_` and 32 bytes in base64.
    Public(PublicKey),
}

/// The key of HMAC-SHA256.
#[derive(Clone)]
pub struct SharedKey(Zeroizing<Vec<u8>>);

/// The secret key of Ed25519.
#[derive(Clone)]
pub struct SecretKey(ed25519_dalek::SigningKey);

/// The public key of Ed25519.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicKey([u8; 32]);

/// Why a text is no key. It tells nothing of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum WebhookKeyError {
    /// It is no key to sign with.
    #[error(
        "expected `whsec_` and {MIN_SHARED} to {MAX_SHARED} bytes in base64, or `whsk_` and the 32 bytes of a seed or the 64 of a key pair"
    )]
    Signing,
    /// It is no key to verify with.
    #[error(
        "expected `whsec_` and {MIN_SHARED} to {MAX_SHARED} bytes in base64, or `whpk_` and the 32 bytes of a public key"
    )]
    Verifying,
    /// It is no list of keys.
    #[error("expected {{\"secrets\": [\"whsec_...\"]}} in JSON, with nothing else in it")]
    Form,
    /// There are too many keys in it, or none.
    #[error("expected 1 to {MAX_KEYS} secrets, found {0}")]
    Number(usize),
}

impl Coded for WebhookKeyError {
    fn code(&self) -> &'static str {
        match self {
            Self::Signing | Self::Verifying | Self::Form | Self::Number(_) => "SecretInvalid",
        }
    }

    fn retryable(&self) -> bool {
        match self {
            Self::Signing | Self::Verifying | Self::Form | Self::Number(_) => false,
        }
    }
}

/// Why a webhook is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum WebhookError {
    /// One of its three headers is not there.
    #[error("expected the headers webhook-id, webhook-timestamp and webhook-signature")]
    SignatureMissing,
    /// Its time is no time.
    #[error("expected Unix seconds in webhook-timestamp")]
    TimestampInvalid,
    /// It is too old, or from the future.
    #[error("expected a webhook-timestamp at most {tolerance} s from now, found {found} s")]
    TimestampStale {
        /// How far it may be.
        tolerance: u64,
        /// How far it is.
        found: u64,
    },
    /// No signature is that of a key.
    #[error("expected a webhook-signature by a key of this receiver")]
    SignatureInvalid,
}

impl Coded for WebhookError {
    fn code(&self) -> &'static str {
        match self {
            Self::SignatureMissing => "SignatureMissing",
            Self::TimestampInvalid => "TimestampInvalid",
            Self::TimestampStale { .. } => "TimestampStale",
            Self::SignatureInvalid => "SignatureInvalid",
        }
    }

    fn retryable(&self) -> bool {
        match self {
            Self::SignatureMissing
            | Self::TimestampInvalid
            | Self::TimestampStale { .. }
            | Self::SignatureInvalid => false,
        }
    }
}

/// The headers of a webhook, as far as they are there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Headers<'a> {
    /// What [`ID`] says.
    pub id: Option<&'a str>,
    /// What [`TIMESTAMP`] says.
    pub timestamp: Option<&'a str>,
    /// What [`SIGNATURE`] says.
    pub signature: Option<&'a str>,
}

/// The keys that webhooks are signed with, the newest first: each of them signs,
/// so that a receiver may know any.
///
/// The text of the secret is `{"secrets": ["whsec_…", "whsec_…"]}`.
#[derive(Clone, Debug)]
pub struct Keys(Vec<SigningKey>);

/// The text of a secret.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Secrets {
    secrets: Vec<Zeroizing<String>>,
}

impl Keys {
    /// These keys, the newest first.
    ///
    /// # Errors
    ///
    /// [`WebhookKeyError::Number`] where there are none, or more than ten.
    pub fn new(keys: Vec<SigningKey>) -> Result<Self, WebhookKeyError> {
        if (1..=MAX_KEYS).contains(&keys.len()) {
            Ok(Self(keys))
        } else {
            Err(WebhookKeyError::Number(keys.len()))
        }
    }

    /// Reads the text of a secret.
    ///
    /// # Errors
    ///
    /// [`WebhookKeyError`] says what was expected, and nothing of the text.
    pub fn parse(text: &str) -> Result<Self, WebhookKeyError> {
        // serde reads an array for a struct, too, and its errors quote texts.
        if !text.trim_start().starts_with('{') {
            return Err(WebhookKeyError::Form);
        }
        let Secrets { secrets } = serde_json::from_str(text).map_err(|_| WebhookKeyError::Form)?;
        let keys = secrets.iter().map(|secret| secret.parse());
        Self::new(keys.collect::<Result<_, _>>()?)
    }

    /// The text of the secret.
    #[must_use]
    pub fn to_json(&self) -> Zeroizing<String> {
        let secrets: Vec<_> = self.0.iter().map(SigningKey::to_text).collect();
        // As long as it will be, so that no shorter one is left behind. Nothing
        // in base64 is escaped in JSON.
        let length: usize = secrets.iter().map(|secret| secret.len() + 3).sum();
        let mut json = Zeroizing::new(String::with_capacity(length + 14));
        for (index, secret) in secrets.iter().enumerate() {
            json.push_str(if index == 0 {
                "{\"secrets\":[\""
            } else {
                "\",\""
            });
            json.push_str(secret);
        }
        json.push_str("\"]}");
        json
    }

    /// The keys that receivers verify with.
    #[must_use]
    pub fn verifying(&self) -> Vec<VerifyingKey> {
        self.0.iter().map(SigningKey::verifying_key).collect()
    }

    /// The keys, the newest first.
    #[must_use]
    pub fn as_slice(&self) -> &[SigningKey] {
        &self.0
    }
}

impl FromStr for Keys {
    type Err = WebhookKeyError;

    fn from_str(text: &str) -> Result<Self, WebhookKeyError> {
        Self::parse(text)
    }
}

impl SigningKey {
    /// A key of HMAC-SHA256, out of random bytes.
    #[must_use]
    pub fn shared(random: &[u8; 32]) -> Self {
        Self::Shared(SharedKey(Zeroizing::new(random.to_vec())))
    }

    /// A key of Ed25519, out of random bytes.
    #[must_use]
    pub fn secret(random: &[u8; 32]) -> Self {
        Self::Secret(SecretKey(ed25519_dalek::SigningKey::from_bytes(random)))
    }

    /// Its text, which is secret.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        match self {
            Self::Shared(SharedKey(key)) => text(SHARED, key),
            Self::Secret(SecretKey(key)) => text(SECRET, &*Zeroizing::new(key.to_bytes())),
        }
    }

    /// The key that receivers verify with.
    #[must_use]
    pub fn verifying_key(&self) -> VerifyingKey {
        match self {
            Self::Shared(key) => VerifyingKey::Shared(key.clone()),
            Self::Secret(SecretKey(key)) => {
                VerifyingKey::Public(PublicKey(key.verifying_key().to_bytes()))
            }
        }
    }

    /// A signature, with its version.
    fn sign(&self, content: &Content<'_>) -> String {
        match self {
            Self::Shared(key) => format!("v1,{}", STANDARD.encode(key.mac(content))),
            Self::Secret(SecretKey(key)) => {
                let signature = key.sign(&content.bytes());
                format!("v1a,{}", STANDARD.encode(signature.to_bytes()))
            }
        }
    }
}

impl VerifyingKey {
    /// Its text. That of a shared key is secret.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        match self {
            Self::Shared(SharedKey(key)) => text(SHARED, key),
            Self::Public(PublicKey(key)) => text(PUBLIC, key),
        }
    }

    /// Whether one of these signatures is its own for this content.
    fn fits(&self, content: &Content<'_>, signatures: &[(&str, Vec<u8>)]) -> bool {
        let of = |wanted| {
            let these = signatures.iter();
            these.filter_map(move |(version, bytes)| (*version == wanted).then_some(bytes))
        };
        match self {
            Self::Shared(key) => {
                let mac = key.mac(content);
                of("v1").any(|signature| bool::from(signature.ct_eq(&mac)))
            }
            Self::Public(PublicKey(key)) => {
                let content = content.bytes();
                of("v1a").any(|signature| {
                    let signature = signature.as_slice().try_into();
                    signature.is_ok_and(|signature| signed(key, &content, signature))
                })
            }
        }
    }
}

impl SharedKey {
    fn read(base64: &str) -> Option<Self> {
        let bytes = Zeroizing::new(STANDARD.decode(base64).ok()?);
        (MIN_SHARED..=MAX_SHARED)
            .contains(&bytes.len())
            .then_some(Self(bytes))
    }

    fn mac(&self, content: &Content<'_>) -> [u8; 32] {
        // RFC 2104: the key is filled up with zeros to a block, which none is
        // longer than.
        let mut block = Zeroizing::new([0; MAX_SHARED]);
        for (to, from) in block.iter_mut().zip(self.0.iter()) {
            *to = *from;
        }
        let mac = Hmac::<Sha256>::new((&*block).into());
        let [id, timestamp] = &content.head;
        mac.chain_update(id)
            .chain_update(".")
            .chain_update(timestamp)
            .chain_update(".")
            .chain_update(content.body)
            .finalize()
            .into_bytes()
            .into()
    }
}

impl SecretKey {
    fn read(base64: &str) -> Option<Self> {
        let bytes = Zeroizing::new(STANDARD.decode(base64).ok()?);
        if let Ok(seed) = bytes.as_slice().try_into() {
            return Some(Self(ed25519_dalek::SigningKey::from_bytes(seed)));
        }
        let pair = bytes.as_slice().try_into().ok()?;
        ed25519_dalek::SigningKey::from_keypair_bytes(pair)
            .ok()
            .map(Self)
    }
}

impl PublicKey {
    fn read(base64: &str) -> Option<Self> {
        let bytes: [u8; 32] = STANDARD.decode(base64).ok()?.try_into().ok()?;
        let point = ed25519_dalek::VerifyingKey::from_bytes(&bytes).ok()?;
        let canonical = point.to_edwards().compress().to_bytes() == bytes;
        (canonical && !point.is_weak()).then_some(Self(bytes))
    }
}

fn text(prefix: &str, bytes: &[u8]) -> Zeroizing<String> {
    // As long as it will be, so that no shorter one is left behind.
    let mut text = Zeroizing::new(String::with_capacity(
        prefix.len() + bytes.len().div_ceil(3) * 4,
    ));
    text.push_str(prefix);
    STANDARD.encode_string(bytes, &mut text);
    text
}

impl FromStr for SigningKey {
    type Err = WebhookKeyError;

    fn from_str(text: &str) -> Result<Self, WebhookKeyError> {
        let shared = text.strip_prefix(SHARED).and_then(SharedKey::read);
        let secret = || text.strip_prefix(SECRET).and_then(SecretKey::read);
        shared
            .map(Self::Shared)
            .or_else(|| secret().map(Self::Secret))
            .ok_or(WebhookKeyError::Signing)
    }
}

impl FromStr for VerifyingKey {
    type Err = WebhookKeyError;

    fn from_str(text: &str) -> Result<Self, WebhookKeyError> {
        let shared = text.strip_prefix(SHARED).and_then(SharedKey::read);
        let public = || text.strip_prefix(PUBLIC).and_then(PublicKey::read);
        shared
            .map(Self::Shared)
            .or_else(|| public().map(Self::Public))
            .ok_or(WebhookKeyError::Verifying)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shared(key) => key.fmt(f),
            Self::Secret(key) => key.fmt(f),
        }
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shared(key) => key.fmt(f),
            Self::Public(_) => f.write_str(&self.to_text()),
        }
    }
}

impl fmt::Debug for SharedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SHARED}...")
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SECRET}...")
    }
}

/// What is signed: `<id>.<timestamp>.<body>`.
struct Content<'a> {
    head: [&'a str; 2],
    body: &'a [u8],
}

impl Content<'_> {
    fn bytes(&self) -> Vec<u8> {
        let [id, timestamp] = self.head.map(str::as_bytes);
        [id, timestamp, self.body].join(&b'.')
    }
}

/// The header with a signature by each key, for this id, time in Unix seconds
/// and body.
#[must_use]
pub fn sign(keys: &Keys, id: &str, timestamp: i64, body: &[u8]) -> String {
    let timestamp = timestamp.to_string();
    let head = [id, timestamp.as_str()];
    let content = Content { head, body };
    let signatures = keys.0.iter().map(|key| key.sign(&content));
    signatures.collect::<Vec<_>>().join(" ")
}

/// Whether a webhook is from who has one of the keys, and from now: its time in
/// Unix seconds.
///
/// # Errors
///
/// [`WebhookError`] tells why it is not believed.
pub fn verify(
    keys: &[VerifyingKey],
    headers: Headers<'_>,
    body: &[u8],
    now: i64,
    tolerance: Duration,
) -> Result<i64, WebhookError> {
    let (Some(id), Some(written), Some(header)) =
        (headers.id, headers.timestamp, headers.signature)
    else {
        return Err(WebhookError::SignatureMissing);
    };
    let timestamp = written
        .parse()
        .ok()
        // One spelling for each time: `+1` and `01` are none.
        .filter(|timestamp: &i64| *timestamp >= 0 && timestamp.to_string() == written)
        .ok_or(WebhookError::TimestampInvalid)?;
    let (found, tolerance) = (now.abs_diff(timestamp), tolerance.as_secs());
    if found > tolerance {
        return Err(WebhookError::TimestampStale { tolerance, found });
    }
    // With a dot in it, another id and time could have the same signature.
    let id_fits = (1..=MAX_ID).contains(&id.len()) && !id.contains('.');
    if !id_fits || header.len() > MAX_HEADER || header.split(' ').count() > MAX_SIGNATURES {
        return Err(WebhookError::SignatureInvalid);
    }
    let signatures: Vec<_> = header
        .split(' ')
        .filter_map(|signature| {
            let (version, base64) = signature.split_once(',')?;
            Some((version, STANDARD.decode(base64).ok()?))
        })
        .collect();
    let content = Content {
        head: [id, written],
        body,
    };
    if keys.iter().any(|key| key.fits(&content, &signatures)) {
        Ok(timestamp)
    } else {
        Err(WebhookError::SignatureInvalid)
    }
}
