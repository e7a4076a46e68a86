//! A proxy between a function and AWS that breaks the calls it is told to.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;

use crate::harness::{SOON, until};
use crate::wire::{self, Call};

/// What happens to a call.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// The service does it; the connection breaks before the reply.
    ReplyLost,
    /// The service does it, and the caller waits for the reply for ever.
    ReplyHeld,
    /// The service never sees it, and the caller waits for ever.
    Unheard,
    /// The service refuses it, with this status and code.
    Refused(u16, &'static str),
    /// The service sees it so much later.
    Late(Duration),
}

/// As often as it is called.
pub(crate) const ALWAYS: usize = usize::MAX;

struct Rule {
    operation: &'static str,
    holding: String,
    left: usize,
    fault: Fault,
}

#[derive(Default)]
struct State {
    rules: Vec<Rule>,
    seen: Vec<String>,
    reached: usize,
    struck: usize,
    /// Calls whose service may still see them.
    under_way: usize,
}

/// The proxy. It passes on what no fault is set for.
#[derive(Clone)]
pub(crate) struct Proxy {
    url: String,
    state: Arc<Mutex<State>>,
}

impl Proxy {
    /// A proxy in front of the service at `url`.
    pub(crate) async fn before(url: &str) -> Self {
        let service = url
            .trim_start_matches("http://")
            .trim_end_matches('/')
            .to_owned();
        let state = Arc::new(Mutex::new(State::default()));
        let answering = state.clone();
        let address = wire::serve(move |call| {
            let (service, state) = (service.clone(), answering.clone());
            async move { answer(&call, &service, &state).await }
        })
        .await;
        Self {
            url: format!("http://{address}"),
            state,
        }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Sets a fault for the next `times` calls of an operation whose path and
    /// body hold each of these words.
    pub(crate) fn fail(&self, operation: &'static str, holding: &str, times: usize, fault: Fault) {
        let rule = Rule {
            operation,
            holding: holding.to_owned(),
            left: times,
            fault,
        };
        self.state.lock().unwrap().rules.push(rule);
    }

    /// From here on nothing fails.
    pub(crate) fn heal(&self) {
        let mut state = self.state.lock().unwrap();
        (state.reached, state.struck) = (0, 0);
        state.rules.clear();
    }

    /// Waits until a call that a fault is set for has come.
    pub(crate) async fn reached(&self) {
        until("a call that fails", SOON, async || {
            (self.state.lock().unwrap().reached > 0).then_some(())
        })
        .await;
    }

    /// Waits until a fault has struck: where the service does what it is asked
    /// to, that is done.
    pub(crate) async fn struck(&self) {
        until("a fault to strike", SOON, async || {
            (self.state.lock().unwrap().struck > 0).then_some(())
        })
        .await;
    }

    /// Waits until no call is under way: none that comes late is still to come.
    pub(crate) async fn idle(&self) {
        until("the last call to be through", SOON, async || {
            (self.state.lock().unwrap().under_way == 0).then_some(())
        })
        .await;
    }

    /// How often an operation was called.
    pub(crate) fn calls(&self, operation: &str) -> usize {
        let state = self.state.lock().unwrap();
        state.seen.iter().filter(|seen| *seen == operation).count()
    }
}

async fn answer(call: &Call, service: &str, state: &Mutex<State>) -> Option<Vec<u8>> {
    let fault = {
        let mut state = state.lock().unwrap();
        state.seen.push(call.operation().to_owned());
        state.under_way += 1;
        let said = format!("{} {}", call.path(), String::from_utf8_lossy(&call.body));
        let rule = state.rules.iter_mut().find(|rule| {
            rule.left > 0
                && call.operation() == rule.operation
                && rule.holding.split(' ').all(|word| said.contains(word))
        });
        let fault = rule.map(|rule| {
            rule.left -= usize::from(rule.left != ALWAYS);
            rule.fault
        });
        state.reached += usize::from(fault.is_some());
        fault
    };
    if let Some(Fault::Late(delay)) = fault {
        tokio::time::sleep(delay).await;
    }
    let reply = match fault {
        Some(Fault::Unheard | Fault::Refused(..)) => None,
        // Done even if the caller is gone by then.
        _ => call.forward(service).await.ok(),
    };
    {
        let mut state = state.lock().unwrap();
        state.under_way -= 1;
        state.struck += usize::from(fault.is_some());
    }
    match fault {
        None | Some(Fault::Late(_)) => reply,
        Some(Fault::ReplyLost) => None,
        Some(Fault::ReplyHeld | Fault::Unheard) => std::future::pending().await,
        Some(Fault::Refused(status, code)) => {
            let body = json!({"__type": code, "message": "as the test says"});
            Some(wire::reply(status, &[], &body.to_string()))
        }
    }
}
