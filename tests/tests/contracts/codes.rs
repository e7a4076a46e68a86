//! The codes of each function, and that a code is a stable name.

use std::collections::{BTreeMap, BTreeSet};

use crate::repository::entries;
use crate::sources::Sources;

/// Where the errors are that a function's own errors are made of.
const LIBRARIES: [&str; 10] = [
    "crates/chains/src",
    "crates/faucet/src",
    "crates/faucet-service/src",
    "crates/function/src",
    "crates/ledger/src",
    "crates/ledger-service/src",
    "crates/outbound/src",
    "crates/rides/src",
    "crates/store/src",
    "crates/vrf/src",
];

/// Every code that a function fails with, and whether it is worth another try.
pub(crate) fn of_function(name: &str) -> BTreeMap<String, BTreeSet<bool>> {
    let own = format!("lambdas/{name}/src");
    let mut folders = LIBRARIES.to_vec();
    folders.push(&own);
    let sources = Sources::of(&folders);
    let handler = Sources::of(&[&own]);
    let mut codes = sources.codes(handler.handler_error());
    // The runtime fails with these before a handler is asked.
    for error in ["ConfigError", "InputError"] {
        codes.extend(sources.codes(error));
    }
    codes
}

#[test]
fn every_function_has_codes_that_machines_and_clients_can_name() {
    for function in entries("lambdas", true) {
        let codes = of_function(&function);
        assert!(codes.contains_key("InputInvalid"), "{function}: {codes:?}");
        for code in codes.keys() {
            let pascal = code.chars().next().is_some_and(|c| c.is_ascii_uppercase())
                && code.chars().all(|c| c.is_ascii_alphanumeric());
            assert!(pascal, "{function}: {code} is no PascalCase name");
        }
    }
}

#[test]
fn the_codes_of_a_function_are_those_its_sources_say() {
    let codes: Vec<String> = of_function("vrf-expire")
        .into_iter()
        .map(|(code, retryable)| format!("{code} {retryable:?}"))
        .collect();
    assert_eq!(
        codes,
        [
            "ConfigInvalid {false}",
            "InputInvalid {false}",
            "RequestNotFound {false}",
            "StoreDenied {false}",
            "StoreRejected {false}",
            "StoreUnavailable {true}",
        ]
    );
}
