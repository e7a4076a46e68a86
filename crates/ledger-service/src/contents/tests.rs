use offchain_codes::Coded;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::*;

/// Somebody's public key.
const OWNER: &str = "AKnL4NNf3DGWZJS6cPknBuEGnVsV4A4m5tgebLHaRSZ9";

fn id(digit: char) -> Id {
    String::from(digit).repeat(64).parse().unwrap()
}

/// A transaction that nobody signed. It creates its asset where it spends
/// nothing.
fn transaction(name: char, asset: char, spends: &[char]) -> Value {
    let fulfills: Vec<Value> = spends
        .iter()
        .map(|spent| json!({ "transaction_id": id(*spent), "output_index": 0 }))
        .collect();
    let creates = fulfills.is_empty();
    let spends = if creates { vec![Value::Null] } else { fulfills };
    let inputs: Vec<Value> = spends
        .into_iter()
        .map(|spent| json!({ "owners_before": [OWNER], "fulfills": spent, "fulfillment": "" }))
        .collect();
    json!({
        "id": id(name),
        "version": "2.0",
        "operation": if creates { "CREATE" } else { "TRANSFER" },
        "asset": if creates { json!({ "data": null }) } else { json!({ "id": id(asset) }) },
        "metadata": null,
        "inputs": inputs,
        "outputs": [{
            "amount": "1",
            "public_keys": [OWNER],
            "condition": {
                "details": { "type": "ed25519-sha-256", "public_key": OWNER },
                "uri": "ni:///sha-256;?fpt=ed25519-sha-256&cost=131072",
            },
        }],
    })
}

fn block(transactions: &[Value]) -> Block {
    let text = |transaction: &Value| RawValue::from_string(transaction.to_string()).unwrap();
    Block {
        height: 7,
        transactions: transactions.iter().map(text).collect(),
    }
}

/// The order that a block's transactions are told of.
fn order(transactions: &[Value]) -> String {
    let contents = Contents::of(&block(transactions));
    assert!(contents.unreadable.is_empty(), "{:?}", contents.unreadable);
    let ids = contents.transactions.iter();
    ids.map(|found| &found.id.as_str()[..1]).collect()
}

/// All orders of some things.
fn orders<T: Clone>(things: &[T]) -> Vec<Vec<T>> {
    if things.is_empty() {
        return vec![vec![]];
    }
    (0..things.len())
        .flat_map(|first| {
            let mut rest = things.to_vec();
            let first = rest.remove(first);
            orders(&rest).into_iter().map(move |mut order| {
                order.insert(0, first.clone());
                order
            })
        })
        .collect()
}

#[test]
fn whatever_the_order_of_a_block_none_is_told_of_before_what_it_spends() {
    // A car that is made, leased, handed over and brought back in one block,
    // beside another asset.
    let chained = [
        transaction('d', 'd', &[]),
        transaction('b', 'd', &['d']),
        transaction('c', 'd', &['b']),
        transaction('a', 'd', &['c']),
        transaction('e', 'e', &[]),
    ];
    for listed in orders(&chained) {
        let order = order(&listed);
        assert_eq!(order.len(), 5, "{order}");
        let at = |name: char| order.find(name).unwrap();
        assert!(
            at('d') < at('b') && at('b') < at('c') && at('c') < at('a'),
            "{order}"
        );
    }
}

#[test]
fn a_transaction_that_spends_several_comes_after_all_of_them() {
    let joined = [
        transaction('a', 'f', &['c', 'b']),
        transaction('b', 'f', &['d']),
        transaction('c', 'f', &['e']),
        // What it moves was made in an earlier block.
        transaction('d', 'f', &['0']),
        transaction('e', 'f', &['1']),
    ];
    for listed in orders(&joined) {
        let order = order(&listed);
        let at = |name: char| order.find(name).unwrap();
        assert!(at('d') < at('b') && at('e') < at('c'), "{order}");
        assert_eq!(at('a'), 4, "{order}");
    }
}

#[test]
fn an_asset_is_told_of_before_whoever_moves_it() {
    // It spends an output of another asset's, which no node accepts; its own
    // is made here all the same.
    let moved = [transaction('a', 'b', &['0']), transaction('b', 'b', &[])];
    assert_eq!(order(&moved), "ba");
}

#[test]
fn what_depends_on_nothing_keeps_the_order_of_the_block() {
    let apart = ['a', 'b', 'c', 'd'].map(|name| transaction(name, name, &[]));
    assert_eq!(order(&apart), "abcd");
    assert_eq!(order(&[]), "");
}

#[test]
fn transactions_that_wait_for_each_other_are_not_lost() {
    let circle = [
        transaction('a', 'f', &['b']),
        transaction('b', 'f', &['a']),
        transaction('c', 'c', &[]),
    ];
    let order = order(&circle);
    let mut names: Vec<char> = order.chars().collect();
    names.sort_unstable();
    assert_eq!(names, ['a', 'b', 'c'], "{order}");
}

#[test]
fn what_validators_vote_on_is_left_out() {
    let mut election = transaction('b', 'b', &[]);
    election["operation"] = "VALIDATOR_ELECTION".into();
    let mut vote = transaction('c', 'b', &['b']);
    vote["operation"] = "VOTE".into();
    let listed = [election, transaction('a', 'a', &[]), vote];
    assert_eq!(order(&listed), "a");
}

#[test]
fn what_cannot_be_read_is_kept_apart_as_it_stands() {
    let mut later = transaction('b', 'b', &[]);
    later["version"] = "3.0".into();
    let mut torn = transaction('c', 'c', &[]);
    torn["outputs"] = json!({});
    let nothing = json!({});
    let listed = [later, transaction('a', 'a', &[]), torn, nothing];
    let contents = Contents::of(&block(&listed));
    assert_eq!(contents.transactions.len(), 1);
    assert_eq!(contents.transactions[0].id, id('a'));
    let apart = contents.unreadable.iter();
    let apart: Vec<_> = apart
        .map(|(text, error)| (text.clone(), error.code()))
        .collect();
    assert_eq!(
        apart,
        [0, 2, 3].map(|at: usize| (listed[at].to_string(), "TransactionMalformed"))
    );
}

#[test]
fn a_block_is_told_by_its_ids_whatever_their_order() {
    let digest = |listed: &[Value]| Contents::of(&block(listed)).digest();
    let listed = [
        transaction('d', 'd', &[]),
        transaction('b', 'd', &['d']),
        transaction('c', 'c', &[]),
    ];
    let told = digest(&listed);
    let text = told.as_ref().unwrap();
    assert_eq!(text.len(), 32);
    assert!(text.bytes().all(|byte| byte.is_ascii_hexdigit()));
    for order in orders(&listed) {
        assert_eq!(digest(&order), told);
    }
    for other in [
        vec![],
        listed[..2].to_vec(),
        vec![
            listed[0].clone(),
            listed[1].clone(),
            transaction('e', 'e', &[]),
        ],
    ] {
        assert_ne!(digest(&other), told);
    }
    // Blocks without transactions tell nothing.
    assert_eq!(digest(&[]), None);
}

#[test]
fn an_event_tells_where_its_transaction_stands() {
    let contents = Contents::of(&block(&[transaction('b', 'a', &['0'])]));
    let told = event(&contents.transactions[0], 7);
    assert_eq!(told, Event::new(id('b'), id('a'), Place::Height(7)));
}
