use super::*;

const ALLOWED: &str = "https://app.example";
const OTHER: &str = "https://evil.example";

fn from(event: Value, origin: &str) -> Value {
    with_header(event, "origin", origin)
}

#[tokio::test]
async fn a_page_of_an_allowed_origin_may_claim_and_read_the_reply() {
    for (origins, origin) in [(json!([ALLOWED]), ALLOWED), (json!(["*"]), OTHER)] {
        let aws = taking();
        let members = json!({ "origins": origins });
        let seen = ask(&aws, &members, from(post(CLAIM), origin)).await;
        assert_eq!(seen.status, 202);
        assert_eq!(seen.header("access-control-allow-origin"), Some(origin));
        let exposed = seen.header("access-control-expose-headers").unwrap();
        for name in ["location", "retry-after", "x-ratelimit-remaining"] {
            assert!(exposed.contains(name), "{exposed}");
        }
    }
}

#[tokio::test]
async fn a_page_of_another_origin_may_not_and_nothing_is_touched() {
    for origin in [
        OTHER,
        "null",
        "http://app.example",
        "https://app.example.evil.example",
        "https://faucet.example:8443",
        "ftp://faucet.example",
    ] {
        let seen = ask(&FakeAws::new(), &json!({}), from(post(CLAIM), origin)).await;
        assert_problem(&seen, 403, "OriginNotAllowed");
        assert_eq!(seen.header("access-control-allow-origin"), None);
        assert_eq!(seen.header("access-control-expose-headers"), None);
    }
}

#[tokio::test]
async fn the_faucet_s_own_page_and_no_page_at_all_need_no_permission() {
    for origin in [
        Some("https://faucet.example"),
        Some("http://faucet.example"),
        None,
    ] {
        let event = match origin {
            Some(origin) => from(post(CLAIM), origin),
            None => post(CLAIM),
        };
        let seen = ask(&taking(), &json!({ "origins": [] }), event).await;
        assert_eq!(seen.status, 202);
        assert_eq!(seen.header("access-control-allow-origin"), None);
    }
}

#[tokio::test]
async fn an_allowed_page_can_read_a_refusal_as_well() {
    let seen = ask(&FakeAws::new(), &json!({}), from(post("{"), ALLOWED)).await;
    assert_problem(&seen, 400, "ClaimInvalid");
    assert_eq!(seen.header("access-control-allow-origin"), Some(ALLOWED));
}

#[tokio::test]
async fn a_browser_that_asks_first_is_told_what_it_may_send() {
    for (route, methods) in [
        ("OPTIONS /v1/claim", "POST, OPTIONS"),
        ("OPTIONS /v1/claims/{id}", "GET, OPTIONS"),
        ("OPTIONS /v1/challenge", "GET, OPTIONS"),
        ("OPTIONS /v1/status", "GET, OPTIONS"),
    ] {
        let seen = ask(&FakeAws::new(), &json!({}), from(event(route), ALLOWED)).await;
        assert_eq!((seen.status, &*seen.text), (204, ""));
        assert_eq!(seen.header("access-control-allow-origin"), Some(ALLOWED));
        assert_eq!(seen.header("access-control-allow-methods"), Some(methods));
        assert_eq!(
            seen.header("access-control-allow-headers"),
            Some("content-type, idempotency-key, prefer")
        );
        assert_eq!(seen.header("access-control-max-age"), Some("3600"));
    }
}

#[tokio::test]
async fn a_browser_that_asks_for_another_page_learns_nothing() {
    for asked in [
        from(event("OPTIONS /v1/claim"), OTHER),
        event("OPTIONS /v1/claim"),
    ] {
        let seen = ask(&FakeAws::new(), &json!({}), asked).await;
        assert_eq!(seen.status, 204);
        let told: Vec<_> = seen
            .headers
            .keys()
            .filter(|name| name.as_str().starts_with("access-control"))
            .collect();
        assert!(told.is_empty(), "{told:?}");
    }
}
