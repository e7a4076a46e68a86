//! Events through the handler, against a fake AWS.

use std::collections::BTreeSet;

use offchain_store::test_util::{FakeAws, Reply as AwsReply, items, page, refusal};
use serde_json::json;

use super::*;

fn dispatcher(aws: &FakeAws) -> Dispatcher {
    let env = Env::new(|name| (name == "RIDES_FLEET_TABLE").then(|| "fleet".to_owned()));
    Dispatcher::from_env(env, &aws.sdk_config()).unwrap()
}

fn unicorn(name: &str) -> Value {
    json!({ "Name": name, "Color": "Golden", "Wings": 2 })
}

/// What a function that invokes this one gets.
async fn invoke(aws: &FakeAws) -> Result<Value, FleetError> {
    let reply = dispatcher(aws).handle(Map::new(), "invocation").await?;
    Ok(serde_json::to_value(reply).unwrap())
}

/// What the gateway gets: the whole response, and its body.
async fn get(aws: &FakeAws) -> (Value, Value) {
    let event = json!({
        "version": "2.0",
        "routeKey": "GET /unicorn",
        "requestContext": { "http": { "method": "GET", "path": "/unicorn" } },
    });
    let event = serde_json::from_value(event).unwrap();
    let reply = dispatcher(aws).handle(event, "invocation").await.unwrap();
    let reply = serde_json::to_value(reply).unwrap();
    let body = serde_json::from_str(reply["body"].as_str().unwrap()).unwrap();
    (reply, body)
}

#[tokio::test]
async fn a_function_gets_the_unicorn_as_it_stands() {
    let aws = FakeAws::new().on("Scan", items(&[unicorn("Bucephalus")]));
    assert_eq!(invoke(&aws).await.unwrap(), unicorn("Bucephalus"));
    assert_eq!(aws.sent_once("Scan")["TableName"], "fleet");
}

#[tokio::test]
async fn the_gateway_gets_it_as_a_response() {
    let aws = FakeAws::new().on("Scan", items(&[unicorn("Bucephalus")]));
    let (reply, body) = get(&aws).await;
    assert_eq!(reply["statusCode"], 200);
    assert_eq!(reply["headers"]["content-type"], "application/json");
    assert_eq!(reply["headers"]["cache-control"], "no-store");
    assert_eq!(body, unicorn("Bucephalus"));
}

#[tokio::test]
async fn every_unicorn_of_every_page_is_chosen_in_the_end() {
    let fleet = [unicorn("Bucephalus"), unicorn("Shadowfax")];
    let mut seen = BTreeSet::new();
    // Each of three is missed with a chance of (2/3)^200: never.
    for _ in 0..200 {
        let aws = FakeAws::new()
            .on("Scan", page(&fleet, &json!({ "Name": "Shadowfax" })))
            .on("Scan", items(&[unicorn("Rocinante")]));
        let chosen = invoke(&aws).await.unwrap();
        seen.insert(chosen["Name"].as_str().unwrap().to_owned());
        let pages = aws.sent("Scan");
        assert_eq!(pages[1]["ExclusiveStartKey"]["Name"], "Shadowfax");
    }
    let expected = ["Bucephalus", "Rocinante", "Shadowfax"];
    assert_eq!(seen, expected.map(str::to_owned).into());
}

#[tokio::test]
async fn without_a_unicorn_each_caller_gets_the_error_in_its_own_form() {
    let spoilt = json!({ "Name": "Spoilt" });
    for (reply, status, code, retryable, detail) in [
        (items(&[]), 503, "FleetEmpty", true, "no unicorn"),
        (items(&[spoilt]), 503, "FleetEmpty", true, "no unicorn"),
        (
            AwsReply::NoConnection,
            503,
            "StoreUnavailable",
            true,
            "later",
        ),
        (
            refusal(400, "ResourceNotFoundException"),
            500,
            "StoreRejected",
            false,
            "operator",
        ),
        (
            refusal(400, "AccessDeniedException"),
            500,
            "StoreDenied",
            false,
            "operator",
        ),
    ] {
        let error = invoke(&FakeAws::new().on("Scan", reply.clone()))
            .await
            .unwrap_err();
        assert_eq!((error.code(), error.retryable()), (code, retryable));

        let (reply, body) = get(&FakeAws::new().on("Scan", reply)).await;
        assert_eq!(reply["statusCode"], status, "{code}");
        assert_eq!(reply["headers"]["content-type"], "application/problem+json");
        assert_eq!(reply["headers"].get("retry-after").is_some(), retryable);
        assert_eq!(body["type"], format!("urn:offchain:{code}"));
        assert_eq!(body["status"], status);
        let said = body["detail"].as_str().unwrap();
        assert!(said.contains(detail), "{said}");
        assert!(!said.contains("as the test says"), "{said}");
    }
}

#[test]
fn without_its_table_it_is_not_made() {
    let error = Dispatcher::from_env(Env::new(|_| None), &FakeAws::new().sdk_config());
    let error = error.err().unwrap().to_string();
    assert!(error.contains("RIDES_FLEET_TABLE is not set"), "{error}");
}
