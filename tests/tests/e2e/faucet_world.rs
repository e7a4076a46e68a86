//! The faucet, as its callers see it, and what its tables hold; and faucets of
//! twins, which are pointed at chains of their own.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use offchain_chains::{AccountKey, Chain, Network};
use offchain_faucet::ClaimStatus;
use offchain_store::faucet::{Claim, Claims, LockNames, Locks, Payout, Payouts};
use reqwest::Method;
use serde_json::{Map, Value, json};
use tokio::sync::OnceCell;

use crate::beside::Beside;
use crate::chain::{Evm, Testnet, network, new_account, new_address};
use crate::harness::{
    Api, Item, Reply, SOON, World, binary, environment, offchain, set_environment, until,
};

/// The faucet of a stack.
pub(crate) struct Faucet<'a> {
    world: &'a World,
    pub(crate) claims: Claims,
    pub(crate) payouts: Payouts,
    pub(crate) locks: Locks,
    /// The names of the locks.
    pub(crate) names: LockNames,
    /// The value of `FAUCET_CHAIN`.
    pub(crate) chain: Value,
}

/// Ready once for all tests of the stack.
static READY: OnceCell<()> = OnceCell::const_new();

impl World {
    /// The faucet as it is set. That of a twin is pointed at a chain first.
    pub(crate) fn faucet(&self) -> Faucet<'_> {
        let stack = &self.stack.faucet;
        let environment = &stack.environment;
        let client = &self.dynamodb;
        Faucet {
            world: self,
            claims: Claims::new(client.clone(), stack.table.clone()),
            payouts: Payouts::new(client.clone(), stack.payouts_table.clone()),
            locks: Locks::new(client.clone(), stack.locks_table.clone()),
            names: LockNames::new(
                &environment["FAUCET_ENVIRONMENT"],
                &environment["FAUCET_NETWORK"],
            ),
            chain: serde_json::from_str(&environment["FAUCET_CHAIN"]).unwrap(),
        }
    }

    /// The stack's own faucet with a key, and coins in its account.
    pub(crate) async fn funded_faucet(&self) -> Faucet<'_> {
        let faucet = self.faucet();
        READY
            .get_or_init(async || {
                let create = ["faucet", "key", "create", "--keep"];
                offchain(&create).await.succeeded();
                let sender = faucet.sender().await;
                let node = faucet.node();
                if node.balance(&sender).await < ENOUGH {
                    node.fund(&sender, 10 * ENOUGH).await;
                }
            })
            .await;
        faucet
    }
}

/// What an account needs for all tests, by far: 1000 coins of 18 decimals.
const ENOUGH: u128 = 1_000_000_000_000_000_000_000;

/// One more claim of a fresh address, which the faucet has paid by now: the
/// claim, and its address.
pub(crate) async fn faucet_claim(world: &World) -> Claim {
    let faucet = world.faucet();
    let id = faucet.accepted(&faucet.new_address()).await;
    faucet.paid(&id).await
}

impl Faucet<'_> {
    pub(crate) fn network(&self) -> Network {
        network(&self.chain)
    }

    /// The node of an EVM chain that the faucet asks first.
    pub(crate) fn node(&self) -> Evm {
        Evm::at(self.chain["nodes"][0]["url"].as_str().unwrap())
    }

    /// An address that nobody ever used.
    pub(crate) fn new_address(&self) -> String {
        new_address(&self.chain)
    }

    /// The key that pays.
    pub(crate) async fn key(&self) -> AccountKey {
        let arn = &self.world.stack.faucet.key_secret_arn;
        AccountKey::from_secret(&self.world.secret(arn).await).unwrap()
    }

    /// The address that it pays from.
    pub(crate) async fn sender(&self) -> String {
        self.network().sender(&self.key().await)
    }

    /// Claims for an address, and waits as long as the faucet does.
    pub(crate) async fn claim(&self, address: &str) -> Reply {
        self.claim_with(address, &[]).await
    }

    pub(crate) async fn claim_with(&self, address: &str, headers: &[(&str, &str)]) -> Reply {
        let body = json!({"address": address}).to_string();
        post_claim(&self.world.api, body, headers).await
    }

    /// Claims for an address without waiting, and returns the claim's id.
    pub(crate) async fn accepted(&self, address: &str) -> String {
        let reply = self.claim_with(address, &[ASYNC]).await;
        assert_eq!(reply.status, 202, "{reply:?}");
        reply.body["claim_id"].as_str().unwrap().to_owned()
    }

    /// A claim as the API shows it.
    pub(crate) async fn show(&self, id: &str) -> Value {
        let reply = self.world.api.get(&format!("/v1/claims/{id}")).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.body
    }

    pub(crate) async fn status(&self) -> Value {
        let reply = self.world.api.get("/v1/status").await;
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.body
    }

    /// A claim as the table has it.
    pub(crate) async fn item(&self, id: &str) -> Claim {
        let claim = self.claims.get(id).await.unwrap();
        claim.unwrap_or_else(|| panic!("there is no claim {id}"))
    }

    /// Waits until a claim has this status.
    pub(crate) async fn reached(&self, id: &str, status: ClaimStatus) -> Claim {
        let mut last = None;
        let what = format!("claim {id} to be {status}");
        let found = until(&what, SOON, async || {
            let claim = self.item(id).await;
            let reached = claim.status == status;
            assert!(
                reached || !claim.status.is_final(),
                "claim {id} is to be {status}: {claim:?}"
            );
            last = Some(claim.clone());
            reached.then_some(claim)
        });
        found.await
    }

    /// Waits until a claim is paid for good.
    pub(crate) async fn paid(&self, id: &str) -> Claim {
        self.reached(id, ClaimStatus::Paid).await
    }

    /// Every payout of an account, in order.
    pub(crate) async fn payouts_of(&self, account: &str) -> Vec<Payout> {
        self.payouts.newest(account, 1000).await.unwrap()
    }

    /// Waits until nothing of an account is open any more.
    pub(crate) async fn settled(&self, account: &str) -> Vec<Payout> {
        until("every payout to be settled", SOON, async || {
            let payouts = self.payouts_of(account).await;
            let open = payouts.iter().any(|payout| payout.status.is_open());
            (!open).then_some(payouts)
        })
        .await
    }

    /// Everything that the faucet's tables hold, table by table.
    pub(crate) async fn tables(&self) -> BTreeMap<&str, Vec<Item>> {
        let stack = &self.world.stack.faucet;
        let mut tables = BTreeMap::new();
        for name in [
            &stack.table,
            &stack.payouts_table,
            &stack.locks_table,
            &stack.limits_table,
        ] {
            tables.insert(name.as_str(), self.items(name).await);
        }
        tables
    }

    async fn items(&self, table: &str) -> Vec<Item> {
        let scan = self.world.dynamodb.scan().table_name(table);
        let scan = scan.consistent_read(true).into_paginator().items();
        scan.send().collect::<Result<_, _>>().await.unwrap()
    }

    /// What the limits hold whose keys begin so, by key.
    pub(crate) async fn limits(&self, prefix: &str) -> BTreeMap<String, Item> {
        let items = self.items(&self.world.stack.faucet.limits_table).await;
        let keyed = items
            .into_iter()
            .map(|item| (item["limit"].as_s().unwrap().clone(), item));
        keyed.filter(|(key, _)| key.starts_with(prefix)).collect()
    }

    /// What was given out today, as far as it is counted.
    pub(crate) async fn spent(&self) -> u128 {
        let day = offchain_faucet::budget_day(Timestamp::now());
        let budgets = self.limits("budget#").await;
        let today = budgets.get(&format!("budget#{day}"));
        let spent = today.and_then(|item| item.get("spent"));
        spent
            .map(AttributeValue::as_n)
            .map_or(0, |spent| spent.unwrap().parse().unwrap())
    }

    /// Sweeps now, and returns what was found.
    pub(crate) async fn sweep(&self) -> Value {
        let order = json!({"action": "sweep"});
        self.world.invoke("faucet-sweep", &order).await.unwrap()
    }
}

/// The caller does not wait.
pub(crate) const ASYNC: (&str, &str) = ("prefer", "respond-async");

/// Posts a claim at some door of the faucet, whatever the body.
pub(crate) async fn post_claim(
    api: &Api,
    body: impl Into<reqwest::Body>,
    headers: &[(&str, &str)],
) -> Reply {
    let mut all = vec![("content-type", "application/json")];
    all.extend(headers);
    api.send(Method::POST, "/v1/claim", &all, body).await
}

/// A process that serves the faucet beside the functions.
pub(crate) struct Served {
    pub(crate) url: String,
    pub(crate) api: Api,
    program: Beside,
}

impl Served {
    /// Starts `offchain faucet serve` with the faucet's settings, and with
    /// options of its own.
    pub(crate) async fn start(world: &World, options: &[&str]) -> Self {
        let settings = &world.stack.faucet.environment;
        Self::start_with(world, options, settings).await
    }

    /// Likewise, with other variables than the faucet's settings.
    pub(crate) async fn start_with(
        world: &World,
        options: &[&str],
        variables: &BTreeMap<String, String>,
    ) -> Self {
        let mut arguments = vec!["faucet", "serve", "--port", "0", "--json"];
        arguments.extend(options);
        let mut variables: Vec<_> = variables
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        if let Some(endpoint) = world.config.endpoint_url() {
            variables.push(("AWS_ENDPOINT_URL", endpoint));
        }
        let (program, url) = Beside::start(&binary(), &arguments, &variables, |line| {
            let said: Value = serde_json::from_str(line).ok()?;
            Some(said["url"].as_str()?.to_owned())
        })
        .await;
        let api = Api::at(&url);
        Self { url, api, program }
    }

    /// What it has logged so far, line by line.
    pub(crate) fn output(&self) -> Vec<String> {
        self.program.output()
    }

    /// Asks it to stop, and waits until it has. Returns its exit code.
    pub(crate) async fn stop(self) -> Option<i32> {
        self.program.stop().await
    }
}

/// Points the faucet of a twin at a chain, with a fresh key and other policies.
/// Returns the key, and the address that it pays from: the caller gives it coins.
pub(crate) async fn point_faucet_at(
    world: &mut World,
    chain: &Value,
    policy: &Value,
    payout: &Value,
) -> (AccountKey, String) {
    let (key, address) = new_account(chain);
    let intake = json!({"challenge_key": hex::encode(rand::random::<[u8; 32]>())});
    let stack = &world.stack.faucet;
    // First the secrets, which a function remembers.
    let arn = &stack.key_secret_arn;
    world.put_secret(arn, &key.to_secret()).await;
    let arn = &stack.intake_secret_arn;
    world.put_secret(arn, &intake.to_string()).await;
    let environment = &mut world.stack.faucet.environment;
    environment.insert("FAUCET_CHAIN".to_owned(), chain.to_string());
    set_policies(world, policy, payout).await;
    (key, address)
}

/// Gives the faucet of a twin other policies: the members of `policy` and
/// `payout` take the place of those of the intake's and of the payouts'.
pub(crate) async fn set_policies(world: &mut World, policy: &Value, payout: &Value) {
    // What both policies say, they say alike.
    let mut payout = payout.clone();
    for name in ["amount", "decimals"] {
        if let Some(value) = policy.get(name) {
            payout[name] = value.clone();
        }
    }
    let variables = &mut world.stack.faucet.environment;
    for (name, changes) in [("FAUCET_POLICY", policy), ("FAUCET_PAYOUT", &payout)] {
        let mut value: Map<String, Value> = serde_json::from_str(&variables[name]).unwrap();
        let changes = changes.as_object().into_iter().flatten();
        value.extend(changes.map(|(name, value)| (name.clone(), value.clone())));
        variables.insert(name.to_owned(), Value::Object(value).to_string());
    }
    for function in world.stack.faucet.functions.values() {
        let mut deployed = environment(&world.lambda, function).await;
        for (name, value) in &world.stack.faucet.environment {
            if let Some(variable) = deployed.get_mut(name) {
                variable.clone_from(value);
            }
        }
        set_environment(&world.lambda, function, deployed).await;
    }
}
