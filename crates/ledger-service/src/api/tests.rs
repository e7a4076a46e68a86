//! Requests for assets, against a fake AWS.

use aws_lambda_events::encodings::Body;
use offchain_store::test_util::{FakeAws, answer, attributes, done, item, items, page, refusal};
use serde_json::{Value, json};

use super::*;

fn api(aws: &FakeAws) -> AssetApi {
    let client = aws_sdk_dynamodb::Client::new(&aws.sdk_config());
    let events = Events::new(client.clone(), "events".into());
    AssetApi {
        events: events.clone(),
        assets: Assets::new(client, events, "assets".into(), "drivers".into()),
    }
}

fn id(digit: char) -> String {
    String::from(digit).repeat(64)
}

fn key(who: u8) -> PublicKey {
    PublicKey::from_bytes([who; 32])
}

/// The status of the answer, when to ask again, and the body.
async fn ask(aws: &FakeAws, name: &str, query: &Value) -> (i64, Option<String>, Value) {
    let event = json!({
        "version": "2.0",
        "routeKey": "GET /v1/ledger/assets/{id}",
        "rawPath": format!("/v1/ledger/assets/{name}"),
        "pathParameters": { "id": name },
        "queryStringParameters": query,
        "requestContext": { "http": { "method": "GET" } },
        "isBase64Encoded": false,
    });
    let request = serde_json::from_value(event).unwrap();
    let reply = api(aws).answer(&request).await;
    let Some(Body::Text(text)) = reply.body else {
        panic!("expected a text, found {:?}", reply.body);
    };
    let later = reply.headers.get("retry-after");
    (
        reply.status_code,
        later.map(|value| value.to_str().unwrap().to_owned()),
        serde_json::from_str(&text).unwrap(),
    )
}

#[track_caller]
fn assert_problem(seen: &(i64, Option<String>, Value), status: i64, code: &str) {
    let (found, later, body) = seen;
    assert_eq!((*found, &body["title"]), (status, &json!(code)), "{body}");
    assert_eq!(body["type"], format!("urn:offchain:{code}"));
    assert_eq!(later.is_some(), status == 503);
}

fn position(height: u64, name: char) -> String {
    format!("{height:020}.{}", id(name))
}

/// The car `a`, in the hands of whom the output `unspent` names.
fn car(owner: &PublicKey, unspent: char, fields: &Value) -> Value {
    let mut item = json!({
        "asset_id": id('a'),
        "asset": {
            "asset_id": id('a'),
            "car": { "lessor": key(1), "model": "Bug", "value": 2_500_000 },
            "unspent": {
                format!("{}:0", id(unspent)): {
                    "public_keys": [owner],
                    "amount": 1,
                    "condition": "ni:///1",
                },
            },
            "spent": {},
            "transactions": 2,
        },
        "version": 2,
        "updated_time": "2026-11-21T12:00:00.250Z",
    });
    for (name, value) in fields.as_object().unwrap() {
        item[name] = value.clone();
    }
    item
}

fn event(name: char, height: u64, fields: &Value) -> Value {
    let mut item = json!({
        "transaction_id": id(name),
        "asset_id": id('a'),
        "height": height,
        "position": position(height, name),
        "status": "received",
        "webhook_timestamp": 1,
        "received_time": "2026-11-21T12:00:00.250Z",
        "from": [],
        "to": [],
    });
    for (name, value) in fields.as_object().unwrap() {
        item[name] = value.clone();
    }
    item
}

#[tokio::test]
async fn a_leased_car_is_shown_with_its_driver_its_premium_and_its_history() {
    let driver = attributes(&json!({
        "version": 1, "started": 1, "ended": 0, "claim_free": 0, "incidents": 0,
    }));
    let leased = json!({
        "driver": key(2),
        "premium": { "yearly_cents": 110_000, "factor_percent": 110, "driver_version": 1 },
    });
    let recorded = |operation: &str, from: u8, to: u8| {
        json!({
            "status": "recorded",
            "operation": operation,
            "from": [key(from)],
            "to": [key(to)],
            "recorded_time": "2026-11-21T12:00:01.250Z",
        })
    };
    let events = [
        event('d', 9, &json!({})),
        event(
            'c',
            8,
            &json!({ "status": "rejected", "reason": "DoubleSpend" }),
        ),
        event('b', 7, &recorded("TRANSFER", 1, 2)),
        event('a', 6, &recorded("CREATE", 1, 1)),
    ];
    let aws = FakeAws::new()
        .about("\"assets\"", "GetItem", item(&car(&key(2), 'b', &leased)))
        .about("\"drivers\"", "GetItem", answer(json!({ "Item": driver })))
        .on("Query", items(&events));
    let (status, _, view) = ask(&aws, &id('a'), &json!({})).await;
    assert_eq!(status, 200);
    assert_eq!(
        view,
        json!({
            "asset_id": id('a'),
            "kind": "car",
            "lessor": key(1),
            "model": "Bug",
            "value_cents": 2_500_000,
            "owners": [{
                "public_keys": [key(2)],
                "amount": "1",
                "transaction_id": id('b'),
                "output_index": 0,
            }],
            "driver": {
                "public_key": key(2),
                "started": 1,
                "ended": 0,
                "claim_free": 0,
                "incidents": 0,
            },
            "premium": { "yearly_cents": 110_000, "factor_percent": 110 },
            "transactions": 2,
            "updated_time": "2026-11-21T12:00:00.250Z",
            "history": [
                {
                    "transaction_id": id('d'),
                    "height": 9,
                    "status": "received",
                    "from": [],
                    "to": [],
                },
                {
                    "transaction_id": id('c'),
                    "height": 8,
                    "status": "rejected",
                    "reason": "DoubleSpend",
                    "from": [],
                    "to": [],
                },
                {
                    "transaction_id": id('b'),
                    "height": 7,
                    "status": "recorded",
                    "operation": "TRANSFER",
                    "from": [key(1)],
                    "to": [key(2)],
                    "recorded_time": "2026-11-21T12:00:01.250Z",
                },
                {
                    "transaction_id": id('a'),
                    "height": 6,
                    "status": "recorded",
                    "operation": "CREATE",
                    "from": [key(1)],
                    "to": [key(1)],
                    "recorded_time": "2026-11-21T12:00:01.250Z",
                },
            ],
        })
    );
    // What is shown is read back as it was.
    serde_json::from_value::<AssetView>(view).unwrap();
}

#[tokio::test]
async fn a_car_that_its_lessor_has_costs_nobody_anything() {
    let aws = FakeAws::new()
        .on("GetItem", item(&car(&key(1), 'a', &json!({}))))
        .on("Query", items(&[]));
    let (status, _, view) = ask(&aws, &id('a'), &json!({})).await;
    assert_eq!(status, 200);
    assert_eq!(view["kind"], "car");
    assert_eq!((view.get("driver"), view.get("premium")), (None, None));
    assert_eq!(view["history"], json!([]));
    assert_eq!(aws.operations(), ["GetItem", "Query"]);
}

#[tokio::test]
async fn an_asset_that_is_no_car_has_owners_alone() {
    let mut coins = car(&key(1), 'a', &json!({}));
    coins["asset"]["car"] = Value::Null;
    coins["asset"]["unspent"] = json!({
        format!("{}:0", id('a')): {
            "public_keys": [key(1)], "amount": 9_000_000_000_000_000_000_u64, "condition": "c",
        },
        format!("{}:1", id('a')): {
            "public_keys": [key(2), key(3)], "amount": 1, "condition": "c",
        },
    });
    let aws = FakeAws::new()
        .on("GetItem", item(&coins))
        .on("Query", items(&[]));
    let (status, _, view) = ask(&aws, &id('a'), &json!({})).await;
    assert_eq!(status, 200);
    assert_eq!(view["kind"], "other");
    for name in ["lessor", "model", "value_cents", "driver", "premium"] {
        assert_eq!(view.get(name), None, "{name}");
    }
    assert_eq!(
        view["owners"],
        json!([
            {
                "public_keys": [key(1)],
                // As text: it is more than a number of JavaScript holds.
                "amount": "9000000000000000000",
                "transaction_id": id('a'),
                "output_index": 0,
            },
            {
                "public_keys": [key(2), key(3)],
                "amount": "1",
                "transaction_id": id('a'),
                "output_index": 1,
            },
        ])
    );
}

#[tokio::test]
async fn a_history_is_shown_page_by_page() {
    let asset = item(&car(&key(1), 'a', &json!({})));
    let key = json!({ "transaction_id": id('c'), "position": position(8, 'c') });
    let first = [event('d', 9, &json!({})), event('c', 8, &json!({}))];
    let aws = FakeAws::new()
        .always("GetItem", asset)
        .on("Query", page(&first, &key))
        .on("Query", items(&[event('b', 7, &json!({}))]));
    let (_, _, view) = ask(&aws, &id('a'), &json!({ "limit": "2" })).await;
    let next = view["next"].as_str().unwrap();
    assert_eq!(
        next,
        format!(
            "/v1/ledger/assets/{}?limit=2&after={}",
            id('a'),
            position(8, 'c')
        )
    );
    let (_, query) = next.split_once('?').unwrap();
    let query: Value = query
        .split('&')
        .map(|part| part.split_once('=').unwrap())
        .map(|(name, value)| (name.to_owned(), json!(value)))
        .collect();
    let (status, _, view) = ask(&aws, &id('a'), &query).await;
    assert_eq!(status, 200);
    assert_eq!(view["history"][0]["transaction_id"], id('b'));
    assert_eq!(view.get("next"), None);
    let [one, two] = aws.sent("Query").try_into().unwrap();
    assert_eq!((&one["Limit"], &two["Limit"]), (&json!(2), &json!(2)));
    assert_eq!(one["ScanIndexForward"], false);
    let values = &two["ExpressionAttributeValues"];
    assert_eq!(values[":after"], position(8, 'c'));
}

#[tokio::test]
async fn a_page_has_twenty_events_unless_another_number_is_asked_for() {
    for (query, limit) in [
        (json!({}), 20),
        (json!({ "limit": "1" }), 1),
        (json!({ "limit": "100" }), 100),
    ] {
        let aws = FakeAws::new()
            .on("GetItem", item(&car(&key(1), 'a', &json!({}))))
            .on("Query", items(&[]));
        assert_eq!(ask(&aws, &id('a'), &query).await.0, 200);
        assert_eq!(aws.sent_once("Query")["Limit"], limit);
    }
}

#[tokio::test]
async fn what_is_no_id_or_no_query_is_refused_untouched() {
    let hidden = id('a').replace('a', "A");
    for name in ["", "a", "..", &id('a')[1..], &hidden, &id('g')] {
        let aws = FakeAws::new();
        let seen = ask(&aws, name, &json!({})).await;
        assert_problem(&seen, 400, "AssetIdInvalid");
        assert!(aws.calls().is_empty());
    }
    let short = position(7, 'b')[1..].to_owned();
    let odd = position(7, 'b').replace('.', "#");
    for (query, says) in [
        (json!({ "limit": "" }), "limit"),
        (json!({ "limit": "0" }), "limit"),
        (json!({ "limit": "101" }), "limit"),
        (json!({ "limit": "-1" }), "limit"),
        (json!({ "limit": "all" }), "limit"),
        (json!({ "after": "" }), "after"),
        (json!({ "after": "7" }), "after"),
        (json!({ "after": short }), "after"),
        (json!({ "after": odd }), "after"),
        (
            json!({ "after": format!("{}0", position(7, 'b')) }),
            "after",
        ),
    ] {
        let aws = FakeAws::new();
        let seen = ask(&aws, &id('a'), &query).await;
        assert_problem(&seen, 400, "QueryInvalid");
        let detail = seen.2["detail"].as_str().unwrap();
        assert!(detail.starts_with(&format!("{says}: expected")), "{detail}");
        assert!(aws.calls().is_empty(), "{query}");
    }
}

#[tokio::test]
async fn an_asset_of_which_nothing_counts_is_unknown() {
    let aws = FakeAws::new().on("GetItem", done());
    let seen = ask(&aws, &id('a'), &json!({})).await;
    assert_problem(&seen, 404, "AssetUnknown");
    let detail = seen.2["detail"].as_str().unwrap();
    assert!(detail.contains(&id('a')), "{detail}");
    assert_eq!(aws.operations(), ["GetItem"]);
}

#[tokio::test]
async fn a_store_that_cannot_be_used_is_our_fault() {
    let found = || {
        let leased = car(&key(2), 'b', &json!({ "driver": key(2) }));
        FakeAws::new().about("\"assets\"", "GetItem", item(&leased))
    };
    for (reply, status, code) in [
        (refusal(400, "ThrottlingException"), 503, "StoreUnavailable"),
        (refusal(400, "AccessDeniedException"), 500, "StoreDenied"),
        (refusal(400, "ValidationException"), 500, "StoreRejected"),
    ] {
        for aws in [
            FakeAws::new().on("GetItem", reply.clone()),
            found().on("Query", reply.clone()),
            found().on("Query", items(&[])).on("GetItem", reply.clone()),
        ] {
            let seen = ask(&aws, &id('a'), &json!({})).await;
            assert_problem(&seen, status, code);
            let detail = seen.2["detail"].as_str().unwrap();
            assert!(detail.starts_with("the service cannot answer"), "{detail}");
        }
    }
}
