//! Transactions: those of a real node, and those that are wrong in each way
//! there is.

#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

mod common;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use common::{
    condition, create, fulfilment, input, key, message, named, output, secret, signed, transfer,
};
use offchain_codes::Coded;
use offchain_ledger::{Operation, Transaction};
use proptest::prelude::*;
use serde_json::{Value, json};

/// A CREATE and a TRANSFER that BigchainDB 2.2.2 stored.
fn recorded() -> [String; 2] {
    let stored: Value = serde_json::from_str(include_str!("vectors/transactions.json")).unwrap();
    [0, 1].map(|index| stored[index]["transaction"].as_str().unwrap().to_owned())
}

/// The code and the message of what is wrong.
fn refused(transaction: &Value) -> (&'static str, String) {
    let error = Transaction::verify(&transaction.to_string()).unwrap_err();
    assert!(!error.retryable());
    (error.code(), error.to_string())
}

fn malformed(transaction: &Value, message: &str) {
    assert_eq!(
        refused(transaction),
        ("TransactionMalformed", message.to_owned())
    );
    let peeked = Transaction::peek(&transaction.to_string()).unwrap_err();
    assert_eq!(peeked.to_string(), message);
}

fn car() -> Value {
    signed(
        create(json!({"car": {"value": 2_500_000}}), vec![output(1, 1)]),
        &[1],
    )
}

#[test]
fn recorded_transactions_verify() {
    let [created, handed] = recorded().map(|text| Transaction::verify(&text).unwrap());
    let (lessor, driver) = (
        "6pNgaTSo78eLgf6RvRS4dFrnHMX8sQuzrJAn25dyRhes",
        "AX1acbu4mu2WkVPhkTE8QcDbbtT2mv4fKBjBP5K5FDoE",
    );
    assert_eq!(
        created.id.as_str(),
        "78cecb07f1465442341dcf341b94b0dea988bf27084bafeddebf8e52921eedd3"
    );
    assert_eq!(created.asset_id, created.id);
    assert_eq!(created.operation, Operation::Create);
    assert_eq!(
        created.asset_data,
        Some(json!({"vrf": {"request": "1", "seed": "00ff"}}))
    );
    assert_eq!(created.metadata, Some(json!({"n": 1})));
    assert_eq!(created.inputs[0].owners_before[0].as_str(), lessor);
    assert_eq!(created.inputs[0].fulfills, None);
    assert_eq!(created.outputs[0].public_keys[0].as_str(), lessor);

    assert_eq!(
        handed.id.as_str(),
        "875647befa3ca68518d71c916c9275353b42b7eed89f4e6003fb6831599e1a5d"
    );
    assert_eq!(handed.asset_id, created.id);
    assert_eq!(handed.operation, Operation::Transfer);
    assert_eq!((&handed.asset_data, &handed.metadata), (&None, &None));
    let spent = handed.inputs[0].fulfills.as_ref().unwrap();
    assert_eq!(spent.to_string(), format!("{}:0", created.id));
    assert_eq!(spent.to_string().parse().as_ref(), Ok(spent));
    assert_eq!(
        handed.inputs[0].condition.as_ref(),
        Some(&created.outputs[0].condition)
    );
    assert_eq!(handed.outputs[0].public_keys[0].as_str(), driver);
    assert_eq!(handed.outputs[0].amount, 1);
}

#[test]
fn a_peek_believes() {
    for text in recorded() {
        let mut verified = Transaction::verify(&text).unwrap();
        for input in &mut verified.inputs {
            input.condition = None;
        }
        assert_eq!(Transaction::peek(&text).unwrap(), verified);
        let lied = text.replace("\"amount\": \"1\"", "\"amount\": \"2\"");
        assert_eq!(Transaction::peek(&lied).unwrap().outputs[0].amount, 2);
        let error = Transaction::verify(&lied).unwrap_err();
        assert_eq!(error.code(), "TransactionIdMismatch");
        assert!(
            error
                .to_string()
                .ends_with(&format!("found {}", verified.id))
        );
    }
}

#[test]
fn texts_are_read_as_a_node_writes_them() {
    // Floats as Python writes them, escapes that a node adds, and blanks.
    let data = json!({"text": "é \u{7f}/\"\\\n", "n": [1.5, 0, -1], "ä": {"b": null, "a": true}});
    let sent = signed(create(data, vec![output(2, 1)]), &[1]);
    let text = serde_json::to_string_pretty(&sent).unwrap();
    let text = text.replace('é', "\\u00e9").replace('/', "\\/");
    assert_eq!(Transaction::verify(&text).unwrap().id.as_str(), sent["id"]);
    // The number as it is: 1.5 is not 1.50.
    let error = Transaction::verify(&text.replace("1.5", "1.50")).unwrap_err();
    assert_eq!(error.code(), "TransactionIdMismatch");
}

#[test]
fn an_operation_or_version_that_is_unknown_is_named() {
    for (member, value, message) in [
        ("version", "1.0", "expected the version 2.0, found `1.0`"),
        (
            "operation",
            "VOTE",
            "expected the operation CREATE or TRANSFER, found `VOTE`",
        ),
        (
            "operation",
            "GENESIS",
            "expected the operation CREATE or TRANSFER, found `GENESIS`",
        ),
    ] {
        let mut transaction = car();
        transaction[member] = value.into();
        malformed(&transaction, message);
    }
}

#[test]
fn another_form_is_refused() {
    let hand = || {
        let car = car();
        signed(
            transfer(&car, vec![input(1, Some((&car, 0)))], vec![output(2, 1)]),
            &[1],
        )
    };
    let keys = "expected a public key of 32 bytes in base58";
    let long = "1".repeat(45);
    for (base, pointer, value, message) in [
        (car(), "/id", json!(null), "expected an id of 64 hexadecimal digits in lower case in `id`".to_owned()),
        (car(), "/id", json!("A".repeat(64)), "expected an id of 64 hexadecimal digits in lower case in `id`".into()),
        (car(), "/asset", json!([]), "expected an object in `asset`".into()),
        (car(), "/asset", json!({"id": "0".repeat(64)}), "expected nothing in `asset.id`".into()),
        (car(), "/asset/data", json!("car"), "expected an object, or null in `asset.data`".into()),
        (hand(), "/asset", json!({"data": null}), "expected nothing in `asset.data`".into()),
        (hand(), "/asset/id", json!("1"), "expected an id of 64 hexadecimal digits in lower case in `asset.id`".into()),
        (car(), "/metadata", json!({}), "expected an object with a member, or null in `metadata`".into()),
        (car(), "/metadata", json!(1), "expected an object with a member, or null in `metadata`".into()),
        (car(), "/more", json!(1), "expected nothing in `more`".into()),
        (car(), "/version", json!(2.0), "expected a text in `version`".into()),
        (car(), "/operation", json!(1), "expected a text in `operation`".into()),
        (car(), "/inputs", json!([]), "expected one input in `inputs`".into()),
        (car(), "/inputs", json!([car()["inputs"][0], car()["inputs"][0]]), "expected one input in `inputs`".into()),
        (car(), "/inputs", json!({}), "expected an array in `inputs`".into()),
        (hand(), "/inputs", json!([]), "expected an input in `inputs`".into()),
        (hand(), "/inputs", json!([hand()["inputs"][0], hand()["inputs"][0]]), "expected an output that no other input spends in `inputs.1.fulfills`".into()),
        (car(), "/inputs/0", json!(1), "expected an object in `inputs.0`".into()),
        (car(), "/inputs/0/more", json!(1), "expected nothing in `inputs.0.more`".into()),
        (car(), "/inputs/0/fulfills", hand()["inputs"][0]["fulfills"].clone(), "expected null in `inputs.0.fulfills`".into()),
        (hand(), "/inputs/0/fulfills", json!(null), "expected an object in `inputs.0.fulfills`".into()),
        (hand(), "/inputs/0/fulfills/output_index", json!(-1), "expected a whole number of at most 32 bits in `inputs.0.fulfills.output_index`".into()),
        (hand(), "/inputs/0/fulfills/output_index", json!(4_294_967_296_u64), "expected a whole number of at most 32 bits in `inputs.0.fulfills.output_index`".into()),
        (hand(), "/inputs/0/fulfills/output_index", json!(0.0), "expected a whole number of at most 32 bits in `inputs.0.fulfills.output_index`".into()),
        (hand(), "/inputs/0/fulfills/transaction_id", json!(""), "expected an id of 64 hexadecimal digits in lower case in `inputs.0.fulfills.transaction_id`".into()),
        (car(), "/inputs/0/fulfillment", json!(null), "expected a text in `inputs.0.fulfillment`".into()),
        (car(), "/inputs/0/fulfillment", json!({"type": "ed25519-sha-256"}), "expected a text in `inputs.0.fulfillment`".into()),
        (car(), "/inputs/0/owners_before", json!(null), "expected an array in `inputs.0.owners_before`".into()),
        (car(), "/inputs/0/owners_before", json!([]), "expected a public key in `inputs.0.owners_before`".into()),
        (car(), "/inputs/0/owners_before/0", json!("0OIl"), format!("{keys} in `inputs.0.owners_before.0`")),
        (car(), "/inputs/0/owners_before/0", json!(long), format!("{keys} in `inputs.0.owners_before.0`")),
        (car(), "/outputs", json!(null), "expected an array in `outputs`".into()),
        (hand(), "/outputs", json!([]), "expected an output in `outputs`".into()),
        (car(), "/outputs/0/more", json!(1), "expected nothing in `outputs.0.more`".into()),
        (car(), "/outputs/0/public_keys", json!(null), "expected an array in `outputs.0.public_keys`".into()),
        (car(), "/outputs/0/public_keys", json!([]), "expected a public key in `outputs.0.public_keys`".into()),
        (car(), "/outputs/0/public_keys", json!([1]), format!("{keys} in `outputs.0.public_keys.0`")),
        (car(), "/outputs/0/condition/uri", json!(1), "expected a text in `outputs.0.condition.uri`".into()),
        (car(), "/outputs/0/condition/details", json!(null), "expected an object in `outputs.0.condition.details`".into()),
        (car(), "/outputs/0/condition/details/type", json!("rsa-sha-256"), "expected `ed25519-sha-256` or `threshold-sha-256` in `outputs.0.condition.details.type`".into()),
        (car(), "/outputs/0/condition/details/more", json!(1), "expected nothing in `outputs.0.condition.details.more`".into()),
        (car(), "/outputs/0/condition/more", json!(1), "expected nothing in `outputs.0.condition.more`".into()),
    ] {
        let mut transaction = base;
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        match transaction.pointer_mut(pointer) {
            Some(member) => *member = value,
            None => transaction.pointer_mut(parent).unwrap()[name] = value,
        }
        malformed(&transaction, &message);
    }
    for amount in [
        json!("0"),
        json!("01"),
        json!("+1"),
        json!("-1"),
        json!("1.0"),
        json!(1),
        json!(""),
        json!("9000000000000000001"),
        json!("99999999999999999999"),
    ] {
        let mut transaction = car();
        transaction["outputs"][0]["amount"] = amount;
        malformed(
            &transaction,
            "expected a number from 1 to 9 * 10^18, in text in `outputs.0.amount`",
        );
    }
    for (text, message) in [
        (
            "",
            "expected an object in JSON: EOF while parsing a value at line 1 column 0",
        ),
        ("[]", "expected an object in `$`"),
        (
            "{\"id\":1,\"id\":1}",
            "expected an object in JSON: `id` is there twice",
        ),
    ] {
        let error = Transaction::verify(text).unwrap_err();
        assert_eq!(
            (error.code(), error.to_string()),
            ("TransactionMalformed", message.to_owned())
        );
    }
    let huge = json!({"n": 1}).to_string().replace('1', "1e999");
    let huge = create(json!(1), vec![])
        .to_string()
        .replace("{\"data\":1}", &format!("{{\"data\":{huge}}}"));
    let huge = huge.replace("\"id\":null", &format!("\"id\":\"{}\"", "0".repeat(64)));
    let error = Transaction::verify(&huge).unwrap_err();
    assert_eq!(
        error.to_string(),
        "expected an object in JSON: number out of range at line 1 column 5"
    );
    let bomb = huge.replace("1e999", &("[".repeat(200) + &"]".repeat(200)));
    let error = Transaction::verify(&bomb).unwrap_err();
    assert_eq!(
        error.to_string(),
        "expected an object in JSON: expected at most 128 levels of arrays and objects"
    );
}

#[test]
fn the_largest_amount_and_many_outputs_are_taken() {
    let outputs = vec![
        output(1, 9_000_000_000_000_000_000),
        output(2, 1),
        output(1, 3),
    ];
    let token = signed(create(json!(null), outputs), &[1]);
    let read = Transaction::verify(&token.to_string()).unwrap();
    let amounts: Vec<_> = read.outputs.iter().map(|output| output.amount).collect();
    assert_eq!(amounts, [9_000_000_000_000_000_000, 1, 3]);
    let merged = transfer(
        &token,
        vec![input(1, Some((&token, 0))), input(2, Some((&token, 1)))],
        vec![output(3, 5)],
    );
    let read = Transaction::verify(&signed(merged.clone(), &[1, 2]).to_string()).unwrap();
    assert_eq!(read.inputs.len(), 2);
    // Each input signs its own message.
    let mut swapped = signed(merged, &[1, 2]);
    let other = swapped["inputs"][1]["fulfillment"].clone();
    swapped["inputs"][0]["fulfillment"] = other;
    swapped["inputs"][0]["owners_before"] = json!([key(2)]);
    let error = Transaction::verify(&named(swapped).to_string()).unwrap_err();
    assert_eq!(error.code(), "FulfilmentInvalid");
    // What creates an asset may give it to nobody.
    let nobody = signed(create(json!({}), vec![]), &[1]);
    assert!(
        Transaction::verify(&nobody.to_string())
            .unwrap()
            .outputs
            .is_empty()
    );
}

#[test]
fn an_output_that_lies_about_its_keys_is_refused() {
    // A node takes these: it looks at the details alone.
    let lies = [
        (
            "/public_keys",
            json!([key(2)]),
            "expected the keys of the condition in `outputs.0.public_keys`",
        ),
        (
            "/public_keys",
            json!([key(1), key(1)]),
            "expected the keys of the condition in `outputs.0.public_keys`",
        ),
        (
            "/condition/uri",
            condition(&key(2))["uri"].clone(),
            "expected the URI of the condition in `outputs.0.condition.uri`",
        ),
        (
            "/condition/details/public_key",
            json!(key(2)),
            "expected the keys of the condition in `outputs.0.public_keys`",
        ),
    ];
    for (pointer, value, message) in lies {
        let mut told = output(1, 1);
        *told.pointer_mut(pointer).unwrap() = value;
        let lied = signed(create(json!({}), vec![told]), &[1]);
        assert_eq!(refused(&lied), ("TransactionMalformed", message.to_owned()));
        assert!(Transaction::peek(&lied.to_string()).is_ok());
    }
}

#[test]
fn what_the_owner_did_not_sign_is_refused() {
    let unsigned = create(json!({}), vec![output(1, 1)]);
    let with = |fulfilment: String| {
        let mut transaction = unsigned.clone();
        transaction["inputs"][0]["fulfillment"] = fulfilment.into();
        named(transaction)
    };
    let good = fulfilment(&secret(1), &message(&unsigned, 0));
    let text = URL_SAFE_NO_PAD.encode(&good);
    assert!(Transaction::verify(&with(text.clone()).to_string()).is_ok());

    let form = "expected DER in base64url without padding in `inputs.0.fulfillment`";
    let signature = "expected a signature of the transaction by each key that it shows in `inputs.0.fulfillment`";
    let owners = "expected the keys in `owners_before` in `inputs.0.fulfillment`";
    let changed = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut der = good.clone();
        change(&mut der);
        with(URL_SAFE_NO_PAD.encode(der))
    };
    for (transaction, message) in [
        (with(String::new()), form),
        (with("*".into()), form),
        (with(format!("{text}=")), form),
        (changed(&|der| der.push(0)), form),
        (changed(&|der| der.truncate(101)), form),
        (changed(&|der| der[1] = 99), form),
        (changed(&|der| der[1] = 0x80), form),
        // A length in more bytes than it takes.
        (changed(&|der| drop(der.splice(1..2, [0x81, 100]))), form),
        (changed(&|der| drop(der.splice(1..2, [0x82, 0, 100]))), form),
        (
            changed(&|der| drop(der.splice(1..2, [0x84, 0, 0, 0, 100]))),
            form,
        ),
        (changed(&|der| der[2] = 0x82), form),
        (changed(&|der| der[3] = 33), form),
        (changed(&|der| der[36] = 0x80), form),
        // The other key; the signature's point; its scalar; a scalar that is too large.
        (changed(&|der| der[4] ^= 1), owners),
        (changed(&|der| der[38] ^= 1), signature),
        (changed(&|der| der[70] ^= 1), signature),
        (changed(&|der| der[101] |= 0x10), signature),
        (signed(create(json!({}), vec![output(1, 1)]), &[2]), owners),
    ] {
        assert_eq!(refused(&transaction).1, message);
    }
    let mut two = unsigned.clone();
    two["inputs"][0]["owners_before"] = json!([key(1), key(2)]);
    assert_eq!(
        refused(&signed(two, &[1])),
        ("FulfilmentInvalid", owners.to_owned())
    );
    // The order of the group more in the scalar, which is the same signature.
    let order = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde,
        0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let malleable = changed(&|der| {
        let mut carry = 0;
        for (byte, add) in der[70..].iter_mut().zip(order) {
            let sum = u16::from(*byte) + add + carry;
            *byte = sum as u8;
            carry = sum >> 8;
        }
    });
    assert_eq!(
        refused(&malleable),
        ("FulfilmentInvalid", signature.to_owned())
    );
    // A key of low order, under which one signature fits many messages.
    let mut weak = create(json!({}), vec![output(1, 1)]);
    let mut zero = [0; 32];
    zero[0] = 1;
    weak["inputs"][0]["owners_before"] = json!([offchain_ledger::PublicKey::from_bytes(zero)]);
    let mut der = vec![0xa4, 100, 0x80, 32];
    der.extend_from_slice(&zero);
    der.extend_from_slice(&[0x81, 64]);
    der.extend_from_slice(&zero);
    der.extend_from_slice(&[0; 32]);
    weak["inputs"][0]["fulfillment"] = URL_SAFE_NO_PAD.encode(der).into();
    assert_eq!(
        refused(&named(weak)),
        ("FulfilmentInvalid", signature.to_owned())
    );
    // A preimage, which a node takes in place of a signature.
    let preimage = with(URL_SAFE_NO_PAD.encode([0xa0, 2, 0x80, 0]));
    assert_eq!(refused(&preimage).0, "FulfilmentUnsupported");
}

/// A value in DER.
fn der(tag: u8, contents: &[u8]) -> Vec<u8> {
    let length = contents.len();
    let mut der = match length {
        0..0x80 => vec![tag, length as u8],
        0x80..0x100 => vec![tag, 0x81, length as u8],
        _ => vec![tag, 0x82, (length >> 8) as u8, length as u8],
    };
    der.extend_from_slice(contents);
    der
}

/// The set of the fulfilments, and that of the conditions.
fn threshold(mut shown: Vec<Vec<u8>>, mut unneeded: Vec<Vec<u8>>) -> Vec<u8> {
    shown.sort();
    unneeded.sort();
    let sets = [der(0xa0, &shown.concat()), der(0xa1, &unneeded.concat())];
    der(0xa2, &sets.concat())
}

/// A condition as a fulfilment has it, out of its URI.
fn unneeded(uri: &str) -> Vec<u8> {
    let (_, rest) = uri.split_once(';').unwrap();
    let (fingerprint, query) = rest.split_once('?').unwrap();
    let cost = query
        .split('&')
        .find_map(|part| part.strip_prefix("cost="))
        .unwrap();
    let cost: u32 = cost.parse().unwrap();
    let cost = cost.to_be_bytes();
    let mut contents = der(0x80, &URL_SAFE_NO_PAD.decode(fingerprint).unwrap());
    contents.extend(der(0x81, &cost[1..]));
    if query.contains("subtypes") {
        contents.extend([0x82, 2, 3, 8]);
        return der(0xa2, &contents);
    }
    der(0xa4, &contents)
}

fn ed25519(who: u8) -> Value {
    condition(&key(who))["details"].clone()
}

fn of(threshold: u32, subconditions: &[Value]) -> Value {
    json!({"type": "threshold-sha-256", "threshold": threshold, "subconditions": subconditions})
}

#[test]
fn conditions_are_those_of_another_language() {
    // As cryptoconditions 0.8.0 (Python) has them.
    let [one, two, three] = [1, 2, 3].map(ed25519);
    let twice = [one.clone(), one.clone()];
    let nested = of(2, &[one.clone(), of(1, &[two.clone(), three.clone()])]);
    let one_of_nested = of(1, &[one.clone(), of(2, &[two.clone(), three])]);
    for (details, keys, uri) in [
        (
            one.clone(),
            vec![1],
            "ni:///sha-256;SPn_lVGhY_CiWpYTTUoocHC9LPKQFUGnPr-yGK3vPHM?fpt=ed25519-sha-256&cost=131072",
        ),
        (
            of(2, &[one.clone(), two.clone()]),
            vec![1, 2],
            "ni:///sha-256;scJAoDXv0jWyezkC3-knkaOL9e8prdjNxWg0rtpKJQ4?fpt=threshold-sha-256&cost=264192&subtypes=ed25519-sha-256",
        ),
        (
            of(1, &[one, two]),
            vec![2, 1, 2],
            "ni:///sha-256;6viA5tmZghgFLxTeu6HKo9I2z8PJAs1WSo-S4lTL7ac?fpt=threshold-sha-256&cost=133120&subtypes=ed25519-sha-256",
        ),
        (
            nested,
            vec![1, 2, 3],
            "ni:///sha-256;W9Cf8kthMdrR3R70KBip5H0xdsGwScB50XA35tNqnzY?fpt=threshold-sha-256&cost=266240&subtypes=ed25519-sha-256",
        ),
        (
            one_of_nested,
            vec![3, 2, 1],
            "ni:///sha-256;RAXnXiBi8mYYabKnXDDlMyhTvQjWwIB0JktwxCacg8s?fpt=threshold-sha-256&cost=266240&subtypes=ed25519-sha-256",
        ),
        (
            of(2, &twice),
            vec![1],
            "ni:///sha-256;0JomW9BznZSQVUFjhDz8pZ6rmboTauSNv6Lf0HvaqRo?fpt=threshold-sha-256&cost=264192&subtypes=ed25519-sha-256",
        ),
    ] {
        let keys: Vec<_> = keys.into_iter().map(key).collect();
        let told = json!({"public_keys": keys, "condition": {"details": details, "uri": uri}, "amount": "1"});
        let created = signed(create(json!({}), vec![told]), &[1]);
        let read = Transaction::verify(&created.to_string()).unwrap();
        assert_eq!(read.outputs[0].condition, uri);
    }
}

#[test]
fn a_threshold_is_fulfilled_by_enough_of_its_owners() {
    let two_of_three = "ni:///sha-256;RAXnXiBi8mYYabKnXDDlMyhTvQjWwIB0JktwxCacg8s?fpt=threshold-sha-256&cost=266240&subtypes=ed25519-sha-256";
    let nested = "ni:///sha-256;W9Cf8kthMdrR3R70KBip5H0xdsGwScB50XA35tNqnzY?fpt=threshold-sha-256&cost=266240&subtypes=ed25519-sha-256";
    let two = |message: &[u8]| fulfilment(&secret(2), message);
    let one = |message: &[u8]| fulfilment(&secret(1), message);
    let three = |message: &[u8]| fulfilment(&secret(3), message);
    let single = |who| unneeded(condition(&key(who))["uri"].as_str().unwrap());
    let hidden = unneeded(
        "ni:///sha-256;M8K6L38btPabtvtT4PUUQqAOyGx_dp1uWkqmhdTkSfY?fpt=threshold-sha-256&cost=264192&subtypes=ed25519-sha-256",
    );
    let check = |owners: &[u8], show: &dyn Fn(&[u8]) -> Vec<u8>| {
        let mut transaction = create(json!({}), vec![output(1, 1)]);
        transaction["inputs"][0]["owners_before"] =
            owners.iter().map(|who| json!(key(*who))).collect();
        let shown = show(&message(&transaction, 0));
        transaction["inputs"][0]["fulfillment"] = URL_SAFE_NO_PAD.encode(shown).into();
        Transaction::verify(&named(transaction).to_string())
            .map(|read| read.inputs[0].condition.clone().unwrap())
            .map_err(|error| error.code())
    };
    let inner = |message: &[u8]| threshold(vec![two(message)], vec![single(3)]);
    let outer = |message: &[u8]| threshold(vec![one(message), inner(message)], vec![]);
    assert_eq!(check(&[1, 2, 3], &outer).as_deref(), Ok(nested));
    assert_eq!(check(&[3, 1, 2, 1], &outer).as_deref(), Ok(nested));
    let behind = |message: &[u8]| threshold(vec![one(message)], vec![hidden.clone()]);
    assert_eq!(check(&[1, 2, 3], &behind).as_deref(), Ok(two_of_three));
    assert!(check(&[1], &behind).is_ok());

    // Somebody is missing among the owners, or is none.
    assert_eq!(check(&[1, 2], &outer), Err("FulfilmentInvalid"));
    assert_eq!(check(&[1, 3], &outer), Err("FulfilmentInvalid"));
    assert_eq!(check(&[1, 2, 3, 4], &outer), Err("FulfilmentInvalid"));
    assert_eq!(check(&[2, 3], &behind), Err("FulfilmentInvalid"));
    // Somebody did not sign.
    let forged = |message: &[u8]| threshold(vec![one(message), three(b"another")], vec![]);
    assert_eq!(check(&[1, 3], &forged), Err("FulfilmentInvalid"));
    // Nobody signed.
    let none = |_: &[u8]| threshold(vec![], vec![single(1)]);
    assert_eq!(check(&[1], &none), Err("FulfilmentUnsupported"));
    // The sets are out of order, or followed by something.
    let unsorted = |message: &[u8]| {
        let mut shown = [one(message), two(message)];
        shown.sort();
        shown.reverse();
        der(0xa2, &[der(0xa0, &shown.concat()), der(0xa1, &[])].concat())
    };
    assert_eq!(check(&[1, 2], &unsorted), Err("FulfilmentInvalid"));
    let trailing = |message: &[u8]| {
        der(
            0xa2,
            &[der(0xa0, &one(message)), der(0xa1, &[]), der(0xa3, &[])].concat(),
        )
    };
    assert_eq!(check(&[1], &trailing), Err("FulfilmentInvalid"));
    let single_set = |message: &[u8]| der(0xa2, &der(0xa0, &one(message)));
    assert_eq!(check(&[1], &single_set), Err("FulfilmentInvalid"));
    // Other costs and types than there are.
    for (from, to) in [
        (vec![0x81, 3, 2, 0, 0], vec![0x81, 3, 2, 0, 1]),
        (vec![0xa4, 0x27], vec![0xa0, 0x27]),
    ] {
        let other = |message: &[u8]| {
            let mut condition = single(2);
            let at = condition
                .windows(from.len())
                .position(|part| part == from)
                .unwrap();
            condition.splice(at..at + from.len(), to.clone());
            threshold(vec![one(message)], vec![condition])
        };
        assert_eq!(check(&[1, 2], &other), Err("FulfilmentUnsupported"));
    }
    let padded = |message: &[u8]| {
        let mut condition = der(0x80, &[0; 32]);
        condition.extend([0x81, 4, 0, 2, 0, 0]);
        threshold(vec![one(message)], vec![der(0xa4, &condition)])
    };
    assert_eq!(check(&[1, 2], &padded), Err("FulfilmentInvalid"));
    // Eight levels are enough.
    let deep = |levels: usize| {
        move |message: &[u8]| {
            (0..levels).fold(fulfilment(&secret(1), message), |inner, _| {
                threshold(vec![inner], vec![])
            })
        }
    };
    assert!(check(&[1], &deep(8)).is_ok());
    assert_eq!(check(&[1], &deep(9)), Err("FulfilmentUnsupported"));
    assert_eq!(check(&[1], &deep(2000)), Err("FulfilmentUnsupported"));
}

#[test]
fn a_threshold_that_cannot_be_is_refused() {
    let mut nine = ed25519(1);
    for _ in 0..9 {
        nine = of(1, &[nine]);
    }
    let threshold = "expected a number from 1 to that of the subconditions, at most 100 in `outputs.0.condition.details.threshold`";
    let levels = format!(
        "expected at most 8 levels of thresholds in `outputs.0.condition.details{}.threshold`",
        ".subconditions.0".repeat(8)
    );
    for (details, message) in [
        (of(0, &[ed25519(1)]), threshold),
        (of(2, &[ed25519(1)]), threshold),
        (of(1, &[]), threshold),
        (of(101, &vec![ed25519(1); 101]), threshold),
        (
            json!({"type": "threshold-sha-256", "threshold": "1", "subconditions": [ed25519(1)]}),
            threshold,
        ),
        (
            json!({"type": "threshold-sha-256", "threshold": 1, "subconditions": 1}),
            "expected an array in `outputs.0.condition.details.subconditions`",
        ),
        (nine, &levels),
    ] {
        let mut transaction = car();
        transaction["outputs"][0]["condition"]["details"] = details;
        malformed(&transaction, message);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn nothing_that_changes_is_believed(at in 0..1600_usize, byte in 0x20..0x7f_u8) {
        for text in recorded() {
            let mut bytes = text.as_bytes().to_vec();
            let at = at % bytes.len();
            let blank = bytes[at] == b' ' && byte == b' ';
            let same = bytes[at] == byte || blank;
            bytes[at] = byte;
            let changed = String::from_utf8(bytes).unwrap();
            // A blank more or less outside of texts changes nothing.
            let equal = || serde_json::from_str::<Value>(&changed).ok() == serde_json::from_str(&text).ok();
            prop_assert_eq!(Transaction::verify(&changed).is_ok(), same || equal());
        }
    }

    #[test]
    fn nothing_panics(text in ".*", der in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Transaction::verify(&text);
        let mut transaction = create(json!({}), vec![output(1, 1)]);
        transaction["inputs"][0]["fulfillment"] = URL_SAFE_NO_PAD.encode(&der).into();
        prop_assert!(Transaction::verify(&named(transaction).to_string()).is_err());
    }

    #[test]
    fn half_of_a_fulfilment_is_none(length in 0..102_usize, tag: u8) {
        let unsigned = create(json!({}), vec![output(1, 1)]);
        let mut der = fulfilment(&secret(1), &message(&unsigned, 0));
        der[0] = tag;
        if length > 0 {
            der.truncate(102 - length);
        }
        let mut transaction = unsigned;
        transaction["inputs"][0]["fulfillment"] = URL_SAFE_NO_PAD.encode(&der).into();
        let verified = Transaction::verify(&named(transaction).to_string());
        prop_assert_eq!(verified.is_ok(), tag == 0xa4 && length == 0);
    }
}
