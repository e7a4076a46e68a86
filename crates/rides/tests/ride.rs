//! Rides: what is read and written, and what each mistake is told.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail anywhere"
)]

use jiff::Timestamp;
use offchain_codes::Coded;
use offchain_rides::{PickupLocation, RequestTime, Ride, RideId, Unicorn};
use proptest::{collection::btree_map, prelude::*};
use serde_json::{Map, Value, json};

/// As the first Wild Rydes published it.
const ORIGINAL: &str = concat!(
    r#"{"RideId":"SvLnijIAtg6inAFU","Unicorn":{"Name":"Shadowfax","Color":"White"},"#,
    r#""RequestTime":"2018-11-21 11:00:01.412345"}"#
);

fn json() -> Value {
    json!({
        "RideId": "019aa632-0a44-7242-8242-424242424242",
        "Unicorn": { "Name": "Rocinante", "Color": "Yellow" },
        "RequestTime": "2026-11-21 11:00:01.412000",
        "PickupLocation": { "Latitude": 47.5, "Longitude": -122.25 },
    })
}

fn refused(text: &str) -> String {
    let Err(error) = Ride::from_json(text) else {
        panic!("{text} was read");
    };
    assert_eq!((error.code(), error.retryable()), ("RideInvalid", false));
    let text = error.to_string();
    assert!(text.starts_with("expected "), "{text}");
    text
}

/// What reading the ride says when this member is changed so.
fn refusal(path: &str, value: Value) -> String {
    let mut json = json();
    *json.pointer_mut(path).unwrap() = value;
    refused(&json.to_string())
}

/// The same without a member.
fn missing(parent: &str, name: &str) -> String {
    let mut json = json();
    let members = json.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    members.remove(name).unwrap();
    refused(&json.to_string())
}

const TEXT: &str = "expected a text of 1 to 64 characters in";

#[test]
fn a_ride_of_wild_rydes_is_kept_as_it_stands() {
    let ride = Ride::from_json(ORIGINAL).unwrap();
    assert_eq!(ride.pickup_location, None);
    assert_eq!(ride.to_json(), ORIGINAL);
}

#[test]
fn members_are_written_in_their_order_and_the_others_behind_them() {
    let ride = Ride::from_json(
        r#"{"Zebra": [1, null], "PickupLocation": {"Longitude": 2, "Latitude": 1, "Altitude": 3},
            "User": {"b": "x", "a": 1.50}, "RequestTime": "2026-11-21 11:00:01",
            "Unicorn": {"Wings": true, "Color": "Yellow", "Name": "Rocinante"},
            "RideId": "0123456789abcdef"}"#,
    )
    .unwrap();
    assert_eq!(
        ride.to_json(),
        concat!(
            r#"{"RideId":"0123456789abcdef","#,
            r#""Unicorn":{"Name":"Rocinante","Color":"Yellow","Wings":true},"#,
            r#""RequestTime":"2026-11-21 11:00:01.000000","#,
            r#""PickupLocation":{"Latitude":1.0,"Longitude":2.0},"#,
            r#""User":{"a":1.5,"b":"x"},"Zebra":[1,null]}"#
        )
    );
}

#[test]
fn a_large_integer_among_the_others_keeps_its_digits() {
    let text = ORIGINAL.replacen('{', r#"{"Fare":18446744073709551615,"#, 1);
    let ride = Ride::from_json(&text).unwrap();
    assert_eq!(ride.other["Fare"], json!(u64::MAX));
}

#[test]
fn a_mistake_is_told_with_its_member_and_what_was_expected() {
    for value in [
        json!(null),
        json!(1),
        json!("short"),
        json!("0123456789abcde/"),
        json!([]),
    ] {
        assert_eq!(
            refusal("/RideId", value),
            "expected a ride id of 16 to 64 characters out of A-Z, a-z, 0-9, `_` and `-` in `RideId`"
        );
    }
    for value in [json!(null), json!("Rocinante"), json!([{}])] {
        assert_eq!(
            refusal("/Unicorn", value),
            "expected an object in `Unicorn`"
        );
    }
    for value in [
        json!(null),
        json!(""),
        json!(7),
        json!("n".repeat(65)),
        json!({}),
    ] {
        assert_eq!(
            refusal("/Unicorn/Name", value.clone()),
            format!("{TEXT} `Unicorn.Name`")
        );
        assert_eq!(
            refusal("/Unicorn/Color", value),
            format!("{TEXT} `Unicorn.Color`")
        );
    }
    for value in [
        json!(null),
        json!(1_795_258_801),
        json!("now"),
        json!("2026-11-21T11:00:01Z"),
    ] {
        assert_eq!(
            refusal("/RequestTime", value),
            "expected a time in UTC such as 2026-11-21 11:00:01.412000 in `RequestTime`"
        );
    }
    for value in [json!(null), json!([47.5, -122.25]), json!("")] {
        assert_eq!(
            refusal("/PickupLocation", value),
            "expected an object in `PickupLocation`"
        );
    }
    assert_eq!(
        refusal("/PickupLocation/Latitude", json!("47.5")),
        "expected a number from -90 to 90 in `PickupLocation.Latitude`"
    );
}

#[test]
fn every_member_but_the_location_is_needed() {
    for name in ["RideId", "Unicorn", "RequestTime"] {
        assert!(missing("", name).ends_with(&format!(" in `{name}`")));
    }
    for name in ["Name", "Color"] {
        assert!(missing("/Unicorn", name).ends_with(&format!(" in `Unicorn.{name}`")));
    }
    for name in ["Latitude", "Longitude"] {
        assert!(
            missing("/PickupLocation", name).ends_with(&format!(" in `PickupLocation.{name}`"))
        );
    }
}

#[test]
fn what_is_no_object_in_json_is_refused() {
    for text in ["", "{", "null", "[]", "\"\"", "1"] {
        assert!(refused(text).starts_with("expected an object in JSON"));
    }
    let twice = ORIGINAL.replacen('{', r#"{"RideId":"0123456789abcdef","#, 1);
    assert!(refused(&twice).contains("duplicate field `RideId`"));
    let twice = ORIGINAL.replacen('{', r#"{"a":{"b":1,"b":1},"#, 1);
    assert!(refused(&twice).contains("duplicate field `b`"));
}

#[test]
fn serde_reads_what_from_json_reads_and_says_the_same() {
    assert_eq!(
        serde_json::from_str::<Ride>(ORIGINAL).unwrap(),
        Ride::from_json(ORIGINAL).unwrap()
    );
    let error = serde_json::from_value::<Ride>(json!({})).unwrap_err();
    assert!(error.to_string().contains("in `RideId`"), "{error}");
    assert!(serde_json::from_str::<Ride>("[]").is_err());
}

#[test]
fn a_unicorn_has_a_name_and_a_color_of_64_characters_at_most() {
    let long = "é".repeat(64);
    let unicorn = Unicorn::new(&long, "W").unwrap();
    let text = serde_json::to_vec(&unicorn).unwrap();
    assert_eq!(Unicorn::from_json(&text).unwrap(), unicorn);
    for (name, color, member) in [
        ("", "W", "Name"),
        ("S", "", "Color"),
        ("S", &"é".repeat(65), "Color"),
    ] {
        let error = Unicorn::new(name, color).unwrap_err();
        assert_eq!(error.code(), "RideInvalid");
        assert_eq!(error.to_string(), format!("{TEXT} `{member}`"));
    }
    let error = Unicorn::from_json(br#"{"errorMessage":"boom","errorType":"Oops"}"#).unwrap_err();
    assert_eq!(error.to_string(), format!("{TEXT} `Name`"));
}

/// Values that a ride may hold besides.
fn value() -> impl Strategy<Value = Value> {
    let number = prop_oneof![
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>()
            .prop_filter("DynamoDB holds it", |number| {
                *number == 0.0 || (1e-130..1e126).contains(&number.abs())
            })
            .prop_map(Value::from),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        number,
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 16, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            members(inner).prop_map(Value::from),
        ]
    })
}

fn members(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Map<String, Value>> {
    btree_map(".{0,8}", value, 0..4).prop_map(|members| members.into_iter().collect())
}

/// Members that are none of a ride's own, nor of a unicorn's.
fn other() -> impl Strategy<Value = Map<String, Value>> {
    const OWN: [&str; 6] = [
        "RideId",
        "Unicorn",
        "RequestTime",
        "PickupLocation",
        "Name",
        "Color",
    ];
    members(value()).prop_map(|mut members| {
        members.retain(|name, _| !OWN.contains(&name.as_str()));
        members
    })
}

fn location() -> impl Strategy<Value = PickupLocation> {
    (-90.0..=90.0, -180.0..=180.0)
        .prop_map(|(latitude, longitude)| PickupLocation::new(latitude, longitude).unwrap())
}

prop_compose! {
    fn ride()(
        id in "[A-Za-z0-9_-]{16,64}",
        name in "(?s).{1,64}",
        color in "(?s).{1,64}",
        of_unicorn in other(),
        time in Timestamp::MIN.as_microsecond()..=Timestamp::MAX.as_microsecond(),
        pickup_location in proptest::option::of(location()),
        other in other(),
    ) -> Ride {
        Ride {
            ride_id: id.parse::<RideId>().unwrap(),
            unicorn: Unicorn { other: of_unicorn, ..Unicorn::new(&name, &color).unwrap() },
            request_time: RequestTime::from(Timestamp::from_microsecond(time).unwrap()),
            pickup_location,
            other,
        }
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_as_the_same_ride(ride in ride()) {
        let json = ride.to_json();
        let read = Ride::from_json(&json).unwrap();
        prop_assert_eq!(&read, &ride);
        prop_assert_eq!(read.to_json(), json);
    }

    #[test]
    fn no_text_makes_it_panic(text: String) {
        let _ = Ride::from_json(&text);
    }

    #[test]
    fn a_ride_with_a_character_changed_is_read_or_refused(
        at in 0..ORIGINAL.len(),
        character: char,
    ) {
        let mut text = ORIGINAL.to_owned();
        text.replace_range(at..=at, &character.to_string());
        let _ = Ride::from_json(&text).map(|ride| Ride::from_json(&ride.to_json()).unwrap());
    }
}
