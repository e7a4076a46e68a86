use std::collections::BTreeSet;

use offchain_codes::Coded;
use serde::Serialize;
use thiserror::Error;

use crate::{
    Id, PublicKey, Transaction,
    json::{Json, Misread, Object},
};

/// Who is told of transactions, and of which.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Subscriber {
    /// Its name: 1 to 32 characters out of `a-z`, `0-9` and `-`.
    pub name: String,
    /// Where the webhooks go.
    pub url: String,
    /// The secret that they are signed with.
    pub secret_arn: String,
    /// The assets that it is told of; none is all.
    pub assets: BTreeSet<Id>,
    /// The owners whose transactions it is told of; none is all.
    pub owners: BTreeSet<PublicKey>,
}

/// Why a text is no list of subscribers.
#[derive(Debug, Error)]
pub enum SubscriberError {
    /// It has another form.
    #[error("{0}")]
    Malformed(Misread),
    /// Two have one name.
    #[error("expected names that are there once, found `{0}` twice")]
    Twice(String),
}

impl Coded for SubscriberError {
    fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) | Self::Twice(_) => "ConfigInvalid",
        }
    }

    fn retryable(&self) -> bool {
        match self {
            Self::Malformed(_) | Self::Twice(_) => false,
        }
    }
}

impl From<Misread> for SubscriberError {
    fn from(error: Misread) -> Self {
        Self::Malformed(error)
    }
}

impl Subscriber {
    /// Reads an array of subscribers in JSON.
    ///
    /// # Errors
    ///
    /// [`SubscriberError`] says what was expected.
    pub fn list(json: &str) -> Result<Vec<Self>, SubscriberError> {
        let json = Json::read(json).map_err(Misread::Json)?;
        let items = json
            .array()
            .ok_or_else(|| Misread::member("$", "an array"))?;
        let mut subscribers = Vec::new();
        let mut names = BTreeSet::new();
        for (index, item) in items.iter().enumerate() {
            let subscriber = Self::read(item, format!("{index}"))?;
            if !names.insert(subscriber.name.clone()) {
                return Err(SubscriberError::Twice(subscriber.name));
            }
            subscribers.push(subscriber);
        }
        Ok(subscribers)
    }

    fn read(json: &Json<'_>, path: String) -> Result<Self, Misread> {
        let object = Object::at(json, path)?;
        object.only(&["name", "url", "secret_arn", "assets", "owners"])?;
        let text = |name, expected, fits: fn(&str) -> bool| {
            object.get(name, expected, |json| {
                json.text().filter(|text| fits(text)).map(str::to_owned)
            })
        };
        Ok(Self {
            name: text(
                "name",
                "1 to 32 characters out of a-z, 0-9 and `-`",
                |name| {
                    let of_name = |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
                    (1..=32).contains(&name.len()) && name.bytes().all(of_name)
                },
            )?,
            url: text("url", "a URL", |url| !url.is_empty())?,
            secret_arn: text("secret_arn", "the ARN of a secret", |arn| !arn.is_empty())?,
            assets: set(&object, "assets", Id::EXPECTED)?,
            owners: set(&object, "owners", PublicKey::EXPECTED)?,
        })
    }

    /// Whether it is told of a transaction: one of its assets, if it lists any,
    /// that goes from or to one of its owners, if it lists any.
    #[must_use]
    pub fn takes(&self, transaction: &Transaction) -> bool {
        let inputs = transaction
            .inputs
            .iter()
            .flat_map(|input| &input.owners_before);
        let outputs = transaction
            .outputs
            .iter()
            .flat_map(|output| &output.public_keys);
        let asset = self.assets.is_empty() || self.assets.contains(&transaction.asset_id);
        let owner = || inputs.chain(outputs).any(|key| self.owners.contains(key));
        asset && (self.owners.is_empty() || owner())
    }
}

/// An array of texts, or nothing.
fn set<T: std::str::FromStr + Ord>(
    object: &Object<'_, '_>,
    name: &str,
    expected: &'static str,
) -> Result<BTreeSet<T>, Misread> {
    if object.find(name).is_none() {
        return Ok(BTreeSet::new());
    }
    let items = object.each(name, |item, path| {
        item.parse().ok_or_else(|| Misread::member(path, expected))
    })?;
    Ok(items.into_iter().collect())
}
