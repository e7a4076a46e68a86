//! Rides: what is answered, what is published and what is recorded say the
//! same, by whatever door a ride comes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use aws_sdk_dynamodb::types::{AttributeValue, BillingMode, TableStatus};
use futures_util::future::join_all;
use jiff::Timestamp;
use offchain_rides::RequestTime;
use reqwest::Method;
use serde_json::{Map, Value, json};

use crate::garbage::is_problem;
use crate::harness::{HERE, Item, Reply, SOON, World, report, ride_id, unique, until};

/// What an item says, where every number is a float.
fn plain(value: &AttributeValue) -> Value {
    match value {
        AttributeValue::S(text) => text.as_str().into(),
        AttributeValue::N(number) => number.parse::<f64>().unwrap().into(),
        AttributeValue::Bool(value) => (*value).into(),
        AttributeValue::Null(_) => Value::Null,
        AttributeValue::L(values) => values.iter().map(plain).collect(),
        AttributeValue::M(values) => said(values).into(),
        other => panic!("a ride has no {other:?}"),
    }
}

fn said(item: &Item) -> Map<String, Value> {
    let members = item.iter();
    members
        .map(|(name, value)| (name.clone(), plain(value)))
        .collect()
}

/// Whether an item is a ride and nothing else.
pub(crate) fn is(item: &Item, ride: &Value) -> bool {
    fn floats(value: &Value) -> Value {
        match value {
            Value::Number(number) => number.as_f64().unwrap().into(),
            Value::Array(values) => values.iter().map(floats).collect(),
            Value::Object(members) => {
                let members = members.iter();
                Value::Object(
                    members
                        .map(|(name, it)| (name.clone(), floats(it)))
                        .collect(),
                )
            }
            other => other.clone(),
        }
    }
    Value::Object(said(item)) == floats(ride)
}

/// A text that a ride may be recorded from.
fn ride(id: &str) -> Value {
    json!({
        "RideId": id,
        "Unicorn": {"Name": "Shadowfax", "Color": "White"},
        "RequestTime": "2026-01-31 12:00:00.000001",
        "PickupLocation": {"Latitude": 42.35, "Longitude": -71.05},
    })
}

/// The event by which a topic hands a message to a function.
pub(crate) fn notification(message: &str) -> Value {
    json!({"Records": [{
        "EventSource": "aws:sns",
        "EventVersion": "1.0",
        "EventSubscriptionArn": "arn:aws:sns:us-east-1:000000000000:e2e:e2e",
        "Sns": {
            "Type": "Notification",
            "MessageId": unique(),
            "TopicArn": "arn:aws:sns:us-east-1:000000000000:e2e",
            "Subject": null,
            "Message": message,
            "Timestamp": "2026-01-31T12:00:00.000Z",
            "MessageAttributes": {},
        },
    }]})
}

pub(crate) async fn publish(world: &World, message: &str) {
    world
        .sns
        .publish()
        .topic_arn(&world.stack.rides.topic_arn)
        .message(message)
        .send()
        .await
        .unwrap();
}

fn header<'a>(reply: &'a Reply, name: &str) -> &'a str {
    let value = reply.headers.get(name);
    value
        .unwrap_or_else(|| panic!("there is no {name}: {reply:?}"))
        .to_str()
        .unwrap()
}

#[tokio::test]
async fn a_ride_is_answered_published_once_and_recorded_and_all_three_say_the_same() {
    let world = World::shared().await;
    let rides = world.rides();
    let inbox = world.inbox(&world.stack.rides.topic_arn).await;
    let before = Timestamp::now();
    let reply = rides.post_ride(HERE).await;
    let after = Timestamp::now();

    assert_eq!(reply.status, 201, "{reply:?}");
    assert_eq!(header(&reply, "content-type"), "application/json");
    assert_eq!(header(&reply, "access-control-allow-origin"), "*");
    let id = ride_id(&reply.body);
    let text = |pointer| reply.body.pointer(pointer).unwrap().as_str().unwrap();
    let (name, color) = (text("/Unicorn/Name"), text("/Unicorn/Color"));
    let time = text("/RequestTime");
    assert_eq!(
        reply.text,
        format!(
            r#"{{"RideId":"{id}","Unicorn":{{"Name":"{name}","Color":"{color}"}},"RequestTime":"{time}","PickupLocation":{{"Latitude":42.35,"Longitude":-71.05}}}}"#
        )
    );
    assert_eq!(fleet(&world).await[name]["Color"], color);
    // RFC 9562: version 7, and the time of the request.
    let uuid: uuid::Uuid = id.parse().unwrap();
    assert_eq!(uuid.get_version_num(), 7);
    assert_eq!(uuid.to_string(), id);
    let requested = time.parse::<RequestTime>().unwrap();
    assert_eq!(requested.to_string(), time);
    let millisecond = requested.timestamp().as_millisecond();
    let of_id = u64::from_str_radix(&uuid.simple().to_string()[..12], 16).unwrap();
    assert_eq!(i64::try_from(of_id).unwrap(), millisecond);
    assert!((before.as_millisecond()..=after.as_millisecond()).contains(&millisecond));

    assert!(is(&rides.recorded(id).await, &reply.body));

    // Once another one was heard, a second message of the first would have been.
    let mut heard = Vec::new();
    for ride in [reply.body.clone(), rides.ride().await] {
        let id = ride_id(&ride).to_owned();
        until("the ride's message", SOON, async || {
            heard.extend(inbox.hear().await);
            let mut texts = heard.iter().map(|it| it["Message"].as_str().unwrap());
            texts.any(|text| text.contains(&id)).then_some(())
        })
        .await;
    }
    heard.extend(inbox.hear().await);
    let texts = heard.iter().map(|it| it["Message"].as_str().unwrap());
    let of_it: Vec<_> = texts.filter(|text| text.contains(id)).collect();
    assert_eq!(of_it, [reply.text.as_str()]);
}

#[tokio::test]
async fn a_page_of_any_origin_may_ask_for_a_ride_and_read_the_answer() {
    let world = World::shared().await;
    let asks = [
        ("origin", "https://wild-rydes.example"),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "content-type"),
    ];
    let reply = world.api.send(Method::OPTIONS, "/ride", &asks, "").await;
    assert_eq!(reply.status, 204, "{reply:?}");
    assert_eq!(reply.text, "");
    assert_eq!(header(&reply, "access-control-allow-origin"), "*");
    assert_eq!(
        header(&reply, "access-control-allow-methods"),
        "POST,OPTIONS"
    );
    assert_eq!(
        header(&reply, "access-control-allow-headers"),
        "content-type"
    );
    let age: u32 = header(&reply, "access-control-max-age").parse().unwrap();
    assert!(age > 0);

    let origin = [("origin", "https://wild-rydes.example")];
    for (body, status) in [(HERE, 201), ("{}", 400), (&*" ".repeat(5000), 413)] {
        let reply = world
            .api
            .send(Method::POST, "/ride", &origin, body.to_owned())
            .await;
        assert_eq!(reply.status, status, "{reply:?}");
        assert_eq!(header(&reply, "access-control-allow-origin"), "*");
    }
}

#[tokio::test]
async fn the_topic_and_http_record_a_ride_as_the_same_item() {
    let world = World::shared().await;
    let rides = world.rides();
    let mut plainest = ride(&unique().replace('-', "")[..16]);
    plainest["RequestTime"] = "2026-01-31 12:00:00".into();
    plainest.as_object_mut().unwrap().remove("PickupLocation");
    let mut whole = ride(&unique());
    whole["PickupLocation"] = json!({"Latitude": 42.0, "Longitude": 0});
    let mut richest = ride(&format!("SvLnijI_{}", &unique()[..13]));
    richest["Unicorn"]["Gender"] = "Female".into();
    richest["Rider"] = "Zoë \"Z\" \u{2028}\n🦄".into();
    richest["Stops"] = json!([1, 2.5, {"Deep": [null, true, {}, [], ""]}]);

    for ride in [ride(&unique()), plainest, whole, richest] {
        let (id, text) = (ride_id(&ride), ride.to_string());
        publish(&world, &text).await;
        let by_topic = rides.recorded(id).await;
        let mut expected = ride.clone();
        if ride["RequestTime"].as_str().unwrap().len() == 19 {
            expected["RequestTime"] =
                format!("{}.000000", ride["RequestTime"].as_str().unwrap()).into();
        }
        assert!(is(&by_topic, &expected), "{by_topic:?}");
        world
            .dynamodb
            .delete_item()
            .table_name(&world.stack.rides.table)
            .key("RideId", AttributeValue::S(id.to_owned()))
            .send()
            .await
            .unwrap();
        let reply = rides.record(text.clone()).await;
        assert_eq!(
            (reply.status, &reply.body),
            (201, &json!({"success": true}))
        );
        assert_eq!(header(&reply, "content-type"), "application/json");
        let by_http = rides.item(id).await.unwrap();
        assert_eq!(by_http, by_topic);

        // By the same doors again: it is the one item still.
        let reply = rides.record(text.clone()).await;
        assert_eq!(
            (reply.status, &reply.body),
            (201, &json!({"success": true}))
        );
        let event = notification(&text);
        let reply = world.invoke("rides-record-sns", &event).await;
        assert_eq!(reply, Ok(json!({"recorded": 1})));
        assert_eq!(rides.item(id).await.unwrap(), by_topic);
    }
}

#[tokio::test]
async fn another_ride_under_a_recorded_id_is_refused_at_both_doors() {
    let world = World::shared().await;
    let rides = world.rides();
    let first = ride(&unique());
    let id = ride_id(&first);
    assert_eq!(rides.record(first.to_string()).await.status, 201);
    let item = rides.item(id).await.unwrap();
    let change = |name: &str, value: Value| {
        let mut other = first.clone();
        other[name] = value;
        other
    };
    let mut nowhere = first.clone();
    nowhere.as_object_mut().unwrap().remove("PickupLocation");
    for other in [
        change("Unicorn", json!({"Name": "Shadowfax", "Color": "Grey"})),
        change("RequestTime", "2026-01-31 12:00:00.000002".into()),
        change(
            "PickupLocation",
            json!({"Latitude": 42.35, "Longitude": 71.05}),
        ),
        change("Note", Value::Null),
        nowhere,
    ] {
        let reply = rides.record(other.to_string()).await;
        is_problem(&reply, 409, "RideConflict", &other.to_string());
        assert!(reply.body["detail"].as_str().unwrap().contains(id));
        let event = notification(&other.to_string());
        let error = world.invoke("rides-record-sns", &event).await.unwrap_err();
        assert_eq!(error["errorType"], "RideConflict", "{error}");
        assert_eq!(rides.item(id).await.unwrap(), item);
    }
}

#[tokio::test]
async fn what_is_no_ride_is_refused_at_both_doors_and_nothing_is_recorded() {
    let world = World::shared().await;
    let rides = world.rides();
    let id = unique();
    let with = |pointer: &str, value: Value| {
        let mut ride = ride(&id);
        *ride.pointer_mut(pointer).unwrap() = value;
        ride.to_string()
    };
    let without = |name: &str| {
        let mut ride = ride(&id);
        ride.as_object_mut().unwrap().remove(name);
        ride.to_string()
    };
    let good = ride(&id).to_string();
    let deep = format!("{}{}", "[".repeat(40), "]".repeat(40));
    for text in [
        String::new(),
        "null".to_owned(),
        "[]".to_owned(),
        format!("[{good}]"),
        "{}".to_owned(),
        good.replacen('{', "", 1),
        format!("{good}{good}"),
        good.replacen('{', &format!(r#"{{"RideId":"{id}","#), 1),
        good.replace("42.35", "1e999"),
        good.replace("42.35", "NaN"),
        good.replacen('{', &format!(r#"{{"Deep":{deep},"#), 1),
        with("/RideId", "0123456789abcde".into()),
        with("/RideId", format!("{id} ").into()),
        with("/RideId", 1_234_567_890_123_456_u64.into()),
        with("/Unicorn", "Shadowfax".into()),
        with("/Unicorn/Name", "".into()),
        with("/Unicorn/Color", "c".repeat(65).into()),
        with("/RequestTime", "2026-01-31T12:00:00Z".into()),
        with("/PickupLocation", Value::Null),
        with("/PickupLocation/Latitude", 91.into()),
        with("/PickupLocation/Latitude", "42".into()),
        with("/PickupLocation/Longitude", json!(-180.5)),
        without("RideId"),
        without("Unicorn"),
        without("RequestTime"),
    ] {
        let reply = rides.record(text.clone()).await;
        is_problem(&reply, 400, "RideInvalid", &text);
        let event = notification(&text);
        let error = world.invoke("rides-record-sns", &event).await.unwrap_err();
        assert_eq!(error["errorType"], "RideInvalid", "{text}: {error}");
        let detail = reply.body["detail"].as_str().unwrap();
        assert!(
            detail.contains("expected") || detail.contains("duplicate"),
            "{text}: {detail}"
        );
    }
    let long = good.replacen('{', &format!(r#"{{"Long":"{}","#, "x".repeat(5000)), 1);
    is_problem(&rides.record(long).await, 413, "BodyTooLarge", "5 KB");
    let reply = rides.record([good.as_bytes(), &[0xff]].concat()).await;
    is_problem(&reply, 400, "RideInvalid", "not UTF-8");
    let octets = [("content-type", "application/octet-stream")];
    let reply = world
        .api
        .send(Method::POST, "/record", &octets, vec![b'{', 0xff])
        .await;
    is_problem(&reply, 400, "BodyInvalid", "not UTF-8, in Base64");
    for event in [json!({}), json!([]), json!({"Records": [{}]}), Value::Null] {
        let error = world.invoke("rides-record-sns", &event).await.unwrap_err();
        assert_eq!(error["errorType"], "InputInvalid", "{event}: {error}");
    }
    assert_eq!(rides.item(&id).await, None);
}

/// The unicorns by their names, as the table has them.
async fn fleet(world: &World) -> BTreeMap<String, Value> {
    let table = &world.stack.rides.fleet_table;
    let all = world
        .dynamodb
        .scan()
        .table_name(table)
        .send()
        .await
        .unwrap();
    let unicorns = all.items.unwrap();
    unicorns
        .iter()
        .map(|item| {
            let unicorn = Value::Object(said(item));
            (unicorn["Name"].as_str().unwrap().to_owned(), unicorn)
        })
        .collect()
}

#[tokio::test]
async fn every_unicorn_of_the_seeded_fleet_flies_directly_and_over_http() {
    let world = World::shared().await;
    let fleet = fleet(&world).await;
    let seeded = [
        ("Bucephalus", "Golden"),
        ("Rocinante", "Yellow"),
        ("Shadowfax", "White"),
    ];
    let expected: BTreeMap<_, _> = seeded
        .map(|(name, color)| (name.to_owned(), json!({"Name": name, "Color": color})))
        .into();
    assert_eq!(fleet, expected);
    let names: BTreeSet<_> = fleet.keys().cloned().collect();
    // One of three misses 60 draws once in 10^10 times.
    let (mut directly, mut by_http) = (BTreeSet::new(), BTreeSet::new());
    for draw in 0..60 {
        let unicorn = world
            .invoke("rides-fleet", &json!({"draw": draw}))
            .await
            .unwrap();
        let name = unicorn["Name"].as_str().unwrap().to_owned();
        assert_eq!(unicorn, fleet[&name]);
        directly.insert(name);
        let reply = world.api.get("/unicorn").await;
        assert_eq!(reply.status, 200, "{reply:?}");
        let name = reply.body["Name"].as_str().unwrap().to_owned();
        assert_eq!(reply.body, fleet[&name]);
        by_http.insert(name);
    }
    assert_eq!((directly, by_http), (names.clone(), names));
}

#[tokio::test]
async fn others_find_the_topic_and_the_recorder_by_the_original_s_parameters() {
    let world = World::shared().await;
    let stack = &world.stack;
    let parameter = async |name: &str| {
        let call = json!({"Name": name});
        let reply = world.call("ssm", "AmazonSSM.GetParameter", &call).await;
        assert_eq!(reply["Parameter"]["Type"], "String", "{reply}");
        reply["Parameter"]["Value"].as_str().unwrap().to_owned()
    };
    let topic = parameter(&format!("/wild-rydes/{}/SnsTopicArn", stack.name)).await;
    assert_eq!(topic, stack.rides.topic_arn);
    let url = parameter(&format!("/wild-rydes-ride-record/{}/URL", stack.name)).await;
    assert_eq!(url, format!("{}/record", stack.api_url));
    assert_eq!(url, stack.rides.record_url);

    // Both tables cost what they are used for.
    for table in [&stack.rides.table, &stack.rides.fleet_table] {
        let reply = world
            .dynamodb
            .describe_table()
            .table_name(table)
            .send()
            .await;
        let table = reply.unwrap().table.unwrap();
        assert_eq!(table.table_status, Some(TableStatus::Active));
        let billing = table.billing_mode_summary.unwrap().billing_mode;
        assert_eq!(billing, Some(BillingMode::PayPerRequest));
    }
}

#[tokio::test]
async fn of_a_hundred_rides_at_once_each_is_answered_and_recorded() {
    let world = World::alone().await;
    let rides = world.rides();
    let before = rides.count().await;
    let wave = async || {
        let bodies = (0..100).map(|n| {
            let location = json!({"Latitude": f64::from(n) / 2.0, "Longitude": -n});
            json!({"PickupLocation": location}).to_string()
        });
        join_all(bodies.map(|body| rides.post_ride(body))).await
    };
    // A hundred processes start at once, of each function: on a small machine
    // some are given up before they answer. What is refused leaves nothing.
    let mut cold = wave().await;
    let mut start = Instant::now();
    let mut warm = wave().await;
    let mut answered = start.elapsed();
    for _ in 0..4 {
        if warm.iter().all(|reply| reply.status == 201) {
            break;
        }
        // What the wave before left cold, or another test held up.
        cold.append(&mut warm);
        start = Instant::now();
        warm = wave().await;
        answered = start.elapsed();
    }
    for (n, reply) in warm.iter().enumerate() {
        assert_eq!(reply.status, 201, "{n}: {reply:?}");
    }
    for reply in &warm {
        assert!(is(&rides.recorded(ride_id(&reply.body)).await, &reply.body));
    }
    let recorded = start.elapsed();
    let (taken, refused): (Vec<_>, Vec<_>) = cold.iter().partition(|reply| reply.status == 201);
    for reply in &refused {
        // Not reached in time, or given up by Lambda.
        assert!(matches!(reply.status, 502 | 503), "{reply:?}");
    }
    for reply in &taken {
        assert!(is(&rides.recorded(ride_id(&reply.body)).await, &reply.body));
    }
    let ids = warm.iter().chain(taken.iter().copied());
    let ids: BTreeSet<_> = ids.map(|reply| ride_id(&reply.body)).collect();
    assert_eq!(ids.len(), warm.len() + taken.len());
    assert_eq!(rides.count().await, before + ids.len());
    report(&format!(
        "100 rides at once: answered within {} ms, recorded within {} ms; {} of {} cold ones answered",
        answered.as_millis(),
        recorded.as_millis(),
        taken.len(),
        cold.len(),
    ));
}
