//! Keys change, and every proof stays checkable.

use jiff::Timestamp;
use offchain_store::keys;
use offchain_vrf::{ProofBundle, SecretKey, Suite};
use serde_json::{Value, json};

use crate::fulfilment::public_key;
use crate::harness::{SOON, World, bundle, offchain, until};

/// A fulfilled request's epoch and bundle.
async fn closed(world: &World, id: &str) -> (u64, ProofBundle) {
    let view = world.api.closed(id, SOON).await;
    assert_eq!(view["status"], "fulfilled", "{view}");
    (view["key_epoch"].as_u64().unwrap(), bundle(&view))
}

/// Waits until an epoch is active.
async fn active(epoch: &Value) {
    let from: Timestamp = epoch["active_from"].as_str().unwrap().parse().unwrap();
    until("the epoch to be active", SOON, async || {
        (Timestamp::now() >= from).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_request_is_proved_by_the_key_that_was_active_when_it_was_made() {
    let world = World::alone().await;
    let old = world.api.keys().await.remove(0);
    active(&json!({"active_from": old.active_from})).await;
    let before = world.api.request(&json!({"min": 1, "max": 6})).await;

    let new = offchain(&["vrf", "rotate-key", "--json"]).await.json();
    assert_eq!(new["epoch"], old.epoch + 1);
    let from: Timestamp = new["active_from"].as_str().unwrap().parse().unwrap();
    let newest = world.api.keys().await.remove(0);
    assert_eq!(
        serde_json::to_value(&newest).unwrap()["public_key"],
        new["public_key"]
    );
    assert_eq!(
        (newest.epoch, newest.active_from.timestamp()),
        (old.epoch + 1, from)
    );
    assert!(newest.active_from > newest.published_at);

    // Published, but not active: still the old key, also for a value that is
    // proved when the new key is active.
    let between = world
        .api
        .request(&json!({"min": 1, "max": 6, "delay_seconds": 9}))
        .await;
    let accepted = world
        .record(&between)
        .await
        .request
        .request_time
        .timestamp();
    assert!(
        accepted < from,
        "the machine is too busy for this test: {accepted}, {from}"
    );
    active(&new).await;
    let after = world.api.request(&json!({"min": 1, "max": 6})).await;

    let epochs = world.api.keys().await;
    let mut proofs = Vec::new();
    for (id, epoch) in [
        (before, old.epoch),
        (between, old.epoch),
        (after, old.epoch + 1),
    ] {
        let (bound, bundle) = closed(&world, &id).await;
        assert_eq!(bound, epoch, "{id}");
        bundle.verify_with_key(&public_key(&epochs, epoch)).unwrap();
        proofs.push((epoch, bundle));
    }

    // A key that somebody else put there becomes an epoch, and replaces none.
    let foreign = SecretKey::generate(Suite::P256Sha256Tai, &mut rand::rng());
    let text = keys::write(&foreign);
    world
        .put_secret(&world.stack.vrf.key_secret_arn, &text)
        .await;
    let reconciled = world
        .invoke("rotate-key", &json!({"action": "reconcile"}))
        .await
        .unwrap();
    assert_eq!(reconciled["epoch"], old.epoch + 2);
    assert_eq!(
        reconciled["public_key"],
        hex::encode(foreign.public_key().as_bytes())
    );
    assert_eq!(reconciled["suite"], "ECVRF-P256-SHA256-TAI");
    // Once is enough.
    let again = world
        .invoke("rotate-key", &json!({"action": "reconcile"}))
        .await
        .unwrap();
    assert_eq!(
        (&again["published"], &again["epoch"]),
        (&json!(false), &reconciled["epoch"])
    );
    active(&reconciled).await;
    let id = world.api.request(&json!({"min": 1, "max": 6})).await;
    let (epoch, bundle) = closed(&world, &id).await;
    assert_eq!(epoch, old.epoch + 2);
    proofs.push((epoch, bundle));

    // Every proof verifies by the key of its epoch, and by no other.
    let epochs = world.api.keys().await;
    for (epoch, bundle) in &proofs {
        for key in &epochs {
            let key = public_key(&epochs, key.epoch);
            let by = epochs.iter().find(|known| known.epoch == *epoch).unwrap();
            let same = by.public_key == hex::encode(key.as_bytes());
            assert_eq!(bundle.verify_with_key(&key).is_ok(), same, "{epoch}");
        }
    }

    // The stack goes on with keys of its own suite.
    let last = world
        .invoke("rotate-key", &json!({"action": "rotate"}))
        .await
        .unwrap();
    assert_eq!(last["suite"], old.suite);
    active(&last).await;
}
