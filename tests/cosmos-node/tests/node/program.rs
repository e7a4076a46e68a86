//! The stand-in as a program.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::http::get;
use crate::wallet::faucet;

const PATIENCE: Duration = Duration::from_secs(30);

fn program() -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_cosmos-node"));
    program.stdout(Stdio::piped()).stderr(Stdio::piped());
    program
}

/// A running program, which ends with the test.
struct Running(Child);

impl Running {
    fn has_ended(&mut self) -> ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status;
            }
            assert!(began.elapsed() < PATIENCE, "it does not end");
            std::thread::yield_now();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn refused(arguments: &[&str]) -> String {
    let ended = program().args(arguments).output().unwrap();
    assert_eq!(ended.status.code(), Some(2));
    assert!(ended.stdout.is_empty());
    String::from_utf8(ended.stderr).unwrap()
}

#[tokio::test]
async fn it_runs_until_it_is_told_to_end() {
    let fund = format!("{}=1000stake,5uatom", faucet());
    for signal in ["-TERM", "-INT"] {
        let mut running = program()
            .args(["--chain-id", "bin-1", "--fund", &fund])
            .args(["--block-ms", "10", "--peers", "1"])
            .spawn()
            .map(Running)
            .unwrap();
        let mut ready = String::new();
        let stdout = running.0.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut ready).unwrap();
        let ready: Value = serde_json::from_str(&ready).unwrap();
        let url = |value: &Value| value.as_str().unwrap().to_owned();
        let status = get(&format!("{}/status", url(&ready["rpc"]))).await.body;
        assert_eq!(status["result"]["node_info"]["network"], "bin-1");
        let peer = url(&ready["peers"][0]["rest"]);
        let balances = format!("{peer}/cosmos/bank/v1beta1/balances/{}", faucet());
        assert_eq!(
            get(&balances).await.body["balances"],
            json!([{"denom": "stake", "amount": "1000"}, {"denom": "uatom", "amount": "5"}])
        );

        let id = running.0.id().to_string();
        let sent = Command::new("kill").args([signal, &id]).status().unwrap();
        assert!(sent.success());
        assert_eq!(running.has_ended().code(), Some(0), "{signal}");
    }
}

#[test]
fn wrong_options_are_refused() {
    let message = refused(&["--nonsense"]);
    assert!(
        message.starts_with("unknown option --nonsense\n"),
        "{message}"
    );
    let message = refused(&["--fund", "cosmos1xxx=1stake"]);
    assert!(
        message.starts_with("not an address: cosmos1xxx"),
        "{message}"
    );
    let message = refused(&["--block-ms", "0"]);
    assert_eq!(message, "the block time is zero\n");
}
