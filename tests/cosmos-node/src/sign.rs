//! Signing, for tests in which someone else holds the same key.

use ::base64::Engine as _;
use ::base64::engine::general_purpose::STANDARD;
use cosmrs::bank::MsgSend;
use cosmrs::crypto::secp256k1::SigningKey;
use cosmrs::tx::{Body, Fee, Msg as _, SignDoc, SignerInfo};

use crate::SetupError;
use crate::coin::Coin;

/// The address that a private key pays from.
pub fn address_of(key: &[u8], prefix: &str) -> Result<String, SetupError> {
    let address = signing_key(key)?.public_key().account_id(prefix);
    address
        .map(|address| address.to_string())
        .map_err(|_| SetupError::new(format!("not a prefix: {prefix}")))
}

/// A payment that is to be signed.
pub(crate) struct Payment<'a> {
    pub(crate) chain_id: &'a str,
    pub(crate) prefix: &'a str,
    pub(crate) account_number: u64,
    pub(crate) sequence: u64,
    pub(crate) to: &'a str,
    pub(crate) coins: &'a [Coin],
    pub(crate) fee: Option<Coin>,
    pub(crate) gas: u64,
}

impl Payment<'_> {
    /// The signed transaction's bytes.
    pub(crate) fn sign(&self, key: &[u8]) -> Result<Vec<u8>, SetupError> {
        let key = signing_key(key)?;
        self.signed(&key)
            .map_err(|report| SetupError::new(format!("cannot sign: {report}")))
    }

    fn signed(&self, key: &SigningKey) -> cosmrs::Result<Vec<u8>> {
        let coin = |coin: &Coin| cosmrs::Coin::new(coin.amount, &coin.denom);
        let message = MsgSend {
            from_address: key.public_key().account_id(self.prefix)?,
            to_address: self.to.parse()?,
            amount: self.coins.iter().map(coin).collect::<Result<_, _>>()?,
        };
        let body = Body::new([message.to_any()?], "", 0u32);
        let fee = Fee {
            amount: self.fee.iter().map(coin).collect::<Result<_, _>>()?,
            gas_limit: self.gas,
            payer: None,
            granter: None,
        };
        let signer = SignerInfo::single_direct(Some(key.public_key()), self.sequence);
        let document = SignDoc::new(
            &body,
            &signer.auth_info(fee),
            &self.chain_id.parse()?,
            self.account_number,
        )?;
        document.sign(key)?.to_bytes()
    }
}

/// Bytes as the node writes them.
pub(crate) fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

fn signing_key(key: &[u8]) -> Result<SigningKey, SetupError> {
    SigningKey::from_slice(key).map_err(|_| SetupError::new("not a private key"))
}
