//! Slots through the handler, against a fake AWS and servers of the tests' own.
//! The clock is the real one.

use std::sync::Mutex;

use offchain_oracle::{HttpFeed, PublicKey, SignedReading};
use offchain_store::keys;
use offchain_store::test_util::{
    FakeAws, Reply, condition_failed, demo_feed, done, feed, items, oracle_epoch, refusal, secret,
    signing_key,
};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket};

use super::*;

/// What a source's server does with every request.
#[derive(Clone)]
enum Manner {
    /// Answers with this body.
    Says(String),
    /// Answers with this status.
    Refuses(u16),
    /// Takes the request and never answers.
    Hangs,
}

/// A server on the loopback.
struct Server {
    url: String,
    /// The head of each request, and when it was here.
    seen: Arc<Mutex<Vec<(Timestamp, String)>>>,
}

impl Server {
    async fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/price", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let ours = seen.clone();
        tokio::spawn(async move {
            loop {
                let (mut socket, _) = listener.accept().await.unwrap();
                let (seen, manner) = (ours.clone(), manner.clone());
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        let Ok(byte) = socket.read_u8().await else {
                            return;
                        };
                        head.push(byte);
                    }
                    let head = String::from_utf8(head).unwrap();
                    seen.lock().unwrap().push((Timestamp::now(), head));
                    let (status, body) = match manner {
                        Manner::Says(body) => (200, body),
                        Manner::Refuses(status) => (status, String::new()),
                        Manner::Hangs => return std::future::pending().await,
                    };
                    let reply = format!(
                        "HTTP/1.1 {status} So\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                        body.len()
                    );
                    let _ = socket.write_all(reply.as_bytes()).await;
                });
            }
        });
        Self { url, seen }
    }

    async fn says(body: impl ToString) -> Self {
        Self::start(Manner::Says(body.to_string())).await
    }

    /// The value of a header in each request.
    fn headers(&self, name: &str) -> Vec<Option<String>> {
        let seen = self.seen.lock().unwrap();
        let header = |head: &String| {
            head.lines()
                .filter_map(|line| line.split_once(": "))
                .find(|(found, _)| found.eq_ignore_ascii_case(name))
                .map(|(_, value)| value.to_owned())
        };
        seen.iter().map(|(_, head)| header(head)).collect()
    }

    /// How it is asked, with all the time that there is.
    fn source(&self) -> Value {
        source(&self.url)
    }
}

fn source(url: &str) -> Value {
    json!({
        "url": url,
        "pointer": "/price",
        "time_pointer": null,
        "scale": 0,
        "timeout_ms": 10_000,
        "header": null,
    })
}

fn with(mut source: Value, name: &str, value: impl Into<Value>) -> Value {
    source[name] = value.into();
    source
}

fn with_header(source: Value) -> Value {
    let header = json!({ "name": "x-api-key", "secret_key": "kraken" });
    with(source, "header", header)
}

fn http(quorum: u8, sources: &Value) -> Value {
    json!({
        "kind": "http",
        "decimals": 2,
        "quorum": quorum,
        "max_age_seconds": 60,
        "max_spread_bps": 200,
        "sources": sources,
    })
}

fn grid(seconds: u32) -> Interval {
    Interval::new(seconds).unwrap()
}

/// A slot of the grid of 2 s that is not over for three seconds or more, the
/// first of which are the sources'.
fn soon() -> Slot {
    grid(2).at_or_after(Timestamp::now() + SignedDuration::from_secs(1))
}

/// A slot of the grid of 60 s that is not over for ten seconds or more, and
/// has mostly begun: tests that need no sources need not wait for it.
fn roomy() -> Slot {
    let now = Timestamp::now();
    let slot = grid(60).at_or_before(now);
    let next = grid(60).next(slot);
    if next.timestamp() < now + SignedDuration::from_secs(10) {
        next
    } else {
        slot
    }
}

/// A configuration, with these variables over the usual ones.
fn env(changes: &'static [(&'static str, &'static str)]) -> Env<'static> {
    Env::new(move |name| {
        let value = match name {
            "ORACLE_READINGS_TABLE" => "readings",
            "ORACLE_FEEDS_TABLE" => "feeds",
            "ORACLE_KEYS_TABLE" => "keys",
            "ORACLE_KEY_SECRET_ARN" => "arn:key",
            "ORACLE_HEADERS_SECRET_ARN" => "arn:headers",
            "ORACLE_INTERVAL_SECONDS" => "60",
            // Enough for the slots of these tests.
            "ORACLE_HEAD_START_SECONDS" => "10",
            "ORACLE_RETENTION_DAYS" => "30",
            "ORACLE_SECRET_CACHE_SECONDS" => "60",
            "ORACLE_ALLOW_PRIVATE_SOURCES" => "true",
            _ => return None,
        };
        let change = changes.iter().find(|(changed, _)| *changed == name);
        Some(change.map_or(value, |(_, value)| value).to_owned())
    })
}

const EVERY_2_S: &[(&str, &str)] = &[("ORACLE_INTERVAL_SECONDS", "2")];
const NOTHING_KEPT: &[(&str, &str)] = &[("ORACLE_SECRET_CACHE_SECONDS", "0")];

fn publisher(aws: &FakeAws, changes: &'static [(&'static str, &'static str)]) -> Publisher {
    Publisher::from_env(env(changes), &aws.sdk_config()).unwrap()
}

async fn run_with(publisher: &Publisher, slot: Slot) -> Result<Published, PublishError> {
    let event = serde_json::from_value(json!({ "slot": slot })).unwrap();
    publisher.handle(event, "invocation").await
}

/// A run on the grid of 60 s.
async fn run(aws: &FakeAws, slot: Slot) -> Result<Published, PublishError> {
    run_with(&publisher(aws, &[]), slot).await
}

/// A run on the grid of 2 s.
async fn run_soon(aws: &FakeAws, slot: Slot) -> Result<Published, PublishError> {
    run_with(&publisher(aws, EVERY_2_S), slot).await
}

fn counts(published: u32, missed: u32, existing: u32) -> Published {
    Published {
        published,
        missed,
        existing,
    }
}

trait Holding {
    /// Has the sample key, active.
    fn with_key(self) -> Self;
    /// Has these feeds and the sample key.
    fn holding(self, feeds: &[Value]) -> Self;
}

impl Holding for FakeAws {
    fn with_key(self) -> Self {
        self.always("Query", items(&[oracle_epoch(1)])).about(
            "arn:key",
            "GetSecretValue",
            secret("v1", &keys::write(&signing_key())),
        )
    }

    fn holding(self, feeds: &[Value]) -> Self {
        self.always("Scan", items(feeds)).with_key()
    }
}

/// The records that were written, or were to be, by feed.
fn records(aws: &FakeAws) -> BTreeMap<String, Value> {
    let sent = aws.sent("PutItem");
    let count = sent.len();
    let records: BTreeMap<_, _> = sent
        .into_iter()
        .map(|put| {
            assert_eq!(put["TableName"], "readings");
            assert_eq!(put["ConditionExpression"], "attribute_not_exists(slot)");
            let feed = put["Item"]["feed"].as_str().unwrap().to_owned();
            (feed, put["Item"].clone())
        })
        .collect();
    assert_eq!(records.len(), count, "a feed has one record");
    records
}

/// The reading of a record, once it is known to be true and signed with `key`.
fn verified_with(record: &Value, key: &PublicKey) -> SignedReading {
    let mut record = record.clone();
    record.as_object_mut().unwrap().remove("expiration");
    let reading = SignedReading::from_json(&record.to_string()).unwrap();
    reading.verify_with_key(key).unwrap();
    assert!(reading.reading().slot.timestamp() <= reading.reading().written);
    assert!(reading.reading().observed <= reading.reading().written);
    reading
}

fn verified(record: &Value) -> SignedReading {
    verified_with(record, &signing_key().public_key())
}

/// Asserts that nothing was written before the slot, or read after a write.
#[track_caller]
fn assert_written_at(aws: &FakeAws, slot: Slot) {
    let calls = aws.calls();
    let writes = calls.iter().skip_while(|call| call.operation != "PutItem");
    for write in writes {
        assert_eq!(write.operation, "PutItem");
        assert!(slot.timestamp() <= write.at, "{slot} {}", write.at);
    }
}

#[track_caller]
fn assert_error(outcome: Result<Published, PublishError>, code: &str, retryable: bool) {
    let error = outcome.unwrap_err();
    assert_eq!((error.code(), error.retryable()), (code, retryable));
    assert_tells_no_secret(&chain(&error));
}

/// The sample key's text, and what the tests put where a secret is expected.
#[track_caller]
fn assert_tells_no_secret(text: &str) {
    for secret in ["hush", "0707"] {
        assert!(!text.contains(secret), "{text}");
    }
}

#[tokio::test]
async fn every_feed_has_one_reading_at_the_slot_and_never_before() {
    let server = Server::says(r#"{"price":"3141.59"}"#).await;
    let eth = http(1, &json!({ "kraken": server.source() }));
    let aws = FakeAws::new()
        .holding(&[demo_feed("demo"), feed("eth", &eth)])
        .always("PutItem", done());
    // A second more, so that even a slow machine asks before the slot.
    let slot = grid(2).next(soon());
    let reply = run_soon(&aws, slot).await.unwrap();
    assert_eq!(
        serde_json::to_value(&reply).unwrap(),
        json!({ "published": 2, "missed": 0, "existing": 0 })
    );

    let mut operations = aws.operations();
    operations[..3].sort();
    assert_eq!(
        operations,
        ["GetSecretValue", "Query", "Scan", "PutItem", "PutItem"]
    );
    assert_written_at(&aws, slot);
    assert_eq!(aws.sent_once("Scan"), json!({ "TableName": "feeds" }));
    let query = aws.sent_once("Query");
    assert_eq!(query["TableName"], "keys");
    let values = &query["ExpressionAttributeValues"];
    assert_eq!(*values, json!({ ":set": "oracle" }));
    let label = keys::label(&signing_key().public_key().to_hex());
    assert_eq!(
        aws.sent_once("GetSecretValue"),
        json!({ "SecretId": "arn:key", "VersionStage": label })
    );

    let records = records(&aws);
    for record in records.values() {
        let expiration = slot.timestamp().as_second() + 30 * 24 * 3600;
        assert_eq!(record["expiration"], expiration);
        let reading = verified(record);
        assert_eq!(reading.reading().slot, slot);
        assert_eq!(reading.reading().key_epoch, 1);
        assert!(reading.reading().left_out.is_empty());
    }
    let demo = verified(&records["demo"]);
    assert!((0..=1000).contains(&demo.reading().value));
    assert_eq!(demo.reading().exponent, 0);
    let eth = verified(&records["eth"]);
    assert_eq!((eth.reading().value, eth.reading().exponent), (314_159, -2));
    assert_eq!(eth.reading().sources[0].source.as_str(), "kraken");

    let seen = server.seen.lock().unwrap();
    assert_eq!(seen.len(), 1);
    assert!(seen[0].0 < slot.timestamp(), "the source is asked before");
}

#[tokio::test]
async fn a_time_off_the_grid_is_no_slot() {
    let aws = FakeAws::new();
    let odd = Slot::try_from(soon().timestamp() + SignedDuration::from_secs(1)).unwrap();
    assert_error(run_soon(&aws, odd).await, "SlotInvalid", false);
    assert!(aws.operations().is_empty());
}

#[tokio::test]
async fn a_slot_that_is_far_away_is_not_waited_for() {
    let aws = FakeAws::new();
    let publisher = publisher(&aws, EVERY_2_S);
    // The head start is 10 s, and clocks may differ by 2 s.
    let far = Timestamp::now() + SignedDuration::from_secs(15);
    let outcome = run_with(&publisher, grid(2).at_or_after(far)).await;
    assert_error(outcome, "SlotNotDue", true);
    assert!(aws.operations().is_empty());
}

#[tokio::test]
async fn a_slot_has_ended_where_the_next_one_has_begun() {
    let aws = FakeAws::new();
    let before = grid(2).at_or_before(Timestamp::now()).timestamp();
    let ended = Slot::try_from(before - SignedDuration::from_secs(2)).unwrap();
    assert_error(run_soon(&aws, ended).await, "SlotPassed", false);
    assert!(aws.operations().is_empty());
}

#[tokio::test]
async fn a_slot_that_ends_during_the_run_has_no_reading() {
    let aws = FakeAws::new().always("PutItem", done());
    let publisher = publisher(&aws, EVERY_2_S);
    let feed = Feed::parse("demo", r#"{"kind":"demo"}"#).unwrap();
    let before = grid(2).at_or_before(Timestamp::now()).timestamp();
    let ended = Slot::try_from(before - SignedDuration::from_secs(2)).unwrap();
    let id = feed.id.clone();
    publisher
        .publish_feed(&id, &Ok(feed), ended, 1, &signing_key())
        .await
        .unwrap();
    let record = &records(&aws)["demo"];
    assert_eq!(record["status"], "missed");
    assert_eq!(record["reason"], "SlotPassed");
}

#[tokio::test]
async fn a_write_that_is_not_acknowledged_by_the_end_of_the_slot_is_given_up() {
    let feed = Feed::parse("demo", r#"{"kind":"demo"}"#).unwrap();
    let id = feed.id.clone();
    // Less is left of the slot than an attempt of the fake AWS may take. Where
    // this machine stops for longer, there was no write: another slot then.
    let aws = loop {
        let aws = FakeAws::new()
            .on("PutItem", Reply::Silence)
            .always("PutItem", done());
        let publisher = publisher(&aws, EVERY_2_S);
        let slot = grid(2).at_or_after(Timestamp::now());
        let end = grid(2).next(slot).timestamp();
        wait_until(end - SignedDuration::from_millis(100)).await;
        publisher
            .publish_feed(&id, &Ok(feed.clone()), slot, 1, &signing_key())
            .await
            .unwrap();
        if aws.sent("PutItem").len() == 2 {
            break aws;
        }
    };
    let written = aws.sent("PutItem");
    assert_eq!(written[0]["Item"]["status"], "published");
    assert_eq!(written[1]["Item"]["status"], "missed");
    assert_eq!(written[1]["Item"]["reason"], "SlotPassed");
    assert_eq!(written[1]["Item"]["slot"], written[0]["Item"]["slot"]);
}

#[tokio::test]
async fn a_run_that_comes_late_still_asks_the_sources() {
    let server = Server::says(r#"{"price":2}"#).await;
    let eth = http(1, &json!({ "kraken": server.source() }));
    let aws = FakeAws::new()
        .holding(&[feed("eth", &eth)])
        .always("PutItem", done());
    let slot = grid(2).at_or_after(Timestamp::now());
    wait_until(slot.timestamp()).await;
    assert_eq!(run_soon(&aws, slot).await.unwrap(), counts(1, 0, 0));
    assert_eq!(verified(&records(&aws)["eth"]).reading().value, 200);
    assert_written_at(&aws, slot);
}

#[tokio::test]
async fn a_slot_that_has_its_record_keeps_it_and_that_is_success() {
    let unusable = feed("odd", &json!({ "kind": "telepathy" }));
    let aws = FakeAws::new()
        .holding(&[demo_feed("demo"), unusable])
        .always("PutItem", condition_failed());
    assert_eq!(run(&aws, roomy()).await.unwrap(), counts(0, 0, 2));
    let statuses: Vec<_> = records(&aws)
        .into_values()
        .map(|record| record["status"].clone())
        .collect();
    assert_eq!(statuses, ["published", "missed"]);
}

#[tokio::test]
async fn the_median_of_the_rest_stands_whatever_the_others_do() {
    let price = |price: &str| format!(r#"{{"price":{price}}}"#);
    let first = Server::says(price("100.00")).await;
    let second = Server::says(price("\"100.10\"")).await;
    let third = Server::says(price("100.20")).await;
    let liar = Server::says(price("3")).await;
    let garbage = Server::says("<html>").await;
    let elsewhere = Server::says(r#"{"cost":100}"#).await;
    let endless = Server::says("9".repeat(2_000_000)).await;
    let asleep = Server::says(r#"{"price":100,"time":"2020-01-01T00:00:00Z"}"#).await;
    let sick = Server::start(Manner::Refuses(503)).await;
    let hangs = Server::start(Manner::Hangs).await;
    // Held, so that nobody else listens there.
    let dead = TcpSocket::new_v4().unwrap();
    dead.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let nobody = source(&format!("http://{}/", dead.local_addr().unwrap()));
    let sources = json!({
        "first": first.source(),
        "second": second.source(),
        "third": third.source(),
        "liar": liar.source(),
        "garbage": garbage.source(),
        "elsewhere": elsewhere.source(),
        "endless": endless.source(),
        "asleep": with(asleep.source(), "time_pointer", "/time"),
        "sick": sick.source(),
        "hangs": hangs.source(),
        "nobody": nobody,
    });
    let aws = FakeAws::new()
        .holding(&[feed("eth", &http(3, &sources))])
        .always("PutItem", done());
    let slot = soon();
    assert_eq!(run_soon(&aws, slot).await.unwrap(), counts(1, 0, 0));
    assert_written_at(&aws, slot);

    let reading = verified(&records(&aws)["eth"]);
    let reading = reading.reading();
    assert_eq!((reading.value, reading.spread), (10_010, 20));
    let part: Vec<_> = reading
        .sources
        .iter()
        .map(|part| (part.source.as_str(), part.value))
        .collect();
    assert_eq!(
        part,
        [("first", 10_000), ("second", 10_010), ("third", 10_020)]
    );
    let left_out: Vec<_> = reading
        .left_out
        .iter()
        .map(|one| (one.source.as_str(), one.reason.as_str()))
        .collect();
    assert_eq!(
        left_out,
        [
            ("asleep", "SourceStale"),
            ("elsewhere", "PointerMissing"),
            ("endless", "RemoteTooLarge"),
            ("garbage", "SourceBodyInvalid"),
            ("hangs", "RemoteTimedOut"),
            ("liar", "SourceOutlier"),
            ("nobody", "RemoteUnreachable"),
            ("sick", "RemoteStatus"),
        ]
    );
    // The one that hangs was waited for, and is none of those used.
    let limit = slot.timestamp() - SignedDuration::from_millis(100);
    assert!(reading.observed < limit, "{}", reading.observed);
}

#[tokio::test]
async fn a_source_has_its_own_time_and_no_more() {
    let hangs = Server::start(Manner::Hangs).await;
    let source = with(hangs.source(), "timeout_ms", 50);
    let feed = parsed(&http(1, &json!({ "hangs": source })));
    let aws = FakeAws::new();
    let publisher = publisher(&aws, &[]);
    let asking = publisher.sources.ask(&feed, Duration::from_secs(3600));
    let asked = tokio::time::timeout(Duration::from_secs(30), asking).await;
    let asked = asked.unwrap();
    let Err(fault) = &asked[0].0.outcome else {
        panic!("expected a fault, found {asked:?}");
    };
    assert_eq!(fault.code, "RemoteTimedOut");
}

#[tokio::test]
async fn a_feed_without_a_value_is_missed_for_its_reasons_and_the_others_are_published() {
    let sick = Server::start(Manner::Refuses(500)).await;
    let hangs = Server::start(Manner::Hangs).await;
    let low = Server::says(r#"{"price":100}"#).await;
    let high = Server::says(r#"{"price":200}"#).await;
    let dead = http(
        1,
        &json!({ "sick": sick.source(), "hangs": hangs.source() }),
    );
    let torn = http(2, &json!({ "low": low.source(), "high": high.source() }));
    let whole = http(1, &json!({ "low": low.source() }));
    let aws = FakeAws::new()
        .holding(&[
            feed("dead", &dead),
            feed("torn", &torn),
            feed("whole", &whole),
        ])
        .always("PutItem", done());
    let slot = soon();
    assert_eq!(run_soon(&aws, slot).await.unwrap(), counts(1, 2, 0));
    assert_written_at(&aws, slot);

    let records = records(&aws);
    assert_eq!(verified(&records["whole"]).reading().value, 10_000);
    for (feed, reason, left_out) in [
        (
            "dead",
            "QuorumNotReached",
            json!([
                { "source": "hangs", "reason": "RemoteTimedOut" },
                { "source": "sick", "reason": "RemoteStatus" },
            ]),
        ),
        (
            "torn",
            "SpreadExceeded",
            json!([
                { "source": "high", "reason": "SourceOutlier" },
                { "source": "low", "reason": "SourceOutlier" },
            ]),
        ),
    ] {
        let mut record = records[feed].clone();
        let fields = record.as_object_mut().unwrap();
        let recorded = fields.remove("recorded").unwrap();
        let recorded: Timestamp = serde_json::from_value(recorded).unwrap();
        assert!(slot.timestamp() <= recorded);
        // For the operator: each source, by name and with its own reason.
        let detail = fields.remove("detail").unwrap();
        let detail = detail.as_str().unwrap();
        for one in left_out.as_array().unwrap() {
            let told = format!(
                "{} {}",
                one["source"].as_str().unwrap(),
                one["reason"].as_str().unwrap()
            );
            assert!(detail.contains(&told), "{detail}");
        }
        assert_eq!(
            record,
            json!({
                "feed": feed,
                "slot": slot,
                "status": "missed",
                "reason": reason,
                "left_out": left_out,
                "expiration": slot.timestamp().as_second() + 30 * 24 * 3600,
            })
        );
    }
}

#[tokio::test]
async fn a_definition_that_cannot_be_used_is_its_own_feeds_trouble_alone() {
    let aws = FakeAws::new()
        .holding(&[
            feed("odd", &json!({ "kind": "telepathy" })),
            demo_feed("demo"),
        ])
        .always("PutItem", done());
    let slot = soon();
    assert_eq!(run_soon(&aws, slot).await.unwrap(), counts(1, 1, 0));
    // A miss is no earlier than a reading: the slot has not happened before.
    assert_written_at(&aws, slot);
    let records = records(&aws);
    verified(&records["demo"]);
    let odd = &records["odd"];
    assert_eq!(odd["status"], "missed");
    assert_eq!(odd["reason"], "FeedInvalid");
    assert_eq!(odd["left_out"], json!([]));
    let detail = odd["detail"].as_str().unwrap();
    assert!(
        detail.contains("expected demo or http in `kind`"),
        "{detail}"
    );
}

#[tokio::test]
async fn without_feeds_there_is_nothing_to_write() {
    let aws = FakeAws::new().holding(&[]);
    assert_eq!(run(&aws, roomy()).await.unwrap(), counts(0, 0, 0));
}

#[tokio::test]
async fn a_write_that_fails_fails_the_run_after_the_others_were_made() {
    let feeds = [demo_feed("alpha"), demo_feed("beta"), demo_feed("gamma")];
    for (reply, code, retryable) in [
        (
            refusal(400, "ThrottlingException"),
            "StoreUnavailable",
            true,
        ),
        (Reply::NoConnection, "StoreUnavailable", true),
        (refusal(400, "AccessDeniedException"), "StoreDenied", false),
    ] {
        let aws = FakeAws::new()
            .holding(&feeds)
            .about(r#""feed":"alpha""#, "PutItem", reply)
            .always("PutItem", done());
        assert_error(run(&aws, roomy()).await, code, retryable);
        let written: Vec<String> = records(&aws).into_keys().collect();
        assert_eq!(written, ["alpha", "beta", "gamma"]);
    }
    // The next try finds the others there.
    let aws = FakeAws::new()
        .holding(&feeds)
        .about(r#""feed":"alpha""#, "PutItem", done())
        .always("PutItem", condition_failed());
    assert_eq!(run(&aws, roomy()).await.unwrap(), counts(1, 0, 2));
}

#[tokio::test]
async fn what_was_never_read_and_cannot_be_read_fails_the_run_before_it_writes() {
    let throttled = || refusal(400, "ThrottlingException");
    let denied = || refusal(400, "AccessDeniedException");
    for (reply, code, retryable) in [
        (throttled(), "StoreUnavailable", true),
        (Reply::Silence, "StoreUnavailable", true),
        (denied(), "StoreDenied", false),
    ] {
        let feeds = FakeAws::new().always("Scan", reply.clone()).with_key();
        let epochs = FakeAws::new()
            .always("Query", reply)
            .holding(&[demo_feed("demo")]);
        for aws in [feeds, epochs] {
            assert_error(run(&aws, roomy()).await, code, retryable);
            assert!(aws.sent("PutItem").is_empty());
        }
    }
}

#[tokio::test]
async fn what_was_read_once_serves_while_it_cannot_be_read_again() {
    let aws = FakeAws::new()
        .on("Scan", items(&[demo_feed("demo")]))
        .always("Scan", refusal(400, "ThrottlingException"))
        .on("Query", items(&[oracle_epoch(1)]))
        .always("Query", refusal(400, "AccessDeniedException"))
        .with_key()
        .always("PutItem", done());
    let publisher = publisher(&aws, NOTHING_KEPT);
    for _ in 0..3 {
        let outcome = run_with(&publisher, roomy()).await;
        assert_eq!(outcome.unwrap(), counts(1, 0, 0));
    }
    for operation in ["Scan", "Query", "PutItem"] {
        assert_eq!(aws.sent(operation).len(), 3, "{operation}");
    }
}

#[tokio::test]
async fn feeds_epochs_and_key_are_read_once_within_their_time() {
    let aws = FakeAws::new()
        .holding(&[demo_feed("demo")])
        .always("PutItem", done());
    let publisher = publisher(&aws, &[]);
    for _ in 0..3 {
        run_with(&publisher, roomy()).await.unwrap();
    }
    for operation in ["Scan", "Query", "GetSecretValue"] {
        assert_eq!(aws.sent(operation).len(), 1, "{operation}");
    }
}

#[tokio::test]
async fn a_feed_that_is_added_is_published_once_its_time_has_passed() {
    let aws = FakeAws::new()
        .on("Scan", items(&[demo_feed("alpha")]))
        .holding(&[demo_feed("alpha"), demo_feed("beta")])
        .always("PutItem", done());
    let publisher = publisher(&aws, NOTHING_KEPT);
    for published in [1, 2] {
        let outcome = run_with(&publisher, roomy()).await;
        assert_eq!(outcome.unwrap(), counts(published, 0, 0));
    }
}

/// An epoch of a key, active from so many milliseconds after the slot.
fn epoch_of(number: u64, key: &SigningKey, slot: Slot, after: i64) -> Value {
    let mut epoch = oracle_epoch(number);
    epoch["public_key"] = key.public_key().to_hex().into();
    let active_from = slot.timestamp() + SignedDuration::from_millis(after);
    epoch["active_from"] = Moment::from(active_from).to_string().into();
    epoch
}

#[tokio::test]
async fn the_newest_epoch_that_is_active_at_the_slot_signs() {
    let (old, new) = (signing_key(), SigningKey::from_bytes(&[9; 32]));
    let label = |key: &SigningKey| keys::label(&key.public_key().to_hex()).leak();
    for (active_after, number, key) in [(1, 1, &old), (0, 2, &new), (-1, 2, &new)] {
        let slot = roomy();
        let aws = FakeAws::new()
            .on(
                "Query",
                items(&[
                    epoch_of(2, &new, slot, active_after),
                    epoch_of(1, &old, slot, -3_600_000),
                ]),
            )
            .about(
                label(&old),
                "GetSecretValue",
                secret("v1", &keys::write(&old)),
            )
            .about(
                label(&new),
                "GetSecretValue",
                secret("v2", &keys::write(&new)),
            )
            .on("Scan", items(&[demo_feed("demo")]))
            .on("PutItem", done());
        run(&aws, slot).await.unwrap();
        let reading = verified_with(&records(&aws)["demo"], &key.public_key());
        assert_eq!(reading.reading().key_epoch, number);
    }
}

#[tokio::test]
async fn without_an_active_epoch_nothing_is_signed_and_a_later_run_may_have_one() {
    let slot = roomy();
    for epochs in [vec![], vec![epoch_of(1, &signing_key(), slot, 1)]] {
        let aws = FakeAws::new()
            .on("Query", items(&epochs))
            .holding(&[demo_feed("demo")]);
        assert_error(run(&aws, slot).await, "KeyUnavailable", true);
        assert!(aws.sent("PutItem").is_empty());
        assert!(aws.sent("GetSecretValue").is_empty());
    }
}

#[tokio::test]
async fn a_key_that_cannot_be_used_signs_nothing_and_is_not_told() {
    let stranger = SigningKey::from_bytes(&[0x70; 32]);
    for (secret, code, retryable) in [
        (secret("v1", &keys::write(&stranger)), "KeyInvalid", false),
        (secret("v1", "hush"), "KeyInvalid", false),
        (
            secret("v1", r#"{"suite":"hush","secret_key":"0707"}"#),
            "KeyInvalid",
            false,
        ),
        (
            refusal(400, "ResourceNotFoundException"),
            "KeyUnavailable",
            true,
        ),
        (
            refusal(400, "AccessDeniedException"),
            "KeyUnavailable",
            true,
        ),
        (Reply::NoConnection, "KeyUnavailable", true),
    ] {
        let aws = FakeAws::new()
            .about("arn:key", "GetSecretValue", secret)
            .holding(&[demo_feed("demo")]);
        assert_error(run(&aws, roomy()).await, code, retryable);
        assert!(aws.sent("PutItem").is_empty());
    }
}

/// A fake whose secret of the sources' headers is this.
fn headers(reply: Reply) -> FakeAws {
    FakeAws::new().about("arn:headers", "GetSecretValue", reply)
}

/// Two sources of which one wants a header.
fn with_and_without(kraken: &Server, open: &Server) -> Value {
    http(
        1,
        &json!({ "kraken": with_header(kraken.source()), "open": open.source() }),
    )
}

fn parsed(definition: &Value) -> HttpFeed {
    match Feed::parse("eth", &definition.to_string()).unwrap().kind {
        Kind::Http(feed) => feed,
        Kind::Demo => panic!("expected a feed of sources"),
    }
}

#[tokio::test]
async fn a_secret_header_goes_to_its_source_and_nowhere_else() {
    let kraken = Server::says(r#"{"price":1}"#).await;
    let open = Server::says(r#"{"price":1}"#).await;
    let one = with_and_without(&kraken, &open);
    let other = http(1, &json!({ "again": with_header(kraken.source()) }));
    let aws = headers(secret("v1", r#"{"kraken":"hush","other":"hush too"}"#))
        .holding(&[feed("one", &one), feed("other", &other)])
        .always("PutItem", done());
    assert_eq!(run_soon(&aws, soon()).await.unwrap(), counts(2, 0, 0));
    let hush = Some("hush".to_owned());
    assert_eq!(kraken.headers("x-api-key"), [hush.clone(), hush]);
    assert_eq!(open.headers("x-api-key"), [None]);

    let asked: Vec<Value> = aws
        .sent("GetSecretValue")
        .into_iter()
        .filter(|call| call["SecretId"] != "arn:key")
        .collect();
    assert_eq!(
        asked,
        [json!({ "SecretId": "arn:headers", "VersionStage": "AWSCURRENT" })]
    );
    for record in records(&aws).values() {
        assert!(verified(record).reading().left_out.is_empty());
        assert_tells_no_secret(&record.to_string());
    }
}

#[tokio::test]
async fn a_missed_record_tells_no_secret() {
    let kraken = Server::start(Manner::Refuses(401)).await;
    let eth = http(1, &json!({ "kraken": with_header(kraken.source()) }));
    let slot = soon();
    let runs = [
        r#"{"kraken":"hush"}"#,
        r#"{"kraken":"hush\n"}"#,
        r#"{"other":"hush"}"#,
        r#"["hush"]"#,
        r#"{"kraken":{"hush":1}}"#,
        "hush",
    ]
    .map(|text| {
        let aws = headers(secret("v1", text))
            .holding(&[feed("eth", &eth)])
            .always("PutItem", done());
        async move {
            assert_eq!(run_soon(&aws, slot).await.unwrap(), counts(0, 1, 0));
            let record = records(&aws)["eth"].clone();
            assert_tells_no_secret(&record.to_string());
            record["left_out"][0]["reason"].clone()
        }
    });
    assert_eq!(
        join_all(runs).await,
        [
            "RemoteStatus",
            "HeaderInvalid",
            "HeaderMissing",
            "HeadersInvalid",
            "HeadersInvalid",
            "HeadersInvalid",
        ]
    );
}

/// The code of each source's fault, sorted by the source's name.
async fn faults(publisher: &Publisher, feed: &HttpFeed) -> Vec<Option<&'static str>> {
    let asked = publisher.sources.ask(feed, Duration::from_secs(10)).await;
    asked
        .into_iter()
        .map(|(answer, _)| {
            let fault = answer.outcome.err()?;
            assert_tells_no_secret(&fault.text);
            Some(fault.code)
        })
        .collect()
}

#[tokio::test]
async fn without_its_header_a_source_is_not_asked_and_the_others_are() {
    for reply in [
        refusal(400, "ResourceNotFoundException"),
        refusal(400, "AccessDeniedException"),
        refusal(400, "ThrottlingException"),
        secret("v1", ""),
    ] {
        let kraken = Server::says(r#"{"price":1}"#).await;
        let open = Server::says(r#"{"price":1}"#).await;
        let feed = parsed(&with_and_without(&kraken, &open));
        let publisher = publisher(&headers(reply), &[]);
        assert_eq!(
            faults(&publisher, &feed).await,
            [Some("SecretUnavailable"), None]
        );
        assert!(kraken.seen.lock().unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_secret_that_never_comes_costs_no_more_than_the_time_there_is() {
    let kraken = Server::says(r#"{"price":1}"#).await;
    let open = Server::says(r#"{"price":1}"#).await;
    let feed = parsed(&with_and_without(&kraken, &open));
    let mut sdk = headers(Reply::Silence).sdk_config().into_builder();
    sdk.set_timeout_config(None);
    let publisher = Publisher::from_env(env(&[]), &sdk.build()).unwrap();
    // The one that needs no secret answers at once.
    let asking = publisher.sources.ask(&feed, Duration::from_secs(2));
    let asked = tokio::time::timeout(Duration::from_secs(30), asking).await;
    let asked = asked.unwrap();
    let [(kraken, _), (open, _)] = &asked[..] else {
        panic!("expected two answers, found {asked:?}");
    };
    let Err(fault) = &kraken.outcome else {
        panic!("expected a fault, found {kraken:?}");
    };
    assert_eq!(fault.code, "SecretUnavailable");
    assert_eq!(open.outcome.as_ref().unwrap().value, 100);
}

#[tokio::test]
async fn a_header_that_was_rotated_is_sent_once_its_time_has_passed() {
    for (changes, last) in [(NOTHING_KEPT, "hush 2"), (&[], "hush 1")] {
        let kraken = Server::says(r#"{"price":1}"#).await;
        let feed = parsed(&http(1, &json!({ "kraken": with_header(kraken.source()) })));
        let aws = FakeAws::new()
            .on("GetSecretValue", secret("v1", r#"{"kraken":"hush 1"}"#))
            .on("GetSecretValue", secret("v2", r#"{"kraken":"hush 2"}"#))
            .always("GetSecretValue", refusal(500, "InternalServiceError"));
        let publisher = publisher(&aws, changes);
        for _ in 0..3 {
            assert_eq!(faults(&publisher, &feed).await, [None]);
        }
        let sent = ["hush 1", last, last].map(|value| Some(value.to_owned()));
        assert_eq!(kraken.headers("x-api-key"), sent);
    }
}

#[tokio::test]
async fn a_private_address_is_asked_only_where_that_is_allowed() {
    let server = Server::says(r#"{"price":1}"#).await;
    let feed = parsed(&http(1, &json!({ "kraken": server.source() })));
    let public = publisher(
        &FakeAws::new(),
        &[("ORACLE_ALLOW_PRIVATE_SOURCES", "false")],
    );
    assert_eq!(faults(&public, &feed).await, [Some("AddressPrivate")]);
    assert!(server.seen.lock().unwrap().is_empty());
    let any = publisher(&FakeAws::new(), &[]);
    assert_eq!(faults(&any, &feed).await, [None]);
}

#[tokio::test]
async fn a_url_that_is_none_is_a_fault_of_its_source() {
    // As the definition's rules and the URL's differ.
    let odd = parsed(&http(
        1,
        &json!({ "odd": source("http://999.999.999.999/") }),
    ));
    let publisher = publisher(&FakeAws::new(), &[]);
    assert_eq!(faults(&publisher, &odd).await, [Some("UrlInvalid")]);
}

#[test]
fn an_event_of_another_shape_is_refused() {
    for event in [
        json!({}),
        json!({ "slot": "soon" }),
        json!({ "slot": "2026-11-21T11:00:02.5Z" }),
        json!({ "slot": 1_795_258_802 }),
        json!({ "slot": "2026-11-21T11:00:02Z", "feed": "demo" }),
    ] {
        assert!(
            serde_json::from_value::<Publish>(event.clone()).is_err(),
            "{event}"
        );
    }
}

#[test]
fn every_mistake_in_the_configuration_is_told_at_once() {
    let sdk = FakeAws::new().sdk_config();
    let error = Publisher::from_env(Env::new(|_| None), &sdk).err().unwrap();
    assert_eq!(error.code(), "ConfigInvalid");
    for name in [
        "ORACLE_READINGS_TABLE",
        "ORACLE_FEEDS_TABLE",
        "ORACLE_KEYS_TABLE",
        "ORACLE_KEY_SECRET_ARN",
        "ORACLE_HEADERS_SECRET_ARN",
        "ORACLE_INTERVAL_SECONDS",
        "ORACLE_HEAD_START_SECONDS",
        "ORACLE_RETENTION_DAYS",
        "ORACLE_SECRET_CACHE_SECONDS",
        "ORACLE_ALLOW_PRIVATE_SOURCES",
    ] {
        assert!(error.to_string().contains(name), "{error}");
    }
    let uneven = env(&[("ORACLE_INTERVAL_SECONDS", "7")]);
    let error = Publisher::from_env(uneven, &sdk).err().unwrap();
    assert!(error.to_string().contains("a divisor of 60"), "{error}");
}
