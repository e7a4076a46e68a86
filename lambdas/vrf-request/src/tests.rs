//! Draws from a schedule, and runs through the handler against a fake AWS.

use offchain_store::test_util::{
    FakeAws, condition_failed, done, epoch, fulfilment, items, refusal, stored,
};
use serde_json::{Value, json};

use super::*;

const INVOCATION: &str = "0d9c2b5e-6a47-4c1b-8f00-1f2e3d4c5b6a";

/// A schedule that leaves only the bounds to chance.
fn schedule() -> Value {
    json!({
        "queue_delay_seconds": { "min": 90, "max": 90 },
        "target_blocks": { "min": 4, "max": 4 },
        "block_seconds": 30,
        "bounds": { "min": 0, "max": 999 },
    })
}

async fn run(aws: &FakeAws, schedule: Value) -> Result<Requested, RequestError> {
    run_as(aws, schedule, INVOCATION).await
}

async fn run_as(
    aws: &FakeAws,
    schedule: Value,
    invocation: &str,
) -> Result<Requested, RequestError> {
    let env = Env::new(|name| {
        let value = match name {
            "VRF_TABLE" => "vrf",
            "VRF_KEYS_TABLE" => "keys",
            "VRF_QUEUE_URL" => "https://sqs.test/requests",
            "VRF_FULFIL_WINDOW_SECONDS" => "900",
            "VRF_RETENTION_DAYS" => "30",
            _ => return None,
        };
        Some(value.to_owned())
    });
    Requester::from_env(env, &aws.sdk_config())
        .unwrap()
        .handle(serde_json::from_value(schedule).unwrap(), invocation)
        .await
}

fn with_key() -> FakeAws {
    FakeAws::new().on("Query", items(&[epoch(3)]))
}

fn seconds_between(item: &Value, from: &str, to: &str) -> i64 {
    let time = |name: &str| item[name].as_str().unwrap().parse::<Timestamp>().unwrap();
    time(to).duration_since(time(from)).as_secs()
}

#[tokio::test]
async fn the_item_and_the_message_agree() {
    let aws = with_key().on("PutItem", done()).on("SendMessage", done());
    let reply = run(&aws, schedule()).await.unwrap();
    assert_eq!(aws.operations(), ["Query", "PutItem", "SendMessage"]);
    // An epoch that is published and not active yet binds nothing.
    let query = aws.sent_once("Query");
    assert_eq!(query["FilterExpression"], "active_from <= :time");
    assert_eq!(
        serde_json::to_value(&reply).unwrap(),
        json!({ "request_id": INVOCATION })
    );

    let item = &aws.sent_once("PutItem")["Item"];
    assert_eq!(item["unique_identifier"], INVOCATION);
    assert_eq!(item["origin"], "schedule");
    assert_eq!(item["key_epoch"], 3);
    // 90 seconds in the queue and 4 blocks of 30 seconds; then the window.
    assert_eq!(
        seconds_between(item, "request_time", "fulfill_time_expected"),
        210
    );
    assert_eq!(
        seconds_between(item, "fulfill_time_expected", "deadline"),
        900
    );
    let deadline = item["deadline"]
        .as_str()
        .unwrap()
        .parse::<Timestamp>()
        .unwrap();
    let month = SignedDuration::from_hours(30 * 24);
    assert_eq!(item["expiration"], (deadline + month).as_second());

    let message = aws.sent_once("SendMessage");
    assert_eq!(message["DelaySeconds"], 90);
    let body: Value = serde_json::from_str(message["MessageBody"].as_str().unwrap()).unwrap();
    assert_eq!(
        body,
        json!({
            "unique_identifier": INVOCATION,
            "target_block_in_the_future": 4,
            "min_random_value": item["min_random_value"],
            "max_random_value": item["max_random_value"],
        })
    );
    assert_eq!(item["target_block_in_the_future"], 4);
}

#[tokio::test]
async fn a_retry_of_the_same_invocation_finds_its_request_whatever_it_draws() {
    let first = with_key()
        .on("PutItem", done())
        .on("SendMessage", refusal(503, "ServiceUnavailable"));
    let error = run(&first, schedule()).await.unwrap_err();
    assert_eq!(
        (error.code(), error.retryable()),
        ("StoreUnavailable", true)
    );

    let written = first.sent_once("PutItem")["Item"].clone();
    let again = with_key()
        .on("PutItem", condition_failed())
        .on("Query", items(std::slice::from_ref(&written)))
        .on("SendMessage", done());
    assert_eq!(
        run(&again, schedule()).await.unwrap().request_id,
        INVOCATION
    );
    let message = again.sent_once("SendMessage");
    let body: Value = serde_json::from_str(message["MessageBody"].as_str().unwrap()).unwrap();
    for name in ["unique_identifier", "min_random_value", "max_random_value"] {
        assert_eq!(body[name], written[name], "{name}");
    }
}

/// The request that an invocation with this id makes of a scheduled time.
async fn requested(scheduled: &str, invocation: &str) -> String {
    let mut schedule = schedule();
    schedule["scheduled_time"] = scheduled.into();
    let aws = with_key().on("PutItem", done()).on("SendMessage", done());
    let request_id = run_as(&aws, schedule, invocation).await.unwrap().request_id;
    let item = &aws.sent_once("PutItem")["Item"];
    assert_eq!(item["unique_identifier"], request_id);
    request_id
}

#[tokio::test]
async fn a_scheduled_time_is_one_request_however_often_its_event_is_delivered() {
    let noon = requested("2026-11-21T12:00:00Z", INVOCATION).await;
    let redriven = "5b1f6d3e-0000-4000-8000-000000000001";
    for (scheduled, invocation) in [
        ("2026-11-21T12:00:00Z", redriven),
        // However it is written.
        ("2026-11-21T13:00:00.000+01:00", INVOCATION),
    ] {
        assert_eq!(requested(scheduled, invocation).await, noon);
    }
    assert_ne!(requested("2026-11-21T12:01:00Z", INVOCATION).await, noon);
    assert_ne!(noon, INVOCATION);
}

#[test]
fn a_scheduled_time_that_is_none_is_refused() {
    for scheduled in [
        json!("<aws.scheduler.scheduled-time>"),
        json!(1_795_262_400),
    ] {
        let mut schedule = schedule();
        schedule["scheduled_time"] = scheduled;
        assert!(serde_json::from_value::<Schedule>(schedule).is_err());
    }
}

#[tokio::test]
async fn a_request_that_was_picked_up_is_not_announced_again() {
    let mut earlier = offchain_store::test_util::request();
    earlier.unique_identifier = INVOCATION.to_owned();
    let aws = with_key()
        .on("PutItem", condition_failed())
        .on("Query", items(&[stored(&earlier), fulfilment(&json!({}))]));
    assert_eq!(run(&aws, schedule()).await.unwrap().request_id, INVOCATION);
    assert!(aws.sent("SendMessage").is_empty());
}

#[tokio::test]
async fn without_an_active_key_nothing_is_requested() {
    let aws = FakeAws::new().on("Query", items(&[]));
    let error = run(&aws, schedule()).await.unwrap_err();
    assert_eq!((error.code(), error.retryable()), ("KeyUnavailable", true));
    assert_eq!(aws.operations(), ["Query"]);
}

#[tokio::test]
async fn a_senseless_schedule_touches_nothing() {
    let mut senseless = schedule();
    senseless["bounds"]["max"] = 0.into();
    let aws = FakeAws::new();
    let error = run(&aws, senseless).await.unwrap_err();
    assert_eq!((error.code(), error.retryable()), ("InputInvalid", false));
    assert!(aws.operations().is_empty());
}

fn parsed() -> Schedule {
    Schedule {
        scheduled_time: None,
        queue_delay_seconds: Range { min: 0, max: 120 },
        target_blocks: Range { min: 0, max: 10 },
        block_seconds: 30,
        bounds: Range { min: 0, max: 999 },
    }
}

#[test]
fn draws_stay_in_their_ranges_and_reach_both_ends() {
    let mut rng = rand::rng();
    let draws: Vec<Draw> = (0..20_000)
        .map(|_| parsed().draw(&mut rng).unwrap())
        .collect();
    let ends = |of: &dyn Fn(&Draw) -> i64| {
        (
            draws.iter().map(of).min().unwrap(),
            draws.iter().map(of).max().unwrap(),
        )
    };
    assert_eq!(ends(&|draw| draw.delay_seconds.into()), (0, 120));
    assert_eq!(ends(&|draw| draw.target_blocks.into()), (0, 10));
    assert_eq!(ends(&|draw| draw.bounds.min()).0, 0);
    assert_eq!(ends(&|draw| draw.bounds.max()).1, 999);
}

#[test]
fn a_range_of_two_values_gives_both() {
    let mut schedule = parsed();
    schedule.bounds = Range { min: 7, max: 8 };
    let draw = schedule.draw(&mut rand::rng()).unwrap();
    assert_eq!(draw.bounds, Bounds::new(7, 8).unwrap());
}

#[test]
fn a_senseless_schedule_is_refused_with_what_was_expected() {
    type Spoil = fn(&mut Schedule);
    let cases: [(Spoil, &str); 4] = [
        (
            |s| s.queue_delay_seconds.max = 901,
            "the schedule's queue_delay_seconds: expected min <= max <= 900",
        ),
        (
            |s| s.target_blocks.min = 11,
            "the schedule's target_blocks: expected min <= max",
        ),
        (
            |s| s.target_blocks.max = u32::MAX,
            "the schedule's target_blocks: expected at most a year of blocks",
        ),
        (
            |s| s.bounds.min = 999,
            "the schedule's bounds: expected min < max",
        ),
    ];
    for (spoil, message) in cases {
        let mut schedule = parsed();
        spoil(&mut schedule);
        let error = schedule.draw(&mut rand::rng()).unwrap_err();
        assert_eq!(error.to_string(), message);
        assert_eq!(error.code(), "InputInvalid");
    }
}
