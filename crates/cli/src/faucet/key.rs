//! `offchain faucet key`: the key of the account that pays. It goes into
//! Secrets Manager and is never shown.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use jiff::Timestamp;
use offchain_chains::{AccountKey, Chain, ChainSettings, Network};
use offchain_store::faucet::{AccountRecord, LockError};
use serde_json::json;
use zeroize::Zeroizing;

use crate::error::CliError;
use crate::faucet::intake_secret::IntakeText;
use crate::faucet::{Site, site, sum};
use crate::output::{Output, warning};
use crate::stack::Stack;
use crate::stdin;

const EXPECTED: &str = r#"{"private_key": "<64 hexadecimal digits>"}"#;
const PROMPT: &str = "The private key in hexadecimal, then Enter:";
/// Longer than a payer holds the lease, where it holds it at all.
const PATIENCE: Duration = Duration::from_secs(15);

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make a new key and print its address. Exit 1 where there is a key already.
    #[command(after_help = EXAMPLES)]
    Create {
        /// Where there is a key already, leave it and print its address.
        #[arg(long, conflicts_with = "replace")]
        keep: bool,
        /// Where there is a key already, put the new one in its place. What the old account
        /// has stays there.
        #[arg(long)]
        replace: bool,
    },
    /// Read a key from standard input and keep it. Exit 1 where there is another already.
    ///
    /// It is a number of 32 bytes of the curve secp256k1 in hexadecimal, with or without 0x.
    #[command(after_help = EXAMPLES)]
    Import {
        /// Where there is another key already, put this one in its place.
        #[arg(long)]
        replace: bool,
    },
    /// Print a key's address and public key.
    Show(Show),
}

const EXAMPLES: &str = "Examples:
  offchain faucet key create          a new account; send coins to the address it prints
  offchain faucet key import < key    an account that there is
  offchain faucet key show";

#[derive(Args)]
pub(crate) struct Show {
    /// Of a key on standard input, in hexadecimal, in place of the stack's.
    #[arg(long)]
    stdin: bool,
    /// What chain the address is of; without it, the stack's.
    #[arg(long, requires = "stdin")]
    kind: Option<Kind>,
    /// What addresses of a Cosmos chain begin with.
    #[arg(long, default_value = "cosmos", requires = "kind")]
    prefix: String,
}

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    Evm,
    Cosmos,
}

/// What becomes of a key that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Old {
    Refuse,
    Keep,
    Replace,
}

impl Command {
    pub(crate) async fn run(
        self,
        stack: Option<&Path>,
        output: &Output,
    ) -> Result<ExitCode, CliError> {
        let (key, old) = match self {
            Self::Create { keep, replace } => (random()?, Old::of(keep, replace)),
            Self::Import { replace } => {
                let given = stdin::read(output, PROMPT)?;
                (parse(&given)?, Old::of(false, replace))
            }
            Self::Show(show) => {
                show.run(stack, output).await?;
                return Ok(ExitCode::SUCCESS);
            }
        };
        let site = Site::of_stack(&Stack::load(stack)?).await?;
        put(&site, &key, old, output).await?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Old {
    fn of(keep: bool, replace: bool) -> Self {
        match (keep, replace) {
            (true, _) => Self::Keep,
            (_, true) => Self::Replace,
            _ => Self::Refuse,
        }
    }
}

impl Show {
    async fn run(&self, stack: Option<&Path>, output: &Output) -> Result<(), CliError> {
        let given = match self.stdin {
            true => Some(parse(&stdin::read(output, PROMPT)?)?),
            false => None,
        };
        if let (Some(kind), Some(key)) = (self.kind, &given) {
            return show(&kind.chain(&self.prefix)?, key, output);
        }
        let site = Site::of_stack(&Stack::load(stack)?).await?;
        let key = match given {
            Some(key) => key,
            None => stored(&site).await?.ok_or_else(none)?,
        };
        show(&site.chain, &key, output)
    }
}

impl Kind {
    /// A chain that nobody asks: only its addresses are wanted.
    fn chain(self, prefix: &str) -> Result<Network, CliError> {
        let nodes = json!([{"url": "http://localhost"}]);
        let settings = match self {
            Self::Evm => json!({
                "kind": "evm", "nodes": nodes, "chain_id": 1,
                "max_fee_wei": 1, "priority_fee_wei": 0,
            }),
            Self::Cosmos => json!({
                "kind": "cosmos", "nodes": nodes, "chain_id": "any", "prefix": prefix,
                "denom": "any", "fee_denom": "any", "gas_price": "0", "gas": 1,
                "gas_each": 0, "memo": "", "timeout_blocks": 1,
            }),
        };
        let settings: ChainSettings = settings.to_string().parse().map_err(CliError::input)?;
        Network::new(&settings).map_err(site::unusable)
    }
}

/// The key in the stack's secret; `None` where there is none yet.
pub(crate) async fn stored(site: &Site) -> Result<Option<AccountKey>, CliError> {
    let secret = site.key_secret();
    let text = secret.read().await?.map(Zeroizing::new);
    text.map(|text| AccountKey::from_secret(&text))
        .transpose()
        .map_err(|_| secret.unusable(EXPECTED))
}

pub(crate) fn none() -> CliError {
    CliError::No("the faucet has no key yet: make one with `offchain faucet key create`".to_owned())
}

pub(crate) fn random() -> Result<AccountKey, CliError> {
    let bytes = Zeroizing::new(rand::random::<[u8; 32]>());
    // One number of 2^128 is beyond the curve's order.
    AccountKey::from_bytes(&bytes).map_err(CliError::input)
}

/// A key in hexadecimal. Nothing of it is in an error.
fn parse(text: &str) -> Result<AccountKey, CliError> {
    let digits = text.trim();
    let digits = digits.strip_prefix("0x").unwrap_or(digits);
    let mut bytes = Zeroizing::new([0; 32]);
    hex::decode_to_slice(digits, bytes.as_mut_slice()).map_err(|_| {
        CliError::input("standard input: expected a private key, 64 hexadecimal digits")
    })?;
    AccountKey::from_bytes(&bytes)
        .map_err(|error| CliError::Input(format!("standard input: {error}")))
}

async fn put(site: &Site, key: &AccountKey, old: Old, output: &Output) -> Result<(), CliError> {
    let there = match stored(site).await {
        // What cannot be used may be replaced.
        Err(CliError::Input(_)) if old == Old::Replace => None,
        there => there?,
    };
    let is_new = match &there {
        None => true,
        Some(there) if there.public_key() == key.public_key() || old == Old::Keep => false,
        Some(_) if old == Old::Replace => true,
        Some(there) => {
            return Err(CliError::No(format!(
                "the faucet has a key already, of {}: --replace puts another in its place",
                site.chain.sender(there)
            )));
        }
    };
    let used = there.as_ref().filter(|_| !is_new).unwrap_or(key);
    let replaced = there
        .as_ref()
        .filter(|_| is_new)
        .map(|there| site.chain.sender(there));
    let address = site.chain.sender(used);
    ensure_challenge_key(site).await?;
    if replaced.is_some() {
        change_account(site, &address, Some(key)).await?;
    } else {
        if is_new {
            write(site, key).await?;
        }
        ensure_account(site, &address).await?;
    }
    let said = json!({
        "address": address,
        "public_key": used.public_key(),
        "created": is_new,
        "replaced": replaced,
    });
    output.show(&said, |output| {
        lines(site, used)
            .into_iter()
            .for_each(|line| output.line(line));
        if let Some(old) = &replaced {
            output.line(warning(format!(
                "What {old} has stays there. Its key is the secret's version AWSPREVIOUS until \
                 the next change. Whoever has read it pays from it for a minute more, and what \
                 it has signed is still settled."
            )));
        }
        if is_new {
            output.note(format!(
                "Send coins to the address: a claim takes {} and the fee. \
                 `offchain faucet status` shows when they are there.",
                sum(site.config.intake.amount, site)
            ));
        }
    })
}

async fn write(site: &Site, key: &AccountKey) -> Result<(), CliError> {
    site.key_secret().write(key.to_secret().to_string()).await
}

/// Has another account pay from now on, by the key where that is given. Nobody
/// signs meanwhile, and the next one begins with the number that the chain says.
async fn change_account(
    site: &Site,
    address: &str,
    key: Option<&AccountKey>,
) -> Result<(), CliError> {
    let tables = &site.tables;
    let expiry = Duration::from_secs(site.config.payout.lease_seconds.into());
    let holder = rand::random_range(1..=u64::from(u32::MAX));
    let lease = tables
        .locks
        .acquire_within(&tables.names.sequence, holder, expiry, expiry + PATIENCE)
        .await
        .map_err(unlocked)?;
    let changed = async {
        if let Some(key) = key {
            write(site, key).await?;
        }
        note_unseen(site, address).await
    }
    .await;
    let next = changed.as_ref().ok().map(|()| "0");
    tables.locks.release(&lease, next).await.map_err(unlocked)?;
    changed
}

fn unlocked(error: LockError) -> CliError {
    match error {
        LockError::Store(error) => error.into(),
        error @ (LockError::Held(_) | LockError::Lost(_)) => {
            CliError::Aws(format!("{error}: somebody pays at this moment; try again"))
        }
    }
}

/// Challenges are signed from the first claim on.
async fn ensure_challenge_key(site: &Site) -> Result<(), CliError> {
    let secret = site.intake_secret();
    let (text, is_new) = IntakeText::read(&secret).await?;
    if is_new {
        text.write(&secret).await?;
    }
    Ok(())
}

/// The status names the account before anybody has looked at it.
async fn ensure_account(site: &Site, address: &str) -> Result<(), CliError> {
    let tables = &site.tables;
    match tables.locks.account(&tables.names.account).await? {
        None => note_unseen(site, address).await,
        Some(known) if known.address == address => Ok(()),
        Some(_) => change_account(site, address, None).await,
    }
}

async fn note_unseen(site: &Site, address: &str) -> Result<(), CliError> {
    let tables = &site.tables;
    let unseen = AccountRecord {
        address: address.to_owned(),
        number: "0".to_owned(),
        balance: "0".to_owned(),
        fee_balance: "0".to_owned(),
        sequence: 0,
        height: 0,
        observed_time: Timestamp::now().into(),
    };
    Ok(tables
        .locks
        .note_account(&tables.names.account, &unseen)
        .await?)
}

fn show(chain: &Network, key: &AccountKey, output: &Output) -> Result<(), CliError> {
    let (address, public_key) = (chain.sender(key), key.public_key());
    output.show(
        &json!({"address": address, "public_key": public_key}),
        |output| {
            output.line(format!("address     {address}"));
            output.line(format!("public key  {public_key}"));
        },
    )
}

fn lines(site: &Site, key: &AccountKey) -> Vec<String> {
    vec![
        format!("network     {}", site.config.network),
        format!("address     {}", site.chain.sender(key)),
        format!("public key  {}", key.public_key()),
    ]
}

#[cfg(test)]
mod tests {
    use offchain_store::test_util::{FakeAws, Reply, answer, condition_failed, done, item, secret};
    use serde_json::Value;

    use super::*;
    use crate::faucet::tests::site;

    const ONE: &str = "0000000000000000000000000000000000000000000000000000000000000001";
    const TWO: &str = "0000000000000000000000000000000000000000000000000000000000000002";
    /// The address of the key 1, as many tools give it.
    const ADDRESS_OF_ONE: &str = "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf";

    fn key(digits: &str) -> AccountKey {
        parse(digits).unwrap()
    }

    fn text(digits: &str) -> String {
        json!({"private_key": digits}).to_string()
    }

    /// An AWS with this key in its secret, whose lease is free.
    fn aws(key: &str, account: Reply) -> FakeAws {
        FakeAws::new()
            .about("arn:key", "GetSecretValue", secret("1", key))
            .about("arn:intake", "GetSecretValue", secret("1", ""))
            .always("PutSecretValue", done())
            .always("GetItem", account)
            .always(
                "UpdateItem",
                answer(json!({"Attributes": {"Token": {"N": "3"}, "Value": {"S": "51"}}})),
            )
    }

    fn account(address: &str) -> Reply {
        item(&json!({
            "Name": "offchain-local-accountnumber", "address": address, "Value": "0",
            "balance": "5", "fee_balance": "5", "sequence": 50, "height": 7,
            "observed_time": "2026-11-21T11:00:00.000Z",
        }))
    }

    /// What was written into the secret.
    fn written(aws: &FakeAws, arn: &str) -> Option<Value> {
        let puts = aws.sent("PutSecretValue");
        let put = puts.into_iter().find(|put| put["SecretId"] == arn)?;
        serde_json::from_str(put["SecretString"].as_str()?).ok()
    }

    async fn made(aws: &FakeAws, digits: &str, old: Old) -> Result<(), CliError> {
        put(&site(aws), &key(digits), old, &Output::new(true)).await
    }

    #[tokio::test]
    async fn a_new_key_comes_with_a_key_of_the_challenges_and_an_account() {
        let aws = aws("", answer(json!({})));
        made(&aws, ONE, Old::Refuse).await.unwrap();
        let key = written(&aws, "arn:key").unwrap();
        assert_eq!(key, json!({"private_key": ONE}));
        let intake = written(&aws, "arn:intake").unwrap();
        assert_eq!(intake["challenge_key"].as_str().unwrap().len(), 64);
        let noted = aws.sent_once("UpdateItem");
        assert_eq!(noted["Key"]["Name"], "offchain-local-accountnumber");
        let values = &noted["ExpressionAttributeValues"];
        assert_eq!(values[":address"], ADDRESS_OF_ONE);
        assert_eq!(
            (&values[":height"], &values[":balance"]),
            (&json!(0), &json!("0"))
        );
    }

    #[tokio::test]
    async fn a_key_that_is_there_is_refused_or_kept() {
        let here = aws(&text(ONE), account(ADDRESS_OF_ONE));
        let error = made(&here, TWO, Old::Refuse).await.unwrap_err();
        assert!(error.to_string().contains(ADDRESS_OF_ONE), "{error}");
        assert_eq!(error.exit_code(), ExitCode::from(1));
        assert!(here.sent("PutSecretValue").is_empty());

        for (digits, old) in [(TWO, Old::Keep), (ONE, Old::Refuse), (ONE, Old::Replace)] {
            let aws = aws(&text(ONE), account(ADDRESS_OF_ONE));
            made(&aws, digits, old).await.unwrap();
            assert_eq!(written(&aws, "arn:key"), None, "{old:?}");
            assert!(aws.sent("UpdateItem").is_empty(), "{old:?}");
        }
    }

    #[tokio::test]
    async fn a_key_is_replaced_while_nobody_signs() {
        let aws = aws(&text(ONE), account(ADDRESS_OF_ONE));
        made(&aws, TWO, Old::Replace).await.unwrap();
        assert_eq!(written(&aws, "arn:key"), Some(json!({"private_key": TWO})));
        let from = aws
            .operations()
            .iter()
            .position(|name| name == "UpdateItem");
        assert_eq!(
            aws.operations()[from.unwrap()..],
            ["UpdateItem", "PutSecretValue", "UpdateItem", "UpdateItem"]
        );
        let updates = aws.sent("UpdateItem");
        assert_eq!(updates[0]["Key"]["Name"], "offchain-local-sequence");
        assert_eq!(updates[1]["Key"]["Name"], "offchain-local-accountnumber");
        // What the old account left is no number of the new one.
        assert_eq!(updates[2]["Key"]["Name"], "offchain-local-sequence");
        assert_eq!(updates[2]["ExpressionAttributeValues"][":value"], "0");
        assert_eq!(updates[2]["ExpressionAttributeValues"][":token"], 3);
    }

    #[tokio::test]
    async fn an_account_of_another_key_is_forgotten_with_its_number() {
        let aws = aws(&text(ONE), account("0xother"));
        made(&aws, TWO, Old::Keep).await.unwrap();
        let updates = aws.sent("UpdateItem");
        assert_eq!(
            updates[1]["ExpressionAttributeValues"][":address"],
            ADDRESS_OF_ONE
        );
        assert_eq!(updates[2]["ExpressionAttributeValues"][":value"], "0");
    }

    #[tokio::test]
    async fn what_is_no_key_is_not_kept_and_not_shown() {
        let broken = text("hush");
        let here = aws(&broken, account(ADDRESS_OF_ONE));
        for old in [Old::Refuse, Old::Keep] {
            let error = made(&here, ONE, old).await.unwrap_err();
            assert!(error.to_string().contains("is unusable"), "{error}");
            assert!(!error.to_string().contains("hush"), "{error}");
        }
        made(&here, ONE, Old::Replace).await.unwrap();
        assert_eq!(written(&here, "arn:key"), Some(json!({"private_key": ONE})));
    }

    #[tokio::test]
    async fn a_lease_that_was_lost_meanwhile_is_told_of() {
        let aws = FakeAws::new()
            .about("arn:key", "GetSecretValue", secret("1", &text(ONE)))
            .about(
                "arn:intake",
                "GetSecretValue",
                secret("1", r#"{"challenge_key":"07"}"#),
            )
            .always("PutSecretValue", done())
            .on(
                "UpdateItem",
                answer(json!({"Attributes": {"Token": {"N": "3"}}})),
            )
            .on("UpdateItem", done())
            .on("UpdateItem", condition_failed());
        let error = made(&aws, TWO, Old::Replace).await.unwrap_err();
        assert!(error.to_string().contains("try again"), "{error}");
        assert_eq!(error.exit_code(), ExitCode::from(3));
    }

    #[test]
    fn a_key_is_32_bytes_in_hexadecimal() {
        assert_eq!(
            key(&format!("0x{ONE}\r\n")).public_key(),
            key(ONE).public_key()
        );
        for wrong in [
            "",
            "hush",
            &ONE[1..],
            &format!("{ONE}0"),
            &"0".repeat(64),
            &"f".repeat(64),
        ] {
            let error = parse(wrong).unwrap_err();
            assert_eq!(error.exit_code(), ExitCode::from(2));
            assert!(
                wrong.is_empty() || !error.to_string().contains(wrong),
                "{error}"
            );
        }
    }

    #[test]
    fn an_address_needs_no_stack() {
        let evm = Kind::Evm.chain("").unwrap();
        assert_eq!(evm.sender(&key(ONE)), ADDRESS_OF_ONE);
        for prefix in ["cosmos", "osmo"] {
            let chain = Kind::Cosmos.chain(prefix).unwrap();
            // RIPEMD-160 of SHA-256 of the public key, as in the examples of BIP 173.
            let expected = format!("{prefix}1w508d6qejxtdg4y5r3zarvary0c5xw7k");
            assert!(chain.sender(&key(ONE)).starts_with(&expected));
        }
        assert!(Kind::Cosmos.chain("Cosmos").is_err());
    }
}
