//! Each alarm on a feed rings for its own cause, alone, and is quiet again when
//! the cause is gone. What the sweep counts is written by the test, for slots
//! that have long passed: nobody has to wait until real ones have.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use offchain_oracle::{Aggregate, Reading, SigningKey, Slot};
use offchain_store::keys;
use serde_json::json;

use crate::harness::{SOON, World, until};
use crate::oracle::demo;
use crate::oracle_faults::forget;
use crate::twin::Twin;

/// The alarms that ring, of those whose name holds a text.
pub(crate) async fn ringing(world: &World, holding: &str) -> BTreeSet<String> {
    let alarms = world.alarms().await.into_iter();
    let ringing = alarms.filter(|(name, state)| name.contains(holding) && state == "ALARM");
    ringing.map(|(name, _)| name).collect()
}

/// The feed `demo`, as it is written by the test.
struct Feed<'a> {
    world: &'a World,
    key: SigningKey,
    epoch: u64,
    /// The first slot that has not been written.
    next: Slot,
}

impl<'a> Feed<'a> {
    /// Every slot since so long ago has a reading that was written in time.
    async fn since(world: &'a World, ago: SignedDuration) -> Self {
        let secret = world.secret(&world.stack.oracle.key_secret_arn).await;
        let newest = world.oracle_keys.newest().await.unwrap().unwrap();
        let mut feed = Self {
            world,
            key: keys::parse(&secret).unwrap(),
            epoch: newest.epoch,
            next: world.slot_in(-ago),
        };
        feed.go_on().await;
        feed
    }

    /// Every slot until now has a reading that was written in time.
    async fn go_on(&mut self) {
        let until = self.world.interval().at_or_before(Timestamp::now());
        let slots = self.world.interval().slots(self.next.into(), until.into());
        self.write(slots.collect(), SignedDuration::from_millis(3))
            .await;
        self.next = until;
    }

    /// Writes readings of slots, so late each.
    async fn write(&self, slots: Vec<Slot>, late: SignedDuration) {
        let expiration = (Timestamp::now() + SignedDuration::from_hours(24)).as_second();
        stream::iter(slots)
            .for_each_concurrent(8, async |slot| {
                let aggregate = Aggregate::demo(7, slot.timestamp());
                let reading = Reading {
                    feed: demo(),
                    slot,
                    observed: slot.timestamp(),
                    written: slot.timestamp() + late,
                    value: aggregate.value,
                    exponent: 0,
                    spread: aggregate.spread,
                    sources: aggregate.sources,
                    left_out: aggregate.left_out,
                    key_epoch: self.epoch,
                };
                let reading = reading.sign(&self.key);
                let readings = &self.world.readings;
                assert!(readings.publish(&reading, expiration).await.unwrap());
            })
            .await;
    }

    /// Takes slots' records away.
    async fn forget(&self, slots: &[Slot]) {
        for slot in slots {
            forget(self.world, &demo(), *slot).await;
        }
    }

    /// The slots of a stretch of time, in minutes before now.
    fn slots(&self, from: i64, to: i64) -> Vec<Slot> {
        let at = |ago| Timestamp::now() - SignedDuration::from_mins(ago);
        let slots = self.world.interval().slots(at(from), at(to));
        slots.collect()
    }

    /// Sweeps what there is since a slot, and returns how many it found missing.
    async fn sweep(&mut self, from: Slot) -> u64 {
        self.go_on().await;
        self.world.sweep_from(&demo(), from).await;
        self.count().await
    }

    async fn count(&self) -> u64 {
        let sweep = json!({"sweep": true});
        let reply = self.world.invoke("oracle-missed", &sweep).await.unwrap();
        reply["missed"].as_u64().unwrap()
    }

    /// Waits until these alarms of the feed ring, and no others.
    async fn rings(&self, alarms: &[&str]) {
        let prefix = format!("{}-oracle-demo-", self.world.stack.name);
        let expected: BTreeSet<_> = alarms
            .iter()
            .map(|name| format!("{prefix}{name}"))
            .collect();
        until(&format!("{alarms:?} to ring, alone"), SOON, async || {
            (ringing(self.world, &prefix).await == expected).then_some(())
        })
        .await;
    }

    /// Waits until all alarms of the feed are quiet, while all is well.
    async fn calms_down(&mut self) {
        let well = self.slots(12, 11)[0];
        let mut swept = Instant::now();
        self.sweep(well).await;
        let prefix = format!("{}-oracle-demo-", self.world.stack.name);
        until("the alarms to be quiet", SOON, async || {
            if swept.elapsed() > Duration::from_secs(15) {
                self.sweep(well).await;
                swept = Instant::now();
            }
            ringing(self.world, &prefix).await.is_empty().then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn each_alarm_on_a_feed_rings_for_its_own_cause_and_is_quiet_again() {
    let twin = Twin::quiet("oracle-alarms").await;
    let world = &twin.world;
    let mut demo = Feed::since(world, SignedDuration::from_mins(20)).await;

    // Nobody looks: nobody knows how old the newest reading is.
    demo.rings(&["staleness"]).await;
    demo.calms_down().await;

    // Twenty slots in a row, of the fewer than 1000 that were counted by then.
    let late = demo.slots(19, 18)[..20].to_vec();
    demo.forget(&late).await;
    demo.write(late.clone(), SignedDuration::from_millis(501))
        .await;
    assert_eq!(demo.sweep(late[0]).await, 0);
    demo.rings(&["lateness"]).await;
    // Of those that are counted now they are fewer than one in a hundred.
    for _ in 0..5 {
        let well = demo.slots(17, 16)[0];
        assert_eq!(demo.sweep(well).await, 0);
    }
    demo.rings(&[]).await;

    let lost = demo.slots(14, 13)[0];
    demo.forget(&[lost]).await;
    assert_eq!(demo.sweep(lost).await, 1);
    demo.rings(&["missed"]).await;
    demo.calms_down().await;

    // The newest reading is 70 s old, but no slot is swept for that yet.
    demo.go_on().await;
    let newest = world.slot_in(SignedDuration::from_secs(-70));
    let young = world.interval().slots(newest.into(), demo.next.into());
    let young: Vec<_> = young.collect();
    demo.forget(&young).await;
    assert_eq!(demo.count().await, 0);
    demo.rings(&["staleness"]).await;
    demo.write(young, SignedDuration::from_millis(3)).await;
    demo.calms_down().await;
}
