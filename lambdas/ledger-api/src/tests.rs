//! Requests through the handler, against a fake AWS.

use aws_lambda_events::encodings::Body;
use offchain_store::test_util::{FakeAws, done, item, items};
use serde_json::{Value, json};

use super::*;

const ENV: [(&str, &str); 3] = [
    ("LEDGER_EVENTS_TABLE", "events"),
    ("LEDGER_ASSETS_TABLE", "assets"),
    ("LEDGER_DRIVERS_TABLE", "drivers"),
];

/// A function of which one variable has another value.
fn api(aws: &FakeAws, name: &str, value: &str) -> Result<Api, ConfigError> {
    let env = Env::new(|wanted| {
        let (_, usual) = ENV.iter().find(|(known, _)| *known == wanted)?;
        Some(if wanted == name { value } else { usual }.to_owned())
    });
    Api::from_env(env, &aws.sdk_config())
}

/// The status and the body of the answer about an asset.
async fn ask(aws: &FakeAws, id: &str) -> (i64, Value) {
    let event = json!({
        "version": "2.0",
        "routeKey": "GET /v1/ledger/assets/{id}",
        "rawPath": format!("/v1/ledger/assets/{id}"),
        "pathParameters": { "id": id },
        "requestContext": { "http": { "method": "GET" } },
        "isBase64Encoded": false,
    });
    let reply = api(aws, "", "")
        .unwrap()
        .handle(serde_json::from_value(event).unwrap(), "invocation")
        .await
        .unwrap();
    match reply.body {
        Some(Body::Text(text)) => (reply.status_code, serde_json::from_str(&text).unwrap()),
        body => panic!("expected a text, found {body:?}"),
    }
}

#[tokio::test]
async fn an_asset_is_read_from_the_tables_that_are_named() {
    let id = "a".repeat(64);
    let driver = "9hSR6S7WPtxmTojgo6GG3k4yDPecgJY292j7xrsUGWBu";
    let asset = json!({
        "asset_id": id,
        "asset": {
            "asset_id": id,
            "car": null,
            "unspent": {},
            "spent": {},
            "transactions": 1,
        },
        "version": 1,
        "driver": driver,
        "updated_time": "2026-11-21T12:00:00.250Z",
    });
    let aws = FakeAws::new()
        .about(r#""TableName":"assets""#, "GetItem", item(&asset))
        .about(r#""TableName":"events""#, "Query", items(&[]))
        .about(r#""TableName":"drivers""#, "GetItem", done());
    let (status, view) = ask(&aws, &id).await;
    assert_eq!(status, 200);
    assert_eq!(view["asset_id"], id);
    assert_eq!(view["driver"]["public_key"], driver);
    assert_eq!(aws.operations(), ["GetItem", "Query", "GetItem"]);
}

#[tokio::test]
async fn what_goes_wrong_is_a_problem_and_no_error_of_the_function() {
    let aws = FakeAws::new().on("GetItem", done());
    let (status, problem) = ask(&aws, &"a".repeat(64)).await;
    assert_eq!((status, &problem["title"]), (404, &json!("AssetUnknown")));
    let (status, problem) = ask(&FakeAws::new(), "a").await;
    assert_eq!((status, &problem["title"]), (400, &json!("AssetIdInvalid")));
}

#[test]
fn every_variable_is_needed() {
    let aws = FakeAws::new();
    for (name, _) in ENV {
        let error = api(&aws, name, "").err().unwrap().to_string();
        assert!(error.contains(&format!("{name} is not set")), "{error}");
    }
    let error = Api::from_env(Env::new(|_| None), &aws.sdk_config());
    let error = error.err().unwrap().to_string();
    for (name, _) in ENV {
        assert!(error.contains(name), "{error}");
    }
}
