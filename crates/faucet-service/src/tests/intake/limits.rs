use jiff::{SignedDuration, Timestamp};
use offchain_store::test_util::{Reply, cancelled, condition_failed_over};

use super::*;

/// A throttle whose arrival lies so many milliseconds from now.
fn throttled(ahead: i64) -> Reply {
    let arrival = Timestamp::now().as_millisecond() + ahead;
    condition_failed_over(&json!({ "arrival_ms": arrival }))
}

/// The key of the throttle that was asked.
fn asked(aws: &FakeAws) -> Value {
    aws.sent("UpdateItem")[0]["Key"]["limit"].clone()
}

#[tokio::test]
async fn one_request_too_many_is_told_when_to_come_again() {
    let aws = FakeAws::new().on("UpdateItem", throttled(60_000));
    let seen = ask(&aws, &json!({}), post(CLAIM)).await;
    assert_problem(&seen, 429, "LimitExceeded");
    // The original's words.
    assert_eq!(seen.json()["message"], "limit exceeded");
    assert_eq!(seen.header("retry-after"), Some("6"));
    assert_eq!(seen.rate_limit(), [Some("10"), Some("0"), Some("60")]);
    assert_eq!(aws.operations(), ["UpdateItem"]);
}

#[tokio::test]
async fn without_limits_nothing_is_counted_and_nothing_told() {
    let aws = FakeAws::new()
        .on("TransactWriteItems", done())
        .on("SendMessage", done());
    let seen = ask(&aws, &json!({ "limits": false }), post(CLAIM)).await;
    assert_eq!((seen.status, seen.rate_limit()), (202, [None; 3]));
    let parts = aws.sent_once("TransactWriteItems")["TransactItems"].clone();
    assert_eq!(parts.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_source_is_the_connection_s_other_end_or_what_trusted_proxies_say() {
    for (peer, forwarded, trusted, source) in [
        ("192.0.2.1", None, 0, "192.0.2.1"),
        // Anybody may write that header.
        ("192.0.2.1", Some("198.51.100.7"), 0, "192.0.2.1"),
        ("192.0.2.1", Some("198.51.100.7"), 1, "198.51.100.7"),
        (
            "192.0.2.1",
            Some("203.0.113.9, 198.51.100.7"),
            1,
            "198.51.100.7",
        ),
        (
            "192.0.2.1",
            Some("1.1.1.1, 203.0.113.9, 198.51.100.7"),
            2,
            "203.0.113.9",
        ),
        ("2001:db8:1:2:3:4:5:6", None, 0, "2001:db8:1:2::/64"),
    ] {
        let aws = taking();
        let mut event = post(CLAIM);
        event["requestContext"]["http"]["sourceIp"] = peer.into();
        if let Some(forwarded) = forwarded {
            event["headers"]["x-forwarded-for"] = forwarded.into();
        }
        let members = json!({ "trusted_proxies": trusted });
        assert_eq!(ask(&aws, &members, event).await.status, 202);
        assert_eq!(asked(&aws), format!("throttle#{source}"));
        let counted = &aws.sent_once("TransactWriteItems")["TransactItems"][2]["Update"];
        let key = counted["Key"]["limit"].as_str().unwrap();
        assert!(key.starts_with(&format!("source#{source}#")), "{key}");
    }
}

#[tokio::test]
async fn a_request_from_nobody_knows_where_touches_nothing() {
    for (peer, forwarded, trusted) in [
        ("", None, 0),
        ("unknown", None, 0),
        ("192.0.2.1", None, 1),
        ("192.0.2.1", Some("198.51.100.7"), 2),
        ("192.0.2.1", Some("unknown"), 1),
    ] {
        let mut event = post(CLAIM);
        event["requestContext"]["http"]["sourceIp"] = peer.into();
        if let Some(forwarded) = forwarded {
            event["headers"]["x-forwarded-for"] = forwarded.into();
        }
        let members = json!({ "trusted_proxies": trusted });
        let seen = ask(&FakeAws::new(), &members, event).await;
        assert_problem(&seen, 400, "SourceUnknown");
    }
}

#[tokio::test]
async fn each_limit_says_when_it_may_be_claimed_again() {
    let later = Timestamp::now() + SignedDuration::from_secs(500);
    let cooldown = json!({ "until": later.as_second() });
    for (at, item, code, limit, most) in [
        (1, Some(cooldown), "AddressCooldown", "1", 500),
        (2, None, "SourceCooldown", "5", 86_400),
        (3, None, "BudgetSpent", "1", 86_400),
    ] {
        let mut reasons = vec![("None", None); 4];
        reasons[at] = ("ConditionalCheckFailed", item);
        let aws = unthrottled().on("TransactWriteItems", cancelled(&reasons));
        let seen = ask(&aws, &json!({}), post(CLAIM)).await;
        assert_problem(&seen, 429, code);
        let wait: u32 = seen.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=most).contains(&wait), "{code}: {wait}");
        if at == 1 {
            assert!(wait >= 490, "{wait}");
        }
        let wait = wait.to_string();
        assert_eq!(
            seen.rate_limit(),
            [Some(limit), Some("0"), Some(wait.as_str())]
        );
        assert!(seen.json()["message"].as_str().unwrap().contains(&wait));
        assert!(aws.sent("SendMessage").is_empty());
    }
}
