//! A copy of the stack on an emulator of its own, made of the emulator's saved
//! state in a second. A test breaks it as it likes: functions are killed,
//! policies taken apart, the emulator itself is ended, and no other test sees it.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::SystemTime;

use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::harness::{SOON, Stack, World, until};
use crate::proxy::Proxy;

/// The scripts' own command line: a folder for state and logs, and a port.
const EMULATOR: &str = "scripts/lib/emulator.py";
const PYTHON: &str = ".venv/bin/python";
/// `scripts/up`'s own steps: the folder below `.local`, the port, and options.
const APPLY: &str = r#"
set -euo pipefail
for part in common tools stack; do source "scripts/lib/$part.sh"; done
stack_use "$1" "$2"
# Nothing but Terraform has made what the twin has.
stack_apply --force -refresh=false -var-file=../tests/stack.tfvars "${@:3}"
"#;

pub(crate) struct Twin {
    pub(crate) world: World,
    folder: PathBuf,
    port: u16,
    /// Where the functions find AWS, if not at the twin itself.
    functions_endpoint: Option<String>,
    emulator: Option<Child>,
}

impl Twin {
    /// A twin that goes on with all that the stack does.
    pub(crate) async fn of_the_stack(name: &str) -> Self {
        let mut twin = Self::copied(name).await;
        twin.start().await;
        twin
    }

    /// A twin on which nothing happens but what the test does: no schedule
    /// triggers, no execution goes on, no message waits. Of the oracle it has
    /// the feed `demo` alone, and no record of any slot; of the rides, none; of
    /// the ledger, nothing but the node, which is the stack's.
    pub(crate) async fn quiet(name: &str) -> Self {
        let mut twin = Self::copied(name).await;
        twin.silence();
        twin.start().await;
        twin
    }

    /// Likewise, with a proxy between its functions and AWS.
    pub(crate) async fn behind_a_proxy(name: &str) -> (Self, Proxy) {
        let mut twin = Self::copied(name).await;
        twin.silence();
        let proxy = Proxy::before(&twin.url()).await;
        twin.functions_endpoint = Some(proxy.url().to_owned());
        twin.start().await;
        (twin, proxy)
    }

    async fn copied(name: &str) -> Self {
        // Nobody changes a setting meanwhile.
        let original = World::shared().await;
        let outputs = PathBuf::from(std::env::var("OFFCHAIN_STACK").unwrap());
        let home = outputs.parent().unwrap();
        let old_port: u16 = read(&home.join("port")).trim().parse().unwrap();
        save(home).await;
        let folder = home.join("twins").join(name);
        if folder.exists() {
            fs::remove_dir_all(&folder).unwrap();
        }
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let moved = |text: &str| {
            ["localhost", "127.0.0.1"]
                .iter()
                .fold(text.to_owned(), |text, host| {
                    text.replace(&format!("{host}:{old_port}"), &format!("{host}:{port}"))
                })
        };
        copy(&home.join("state"), &folder.join("state"), &moved);
        let terraform = read(&home.join("terraform.tfstate"));
        fs::write(folder.join("terraform.tfstate"), moved(&terraform)).unwrap();
        let stack: Stack = serde_json::from_str(&moved(&read(&outputs))).unwrap();
        drop(original);
        let world = World::of(stack, &format!("http://127.0.0.1:{port}")).await;
        let twin = Self {
            world,
            folder,
            port,
            functions_endpoint: None,
            emulator: None,
        };
        twin.forget_claims();
        twin
    }

    /// The stack's account, on the stack's chain, pays what waits at the stack
    /// and nothing that waits at a twin: two such payers know nothing of each
    /// other. A twin that is to pay is pointed at a chain of its own.
    fn forget_claims(&self) {
        let faucet = &self.world.stack.faucet;
        self.change("stepfunctions", |state| {
            let executions = state["executions"]["data"].as_object_mut().unwrap();
            executions.retain(|_, execution| {
                execution["stateMachineArn"] != faucet.state_machine_arn.as_str()
            });
        });
        self.change("sqs", |state| {
            let queue = faucet.queue_url.rsplit('/').next().unwrap();
            for (name, found) in scoped(state, "queues") {
                if name.trim_end_matches('\'').ends_with(&format!("/{queue}")) {
                    found["messages"] = json!([]);
                }
            }
        });
        let tables = [
            &faucet.table,
            &faucet.payouts_table,
            &faucet.locks_table,
            &faucet.limits_table,
        ];
        self.change("dynamodb", |state| {
            for (_, table) in scoped(state, "tables") {
                let name = table["TableName"].as_str().unwrap();
                if tables.iter().any(|table| *table == name) {
                    table["items"].as_object_mut().unwrap().clear();
                }
            }
        });
    }

    /// Takes out of the saved state what goes on by itself.
    fn silence(&self) {
        let (oracle, rides) = (&self.world.stack.oracle, &self.world.stack.rides);
        let ledger = &self.world.stack.ledger;
        let emptied = [
            &oracle.table,
            &rides.table,
            &ledger.events_table,
            &ledger.assets_table,
            &ledger.drivers_table,
            &ledger.deliveries_table,
            &ledger.locks_table,
        ];
        self.change("scheduler", |state| {
            for schedule in scoped(state, "schedules") {
                schedule.1["State"] = json!("DISABLED");
            }
        });
        self.change("stepfunctions", |state| {
            state["executions"]["data"] = json!({});
        });
        self.change("sqs", |state| {
            for queue in scoped(state, "queues") {
                queue.1["messages"] = json!([]);
            }
        });
        self.change("cloudwatch", |state| {
            state["metrics"]["data"] = json!({});
        });
        self.change("dynamodb", |state| {
            for (_, table) in scoped(state, "tables") {
                let name = table["TableName"].as_str().unwrap().to_owned();
                let items = table["items"].as_object_mut().unwrap();
                if emptied.iter().any(|table| **table == name) {
                    items.clear();
                } else if name == oracle.feeds_table {
                    items.retain(|feed, _| feed == "demo");
                }
            }
        });
    }

    /// Changes what the emulator has saved of a service.
    fn change(&self, service: &str, change: impl FnOnce(&mut Value)) {
        let file = self.folder.join("state").join(format!("{service}.json"));
        let mut state: Value = serde_json::from_str(&read(&file)).unwrap();
        change(&mut state["payload"]);
        fs::write(file, state.to_string()).unwrap();
    }

    /// Where all of the twin is: its state, its log and what its functions unpack.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Starts the emulator on the state that it left.
    pub(crate) async fn start(&mut self) {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.folder.join("emulator.log"))
            .unwrap();
        // The shell ends the emulator when its input ends: on `stop`, and when
        // the tests end in whatever way.
        let emulator = Command::new("sh")
            .args(["-c", r#""$@" </dev/null & cat; kill $!; wait $!"#, "sh"])
            .arg(root.join(PYTHON))
            .arg(root.join(EMULATOR))
            .args(["--port", &self.port.to_string(), "--dir"])
            .arg(&self.folder)
            .args(
                self.functions_endpoint
                    .iter()
                    .flat_map(|url| ["--functions-endpoint", url]),
            )
            .stdin(Stdio::piped())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.emulator = Some(emulator);
        until("the twin's emulator to listen", SOON, async || {
            TcpStream::connect(("127.0.0.1", self.port)).await.ok()
        })
        .await;
    }

    /// Applies terraform/ with other variables than the stack's, as the
    /// scripts do.
    pub(crate) async fn apply(&mut self, variables: &[&str]) {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let root = root.canonicalize().unwrap();
        let folder = self.folder.canonicalize().unwrap();
        let name = folder.strip_prefix(root.join(".local")).unwrap();
        let mut apply = Command::new("bash");
        apply
            .args(["-c", APPLY, "apply"])
            .arg(name)
            .arg(self.port.to_string())
            .args(variables.iter().flat_map(|variable| ["-var", variable]))
            .current_dir(root)
            .stdin(Stdio::null());
        let ran = tokio::task::spawn_blocking(move || apply.output());
        let ran = ran.await.unwrap().unwrap();
        assert!(
            ran.status.success(),
            "{}{}",
            String::from_utf8_lossy(&ran.stdout),
            String::from_utf8_lossy(&ran.stderr)
        );
        let stack = serde_json::from_str(&read(&folder.join("stack.json"))).unwrap();
        self.world = World::of(stack, &self.url()).await;
    }

    /// Asks the emulator to end, as `scripts/down` does, and waits until it has.
    pub(crate) fn stop(&mut self) {
        if let Some(mut emulator) = self.emulator.take() {
            drop(emulator.stdin.take());
            let _ = emulator.wait();
        }
    }

    /// The processes that run a function now.
    pub(crate) async fn processes(&self, role: &str) -> Vec<u32> {
        let name = self.world.function(role);
        let function = self
            .world
            .lambda
            .get_function_configuration()
            .function_name(name);
        let hash = function.send().await.unwrap().code_sha256.unwrap();
        let hash = hex::encode(BASE64_STANDARD.decode(hash).unwrap());
        // Where the emulator unpacks a function's code.
        let folder = self.folder.join("tmp");
        processes_in(&format!(
            "{}/ministack-provided-code-{}/{hash}/",
            folder.display(),
            self.port
        ))
    }
}

impl Drop for Twin {
    fn drop(&mut self) {
        self.stop();
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

/// Has the emulator write its state down.
async fn save(home: &Path) {
    let pid = read(&home.join("emulator.pid"));
    let pid = pid.lines().next().unwrap();
    let asked = SystemTime::now();
    until("the emulator to save its state", SOON, async || {
        signal("USR1", &[pid.parse().unwrap()]);
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        // What tests change. A service that changes while it is copied keeps
        // its earlier file; requests that come and go are no part of a twin.
        ["iam", "lambda", "secretsmanager"]
            .iter()
            .all(|service| {
                let file = home.join("state").join(format!("{service}.json"));
                fs::metadata(file).unwrap().modified().unwrap() > asked
            })
            .then_some(())
    })
    .await;
}

/// What a service has saved under a name, by its scope and its own key.
fn scoped<'a>(
    state: &'a mut Value,
    name: &str,
) -> impl Iterator<Item = (&'a String, &'a mut Value)> {
    state[name]["data"].as_object_mut().unwrap().iter_mut()
}

/// Copies a folder; the texts in it, which are all JSON, are changed.
fn copy(from: &Path, to: &Path, change: &impl Fn(&str) -> String) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (source, target) = {
            let entry = entry.unwrap();
            (entry.path(), to.join(entry.file_name()))
        };
        if source.is_dir() {
            copy(&source, &target, change);
        } else if source
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            fs::write(target, change(&read(&source))).unwrap();
        } else {
            // One that is being written goes away under its final name.
            let _ = fs::copy(&source, target);
        }
    }
}

fn read(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// The processes whose command begins with a text.
fn processes_in(command: &str) -> Vec<u32> {
    if !Path::new("/proc/self").exists() {
        let all = Command::new("ps")
            .args(["-A", "-o", "pid=,command="])
            .output()
            .unwrap()
            .stdout;
        let all = String::from_utf8_lossy(&all).into_owned();
        return all
            .lines()
            .filter_map(|line| line.trim_start().split_once(' '))
            .filter(|(_, started)| started.trim_start().starts_with(command))
            .map(|(pid, _)| pid.parse().unwrap())
            .collect();
    }
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok())
        .filter(|pid| {
            // It may be gone by now.
            let started = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            started.starts_with(command.as_bytes())
        })
        .collect()
}

/// Sends a signal to processes; one that is gone is no matter.
pub(crate) fn signal(name: &str, pids: &[u32]) {
    let pids = pids.iter().map(ToString::to_string);
    let script = r#"kill -s "$@" 2>/dev/null"#;
    let _ = Command::new("sh")
        .args(["-c", script, "sh", name])
        .args(pids)
        .status()
        .unwrap();
}
