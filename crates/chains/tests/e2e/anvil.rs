//! An EVM chain of one test.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

pub(crate) struct Anvil {
    process: Child,
    port: u16,
    client: reqwest::Client,
}

impl Anvil {
    /// Ends the whole target where nothing has brought anvil.
    pub(crate) async fn start(options: &[&str]) -> Self {
        if std::env::var_os("OFFCHAIN_E2E").is_none() {
            // Past the test runner, which captures what tests print.
            let _ = writeln!(
                std::io::stderr(),
                "\n\nSKIPPED: not one payout on a real EVM was made. They need anvil: scripts/test --e2e\n"
            );
            std::process::exit(0);
        }
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::new();
        let process = Command::new(program())
            .args(["--host", "127.0.0.1", "--port", "0", "--accounts", "0"])
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let mut anvil = Self {
            process,
            port: 0,
            client,
        };
        let output = anvil.process.stdout.take().unwrap();
        let mut lines = BufReader::new(output).lines();
        anvil.port = lines
            .find_map(|line| {
                let line = line.unwrap();
                let (_, port) = line.strip_prefix("Listening on ")?.rsplit_once(':')?;
                Some(port.trim().parse().unwrap())
            })
            .expect("anvil says where it listens");
        // Nobody reads on, and a full pipe would stop it.
        std::thread::spawn(move || lines.for_each(drop));
        anvil
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) async fn call(&self, method: &str, params: Value) -> Value {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let request = self
            .client
            .post(self.url())
            .header("content-type", "application/json")
            .body(body.to_string());
        let answer = request.send().await.unwrap().text().await.unwrap();
        let mut answer: Value = serde_json::from_str(&answer).unwrap();
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].take()
    }

    pub(crate) async fn balance(&self, address: &str) -> u128 {
        let balance = self
            .call("eth_getBalance", json!([address, "latest"]))
            .await;
        u128::from_str_radix(&balance.as_str().unwrap()[2..], 16).unwrap()
    }

    pub(crate) async fn set_balance(&self, address: &str, balance: u128) {
        let params = json!([address, format!("{balance:#x}")]);
        self.call("anvil_setBalance", params).await;
    }

    pub(crate) async fn mine(&self, blocks: u64) {
        let params = json!([format!("{blocks:#x}")]);
        self.call("anvil_mine", params).await;
    }
}

impl Drop for Anvil {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The one that npm installed for this platform, else the one on the path.
/// Not npm's wrapper of it: a signal would end that one alone.
fn program() -> PathBuf {
    let npm = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../node_modules/@foundry-rs");
    std::fs::read_dir(npm)
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().path().join("bin/anvil"))
        .find(|path| path.is_file())
        .unwrap_or_else(|| "anvil".into())
}
