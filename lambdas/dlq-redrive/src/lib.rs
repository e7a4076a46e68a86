//! Puts dead letters back where they came from, whatever their source.
//!
//! A letter is counted, sent, marked as sent and only then deleted from its
//! queue. A run that ends between two of these leaves a letter that the next
//! run takes up where it was left: nothing is lost, and what is sent a second
//! time finds its effect done, because each effect of the suite has a key
//! fixed by its event. A letter that was put back as often as is allowed, or
//! that nobody knows where to send, is quarantined: kept whole in a table,
//! with its history.

mod destination;
mod event;
mod metrics;
mod queue;

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::{Duration, Instant};

use aws_types::SdkConfig;
use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use offchain_codes::{Coded, chain};
use offchain_function::config::{ConfigError, Env};
use offchain_function::metrics::emit;
use offchain_function::{Handler, config};
use offchain_redrive::{
    DeadLetter, Destination, DestinationError, Filter, Fingerprint, Letter, Outcome, cut, plan,
};
use offchain_store::redrive::{Attempt, Begun, Ledger, LedgerError, Quarantine};
use offchain_store::{AwsError, StoreError};

use crate::destination::{Destinations, Refusal};
pub use crate::event::{Batch, Done, Observed, Planned, Redriven, Step};
use crate::queue::{DeadLetterQueue, Held, Taken};

/// The most letters that a plan or a batch lists: Step Functions passes on
/// 256 KB at most.
const LISTED: usize = 50;
/// The most letters of one batch.
const MOST_IN_BATCH: u32 = 10;
/// How long a batch may look for letters that the filter takes: what is left of
/// the function's time is for the slowest destination.
const SEARCH_LIMIT: Duration = Duration::from_secs(15);

/// Why a step could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum RedriveError {
    /// The event asks for something that cannot be done.
    #[error("{0}")]
    Input(&'static str),
    /// There is no such queue.
    #[error("{name:?} is no dead-letter queue of this suite: expected one of {}", .known.join(", "))]
    QueueUnknown {
        /// What was given.
        name: String,
        /// Those there are.
        known: Vec<String>,
    },
    /// The queue could not be read.
    #[error("the queue could not be used")]
    Queue(#[from] AwsError),
    /// The history of letters could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Coded for RedriveError {
    fn code(&self) -> &'static str {
        match self {
            Self::Input(_) => "InputInvalid",
            Self::QueueUnknown { .. } => "QueueUnknown",
            Self::Queue(AwsError::Unavailable(_)) => "StoreUnavailable",
            Self::Queue(AwsError::Denied(_)) => "StoreDenied",
            Self::Queue(AwsError::Rejected(_)) => "StoreRejected",
            Self::Store(error) => error.code(),
        }
    }

    fn retryable(&self) -> bool {
        match self {
            Self::Input(_) | Self::QueueUnknown { .. } => false,
            Self::Queue(error) => error.retryable(),
            Self::Store(error) => error.retryable(),
        }
    }
}

/// Where the letters of each queue go that name no destination themselves.
struct Defaults(BTreeMap<String, Option<Destination>>);

/// Why the map of queues cannot be used.
#[derive(Debug, thiserror::Error)]
enum DefaultsError {
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    #[error("{0}: {1}")]
    Destination(String, DestinationError),
}

impl FromStr for Defaults {
    type Err = DefaultsError;

    fn from_str(text: &str) -> Result<Self, DefaultsError> {
        let arns: BTreeMap<String, Option<String>> = serde_json::from_str(text)?;
        let mut defaults = BTreeMap::new();
        for (queue, arn) in arns {
            let destination = arn
                .map(|arn| arn.parse())
                .transpose()
                .map_err(|error| DefaultsError::Destination(queue.clone(), error))?;
            defaults.insert(queue, destination);
        }
        Ok(Self(defaults))
    }
}

struct Config {
    suite: String,
    table: String,
    defaults: Defaults,
    max_redrives: u32,
    hold_seconds: i32,
    history_days: u32,
}

/// Puts the letters back.
pub struct Redriver {
    suite: String,
    ledger: Ledger,
    destinations: Destinations,
    defaults: Defaults,
    max_redrives: u32,
    hold_seconds: i32,
    history: SignedDuration,
}

impl Redriver {
    /// Reads the configuration and makes the clients.
    pub fn from_env(env: Env<'_>, sdk: &SdkConfig) -> Result<Self, ConfigError> {
        let config = config!(env => Config {
            suite: required "DLQ_SUITE", "the suite's name",
            table: required "DLQ_TABLE", "a table name",
            defaults: required "DLQ_DESTINATIONS", "a JSON object: a queue's name to an ARN or null",
            max_redrives: required "DLQ_MAX_REDRIVES", "a number",
            hold_seconds: required "DLQ_HOLD_SECONDS", "seconds",
            history_days: required "DLQ_HISTORY_DAYS", "days",
        })?;
        Ok(Self {
            suite: config.suite,
            ledger: Ledger::new(aws_sdk_dynamodb::Client::new(sdk), config.table),
            destinations: Destinations::new(sdk),
            defaults: config.defaults,
            max_redrives: config.max_redrives,
            hold_seconds: config.hold_seconds,
            history: SignedDuration::from_hours(24 * i64::from(config.history_days)),
        })
    }

    async fn open(&self, name: &str) -> Result<DeadLetterQueue<'_>, RedriveError> {
        let default = self.defaults.0.get(name);
        let default = default.ok_or_else(|| RedriveError::QueueUnknown {
            name: name.to_owned(),
            known: self.defaults.0.keys().cloned().collect(),
        })?;
        let sqs = &self.destinations.sqs;
        Ok(DeadLetterQueue::open(sqs, name, default.as_ref(), self.hold_seconds).await?)
    }

    async fn plan(
        &self,
        name: &str,
        filter: &Filter,
        limit: Option<u32>,
        rate: u32,
    ) -> Result<Planned, RedriveError> {
        if !(1..=100).contains(&rate) {
            return Err(RedriveError::Input("rate: expected 1 to 100 a second"));
        }
        if limit == Some(0) {
            return Err(RedriveError::Input("limit: expected at least 1"));
        }
        let queue = self.open(name).await?;
        let Taken { held, complete } = queue.all().await?;
        queue.release(&held).await;
        let matching: Vec<&DeadLetter> = held
            .iter()
            .filter(|held| filter.matches(&held.letter, &held.body))
            .map(|held| &held.letter)
            .collect();
        let count = u32::try_from(matching.len()).unwrap_or(u32::MAX);
        let plan = plan(count, limit, rate);
        let listed = matching.iter().take(LISTED);
        let letters = join_all(listed.map(|letter| self.summary(letter))).await;
        Ok(Planned {
            held: held.len(),
            matching: matching.len(),
            complete,
            batches: plan
                .batches
                .into_iter()
                .map(|count| Batch { count })
                .collect(),
            concurrency: plan.concurrency,
            letters: letters.into_iter().collect::<Result<_, _>>()?,
        })
    }

    async fn summary(&self, letter: &DeadLetter) -> Result<Letter, StoreError> {
        let entry = self.ledger.load(&letter.fingerprint).await?;
        Ok(letter.summary(entry.map_or(0, |entry| entry.redrives)))
    }

    async fn redrive(
        &self,
        name: &str,
        filter: &Filter,
        count: u32,
        since: Option<Timestamp>,
    ) -> Result<Redriven, RedriveError> {
        if !(1..=MOST_IN_BATCH).contains(&count) {
            return Err(RedriveError::Input("count: expected 1 to 10"));
        }
        let queue = self.open(name).await?;
        let (mut chosen, mut others) = (Vec::new(), Vec::new());
        let searched = self
            .search(&queue, filter, count, since, &mut chosen, &mut others)
            .await;
        queue.release(&others).await;
        if let Err(error) = searched {
            queue.release(&chosen).await;
            return Err(error);
        }
        let letters = join_all(chosen.iter().map(|held| self.put_back(&queue, name, held))).await;
        let counted = |outcome| {
            letters
                .iter()
                .filter(|letter| letter.outcome == Some(outcome))
                .count()
        };
        let redriven = Redriven {
            redriven: counted(Outcome::Redriven),
            failed: counted(Outcome::Failed),
            quarantined: counted(Outcome::Quarantined),
            letters,
        };
        emit(
            metrics::NAMESPACE,
            &[("Suite", &self.suite)],
            metrics::of(&redriven),
            Timestamp::now(),
        );
        Ok(redriven)
    }

    /// Takes messages until enough of them are to be put back.
    async fn search(
        &self,
        queue: &DeadLetterQueue<'_>,
        filter: &Filter,
        count: u32,
        since: Option<Timestamp>,
        chosen: &mut Vec<Held>,
        others: &mut Vec<Held>,
    ) -> Result<(), RedriveError> {
        let start = Instant::now();
        while chosen.len() < count as usize && start.elapsed() < SEARCH_LIMIT {
            let messages = queue.next().await?;
            if messages.is_empty() {
                break;
            }
            let mut messages = messages.into_iter();
            while let Some(held) = messages.next() {
                let wanted =
                    chosen.len() < count as usize && filter.matches(&held.letter, &held.body);
                let fresh = match since {
                    Some(since) if wanted => self.is_fresh(&held.letter, since).await,
                    _ => Ok(true),
                };
                match fresh {
                    Ok(true) if wanted => chosen.push(held),
                    Ok(_) => others.push(held),
                    Err(error) => {
                        others.push(held);
                        others.extend(messages);
                        return Err(error.into());
                    }
                }
            }
        }
        Ok(())
    }

    async fn is_fresh(&self, letter: &DeadLetter, since: Timestamp) -> Result<bool, StoreError> {
        let entry = self.ledger.load(&letter.fingerprint).await?;
        Ok(entry.is_none_or(|entry| !entry.came_back_since(letter, since)))
    }

    /// Brings one letter to an end. Its trouble is no other letter's.
    async fn put_back(&self, queue: &DeadLetterQueue<'_>, name: &str, held: &Held) -> Letter {
        let letter = &held.letter;
        let (outcome, redrives, detail) = match self.send(name, held).await {
            Ok(Sent::Now(redrives)) => (Outcome::Redriven, redrives, None),
            Ok(Sent::Before(redrives)) => {
                let detail = "sent by an earlier run".to_owned();
                (Outcome::Redriven, redrives, Some(detail))
            }
            Ok(Sent::Never(redrives, reason)) => (Outcome::Quarantined, redrives, Some(reason)),
            Err((redrives, refusal)) => {
                let Refusal { code, reason } = refusal;
                (Outcome::Failed, redrives, Some(format!("{code}: {reason}")))
            }
        };
        tracing::info!(
            message_id = letter.message_id,
            fingerprint = letter.fingerprint.as_str(),
            outcome = outcome.as_str(),
            detail,
            "a dead letter"
        );
        if outcome == Outcome::Failed {
            queue.release(std::slice::from_ref(held)).await;
        } else if let Err(error) = queue.delete(held).await {
            // The next run finds it marked as sent, and deletes it.
            let error = chain(&error);
            tracing::warn!(error, "the message could not be deleted");
        }
        letter.summary(redrives).ended(outcome, detail)
    }

    async fn send(&self, name: &str, held: &Held) -> Result<Sent, (u32, Refusal)> {
        let letter = &held.letter;
        let now = Timestamp::now();
        let destination = match &letter.destination {
            Ok(destination) => destination,
            Err(error) => return self.quarantine(name, held, 0, error.to_string()).await,
        };
        let expiration = (now + self.history).as_second();
        let begun = self
            .ledger
            .begin(letter, name, self.max_redrives, expiration)
            .await
            .map_err(|error| (0, ledger_refusal(&error)))?;
        let redrives = match begun {
            Begun::Send(redrives) => redrives,
            Begun::AlreadySent(redrives) => return Ok(Sent::Before(redrives)),
            Begun::Exhausted(redrives) => {
                let reason = format!("put back {redrives} times in vain");
                return self.quarantine(name, held, redrives, reason).await;
            }
        };
        let sent = self
            .destinations
            .send(destination, letter, &held.attributes)
            .await;
        let (code, reason) = match &sent {
            Ok(()) => (&letter.code, &letter.reason),
            Err(refusal) => (&refusal.code, &refusal.reason),
        };
        let attempt = Attempt {
            time: now.into(),
            message_id: letter.message_id.clone(),
            code: code.clone(),
            reason: cut(reason, 1000),
            outcome: if sent.is_ok() {
                Outcome::Redriven
            } else {
                Outcome::Failed
            },
        };
        if let Err(error) = self.ledger.settle(&letter.fingerprint, &attempt).await {
            tracing::warn!(error = chain(&error), "the history lacks a redrive");
        }
        sent.map(|()| Sent::Now(redrives))
            .map_err(|refusal| (redrives, refusal))
    }

    async fn quarantine(
        &self,
        name: &str,
        held: &Held,
        redrives: u32,
        reason: String,
    ) -> Result<Sent, (u32, Refusal)> {
        let quarantine = Quarantine {
            time: Timestamp::now().into(),
            reason: reason.clone(),
            body: held.body.clone(),
            attributes: held.attributes.clone(),
            event: held.letter.event.clone(),
        };
        self.ledger
            .quarantine(&held.letter, name, &quarantine)
            .await
            .map_err(|error| (redrives, ledger_refusal(&error.into())))?;
        Ok(Sent::Never(redrives, reason))
    }

    async fn observe(
        &self,
        name: &str,
        fingerprint: &Fingerprint,
    ) -> Result<Observed, RedriveError> {
        let queue = self.open(name).await?;
        let Taken { held, .. } = queue.all().await?;
        queue.release(&held).await;
        let entry = self.ledger.load(fingerprint).await?;
        let back = held.iter().map(|held| &held.letter).find(|letter| {
            letter.fingerprint == *fingerprint
                && entry.as_ref().is_some_and(|entry| entry.came_back(letter))
        });
        Ok(Observed {
            back: back.is_some(),
            letter: back
                .map(|letter| letter.summary(entry.as_ref().map_or(0, |entry| entry.redrives))),
        })
    }
}

/// What became of a letter that was not refused.
enum Sent {
    /// Its destination took it, at its `n`th redrive.
    Now(u32),
    /// An earlier run had sent it.
    Before(u32),
    /// It is quarantined, after `n` redrives, for this reason.
    Never(u32, String),
}

fn ledger_refusal(error: &LedgerError) -> Refusal {
    Refusal {
        code: error.code().to_owned(),
        reason: chain(error),
    }
}

impl Handler for Redriver {
    const EXPECTS: &'static str = "{action: plan, queue, filter?, limit?, rate?}, {action: redrive, queue, filter?, count, \
         since?} or {action: observe, queue, fingerprint}";
    type Event = Step;
    type Reply = Done;
    type Error = RedriveError;

    async fn handle(&self, step: Step, _: &str) -> Result<Done, RedriveError> {
        match step {
            Step::Plan {
                queue,
                filter,
                limit,
                rate,
            } => self
                .plan(&queue, &filter, limit, rate)
                .await
                .map(Done::Plan),
            Step::Redrive {
                queue,
                filter,
                count,
                since,
            } => self
                .redrive(&queue, &filter, count, since)
                .await
                .map(Done::Redrive),
            Step::Observe { queue, fingerprint } => {
                self.observe(&queue, &fingerprint).await.map(Done::Observe)
            }
        }
    }
}

#[cfg(test)]
mod tests;
