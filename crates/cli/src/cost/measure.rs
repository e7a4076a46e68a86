//! What is known of a deployment: what its functions and executions took lately, and
//! what stands whether anything happens or not.

use std::collections::BTreeMap;

use aws_config::SdkConfig;
use aws_sdk_cloudwatch::operation::get_dashboard::GetDashboardError;
use aws_sdk_cloudwatch::types::{Dimension, DimensionFilter, Statistic};
use aws_sdk_sfn::types::{ExecutionStatus, HistoryEventType, StateMachineType};
use jiff::{SignedDuration, Timestamp};
use offchain_cost::{Architecture, Decimal};
use offchain_store::AwsError;

use crate::cost::deployment::Deployment;
use crate::error::CliError;

/// Executions whose histories are counted.
const EXECUTIONS: usize = 5;
/// Data points that CloudWatch gives at once, and a few less.
const POINTS: i64 = 1000;
/// CloudWatch keeps points of five minutes for so long, and of one for a quarter of it.
const MOST: SignedDuration = SignedDuration::from_hours(60 * 24);
const MINUTES_KEPT: SignedDuration = SignedDuration::from_hours(15 * 24);
/// The namespaces of metrics that the suite counts itself.
const NAMESPACES: [&str; 3] = ["offchain/oracle", "offchain/ledger", "offchain/redrive"];

/// The stretch of time that is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) last: SignedDuration,
    from: Timestamp,
    to: Timestamp,
}

/// So long back from now.
pub(crate) fn span(last: SignedDuration, now: Timestamp) -> Result<Span, CliError> {
    if last < SignedDuration::from_mins(1) || last > MOST {
        return Err(CliError::Input(format!(
            "--last: expected one minute to 60 days, such as 1h or 3d, found {last:#}"
        )));
    }
    let from = now.checked_sub(last).map_err(CliError::input)?;
    Ok(Span {
        last,
        from,
        to: now,
    })
}

impl Span {
    /// Seconds of one data point: as few as give all of them at once.
    fn period(self) -> i32 {
        let step = if self.last > MINUTES_KEPT { 300 } else { 60 };
        let points = (self.last.as_secs() + POINTS - 1) / POINTS;
        let period = (points + step - 1) / step * step;
        i32::try_from(period).unwrap_or(i32::MAX)
    }
}

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Measures {
    pub(crate) functions: BTreeMap<String, Function>,
    pub(crate) machines: BTreeMap<String, Machine>,
    pub(crate) feeds: u64,
    pub(crate) alarms: Vec<String>,
    pub(crate) dashboards: Vec<String>,
    /// Of each namespace.
    pub(crate) metrics: BTreeMap<&'static str, u32>,
    pub(crate) last: SignedDuration,
}

/// What a function is, and what its runs took.
#[derive(Clone, Debug, Default)]
pub(crate) struct Function {
    pub(crate) memory_mb: Option<u32>,
    pub(crate) architecture: Option<Architecture>,
    pub(crate) duration: Option<Mean>,
}

/// A mean in milliseconds, and of how many it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Mean {
    pub(crate) ms: Decimal,
    pub(crate) of: u64,
}

/// What a machine is, and what its executions took.
#[derive(Clone, Debug)]
pub(crate) enum Machine {
    /// The transitions of each execution that was looked at.
    Standard(Vec<u64>),
    Express(Option<Mean>),
}

impl Measures {
    pub(crate) async fn of(
        deployment: &Deployment,
        config: &SdkConfig,
        span: Span,
    ) -> Result<Self, CliError> {
        let cloudwatch = aws_sdk_cloudwatch::Client::new(config);
        let lambda = aws_sdk_lambda::Client::new(config);
        let sfn = aws_sdk_sfn::Client::new(config);
        let mut measures = Self {
            last: span.last,
            feeds: feeds(deployment, config).await?,
            alarms: alarms(&cloudwatch, &deployment.name).await?,
            dashboards: dashboards(&cloudwatch, &deployment.name).await?,
            ..Self::default()
        };
        for namespace in NAMESPACES {
            let count = metrics(&cloudwatch, namespace, &deployment.name).await?;
            measures.metrics.insert(namespace, count);
        }
        for name in deployment.functions() {
            let (settings, duration) = tokio::try_join!(
                settings(&lambda, name),
                mean(
                    &cloudwatch,
                    ("AWS/Lambda", "Duration"),
                    ("FunctionName", name),
                    span
                )
            )?;
            let function = Function {
                duration,
                ..settings
            };
            measures.functions.insert(name.to_owned(), function);
        }
        for arn in deployment.machines() {
            let machine = machine(&sfn, &cloudwatch, arn, span).await?;
            measures.machines.insert(arn.to_owned(), machine);
        }
        Ok(measures)
    }
}

async fn feeds(deployment: &Deployment, config: &SdkConfig) -> Result<u64, CliError> {
    let Some(oracle) = &deployment.oracle else {
        return Ok(0);
    };
    let client = aws_sdk_dynamodb::Client::new(config);
    let feeds = offchain_store::oracle::Feeds::new(client, oracle.feeds_table.clone());
    Ok(feeds.all().await?.len() as u64)
}

async fn settings(client: &aws_sdk_lambda::Client, name: &str) -> Result<Function, CliError> {
    let reply = client
        .get_function_configuration()
        .function_name(name)
        .send()
        .await
        .map_err(AwsError::from)?;
    // A function of which Lambda does not say runs on x86.
    let architecture = match reply.architectures().first().map(|name| name.as_str()) {
        None | Some("x86_64") => Some(Architecture::X86_64),
        Some("arm64") => Some(Architecture::Arm64),
        Some(_) => None,
    };
    Ok(Function {
        memory_mb: reply.memory_size.and_then(|size| u32::try_from(size).ok()),
        architecture,
        duration: None,
    })
}

/// The mean of a metric in milliseconds; `None` where nothing was measured.
async fn mean(
    client: &aws_sdk_cloudwatch::Client,
    (namespace, metric): (&str, &str),
    (dimension, value): (&str, &str),
    span: Span,
) -> Result<Option<Mean>, CliError> {
    let time =
        |time: Timestamp| aws_sdk_cloudwatch::primitives::DateTime::from_secs(time.as_second());
    let reply = client
        .get_metric_statistics()
        .namespace(namespace)
        .metric_name(metric)
        .dimensions(Dimension::builder().name(dimension).value(value).build())
        .start_time(time(span.from))
        .end_time(time(span.to))
        .period(span.period())
        .statistics(Statistic::Sum)
        .statistics(Statistic::SampleCount)
        .send()
        .await
        .map_err(AwsError::from)?;
    let points = reply.datapoints().iter();
    Ok(mean_of(points.filter_map(|point| {
        Some((point.sum?, point.sample_count?))
    })))
}

/// Sums and counts as one mean, rounded up to a millisecond as the bill is.
fn mean_of(points: impl Iterator<Item = (f64, f64)>) -> Option<Mean> {
    let (mut sum, mut count) = (0.0, 0.0);
    for (of, samples) in points {
        sum += of;
        count += samples;
    }
    let of = Decimal::from_f64_retain(count)?;
    let ms = Decimal::from_f64_retain(sum)?.checked_div(of)?.ceil();
    // A double that is no number made none of the two.
    Some(Mean {
        ms,
        of: of.round().try_into().ok()?,
    })
}

async fn machine(
    sfn: &aws_sdk_sfn::Client,
    cloudwatch: &aws_sdk_cloudwatch::Client,
    arn: &str,
    span: Span,
) -> Result<Machine, CliError> {
    let reply = sfn
        .describe_state_machine()
        .state_machine_arn(arn)
        .send()
        .await
        .map_err(AwsError::from)?;
    if reply.r#type == StateMachineType::Express {
        let metric = ("AWS/States", "ExecutionTime");
        let duration = mean(cloudwatch, metric, ("StateMachineArn", arn), span).await?;
        return Ok(Machine::Express(duration));
    }
    let reply = sfn
        .list_executions()
        .state_machine_arn(arn)
        .send()
        .await
        .map_err(AwsError::from)?;
    let ended = reply
        .executions
        .iter()
        .filter(|execution| execution.status != ExecutionStatus::Running);
    let mut counts = Vec::new();
    for execution in ended.take(EXECUTIONS) {
        counts.push(transitions(sfn, &execution.execution_arn).await?);
    }
    Ok(Machine::Standard(counts))
}

/// The transitions of an execution.
async fn transitions(sfn: &aws_sdk_sfn::Client, arn: &str) -> Result<u64, CliError> {
    let mut count = Transitions::default();
    let mut token = None;
    loop {
        let page = sfn
            .get_execution_history()
            .execution_arn(arn)
            .max_results(1000)
            .set_next_token(token)
            .send()
            .await
            .map_err(AwsError::from)?;
        for event in &page.events {
            count.add(&event.r#type);
        }
        token = page.next_token;
        if token.is_none() {
            return Ok(count.all());
        }
    }
}

/// Each state that is entered is one, and each retry of a task.
#[derive(Default)]
struct Transitions {
    entered: u64,
    tasks: u64,
    tries: u64,
}

impl Transitions {
    fn add(&mut self, event: &HistoryEventType) {
        if event.as_str().ends_with("StateEntered") {
            self.entered += 1;
        }
        match event {
            HistoryEventType::TaskStateEntered => self.tasks += 1,
            HistoryEventType::TaskScheduled | HistoryEventType::LambdaFunctionScheduled => {
                self.tries += 1;
            }
            _ => {}
        }
    }

    fn all(&self) -> u64 {
        self.entered + self.tries.saturating_sub(self.tasks)
    }
}

async fn alarms(client: &aws_sdk_cloudwatch::Client, name: &str) -> Result<Vec<String>, CliError> {
    let mut names = Vec::new();
    let mut token = None;
    loop {
        let page = client
            .describe_alarms()
            .alarm_name_prefix(format!("{name}-"))
            .set_next_token(token)
            .send()
            .await
            .map_err(AwsError::from)?;
        let alarms = page.metric_alarms.unwrap_or_default();
        names.extend(alarms.into_iter().filter_map(|alarm| alarm.alarm_name));
        token = page.next_token;
        if token.is_none() {
            return Ok(names);
        }
    }
}

/// Those of the subsystems that are there.
async fn dashboards(
    client: &aws_sdk_cloudwatch::Client,
    name: &str,
) -> Result<Vec<String>, CliError> {
    let mut names = Vec::new();
    for subsystem in ["vrf", "oracle", "rides", "ledger"] {
        let dashboard = format!("{name}-{subsystem}");
        let reply = client
            .get_dashboard()
            .dashboard_name(&dashboard)
            .send()
            .await;
        match reply {
            Ok(_) => names.push(dashboard),
            Err(error) => {
                let is_missing = error
                    .as_service_error()
                    .is_some_and(GetDashboardError::is_dashboard_not_found_error);
                if !is_missing {
                    return Err(AwsError::from(error).into());
                }
            }
        }
    }
    Ok(names)
}

/// Metrics that the suite of this name counts itself.
async fn metrics(
    client: &aws_sdk_cloudwatch::Client,
    namespace: &str,
    name: &str,
) -> Result<u32, CliError> {
    let mut count = 0;
    let mut token = None;
    loop {
        let page = client
            .list_metrics()
            .namespace(namespace)
            .dimensions(DimensionFilter::builder().name("Suite").value(name).build())
            .set_next_token(token)
            .send()
            .await
            .map_err(AwsError::from)?;
        count += page.metrics().len();
        token = page.next_token;
        if token.is_none() {
            return Ok(u32::try_from(count).unwrap_or(u32::MAX));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mean_is_of_all_points_by_their_counts() {
        let points = [(30.0, 3.0), (11.0, 1.0)];
        let mean = mean_of(points.into_iter()).unwrap();
        // 41 by 4 is 10.25.
        assert_eq!((mean.ms, mean.of), (Decimal::from(11), 4));
        assert_eq!(mean_of(std::iter::empty()), None);
        assert_eq!(mean_of([(f64::NAN, 1.0)].into_iter()), None);
        assert_eq!(mean_of([(1.0, f64::INFINITY)].into_iter()), None);
    }

    #[test]
    fn a_stretch_is_read_at_once_and_as_finely_as_it_is_kept() {
        let now = "2026-11-21T11:00:00Z".parse().unwrap();
        let period = |last: &str| span(last.parse().unwrap(), now).map(Span::period);
        assert_eq!(period("1m").unwrap(), 60);
        assert_eq!(period("1h").unwrap(), 60);
        assert_eq!(period("24h").unwrap(), 120);
        assert_eq!(period("360h").unwrap(), 1320);
        assert_eq!(period("361h").unwrap() % 300, 0);
        assert_eq!(period("1440h").unwrap() % 300, 0);
        for last in ["59s", "1441h", "-1h"] {
            let error = period(last).unwrap_err().to_string();
            assert!(error.contains("expected one minute to 60 days"), "{error}");
        }
    }

    #[test]
    fn a_retry_is_a_transition() {
        let mut count = Transitions::default();
        for event in [
            "ExecutionStarted",
            "ChoiceStateEntered",
            "ChoiceStateExited",
            "TaskStateEntered",
            "TaskScheduled",
            "TaskFailed",
            "TaskScheduled",
            "TaskSucceeded",
            "SucceedStateEntered",
        ] {
            count.add(&HistoryEventType::from(event));
        }
        assert_eq!(count.all(), 4);
    }
}
