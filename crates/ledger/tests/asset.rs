//! Assets: the same in whatever order their transactions come.

#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::{create, input, key, output, signed, transfer};
use offchain_codes::Coded;
use offchain_ledger::{
    Asset, AssetError, Change, DriverChange, Id, Input, Operation, Output, OutputRef, PublicKey,
    Transaction,
};
use proptest::{prelude::*, sample::Index};
use serde_json::{Value, json};

const LESSOR: u8 = 0;

/// Keys without anybody who could sign for them.
fn someone(who: u8) -> PublicKey {
    PublicKey::from_bytes([who; 32])
}

fn id(number: usize) -> Id {
    format!("{number:064x}").parse().unwrap()
}

fn at(transaction: usize, index: usize) -> OutputRef {
    OutputRef {
        transaction_id: id(transaction),
        output_index: index.try_into().unwrap(),
    }
}

fn condition(owners: &[u8]) -> String {
    format!("condition of {owners:?}")
}

fn gives(owners: &[u8], amount: u64) -> Output {
    Output {
        public_keys: owners.iter().map(|who| someone(*who)).collect(),
        amount,
        condition: condition(owners),
    }
}

fn takes(owners: &[u8], fulfills: Option<OutputRef>) -> Input {
    Input {
        owners_before: owners.iter().rev().map(|who| someone(*who)).collect(),
        fulfills,
        condition: Some(condition(owners)),
    }
}

/// The first transaction, number 0.
fn creates(data: Value, outputs: Vec<Output>) -> Transaction {
    Transaction {
        id: id(0),
        asset_id: id(0),
        operation: Operation::Create,
        asset_data: Some(data),
        metadata: None,
        inputs: vec![takes(&[9], None)],
        outputs,
    }
}

fn hands(number: usize, inputs: Vec<Input>, outputs: Vec<Output>) -> Transaction {
    Transaction {
        id: id(number),
        asset_id: id(0),
        operation: Operation::Transfer,
        asset_data: None,
        metadata: None,
        inputs,
        outputs,
    }
}

/// A car whose holders, after its lessor, are these, with the incidents of what
/// ends then.
fn car_history(holders: &[(u8, Value)]) -> Vec<Transaction> {
    let mut history = vec![creates(
        json!({"car": {"model": "Fiat", "value": 2_500_000}}),
        vec![gives(&[LESSOR], 1)],
    )];
    let mut from = LESSOR;
    for (number, (to, incidents)) in (1..).zip(holders) {
        let spent = takes(&[from], Some(at(number - 1, 0)));
        let mut hand = hands(number, vec![spent], vec![gives(&[*to], 1)]);
        hand.metadata = Some(json!({"incidents": incidents}));
        history.push(hand);
        from = *to;
    }
    history
}

/// What became of an asset.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    /// started, ended, claim_free and incidents of each driver.
    records: BTreeMap<PublicKey, [u32; 4]>,
    /// Whom it is leased to.
    open: BTreeSet<PublicKey>,
}

impl Outcome {
    fn add(&mut self, change: Change) {
        for (driver, change) in change.drivers {
            assert_ne!(change, DriverChange::default(), "nothing changes");
            assert!(!(change.opened && change.closed));
            let DriverChange {
                started,
                ended,
                claim_free,
                incidents,
                opened,
                closed,
            } = change;
            let facts = [started, ended, claim_free, incidents];
            if facts != [0; 4] {
                let record = self.records.entry(driver.clone()).or_default();
                for (sum, fact) in record.iter_mut().zip(facts) {
                    *sum += fact;
                }
            }
            if opened {
                assert!(self.open.insert(driver.clone()), "it was open");
            }
            if closed {
                assert!(self.open.remove(&driver), "it was not open");
            }
        }
    }
}

/// Applies the transactions in this order.
fn applied<'a>(
    create: &Transaction,
    order: impl IntoIterator<Item = &'a Transaction>,
) -> (Asset, Outcome) {
    let mut asset = Asset::new(create).unwrap();
    let mut outcome = Outcome::default();
    for transaction in order {
        outcome.add(asset.apply(transaction).unwrap());
        // What is kept between two transactions is what was there.
        let kept = serde_json::to_string(&asset).unwrap();
        assert_eq!(serde_json::from_str::<Asset>(&kept).unwrap(), asset);
    }
    (asset, outcome)
}

/// What a person with a pencil would say of a car.
fn expected(holders: &[(u8, Value)]) -> Outcome {
    let mut outcome = Outcome::default();
    let mut from = LESSOR;
    for (to, incidents) in holders {
        let told = incidents.as_u64().filter(|told| *told <= 100).unwrap_or(0);
        if from != LESSOR {
            let record = outcome.records.entry(someone(from)).or_default();
            record[1] += 1;
            record[2] += u32::from(told == 0);
            record[3] += told as u32;
        }
        if *to != LESSOR {
            outcome.records.entry(someone(*to)).or_default()[0] += 1;
        }
        from = *to;
    }
    if from != LESSOR {
        outcome.open.insert(someone(from));
    }
    outcome
}

/// Each order that there is.
fn orders(count: usize) -> Vec<Vec<usize>> {
    if count == 0 {
        return vec![vec![]];
    }
    let shorter = orders(count - 1).into_iter();
    shorter
        .flat_map(|order| {
            (0..count).map(move |place| {
                let mut order = order.clone();
                order.insert(place, count - 1);
                order
            })
        })
        .collect()
}

fn holders(most: usize) -> impl Strategy<Value = Vec<(u8, Value)>> {
    let incidents = prop_oneof![
        Just(json!(0)),
        Just(json!(1)),
        Just(json!(100)),
        Just(json!(101)),
        Just(json!(-1)),
        Just(json!(2.0)),
        Just(json!("2")),
        Just(json!(null)),
    ];
    prop::collection::vec((0..4_u8, incidents), 0..=most)
}

/// Splits and merges of an asset by random owners: whom each output goes to, and
/// how many outputs each transaction takes and gives.
fn token_history(
    steps: &[(Index, usize, Vec<Vec<u8>>)],
) -> (Vec<Transaction>, BTreeMap<OutputRef, Output>) {
    let first = vec![gives(&[0], 60), gives(&[1, 2], 40)];
    let mut unspent: BTreeMap<_, _> = (0..).map(|index| at(0, index)).zip(first.clone()).collect();
    let mut history = vec![creates(json!({"shares": 100}), first)];
    let owners = |output: &Output| -> Vec<u8> {
        output
            .public_keys
            .iter()
            .map(|key| key.as_bytes()[0])
            .collect()
    };
    for (number, (which, take, to)) in (1..).zip(steps) {
        let mut inputs = Vec::new();
        let mut amount = 0;
        for _ in 0..(*take).min(unspent.len()) {
            let names: Vec<_> = unspent.keys().cloned().collect();
            let name = which.get(&names).clone();
            let output = unspent.remove(&name).unwrap();
            amount += output.amount;
            inputs.push(takes(&owners(&output), Some(name)));
        }
        let mut outputs: Vec<_> = to
            .iter()
            .take(amount as usize)
            .map(|owners| gives(owners, 1))
            .collect();
        let others = outputs.len() as u64 - 1;
        outputs[0].amount = amount - others;
        for (index, output) in outputs.iter().enumerate() {
            unspent.insert(at(number, index), output.clone());
        }
        history.push(hands(number, inputs, outputs));
    }
    (history, unspent)
}

fn steps() -> impl Strategy<Value = Vec<(Index, usize, Vec<Vec<u8>>)>> {
    let owners =
        prop::collection::btree_set(0..5_u8, 1..=3).prop_map(|keys| keys.into_iter().collect());
    let to = prop::collection::vec(owners, 1..=3);
    prop::collection::vec((any::<Index>(), 1..=3_usize, to), 0..=8)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_car_is_the_same_in_every_order(holders in holders(5)) {
        let history = car_history(&holders);
        let wanted = expected(&holders);
        let (last, _) = applied(&history[0], &history);
        prop_assert_eq!(last.driver(), wanted.open.first());
        prop_assert!(last.spent.is_empty());
        prop_assert_eq!(last.transactions, history.len() as u64);
        let holder = holders.last().map_or(LESSOR, |(to, _)| *to);
        let owners = last.owners();
        prop_assert_eq!(owners.len(), 1);
        prop_assert_eq!(&owners[0].public_keys, &vec![someone(holder)]);
        prop_assert_eq!(&owners[0].output, &at(holders.len(), 0));
        for order in orders(history.len()) {
            let ordered = order.iter().map(|number| &history[*number]);
            let (asset, outcome) = applied(&history[0], ordered);
            prop_assert_eq!(&asset, &last, "{:?}", &order);
            prop_assert_eq!(&outcome, &wanted, "{:?}", &order);
        }
    }

    #[test]
    fn a_long_lease_history_is_the_same_in_any_order(
        (holders, order) in holders(60).prop_flat_map(|holders| {
            let order: Vec<_> = (0..=holders.len()).collect();
            (Just(holders), Just(order).prop_shuffle())
        })
    ) {
        let history = car_history(&holders);
        let (asset, outcome) = applied(&history[0], order.iter().map(|number| &history[*number]));
        prop_assert_eq!(asset, applied(&history[0], &history).0);
        prop_assert_eq!(outcome, expected(&holders));
    }

    #[test]
    fn a_divided_asset_is_the_same_in_any_order(steps in steps(), shuffles in prop::collection::vec(any::<u64>(), 20)) {
        let (history, unspent) = token_history(&steps);
        for shuffle in shuffles {
            let mut order: Vec<_> = (0..history.len()).collect();
            // Each number leads to another order.
            order.sort_by_cached_key(|number| (shuffle ^ (*number as u64 + 1)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31));
            let (asset, outcome) = applied(&history[0], order.iter().map(|number| &history[*number]));
            prop_assert_eq!(&asset.unspent, &unspent);
            prop_assert!(asset.spent.is_empty());
            prop_assert_eq!(outcome, Outcome::default());
            let all: u64 = asset.owners().iter().map(|owned| owned.amount).sum();
            prop_assert_eq!(all, 100);
        }
    }
}

#[test]
fn a_lease_is_followed() {
    let history = car_history(&[
        (1, json!(0)),
        (2, json!(2)),
        (2, json!(0)),
        (LESSOR, json!(0)),
    ]);
    let mut asset = Asset::new(&history[0]).unwrap();
    let car = asset.car.clone().unwrap();
    assert_eq!(
        (car.lessor, car.model.as_str(), car.value),
        (someone(LESSOR), "Fiat", 2_500_000)
    );
    assert_eq!(asset.driver(), None);
    let started = DriverChange {
        started: 1,
        opened: true,
        ..DriverChange::default()
    };
    let ended = DriverChange {
        ended: 1,
        closed: true,
        ..DriverChange::default()
    };
    for (transaction, drivers, driver) in [
        (0, vec![], None),
        (1, vec![(1, started)], Some(1)),
        (
            2,
            vec![
                (
                    1,
                    DriverChange {
                        incidents: 2,
                        ..ended
                    },
                ),
                (2, started),
            ],
            Some(2),
        ),
        (
            3,
            vec![(
                2,
                DriverChange {
                    started: 1,
                    ended: 1,
                    claim_free: 1,
                    ..DriverChange::default()
                },
            )],
            Some(2),
        ),
        (
            4,
            vec![(
                2,
                DriverChange {
                    claim_free: 1,
                    ..ended
                },
            )],
            None,
        ),
    ] {
        let change = asset.apply(&history[transaction]).unwrap();
        let drivers = drivers
            .into_iter()
            .map(|(who, change)| (someone(who), change));
        assert_eq!(change.drivers, drivers.collect());
        assert_eq!(asset.driver(), driver.map(someone).as_ref());
    }
}

#[test]
fn what_comes_late_opens_nothing() {
    let history = car_history(&[(1, json!(0)), (LESSOR, json!(0)), (1, json!(0))]);
    let mut asset = Asset::new(&history[0]).unwrap();
    let facts = |change: &Change| {
        let change = change.drivers[&someone(1)];
        (change.started, change.ended, change.opened, change.closed)
    };
    assert_eq!(
        facts(&asset.apply(&history[2]).unwrap()),
        (0, 1, false, false)
    );
    assert_eq!(asset.spent.len(), 1);
    assert_eq!(
        facts(&asset.apply(&history[1]).unwrap()),
        (1, 0, false, false)
    );
    assert_eq!(asset.apply(&history[0]).unwrap(), Change::default());
    assert_eq!(asset.driver(), None);
    assert_eq!(
        facts(&asset.apply(&history[3]).unwrap()),
        (1, 0, true, false)
    );

    // The same driver has it again before the end of the first lease is known.
    let mut asset = Asset::new(&history[0]).unwrap();
    asset.apply(&history[0]).unwrap();
    assert_eq!(
        facts(&asset.apply(&history[1]).unwrap()),
        (1, 0, true, false)
    );
    assert_eq!(
        facts(&asset.apply(&history[3]).unwrap()),
        (1, 0, false, false)
    );
    assert_eq!(asset.driver(), None, "a transaction is missing");
    assert_eq!(
        facts(&asset.apply(&history[2]).unwrap()),
        (0, 1, false, false)
    );
    assert_eq!(asset.driver(), Some(&someone(1)));
}

#[test]
fn what_is_no_car_has_no_drivers() {
    let one = || vec![gives(&[LESSOR], 1)];
    let value = |value: Value| json!({"car": {"value": value}});
    for (data, outputs, is_car) in [
        (value(json!(1)), one(), true),
        (value(json!(1_000_000_000_000_u64)), one(), true),
        (value(json!(0)), one(), false),
        (value(json!(1_000_000_000_001_u64)), one(), false),
        (value(json!(-1)), one(), false),
        (value(json!(1.0)), one(), false),
        (value(json!("1")), one(), false),
        (json!({"car": 1}), one(), false),
        (json!({"value": 1}), one(), false),
        (value(json!(1)), vec![], false),
        (value(json!(1)), vec![gives(&[LESSOR], 2)], false),
        (value(json!(1)), vec![gives(&[LESSOR, 1], 1)], false),
        (
            value(json!(1)),
            vec![gives(&[LESSOR], 1), gives(&[1], 1)],
            false,
        ),
    ] {
        let created = creates(data.clone(), outputs.clone());
        let mut asset = Asset::new(&created).unwrap();
        assert_eq!(asset.car.is_some(), is_car, "{data} {outputs:?}");
        asset.apply(&created).unwrap();
        assert_eq!(asset.driver(), None);
    }
    let mut created = creates(json!(null), one());
    created.asset_data = None;
    assert_eq!(Asset::new(&created).unwrap().car, None);
    for (model, read) in [
        (json!("é".repeat(200)), "é".repeat(200)),
        (json!("x".repeat(201)), String::new()),
        (json!(1), String::new()),
        (json!(null), String::new()),
    ] {
        let created = creates(json!({"car": {"value": 1, "model": model}}), one());
        assert_eq!(Asset::new(&created).unwrap().car.unwrap().model, read);
    }
    // A car that goes to two people at once has no driver.
    let mut asset = Asset::new(&creates(value(json!(1)), one())).unwrap();
    let both = hands(
        1,
        vec![takes(&[LESSOR], Some(at(0, 0)))],
        vec![gives(&[1, 2], 1)],
    );
    assert_eq!(asset.apply(&both).unwrap(), Change::default());
}

#[test]
fn what_is_none_of_the_asset_changes_nothing() {
    let history = car_history(&[(1, json!(0)), (2, json!(0))]);
    let other = |change: fn(&mut Transaction)| {
        let mut transaction = history[2].clone();
        change(&mut transaction);
        transaction
    };
    let known = [&history[0], &history[1]];
    let foreign = other(|transaction| transaction.asset_id = id(7));
    let owner = other(|transaction| transaction.inputs[0].owners_before = vec![someone(2)]);
    let more = other(|transaction| transaction.inputs[0].owners_before.push(someone(2)));
    let fulfilled = other(|transaction| transaction.inputs[0].condition = Some(condition(&[2])));
    let peeked = other(|transaction| transaction.inputs[0].condition = None);
    let mut twice = history[2].clone();
    twice.inputs.push(takes(&[1], Some(at(6, 0))));
    twice.inputs.push(takes(&[1], Some(at(6, 0))));
    let mismatch = || AssetError::OwnersMismatch(at(1, 0));
    for (transaction, error, code) in [
        (
            foreign,
            AssetError::OtherAsset {
                expected: id(0),
                found: id(7),
            },
            "AssetMismatch",
        ),
        (owner, mismatch(), "OwnersMismatch"),
        (more, mismatch(), "OwnersMismatch"),
        (fulfilled, mismatch(), "OwnersMismatch"),
        (peeked, mismatch(), "OwnersMismatch"),
        (twice, AssetError::DoubleSpend(at(6, 0)), "DoubleSpend"),
    ] {
        let (mut asset, _) = applied(&history[0], known);
        let before = asset.clone();
        assert_eq!(asset.apply(&transaction), Err(error.clone()));
        assert_eq!(asset, before);
        assert_eq!((error.code(), error.retryable()), (code, false));
    }
    // The spend came first, and the output says that it was another's.
    let mut liar = history[1].clone();
    liar.outputs = vec![gives(&[3], 1)];
    let (mut asset, _) = applied(&history[0], [&history[0], &history[2]]);
    let before = asset.clone();
    assert_eq!(asset.apply(&liar), Err(mismatch()));
    assert_eq!(asset, before);
    // Two spends of an output that is not known yet.
    let second = other(|transaction| transaction.id = id(8));
    assert_eq!(asset.apply(&second), Err(AssetError::DoubleSpend(at(1, 0))));
    // A TRANSFER makes no asset.
    let error = Asset::new(&history[1]).unwrap_err();
    assert_eq!(error, AssetError::NotCreated(id(0)));
    assert_eq!((error.code(), error.retryable()), ("AssetMismatch", false));
    assert_eq!(
        error.to_string(),
        format!(
            "expected the CREATE of the asset {}, found a TRANSFER",
            id(0)
        )
    );
}

#[test]
fn verified_transactions_are_applied() {
    let car = signed(
        create(json!({"car": {"value": 100}}), vec![output(1, 1)]),
        &[1],
    );
    let lease = signed(
        transfer(&car, vec![input(1, Some((&car, 0)))], vec![output(2, 1)]),
        &[1],
    );
    let back = signed(
        transfer(&car, vec![input(2, Some((&lease, 0)))], vec![output(1, 1)]),
        &[2],
    );
    let stolen = signed(
        transfer(&car, vec![input(3, Some((&lease, 0)))], vec![output(3, 1)]),
        &[3],
    );
    let [car, lease, back, stolen] =
        [car, lease, back, stolen].map(|text| Transaction::verify(&text.to_string()).unwrap());
    let mut asset = Asset::new(&car).unwrap();
    for transaction in [&lease, &car] {
        asset.apply(transaction).unwrap();
    }
    assert_eq!(asset.driver(), Some(&key(2)));
    assert_eq!(asset.apply(&stolen).unwrap_err().code(), "OwnersMismatch");
    asset.apply(&back).unwrap();
    assert_eq!(asset.driver(), None);
    assert_eq!(asset.owners()[0].public_keys, [key(1)]);
}
