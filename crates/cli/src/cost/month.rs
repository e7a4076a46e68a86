//! A month of each subsystem, at given rates, from what was measured.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use offchain_cost::{
    Architecture, Bill, Dated, Decimal, Dollars, Express, Lambda, MONTH_MINUTES, MONTH_SECONDS,
    Mapping, PriceTable, Quantity, Service, Usage, a_month_of,
};
use serde::Serialize;

use crate::cost::Section;
use crate::cost::answers::Chosen;
use crate::cost::deployment::{Deployment, Ledger, Oracle, Publish, Rides, Vrf};
use crate::cost::layout::table;
use crate::cost::measure::{Function, Machine, Mean, Measures};

/// Rates where nobody says: what the schedule asks for, and one run of the rides' load.
const VRF_REQUESTS_A_DAY: u64 = 1440;
const RIDES_A_DAY: u64 = 1800;
const LEDGER_TRANSACTIONS_A_DAY: u64 = 1440;

// What is taken where nothing was measured.
const RUN_MS: u64 = 50;
/// A run of oracle-publish waits for its slot, and most of it is that.
const PUBLISH_MS: u64 = 1000;
const MEMORY_MB: u32 = 128;
/// A run of ledger-record asks the node, which is not near.
const RECORD_MS: u64 = 200;
/// `Listen`, `IsHandedOver`, `HandedOver`.
const LISTEN_TRANSITIONS: u64 = 3;
/// How often the listener tells its metrics, and the bytes of a line of them.
const BEAT_SECONDS: u32 = 10;
const BEAT_BYTES: u64 = 600;
/// `IsDue`, `WaitUntilDue`, `FulfilRequest`, `Fulfilled`.
const REQUEST_TRANSITIONS: u64 = 4;
/// AWS reckons 50 MB beside definition and data, and bills by 64.
const EXPRESS_MB: u32 = 64;
/// Lines of Lambda and of the function, with what CloudWatch Logs adds to each.
const LOG_BYTES_A_RUN: u64 = 650;

/// How much happens.
#[derive(Clone, Copy, Serialize)]
pub(crate) struct Rates {
    vrf_requests_a_day: Chosen,
    rides_a_day: Chosen,
    ledger_transactions_a_day: Chosen,
}

impl Rates {
    pub(crate) fn new(
        vrf_requests_a_day: Option<u64>,
        rides_a_day: Option<u64>,
        ledger_transactions_a_day: Option<u64>,
    ) -> Self {
        Self {
            vrf_requests_a_day: Chosen::or(vrf_requests_a_day, VRF_REQUESTS_A_DAY),
            rides_a_day: Chosen::or(rides_a_day, RIDES_A_DAY),
            ledger_transactions_a_day: Chosen::or(
                ledger_transactions_a_day,
                LEDGER_TRANSACTIONS_A_DAY,
            ),
        }
    }
}

/// A month of the deployment.
#[derive(Serialize)]
pub(crate) struct Months {
    name: String,
    rates: Rates,
    #[serde(skip_serializing_if = "Option::is_none")]
    oracle: Option<Grid>,
    measured_seconds: i64,
    subsystems: Vec<Month>,
    together: Dollars,
}

/// What the oracle's rate follows from.
#[derive(Serialize)]
struct Grid {
    interval_seconds: u32,
    feeds: u64,
}

/// A month of a subsystem.
#[derive(Serialize)]
struct Month {
    subsystem: &'static str,
    bill: Bill,
    together: Dollars,
    figures: Vec<Figure>,
    standing: Standing,
}

/// What a line of the bill follows from.
#[derive(Serialize)]
struct Figure {
    of: String,
    a_month: Quantity,
    each: Each,
    #[serde(flatten)]
    origin: Origin,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Each {
    Run {
        duration_ms: Quantity,
        memory_mb: u32,
        architecture: Architecture,
    },
    Standard {
        transitions: Quantity,
    },
    Express {
        duration_ms: Quantity,
        memory_mb: u32,
    },
    Units {
        writes: Quantity,
        reads: Quantity,
    },
    Calls {
        calls: Quantity,
    },
    Bytes {
        bytes: Quantity,
    },
}

#[derive(Serialize)]
#[serde(tag = "origin", rename_all = "snake_case")]
enum Origin {
    /// Of so many.
    Measured { samples: u64 },
    /// And why.
    Assumed { because: String },
}

/// What stands whether anything happens or not.
#[derive(Serialize)]
struct Standing {
    alarms: u32,
    metrics: u32,
    dashboards: u32,
    secrets: u32,
}

/// A subsystem while it is reckoned.
struct Reckoner<'a> {
    measures: &'a Measures,
    functions: &'a BTreeMap<String, String>,
    usage: Usage,
    figures: Vec<Figure>,
    runs: Decimal,
}

impl Months {
    pub(crate) fn of(
        deployment: &Deployment,
        rates: Rates,
        measures: &Measures,
        prices: &PriceTable,
    ) -> Self {
        let mut months = Vec::new();
        let mut rest = Rest::of(&deployment.name, measures);
        let Deployment {
            vrf,
            oracle,
            rides,
            ledger,
            ..
        } = deployment;
        if let Some(vrf) = vrf {
            let requests = a_month(rates.vrf_requests_a_day);
            let mut reckoner = Reckoner::new(measures, &vrf.functions);
            reckoner.vrf(vrf, requests);
            let standing = rest.take("vrf", 0, vrf.secrets());
            months.push(reckoner.month("vrf", standing, prices));
        }
        if let Some(oracle) = oracle {
            let mut reckoner = Reckoner::new(measures, &oracle.functions);
            reckoner.oracle(oracle);
            let metrics = metrics(measures, "offchain/oracle");
            let standing = rest.take("oracle", metrics, oracle.secrets());
            months.push(reckoner.month("oracle", standing, prices));
        }
        if let Some(rides) = rides {
            let mut reckoner = Reckoner::new(measures, &rides.functions);
            reckoner.rides(rides, a_month(rates.rides_a_day));
            let standing = rest.take("rides", 0, rides.secrets());
            months.push(reckoner.month("rides", standing, prices));
        }
        if let Some(ledger) = ledger {
            let mut reckoner = Reckoner::new(measures, &ledger.functions);
            reckoner.ledger(ledger, a_month(rates.ledger_transactions_a_day));
            let metrics = metrics(measures, "offchain/ledger");
            let standing = rest.take("ledger", metrics, ledger.secrets());
            months.push(reckoner.month("ledger", standing, prices));
        }
        let shared = Reckoner::new(measures, const { &BTreeMap::new() });
        let standing = rest.all(metrics(measures, "offchain/redrive"));
        months.push(shared.month("shared", standing, prices));
        Self {
            name: deployment.name.clone(),
            rates,
            oracle: oracle.as_ref().map(|oracle| Grid {
                interval_seconds: oracle.interval_seconds.seconds(),
                feeds: measures.feeds,
            }),
            measured_seconds: measures.last.as_secs(),
            together: months.iter().map(|month| month.together).sum(),
            subsystems: months,
        }
    }
}

fn a_month(rate: Chosen) -> Decimal {
    a_month_of(rate.value.into())
}

fn metrics(measures: &Measures, namespace: &str) -> u32 {
    measures.metrics.get(namespace).copied().unwrap_or(0)
}

/// Alarms and dashboards that no subsystem has been found for yet.
struct Rest<'a> {
    name: &'a str,
    alarms: Vec<&'a str>,
    dashboards: Vec<&'a str>,
}

impl<'a> Rest<'a> {
    fn of(name: &'a str, measures: &'a Measures) -> Self {
        Self {
            name,
            alarms: measures.alarms.iter().map(String::as_str).collect(),
            dashboards: measures.dashboards.iter().map(String::as_str).collect(),
        }
    }

    /// Those of one subsystem.
    fn take(&mut self, subsystem: &str, metrics: u32, secrets: u32) -> Standing {
        let named = format!("{}-{subsystem}", self.name);
        let mine = |name: &mut &str| {
            name.strip_prefix(named.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
        };
        Standing {
            alarms: count(self.alarms.extract_if(.., mine)),
            metrics,
            dashboards: count(self.dashboards.extract_if(.., mine)),
            secrets,
        }
    }

    /// Those that are left.
    fn all(self, metrics: u32) -> Standing {
        Standing {
            alarms: count(self.alarms.into_iter()),
            metrics,
            dashboards: count(self.dashboards.into_iter()),
            secrets: 0,
        }
    }
}

fn count(things: impl Iterator) -> u32 {
    u32::try_from(things.count()).unwrap_or(u32::MAX)
}

fn minutes() -> Decimal {
    MONTH_MINUTES.into()
}

impl<'a> Reckoner<'a> {
    fn new(measures: &'a Measures, functions: &'a BTreeMap<String, String>) -> Self {
        Self {
            measures,
            functions,
            usage: Usage::default(),
            figures: Vec::new(),
            runs: Decimal::ZERO,
        }
    }

    /// A request through the API, fulfilled at its first try, and what runs anyway.
    fn vrf(&mut self, vrf: &Vrf, requests: Decimal) {
        for role in ["api", "start", "fulfil"] {
            self.lambda(role, requests, RUN_MS);
        }
        self.lambda("expire", minutes(), RUN_MS);
        self.lambda("rotate-key", each_five_minutes(), RUN_MS);
        self.standard(&vrf.state_machine_arn, requests, REQUEST_TRANSITIONS);
        // Two of the writes are for the index of open requests.
        self.table("requests", requests, (6, 4));
        self.table("sweeps", minutes(), (0, 1));
        self.usage.http_requests = requests;
        self.queue("requests", requests);
        self.usage.scheduled = minutes() + each_five_minutes();
    }

    /// Every slot of every feed, published.
    fn oracle(&mut self, oracle: &Oracle) {
        let interval = Decimal::from(oracle.interval_seconds.seconds());
        let slots = Decimal::from(MONTH_SECONDS) / interval;
        self.lambda("publish", slots, PUBLISH_MS);
        self.lambda("missed", minutes(), RUN_MS);
        self.lambda("rotate-key", each_five_minutes(), RUN_MS);
        // Each slot is waited for, published and ended; the minute is planned.
        let slots_a_minute = 60 / u64::from(oracle.interval_seconds.seconds());
        let last_slot = 60 - i64::from(oracle.interval_seconds.seconds());
        let lasts = SignedDuration::from_secs(i64::from(oracle.lead_seconds) + last_slot);
        self.machine(
            &oracle.state_machine_arn,
            minutes(),
            2 * slots_a_minute + 4,
            lasts,
        );
        let feeds = self.measures.feeds;
        self.table("slots", slots, (feeds, 0));
        self.table("sweeps", minutes(), (1, 4));
        self.usage.scheduled = minutes() + minutes() + each_five_minutes();
    }

    /// A ride through the API, recorded once.
    fn rides(&mut self, rides: &Rides, count: Decimal) {
        self.lambda("request", count, RUN_MS);
        self.lambda("fleet", count, RUN_MS);
        match rides.publish {
            Publish::Http => self.lambda("record-http", count, RUN_MS),
            Publish::Sns => {
                self.usage.publishes = count;
                for subscriber in &rides.subscribers {
                    if subscriber == "sqs" {
                        self.queue("events", count);
                    }
                    self.lambda("record-sns", count, RUN_MS);
                }
            }
        }
        self.table("rides", count, (1, 1));
        self.usage.http_requests = count;
    }

    /// One that listens all the time, and each transaction delivered to the
    /// suite's own receiver and recorded once.
    fn ledger(&mut self, ledger: &Ledger, transactions: Decimal) {
        if ledger.listen {
            // The schedule starts them, and each listens until the next takes
            // over: what runs took says less, for one that failed was short.
            let shift = ledger.shift();
            let runs = Decimal::from(MONTH_SECONDS) / Decimal::from(shift.as_secs());
            let lasts = Decimal::from(shift.as_secs() * 1000);
            self.runs("listen", runs, |_| (lasts, assumed("always one")));
            self.standard(&ledger.state_machine_arn, runs, LISTEN_TRANSITIONS);
            self.usage.scheduled = runs;
            self.beats();
        }
        let beats = Decimal::from(u64::from(MONTH_SECONDS) * 1000);
        let beat = u64::try_from(ledger.beat().as_millis()).unwrap_or(u64::MAX);
        self.table("cursor", beats / Decimal::from(beat.max(1)), (1, 0));
        self.lambda("webhook", transactions, RUN_MS);
        self.queue("events", transactions);
        self.lambda("record", transactions, RECORD_MS);
        // Stored with its index; read with its asset and a driver; counted with
        // both in one write, which counts twice, and the premium set.
        self.table("events", transactions, (10, 4));
        self.usage.http_requests = transactions;
    }

    /// The lines with which the listener tells its metrics.
    fn beats(&mut self) {
        let beats = Decimal::from(MONTH_SECONDS / BEAT_SECONDS);
        let bytes = Decimal::from(BEAT_BYTES);
        self.usage.log_bytes += beats.saturating_mul(bytes);
        self.figures.push(Figure {
            of: "logs: metrics".to_owned(),
            a_month: Quantity::new(beats),
            each: Each::Bytes {
                bytes: Quantity::new(bytes),
            },
            origin: assumed("each 10 s"),
        });
    }

    /// Runs of the function of this role; none where the deployment has none.
    fn lambda(&mut self, role: &str, runs: Decimal, otherwise_ms: u64) {
        let not_measured = self.not_measured("run");
        self.runs(role, runs, |duration| match duration {
            Some(mean) => (mean.ms, Origin::Measured { samples: mean.of }),
            None => (otherwise_ms.into(), not_measured),
        });
    }

    /// The same, where `lasts` says how long each of them is, in milliseconds,
    /// from what was measured.
    fn runs(
        &mut self,
        role: &str,
        runs: Decimal,
        lasts: impl FnOnce(Option<Mean>) -> (Decimal, Origin),
    ) {
        let Some(name) = self.functions.get(role) else {
            return;
        };
        let function = self.measures.functions.get(name).cloned();
        let Function {
            memory_mb,
            architecture,
            duration,
        } = function.unwrap_or_default();
        let memory_mb = memory_mb.unwrap_or(MEMORY_MB);
        let architecture = architecture.unwrap_or(Architecture::X86_64);
        let (duration_ms, origin) = lasts(duration);
        self.figures.push(Figure {
            of: name.clone(),
            a_month: Quantity::new(runs),
            each: Each::Run {
                duration_ms: Quantity::new(duration_ms),
                memory_mb,
                architecture,
            },
            origin,
        });
        self.runs += runs;
        self.usage.lambda.push(Lambda {
            runs,
            duration_ms,
            memory_mb,
            architecture,
        });
    }

    fn standard(&mut self, arn: &str, executions: Decimal, otherwise: u64) {
        self.machine(arn, executions, otherwise, SignedDuration::ZERO);
    }

    /// Executions of a machine, of whichever type.
    fn machine(&mut self, arn: &str, executions: Decimal, otherwise: u64, lasts: SignedDuration) {
        let of = arn.rsplit(':').next().unwrap_or(arn).to_owned();
        let a_month = Quantity::new(executions);
        let found = self.measures.machines.get(arn);
        let (each, origin) = if let Some(Machine::Express(mean)) = found {
            let (duration_ms, origin) = match mean {
                Some(mean) => (mean.ms, Origin::Measured { samples: mean.of }),
                None => (
                    lasts.as_secs().saturating_mul(1000).into(),
                    assumed("as planned"),
                ),
            };
            self.usage.express.push(Express {
                executions,
                duration_ms,
                memory_mb: EXPRESS_MB,
            });
            let each = Each::Express {
                duration_ms: Quantity::new(duration_ms),
                memory_mb: EXPRESS_MB,
            };
            (each, origin)
        } else {
            let counts = match found {
                Some(Machine::Standard(counts)) => counts.as_slice(),
                _ => &[],
            };
            let sum: Decimal = counts.iter().copied().map(Decimal::from).sum();
            let samples = counts.len() as u64;
            let (mean, origin) = match sum.checked_div(samples.into()) {
                Some(mean) => (mean, Origin::Measured { samples }),
                None => (otherwise.into(), assumed("none ended")),
            };
            self.usage.transitions += executions.saturating_mul(mean);
            let transitions = Quantity::new(mean);
            (Each::Standard { transitions }, origin)
        };
        self.figures.push(Figure {
            of,
            a_month,
            each,
            origin,
        });
    }

    fn table(&mut self, what: &str, count: Decimal, (writes, reads): (u64, u64)) {
        self.usage.writes += count.saturating_mul(writes.into());
        self.usage.reads += count.saturating_mul(reads.into());
        self.figures.push(Figure {
            of: format!("tables: {what}"),
            a_month: Quantity::new(count),
            each: Each::Units {
                writes: writes.into(),
                reads: reads.into(),
            },
            origin: assumed("by design"),
        });
    }

    /// A queue that a mapping reads, where messages seldom come together.
    fn queue(&mut self, what: &str, messages: Decimal) {
        let mapping = Mapping { messages, batch: 1 };
        let calls = mapping.calls();
        let idle = Mapping::idle_polls();
        self.usage.queue_calls += calls.saturating_add(idle);
        let each = calls.checked_div(messages).unwrap_or_default();
        for (of, a_month, each, because) in [
            (what, messages, each, "one a batch"),
            ("idle polls", idle, Decimal::ONE, "always empty"),
        ] {
            self.figures.push(Figure {
                of: format!("queue: {of}"),
                a_month: Quantity::new(a_month),
                each: Each::Calls {
                    calls: Quantity::new(each),
                },
                origin: assumed(because),
            });
        }
    }

    fn not_measured(&self, what: &str) -> Origin {
        assumed(&format!("no {what} in {:#}", self.measures.last))
    }

    fn month(mut self, subsystem: &'static str, standing: Standing, prices: &PriceTable) -> Month {
        let bytes = Decimal::from(LOG_BYTES_A_RUN);
        self.usage.log_bytes += self.runs.saturating_mul(bytes);
        if !self.runs.is_zero() {
            self.figures.push(Figure {
                of: "logs".to_owned(),
                a_month: Quantity::new(self.runs),
                each: Each::Bytes {
                    bytes: Quantity::new(bytes),
                },
                origin: assumed("a few lines"),
            });
        }
        let &Standing {
            alarms,
            metrics,
            dashboards,
            secrets,
        } = &standing;
        let usage = Usage {
            alarms,
            metrics,
            dashboards,
            secrets,
            ..self.usage
        };
        let bill = usage.bill(prices);
        Month {
            subsystem,
            together: bill.together(),
            bill,
            figures: self.figures,
            standing,
        }
    }
}

fn each_five_minutes() -> Decimal {
    (MONTH_MINUTES / 5).into()
}

fn assumed(because: &str) -> Origin {
    Origin::Assumed {
        because: because.to_owned(),
    }
}

impl Months {
    pub(crate) fn sections(&self, prices: Dated<'_>) -> [Section; 2] {
        [self.bill(prices), self.figures()]
    }

    fn bill(&self, prices: Dated<'_>) -> Section {
        let mut rates = Vec::new();
        let has = |name| self.subsystems.iter().any(|month| month.subsystem == name);
        for (subsystem, what, rate) in [
            ("vrf", "random numbers", self.rates.vrf_requests_a_day),
            ("rides", "rides", self.rates.rides_a_day),
            (
                "ledger",
                "transactions of the ledger",
                self.rates.ledger_transactions_a_day,
            ),
        ] {
            if has(subsystem) {
                let count = Quantity::from(rate.value);
                rates.push(format!("{count} {what} a day{}", rate.mark()));
            }
        }
        if let Some(grid) = &self.oracle {
            let plural = if grid.feeds == 1 { "" } else { "s" };
            rates.push(format!(
                "a slot each {} s of {} feed{plural}",
                grid.interval_seconds, grid.feeds
            ));
        }
        let mut header = vec!["service"];
        header.extend(self.subsystems.iter().map(|month| month.subsystem));
        header.push("together");
        let line = |name: &str, amounts: &dyn Fn(&Month) -> Dollars| {
            let amounts: Vec<_> = self.subsystems.iter().map(amounts).collect();
            let sum: Dollars = amounts.iter().copied().sum();
            let texts = amounts
                .into_iter()
                .chain([sum])
                .map(|amount| amount.to_string());
            (sum, std::iter::once(name.to_owned()).chain(texts).collect())
        };
        let lines =
            Service::ALL.map(|service| line(service.name(), &|month| month.bill.of(service)));
        let mut rows: Vec<Vec<String>> = lines
            .into_iter()
            .filter(|(sum, _)| *sum != Dollars::default())
            .map(|(_, row)| row)
            .collect();
        rows.push(line("Together", &|month| month.together).1);
        let columns = format!("l{}", "r".repeat(header.len() - 1));
        Section {
            title: format!("A month of {}", self.name),
            body: format!(
                "Dollars, {prices}.\n{}\n{}",
                rates
                    .iter()
                    .map(|rate| format!("- {rate}\n"))
                    .collect::<String>(),
                table(&columns, &header, rows)
            ),
        }
    }

    /// What that follows from, line by line.
    fn figures(&self) -> Section {
        let prefix = format!("{}-", self.name);
        let mut rows = Vec::new();
        for month in &self.subsystems {
            for figure in &month.figures {
                let of = figure.of.strip_prefix(&prefix).map_or_else(
                    || format!("{} {}", month.subsystem, figure.of),
                    str::to_owned,
                );
                rows.push(vec![
                    of,
                    Quantity::new(figure.a_month.amount().round()).to_string(),
                    figure.each.to_string(),
                    figure.origin.to_string(),
                ]);
            }
        }
        let header = ["what", "a month", "each", "from"];
        let standing: String = self
            .subsystems
            .iter()
            .map(|month| format!("\n- {}: {}", month.subsystem, month.standing))
            .collect();
        let mut processors: Vec<String> = Vec::new();
        for figure in self.subsystems.iter().flat_map(|month| &month.figures) {
            if let Each::Run { architecture, .. } = figure.each
                && !processors.contains(&architecture.to_string())
            {
                processors.push(architecture.to_string());
            }
        }
        Section {
            title: "What that follows from".to_owned(),
            body: format!(
                "Functions run on {}.\n{}\n\nCounted as they stand:{standing}",
                if processors.is_empty() {
                    "no processor".to_owned()
                } else {
                    processors.join(" and ")
                },
                table("lrll", &header, rows)
            ),
        }
    }
}

impl std::fmt::Display for Each {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Run {
                duration_ms,
                memory_mb,
                ..
            } => write!(f, "{duration_ms} ms, {memory_mb} MB"),
            Self::Standard { transitions } => write!(f, "{transitions} transitions"),
            Self::Express {
                duration_ms,
                memory_mb,
            } => {
                let seconds = Quantity::new(duration_ms.amount() / Decimal::ONE_THOUSAND);
                write!(f, "{seconds} s, {memory_mb} MB")
            }
            Self::Units { writes, reads } => write!(f, "{writes} writes, {reads} reads"),
            Self::Calls { calls } => write!(f, "calls: {calls}"),
            Self::Bytes { bytes } => write!(f, "{bytes} bytes"),
        }
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Measured { samples } => write!(f, "measured: {}", Quantity::from(*samples)),
            Self::Assumed { because } => write!(f, "assumed: {because}"),
        }
    }
}

impl std::fmt::Display for Standing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let counts = [
            (self.alarms, "alarm"),
            (self.metrics, "metric"),
            (self.dashboards, "dashboard"),
            (self.secrets, "secret"),
        ];
        for (index, (count, thing)) in counts.into_iter().enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            let plural = if count == 1 { "" } else { "s" };
            write!(f, "{comma}{count} {thing}{plural}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const VRF_MACHINE: &str = "arn:aws:states:us-east-1:1:stateMachine:suite-vrf-fulfilment";
    const LISTENER: &str = "arn:aws:states:us-east-1:1:stateMachine:suite-ledger-listener";
    const MINUTE_MACHINE: &str = "arn:aws:states:us-east-1:1:stateMachine:suite-oracle-minute";

    fn stack() -> Value {
        let functions = |part: &str, roles: &[&str]| -> Value {
            roles
                .iter()
                .map(|role| ((*role).to_owned(), json!(format!("suite-{part}-{role}"))))
                .collect::<serde_json::Map<_, _>>()
                .into()
        };
        json!({
            "name": "suite",
            "region": "us-east-1",
            "vrf": {
                "state_machine_arn": VRF_MACHINE,
                "functions": functions("vrf", &["api", "start", "fulfil", "expire", "rotate-key", "height"]),
                "key_secret_arn": "arn:a",
                "api_tokens_secret_arn": "arn:b",
            },
            "oracle": {
                "state_machine_arn": MINUTE_MACHINE,
                "functions": functions("oracle", &["publish", "missed", "api", "rotate-key"]),
                "feeds_table": "suite-oracle-feeds",
                "interval_seconds": 2,
                "lead_seconds": 30,
                "key_secret_arn": "arn:c",
                "headers_secret_arn": "arn:d",
            },
            "rides": {
                "functions": functions("rides", &["request", "fleet", "record-http", "record-sns"]),
                "publish": "sns",
                "subscribers": ["lambda"],
            },
            "ledger": {
                "state_machine_arn": LISTENER,
                "functions": functions("ledger", &["listen", "webhook", "record", "deliver", "api"]),
                "subscribers": [{"name": "ledger"}, {"name": "fleet"}],
                "environment": {"LEDGER_LISTEN": json!({
                    "from_height": 1, "poll_seconds": 2, "stall_seconds": 5,
                    "lease_seconds": 4, "run_seconds": 630, "concurrency": 16,
                    "max_kept": 10_000, "retry_schedule": [5], "timeout_seconds": 15,
                }).to_string()},
            },
        })
    }

    fn measures() -> Measures {
        let function = |ms: i64, of| Function {
            memory_mb: Some(256),
            architecture: Some(Architecture::Arm64),
            duration: Some(Mean {
                ms: Decimal::from(ms),
                of,
            }),
        };
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        Measures {
            functions: BTreeMap::from([
                ("suite-vrf-fulfil".to_owned(), function(40, 12)),
                ("suite-oracle-publish".to_owned(), function(1050, 1800)),
                // Of which most failed.
                ("suite-ledger-listen".to_owned(), function(900, 400)),
            ]),
            machines: BTreeMap::from([
                (VRF_MACHINE.to_owned(), Machine::Standard(vec![4, 4, 5])),
                (MINUTE_MACHINE.to_owned(), Machine::Express(None)),
            ]),
            feeds: 1,
            alarms: names(&[
                "suite-vrf-errors",
                "suite-vrf-throttles",
                "suite-oracle-demo-missed",
                "suite-rides-topic",
                "suite-ledger-listener-absent",
                "suite-api-5xx",
                "suite-vrfx",
            ]),
            dashboards: names(&["suite-vrf", "suite-oracle", "suite-rides", "suite-ledger"]),
            metrics: BTreeMap::from([
                ("offchain/oracle", 5),
                ("offchain/ledger", 5),
                ("offchain/redrive", 3),
            ]),
            last: SignedDuration::from_hours(1),
        }
    }

    fn months(stack: Value, rates: Rates) -> Months {
        let deployment: Deployment = serde_json::from_value(stack).unwrap();
        let prices = PriceTable::built_in().unwrap();
        Months::of(&deployment, rates, &measures(), &prices)
    }

    fn json_of(stack: Value, rates: Rates) -> Value {
        serde_json::to_value(months(stack, rates)).unwrap()
    }

    fn month<'a>(months: &'a Value, name: &str) -> &'a Value {
        let months = months["subsystems"].as_array().unwrap();
        months
            .iter()
            .find(|month| month["subsystem"] == name)
            .unwrap()
    }

    fn figure<'a>(month: &'a Value, of: &str) -> &'a Value {
        let figures = month["figures"].as_array().unwrap();
        figures.iter().find(|figure| figure["of"] == of).unwrap()
    }

    /// As many as a day has so that a month has 730,000 of them: 24 times 1000.
    fn rates() -> Rates {
        Rates::new(Some(24_000), Some(48_000), Some(24_000))
    }

    #[test]
    fn a_month_of_random_numbers_follows_from_what_was_measured() {
        let found = json_of(stack(), rates());
        let vrf = month(&found, "vrf");
        assert_eq!(
            figure(vrf, "suite-vrf-fulfil"),
            &json!({
                "of": "suite-vrf-fulfil",
                "a_month": 730_000,
                "each": { "duration_ms": 40, "memory_mb": 256, "architecture": "arm64" },
                "origin": "measured",
                "samples": 12,
            })
        );
        // 13 transitions of three executions: 730,000 × 13/3 × 0.000025.
        let machine = figure(vrf, "suite-vrf-fulfilment");
        assert_eq!(machine["each"], json!({ "transitions": 4.333_333 }));
        assert_eq!(machine["samples"], 3);
        assert_eq!(vrf["bill"]["step_functions"], json!(79.083_333));
        // 730,000 × (6 × 0.625 + 4 × 0.125) + 43,800 × 0.125, by a million.
        assert_eq!(vrf["bill"]["dynamodb"], json!(3.107_975));
        // (3 × 730,000 + 657,000) × 0.4 by a million.
        assert_eq!(vrf["bill"]["sqs"], json!(1.138_8));
        assert_eq!(
            figure(vrf, "queue: requests")["each"],
            json!({ "calls": 3 })
        );
        assert_eq!(figure(vrf, "queue: idle polls")["a_month"], 657_000);
        assert_eq!(vrf["bill"]["http_api"], json!(0.73));
        // 43,800 + 8,760.
        assert_eq!(vrf["bill"]["scheduler"], json!(0.052_56));
        assert_eq!(
            vrf["standing"],
            json!({ "alarms": 2, "metrics": 0, "dashboards": 1, "secrets": 2 })
        );
        assert_eq!(vrf["bill"]["cloudwatch"], json!(3.2));
        assert_eq!(vrf["bill"]["secrets"], json!(0.8));
    }

    #[test]
    fn a_month_of_the_oracle_follows_from_its_grid() {
        let found = json_of(stack(), rates());
        assert_eq!(
            found["oracle"],
            json!({ "interval_seconds": 2, "feeds": 1 })
        );
        let oracle = month(&found, "oracle");
        let publish = figure(oracle, "suite-oracle-publish");
        assert_eq!(publish["a_month"], 1_314_000);
        assert_eq!(publish["each"]["duration_ms"], 1050);
        // Express, 30 s of lead and 58 s of slots, as the README has it.
        let minute = figure(oracle, "suite-oracle-minute");
        assert_eq!(
            minute["each"],
            json!({ "duration_ms": 88_000, "memory_mb": 64 })
        );
        assert_eq!(minute["origin"], "assumed");
        assert_eq!(oracle["bill"]["step_functions"], json!(4.059_603));
        // 43,800 × (31 × 0.625 + 4 × 0.125) by a million.
        assert_eq!(oracle["bill"]["dynamodb"], json!(0.870_525));
        assert_eq!(oracle["bill"]["scheduler"], json!(0.096_36));
        assert_eq!(oracle["standing"]["metrics"], 5);
    }

    #[test]
    fn a_ride_is_recorded_as_the_deployment_records_it() {
        let rides = |publish: &str, subscribers: Value| {
            let mut stack = stack();
            stack["rides"]["publish"] = json!(publish);
            stack["rides"]["subscribers"] = subscribers;
            let found = json_of(stack, rates());
            month(&found, "rides").clone()
        };
        let recorders = |month: &Value| -> Vec<String> {
            let figures = month["figures"].as_array().unwrap();
            let names = figures.iter().filter_map(|figure| figure["of"].as_str());
            names
                .filter_map(|of| Some(of.split_once("record-")?.1.to_owned()))
                .collect()
        };
        let direct = rides("sns", json!(["lambda"]));
        assert_eq!(recorders(&direct), ["sns"]);
        // 1,460,000 rides a month.
        assert_eq!(direct["bill"]["sns"], json!(0.73));
        assert_eq!(direct["bill"]["sqs"], 0);
        assert_eq!(direct["bill"]["http_api"], json!(1.46));
        let queue = rides("sns", json!(["sqs"]));
        assert_eq!(recorders(&queue), ["sns"]);
        // (3 × 1,460,000 + 657,000) × 0.4 by a million.
        assert_eq!(queue["bill"]["sqs"], json!(2.014_8));
        let http = rides("http", json!(["lambda"]));
        assert_eq!(recorders(&http), ["http"]);
        assert_eq!(http["bill"]["sns"], 0);
    }

    #[test]
    fn one_listens_to_the_ledger_all_the_time() {
        let found = json_of(stack(), rates());
        let ledger = month(&found, "ledger");
        // 2,628,000 seconds, in runs of ten minutes, however short those were
        // that failed.
        assert_eq!(
            figure(ledger, "suite-ledger-listen"),
            &json!({
                "of": "suite-ledger-listen",
                "a_month": 4380,
                "each": { "duration_ms": 600_000, "memory_mb": 256, "architecture": "arm64" },
                "origin": "assumed",
                "because": "always one",
            })
        );
        assert_eq!(figure(ledger, "suite-ledger-webhook")["a_month"], 730_000);
        assert_eq!(figure(ledger, "tables: cursor")["a_month"], 2_628_000);
        // (2,628,000 + 10 × 730,000) × 0.625 + 4 × 730,000 × 0.125, by a million.
        assert_eq!(ledger["bill"]["dynamodb"], json!(6.57));
        // 4,380 × 3 × 0.000025.
        assert_eq!(ledger["bill"]["step_functions"], json!(0.328_5));
        assert_eq!(
            ledger["standing"],
            json!({ "alarms": 1, "metrics": 5, "dashboards": 1, "secrets": 2 })
        );
    }

    #[test]
    fn a_daemon_that_listens_costs_no_function() {
        let mut stack = stack();
        stack["ledger"]["listen"] = false.into();
        let found = json_of(stack, rates());
        let ledger = month(&found, "ledger");
        let figures = ledger["figures"].as_array().unwrap();
        assert!(figures.iter().all(|one| one["of"] != "suite-ledger-listen"));
        assert_eq!(ledger["bill"]["step_functions"], 0);
        assert_eq!(figure(ledger, "tables: cursor")["a_month"], 2_628_000);
    }

    #[test]
    fn what_was_not_measured_is_marked() {
        let found = json_of(stack(), Rates::new(None, Some(1), None));
        assert_eq!(
            found["rates"],
            json!({
                "vrf_requests_a_day": { "value": 1440, "origin": "assumed" },
                "rides_a_day": { "value": 1, "origin": "given" },
                "ledger_transactions_a_day": { "value": 1440, "origin": "assumed" },
            })
        );
        let api = figure(month(&found, "vrf"), "suite-vrf-api").clone();
        assert_eq!(api["origin"], "assumed");
        assert_eq!(api["because"], "no run in 1h");
        assert_eq!(api["each"]["duration_ms"], RUN_MS);
        let months = months(stack(), Rates::new(None, Some(1), None));
        let prices = PriceTable::built_in().unwrap();
        let [bill, figures] = months.sections(prices.dated());
        assert!(
            bill.body
                .contains("- 1,440 random numbers a day (assumed)\n- 1 rides a day\n")
        );
        assert!(bill.body.contains("list prices of us-east-1 as of 2025"));
        assert!(figures.body.contains("assumed: no run in 1h"));
        assert!(figures.body.contains("measured: 1,800"));
        assert!(figures.body.contains("Functions run on x86_64 and arm64."));
        assert!(
            figures
                .body
                .contains("- vrf: 2 alarms, 0 metrics, 1 dashboard, 2 secrets")
        );
        for line in bill.body.lines().chain(figures.body.lines()) {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }

    #[test]
    fn everything_is_somebodys() {
        let found = json_of(stack(), rates());
        let names: Vec<_> = found["subsystems"]
            .as_array()
            .unwrap()
            .iter()
            .map(|month| month["subsystem"].as_str().unwrap())
            .collect();
        assert_eq!(names, ["vrf", "oracle", "rides", "ledger", "shared"]);
        // The API's alarm, and one whose name only begins as another's does.
        assert_eq!(
            month(&found, "shared")["standing"],
            json!({ "alarms": 2, "metrics": 3, "dashboards": 0, "secrets": 0 })
        );
        let sum: f64 = found["subsystems"]
            .as_array()
            .unwrap()
            .iter()
            .map(|month| month["together"].as_f64().unwrap())
            .sum();
        assert!((sum - found["together"].as_f64().unwrap()).abs() < 0.000_01);
    }

    #[test]
    fn a_deployment_may_lack_any_subsystem() {
        let found = json_of(json!({ "name": "suite" }), rates());
        assert_eq!(found["subsystems"].as_array().unwrap().len(), 1);
        let mut stack = stack();
        stack["vrf"] = Value::Null;
        stack["rides"] = Value::Null;
        stack["ledger"] = Value::Null;
        let prices = PriceTable::built_in().unwrap();
        let [bill, _] = months(stack, rates()).sections(prices.dated());
        assert!(!bill.body.contains("random numbers"), "{}", bill.body);
    }
}
