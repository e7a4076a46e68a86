//! Crypto-conditions of two types, in DER (draft-thomas-crypto-conditions):
//! what an output demands, and what an input shows for it.

use std::collections::BTreeSet;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ed25519_dalek::{Signature, VerifyingKey};
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::{
    PublicKey,
    json::{Json, Misread, Object},
};

/// Thresholds may be this deep in each other.
const MAX_LEVELS: u32 = 8;

/// What a signature costs, in the terms of crypto-conditions.
const ED25519_COST: u64 = 131_072;

/// Costs are numbers of 32 bits.
const MAX_COST: u64 = u32::MAX as u64;

/// A number of conditions may be this large.
const MAX_THRESHOLD: usize = 100;

/// The tags of DER that occur: those of the members of a sequence, primitive
/// and constructed, and those of the two types.
const FIRST: u8 = 0x80;
const SECOND: u8 = 0x81;
const THIRD: u8 = 0x82;
const FIRST_SET: u8 = 0xa0;
const SECOND_SET: u8 = 0xa1;
const SEQUENCE: u8 = 0x30;
const THRESHOLD: u8 = 0xa2;
const ED25519: u8 = 0xa4;

/// The bit string that says that a threshold contains signatures of Ed25519,
/// type 4: three bits of the byte are unused.
const SUBTYPES: [u8; 2] = [3, 0b0000_1000];

/// Why a fulfilment does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum Unfulfilled {
    #[error("expected DER in base64url without padding")]
    Form,
    #[error(
        "expected a signature of Ed25519, or a threshold of at most {MAX_LEVELS} levels of them"
    )]
    Unsupported,
    #[error("expected a signature of the transaction by each key that it shows")]
    Signature,
    #[error("expected the keys in `owners_before`")]
    Owners,
}

/// What an output demands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Condition {
    tag: u8,
    fingerprint: [u8; 32],
    cost: u64,
}

impl Condition {
    /// A signature by this key.
    pub(crate) fn signature(key: &[u8; 32]) -> Self {
        let mut contents = Vec::new();
        put(&mut contents, FIRST, key);
        Self::of(ED25519, &contents, ED25519_COST)
    }

    /// So many of these conditions; none where there are fewer, or they cost
    /// more than a condition may.
    pub(crate) fn threshold(threshold: usize, conditions: &[Self]) -> Option<Self> {
        let demanded = 1..=conditions.len();
        let number = u8::try_from(threshold).ok()?;
        if !demanded.contains(&threshold) || threshold > MAX_THRESHOLD {
            return None;
        }
        let mut costs: Vec<_> = conditions.iter().map(|condition| condition.cost).collect();
        costs.sort_unstable_by(|a, b| b.cmp(a));
        let dearest: u64 = costs.iter().take(threshold).sum();
        let cost = dearest + 1024 * conditions.len() as u64;
        if cost > MAX_COST {
            return None;
        }
        let mut encoded: Vec<_> = conditions.iter().map(Self::der).collect();
        encoded.sort_unstable();
        let mut contents = Vec::new();
        put(&mut contents, FIRST, &[number]);
        put(&mut contents, SECOND_SET, &encoded.concat());
        Some(Self::of(THRESHOLD, &contents, cost))
    }

    fn of(tag: u8, contents: &[u8], cost: u64) -> Self {
        let mut sequence = Vec::new();
        put(&mut sequence, SEQUENCE, contents);
        Self {
            tag,
            fingerprint: Sha256::digest(&sequence).into(),
            cost,
        }
    }

    fn der(&self) -> Vec<u8> {
        let mut contents = Vec::new();
        put(&mut contents, FIRST, &self.fingerprint);
        put(&mut contents, SECOND, &integer(self.cost));
        if self.tag == THRESHOLD {
            put(&mut contents, THIRD, &SUBTYPES);
        }
        let mut der = Vec::new();
        put(&mut der, self.tag, &contents);
        der
    }

    /// The URI that an output names it by.
    pub(crate) fn uri(&self) -> String {
        let (name, subtypes) = match self.tag {
            THRESHOLD => ("threshold-sha-256", "&subtypes=ed25519-sha-256"),
            _ => ("ed25519-sha-256", ""),
        };
        let fingerprint = URL_SAFE_NO_PAD.encode(self.fingerprint);
        let cost = self.cost;
        format!("ni:///sha-256;{fingerprint}?fpt={name}&cost={cost}{subtypes}")
    }

    fn read(der: &mut Der<'_>) -> Result<Self, Unfulfilled> {
        let (tag, contents) = der.next()?;
        if !matches!(tag, ED25519 | THRESHOLD) {
            return Err(Unfulfilled::Unsupported);
        }
        let mut contents = Der(contents);
        let fingerprint = contents.array(FIRST)?;
        let cost = whole(contents.expect(SECOND)?)?;
        if tag == ED25519 && cost != ED25519_COST {
            return Err(Unfulfilled::Unsupported);
        }
        if tag == THRESHOLD && contents.expect(THIRD)? != SUBTYPES {
            return Err(Unfulfilled::Unsupported);
        }
        contents.end()?;
        Ok(Self {
            tag,
            fingerprint,
            cost,
        })
    }
}

/// A condition with its keys, as an output tells it.
pub(crate) struct Details {
    pub(crate) condition: Condition,
    /// The keys in it, each as often as it is there.
    pub(crate) keys: Vec<PublicKey>,
}

impl Details {
    pub(crate) fn read(json: &Json<'_>, path: String) -> Result<Self, Misread> {
        Self::at(json, path, 0)
    }

    fn at(json: &Json<'_>, path: String, level: u32) -> Result<Self, Misread> {
        let object = Object::at(json, path)?;
        let kind = object.get("type", "`ed25519-sha-256` or `threshold-sha-256`", |kind| {
            kind.text()
                .filter(|kind| matches!(*kind, "ed25519-sha-256" | "threshold-sha-256"))
        })?;
        if kind == "ed25519-sha-256" {
            object.only(&["type", "public_key"])?;
            let key: PublicKey = object.get("public_key", PublicKey::EXPECTED, Json::parse)?;
            return Ok(Self {
                condition: Condition::signature(key.as_bytes()),
                keys: vec![key],
            });
        }
        object.only(&["type", "threshold", "subconditions"])?;
        if level == MAX_LEVELS {
            let expected = format!("at most {MAX_LEVELS} levels of thresholds");
            return Err(Misread::member(object.path("threshold"), expected));
        }
        let parts = object.each("subconditions", |json, path| {
            Self::at(json, path, level + 1)
        })?;
        let conditions: Vec<_> = parts.iter().map(|part| part.condition.clone()).collect();
        let condition = object.get(
            "threshold",
            "a number from 1 to that of the subconditions, at most 100",
            |threshold| Condition::threshold(threshold.whole()?, &conditions),
        )?;
        Ok(Self {
            condition,
            keys: parts.into_iter().flat_map(|part| part.keys).collect(),
        })
    }

    /// Whether these are its keys: the one key of a signature, and the set of
    /// those of a threshold.
    pub(crate) fn are_keys(&self, keys: &[PublicKey]) -> bool {
        if self.condition.tag == ED25519 {
            return keys == self.keys;
        }
        set(keys) == set(&self.keys)
    }
}

fn set(keys: &[PublicKey]) -> BTreeSet<&PublicKey> {
    keys.iter().collect()
}

/// What an input shows.
pub(crate) enum Fulfilment {
    Signature {
        key: [u8; 32],
        signature: [u8; 64],
    },
    /// As many as are demanded, and the conditions that were not needed.
    Threshold {
        shown: Vec<Self>,
        unneeded: Vec<Condition>,
    },
}

impl Fulfilment {
    pub(crate) fn read(text: &str) -> Result<Self, Unfulfilled> {
        let bytes = URL_SAFE_NO_PAD
            .decode(text)
            .map_err(|_| Unfulfilled::Form)?;
        let mut der = Der(&bytes);
        let fulfilment = Self::at(&mut der, 0)?;
        der.end()?;
        Ok(fulfilment)
    }

    fn at(der: &mut Der<'_>, level: u32) -> Result<Self, Unfulfilled> {
        let (tag, contents) = der.next()?;
        let mut contents = Der(contents);
        let fulfilment = match tag {
            ED25519 => Self::Signature {
                key: contents.array(FIRST)?,
                signature: contents.array(SECOND)?,
            },
            THRESHOLD if level < MAX_LEVELS => Self::Threshold {
                shown: contents.set(FIRST_SET, |der| Self::at(der, level + 1))?,
                unneeded: contents.set(SECOND_SET, Condition::read)?,
            },
            _ => return Err(Unfulfilled::Unsupported),
        };
        contents.end()?;
        Ok(fulfilment)
    }

    /// What it fulfils.
    pub(crate) fn condition(&self) -> Result<Condition, Unfulfilled> {
        match self {
            Self::Signature { key, .. } => Ok(Condition::signature(key)),
            Self::Threshold { shown, unneeded } => {
                let shown_ones = shown.iter().map(Self::condition);
                let mut conditions = shown_ones.collect::<Result<Vec<_>, _>>()?;
                conditions.extend_from_slice(unneeded);
                Condition::threshold(shown.len(), &conditions).ok_or(Unfulfilled::Unsupported)
            }
        }
    }

    /// That these are its owners: each key that signed is theirs, and each of
    /// theirs is in the condition, as far as it shows.
    pub(crate) fn owned_by(&self, owners: &[PublicKey]) -> Result<(), Unfulfilled> {
        if let Self::Signature { key, .. } = self {
            return match owners {
                [owner] if owner.as_bytes() == key => Ok(()),
                _ => Err(Unfulfilled::Owners),
            };
        }
        let owners = owners
            .iter()
            .map(|owner| Condition::signature(owner.as_bytes()));
        let owners: BTreeSet<_> = owners.map(|condition| condition.fingerprint).collect();
        let mut met = BTreeSet::new();
        let mut hidden = false;
        let mut open = vec![self];
        while let Some(part) = open.pop() {
            match part {
                Self::Signature { key, .. } => {
                    met.insert(Condition::signature(key).fingerprint);
                }
                Self::Threshold { shown, unneeded } => {
                    open.extend(shown);
                    for condition in unneeded {
                        if condition.tag == ED25519 {
                            met.insert(condition.fingerprint);
                        } else {
                            hidden = true;
                        }
                    }
                }
            }
        }
        // Behind a threshold that is not shown there may be other owners.
        if met == owners || (hidden && met.is_subset(&owners)) {
            Ok(())
        } else {
            Err(Unfulfilled::Owners)
        }
    }

    /// That each key that it shows signed the message.
    pub(crate) fn verify(&self, message: &[u8]) -> Result<(), Unfulfilled> {
        match self {
            Self::Signature { key, signature } => {
                if signed(key, message, signature) {
                    Ok(())
                } else {
                    Err(Unfulfilled::Signature)
                }
            }
            Self::Threshold { shown, .. } => shown.iter().try_for_each(|part| part.verify(message)),
        }
    }
}

/// Strict: key and scalar are canonical, no point is of low order, and the
/// equation is that without the cofactor.
pub(crate) fn signed(key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    VerifyingKey::from_bytes(key).is_ok_and(|point| {
        point.to_edwards().compress().as_bytes() == key
            && point
                .verify_strict(message, &Signature::from_bytes(signature))
                .is_ok()
    })
}

/// Appends a value with its tag and its length.
fn put(to: &mut Vec<u8>, tag: u8, contents: &[u8]) {
    let length = contents.len();
    to.push(tag);
    match u8::try_from(length) {
        Ok(short @ 0..=0x7f) => to.push(short),
        _ => {
            let bytes = length.to_be_bytes();
            let from = bytes.iter().take_while(|byte| **byte == 0).count();
            // At most 8 bytes.
            to.push(0x80 | (bytes.len() - from) as u8);
            to.extend_from_slice(&bytes[from..]);
        }
    }
    to.extend_from_slice(contents);
}

/// A number from 0 on: in as few bytes as it can be without a sign.
fn integer(number: u64) -> Vec<u8> {
    let bytes = number.to_be_bytes();
    let from = bytes.iter().take_while(|byte| **byte == 0).count().min(7);
    let mut integer = Vec::new();
    if bytes[from] >= 0x80 {
        integer.push(0);
    }
    integer.extend_from_slice(&bytes[from..]);
    integer
}

/// The number of 32 bits that [`integer`] wrote.
fn whole(bytes: &[u8]) -> Result<u64, Unfulfilled> {
    let number = bytes
        .iter()
        .try_fold(0_u64, |number, byte| {
            number.checked_mul(256)?.checked_add(u64::from(*byte))
        })
        .filter(|number| *number <= MAX_COST && integer(*number) == bytes);
    number.ok_or(Unfulfilled::Form)
}

/// What is left of some DER.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// The next value, with its tag. Its length is in as few bytes as it can be.
    fn next(&mut self) -> Result<(u8, &'a [u8]), Unfulfilled> {
        let (&tag, rest) = self.0.split_first().ok_or(Unfulfilled::Form)?;
        let (&first, rest) = rest.split_first().ok_or(Unfulfilled::Form)?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            // 16 MB are more than a transaction has.
            0x81..=0x83 => {
                let size = usize::from(first & 0x7f);
                let (bytes, rest) = rest.split_at_checked(size).ok_or(Unfulfilled::Form)?;
                let length = bytes
                    .iter()
                    .fold(0, |length, byte| length << 8 | usize::from(*byte));
                let least = if size == 1 {
                    0x80
                } else {
                    1 << (8 * (size - 1))
                };
                if length < least {
                    return Err(Unfulfilled::Form);
                }
                (length, rest)
            }
            _ => return Err(Unfulfilled::Form),
        };
        let (contents, rest) = rest.split_at_checked(length).ok_or(Unfulfilled::Form)?;
        self.0 = rest;
        Ok((tag, contents))
    }

    fn expect(&mut self, tag: u8) -> Result<&'a [u8], Unfulfilled> {
        match self.next()? {
            (found, contents) if found == tag => Ok(contents),
            _ => Err(Unfulfilled::Form),
        }
    }

    fn array<const N: usize>(&mut self, tag: u8) -> Result<[u8; N], Unfulfilled> {
        let contents = self.expect(tag)?;
        contents.try_into().map_err(|_| Unfulfilled::Form)
    }

    /// The values of a set, which stand in the order of their bytes.
    fn set<T>(
        &mut self,
        tag: u8,
        read: impl Fn(&mut Self) -> Result<T, Unfulfilled>,
    ) -> Result<Vec<T>, Unfulfilled> {
        let mut der = Self(self.expect(tag)?);
        let mut values = Vec::new();
        let mut last: &[u8] = &[];
        while !der.0.is_empty() {
            let from = der.0;
            values.push(read(&mut der)?);
            let this = &from[..from.len() - der.0.len()];
            if this < last {
                return Err(Unfulfilled::Form);
            }
            last = this;
        }
        Ok(values)
    }

    fn end(&self) -> Result<(), Unfulfilled> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(Unfulfilled::Form)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_point_of_low_order_is_not_added() {
        // As libsodium has them: the key and the signature of 32 times `m`; with
        // a point of order 8 or 2 added to that of the signature; and to the key.
        for (key, signature, valid) in [
            (
                "7767a3242dc9b58bbc68488c1265cc6cc5f26c6f3c88a5d55e901b0734dca572",
                "684c0d53ab44de46d526ab4d33b5947bab9d77af687fe0a09518a5f6df4a86eb3f9c9fdad35d1fd238d2912b38e774f4295b51ea337cc7faeef76983a7f4c802",
                true,
            ),
            (
                "7767a3242dc9b58bbc68488c1265cc6cc5f26c6f3c88a5d55e901b0734dca572",
                "dfd3145e691e9b998cb20bd6e1790ccfbd79f23e01dc20a7349e3aec7193acf6e92300b4410d017cc8fda34b08e3c037ba312d9375c47014cef4b218e799b600",
                false,
            ),
            (
                "7767a3242dc9b58bbc68488c1265cc6cc5f26c6f3c88a5d55e901b0734dca572",
                "85b3f2ac54bb21b92ad954b2cc4a6b845462885097801f5f6ae75a0920b57914ddc524cdf1d642595da845fbce9ac2477f8c67bdb6d24eb9f85208309dbe0f03",
                false,
            ),
            (
                "6a84d583f06569edb3f5ed77df65544b27d6948b4f0b2cb76f33dd8413b20719",
                "684c0d53ab44de46d526ab4d33b5947bab9d77af687fe0a09518a5f6df4a86eb98bafc8e0edc4293d5c2dc8cd6a45bcd863ae875bcf2d8364f64eae38b2bf10d",
                false,
            ),
            (
                "76985cdbd2364a744397b773ed9a33933a0d9390c3775a2aa16fe4f8cb235a8d",
                "684c0d53ab44de46d526ab4d33b5947bab9d77af687fe0a09518a5f6df4a86ebd40e2dff9030524c424d4669b8042f4af3e27168030b03829c578e627619ff04",
                false,
            ),
        ] {
            let key = hex::decode(key).unwrap().try_into().unwrap();
            let signature = hex::decode(signature).unwrap().try_into().unwrap();
            assert_eq!(signed(&key, &[b'm'; 32], &signature), valid);
        }
    }

    #[test]
    fn numbers_are_as_short_as_they_can_be() {
        for (number, bytes) in [
            (0, &[0][..]),
            (0x7f, &[0x7f]),
            (0x80, &[0, 0x80]),
            (0xff, &[0, 0xff]),
            (0x100, &[1, 0]),
            (131_072, &[2, 0, 0]),
            (MAX_COST, &[0, 0xff, 0xff, 0xff, 0xff]),
        ] {
            assert_eq!(integer(number), bytes);
            assert_eq!(whole(bytes), Ok(number));
        }
        for bytes in [
            &[][..],
            &[0, 0],
            &[0, 0x7f],
            &[0x80],
            &[1, 0, 0, 0, 0],
            &[0xff; 20],
        ] {
            assert_eq!(whole(bytes), Err(Unfulfilled::Form));
        }
    }

    proptest! {
        #[test]
        fn a_value_is_read_as_it_was_written(tag: u8, length in prop_oneof![0..300_usize, 65_000..66_000_usize]) {
            let contents = vec![7; length];
            let mut written = Vec::new();
            put(&mut written, tag, &contents);
            let mut der = Der(&written);
            prop_assert_eq!(der.next(), Ok((tag, &contents[..])));
            prop_assert_eq!(der.end(), Ok(()));
            let mut cut = Der(&written[..written.len() - 1]);
            prop_assert_eq!(cut.next(), Err(Unfulfilled::Form));
        }
    }
}
