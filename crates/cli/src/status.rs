//! `offchain status`: one screen.

use std::process::ExitCode;

use aws_config::SdkConfig;
use aws_sdk_sqs::types::QueueAttributeName;
use jiff::Timestamp;
use offchain_store::redrive::Ledger;
use offchain_store::vrf::{Pending, Record, Requests, Status};
use offchain_store::{AwsError, Moment};
use serde::Serialize;

use crate::aws;
use crate::error::CliError;
use crate::faucet;
use crate::ledger;
use crate::oracle;
use crate::oracle::status::OracleReport;
use crate::output::{Output, bad, good};
use crate::percentiles::Percentiles;
use crate::rides;
use crate::stack::{Queue, Stack};

/// Items read for the overview; a larger table is told of as sampled.
const SAMPLE: usize = 20_000;

#[derive(Serialize)]
struct Report {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    vrf: Option<VrfReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    oracle: Option<OracleReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rides: Option<rides::Report>,
    #[serde(skip_serializing_if = "Option::is_none")]
    faucet: Option<faucet::status::Report>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ledger: Option<ledger::status::Report>,
    queues: Vec<QueueReport>,
    /// Dead letters that are put back no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    quarantined: Option<usize>,
    alarms: Vec<AlarmReport>,
}

#[derive(Default, Serialize)]
struct VrfReport {
    pending: usize,
    fulfilled: usize,
    expired: usize,
    /// Whether the table was too large to be read to its end.
    sampled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest_pending: Option<OldestPending>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lateness: Option<Lateness>,
}

#[derive(Serialize)]
struct OldestPending {
    request_id: String,
    reason: Pending,
    requested_at: Moment,
}

/// Milliseconds from when requests were due to when they were fulfilled.
#[derive(Serialize)]
struct Lateness {
    requests: usize,
    #[serde(flatten)]
    percentiles: Percentiles,
}

#[derive(Serialize)]
pub(crate) struct QueueReport {
    pub(crate) name: String,
    pub(crate) dead_letter: bool,
    pub(crate) waiting: u64,
    pub(crate) delayed: u64,
    pub(crate) in_flight: u64,
}

#[derive(Serialize)]
struct AlarmReport {
    name: String,
    state: String,
    reason: String,
}

pub(crate) async fn run(stack: &Stack, output: &Output) -> Result<ExitCode, CliError> {
    let config = aws::config(stack).await;
    let (vrf, oracle, rides, faucet, ledger, queues, quarantined, alarms) = tokio::try_join!(
        vrf(stack, &config),
        oracle::status::report(stack, &config),
        rides::report(stack, &config),
        faucet::status::report(stack, &config),
        ledger::status::report(stack, &config),
        queues(stack, &config),
        quarantined(stack, &config),
        alarms(stack, &config)
    )?;
    let report = Report {
        name: stack.name.clone(),
        vrf,
        oracle,
        rides,
        faucet,
        ledger,
        queues,
        quarantined,
        alarms,
    };
    output.show(&report, |output| print(&report, output))?;
    Ok(ExitCode::SUCCESS)
}

async fn quarantined(stack: &Stack, config: &SdkConfig) -> Result<Option<usize>, CliError> {
    let Some(redrive) = &stack.redrive else {
        return Ok(None);
    };
    let client = aws_sdk_dynamodb::Client::new(config);
    let ledger = Ledger::new(client, redrive.table.clone());
    Ok(Some(ledger.quarantined().await?.len()))
}

async fn vrf(stack: &Stack, config: &SdkConfig) -> Result<Option<VrfReport>, CliError> {
    let Some(vrf) = &stack.vrf else {
        return Ok(None);
    };
    let table = Requests::new(aws_sdk_dynamodb::Client::new(config), vrf.table.clone());
    let records = table.scan(SAMPLE).await?;
    Ok(Some(VrfReport::of(&records, Timestamp::now().into())))
}

impl VrfReport {
    fn of(records: &[Record], now: Moment) -> Self {
        let mut report = Self {
            sampled: records.len() * 2 >= SAMPLE,
            ..Self::default()
        };
        for record in records {
            match record.status(now) {
                Status::Fulfilled => report.fulfilled += 1,
                Status::Expired { .. } => report.expired += 1,
                Status::Pending { reason } => {
                    report.pending += 1;
                    let requested_at = record.request.request_time;
                    let older = report
                        .oldest_pending
                        .as_ref()
                        .is_none_or(|oldest| requested_at < oldest.requested_at);
                    if older {
                        report.oldest_pending = Some(OldestPending {
                            request_id: record.request.unique_identifier.clone(),
                            reason,
                            requested_at,
                        });
                    }
                }
            }
        }
        let late: Vec<_> = records
            .iter()
            .filter_map(Record::lateness)
            .map(|late| late.as_millis())
            .collect();
        let requests = late.len();
        report.lateness = Percentiles::of(late).map(|percentiles| Lateness {
            requests,
            percentiles,
        });
        report
    }
}

pub(crate) async fn queues(
    stack: &Stack,
    config: &SdkConfig,
) -> Result<Vec<QueueReport>, CliError> {
    count_messages(&stack.queues, config).await
}

/// How many messages these queues hold.
pub(crate) async fn count_messages(
    queues: impl IntoIterator<Item = (&String, &Queue)>,
    config: &SdkConfig,
) -> Result<Vec<QueueReport>, CliError> {
    let client = aws_sdk_sqs::Client::new(config);
    let mut reports = Vec::new();
    for (name, queue) in queues {
        let reply = client
            .get_queue_attributes()
            .queue_url(&queue.url)
            .attribute_names(QueueAttributeName::ApproximateNumberOfMessages)
            .attribute_names(QueueAttributeName::ApproximateNumberOfMessagesDelayed)
            .attribute_names(QueueAttributeName::ApproximateNumberOfMessagesNotVisible)
            .send()
            .await
            .map_err(AwsError::from)?;
        let attributes = reply.attributes.unwrap_or_default();
        let count = |name| {
            attributes
                .get(&name)
                .and_then(|count: &String| count.parse().ok())
                .unwrap_or(0)
        };
        reports.push(QueueReport {
            name: name.clone(),
            dead_letter: queue.dead_letter,
            waiting: count(QueueAttributeName::ApproximateNumberOfMessages),
            delayed: count(QueueAttributeName::ApproximateNumberOfMessagesDelayed),
            in_flight: count(QueueAttributeName::ApproximateNumberOfMessagesNotVisible),
        });
    }
    Ok(reports)
}

async fn alarms(stack: &Stack, config: &SdkConfig) -> Result<Vec<AlarmReport>, CliError> {
    let client = aws_sdk_cloudwatch::Client::new(config);
    let mut reports = Vec::new();
    let mut token = None;
    loop {
        let page = client
            .describe_alarms()
            .alarm_name_prefix(format!("{}-", stack.name))
            .set_next_token(token)
            .send()
            .await
            .map_err(AwsError::from)?;
        reports.extend(
            page.metric_alarms
                .unwrap_or_default()
                .into_iter()
                .map(|alarm| AlarmReport {
                    name: alarm.alarm_name.unwrap_or_default(),
                    state: alarm
                        .state_value
                        .map(|state| state.as_str().to_owned())
                        .unwrap_or_default(),
                    reason: alarm.state_reason.unwrap_or_default(),
                }),
        );
        token = page.next_token;
        if token.is_none() {
            return Ok(reports);
        }
    }
}

fn print(report: &Report, output: &Output) {
    if let Some(vrf) = &report.vrf {
        output.title(format!("{} VRF", report.name));
        let sampled = if vrf.sampled { " (of a sample)" } else { "" };
        let expired = format!("{} expired", vrf.expired);
        output.line(format!(
            "requests   {} pending, {}, {}{sampled}",
            vrf.pending,
            good(format!("{} fulfilled", vrf.fulfilled)),
            if vrf.expired == 0 {
                expired
            } else {
                bad(expired)
            },
        ));
        if let Some(oldest) = &vrf.oldest_pending {
            let reason = serde_json::to_string(&oldest.reason).unwrap_or_default();
            output.line(format!(
                "oldest     {}: {}",
                oldest.request_id,
                reason.trim_matches('"')
            ));
            output.line(format!("           requested {}", oldest.requested_at));
        }
        if let Some(late) = &vrf.lateness {
            output.line(format!(
                "lateness   {} ({} requests)",
                late.percentiles, late.requests
            ));
        }
        output.line("");
    }
    if let Some(oracle) = &report.oracle {
        oracle.print(&report.name, output);
        output.line("");
    }
    if let Some(rides) = &report.rides {
        output.title(format!("{} rides", report.name));
        output.line(rides.line(&report.name, &report.queues));
        output.line("");
    }
    if let Some(faucet) = &report.faucet {
        output.title(format!("{} faucet", report.name));
        faucet
            .lines()
            .into_iter()
            .for_each(|line| output.line(line));
        output.line("");
    }
    if let Some(ledger) = &report.ledger {
        output.title(format!("{} ledger", report.name));
        ledger
            .lines()
            .into_iter()
            .for_each(|line| output.line(line));
        output.line("");
    }
    output.title("Queues");
    print_queues(&report.queues, output);
    if let Some(quarantined @ 1..) = report.quarantined {
        output.line(bad(format!(
            "{quarantined} in quarantine: `offchain dlq quarantine`"
        )));
    }
    output.line("");
    output.title("Alarms");
    let quiet = report
        .alarms
        .iter()
        .filter(|alarm| alarm.state != "ALARM")
        .count();
    let ringing: Vec<_> = report
        .alarms
        .iter()
        .filter(|alarm| alarm.state == "ALARM")
        .map(|alarm| [bad(&alarm.state), alarm.name.clone(), alarm.reason.clone()])
        .collect();
    if !ringing.is_empty() {
        output.table(["state", "alarm", "reason"], ringing);
    }
    output.line(good(format!("{quiet} alarms are quiet")));
}

fn print_queues(queues: &[QueueReport], output: &Output) {
    let rows = queues
        .iter()
        .map(|queue| {
            let waiting = if queue.dead_letter && queue.waiting > 0 {
                bad(queue.waiting)
            } else {
                queue.waiting.to_string()
            };
            [
                queue.name.clone(),
                waiting,
                queue.delayed.to_string(),
                queue.in_flight.to_string(),
            ]
        })
        .collect();
    output.table(["queue", "waiting", "delayed", "in flight"], rows);
}
