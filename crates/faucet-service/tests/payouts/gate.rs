//! Where every call that leaves the process waits until the test says what
//! becomes of it.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::task::Poll;

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is done and answered.
    Done,
    /// It is not done, and the caller is told so.
    Refused,
    /// It is done, and the caller hears nothing.
    Unanswered,
    /// It is done, and the caller dies before it hears of it.
    Fatal,
    /// It is answered by a node that lacks so many of the newest blocks.
    Behind(u64),
    /// It is answered by a node that has not written the transactions of so
    /// many of the newest blocks into its index.
    LateIndex(u64),
}

/// The test itself: its calls do not wait.
pub(crate) const TEST: usize = 0;

#[derive(Debug, Default)]
struct State {
    /// Whoever is polled now.
    actor: usize,
    arrived: BTreeMap<usize, String>,
    granted: BTreeMap<usize, Fate>,
}

/// The gate. One actor has one call at a time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gate(Arc<Mutex<State>>);

impl Gate {
    /// From here on calls are those of this actor.
    pub(crate) fn act_as(&self, actor: usize) {
        self.0.lock().unwrap().actor = actor;
    }

    /// The call that an actor waits with.
    pub(crate) fn arrived(&self, actor: usize) -> Option<String> {
        self.0.lock().unwrap().arrived.get(&actor).cloned()
    }

    /// Lets an actor's call through.
    pub(crate) fn grant(&self, actor: usize, fate: Fate) {
        let mut state = self.0.lock().unwrap();
        state.arrived.remove(&actor).expect("a call that waits");
        state.granted.insert(actor, fate);
    }

    /// An actor is no more.
    pub(crate) fn forget(&self, actor: usize) {
        let mut state = self.0.lock().unwrap();
        state.arrived.remove(&actor);
        state.granted.remove(&actor);
    }

    /// Waits until a call may be made, and says what is to become of it.
    pub(crate) async fn pass(&self, call: &str) -> Fate {
        let mut here = false;
        poll_fn(|_| {
            let mut state = self.0.lock().unwrap();
            let actor = state.actor;
            if actor == TEST {
                return Poll::Ready(Fate::Done);
            }
            if let Some(fate) = state.granted.remove(&actor) {
                return Poll::Ready(fate);
            }
            if !here {
                here = true;
                state.arrived.insert(actor, call.to_owned());
            }
            Poll::Pending
        })
        .await
    }
}
