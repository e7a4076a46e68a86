//! One run of a listener, from the lease to its end.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use futures_util::stream::{self, FuturesOrdered, FuturesUnordered, StreamExt};
use jiff::{SignedDuration, Timestamp};
use offchain_codes::{Coded, chain};
use offchain_ledger::{Event, Notice, Place, Transaction};
use offchain_store::clock;
use offchain_store::ledger::{Cursor, Delivery};
use offchain_store::locks::{Lease, LockError};
use serde_json::json;
use tokio::time::Instant;

use super::lanes::{Held, Item, LaneKey, Lanes};
use super::window::Window;
use super::{Beat, ListenError, Listener, Outcome, Report, pause};
use crate::contents::{Contents, event};
use crate::courier::Carrier;
use crate::node::{Chain, NodeError, Notices};

/// How many blocks are asked for at once.
const BLOCKS: usize = 4;
/// With so many deliveries under way, no further block is read.
const OUTSTANDING: usize = 1000;
/// So long a subscriber may take to answer at all, where others wait for it.
const SILENCE: Duration = Duration::from_secs(2);
/// How long what a silent subscriber is to get waits before it is looked at again.
const AFTER_SILENCE: SignedDuration = SignedDuration::from_secs(1);
/// How long deliveries that are under way at the end are waited for.
const LAST_CALL: Duration = Duration::from_secs(5);
/// How often it is told how it goes.
const TELL: Duration = Duration::from_secs(10);
/// Without an answer of the node for so long, nobody listens.
const DEAF: Duration = Duration::from_secs(60);
/// How often a block that is said to be there is asked for.
const ABSENT: u32 = 2;
/// How much of a transaction that cannot be read is shown: no queue takes all.
const UNREADABLE: usize = 32 * 1024;
/// How soon what just failed is put into the table.
const KEEP: Duration = Duration::from_millis(100);
/// So many transactions that a node without heights told of are looked at at once;
/// meanwhile its stream waits.
const ARRIVALS: usize = 16;
/// How many deliveries are kept at once where no cursor moves with them.
const KEPT: usize = 16;
/// How soon a dead letter that the queue did not take is sent again.
const BURY_AGAIN: SignedDuration = SignedDuration::from_secs(5);

type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What became of a delivery that was tried.
enum Tried {
    Delivered,
    GivenUp,
    Postponed {
        delivery: Box<Delivery>,
        /// Nobody answered.
        unanswered: bool,
    },
}

pub(super) struct Run<'a, C: Chain, P> {
    listener: &'a Listener<C, P>,
    lease: Lease,
    /// The cursor as it was last written.
    written: Cursor,
    window: Window,
    lanes: Lanes,
    /// Until when each subscriber rests, because nobody answered there.
    resting: Vec<Option<Timestamp>>,
    /// When each last answered, or was first asked since it had nothing to answer.
    heard: Vec<Instant>,
    tries: FuturesUnordered<Boxed<'a, (LaneKey, Tried)>>,
    blocks: FuturesOrdered<Boxed<'a, Result<Option<Contents>, ListenError>>>,
    /// What a node without heights told of, and its transaction where that can be
    /// looked at.
    arrivals: FuturesOrdered<Boxed<'a, (Event, Option<Transaction>)>>,
    /// When the last of them came, in milliseconds.
    last_arrival: u64,
    /// The node was away: it may be on another chain since.
    doubt: bool,
    check: Option<Boxed<'a, Result<Option<bool>, ListenError>>>,
    /// Since when the chain is shorter than what was read of it.
    shorter: Option<Instant>,
    /// The newest height that is known of.
    top: u64,
    /// After what failed, no block is asked for before.
    blocks_after: Instant,
    block_failures: u32,
    /// The newest height that the stream told of.
    told: u64,
    /// Since when the stream owes a message.
    owing: Option<Instant>,
    answered: Instant,
    delivered: u64,
    told_delivered: u64,
}

impl<'a, C: Chain, P: Carrier> Run<'a, C, P> {
    pub(super) async fn begin(
        listener: &'a Listener<C, P>,
        lease: &Lease,
    ) -> Result<Self, ListenError> {
        let (cursor, top) = listener.begin(lease).await?;
        let mut lanes = Lanes::new(listener.subscribers.len());
        for (index, subscriber) in listener.subscribers.iter().enumerate() {
            for delivery in listener.feed.deliveries.waiting(&subscriber.name).await? {
                let held = Held::Table;
                lanes.push(index, Item { delivery, held });
            }
        }
        tracing::info!(
            height = cursor.height,
            top,
            kept = lanes.in_table(),
            token = lease.token,
            "listening"
        );
        let now = Instant::now();
        Ok(Self {
            listener,
            lease: lease.clone(),
            written: cursor.clone(),
            window: Window::new(cursor),
            lanes,
            resting: vec![None; listener.subscribers.len()],
            heard: vec![now; listener.subscribers.len()],
            tries: FuturesUnordered::new(),
            blocks: FuturesOrdered::new(),
            arrivals: FuturesOrdered::new(),
            last_arrival: 0,
            doubt: false,
            check: None,
            shorter: None,
            top,
            blocks_after: now,
            block_failures: 0,
            told: top,
            owing: None,
            answered: now,
            delivered: 0,
            told_delivered: 0,
        })
    }

    /// Listens until `stop`, or until the lease is lost.
    pub(super) async fn listen(
        mut self,
        stop: impl Future<Output = ()>,
    ) -> Result<Report, ListenError> {
        let listener = self.listener;
        tokio::pin!(stop);
        let mut beat = tokio::time::interval(listener.settings.beat());
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut tell = tokio::time::interval(TELL);
        let mut keep: Option<Instant> = None;
        let mut stream: Option<C::Notices> = None;
        let mut opening: Option<Boxed<'a, _>> = Some(open(listener, Duration::ZERO));
        let mut opened = false;
        let mut stream_failures = 0;
        let mut look = look(listener);
        loop {
            self.start_tries();
            self.ask_for_blocks();
            let due = self.lanes.next_due().map(until);
            let wake = [
                due,
                keep,
                (self.blocks_after > Instant::now()).then_some(self.blocks_after),
            ];
            let wake = wake.into_iter().flatten().min();
            tokio::select! {
                Some((key, tried)) = self.tries.next() => self.tried(&key, tried),
                Some(block) = self.blocks.next() => {
                    if let Err(error) = self.read(block) {
                        return self.fail(error).await;
                    }
                }
                Some((event, transaction)) = self.arrivals.next() => {
                    self.arrived(&event, transaction.as_ref());
                }
                checked = pending_or(&mut self.check) => {
                    if let Err(error) = self.checked(checked) {
                        return self.fail(error).await;
                    }
                }
                opening_ended = pending_or(&mut opening) => {
                    opening = None;
                    match opening_ended {
                        Ok(notices) => {
                            stream = Some(notices);
                            opened = true;
                            self.owing = None;
                            self.told = self.told.max(self.top);
                        }
                        // Nobody reads a warning of what never was well.
                        Err(error) if !error.retryable() || (!opened && is_amiss(&error)) => {
                            return self.fail(error.into()).await;
                        }
                        Err(error) => {
                            self.doubt = true;
                            stream_failures += 1;
                            opening = Some(broken(listener, &error, stream_failures));
                        }
                    }
                }
                notice = next_notice(&mut stream), if self.arrivals.len() < ARRIVALS => match notice {
                    Ok(notice) => {
                        stream_failures = 0;
                        self.notice(notice);
                    }
                    // One message that means nothing; the blocks say what is.
                    Err(error @ (NodeError::Notice(_) | NodeError::NoticeBinary)) => {
                        tracing::warn!(code = error.code(), error = chain(&error), "the stream said nonsense");
                    }
                    Err(error) => {
                        stream = None;
                        stream_failures += 1;
                        opening = Some(broken(listener, &error, stream_failures));
                    }
                },
                height = &mut look => {
                    look = self::look(listener);
                    match height {
                        Ok(height) => {
                            self.answered = Instant::now();
                            self.top = self.top.max(height);
                            if let Err(error) = self.looked(height) {
                                return self.fail(error).await;
                            }
                        }
                        Err(error) if !error.retryable() => return self.fail(error.into()).await,
                        Err(error) => {
                            self.doubt = true;
                            tracing::warn!(code = error.code(), error = chain(&error), "the node does not answer");
                        }
                    }
                    if self.starved() && stream.take().is_some() {
                        stream_failures += 1;
                        opening = Some(broken(listener, &NodeError::StreamStarved, stream_failures));
                    }
                }
                _ = beat.tick() => {
                    if let Some(report) = self.checkpoint().await? {
                        return Ok(report);
                    }
                    keep = None;
                }
                _ = tell.tick() => self.tell(),
                () = sleep_until(wake) => {
                    self.lanes.wake(clock::now());
                    if keep.is_some_and(|keep| keep <= Instant::now()) {
                        if let Some(report) = self.checkpoint().await? {
                            return Ok(report);
                        }
                        keep = None;
                    }
                }
                () = &mut stop => break,
            }
            if keep.is_none() && self.lanes.has_unkept() {
                keep = Some(Instant::now() + KEEP);
            }
        }
        self.end().await
    }

    fn start_tries(&mut self) {
        let listener = self.listener;
        let now = clock::now();
        for (index, subscriber) in listener.subscribers.iter().enumerate() {
            if let Some(until) = self.resting[index] {
                if now < until {
                    self.lanes.rest(index, until);
                    continue;
                }
                self.resting[index] = None;
            }
            while let Some((key, item)) = self.lanes.take(index, listener.settings.concurrency) {
                if self.lanes.busy(index) == 1 {
                    self.heard[index] = Instant::now();
                }
                self.tries.push(Box::pin(async move {
                    let tried = listener.try_once(subscriber, item).await;
                    (key, tried)
                }));
            }
            // Before no block is read any more, what it is to get goes into the table.
            let is_silent = self.lanes.busy(index) > 0 && self.heard[index].elapsed() > SILENCE;
            if is_silent && self.window.outstanding() > OUTSTANDING / 2 {
                self.lanes.rest(index, now + AFTER_SILENCE);
            }
        }
    }

    fn ask_for_blocks(&mut self) {
        let listener = self.listener;
        let room = self.window.outstanding() < OUTSTANDING
            && self.window.len() < OUTSTANDING
            && self.lanes.in_table() < listener.settings.max_kept;
        if !room || Instant::now() < self.blocks_after || self.check.is_some() {
            return;
        }
        if self.doubt {
            self.doubt = false;
            self.blocks = FuturesOrdered::new();
            let reached = self.window.reached().clone();
            self.check = Some(Box::pin(async move { listener.is_on(&reached).await }));
            return;
        }
        while self.blocks.len() < BLOCKS {
            let height = self.window.next() + self.blocks.len() as u64;
            if height > self.top {
                break;
            }
            self.blocks
                .push_back(Box::pin(async move { listener.contents(height).await }));
        }
    }

    /// Takes in the next height.
    fn read(&mut self, block: Result<Option<Contents>, ListenError>) -> Result<(), ListenError> {
        let contents = match block {
            Ok(Some(contents)) => contents,
            Ok(None) => {
                // A stream, or a node behind the same name, was ahead of this one.
                self.ask_again();
                if self.block_failures > ABSENT {
                    // Or lied: the next look tells.
                    self.top = self.window.next() - 1;
                    self.told = self.told.min(self.top);
                    self.block_failures = 0;
                    self.blocks_after = Instant::now();
                }
                return Ok(());
            }
            Err(error) => return self.unread(error),
        };
        self.block_failures = 0;
        self.answered = Instant::now();
        let height = self.window.next();
        let mut items = Vec::new();
        for (index, transaction) in contents.transactions.iter().enumerate() {
            let event = event(transaction, height);
            let position = Delivery::position(height, index as u64, &event.transaction_id);
            for (subscriber, takes) in self.listener.subscribers.iter().enumerate() {
                if takes.takes(transaction) {
                    let delivery = self.delivery(subscriber, position.clone(), event.clone());
                    items.push((subscriber, delivery));
                }
            }
        }
        self.window.push(contents.digest(), items.len());
        for (subscriber, delivery) in items {
            let held = Held::Chain(height);
            if !self.lanes.push(subscriber, Item { delivery, held }) {
                self.window.settle(height);
            }
        }
        if height > self.told && !contents.transactions.is_empty() {
            self.owing.get_or_insert_with(Instant::now);
        }
        Ok(())
    }

    /// The block of the cursor was looked at again.
    fn checked(&mut self, same: Result<Option<bool>, ListenError>) -> Result<(), ListenError> {
        self.check = None;
        match same {
            Ok(Some(true)) => Ok(()),
            Ok(Some(false)) => Err(ListenError::Reset {
                cursor: self.window.reached().height,
                found: "another block is there".to_owned(),
            }),
            // Whether it comes that far, the next look tells.
            Ok(None) => {
                self.doubt = true;
                self.ask_again();
                Ok(())
            }
            Err(error) => {
                self.doubt = true;
                self.unread(error)
            }
        }
    }

    /// The chain has this height. A node that is behind another one catches up;
    /// another chain does not.
    fn looked(&mut self, height: u64) -> Result<(), ListenError> {
        let cursor = self.window.reached().height;
        if height >= cursor {
            self.shorter = None;
            return Ok(());
        }
        let since = *self.shorter.get_or_insert_with(Instant::now);
        if since.elapsed() < self.listener.settings.stall() {
            return Ok(());
        }
        let found = format!("its height is {height}");
        Err(ListenError::Reset { cursor, found })
    }

    fn unread(&mut self, error: ListenError) -> Result<(), ListenError> {
        if !error.retryable() {
            return Err(error);
        }
        tracing::warn!(
            code = error.code(),
            error = chain(&error),
            "a block was not read"
        );
        self.ask_again();
        Ok(())
    }

    fn ask_again(&mut self) {
        self.blocks = FuturesOrdered::new();
        self.block_failures += 1;
        self.blocks_after = Instant::now() + pause(self.block_failures);
    }

    fn delivery(&self, subscriber: usize, position: String, event: Event) -> Delivery {
        Delivery {
            subscriber: self.listener.subscribers[subscriber].name.clone(),
            position,
            event,
            attempts: 0,
            next_attempt: clock::now().into(),
            reason: None,
        }
    }

    fn notice(&mut self, notice: Notice) {
        match notice.place {
            Place::Height(height) => {
                self.told = self.told.max(height);
                self.top = self.top.max(height);
                if self.window.next() > height {
                    self.owing = None;
                }
            }
            // A node of the 1.x generation: its blocks have no order to be read in.
            Place::Block(_) => {
                let listener = self.listener;
                self.arrivals.push_back(Box::pin(async move {
                    let read = listener.chain.transaction(&notice.transaction_id).await;
                    let text = read.ok().flatten();
                    let transaction = text.and_then(|text| Transaction::peek(&text).ok());
                    (Event::from(notice), transaction)
                }));
            }
        }
    }

    /// What cannot be looked at goes to everybody rather than to nobody.
    fn arrived(&mut self, event: &Event, transaction: Option<&Transaction>) {
        // Two of one millisecond are in order, too.
        let now = clock::now().as_millisecond().unsigned_abs();
        self.last_arrival = now.max(self.last_arrival + 1);
        let position = Delivery::position(0, self.last_arrival, &event.transaction_id);
        for (index, subscriber) in self.listener.subscribers.iter().enumerate() {
            if transaction.is_none_or(|found| subscriber.takes(found)) {
                let delivery = self.delivery(index, position.clone(), event.clone());
                let held = Held::Nowhere;
                self.lanes.push(index, Item { delivery, held });
            }
        }
    }

    /// Keeps what this run alone knows of. It needs no lease: at worst something is
    /// delivered twice.
    async fn keep_the_rest(&mut self) {
        while let Some((event, transaction)) = self.arrivals.next().await {
            self.arrived(&event, transaction.as_ref());
        }
        let deliveries = &self.listener.feed.deliveries;
        let rest = stream::iter(self.lanes.nowhere_else());
        let mut kept = rest
            .map(|delivery| async move { (deliveries.keep(&delivery).await, delivery) })
            .buffer_unordered(KEPT);
        while let Some((kept, delivery)) = kept.next().await {
            if let Err(error) = kept {
                tracing::error!(
                    subscriber = delivery.subscriber,
                    event = delivery.event.webhook_id(),
                    code = error.code(),
                    error = chain(&error),
                    "an event is lost"
                );
            }
        }
    }

    /// Whether the stream, though open, owes a message for too long.
    fn starved(&self) -> bool {
        self.owing
            .is_some_and(|since| since.elapsed() > self.listener.settings.stall())
    }

    fn tried(&mut self, key: &LaneKey, tried: Tried) {
        if !matches!(
            tried,
            Tried::Postponed {
                unanswered: true,
                ..
            }
        ) {
            self.heard[key.0] = Instant::now();
        }
        match tried {
            Tried::Delivered | Tried::GivenUp => {
                self.delivered += u64::from(matches!(tried, Tried::Delivered));
                if let Some(Item {
                    held: Held::Chain(height),
                    ..
                }) = self.lanes.done(key)
                {
                    self.window.settle(height);
                }
            }
            Tried::Postponed {
                delivery,
                unanswered,
            } => {
                if unanswered {
                    // The others of this subscriber need not find out one by one.
                    let rest = self.listener.settings.retry_schedule.after(1, 0.0);
                    self.resting[key.0] = rest.map(|rest| clock::now() + rest);
                }
                self.lanes.postpone(key, *delivery);
            }
        }
    }

    /// Writes down how far it is, with what waits for a retry, and renews the
    /// lease. Returns how the run ended where the lease is lost.
    async fn checkpoint(&mut self) -> Result<Option<Report>, ListenError> {
        let keep = self.lanes.to_keep(OUTSTANDING);
        let deliveries: Vec<Delivery> = keep.iter().map(|(_, delivery)| delivery.clone()).collect();
        // What is kept by this very write is done with on the chain.
        let reached = self.window.reached().clone();
        let feed = &self.listener.feed;
        let outcome = feed
            .checkpoint(&self.lease, &self.written, &reached, &deliveries)
            .await;
        match outcome {
            Ok(()) => {
                self.written = reached;
                for (key, delivery) in keep {
                    if let Some(Held::Chain(height)) = self.lanes.kept(&key, &delivery.position) {
                        self.window.settle(height);
                    }
                }
                Ok(None)
            }
            Err(LockError::Held(_) | LockError::Lost(_)) => {
                tracing::info!(
                    height = self.written.height,
                    "another listens: the lease is lost"
                );
                self.keep_the_rest().await;
                Ok(Some(self.report(Outcome::HandedOver)))
            }
            // It may be back before the lease expires; if not, another goes on.
            Err(LockError::Store(error)) if error.retryable() => {
                tracing::warn!(
                    code = error.code(),
                    error = chain(&error),
                    "the cursor was not written"
                );
                Ok(None)
            }
            Err(LockError::Store(error)) => Err(error.into()),
        }
    }

    /// Waits for what is under way, and gives the lease back.
    async fn end(mut self) -> Result<Report, ListenError> {
        let last_call = tokio::time::sleep(LAST_CALL);
        tokio::pin!(last_call);
        loop {
            tokio::select! {
                tried = self.tries.next() => match tried {
                    Some((key, tried)) => self.tried(&key, tried),
                    None => break,
                },
                () = &mut last_call => break,
            }
        }
        if let Some(report) = self.checkpoint().await? {
            return Ok(report);
        }
        self.keep_the_rest().await;
        self.tell();
        // What was kept by the last write moved the cursor once more.
        let reached = self.window.reached().clone();
        match self.listener.feed.release(&self.lease, &reached).await {
            Ok(()) => self.written = reached,
            Err(LockError::Held(_) | LockError::Lost(_)) => {
                return Ok(self.report(Outcome::HandedOver));
            }
            // It expires by itself.
            Err(LockError::Store(error)) => {
                tracing::warn!(
                    code = error.code(),
                    error = chain(&error),
                    "the lease was not given back"
                );
            }
        }
        Ok(self.report(Outcome::TimeUp))
    }

    async fn fail(mut self, error: ListenError) -> Result<Report, ListenError> {
        if self.checkpoint().await?.is_none() {
            self.keep_the_rest().await;
            let reached = self.window.reached().clone();
            let _ = self.listener.feed.release(&self.lease, &reached).await;
        }
        Err(error)
    }

    fn report(&self, outcome: Outcome) -> Report {
        Report {
            outcome,
            height: self.written.height,
            delivered: self.delivered,
            kept: self.lanes.in_table(),
        }
    }

    fn tell(&mut self) {
        let reached = self.window.reached().height;
        (self.listener.watch)(&Beat {
            listening: self.answered.elapsed() < DEAF,
            height: reached,
            lag: self.top.saturating_sub(reached),
            delivered: self.delivered - self.told_delivered,
            kept: self.lanes.in_table(),
        });
        self.told_delivered = self.delivered;
    }
}

impl<C: Chain, P: Carrier> Listener<C, P> {
    /// What is at a height, if the chain has come that far.
    async fn contents(&self, height: u64) -> Result<Option<Contents>, ListenError> {
        let Some(block) = self.chain.block(height).await? else {
            return Ok(None);
        };
        let contents = Contents::of(&block);
        for (text, error) in &contents.unreadable {
            tracing::error!(
                height,
                code = error.code(),
                error = chain(error),
                "a transaction cannot be read"
            );
            let text: String = text.chars().take(UNREADABLE).collect();
            self.dead_letters
                .bury(&text, error.code(), &chain(error))
                .await?;
        }
        Ok(Some(contents))
    }

    /// Tries a delivery, and brings the table up to what came of it.
    async fn try_once(&self, subscriber: &offchain_ledger::Subscriber, item: Item) -> Tried {
        let Item { mut delivery, held } = item;
        let error = match self.carrier.carry(subscriber, &delivery.event).await {
            Ok(()) => {
                self.forget(&delivery, held).await;
                return Tried::Delivered;
            }
            Err(error) => error,
        };
        let unanswered = error.unanswered();
        delivery.attempts += 1;
        delivery.reason = Some(error.code().to_owned());
        let jitter = rand::random_range(0.0..1.0);
        let next = match self
            .settings
            .retry_schedule
            .after(delivery.attempts, jitter)
        {
            Some(delay) => clock::now() + delay,
            None => {
                let letter = json!({ "subscriber": delivery.subscriber, "event": delivery.event });
                let buried = self
                    .dead_letters
                    .bury(&letter.to_string(), error.code(), &chain(&error))
                    .await;
                let Err(error) = buried else {
                    tracing::error!(
                        subscriber = delivery.subscriber,
                        event = delivery.event.webhook_id(),
                        attempts = delivery.attempts,
                        code = delivery.reason,
                        "a webhook is given up"
                    );
                    self.forget(&delivery, held).await;
                    return Tried::GivenUp;
                };
                tracing::error!(
                    code = error.code(),
                    error = chain(&error),
                    "a dead letter was not taken"
                );
                delivery.attempts -= 1;
                clock::now() + BURY_AGAIN
            }
        };
        delivery.next_attempt = next.into();
        if held == Held::Table
            && let Err(error) = self.feed.deliveries.postpone(&delivery).await
        {
            tracing::warn!(
                code = error.code(),
                error = chain(&error),
                "a failed try was not noted"
            );
        }
        Tried::Postponed {
            delivery: Box::new(delivery),
            unanswered,
        }
    }

    async fn forget(&self, delivery: &Delivery, held: Held) {
        if held != Held::Table {
            return;
        }
        let removed = self
            .feed
            .deliveries
            .remove(&delivery.subscriber, &delivery.position)
            .await;
        // The next run delivers it again, which changes nothing.
        if let Err(error) = removed {
            tracing::warn!(
                code = error.code(),
                error = chain(&error),
                "a delivery stays in the table"
            );
        }
    }
}

/// Opens a stream after a pause.
fn open<C: Chain, P: Carrier>(
    listener: &Listener<C, P>,
    after: Duration,
) -> Boxed<'_, Result<C::Notices, NodeError>> {
    Box::pin(async move {
        tokio::time::sleep(after).await;
        listener.chain.notices().await
    })
}

fn broken<'a, C: Chain, P: Carrier>(
    listener: &'a Listener<C, P>,
    error: &NodeError,
    failures: u32,
) -> Boxed<'a, Result<C::Notices, NodeError>> {
    tracing::warn!(
        code = error.code(),
        error = chain(error),
        failures,
        "the stream is opened anew"
    );
    open(listener, pause(failures))
}

/// Asks for the chain's height, after the usual time.
fn look<C: Chain, P: Carrier>(listener: &Listener<C, P>) -> Boxed<'_, Result<u64, NodeError>> {
    Box::pin(async move {
        tokio::time::sleep(listener.settings.poll()).await;
        listener.chain.height().await
    })
}

/// Whether a node's stream will not open before somebody sets the node up anew.
fn is_amiss(error: &NodeError) -> bool {
    matches!(
        error,
        NodeError::StreamsMissing { .. }
            | NodeError::StreamElsewhere(_)
            | NodeError::AnswerInvalid { .. }
    )
}

async fn pending_or<T>(future: &mut Option<Boxed<'_, T>>) -> T {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

async fn next_notice<N: Notices>(stream: &mut Option<N>) -> Result<Notice, NodeError> {
    match stream {
        Some(stream) => stream.next().await,
        None => std::future::pending().await,
    }
}

async fn sleep_until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// When a time of the clock comes, for the timer.
fn until(time: Timestamp) -> Instant {
    let wait = time.duration_since(clock::now());
    Instant::now() + Duration::try_from(wait).unwrap_or_default()
}
