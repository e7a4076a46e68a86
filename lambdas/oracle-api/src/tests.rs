//! Requests through the handler, against a fake AWS.

use aws_lambda_events::encodings::Body;
use aws_lambda_events::http::header::HeaderMap;
use offchain_oracle::SignedReading;
use offchain_store::test_util::{
    FakeAws, Reply, demo_feed, feed, items, missed, oracle_epoch, page, published, reading,
    refusal, signing_key,
};
use serde_json::{Value, json};

use super::*;

fn api(aws: &FakeAws, interval: &'static str) -> Api {
    let env = Env::new(|name| {
        let value = match name {
            "ORACLE_READINGS_TABLE" => "readings",
            "ORACLE_FEEDS_TABLE" => "feeds",
            "ORACLE_KEYS_TABLE" => "keys",
            "ORACLE_INTERVAL_SECONDS" => interval,
            _ => return None,
        };
        Some(value.to_owned())
    });
    Api::from_env(env, &aws.sdk_config()).unwrap()
}

/// What the caller sees: the status, the headers and the body.
struct Seen {
    status: i64,
    headers: HeaderMap,
    body: Value,
}

/// Asks a suite whose interval is 2 s.
async fn ask(aws: &FakeAws, event: Value) -> Seen {
    ask_every(aws, "2", event).await
}

async fn ask_every(aws: &FakeAws, interval: &'static str, event: Value) -> Seen {
    let reply = api(aws, interval)
        .handle(serde_json::from_value(event).unwrap(), "invocation")
        .await
        .unwrap();
    let Some(Body::Text(body)) = reply.body else {
        panic!("expected a text, found {:?}", reply.body);
    };
    Seen {
        status: reply.status_code,
        headers: reply.headers,
        body: serde_json::from_str(&body).unwrap(),
    }
}

/// The event that API Gateway makes of a request.
fn get(path: &str, fields: &Value) -> Value {
    let mut event = json!({
        "version": "2.0",
        "routeKey": format!("GET {path}"),
        "rawPath": path,
        "headers": {},
        "isBase64Encoded": false,
        "requestContext": { "http": { "method": "GET", "path": path } },
    });
    for (name, value) in fields.as_object().unwrap() {
        event[name] = value.clone();
    }
    event
}

fn get_feeds() -> Value {
    get("/v1/feeds", &json!({}))
}

fn get_keys() -> Value {
    get("/v1/oracle/keys", &json!({}))
}

fn get_latest(feed: &str) -> Value {
    let fields = json!({ "pathParameters": { "feed": feed } });
    get("/v1/feeds/{feed}/latest", &fields)
}

fn get_readings(feed: &str, query: &Value) -> Value {
    let fields = json!({
        "pathParameters": { "feed": feed },
        "queryStringParameters": query,
    });
    get("/v1/feeds/{feed}/readings", &fields)
}

/// A feed of two sources with a maximum age of 10 s, as the table holds it.
fn eth() -> Value {
    let source = |url: &str| {
        json!({
            "url": url,
            "pointer": "/price",
            "time_pointer": null,
            "scale": 0,
            "timeout_ms": 800,
            "header": { "name": "x-api-key", "secret_key": "kraken-key" },
        })
    };
    let definition = json!({
        "kind": "http",
        "decimals": 2,
        "quorum": 1,
        "max_age_seconds": 10,
        "max_spread_bps": 200,
        "sources": {
            "kraken": source("https://kraken.test/private?key=hush"),
            "coinbase": source("https://coinbase.test/private?key=hush"),
        },
    });
    feed("eth-usd", &definition)
}

fn unusable() -> Value {
    feed("odd", &json!({ "kind": "telepathy" }))
}

/// A fake that has the feeds `demo`, `eth-usd` and `odd`.
fn with_feeds() -> FakeAws {
    FakeAws::new().on("Scan", items(&[demo_feed("demo"), eth(), unusable()]))
}

fn grid() -> Interval {
    Interval::new(2).unwrap()
}

/// The last slot so many seconds ago.
fn ago(seconds: i64) -> Slot {
    grid().at_or_before(Timestamp::now() - SignedDuration::from_secs(seconds))
}

/// A slot of one minute, by its second.
fn slot(second: u8) -> Slot {
    format!("2026-11-21T11:00:{second:02}Z").parse().unwrap()
}

/// The bounds of the one query that was sent, both included.
fn asked_for(aws: &FakeAws) -> (Slot, Slot) {
    let query = aws.sent_once("Query");
    let values = &query["ExpressionAttributeValues"];
    let bound = |name| serde_json::from_value(values[name].clone()).unwrap();
    (bound(":from"), bound(":last"))
}

#[track_caller]
fn assert_problem(seen: &Seen, status: i64, code: &str) {
    assert_eq!((seen.status, &seen.body["title"]), (status, &json!(code)));
    assert_eq!(seen.body["type"], format!("urn:offchain:{code}"));
    assert_eq!(seen.body["status"], status);
    assert_eq!(seen.headers["content-type"], "application/problem+json");
    assert_eq!(seen.headers["cache-control"], "no-store");
    let detail = seen.body["detail"].as_str().unwrap();
    assert!(!detail.is_empty());
    // What the services say is for the log.
    for internal in ["as the test says", "readings", "hush"] {
        assert!(!detail.contains(internal), "{detail}");
    }
    assert_eq!(seen.body.as_object().unwrap().len(), 4);
}

#[track_caller]
fn assert_ok(seen: &Seen) {
    assert_eq!(seen.status, 200, "{}", seen.body);
    assert_eq!(seen.headers["content-type"], "application/json");
    assert_eq!(seen.headers["cache-control"], "no-store");
}

#[tokio::test]
async fn the_feeds_are_listed_without_where_their_sources_lie() {
    let aws = with_feeds();
    let seen = ask(&aws, get_feeds()).await;
    assert_ok(&seen);
    assert_eq!(aws.calls()[0].body, json!({ "TableName": "feeds" }));
    // One that cannot be used is not offered.
    assert_eq!(
        seen.body,
        json!({ "feeds": [
            {
                "feed": "demo",
                "kind": "demo",
                "interval_seconds": 2,
                "exponent": 0,
            },
            {
                "feed": "eth-usd",
                "kind": "http",
                "interval_seconds": 2,
                "exponent": -2,
                "quorum": 1,
                "max_age_seconds": 10,
                "max_spread_bps": 200,
                "sources": ["coinbase", "kraken"],
            },
        ] })
    );
}

#[tokio::test]
async fn without_feeds_the_list_is_empty() {
    let aws = FakeAws::new().on("Scan", items(&[]));
    let seen = ask(&aws, get_feeds()).await;
    assert_ok(&seen);
    assert_eq!(seen.body, json!({ "feeds": [] }));
}

#[tokio::test]
async fn the_latest_reading_is_shown_with_its_age_and_verifies() {
    let newest = ago(2);
    let aws = with_feeds().on("Query", items(&[published("demo", newest)]));
    let before = Timestamp::now();
    let seen = ask(&aws, get_latest("demo")).await;
    assert_ok(&seen);
    assert_eq!(aws.operations(), ["Scan", "Query"]);

    let shown = SignedReading::from_json(&seen.body["reading"].to_string()).unwrap();
    assert_eq!(shown, reading("demo", newest, 1));
    shown.verify_with_key(&signing_key().public_key()).unwrap();
    let age = seen.body["age_seconds"].as_i64().unwrap();
    let youngest = before.duration_since(newest.timestamp()).as_secs();
    let oldest = Timestamp::now()
        .duration_since(newest.timestamp())
        .as_secs();
    assert!((youngest..=oldest).contains(&age), "{age}");
    assert_eq!(seen.body["stale"], false);
    assert_eq!(seen.body.as_object().unwrap().len(), 3);

    let query = aws.sent_once("Query");
    assert_eq!(query["TableName"], "readings");
    assert_eq!(query["ScanIndexForward"], false);
    assert_eq!(query["FilterExpression"], "#status = :published");
    assert_eq!(query["ExpressionAttributeValues"][":feed"], "demo");
    // An hour, and the slot of this moment with it.
    let (from, last) = asked_for(&aws);
    let hour = SignedDuration::from_hours(1);
    assert!(grid().at_or_after(before - hour) <= from);
    assert!(from <= grid().at_or_after(Timestamp::now() - hour));
    assert!(grid().at_or_before(before) <= last);
    let next = grid().next(grid().at_or_before(Timestamp::now()));
    assert!(last < next);
}

#[tokio::test]
async fn a_reading_is_stale_once_it_is_older_than_its_feed_allows() {
    for (feed, interval, seconds, stale) in [
        // A demo feed has a minute.
        ("demo", "2", 55, false),
        ("demo", "2", 65, true),
        // Its own maximum is 10 s.
        ("eth-usd", "2", 7, false),
        ("eth-usd", "2", 15, true),
        // Within its interval, a reading cannot be younger.
        ("eth-usd", "60", 50, false),
        ("eth-usd", "60", 65, true),
        // It was once a feed: its readings are still there.
        ("odd", "2", 55, false),
        ("odd", "2", 65, true),
    ] {
        let aws = with_feeds().on("Query", items(&[published(feed, ago(seconds))]));
        let seen = ask_every(&aws, interval, get_latest(feed)).await;
        assert_ok(&seen);
        assert_eq!(seen.body["stale"], stale, "{feed} {interval} {seconds}");
    }
}

#[tokio::test]
async fn a_feed_that_had_no_reading_for_long_has_no_latest_one() {
    let aws = with_feeds()
        .on("Query", page(&[], &json!({ "feed": "demo" })))
        .on("Query", items(&[]));
    let seen = ask(&aws, get_latest("demo")).await;
    assert_problem(&seen, 404, "ReadingNotFound");
    // The next slot may have one.
    assert_eq!(seen.headers["retry-after"], "1");
    assert_eq!(aws.operations(), ["Scan", "Query", "Query"]);
}

#[tokio::test]
async fn an_unknown_feed_is_not_found_and_an_impossible_one_is_not_looked_for() {
    for event in [get_latest, |feed: &str| get_readings(feed, &json!({}))] {
        let aws = with_feeds();
        let seen = ask(&aws, event("btc-usd")).await;
        assert_problem(&seen, 404, "FeedNotFound");
        assert!(!seen.headers.contains_key("retry-after"));
        assert_eq!(aws.operations(), ["Scan"]);
        for impossible in ["", "#sweep", "ETH", "../keys", &"x".repeat(33)] {
            let aws = FakeAws::new();
            let seen = ask(&aws, event(impossible)).await;
            assert_problem(&seen, 404, "FeedNotFound");
            assert!(aws.operations().is_empty());
        }
    }
}

#[tokio::test]
async fn readings_and_misses_of_a_stretch_are_shown_in_order() {
    let aws = with_feeds().on(
        "Query",
        items(&[published("demo", slot(10)), missed("demo", slot(12))]),
    );
    let query = json!({ "from": slot(10), "to": slot(20) });
    let seen = ask(&aws, get_readings("demo", &query)).await;
    assert_ok(&seen);
    assert_eq!(
        seen.body,
        json!({
            "readings": [
                serde_json::to_value(reading("demo", slot(10), 1)).unwrap(),
                // Nothing of what the operator alone may know.
                {
                    "feed": "demo",
                    "slot": "2026-11-21T11:00:12Z",
                    "status": "missed",
                    "reason": "QuorumNotReached",
                    "left_out": [{ "source": "kraken", "reason": "SourceStale" }],
                    "recorded": "2026-11-21T11:00:12.000Z",
                },
            ],
            "next": null,
        })
    );
    let query = aws.sent_once("Query");
    assert_eq!(query.get("ScanIndexForward"), None);
    assert_eq!(query["ExpressionAttributeValues"][":feed"], "demo");
}

#[tokio::test]
async fn the_bounds_of_a_stretch_are_put_on_the_grid() {
    for (from, to, first, last) in [
        ("2026-11-21T11:00:10Z", "2026-11-21T11:00:20Z", 10, 19),
        // What begins within a slot begins with the next one.
        ("2026-11-21T11:00:09.5Z", "2026-11-21T11:00:20.5Z", 10, 21),
        (
            "2026-11-21T12:00:10+01:00",
            "2026-11-21T12:00:20+01:00",
            10,
            19,
        ),
    ] {
        let aws = with_feeds().on("Query", items(&[]));
        let query = json!({ "from": from, "to": to });
        let seen = ask(&aws, get_readings("demo", &query)).await;
        assert_ok(&seen);
        assert_eq!(seen.body, json!({ "readings": [], "next": null }));
        assert_eq!(asked_for(&aws), (slot(first), slot(last)), "{from} {to}");
    }
}

#[tokio::test]
async fn a_stretch_is_the_last_five_minutes_unless_it_is_named() {
    let five = SignedDuration::from_mins(5);
    let aws = with_feeds().on("Query", items(&[]));
    let before = Timestamp::now();
    assert_ok(&ask(&aws, get_readings("demo", &json!({}))).await);
    let (from, last) = asked_for(&aws);
    assert!(grid().at_or_after(before - five) <= from);
    assert!(from <= grid().at_or_after(Timestamp::now() - five));
    assert!(before - SignedDuration::from_secs(1) <= last.timestamp());
    assert!(last < grid().at_or_after(Timestamp::now()));
    // One more than is shown, which tells whether there is more.
    assert_eq!(aws.sent_once("Query")["Limit"], 101);

    let aws = with_feeds().on("Query", items(&[]));
    let query = json!({ "to": "2026-11-21T11:05:20Z" });
    assert_ok(&ask(&aws, get_readings("demo", &query)).await);
    assert_eq!(asked_for(&aws).0, slot(20));
}

#[tokio::test]
async fn bounds_that_are_not_in_order_hold_nothing() {
    for (from, to) in [(20, 10), (10, 10)] {
        let aws = with_feeds();
        let query = json!({ "from": slot(from), "to": slot(to) });
        let seen = ask(&aws, get_readings("demo", &query)).await;
        assert_ok(&seen);
        assert_eq!(seen.body, json!({ "readings": [], "next": null }));
        assert_eq!(aws.operations(), ["Scan"]);
    }
}

#[tokio::test]
async fn the_next_of_a_page_leads_to_the_last_one() {
    let all: Vec<Slot> = (10..20).step_by(2).map(slot).collect();
    let mut from = json!(slot(10));
    let mut shown = Vec::new();
    let mut pages = 0;
    while !from.is_null() {
        // What the table would answer.
        let first: Slot = serde_json::from_value(from.clone()).unwrap();
        let found: Vec<Value> = all
            .iter()
            .filter(|slot| first <= **slot)
            .take(3)
            .map(|slot| published("demo", *slot))
            .collect();
        let aws = with_feeds().on("Query", items(&found));
        let query = json!({ "from": from, "to": slot(20), "limit": "2" });
        let seen = ask(&aws, get_readings("demo", &query)).await;
        assert_ok(&seen);
        assert_eq!(asked_for(&aws).0, first);
        assert_eq!(aws.sent_once("Query")["Limit"], 3);
        let readings = seen.body["readings"].as_array().unwrap();
        assert!(readings.len() <= 2);
        shown.extend(readings.iter().map(|reading| reading["slot"].clone()));
        from = seen.body["next"].clone();
        pages += 1;
    }
    let all: Vec<Value> = all.iter().map(|slot| json!(slot)).collect();
    assert_eq!(shown, all);
    assert_eq!(pages, 3);
}

#[tokio::test]
async fn a_page_that_holds_all_that_is_left_has_no_next() {
    let aws = with_feeds()
        .on(
            "Query",
            page(&[published("demo", slot(10))], &json!({ "feed": "demo" })),
        )
        .on("Query", items(&[published("demo", slot(12))]));
    let query = json!({ "from": slot(10), "to": slot(20), "limit": "2" });
    let seen = ask(&aws, get_readings("demo", &query)).await;
    assert_eq!(seen.body["readings"].as_array().unwrap().len(), 2);
    assert_eq!(seen.body["next"], Value::Null);
}

#[tokio::test]
async fn a_page_holds_as_many_as_are_asked_for_within_its_limit() {
    for (limit, read) in [("1", 2), ("1000", 1001)] {
        let aws = with_feeds().on("Query", items(&[]));
        let query = json!({ "limit": limit });
        assert_ok(&ask(&aws, get_readings("demo", &query)).await);
        assert_eq!(aws.sent_once("Query")["Limit"], read);
    }
}

#[tokio::test]
async fn a_query_that_cannot_be_used_is_refused_before_anything_is_read() {
    for (name, given) in [
        ("limit", "0"),
        ("limit", "1001"),
        ("limit", "-1"),
        ("limit", "ten"),
        ("limit", ""),
        ("limit", "1.5"),
        ("from", "yesterday"),
        ("from", ""),
        ("from", "2026-11-21"),
        ("from", "1795258800"),
        ("to", "2026-11-21T25:00:00Z"),
        ("to", "2026-11-21T11:00:00"),
    ] {
        let aws = FakeAws::new();
        let mut query = json!({});
        query[name] = given.into();
        let seen = ask(&aws, get_readings("demo", &query)).await;
        assert_problem(&seen, 400, "QueryInvalid");
        let detail = seen.body["detail"].as_str().unwrap();
        assert!(detail.starts_with(name), "{detail}");
        assert!(detail.contains("expected"), "{detail}");
        assert!(!seen.headers.contains_key("retry-after"));
        assert!(aws.operations().is_empty());
    }
}

#[tokio::test]
async fn times_at_the_ends_of_the_calendar_are_no_trouble() {
    for (from, to) in [
        ("0001-01-01T00:00:00Z", "1970-01-01T00:00:10Z"),
        ("-009999-01-02T01:59:59Z", "9999-12-30T22:00:00.999999999Z"),
    ] {
        let aws = with_feeds().on("Query", items(&[]));
        let query = json!({ "from": from, "to": to });
        assert_ok(&ask(&aws, get_readings("demo", &query)).await);
        let epoch = Slot::try_from(Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(asked_for(&aws).0, epoch);
    }
    let aws = with_feeds();
    let query = json!({ "to": "-009999-01-02T01:59:59Z" });
    assert_ok(&ask(&aws, get_readings("demo", &query)).await);
}

#[tokio::test]
async fn the_keys_are_listed_newest_first() {
    let aws = FakeAws::new()
        .on("Query", page(&[oracle_epoch(2)], &json!({ "epoch": 2 })))
        .on("Query", items(&[oracle_epoch(1)]));
    let seen = ask(&aws, get_keys()).await;
    assert_ok(&seen);
    let keys = seen.body["keys"].as_array().unwrap();
    assert_eq!(keys.len(), 2);
    for (key, number) in keys.iter().zip([2, 1]) {
        let mut stored = oracle_epoch(number);
        stored.as_object_mut().unwrap().remove("key_set");
        for time in ["published_at", "active_from"] {
            assert!(key[time].is_string());
            stored[time] = key[time].clone();
        }
        assert_eq!(*key, stored);
    }
    let query = &aws.sent("Query")[0];
    assert_eq!(query["TableName"], "keys");
    let values = &query["ExpressionAttributeValues"];
    assert_eq!(*values, json!({ ":set": "oracle" }));
    assert_eq!(query["ScanIndexForward"], false);
}

/// Every request whose reading of the feeds is answered so.
fn without_feeds(reply: &Reply) -> Vec<(FakeAws, Value)> {
    let aws = || FakeAws::new().on("Scan", reply.clone());
    vec![
        (aws(), get_feeds()),
        (aws(), get_latest("demo")),
        (aws(), get_readings("demo", &json!({}))),
    ]
}

/// Every request whose reading of something else is answered so.
fn without_more(reply: &Reply) -> Vec<(FakeAws, Value)> {
    let aws = || with_feeds().on("Query", reply.clone());
    vec![
        (aws(), get_latest("demo")),
        (aws(), get_readings("demo", &json!({}))),
        (aws(), get_keys()),
    ]
}

#[tokio::test]
async fn what_may_succeed_later_says_when_to_ask_again() {
    for reply in [
        refusal(400, "ThrottlingException"),
        refusal(500, "InternalServerError"),
        Reply::NoConnection,
        Reply::Silence,
    ] {
        for (aws, event) in [without_feeds(&reply), without_more(&reply)].concat() {
            let seen = ask(&aws, event).await;
            assert_problem(&seen, 503, "StoreUnavailable");
            assert_eq!(seen.headers["retry-after"], "1");
        }
    }
}

#[tokio::test]
async fn our_own_faults_are_told_without_their_reasons() {
    let denied = refusal(400, "AccessDeniedException");
    let rejected = refusal(400, "ValidationException");
    let torn = items(&[json!({ "feed": "demo", "slot": "hush" })]);
    for (cases, code) in [
        (without_feeds(&denied), "StoreDenied"),
        (without_more(&denied), "StoreDenied"),
        (without_feeds(&rejected), "StoreRejected"),
        (without_more(&rejected), "StoreRejected"),
        (without_more(&torn), "StoreRejected"),
    ] {
        for (aws, event) in cases {
            let seen = ask(&aws, event).await;
            assert_problem(&seen, 500, code);
            assert!(!seen.headers.contains_key("retry-after"));
            let detail = seen.body["detail"].as_str().unwrap();
            assert!(detail.contains("operator"), "{detail}");
        }
    }
}

#[tokio::test]
async fn an_unknown_route_is_not_found() {
    let mut nameless = get_feeds();
    nameless.as_object_mut().unwrap().remove("routeKey");
    let mut fallback = get_feeds();
    fallback["routeKey"] = "$default".into();
    let post = get("/v1/feeds", &json!({ "routeKey": "POST /v1/feeds" }));
    for event in [nameless, fallback, post] {
        let aws = FakeAws::new();
        let seen = ask(&aws, event).await;
        assert_problem(&seen, 404, "RouteNotFound");
        assert!(aws.operations().is_empty());
    }
}

#[test]
fn every_mistake_in_the_configuration_is_told_at_once() {
    let sdk = FakeAws::new().sdk_config();
    let error = Api::from_env(Env::new(|_| None), &sdk).err().unwrap();
    for name in [
        "ORACLE_READINGS_TABLE",
        "ORACLE_FEEDS_TABLE",
        "ORACLE_KEYS_TABLE",
        "ORACLE_INTERVAL_SECONDS",
    ] {
        assert!(error.to_string().contains(name), "{error}");
    }
}
