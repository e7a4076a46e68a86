//! The messages that move coins.

use std::collections::{BTreeMap, BTreeSet};

use crate::account::{Accounts, View};
use crate::address;
use crate::coin::{self, Coin};
use crate::event::Event;
use crate::gas;
use crate::meter::Meter;
use crate::refusal::{
    INVALID_ADDRESS, INVALID_COINS, NO_INPUTS, NO_OUTPUTS, OUT_OF_GAS, Refusal, SUMS_DIFFER,
    UNAUTHORIZED,
};
use crate::tx::{Message, Part};

/// What is wrong with a message whatever the accounts have.
pub(crate) fn validate(message: &Message, prefix: &str) -> Result<(), Refusal> {
    let is_address = |what: &str, text: &str| {
        let checked = address::canonical(text, prefix);
        checked.map_err(|reason| INVALID_ADDRESS.of(format!("{what} address ({reason})")))
    };
    match message {
        Message::Send { from, to, amount } => {
            is_address("Invalid sender", from)?;
            is_address("Invalid recipient", to)?;
            are_coins(amount)
        }
        Message::MultiSend { inputs, outputs } => {
            if inputs.is_empty() {
                return Err(NO_INPUTS.refusal());
            }
            if outputs.is_empty() {
                return Err(NO_OUTPUTS.refusal());
            }
            for (what, parts) in [("invalid input", inputs), ("invalid output", outputs)] {
                for part in parts {
                    is_address(what, &part.address)?;
                    are_coins(&part.coins)?;
                }
            }
            match sum(inputs).zip(sum(outputs)) {
                Some((paid, received)) if paid == received => Ok(()),
                _ => Err(SUMS_DIFFER.refusal()),
            }
        }
    }
}

fn are_coins(coins: &[Coin]) -> Result<(), Refusal> {
    if coins.is_empty() || !coin::are_valid(coins) {
        return Err(INVALID_COINS.of(coin::join(coins)));
    }
    Ok(())
}

fn sum(parts: &[Part]) -> Option<BTreeMap<&str, u128>> {
    let mut sums = BTreeMap::new();
    for coin in parts.iter().flat_map(|part| &part.coins) {
        let sum: &mut u128 = sums.entry(coin.denom.as_str()).or_default();
        *sum = sum.checked_add(coin.amount)?;
    }
    Some(sums)
}

/// Where messages are carried out.
pub(crate) struct Bank<'a, 'b> {
    pub(crate) view: &'a mut View<'b>,
    pub(crate) meter: &'a mut Meter,
    pub(crate) prefix: &'a str,
    /// Those that cannot be paid.
    pub(crate) blocked: &'a BTreeSet<String>,
}

impl Bank<'_, '_> {
    /// Carries out the message that stands at `index`.
    pub(crate) fn execute(
        &mut self,
        index: usize,
        message: &Message,
    ) -> Result<Vec<Event>, Refusal> {
        let mut events = vec![Event::new("message", [("action", message.kind())])];
        let done = match message {
            Message::Send { from, to, amount } => self.send(from, to, amount, &mut events),
            Message::MultiSend { inputs, outputs } => self.multi_send(inputs, outputs, &mut events),
        };
        // Running out of gas ends a transaction wherever it stands; anything
        // else is the message's own failure.
        done.map_err(|refusal| match refusal {
            refusal if refusal.is(&OUT_OF_GAS) => refusal,
            refusal => refusal
                .map_log(|log| format!("failed to execute message; message index: {index}: {log}")),
        })?;
        events.push(Event::new("message", [("module", "bank")]));
        Ok(events)
    }

    fn send(
        &mut self,
        from: &str,
        to: &str,
        amount: &[Coin],
        events: &mut Vec<Event>,
    ) -> Result<(), Refusal> {
        let (from, to) = (self.key(from), self.key(to));
        if self.blocked.contains(&to) {
            return Err(UNAUTHORIZED.of(format!("{to} is not allowed to receive funds")));
        }
        self.spend(&from, amount, events)?;
        self.receive(&to, amount, events)?;
        let sum = coin::join(amount);
        events.push(Event::new(
            "transfer",
            [("recipient", &*to), ("sender", &from), ("amount", &sum)],
        ));
        events.push(Event::new("message", [("sender", &from)]));
        Ok(())
    }

    fn multi_send(
        &mut self,
        inputs: &[Part],
        outputs: &[Part],
        events: &mut Vec<Event>,
    ) -> Result<(), Refusal> {
        for output in outputs {
            let to = self.key(&output.address);
            if self.blocked.contains(&to) {
                return Err(UNAUTHORIZED.of(format!("{to} is not allowed to receive transactions")));
            }
        }
        for input in inputs {
            let from = self.key(&input.address);
            self.spend(&from, &input.coins, events)?;
            events.push(Event::new("message", [("sender", &from)]));
        }
        for output in outputs {
            let to = self.key(&output.address);
            self.receive(&to, &output.coins, events)?;
            let sum = coin::join(&output.coins);
            events.push(Event::new(
                "transfer",
                [("recipient", &*to), ("amount", &sum)],
            ));
        }
        Ok(())
    }

    fn spend(
        &mut self,
        from: &str,
        coins: &[Coin],
        events: &mut Vec<Event>,
    ) -> Result<(), Refusal> {
        self.view.spend(from, coins)?;
        let sum = coin::join(coins);
        events.push(Event::new(
            "coin_spent",
            [("spender", from), ("amount", &sum)],
        ));
        Ok(())
    }

    fn receive(
        &mut self,
        to: &str,
        coins: &[Coin],
        events: &mut Vec<Event>,
    ) -> Result<(), Refusal> {
        let is_new = self.view.account(to).is_none();
        self.meter.consume(gas::of_transfer(is_new))?;
        self.view.receive(to, coins);
        let sum = coin::join(coins);
        events.push(Event::new(
            "coin_received",
            [("receiver", to), ("amount", &sum)],
        ));
        Ok(())
    }

    fn key(&self, text: &str) -> String {
        address::canonical(text, self.prefix).unwrap_or_else(|_| text.to_owned())
    }
}
