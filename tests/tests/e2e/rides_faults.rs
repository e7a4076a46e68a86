//! Whatever breaks, a ride that was answered is recorded, now or later, and
//! one that was refused leaves nothing behind.
//!
//! All of it happens on twins of the stack. Where a call has to fail, a proxy
//! stands between the twin's functions and AWS.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_sqs::types::Message;
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::faults::BROKEN;
use crate::garbage::{event, is_problem};
use crate::harness::{HERE, Reply, SOON, World, attribute, ride_id, unique, until};
use crate::proxy::{ALWAYS, Fault};
use crate::rides::{is, publish};
use crate::runtime_api::Function;
use crate::twin::{Twin, signal};

/// A table that is not there; and if it were, no role is allowed to use it.
const NOWHERE: &str = "no-such-table";

/// What Lambda keeps of an event that a function failed on for good.
fn record(letter: &Message) -> Value {
    serde_json::from_str(letter.body().unwrap()).unwrap()
}

/// The message in the SNS event of such a record.
fn message(letter: &Message) -> Option<String> {
    let event = event(letter)?;
    let message = event.pointer("/Records/0/Sns/Message")?;
    Some(message.as_str()?.to_owned())
}

/// Waits for the record of a message that rides-record-sns could not use, and
/// makes sure that it says so after three attempts.
async fn given_up(world: &World, text: &str, code: &str) -> Message {
    let letter = world
        .dead_letter("rides-record-dlq", text, |letter| {
            message(letter).as_deref() == Some(text)
        })
        .await;
    let record = record(&letter);
    let context = &record["requestContext"];
    assert_eq!(context["condition"], "RetriesExhausted", "{record}");
    assert_eq!(context["approximateInvokeCount"], 3, "{record}");
    let function = world.function("rides-record-sns");
    let arn = context["functionArn"].as_str().unwrap();
    assert!(arn.contains(&format!(":function:{function}")), "{record}");
    assert_eq!(record["responsePayload"]["errorType"], code, "{record}");
    // The event as SNS sent it.
    let event = event(&letter).unwrap();
    assert_eq!(event["Records"].as_array().unwrap().len(), 1);
    assert_eq!(event["Records"][0]["EventSource"], "aws:sns");
    let topic = &event["Records"][0]["Sns"]["TopicArn"];
    assert_eq!(*topic, world.stack.rides.topic_arn);

    // Lambda's own count of the attempts is the one in the log.
    let request = context["requestId"].as_str().unwrap();
    until("three failures in the log", SOON, async || {
        let lines = world.logged("rides-record-sns", request).await;
        let failed = lines
            .iter()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .filter(|line| line["message"] == "the invocation failed" && line["code"] == code)
            .count();
        assert!(failed <= 3, "{lines:#?}");
        (failed == 3).then_some(())
    })
    .await;
    letter
}

/// Waits until the alarm of a dead-letter queue is in a state.
async fn alarm(world: &World, queue: &str, state: &str) {
    let name = format!("{}-{queue}-depth", world.stack.name);
    until(&format!("{name} to be {state}"), SOON, async || {
        (world.alarms().await[&name] == state).then_some(())
    })
    .await;
}

#[tokio::test]
async fn rides_go_on_while_the_recorder_is_down_and_none_is_lost() {
    let twin = Twin::quiet("unrecorded").await;
    let world = &twin.world;
    let rides = world.rides();
    let down = world
        .set_env("rides-record-sns", &[("RIDES_TABLE", Some(NOWHERE))])
        .await;
    let replies = join_all((0..10).map(|_| rides.post_ride(HERE))).await;
    assert!(
        replies.iter().all(|reply| reply.status == 201),
        "{replies:?}"
    );
    alarm(world, "rides-record-dlq", "ALARM").await;
    let mut letters = Vec::new();
    for reply in &replies {
        letters.push(given_up(world, &reply.text, "StoreDenied").await);
    }
    assert_eq!(rides.count().await, 0);
    drop(down);

    // What was kept is all that the recorder needs.
    alarm(world, "rides-record-dlq", "OK").await;
    for (reply, letter) in replies.iter().zip(&letters) {
        let event = event(letter).unwrap();
        let done = world.invoke("rides-record-sns", &event).await;
        assert_eq!(done, Ok(json!({"recorded": 1})));
        let item = rides.item(ride_id(&reply.body)).await.unwrap();
        assert!(is(&item, &reply.body), "{item:?}");
    }
    let next = rides.ride().await;
    rides.recorded(ride_id(&next)).await;
    assert_eq!(rides.count().await, replies.len() + 1);
    assert!(
        world
            .dead_letters("rides-record-dlq", |_| true)
            .await
            .is_empty()
    );
}

#[tokio::test]
async fn a_poison_message_is_tried_three_times_and_kept_and_the_others_are_recorded() {
    let twin = Twin::quiet("poisoned").await;
    let world = &twin.world;
    let rides = world.rides();
    let first = rides.ride().await;
    let item = rides.recorded(ride_id(&first)).await;
    let mut forged = first.clone();
    forged["Unicorn"]["Name"] = "Nightmare".into();
    let poison = [
        ("RideInvalid", format!("no ride {}", unique())),
        ("RideInvalid", json!({"RideId": unique()}).to_string()),
        ("RideInvalid", first.to_string().replace("42.35", "1e999")),
        ("RideConflict", forged.to_string()),
    ];
    let mut good = Vec::new();
    for (_, text) in &poison {
        publish(world, text).await;
        good.push(rides.ride().await);
    }
    for (code, text) in &poison {
        given_up(world, text, code).await;
    }
    for ride in &good {
        assert!(is(&rides.recorded(ride_id(ride)).await, ride));
    }
    assert_eq!(rides.item(ride_id(&first)).await.unwrap(), item);
    assert_eq!(rides.count().await, good.len() + 1);
    assert!(
        world
            .dead_letters("rides-record-dlq", |_| true)
            .await
            .is_empty()
    );
}

/// Takes the ride that waits to be published, whose caller had this answer.
async fn unsent(world: &World, reply: &Reply) -> String {
    let letter = world
        .dead_letter("rides-unsent-dlq", "the ride", |letter| {
            letter.body() == Some(&reply.text)
        })
        .await;
    let code = attribute(&letter, "ErrorCode");
    assert_eq!(code.as_deref(), Some("PublishFailed"));
    attribute(&letter, "ErrorMessage").unwrap()
}

#[tokio::test]
async fn a_ride_that_the_topic_does_not_take_is_answered_and_kept_to_be_sent_later() {
    let (twin, proxy) = Twin::behind_a_proxy("unsent").await;
    let world = &twin.world;
    let rides = world.rides();
    let mut kept = Vec::new();
    for fault in [
        BROKEN,
        Fault::Refused(403, "AuthorizationError"),
        Fault::Unheard,
    ] {
        proxy.fail("Publish", "", ALWAYS, fault);
        let reply = rides.post_ride(HERE).await;
        assert_eq!(reply.status, 201, "{fault:?}: {reply:?}");
        proxy.heal();
        let reason = unsent(world, &reply).await;
        assert!(!reason.is_empty(), "{fault:?}");
        assert_eq!(rides.item(ride_id(&reply.body)).await, None);
        kept.push(reply);
    }
    // A topic that is not there.
    let gone = format!("{}-gone", world.stack.rides.topic_arn);
    let without = world
        .set_env("rides-request", &[("RIDES_TOPIC_ARN", Some(&gone))])
        .await;
    let reply = rides.post_ride(HERE).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    alarm(world, "rides-unsent-dlq", "ALARM").await;
    let reason = unsent(world, &reply).await;
    assert!(reason.contains("sns:Publish"), "{reason}");
    kept.push(reply);

    // Nor can it be kept: there is no ride.
    proxy.fail("SendMessage", "", ALWAYS, BROKEN);
    let reply = rides.post_ride(HERE).await;
    is_problem(&reply, 503, "RideNotKept", "neither sent nor kept");
    assert_eq!(reply.headers["access-control-allow-origin"], "*");
    assert_eq!(reply.headers["retry-after"], "1");
    proxy.heal();
    drop(without);

    // Sent as it was kept, each is recorded as it was answered.
    assert_eq!(rides.count().await, 0);
    for reply in &kept {
        publish(world, &reply.text).await;
        let item = rides.recorded(ride_id(&reply.body)).await;
        assert!(is(&item, &reply.body), "{item:?}");
    }
    assert_eq!(rides.count().await, kept.len());
    assert!(
        world
            .dead_letters("rides-unsent-dlq", |_| true)
            .await
            .is_empty()
    );
}

#[tokio::test]
async fn a_ride_whose_publication_was_not_confirmed_is_recorded_once() {
    let (twin, proxy) = Twin::behind_a_proxy("unconfirmed").await;
    let world = &twin.world;
    let rides = world.rides();
    // Published a second time, by the SDK.
    proxy.fail("Publish", "", 1, Fault::ReplyLost);
    let twice = rides.ride().await;
    assert!(proxy.calls("Publish") >= 2);
    assert!(is(&rides.recorded(ride_id(&twice)).await, &twice));
    // Never confirmed: published, and kept as well.
    proxy.fail("Publish", "", ALWAYS, Fault::ReplyLost);
    let reply = rides.post_ride(HERE).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    proxy.heal();
    unsent(world, &reply).await;
    let item = rides.recorded(ride_id(&reply.body)).await;
    publish(world, &reply.text).await;
    let next = rides.ride().await;
    rides.recorded(ride_id(&next)).await;
    assert_eq!(rides.item(ride_id(&reply.body)).await.unwrap(), item);
    assert_eq!(rides.count().await, 3);
    assert!(
        world
            .dead_letters("rides-record-dlq", |_| true)
            .await
            .is_empty()
    );
}

#[tokio::test]
async fn without_a_unicorn_there_is_no_ride_and_no_message() {
    let (twin, proxy) = Twin::behind_a_proxy("unicornless").await;
    let world = &twin.world;
    let rides = world.rides();
    let refused = async |status: u16, code: &str, case: &str| {
        let reply = rides.post_ride(HERE).await;
        is_problem(&reply, status, code, case);
        assert_eq!(reply.headers["access-control-allow-origin"], "*", "{case}");
        assert_eq!(reply.headers["retry-after"], "1", "{case}");
    };

    // Its function fails: by its table, by its settings, by its death.
    let table = world
        .set_env("rides-fleet", &[("RIDES_FLEET_TABLE", Some(NOWHERE))])
        .await;
    refused(502, "FleetFailed", "no table").await;
    drop(table);
    let unset = world
        .set_env("rides-fleet", &[("RIDES_FLEET_TABLE", None)])
        .await;
    refused(502, "FleetFailed", "no settings").await;
    drop(unset);
    proxy.fail("Scan", "", ALWAYS, BROKEN);
    refused(502, "FleetFailed", "a broken table").await;
    proxy.heal();
    // It cannot be invoked, or is not heard of again.
    for fault in [
        Fault::Refused(404, "ResourceNotFoundException"),
        Fault::Refused(429, "TooManyRequestsException"),
        Fault::Refused(500, "ServiceException"),
        Fault::ReplyHeld,
    ] {
        proxy.fail("Invoke", "rides-fleet", ALWAYS, fault);
        refused(503, "FleetUnavailable", &format!("{fault:?}")).await;
        proxy.heal();
    }

    // There is none.
    let fleet = &world.stack.rides.fleet_table;
    let all = world
        .dynamodb
        .scan()
        .table_name(fleet)
        .send()
        .await
        .unwrap();
    let all = all.items.unwrap();
    for unicorn in &all {
        let delete = world.dynamodb.delete_item().table_name(fleet);
        let delete = delete.key("Name", unicorn["Name"].clone());
        delete.send().await.unwrap();
    }
    refused(503, "FleetEmpty", "no unicorn").await;
    let reply = world.api.get("/unicorn").await;
    is_problem(&reply, 503, "FleetEmpty", "GET /unicorn");
    let error = world.invoke("rides-fleet", &json!({})).await.unwrap_err();
    assert_eq!(error["errorType"], "FleetEmpty", "{error}");
    // One that somebody spoilt is none either.
    let spoilt = world.dynamodb.put_item().table_name(fleet);
    let spoilt = spoilt.item("Name", AttributeValue::S("Nightmare".to_owned()));
    spoilt.send().await.unwrap();
    refused(503, "FleetEmpty", "a unicorn without a colour").await;

    assert_eq!(proxy.calls("Publish"), 0);
    assert_eq!(proxy.calls("SendMessage"), 0);
    assert_eq!(proxy.calls("PutItem"), 0);
    assert_eq!(rides.count().await, 0);
    let put = world.dynamodb.put_item().table_name(fleet);
    put.set_item(all.first().cloned()).send().await.unwrap();
    let ride = rides.ride().await;
    rides.recorded(ride_id(&ride)).await;
}

#[tokio::test]
async fn a_bad_body_is_refused_before_anything_is_asked_or_told() {
    let (twin, proxy) = Twin::behind_a_proxy("bad-bodies").await;
    let world = &twin.world;
    let rides = world.rides();
    let location = |text: &str| format!(r#"{{"PickupLocation":{text}}}"#);
    let large = format!(r#"{{"Large":"{}",{}"#, "x".repeat(5000), &HERE[1..]);
    let bad: Vec<(Vec<u8>, u16, &str, &str)> = [
        (String::new(), "expected an object in JSON"),
        ("pick me up".to_owned(), "expected an object in JSON"),
        (HERE.replacen('}', "", 1), "expected an object in JSON"),
        (format!("{HERE} {HERE}"), "expected an object in JSON"),
        (format!("[{HERE}]"), "expected an object in JSON"),
        ("null".to_owned(), "expected an object in JSON"),
        ("42.35".to_owned(), "expected an object in JSON"),
        (base64(HERE), "expected an object in JSON"),
        ("{}".to_owned(), "`PickupLocation`"),
        (location("null"), "`PickupLocation`"),
        (location("[42.35,-71.05]"), "`PickupLocation`"),
        (location("{}"), "`PickupLocation.Latitude`"),
        (
            location(r#"{"Latitude":42.35}"#),
            "`PickupLocation.Longitude`",
        ),
        (
            location(r#"{"Longitude":-71.05}"#),
            "`PickupLocation.Latitude`",
        ),
        (HERE.replace("42.35", "91"), "from -90 to 90"),
        (HERE.replace("42.35", "-90.0001"), "from -90 to 90"),
        (HERE.replace("-71.05", "180.5"), "from -180 to 180"),
        (
            HERE.replace("42.35", r#""42.35""#),
            "`PickupLocation.Latitude`",
        ),
        (HERE.replace("-71.05", "null"), "`PickupLocation.Longitude`"),
        (HERE.replace("-71.05", "true"), "`PickupLocation.Longitude`"),
        (HERE.replace("42.35", "1e999"), "number out of range"),
        (HERE.replace("42.35", "NaN"), "expected"),
        (HERE.replace(r#""Latitude""#, r#""Longitude""#), "duplicate"),
    ]
    .into_iter()
    .map(|(body, words)| (body.into_bytes(), 400, "RideRequestInvalid", words))
    .chain([
        (
            b"\xff\xfe{}".to_vec(),
            400,
            "RideRequestInvalid",
            "expected an object in JSON",
        ),
        (large.into_bytes(), 413, "BodyTooLarge", "4096 bytes"),
    ])
    .collect();
    for kind in ["application/json", "application/octet-stream"] {
        // The gateway hands the second on in Base64.
        let headers = [("content-type", kind)];
        for (body, status, code, words) in &bad {
            let case = format!("{kind}: {:.80}", String::from_utf8_lossy(body));
            let reply = world
                .api
                .send(Method::POST, "/ride", &headers, body.clone())
                .await;
            is_problem(&reply, *status, code, &case);
            let detail = reply.body["detail"].as_str().unwrap();
            assert!(detail.contains(words), "{case}: {detail}");
            assert_eq!(reply.headers["access-control-allow-origin"], "*", "{case}");
        }
    }
    // No gateway sends this one.
    let function = Function::start(world, "rides-request", proxy.url()).await;
    let event = json!({
        "version": "2.0",
        "routeKey": "POST /ride",
        "headers": {"content-type": "application/json"},
        "requestContext": {"http": {"method": "POST", "path": "/ride"}},
        "body": HERE,
        "isBase64Encoded": true,
    });
    let reply = function.invoke(&event).await.unwrap();
    assert_eq!(reply["statusCode"], 400, "{reply}");
    assert!(
        reply["body"]
            .as_str()
            .unwrap()
            .contains("urn:offchain:BodyInvalid"),
        "{reply}"
    );
    let mut event = event;
    event["routeKey"] = "GET /ride".into();
    let reply = function.invoke(&event).await.unwrap();
    assert_eq!(reply["statusCode"], 404, "{reply}");
    drop(function);

    for operation in ["Invoke", "Publish", "SendMessage", "Scan", "PutItem"] {
        assert_eq!(proxy.calls(operation), 0, "{operation}");
    }
    // What is unusual and good.
    let headers = [("content-type", "application/octet-stream")];
    let mut answered = BTreeSet::new();
    for body in [
        HERE.to_owned(),
        HERE.replacen('{', r#"{"Note":{"Deep":[1,null]},"#, 1),
        HERE.replace("42.35", "-90").replace("-71.05", "1.8e2"),
        format!(" \r\n{HERE}\t"),
    ] {
        let reply = world.api.send(Method::POST, "/ride", &headers, body).await;
        assert_eq!(reply.status, 201, "{reply:?}");
        assert_eq!(reply.body.as_object().unwrap().len(), 4, "{reply:?}");
        let id = ride_id(&reply.body).to_owned();
        assert!(is(&rides.recorded(&id).await, &reply.body));
        answered.insert(id);
    }
    assert_eq!(proxy.calls("Invoke"), answered.len());
    assert_eq!(proxy.calls("Publish"), answered.len());
    assert_eq!(rides.count().await, answered.len());
}

fn base64(text: &str) -> String {
    use base64::prelude::{BASE64_STANDARD, Engine};
    BASE64_STANDARD.encode(text)
}

#[tokio::test]
async fn a_recorder_killed_before_its_write_or_after_it_loses_no_ride() {
    let (twin, proxy) = Twin::behind_a_proxy("recorder-killed").await;
    let world = &twin.world;
    let rides = world.rides();
    let first = rides.ride().await;
    rides.recorded(ride_id(&first)).await;
    for (fault, written) in [(Fault::Unheard, false), (Fault::ReplyHeld, true)] {
        proxy.fail("PutItem", "", ALWAYS, fault);
        let ride = rides.ride().await;
        let id = ride_id(&ride);
        proxy.struck().await;
        let processes = twin.processes("rides-record-sns").await;
        assert!(!processes.is_empty());
        let item = rides.item(id).await;
        assert_eq!(item.is_some(), written);
        proxy.heal();
        signal("KILL", &processes);
        // Lambda tries the event again.
        assert!(is(&rides.recorded(id).await, &ride));
        if written {
            assert_eq!(rides.item(id).await, item);
        }
        assert!(
            world
                .dead_letters("rides-record-dlq", |_| true)
                .await
                .is_empty()
        );
    }
    assert_eq!(rides.count().await, 3);
}

#[tokio::test]
async fn a_write_that_is_throttled_or_unconfirmed_is_made_once() {
    let (twin, proxy) = Twin::behind_a_proxy("recorder-throttled").await;
    let world = &twin.world;
    let rides = world.rides();
    let throttled = Fault::Refused(400, "ThrottlingException");
    for (times, fault) in [
        (1, throttled),
        (1, BROKEN),
        (1, Fault::ReplyLost),
        (4, throttled),
    ] {
        proxy.fail("PutItem", "", times, fault);
        let ride = rides.ride().await;
        assert!(
            is(&rides.recorded(ride_id(&ride)).await, &ride),
            "{fault:?}"
        );
        proxy.heal();
    }
    assert_eq!(rides.count().await, 4);
    // At the other door the caller is told.
    for (fault, status, code) in [
        (throttled, 503, "StoreUnavailable"),
        (BROKEN, 503, "StoreUnavailable"),
        (
            Fault::Refused(400, "ResourceNotFoundException"),
            500,
            "StoreRejected",
        ),
    ] {
        proxy.fail("PutItem", "", ALWAYS, fault);
        let mut ride = rides_copy(&rides.items().await[0]);
        ride["RideId"] = unique().into();
        let reply = rides.record(ride.to_string()).await;
        is_problem(&reply, status, code, &format!("{fault:?}"));
        assert_eq!(reply.headers.contains_key("retry-after"), status == 503);
        proxy.heal();
        assert_eq!(rides.record(ride.to_string()).await.status, 201);
    }
    assert_eq!(rides.count().await, 7);
    assert!(
        world
            .dead_letters("rides-record-dlq", |_| true)
            .await
            .is_empty()
    );
}

/// A ride that might have been recorded as this item.
fn rides_copy(item: &crate::harness::Item) -> Value {
    json!({
        "RideId": item["RideId"].as_s().unwrap(),
        "Unicorn": {"Name": "Shadowfax", "Color": "White"},
        "RequestTime": item["RequestTime"].as_s().unwrap(),
    })
}

#[tokio::test]
async fn a_ride_that_is_published_by_http_is_recorded_before_it_is_answered() {
    let (twin, proxy) = Twin::behind_a_proxy("by-http").await;
    let world = &twin.world;
    let rides = world.rides();
    let _by_http = world
        .set_env("rides-request", &[("RIDES_PUBLISH", Some("http"))])
        .await;
    let ride = rides.ride().await;
    assert!(is(&rides.item(ride_id(&ride)).await.unwrap(), &ride));

    proxy.fail("PutItem", "", ALWAYS, BROKEN);
    let reply = rides.post_ride(HERE).await;
    is_problem(&reply, 502, "RecordFailed", "a broken table");
    proxy.heal();
    proxy.fail(
        "Invoke",
        "record-http",
        ALWAYS,
        Fault::Refused(500, "ServiceException"),
    );
    let reply = rides.post_ride(HERE).await;
    is_problem(&reply, 502, "RecordFailed", "it cannot be invoked");
    proxy.heal();
    // Recorded, though nobody heard of it the first time.
    proxy.fail("Invoke", "record-http", 1, Fault::ReplyLost);
    let ride = rides.ride().await;
    assert!(is(&rides.item(ride_id(&ride)).await.unwrap(), &ride));
    assert_eq!(rides.count().await, 2);
    assert_eq!(proxy.calls("Publish"), 0);
}

#[tokio::test]
async fn what_was_recorded_or_kept_outlives_the_emulator() {
    let (mut twin, proxy) = Twin::behind_a_proxy("rides-restarted").await;
    let world = &twin.world;
    let rides = world.rides();
    let recorded = join_all((0..5).map(|_| rides.ride())).await;
    let mut items = Vec::new();
    for ride in &recorded {
        items.push(rides.recorded(ride_id(ride)).await);
    }
    proxy.fail("Publish", "", ALWAYS, BROKEN);
    let unpublished = rides.post_ride(HERE).await;
    assert_eq!(unpublished.status, 201, "{unpublished:?}");
    proxy.heal();
    proxy.fail("PutItem", "", ALWAYS, BROKEN);
    let unrecorded = rides.post_ride(HERE).await;
    assert_eq!(unrecorded.status, 201, "{unrecorded:?}");
    until("the event to be kept", SOON, async || {
        (world.depth("rides-record-dlq").await == 1).then_some(())
    })
    .await;
    proxy.heal();

    twin.stop();
    twin.start().await;

    let world = &twin.world;
    let rides = world.rides();
    for (ride, item) in recorded.iter().zip(&items) {
        assert_eq!(rides.item(ride_id(ride)).await.as_ref(), Some(item));
    }
    unsent(world, &unpublished).await;
    given_up(world, &unrecorded.text, "StoreUnavailable").await;
    let next = rides.ride().await;
    assert!(is(&rides.recorded(ride_id(&next)).await, &next));
    assert_eq!(rides.count().await, items.len() + 1);
}
