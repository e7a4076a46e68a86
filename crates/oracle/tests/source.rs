//! What sources answer: numbers without a rounding error, times, and garbage.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail anywhere"
)]

use jiff::Timestamp;
use offchain_codes::Coded;
use offchain_oracle::{Feed, HttpFeed, Kind, Observation, Source, SourceError};
use proptest::prelude::*;
use serde_json::json;

const FETCHED: &str = "2026-11-21T11:00:01.412999999Z";
const DEEP: usize = 1_000_000;

fn feed(decimals: u8, scale: i8, pointer: &str, time_pointer: Option<&str>) -> HttpFeed {
    let definition = json!({
        "kind": "http", "decimals": decimals, "quorum": 1, "max_age_seconds": 60,
        "max_spread_bps": 200, "sources": {"x": {
            "url": "https://example.org", "pointer": pointer, "time_pointer": time_pointer,
            "scale": scale, "timeout_ms": 800, "header": null
        }}
    });
    match Feed::parse("test", &definition.to_string()).unwrap().kind {
        Kind::Http(feed) => feed,
        Kind::Demo => panic!("not a demo"),
    }
}

fn read(feed: &HttpFeed, body: &[u8]) -> Result<Observation, SourceError> {
    let source: &Source = &feed.sources[0];
    source.read(feed, body, FETCHED.parse().unwrap())
}

fn value(decimals: u8, body: &str) -> Result<i128, SourceError> {
    read(&feed(decimals, 0, "", None), body.as_bytes()).map(|observation| observation.value)
}

fn at(pointer: &str, body: &str) -> Result<i128, SourceError> {
    read(&feed(0, 0, pointer, None), body.as_bytes()).map(|observation| observation.value)
}

fn time(body: &str) -> Result<Timestamp, SourceError> {
    let body = format!(r#"{{"price":1,"time":{body}}}"#);
    read(&feed(0, 0, "/price", Some("/time")), body.as_bytes()).map(|found| found.observed)
}

fn code<T: std::fmt::Debug>(result: Result<T, SourceError>) -> &'static str {
    let error = result.unwrap_err();
    assert!(!error.retryable());
    assert!(error.to_string().starts_with("expected"), "{error}");
    error.code()
}

#[test]
fn numbers_are_exact() {
    for (decimals, body, expected) in [
        (2, "3141.59", 314_159),
        (2, "\"3141.59\"", 314_159),
        (2, "\"3141.5\"", 314_150),
        (0, "1e3", 1000),
        (0, "\"1e3\"", 1000),
        // The nearest binary fractions of these are none of them.
        (1, "0.1", 1),
        (1, "0.2", 2),
        (17, "0.30000000000000004", 30_000_000_000_000_004),
        (18, "0.1", 100_000_000_000_000_000),
        (2, "1.005", 100),
        (2, "1.015", 102),
        (2, "1.0050000000000000000000000000000000001", 101),
        (
            0,
            "123456789012345678901234567890",
            123_456_789_012_345_678_901_234_567_890,
        ),
        (
            0,
            "\"-123456789012345678901234567890\"",
            -123_456_789_012_345_678_901_234_567_890,
        ),
        (0, "9007199254740993", 9_007_199_254_740_993),
        (2, "-0", 0),
        (2, "\"-0\"", 0),
        (2, "-0.001", 0),
        (2, "1e-400", 0),
        (0, " \n 7 \t", 7),
        (0, r#""\u0037""#, 7),
    ] {
        assert_eq!(value(decimals, body).unwrap(), expected, "{body}");
    }
}

#[test]
fn what_is_no_number_is_refused() {
    for body in [
        "\"abc\"",
        "\"\"",
        "\" 1\"",
        "\"1 \"",
        "\"1,000.5\"",
        "\"$5\"",
        "\"+5\"",
        "\"05\"",
        "\".5\"",
        "\"5.\"",
        "\"0x10\"",
        "\"NaN\"",
        "\"Infinity\"",
        "\"1e\"",
        "\"１\"",
        "true",
        "false",
        "null",
        "{}",
        "[]",
        r#"{"value":1}"#,
        "[1]",
        "1e400",
        "\"1e400\"",
        "-1e400",
        "1e33",
        r#""\ud800""#,
    ] {
        let expected = if body.contains("ud800") {
            "SourceBodyInvalid"
        } else {
            "ValueInvalid"
        };
        assert_eq!(code(value(2, body)), expected, "{body}");
    }
    for (body, kind) in [
        ("true", "a boolean"),
        ("null", "null"),
        ("{}", "an object"),
        ("[]", "an array"),
        ("\"abc\"", "a text that is none of these"),
        ("1e400", "a number that is none of these"),
    ] {
        assert_eq!(
            value(2, body).unwrap_err().to_string(),
            format!("expected a decimal number of at most 33 digits at ``, found {kind}")
        );
    }
}

#[test]
fn a_scale_moves_the_point() {
    for (decimals, scale, body, expected) in [
        (2, -2, "314159", 314_159),
        (0, -2, "314150", 3142),
        (0, -2, "314250", 3142),
        (0, -2, "314250.0001", 3143),
        (0, 3, "1.2345", 1234),
        (
            18,
            -18,
            "1850000000000000000001",
            1_850_000_000_000_000_000_001,
        ),
        (0, -18, "1500000000000000000", 2),
        (
            18,
            18,
            "0.00012",
            120_000_000_000_000_000_000_000_000_000_000,
        ),
        (18, -18, "-1", -1),
        (0, 18, "-1", -1_000_000_000_000_000_000),
    ] {
        let feed = feed(decimals, scale, "", None);
        let found = read(&feed, body.as_bytes()).unwrap();
        assert_eq!(found.value, expected, "{body}");
    }
    let feed = feed(18, 18, "", None);
    assert_eq!(code(read(&feed, b"0.001")), "ValueInvalid");
}

#[test]
fn the_body_is_json_to_its_end() {
    for body in [
        "",
        " ",
        "{",
        "}",
        "<html>502 Bad Gateway</html>",
        "1 2",
        "{\"a\":1,}",
        "[1,]",
        "'1'",
        "01",
        "+1",
        ".5",
        "1.",
        "NaN",
        "nul",
        "{a:1}",
        "{\"a\" 1}",
        "\"\n\"",
        "\u{feff}1",
        "1//",
        "{\"a\":1}{\"a\":1}",
        "[1] ]",
        "\"\\x\"",
    ] {
        assert_eq!(code(value(2, body)), "SourceBodyInvalid", "{body:?}");
        assert_eq!(code(at("/a", body)), "SourceBodyInvalid", "{body:?}");
    }
    // A fault behind the value counts as well.
    assert_eq!(code(at("/a", r#"{"a":1,"b":"#)), "SourceBodyInvalid");
    assert_eq!(code(at("/a", r#"{"a":1,"b":nul}"#)), "SourceBodyInvalid");
    let invalid_utf8 = [b"{\"a\":1,\"".as_slice(), &[0xff], b"\":1}"].concat();
    assert_eq!(
        code(read(&feed(0, 0, "/a", None), &invalid_utf8)),
        "SourceBodyInvalid"
    );
    assert_eq!(code(read(&feed(0, 0, "", None), &[0])), "SourceBodyInvalid");
}

/// The example of RFC 6901, section 5, with numbers told apart.
#[test]
fn pointers_find_what_rfc_6901_says() {
    let body =
        r#"{"foo":[10,11],"":20,"a/b":1,"c%d":2,"e^f":3,"g|h":4,"i\\j":5,"k\"l":6," ":7,"m~n":8}"#;
    for (pointer, expected) in [
        ("/foo/0", 10),
        ("/foo/1", 11),
        ("/", 20),
        ("/a~1b", 1),
        ("/c%d", 2),
        ("/e^f", 3),
        ("/g|h", 4),
        ("/i\\j", 5),
        ("/k\"l", 6),
        ("/ ", 7),
        ("/m~0n", 8),
    ] {
        assert_eq!(at(pointer, body).unwrap(), expected, "{pointer}");
    }
    assert_eq!(code(at("", body)), "ValueInvalid");
    assert_eq!(code(at("/foo", body)), "ValueInvalid");
    for (pointer, body) in [
        ("/~01", r#"{"~1":1}"#),
        ("/a/b/0/c", r#"{"a":{"b":[{"c":1}]}}"#),
        ("/0", r#"{"0":1}"#),
        ("/é", r#"{"\u00e9":1}"#),
        ("/a", " {\n\"b\" : [ ] , \"a\" : 1 }"),
        ("/2/-", r#"[0,[],{"-":1}]"#),
    ] {
        assert_eq!(at(pointer, body).unwrap(), 1, "{pointer}");
    }
}

#[test]
fn a_pointer_to_nothing_is_told() {
    for (pointer, body) in [
        ("/b", r#"{"a":1}"#),
        ("/a/b", r#"{"a":1}"#),
        ("/a/b", r#"{"a":"b"}"#),
        ("/a/b", r#"{"a":null}"#),
        ("/A", r#"{"a":1}"#),
        ("/", r#"{"a":1}"#),
        ("/a", "{}"),
        ("/a", "1"),
        ("/0", "[]"),
        ("/2", "[1,2]"),
        ("/-", "[1]"),
        ("/00", "[1]"),
        ("/01", "[1,2]"),
        ("/+0", "[1]"),
        ("/-1", "[1]"),
        ("/a", "[1]"),
        ("/99999999999999999999999", "[1]"),
    ] {
        let error = at(pointer, body).unwrap_err();
        assert_eq!(error.code(), "PointerMissing", "{pointer}");
        assert_eq!(
            error.to_string(),
            format!("expected a value at `{pointer}`, found none")
        );
    }
}

#[test]
fn a_name_that_is_there_twice_is_refused_on_the_way_only() {
    for body in [
        r#"{"a":1,"a":1}"#,
        r#"{"a":1,"b":2,"a":3,"a":4}"#,
        r#"{"a":1,"\u0061":2}"#,
    ] {
        let error = at("/a", body).unwrap_err();
        assert_eq!(error.code(), "SourceBodyInvalid");
        assert_eq!(
            error.to_string(),
            "expected one member `a` on the way to `/a`, found two"
        );
    }
    assert_eq!(
        code(at("/a/b", r#"{"a":{"b":1},"a":{}}"#)),
        "SourceBodyInvalid"
    );
    assert_eq!(at("/a", r#"{"b":1,"b":2,"a":3}"#).unwrap(), 3);
    assert_eq!(at("/a/c", r#"{"a":{"b":1,"b":2,"c":3}}"#).unwrap(), 3);
}

#[test]
fn no_depth_overflows_the_stack() {
    let arrays = "[".repeat(DEEP) + "1" + &"]".repeat(DEEP);
    assert_eq!(code(at("", &arrays)), "ValueInvalid");
    assert_eq!(code(at("/0/0/0", &arrays)), "ValueInvalid");
    let objects = "{\"a\":".repeat(DEEP) + "1" + &"}".repeat(DEEP);
    assert_eq!(code(at("/a/a/b", &objects)), "PointerMissing");
    assert_eq!(
        at("/x", &format!(r#"{{"deep":{arrays},"x":5}}"#)).unwrap(),
        5
    );
    assert_eq!(code(at("/x", &"[".repeat(DEEP))), "SourceBodyInvalid");
    assert_eq!(code(at("/x", &"{\"x\":".repeat(DEEP))), "SourceBodyInvalid");
    // As deep as a pointer reaches.
    let pointer = "/0".repeat(256);
    let arrays = "[".repeat(256) + "7" + &"]".repeat(256);
    assert_eq!(at(&pointer, &arrays).unwrap(), 7);
}

#[test]
fn a_long_number_costs_no_more_than_reading_it() {
    let nines = "9".repeat(DEEP);
    assert_eq!(code(value(0, &nines)), "ValueInvalid");
    assert_eq!(value(2, &format!("0.{nines}")).unwrap(), 100);
    assert_eq!(value(0, &format!("{nines}e-{DEEP}")).unwrap(), 1);
    assert_eq!(code(value(0, &format!("1e{nines}"))), "ValueInvalid");
    assert_eq!(value(0, &format!("1e-{nines}")).unwrap(), 0);
}

#[test]
fn without_its_own_time_an_answer_is_of_when_it_was_fetched() {
    let found = read(&feed(0, 0, "", None), b"1").unwrap();
    assert_eq!(found.observed, "2026-11-21T11:00:01.412Z".parse().unwrap());
}

#[test]
fn times_of_every_kind_are_read() {
    for (body, expected) in [
        ("\"2026-11-21T11:00:01Z\"", "2026-11-21T11:00:01Z"),
        (
            "\"2026-11-21T11:00:01.4129999Z\"",
            "2026-11-21T11:00:01.412Z",
        ),
        ("\"2026-11-21T13:00:01.5+02:00\"", "2026-11-21T11:00:01.5Z"),
        ("\"2026-11-21t11:00:01z\"", "2026-11-21T11:00:01Z"),
        ("1795258801", "2026-11-21T11:00:01Z"),
        ("1795258801.4129", "2026-11-21T11:00:01.412Z"),
        ("\"1795258801\"", "2026-11-21T11:00:01Z"),
        ("\"1795258801.25\"", "2026-11-21T11:00:01.25Z"),
        ("1795258801412", "2026-11-21T11:00:01.412Z"),
        ("\"1795258801412\"", "2026-11-21T11:00:01.412Z"),
        ("1795258801412.9", "2026-11-21T11:00:01.412Z"),
        ("1.795258801e9", "2026-11-21T11:00:01Z"),
        ("1.795258801412e12", "2026-11-21T11:00:01.412Z"),
        ("0", "1970-01-01T00:00:00Z"),
        // The last number of seconds and the first of milliseconds.
        ("99999999999", "5138-11-16T09:46:39Z"),
        ("100000000000", "1973-03-03T09:46:40Z"),
    ] {
        assert_eq!(time(body).unwrap(), expected.parse().unwrap(), "{body}");
    }
}

#[test]
fn what_is_no_time_is_refused() {
    for body in [
        "null",
        "true",
        "{}",
        "[]",
        "\"\"",
        "\"yesterday\"",
        "\"2026-11-21\"",
        "\"2026-11-21T11:00:01\"",
        "\"2026-11-21 11:00:01Z\"",
        "\"2026-11-21T11:00:61Z\"",
        "\"Sat, 21 Nov 2026 11:00:01 GMT\"",
        "-1",
        "\"-1\"",
        "1e18",
        "1e400",
        "\"1969-12-31T23:59:59Z\"",
        "\"0001-01-01T00:00:00Z\"",
        "1795258801412345678",
    ] {
        let error = time(body).unwrap_err();
        assert_eq!(error.code(), "SourceTimeInvalid", "{body}");
        let text = error.to_string();
        assert!(
            text.starts_with("expected a time since 1970 at `/time`, of RFC 3339"),
            "{text}"
        );
    }
    let feed = feed(0, 0, "/price", Some("/time"));
    assert_eq!(code(read(&feed, br#"{"price":1}"#)), "PointerMissing");
    assert_eq!(
        code(read(&feed, br#"{"price":1,"time":1,"time":1}"#)),
        "SourceBodyInvalid"
    );
}

#[test]
fn no_error_repeats_what_the_source_said() {
    let secret = "hunter2-hunter2";
    for body in [
        format!("{secret:?}"),
        format!("{{\"price\":{secret:?}}}"),
        format!("{{\"price\":1,\"time\":{secret:?}}}"),
        secret.to_owned(),
        format!("{{\"price\":{secret}"),
        format!("{{\"{secret}\":1}}"),
    ] {
        let feed = feed(0, 0, "/price", Some("/time"));
        let error = read(&feed, body.as_bytes()).unwrap_err();
        assert!(
            !format!("{error} {error:?}").contains("hunter"),
            "{error:?}"
        );
    }
}

proptest! {
    #[test]
    fn no_body_breaks_the_reader(
        body in prop::collection::vec(any::<u8>(), 0..200),
        pointer in "(/[a-c0-2~]{0,2}){0,4}",
    ) {
        if pointer.parse::<offchain_oracle::Pointer>().is_ok() {
            let _ = read(&feed(2, 0, &pointer, Some(&pointer)), &body);
        }
    }

    /// Another implementation of RFC 6901, which keeps the last of two members.
    #[test]
    fn pointers_find_what_another_implementation_finds(
        json in json_value(),
        pointer in "(/(a|b|~0|~1|0|1|2|-|00)){0,4}",
    ) {
        let found = at(&pointer, &json.to_string());
        match json.pointer(&pointer) {
            Some(serde_json::Value::Number(number)) => {
                prop_assert_eq!(found.unwrap(), i128::from(number.as_i64().unwrap()));
            }
            Some(_) => prop_assert_eq!(code(found), "ValueInvalid"),
            None => prop_assert_eq!(code(found), "PointerMissing"),
        }
    }
}

fn json_value() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        4 => any::<i64>().prop_map(|number| json!(number)),
        1 => Just(json!(null)),
        1 => Just(json!(true)),
        1 => Just(json!("text")),
    ];
    leaf.prop_recursive(4, 64, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|items| json!(items)),
            prop::collection::btree_map("a|b|~|/|0|1", inner, 0..5).prop_map(|map| json!(map)),
        ]
    })
}
