//! The questions: one design against another.

use rust_decimal::Decimal;
use serde::Serialize;

use crate::dollars::{Dollars, Quantity};
use crate::service::{Architecture, Lambda, Mapping};
use crate::table::{Price, PriceTable};
use crate::{MONTH_HOURS, MONTH_SECONDS};

/// What runs of a function cost a month.
#[derive(Clone, Debug, Serialize)]
pub struct LambdaMonth {
    /// What they run on.
    pub architecture: Architecture,
    /// Gigabyte-seconds.
    pub gb_seconds: Quantity,
    /// For being run.
    pub requests: Dollars,
    /// For how long.
    pub duration: Dollars,
    /// Both.
    pub together: Dollars,
    /// Both, where nothing else uses what is free each month.
    pub beyond_free: Dollars,
}

/// What these runs cost a month.
#[must_use]
pub fn lambda_month(lambda: &Lambda, prices: &PriceTable) -> LambdaMonth {
    let gb_seconds = lambda.gb_seconds();
    let free = prices.prices.lambda_request.beyond_free(lambda.runs)
        + lambda
            .architecture
            .gb_second(prices)
            .beyond_free(gb_seconds);
    LambdaMonth {
        architecture: lambda.architecture,
        gb_seconds: Quantity::new(gb_seconds),
        requests: lambda.requests(prices),
        duration: lambda.duration(prices),
        together: lambda.cost(prices),
        beyond_free: free,
    }
}

/// How one function calls another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// By Lambda's own `Invoke`.
    Direct,
    /// Through an HTTP API.
    HttpApi,
    /// Through a REST API.
    RestApi,
}

/// One function that calls another and waits for its answer.
#[derive(Clone, Debug)]
pub struct Hop {
    /// The runs of the function that is called.
    pub called: Lambda,
    /// How much longer the answer takes through a gateway.
    pub gateway_ms: Decimal,
    /// The memory of the function that calls. It runs on the same.
    pub caller_memory_mb: u32,
}

/// What a hop costs.
#[derive(Clone, Debug, Serialize)]
pub struct HopCost {
    /// The way.
    pub way: Way,
    /// For the gateway.
    pub gateway: Dollars,
    /// For the function that is called.
    pub called: Dollars,
    /// For the time that the caller waits.
    pub waiting: Dollars,
    /// All of it.
    pub together: Dollars,
}

impl Hop {
    /// What these hops cost one way.
    #[must_use]
    pub fn cost(&self, way: Way, prices: &PriceTable) -> HopCost {
        let runs = self.called.runs;
        let (gateway, later_ms) = match way {
            Way::Direct => (Dollars::default(), Decimal::ZERO),
            Way::HttpApi => (prices.prices.http_api_request.of(runs), self.gateway_ms),
            Way::RestApi => (prices.prices.rest_api_request.of(runs), self.gateway_ms),
        };
        let waiting = Lambda {
            duration_ms: self.called.duration_ms.saturating_add(later_ms),
            memory_mb: self.caller_memory_mb,
            ..self.called
        }
        .duration(prices);
        let called = self.called.cost(prices);
        HopCost {
            way,
            gateway,
            called,
            waiting,
            together: gateway + called + waiting,
        }
    }
}

/// How a published event reaches a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "path")]
pub enum Delivery {
    /// SNS invokes the function.
    Direct,
    /// SNS fills a queue, and a mapping reads it, so many messages at once on average.
    Queue {
        /// Messages of a run.
        batch: u32,
    },
}

/// Events that are published to a topic for a function.
#[derive(Clone, Debug)]
pub struct FanOut {
    /// One run an event: what each event takes.
    pub each: Lambda,
}

/// What delivering events costs a month.
#[derive(Clone, Debug, Serialize)]
pub struct DeliveryCost {
    /// How.
    #[serde(flatten)]
    pub delivery: Delivery,
    /// For publishing.
    pub publishing: Dollars,
    /// For the queue's calls for messages.
    pub queue: Dollars,
    /// For polls that find the queue empty, at the most.
    pub idle: Dollars,
    /// For being run.
    pub runs: Dollars,
    /// For how long.
    pub duration: Dollars,
    /// All of it.
    pub together: Dollars,
}

impl FanOut {
    /// What these events cost, delivered so. Events of a batch take as long as alone:
    /// a batch saves runs and calls, not time.
    #[must_use]
    pub fn cost(&self, delivery: Delivery, prices: &PriceTable) -> DeliveryCost {
        let price = &prices.prices;
        let events = self.each.runs;
        let (queue, idle, runs) = match delivery {
            Delivery::Direct => (Dollars::default(), Dollars::default(), events),
            Delivery::Queue { batch } => {
                let mapping = Mapping {
                    messages: events,
                    batch,
                };
                (
                    price.sqs_request.of(mapping.calls()),
                    price.sqs_request.of(Mapping::idle_polls()),
                    mapping.runs(),
                )
            }
        };
        let publishing = price.sns_publish.of(events);
        let runs = price.lambda_request.of(runs);
        let duration = self.each.duration(prices);
        DeliveryCost {
            delivery,
            publishing,
            queue,
            idle,
            runs,
            duration,
            together: publishing + queue + idle + runs + duration,
        }
    }
}

/// What a table counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Units {
    /// Kilobytes written.
    Writes,
    /// Four kilobytes read.
    Reads,
}

/// Units that a table is asked for in a month.
#[derive(Clone, Debug)]
pub struct Capacity {
    /// Of which kind.
    pub units: Units,
    /// How many.
    pub count: Decimal,
}

/// What a table costs a month, provisioned so that it is used to this part.
#[derive(Clone, Debug, Serialize)]
pub struct CapacityCost {
    /// Of which kind.
    pub units: Units,
    /// The part of the capacity that is used, on average.
    pub utilisation: Quantity,
    /// Units a second that are provisioned.
    pub provisioned_units: Quantity,
    /// What those cost.
    pub provisioned: Dollars,
    /// What the same costs on demand.
    pub on_demand: Dollars,
}

impl Units {
    fn on_demand(self, prices: &PriceTable) -> &Price {
        match self {
            Self::Writes => &prices.prices.dynamodb_write,
            Self::Reads => &prices.prices.dynamodb_read,
        }
    }

    fn provisioned_hour(self, prices: &PriceTable) -> &Price {
        match self {
            Self::Writes => &prices.prices.dynamodb_provisioned_write_hour,
            Self::Reads => &prices.prices.dynamodb_provisioned_read_hour,
        }
    }

    /// The part that must be used, on average, for provisioned capacity to be the
    /// cheaper: an hour of one unit by what its 3600 s serve on demand. `None` where
    /// those cost nothing.
    #[must_use]
    pub fn break_even(self, prices: &PriceTable) -> Option<Decimal> {
        let hour = self.provisioned_hour(prices).of(Decimal::ONE);
        hour.over(self.on_demand(prices).of(Decimal::from(3600)))
    }
}

impl Capacity {
    /// What it costs where capacity is provisioned so that this part of it is used.
    #[must_use]
    pub fn cost(&self, utilisation: Decimal, prices: &PriceTable) -> CapacityCost {
        let rate = self.count / Decimal::from(MONTH_SECONDS);
        let provisioned_units = rate
            .checked_div(utilisation)
            .unwrap_or(Decimal::MAX)
            .ceil()
            .max(Decimal::ONE);
        let hours = provisioned_units.saturating_mul(MONTH_HOURS.into());
        CapacityCost {
            units: self.units,
            utilisation: Quantity::new(utilisation),
            provisioned_units: Quantity::new(provisioned_units),
            provisioned: self.units.provisioned_hour(prices).of(hours),
            on_demand: self.units.on_demand(prices).of(self.count),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prices() -> PriceTable {
        PriceTable::built_in().unwrap()
    }

    fn million() -> Lambda {
        Lambda {
            runs: Decimal::from(1_000_000),
            duration_ms: Decimal::from(100),
            memory_mb: 128,
            architecture: Architecture::X86_64,
        }
    }

    fn text<const N: usize>(amounts: [Dollars; N]) -> [String; N] {
        amounts.map(|amount| amount.amount().normalize().to_string())
    }

    #[test]
    fn what_is_free_each_month_is_taken_off_where_it_is_asked_for() {
        let lambda = Lambda {
            runs: Decimal::from(10_000_000),
            memory_mb: 1024,
            ..million()
        };
        let month = lambda_month(&lambda, &prices());
        // 1,000,000 GB-s: 10 × 0.20, and 16.6667.
        assert_eq!(
            text([month.requests, month.duration, month.together]),
            ["2", "16.6667", "18.6667"]
        );
        // 9 × 0.20, and 600,000 × 0.0000166667.
        assert_eq!(text([month.beyond_free]), ["11.80002"]);
    }

    #[test]
    fn a_gateway_costs_its_requests_and_the_time_that_it_adds() {
        let hop = Hop {
            called: million(),
            gateway_ms: Decimal::from(20),
            caller_memory_mb: 256,
        };
        let of = |way| {
            let cost = hop.cost(way, &prices());
            text([cost.gateway, cost.called, cost.waiting, cost.together])
        };
        // Called: 0.20 + 12,500 GB-s × 0.0000166667. Waiting: 100 ms, or 120 ms, of 256 MB.
        assert_eq!(
            of(Way::Direct),
            ["0", "0.40833375", "0.4166675", "0.82500125"]
        );
        assert_eq!(
            of(Way::HttpApi),
            ["1", "0.40833375", "0.500001", "1.90833475"]
        );
        assert_eq!(
            of(Way::RestApi),
            ["3.5", "0.40833375", "0.500001", "4.40833475"]
        );
    }

    #[test]
    fn a_queue_between_topic_and_function_costs_calls_and_saves_runs() {
        let fan_out = FanOut { each: million() };
        let of = |delivery| {
            let cost = fan_out.cost(delivery, &prices());
            let DeliveryCost {
                publishing,
                queue,
                idle,
                runs,
                duration,
                together,
                ..
            } = cost;
            text([publishing, queue, idle, runs, duration, together])
        };
        let duration = "0.20833375";
        assert_eq!(
            of(Delivery::Direct),
            ["0.5", "0", "0", "0.2", duration, "0.90833375"]
        );
        // 3,000,000 calls, and 657,000 that find nothing, at 0.40 a million.
        assert_eq!(
            of(Delivery::Queue { batch: 1 }),
            ["0.5", "1.2", "0.2628", "0.2", duration, "2.37113375"]
        );
        // 1,200,000 calls; a tenth of the runs.
        assert_eq!(
            of(Delivery::Queue { batch: 10 }),
            ["0.5", "0.48", "0.2628", "0.02", duration, "1.47113375"]
        );
    }

    #[test]
    fn provisioned_capacity_pays_from_29_percent_on() {
        // 0.00065 by 3600 × 0.000000625, and 0.00013 by 3600 × 0.000000125.
        for units in [Units::Writes, Units::Reads] {
            let part = units.break_even(&prices()).unwrap();
            assert_eq!(part.round_dp(6), Decimal::new(288_889, 6));
            let capacity = Capacity {
                units,
                count: Decimal::from(2_628_000_000_i64),
            };
            let cheaper = capacity.cost(part + Decimal::new(1, 3), &prices());
            assert!(cheaper.provisioned < cheaper.on_demand);
            let dearer = capacity.cost(part - Decimal::new(1, 3), &prices());
            assert!(dearer.provisioned > dearer.on_demand);
        }
    }

    #[test]
    fn capacity_is_provisioned_in_whole_units() {
        let capacity = Capacity {
            units: Units::Writes,
            count: Decimal::from(10_000_000),
        };
        // 10,000,000 by 2,628,000 s by 0.7 is 5.4: 6 × 730 × 0.00065.
        let cost = capacity.cost(Decimal::new(7, 1), &prices());
        assert_eq!(cost.provisioned_units.amount(), Decimal::from(6));
        assert_eq!(text([cost.provisioned, cost.on_demand]), ["2.847", "6.25"]);
        let few = Capacity {
            units: Units::Reads,
            count: Decimal::ONE,
        };
        let cost = few.cost(Decimal::ONE, &prices());
        assert_eq!(text([cost.provisioned]), ["0.0949"]);
        assert_eq!(
            few.cost(Decimal::ZERO, &prices())
                .provisioned_units
                .amount(),
            Decimal::MAX
        );
    }
}
