//! Deliveries in lanes: one a subscriber and asset, in which none overtakes
//! another.

use std::collections::{BTreeSet, HashMap, VecDeque};

use jiff::Timestamp;
use offchain_ledger::Id;
use offchain_store::ledger::Delivery;

/// A lane's subscriber, by its place in the list, and its asset.
pub(super) type LaneKey = (usize, Id);

/// Where it is certain that a delivery is not forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Held {
    /// In the table.
    Table,
    /// On the chain: the cursor is not over its height yet.
    Chain(u64),
    /// Nowhere else: it came by the stream of a node that knows no heights.
    Nowhere,
}

/// One delivery.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) delivery: Delivery,
    pub(super) held: Held,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Its first is to be tried.
    Ready,
    /// Its first is being tried.
    Busy,
    /// Its first is tried again later.
    Waiting(Timestamp),
}

struct Lane {
    items: VecDeque<Item>,
    state: State,
}

/// All lanes.
pub(super) struct Lanes {
    lanes: HashMap<LaneKey, Lane>,
    ready: Vec<VecDeque<LaneKey>>,
    busy: Vec<usize>,
    waiting: BTreeSet<(Timestamp, LaneKey)>,
    /// Those of the waiting whose last deliveries are not in the table.
    unkept: BTreeSet<LaneKey>,
    in_table: usize,
}

impl Lanes {
    pub(super) fn new(subscribers: usize) -> Self {
        Self {
            lanes: HashMap::new(),
            ready: vec![VecDeque::new(); subscribers],
            busy: vec![0; subscribers],
            waiting: BTreeSet::new(),
            unkept: BTreeSet::new(),
            in_table: 0,
        }
    }

    /// How many deliveries of a subscriber are being tried.
    pub(super) fn busy(&self, subscriber: usize) -> usize {
        self.busy[subscriber]
    }

    /// How many deliveries are in the table.
    pub(super) fn in_table(&self) -> usize {
        self.in_table
    }

    /// Puts a delivery behind the others of its lane. False where it is there
    /// already: the cursor was set back behind what the table has.
    pub(super) fn push(&mut self, subscriber: usize, item: Item) -> bool {
        let key = (subscriber, item.delivery.event.asset_id.clone());
        if let Some(lane) = self.lanes.get_mut(&key) {
            let position = &item.delivery.position;
            let newest = lane
                .items
                .back()
                .is_none_or(|last| last.delivery.position < *position);
            let known = |known: &Item| known.delivery.position == *position;
            if !newest && lane.items.iter().any(known) {
                return false;
            }
            self.in_table += usize::from(item.held == Held::Table);
            if item.held != Held::Table && matches!(lane.state, State::Waiting(_)) {
                self.unkept.insert(key);
            }
            lane.items.push_back(item);
            return true;
        }
        self.in_table += usize::from(item.held == Held::Table);
        let state = if item.held == Held::Table {
            let due = item.delivery.next_attempt.timestamp();
            self.waiting.insert((due, key.clone()));
            State::Waiting(due)
        } else {
            self.ready[subscriber].push_back(key.clone());
            State::Ready
        };
        let items = VecDeque::from([item]);
        self.lanes.insert(key, Lane { items, state });
        true
    }

    /// The next delivery of a subscriber that may be tried, where fewer than
    /// `most` are.
    pub(super) fn take(&mut self, subscriber: usize, most: usize) -> Option<(LaneKey, Item)> {
        if self.busy[subscriber] >= most {
            return None;
        }
        let key = self.ready[subscriber].pop_front()?;
        let lane = self.lanes.get_mut(&key)?;
        let item = lane.items.front()?.clone();
        lane.state = State::Busy;
        self.busy[subscriber] += 1;
        Some((key, item))
    }

    /// The delivery that was tried is made, or given up: the next of its lane
    /// may be tried. It is returned.
    pub(super) fn done(&mut self, key: &LaneKey) -> Option<Item> {
        self.busy[key.0] -= 1;
        let lane = self.lanes.get_mut(key)?;
        let item = lane.items.pop_front();
        self.in_table -= usize::from(item.as_ref().is_some_and(|item| item.held == Held::Table));
        if lane.items.is_empty() {
            self.lanes.remove(key);
        } else {
            lane.state = State::Ready;
            self.ready[key.0].push_back(key.clone());
        }
        item
    }

    /// The delivery that was tried is to be tried again, as `delivery` says.
    pub(super) fn postpone(&mut self, key: &LaneKey, delivery: Delivery) {
        self.busy[key.0] -= 1;
        self.wait(key, delivery);
    }

    /// A subscriber rests: nothing of it is tried before `until`.
    pub(super) fn rest(&mut self, subscriber: usize, until: Timestamp) {
        for key in std::mem::take(&mut self.ready[subscriber]) {
            let first = self.lanes.get(&key).and_then(|lane| lane.items.front());
            let Some(mut delivery) = first.map(|item| item.delivery.clone()) else {
                continue;
            };
            delivery.next_attempt = until.into();
            self.wait(&key, delivery);
        }
    }

    fn wait(&mut self, key: &LaneKey, delivery: Delivery) {
        let Some(lane) = self.lanes.get_mut(key) else {
            return;
        };
        let due = delivery.next_attempt.timestamp();
        if let Some(first) = lane.items.front_mut() {
            first.delivery = delivery;
        }
        lane.state = State::Waiting(due);
        if lane.has_unkept() {
            self.unkept.insert(key.clone());
        }
        self.waiting.insert((due, key.clone()));
    }

    /// When the next of those that wait is due.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        self.waiting.first().map(|(due, _)| *due)
    }

    /// Whatever is due by now may be tried.
    pub(super) fn wake(&mut self, now: Timestamp) {
        while let Some((due, key)) = self.waiting.first().cloned()
            && due <= now
        {
            self.waiting.pop_first();
            self.unkept.remove(&key);
            if let Some(lane) = self.lanes.get_mut(&key) {
                lane.state = State::Ready;
                self.ready[key.0].push_back(key);
            }
        }
    }

    /// Whether some that wait are not in the table.
    pub(super) fn has_unkept(&self) -> bool {
        !self.unkept.is_empty()
    }

    /// Those that wait, with all behind them, and are not in the table: at most
    /// `most`.
    pub(super) fn to_keep(&self, most: usize) -> Vec<(LaneKey, Delivery)> {
        let unkept = self
            .unkept
            .iter()
            .filter_map(|key| Some((key, self.lanes.get(key)?)));
        unkept
            .flat_map(|(key, lane)| {
                let items = lane.items.range(lane.first_unkept()..);
                items.map(move |item| (key.clone(), item.delivery.clone()))
            })
            .take(most)
            .collect()
    }

    /// Those that neither the chain nor the table has.
    pub(super) fn nowhere_else(&self) -> Vec<Delivery> {
        let items = self.lanes.values().flat_map(|lane| &lane.items);
        items
            .filter(|item| item.held == Held::Nowhere)
            .map(|item| item.delivery.clone())
            .collect()
    }

    /// A delivery is in the table now. Returns what held it before.
    pub(super) fn kept(&mut self, key: &LaneKey, position: &str) -> Option<Held> {
        let lane = self.lanes.get_mut(key)?;
        let first = lane.first_unkept();
        let item = lane
            .items
            .range_mut(first..)
            .find(|item| item.delivery.position == position)?;
        let held = std::mem::replace(&mut item.held, Held::Table);
        self.in_table += 1;
        if !lane.has_unkept() {
            self.unkept.remove(key);
        }
        Some(held)
    }
}

impl Lane {
    /// Where those begin that are not in the table. They are the last ones: the
    /// table is read before the first block, and takes them in their order.
    fn first_unkept(&self) -> usize {
        let kept = self.items.iter().rposition(|item| item.held == Held::Table);
        kept.map_or(0, |last| last + 1)
    }

    fn has_unkept(&self) -> bool {
        self.items
            .back()
            .is_some_and(|last| last.held != Held::Table)
    }
}

#[cfg(test)]
mod tests;
