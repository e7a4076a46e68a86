//! Subscribers in memory, and the way to them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use aws_lambda_events::http::HeaderValue;
use offchain_ledger::{Envelope, Event, Id, Keys, Subscriber, sign};
use offchain_ledger_service::{Carrier, DeliveryError, Receiver};
use offchain_outbound::OutboundError;
use offchain_store::clock;
use offchain_store::test_util::memory::Memory;
use tokio::time::sleep;

use crate::chain::Ledger;
use crate::weather::{Actor, Fate, Kind, Weather};
use crate::world::{SECRET, SUITE, buried, subscribers};

/// How long a webhook may take.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(15);

/// How a subscriber is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    /// It takes all.
    Open,
    /// It refuses a third.
    Refuses,
    /// It answers after so long, or would.
    Slow(Duration),
    /// It takes all and its reply is lost, now and then.
    Mute,
    /// It is gone.
    Gone,
}

#[derive(Default)]
struct State {
    moods: BTreeMap<String, Mood>,
    /// What each took, in the order in which it did.
    taken: BTreeMap<String, Vec<Event>>,
    first: BTreeSet<(String, Id)>,
}

/// All subscribers. Clones are the same.
#[derive(Clone)]
pub(crate) struct Town {
    state: Arc<Mutex<State>>,
    ledger: Ledger,
    memory: Memory,
    receiver: Arc<Receiver>,
}

impl Town {
    pub(crate) fn new(ledger: &Ledger, memory: &Memory, receiver: Receiver) -> Self {
        Self {
            state: Arc::default(),
            ledger: ledger.clone(),
            memory: memory.clone(),
            receiver: Arc::new(receiver),
        }
    }

    pub(crate) fn mood(&self, subscriber: &str, mood: Mood) {
        let mut state = self.state.lock().unwrap();
        state.moods.insert(subscriber.to_owned(), mood);
    }

    /// What a subscriber took.
    pub(crate) fn taken(&self, subscriber: &str) -> Vec<Event> {
        let state = self.state.lock().unwrap();
        state.taken.get(subscriber).cloned().unwrap_or_default()
    }

    /// The suite's own answer to a webhook.
    pub(crate) async fn receive(
        &self,
        request: &ApiGatewayV2httpRequest,
    ) -> ApiGatewayV2httpResponse {
        self.receiver.answer(request).await
    }

    /// How many events a subscriber took, again and again.
    pub(crate) fn count(&self, subscriber: &str) -> usize {
        let state = self.state.lock().unwrap();
        state.taken.get(subscriber).map_or(0, Vec::len)
    }

    pub(crate) fn has(&self, subscriber: &str, transaction: &Id) -> bool {
        let state = self.state.lock().unwrap();
        let key = (subscriber.to_owned(), transaction.clone());
        state.first.contains(&key)
    }

    async fn take(
        &self,
        weather: &Weather,
        subscriber: &str,
        event: &Event,
    ) -> Result<(), OutboundError> {
        if subscriber == SUITE {
            let answer = self.receive(&request(event)).await;
            if !(200..300).contains(&answer.status_code) {
                let status = answer.status_code.try_into().unwrap();
                return Err(OutboundError::Status(status));
            }
        }
        self.in_order(weather, subscriber, event);
        let mut state = self.state.lock().unwrap();
        let key = (subscriber.to_owned(), event.transaction_id.clone());
        state.first.insert(key);
        let taken = state.taken.entry(subscriber.to_owned()).or_default();
        taken.push(event.clone());
        Ok(())
    }

    /// What comes for the first time comes after all that is before it in its
    /// asset.
    fn in_order(&self, weather: &Weather, subscriber: &str, event: &Event) {
        if self.has(subscriber, &event.transaction_id) {
            return;
        }
        let dead = self.memory.view(buried);
        let net = self.ledger.net();
        // Another chain may have taken the place of the event's.
        let Some(told) = net.told.get(&event.transaction_id) else {
            return;
        };
        let is_placed = net.is_first_generation || event.height == Some(told.height);
        if !is_placed || event.asset_id != told.asset {
            weather.wrong(format!("{subscriber}: {event:?} is {told:?}"));
        }
        let takes = subscribers();
        let takes = takes.iter().find(|found| found.name == subscriber).unwrap();
        for (id, before) in &net.told {
            let is_before = before.height < told.height || told.needs.contains(id);
            if before.asset == told.asset
                && is_before
                && takes.takes(&before.transaction)
                && !dead.contains(&(subscriber.to_owned(), id.to_string()))
            {
                let height = before.height;
                if !self.has(subscriber, id) {
                    weather.wrong(format!("{subscriber}: {event:?} overtook {id} of {height}"));
                }
            }
        }
    }
}

pub(crate) fn keys() -> Keys {
    SECRET.parse().unwrap()
}

/// The webhook of an event, as the courier sends it.
pub(crate) fn request(event: &Event) -> ApiGatewayV2httpRequest {
    let now = clock::now();
    let body = serde_json::to_vec(&Envelope::new(event.clone(), now)).unwrap();
    let (id, time) = (event.webhook_id(), now.as_second());
    let signature = sign(&keys(), &id, time, &body);
    let mut request = ApiGatewayV2httpRequest::default();
    request.body = Some(String::from_utf8(body).unwrap());
    for (name, value) in [
        ("webhook-id", id),
        ("webhook-timestamp", time.to_string()),
        ("webhook-signature", signature),
    ] {
        let value = HeaderValue::from_str(&value).unwrap();
        request.headers.insert(name, value);
    }
    request
}

/// The way to them, as a process has it.
#[derive(Clone)]
pub(crate) struct Post {
    pub(crate) town: Town,
    pub(crate) actor: Actor,
}

impl Carrier for Post {
    async fn carry(&self, subscriber: &Subscriber, event: &Event) -> Result<(), DeliveryError> {
        let outcome = self.bring(&subscriber.name, event).await;
        outcome.map_err(DeliveryError::Refused)
    }
}

impl Post {
    async fn bring(&self, name: &str, event: &Event) -> Result<(), OutboundError> {
        let what = format!("{name} {}", &event.transaction_id.as_str()[..6]);
        let fate = self.actor.call(Kind::Post, &what).await;
        let mood = {
            let state = self.town.state.lock().unwrap();
            state.moods.get(name).copied().unwrap_or(Mood::Open)
        };
        let lucky = || !self.actor.weather().chance(|dice| dice.once_in(3));
        let mut loses = matches!(fate, Fate::Unanswered);
        match fate {
            Fate::Refused => return Err(OutboundError::Status(503)),
            Fate::DiesBefore => std::future::pending().await,
            Fate::Late => {
                let (this, name, event) = (self.clone(), name.to_owned(), event.clone());
                tokio::spawn(async move {
                    sleep(Duration::from_secs(3)).await;
                    let _ = this.town.take(this.actor.weather(), &name, &event).await;
                });
                return Err(OutboundError::TimedOut);
            }
            _ => {}
        }
        match mood {
            Mood::Open => {}
            Mood::Refuses if lucky() => {}
            Mood::Refuses => return Err(OutboundError::Status(500)),
            Mood::Slow(time) if time >= TIMEOUT => {
                sleep(TIMEOUT).await;
                return Err(OutboundError::TimedOut);
            }
            Mood::Slow(time) => sleep(time).await,
            Mood::Mute => loses |= !lucky(),
            Mood::Gone => return Err(OutboundError::Unreachable("it is gone".into())),
        }
        let taken = self.town.take(self.actor.weather(), name, event).await;
        if fate == Fate::DiesAfter {
            std::future::pending::<()>().await;
        }
        if loses {
            return Err(OutboundError::TimedOut);
        }
        taken
    }
}
