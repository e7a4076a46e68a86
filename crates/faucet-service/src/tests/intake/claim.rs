use std::time::{Duration, Instant};

use aws_lambda_events::apigw::ApiGatewayV2httpRequest;
use aws_lambda_events::http::HeaderValue;
use offchain_faucet::IdempotencyKey;
use offchain_store::test_util::{Reply, cancelled, item, refusal};

use super::*;

/// The claim in the one transaction that was made.
fn written(aws: &FakeAws) -> Value {
    aws.sent_once("TransactWriteItems")["TransactItems"][0]["Put"]["Item"].clone()
}

#[tokio::test]
async fn a_claim_is_written_and_the_payer_woken() {
    let aws = taking();
    let seen = ask(&aws, &json!({}), post(r#"{"address":"ADDR1","x":1}"#)).await;
    assert_eq!(
        aws.operations(),
        [
            "UpdateItem",
            "UpdateItem",
            "TransactWriteItems",
            "SendMessage"
        ]
    );
    let claim = written(&aws);
    let id = claim["claim_id"].as_str().unwrap();
    assert_eq!(id.len(), 32);
    // In the one spelling that the chain has for it.
    assert_eq!(claim["address"], "addr1");
    assert_eq!(claim["amount"], "1000");
    assert_eq!(woken(&aws), [json!({ "claim_id": id })]);

    assert_eq!(seen.status, 202);
    let url = format!("/v1/claims/{id}");
    assert_eq!(
        seen.json(),
        json!({
            "message": "claim accepted",
            "claim_id": id,
            "status": "queued",
            "status_url": url,
        })
    );
    assert_eq!(seen.header("location"), Some(&*url));
    assert_eq!(seen.header("retry-after"), Some("1"));
    assert_eq!(seen.header("content-type"), Some("application/json"));
    assert_eq!(seen.rate_limit(), [Some("10"), Some("9"), Some("6")]);
}

#[tokio::test]
async fn two_claims_without_a_key_are_two() {
    let mut ids = Vec::new();
    for aws in [taking(), taking()] {
        ask(&aws, &json!({}), post(CLAIM)).await;
        ids.push(written(&aws)["claim_id"].clone());
    }
    assert_ne!(ids[0], ids[1]);
}

#[tokio::test]
async fn a_claim_that_a_block_has_in_time_is_answered_as_by_the_original() {
    for status in ["committed", "paid"] {
        let fields = json!({ "status": status, "sequence": 7, "hash": "H7", "height": 100 });
        let aws = taking()
            .on("GetItem", item(&claim("c1", &json!({ "status": "sent" }))))
            .on("GetItem", item(&claim("c1", &fields)));
        let seen = ask(&aws, &json!({ "wait_seconds": 20 }), post(CLAIM)).await;
        assert_eq!(seen.status, 200);
        assert_eq!(
            seen.json(),
            json!({
                "message": "transaction committed",
                "hash": "H7",
                "height": 100,
                "claim_id": "c1",
            })
        );
        assert_eq!(seen.rate_limit()[0], Some("10"));
        let read = &aws.sent("GetItem")[0];
        assert_eq!(read["Key"]["claim_id"], written(&aws)["claim_id"]);
    }
}

#[tokio::test]
async fn a_claim_that_came_to_nothing_while_its_caller_waits_says_why() {
    for (status, http, code) in [
        ("failed", 502, "PayoutFailed"),
        ("expired", 503, "ClaimExpired"),
    ] {
        let fields = json!({ "status": status, "reason": "faucet_empty" });
        let aws = taking().on("GetItem", item(&claim("c1", &fields)));
        let seen = ask(&aws, &json!({ "wait_seconds": 20 }), post(CLAIM)).await;
        assert_problem(&seen, http, code);
        let message = seen.json()["message"].as_str().unwrap().to_owned();
        assert!(message.contains("faucet_empty"), "{message}");
        // The same request would find the same claim.
        assert_eq!(seen.header("retry-after"), None);
    }
}

#[tokio::test]
async fn a_claim_that_cannot_be_looked_at_is_accepted_all_the_same() {
    for reply in [refusal(400, "ThrottlingException"), done()] {
        let aws = taking().on("GetItem", reply);
        let seen = ask(&aws, &json!({ "wait_seconds": 20 }), post(CLAIM)).await;
        assert_eq!(seen.status, 202);
    }
}

#[tokio::test]
async fn a_payer_that_cannot_be_woken_is_no_reason_to_refuse() {
    let aws = unthrottled()
        .on("TransactWriteItems", done())
        .on("SendMessage", Reply::NoConnection);
    assert_eq!(ask(&aws, &json!({}), post(CLAIM)).await.status, 202);
}

#[tokio::test]
async fn whoever_prefers_not_to_wait_is_answered_at_once() {
    for prefer in [
        "respond-async",
        "Respond-Async, wait=9",
        "handling=lenient, wait=0",
        "WAIT = 0",
    ] {
        let aws = taking();
        let event = with_header(post(CLAIM), "prefer", prefer);
        let seen = ask(&aws, &json!({ "wait_seconds": 25 }), event).await;
        assert_eq!(seen.status, 202, "{prefer}");
        assert!(aws.sent("GetItem").is_empty(), "{prefer}");
    }
}

#[tokio::test]
async fn nobody_waits_longer_than_is_allowed() {
    for prefer in ["wait=3600", "wait=-1", "wait=soon", ""] {
        let aws = taking().always("GetItem", item(&claim("c1", &json!({}))));
        let event = with_header(post(CLAIM), "prefer", prefer);
        let began = Instant::now();
        let seen = ask(&aws, &json!({ "wait_seconds": 1 }), event).await;
        assert_eq!(seen.status, 202, "{prefer}");
        assert!(began.elapsed() >= Duration::from_secs(1), "{prefer}");
        assert!(aws.sent("GetItem").len() <= 5, "{prefer}");
    }
}

#[tokio::test]
async fn where_sending_is_disabled_all_is_checked_and_nothing_written() {
    let aws = unthrottled();
    let seen = ask(&aws, &json!({ "send": false }), post(CLAIM)).await;
    assert_eq!(seen.status, 200);
    assert_eq!(
        seen.json(),
        json!({ "message": "transaction committed", "hash": "SendDisabled", "height": 0 })
    );
    assert_eq!(seen.rate_limit(), [Some("10"), Some("9"), Some("6")]);
    assert!(aws.sent("TransactWriteItems").is_empty());
    let aws = FakeAws::new();
    let seen = ask(&aws, &json!({ "send": false }), post("{}")).await;
    assert_problem(&seen, 400, "ClaimInvalid");
}

#[tokio::test]
async fn a_body_that_cannot_be_used_touches_nothing() {
    let address = |text: &str| json!({ "address": text }).to_string();
    let response = |text: &str| json!({ "address": "addr1", "response": text }).to_string();
    for (body, status, code, says) in [
        (String::new(), 400, "ClaimInvalid", "JSON"),
        ("{".to_owned(), 400, "ClaimInvalid", "JSON"),
        ("null".to_owned(), 400, "ClaimInvalid", "object"),
        (r#"["addr1"]"#.to_owned(), 400, "ClaimInvalid", "object"),
        ("{}".to_owned(), 400, "ClaimInvalid", "`address`"),
        (
            r#"{"address":1}"#.to_owned(),
            400,
            "ClaimInvalid",
            "`address`",
        ),
        (address(""), 400, "ClaimInvalid", "`address`"),
        (address(&"a".repeat(129)), 400, "ClaimInvalid", "`address`"),
        (
            r#"{"address":"addr1","response":1}"#.to_owned(),
            400,
            "ClaimInvalid",
            "`response`",
        ),
        (
            response(&"x".repeat(4097)),
            400,
            "ClaimInvalid",
            "`response`",
        ),
        (
            address("cosmos1xyz"),
            400,
            "AddressInvalid",
            "none of this chain",
        ),
        (" ".repeat(8193), 413, "BodyTooLarge", "8192"),
    ] {
        let seen = ask(&FakeAws::new(), &json!({}), post(&body)).await;
        assert_problem(&seen, status, code);
        let detail = seen.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(says), "{detail}");
        assert_eq!(seen.rate_limit(), [None; 3]);
        assert_eq!(seen.header("retry-after"), None);
    }
}

#[tokio::test]
async fn a_body_may_be_base64_and_has_8192_bytes_at_most() {
    let mut event = post("eyJhZGRyZXNzIjoiYWRkcjEifQ==");
    event["isBase64Encoded"] = true.into();
    let seen = ask(&taking(), &json!({}), event.clone()).await;
    assert_eq!(seen.status, 202);
    event["body"] = "not Base64".into();
    let seen = ask(&FakeAws::new(), &json!({}), event).await;
    assert_problem(&seen, 400, "BodyInvalid");

    let padded = format!("{CLAIM}{}", " ".repeat(8192 - CLAIM.len()));
    let seen = ask(&taking(), &json!({}), post(&padded)).await;
    assert_eq!(seen.status, 202);
}

fn keyed(key: &str) -> Value {
    with_header(post(CLAIM), "idempotency-key", key)
}

/// The sample address's claim, in this state.
fn known(fields: &Value) -> Value {
    with(claim("c1", &json!({ "address": "addr1" })), fields)
}

#[tokio::test]
async fn the_first_claim_with_a_key_has_an_id_that_follows_from_it() {
    let aws = FakeAws::new()
        .on("GetItem", done())
        .on("UpdateItem", condition_failed())
        .on("UpdateItem", done())
        .on("TransactWriteItems", done())
        .on("SendMessage", done());
    let seen = ask(&aws, &json!({}), keyed("order 66")).await;
    assert_eq!(seen.status, 202);
    let id = IdempotencyKey::parse("order 66").unwrap().claim_id();
    assert_eq!(written(&aws)["claim_id"], id);
    assert_eq!(aws.sent_once("GetItem")["Key"]["claim_id"], id);
}

#[tokio::test]
async fn a_claim_that_is_repeated_is_told_as_it_is_and_counts_no_second_time() {
    for (fields, status, told) in [
        (json!({}), 202, "claim accepted"),
        (json!({ "status": "sent" }), 202, "claim accepted"),
        (
            json!({ "status": "paid", "hash": "H7", "height": 9 }),
            200,
            "transaction committed",
        ),
        (
            json!({ "status": "failed", "reason": "transfer_failed" }),
            502,
            "the payout failed (transfer_failed): claim again with a new Idempotency-Key",
        ),
    ] {
        let aws = FakeAws::new().on("GetItem", item(&known(&fields)));
        let seen = ask(&aws, &json!({}), keyed("k")).await;
        assert_eq!(
            (seen.status, &seen.json()["message"]),
            (status, &json!(told))
        );
        // Neither throttle nor captcha, neither transaction nor message.
        assert_eq!(aws.operations(), ["GetItem"]);
    }
}

#[tokio::test]
async fn two_requests_with_one_key_at_the_same_moment_are_one_claim() {
    let held = ("ConditionalCheckFailed", None);
    let reasons = [held.clone(), held.clone(), held.clone(), held];
    let aws = FakeAws::new()
        .on("GetItem", done())
        .on("UpdateItem", condition_failed())
        .on("UpdateItem", done())
        .on("TransactWriteItems", cancelled(&reasons))
        .on("GetItem", item(&known(&json!({}))));
    let seen = ask(&aws, &json!({}), keyed("k")).await;
    assert_eq!((seen.status, &seen.json()["claim_id"]), (202, &json!("c1")));
    assert!(aws.sent("SendMessage").is_empty());
}

#[tokio::test]
async fn a_key_of_another_address_s_claim_is_refused() {
    let theirs = known(&json!({ "address": "addr2" }));
    let aws = FakeAws::new().on("GetItem", item(&theirs));
    let seen = ask(&aws, &json!({}), keyed("k")).await;
    assert_problem(&seen, 409, "IdempotencyKeyReused");
    assert!(!seen.text.contains("addr2"), "{}", seen.text);
}

#[tokio::test]
async fn a_key_that_cannot_be_one_touches_nothing() {
    for key in ["", "a\tb", &"k".repeat(129)] {
        let seen = ask(&FakeAws::new(), &json!({}), keyed(key)).await;
        assert_problem(&seen, 400, "IdempotencyKeyInvalid");
    }
    // Whoever sends one that is not ASCII must not believe that it counts.
    let mut request: ApiGatewayV2httpRequest = serde_json::from_value(post(CLAIM)).unwrap();
    let value = HeaderValue::from_bytes("schlüssel".as_bytes()).unwrap();
    request.headers.insert("idempotency-key", value);
    let reply = intake(&FakeAws::new(), &json!({})).answer(&request).await;
    assert_eq!(reply.status_code, 400);
}

#[tokio::test]
async fn a_store_that_fails_is_our_fault() {
    for (reply, status, code) in [
        (refusal(400, "ThrottlingException"), 503, "StoreUnavailable"),
        (refusal(400, "AccessDeniedException"), 500, "StoreDenied"),
    ] {
        for aws in [
            FakeAws::new().on("UpdateItem", reply.clone()),
            unthrottled().on("TransactWriteItems", reply),
        ] {
            let seen = ask(&aws, &json!({}), post(CLAIM)).await;
            assert_problem(&seen, status, code);
            // Only what may be better by then is worth another try.
            let later = status == 503;
            assert_eq!(seen.header("retry-after"), later.then_some("1"));
            assert!(aws.sent("SendMessage").is_empty());
        }
    }
}
