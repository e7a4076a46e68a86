//! Accounts, and views of them that can be thrown away.

use std::collections::BTreeMap;

use crate::coin::{Balances, Coin};
use crate::refusal::{INSUFFICIENT_FUNDS, Refusal};

/// An account of the chain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) number: u64,
    pub(crate) sequence: u64,
    /// Known from its first transaction on.
    pub(crate) public_key: Option<Vec<u8>>,
    pub(crate) balances: Balances,
    /// The module that owns it, where one does.
    pub(crate) module: Option<&'static str>,
}

/// Accounts that can be looked at.
pub(crate) trait Accounts {
    fn account(&self, address: &str) -> Option<&Account>;

    /// The number of the next account.
    fn next_number(&self) -> u64;

    fn balance(&self, address: &str, denom: &str) -> u128 {
        let account = self.account(address);
        let balance = account.and_then(|account| account.balances.get(denom));
        balance.copied().unwrap_or(0)
    }
}

/// The accounts as the newest block leaves them.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) accounts: BTreeMap<String, Account>,
    next_number: u64,
}

impl State {
    /// Makes the changes, and returns what was there before.
    pub(crate) fn apply(&mut self, changes: Changes) -> BTreeMap<String, Option<Account>> {
        self.next_number = changes.next_number.unwrap_or(self.next_number);
        let accounts = changes.accounts.into_iter();
        accounts
            .map(|(address, account)| {
                let before = self.accounts.insert(address.clone(), account);
                (address, before)
            })
            .collect()
    }
}

impl Accounts for State {
    fn account(&self, address: &str) -> Option<&Account> {
        self.accounts.get(address)
    }

    fn next_number(&self) -> u64 {
        self.next_number
    }
}

/// What a view changed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Changes {
    accounts: BTreeMap<String, Account>,
    next_number: Option<u64>,
}

/// Other accounts, with changes that those do not see.
pub(crate) struct View<'a> {
    base: &'a dyn Accounts,
    changes: Changes,
}

impl<'a> View<'a> {
    pub(crate) fn new(base: &'a dyn Accounts) -> Self {
        Self::with(base, Changes::default())
    }

    pub(crate) fn with(base: &'a dyn Accounts, changes: Changes) -> Self {
        Self { base, changes }
    }

    pub(crate) fn into_changes(self) -> Changes {
        self.changes
    }

    pub(crate) fn apply(&mut self, changes: Changes) {
        self.changes.accounts.extend(changes.accounts);
        self.changes.next_number = changes.next_number.or(self.changes.next_number);
    }

    /// The account at an address; a new one where there is none yet.
    pub(crate) fn account_mut(&mut self, address: &str) -> &mut Account {
        let known = self.account(address).cloned();
        let account = known.unwrap_or_else(|| {
            let number = self.next_number();
            self.changes.next_number = Some(number + 1);
            Account {
                number,
                ..Account::default()
            }
        });
        let accounts = &mut self.changes.accounts;
        accounts.entry(address.to_owned()).or_insert(account)
    }

    pub(crate) fn spend(&mut self, address: &str, coins: &[Coin]) -> Result<(), Refusal> {
        for coin in coins {
            let has = self.balance(address, &coin.denom);
            let Some(left) = has.checked_sub(coin.amount) else {
                let denom = &coin.denom;
                return Err(INSUFFICIENT_FUNDS.of(format!("{has}{denom} is smaller than {coin}")));
            };
            self.set_balance(address, &coin.denom, left);
        }
        Ok(())
    }

    pub(crate) fn receive(&mut self, address: &str, coins: &[Coin]) {
        for coin in coins {
            let has = self.balance(address, &coin.denom);
            self.set_balance(address, &coin.denom, has.saturating_add(coin.amount));
        }
    }

    pub(crate) fn set_balance(&mut self, address: &str, denom: &str, amount: u128) {
        let balances = &mut self.account_mut(address).balances;
        match amount {
            0 => balances.remove(denom),
            _ => balances.insert(denom.to_owned(), amount),
        };
    }
}

impl Accounts for View<'_> {
    fn account(&self, address: &str) -> Option<&Account> {
        let changed = self.changes.accounts.get(address);
        changed.or_else(|| self.base.account(address))
    }

    fn next_number(&self) -> u64 {
        let changed = self.changes.next_number;
        changed.unwrap_or_else(|| self.base.next_number())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_is_seen_only_when_its_changes_are_applied() {
        let mut state = State::default();
        let mut view = View::new(&state);
        view.receive("a", &[Coin::parse("5stake").unwrap()]);
        view.receive("b", &[Coin::parse("1stake").unwrap()]);
        let changes = view.into_changes();
        assert_eq!(state.balance("a", "stake"), 0);

        let before = state.apply(changes);
        assert_eq!(before.get("a"), Some(&None));
        assert_eq!(state.balance("a", "stake"), 5);
        assert_eq!(state.account("b").unwrap().number, 1);
        assert_eq!(state.next_number(), 2);
    }

    #[test]
    fn nobody_spends_what_is_not_there() {
        let state = State::default();
        let mut view = View::new(&state);
        view.receive("a", &[Coin::parse("5stake").unwrap()]);
        let refused = view.spend("a", &[Coin::parse("6stake").unwrap()]);
        assert_eq!(
            refused.unwrap_err().log,
            "5stake is smaller than 6stake: insufficient funds"
        );
        view.spend("a", &[Coin::parse("5stake").unwrap()]).unwrap();
        assert!(view.account("a").unwrap().balances.is_empty());
    }
}
