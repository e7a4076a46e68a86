use std::collections::BTreeSet;

use offchain_codes::Coded;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha3::{Digest, Sha3_256};
use thiserror::Error;

use crate::{
    Id, OutputRef, PublicKey,
    condition::{Details, Fulfilment, Unfulfilled},
    json::{Json, JsonError, Misread, Object},
};

/// A transaction of a node of version 2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// Its name: the SHA3-256 of its canonical text.
    pub id: Id,
    /// The asset: its own id where it creates one.
    pub asset_id: Id,
    /// What it does.
    pub operation: Operation,
    /// What it says of the asset that it creates.
    pub asset_data: Option<Value>,
    /// What it says beside that.
    pub metadata: Option<Value>,
    /// The outputs that it spends, and by whom; one that spends nothing where
    /// it creates the asset.
    pub inputs: Vec<Input>,
    /// Who has how much of the asset from now on.
    pub outputs: Vec<Output>,
}

/// What a transaction does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Operation {
    /// It makes an asset.
    Create,
    /// It hands an asset on.
    Transfer,
}

/// What a transaction spends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// Who spends it.
    pub owners_before: Vec<PublicKey>,
    /// What is spent; nothing where the asset is created.
    pub fulfills: Option<OutputRef>,
    /// The URI of the condition that its signatures fulfil; none where they
    /// were not looked at.
    pub condition: Option<String>,
}

/// What somebody has of an asset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// Who has it.
    pub public_keys: Vec<PublicKey>,
    /// How much.
    pub amount: u64,
    /// The URI of the condition that has to be fulfilled to spend it.
    pub condition: String,
}

/// Why a text is no transaction that somebody made.
#[derive(Debug, Error)]
pub enum TransactionError {
    /// It has another form.
    #[error("{0}")]
    Malformed(Misread),
    /// It is of another version.
    #[error("expected the version 2.0, found `{0}`")]
    Version(String),
    /// It does something else, such as to vote.
    #[error("expected the operation CREATE or TRANSFER, found `{0}`")]
    Operation(String),
    /// Its canonical text has another hash.
    #[error("expected the id {hash}, which is the hash of the transaction, found {found}")]
    Id {
        /// What it would have to be.
        hash: Id,
        /// What it is.
        found: Id,
    },
    /// An input is not signed by its owners.
    #[error("{reason} in `inputs.{input}.fulfillment`")]
    Fulfilment {
        /// Its place among the inputs.
        input: usize,
        /// What was expected.
        reason: String,
    },
    /// An input shows something else than signatures.
    #[error("{reason} in `inputs.{input}.fulfillment`")]
    Unsupported {
        /// Its place among the inputs.
        input: usize,
        /// What was expected.
        reason: String,
    },
}

impl Coded for TransactionError {
    fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) | Self::Version(_) | Self::Operation(_) => "TransactionMalformed",
            Self::Id { .. } => "TransactionIdMismatch",
            Self::Fulfilment { .. } => "FulfilmentInvalid",
            Self::Unsupported { .. } => "FulfilmentUnsupported",
        }
    }

    fn retryable(&self) -> bool {
        match self {
            Self::Malformed(_)
            | Self::Version(_)
            | Self::Operation(_)
            | Self::Id { .. }
            | Self::Fulfilment { .. }
            | Self::Unsupported { .. } => false,
        }
    }
}

impl From<Misread> for TransactionError {
    fn from(error: Misread) -> Self {
        Self::Malformed(error)
    }
}

impl From<JsonError> for TransactionError {
    fn from(error: JsonError) -> Self {
        Self::Malformed(Misread::Json(error))
    }
}

const VERSION: &str = "2.0";

/// A ledger holds no more of an asset in one output.
const MAX_AMOUNT: u64 = 9_000_000_000_000_000_000;

impl Transaction {
    /// Reads a transaction out of the text that a node sent, and verifies all
    /// that can be verified of it alone: its id, that each output's condition
    /// is that of its keys, and that the owners signed each input.
    ///
    /// That its inputs are unspent outputs of those owners is for
    /// [`Asset::apply`](crate::Asset::apply).
    ///
    /// # Errors
    ///
    /// [`TransactionError`] tells the first rule that it breaks.
    pub fn verify(json_text: &str) -> Result<Self, TransactionError> {
        let mut json = Json::read(json_text)?;
        let Read {
            mut transaction,
            fulfilments,
            conditions,
        } = Read::from(&json)?;
        for (index, (output, details)) in transaction.outputs.iter().zip(&conditions).enumerate() {
            if !details.are_keys(&output.public_keys) {
                let path = format!("outputs.{index}.public_keys");
                Err(Misread::member(path, "the keys of the condition"))?;
            }
            if details.condition.uri() != output.condition {
                let path = format!("outputs.{index}.condition.uri");
                Err(Misread::member(path, "the URI of the condition"))?;
            }
        }

        json.clear("id");
        let hash = Id::of_digest(&Sha3_256::digest(json.canonical()));
        if hash != transaction.id {
            let found = transaction.id;
            return Err(TransactionError::Id { hash, found });
        }

        json.clear_each("inputs", "fulfillment");
        let signed = Sha3_256::new_with_prefix(json.canonical());
        for (index, (input, text)) in transaction.inputs.iter_mut().zip(fulfilments).enumerate() {
            let mut message = signed.clone();
            if let Some(OutputRef {
                transaction_id,
                output_index,
            }) = &input.fulfills
            {
                message.update(format!("{transaction_id}{output_index}"));
            }
            let condition = fulfilled(&text, input, &message.finalize())
                .map_err(|reason| TransactionError::of_input(index, reason))?;
            input.condition = Some(condition);
        }
        Ok(transaction)
    }

    /// Reads a transaction and believes it: only its form is looked at. That is
    /// for a filter; [`Asset::apply`](crate::Asset::apply) refuses it.
    ///
    /// # Errors
    ///
    /// [`TransactionError`] tells what was expected.
    pub fn peek(json_text: &str) -> Result<Self, TransactionError> {
        let json = Json::read(json_text)?;
        Read::from(&json).map(|read| read.transaction)
    }
}

impl TransactionError {
    fn of_input(input: usize, reason: Unfulfilled) -> Self {
        let expected = reason.to_string();
        match reason {
            Unfulfilled::Unsupported => Self::Unsupported {
                input,
                reason: expected,
            },
            Unfulfilled::Form | Unfulfilled::Signature | Unfulfilled::Owners => Self::Fulfilment {
                input,
                reason: expected,
            },
        }
    }
}

/// The URI of the condition that the owners fulfilled.
fn fulfilled(text: &str, input: &Input, message: &[u8]) -> Result<String, Unfulfilled> {
    let fulfilment = Fulfilment::read(text)?;
    let condition = fulfilment.condition()?;
    fulfilment.owned_by(&input.owners_before)?;
    fulfilment.verify(message)?;
    Ok(condition.uri())
}

/// A transaction, and what is needed to verify it.
struct Read {
    transaction: Transaction,
    fulfilments: Vec<String>,
    conditions: Vec<Details>,
}

impl Read {
    fn from(json: &Json<'_>) -> Result<Self, TransactionError> {
        let object = Object::root(json)?;
        match object.get("version", "a text", Json::text)? {
            VERSION => {}
            other => return Err(TransactionError::Version(shown(other))),
        }
        let operation = match object.get("operation", "a text", Json::text)? {
            "CREATE" => Operation::Create,
            "TRANSFER" => Operation::Transfer,
            other => return Err(TransactionError::Operation(shown(other))),
        };
        object.only(&[
            "asset",
            "id",
            "inputs",
            "metadata",
            "operation",
            "outputs",
            "version",
        ])?;
        let id: Id = object.get("id", Id::EXPECTED, Json::parse)?;

        let asset = object.object("asset")?;
        let (asset_id, asset_data) = match operation {
            Operation::Create => {
                asset.only(&["data"])?;
                let data = asset.get("data", "an object, or null", |data| match data {
                    Json::Null | Json::Object(_) => Some(data),
                    _ => None,
                })?;
                (id.clone(), value(data)?)
            }
            Operation::Transfer => {
                asset.only(&["id"])?;
                (asset.get("id", Id::EXPECTED, Json::parse)?, None)
            }
        };
        let metadata =
            object.get(
                "metadata",
                "an object with a member, or null",
                |metadata| match metadata {
                    Json::Null => Some(metadata),
                    Json::Object(members) if !members.is_empty() => Some(metadata),
                    _ => None,
                },
            )?;

        let inputs = object.each("inputs", |json, path| input(json, path, operation))?;
        if inputs.is_empty() || (operation == Operation::Create && inputs.len() > 1) {
            let expected = match operation {
                Operation::Create => "one input",
                Operation::Transfer => "an input",
            };
            Err(Misread::member("inputs", expected))?;
        }
        let (inputs, fulfilments): (Vec<Input>, Vec<String>) = inputs.into_iter().unzip();
        let mut spent = BTreeSet::new();
        for (index, output) in inputs.iter().map(|input| &input.fulfills).enumerate() {
            if !spent.insert(output) {
                let path = format!("inputs.{index}.fulfills");
                Err(Misread::member(
                    path,
                    "an output that no other input spends",
                ))?;
            }
        }

        let outputs = object.each("outputs", output)?;
        if outputs.is_empty() && operation == Operation::Transfer {
            Err(Misread::member("outputs", "an output"))?;
        }
        let (outputs, conditions) = outputs.into_iter().unzip();
        Ok(Self {
            transaction: Transaction {
                asset_id,
                operation,
                asset_data,
                metadata: value(metadata)?,
                inputs,
                outputs,
                id,
            },
            fulfilments,
            conditions,
        })
    }
}

/// What is there, cut to what fits in a line.
fn shown(text: &str) -> String {
    text.chars().take(40).collect()
}

/// An object, or nothing.
fn value(json: &Json<'_>) -> Result<Option<Value>, JsonError> {
    match json {
        Json::Null => Ok(None),
        other => other.to_value().map(Some),
    }
}

fn keys(object: &Object<'_, '_>, name: &str) -> Result<Vec<PublicKey>, Misread> {
    let keys = object.each(name, |key, path| {
        key.parse()
            .ok_or_else(|| Misread::member(path, PublicKey::EXPECTED))
    })?;
    if keys.is_empty() {
        return Err(Misread::member(object.path(name), "a public key"));
    }
    Ok(keys)
}

fn input(json: &Json<'_>, path: String, operation: Operation) -> Result<(Input, String), Misread> {
    let object = Object::at(json, path)?;
    object.only(&["fulfillment", "fulfills", "owners_before"])?;
    let fulfills = match operation {
        Operation::Create => object.get("fulfills", "null", |json| {
            matches!(json, Json::Null).then_some(None)
        })?,
        Operation::Transfer => {
            let spent = object.object("fulfills")?;
            spent.only(&["output_index", "transaction_id"])?;
            Some(OutputRef {
                transaction_id: spent.get("transaction_id", Id::EXPECTED, Json::parse)?,
                output_index: spent.get(
                    "output_index",
                    "a whole number of at most 32 bits",
                    Json::whole,
                )?,
            })
        }
    };
    let fulfilment = object.get("fulfillment", "a text", Json::text)?;
    let read = Input {
        owners_before: keys(&object, "owners_before")?,
        fulfills,
        condition: None,
    };
    Ok((read, fulfilment.to_owned()))
}

fn output(json: &Json<'_>, path: String) -> Result<(Output, Details), Misread> {
    let object = Object::at(json, path)?;
    object.only(&["amount", "condition", "public_keys"])?;
    let amount = object.get(
        "amount",
        "a number from 1 to 9 * 10^18, in text",
        |amount| {
            let text = amount.text()?;
            let number = text.parse().ok()?;
            // One spelling for each number: `+1` and `01` are none.
            ((1..=MAX_AMOUNT).contains(&number) && number.to_string() == text).then_some(number)
        },
    )?;
    let condition = object.object("condition")?;
    condition.only(&["details", "uri"])?;
    let uri = condition.get("uri", "a text", Json::text)?;
    let details = condition.find("details").unwrap_or(&Json::Null);
    let details = Details::read(details, condition.path("details"))?;
    let read = Output {
        public_keys: keys(&object, "public_keys")?,
        amount,
        condition: uri.to_owned(),
    };
    Ok((read, details))
}
