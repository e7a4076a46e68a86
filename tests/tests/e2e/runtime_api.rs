//! A function's own binary, run by the test as Lambda runs it: the deployed
//! environment, the deployed role, and a Runtime API that hands out events.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::harness::{World, full_name, unique};
use crate::twin::signal;
use crate::wire::{self, Call};

/// Why an invocation failed, as Lambda tells its caller.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Failure {
    pub(crate) error_type: String,
    pub(crate) error_message: String,
}

pub(crate) type Outcome = Result<Value, Failure>;

struct Event {
    id: String,
    body: String,
}

/// Lambda's side.
struct Api {
    events: Mutex<UnboundedReceiver<Event>>,
    outcomes: UnboundedSender<Outcome>,
    timeout: Duration,
}

/// One process of a function.
pub(crate) struct Function {
    process: Child,
    events: UnboundedSender<Event>,
    outcomes: Mutex<UnboundedReceiver<Outcome>>,
    timeout: Duration,
}

impl Function {
    /// Starts a process of the function whose AWS is at `endpoint`.
    pub(crate) async fn start(world: &World, role: &str, endpoint: &str) -> Self {
        Self::start_with(world, role, endpoint, &[]).await
    }

    /// Likewise, with other environment variables than the deployed ones.
    pub(crate) async fn start_with(
        world: &World,
        role: &str,
        endpoint: &str,
        variables: &[(&str, &str)],
    ) -> Self {
        let name = world.function(role);
        let deployed = world
            .lambda
            .get_function_configuration()
            .function_name(name)
            .send()
            .await
            .unwrap();
        let environment = deployed.environment.unwrap().variables.unwrap_or_default();
        let timeout = Duration::from_secs(deployed.timeout.unwrap().unsigned_abs().into());
        let role_arn = deployed.role.unwrap();
        let credentials = assume(world, &role_arn).await;
        let (events, to_come) = unbounded_channel();
        let (done, outcomes) = unbounded_channel();
        let api = Arc::new(Api {
            events: Mutex::new(to_come),
            outcomes: done,
            timeout,
        });
        let address = wire::serve(move |call| {
            let api = api.clone();
            async move { api.answer(call).await }
        })
        .await;
        // As `harness::binary`: the tests and the Lambdas are built together.
        let this = std::env::current_exe().unwrap();
        let binary = this.ancestors().nth(2).unwrap().join(full_name(role));
        let process = Command::new(&binary)
            .env_clear()
            .envs(environment)
            .env("AWS_REGION", &world.stack.region)
            .env("AWS_ACCESS_KEY_ID", credentials.access_key_id)
            .env("AWS_SECRET_ACCESS_KEY", credentials.secret_access_key)
            .env("AWS_SESSION_TOKEN", credentials.session_token)
            .env("AWS_ENDPOINT_URL", endpoint)
            .env("AWS_LAMBDA_RUNTIME_API", address)
            .env("AWS_LAMBDA_FUNCTION_NAME", name)
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", binary.display()));
        Self {
            process,
            events,
            outcomes: Mutex::new(outcomes),
            timeout,
        }
    }

    /// One invocation. It panics where Lambda would cut the run off.
    pub(crate) async fn invoke(&self, event: &Value) -> Outcome {
        self.invoke_as(&unique(), event).await
    }

    /// One invocation under an id of its own: an asynchronous retry keeps it.
    pub(crate) async fn invoke_as(&self, id: &str, event: &Value) -> Outcome {
        self.begin(id, event);
        let mut outcomes = self.outcomes.lock().await;
        let outcome = tokio::time::timeout(self.timeout, outcomes.recv()).await;
        outcome
            .unwrap_or_else(|_| panic!("the run takes longer than {} s", self.timeout.as_secs()))
            .unwrap()
    }

    /// Begins an invocation whose end nobody waits for.
    pub(crate) fn begin(&self, id: &str, event: &Value) {
        let event = Event {
            id: id.to_owned(),
            body: event.to_string(),
        };
        self.events.send(event).ok().unwrap();
    }

    /// Sends the process a signal, such as `STOP` or `CONT`.
    pub(crate) fn signal(&self, name: &str) {
        signal(name, &[self.process.id()]);
    }

    /// Ends the process as a crash of the machine would.
    pub(crate) fn kill(self) {
        drop(self);
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The credentials of a role. On AWS none but Lambda could have them.
pub(crate) async fn assume(world: &World, role_arn: &str) -> aws_sdk_sts::types::Credentials {
    aws_sdk_sts::Client::new(&world.config)
        .assume_role()
        .role_arn(role_arn)
        .role_session_name("e2e")
        .send()
        .await
        .unwrap()
        .credentials
        .unwrap()
}

impl Api {
    async fn answer(&self, call: Call) -> Option<Vec<u8>> {
        match call.path().rsplit('/').next()? {
            "next" => self.next().await,
            "response" => self.done(Ok(serde_json::from_slice(&call.body).unwrap())),
            _ => self.done(Err(serde_json::from_slice(&call.body).unwrap())),
        }
    }

    async fn next(&self) -> Option<Vec<u8>> {
        let event = self.events.lock().await.recv().await?;
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap();
        let deadline = (now + self.timeout).as_millis().to_string();
        let arn = "arn:aws:lambda:us-east-1:000000000000:function:e2e";
        let headers = [
            ("Lambda-Runtime-Aws-Request-Id", event.id.as_str()),
            ("Lambda-Runtime-Deadline-Ms", deadline.as_str()),
            ("Lambda-Runtime-Invoked-Function-Arn", arn),
        ];
        Some(wire::reply(200, &headers, &event.body))
    }

    fn done(&self, outcome: Outcome) -> Option<Vec<u8>> {
        self.outcomes.send(outcome).ok()?;
        Some(wire::reply(202, &[], "{}"))
    }
}
