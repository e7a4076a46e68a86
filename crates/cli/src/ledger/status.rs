//! `offchain ledger status`, and the ledger's part of `offchain status`.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use aws_config::SdkConfig;
use clap::Args;
use jiff::Timestamp;
use offchain_ledger_service::Chain;
use offchain_store::Moment;
use offchain_store::ledger::{Cursor, Delivery};
use offchain_store::locks::LockState;
use serde::Serialize;

use crate::aws;
use crate::dlq::{age, clean, count};
use crate::error::CliError;
use crate::ledger::assets::counted;
use crate::ledger::listen::meant;
use crate::ledger::settings::Settings;
use crate::ledger::{coded, secret};
use crate::output::{Output, bad, good, warning};
use crate::secret::Secret;
use crate::stack::{Ledger, Stack};
use crate::status::count_messages;

/// How long the node may take to answer.
const PATIENCE: Duration = Duration::from_secs(15);
/// As the alarm has it where nobody sets it.
const LAG: u64 = 100;
/// After so many tries a subscriber is no longer just restarting.
const TRIES: u32 = 3;
/// A secret that cannot be read from here.
const UNREADABLE: &str = "unreadable";

#[derive(Args)]
#[command(
    after_help = "Exit: 0 all is well, 1 nobody listens, the node does not answer, the listener is \
                  too far behind, a subscriber does not take its webhooks or has no secret, something \
                  waits for one who is none any more, or there are dead letters"
)]
pub(crate) struct Status {
    /// How many heights the listener may be behind the chain.
    #[arg(long, value_name = "HEIGHTS", default_value_t = LAG)]
    lag: u64,
}

/// What is known of a ledger.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// What is wrong: `no_listener`, `node_unreachable`, `behind`,
    /// `chain_reset`, `undelivered`, `unsubscribed`, `dead_letters`,
    /// `secret_unusable`.
    problems: Vec<&'static str>,
    /// Up to where everything is delivered or kept; `None` before the first listener.
    cursor: Option<u64>,
    /// `None` where the node was not asked, or did not answer.
    chain: Option<u64>,
    lag: Option<u64>,
    /// Why the node gave no height, with a code.
    #[serde(skip_serializing_if = "Option::is_none")]
    node_error: Option<String>,
    listener: Option<Listener>,
    deliveries: Vec<Waiting>,
    /// What waits for those who are subscribers no more.
    unsubscribed: BTreeMap<String, usize>,
    /// Dead letters by queue, where they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    dead_letters: Option<Vec<Letters>>,
    /// What each subscriber's secret is, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    secrets: Option<Vec<Held>>,
}

/// Who has, or had, the lease.
#[derive(Debug, Serialize)]
struct Listener {
    /// `None` where it was given back.
    holder: Option<u64>,
    /// The time that the holder's run was meant for.
    meant_time: Option<Timestamp>,
    written_time: Timestamp,
    age_seconds: i64,
    /// Whether nobody listens: the lease expired, or was given back.
    is_expired: bool,
}

/// What waits for a subscriber.
#[derive(Debug, Serialize)]
struct Waiting {
    subscriber: String,
    waiting: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest: Option<Oldest>,
}

/// The first in the chain's order.
#[derive(Debug, Serialize)]
struct Oldest {
    height: Option<u64>,
    transaction_id: String,
    attempts: u32,
    next_attempt: Moment,
    reason: Option<String>,
}

#[derive(Debug, Serialize)]
struct Letters {
    queue: String,
    letters: u64,
}

#[derive(Debug, Serialize)]
struct Held {
    subscriber: String,
    /// `usable`, `missing`, `unusable` or `unreadable`.
    secret: &'static str,
}

/// What was found at one moment.
struct Seen {
    lock: Option<(LockState, Option<Cursor>)>,
    lease: Duration,
    /// What the node says; `None` where it was not asked.
    chain: Option<Result<u64, String>>,
    waiting: Vec<(String, Vec<Delivery>)>,
    unsubscribed: BTreeMap<String, usize>,
    letters: Option<Vec<Letters>>,
    secrets: Option<Vec<Held>>,
    now: Timestamp,
}

impl Status {
    pub(crate) async fn run(self, stack: &Stack, output: &Output) -> Result<ExitCode, CliError> {
        let ledger = stack.ledger()?;
        let config = aws::config(stack).await;
        let settings = Settings::of_stack(ledger)?;
        let (seen, chain, letters, secrets) = tokio::join!(
            Seen::of_tables(&settings, &config),
            ask(&settings),
            letters(stack, &config),
            secrets(ledger, &config)
        );
        let seen = Seen {
            chain: Some(chain),
            letters: Some(letters?),
            secrets: Some(secrets),
            ..seen?
        };
        let report = Report::of(seen, self.lag);
        output.show(&report, |output| {
            output.title(format!("Ledger of {}", stack.name));
            report
                .lines()
                .into_iter()
                .for_each(|line| output.line(line));
        })?;
        Ok(ExitCode::from(u8::from(!report.problems.is_empty())))
    }
}

/// The ledger's part of `offchain status`, of the tables alone; `None` where
/// the deployment has no ledger.
pub(crate) async fn report(stack: &Stack, config: &SdkConfig) -> Result<Option<Report>, CliError> {
    let Some(ledger) = &stack.ledger else {
        return Ok(None);
    };
    let settings = Settings::of_stack(ledger)?;
    let seen = Seen::of_tables(&settings, config).await?;
    Ok(Some(Report::of(seen, LAG)))
}

/// The chain's height; or why it is not known, with a code.
async fn ask(settings: &Settings) -> Result<u64, String> {
    let node = settings.node().map_err(|error| coded(&error))?;
    match tokio::time::timeout(PATIENCE, node.height()).await {
        Ok(height) => height.map_err(|error| coded(&error)),
        Err(_) => Err(format!(
            "RemoteTimedOut: no answer for {} s",
            PATIENCE.as_secs()
        )),
    }
}

/// What the ledger's own dead-letter queues hold.
async fn letters(stack: &Stack, config: &SdkConfig) -> Result<Vec<Letters>, CliError> {
    let own = format!("{}-ledger-", stack.name);
    let queues = stack
        .queues
        .iter()
        .filter(|(name, queue)| queue.dead_letter && name.starts_with(&own));
    let reports = count_messages(queues, config).await?;
    Ok(reports
        .into_iter()
        .map(|report| Letters {
            queue: report.name,
            letters: report.waiting + report.delayed + report.in_flight,
        })
        .collect())
}

async fn secrets(ledger: &Ledger, config: &SdkConfig) -> Vec<Held> {
    let mut held = Vec::new();
    for subscriber in &ledger.subscribers {
        let secret = Secret::of(config, &subscriber.secret_arn);
        held.push(Held {
            subscriber: subscriber.name.clone(),
            // Whoever looks after the listener need not be allowed to read them.
            secret: secret::state(&secret).await.unwrap_or(UNREADABLE),
        });
    }
    held
}

impl Seen {
    async fn of_tables(settings: &Settings, config: &SdkConfig) -> Result<Self, CliError> {
        let feed = settings.feed(config);
        let mut waiting = Vec::new();
        for subscriber in &settings.subscribers.0 {
            let name = subscriber.name.clone();
            let deliveries = feed.deliveries.waiting(&name).await?;
            waiting.push((name, deliveries));
        }
        let subscribers: Vec<_> = waiting.iter().map(|(name, _)| name.as_str()).collect();
        let unsubscribed = feed.deliveries.waiting_for_others(&subscribers).await?;
        Ok(Self {
            lock: feed.look().await?,
            lease: settings.listen.lease(),
            chain: None,
            waiting,
            unsubscribed,
            letters: None,
            secrets: None,
            now: Timestamp::now(),
        })
    }
}

impl Report {
    fn of(seen: Seen, most: u64) -> Self {
        let now = seen.now;
        let (listener, cursor) = match &seen.lock {
            None => (None, None),
            Some((state, cursor)) => {
                let listener = Listener::of(state, seen.lease, now);
                let cursor = cursor.as_ref().map(|cursor| cursor.height);
                (Some(listener), cursor)
            }
        };
        let (chain, node_error) = match seen.chain {
            None => (None, None),
            Some(Ok(height)) => (Some(height), None),
            Some(Err(error)) => (None, Some(clean(&error))),
        };
        let lag = chain.map(|chain| chain.saturating_sub(cursor.unwrap_or(0)));
        let is_shorter = chain.zip(cursor).is_some_and(|(chain, at)| chain < at);
        let undelivered = seen.waiting.iter().flat_map(|(_, all)| all);
        let undelivered = undelivered.map(|one| one.attempts).max().unwrap_or(0) >= TRIES;
        let letters = seen.letters.iter().flatten().any(|one| one.letters > 0);
        let secret = seen.secrets.iter().flatten();
        let secret = secret
            .filter(|held| matches!(held.secret, "missing" | "unusable"))
            .count();
        let problems = [
            (
                listener.as_ref().is_none_or(|listener| listener.is_expired),
                "no_listener",
            ),
            (node_error.is_some(), "node_unreachable"),
            (is_shorter, "chain_reset"),
            (lag.is_some_and(|lag| lag > most), "behind"),
            (undelivered, "undelivered"),
            (!seen.unsubscribed.is_empty(), "unsubscribed"),
            (letters, "dead_letters"),
            (secret > 0, "secret_unusable"),
        ];
        Self {
            problems: problems
                .into_iter()
                .filter_map(|(is_so, problem)| is_so.then_some(problem))
                .collect(),
            cursor,
            chain,
            lag,
            node_error,
            listener,
            deliveries: seen.waiting.into_iter().map(Waiting::of).collect(),
            unsubscribed: seen.unsubscribed,
            dead_letters: seen.letters,
            secrets: seen.secrets,
        }
    }

    /// For a person.
    pub(crate) fn lines(&self) -> Vec<String> {
        let row = |name: &str, text: String| format!("{name:<10} {text}");
        let mut lines = vec![row("state", self.state())];
        lines.push(row("listener", self.listener_text()));
        lines.push(row(
            "cursor",
            match self.cursor {
                Some(height) => format!("height {height}"),
                None => "none yet".to_owned(),
            },
        ));
        match (self.chain, &self.node_error) {
            (Some(height), _) => {
                let lag = match self.lag.unwrap_or(0) {
                    0 => "nothing to be read".to_owned(),
                    lag => format!("{} to be read", counted(lag, "height")),
                };
                lines.push(row("chain", format!("height {height}, {lag}")));
            }
            (None, Some(error)) => lines.push(row("chain", bad(error))),
            (None, None) => {}
        }
        let mut name = "deliveries";
        for waiting in &self.deliveries {
            lines.push(row(name, waiting.text()));
            name = "";
            lines.extend(waiting.oldest.as_ref().map(|oldest| row("", oldest.text())));
        }
        for (name, waiting) in &self.unsubscribed {
            let waiting = waiting_text(name, *waiting);
            lines.push(row("", bad(format!("{waiting}, and it is no subscriber"))));
            let way_out = format!("`offchain ledger forget {name}` drops them");
            lines.push(row("", way_out));
        }
        for (place, letters) in self.letters().enumerate() {
            let name = if place == 0 { "letters" } else { "" };
            lines.push(row(name, letters));
        }
        for (place, held) in self.secrets.iter().flatten().enumerate() {
            let name = if place == 0 { "secrets" } else { "" };
            lines.push(row(name, held.text()));
        }
        lines
    }

    fn state(&self) -> String {
        if self.problems.is_empty() {
            return good("all is well");
        }
        let said: Vec<_> = self
            .problems
            .iter()
            .map(|problem| match *problem {
                "no_listener" => "nobody listens",
                "node_unreachable" => "the node does not answer",
                "chain_reset" => "the chain is shorter than the cursor",
                "behind" => "the listener is behind",
                "undelivered" => "webhooks are not taken",
                "unsubscribed" => "webhooks wait for one who is no subscriber",
                "dead_letters" => "dead letters",
                _ => "a secret is missing or unusable",
            })
            .collect();
        bad(said.join("; "))
    }

    fn listener_text(&self) -> String {
        let Some(listener) = &self.listener else {
            return bad("nobody ever listened");
        };
        let ago = age(u64::try_from(listener.age_seconds).unwrap_or(0));
        match (listener.holder, listener.meant_time) {
            (None, _) => bad(format!("nobody: the lease was given back {ago} ago")),
            (Some(_), Some(meant)) if listener.is_expired => bad(format!(
                "the one of {meant} is gone, the lease was last renewed {ago} ago"
            )),
            (Some(_), Some(meant)) => format!("the one of {meant}, renewed {ago} ago"),
            (Some(holder), None) => format!("{holder}, renewed {ago} ago"),
        }
    }

    fn letters(&self) -> impl Iterator<Item = String> {
        let letters = self.dead_letters.as_deref();
        let held = letters.unwrap_or_default().iter();
        let held: Vec<_> = held
            .filter(|one| one.letters > 0)
            .map(|one| bad(format!("{} in {}", one.letters, one.queue)))
            .collect();
        let none = (letters.is_some() && held.is_empty()).then(|| "none".to_owned());
        none.into_iter().chain(held)
    }
}

impl Listener {
    fn of(state: &LockState, lease: Duration, now: Timestamp) -> Self {
        Self {
            holder: state.holder,
            meant_time: state.holder.and_then(meant),
            written_time: state.written,
            age_seconds: now.duration_since(state.written).as_secs().max(0),
            is_expired: state.holder_at(now, lease).is_none(),
        }
    }
}

impl Waiting {
    fn of((subscriber, deliveries): (String, Vec<Delivery>)) -> Self {
        // Those behind the first of an asset were never tried, and have no reason.
        let tried = deliveries.iter().find(|delivery| delivery.attempts > 0);
        let oldest = tried.or(deliveries.first()).map(|delivery| Oldest {
            height: delivery.event.height,
            transaction_id: delivery.event.transaction_id.to_string(),
            attempts: delivery.attempts,
            next_attempt: delivery.next_attempt,
            reason: delivery.reason.as_deref().map(clean),
        });
        Self {
            subscriber,
            waiting: deliveries.len(),
            oldest,
        }
    }

    fn text(&self) -> String {
        let text = waiting_text(&self.subscriber, self.waiting);
        if self.waiting == 0 {
            text
        } else {
            warning(text)
        }
    }
}

fn waiting_text(subscriber: &str, waiting: usize) -> String {
    match waiting {
        0 => format!("{subscriber}: none wait"),
        1 => format!("{subscriber}: 1 waits"),
        waiting => format!("{subscriber}: {waiting} wait"),
    }
}

impl Oldest {
    fn text(&self) -> String {
        let height = self
            .height
            .map_or(String::new(), |height| format!(" at height {height}"));
        let tries = usize::try_from(self.attempts).unwrap_or(usize::MAX);
        let next = self.next_attempt.timestamp().strftime("%H:%M:%SZ");
        format!(
            "the oldest{height}: {}, {}, again at {next}",
            count(tries, "try").replace("trys", "tries"),
            self.reason.as_deref().unwrap_or("no answer yet"),
        )
    }
}

impl Held {
    fn text(&self) -> String {
        let name = &self.subscriber;
        match self.secret {
            "usable" => format!("{name}: there"),
            UNREADABLE => warning(format!("{name}: cannot be read from here")),
            state => bad(format!(
                "{name}: {state}; `offchain ledger secret rotate {name}` makes one"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use offchain_store::test_util::{FakeAws, answer, item, items, refusal, secret as holding};
    use serde_json::{Value, json};

    use super::*;
    use crate::ledger::tests::{id, stack};
    use crate::output::plain;

    const NOW: &str = "2026-11-21T11:00:00Z";

    fn now() -> Timestamp {
        NOW.parse().unwrap()
    }

    fn lock(holder: Option<u64>, age: i64) -> (LockState, Option<Cursor>) {
        let state = LockState {
            holder,
            written: now() - jiff::SignedDuration::from_secs(age),
            token: 3,
            value: None,
        };
        let cursor = Cursor {
            height: 40,
            mark: None,
        };
        (state, Some(cursor))
    }

    fn meant_now() -> Option<u64> {
        u64::try_from(now().as_millisecond()).ok()
    }

    fn delivery(height: u64, attempts: u32, reason: Option<&str>) -> Value {
        let mut delivery = json!({
            "subscriber": "fleet",
            "position": format!("{height:020}"),
            "event": {"height": height, "asset_id": id('a'), "transaction_id": id('b')},
            "attempts": attempts,
            "next_attempt": "2026-11-21T11:05:00.000Z",
        });
        if let Some(reason) = reason {
            delivery["reason"] = reason.into();
        }
        delivery
    }

    fn seen() -> Seen {
        Seen {
            lock: Some(lock(meant_now(), 1)),
            lease: Duration::from_secs(4),
            chain: Some(Ok(42)),
            waiting: vec![("ledger".to_owned(), Vec::new())],
            unsubscribed: BTreeMap::new(),
            letters: Some(vec![Letters {
                queue: "offchain-ledger-deliveries-dlq".to_owned(),
                letters: 0,
            }]),
            secrets: Some(vec![Held {
                subscriber: "ledger".to_owned(),
                secret: "usable",
            }]),
            now: now(),
        }
    }

    fn told(report: &Report) -> String {
        plain(&report.lines().join("\n"))
    }

    #[test]
    fn all_is_well_where_somebody_listens() {
        let report = Report::of(seen(), LAG);
        assert!(report.problems.is_empty(), "{:?}", report.problems);
        assert_eq!(
            told(&report),
            format!(
                "state      all is well\n\
                 listener   the one of {NOW}, renewed 1 s ago\n\
                 cursor     height 40\n\
                 chain      height 42, 2 heights to be read\n\
                 deliveries ledger: none wait\n\
                 letters    none\n\
                 secrets    ledger: there"
            )
        );
    }

    #[test]
    fn what_is_wrong_is_said() {
        let late: Vec<Delivery> = [delivery(7, 3, Some("RemoteStatus")), delivery(8, 0, None)]
            .map(|item| serde_json::from_value(item).unwrap())
            .into();
        let report = Report::of(
            Seen {
                lock: Some(lock(meant_now(), 60)),
                chain: Some(Err("RemoteUnreachable: the server".to_owned())),
                waiting: vec![("fleet".to_owned(), late)],
                unsubscribed: BTreeMap::from([("gone".to_owned(), 3)]),
                letters: Some(vec![Letters {
                    queue: "offchain-ledger-deliveries-dlq".to_owned(),
                    letters: 2,
                }]),
                secrets: Some(vec![Held {
                    subscriber: "fleet".to_owned(),
                    secret: "missing",
                }]),
                ..seen()
            },
            LAG,
        );
        assert_eq!(
            report.problems,
            [
                "no_listener",
                "node_unreachable",
                "undelivered",
                "unsubscribed",
                "dead_letters",
                "secret_unusable"
            ]
        );
        let told = told(&report);
        for part in [
            "listener   the one of 2026-11-21T11:00:00Z is gone, the lease was last renewed 60 s ago",
            "chain      RemoteUnreachable: the server",
            "deliveries fleet: 2 wait",
            "the oldest at height 7: 3 tries, RemoteStatus, again at 11:05:00Z",
            "gone: 3 wait, and it is no subscriber\n           `offchain ledger forget gone` drops them\n",
            "letters    2 in offchain-ledger-deliveries-dlq",
            "secrets    fleet: missing; `offchain ledger secret rotate fleet` makes one",
        ] {
            assert!(told.contains(part), "{part} is not in {told}");
        }
    }

    #[test]
    fn a_chain_that_is_far_ahead_or_shorter_is_wrong() {
        let of = |chain, most| {
            let chain = Some(Ok(chain));
            Report::of(Seen { chain, ..seen() }, most).problems
        };
        assert!(of(40, 0).is_empty());
        assert_eq!(of(141, LAG), ["behind"]);
        assert_eq!(of(39, LAG), ["chain_reset"]);
        let nobody = |lock| Report::of(Seen { lock, ..seen() }, LAG);
        assert_eq!(nobody(None).problems, ["no_listener"]);
        let given_back = nobody(Some(lock(None, 1)));
        assert_eq!(given_back.problems, ["no_listener"]);
        assert!(told(&given_back).contains("given back 1 s ago"));
    }

    #[tokio::test]
    async fn the_overview_is_of_the_tables_alone() {
        let lock = json!({
            "Name": "offchain-ledger-listener", "LockerID": 1, "Token": 3, "LastWrite": 1,
            "Value": r#"{"height":12}"#,
        });
        let aws = FakeAws::new()
            .on("GetItem", item(&lock))
            .about("fleet", "Query", items(&[delivery(7, 1, None)]))
            .always("Query", items(&[]))
            .on(
                "Scan",
                items(&[
                    json!({"subscriber": "fleet"}),
                    json!({"subscriber": "gone"}),
                ]),
            );
        let report = report(&stack(), &aws.sdk_config()).await.unwrap().unwrap();
        let json = json!(report);
        assert_eq!(json["problems"], json!(["no_listener", "unsubscribed"]));
        assert_eq!(json["unsubscribed"], json!({"gone": 1}));
        assert_eq!(
            (&json["cursor"], &json["chain"]),
            (&json!(12), &Value::Null)
        );
        assert_eq!(json["deliveries"][1]["oldest"]["height"], 7);
        assert_eq!(json.get("secrets"), None);
    }

    #[tokio::test]
    async fn letters_and_secrets_are_the_ledger_s_own() {
        let aws = FakeAws::new()
            .on(
                "GetQueueAttributes",
                answer(json!({"Attributes": {"ApproximateNumberOfMessages": "3"}})),
            )
            .about("arn:ledger", "GetSecretValue", holding("1", "hush"))
            .on("GetSecretValue", holding("1", ""))
            .on("GetSecretValue", refusal(400, "AccessDeniedException"));
        let (stack, config) = (stack(), aws.sdk_config());
        let letters = letters(&stack, &config).await.unwrap();
        assert_eq!(
            json!(letters),
            json!([{"queue": "offchain-ledger-deliveries-dlq", "letters": 3}])
        );
        let held = secrets(stack.ledger().unwrap(), &config).await;
        let states: Vec<_> = held.iter().map(|held| held.secret).collect();
        assert_eq!(states, ["unusable", "missing"]);
        let denied = secrets(stack.ledger().unwrap(), &config).await;
        assert_eq!(denied[1].secret, UNREADABLE);
        let seen = Seen {
            secrets: Some(vec![Held {
                subscriber: "fleet".to_owned(),
                secret: UNREADABLE,
            }]),
            ..seen()
        };
        assert!(Report::of(seen, LAG).problems.is_empty());
    }
}
