//! Chains of a test's own, which end with it: an EVM chain (anvil), and a Cosmos
//! SDK chain (the stand-in).

use std::collections::BTreeMap;
use std::fs;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use offchain_chains::{AccountKey, Chain, Network};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::beside::Beside;

/// What a test asks of a chain, of whatever kind.
pub(crate) trait Testnet {
    /// The value of `FAUCET_CHAIN` for a faucet of it.
    fn settings(&self) -> Value;

    /// Sets what an account has, in the smallest unit.
    async fn fund(&self, address: &str, sum: u128);

    /// What accounts have, in the smallest unit.
    async fn balances(&self, addresses: &[&str]) -> Vec<u128>;

    async fn balance(&self, address: &str) -> u128 {
        self.balances(&[address]).await[0]
    }

    /// Every transaction of `sender` in a block, in order.
    async fn sent(&self, sender: &str) -> Vec<Sent>;

    /// What all fees of `sender` come to, in the smallest unit.
    async fn fees(&self, sender: &str) -> u128;
}

/// A transaction in a block.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) sequence: u64,
    pub(crate) hash: String,
    pub(crate) height: u64,
    /// Whether its transfers were made.
    pub(crate) made: bool,
}

/// The chain that settings speak of, as the faucet's own code sees it.
pub(crate) fn network(settings: &Value) -> Network {
    Network::new(&settings.to_string().parse().unwrap()).unwrap()
}

/// A new key, and the address that it pays from.
pub(crate) fn new_account(settings: &Value) -> (AccountKey, String) {
    let key = AccountKey::from_bytes(&rand::random()).unwrap();
    let address = network(settings).sender(&key);
    (key, address)
}

/// An address that nobody ever used.
pub(crate) fn new_address(settings: &Value) -> String {
    new_account(settings).1
}

fn client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}

/// An EVM node.
#[derive(Clone, Debug)]
pub(crate) struct Evm {
    url: String,
    client: reqwest::Client,
}

impl Evm {
    /// The node at a URL, which somebody else has started.
    pub(crate) fn at(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            client: client(),
        }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Calls a method of JSON-RPC, which must succeed.
    pub(crate) async fn rpc(&self, method: &str, params: Value) -> Value {
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let call = self.client.post(&self.url).body(call.to_string());
        let reply = call.header("content-type", "application/json").send().await;
        let text = reply.unwrap().text().await.unwrap();
        let mut reply: Value = serde_json::from_str(&text).unwrap();
        assert!(reply.get("error").is_none(), "{method}: {reply}");
        reply["result"].take()
    }

    pub(crate) async fn height(&self) -> u64 {
        quantity(&self.rpc("eth_blockNumber", json!([])).await)
    }

    pub(crate) async fn receipt(&self, hash: &str) -> Value {
        self.rpc("eth_getTransactionReceipt", json!([hash])).await
    }

    /// How many transactions of an account blocks have.
    pub(crate) async fn nonce(&self, address: &str) -> u64 {
        let call = self.rpc("eth_getTransactionCount", json!([address, "latest"]));
        quantity(&call.await)
    }
}

/// A number, as EVM nodes write it.
pub(crate) fn quantity<N: TryFrom<u128, Error: std::fmt::Debug>>(value: &Value) -> N {
    let digits = value.as_str().unwrap().strip_prefix("0x").unwrap();
    N::try_from(u128::from_str_radix(digits, 16).unwrap()).unwrap()
}

impl Testnet for Evm {
    fn settings(&self) -> Value {
        json!({
            "kind": "evm",
            "nodes": [{"url": self.url}],
            "chain_id": 31337,
            "max_fee_wei": "100000000000",
            "priority_fee_wei": "1000000000",
        })
    }

    async fn fund(&self, address: &str, sum: u128) {
        let sum = format!("{sum:#x}");
        self.rpc("anvil_setBalance", json!([address, sum])).await;
    }

    async fn balances(&self, addresses: &[&str]) -> Vec<u128> {
        let mut balances = Vec::new();
        for address in addresses {
            let balance = self.rpc("eth_getBalance", json!([address, "latest"]));
            balances.push(quantity(&balance.await));
        }
        balances
    }

    async fn sent(&self, sender: &str) -> Vec<Sent> {
        let mut sent = Vec::new();
        for height in 0..=self.height().await {
            let number = format!("{height:#x}");
            let block = self
                .rpc("eth_getBlockByNumber", json!([number, true]))
                .await;
            for tx in block["transactions"].as_array().unwrap() {
                let from = tx["from"].as_str().unwrap();
                if !from.eq_ignore_ascii_case(sender) {
                    continue;
                }
                let hash = tx["hash"].as_str().unwrap();
                sent.push(Sent {
                    sequence: quantity(&tx["nonce"]),
                    hash: hash.to_owned(),
                    height,
                    made: self.receipt(hash).await["status"] == "0x1",
                });
            }
        }
        sent
    }

    async fn fees(&self, sender: &str) -> u128 {
        let mut fees = 0;
        for sent in self.sent(sender).await {
            let receipt = self.receipt(&sent.hash).await;
            let used: u128 = quantity(&receipt["gasUsed"]);
            fees += used * quantity::<u128>(&receipt["effectiveGasPrice"]);
        }
        fees
    }
}

/// An EVM chain of a test's own. What is told of an [`Evm`] node is told of it.
pub(crate) struct Anvil {
    node: Evm,
    program: Beside,
}

impl Anvil {
    /// Starts one with more of its own options, such as `--block-time 1`:
    /// without any, a block follows each transaction at once.
    pub(crate) async fn start(options: &[&str]) -> Self {
        let mut arguments = vec!["--port", "0", "--accounts", "0", "--no-cors"];
        // Nothing of older states in the user's home.
        arguments.extend(["--prune-history", "256"]);
        arguments.extend(options);
        let (program, address) = Beside::start(&anvil(), &arguments, &[], |line| {
            line.strip_prefix("Listening on ").map(str::to_owned)
        })
        .await;
        Self {
            node: Evm::at(&format!("http://{address}")),
            program,
        }
    }

    /// Sends it a signal, such as `STOP`, `CONT` or `KILL`.
    pub(crate) fn signal(&self, name: &str) {
        self.program.signal(name);
    }
}

impl Deref for Anvil {
    type Target = Evm;

    fn deref(&self) -> &Evm {
        &self.node
    }
}

/// The program, as scripts/lib/tools.sh finds it.
fn anvil() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let packages = fs::read_dir(root.join("node_modules/@foundry-rs"));
    let programs = packages.into_iter().flatten().filter_map(|package| {
        let package = package.ok()?;
        let of_a_platform = package.file_name().to_str()?.starts_with("anvil-");
        let program = package.path().join("bin/anvil");
        (of_a_platform && program.is_file()).then_some(program)
    });
    programs.min().unwrap_or_else(|| PathBuf::from("anvil"))
}

/// A Cosmos SDK chain of a test's own: the stand-in, as a program.
pub(crate) struct CosmosNode {
    urls: Urls,
    client: reqwest::Client,
    _program: Beside,
}

/// Where a node of the stand-in is.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Urls {
    pub(crate) rest: String,
    pub(crate) rpc: String,
    /// Those of other nodes of the same chain.
    #[serde(default)]
    pub(crate) peers: Vec<Urls>,
}

/// Every transaction that a block has, and what each account has.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Ledger {
    pub(crate) transactions: Vec<LedgerEntry>,
    pub(crate) balances: BTreeMap<String, BTreeMap<String, String>>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct LedgerEntry {
    pub(crate) height: u64,
    pub(crate) hash: String,
    pub(crate) sender: String,
    pub(crate) sequence: u64,
    /// 0 where the transfers were made.
    pub(crate) code: u32,
    pub(crate) transfers: Vec<Value>,
}

impl CosmosNode {
    /// Starts one with options of its own, such as `--block-ms 500`: without
    /// any, the chain `stand-in-1` of addresses `cosmos1…` and of `stake`.
    pub(crate) async fn start(options: &[&str]) -> Self {
        // Built with these tests, as the command is.
        let program = crate::harness::binary().with_file_name("cosmos-node");
        let ready = |line: &str| serde_json::from_str(line).ok();
        let (program, urls) = Beside::start(&program, options, &[], ready).await;
        Self {
            urls,
            client: client(),
            _program: program,
        }
    }

    pub(crate) fn rest(&self) -> &str {
        &self.urls.rest
    }

    pub(crate) fn rpc(&self) -> &str {
        &self.urls.rpc
    }

    /// With `--peers`, where the other nodes of the chain are.
    pub(crate) fn peers(&self) -> &[Urls] {
        &self.urls.peers
    }

    /// Gives the node an order, such as `halt`; those of faults touch it alone.
    pub(crate) async fn admin(&self, order: &str, members: Value) -> Value {
        admin(&self.client, &self.urls.rest, order, members).await
    }

    /// Likewise a peer.
    pub(crate) async fn admin_of(&self, peer: &Urls, order: &str, members: Value) -> Value {
        admin(&self.client, &peer.rest, order, members).await
    }

    pub(crate) async fn ledger(&self) -> Ledger {
        let url = format!("{}/admin/ledger", self.urls.rest);
        let reply = self.client.get(url).send().await.unwrap();
        serde_json::from_str(&reply.text().await.unwrap()).unwrap()
    }
}

async fn admin(client: &reqwest::Client, rest: &str, order: &str, members: Value) -> Value {
    let url = format!("{rest}/admin/{order}");
    let reply = client.post(url).body(members.to_string()).send().await;
    let reply = reply.unwrap();
    let (status, text) = (reply.status(), reply.text().await.unwrap());
    assert!(status.is_success(), "{order}: {text}");
    serde_json::from_str(&text).unwrap()
}

/// What the stand-in's coin is called.
pub(crate) const STAKE: &str = "stake";
/// Where fees go, on every chain whose addresses begin with `cosmos`.
const FEE_COLLECTOR: &str = "cosmos17xpfvakm2amg962yls6f84z3kell8c5lserqta";

impl Testnet for CosmosNode {
    fn settings(&self) -> Value {
        json!({
            "kind": "cosmos",
            "nodes": [{"url": self.rest(), "rpc_url": self.rpc()}],
            "chain_id": "stand-in-1",
            "prefix": "cosmos",
            "denom": STAKE,
            "fee_denom": STAKE,
            "gas_price": "0.025",
            "gas": 120_000,
            "gas_each": 50_000,
            "memo": "faucet drop",
            "timeout_blocks": 20,
        })
    }

    async fn fund(&self, address: &str, sum: u128) {
        let members = json!({"address": address, "coins": format!("{sum}{STAKE}")});
        self.admin("balance", members).await;
    }

    async fn balances(&self, addresses: &[&str]) -> Vec<u128> {
        let ledger = self.ledger().await;
        let balance = |address: &&str| {
            let sum = ledger.balances.get(*address)?.get(STAKE)?;
            Some(sum.parse().unwrap())
        };
        addresses
            .iter()
            .map(|address| balance(address).unwrap_or(0))
            .collect()
    }

    async fn sent(&self, sender: &str) -> Vec<Sent> {
        let ledger = self.ledger().await;
        let of_sender = ledger.transactions.into_iter();
        of_sender
            .filter(|entry| entry.sender == sender)
            .map(|entry| Sent {
                sequence: entry.sequence,
                hash: entry.hash,
                height: entry.height,
                made: entry.code == 0,
            })
            .collect()
    }

    /// Nobody else pays any on the stand-in.
    async fn fees(&self, _: &str) -> u128 {
        self.balance(FEE_COLLECTOR).await
    }
}
