//! `offchain ledger assets`: one as the API shows it, or the newest of the table.

use std::process::ExitCode;

use clap::Args;
use jiff::Timestamp;
use offchain_ledger::{Id, PublicKey};
use offchain_ledger_service::{AssetView, HistoryView, PremiumView};
use offchain_store::Moment;
use offchain_store::ledger::{AssetItem, Assets};
use serde::Serialize;

use crate::api::{Api, read};
use crate::aws;
use crate::dlq::{clean, count, field};
use crate::error::CliError;
use crate::ledger::events::state;
use crate::ledger::{SAMPLE, note_sample, short, shorts, since, sum};
use crate::output::{Output, good, warning};
use crate::stack::Stack;

const HEADER: [&str; 6] = ["asset", "kind", "owner", "premium", "transactions", "age"];
const HISTORY: [&str; 6] = ["height", "operation", "from", "to", "transaction", "state"];

/// The digits of an id.
const DIGITS: usize = 64;

#[derive(Args)]
#[command(
    after_help = "An asset's id may be cut short, as the list shows it, where no other asset's begins \
                  so.\n\nExamples:\n  offchain ledger assets\n  offchain ledger assets 875647be\n  \
                  offchain ledger assets ID --all --json"
)]
pub(crate) struct List {
    /// The asset's id, or its first digits; without it, the newest assets are listed.
    #[arg(value_parser = digits)]
    id: Option<String>,
    /// The whole history, page after page.
    #[arg(long, requires = "id")]
    all: bool,
    /// So many of the newest.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 20,
        conflicts_with = "id",
        value_parser = clap::value_parser!(u16).range(1..)
    )]
    limit: u16,
}

/// The newest first.
#[derive(Debug, Serialize)]
struct Listed {
    /// Whether the table was too large to be read to its end.
    sampled: bool,
    assets: Vec<Row>,
}

/// An asset in a list.
#[derive(Debug, Serialize)]
struct Row {
    asset_id: Id,
    kind: &'static str,
    owners: Vec<PublicKey>,
    #[serde(skip_serializing_if = "Option::is_none")]
    driver: Option<PublicKey>,
    #[serde(skip_serializing_if = "Option::is_none")]
    premium: Option<PremiumView>,
    transactions: u64,
    updated_time: Moment,
}

fn digits(text: &str) -> Result<String, String> {
    let fits = (4..=DIGITS).contains(&text.len())
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if fits {
        Ok(text.to_owned())
    } else {
        Err("expected 64 hexadecimal digits in lower case, or the first of them, 4 at least".into())
    }
}

impl List {
    pub(crate) async fn run(self, stack: &Stack, output: &Output) -> Result<ExitCode, CliError> {
        let ledger = stack.ledger()?;
        let table = super::assets(ledger, &aws::config(stack).await);
        let Some(given) = &self.id else {
            let listed = Listed::read(&table, self.limit.into()).await?;
            listed.show(output)?;
            return Ok(ExitCode::SUCCESS);
        };
        let id = whole(&table, given).await?;
        let view = self.fetch(&Api::new(stack)?, &id).await?;
        output.show(&view, |output| print(&view, output))?;
        Ok(ExitCode::SUCCESS)
    }

    async fn fetch(&self, api: &Api, id: &Id) -> Result<AssetView, CliError> {
        let mut view: AssetView = read(&api.asset(id).await?)?;
        while self.all
            && let Some(next) = view.next.take()
        {
            let page: AssetView = read(&api.asset_page(id, &next).await?)?;
            // Else the same page could come again and again.
            if page.history.is_empty() || page.next.as_ref() == Some(&next) {
                return Err(CliError::input("the API's next page has nothing older"));
            }
            view.history.extend(page.history);
            view.next = page.next;
        }
        Ok(view)
    }
}

/// The id that begins so.
async fn whole(table: &Assets, given: &str) -> Result<Id, CliError> {
    if given.len() == DIGITS {
        return given.parse().map_err(CliError::input);
    }
    let (items, sampled) = table.scan(SAMPLE).await?;
    let mut ids = items
        .into_iter()
        .map(|item| item.asset_id)
        .filter(|id| id.as_str().starts_with(given));
    match (ids.next(), ids.next()) {
        (Some(id), None) => Ok(id),
        (Some(_), Some(_)) => Err(CliError::Input(format!(
            "several assets begin with {given}: give more of the id"
        ))),
        (None, _) if sampled => Err(CliError::No(format!(
            "no asset in a sample of the table begins with {given}: give the whole id"
        ))),
        (None, _) => Err(CliError::No(format!("no asset begins with {given}"))),
    }
}

impl Listed {
    async fn read(table: &Assets, limit: usize) -> Result<Self, CliError> {
        let (mut items, sampled) = table.scan(SAMPLE).await?;
        items.sort_by(|a, b| {
            let key = |item: &AssetItem| (item.updated_time, item.asset_id.clone());
            key(b).cmp(&key(a))
        });
        items.truncate(limit);
        let assets = items.into_iter().map(Row::of).collect();
        Ok(Self { sampled, assets })
    }

    fn show(&self, output: &Output) -> Result<(), CliError> {
        note_sample(output, self.sampled, "assets");
        let now = Timestamp::now();
        output.show(self, |output| {
            if self.assets.is_empty() {
                return output.line("none");
            }
            let rows = self.assets.iter().map(|row| row.cells(now)).collect();
            output.table(HEADER, rows);
        })
    }
}

impl Row {
    fn of(item: AssetItem) -> Self {
        let owned = item.asset.owners();
        let mut owners = Vec::new();
        for key in owned.into_iter().flat_map(|owned| owned.public_keys) {
            if !owners.contains(&key) {
                owners.push(key);
            }
        }
        Self {
            asset_id: item.asset_id,
            kind: match item.asset.car {
                Some(_) => "car",
                None => "other",
            },
            owners,
            premium: item.premium.map(|premium| PremiumView {
                yearly_cents: premium.yearly_cents,
                factor_percent: premium.factor_percent,
            }),
            driver: item.driver,
            transactions: item.asset.transactions,
            updated_time: item.updated_time,
        }
    }

    fn cells(&self, now: Timestamp) -> [String; 6] {
        let premium = match (&self.premium, &self.driver) {
            (Some(premium), _) => sum(premium.yearly_cents),
            // The recorder is about to say.
            (None, Some(_)) => "soon".to_owned(),
            (None, None) => "-".to_owned(),
        };
        let leased = if self.driver.is_some() {
            ", leased"
        } else {
            ""
        };
        [
            short(self.asset_id.as_str()),
            format!("{}{leased}", self.kind),
            shorts(&self.owners),
            premium,
            self.transactions.to_string(),
            since(self.updated_time, now),
        ]
    }
}

fn print(view: &AssetView, output: &Output) {
    output.title(format!("asset {}", view.asset_id));
    lines(view, output.width())
        .into_iter()
        .for_each(|line| output.line(line));
    output.line("");
    output.table(HISTORY, view.history.iter().map(history).collect());
    if view.next.is_some() {
        output.note("There is more: --all shows the whole history.");
    }
}

/// All but its history.
fn lines(view: &AssetView, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut row = |name: &str, text: &str| lines.extend(field(name, text, width));
    let model = view.model.as_deref().filter(|model| !model.is_empty());
    let model = model.map(|model| format!(": {model}")).unwrap_or_default();
    row("kind", &format!("{}{model}", view.kind));
    if let Some(value) = view.value_cents {
        row("value", &sum(value));
    }
    if let Some(lessor) = &view.lessor {
        row("lessor", &lessor.to_string());
    }
    for (place, owner) in view.owners.iter().enumerate() {
        let name = if place == 0 { "owners" } else { "" };
        let keys: Vec<_> = owner.public_keys.iter().map(PublicKey::to_string).collect();
        row(name, &keys.join(" and "));
        if owner.amount != "1" || view.owners.len() > 1 {
            row("", &format!("{} of it", clean(&owner.amount)));
        }
    }
    if view.owners.is_empty() {
        row(
            "owners",
            "not known yet: an older transaction is on its way",
        );
    }
    if let Some(driver) = &view.driver {
        row("driver", &driver.public_key.to_string());
        let record = &driver.record;
        row(
            "",
            &format!(
                "{} begun, {} ended, {} of those without a claim, {}",
                counted(record.started, "lease"),
                record.ended,
                record.claim_free,
                counted(record.incidents, "incident"),
            ),
        );
    }
    row("transactions", &view.transactions.to_string());
    row("changed", &view.updated_time.to_string());
    let premium = match (&view.premium, &view.driver) {
        (Some(premium), _) => Some(good(yearly(premium))),
        (None, Some(_)) => Some(warning("is being worked out")),
        (None, None) => None,
    };
    // A line of its own, which keeps its colour.
    lines.extend(premium.map(|premium| format!("  {:<12}  {premium}", "premium")));
    lines
}

/// What a lease costs, as a person reads it.
pub(crate) fn yearly(premium: &PremiumView) -> String {
    format!(
        "{} a year, {} % of the base",
        sum(premium.yearly_cents),
        premium.factor_percent
    )
}

/// So many of a thing.
pub(crate) fn counted(number: u64, thing: &str) -> String {
    count(usize::try_from(number).unwrap_or(usize::MAX), thing)
}

fn history(event: &HistoryView) -> [String; 6] {
    [
        event
            .height
            .map_or_else(|| "-".to_owned(), |height| height.to_string()),
        event.operation.as_deref().map_or("-".to_owned(), clean),
        shorts(&event.from),
        shorts(&event.to),
        short(event.transaction_id.as_str()),
        state(event.status, event.reason.as_deref()),
    ]
}

#[cfg(test)]
pub(crate) mod tests {
    use offchain_store::test_util::{FakeAws, items, page};
    use serde_json::{Value, json};

    use super::*;
    use crate::api::stub::Stub;
    use crate::ledger::tests::{DRIVER, LESSOR, id, stack};
    use crate::output::{plain, table};

    /// A leased car, as its item has it.
    pub(crate) fn item(asset: char, second: u32) -> Value {
        json!({
            "asset_id": id(asset),
            "asset": {
                "asset_id": id(asset),
                "car": {"lessor": LESSOR, "model": "Twingo", "value": 2_500_000},
                "unspent": {(format!("{}:0", id('1'))): {
                    "public_keys": [DRIVER], "amount": 1, "condition": "ni:",
                }},
                "spent": {},
                "transactions": 2,
            },
            "version": 2,
            "driver": DRIVER,
            "premium": {"yearly_cents": 110_000, "factor_percent": 110, "driver_version": 1},
            "updated_time": format!("2026-11-21T11:00:{second:02}.000Z"),
        })
    }

    /// The same, as the API shows it.
    pub(crate) fn view(transactions: &[char], next: Option<&str>) -> Value {
        let history: Vec<Value> = transactions
            .iter()
            .map(|transaction| {
                json!({
                    "transaction_id": id(*transaction), "height": 7, "status": "recorded",
                    "operation": "TRANSFER", "from": [LESSOR], "to": [DRIVER],
                    "recorded_time": "2026-11-21T11:00:00.500Z",
                })
            })
            .collect();
        let mut view = json!({
            "asset_id": id('a'), "kind": "car", "lessor": LESSOR, "model": "Twingo",
            "value_cents": 2_500_000,
            "owners": [{
                "public_keys": [DRIVER], "amount": "1", "transaction_id": id('1'),
                "output_index": 0,
            }],
            "driver": {
                "public_key": DRIVER, "started": 3, "ended": 2, "claim_free": 1, "incidents": 1,
            },
            "premium": {"yearly_cents": 130_000, "factor_percent": 130},
            "transactions": 2,
            "updated_time": "2026-11-21T11:00:00.500Z",
            "history": history,
        });
        if let Some(next) = next {
            view["next"] = next.into();
        }
        view
    }

    fn assets(aws: &FakeAws) -> Assets {
        crate::ledger::assets(stack().ledger().unwrap(), &aws.sdk_config())
    }

    fn list(all: bool) -> List {
        List {
            id: Some(id('a')),
            all,
            limit: 20,
        }
    }

    #[tokio::test]
    async fn the_newest_are_found_by_reading_the_table() {
        let mut soon = item('c', 3);
        soon.as_object_mut().unwrap().remove("premium");
        let mut other = item('b', 2);
        other["asset"]["car"] = Value::Null;
        other.as_object_mut().unwrap().remove("premium");
        other.as_object_mut().unwrap().remove("driver");
        let aws = FakeAws::new()
            .on(
                "Scan",
                page(&[item('a', 1), soon], &json!({"asset_id": id('c')})),
            )
            .on("Scan", items(&[other, item('d', 0)]));
        let listed = Listed::read(&assets(&aws), 3).await.unwrap();
        assert!(!listed.sampled);
        let now = "2026-11-21T11:00:10Z".parse().unwrap();
        let rows = listed.assets.iter().map(|row| row.cells(now)).collect();
        assert_eq!(
            plain(&table(HEADER, rows, Some(80))),
            " ASSET     KIND         OWNER     PREMIUM  TRANSACTIONS  AGE\n \
             cccccccc  car, leased  4K9sWUMF  soon     2             7 s\n \
             bbbbbbbb  other        4K9sWUMF  -        2             8 s\n \
             aaaaaaaa  car, leased  4K9sWUMF  1100.00  2             9 s"
        );
        let json = json!(listed);
        assert_eq!(json["assets"][2]["premium"]["yearly_cents"], 110_000);
        assert_eq!(json["assets"][1].get("driver"), None);
    }

    #[tokio::test]
    async fn an_id_that_is_cut_short_is_found_where_it_is_one_asset_s() {
        let aws = || FakeAws::new().on("Scan", items(&[item('a', 1), item('b', 1)]));
        let found = whole(&assets(&aws()), "aaaa").await.unwrap();
        assert_eq!(found.as_str(), id('a'));
        let error = whole(&assets(&aws()), "abcd").await.unwrap_err();
        assert_eq!(error.exit_code(), ExitCode::from(1));
        let twice = FakeAws::new().on("Scan", items(&[item('a', 1), item('a', 2)]));
        let error = whole(&assets(&twice), "aaaa").await.unwrap_err();
        assert!(error.to_string().starts_with("several assets"), "{error}");
        // The whole id needs no table.
        let aws = FakeAws::new();
        assert!(whole(&assets(&aws), &id('a')).await.is_ok());
        for wrong in ["", "abc", "ABCD", "xyzw", &"a".repeat(65)] {
            assert!(digits(wrong).is_err(), "{wrong}");
        }
    }

    #[tokio::test]
    async fn the_whole_history_is_read_page_after_page() {
        let next = format!("/v1/ledger/assets/{}?limit=20&after=1.2", id('a'));
        let answers = || {
            vec![
                (200, view(&['3', '2'], Some(&next))),
                (200, view(&['1'], None)),
            ]
        };
        let stub = Stub::answering(answers());
        let asset = id('a').parse().unwrap();
        let found = list(true).fetch(&stub.api(), &asset).await.unwrap();
        assert_eq!((found.history.len(), found.next), (3, None));
        assert_eq!(
            stub.asked(),
            [format!("/v1/ledger/assets/{asset}"), next.clone()]
        );
        let stub = Stub::answering(answers());
        let found = list(false).fetch(&stub.api(), &asset).await.unwrap();
        assert_eq!((found.history.len(), found.next), (2, Some(next)));
    }

    #[tokio::test]
    async fn a_page_that_leads_elsewhere_or_nowhere_is_not_followed() {
        let asset = id('a').parse().unwrap();
        let stub = Stub::answering(vec![(200, view(&['1'], Some("/v1/vrf/keys?x=1")))]);
        let error = list(true).fetch(&stub.api(), &asset).await.unwrap_err();
        assert!(error.to_string().contains("next page"), "{error}");
        let same = format!("/v1/ledger/assets/{asset}?after=1");
        let again = (200, view(&['1'], Some(&same)));
        let stub = Stub::answering(vec![again.clone(), again]);
        let error = list(true).fetch(&stub.api(), &asset).await.unwrap_err();
        assert!(error.to_string().contains("nothing older"), "{error}");
    }

    #[test]
    fn an_asset_is_told_in_80_columns() {
        let view: AssetView = serde_json::from_value(view(&['1'], None)).unwrap();
        let told = plain(&lines(&view, 80).join("\n"));
        assert_eq!(
            told,
            format!(
                "  kind          car: Twingo\n  \
                 value         25000.00\n  \
                 lessor        {LESSOR}\n  \
                 owners        {DRIVER}\n  \
                 driver        {DRIVER}\n                \
                 3 leases begun, 2 ended, 1 of those without a claim, 1 incident\n  \
                 transactions  2\n  \
                 changed       2026-11-21T11:00:00.500Z\n  \
                 premium       1300.00 a year, 130 % of the base"
            )
        );
        let rows = view.history.iter().map(history).collect();
        let told = plain(&table(HISTORY, rows, Some(80)));
        assert_eq!(
            told.lines().last().unwrap(),
            " 7       TRANSFER   7uQSF92G  4K9sWUMF  11111111     recorded"
        );
    }
}
