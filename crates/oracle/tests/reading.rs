//! Signed readings: golden files, and that nothing in them can change.

#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

use jiff::{SignedDuration, Timestamp};
use offchain_codes::Coded;
use offchain_oracle::{
    InvalidReading, LeftOut, MAX_VALUE, Part, PublicKey, Reading, SignedReading, SigningKey,
    UnreadableReading,
};
use proptest::prelude::*;
use serde_json::{Value, json};

const CANONICAL: &str = include_str!("golden/reading.txt");
const SIGNED: &str = include_str!("golden/reading.json");

fn key() -> SigningKey {
    SigningKey::from_bytes(&[0x42; 32])
}

fn part(source: &str, value: i128, observed: &str) -> Part {
    Part {
        source: source.parse().unwrap(),
        value,
        observed: observed.parse().unwrap(),
    }
}

fn left_out(source: &str, reason: &str) -> LeftOut {
    LeftOut {
        source: source.parse().unwrap(),
        reason: reason.parse().unwrap(),
    }
}

fn golden() -> Reading {
    Reading {
        feed: "eth-usd".parse().unwrap(),
        slot: "2026-11-21T11:00:02Z".parse().unwrap(),
        observed: "2026-11-21T11:00:01.412Z".parse().unwrap(),
        written: "2026-11-21T11:00:02.001Z".parse().unwrap(),
        value: 185_028,
        exponent: -2,
        spread: 5,
        sources: vec![
            part("coinbase", 185_031, "2026-11-21T11:00:01Z"),
            part("kraken", 185_026, "2026-11-21T11:00:01.412Z"),
        ],
        left_out: vec![
            left_out("binance", "RemoteTimedOut"),
            left_out("gemini", "SourceStale"),
        ],
        key_epoch: 1,
    }
}

fn changed(change: impl Fn(&mut Reading)) -> Reading {
    let mut reading = golden();
    change(&mut reading);
    reading
}

fn passes(json: &str) -> bool {
    SignedReading::from_json(json).is_ok_and(|signed| signed.verify().is_ok())
}

#[test]
fn the_golden_reading() {
    let reading = golden();
    assert_eq!(String::from_utf8(reading.canonical()).unwrap(), CANONICAL);

    let signed = reading.clone().sign(&key());
    let json = serde_json::to_string_pretty(&signed).unwrap();
    assert_eq!(format!("{json}\n"), SIGNED);

    let read = SignedReading::from_json(SIGNED).unwrap();
    assert_eq!(read, signed);
    assert_eq!(read.reading(), &reading);
    assert_eq!(read.public_key(), &key().public_key());
    assert_eq!(read.verify(), Ok(()));
    assert_eq!(read.verify_with_key(&key().public_key()), Ok(()));
}

#[test]
fn the_specification_shows_the_golden_reading() {
    let readme = include_str!("../README.md");
    assert!(readme.contains(&format!("```text\n{CANONICAL}```")));
    let golden: Value = serde_json::from_str(SIGNED).unwrap();
    let shown = readme.split("```json\n").skip(1).any(|block| {
        let json = block.split("```").next().unwrap();
        serde_json::from_str::<Value>(json).unwrap() == golden
    });
    assert!(shown);
}

#[test]
fn a_reading_of_one_source_has_no_line_more() {
    let reading = changed(|reading| {
        reading.feed = "demo".parse().unwrap();
        reading.exponent = 0;
        reading.sources = vec![part("random", 537, "2026-11-21T11:00:01.412Z")];
        reading.left_out.clear();
        reading.value = 537;
        reading.spread = 0;
        reading.key_epoch = u64::MAX;
    });
    assert_eq!(
        String::from_utf8(reading.canonical()).unwrap(),
        "offchain oracle reading v1\n\
         feed demo\n\
         slot 2026-11-21T11:00:02Z\n\
         observed 2026-11-21T11:00:01.412Z\n\
         written 2026-11-21T11:00:02.001Z\n\
         value 537\n\
         exponent 0\n\
         spread 0\n\
         source random 537 2026-11-21T11:00:01.412Z\n\
         key-epoch 18446744073709551615\n"
    );
    let signed = reading.sign(&key());
    assert_eq!(signed.verify(), Ok(()));
    let json = serde_json::to_string(&signed).unwrap();
    assert!(json.starts_with(
        r#"{"feed":"demo","slot":"2026-11-21T11:00:02Z","status":"published","observed":"2026-11-21T11:00:01.412Z","written":"2026-11-21T11:00:02.001Z","value":"537","exponent":0,"spread":"0","sources":[{"source":"random","value":"537","observed":"2026-11-21T11:00:01.412Z"}],"left_out":[],"key_epoch":18446744073709551615,"public_key":""#
    ), "{json}");
    assert!(passes(&json));
}

/// Every digit and letter of the JSON, names of fields included, by every
/// other digit and by a few letters.
#[test]
fn no_character_can_change() {
    assert!(passes(SIGNED));
    let mut tried = 0;
    for (index, old) in SIGNED
        .char_indices()
        .filter(|(_, old)| old.is_ascii_alphanumeric())
    {
        for new in "0123456789abfxzAFTZ-".chars().filter(|new| *new != old) {
            let mut json = SIGNED.to_owned();
            json.replace_range(index..=index, new.encode_utf8(&mut [0; 4]));
            assert!(!passes(&json), "{new} at {index} of {json}");
            tried += 1;
        }
        let mut json = SIGNED.to_owned();
        json.remove(index);
        assert!(!passes(&json), "none at {index} of {json}");
    }
    assert!(tried > 10_000, "{tried}");
}

#[test]
fn another_key_is_refused() {
    let signed = SignedReading::from_json(SIGNED).unwrap();
    let other = SigningKey::from_bytes(&[0x43; 32]).public_key();
    let error = signed.verify_with_key(&other).unwrap_err();
    assert!(matches!(error, InvalidReading::OtherKey { .. }));
    assert!(error.to_string().contains(&other.to_hex()), "{error}");
    // Nor does it verify as if the other had signed.
    let forged = SIGNED.replace(&key().public_key().to_hex(), &other.to_hex());
    let forged = SignedReading::from_json(&forged).unwrap();
    assert_eq!(
        forged.verify_with_key(&other),
        Err(InvalidReading::Signature)
    );
}

#[test]
fn a_field_has_one_spelling() {
    let weak = "0".repeat(64);
    let upper = key().public_key().to_hex().to_uppercase();
    let changes = [
        (
            "/feed",
            vec![json!("ETH"), json!(""), json!(1), json!("a\nb")],
        ),
        (
            "/slot",
            vec![
                json!("2026-11-21T11:00:02.000Z"),
                json!("2026-11-21T12:00:02+01:00"),
                json!("2026-11-21t11:00:02z"),
                json!("2026-11-21T11:00:02.5Z"),
                json!(1_795_258_802),
            ],
        ),
        (
            "/status",
            vec![json!("missed"), json!("Published"), json!(null)],
        ),
        (
            "/observed",
            vec![
                json!("2026-11-21T11:00:01Z"),
                json!("2026-11-21T11:00:01.41Z"),
                json!("2026-11-21T11:00:01.4120Z"),
                json!("2026-11-21T11:00:01.412+00:00"),
                json!("2026-11-21 11:00:01.412Z"),
                json!("1969-12-31T23:59:59.999Z"),
                json!(null),
            ],
        ),
        (
            "/written",
            vec![json!("2026-11-21T11:00:02Z"), json!("now")],
        ),
        (
            "/value",
            vec![
                json!(185_028),
                json!("+185028"),
                json!("0185028"),
                json!("185028.0"),
                json!("1.85028e5"),
                json!(" 185028"),
                json!("-0"),
                json!(""),
                json!("170141183460469231731687303715884105728"),
            ],
        ),
        (
            "/exponent",
            vec![
                json!("-2"),
                json!(-2.0),
                json!(-129),
                json!(128),
                json!(null),
            ],
        ),
        (
            "/spread",
            vec![json!(5), json!("+5"), json!("05"), json!("00"), json!(null)],
        ),
        ("/sources", vec![json!({}), json!([1]), json!(null)]),
        (
            "/sources/0",
            vec![json!({"source": "a", "value": "1"}), json!("a")],
        ),
        (
            "/sources/0/source",
            vec![json!("A"), json!("a b"), json!("")],
        ),
        (
            "/sources/0/value",
            vec![json!(185_031), json!("+185031"), json!("0185031")],
        ),
        (
            "/sources/0/observed",
            vec![json!("2026-11-21T11:00:01Z"), json!(0)],
        ),
        ("/left_out", vec![json!(null), json!("none")]),
        (
            "/left_out/0/source",
            vec![json!("binance 1"), json!("a\nb")],
        ),
        (
            "/left_out/0/reason",
            vec![
                json!(""),
                json!("a b"),
                json!("a\nb"),
                json!("a-b"),
                json!(1),
            ],
        ),
        (
            "/key_epoch",
            vec![json!("1"), json!(-1), json!(1.0), json!(null)],
        ),
        (
            "/public_key",
            vec![json!(""), json!(weak), json!(upper), json!([1])],
        ),
        (
            "/signature",
            vec![
                json!(""),
                json!(weak),
                json!("AB".repeat(64)),
                json!("zz".repeat(64)),
            ],
        ),
    ];
    for (path, values) in changes {
        for value in values {
            let mut json: Value = serde_json::from_str(SIGNED).unwrap();
            *json.pointer_mut(path).unwrap() = value.clone();
            let error = SignedReading::from_json(&json.to_string()).unwrap_err();
            assert!(
                matches!(error, UnreadableReading::WrongShape(_)),
                "{path} {value}: {error}"
            );
            assert_eq!(
                (error.code(), error.retryable()),
                ("ReadingUnreadable", false)
            );
            assert!(error.to_string().starts_with("expected"), "{error}");
        }
    }
}

#[test]
fn no_field_is_unknown_missing_or_twice() {
    for place in ["", "/sources/0", "/left_out/0"] {
        let json: Value = serde_json::from_str(SIGNED).unwrap();
        for name in json.pointer(place).unwrap().as_object().unwrap().keys() {
            let mut less = json.clone();
            let fields = less.pointer_mut(place).unwrap().as_object_mut().unwrap();
            fields.remove(name);
            let error = SignedReading::from_json(&less.to_string()).unwrap_err();
            assert!(error.to_string().contains("missing field"), "{error}");
        }
        let mut more = json.clone();
        more.pointer_mut(place).unwrap()["extra"] = json!(null);
        let error = SignedReading::from_json(&more.to_string()).unwrap_err();
        assert!(
            error.to_string().contains("unknown field `extra`"),
            "{error}"
        );
    }
    for name in ["\"feed\"", "\"value\"", "\"reason\""] {
        let twice = SIGNED.replacen(name, &format!("{name}: \"1\", {name}"), 1);
        assert!(SignedReading::from_json(&twice).is_err(), "{name}");
    }
    for text in [
        "",
        "{",
        "null",
        "[]",
        "1",
        &SIGNED.repeat(2),
        &"[".repeat(1_000_000),
    ] {
        assert!(SignedReading::from_json(text).is_err());
    }
    let error = SignedReading::from_json(&SIGNED[..100]).unwrap_err();
    assert!(matches!(error, UnreadableReading::NotJson(_)), "{error}");
}

/// Each of these is signed by the key, and yet no reading.
#[test]
fn a_signature_does_not_make_a_false_reading_true() {
    let refused = |change: &dyn Fn(&mut Reading)| {
        let signed = changed(change).sign(&key());
        let error = signed.verify().unwrap_err();
        assert_eq!(
            signed.verify_with_key(&key().public_key()),
            Err(error.clone())
        );
        assert_eq!((error.code(), error.retryable()), ("ReadingInvalid", false));
        assert!(error.to_string().starts_with("expected"), "{error}");
        let json = serde_json::to_string(&signed).unwrap();
        assert_eq!(
            SignedReading::from_json(&json).unwrap().verify(),
            Err(error.clone())
        );
        error
    };
    use InvalidReading as Error;
    let ms = SignedDuration::from_millis(1);
    let early = refused(&|r| r.written = r.slot.timestamp() - ms);
    assert!(matches!(early, Error::Early { .. }));
    assert_eq!(
        early.to_string(),
        "expected a reading that was written at 2026-11-21T11:00:02Z or after, \
         found 2026-11-21T11:00:01.999Z"
    );
    assert_eq!(refused(&|r| r.exponent = 1), Error::Exponent(1));
    assert_eq!(refused(&|r| r.exponent = -19), Error::Exponent(-19));
    assert_eq!(refused(&|r| r.sources.reverse()), Error::Sources);
    assert_eq!(
        refused(&|r| r.sources[1] = r.sources[0].clone()),
        Error::Sources
    );
    assert_eq!(refused(&|r| r.left_out.reverse()), Error::Sources);
    assert_eq!(
        refused(&|r| r.left_out[1] = r.left_out[0].clone()),
        Error::Sources
    );
    let both = refused(&|r| r.left_out[1].source = r.sources[1].source.clone());
    assert_eq!(both, Error::Sources);
    assert_eq!(refused(&|r| r.sources.clear()), Error::NoSource);
    let beyond = refused(&|r| r.sources[0].value = MAX_VALUE + 1);
    assert_eq!(beyond, Error::Range(MAX_VALUE + 1));
    assert_eq!(
        refused(&|r| r.sources[0].value = i128::MIN),
        Error::Range(i128::MIN)
    );
    assert!(matches!(refused(&|r| r.value += 1), Error::Value { .. }));
    assert!(matches!(
        refused(&|r| r.value = i128::MAX),
        Error::Value { .. }
    ));
    assert!(matches!(
        refused(&|r| r.sources[0].value += 2),
        Error::Value { .. }
    ));
    let one = |r: &mut Reading| {
        r.sources.pop();
    };
    assert!(matches!(refused(&one), Error::Value { .. }));
    assert!(matches!(refused(&|r| r.spread = 6), Error::Spread { .. }));
    assert!(matches!(refused(&|r| r.spread = -5), Error::Spread { .. }));
}

#[test]
fn written_at_the_slot_is_not_early() {
    let signed = changed(|r| r.written = r.slot.timestamp()).sign(&key());
    assert_eq!(signed.verify(), Ok(()));
}

#[test]
fn times_count_in_milliseconds() {
    let nanos = SignedDuration::from_nanos(999_999);
    let finer = changed(|reading| {
        reading.observed += nanos;
        reading.written += nanos;
        reading.sources[0].observed += nanos;
    });
    assert_eq!(finer.canonical(), golden().canonical());
    assert_eq!(finer.sign(&key()), golden().sign(&key()));
}

#[test]
fn an_unsigned_reading_keeps_its_numbers_in_json() {
    let reading = changed(|reading| reading.value = i128::MIN);
    let json = serde_json::to_string(&reading).unwrap();
    assert!(
        json.contains(r#""value":"-170141183460469231731687303715884105728""#),
        "{json}"
    );
    assert_eq!(serde_json::from_str::<Reading>(&json).unwrap(), reading);
    let more = json.replacen('{', "{\"extra\":1,", 1);
    assert!(serde_json::from_str::<Reading>(&more).is_err());
}

fn time() -> impl Strategy<Value = Timestamp> {
    let ms = 0..=Timestamp::MAX.as_millisecond();
    ms.prop_map(|ms| Timestamp::from_millisecond(ms).unwrap())
}

fn name() -> impl Strategy<Value = String> {
    "[a-z][a-z0-9-]{0,31}"
}

prop_compose! {
    /// Readings of the right form, most of them false.
    fn reading()(
        feed in name(),
        slot in 0..=253_402_207_200_i64,
        times in (time(), time()),
        numbers in any::<(i128, i8, i128, u64)>(),
        sources in prop::collection::vec((name(), any::<i128>(), time()), 0..4),
        left in prop::collection::vec((name(), "[A-Za-z0-9]{1,64}"), 0..4),
    ) -> Reading {
        Reading {
            feed: feed.parse().unwrap(),
            slot: Timestamp::from_second(slot).unwrap().try_into().unwrap(),
            observed: times.0,
            written: times.1,
            value: numbers.0,
            exponent: numbers.1,
            spread: numbers.2,
            sources: sources
                .into_iter()
                .map(|(source, value, observed)| Part {
                    source: source.parse().unwrap(),
                    value,
                    observed,
                })
                .collect(),
            left_out: left.into_iter().map(|(source, reason)| left_out(&source, &reason)).collect(),
            key_epoch: numbers.3,
        }
    }
}

/// Reads canonical bytes back. That it can is what proves them injective.
fn decode(canonical: &[u8]) -> Option<Reading> {
    let text = std::str::from_utf8(canonical).ok()?.strip_suffix('\n')?;
    let mut lines = text.split('\n').peekable();
    let mut field = |name: &str| lines.next()?.strip_prefix(name)?.strip_prefix(' ');
    field("offchain oracle reading").filter(|version| *version == "v1")?;
    let feed = field("feed")?.parse().ok()?;
    let slot = field("slot")?.parse().ok()?;
    let observed = field("observed")?.parse().ok()?;
    let written = field("written")?.parse().ok()?;
    let value = field("value")?.parse().ok()?;
    let exponent = field("exponent")?.parse().ok()?;
    let spread = field("spread")?.parse().ok()?;
    let mut sources = Vec::new();
    while let Some(line) = lines.next_if(|line| line.starts_with("source ")) {
        let [_, source, value, observed] = line.split(' ').collect::<Vec<_>>()[..] else {
            return None;
        };
        sources.push(part(source, value.parse().ok()?, observed));
    }
    let mut left = Vec::new();
    while let Some(line) = lines.next_if(|line| line.starts_with("left-out ")) {
        let (source, reason) = line.strip_prefix("left-out ")?.split_once(' ')?;
        left.push(left_out(source, reason));
    }
    let key_epoch = lines.next()?.strip_prefix("key-epoch ")?.parse().ok()?;
    lines.next().is_none().then_some(Reading {
        feed,
        slot,
        observed,
        written,
        value,
        exponent,
        spread,
        sources,
        left_out: left,
        key_epoch,
    })
}

proptest! {
    #[test]
    fn canonical_bytes_read_back(reading in reading()) {
        prop_assert_eq!(decode(&reading.canonical()), Some(reading));
    }

    #[test]
    fn json_reads_back(reading in reading(), seed in any::<[u8; 32]>()) {
        let signed = reading.sign(&SigningKey::from_bytes(&seed));
        let json = serde_json::to_string(&signed).unwrap();
        let read = SignedReading::from_json(&json).unwrap();
        prop_assert_eq!(&read, &signed);
        prop_assert_eq!(serde_json::to_string(&read).unwrap(), json);
        // Garbage is refused, and breaks nothing.
        let _ = read.verify();
    }

    #[test]
    fn no_bit_of_the_signature_can_change(bit in 0..512_usize) {
        let signed = SignedReading::from_json(SIGNED).unwrap();
        let mut signature = *signed.signature();
        signature[bit / 8] ^= 1 << (bit % 8);
        let json = SIGNED.replace(&hex::encode(signed.signature()), &hex::encode(signature));
        prop_assert!(!passes(&json));
    }

    #[test]
    fn a_public_key_reads_back(seed in any::<[u8; 32]>()) {
        let key = SigningKey::from_bytes(&seed).public_key();
        prop_assert_eq!(PublicKey::from_hex(&key.to_hex()), Ok(key));
        prop_assert_eq!(PublicKey::from_bytes(key.as_bytes()), Ok(key));
    }
}
