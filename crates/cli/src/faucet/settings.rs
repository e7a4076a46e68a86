//! What a faucet runs with: variables, one layer of them over the other. The
//! stack's come first, then a file's, then the process's, then flags.
//!
//! The variables are those of the functions, `FAUCET_*`. In a file and in the
//! process's environment the names of the faucet that this one replaces are
//! read as well: each means what it meant, or it is refused with the reason.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::Path;
use std::str::FromStr;

use offchain_chains::ChainSettings;
use offchain_faucet::{IntakePolicy, PayoutPolicy};
use offchain_faucet_service::TableNames;
use serde_json::{Map, Value, json};

use crate::error::CliError;

pub(crate) const CHAIN: &str = "FAUCET_CHAIN";
pub(crate) const POLICY: &str = "FAUCET_POLICY";
pub(crate) const PAYOUT: &str = "FAUCET_PAYOUT";

const KNOWN: [&str; 11] = [
    "FAUCET_ENVIRONMENT",
    "FAUCET_NETWORK",
    CHAIN,
    "FAUCET_TABLE",
    "FAUCET_LIMITS_TABLE",
    "FAUCET_LOCKS_TABLE",
    "FAUCET_PAYOUTS_TABLE",
    POLICY,
    PAYOUT,
    "FAUCET_KEY_SECRET_ARN",
    "FAUCET_INTAKE_SECRET_ARN",
];

/// The names of the original. What they mean here, `heed` says.
const ORIGINAL: [&str; 13] = [
    "APIENVIRONMENT",
    "PRIVATEKEY",
    "PUBLICKEY",
    "ACCOUNTADDRESS",
    "NODE",
    "LCDNODE",
    "AMOUNT",
    "ORIGINS",
    "REDISENDPOINT",
    "REDISPASSWORD",
    "RECAPTCHASECRET",
    "AWSREGION",
    "TIMEOUT",
];

/// As long as an answer may wait for a block, in seconds: gateways wait no longer.
const MOST_WAIT: u64 = 25;

/// Where variables come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layer {
    /// The deployment.
    Stack,
    /// The file that `--config` names.
    File,
    /// The process.
    Environment,
    /// The command's own options.
    Flags,
}

impl Layer {
    fn name(self) -> &'static str {
        match self {
            Self::Stack => "the stack",
            Self::File => "the file",
            Self::Environment => "the environment",
            Self::Flags => "a flag",
        }
    }
}

/// Variables, and what is wrong with them.
#[derive(Default)]
pub(crate) struct Settings {
    values: BTreeMap<&'static str, (String, Layer)>,
    region: Option<(String, Layer)>,
    expected: Expected,
    warnings: Vec<String>,
    problems: Vec<String>,
}

/// What the operator says that the key's account is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Expected {
    pub(crate) address: Option<String>,
    pub(crate) public_key: Option<String>,
}

/// What a faucet runs with, read.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) environment: String,
    pub(crate) network: String,
    pub(crate) tables: TableNames,
    pub(crate) chain: ChainSettings,
    pub(crate) intake: IntakePolicy,
    pub(crate) payout: PayoutPolicy,
    pub(crate) key_secret_arn: String,
    pub(crate) intake_secret_arn: String,
}

/// A setting, as a log may show it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) name: &'static str,
    pub(crate) value: String,
    pub(crate) from: &'static str,
}

impl Settings {
    /// The variables of a stack's faucet.
    pub(crate) fn of_stack(environment: &BTreeMap<String, String>) -> Self {
        let mut settings = Self::default();
        settings.add(Layer::Stack, environment.clone());
        settings
    }

    /// Adds a file of lines `NAME=VALUE`.
    pub(crate) fn add_file(&mut self, path: &Path) -> Result<(), CliError> {
        let wrong = |reason: &dyn Display| CliError::Input(format!("{}: {reason}", path.display()));
        let lines = dotenvy::from_path_iter(path).map_err(|error| match error {
            dotenvy::Error::Io(error) => wrong(&error),
            _ => wrong(&"it cannot be read"),
        })?;
        let mut variables = BTreeMap::new();
        let mut last = "its beginning".to_owned();
        for line in lines {
            // The error has the line in it, which may hold a secret.
            let (name, value) = line.map_err(|_| {
                wrong(&format!(
                    "after {last} a line is not NAME=VALUE; JSON belongs in single quotes"
                ))
            })?;
            last.clone_from(&name);
            variables.insert(name, value);
        }
        self.add(Layer::File, variables);
        Ok(())
    }

    /// Adds variables over those that there are. An empty one counts as absent.
    pub(crate) fn add(
        &mut self,
        layer: Layer,
        variables: impl IntoIterator<Item = (String, String)>,
    ) {
        let mut original = BTreeMap::new();
        for (name, value) in variables {
            if value.is_empty() {
                continue;
            }
            let known = KNOWN.iter().find(|known| **known == name);
            let theirs = ORIGINAL.iter().find(|known| **known == name);
            match (known, theirs) {
                (Some(known), _) => {
                    self.values.insert(known, (value, layer));
                }
                (_, Some(theirs)) if layer != Layer::Stack => {
                    original.insert(*theirs, value);
                }
                _ => self.unknown(&name, layer),
            }
        }
        // Second, so that a layer's own variables are there to be changed.
        self.heed_nodes(layer, original.remove("LCDNODE"), original.remove("NODE"));
        for (name, value) in original {
            self.heed(layer, name, value);
        }
    }

    fn unknown(&mut self, name: &str, layer: Layer) {
        match layer {
            Layer::File => self.problems.push(format!(
                "there is no setting {name}: expected {} or a name of the original",
                KNOWN.join(", ")
            )),
            Layer::Environment if name.starts_with("FAUCET_") => {
                self.warnings
                    .push(format!("{name} is no setting here, and ignored"));
            }
            Layer::Stack | Layer::Environment | Layer::Flags => {}
        }
    }

    /// Changes one of the variables that are JSON.
    pub(crate) fn edit(
        &mut self,
        layer: Layer,
        name: &'static str,
        change: impl FnOnce(&mut Map<String, Value>) -> Result<(), String>,
    ) {
        let text = self.values.get(name).map_or("", |(text, _)| text);
        let Ok(Value::Object(mut members)) = serde_json::from_str(text) else {
            self.problems.push(format!(
                "{} needs {name}, an object in JSON, to change",
                layer.name()
            ));
            return;
        };
        match change(&mut members) {
            Ok(()) => {
                self.values
                    .insert(name, (Value::Object(members).to_string(), layer));
            }
            Err(problem) => self.problems.push(problem),
        }
    }

    /// A variable of the original.
    fn heed(&mut self, layer: Layer, name: &'static str, value: String) {
        match name {
            "APIENVIRONMENT" => {
                self.values.insert("FAUCET_ENVIRONMENT", (value, layer));
            }
            "AWSREGION" => self.region = Some((value, layer)),
            "ACCOUNTADDRESS" => self.expected.address = Some(value),
            "PUBLICKEY" => self.expected.public_key = Some(value),
            "AMOUNT" => self.heed_amount(layer, &value),
            "ORIGINS" => {
                let origins: Vec<_> = value
                    .split(',')
                    .map(str::trim)
                    .filter(|origin| !origin.is_empty())
                    .collect();
                self.edit(layer, POLICY, |policy| {
                    policy.insert("origins".to_owned(), json!(origins));
                    Ok(())
                });
            }
            "TIMEOUT" => match value.parse::<u64>() {
                Ok(seconds) => self.heed_timeout(layer, seconds),
                Err(_) => self
                    .problems
                    .push(format!("TIMEOUT in {}: expected seconds", layer.name())),
            },
            "PRIVATEKEY" => self.problems.push(format!(
                "PRIVATEKEY in {} is not read: put the key into Secrets Manager with \
                 `offchain faucet key import`, and take it away here",
                layer.name()
            )),
            "RECAPTCHASECRET" => self.problems.push(format!(
                "RECAPTCHASECRET in {} is not read: put it into Secrets Manager with \
                 `offchain faucet captcha set`, and take it away here",
                layer.name()
            )),
            "REDISENDPOINT" | "REDISPASSWORD" => self.warnings.push(format!(
                "{name} is ignored: limits are kept in the table FAUCET_LIMITS_TABLE"
            )),
            _ => {}
        }
    }

    /// Such as `10photon`: the coin has to be the one that is paid out.
    fn heed_amount(&mut self, layer: Layer, value: &str) {
        let digits = value.len()
            - value
                .trim_start_matches(|char: char| char.is_ascii_digit())
                .len();
        let (amount, coin) = value.split_at(digits);
        let ours = match self.value_of(CHAIN).get("denom").and_then(Value::as_str) {
            Some(denom) => denom.to_owned(),
            None => "wei".to_owned(),
        };
        if amount.is_empty() || coin.trim() != ours {
            self.problems.push(format!(
                "AMOUNT in {}: expected a sum in the coin that is paid out, such as 10{ours}",
                layer.name()
            ));
            return;
        }
        for name in [POLICY, PAYOUT] {
            self.edit(layer, name, |policy| {
                policy.insert("amount".to_owned(), amount.into());
                Ok(())
            });
        }
    }

    fn heed_timeout(&mut self, layer: Layer, seconds: u64) {
        if seconds > MOST_WAIT {
            self.warnings.push(format!(
                "TIMEOUT is {seconds} s: an answer waits for a block for at most {MOST_WAIT} s, \
                 and the payout goes on after it"
            ));
        }
        self.edit(layer, POLICY, |policy| {
            policy.insert("wait_seconds".to_owned(), seconds.min(MOST_WAIT).into());
            Ok(())
        });
    }

    /// The REST interface and the CometBFT RPC of the chain's first node.
    fn heed_nodes(&mut self, layer: Layer, rest: Option<String>, rpc: Option<String>) {
        // npm sets NODE to the path of its program.
        let foreign =
            layer == Layer::Environment && rpc.as_ref().is_some_and(|rpc| !rpc.contains("://"));
        if foreign {
            self.warnings
                .push("NODE in the environment is no URL, and ignored".to_owned());
        }
        let rpc = rpc.filter(|_| !foreign);
        if rest.is_none() && rpc.is_none() {
            return;
        }
        self.edit(layer, CHAIN, |chain| {
            if chain.get("kind").and_then(Value::as_str) != Some("cosmos") {
                return Err(format!(
                    "NODE and LCDNODE in {} are of a Cosmos chain; this faucet's is none: \
                     give its nodes in {CHAIN}",
                    layer.name()
                ));
            }
            let nodes = chain.entry("nodes").or_insert_with(|| json!([]));
            let Value::Array(nodes) = nodes else {
                return Err(format!("{CHAIN}: expected a list of nodes"));
            };
            if nodes.is_empty() {
                nodes.push(json!({}));
            }
            let Some(Value::Object(first)) = nodes.first_mut() else {
                return Err(format!("{CHAIN}: expected a list of nodes"));
            };
            if let Some(rest) = rest {
                first.insert("url".to_owned(), rest.into());
            }
            if let Some(rpc) = rpc {
                // As Tendermint's own tools write it.
                let rpc = match rpc.strip_prefix("tcp://") {
                    Some(authority) => format!("http://{authority}"),
                    None => rpc,
                };
                first.insert("rpc_url".to_owned(), rpc.into());
            }
            Ok(())
        });
    }

    fn value_of(&self, name: &str) -> Value {
        let text = self.values.get(name).map_or("", |(text, _)| text);
        serde_json::from_str(text).unwrap_or_default()
    }

    /// Every setting, with nothing in it that is nobody's business.
    pub(crate) fn shown(&self) -> Vec<Shown> {
        let region = self.region.as_ref().map(|(region, layer)| Shown {
            name: "AWSREGION",
            value: region.clone(),
            from: layer.name(),
        });
        let values = self.values.iter().map(|(name, (text, layer))| Shown {
            name,
            value: match *name {
                CHAIN => without_nodes(text),
                _ => text.clone(),
            },
            from: layer.name(),
        });
        values.chain(region).collect()
    }

    /// What was ignored, and why.
    pub(crate) fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The region, where a file or the environment says it.
    pub(crate) fn region(&self) -> Option<&str> {
        self.region.as_ref().map(|(region, _)| region.as_str())
    }

    pub(crate) fn expected(&self) -> &Expected {
        &self.expected
    }

    /// All of it read; or everything that is wrong with it, at once.
    pub(crate) fn config(&self) -> Result<Config, CliError> {
        let mut problems = self.problems.clone();
        let chain = self.parsed(CHAIN, &mut problems);
        let intake = self.parsed(POLICY, &mut problems);
        let payout = self.parsed(PAYOUT, &mut problems);
        // What is missing is among the problems.
        let mut text = |name| self.parsed(name, &mut problems).unwrap_or_default();
        let environment = text("FAUCET_ENVIRONMENT");
        let network = text("FAUCET_NETWORK");
        let tables = TableNames {
            claims: text("FAUCET_TABLE"),
            limits: text("FAUCET_LIMITS_TABLE"),
            locks: text("FAUCET_LOCKS_TABLE"),
            payouts: text("FAUCET_PAYOUTS_TABLE"),
        };
        let key_secret_arn = text("FAUCET_KEY_SECRET_ARN");
        let intake_secret_arn = text("FAUCET_INTAKE_SECRET_ARN");
        match (chain, intake, payout) {
            (Some(chain), Some(intake), Some(payout)) if problems.is_empty() => Ok(Config {
                environment,
                network,
                tables,
                chain,
                intake,
                payout,
                key_secret_arn,
                intake_secret_arn,
            }),
            _ => Err(CliError::Input(format!(
                "the faucet's settings are unusable: {}",
                problems.join("; ")
            ))),
        }
    }

    fn parsed<T>(&self, name: &'static str, problems: &mut Vec<String>) -> Option<T>
    where
        T: FromStr,
        T::Err: Display,
    {
        let Some((text, _)) = self.values.get(name) else {
            problems.push(format!("{name} is not set"));
            return None;
        };
        // The text itself stays out of it: nodes' addresses may hold access keys.
        text.parse()
            .map_err(|error| problems.push(format!("{name}: {error}")))
            .ok()
    }
}

/// A chain's settings without the addresses of its nodes.
fn without_nodes(text: &str) -> String {
    let Ok(Value::Object(mut chain)) = serde_json::from_str(text) else {
        return "(not shown: it is no object in JSON)".to_owned();
    };
    if let Some(nodes) = chain.get_mut("nodes") {
        let count = nodes.as_array().map_or(0, Vec::len);
        *nodes = format!("({count}, not shown)").into();
    }
    Value::Object(chain).to_string()
}

#[cfg(test)]
mod tests {
    use offchain_chains::ChainSettings;

    use super::*;
    use crate::faucet::tests::{cosmos, environment, evm};

    fn pairs(variables: &[(&str, &str)]) -> Vec<(String, String)> {
        variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    /// The stack's settings of a Cosmos chain, and these of a file.
    fn with(variables: &[(&str, &str)]) -> Settings {
        let mut settings = Settings::of_stack(&environment(&cosmos()));
        settings.add(Layer::File, pairs(variables));
        settings
    }

    fn refused(settings: &Settings) -> String {
        settings.config().unwrap_err().to_string()
    }

    fn nodes(settings: &Settings) -> Vec<(String, Option<String>)> {
        let ChainSettings::Cosmos(chain) = settings.config().unwrap().chain else {
            panic!("no Cosmos chain");
        };
        chain
            .nodes
            .into_iter()
            .map(|node| (node.url, node.rpc_url))
            .collect()
    }

    #[test]
    fn a_stack_says_all_that_is_needed() {
        for chain in [evm(), cosmos()] {
            let config = Settings::of_stack(&environment(&chain)).config().unwrap();
            assert_eq!(config.network, "local");
            assert_eq!(config.tables.payouts, "payouts");
            assert_eq!(config.payout.batch, 50);
        }
    }

    #[test]
    fn each_layer_counts_more_than_the_one_before() {
        let mut settings = with(&[("FAUCET_NETWORK", "file"), ("FAUCET_TABLE", "file")]);
        settings.add(
            Layer::Environment,
            pairs(&[
                ("FAUCET_TABLE", "process"),
                ("FAUCET_NETWORK", ""),
                ("HOME", "/root"),
            ]),
        );
        settings.edit(Layer::Flags, PAYOUT, |policy| {
            policy.insert("batch".to_owned(), 7.into());
            Ok(())
        });
        let config = settings.config().unwrap();
        assert_eq!(
            (config.network.as_str(), config.tables.claims.as_str()),
            ("file", "process")
        );
        assert_eq!(config.payout.batch, 7);
        let from = |name| {
            settings
                .shown()
                .into_iter()
                .find(|shown| shown.name == name)
                .unwrap()
                .from
        };
        assert_eq!(from("FAUCET_NETWORK"), "the file");
        assert_eq!(from("FAUCET_TABLE"), "the environment");
        assert_eq!(from(PAYOUT), "a flag");
        assert_eq!(from(CHAIN), "the stack");
    }

    #[test]
    fn the_original_s_names_mean_what_they_meant() {
        let settings = with(&[
            ("APIENVIRONMENT", "staging"),
            ("NODE", "tcp://127.0.0.1:26657"),
            ("LCDNODE", "http://127.0.0.1:1317"),
            ("AMOUNT", "10photon"),
            ("ORIGINS", "https://a.test, https://b.test,"),
            ("TIMEOUT", "20"),
            ("AWSREGION", "eu-central-1"),
            ("ACCOUNTADDRESS", "cosmos1abc"),
            ("PUBLICKEY", "02ab"),
        ]);
        let config = settings.config().unwrap();
        assert_eq!(config.environment, "staging");
        assert_eq!((config.intake.amount, config.payout.amount), (10, 10));
        assert_eq!(config.intake.origins, ["https://a.test", "https://b.test"]);
        assert_eq!(config.intake.wait_seconds, 20);
        assert_eq!(settings.region(), Some("eu-central-1"));
        assert_eq!(settings.expected().address.as_deref(), Some("cosmos1abc"));
        assert_eq!(settings.expected().public_key.as_deref(), Some("02ab"));
        assert_eq!(
            nodes(&settings),
            [
                (
                    "http://127.0.0.1:1317".to_owned(),
                    Some("http://127.0.0.1:26657".to_owned())
                ),
                // Others stay, for when the first one fails.
                ("https://second.test".to_owned(), None),
            ]
        );
        assert!(settings.warnings().is_empty());
    }

    #[test]
    fn a_later_layer_s_own_variable_counts_more_than_an_earlier_name_of_the_original() {
        let mut settings = with(&[
            ("NODE", "http://127.0.0.1:26657"),
            ("APIENVIRONMENT", "old"),
        ]);
        settings.add(
            Layer::Environment,
            pairs(&[
                ("FAUCET_CHAIN", &cosmos().to_string()),
                ("FAUCET_ENVIRONMENT", "new"),
            ]),
        );
        assert_eq!(settings.config().unwrap().environment, "new");
        assert_eq!(nodes(&settings)[0].1, None);
    }

    #[test]
    fn secrets_are_refused_wherever_they_stand() {
        for layer in [Layer::File, Layer::Environment] {
            for (name, instead) in [
                ("PRIVATEKEY", "offchain faucet key import"),
                ("RECAPTCHASECRET", "offchain faucet captcha set"),
            ] {
                let mut settings = Settings::of_stack(&environment(&evm()));
                settings.add(layer, pairs(&[(name, "hush")]));
                let said = refused(&settings);
                assert!(said.contains(name) && said.contains(instead), "{said}");
                assert!(!said.contains("hush"), "{said}");
            }
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused_all_at_once() {
        let said = refused(&with(&[
            ("AMOUNT", "10steak"),
            ("TIMEOUT", "soon"),
            ("FAUCET_TABEL", "claims"),
            ("FAUCET_PAYOUT", "{}"),
        ]));
        for part in [
            "AMOUNT in the file: expected a sum in the coin that is paid out, such as 10photon",
            "TIMEOUT in the file: expected seconds",
            "there is no setting FAUCET_TABEL",
            "FAUCET_PAYOUT: expected a policy in JSON",
        ] {
            assert!(said.contains(part), "{part} is not in {said}");
        }
        let nothing = refused(&Settings::default());
        for name in KNOWN {
            assert!(nothing.contains(&format!("{name} is not set")), "{nothing}");
        }
    }

    #[test]
    fn an_evm_chain_has_no_nodes_of_cosmos_and_is_paid_in_wei() {
        let mut settings = Settings::of_stack(&environment(&evm()));
        settings.add(Layer::File, pairs(&[("NODE", "http://127.0.0.1:26657")]));
        assert!(refused(&settings).contains("are of a Cosmos chain"));
        let mut settings = Settings::of_stack(&environment(&evm()));
        settings.add(Layer::File, pairs(&[("AMOUNT", "1000wei")]));
        assert_eq!(settings.config().unwrap().intake.amount, 1000);
    }

    #[test]
    fn what_others_set_and_what_is_not_needed_is_ignored_with_a_word() {
        let mut settings = Settings::of_stack(&environment(&evm()));
        settings.add(
            Layer::Environment,
            pairs(&[
                ("NODE", "/usr/bin/node"),
                ("REDISENDPOINT", "redis.test"),
                ("REDISPASSWORD", "hush"),
                ("FAUCET_QUEUE_URL", "https://sqs.test/claims"),
                ("TIMEOUT", "90"),
                ("PRIVATEKEY", ""),
            ]),
        );
        assert_eq!(settings.config().unwrap().intake.wait_seconds, 25);
        let said = settings.warnings().join("\n");
        for name in [
            "NODE",
            "REDISENDPOINT",
            "REDISPASSWORD",
            "FAUCET_QUEUE_URL",
            "TIMEOUT",
        ] {
            assert!(said.contains(name), "{said}");
        }
        assert!(
            !said.contains("hush") && !said.contains("sqs.test"),
            "{said}"
        );
    }

    #[test]
    fn neither_errors_nor_the_log_name_a_node() {
        let settings = with(&[("NODE", "http://127.0.0.1:26657/access-key")]);
        let shown = format!("{:?}", settings.shown());
        assert!(shown.contains("(2, not shown)"), "{shown}");
        assert!(shown.contains("testing"), "{shown}");
        for secret in ["access-key", "second.test", "26657"] {
            assert!(!shown.contains(secret), "{shown}");
        }
        for broken in [
            r#"{"kind":"evm","nodes":"https://node.test/access-key"}"#,
            r#"["https://node.test/access-key"]"#,
            "https://node.test/access-key",
        ] {
            let settings = with(&[("FAUCET_CHAIN", broken)]);
            let said = format!("{} {:?}", refused(&settings), settings.shown());
            assert!(!said.contains("access-key"), "{said}");
        }
    }

    #[test]
    fn a_file_is_lines_of_names_and_values() {
        let path = std::env::temp_dir().join(format!("faucet-settings-{}", std::process::id()));
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            let mut settings = Settings::of_stack(&environment(&cosmos()));
            let read = settings.add_file(&path);
            std::fs::remove_file(&path).unwrap();
            read.map(|()| settings)
        };
        let settings = read(
            "# As F11's template has it\nAPIENVIRONMENT  = dev\n\nAMOUNT          = 10photon\n\
             ORIGINS = https://a.test,https://b.test\n\
             FAUCET_NETWORK=\"theirs\"\nFAUCET_TABLE='$claims'\n",
        );
        let config = settings.unwrap().config().unwrap();
        assert_eq!(
            (config.environment.as_str(), config.network.as_str()),
            ("dev", "theirs")
        );
        assert_eq!(config.tables.claims, "$claims");
        assert_eq!(config.intake.amount, 10);
        assert_eq!(config.intake.origins.len(), 2);

        let error = read("AMOUNT=10photon\nhush hush\n")
            .err()
            .unwrap()
            .to_string();
        assert!(
            error.contains("after AMOUNT a line is not NAME=VALUE"),
            "{error}"
        );
        assert!(!error.contains("hush"), "{error}");
        let error = Settings::default().add_file(&path).unwrap_err();
        assert!(error.to_string().contains("No such file"), "{error}");
    }
}
