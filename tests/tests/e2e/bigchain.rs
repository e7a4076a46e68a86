//! BigchainDB nodes, real ones, and transactions as their clients sign them:
//! of version 2.0, with Ed25519 and crypto-conditions.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use ed25519_dalek::{Signer, SigningKey};
use offchain_ledger::{Id, OutputRef, PublicKey};
use reqwest::Client;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use sha3::Sha3_256;

use crate::beside::Beside;
use crate::harness::{SOON, unique, until};

/// The scripts' own: a server, and who runs it.
const PYTHON: &str = ".local/bigchaindb/bin/python";
const NODE: &str = "scripts/lib/bigchaindb_node.py";

/// Somebody with a key of a ledger.
#[derive(Clone)]
pub(crate) struct Person {
    key: SigningKey,
}

impl Person {
    /// Somebody whom nobody knows.
    pub(crate) fn new() -> Self {
        Self {
            key: SigningKey::from_bytes(&rand::random()),
        }
    }

    fn bytes(&self) -> [u8; 32] {
        self.key.verifying_key().to_bytes()
    }

    /// The public key, as the ledger writes it.
    pub(crate) fn text(&self) -> String {
        bs58::encode(self.bytes()).into_string()
    }

    pub(crate) fn public_key(&self) -> PublicKey {
        self.text().parse().unwrap()
    }

    /// The condition that this person fulfils, with its cost.
    fn condition(&self) -> (Vec<u8>, u64) {
        let contents = der(0x30, &der(0x80, &self.bytes()));
        let fingerprint = der(0x80, &Sha256::digest(contents));
        let cost = der(0x81, &whole(COST));
        (der(0xa4, &[fingerprint, cost].concat()), COST)
    }

    fn fulfilment(&self, message: &[u8]) -> Vec<u8> {
        let signature = self.key.sign(message).to_bytes();
        let parts = [der(0x80, &self.bytes()), der(0x81, &signature)];
        der(0xa4, &parts.concat())
    }
}

/// What a signature costs.
const COST: u64 = 131_072;

/// A tag of DER with its contents.
fn der(tag: u8, contents: &[u8]) -> Vec<u8> {
    let length = contents.len();
    let mut der = vec![tag];
    match u8::try_from(length) {
        Ok(short) if short < 128 => der.push(short),
        Ok(byte) => der.extend([0x81, byte]),
        Err(_) => {
            der.push(0x82);
            der.extend(u16::try_from(length).unwrap().to_be_bytes());
        }
    }
    der.extend(contents);
    der
}

/// A whole number that is positive, as DER has it.
fn whole(number: u64) -> Vec<u8> {
    let bytes = number.to_be_bytes();
    let from = bytes.iter().position(|byte| *byte != 0).unwrap_or(7);
    let sign = (bytes[from] >= 128).then_some(0);
    sign.into_iter()
        .chain(bytes[from..].iter().copied())
        .collect()
}

/// Who has how much of an asset from now on: all of them, together.
#[derive(Clone, Copy)]
pub(crate) struct To<'a>(pub(crate) &'a [&'a Person], pub(crate) u64);

impl To<'_> {
    fn json(self) -> Value {
        let Self(owners, amount) = self;
        let one = |owner: &Person| json!({"type": "ed25519-sha-256", "public_key": owner.text()});
        let keys: Vec<_> = owners.iter().map(|owner| owner.text()).collect();
        let (details, uri) = match owners {
            [owner] => {
                let contents = der(0x30, &der(0x80, &owner.bytes()));
                let name = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(contents));
                let uri = format!("ni:///sha-256;{name}?fpt=ed25519-sha-256&cost={COST}");
                (one(owner), uri)
            }
            _ => {
                let parts: Vec<_> = owners.iter().map(|owner| one(owner)).collect();
                let details = json!({
                    "type": "threshold-sha-256", "threshold": owners.len(), "subconditions": parts,
                });
                let mut conditions: Vec<_> =
                    owners.iter().map(|owner| owner.condition().0).collect();
                conditions.sort();
                let threshold = der(0x80, &whole(owners.len() as u64));
                let contents = [threshold, der(0xa1, &conditions.concat())].concat();
                let name = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(der(0x30, &contents)));
                let cost = (COST + 1024) * owners.len() as u64;
                let uri = format!(
                    "ni:///sha-256;{name}?fpt=threshold-sha-256&cost={cost}&subtypes=ed25519-sha-256"
                );
                (details, uri)
            }
        };
        json!({
            "public_keys": keys,
            "amount": amount.to_string(),
            "condition": {"details": details, "uri": uri},
        })
    }
}

/// A transaction that is signed.
#[derive(Clone, Debug)]
pub(crate) struct Tx {
    pub(crate) id: Id,
    /// The asset: its own id where it creates one.
    pub(crate) asset: Id,
    pub(crate) json: Value,
}

/// One that makes an asset.
pub(crate) fn create(by: &Person, data: &Value, metadata: &Value, outputs: &[To<'_>]) -> Tx {
    let input = json!({"owners_before": [by.text()], "fulfills": null, "fulfillment": null});
    let asset = json!({ "data": data });
    signed("CREATE", asset, vec![input], &[&[by]], metadata, outputs)
}

/// One that hands outputs of an asset on: each with its place, and its owners.
pub(crate) fn transfer(
    asset: &Id,
    spent: &[(OutputRef, &[&Person])],
    metadata: &Value,
    outputs: &[To<'_>],
) -> Tx {
    let inputs = spent.iter().map(|(output, owners)| {
        let owners: Vec<_> = owners.iter().map(|owner| owner.text()).collect();
        json!({
            "owners_before": owners,
            "fulfills": {
                "transaction_id": output.transaction_id,
                "output_index": output.output_index,
            },
            "fulfillment": null,
        })
    });
    let signers: Vec<_> = spent.iter().map(|(_, owners)| *owners).collect();
    let (inputs, asset) = (inputs.collect(), json!({ "id": asset }));
    signed("TRANSFER", asset, inputs, &signers, metadata, outputs)
}

/// A car of a lessor's, worth so many cents.
pub(crate) fn car(lessor: &Person, value: u64) -> Tx {
    let data = json!({"car": {"model": "Fiat 500é", "value": value}, "serial": unique()});
    create(lessor, &data, &Value::Null, &[To(&[lessor], 1)])
}

impl Tx {
    pub(crate) fn output(&self, index: u32) -> OutputRef {
        OutputRef {
            transaction_id: self.id.clone(),
            output_index: index,
        }
    }

    /// The same, whose outputs name somebody else than their conditions demand.
    /// A server takes that.
    pub(crate) fn lying(&self, by: &Person, named: &Person) -> Self {
        let mut json = self.json.clone();
        for output in json["outputs"].as_array_mut().unwrap() {
            output["public_keys"] = json!([named.text()]);
        }
        sign(json, &[&[by]])
    }

    /// What hands its only output on to somebody else.
    pub(crate) fn hand_over(&self, from: &Person, to: &Person, metadata: &Value) -> Self {
        let spent = [(self.output(0), &[from] as &[_])];
        transfer(&self.asset, &spent, metadata, &[To(&[to], 1)])
    }
}

fn signed(
    operation: &str,
    asset: Value,
    inputs: Vec<Value>,
    signers: &[&[&Person]],
    metadata: &Value,
    outputs: &[To<'_>],
) -> Tx {
    let outputs: Vec<_> = outputs.iter().map(|output| output.json()).collect();
    let transaction = json!({
        "inputs": inputs, "outputs": outputs, "operation": operation, "metadata": metadata,
        "asset": asset, "version": "2.0", "id": null,
    });
    sign(transaction, signers)
}

fn sign(mut transaction: Value, signers: &[&[&Person]]) -> Tx {
    transaction["id"] = Value::Null;
    for input in transaction["inputs"].as_array_mut().unwrap() {
        input["fulfillment"] = Value::Null;
    }
    let unsigned = canonical(&transaction);
    for (index, owners) in signers.iter().enumerate() {
        let input = &mut transaction["inputs"][index];
        let mut message = Sha3_256::new_with_prefix(&unsigned);
        if let Some(spent) = input["fulfills"].as_object() {
            let id = spent["transaction_id"].as_str().unwrap();
            message.update(format!("{id}{}", spent["output_index"]));
        }
        let message = message.finalize();
        let fulfilment = match owners {
            [owner] => owner.fulfilment(&message),
            _ => {
                let mut parts: Vec<_> = owners
                    .iter()
                    .map(|owner| owner.fulfilment(&message))
                    .collect();
                parts.sort();
                let all = [der(0xa0, &parts.concat()), der(0xa1, &[])];
                der(0xa2, &all.concat())
            }
        };
        input["fulfillment"] = BASE64_URL_SAFE_NO_PAD.encode(fulfilment).into();
    }
    let id = hex::encode(Sha3_256::digest(canonical(&transaction)));
    transaction["id"] = id.as_str().into();
    let id: Id = id.parse().unwrap();
    let asset = transaction["asset"]["id"].as_str();
    Tx {
        asset: asset.map_or_else(|| id.clone(), |asset| asset.parse().unwrap()),
        id,
        json: transaction,
    }
}

/// The text that a ledger hashes, where there are no floating numbers and no
/// control characters in it.
fn canonical(value: &Value) -> String {
    let mut text = String::new();
    write_canonical(value, &mut text);
    text
}

fn write_canonical(value: &Value, text: &mut String) {
    let mut separator = "";
    match value {
        Value::Object(members) => {
            text.push('{');
            for (name, value) in members.iter().collect::<BTreeMap<_, _>>() {
                let _ = write!(text, "{separator}{}:", json!(name));
                write_canonical(value, text);
                separator = ",";
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for item in items {
                text.push_str(separator);
                write_canonical(item, text);
                separator = ",";
            }
            text.push(']');
        }
        other => {
            let _ = write!(text, "{other}");
        }
    }
}

/// The API of a node.
#[derive(Clone)]
pub(crate) struct Bigchain {
    client: Client,
    pub(crate) url: String,
}

impl Bigchain {
    pub(crate) fn at(url: &str) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self {
            client: Client::new(),
            url: url.to_owned(),
        }
    }

    /// What the node answers, and its status. Panics where it does not.
    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        let reply = self.client.get(format!("{}/api/v1{path}", self.url));
        Self::read(reply.send().await.unwrap()).await
    }

    async fn read(reply: reqwest::Response) -> (u16, Value) {
        let status = reply.status().as_u16();
        let text = reply.text().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or_else(|_| text.as_str().into());
        (status, body)
    }

    /// Hands a transaction in, and says what the node says of it.
    pub(crate) async fn post(&self, transaction: &Value, mode: &str) -> (u16, Value) {
        let url = format!("{}/api/v1/transactions?mode={mode}", self.url);
        let request = self.client.post(url).body(transaction.to_string());
        let request = request.header("content-type", "application/json");
        Self::read(request.send().await.unwrap()).await
    }

    /// Hands a transaction in, which the node takes.
    pub(crate) async fn submit(&self, transaction: &Tx) {
        let (status, said) = self.post(&transaction.json, "async").await;
        assert_eq!(status, 202, "{said}: {}", transaction.json);
    }

    /// Hands a transaction in, and waits until it is in a block: the height.
    pub(crate) async fn commit(&self, transaction: &Tx) -> u64 {
        self.submit(transaction).await;
        self.committed(&transaction.id).await
    }

    /// Waits until a transaction is in a block: the height.
    pub(crate) async fn committed(&self, id: &Id) -> u64 {
        let path = format!("/blocks?transaction_id={id}");
        until(&format!("{id} to be in a block"), SOON, async || {
            self.get(&path).await.1[0].as_u64()
        })
        .await
    }

    /// The block at a height; none above the newest.
    pub(crate) async fn block(&self, height: u64) -> Option<Value> {
        let (status, block) = self.get(&format!("/blocks/{height}")).await;
        (status == 200).then_some(block)
    }

    /// The newest height.
    pub(crate) async fn height(&self) -> u64 {
        let mut above = 1;
        while self.block(above).await.is_some() {
            above *= 2;
        }
        let mut below = above / 2;
        while above - below > 1 {
            let middle = below.midpoint(above);
            match self.block(middle).await {
                Some(_) => below = middle,
                None => above = middle,
            }
        }
        below
    }
}

/// A node of a test's own, whose blocks outlive it, until this is dropped.
pub(crate) struct Node {
    pub(crate) chain: Bigchain,
    pub(crate) port: u16,
    pub(crate) stream_port: u16,
    folder: PathBuf,
    options: Vec<String>,
    program: Option<Beside>,
}

impl Node {
    /// A node that makes a block each 0.2 s where there is something to put in
    /// it. Options are those of `bigchaindb_node.py`, and go before that.
    pub(crate) async fn start(options: &[&str]) -> Self {
        let (port, stream_port) = (free_port(), free_port());
        let outputs = PathBuf::from(std::env::var("OFFCHAIN_STACK").unwrap());
        let nodes = outputs.canonicalize().unwrap();
        let folder = nodes.parent().unwrap().join("nodes").join(unique());
        fs::create_dir_all(&folder).unwrap();
        let mut node = Self {
            chain: Bigchain::at(&format!("http://127.0.0.1:{port}")),
            port,
            stream_port,
            folder,
            options: options.iter().map(|option| (*option).to_owned()).collect(),
            program: None,
        };
        node.start_again().await;
        node
    }

    pub(crate) fn url(&self) -> &str {
        &self.chain.url
    }

    /// Starts it, with all the blocks that it had.
    pub(crate) async fn start_again(&mut self) {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let (port, stream_port) = (self.port.to_string(), self.stream_port.to_string());
        let (node, folder) = (root.join(NODE), self.folder.display().to_string());
        let mut arguments = vec![node.to_str().unwrap(), "--block-seconds", "0.2"];
        arguments.extend(self.options.iter().map(String::as_str));
        arguments.extend(["--port", &port, "--stream-port", &stream_port]);
        arguments.extend(["--data", &folder]);
        let (program, ()) = Beside::start(&root.join(PYTHON), &arguments, &[], |line| {
            (line.trim() == "ready").then_some(())
        })
        .await;
        self.program = Some(program);
    }

    /// Ends it, in whatever it does.
    pub(crate) async fn kill(&mut self) {
        let program = self.program.take().unwrap();
        program.signal("KILL");
        program.stop().await;
    }

    /// Sends it a signal, such as `STOP` or `CONT`.
    pub(crate) fn signal(&self, name: &str) {
        self.program.as_ref().unwrap().signal(name);
    }

    /// Makes it forget everything, so that it starts again as another chain.
    /// Only while it does not run.
    pub(crate) fn forget(&self) {
        assert!(self.program.is_none());
        fs::remove_dir_all(&self.folder).unwrap();
        fs::create_dir_all(&self.folder).unwrap();
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        drop(self.program.take());
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

/// A port that nobody listens on.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.local_addr().unwrap().port()
}
