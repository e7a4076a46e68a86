//! The oracle's routes: what anyone reads, and checks with nothing else.

use std::fmt::Write;

use jiff::{SignedDuration, Timestamp};
use offchain_oracle::{PublicKey, SUITE, SignedReading};
use offchain_store::keys::KeyEpoch;
use reqwest::Method;
use serde_json::{Value, json};

use crate::garbage::is_problem;
use crate::harness::{World, offchain_with, until};
use crate::oracle::{MINUTE, demo, http_feed, http_source, published, with};
use crate::source::{Answer, Source};

/// What a reading's signature is over, built from the reply's texts alone, as
/// the specification in crates/oracle/README.md says.
fn signed_text(reading: &Value) -> String {
    let text = |field: &str| reading[field].as_str().unwrap();
    let list = |field: &str| reading[field].as_array().unwrap();
    let mut lines = String::from("offchain oracle reading v1\n");
    for field in ["feed", "slot", "observed", "written", "value"] {
        let _ = writeln!(lines, "{field} {}", text(field));
    }
    let _ = writeln!(lines, "exponent {}", reading["exponent"]);
    let _ = writeln!(lines, "spread {}", text("spread"));
    for part in list("sources") {
        let [source, value, observed] =
            ["source", "value", "observed"].map(|field| part[field].as_str().unwrap());
        let _ = writeln!(lines, "source {source} {value} {observed}");
    }
    for part in list("left_out") {
        let [source, reason] = ["source", "reason"].map(|field| part[field].as_str().unwrap());
        let _ = writeln!(lines, "left-out {source} {reason}");
    }
    let _ = writeln!(lines, "key-epoch {}", reading["key_epoch"]);
    lines
}

/// Verifies a reading by what the API says, and nothing else.
fn verify(reading: &Value, keys: &[KeyEpoch]) {
    let signed = SignedReading::from_json(&reading.to_string()).unwrap();
    assert_eq!(
        String::from_utf8(signed.reading().canonical()).unwrap(),
        signed_text(reading)
    );
    let epoch = reading["key_epoch"].as_u64().unwrap();
    let key = keys.iter().find(|key| key.epoch == epoch).unwrap();
    let key = PublicKey::from_hex(&key.public_key).unwrap();
    signed.verify_with_key(&key).unwrap();
}

async fn page(world: &World, query: &str) -> (Vec<Value>, Option<String>) {
    let path = format!("/v1/feeds/demo/readings?{query}");
    let reply = world.api.get(&path).await;
    assert_eq!(reply.status, 200, "{query}: {reply:?}");
    let readings = reply.body["readings"].as_array().unwrap().clone();
    let next = &reply.body["next"];
    assert!(next.is_string() || next.is_null(), "{reply:?}");
    (readings, next.as_str().map(ToOwned::to_owned))
}

#[tokio::test]
async fn pages_show_every_reading_once_and_each_verifies_by_itself() {
    let world = World::shared().await;
    let (from, to) = until("twenty slots in a row", MINUTE, async || {
        let to = world
            .interval()
            .at_or_before(Timestamp::now() - SignedDuration::from_secs(4));
        let from = to.timestamp() - SignedDuration::from_secs(40);
        let from = world.interval().at_or_after(from);
        (world.records(&demo(), from, to).await.len() == 20).then_some((from, to))
    })
    .await;
    let (all, next) = page(&world, &format!("from={from}&to={to}&limit=1000")).await;
    assert_eq!((all.len(), next), (20, None));
    let slots: Vec<_> = all
        .iter()
        .map(|reading| reading["slot"].as_str().unwrap())
        .collect();
    let expected: Vec<_> = world
        .interval()
        .slots(from.timestamp(), to.timestamp())
        .map(|slot| slot.to_string())
        .collect();
    assert_eq!(slots, expected);
    for limit in [1, 7, 10, 19, 20] {
        let (mut paged, mut from) = (Vec::new(), from.to_string());
        loop {
            let (readings, next) =
                page(&world, &format!("from={from}&to={to}&limit={limit}")).await;
            assert!(readings.len() <= limit);
            assert!(!readings.is_empty());
            paged.extend(readings);
            match next {
                Some(next) => from = next,
                None => break,
            }
        }
        assert_eq!(paged, all, "{limit} at a time");
    }
    let keys = world.api.oracle_keys().await;
    for reading in &all {
        verify(reading, &keys);
    }

    // A time between two slots, with an offset, and none at all.
    let early = from.timestamp() - SignedDuration::from_millis(1);
    let shifted = format!("{early:.3}").replace("Z", "%2B00:00");
    let (shown, _) = page(&world, &format!("from={shifted}&to={to}")).await;
    assert_eq!(shown, all);
    let (shown, next) = page(&world, "").await;
    assert!((20..=100).contains(&shown.len()), "{}", shown.len());
    assert!(next.is_none() || shown.len() == 100);
    let (shown, _) = page(&world, &format!("from={to}&to={from}")).await;
    assert_eq!(shown, [Value::Null; 0]);
}

#[tokio::test]
async fn a_reading_with_any_digit_changed_is_refused() {
    let world = World::shared().await;
    let source = Source::start().await;
    source.answer("/good", Answer::json(&json!({"price": "12.50"})));
    source.answer("/better", Answer::json(&json!({"price": "12.60"})));
    let sources = json!({
        "better": http_source(&source.url("/better"), "/price"),
        "broken": http_source(&source.url("/broken"), "/price"),
        "good": http_source(&source.url("/good"), "/price"),
    });
    let feed = world.feed(&http_feed(2, &sources)).await;
    published(&world.recorded(&feed.id, feed.since).await);
    let path = format!("/v1/feeds/{}/latest", feed.id);
    let latest = world.api.get(&path).await.body;
    let reading = &latest["reading"];
    verify(reading, &world.api.oracle_keys().await);
    let run = async |text: &str| {
        let verify = ["oracle", "verify", "-"];
        let offline = [("OFFCHAIN_STACK", None), ("AWS_ENDPOINT_URL", None)];
        offchain_with(&verify, text, &offline).await
    };
    // The whole reply is taken, and the reading alone.
    for text in [latest.to_string(), reading.to_string()] {
        let said = run(&text).await.succeeded();
        assert!(said.starts_with("valid: 1 reading"), "{said}");
    }
    let text = reading.to_string();
    // Every digit, wherever it stands: in a time, a value, a name, the key or
    // the signature.
    let digits = text
        .char_indices()
        .filter(|(_, char)| char.is_ascii_digit());
    let mut wrong = 0;
    for (at, digit) in digits {
        let other = if digit == '1' { '2' } else { '1' };
        let mut changed = text.clone();
        changed.replace_range(at..=at, &other.to_string());
        if let Ok(signed) = SignedReading::from_json(&changed) {
            assert!(signed.verify().is_err(), "{changed}");
        }
        wrong += 1;
    }
    assert!(wrong > 100, "{text}");
    for field in ["value", "spread", "slot", "observed", "written"] {
        let shown = reading[field].as_str().unwrap();
        let at = shown.rfind(|char: char| char.is_ascii_digit()).unwrap();
        let mut changed = shown.to_owned();
        let other = if &shown[at..=at] == "1" { "2" } else { "1" };
        changed.replace_range(at..=at, other);
        let ran = run(&with(reading.clone(), field, json!(changed)).to_string()).await;
        assert_eq!(ran.code, Some(1), "{field}: {ran:?}");
        assert!(ran.stdout.contains("invalid"), "{field}: {ran:?}");
    }
    let ran = run("{").await;
    assert_eq!(ran.code, Some(2), "{ran:?}");
}

#[tokio::test]
async fn feeds_and_keys_are_listed_without_what_is_private() {
    let world = World::shared().await;
    let source = Source::start().await;
    let sources = json!({
        "one": http_source(&source.url("/one?of=secret"), "/price"),
        "two": with(
            http_source(&source.url("/two"), "/price"),
            "header",
            json!({"name": "x-api-key", "secret_key": "private-name"}),
        ),
    });
    let feed = world.feed(&http_feed(2, &sources)).await;
    let reply = world.api.get("/v1/feeds").await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.headers["content-type"], "application/json");
    let feeds = reply.body["feeds"].as_array().unwrap();
    let shown = |name: &str| feeds.iter().find(|feed| feed["feed"] == name).unwrap();
    assert_eq!(
        shown("demo"),
        &json!({"feed": "demo", "kind": "demo", "interval_seconds": 2, "exponent": 0})
    );
    assert_eq!(
        shown(feed.id.as_str()),
        &json!({
            "feed": feed.id,
            "kind": "http",
            "interval_seconds": 2,
            "exponent": -2,
            "quorum": 2,
            "max_age_seconds": 60,
            "max_spread_bps": 200,
            "sources": ["one", "two"],
        })
    );
    // As the table has it.
    let kept = world.feeds.all().await.unwrap().remove(&feed.id).unwrap();
    assert_eq!(kept.unwrap().exponent(), -2);
    let all = reply.body.to_string();
    for private in ["127.0.0.1", "secret", "private-name", "x-api-key"] {
        assert!(!all.contains(private), "{private}: {all}");
    }

    let keys = world.api.oracle_keys().await;
    assert!(!keys.is_empty());
    assert!(keys.is_sorted_by(|a, b| a.epoch > b.epoch), "{keys:?}");
    assert_eq!(keys.last().unwrap().epoch, 1);
    for key in &keys {
        assert_eq!(key.suite, SUITE);
        PublicKey::from_hex(&key.public_key).unwrap();
    }
    assert_eq!(keys, world.oracle_keys.all().await.unwrap());
}

#[tokio::test]
async fn the_latest_reading_tells_its_age_and_whether_it_is_stale() {
    let world = World::shared().await;
    let latest = async |feed: &str| world.api.get(&format!("/v1/feeds/{feed}/latest")).await;
    let age = async |reply: &Value| {
        let slot: Timestamp = reply["reading"]["slot"].as_str().unwrap().parse().unwrap();
        let age = Timestamp::now().duration_since(slot).as_secs();
        assert!(
            (0..=age).contains(&reply["age_seconds"].as_i64().unwrap()),
            "{reply}"
        );
        assert!(slot <= Timestamp::now());
    };
    let reply = latest("demo").await;
    assert_eq!(
        (reply.status, &reply.body["stale"]),
        (200, &json!(false)),
        "{reply:?}"
    );
    verify(&reply.body["reading"], &world.api.oracle_keys().await);
    age(&reply.body).await;

    let source = Source::start().await;
    let sources = json!({"one": http_source(&source.url("/price"), "/price")});
    let definition = with(http_feed(1, &sources), "max_age_seconds", json!(3));
    let feed = world.feed(&definition).await;
    let name = feed.id.as_str();
    // Missed slots are no readings, but they are shown with their reason.
    world.recorded(&feed.id, feed.since).await;
    is_problem(
        &latest(name).await,
        404,
        "ReadingNotFound",
        "never published",
    );
    let path = format!("/v1/feeds/{name}/readings?from={}&limit=1", feed.since);
    let mut shown = world.api.get(&path).await.body["readings"][0].take();
    let recorded: Timestamp = shown["recorded"].take().as_str().unwrap().parse().unwrap();
    assert!(recorded >= feed.since.timestamp());
    assert_eq!(
        shown,
        json!({
            "feed": name,
            "slot": feed.since,
            "status": "missed",
            "reason": "QuorumNotReached",
            "left_out": [{"source": "one", "reason": "RemoteStatus"}],
            "recorded": null,
        })
    );

    source.answer("/price", Answer::json(&json!({"price": 1})));
    until("a fresh reading", MINUTE, async || {
        let reply = latest(name).await;
        (reply.status == 200 && reply.body["stale"] == false).then_some(())
    })
    .await;
    source.answer("/price", Answer::status(404));
    let reply = until("the reading to be stale", MINUTE, async || {
        let reply = latest(name).await;
        (reply.body["stale"] == true).then_some(reply)
    })
    .await;
    assert!(reply.body["age_seconds"].as_i64().unwrap() > 3, "{reply:?}");
    assert_eq!(reply.body["reading"]["value"], "100");
    age(&reply.body).await;
}

#[tokio::test]
async fn what_the_routes_do_not_know_is_told_in_a_problem_document() {
    let world = World::shared().await;
    for feed in ["nobody", "Demo", "%00", "a..b", &"a".repeat(300)] {
        for route in ["latest", "readings"] {
            let reply = world.api.get(&format!("/v1/feeds/{feed}/{route}")).await;
            is_problem(&reply, 404, "FeedNotFound", feed);
        }
    }
    for query in [
        "from=yesterday",
        "from=",
        "to=2026-11-21",
        "to=2026-11-21T11:00:00",
        "from=1764000000",
        "limit=0",
        "limit=1001",
        "limit=-1",
        "limit=",
        "limit=ten",
        "limit=1.5",
    ] {
        let reply = world
            .api
            .get(&format!("/v1/feeds/demo/readings?{query}"))
            .await;
        is_problem(&reply, 400, "QueryInvalid", query);
        let name = query.split('=').next().unwrap();
        let detail = reply.body["detail"].as_str().unwrap();
        assert!(detail.starts_with(name), "{detail}");
    }
    // However far apart, and whatever else is asked.
    let whole = "from=0001-01-01T00:00:00Z&to=9999-12-30T00:00:00Z&limit=3&more=1";
    assert_eq!(page(&world, whole).await.0.len(), 3);
    // What has no route never reaches a function: API Gateway answers itself.
    for (method, path) in [
        (Method::GET, "/v1/feeds/demo"),
        (Method::GET, "/v1/oracle"),
        (Method::POST, "/v1/feeds"),
        (Method::DELETE, "/v1/feeds/demo/readings"),
        (Method::POST, "/v1/oracle/keys"),
    ] {
        let reply = world.api.send(method.clone(), path, &[], "").await;
        assert!(
            matches!(reply.status, 404 | 405),
            "{method} {path}: {reply:?}"
        );
    }
}
