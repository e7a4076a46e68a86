//! Transactions and their signatures.

use cosmrs::bank::{MsgMultiSend, MsgSend, MultiSendIo};
use cosmrs::crypto::PublicKey;
use cosmrs::tendermint::block::Height;
use cosmrs::tx::{Body, Fee, Msg, SignDoc, SignerInfo};
use cosmrs::{AccountId, Any, Coin, Denom, ErrorReport};
use sha2::{Digest, Sha256};

use super::settings::Parts;
use crate::{AccountKey, SignError, Signed, Transfer};

/// What is signed besides the transfers.
pub(super) struct Around<'a> {
    pub(super) prefix: &'a str,
    pub(super) memo: &'a str,
    pub(super) sequence: u64,
    pub(super) account_number: u64,
    pub(super) timeout_height: u64,
    pub(super) gas: u64,
    pub(super) fee: u128,
}

pub(super) fn sign(
    key: &AccountKey,
    parts: &Parts,
    transfers: &[Transfer],
    around: &Around<'_>,
) -> Result<Signed, SignError> {
    let key = key.cosmos().map_err(|error| SignError(error.to_string()))?;
    let bytes = document(key.public_key(), parts, transfers, around)?
        .sign(&key)
        .and_then(|transaction| transaction.to_bytes())
        .map_err(unsigned)?;
    Ok(Signed {
        hash: hex::encode_upper(Sha256::digest(&bytes)),
        bytes,
    })
}

/// What is signed.
fn document(
    public_key: PublicKey,
    parts: &Parts,
    transfers: &[Transfer],
    around: &Around<'_>,
) -> Result<SignDoc, SignError> {
    let sender = public_key.account_id(around.prefix).map_err(unsigned)?;
    let height = Height::try_from(around.timeout_height)
        .map_err(|_| SignError("the timeout height is no height".to_owned()))?;
    let body = Body::new(
        [message(&parts.denom, sender, transfers)?],
        around.memo,
        height,
    );
    let fee = Fee {
        // A sum of zero is not valid.
        amount: (around.fee > 0)
            .then(|| coin(&parts.fee_denom, around.fee))
            .into_iter()
            .collect(),
        gas_limit: around.gas,
        payer: None,
        granter: None,
    };
    let signer = SignerInfo::single_direct(Some(public_key), around.sequence);
    SignDoc::new(
        &body,
        &signer.auth_info(fee),
        &parts.chain_id,
        around.account_number,
    )
    .map_err(unsigned)
}

/// One transfer is a message that every chain and explorer knows best; several
/// are one message with one input.
fn message(denom: &Denom, sender: AccountId, transfers: &[Transfer]) -> Result<Any, SignError> {
    let recipient = |transfer: &Transfer| transfer.to.parse::<AccountId>().map_err(unsigned);
    let message = match transfers {
        [] => return Err(SignError("it has no transfer".to_owned())),
        [transfer] => MsgSend {
            from_address: sender,
            to_address: recipient(transfer)?,
            amount: vec![coin(denom, transfer.amount)],
        }
        .to_any(),
        _ => {
            let sum = transfers
                .iter()
                .try_fold(0_u128, |sum, transfer| sum.checked_add(transfer.amount))
                .ok_or_else(|| SignError("the transfers' sum is too large".to_owned()))?;
            let outputs = transfers.iter().map(|transfer| {
                Ok(MultiSendIo {
                    address: recipient(transfer)?,
                    coins: vec![coin(denom, transfer.amount)],
                })
            });
            MsgMultiSend {
                inputs: vec![MultiSendIo {
                    address: sender,
                    coins: vec![coin(denom, sum)],
                }],
                outputs: outputs.collect::<Result<_, SignError>>()?,
            }
            .to_any()
        }
    };
    message.map_err(unsigned)
}

fn coin(denom: &Denom, amount: u128) -> Coin {
    Coin {
        denom: denom.clone(),
        amount,
    }
}

fn unsigned(error: ErrorReport) -> SignError {
    SignError(error.to_string())
}

#[cfg(test)]
mod tests {
    use base64::prelude::{BASE64_STANDARD, Engine as _};
    use cosmrs::proto::cosmos::tx::v1beta1::TxRaw;
    use cosmrs::proto::traits::Message;
    use cosmrs::tendermint::crypto::default::signature::Verifier;
    use cosmrs::tendermint::crypto::signature::Verifier as _;

    use super::*;
    use crate::cosmos::tests::{ALICE, recorded};

    /// The public key of the account that the recorded node knew; its private
    /// key is not known.
    const PUBLIC_KEY: &str = "Ak9OKtmcNNYLm6YoPJQxqEGK+GcyEpYfl6d7Y3f80Fti";

    fn parts(denom: &str) -> Parts {
        Parts {
            chain_id: "probe-1".parse().unwrap(),
            denom: denom.parse().unwrap(),
            fee_denom: "stake".parse().unwrap(),
            gas_price: super::super::price::GasPrice::parse("0.025").unwrap(),
        }
    }

    fn public_key() -> PublicKey {
        let bytes = BASE64_STANDARD.decode(PUBLIC_KEY).unwrap();
        cosmrs::tendermint::PublicKey::from_raw_secp256k1(&bytes)
            .unwrap()
            .into()
    }

    fn verifies(document: SignDoc, signature: &[u8]) -> bool {
        let signature = cosmrs::tendermint::Signature::try_from(signature).unwrap();
        let document = document.into_bytes().unwrap();
        Verifier::verify(public_key().into(), &document, &signature).is_ok()
    }

    /// Transactions that a real node took are made anew from what is in them:
    /// each byte is the same, and the signature that the node accepted fits.
    #[test]
    fn the_signed_bytes_are_those_that_a_node_took() {
        for (name, sequence, amount, memo) in [
            ("09-sync_ok", 0, 1000, ""),
            (
                "28-sync_insufficient_funds_passes_checktx",
                1,
                999_999_999_999,
                "",
            ),
            ("33-async_ok", 4, 1000, ""),
            ("34-pipelined_sync_0", 5, 1000, "p0"),
            ("36-pipelined_sync_2", 7, 1000, "p2"),
        ] {
            let pair = recorded(name);
            let bytes = pair["request"]["body"]["tx_bytes"].as_str().unwrap();
            let bytes = BASE64_STANDARD.decode(bytes).unwrap();
            let taken = TxRaw::decode(bytes.as_slice()).unwrap();
            let around = Around {
                prefix: "cosmos",
                memo,
                sequence,
                account_number: 0,
                timeout_height: 0,
                gas: 100_000,
                fee: 2500,
            };
            let transfers = [Transfer {
                to: ALICE.to_owned(),
                amount,
            }];
            let document = document(public_key(), &parts("stake"), &transfers, &around).unwrap();
            assert_eq!(document.body_bytes, taken.body_bytes, "{name}");
            assert_eq!(document.auth_info_bytes, taken.auth_info_bytes, "{name}");
            assert!(verifies(document.clone(), &taken.signatures[0]), "{name}");
            let hash = hex::encode_upper(Sha256::digest(&bytes));
            assert_eq!(pair["body"]["tx_response"]["txhash"], hash, "{name}");

            let mut other = document;
            other.account_number = 1;
            assert!(!verifies(other, &taken.signatures[0]), "{name}");
        }
    }
}
