//! Ride requests: what is read, and what each mistake is told.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail anywhere"
)]

use offchain_codes::Coded;
use offchain_rides::{PickupLocation, RideRequest};
use proptest::prelude::*;

fn request(json: &str) -> RideRequest {
    RideRequest::from_json(json.as_bytes()).unwrap()
}

fn refused(json: impl AsRef<[u8]>) -> String {
    let json = json.as_ref();
    let Err(error) = RideRequest::from_json(json) else {
        panic!("{} was read", String::from_utf8_lossy(json));
    };
    let code = (error.code(), error.retryable());
    assert_eq!(code, ("RideRequestInvalid", false));
    let text = error.to_string();
    assert!(text.starts_with("expected "), "{text}");
    text
}

/// A request whose latitude is this.
fn latitude(text: &str) -> String {
    format!(r#"{{"PickupLocation":{{"Latitude":{text},"Longitude":0}}}}"#)
}

#[test]
fn a_request_of_wild_rydes_is_read() {
    let PickupLocation {
        latitude,
        longitude,
    } = request(
        r#"{"PickupLocation":{"Latitude":47.6174755835663,"Longitude":-122.28837066650185}}"#,
    )
    .pickup_location;
    assert_eq!(latitude, 47.6174755835663);
    assert_eq!(longitude, -122.28837066650185);
}

#[test]
fn the_ends_of_the_earth_and_integers_are_places() {
    for (latitude, longitude) in [
        ("90", "180"),
        ("-90", "-180.0"),
        ("0", "-0.0"),
        ("9e1", "1E2"),
    ] {
        request(&format!(
            r#"{{"PickupLocation":{{"Latitude":{latitude},"Longitude":{longitude}}}}}"#
        ));
    }
}

#[test]
fn other_members_mean_nothing() {
    request(
        r#" {"User":null,"PickupLocation":{"Altitude":[1],"Latitude":1,"Longitude":2},"a":{"b":[]}} "#,
    );
}

#[test]
fn what_is_no_object_in_json_is_refused() {
    for json in [
        "",
        " ",
        "{",
        "{}}",
        "{'a':1}",
        "NaN",
        "\u{feff}{}",
        "{\"a\":01}",
        "{\"a\":.5}",
        "{\"a\":+1}",
        "{\"a\":1,}",
        "{} {}",
        "{\"a\":NaN}",
        "{\"a\":Infinity}",
        "{\"a\":\"\u{1}\"}",
    ] {
        let text = refused(json);
        assert!(text.starts_with("expected an object in JSON: "), "{text}");
    }
    for json in [
        "null",
        "[]",
        "1",
        "\"{}\"",
        "true",
        "[{\"PickupLocation\":{}}]",
    ] {
        assert_eq!(refused(json), "expected an object in JSON");
    }
    refused(b"{\"a\":\"\xff\"}");
}

#[test]
fn a_mistake_is_told_with_its_member_and_what_was_expected() {
    for json in [
        "{}",
        r#"{"PickupLocation":null}"#,
        r#"{"PickupLocation":[1,2]}"#,
        r#"{"PickupLocation":"47,-122"}"#,
        r#"{"pickupLocation":{"Latitude":1,"Longitude":2}}"#,
    ] {
        assert_eq!(refused(json), "expected an object in `PickupLocation`");
    }
    for value in [
        "null",
        "\"47\"",
        "true",
        "[47]",
        "{}",
        "90.00000000000002",
        "-91",
        "1e3",
        "18446744073709551616",
    ] {
        assert_eq!(
            refused(latitude(value)),
            "expected a number from -90 to 90 in `PickupLocation.Latitude`"
        );
    }
    for json in [
        r#"{"PickupLocation":{"Latitude":1}}"#,
        r#"{"PickupLocation":{"Latitude":1,"Longitude":180.1}}"#,
        r#"{"PickupLocation":{"Latitude":1,"longitude":1}}"#,
    ] {
        assert_eq!(
            refused(json),
            "expected a number from -180 to 180 in `PickupLocation.Longitude`"
        );
    }
}

#[test]
fn a_number_that_no_table_holds_is_refused() {
    for value in ["1e999", "-1e999", "1e126", "1e-131", "-1e-200"] {
        let text = refused(latitude(value));
        assert!(text.starts_with("expected an object in JSON: "), "{text}");
    }
    request(&latitude("1e-130"));
    request(&latitude("0e999"));
}

#[test]
fn a_member_that_is_there_twice_is_refused_however_deep() {
    for (json, name) in [
        (
            r#"{"PickupLocation":{"Latitude":1,"Latitude":2,"Longitude":0}}"#,
            "Latitude",
        ),
        (
            r#"{"PickupLocation":{"Latitude":1,"Longitude":0},"PickupLocation":{}}"#,
            "PickupLocation",
        ),
        (
            r#"{"PickupLocation":{"Latitude":1,"Longitude":0},"x":[{"y":1,"\u0079":1}]}"#,
            "y",
        ),
    ] {
        let text = refused(json);
        assert!(
            text.contains(&format!("duplicate field `{name}`")),
            "{text}"
        );
    }
}

#[test]
fn objects_and_arrays_are_nested_32_deep_at_most() {
    let nested = |depth: usize| {
        format!(
            r#"{{"PickupLocation":{{"Latitude":1,"Longitude":0}},"x":{}{}}}"#,
            "[".repeat(depth),
            "]".repeat(depth)
        )
    };
    request(&nested(31));
    assert!(refused(nested(32)).contains("at most 32 objects and arrays"));
    refused(nested(100_000));
}

#[test]
fn a_place_that_is_none_cannot_be_made() {
    for (latitude, longitude, member) in [
        (f64::NAN, 0.0, "Latitude"),
        (90.1, 0.0, "Latitude"),
        (f64::NEG_INFINITY, 0.0, "Latitude"),
        (0.0, f64::NAN, "Longitude"),
        (0.0, -180.1, "Longitude"),
    ] {
        let error = PickupLocation::new(latitude, longitude).unwrap_err();
        assert_eq!(error.code(), "RideRequestInvalid");
        assert!(
            error
                .to_string()
                .contains(&format!("`PickupLocation.{member}`")),
            "{error}"
        );
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_as_the_same_place(
        latitude in -90.0..=90.0,
        longitude in -180.0..=180.0,
    ) {
        let asked = RideRequest {
            pickup_location: PickupLocation::new(latitude, longitude).unwrap(),
        };
        let json = serde_json::to_vec(&asked).unwrap();
        prop_assert_eq!(RideRequest::from_json(&json).unwrap(), asked);
        prop_assert_eq!(serde_json::from_slice::<RideRequest>(&json).unwrap(), asked);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>) {
        let _ = RideRequest::from_json(&bytes);
    }

    #[test]
    fn no_text_near_a_request_makes_it_panic(
        text in r#"[{}\[\]":,0-9eE.+\-ntLa ]{0,40}"#,
    ) {
        let _ = RideRequest::from_json(latitude(&text).as_bytes());
    }
}
