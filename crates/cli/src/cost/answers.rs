//! The questions that need no deployment.

use offchain_cost::{
    Architecture, Capacity, CapacityCost, Dated, Decimal, Delivery, DeliveryCost, Dollars, FanOut,
    Hop, HopCost, Lambda, LambdaMonth, PriceTable, Quantity, Units, Way, lambda_month,
};
use serde::Serialize;

use crate::cost::layout::table;
use crate::cost::{Cost, Section};

/// How much later an answer comes through a gateway, where nobody says.
const GATEWAY_MS: u64 = 10;
/// Percent of provisioned capacity that is used: from never idle to sized for peaks
/// of ten times the mean.
const UTILISATIONS: [u32; 6] = [100, 70, 50, 30, 20, 10];

#[derive(Serialize)]
pub(crate) struct Answers {
    lambda: LambdaAnswer,
    hop: HopAnswer,
    delivery: DeliveryAnswer,
    table: TableAnswer,
}

/// A function that is run so often.
#[derive(Serialize)]
struct LambdaAnswer {
    runs: u64,
    duration_ms: u64,
    memory_mb: u32,
    rows: Vec<LambdaMonth>,
}

/// A function that calls another, directly or through a gateway.
#[derive(Serialize)]
struct HopAnswer {
    hops: u64,
    duration_ms: u64,
    memory_mb: u32,
    gateway_ms: Chosen,
    rows: Vec<HopCost>,
}

/// Events that reach a function, directly or through a queue.
#[derive(Serialize)]
struct DeliveryAnswer {
    events: u64,
    duration_ms: u64,
    memory_mb: u32,
    rows: Vec<DeliveryCost>,
}

/// A table, on demand or provisioned.
#[derive(Serialize)]
struct TableAnswer {
    units: u64,
    break_even: BreakEven,
    rows: Vec<CapacityCost>,
}

#[derive(Serialize)]
struct BreakEven {
    writes: Option<Quantity>,
    reads: Option<Quantity>,
}

/// A figure of the command line, or what is taken for it.
#[derive(Clone, Copy, Serialize)]
pub(crate) struct Chosen {
    pub(crate) value: u64,
    origin: Choice,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Choice {
    Given,
    Assumed,
}

impl Chosen {
    pub(crate) fn or(given: Option<u64>, otherwise: u64) -> Self {
        Self {
            value: given.unwrap_or(otherwise),
            origin: given.map_or(Choice::Assumed, |_| Choice::Given),
        }
    }

    /// What follows the figure in a text.
    pub(crate) fn mark(self) -> &'static str {
        match self.origin {
            Choice::Given => "",
            Choice::Assumed => " (assumed)",
        }
    }
}

impl Answers {
    pub(crate) fn of(asked: &Cost, prices: &PriceTable) -> Self {
        let lambda = |architecture| Lambda {
            runs: asked.requests.into(),
            duration_ms: asked.duration_ms.into(),
            memory_mb: asked.memory_mb,
            architecture,
        };
        let each = lambda(Architecture::X86_64);
        let gateway_ms = Chosen::or(asked.gateway_ms, GATEWAY_MS);
        let hop = Hop {
            called: each.clone(),
            gateway_ms: gateway_ms.value.into(),
            caller_memory_mb: asked.memory_mb,
        };
        let fan_out = FanOut { each: each.clone() };
        let mut deliveries = vec![Delivery::Direct, Delivery::Queue { batch: 1 }];
        if asked.batch > 1 {
            deliveries.push(Delivery::Queue { batch: asked.batch });
        }
        let &Cost {
            requests,
            duration_ms,
            memory_mb,
            ..
        } = asked;
        Self {
            lambda: LambdaAnswer {
                runs: requests,
                duration_ms,
                memory_mb,
                rows: [Architecture::X86_64, Architecture::Arm64]
                    .map(|architecture| lambda_month(&lambda(architecture), prices))
                    .into(),
            },
            hop: HopAnswer {
                hops: requests,
                duration_ms,
                memory_mb,
                gateway_ms,
                rows: [Way::Direct, Way::HttpApi, Way::RestApi]
                    .map(|way| hop.cost(way, prices))
                    .into(),
            },
            delivery: DeliveryAnswer {
                events: requests,
                duration_ms,
                memory_mb,
                rows: deliveries
                    .into_iter()
                    .map(|delivery| fan_out.cost(delivery, prices))
                    .collect(),
            },
            table: TableAnswer {
                units: requests,
                break_even: BreakEven {
                    writes: Units::Writes.break_even(prices).map(Quantity::new),
                    reads: Units::Reads.break_even(prices).map(Quantity::new),
                },
                rows: [Units::Writes, Units::Reads]
                    .into_iter()
                    .flat_map(|units| {
                        let capacity = Capacity {
                            units,
                            count: requests.into(),
                        };
                        UTILISATIONS
                            .map(|percent| capacity.cost(Decimal::new(percent.into(), 2), prices))
                    })
                    .collect(),
            },
        }
    }

    pub(crate) fn sections(&self, prices: Dated<'_>) -> Vec<Section> {
        let dated = format!("Dollars a month, {prices}.");
        vec![
            self.lambda.section(&dated),
            self.hop.section(&dated),
            self.delivery.section(&dated),
            self.table.section(&dated),
        ]
    }
}

fn text<const N: usize>(amounts: [Dollars; N]) -> impl Iterator<Item = String> {
    amounts.into_iter().map(|amount| amount.to_string())
}

/// As `4.1 times`; nothing where there is nothing to compare with.
fn times(amount: Dollars, of: Dollars) -> String {
    amount
        .over(of)
        .map_or_else(String::new, |times| format!("{:.1}x", times.round_dp(1)))
}

impl LambdaAnswer {
    fn section(&self, dated: &str) -> Section {
        let rows = self
            .rows
            .iter()
            .map(|row| {
                let amounts = [row.requests, row.duration, row.together, row.beyond_free];
                std::iter::once(row.architecture.to_string())
                    .chain(text(amounts))
                    .collect()
            })
            .collect();
        let header = [
            "processor",
            "runs",
            "time",
            "together",
            "beyond what is free",
        ];
        Section {
            title: format!(
                "A function: {} runs a month of {} ms at {} MB",
                Quantity::from(self.runs),
                Quantity::from(self.duration_ms),
                Quantity::from(u64::from(self.memory_mb)),
            ),
            body: format!("{dated}\n{}", table("lrrrr", &header, rows)),
        }
    }
}

impl HopAnswer {
    fn section(&self, dated: &str) -> Section {
        let direct = self
            .rows
            .first()
            .map(|row| row.together)
            .unwrap_or_default();
        let rows = self
            .rows
            .iter()
            .map(|row| {
                let way = match row.way {
                    Way::Direct => "invoked directly",
                    Way::HttpApi => "through an HTTP API",
                    Way::RestApi => "through a REST API",
                };
                let amounts = [row.gateway, row.called, row.waiting, row.together];
                std::iter::once(way.to_owned())
                    .chain(text(amounts))
                    .chain([times(row.together, direct)])
                    .collect()
            })
            .collect();
        let header = ["hop", "gateway", "called", "waiting", "together", ""];
        Section {
            title: format!(
                "One hop from function to function, {} times a month",
                Quantity::from(self.hops)
            ),
            body: format!(
                "{dated}\nThe caller waits, at {} MB as well. A gateway adds {} ms{}.\n{}",
                Quantity::from(u64::from(self.memory_mb)),
                Quantity::from(self.gateway_ms.value),
                self.gateway_ms.mark(),
                table("lrrrrr", &header, rows)
            ),
        }
    }
}

impl DeliveryAnswer {
    fn section(&self, dated: &str) -> Section {
        let direct = self
            .rows
            .first()
            .map(|row| row.together)
            .unwrap_or_default();
        let rows = self
            .rows
            .iter()
            .map(|row| {
                let path = match row.delivery {
                    Delivery::Direct => "to Lambda".to_owned(),
                    Delivery::Queue { batch } => {
                        format!("to SQS, by {}", Quantity::from(u64::from(batch)))
                    }
                };
                let amounts = [
                    row.publishing,
                    row.queue,
                    row.idle,
                    row.runs,
                    row.duration,
                    row.together,
                ];
                std::iter::once(path)
                    .chain(text(amounts))
                    .chain([times(row.together, direct)])
                    .collect()
            })
            .collect();
        let header = [
            "SNS", "publish", "queue", "idle", "runs", "time", "together", "",
        ];
        Section {
            title: format!(
                "{} events a month from SNS to Lambda, or by way of SQS",
                Quantity::from(self.events)
            ),
            body: format!(
                "{dated}\nIdle: polls of an empty queue, at the most. By N: so many messages a run, on\n\
                 average; each takes as long as alone.\n{}",
                table("lrrrrrrr", &header, rows)
            ),
        }
    }
}

impl TableAnswer {
    fn section(&self, dated: &str) -> Section {
        let rows = self
            .rows
            .iter()
            .map(|row| {
                let units = match row.units {
                    Units::Writes => "writes",
                    Units::Reads => "reads",
                };
                let cheaper = match row.provisioned.cmp(&row.on_demand) {
                    std::cmp::Ordering::Less => "provisioned",
                    std::cmp::Ordering::Equal => "the same",
                    std::cmp::Ordering::Greater => "on demand",
                };
                vec![
                    units.to_owned(),
                    percent(row.utilisation),
                    row.provisioned_units.to_string(),
                    row.provisioned.to_string(),
                    row.on_demand.to_string(),
                    cheaper.to_owned(),
                ]
            })
            .collect();
        let header = ["", "used", "units", "provisioned", "on demand", "cheaper"];
        let from = |part: Option<Quantity>| part.map_or("no".to_owned(), percent);
        Section {
            title: format!(
                "A table: {} units a month, on demand or provisioned",
                Quantity::from(self.units)
            ),
            body: format!(
                "{dated}\nProvisioned capacity is the cheaper from {} utilisation on for writes,\n\
                 {} for reads; it comes in whole units a second.\n{}",
                from(self.break_even.writes),
                from(self.break_even.reads),
                table("lrrrrl", &header, rows)
            ),
        }
    }
}

fn percent(part: Quantity) -> String {
    let percent = (part.amount() * Decimal::ONE_HUNDRED).round_dp(1);
    format!("{} %", Quantity::new(percent))
}
