use offchain_codes::Coded;
use serde_json::{Value, json};

use super::*;

/// What Terraform writes by default.
fn usual() -> Value {
    json!({
        "from_height": 1,
        "poll_seconds": 2,
        "stall_seconds": 5,
        "lease_seconds": 4,
        "run_seconds": 630,
        "concurrency": 16,
        "max_kept": 10_000,
        "retry_schedule": [5, 300],
        "timeout_seconds": 15,
    })
}

fn with(name: &str, value: impl Into<Value>) -> Result<ListenSettings, SettingsError> {
    let mut settings = usual();
    settings[name] = value.into();
    settings.to_string().parse()
}

#[test]
fn settings_are_read_as_they_are_written() {
    let settings: ListenSettings = usual().to_string().parse().unwrap();
    assert_eq!(
        settings,
        ListenSettings {
            from_height: 1,
            poll_seconds: 2,
            stall_seconds: 5,
            lease_seconds: 4,
            run_seconds: 630,
            concurrency: 16,
            max_kept: 10_000,
            retry_schedule: Schedule::new(&[5, 300]).unwrap(),
            timeout_seconds: 15,
        }
    );
    assert_eq!(settings.lease(), Duration::from_secs(4));
    // A lease outlives two renewals that fail.
    assert_eq!(settings.beat(), Duration::from_secs(1));
    assert_eq!(settings.poll(), Duration::from_secs(2));
    assert_eq!(settings.stall(), Duration::from_secs(5));
}

#[test]
fn each_setting_has_a_range_to_its_ends_and_no_further() {
    for (name, first, last) in [
        ("from_height", 1, u64::MAX),
        ("poll_seconds", 1, 300),
        ("stall_seconds", 1, 3600),
        ("lease_seconds", 2, 60),
        ("run_seconds", 10, 870),
        ("concurrency", 1, 200),
        ("max_kept", 1, 1_000_000),
        ("timeout_seconds", 1, 30),
    ] {
        for fits in [first, last] {
            with(name, fits).unwrap();
        }
        let over = last.checked_add(1);
        for unfit in [Some(first - 1), over].into_iter().flatten() {
            let error = with(name, unfit).unwrap_err();
            assert!(matches!(error, SettingsError::Range(_)), "{error:?}");
            let said = error.to_string();
            assert!(said.starts_with(&format!("{name} must be ")), "{said}");
        }
    }
}

#[test]
fn what_are_no_settings_is_told_with_the_reason() {
    for text in ["", "{}", "[]", "listen"] {
        let error = text.parse::<ListenSettings>().unwrap_err();
        assert!(matches!(error, SettingsError::Malformed(_)), "{error:?}");
    }
    for name in usual().as_object().unwrap().keys() {
        let mut settings = usual();
        settings.as_object_mut().unwrap().remove(name);
        let error = settings.to_string().parse::<ListenSettings>().unwrap_err();
        let said = error.to_string();
        assert!(said.contains(name), "{said}");
        with(name, "many").unwrap_err();
        with(name, -1).unwrap_err();
    }
    for (name, value) in [
        ("listen", json!(true)),
        ("retry_schedule", json!([0])),
        ("retry_schedule", json!([86_401])),
        ("retry_schedule", json!(vec![1; 21])),
    ] {
        let error = with(name, value).unwrap_err();
        assert!(matches!(error, SettingsError::Malformed(_)), "{error:?}");
    }
    // To try once and no more is a schedule too.
    assert!(with("retry_schedule", json!([])).is_ok());
}

#[test]
fn subscribers_are_a_list() {
    let Subscribers(none) = "[]".parse().unwrap();
    assert!(none.is_empty());
    let one = json!([{
        "name": "ledger",
        "url": "https://ledger.test/events",
        "secret_arn": "arn:secret",
        "assets": [],
        "owners": [],
    }]);
    let Subscribers(one) = one.to_string().parse().unwrap();
    assert_eq!(one[0].name, "ledger");
    let error = "{}".parse::<Subscribers>().unwrap_err();
    assert_eq!(error.code(), "ConfigInvalid");
}

#[test]
fn a_webhook_is_given_some_seconds_and_no_more_than_half_a_minute() {
    for (text, seconds) in [("1", 1), ("30", 30)] {
        let WebhookTimeout(timeout) = text.parse().unwrap();
        assert_eq!(timeout, Duration::from_secs(seconds));
    }
    for text in ["", "0", "31", "-1", "1.5", "soon"] {
        let error = text.parse::<WebhookTimeout>().unwrap_err();
        assert!(error.to_string().contains("1 to 30 seconds"), "{text:?}");
    }
}
