//! Assets that change owners, for `offchain demo`.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use offchain_ledger::{Id, PublicKey};
use offchain_ledger_service::AssetView;
use offchain_store::ledger::{AssetItem, Assets};

use crate::api::{Api, read};
use crate::aws;
use crate::demo::tell;
use crate::dlq::clean;
use crate::error::CliError;
use crate::ledger::assets::{counted, yearly};
use crate::ledger::{short, shorts, sum};
use crate::output::{Output, good, warning};
use crate::stack::{Ledger, Stack};

/// Assets read at each look.
const SAMPLE: usize = 5000;
/// Between two looks.
const POLL: Duration = Duration::from_secs(2);
/// How long somebody who looks on waits for a trade.
const PATIENCE: Duration = Duration::from_secs(60);
/// What was traded so shortly before counts as well.
const LATELY: SignedDuration = SignedDuration::from_secs(60);
/// How long the premium may follow its trade.
const PREMIUM: Duration = Duration::from_secs(5);

/// Shows so many assets that changed owners lately, and waits for them for a
/// bounded time. That nobody trades is no failure.
pub(crate) async fn show(
    stack: &Stack,
    ledger: &Ledger,
    api: &Api,
    count: usize,
    output: &Output,
) -> Result<(), CliError> {
    let table = super::assets(ledger, &aws::config(stack).await);
    let since = Timestamp::now() - LATELY;
    let deadline = Instant::now() + PATIENCE;
    let mut shown = BTreeSet::new();
    while shown.len() < count {
        if let Some(asset) = newest(&table, since, &shown).await? {
            show_one(api, &asset, output).await?;
            shown.insert(asset);
        } else if Instant::now() < deadline {
            output.progress("waiting for an asset of the ledger to change owners");
            tokio::time::sleep(POLL).await;
            output.end_progress();
        } else {
            output.note(format!(
                "No other asset of the ledger changed owners for {} s: see `offchain ledger status`.",
                PATIENCE.as_secs()
            ));
            break;
        }
    }
    Ok(())
}

/// The car that was traded last, since that time, or else another asset; none of
/// those that were shown.
async fn newest(
    table: &Assets,
    since: Timestamp,
    shown: &BTreeSet<Id>,
) -> Result<Option<Id>, CliError> {
    let (items, _) = table.scan(SAMPLE).await?;
    let traded = |item: &AssetItem| {
        item.asset.transactions > 1
            && item.updated_time.timestamp() >= since
            && !shown.contains(&item.asset_id)
    };
    let traded = items.into_iter().filter(traded);
    // A car has more to show.
    let newest = traded.max_by_key(|item| (item.asset.car.is_some(), item.updated_time));
    Ok(newest.map(|item| item.asset_id))
}

async fn show_one(api: &Api, asset: &Id, output: &Output) -> Result<(), CliError> {
    let began = Instant::now();
    let mut view: AssetView = read(&api.asset(asset).await?)?;
    while view.driver.is_some() && view.premium.is_none() && began.elapsed() < PREMIUM {
        tokio::time::sleep(POLL / 4).await;
        view = read(&api.asset(asset).await?)?;
    }
    for line in lines(&view) {
        tell(output, asset.as_str(), &line);
    }
    Ok(())
}

/// What happened to an asset, and what follows from it.
fn lines(view: &AssetView) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(last) = view.history.first() {
        let height = last
            .height
            .map_or(String::new(), |height| format!(" at height {height}"));
        lines.push(match last.from == last.to {
            true => format!(
                "was transferred{height}, and {} has it still",
                shorts(&last.to)
            ),
            false => format!(
                "changed owners{height}: from {} to {}",
                shorts(&last.from),
                shorts(&last.to)
            ),
        });
    }
    let owners: Vec<PublicKey> = view
        .owners
        .iter()
        .flat_map(|owner| owner.public_keys.iter().cloned())
        .collect();
    let Some(value) = view.value_cents else {
        lines.push(format!("is no car, and {} has it", shorts(&owners)));
        return lines;
    };
    let model = view.model.as_deref().map(clean);
    let model = model.filter(|model| !model.is_empty());
    lines.push(format!(
        "is a car, {}worth {}, of the lessor {}",
        model.map(|model| format!("{model}, ")).unwrap_or_default(),
        sum(value),
        view.lessor
            .as_ref()
            .map_or("-".to_owned(), |lessor| short(&lessor.to_string())),
    ));
    let Some(driver) = &view.driver else {
        lines.push("is not leased: nobody pays a premium".to_owned());
        return lines;
    };
    let record = &driver.record;
    lines.push(format!(
        "is leased by {}: {} before it, {} of them without a claim, {}",
        short(&driver.public_key.to_string()),
        counted(record.ended, "lease"),
        record.claim_free,
        counted(record.incidents, "incident"),
    ));
    lines.push(match &view.premium {
        Some(premium) => good(format!("costs a premium of {}", yearly(premium))),
        None => warning("has no premium yet"),
    });
    lines
}

#[cfg(test)]
mod tests {
    use offchain_store::test_util::{FakeAws, items};
    use serde_json::Value;

    use super::*;
    use crate::api::stub::Stub;
    use crate::ledger::assets::tests::{item, view};
    use crate::ledger::tests::{id, stack};
    use crate::output::plain;

    #[tokio::test]
    async fn the_newest_trade_that_was_not_shown_is_found() {
        let mut created = item('c', 9);
        created["asset"]["transactions"] = 1.into();
        let mut other = item('e', 8);
        other["asset"]["car"] = Value::Null;
        let all = items(&[item('a', 1), item('b', 3), created, item('d', 2), other]);
        let aws = FakeAws::new().always("Scan", all);
        let stack = stack();
        let table = crate::ledger::assets(stack.ledger().unwrap(), &aws.sdk_config());
        let since = "2026-11-21T11:00:02Z".parse().unwrap();
        let mut shown = BTreeSet::new();
        for expected in [Some('b'), Some('d'), Some('e'), None] {
            let found = newest(&table, since, &shown).await.unwrap();
            assert_eq!(found.as_ref().map(|id| id.to_string()), expected.map(id));
            shown.extend(found);
        }
    }

    fn told(view: Value) -> String {
        let view: AssetView = serde_json::from_value(view).unwrap();
        plain(&lines(&view).join(
            "
",
        ))
    }

    #[test]
    fn a_trade_is_told_with_the_lease_and_its_premium() {
        assert_eq!(
            told(view(&['1'], None)),
            "changed owners at height 7: from 7uQSF92G to 4K9sWUMF\n\
             is a car, Twingo, worth 25000.00, of the lessor 7uQSF92G\n\
             is leased by 4K9sWUMF: 2 leases before it, 1 of them without a claim, 1 incident\n\
             costs a premium of 1300.00 a year, 130 % of the base"
        );
        let mut back = view(&['1'], None);
        for name in ["driver", "premium"] {
            back.as_object_mut().unwrap().remove(name);
        }
        assert!(told(back.clone()).ends_with("is not leased: nobody pays a premium"));
        back["history"][0]["from"] = back["history"][0]["to"].clone();
        assert!(told(back.clone()).starts_with("was transferred at height 7, and 4K9sWUMF"));
        for name in ["lessor", "model", "value_cents"] {
            back.as_object_mut().unwrap().remove(name);
        }
        assert!(told(back).ends_with("is no car, and 4K9sWUMF has it"));
    }

    #[tokio::test]
    async fn a_premium_that_is_on_its_way_is_waited_for() {
        let mut soon = view(&['1'], None);
        soon.as_object_mut().unwrap().remove("premium");
        let stub = Stub::answering(vec![(200, soon), (200, view(&['1'], None))]);
        let asset = id('a').parse().unwrap();
        show_one(&stub.api(), &asset, &Output::new(true))
            .await
            .unwrap();
        assert_eq!(stub.asked().len(), 2);
    }
}
