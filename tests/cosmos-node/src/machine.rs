//! The chain itself: accounts, mempool and blocks. Nothing here waits, and
//! nothing here knows of HTTP.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::SystemTime;

use crate::SetupError;
use crate::account::{Account, Accounts, Changes, State, View};
use crate::ante::{Mode, Rules};
use crate::bank::Bank;
use crate::block::{Block, Delivered, Outcome};
use crate::coin::Coin;
use crate::event::Event;
use crate::genesis::{Constants, Genesis};
use crate::mempool::Mempool;
use crate::meter::Meter;
use crate::past::Past;
use crate::refusal::{IN_CACHE, Refusal};
use crate::tx::{self, Tx};

/// A chain with one producer of blocks.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) constants: Constants,
    state: State,
    /// What the waiting transactions have changed so far: their fees and
    /// sequence numbers, not yet their transfers.
    check: Changes,
    mempool: Mempool,
    blocks: Vec<Block>,
    delivered: Vec<Delivered>,
    by_hash: HashMap<String, usize>,
    blocked: BTreeSet<String>,
    pub(crate) halted: bool,
    /// How many transactions a block takes.
    pub(crate) block_size: usize,
}

/// How a node sees the chain: it may be behind, or on another chain.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outlook {
    pub(crate) behind: u64,
    pub(crate) chain_id: Option<String>,
}

/// A transaction as it arrived, and whether it was taken.
pub(crate) struct Checked {
    pub(crate) hash: String,
    pub(crate) refusal: Option<Refusal>,
}

impl Machine {
    pub(crate) fn new(genesis: &Genesis, now: SystemTime) -> Result<Self, SetupError> {
        let (constants, state, blocked) = genesis.read()?;
        let mut machine = Self {
            constants,
            state,
            check: Changes::default(),
            mempool: Mempool::default(),
            blocks: Vec::new(),
            delivered: Vec::new(),
            by_hash: HashMap::new(),
            blocked,
            halted: false,
            block_size: usize::MAX,
        };
        machine.produce(now);
        Ok(machine)
    }

    /// The height of the newest block.
    pub(crate) fn height(&self) -> u64 {
        self.blocks.len() as u64
    }

    /// The height that a node reports: there is always a first block.
    pub(crate) fn height_seen(&self, outlook: &Outlook) -> u64 {
        self.height().saturating_sub(outlook.behind).max(1)
    }

    pub(crate) fn block(&self, height: u64) -> Option<&Block> {
        let index = usize::try_from(height.checked_sub(1)?).ok()?;
        self.blocks.get(index)
    }

    pub(crate) fn delivered(&self) -> &[Delivered] {
        &self.delivered
    }

    /// A transaction that is in a block up to this height.
    pub(crate) fn find(&self, hash: &str, height: u64) -> Option<&Delivered> {
        let found = self.delivered.get(*self.by_hash.get(hash)?)?;
        (found.height <= height).then_some(found)
    }

    pub(crate) fn waiting(&self) -> &[Tx] {
        self.mempool.waiting()
    }

    /// The accounts as the block at this height left them.
    pub(crate) fn at(&self, height: u64) -> Past<'_> {
        Past::new(&self.state, &self.blocks, height)
    }

    pub(crate) fn accounts(&self) -> &BTreeMap<String, Account> {
        &self.state.accounts
    }

    /// The sequence number after all transactions that wait, and the account's
    /// number.
    pub(crate) fn next(&self, address: &str) -> Option<(u64, u64)> {
        let check = View::with(&self.state, self.check.clone());
        let account = check.account(address)?;
        Some((account.sequence, account.number))
    }

    /// Takes a transaction into the mempool, or refuses it.
    pub(crate) fn check(&mut self, bytes: &[u8], outlook: &Outlook) -> Checked {
        let hash = tx::hash(bytes);
        if self.mempool.knows(&hash) {
            let refusal = Some(IN_CACHE.refusal());
            return Checked { hash, refusal };
        }
        let taken = Tx::decode(bytes).and_then(|tx| self.take(tx, outlook));
        let refusal = taken.err();
        Checked { hash, refusal }
    }

    fn take(&mut self, tx: Tx, outlook: &Outlook) -> Result<(), Refusal> {
        if outlook.behind == 0 && self.is_own(outlook) {
            return self.admit(tx);
        }
        self.check_apart(&tx, outlook)?;
        if self.is_own(outlook) {
            // The node passes it on, and is not told what becomes of it.
            let _ = self.admit(tx);
        }
        Ok(())
    }

    fn is_own(&self, outlook: &Outlook) -> bool {
        let chain_id = outlook.chain_id.as_ref();
        chain_id.is_none_or(|id| *id == self.constants.chain_id)
    }

    fn admit(&mut self, tx: Tx) -> Result<(), Refusal> {
        let mut check = View::with(&self.state, std::mem::take(&mut self.check));
        let rules = self.rules(Mode::Check, self.height(), &self.constants.chain_id);
        let checked = apply(&rules, &check, &tx);
        let checked = checked.map(|changes| check.apply(changes));
        self.check = check.into_changes();
        checked.map(|()| self.mempool.push(tx))
    }

    /// Checks a transaction as a node that sees the chain differently.
    fn check_apart(&self, tx: &Tx, outlook: &Outlook) -> Result<(), Refusal> {
        let height = self.height_seen(outlook);
        let chain_id = outlook.chain_id.as_ref();
        let chain_id = chain_id.unwrap_or(&self.constants.chain_id);
        let past = self.at(height);
        let check = self.replay(&past, height);
        let rules = self.rules(Mode::Check, height, chain_id);
        apply(&rules, &check, tx).map(|_| ())
    }

    /// What the transactions that wait make of these accounts.
    fn replay<'a>(&self, base: &'a dyn Accounts, height: u64) -> View<'a> {
        let mut view = View::new(base);
        // What such a node would have refused changes nothing.
        let rules = self.rules(Mode::Simulate, height, &self.constants.chain_id);
        for tx in self.mempool.waiting() {
            if let Ok(changes) = apply(&rules, &view, tx) {
                view.apply(changes);
            }
        }
        view
    }

    /// What the transaction would do now, and the gas that it would use.
    pub(crate) fn simulate(&self, bytes: &[u8], outlook: &Outlook) -> Result<Outcome, Refusal> {
        let tx = Tx::decode(bytes)?;
        let height = self.height_seen(outlook);
        let past = self.at(height);
        let check = match outlook.behind {
            0 => View::with(&self.state, self.check.clone()),
            _ => self.replay(&past, height),
        };
        let mut view = View::new(&check);
        let mut meter = Meter::unlimited();
        let rules = self.rules(Mode::Simulate, height, &self.constants.chain_id);
        rules.apply(&mut view, &mut meter, &tx)?;
        let messages = self.execute(&mut view, &mut meter, &tx)?;
        Ok(Outcome::done(&tx, meter.used(), Vec::new(), messages))
    }

    /// Makes a block of all that waits.
    pub(crate) fn produce(&mut self, now: SystemTime) -> u64 {
        let height = self.height() + 1;
        let first = self.delivered.len();
        let mut block = View::new(&self.state);
        let mut delivered = Vec::new();
        for tx in self.mempool.take(self.block_size) {
            let outcome = self.deliver(&mut block, &tx, height);
            // What failed can be sent again; what went well cannot.
            if !outcome.is_ok() {
                self.mempool.forget(&tx.hash);
            }
            delivered.push((tx, outcome));
        }
        let changes = block.into_changes();
        let before = self.state.apply(changes);
        for (index, (tx, outcome)) in delivered.into_iter().enumerate() {
            self.index(&tx.hash, outcome.is_ok());
            self.delivered.push(Delivered {
                tx,
                height,
                time: now,
                index,
                outcome,
            });
        }
        self.blocks.push(Block {
            height,
            time: now,
            txs: first..self.delivered.len(),
            before,
        });
        self.recheck();
        height
    }

    /// One that went well is not hidden by its own replay.
    fn index(&mut self, hash: &str, is_ok: bool) {
        let at = self.delivered.len();
        let known = self.by_hash.entry(hash.to_owned()).or_insert(at);
        if is_ok {
            *known = at;
        }
    }

    fn deliver(&self, block: &mut View<'_>, tx: &Tx, height: u64) -> Outcome {
        let rules = self.rules(Mode::Deliver, height, &self.constants.chain_id);
        let mut meter = Meter::new(tx.gas_limit);
        let mut checks = View::new(block);
        let events = match rules.apply(&mut checks, &mut meter, tx) {
            Ok(events) => events,
            Err(refusal) => return Outcome::failed(tx, meter.used(), refusal),
        };
        // From here on the fee and the sequence number are used up.
        let changes = checks.into_changes();
        block.apply(changes);
        let mut messages = View::new(block);
        match self.execute(&mut messages, &mut meter, tx) {
            Ok(done) => {
                let changes = messages.into_changes();
                block.apply(changes);
                Outcome::done(tx, meter.used(), events, done)
            }
            Err(refusal) => Outcome::failed(tx, meter.used(), refusal),
        }
    }

    fn execute(
        &self,
        view: &mut View<'_>,
        meter: &mut Meter,
        tx: &Tx,
    ) -> Result<Vec<Vec<Event>>, Refusal> {
        let mut bank = Bank {
            view,
            meter,
            prefix: &self.constants.prefix,
            blocked: &self.blocked,
        };
        let messages = tx.messages.iter().enumerate();
        messages
            .map(|(index, message)| bank.execute(index, message))
            .collect()
    }

    /// Checks all that waits against the newest block; what no longer passes
    /// is dropped.
    fn recheck(&mut self) {
        self.check = Changes::default();
        for tx in self.mempool.take(usize::MAX) {
            let mut check = View::with(&self.state, std::mem::take(&mut self.check));
            let rules = self.rules(Mode::Recheck, self.height(), &self.constants.chain_id);
            let checked = apply(&rules, &check, &tx).map(|changes| check.apply(changes));
            self.check = check.into_changes();
            match checked {
                Ok(()) => self.mempool.push(tx),
                Err(_) => self.mempool.forget(&tx.hash),
            }
        }
    }

    /// Loses all that waits, as a node that starts anew.
    pub(crate) fn drop_mempool(&mut self) {
        self.mempool.clear();
        self.check = Changes::default();
    }

    /// Gives an account exactly these coins, of the kinds that are named.
    pub(crate) fn set_balance(&mut self, text: &str, coins: &[Coin]) -> Result<(), SetupError> {
        let address = self.constants.address(text)?;
        let mut view = View::new(&self.state);
        for coin in coins {
            view.set_balance(&address, &coin.denom, coin.amount);
        }
        let changes = view.into_changes();
        let before = self.state.apply(changes);
        if let Some(newest) = self.blocks.last_mut() {
            for (address, account) in before {
                newest.before.entry(address).or_insert(account);
            }
        }
        self.recheck();
        Ok(())
    }

    /// Sets whether an address cannot be paid.
    pub(crate) fn block_address(&mut self, text: &str, blocked: bool) -> Result<(), SetupError> {
        let address = self.constants.address(text)?;
        if blocked {
            self.blocked.insert(address);
        } else {
            self.blocked.remove(&address);
        }
        Ok(())
    }

    fn rules<'a>(&'a self, mode: Mode, height: u64, chain_id: &'a str) -> Rules<'a> {
        Rules {
            mode,
            chain_id,
            prefix: &self.constants.prefix,
            gas_prices: &self.constants.gas_prices,
            fee_collector: &self.constants.fee_collector,
            height,
        }
    }
}

fn apply(rules: &Rules<'_>, base: &View<'_>, tx: &Tx) -> Result<Changes, Refusal> {
    let mut view = View::new(base);
    let mut meter = Meter::new(tx.gas_limit);
    rules.apply(&mut view, &mut meter, tx)?;
    Ok(view.into_changes())
}
