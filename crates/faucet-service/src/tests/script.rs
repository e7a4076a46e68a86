//! A chain that answers as a test says, and remembers what it was asked.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use offchain_chains::{
    Account, AccountKey, AddressError, Broadcast, Chain, ChainFault, Refusal, SignError, Signed,
    Terms, Transfer, TxStatus,
};
use offchain_store::test_util::FakeAws;

/// The terms of a transaction that offers this fee.
pub(super) fn terms(fee: u128) -> Terms {
    Terms::Cosmos {
        account_number: 17,
        timeout_height: 1000,
        gas: 100,
        fee,
    }
}

/// An account with this next number and balance, at height 100.
pub(super) fn account(sequence: u64, balance: u128) -> Account {
    Account {
        sequence,
        number: 17,
        balance,
        fee_balance: balance,
        height: 100,
    }
}

pub(super) fn refused(refusal: Refusal) -> Broadcast {
    Broadcast::Refused {
        refusal,
        reason: "as the node says".to_owned(),
    }
}

pub(super) fn no_answer() -> ChainFault {
    ChainFault::Unavailable("as the test says".to_owned())
}

pub(super) fn key() -> AccountKey {
    AccountKey::from_bytes(&[0x46; 32]).unwrap()
}

#[derive(Default)]
struct State {
    accounts: VecDeque<Result<Account, ChainFault>>,
    terms: VecDeque<Result<Terms, ChainFault>>,
    broadcasts: VecDeque<Result<Broadcast, ChainFault>>,
    statuses: VecDeque<Result<TxStatus, ChainFault>>,
    calls: Vec<(usize, String)>,
}

/// The chain. Clones share their answers and calls. Each answer is given once,
/// and a question for which none is left ends the test; only terms are made up:
/// the fee is 10, or one more than the last.
#[derive(Clone)]
pub(super) struct Script {
    aws: FakeAws,
    state: Arc<Mutex<State>>,
}

impl Script {
    /// A chain whose calls are told in one order with those of `aws`.
    pub(super) fn new(aws: &FakeAws) -> Self {
        Self {
            aws: aws.clone(),
            state: Arc::default(),
        }
    }

    pub(super) fn account(self, answer: Result<Account, ChainFault>) -> Self {
        self.state().accounts.push_back(answer);
        self
    }

    pub(super) fn terms(self, answer: Result<Terms, ChainFault>) -> Self {
        self.state().terms.push_back(answer);
        self
    }

    pub(super) fn broadcast(self, answer: Result<Broadcast, ChainFault>) -> Self {
        self.state().broadcasts.push_back(answer);
        self
    }

    pub(super) fn status(self, answer: Result<TxStatus, ChainFault>) -> Self {
        self.state().statuses.push_back(answer);
        self
    }

    /// The calls so far, each with how many calls to AWS went before.
    pub(super) fn calls(&self) -> Vec<(usize, String)> {
        self.state().calls.clone()
    }

    /// What the chain was asked, in its order.
    pub(super) fn asked(&self) -> Vec<String> {
        self.calls().into_iter().map(|(_, what)| what).collect()
    }

    /// What the chain was asked of this kind.
    pub(super) fn asked_for(&self, kind: &str) -> Vec<String> {
        let mut asked = self.asked();
        asked.retain(|what| what.starts_with(kind));
        asked
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Notes a call, and takes its answer.
    fn answer<T>(
        &self,
        what: String,
        answers: impl Fn(&mut State) -> &mut VecDeque<Result<T, ChainFault>>,
    ) -> Option<Result<T, ChainFault>> {
        let before = self.aws.calls().len();
        let mut state = self.state();
        state.calls.push((before, what));
        answers(&mut state).pop_front()
    }
}

/// The answer that has to be there.
fn scripted<T>(answer: Option<T>, what: &str) -> T {
    answer.unwrap_or_else(|| panic!("no answer is left for {what}"))
}

impl Chain for Script {
    fn address(&self, text: &str) -> Result<String, AddressError> {
        let address = text.to_lowercase();
        if address.starts_with("addr") {
            Ok(address)
        } else {
            Err(AddressError("it is none of this chain".to_owned()))
        }
    }

    fn sender(&self, _: &AccountKey) -> String {
        "payer".to_owned()
    }

    fn batch_limit(&self) -> usize {
        90
    }

    async fn account(&self, address: &str, at_least: u64) -> Result<Account, ChainFault> {
        let what = format!("account {address} from {at_least}");
        scripted(
            self.answer(what, |state| &mut state.accounts),
            "the account",
        )
    }

    async fn terms(
        &self,
        _: &str,
        _: &Account,
        transfers: &[Transfer],
        last: Option<&Terms>,
    ) -> Result<Terms, ChainFault> {
        let offered = last.map(Terms::most);
        let what = match offered {
            Some(fee) => format!("terms for {} above {fee}", transfers.len()),
            None => format!("terms for {}", transfers.len()),
        };
        self.answer(what, |state| &mut state.terms)
            .unwrap_or_else(|| Ok(terms(offered.map_or(10, |fee| fee + 1))))
    }

    fn sign(
        &self,
        _: &AccountKey,
        sequence: u64,
        transfers: &[Transfer],
        terms: &Terms,
    ) -> Result<Signed, SignError> {
        let fee = terms.most();
        let paid: Vec<String> = transfers
            .iter()
            .map(|transfer| format!("{}={}", transfer.to, transfer.amount))
            .collect();
        Ok(Signed {
            hash: format!("N{sequence}F{fee}"),
            bytes: format!("{sequence} for {fee}: {}", paid.join(" ")).into_bytes(),
        })
    }

    async fn broadcast(&self, bytes: &[u8]) -> Result<Broadcast, ChainFault> {
        let what = format!("broadcast {}", String::from_utf8_lossy(bytes));
        let answer = self.answer(what.clone(), |state| &mut state.broadcasts);
        scripted(answer, &what)
    }

    async fn status(&self, hash: &str, at_least: u64) -> Result<TxStatus, ChainFault> {
        let what = format!("status {hash} from {at_least}");
        let answer = self.answer(what.clone(), |state| &mut state.statuses);
        scripted(answer, &what)
    }

    async fn height(&self) -> Result<u64, ChainFault> {
        panic!("nobody asks for the height alone")
    }
}
