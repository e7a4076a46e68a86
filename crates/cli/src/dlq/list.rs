//! `offchain dlq list`

use std::collections::BTreeMap;
use std::process::ExitCode;

use aws_config::SdkConfig;
use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{Dimension, Metric, MetricDataQuery, MetricDataResult, MetricStat};
use jiff::Timestamp;
use offchain_redrive::Destination;
use offchain_store::AwsError;
use serde::Serialize;

use crate::aws;
use crate::dlq::text::age;
use crate::error::CliError;
use crate::output::{Output, bad};
use crate::stack::Stack;
use crate::status::{QueueReport, queues};

/// How far back a queue's age is looked for. SQS tells it once a minute.
const LOOK_BACK_SECONDS: i64 = 600;
/// The AWS page "GetMetricData" allows so many queries a call.
const QUERIES: usize = 500;

#[derive(Serialize)]
struct Listed {
    #[serde(flatten)]
    queue: QueueReport,
    /// `None` where it is empty, or CloudWatch does not know yet.
    oldest_seconds: Option<u64>,
    /// Where its letters go back to, where that is one place for all.
    destination: Option<Destination>,
}

pub(crate) async fn run(stack: &Stack, output: &Output) -> Result<ExitCode, CliError> {
    let config = aws::config(stack).await;
    let mut queues = queues(stack, &config).await?;
    queues.retain(|queue| queue.dead_letter);
    let names: Vec<_> = queues.iter().map(|queue| queue.name.clone()).collect();
    // Without the ages the list is still worth having, most of all when much is broken.
    let ages = ages(&names, &config).await.unwrap_or_else(|error| {
        output.note(format!("how old the letters are is unknown: {error}"));
        BTreeMap::new()
    });
    let listed: Vec<_> = queues
        .into_iter()
        .map(|queue| Listed::of(queue, &ages, stack))
        .collect();
    output.show(&listed, |output| {
        let rows = listed.iter().map(Listed::row).collect();
        let header = ["queue", "letters", "oldest", "goes back to"];
        output.table(header, rows);
    })?;
    Ok(ExitCode::SUCCESS)
}

/// The age of the oldest message of each queue, in seconds.
async fn ages(names: &[String], config: &SdkConfig) -> Result<BTreeMap<String, u64>, CliError> {
    let client = Client::new(config);
    let now = Timestamp::now().as_second();
    let mut ages = BTreeMap::new();
    for names in names.chunks(QUERIES) {
        let queries = names.iter().enumerate().map(|(at, name)| query(at, name));
        let reply = client
            .get_metric_data()
            .start_time(DateTime::from_secs(now - LOOK_BACK_SECONDS))
            .end_time(DateTime::from_secs(now + 60))
            .set_metric_data_queries(Some(queries.collect()))
            .send()
            .await
            .map_err(AwsError::from)?;
        for result in reply.metric_data_results() {
            if let Some((at, age)) = newest(result)
                && let Some(name) = names.get(at)
            {
                ages.insert(name.clone(), age);
            }
        }
    }
    Ok(ages)
}

fn query(at: usize, name: &str) -> MetricDataQuery {
    let queue = Dimension::builder().name("QueueName").value(name).build();
    let metric = Metric::builder()
        .namespace("AWS/SQS")
        .metric_name("ApproximateAgeOfOldestMessage")
        .dimensions(queue)
        .build();
    let statistic = MetricStat::builder()
        .metric(metric)
        .period(60)
        .stat("Maximum")
        .build();
    MetricDataQuery::builder()
        .id(format!("q{at}"))
        .metric_stat(statistic)
        .build()
}

/// Which query a result answers, and its newest value.
fn newest(result: &MetricDataResult) -> Option<(usize, u64)> {
    let at = result.id()?.strip_prefix('q')?.parse().ok()?;
    let points = result.timestamps().iter().zip(result.values());
    let (_, value) = points.max_by_key(|(time, _)| time.secs())?;
    // A duration in whole seconds is exact, and never negative.
    let age = std::time::Duration::try_from_secs_f64(*value).ok()?;
    Some((at, age.as_secs()))
}

impl Listed {
    fn of(queue: QueueReport, ages: &BTreeMap<String, u64>, stack: &Stack) -> Self {
        let empty = queue.waiting + queue.delayed + queue.in_flight == 0;
        Self {
            oldest_seconds: ages.get(&queue.name).copied().filter(|_| !empty),
            destination: stack
                .redrive
                .as_ref()
                .and_then(|redrive| redrive.destinations.get(&queue.name).cloned())
                .flatten(),
            queue,
        }
    }

    fn row(&self) -> [String; 4] {
        // Those that somebody reads at this moment.
        let in_flight = match self.queue.in_flight {
            0 => String::new(),
            in_flight => format!(" + {in_flight} taken"),
        };
        let letters = match self.queue.waiting {
            0 => format!("0{in_flight}"),
            waiting => bad(format!("{waiting}{in_flight}")),
        };
        [
            self.queue.name.clone(),
            letters,
            self.oldest_seconds.map_or_else(|| "-".to_owned(), age),
            self.destination
                .as_ref()
                .map_or("where each came from", Destination::name)
                .to_owned(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dlq::tests::stack;
    use crate::output::{plain, table};

    fn report(name: &str, waiting: u64, in_flight: u64) -> QueueReport {
        QueueReport {
            name: name.to_owned(),
            dead_letter: true,
            waiting,
            delayed: 0,
            in_flight,
        }
    }

    #[test]
    fn a_queue_is_listed_with_its_age_and_where_its_letters_go() {
        let stack = stack();
        let ages = BTreeMap::from([
            ("offchain-rides-record-dlq".to_owned(), 7260),
            ("offchain-vrf-schedules-dlq".to_owned(), 90),
        ]);
        let listed = [
            Listed::of(report("offchain-rides-record-dlq", 12, 1), &ages, &stack),
            // What CloudWatch says of an empty queue is of the past.
            Listed::of(report("offchain-vrf-schedules-dlq", 0, 0), &ages, &stack),
        ];
        let header = ["queue", "letters", "oldest", "goes back to"];
        let rows = listed.iter().map(Listed::row).collect();
        assert_eq!(
            plain(&table(header, rows, Some(80))),
            [
                " QUEUE                       LETTERS       OLDEST  GOES BACK TO",
                " offchain-rides-record-dlq   12 + 1 taken  2 h     offchain-rides-record-sns",
                " offchain-vrf-schedules-dlq  0             -       where each came from",
            ]
            .join("\n")
        );
    }

    #[test]
    fn the_newest_age_counts_in_whatever_order_they_come() {
        let result = |id: &str, points: &[(i64, f64)]| {
            let mut result = MetricDataResult::builder().id(id);
            for (second, value) in points {
                result = result
                    .timestamps(DateTime::from_secs(*second))
                    .values(*value);
            }
            result.build()
        };
        for (points, expected) in [
            (&[(60, 5.0), (120, 65.9)][..], Some((3, 65))),
            (&[(120, 65.0), (60, 5.0)][..], Some((3, 65))),
            (&[][..], None),
            (&[(60, -1.0)][..], None),
            (&[(60, f64::NAN)][..], None),
        ] {
            assert_eq!(newest(&result("q3", points)), expected, "{points:?}");
        }
        assert_eq!(newest(&result("other", &[(60, 5.0)])), None);
    }
}
