//! What is a claim, and what it is called.

use offchain_codes::Coded;
use offchain_faucet::{ClaimBody, IdempotencyKey, IdempotencyKeyError, random_claim_id};
use proptest::prelude::*;

fn read(json: &str) -> Result<(String, String), String> {
    match ClaimBody::from_json(json.as_bytes()) {
        Ok(body) => Ok((body.address, body.response)),
        Err(error) => {
            assert_eq!((error.code(), error.retryable()), ("ClaimInvalid", false));
            Err(error.to_string())
        }
    }
}

#[test]
fn a_claim_is_an_address_and_perhaps_a_response() {
    let long = "é".repeat(128);
    let token = "é".repeat(4096);
    for (json, address, response) in [
        (r#"{"address": "a"}"#.to_owned(), "a", ""),
        (r#"{"address": "a", "response": ""}"#.to_owned(), "a", ""),
        (r#"{"address": "a", "response": null}"#.to_owned(), "a", ""),
        (r#"{"response": "b", "address": "a"}"#.to_owned(), "a", "b"),
        (r#" {"address": "\u00e9\n "} "#.to_owned(), "é\n ", ""),
        (
            r#"{"address": "a", "amount": 7, "to": [{}]}"#.to_owned(),
            "a",
            "",
        ),
        (format!(r#"{{"address": "{long}"}}"#), &long, ""),
        (
            format!(r#"{{"address": "a", "response": "{token}"}}"#),
            "a",
            &token,
        ),
    ] {
        let expected = (address.to_owned(), response.to_owned());
        assert_eq!(read(&json), Ok(expected), "{json}");
    }
}

#[test]
fn what_is_no_object_is_no_claim() {
    for json in [
        "",
        "null",
        "7",
        r#""a""#,
        "[]",
        r#"["a", "b"]"#,
        r#"[{"address": "a"}]"#,
        "{",
        r#"{"address": "a"},"#,
        r#"{"address": "a"} {}"#,
        r#"{'address': 'a'}"#,
        r#"{"address": "\ud800"}"#,
        r#"{"address": "a", "address": "a"}"#,
        r#"{"address": "a", "response": "b", "response": "c"}"#,
    ] {
        let error = read(json).unwrap_err();
        assert!(error.starts_with("expected an object in JSON: "), "{error}");
    }
    let latin = ClaimBody::from_json(b"{\"address\": \"\xe9\"}");
    assert_eq!(latin.unwrap_err().code(), "ClaimInvalid");
    let deep = format!(r#"{{"address": {}"#, "[".repeat(100_000));
    assert!(read(&deep).is_err());
}

#[test]
fn an_error_names_the_member_and_what_it_may_be() {
    let long = format!(r#"{{"address": "{}"}}"#, "a".repeat(129));
    for json in [
        "{}",
        r#"{"Address": "a"}"#,
        r#"{"address": null}"#,
        r#"{"address": ""}"#,
        r#"{"address": 7}"#,
        r#"{"address": ["a"]}"#,
        &long,
    ] {
        let expected = "expected a text of 1 to 128 characters in `address`";
        assert_eq!(read(json), Err(expected.to_owned()), "{json}");
    }
    let long = format!(r#"{{"address": "a", "response": "{}"}}"#, "a".repeat(4097));
    for json in [
        r#"{"address": "a", "response": 7}"#,
        r#"{"address": "a", "response": false}"#,
        r#"{"address": "a", "response": {}}"#,
        &long,
    ] {
        let expected = "expected a text of at most 4096 characters in `response`";
        assert_eq!(read(json), Err(expected.to_owned()), "{json}");
    }
}

#[test]
fn a_key_names_one_claim() {
    // As Python's hashlib has them.
    for (key, claim_id) in [
        (
            "8e03978e-40d5-43e8-bc93-6894a57f9324",
            "1b524f72cfa4c55ff0d4294dfbd1894e",
        ),
        ("~", "9021ecadf373153c4b7d611aebf7731f"),
        (" ", "fe752eccbc7b62ed874948c43308e8f0"),
    ] {
        assert_eq!(IdempotencyKey::parse(key).unwrap().claim_id(), claim_id);
    }
    assert!(IdempotencyKey::parse(&"a".repeat(128)).is_ok());
}

#[test]
fn another_text_is_no_key() {
    for text in ["", "a\n", "\t", "\0", "\x7f", "é", "ａ", &"a".repeat(129)] {
        let error = IdempotencyKey::parse(text).unwrap_err();
        assert_eq!(error, IdempotencyKeyError);
        assert_eq!(
            (error.code(), error.retryable()),
            ("IdempotencyKeyInvalid", false)
        );
        assert_eq!(
            error.to_string(),
            "expected an idempotency key of 1 to 128 printable characters of ASCII"
        );
    }
}

#[test]
fn without_a_key_a_claim_has_a_random_id() {
    let random = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 0xff];
    assert_eq!(random_claim_id(random), "000102030405060708090a0b0c0d0eff");
}

proptest! {
    #[test]
    fn bytes_are_a_claim_or_a_mistake(bytes: Vec<u8>) {
        let _ = ClaimBody::from_json(&bytes);
    }

    #[test]
    fn keys_are_told_apart(one in "[ -~]{1,128}", other in "[ -~]{1,128}") {
        let id = |key: &str| IdempotencyKey::parse(key).unwrap().claim_id();
        prop_assert_eq!(id(&one) == id(&other), one == other);
        prop_assert_eq!(id(&one).len(), 32);
        prop_assert!(id(&one).bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')));
    }
}
