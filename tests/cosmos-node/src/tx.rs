//! Transactions: what their bytes say, and how the node shows them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cosmrs::Any;
use cosmrs::proto::cosmos::bank::v1beta1::{MsgMultiSend, MsgSend};
use cosmrs::proto::cosmos::base::v1beta1::Coin as WireCoin;
use cosmrs::proto::cosmos::crypto::secp256k1::PubKey;
use cosmrs::proto::cosmos::tx::signing::v1beta1::SignMode;
use cosmrs::proto::cosmos::tx::v1beta1::mode_info::Sum;
use cosmrs::proto::cosmos::tx::v1beta1::{AuthInfo, SignerInfo, TxBody, TxRaw};
use cosmrs::proto::traits::Message as _;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::coin::Coin;
use crate::refusal::{Refusal, TX_PARSE};

pub(crate) const SEND: &str = "/cosmos.bank.v1beta1.MsgSend";
pub(crate) const MULTI_SEND: &str = "/cosmos.bank.v1beta1.MsgMultiSend";
pub(crate) const PUBLIC_KEY: &str = "/cosmos.crypto.secp256k1.PubKey";

/// A transaction that could be read.
#[derive(Clone, Debug)]
pub(crate) struct Tx {
    pub(crate) hash: String,
    pub(crate) bytes: Vec<u8>,
    pub(crate) raw: TxRaw,
    pub(crate) body: TxBody,
    pub(crate) signers: Vec<SignerInfo>,
    pub(crate) fee: Vec<Coin>,
    pub(crate) gas_limit: u64,
    pub(crate) fee_payer: String,
    pub(crate) fee_granter: String,
    pub(crate) messages: Vec<Message>,
}

/// The messages that the stand-in knows.
#[derive(Clone, Debug)]
pub(crate) enum Message {
    Send {
        from: String,
        to: String,
        amount: Vec<Coin>,
    },
    MultiSend {
        inputs: Vec<Part>,
        outputs: Vec<Part>,
    },
}

/// An input or an output.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) address: String,
    pub(crate) coins: Vec<Coin>,
}

/// A transaction's hash, as nodes write it.
pub(crate) fn hash(bytes: &[u8]) -> String {
    hex::encode_upper(Sha256::digest(bytes))
}

impl Tx {
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Refusal> {
        // The recorded words for bytes that are no message at all.
        let raw = TxRaw::decode(bytes)
            .map_err(|_| TX_PARSE.of("invalid length; proto:\u{a0}invalid field number"))?;
        let body = TxBody::decode(&*raw.body_bytes).map_err(|e| TX_PARSE.of(e.to_string()))?;
        let auth =
            AuthInfo::decode(&*raw.auth_info_bytes).map_err(|e| TX_PARSE.of(e.to_string()))?;
        let messages = body.messages.iter().map(Message::decode);
        let messages = messages.collect::<Result<_, _>>()?;
        let fee = auth.fee.unwrap_or_default();
        Ok(Self {
            hash: hash(bytes),
            bytes: bytes.to_vec(),
            body,
            signers: auth.signer_infos,
            fee: coins(&fee.amount)?,
            gas_limit: fee.gas_limit,
            fee_payer: fee.payer,
            fee_granter: fee.granter,
            messages,
            raw,
        })
    }

    /// Who must sign, each once, in the order of the messages.
    pub(crate) fn senders(&self) -> Vec<&str> {
        let mut senders: Vec<&str> = Vec::new();
        for sender in self.messages.iter().flat_map(Message::senders) {
            if !senders.contains(&sender) {
                senders.push(sender);
            }
        }
        senders
    }

    /// Who pays the fee.
    pub(crate) fn payer(&self) -> &str {
        self.senders().first().copied().unwrap_or_default()
    }

    /// The first sender's sequence number.
    pub(crate) fn sequence(&self) -> u64 {
        self.signers.first().map_or(0, |signer| signer.sequence)
    }

    /// What the transaction returns: the kinds of its messages.
    pub(crate) fn data(&self) -> Vec<u8> {
        // TxMsgData{data: [MsgData{msg_type}]}. Its lengths fit in one byte.
        let field = |bytes: &[u8]| [&[0x0a, bytes.len() as u8], bytes].concat();
        let kinds = self.messages.iter().map(|message| message.kind());
        kinds
            .flat_map(|kind| field(&field(kind.as_bytes())))
            .collect()
    }

    pub(crate) fn to_json(&self) -> Value {
        let signatures = self
            .raw
            .signatures
            .iter()
            .map(|bytes| STANDARD.encode(bytes));
        json!({
            "body": {
                "messages": self.messages.iter().map(Message::to_json).collect::<Vec<_>>(),
                "memo": self.body.memo,
                "timeout_height": self.body.timeout_height.to_string(),
                "extension_options": [],
                "non_critical_extension_options": [],
            },
            "auth_info": {
                "signer_infos": self.signers.iter().map(signer).collect::<Vec<_>>(),
                "fee": {
                    "amount": self.fee,
                    "gas_limit": self.gas_limit.to_string(),
                    "payer": self.fee_payer,
                    "granter": self.fee_granter,
                },
            },
            "signatures": signatures.collect::<Vec<_>>(),
        })
    }
}

impl Message {
    fn decode(message: &Any) -> Result<Self, Refusal> {
        let parse = |e: cosmrs::proto::prost::DecodeError| TX_PARSE.of(e.to_string());
        match message.type_url.as_str() {
            SEND => {
                let message = MsgSend::decode(&*message.value).map_err(parse)?;
                Ok(Self::Send {
                    from: message.from_address,
                    to: message.to_address,
                    amount: coins(&message.amount)?,
                })
            }
            MULTI_SEND => {
                let message = MsgMultiSend::decode(&*message.value).map_err(parse)?;
                let inputs = message.inputs.into_iter();
                let outputs = message.outputs.into_iter();
                Ok(Self::MultiSend {
                    inputs: inputs
                        .map(|input| Part::new(input.address, &input.coins))
                        .collect::<Result<_, _>>()?,
                    outputs: outputs
                        .map(|output| Part::new(output.address, &output.coins))
                        .collect::<Result<_, _>>()?,
                })
            }
            other => Err(TX_PARSE.of(format!("unable to resolve type URL {other}"))),
        }
    }

    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Send { .. } => SEND,
            Self::MultiSend { .. } => MULTI_SEND,
        }
    }

    fn senders(&self) -> Vec<&str> {
        match self {
            Self::Send { from, .. } => vec![from],
            Self::MultiSend { inputs, .. } => {
                inputs.iter().map(|input| input.address.as_str()).collect()
            }
        }
    }

    /// Who is paid what.
    pub(crate) fn payees(&self) -> Vec<(&str, &[Coin])> {
        match self {
            Self::Send { to, amount, .. } => vec![(to, amount)],
            Self::MultiSend { outputs, .. } => outputs
                .iter()
                .map(|output| (output.address.as_str(), output.coins.as_slice()))
                .collect(),
        }
    }

    fn to_json(&self) -> Value {
        let parts = |parts: &[Part]| -> Vec<Value> {
            let one = |part: &Part| json!({"address": part.address, "coins": part.coins});
            parts.iter().map(one).collect()
        };
        match self {
            Self::Send { from, to, amount } => json!({
                "@type": SEND,
                "from_address": from,
                "to_address": to,
                "amount": amount,
            }),
            Self::MultiSend { inputs, outputs } => json!({
                "@type": MULTI_SEND,
                "inputs": parts(inputs),
                "outputs": parts(outputs),
            }),
        }
    }
}

impl Part {
    fn new(address: String, wire: &[WireCoin]) -> Result<Self, Refusal> {
        Ok(Self {
            address,
            coins: coins(wire)?,
        })
    }
}

/// A public key as the node shows it.
pub(crate) fn public_key(key: &[u8]) -> Value {
    json!({"@type": PUBLIC_KEY, "key": STANDARD.encode(key)})
}

fn signer(signer: &SignerInfo) -> Value {
    let key = signer.public_key.as_ref();
    let key = key.and_then(|key| PubKey::decode(&*key.value).ok());
    let mode = match signer.mode_info.as_ref().and_then(|info| info.sum.as_ref()) {
        Some(Sum::Single(single)) => SignMode::try_from(single.mode).ok(),
        _ => None,
    };
    json!({
        "public_key": key.map(|key| public_key(&key.key)),
        "mode_info": {"single": {"mode": mode.map(|mode| mode.as_str_name())}},
        "sequence": signer.sequence.to_string(),
    })
}

fn coins(wire: &[WireCoin]) -> Result<Vec<Coin>, Refusal> {
    let coins = wire.iter().map(|coin| {
        Coin::from_wire(coin).ok_or_else(|| TX_PARSE.of(format!("not an amount: {}", coin.amount)))
    });
    coins.collect()
}
