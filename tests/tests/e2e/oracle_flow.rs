//! Every slot of every feed ends with one record: a reading that anyone can
//! check, or why there is none.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use offchain_oracle::{FeedId, Slot};
use offchain_store::oracle::Record;
use serde_json::{Map, Value, json};

use crate::harness::{SOON, World, offchain_with, report, until};
use crate::oracle::{demo, http_feed, http_source, left_out, missed, published, verify, with};
use crate::source::{Answer, Source, untrusted};
use crate::twin::Twin;

#[tokio::test]
async fn of_two_minutes_of_slots_each_is_published_once_in_its_own_time_and_proved() {
    let world = World::shared().await;
    let interval = world.interval();
    let from = world.slot_in(SignedDuration::ZERO);
    let to = world.slot_in(SignedDuration::from_secs(130));
    let expected: Vec<_> = interval.slots(from.timestamp(), to.timestamp()).collect();
    assert!(expected.len() >= 60);
    let far = world.slot_in(SignedDuration::from_mins(10));
    let limit = Duration::from_secs(130) + SOON;
    let records = until("two minutes of records", limit, async || {
        // All that is there, also of slots that are not due.
        let found = world.records(&demo(), from, far).await;
        let now = Timestamp::now();
        if let Some(early) = found.iter().find(|record| record.slot().timestamp() > now) {
            panic!("it is {now}: {early:?}");
        }
        let last = interval.at_or_before(to.timestamp() - SignedDuration::from_secs(1));
        found.iter().any(|one| one.slot() == last).then_some(found)
    })
    .await;
    let records: Vec<_> = records.into_iter().filter(|one| one.slot() < to).collect();
    let slots: Vec<_> = records.iter().map(Record::slot).collect();
    assert_eq!(slots, expected);

    let keys = world.api.oracle_keys().await;
    let mut late = Vec::new();
    for record in &records {
        let signed = published(record);
        verify(signed, &keys);
        let reading = signed.reading();
        let slot = reading.slot;
        assert!(reading.written >= slot.timestamp(), "{reading:?}");
        assert!(
            reading.written < interval.next(slot).timestamp(),
            "{reading:?}"
        );
        assert!(reading.observed <= reading.written, "{reading:?}");
        assert!((0..=1000).contains(&reading.value), "{reading:?}");
        assert_eq!(reading.exponent, 0);
        late.push(reading.written.duration_since(slot.timestamp()).as_millis());
    }
    let values = records.iter().map(|one| published(one).reading().value);
    let values: BTreeSet<_> = values.collect();
    assert!(values.len() > 10, "{values:?}");
    // What is written stays.
    assert_eq!(world.records(&demo(), from, to).await, records);
    late.sort_unstable();
    report(&format!(
        "{} slots of the demo feed, none missed: written p50 {} ms, p99 {} ms, max {} ms after the slot",
        late.len(),
        late[late.len() / 2],
        late[late.len() * 99 / 100],
        late[late.len() - 1],
    ));
}

/// Three exchanges in the shapes that their APIs answer with.
fn exchanges(source: &Source) -> Value {
    source.answer(
        "/coinbase",
        Answer::json(&json!({"data": {"amount": "3141.59", "base": "ETH", "currency": "USD"}}))
            .after(Duration::from_millis(100)),
    );
    source.answer(
        "/kraken",
        Answer::json(&json!({"error": [], "result": {"XETHZUSD": {"c": ["3141.60000", "1.0"]}}})),
    );
    source.answer_with("/bitstamp", || {
        let seconds = Timestamp::now().as_second().to_string();
        Answer::json(&json!({"last": "3141.70", "timestamp": seconds}))
    });
    json!({
        "coinbase": http_source(&source.url("/coinbase"), "/data/amount"),
        "kraken": http_source(&source.url("/kraken"), "/result/XETHZUSD/c/0"),
        "bitstamp": with(
            http_source(&source.url("/bitstamp"), "/last"),
            "time_pointer",
            json!("/timestamp"),
        ),
    })
}

#[tokio::test]
async fn a_feed_is_the_median_of_three_exchanges_asked_before_the_slot() {
    let world = World::shared().await;
    let source = Source::start().await;
    let feed = world.feed(&http_feed(2, &exchanges(&source))).await;
    let to = world.slot_in(SignedDuration::from_secs(5 + 20));
    let records = world.recorded_between(&feed.id, feed.since, to).await;
    let keys = world.api.oracle_keys().await;
    let mut in_time = 0;
    for record in &records {
        let signed = published(record);
        verify(signed, &keys);
        let reading = signed.reading();
        let slot = reading.slot.timestamp();
        assert_eq!((reading.value, reading.exponent), (314_160, -2));
        assert_eq!(reading.spread, 11);
        assert_eq!(left_out(record), [""; 0]);
        let parts: Vec<_> = reading
            .sources
            .iter()
            .map(|part| (part.source.as_str(), part.value))
            .collect();
        let expected = [
            ("bitstamp", 314_170),
            ("coinbase", 314_159),
            ("kraken", 314_160),
        ];
        assert_eq!(parts, expected);
        for part in &reading.sources {
            assert!(part.observed <= reading.observed, "{reading:?}");
            assert!(
                part.observed > slot - SignedDuration::from_secs(3),
                "{reading:?}"
            );
        }
        // The exchange's own time has whole seconds.
        assert_eq!(reading.sources[0].observed.subsec_nanosecond(), 0);
        assert!(reading.observed <= reading.written, "{reading:?}");
        // A run that a busy machine begins late asks while it can.
        in_time += usize::from(reading.observed <= slot);
    }
    assert!(in_time * 10 >= records.len() * 9, "{in_time}: {records:#?}");
    // Each is asked once a slot, and not long before it.
    let asked: Vec<_> = source
        .asked("/kraken")
        .into_iter()
        .map(|one| one.at)
        .collect();
    let just_before = |time: &&Timestamp| {
        let slot = world.interval().at_or_after(**time).timestamp();
        slot.duration_since(**time) < SignedDuration::from_millis(1100)
    };
    let count = asked.iter().filter(just_before).count();
    assert!(count * 10 >= asked.len() * 9, "{asked:?}");
    assert!(asked.len() >= records.len(), "{asked:?}");
    report(&format!(
        "{} readings of three sources, {in_time} of them observed before the slot",
        records.len()
    ));
}

/// Sources that fail, each with the code that it is left out with.
async fn failing(source: &Source) -> (Map<String, Value>, Vec<String>) {
    let url = |path: &str| source.url(path);
    let stamped = |name: &str, time: fn(Timestamp) -> Value| {
        source.answer_with(&format!("/{name}"), move || {
            Answer::json(&json!({"price": 3141.6, "at": time(Timestamp::now())}))
        });
        with(
            http_source(&url(&format!("/{name}")), "/price"),
            "time_pointer",
            json!("/at"),
        )
    };
    let answering = |name: &str, answer: Answer| {
        let path = format!("/{name}");
        source.answer(&path, answer);
        http_source(&url(&path), "/price")
    };
    // Nothing listens there any more.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let gone = closed.local_addr().unwrap();
    drop(closed);
    let sources = [
        (
            "hanging",
            "RemoteTimedOut",
            with(
                answering("hanging", Answer::Hangs),
                "timeout_ms",
                json!(300),
            ),
        ),
        (
            "large",
            "RemoteTooLarge",
            answering(
                "large",
                Answer::Large {
                    bytes: 50_000_000,
                    announced: true,
                },
            ),
        ),
        (
            "endless",
            "RemoteTooLarge",
            answering(
                "endless",
                Answer::Large {
                    bytes: 50_000_000,
                    announced: false,
                },
            ),
        ),
        (
            "down",
            "RemoteStatus",
            answering("down", Answer::status(503)),
        ),
        (
            "circular",
            "RemoteRedirected",
            answering("circular", Answer::Redirect(url("/circular"))),
        ),
        (
            "closed",
            "RemoteUnreachable",
            http_source(&format!("http://{gone}/"), "/price"),
        ),
        (
            "breaking-off",
            "RemoteUnreachable",
            answering("breaking-off", Answer::BreaksOff),
        ),
        (
            "untrusted",
            "RemoteTlsFailed",
            http_source(&untrusted().await, "/price"),
        ),
        (
            "pointless",
            "PointerMissing",
            answering("pointless", Answer::json(&json!({"prices": []}))),
        ),
        (
            "wordy",
            "ValueInvalid",
            answering("wordy", Answer::json(&json!({"price": "much"}))),
        ),
        (
            "null",
            "ValueInvalid",
            answering("null", Answer::json(&json!({"price": null}))),
        ),
        (
            "no-json",
            "SourceBodyInvalid",
            answering("no-json", Answer::text("<html>sorry</html>")),
        ),
        (
            "stale",
            "SourceStale",
            stamped("stale", |now| json!((now.as_second() - 70).to_string())),
        ),
        (
            "ahead",
            "SourceAhead",
            stamped("ahead", |now| json!(now.as_millisecond() + 60_000)),
        ),
        (
            "timeless",
            "SourceTimeInvalid",
            stamped("timeless", |_| json!("today")),
        ),
    ];
    let mut codes: Vec<_> = sources
        .iter()
        .map(|(name, code, _)| format!("{name} {code}"))
        .collect();
    codes.sort();
    let sources = sources.map(|(name, _, source)| (name.to_owned(), source));
    (Map::from_iter(sources), codes)
}

/// Waits for a record of the feed, from the next run that knows everything set
/// by now on, that is as wanted. A run that a busy machine begins late may
/// find another reason for a source than it would have in time.
async fn comes(world: &World, feed: &FeedId, wanted: impl Fn(&Record) -> bool) -> Record {
    let mut slot = world.settled_slot();
    let mut seen = None;
    for _ in 0..10 {
        let record = world.recorded(feed, slot).await;
        if wanted(&record) {
            return record;
        }
        slot = world.interval().next(slot);
        seen = Some(record);
    }
    panic!("ten slots are not as expected, such as {seen:?}");
}

#[tokio::test]
async fn a_source_that_fails_is_left_out_by_its_code_and_costs_nobody_else() {
    let world = World::shared().await;
    let source = Source::start().await;
    let (mut sources, codes) = failing(&source).await;
    let price = Answer::json(&json!({"price": "3141.60"}));
    source.answer("/good", price.clone());
    // A redirect within what may be reached is followed.
    source.answer("/moved", Answer::Redirect(source.url("/good")));
    let good = http_source(&source.url("/moved"), "/price");
    sources.insert("good".to_owned(), good);
    let feed = world.feed(&http_feed(1, &sources.into())).await;
    let neighbour = world.feed(&http_feed(2, &exchanges(&source))).await;
    let next_door = async |slot: Slot| {
        published(&world.recorded(&demo(), slot).await);
        let record = world.recorded(&neighbour.id, slot).await;
        assert_eq!(published(&record).reading().value, 314_160);
    };

    let record = comes(&world, &feed.id, |record| left_out(record) == codes).await;
    let reading = published(&record).reading();
    assert_eq!((reading.value, reading.spread), (314_160, 0));
    assert_eq!(reading.sources.len(), 1);
    verify(published(&record), &world.api.oracle_keys().await);
    next_door(record.slot()).await;

    // Where the last one fails as well, there is no reading, and it says why.
    source.answer("/good", Answer::status(500));
    let mut all = codes.clone();
    all.push("good RemoteStatus".to_owned());
    all.sort();
    let record = comes(&world, &feed.id, |record| left_out(record) == all).await;
    assert_eq!(missed(&record).reason, "QuorumNotReached");
    let detail = world.detail(&feed.id, record.slot()).await;
    assert!(detail.contains("expected fresh answers of 1 sources or more, found 0"));
    for code in &all {
        assert!(detail.contains(code), "{code}: {detail}");
    }
    next_door(record.slot()).await;

    source.answer("/good", price);
    comes(&world, &feed.id, |record| {
        matches!(record, Record::Published(_))
    })
    .await;
}

#[tokio::test]
async fn a_source_that_lies_is_left_out_and_two_that_disagree_publish_nothing() {
    let world = World::shared().await;
    let source = Source::start().await;
    let mut sources = exchanges(&source);
    let feed = world.feed(&http_feed(2, &sources)).await;
    sources.as_object_mut().unwrap().remove("bitstamp");
    let pair = world.feed(&http_feed(2, &sources)).await;

    let lie = json!({"error": [], "result": {"XETHZUSD": {"c": ["31416.00", "1.0"]}}});
    source.answer("/kraken", Answer::json(&lie));
    let record = comes(&world, &feed.id, |record| {
        left_out(record) == ["kraken SourceOutlier"]
    })
    .await;
    let reading = published(&record).reading();
    // The mean of the two that are left, a half rounded to even.
    assert_eq!((reading.value, reading.spread), (314_164, 11));
    verify(published(&record), &world.api.oracle_keys().await);

    let both = ["coinbase SourceOutlier", "kraken SourceOutlier"];
    let record = comes(&world, &pair.id, |record| left_out(record) == both).await;
    assert_eq!(missed(&record).reason, "SpreadExceeded");
    let detail = world.detail(&pair.id, record.slot()).await;
    assert!(
        detail.contains("within 200/10000 of their median"),
        "{detail}"
    );
    assert!(
        detail.contains("3141600 is too far from the median"),
        "{detail}"
    );
    published(&world.recorded(&demo(), record.slot()).await);
}

#[tokio::test]
async fn where_private_sources_are_not_allowed_none_is_asked_however_it_is_named() {
    let twin = Twin::quiet("private").await;
    let world = &twin.world;
    let source = Source::start().await;
    let by_name = source.url("/price").replace("127.0.0.1", "localhost");
    let port = source.url("").rsplit(':').next().unwrap().to_owned();
    let sources: Map<_, _> = [
        ("literal", source.url("/price")),
        ("named", by_name),
        ("mapped", format!("http://[::ffff:127.0.0.1]:{port}/price")),
        ("loopback", format!("http://[::1]:{port}/price")),
        (
            "metadata",
            "http://169.254.169.254/latest/meta-data/".to_owned(),
        ),
        ("inside", "http://10.0.0.1/price".to_owned()),
    ]
    .into_iter()
    .map(|(name, url)| (name.to_owned(), http_source(&url, "/price")))
    .collect();
    let mut codes: Vec<_> = sources
        .keys()
        .map(|name| format!("{name} AddressPrivate"))
        .collect();
    codes.sort();
    let _denied = world
        .set_env(
            "oracle-publish",
            &[("ORACLE_ALLOW_PRIVATE_SOURCES", Some("false"))],
        )
        .await;
    let feed = world.feed(&http_feed(1, &sources.into())).await;
    let slot = world.slot_in(SignedDuration::from_secs(1));
    let reply = world.invoke("oracle-publish", &json!({"slot": slot})).await;
    assert_eq!(
        reply.unwrap(),
        json!({"published": 1, "missed": 1, "existing": 0})
    );
    let record = world.recorded(&feed.id, slot).await;
    assert_eq!(missed(&record).reason, "QuorumNotReached");
    assert_eq!(left_out(&record), codes);
    let detail = world.detail(&feed.id, slot).await;
    assert!(detail.contains("the address 169.254.169.254 is not a public one"));
    assert!(source.asked("/price").is_empty());
    published(&world.recorded(&demo(), slot).await);
}

#[tokio::test]
async fn a_reading_is_signed_by_the_key_that_is_active_at_its_slot() {
    let world = World::alone().await;
    let old = world.oracle_keys.newest().await.unwrap().unwrap();
    until("the newest key to be active", SOON, async || {
        (Timestamp::now() >= old.active_from.timestamp()).then_some(())
    })
    .await;
    let rotate = json!({"action": "rotate"});
    let rotated = world.invoke("oracle-rotate-key", &rotate).await.unwrap();
    let world = world.no_longer_alone();
    assert_eq!(rotated["epoch"], old.epoch + 1);
    let keys = world.api.oracle_keys().await;
    let new = &keys[0];
    assert_eq!(rotated["public_key"], new.public_key);
    assert_eq!((keys[1].epoch, new.epoch), (old.epoch, old.epoch + 1));
    assert_eq!(keys[1].public_key, old.public_key);
    assert!(new.active_from > new.published_at);

    let interval = world.interval();
    let active = interval.at_or_after(new.active_from.timestamp());
    let around = |seconds: i64| {
        let time = active.timestamp() + SignedDuration::from_secs(seconds);
        Slot::try_from(time).unwrap()
    };
    let (from, to) = (around(-6), around(10));
    let records = world.recorded_between(&demo(), from, to).await;
    assert_eq!(records.len(), 8);
    let mut readings = Vec::new();
    for record in &records {
        let signed = published(record);
        let epoch = if record.slot() < active {
            &keys[1]
        } else {
            new
        };
        assert_eq!(signed.reading().key_epoch, epoch.epoch, "{signed:?}");
        assert_eq!(signed.public_key().to_hex(), epoch.public_key);
        verify(signed, &keys);
        readings.push(serde_json::to_value(signed).unwrap());
    }
    let text = Value::from(readings).to_string();
    let both = ["--key", &old.public_key, "--key", &new.public_key];
    let arguments = [&["oracle", "verify", "-", "--json"][..], &both].concat();
    let report = offchain_with(&arguments, &text, &[]).await.json();
    assert_eq!(
        (&report["valid"], &report["readings"]),
        (&json!(true), &json!(8))
    );
    let ran = offchain_with(&arguments[..6], &text, &[]).await;
    assert_eq!(ran.code, Some(1), "{ran:?}");
}
