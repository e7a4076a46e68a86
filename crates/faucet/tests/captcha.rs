//! What the providers of captchas are asked, and what their answers mean.

#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

use offchain_codes::Coded;
use offchain_faucet::{
    Captcha, CaptchaError, Provider, Source,
    captcha::{form, judge},
};
use proptest::prelude::*;

fn captcha(action: Option<&str>) -> Captcha {
    Captcha {
        provider: Provider::Turnstile,
        site_key: "site".to_owned(),
        hosts: vec!["example.org".to_owned(), "localhost".to_owned()],
        action: action.map(str::to_owned),
        verify_url: None,
    }
}

#[test]
fn every_provider_has_its_urls() {
    for (provider, name, verify, script) in [
        (
            Provider::Recaptcha,
            "recaptcha",
            "https://www.google.com/recaptcha/api/siteverify",
            "https://www.google.com/recaptcha/api.js",
        ),
        (
            Provider::Hcaptcha,
            "hcaptcha",
            "https://api.hcaptcha.com/siteverify",
            "https://js.hcaptcha.com/1/api.js",
        ),
        (
            Provider::Turnstile,
            "turnstile",
            "https://challenges.cloudflare.com/turnstile/v0/siteverify",
            "https://challenges.cloudflare.com/turnstile/v0/api.js",
        ),
    ] {
        assert_eq!(provider.to_string(), name);
        assert_eq!(
            serde_json::to_string(&provider).unwrap(),
            format!("\"{name}\"")
        );
        assert_eq!(provider.verify_url(), verify);
        assert_eq!(provider.script_url(), script);
        let mut captcha = captcha(None);
        captcha.provider = provider;
        assert_eq!(captcha.endpoint(), verify);
        captcha.verify_url = Some("http://localhost:1".to_owned());
        assert_eq!(captcha.endpoint(), "http://localhost:1");
    }
}

#[test]
fn a_form_names_an_exact_address_only() {
    let of = |peer| Source::of(peer, None, 0).unwrap();
    for (source, expected) in [
        (None, "secret=s&response=r"),
        (Some("192.0.2.7"), "secret=s&response=r&remoteip=192.0.2.7"),
        (
            Some("::ffff:192.0.2.7"),
            "secret=s&response=r&remoteip=192.0.2.7",
        ),
        (Some("2001:db8::1"), "secret=s&response=r"),
    ] {
        assert_eq!(form("s", "r", source.map(of).as_ref()), expected);
    }
}

#[test]
fn a_form_is_escaped_as_browsers_do() {
    assert_eq!(
        form("s&x=1", "a b+c%\n~é*-._\0\u{1f4a7}", None),
        "secret=s%26x%3D1&response=a+b%2Bc%25%0A%7E%C3%A9*-._%00%F0%9F%92%A7"
    );
    assert_eq!(form("", "", None), "secret=&response=");
}

#[test]
fn a_solved_captcha_counts() {
    for (action, body) in [
        (None, r#"{"success": true, "hostname": "example.org"}"#),
        (
            None,
            r#"{"success": true, "hostname": "localhost", "score": 0.1}"#,
        ),
        (None, r#"{"success": true, "hostname": "Example.ORG"}"#),
        (
            None,
            r#"{"success": true, "hostname": "example.org", "action": "other", "error-codes": []}"#,
        ),
        (
            Some("claim"),
            r#"{"success": true, "hostname": "example.org", "action": "claim", "challenge_ts": "2026-11-21T11:00:00Z"}"#,
        ),
    ] {
        assert_eq!(judge(body.as_bytes(), &captcha(action)), Ok(()), "{body}");
    }
}

#[test]
fn another_host_or_action_does_not_count() {
    let host = "this one was solved on another host's page";
    let action = "this one was solved for another action";
    for (body, reason) in [
        (r#"{"success": true}"#, host),
        (r#"{"success": true, "hostname": null}"#, host),
        (r#"{"success": true, "hostname": ""}"#, host),
        (r#"{"success": true, "hostname": ["example.org"]}"#, host),
        (r#"{"success": true, "hostname": "example.com"}"#, host),
        (r#"{"success": true, "hostname": "www.example.org"}"#, host),
        (r#"{"success": true, "hostname": "example.org."}"#, host),
        (r#"{"success": true, "hostname": "example.org"}"#, action),
        (
            r#"{"success": true, "hostname": "example.org", "action": "Claim"}"#,
            action,
        ),
        (
            r#"{"success": true, "hostname": "example.org", "action": null}"#,
            action,
        ),
    ] {
        let error = judge(body.as_bytes(), &captcha(Some("claim"))).unwrap_err();
        assert_eq!(error, CaptchaError::Rejected(reason.to_owned()), "{body}");
        assert_eq!((error.code(), error.retryable()), ("CaptchaFailed", false));
        let text = format!("expected a solved captcha: {reason}");
        assert_eq!(error.to_string(), text);
    }
}

#[test]
fn a_refusal_repeats_the_plain_names_of_its_reasons() {
    let none = "the provider refused this one";
    let long = format!(r#"["{}"]"#, "a".repeat(65));
    for (codes, reason) in [
        (
            r#"["timeout-or-duplicate"]"#,
            "the provider says timeout-or-duplicate",
        ),
        (
            r#"["invalid-input-response", "bad-request"]"#,
            "the provider says invalid-input-response, bad-request",
        ),
        (
            r#"["sitekey-secret-mismatch"]"#,
            "the provider says sitekey-secret-mismatch",
        ),
        (
            r#"["a", "b", "c", "d", "e"]"#,
            "the provider says a, b, c, d",
        ),
        (r#"["a", 7, "<b>", "c\n", "d"]"#, "the provider says a, d"),
        ("[]", none),
        ("null", none),
        ("7", none),
        (r#""timeout-or-duplicate""#, none),
        (&long, none),
    ] {
        let body =
            format!(r#"{{"success": false, "hostname": "example.org", "error-codes": {codes}}}"#);
        let error = judge(body.as_bytes(), &captcha(None)).unwrap_err();
        assert_eq!(error, CaptchaError::Rejected(reason.to_owned()), "{body}");
    }
    let bare = judge(br#"{"success": false}"#, &captcha(None));
    assert_eq!(bare, Err(CaptchaError::Rejected(none.to_owned())));
}

#[test]
fn a_mistake_of_ours_is_not_the_callers() {
    for codes in [
        r#"["missing-input-secret"]"#,
        r#"["invalid-input-secret"]"#,
        r#"["internal-error"]"#,
        r#"["invalid-input-response", "invalid-input-secret"]"#,
    ] {
        let body = format!(r#"{{"success": false, "error-codes": {codes}}}"#);
        let error = judge(body.as_bytes(), &captcha(None)).unwrap_err();
        assert_eq!(error, CaptchaError::NotJudged);
        assert_eq!(
            (error.code(), error.retryable()),
            ("CaptchaUnavailable", true)
        );
        assert_eq!(
            error.to_string(),
            "the captcha's provider did not judge: try again later"
        );
    }
}

#[test]
fn an_answer_that_cannot_be_read_lets_nothing_through() {
    for body in [
        "",
        "<html>",
        "null",
        "true",
        "[]",
        "[true, \"example.org\", null, null]",
        "{}",
        r#"{"success": null, "hostname": "example.org"}"#,
        r#"{"success": "true", "hostname": "example.org"}"#,
        r#"{"success": 1, "hostname": "example.org"}"#,
        r#"{"Success": true, "hostname": "example.org"}"#,
        r#"{"success": true, "hostname": "example.org""#,
        r#"{"success": false, "success": true, "hostname": "example.org"}"#,
    ] {
        let error = judge(body.as_bytes(), &captcha(None)).unwrap_err();
        assert_eq!(error, CaptchaError::Unreadable, "{body}");
        assert_eq!(
            (error.code(), error.retryable()),
            ("CaptchaUnavailable", true)
        );
        assert_eq!(
            error.to_string(),
            "the captcha's provider gave no answer that can be read: try again later"
        );
    }
    let latin = judge(
        b"{\"success\": true, \"hostname\": \"\xe9\"}",
        &captcha(None),
    );
    assert_eq!(latin, Err(CaptchaError::Unreadable));
}

/// Reads a form as a server does.
fn values(form: &str) -> Vec<(String, String)> {
    let decode = |text: &str| {
        let bytes = text.replace('+', " ").into_bytes();
        let mut decoded = Vec::new();
        let mut rest = bytes.as_slice();
        while let [byte, tail @ ..] = rest {
            rest = tail;
            if *byte == b'%' {
                let (digits, tail) = rest.split_at(2);
                decoded.extend(hex::decode(digits).unwrap());
                rest = tail;
            } else {
                decoded.push(*byte);
            }
        }
        String::from_utf8(decoded).unwrap()
    };
    form.split('&')
        .map(|member| member.split_once('=').unwrap())
        .map(|(name, value)| (decode(name), decode(value)))
        .collect()
}

proptest! {
    #[test]
    fn a_form_reads_back(secret in "\\PC*", response: String) {
        let form = form(&secret, &response, None);
        prop_assert!(form.is_ascii());
        let expected = [("secret", secret), ("response", response)];
        let expected = expected.map(|(name, value)| (name.to_owned(), value));
        prop_assert_eq!(values(&form), expected);
    }

    #[test]
    fn no_bytes_at_random_are_a_solved_captcha(body: Vec<u8>) {
        prop_assert!(judge(&body, &captcha(None)).is_err());
    }
}
