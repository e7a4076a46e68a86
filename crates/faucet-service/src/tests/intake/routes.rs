use jiff::Timestamp;
use offchain_faucet::{budget_day, budget_resets};
use offchain_store::test_util::{item, items, seconds_from_now};

use super::*;

const ID: &str = "0123456789abcdef0123456789abcdef";

#[tokio::test]
async fn the_root_greets_as_the_original_does() {
    let seen = ask(&FakeAws::new(), &json!({}), event("GET /")).await;
    assert_eq!(seen.status, 200);
    assert_eq!(
        seen.json(),
        json!({ "message": "", "name": "testnet", "version": env!("CARGO_PKG_VERSION") })
    );
}

#[tokio::test]
async fn what_is_not_there_is_not_found_and_what_is_has_its_methods() {
    for route in ["GET /v2", "POST /", "$default ", "PUT /v1/claims"] {
        let seen = ask(&FakeAws::new(), &json!({}), event(route)).await;
        let code = if route == "POST /" {
            "MethodNotAllowed"
        } else {
            "RouteNotFound"
        };
        assert_problem(&seen, if route == "POST /" { 405 } else { 404 }, code);
    }
    for route in [
        "GET /v1/claim",
        "DELETE /v1/claim",
        "POST /v1/claims/{id}",
        "POST /v1/challenge",
        "POST /v1/status",
        "POST /faucet",
    ] {
        let seen = ask(&FakeAws::new(), &json!({}), event(route)).await;
        assert_problem(&seen, 405, "MethodNotAllowed");
    }
}

fn look(id: &str) -> Value {
    let mut event = event("GET /v1/claims/{id}");
    event["pathParameters"] = json!({ "id": id });
    event
}

#[tokio::test]
async fn a_claim_is_shown_as_it_is() {
    let paid = json!({
        "status": "paid",
        "reason": null,
        "sequence": 7,
        "hash": "H7",
        "height": 100,
        "reserved": { "address": "a", "source": "source#192.0.2.1#1", "budget": "b" },
    });
    let stored = claim(ID, &paid);
    let aws = FakeAws::new().on("GetItem", item(&stored));
    let seen = ask(&aws, &json!({}), look(ID)).await;
    assert_eq!(seen.status, 200);
    let shown = |name: &str| stored[name].clone();
    // Where a claim came from is nobody's business.
    assert_eq!(
        seen.json(),
        json!({
            "message": "transaction committed",
            "claim_id": ID,
            "status": "paid",
            "address": shown("address"),
            "amount": "1000",
            "hash": "H7",
            "height": 100,
            "created_time": shown("created_time"),
            "updated_time": shown("updated_time"),
            "deadline": shown("deadline"),
        })
    );
    assert_eq!(aws.sent_once("GetItem")["Key"]["claim_id"], ID);
}

#[tokio::test]
async fn a_claim_that_waits_says_what_for() {
    for (fields, status, reason, message) in [
        (json!({}), "queued", json!("waiting"), "claim accepted"),
        (
            json!({ "reason": "faucet_empty" }),
            "queued",
            json!("faucet_empty"),
            "claim accepted",
        ),
        (
            json!({ "status": "sent" }),
            "sent",
            Value::Null,
            "transaction sent",
        ),
    ] {
        let aws = FakeAws::new().on("GetItem", item(&claim(ID, &fields)));
        let shown = ask(&aws, &json!({}), look(ID)).await.json();
        assert_eq!(
            (&shown["status"], &shown["reason"], &shown["message"]),
            (&json!(status), &reason, &json!(message))
        );
    }
}

#[tokio::test]
async fn a_claim_that_is_not_there_is_not_found_and_no_claim_is_not_looked_for() {
    let aws = FakeAws::new().on("GetItem", done());
    assert_problem(&ask(&aws, &json!({}), look(ID)).await, 404, "ClaimNotFound");
    for id in ["", "c1", &ID[1..], &format!("{ID}0"), &ID.replace('a', "g")] {
        let seen = ask(&FakeAws::new(), &json!({}), look(id)).await;
        assert_problem(&seen, 404, "ClaimNotFound");
    }
}

/// What is known of the account, with this balance.
fn account(balance: &str, height: u64) -> Value {
    json!({
        "Name": "suite-testnet-accountnumber",
        "Value": "17",
        "address": "payer",
        "balance": balance,
        "fee_balance": balance,
        "sequence": 7,
        "height": height,
        "observed_time": "2026-11-21T12:00:00.000Z",
    })
}

/// The status where the tables have this account, flag and claims.
async fn status(account: Option<Value>, flag: Option<Value>, members: &Value) -> Value {
    let known = |stored: Option<Value>| stored.map_or_else(done, |stored| item(&stored));
    let old = json!({ "created_time": seconds_from_now(-100).to_string() });
    let aws = FakeAws::new()
        .about("accountnumber", "GetItem", known(account))
        .about("brokenflag", "GetItem", known(flag))
        .about("budget#", "GetItem", item(&json!({ "spent": 30_000 })))
        .on(
            "Query",
            items(&[claim("c1", &old), claim("c2", &json!({}))]),
        );
    let seen = ask(&aws, members, event("GET /v1/status")).await;
    assert_eq!(seen.status, 200);
    let day = budget_day(Timestamp::now());
    let last = &aws.sent("GetItem")[2]["Key"]["limit"];
    assert_eq!(last, &json!(format!("budget#{day}")));
    seen.json()
}

#[tokio::test]
async fn the_status_is_what_the_tables_say() {
    let status = status(Some(account("5000", 90)), None, &json!({})).await;
    let oldest = status["queue"]["oldest_seconds"].as_i64().unwrap();
    assert!((100..110).contains(&oldest), "{oldest}");
    assert_eq!(
        status,
        json!({
            "name": "testnet",
            "version": env!("CARGO_PKG_VERSION"),
            "status": "ok",
            "reason": null,
            "account": "payer",
            "balance": "5000",
            "height": 90,
            "observed_time": "2026-11-21T12:00:00.000Z",
            "amount": "1000",
            "symbol": "TOK",
            "decimals": 6,
            "queue": { "waiting": 2, "oldest_seconds": oldest },
            "budget": {
                "daily": "100000",
                "left": "70000",
                "resets_time": budget_resets(Timestamp::now()).to_string(),
            },
            "captcha": null,
            "proof_of_work": null,
            "throttle": { "per_minute": 10 },
        })
    );
}

#[tokio::test]
async fn the_status_names_what_is_wrong() {
    let flag =
        json!({ "Value": "SequenceUsed", "reason": "payout 7: ", "since": "2026-11-21T12:00:00Z" });
    for (account_, flag, members, expected, reason) in [
        (None, None, json!({}), "unknown", Value::Null),
        (
            Some(account("999", 90)),
            None,
            json!({}),
            "empty",
            Value::Null,
        ),
        (
            Some(account("0", 0)),
            None,
            json!({}),
            "unfunded",
            Value::Null,
        ),
        (
            Some(account("5000", 90)),
            Some(flag),
            json!({}),
            "broken",
            json!("SequenceUsed"),
        ),
        (
            Some(account("5000", 90)),
            None,
            json!({ "send": false }),
            "disabled",
            Value::Null,
        ),
    ] {
        let status = status(account_, flag, &members).await;
        assert_eq!(
            (&status["status"], &status["reason"]),
            (&json!(expected), &reason)
        );
    }
}

#[tokio::test]
async fn the_status_says_what_is_demanded_of_a_claim() {
    let work = json!({ "bits": 18, "valid_seconds": 300 });
    let captcha = json!({
        "provider": "hcaptcha",
        "site_key": "site",
        "hosts": ["faucet.example"],
        "action": null,
        "verify_url": "http://hush.example/",
    });
    let seen = status(
        None,
        None,
        &json!({ "proof_of_work": work, "limits": false }),
    )
    .await;
    assert_eq!(seen["proof_of_work"], json!({ "bits": 18 }));
    assert_eq!(seen["throttle"], Value::Null);
    let members = json!({ "captcha": captcha, "proof_of_work": work });
    let seen = status(None, None, &members).await;
    assert_eq!(seen["proof_of_work"], Value::Null);
    assert_eq!(
        seen["captcha"],
        json!({ "provider": "hcaptcha", "site_key": "site", "action": null })
    );
}

fn file(name: &str) -> Value {
    let mut event = event("GET /faucet/{file}");
    event["rawPath"] = format!("/faucet/{name}").into();
    event["pathParameters"] = json!({ "file": name });
    event
}

#[tokio::test]
async fn the_page_and_its_files_are_shown_and_may_load_nothing_else() {
    let seen = ask(&FakeAws::new(), &json!({}), event("GET /faucet")).await;
    assert_eq!(seen.status, 200);
    assert_eq!(
        seen.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    let policy = seen.header("content-security-policy").unwrap();
    assert!(
        policy.starts_with("default-src 'none'; script-src 'self';"),
        "{policy}"
    );
    assert!(!policy.contains("http"), "{policy}");

    for (name, kind) in [
        ("app.js", "text/javascript; charset=utf-8"),
        ("worker.js", "text/javascript; charset=utf-8"),
        ("style.css", "text/css; charset=utf-8"),
    ] {
        let seen = ask(&FakeAws::new(), &json!({}), file(name)).await;
        assert_eq!(
            (seen.status, seen.header("content-type")),
            (200, Some(kind))
        );
        assert_eq!(seen.header("x-content-type-options"), Some("nosniff"));
        assert!(!seen.text.is_empty());
    }
    for name in ["", "index.html", "../Cargo.toml", "APP.JS"] {
        let seen = ask(&FakeAws::new(), &json!({}), file(name)).await;
        assert_problem(&seen, 404, "RouteNotFound");
    }
}

#[tokio::test]
async fn the_page_may_load_the_captcha_that_is_configured_and_no_other() {
    for (provider, theirs) in [
        ("recaptcha", "https://www.google.com"),
        ("hcaptcha", "https://hcaptcha.com"),
        ("turnstile", "https://challenges.cloudflare.com"),
    ] {
        let captcha = json!({
            "provider": provider,
            "site_key": "site",
            "hosts": ["faucet.example"],
            "action": null,
            "verify_url": null,
        });
        let members = json!({ "captcha": captcha });
        let seen = ask(&FakeAws::new(), &members, event("GET /faucet")).await;
        let policy = seen.header("content-security-policy").unwrap();
        for directive in ["script-src", "frame-src"] {
            assert!(
                policy.contains(&format!("{directive} 'self' {theirs}")),
                "{policy}"
            );
        }
    }
}
