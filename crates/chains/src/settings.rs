//! A chain and how to reach it, as the environment tells it.

use std::fmt;
use std::str::FromStr;

use offchain_codes::Coded;
use reqwest::Url;
use serde::de::{Error as _, Visitor};
use serde::{Deserialize, Deserializer};

use crate::{CosmosSettings, EvmSettings};

/// Where a node is. Either address may hold an access key.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// The JSON-RPC of an EVM node, or the REST interface of a Cosmos node.
    pub url: String,
    /// The CometBFT RPC of a Cosmos node, where transactions go and heights
    /// come from it; without it, all goes over REST.
    #[serde(default)]
    pub rpc_url: Option<String>,
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Node(redacted)")
    }
}

/// A chain and how to reach it: the JSON of `FAUCET_CHAIN`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ChainSettings {
    /// A Cosmos SDK chain.
    Cosmos(CosmosSettings),
    /// An EVM chain.
    Evm(EvmSettings),
}

/// Why settings are of no chain. No text holds a URL, which may hold an access
/// key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainSettingsError {
    /// They are not JSON of the expected shape.
    #[error("the chain's settings are not the expected JSON: {0}")]
    Shape(String),
    /// A member has a value that no chain has.
    #[error("the chain's {member} {problem}")]
    Member {
        /// Its name.
        member: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
}

impl Coded for ChainSettingsError {
    fn code(&self) -> &'static str {
        "ConfigInvalid"
    }

    fn retryable(&self) -> bool {
        false
    }
}

impl FromStr for ChainSettings {
    type Err = ChainSettingsError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let settings: Self = serde_json::from_str(text).map_err(|error| {
            let text = error.to_string();
            // serde quotes the value that does not fit, which may be a URL.
            ChainSettingsError::Shape(if text.contains('"') || text.contains("://") {
                "a member is of another type".to_owned()
            } else {
                text
            })
        })?;
        settings.validate()?;
        Ok(settings)
    }
}

impl ChainSettings {
    /// Whether there may be such a chain.
    pub fn validate(&self) -> Result<(), ChainSettingsError> {
        match self {
            Self::Cosmos(settings) => settings.validate(),
            Self::Evm(settings) => settings.validate(),
        }
    }
}

pub(crate) fn wrong(member: &'static str, problem: &'static str) -> ChainSettingsError {
    ChainSettingsError::Member { member, problem }
}

/// The addresses of nodes.
pub(crate) fn addresses(nodes: &[Node]) -> Result<Vec<(Url, Option<Url>)>, ChainSettingsError> {
    if nodes.is_empty() {
        return Err(wrong("nodes", "are missing: at least one is needed"));
    }
    nodes
        .iter()
        .map(|node| {
            let rpc_url = node.rpc_url.as_deref().map(address).transpose()?;
            Ok((address(&node.url)?, rpc_url))
        })
        .collect()
}

fn address(text: &str) -> Result<Url, ChainSettingsError> {
    Url::parse(text)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        .ok_or(wrong(
            "nodes",
            "have an address that is no http or https URL",
        ))
}

/// Reads a number, or text with its digits: a number beyond 2^53 has to be
/// text in JSON.
pub(crate) fn number<'de, D, N>(from: D) -> Result<N, D::Error>
where
    D: Deserializer<'de>,
    N: TryFrom<u128>,
{
    struct Digits;

    impl Visitor<'_> for Digits {
        type Value = u128;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a whole number")
        }

        fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<u128, E> {
            Ok(value.into())
        }

        fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<u128, E> {
            value
                .parse()
                .map_err(|_| E::custom("text is no whole number"))
        }
    }

    let value = from.deserialize_any(Digits)?;
    N::try_from(value).map_err(|_| D::Error::custom("a number is too large"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{ChainFault, Network};

    fn cosmos() -> Value {
        json!({
            "kind": "cosmos",
            "nodes": [{"url": "https://rest.test/key-hush", "rpc_url": "http://rpc.test"}],
            "chain_id": "probe-1", "prefix": "cosmos", "denom": "stake", "fee_denom": "stake",
            "gas_price": "0.025", "gas": 100_000, "gas_each": 30_000,
            "memo": "faucet drop", "timeout_blocks": 20,
        })
    }

    fn evm() -> Value {
        json!({
            "kind": "evm", "nodes": [{"url": "https://node.test/key-hush"}],
            "chain_id": 31337, "max_fee_wei": 100, "priority_fee_wei": 1,
        })
    }

    fn parse(value: &Value) -> Result<ChainSettings, ChainSettingsError> {
        value.to_string().parse()
    }

    #[test]
    fn settings_of_each_kind_are_read_and_show_no_url() {
        for value in [cosmos(), evm()] {
            let settings = parse(&value).unwrap();
            let network = Network::new(&settings).unwrap();
            let text = format!("{settings:?} {network:?}");
            assert!(!text.contains("hush") && !text.contains("://"), "{text}");
        }
        let node = Node {
            url: "http://x/hush".to_owned(),
            rpc_url: Some("http://x/hush".to_owned()),
        };
        assert_eq!(format!("{node:?}"), "Node(redacted)");
    }

    #[test]
    fn numbers_may_be_text() {
        let mut value = evm();
        value["chain_id"] = json!("31337");
        value["max_fee_wei"] = json!("340282366920938463463374607431768211455");
        let ChainSettings::Evm(settings) = parse(&value).unwrap() else {
            panic!("it is of another kind");
        };
        assert_eq!(
            (settings.chain_id, settings.max_fee_wei),
            (31337, u128::MAX)
        );
    }

    #[test]
    fn what_is_of_no_chain_is_refused_by_its_member() {
        for (mut value, member, bad) in [
            (cosmos(), "nodes", json!([])),
            (cosmos(), "nodes", json!([{"url": "ftp://hush"}])),
            (cosmos(), "nodes", json!([{"url": "hush"}])),
            (
                cosmos(),
                "nodes",
                json!([{"url": "http://x", "rpc_url": "hush"}]),
            ),
            (cosmos(), "chain_id", json!("")),
            (cosmos(), "chain_id", json!("x".repeat(51))),
            (cosmos(), "prefix", json!("")),
            (cosmos(), "prefix", json!("Cosmos")),
            (cosmos(), "prefix", json!("cos-mos")),
            (cosmos(), "denom", json!("")),
            (cosmos(), "fee_denom", json!("a b c")),
            (cosmos(), "gas_price", json!("cheap")),
            (cosmos(), "gas_price", json!("-1")),
            (cosmos(), "gas", json!(0)),
            (cosmos(), "timeout_blocks", json!(0)),
            (evm(), "nodes", json!([])),
            (evm(), "nodes", json!([{"url": "wss://hush"}])),
            (evm(), "chain_id", json!(0)),
            (evm(), "max_fee_wei", json!(0)),
            (evm(), "priority_fee_wei", json!(101)),
        ] {
            value[member] = bad;
            let error = parse(&value).unwrap_err();
            let text = error.to_string();
            assert!(
                text.starts_with(&format!("the chain's {member} ")),
                "{text}"
            );
            assert!(!format!("{error:?} {text}").contains("hush"), "{text}");
            assert_eq!((error.code(), error.retryable()), ("ConfigInvalid", false));
        }
    }

    #[test]
    fn what_is_not_the_expected_json_is_refused_without_its_values() {
        let without = |member: &str| {
            let mut value = cosmos();
            value.as_object_mut().unwrap().remove(member);
            value
        };
        let with = |member: &str, bad: Value| {
            let mut value = evm();
            value[member] = bad;
            value
        };
        for (value, part) in [
            (without("denom"), "missing field `denom`"),
            (without("kind"), "missing field `kind`"),
            (with("kind", json!("bitcoin")), "unknown variant `bitcoin`"),
            (with("gas", json!(1)), "unknown field `gas`"),
            (with("nodes", json!("http://hush")), "another type"),
            (with("nodes", json!(["http://hush"])), "another type"),
            (
                with("nodes", json!([{"url": ["hush"]}])),
                "expected a string",
            ),
            (with("chain_id", json!("hush")), "no whole number"),
            (with("chain_id", json!("18446744073709551616")), "too large"),
            (with("chain_id", json!(-1)), "a whole number"),
            (json!([]), "expected"),
            (json!("http://hush"), "another type"),
        ] {
            let text = parse(&value).unwrap_err().to_string();
            assert!(text.contains(part), "{text}");
            assert!(!text.contains("hush"), "{text}");
        }
    }

    #[test]
    fn settings_that_were_not_read_from_text_are_checked_as_well() {
        let ChainSettings::Evm(mut settings) = parse(&evm()).unwrap() else {
            panic!("it is of another kind");
        };
        settings.nodes.clear();
        let fault = Network::new(&ChainSettings::Evm(settings)).unwrap_err();
        assert!(matches!(fault, ChainFault::Settings(_)), "{fault}");
        assert_eq!(fault.code(), "ConfigInvalid");
    }
}
