//! Garbage for the oracle: it is refused with its reason, it costs what it
//! spoils and nothing else, and what it says is not repeated where it may be
//! secret. On twins of the stack on which nothing goes on by itself.

use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_sfn::types::ExecutionStatus;
use jiff::{SignedDuration, Timestamp};
use offchain_oracle::{FeedId, SigningKey};
use offchain_store::keys;
use offchain_store::oracle::Record;
use offchain_vrf::{SecretKey, Suite};
use serde_json::{Value, json};

use crate::garbage::{event, move_stage};
use crate::harness::{SOON, World, unique, until};
use crate::oracle::{demo, http_feed, http_source, left_out, missed, published, verify};
use crate::oracle_faults::{
    Minute, WIDE, failures, forget, proved, ran, recorded, ringing_queues, wide_slot,
};
use crate::runtime_api::Function;
use crate::source::{Answer, Source};
use crate::twin::Twin;

/// How many items the table of readings has.
async fn items(world: &World) -> i32 {
    let table = &world.stack.oracle.table;
    let scan = world.dynamodb.scan().table_name(table).send();
    scan.await.unwrap().count
}

#[tokio::test]
async fn garbage_is_refused_by_every_function_and_by_the_machine() {
    let twin = Twin::quiet("oracle-garbage").await;
    let world = &twin.world;
    let now = world.interval().at_or_before(Timestamp::now());
    let later = world.slot_in(SignedDuration::from_mins(1));
    let odd = now.timestamp() - SignedDuration::from_secs(1);
    let common = [
        Value::Null,
        json!([]),
        json!("garbage"),
        json!(7),
        json!({}),
        json!({"slot": null}),
        json!({"slot": 7}),
        json!({"slot": "garbage"}),
        json!({"slot": "2026-11-21T11:00:02.5Z"}),
        json!({"slot": "2026-11-21"}),
        json!({"action": "explode"}),
        json!({"action": null}),
        json!({"sweep": false}),
        json!({"sweep": "true"}),
    ];
    let more = [
        (
            "oracle-publish",
            json!({"slot": now, "error": "Test"}),
            "InputInvalid",
        ),
        ("oracle-publish", json!({"slot": odd}), "SlotInvalid"),
        ("oracle-publish", json!({"slot": later}), "SlotNotDue"),
        ("oracle-missed", json!({"slot": now}), "InputInvalid"),
        (
            "oracle-missed",
            json!({"slot": now, "error": 7}),
            "InputInvalid",
        ),
        (
            "oracle-missed",
            json!({"slot": now, "error": "Test", "cause": "", "sweep": true}),
            "InputInvalid",
        ),
        (
            "oracle-missed",
            json!({"slot": odd, "error": "Test"}),
            "SlotInvalid",
        ),
        (
            "oracle-missed",
            json!({"slot": later, "error": "Test"}),
            "SlotNotDue",
        ),
    ];
    let keys = world.oracle_keys.all().await.unwrap();
    for role in ["oracle-publish", "oracle-missed", "oracle-rotate-key"] {
        let own = more.iter().filter(|(of, ..)| *of == role);
        let own = own.map(|(_, event, code)| (event, *code));
        let all = common.iter().map(|event| (event, "InputInvalid"));
        for (event, code) in all.chain(own) {
            let error = world.invoke(role, event).await.unwrap_err();
            assert_eq!(error["errorType"], code, "{role}: {event}: {error}");
            let message = error["errorMessage"].as_str().unwrap();
            let telling = ["expected", "has not begun"];
            let telling = telling.iter().any(|words| message.contains(words));
            assert!(telling, "{role}: {event}: {error}");
        }
    }
    // The API tells the public what is wrong, and Lambda where it is no request.
    for event in [json!("garbage"), json!({"requestContext": 7})] {
        let error = world.invoke("oracle-api", &event).await.unwrap_err();
        assert_eq!(error["errorType"], "InputInvalid", "{event}: {error}");
    }

    for input in [
        json!({"scheduled_time": "nonsense"}),
        json!({"scheduled_time": 7}),
        json!({"scheduled_time": null}),
        json!({"scheduled_time": {}}),
    ] {
        let machine = &world.stack.oracle.state_machine_arn;
        let start = world.sfn.start_execution().state_machine_arn(machine);
        let started = start.input(input.to_string()).send().await.unwrap();
        let ended = world.minute_ended(&started.execution_arn).await;
        assert_eq!(ended.status, ExecutionStatus::Failed, "{input}");
        assert_eq!(
            ended.error(),
            Some("States.QueryEvaluationError"),
            "{input}: {ended:?}"
        );
    }
    assert_eq!(items(world).await, 0);
    assert_eq!(world.oracle_keys.all().await.unwrap(), keys);
}

#[tokio::test]
async fn garbage_of_a_schedule_is_a_dead_letter_and_rings_its_queue_s_alarm_alone() {
    let twin = Twin::quiet("oracle-schedules-dlq").await;
    let world = &twin.world;
    assert_eq!(ringing_queues(world).await, Vec::<String>::new());
    let alarm = format!("{}-oracle-schedules-dlq-depth", world.stack.name);
    for role in ["oracle-missed", "oracle-rotate-key"] {
        let garbage = json!({"sweep": unique()});
        world.invoke_later(role, &garbage).await;
        until("the alarm to ring", SOON, async || {
            let ringing = ringing_queues(world).await;
            (!ringing.is_empty()).then(|| assert_eq!(ringing, [alarm.as_str()]))
        })
        .await;
        let letters = world.dead_letters("oracle-schedules-dlq", |_| true).await;
        assert_eq!(letters.len(), 1, "{letters:?}");
        assert_eq!(event(&letters[0]), Some(garbage));
        let record: Value = serde_json::from_str(letters[0].body().unwrap()).unwrap();
        assert_eq!(record["responsePayload"]["errorType"], "InputInvalid");
        until("the alarm to be quiet again", SOON, async || {
            ringing_queues(world).await.is_empty().then_some(())
        })
        .await;
    }
}

/// The version of the oracle's key that is of this stage.
async fn version(world: &World, stage: &str) -> String {
    let secret = &world.stack.oracle.key_secret_arn;
    let reply = world.secrets.describe_secret().secret_id(secret).send();
    let versions = reply.await.unwrap().version_ids_to_stages.unwrap();
    let found = versions
        .into_iter()
        .find(|(_, stages)| stages.iter().any(|found| found == stage));
    found.unwrap().0
}

#[tokio::test]
async fn a_spoilt_key_signs_nothing_and_each_slot_says_so_until_it_is_mended() {
    let twin = Twin::quiet("oracle-spoilt-key").await;
    let world = &twin.world;
    let secret = &world.stack.oracle.key_secret_arn;
    let newest = world.oracle_keys.newest().await.unwrap().unwrap();
    let stage = keys::label(&newest.public_key);
    let original = version(world, &stage).await;
    let mut holder = original.clone();
    // A version without a label is gone.
    let keep = world.secrets.update_secret_version_stage();
    let keep = keep.secret_id(secret).version_stage("kept");
    keep.move_to_version_id(&original).send().await.unwrap();
    let another = SigningKey::from_bytes(&[7; 32]);
    let of_the_vrf = SecretKey::generate(Suite::Edwards25519Sha512Tai, &mut rand::rng());
    // A key signs the slots since it became active, and no younger key may.
    let slot = until("a slot of the newest key", SOON, async || {
        let slot = wide_slot().await;
        (slot.timestamp() >= newest.active_from.timestamp()).then_some(slot)
    })
    .await;
    for text in [
        "garbage".to_owned(),
        "{}".to_owned(),
        json!({"suite": "ED25519", "secret_key": "garbage"}).to_string(),
        keys::write(&of_the_vrf).to_string(),
        keys::write(&another).to_string(),
    ] {
        world.put_secret(secret, &text).await;
        let spoilt = version(world, "AWSCURRENT").await;
        move_stage(&world.config, secret, &stage, &holder, &spoilt).await;
        holder = spoilt;
        let function = Function::start_with(world, "oracle-publish", &twin.url(), &[WIDE]).await;
        let failure = function.invoke(&json!({"slot": slot})).await.unwrap_err();
        assert_eq!(failure.error_type, "KeyInvalid", "{failure:?}");
        let hidden = ["garbage", &text, &hex::encode([7; 32])];
        for hidden in hidden {
            assert!(!failure.error_message.contains(hidden), "{failure:?}");
        }
        assert_eq!(world.slot(&demo(), slot).await, None);
    }

    // The machine records each slot with the reason, and none is tried again.
    let minute = Minute::now(world).await;
    let mut told = 0;
    for slot in &minute.ahead {
        let record = world.recorded(&demo(), *slot).await;
        let reason = &missed(&record).reason;
        // A busy machine may come to a slot too late.
        assert!(reason == "KeyInvalid" || reason == "SlotPassed", "{reason}");
        told += usize::from(reason == "KeyInvalid");
        if told == 2 {
            break;
        }
    }
    assert_eq!(told, 2);
    let failures = failures(world, &minute.execution).await;
    let failures = failures.iter().filter(|error| *error == "KeyInvalid");
    let due = Timestamp::now()
        .duration_since(minute.begin.timestamp())
        .as_secs()
        / 2
        + 1;
    assert!(failures.count() as i64 <= due);
    move_stage(&world.config, secret, &stage, &holder, &original).await;
    // What oracle-publish has read is looked at again after 5 s.
    let mended = world.slot_in(SignedDuration::from_secs(8));
    let minute = if mended < minute.end {
        minute
    } else {
        Minute::of(
            world,
            minute.end.timestamp() - SignedDuration::from_secs(30),
        )
        .await
    };
    assert!(minute.begin <= mended && mended < minute.end);
    proved(world, &world.recorded(&demo(), mended).await).await;
}

#[tokio::test]
async fn a_spoilt_secret_of_headers_costs_its_own_sources_alone() {
    let twin = Twin::quiet("oracle-spoilt-headers").await;
    let world = &twin.world;
    let source = Source::start().await;
    let slot = wide_slot().await;
    // However late the test is, the value is the slot's.
    let asked = |path: &str| {
        source.answer(path, Answer::json(&json!({"value": 7, "at": slot})));
        let mut asked = http_source(&source.url(path), "/value");
        asked["time_pointer"] = json!("/at");
        asked
    };
    let (mut guarded, free) = (asked("/guarded"), asked("/free"));
    guarded["header"] = json!({"name": "x-api-key", "secret_key": "guarded"});
    let mixed = http_feed(1, &json!({"guarded": guarded, "free": free}));
    let alone = http_feed(1, &json!({"guarded": guarded}));
    let mixed = world.feed(&mixed).await;
    let alone = world.feed(&alone).await;
    let secret = &world.stack.oracle.headers_secret_arn;
    let hush = unique();
    let feeds = [demo(), mixed.id.clone(), alone.id.clone()];
    let publish = async || {
        for feed in &feeds {
            forget(world, feed, slot).await;
        }
        // A fresh process, which remembers nothing.
        let function = Function::start_with(world, "oracle-publish", &twin.url(), &[WIDE]).await;
        function.invoke(&json!({"slot": slot})).await.unwrap()
    };
    for (text, reason) in [
        // As it is made, whatever another test has put there since.
        (String::new(), "SecretUnavailable"),
        (hush.clone(), "HeadersInvalid"),
        (format!("[{hush:?}]"), "HeadersInvalid"),
        (
            json!({"guarded": {"is": hush}}).to_string(),
            "HeadersInvalid",
        ),
        (
            json!({"guarded": hush, "more": 7}).to_string(),
            "HeadersInvalid",
        ),
        (json!({"another": hush}).to_string(), "HeaderMissing"),
        (
            json!({"guarded": format!("{hush}\n")}).to_string(),
            "HeaderInvalid",
        ),
    ] {
        world.put_secret(secret, &text).await;
        assert_eq!(publish().await, ran(2, 1, 0), "{reason}");
        let left = [format!("guarded {reason}")];
        let record = world.slot(&mixed.id, slot).await.unwrap();
        proved_wide(world, &record).await;
        assert_eq!(left_out(&record), left);
        let record = world.slot(&alone.id, slot).await.unwrap();
        assert_eq!(missed(&record).reason, "QuorumNotReached");
        assert_eq!(left_out(&record), left);
        let detail = world.detail(&alone.id, slot).await;
        assert!(
            detail.contains(reason) && !detail.contains(&hush),
            "{detail}"
        );
        assert_eq!(source.asked("/guarded").len(), 0, "{reason}");
    }
    let text = json!({"guarded": hush}).to_string();
    world.put_secret(secret, &text).await;
    assert_eq!(publish().await, ran(3, 0, 0));
    let asked = source.asked("/guarded");
    assert_eq!(asked.len(), 2);
    assert!(asked.iter().all(|asked| asked.head.contains(&hush)));
    assert!(
        !source
            .asked("/free")
            .iter()
            .any(|asked| asked.head.contains(&hush))
    );
}

/// A true reading of a slot of a minute.
async fn proved_wide(world: &World, record: &Record) {
    verify(published(record), &world.oracle_keys.all().await.unwrap());
}

#[tokio::test]
async fn a_spoilt_feed_is_missed_with_its_reason_and_the_others_are_published() {
    let twin = Twin::quiet("oracle-spoilt-feed").await;
    let world = &twin.world;
    let text = |text: &str| Some(AttributeValue::S(text.to_owned()));
    let sources = json!({"only": http_source("http://127.0.0.1:1/", "")});
    let mut no_quorum = http_feed(1, &sources);
    no_quorum["quorum"] = json!(2);
    let mut unknown = http_feed(1, &sources);
    unknown["colour"] = json!("blue");
    let slot = wide_slot().await;
    let mut spoilt: Vec<FeedId> = Vec::new();
    for (name, definition) in [
        ("no-definition", None),
        ("a-number", Some(AttributeValue::N("7".to_owned()))),
        ("bytes", Some(AttributeValue::B(vec![0xff, 0].into()))),
        ("no-json", text("garbage")),
        ("no-object", text("[]")),
        ("no-kind", text("{}")),
        ("another-kind", text(r#"{"kind":"magic"}"#)),
        ("a-demo-with-more", text(r#"{"kind":"demo","max":7}"#)),
        ("no-sources", text(&http_feed(1, &json!({})).to_string())),
        ("no-quorum", text(&no_quorum.to_string())),
        ("an-unknown-field", text(&unknown.to_string())),
        // No feed can have such a name, and none is missed under it.
        ("No Feed", text(r#"{"kind":"demo"}"#)),
    ] {
        let put = world.dynamodb.put_item();
        let put = put.table_name(&world.stack.oracle.feeds_table);
        let put = put.item("feed", AttributeValue::S(name.to_owned()));
        let put = definition
            .into_iter()
            .fold(put, |put, value| put.item("definition", value));
        put.send().await.unwrap();
        spoilt.extend(name.parse::<FeedId>());
    }
    let function = Function::start_with(world, "oracle-publish", &twin.url(), &[WIDE]).await;
    let reply = function.invoke(&json!({"slot": slot})).await.unwrap();
    let count = u32::try_from(spoilt.len()).unwrap();
    assert_eq!(reply, ran(1, count, 0));
    proved_wide(world, &world.slot(&demo(), slot).await.unwrap()).await;
    for feed in &spoilt {
        let record = world.slot(feed, slot).await.unwrap();
        assert_eq!(missed(&record).reason, "FeedInvalid", "{feed}");
        let detail = world.detail(feed, slot).await;
        assert!(detail.contains("expected"), "{feed}: {detail}");
    }
    assert_eq!(items(world).await, 1 + i32::try_from(count).unwrap());

    // Whoever else reads the feeds is not kept from the good ones either.
    let event = json!({"slot": slot, "error": "Test", "cause": ""});
    let reply = world.invoke("oracle-missed", &event).await.unwrap();
    assert_eq!(reply, recorded(0, count + 1));
    let sweep = json!({"sweep": true});
    world.invoke("oracle-missed", &sweep).await.unwrap();
    let feeds = world.api.get("/v1/feeds").await;
    assert_eq!(feeds.status, 200, "{}", feeds.body);
    let feeds = feeds.body["feeds"].as_array().unwrap();
    assert_eq!(feeds.len(), 1, "{feeds:?}");
    let latest = world.api.get("/v1/feeds/demo/latest").await;
    assert_eq!(latest.status, 200, "{}", latest.body);
}

#[tokio::test]
async fn a_spoilt_cursor_stops_the_sweep_of_its_feed_alone() {
    let twin = Twin::quiet("oracle-spoilt-cursor").await;
    let world = &twin.world;
    let feed = world.feed(&json!({"kind": "demo"})).await;
    let sweep = json!({"sweep": true});
    let cursor = async |value: AttributeValue| {
        world
            .dynamodb
            .put_item()
            .table_name(&world.stack.oracle.table)
            .item("feed", AttributeValue::S("#sweep".to_owned()))
            .item("slot", AttributeValue::S(feed.id.to_string()))
            .item("swept_until", value)
            .send()
            .await
            .unwrap();
    };
    let text = |text: &str| AttributeValue::S(text.to_owned());
    for value in [
        text("garbage"),
        text(""),
        text("2026-11-21T11:00:02.5Z"),
        AttributeValue::N("7".to_owned()),
        AttributeValue::Null(true),
    ] {
        let what = format!("{value:?}");
        cursor(value).await;
        // A slot of the other feed that nobody recorded.
        let lost = world.slot_in(SignedDuration::from_mins(-3));
        forget(world, &demo(), lost).await;
        world.sweep_from(&demo(), lost).await;
        let error = world.invoke("oracle-missed", &sweep).await.unwrap_err();
        assert_eq!(error["errorType"], "StoreRejected", "{what}: {error}");
        let record = world.slot(&demo(), lost).await;
        assert_eq!(missed(&record.unwrap()).reason, "SlotUnrecorded", "{what}");
        let none = world.swept_nothing(&feed.id).await;
        assert!(none, "{what}");
    }
    // Between two slots it is as good as at the next one.
    let lost = world.slot_in(SignedDuration::from_mins(-3));
    let between = lost.timestamp() - SignedDuration::from_secs(1);
    cursor(text(&between.to_string())).await;
    world.invoke("oracle-missed", &sweep).await.unwrap();
    let record = world.slot(&feed.id, lost).await.unwrap();
    assert_eq!(missed(&record).reason, "SlotUnrecorded");
}

impl World {
    /// Whether a feed has no record at all.
    async fn swept_nothing(&self, feed: &FeedId) -> bool {
        let interval = self.interval();
        let from = interval.at_or_before(Timestamp::UNIX_EPOCH);
        let to = self.slot_in(SignedDuration::from_mins(5));
        self.records(feed, from, to).await.is_empty()
    }
}
