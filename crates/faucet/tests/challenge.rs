//! Challenges: given out, solved, and refused for every reason there is.

#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

use jiff::{SignedDuration, Timestamp};
use offchain_codes::Coded;
use offchain_faucet::{
    Challenge, ChallengeError, ProofOfWork,
    challenge::{Used, verify},
};
use proptest::prelude::*;
use sha2::{Digest, Sha256};

const ADDRESS: &str = "cosmos1qypqxpq9qcrsszg2pvxq6rs0zqg3yyc5lzv7xu";
const RANDOM: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
const RANDOM_HEX: &str = "000102030405060708090a0b0c0d0e0f";

fn key() -> Vec<u8> {
    (0..32).collect()
}

fn now() -> Timestamp {
    "2026-11-21T11:00:00Z".parse().unwrap()
}

fn policy(bits: u8) -> ProofOfWork {
    ProofOfWork {
        bits,
        valid_seconds: 300,
    }
}

/// The leading zero bits of the hash, counted on its digits.
fn zeros(response: &str) -> usize {
    let digest = Sha256::digest(response);
    let digits: String = digest.iter().map(|byte| format!("{byte:08b}")).collect();
    digits.find('1').unwrap_or(digits.len())
}

fn solve(text: &str, bits: u8) -> String {
    let responses = (0_u64..).map(|nonce| format!("{text}:{nonce}"));
    let mut solved = responses.filter(|response| zeros(response) >= usize::from(bits));
    solved.next().unwrap()
}

fn issue(bits: u8) -> Challenge {
    Challenge::issue(&key(), ADDRESS, now(), &policy(bits), RANDOM)
}

fn check(response: &str) -> Result<Used, ChallengeError> {
    verify(&key(), ADDRESS, response, now(), &policy(8))
}

#[test]
fn a_challenge_is_that_of_another_language() {
    // As Python's hmac and hashlib have them.
    for (bits, text, nonce) in [
        (
            18,
            "v1.1795259100.18.000102030405060708090a0b0c0d0e0f.\
             7d31f39d65d927537c4f57dc05fce68af0cb6a15d58f851d6542a289068b705e",
            "80564",
        ),
        (
            8,
            "v1.1795259100.8.000102030405060708090a0b0c0d0e0f.\
             97fc051a9d7fa0bb14ae61c4471297b3e3e1d70a5d269b4e81f424964b3e4c9a",
            "89",
        ),
    ] {
        let expires = now() + SignedDuration::from_secs(300);
        let challenge = issue(bits);
        let expected = Challenge {
            text: text.to_owned(),
            bits,
            expires,
        };
        assert_eq!(challenge, expected);
        let used = Used {
            id: RANDOM_HEX.to_owned(),
            expires,
        };
        assert_eq!(check(&format!("{text}:{nonce}")), Ok(used));
    }
    assert!(solve(&issue(8).text, 8).ends_with(":89"));
}

#[test]
fn a_key_of_any_length_is_that_of_rfc_2104() {
    for (key, mac) in [
        (
            vec![],
            "af399a9c70e3c965842820eb4dee94dee73e78b5d75c777285f7f412ce304ec1",
        ),
        (
            b"k".to_vec(),
            "e23d63993fd149a6d186c516721cc7fc9257997f70810890dead6303b95b6569",
        ),
        (
            (0..65).collect(),
            "db272fc4b57497d22f3103f78c84e4e293b13d006fc86f95eb48e94b4cebe03e",
        ),
        (
            vec![0; 200],
            "7fe101cf0ac2c72f29eaf864bd12c7c389e9799f38c2be2a28766b1ee4a909cd",
        ),
    ] {
        let challenge = Challenge::issue(&key, ADDRESS, now(), &policy(8), RANDOM);
        let expected = format!("v1.1795259100.8.{RANDOM_HEX}.{mac}");
        assert_eq!(challenge.text, expected);
    }
}

#[test]
fn a_response_counts_until_the_challenge_expires() {
    let response = solve(&issue(8).text, 8);
    let at = |time: SignedDuration| verify(&key(), ADDRESS, &response, now() + time, &policy(8));
    let last = SignedDuration::from_secs(300) - SignedDuration::from_nanos(1);
    assert!(at(SignedDuration::ZERO).is_ok());
    assert!(at(last).is_ok());
    for late in [300, 301, 1_000_000] {
        let late = at(SignedDuration::from_secs(late));
        assert_eq!(late, Err(ChallengeError::Expired));
    }
    // Part of a second is no longer time, nor is a time before 1970 any.
    let odd = now() + SignedDuration::from_millis(999);
    let challenge = Challenge::issue(&key(), ADDRESS, odd, &policy(8), RANDOM);
    assert_eq!(challenge.expires, now() + SignedDuration::from_secs(300));
    let early = Challenge::issue(&key(), ADDRESS, Timestamp::MIN, &policy(8), RANDOM);
    assert_eq!(early.expires.as_second(), 300);
    let last = Challenge::issue(&key(), ADDRESS, Timestamp::MAX, &policy(8), RANDOM);
    assert_eq!(last.expires.as_second(), Timestamp::MAX.as_second());
}

#[test]
fn another_address_or_key_or_challenge_is_foreign() {
    let response = solve(&issue(8).text, 8);
    for (key, address) in [
        (key(), "cosmos1another"),
        (key(), ""),
        (vec![1; 32], ADDRESS),
        (vec![], ADDRESS),
    ] {
        let found = verify(&key, address, &response, now(), &policy(8));
        assert_eq!(found, Err(ChallengeError::Foreign));
    }
    // Whatever is changed, the code is not that of what it says now.
    for (from, to) in [
        ("1795259100", "1795259101"),
        ("1795259100", "+1795259100"),
        ("1795259100", "01795259100"),
        (".8.", ".9."),
        (".8.", ".0."),
        (".8.", ".08."),
        ("0e0f.", "0e0e."),
        ("0e0f.", "0E0F."),
        ("0e0f.", "0e0f0."),
        ("0e0f.", "."),
        ("97fc", "87fc"),
        ("4c9a", "4c"),
    ] {
        let changed = response.replacen(from, to, 1);
        assert_ne!(changed, response);
        assert_eq!(check(&changed), Err(ChallengeError::Foreign), "{changed}");
    }
}

#[test]
fn what_has_another_form_is_malformed() {
    let text = issue(8).text;
    let mac = text.rsplit_once('.').unwrap().1;
    let long = format!("{text}:{}", "1".repeat(33));
    for response in [
        "",
        ":",
        "03AGdBq27",
        &text,
        &format!("{text}:"),
        &format!("{text}:-1"),
        &format!("{text}:1 "),
        &format!("{text}:é"),
        &long,
        &format!(" {text}:1"),
        &text.replacen("v1", "v2", 1),
        &format!("{}:1", text.replacen("v1", "v2", 1)),
        &format!("{}:1", text.replacen("v1.", "", 1)),
        &format!("{text}.{mac}:1"),
        &format!("{}:1", text.replace(mac, &mac.to_uppercase())),
        &format!("{}:1", text.replace(mac, &mac[1..])),
        &format!("{}:1", text.replace("1795259100", "soon")),
        &format!("{}:1", text.replace("1795259100", "-")),
        &format!("{}:1", text.replace("1795259100", "9223372036854775807")),
        &format!("{}:1", text.replace("1795259100", "9223372036854775808")),
        &format!("{}:1", text.replacen(".8.", ".256.", 1)),
        &format!("{}:1", text.replacen(".8.", ".-8.", 1)),
        &format!("{}:1", text.replacen(".8.", "..", 1)),
    ] {
        assert_eq!(
            check(response),
            Err(ChallengeError::Malformed),
            "{response}"
        );
    }
    // The longest nonce is none of these.
    let solved = (0_u32..)
        .map(|nonce| format!("{text}:{nonce:z>32}", nonce = nonce))
        .find(|response| zeros(response) >= 8);
    assert!(check(&solved.unwrap()).is_ok());
}

#[test]
fn work_that_was_not_done_is_seen() {
    let text = issue(8).text;
    let idle = (0..).map(|nonce| format!("{text}:{nonce}"));
    let idle = idle.filter(|response| zeros(response) == 7).take(3);
    for response in idle {
        assert_eq!(check(&response), Err(ChallengeError::Unsolved { bits: 8 }));
    }
    // The work is that of the challenge, which may be harder than is demanded.
    let harder = issue(12).text;
    let half = (0..).map(|nonce| format!("{harder}:{nonce}"));
    let half = half.filter(|response| (8..12).contains(&zeros(response)));
    for response in half.take(3) {
        assert_eq!(check(&response), Err(ChallengeError::Unsolved { bits: 12 }));
    }
    assert!(check(&solve(&harder, 12)).is_ok());
}

#[test]
fn an_easy_challenge_counts_no_more_when_more_is_demanded() {
    let easy = solve(&issue(7).text, 12);
    let too_easy = ChallengeError::TooEasy {
        expected: 8,
        found: 7,
    };
    assert_eq!(check(&easy), Err(too_easy));
}

#[test]
fn every_error_says_what_to_do() {
    for (error, text) in [
        (
            ChallengeError::Malformed,
            "expected `<challenge>:<nonce>` in `response`, the nonce of 1 to 32 characters out of \
             0-9, A-Z and a-z: ask for a challenge and solve it",
        ),
        (
            ChallengeError::Foreign,
            "expected a challenge that this faucet gave out for this address: ask for one with \
             the address of the claim",
        ),
        (
            ChallengeError::Expired,
            "expected a challenge that is still valid: ask for another one",
        ),
        (
            ChallengeError::TooEasy {
                expected: 18,
                found: 16,
            },
            "expected a challenge of at least 18 bits, found 16: ask for another one",
        ),
        (
            ChallengeError::Unsolved { bits: 18 },
            "expected a SHA-256 of the response with 18 leading zero bits: try other nonces",
        ),
        (
            ChallengeError::Used,
            "expected a challenge that was not used before: ask for another one",
        ),
    ] {
        assert_eq!(error.to_string(), text);
        assert_eq!(
            (error.code(), error.retryable()),
            ("ChallengeInvalid", false)
        );
    }
}

proptest! {
    #[test]
    fn what_is_solved_counts_for_its_address_only(
        key in prop::collection::vec(any::<u8>(), 0..100),
        address in "\\PC{1,40}",
        other in "\\PC{1,40}",
        second in 0..4_000_000_000_i64,
        random: [u8; 16],
        bits in 1..7_u8,
    ) {
        let now = Timestamp::from_second(second).unwrap();
        let challenge = Challenge::issue(&key, &address, now, &policy(bits), random);
        let response = solve(&challenge.text, bits);
        let used = Used { id: hex::encode(random), expires: challenge.expires };
        prop_assert_eq!(verify(&key, &address, &response, now, &policy(bits)), Ok(used));
        if other != address {
            let stolen = verify(&key, &other, &response, now, &policy(bits));
            prop_assert_eq!(stolen, Err(ChallengeError::Foreign));
        }
    }

    #[test]
    fn any_text_is_judged(response in "(v1\\.[0-9]{1,20}\\.[0-9]{1,4}\\.[0-9a-f]{0,33}\\.[0-9a-f]{0,65}:[0-9a-z]{0,33}|\\PC*)") {
        prop_assert!(check(&response).is_err());
    }
}
