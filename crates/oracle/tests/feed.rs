//! Definitions of feeds: what is read, and what each mistake is told.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail anywhere"
)]

use offchain_codes::Coded;
use offchain_oracle::{Feed, Header, HttpFeed, Kind, Source};
use serde_json::{Value, json};

/// As Terraform's `jsonencode` writes it: members sorted by name.
const DEFINITION: &str = concat!(
    r#"{"decimals":2,"kind":"http","max_age_seconds":60,"max_spread_bps":200,"quorum":2,"sources":{"#,
    r#""kraken":{"header":null,"pointer":"/result/XETHZUSD/c/0","scale":0,"time_pointer":null,"#,
    r#""timeout_ms":800,"url":"https://api.kraken.com/0/public/Ticker?pair=ETHUSD"},"#,
    r#""coinbase":{"header":{"name":"x-api-key","secret_key":"coinbase"},"pointer":"/data/amount","#,
    r#""scale":-2,"time_pointer":"/time","timeout_ms":50,"url":"http://[::1]:8080/price"}}}"#
);

fn definition() -> Value {
    serde_json::from_str(DEFINITION).unwrap()
}

/// What reading the definition says when this field is changed so.
fn refusal(path: &str, value: Value) -> String {
    let mut json = definition();
    *json.pointer_mut(path).unwrap() = value;
    refused(&json.to_string())
}

fn refused(json: &str) -> String {
    let error = Feed::parse("eth-usd", json).unwrap_err();
    assert_eq!((error.code(), error.retryable()), ("FeedInvalid", false));
    let text = error.to_string();
    assert!(text.starts_with("expected "), "{text}");
    text
}

#[test]
fn a_feed_of_servers_is_read() {
    let feed = Feed::parse("eth-usd", DEFINITION).unwrap();
    let expected = Feed {
        id: "eth-usd".parse().unwrap(),
        kind: Kind::Http(HttpFeed {
            decimals: 2,
            quorum: 2,
            max_age_seconds: 60,
            max_spread_bps: 200,
            // Sorted by name, which the definition is not.
            sources: vec![
                Source {
                    name: "coinbase".parse().unwrap(),
                    url: "http://[::1]:8080/price".to_owned(),
                    pointer: "/data/amount".parse().unwrap(),
                    time_pointer: Some("/time".parse().unwrap()),
                    scale: -2,
                    timeout_ms: 50,
                    header: Some(Header {
                        name: "x-api-key".to_owned(),
                        secret_key: "coinbase".to_owned(),
                    }),
                },
                Source {
                    name: "kraken".parse().unwrap(),
                    url: "https://api.kraken.com/0/public/Ticker?pair=ETHUSD".to_owned(),
                    pointer: "/result/XETHZUSD/c/0".parse().unwrap(),
                    time_pointer: None,
                    scale: 0,
                    timeout_ms: 800,
                    header: None,
                },
            ],
        }),
    };
    assert_eq!(feed, expected);
    assert_eq!(feed.exponent(), -2);
}

#[test]
fn the_demo_feed_has_integers_and_no_fields() {
    let feed = Feed::parse("demo", r#"{"kind":"demo"}"#).unwrap();
    assert_eq!((feed.exponent(), feed.kind), (0, Kind::Demo));
    let text = refused(r#"{"kind":"demo","decimals":2}"#);
    assert!(text.contains("unknown field `decimals`"), "{text}");
}

#[test]
fn every_field_has_its_limits() {
    let kraken = |name| format!("/sources/kraken/{name}");
    for (path, least, greatest) in [
        ("/decimals".to_owned(), 0, 18),
        ("/quorum".to_owned(), 1, 2),
        ("/max_age_seconds".to_owned(), 1, 4_294_967_295),
        ("/max_spread_bps".to_owned(), 0, 4_294_967_295),
        (kraken("scale"), -18, 18),
        (kraken("timeout_ms"), 50, 10_000_i64),
    ] {
        for value in [least, greatest] {
            let mut json = definition();
            *json.pointer_mut(&path).unwrap() = value.into();
            assert!(Feed::parse("x", &json.to_string()).is_ok(), "{path}");
        }
        let name = path[1..].replace('/', ".");
        for value in [least - 1, greatest + 1, i64::MIN, i64::MAX] {
            let text = refusal(&path, value.into());
            let range = match name.as_str() {
                "quorum" => "a number from 1 to that of the sources".to_owned(),
                _ => format!("a number from {least} to {greatest}"),
            };
            assert_eq!(text, format!("expected {range} in `{name}`"));
        }
        for value in [
            json!(1.5),
            json!("60"),
            json!(null),
            json!(true),
            json!([1]),
        ] {
            let text = refusal(&path, value);
            assert!(
                text.contains("invalid type") && text.contains("expected i64"),
                "{text}"
            );
        }
    }
}

#[test]
fn a_feed_has_1_to_16_sources() {
    let source = definition()["sources"]["kraken"].clone();
    let with = |count: usize| {
        let mut json = definition();
        json["quorum"] = 1.into();
        json["sources"] = (0..count)
            .map(|n| (format!("s{n}"), source.clone()))
            .collect();
        json.to_string()
    };
    for count in [1, 16] {
        assert!(Feed::parse("x", &with(count)).is_ok(), "{count}");
    }
    for count in [0, 17] {
        assert_eq!(
            refused(&with(count)),
            "expected 1 to 16 sources in `sources`"
        );
    }
    let all = with(3).replace("\"quorum\":1", "\"quorum\":3");
    assert!(Feed::parse("x", &all).is_ok());
    let more = with(3).replace("\"quorum\":1", "\"quorum\":4");
    assert!(refused(&more).contains("in `quorum`"));
}

#[test]
fn a_url_names_one_server_and_no_secret() {
    let expected = "expected an http or https URL of at most 2048 characters of RFC 3986, \
                    without user name, password and fragment, such as \
                    https://api.example.org/price?of=eth in `sources.kraken.url`";
    let long = format!("https://example.org/{}", "x".repeat(2048));
    for url in [
        "",
        "example.org",
        "//example.org",
        "/price",
        "ftp://example.org",
        "file:///etc/passwd",
        "HTTPS://example.org",
        "https:example.org",
        "https:/example.org",
        "https://",
        "https:///price",
        "https://?x",
        "https://:443/",
        "https://user:password@example.org",
        "https://user@example.org/",
        "https://@example.org",
        "https://example.org@evil.org",
        "https://example.org:80:80/",
        "https://example.org:/",
        "https://example.org:x/",
        "https://example.org:+1/",
        "https://example.org:65536/",
        "https://example.org/#fragment",
        "https://example.org#",
        "https://example.org\\@evil.org/",
        "https://exa mple.org/",
        "https://example.org/a b",
        "https://example.org/\n",
        "https://example.org/\t",
        " https://example.org/",
        "https://exämple.org/",
        "https://example.org/ä",
        "https://[::1/",
        "https://[1.2.3.4]/",
        "https://[::1]x/",
        "https://[::1]@x/",
        "https://[fe80::1%25eth0]/",
        &long,
    ] {
        let text = refusal("/sources/kraken/url", url.into());
        assert_eq!(text, expected, "{url}");
    }
    for url in [
        "https://example.org",
        "http://localhost:8080/a",
        "https://127.0.0.1/",
        "https://[2001:db8::1]:443/?a=b&c=@d",
        "https://api.example.org/v1/price/eth,usd;x=%20~(1)?ids=a*b'+!$&c",
        "https://example.org/user@name",
    ] {
        let mut json = definition();
        json["sources"]["kraken"]["url"] = url.into();
        assert!(Feed::parse("x", &json.to_string()).is_ok(), "{url}");
    }
}

#[test]
fn a_pointer_is_that_of_rfc_6901() {
    let long = format!("/{}", "x".repeat(512));
    for pointer in [
        "price", "#/price", "/a~", "/a~2b", "/~", "~0", "/a/~/b", " /a", &long,
    ] {
        for field in ["pointer", "time_pointer"] {
            let text = refusal(&format!("/sources/coinbase/{field}"), pointer.into());
            let begin = "expected a JSON pointer of RFC 6901 of at most 512 bytes";
            assert!(text.starts_with(begin), "{text}");
            assert!(
                text.ends_with(&format!("in `sources.coinbase.{field}`")),
                "{text}"
            );
        }
    }
    for pointer in ["", "/", "//", "/a~0b~1c", "/~01", "/a b/é/\"", "/0/-"] {
        let mut json = definition();
        json["sources"]["kraken"]["pointer"] = pointer.into();
        let feed = Feed::parse("x", &json.to_string()).unwrap();
        let Kind::Http(feed) = feed.kind else {
            panic!("{pointer}")
        };
        assert_eq!(feed.sources[1].pointer.as_str(), pointer);
    }
}

#[test]
fn a_header_has_a_name_and_a_key() {
    let long = "x".repeat(65);
    for name in ["", "x key", "x:y", "x-é", "x\r\ny", "(x)", "x\0", &long] {
        let text = refusal("/sources/coinbase/header/name", name.into());
        assert_eq!(
            text,
            "expected the name of an HTTP header of 1 to 64 characters, such as x-api-key \
             in `sources.coinbase.header.name`"
        );
    }
    for key in ["", "a b", "a/b", "ä", "a\n", &long] {
        let text = refusal("/sources/coinbase/header/secret_key", key.into());
        assert_eq!(
            text,
            "expected 1 to 64 characters out of A-Z, a-z, 0-9, `_`, `.` and `-` \
             in `sources.coinbase.header.secret_key`"
        );
    }
    let text = refusal(
        "/sources/coinbase/header",
        json!({"name": "x", "value": "secret"}),
    );
    assert!(text.contains("unknown field `value`"), "{text}");
    let text = refusal("/sources/coinbase/header", json!({"name": "x"}));
    assert!(text.contains("missing field `secret_key`"), "{text}");
}

#[test]
fn names_are_short_and_lower_case() {
    let long = "x".repeat(33);
    for name in [
        "", "A", "aB", "1a", "-a", "a_b", "a b", "é", "a\n", "#sweep", "a/b", &long,
    ] {
        let error = Feed::parse(name, DEFINITION).unwrap_err();
        assert_eq!(
            error.to_string(),
            "expected a feed id of 1 to 32 characters out of a-z, 0-9 and `-`, the first a letter"
        );
        let mut json = definition();
        let source = json["sources"]["kraken"].clone();
        json["sources"][name] = source;
        let text = refused(&json.to_string());
        assert!(
            text.starts_with("expected a source name of 1 to 32"),
            "{text}"
        );
    }
    for name in ["a", "eth-usd", "a1", "a-", &"x".repeat(32)] {
        assert_eq!(Feed::parse(name, DEFINITION).unwrap().id.as_str(), name);
    }
}

#[test]
fn no_field_is_unknown_missing_or_twice() {
    for (place, name) in [("", "decimal"), ("/sources/kraken", "timeout")] {
        let mut json = definition();
        json.pointer_mut(place).unwrap()[name] = 1.into();
        let text = refused(&json.to_string());
        assert!(
            text.contains(&format!("unknown field `{name}`, expected one of")),
            "{text}"
        );
    }
    let optional = ["time_pointer", "header"];
    for place in ["", "/sources/kraken"] {
        for name in definition()
            .pointer(place)
            .unwrap()
            .as_object()
            .unwrap()
            .keys()
        {
            let mut json = definition();
            let fields = json.pointer_mut(place).unwrap().as_object_mut().unwrap();
            fields.remove(name);
            if optional.contains(&name.as_str()) {
                assert!(Feed::parse("x", &json.to_string()).is_ok(), "{name}");
            } else {
                let text = refused(&json.to_string());
                assert!(text.contains(&format!("missing field `{name}`")), "{text}");
            }
        }
    }
    for (once, twice) in [
        (r#""quorum":2"#, r#""quorum":2,"quorum":1"#),
        (r#""kind":"http""#, r#""kind":"demo","kind":"http""#),
        (r#""scale":0"#, r#""scale":0,"scale":1"#),
        (r#""coinbase":{"#, r#""kraken":{"#),
    ] {
        let text = refused(&DEFINITION.replace(once, twice));
        assert!(text.contains("duplicate field"), "{text}");
    }
}

#[test]
fn what_is_no_definition_is_refused() {
    for json in [
        "",
        "{",
        "[]",
        "null",
        "1",
        "\"demo\"",
        "{}",
        r#"{"kind":1}"#,
    ] {
        let text = refused(json);
        assert!(
            text.starts_with("expected the definition of a feed in JSON: "),
            "{text}"
        );
    }
    for kind in ["", "Http", "chain"] {
        let text = refused(&format!(r#"{{"kind":"{kind}"}}"#));
        assert_eq!(text, "expected demo or http in `kind`");
    }
    refused(&"[".repeat(1_000_000));
    refused(&format!(
        r#"{{"kind":"http","decimals":{}"#,
        "[".repeat(1_000_000)
    ));
    let text = refusal("/sources", json!([1]));
    assert!(text.contains("expected an object"), "{text}");
}
