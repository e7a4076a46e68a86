//! What a listener runs with: the variables of the function, as the stack says
//! them, each of which the process's own may replace.

use std::time::Duration;

use aws_config::SdkConfig;
use offchain_function::config;
use offchain_function::config::{ConfigError, Env};
use offchain_ledger_service::{
    Beat, Courier, ListenSettings, Listener, Node, NodeError, Subscribers,
};
use offchain_outbound::Reach;
use offchain_store::ledger::Feed;
use offchain_store::queue::Queue;

use crate::error::CliError;
use crate::stack::{Ledger, Stack};

/// How long the node may take for an answer.
const NODE_TIMEOUT: Duration = Duration::from_secs(10);

/// A listener's settings, read.
pub(crate) struct Settings {
    pub(crate) suite: String,
    pub(crate) subscribers: Subscribers,
    pub(crate) listen: ListenSettings,
    node: String,
    allow_private: bool,
    locks: String,
    deliveries: String,
    dead_letters: String,
}

impl Settings {
    /// The stack's.
    pub(crate) fn of_stack(ledger: &Ledger) -> Result<Self, CliError> {
        Self::read(Some(ledger), |_| None)
    }

    /// The process's over the stack's.
    pub(crate) fn of_process(stack: Option<&Stack>) -> Result<Self, CliError> {
        let ledger = stack.map(Stack::ledger).transpose()?;
        Self::read(ledger, |name| std::env::var(name).ok()).map_err(|error| match stack {
            Some(_) => error,
            None => error.and("a stack has all of them (--stack, OFFCHAIN_STACK)"),
        })
    }

    fn read(
        ledger: Option<&Ledger>,
        process: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, CliError> {
        let variable = |name: &str| {
            process(name)
                .filter(|value| !value.is_empty())
                .or_else(|| ledger?.environment.get(name).cloned())
        };
        Self::parse(Env::new(variable)).map_err(CliError::input)
    }

    fn parse(env: Env<'_>) -> Result<Self, ConfigError> {
        config!(env => Self {
            suite: required "LEDGER_ENVIRONMENT", "the suite's name",
            subscribers: required "LEDGER_SUBSCRIBERS", "the subscribers as JSON",
            listen: required "LEDGER_LISTEN", "the listener's settings as JSON",
            node: required "LEDGER_NODE", "the URL of a node",
            allow_private: required "LEDGER_ALLOW_PRIVATE", "true or false",
            locks: required "LEDGER_LOCKS_TABLE", "a table name",
            deliveries: required "LEDGER_DELIVERIES_TABLE", "a table name",
            dead_letters: required "LEDGER_DELIVERIES_DLQ_URL", "a queue URL",
        })
    }

    /// The lease, the cursor and the deliveries that wait.
    pub(crate) fn feed(&self, sdk: &SdkConfig) -> Feed {
        Feed::new(
            &aws_sdk_dynamodb::Client::new(sdk),
            self.locks.clone(),
            self.deliveries.clone(),
            &self.suite,
        )
    }

    pub(crate) fn node(&self) -> Result<Node, NodeError> {
        Node::new(&self.node, self.reach(), NODE_TIMEOUT)
    }

    fn reach(&self) -> Reach {
        Reach::new(self.allow_private)
    }

    pub(crate) fn listener(
        self,
        sdk: &SdkConfig,
        watch: impl Fn(&Beat) + Send + Sync + 'static,
    ) -> Result<Listener<Node, Courier>, CliError> {
        let unusable = |name, error: &dyn std::error::Error| {
            CliError::input(ConfigError::unusable(name, error))
        };
        let Subscribers(subscribers) = &self.subscribers;
        let secrets = aws_sdk_secretsmanager::Client::new(sdk);
        let timeout = Duration::from_secs(self.listen.timeout_seconds);
        Ok(Listener {
            chain: self
                .node()
                .map_err(|error| unusable("LEDGER_NODE", &error))?,
            carrier: Courier::new(self.reach(), timeout, &secrets, subscribers)
                .map_err(|error| unusable("LEDGER_SUBSCRIBERS", &error))?,
            feed: self.feed(sdk),
            dead_letters: Queue::new(aws_sdk_sqs::Client::new(sdk), self.dead_letters),
            subscribers: self.subscribers.0,
            settings: self.listen,
            watch: Box::new(watch),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::process::ExitCode;

    use super::*;
    use crate::ledger::tests::stack;

    fn read(name: &str, value: &str) -> Result<Settings, CliError> {
        let stack = stack();
        Settings::read(stack.ledger.as_ref(), |asked| {
            (asked == name).then(|| value.to_owned())
        })
    }

    #[test]
    fn the_process_counts_more_than_the_stack() {
        let settings = read("LEDGER_LOCKS_TABLE", "other").unwrap();
        assert_eq!(
            (settings.locks.as_str(), settings.deliveries.as_str()),
            ("other", "deliveries")
        );
        // One that is empty counts as absent.
        assert_eq!(read("LEDGER_LOCKS_TABLE", "").unwrap().locks, "locks");
    }

    #[test]
    fn everything_that_is_missing_is_named_at_once() {
        let error = Settings::read(None, |_| None).err().unwrap();
        for name in crate::ledger::tests::environment().keys() {
            assert!(error.to_string().contains(name), "{name}: {error}");
        }
        assert_eq!(error.exit_code(), ExitCode::from(2));
    }

    #[test]
    fn what_cannot_be_used_is_refused_and_no_address_is_shown() {
        for (name, value) in [
            ("LEDGER_SUBSCRIBERS", "{}"),
            ("LEDGER_LISTEN", "{}"),
            ("LEDGER_ALLOW_PRIVATE", "perhaps"),
        ] {
            let error = read(name, value).err().unwrap();
            assert!(error.to_string().contains(name), "{error}");
        }
        let settings = read("LEDGER_NODE", "https://node.test/hush").unwrap();
        let error = settings.node().unwrap_err().to_string();
        assert!(!error.contains("hush"), "{error}");
    }
}
