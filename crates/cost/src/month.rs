//! A month of a subsystem: what it takes of each service, and what that comes to.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde::Serialize;

use crate::dollars::Dollars;
use crate::service::{Express, Lambda};
use crate::table::PriceTable;

/// What a subsystem takes in a month.
#[derive(Clone, Debug, Default)]
pub struct Usage {
    /// Runs of functions.
    pub lambda: Vec<Lambda>,
    /// Transitions of Standard executions.
    pub transitions: Decimal,
    /// Express executions.
    pub express: Vec<Express>,
    /// Write request units.
    pub writes: Decimal,
    /// Read request units.
    pub reads: Decimal,
    /// Calls to queues.
    pub queue_calls: Decimal,
    /// Messages published to topics.
    pub publishes: Decimal,
    /// Requests of the HTTP API.
    pub http_requests: Decimal,
    /// Invocations by schedules.
    pub scheduled: Decimal,
    /// Bytes of log lines.
    pub log_bytes: Decimal,
    /// Custom metrics.
    pub metrics: u32,
    /// Alarms.
    pub alarms: u32,
    /// Dashboards.
    pub dashboards: u32,
    /// Secrets.
    pub secrets: u32,
}

/// A line of a bill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Service {
    /// AWS Lambda.
    Lambda,
    /// AWS Step Functions.
    StepFunctions,
    /// Amazon DynamoDB.
    Dynamodb,
    /// Amazon SQS.
    Sqs,
    /// Amazon SNS.
    Sns,
    /// Amazon API Gateway.
    HttpApi,
    /// Amazon EventBridge Scheduler.
    Scheduler,
    /// Amazon CloudWatch Logs.
    Logs,
    /// Amazon CloudWatch: metrics, alarms, dashboards.
    Cloudwatch,
    /// AWS Secrets Manager.
    Secrets,
}

impl Service {
    /// Every line, in a bill's order.
    pub const ALL: [Self; 10] = [
        Self::Lambda,
        Self::StepFunctions,
        Self::Dynamodb,
        Self::Sqs,
        Self::Sns,
        Self::HttpApi,
        Self::Scheduler,
        Self::Logs,
        Self::Cloudwatch,
        Self::Secrets,
    ];

    /// Its name for a person.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Lambda => "Lambda",
            Self::StepFunctions => "Step Functions",
            Self::Dynamodb => "DynamoDB",
            Self::Sqs => "SQS",
            Self::Sns => "SNS",
            Self::HttpApi => "HTTP API",
            Self::Scheduler => "Scheduler",
            Self::Logs => "CloudWatch Logs",
            Self::Cloudwatch => "CloudWatch",
            Self::Secrets => "Secrets Manager",
        }
    }
}

/// What each service costs.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(transparent)]
pub struct Bill(BTreeMap<Service, Dollars>);

impl Bill {
    /// What one service costs.
    #[must_use]
    pub fn of(&self, service: Service) -> Dollars {
        self.0.get(&service).copied().unwrap_or_default()
    }

    /// What all of them cost.
    #[must_use]
    pub fn together(&self) -> Dollars {
        self.0.values().copied().sum()
    }
}

impl Usage {
    /// What it costs.
    #[must_use]
    pub fn bill(&self, prices: &PriceTable) -> Bill {
        let price = &prices.prices;
        let cost = |service| match service {
            Service::Lambda => self.lambda.iter().map(|lambda| lambda.cost(prices)).sum(),
            Service::StepFunctions => {
                let express: Dollars = self
                    .express
                    .iter()
                    .map(|express| express.cost(prices))
                    .sum();
                price.standard_transition.of(self.transitions) + express
            }
            Service::Dynamodb => {
                price.dynamodb_write.of(self.writes) + price.dynamodb_read.of(self.reads)
            }
            Service::Sqs => price.sqs_request.of(self.queue_calls),
            Service::Sns => price.sns_publish.of(self.publishes),
            Service::HttpApi => price.http_api_request.of(self.http_requests),
            Service::Scheduler => price.scheduler_invocation.of(self.scheduled),
            Service::Logs => price.log_byte.of(self.log_bytes),
            Service::Cloudwatch => {
                price.metric_month.of(self.metrics.into())
                    + price.alarm_month.of(self.alarms.into())
                    + price.dashboard_month.of(self.dashboards.into())
            }
            Service::Secrets => price.secret_month.of(self.secrets.into()),
        };
        Bill(Service::ALL.map(|service| (service, cost(service))).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::Architecture;

    #[test]
    fn a_million_random_numbers_cost_what_the_readme_says() {
        let million = Decimal::from(1_000_000);
        let times = |count: i64| million * Decimal::from(count);
        let usage = Usage {
            lambda: vec![Lambda {
                runs: times(3),
                duration_ms: Decimal::from(100) / Decimal::from(3),
                memory_mb: 256,
                architecture: Architecture::X86_64,
            }],
            transitions: times(4),
            writes: times(6),
            reads: times(4),
            queue_calls: times(3),
            http_requests: million,
            log_bytes: times(2000),
            ..Usage::default()
        };
        let bill = usage.bill(&PriceTable::built_in().unwrap());
        for (service, text) in [
            (Service::StepFunctions, "$100.00"),
            (Service::Dynamodb, "$4.25"),
            (Service::Lambda, "$1.02"),
            (Service::Logs, "$1.00"),
            (Service::Sqs, "$1.20"),
            (Service::HttpApi, "$1.00"),
            (Service::Sns, "$0.00"),
        ] {
            assert_eq!(bill.of(service).to_string(), text, "{}", service.name());
        }
        assert_eq!(bill.together().to_string(), "$108.47");
    }

    #[test]
    fn what_stands_costs_the_same_each_month() {
        let usage = Usage {
            metrics: 3,
            alarms: 25,
            dashboards: 1,
            secrets: 2,
            ..Usage::default()
        };
        let bill = usage.bill(&PriceTable::built_in().unwrap());
        // 3 × 0.30 + 25 × 0.10 + 3.00, and 2 × 0.40.
        assert_eq!(bill.of(Service::Cloudwatch).to_string(), "$6.40");
        assert_eq!(bill.of(Service::Secrets).to_string(), "$0.80");
        assert_eq!(bill.together().to_string(), "$7.20");
        let json = serde_json::to_value(&bill).unwrap();
        assert_eq!(json["secrets"], serde_json::json!(0.8));
        assert_eq!(json["step_functions"], serde_json::json!(0));
    }

    #[test]
    fn a_month_of_the_oracle_costs_what_the_readme_says() {
        let minutes = Decimal::from(crate::MONTH_MINUTES);
        let usage = Usage {
            express: vec![Express {
                executions: minutes,
                duration_ms: Decimal::from(88_000),
                memory_mb: 64,
            }],
            writes: minutes * Decimal::from(31),
            reads: minutes * Decimal::from(4),
            scheduled: minutes * Decimal::new(22, 1),
            log_bytes: minutes * Decimal::from(19_000),
            ..Usage::default()
        };
        let bill = usage.bill(&PriceTable::built_in().unwrap());
        let text = |service| bill.of(service).amount().round_dp(2).to_string();
        assert_eq!(text(Service::StepFunctions), "4.06");
        // 43,800 × (31 × 0.000000625 + 4 × 0.000000125).
        assert_eq!(text(Service::Dynamodb), "0.87");
        assert_eq!(text(Service::Scheduler), "0.10");
        assert_eq!(text(Service::Logs), "0.42");
    }
}
