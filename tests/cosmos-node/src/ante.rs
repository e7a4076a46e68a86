//! What is checked before a transaction's messages, in the SDK's order: first
//! when it arrives, again after each block, and when a block takes it.

use cosmrs::crypto::PublicKey;
use cosmrs::proto::cosmos::tx::signing::v1beta1::SignMode;
use cosmrs::proto::cosmos::tx::v1beta1::mode_info::Sum;
use cosmrs::proto::cosmos::tx::v1beta1::{SignDoc, SignerInfo};
use cosmrs::proto::traits::Message as _;
use cosmrs::tendermint;
use cosmrs::tendermint::crypto::signature::Verifier as _;

use crate::account::{Accounts, View};
use crate::address;
use crate::coin::{self, Coin};
use crate::event::Event;
use crate::gas::{self, GasPrice};
use crate::meter::Meter;
use crate::refusal::{
    EXTENSION_OPTIONS, INSUFFICIENT_FEE, INSUFFICIENT_FUNDS, INVALID_PUBLIC_KEY, INVALID_REQUEST,
    MEMO_TOO_LARGE, NO_SIGNATURES, NOT_SUPPORTED, Refusal, TIMED_OUT, UNAUTHORIZED,
    UNKNOWN_ADDRESS, WRONG_SEQUENCE,
};
use crate::tx::{self, Tx};
use crate::{bank, sign};

const MEMO_LIMIT: usize = 256;
const GAS_LIMIT: u64 = i64::MAX as u64;

/// When a transaction is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// It has just arrived.
    Check,
    /// It waits in the mempool, and a block has come.
    Recheck,
    /// Someone asks how much gas it would use.
    Simulate,
    /// A block takes it.
    Deliver,
}

/// What a transaction is held against.
pub(crate) struct Rules<'a> {
    pub(crate) mode: Mode,
    pub(crate) chain_id: &'a str,
    pub(crate) prefix: &'a str,
    pub(crate) gas_prices: &'a [GasPrice],
    pub(crate) fee_collector: &'a str,
    /// Of the block that takes the transaction. Until there is one, of the
    /// newest block: so a transaction may wait one block longer than it may be
    /// taken, and then fails without using up its sequence number.
    pub(crate) height: u64,
}

impl Rules<'_> {
    /// Checks the transaction, takes the fee and uses up the sequence number.
    pub(crate) fn apply(
        &self,
        view: &mut View<'_>,
        meter: &mut Meter,
        tx: &Tx,
    ) -> Result<Vec<Event>, Refusal> {
        if tx.messages.is_empty() {
            return Err(INVALID_REQUEST.of("must contain at least one message"));
        }
        for message in &tx.messages {
            bank::validate(message, self.prefix)?;
        }
        if !tx.body.extension_options.is_empty() {
            return Err(EXTENSION_OPTIONS.refusal());
        }
        self.fee_is_enough(tx)?;
        self.is_well_formed(tx)?;
        self.is_in_time(tx)?;
        let memo = tx.body.memo.len();
        if memo > MEMO_LIMIT {
            return Err(MEMO_TOO_LARGE.of(format!(
                "maximum number of characters is {MEMO_LIMIT} but received {memo} characters"
            )));
        }
        meter.consume(gas::of_checks(&tx.bytes))?;
        let mut events = self.take_fee(view, tx)?;
        self.set_public_keys(view, tx)?;
        self.signatures_fit(view, tx)?;
        for (sender, signature) in tx.senders().into_iter().zip(&tx.raw.signatures) {
            let account = view.account_mut(&self.key(sender));
            let used = format!("{sender}/{}", account.sequence);
            account.sequence += 1;
            events.push(Event::new("tx", [("acc_seq", &used)]));
            let signature = sign::base64(signature);
            events.push(Event::new("tx", [("signature", &signature)]));
        }
        Ok(events)
    }

    /// Each node asks for its own least fee; a block does not.
    fn fee_is_enough(&self, tx: &Tx) -> Result<(), Refusal> {
        if !matches!(self.mode, Mode::Check | Mode::Recheck) {
            return Ok(());
        }
        let prices = self.gas_prices.iter();
        let required: Vec<Coin> = prices.map(|price| price.fee(tx.gas_limit)).collect();
        let pays = |least: &Coin| {
            let mut fee = tx.fee.iter();
            fee.any(|coin| coin.denom == least.denom && coin.amount >= least.amount)
        };
        if required.is_empty() || required.iter().any(pays) {
            return Ok(());
        }
        Err(INSUFFICIENT_FEE.of(format!(
            "insufficient fees; got: {} required: {}",
            coin::join(&tx.fee),
            coin::join(&required)
        )))
    }

    fn is_well_formed(&self, tx: &Tx) -> Result<(), Refusal> {
        if tx.gas_limit > GAS_LIMIT {
            let gas = tx.gas_limit;
            return Err(INVALID_REQUEST.of(format!("invalid gas supplied; {gas} > {GAS_LIMIT}")));
        }
        let (signatures, senders) = (tx.raw.signatures.len(), tx.senders().len());
        if signatures == 0 {
            return Err(NO_SIGNATURES.refusal());
        }
        if signatures != senders || tx.signers.len() != senders {
            return Err(UNAUTHORIZED.of(format!(
                "wrong number of signers; expected {senders}, got {signatures}"
            )));
        }
        Ok(())
    }

    fn is_in_time(&self, tx: &Tx) -> Result<(), Refusal> {
        let (height, timeout) = (self.height, tx.body.timeout_height);
        if timeout > 0 && height > timeout {
            return Err(TIMED_OUT.of(format!("block height: {height}, timeout height: {timeout}")));
        }
        Ok(())
    }

    fn take_fee(&self, view: &mut View<'_>, tx: &Tx) -> Result<Vec<Event>, Refusal> {
        let payer = self.key(tx.payer());
        let is_other = |text: &str| !text.is_empty() && self.key(text) != payer;
        if is_other(&tx.fee_payer) || is_other(&tx.fee_granter) {
            return Err(NOT_SUPPORTED.of("the stand-in lets nobody else pay the fee"));
        }
        if view.account(&payer).is_none() {
            return Err(UNKNOWN_ADDRESS.of(format!("fee payer address: {payer} does not exist")));
        }
        if tx.fee.is_empty() {
            return Ok(Vec::new());
        }
        if !coin::are_valid(&tx.fee) {
            let fee = coin::join(&tx.fee);
            return Err(INSUFFICIENT_FEE.of(format!("invalid fee amount: {fee}")));
        }
        view.spend(&payer, &tx.fee)
            .map_err(|refusal| INSUFFICIENT_FUNDS.of(refusal.log))?;
        view.receive(self.fee_collector, &tx.fee);
        let (to, sum) = (self.fee_collector, coin::join(&tx.fee));
        Ok(vec![
            Event::new("coin_spent", [("spender", &*payer), ("amount", &sum)]),
            Event::new("coin_received", [("receiver", to), ("amount", &sum)]),
            Event::new(
                "transfer",
                [("recipient", to), ("sender", &payer), ("amount", &sum)],
            ),
            Event::new("message", [("sender", &payer)]),
        ])
    }

    /// A key is on record from an account's first transaction on.
    fn set_public_keys(&self, view: &mut View<'_>, tx: &Tx) -> Result<(), Refusal> {
        for (index, (sender, signer)) in tx.senders().into_iter().zip(&tx.signers).enumerate() {
            let sender = self.key(sender);
            let Some(any) = &signer.public_key else {
                continue;
            };
            if any.type_url != tx::PUBLIC_KEY {
                let kind = &any.type_url;
                return Err(NOT_SUPPORTED.of(format!("the stand-in knows no keys of {kind}")));
            }
            let key = PublicKey::try_from(any).ok().filter(|key| {
                key.account_id(self.prefix)
                    .is_ok_and(|address| address.as_ref() == sender)
            });
            let Some(key) = key else {
                return Err(INVALID_PUBLIC_KEY.of(format!(
                    "pubKey does not match signer address {sender} with signer index: {index}"
                )));
            };
            let account = view.account_mut(&sender);
            account.public_key.get_or_insert_with(|| key.to_bytes());
        }
        Ok(())
    }

    fn signatures_fit(&self, view: &View<'_>, tx: &Tx) -> Result<(), Refusal> {
        // The SDK's 0.43 skips the sequence number, too.
        if self.mode == Mode::Recheck {
            return Ok(());
        }
        let senders = tx.senders().into_iter().map(|sender| self.key(sender));
        for ((sender, signer), signature) in senders.zip(&tx.signers).zip(&tx.raw.signatures) {
            let Some(account) = view.account(&sender) else {
                return Err(UNKNOWN_ADDRESS.of(format!("account {sender} does not exist")));
            };
            let Some(key) = &account.public_key else {
                return Err(INVALID_PUBLIC_KEY.of("pubkey on account is not set"));
            };
            if signer.sequence != account.sequence {
                let (expected, got) = (account.sequence, signer.sequence);
                return Err(WRONG_SEQUENCE.of(format!(
                    "account sequence mismatch, expected {expected}, got {got}"
                )));
            }
            if !is_direct(signer) {
                return Err(NOT_SUPPORTED.of("the stand-in knows SIGN_MODE_DIRECT only"));
            }
            if self.mode == Mode::Simulate {
                continue;
            }
            let document = SignDoc {
                body_bytes: tx.raw.body_bytes.clone(),
                auth_info_bytes: tx.raw.auth_info_bytes.clone(),
                chain_id: self.chain_id.to_owned(),
                account_number: account.number,
            };
            if !verifies(key, &document.encode_to_vec(), signature) {
                return Err(UNAUTHORIZED.of(format!(
                    "signature verification failed; please verify account number ({}) and chain-id ({})",
                    account.number, self.chain_id
                )));
            }
        }
        Ok(())
    }

    fn key(&self, text: &str) -> String {
        address::canonical(text, self.prefix).unwrap_or_else(|_| text.to_owned())
    }
}

fn is_direct(signer: &SignerInfo) -> bool {
    let mode = signer.mode_info.as_ref().and_then(|info| info.sum.as_ref());
    matches!(mode, Some(Sum::Single(single)) if single.mode == SignMode::Direct as i32)
}

fn verifies(key: &[u8], document: &[u8], signature: &[u8]) -> bool {
    let key = tendermint::PublicKey::from_raw_secp256k1(key);
    let signature = tendermint::Signature::try_from(signature);
    key.zip(signature.ok()).is_some_and(|(key, signature)| {
        tendermint::crypto::default::signature::Verifier::verify(key, document, &signature).is_ok()
    })
}
