//! A chain that nodes share: [`Machine`] behind a lock, with a clock.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use serde::Serialize;
use tokio::sync::watch;
use tokio::time::{self, MissedTickBehavior};

use crate::SetupError;
use crate::account::Accounts;
use crate::block::Outcome;
use crate::coin::Coin;
use crate::genesis::Genesis;
use crate::machine::{Machine, Outlook};
use crate::sign::{self, Payment};

const TRANSFER_GAS: u64 = 200_000;

/// A chain, shared by its nodes. Clones are the same chain.
#[derive(Clone, Debug)]
pub struct Chain(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    machine: Mutex<Machine>,
    height: watch::Sender<u64>,
}

/// All that blocks have taken, and what it came to.
#[derive(Clone, Debug, Serialize)]
pub struct Ledger {
    /// The height of the newest block.
    pub height: u64,
    /// The transactions, in order.
    pub transactions: Vec<LedgerEntry>,
    /// What each account has, by coin. Fees are at the fee collector's address.
    #[serde(serialize_with = "balances")]
    pub balances: BTreeMap<String, BTreeMap<String, u128>>,
}

/// A transaction that a block has taken.
#[derive(Clone, Debug, Serialize)]
pub struct LedgerEntry {
    /// The block's height.
    pub height: u64,
    /// The transaction's hash.
    pub hash: String,
    /// Who paid the fee.
    pub sender: String,
    /// The sequence number that it was signed with.
    pub sequence: u64,
    /// 0 where the transfers were made.
    pub code: u32,
    /// The transfers that were made: none where the code is not 0.
    pub transfers: Vec<LedgerTransfer>,
}

/// A sum that went to an address.
#[derive(Clone, Debug, Serialize)]
pub struct LedgerTransfer {
    /// The recipient.
    pub to: String,
    /// What was sent.
    #[serde(flatten)]
    pub coin: Coin,
}

impl Chain {
    /// A chain with its first block. Must be called within a Tokio runtime
    /// where blocks are to come by themselves.
    pub fn new(genesis: &Genesis) -> Result<Self, SetupError> {
        let machine = Machine::new(genesis, SystemTime::now())?;
        let (height, _) = watch::channel(machine.height());
        let chain = Self(Arc::new(Shared {
            machine: Mutex::new(machine),
            height,
        }));
        match genesis.block_time {
            Some(Duration::ZERO) => return Err(SetupError::new("the block time is zero")),
            Some(block_time) => chain.tick(block_time),
            None => {}
        }
        Ok(chain)
    }

    /// Makes a block at each tick, until nobody holds the chain any more.
    fn tick(&self, block_time: Duration) {
        let chain = Arc::downgrade(&self.0);
        tokio::spawn(async move {
            let mut ticks = time::interval_at(time::Instant::now() + block_time, block_time);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                let Some(chain) = chain.upgrade().map(Self) else {
                    return;
                };
                chain.produce(|machine| !machine.halted);
            }
        });
    }

    pub(crate) fn machine(&self) -> MutexGuard<'_, Machine> {
        // No lock is held over anything that panics.
        let machine = self.0.machine.lock();
        machine.unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a block of what waits, also where the chain is halted, and
    /// returns its height.
    pub fn produce_block(&self) -> u64 {
        self.produce(|_| true)
    }

    /// Makes a block where the chain is ready for one. Told under the lock, the
    /// height never goes back.
    fn produce(&self, is_ready: impl FnOnce(&Machine) -> bool) -> u64 {
        let mut machine = self.machine();
        if is_ready(&machine) {
            let height = machine.produce(SystemTime::now());
            self.0.height.send_replace(height);
        }
        machine.height()
    }

    /// The height of the newest block.
    #[must_use]
    pub fn height(&self) -> u64 {
        self.machine().height()
    }

    /// Returns when there is a block at this height.
    pub async fn reach(&self, height: u64) {
        let mut heights = self.0.height.subscribe();
        // The sender lives as long as the chain.
        let _ = heights.wait_for(|at| *at >= height).await;
    }

    /// Makes no more blocks by itself.
    pub fn halt(&self) {
        self.machine().halted = true;
    }

    /// Makes blocks again.
    pub fn resume(&self) {
        self.machine().halted = false;
    }

    /// How many transactions a block takes from now on: with 0, blocks come but
    /// everything waits.
    pub fn set_block_size(&self, transactions: usize) {
        self.machine().block_size = transactions;
    }

    /// Loses all that waits, and which transactions are known already.
    pub fn drop_mempool(&self) {
        self.machine().drop_mempool();
    }

    /// How many transactions wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.machine().waiting().len()
    }

    /// Gives an account exactly these coins, such as `1000stake,0uatom`; those
    /// that are not named stay as they are.
    pub fn set_balance(&self, address: &str, coins: &str) -> Result<(), SetupError> {
        let coins = Coin::parse_all(coins)?;
        self.machine().set_balance(address, &coins)
    }

    /// Sets whether an address cannot be paid: transfers to it fail in their
    /// block.
    pub fn block_address(&self, address: &str, blocked: bool) -> Result<(), SetupError> {
        self.machine().block_address(address, blocked)
    }

    /// What an account has of a coin.
    #[must_use]
    pub fn balance(&self, address: &str, denom: &str) -> u128 {
        let machine = self.machine();
        machine.at(machine.height()).balance(address, denom)
    }

    /// The sequence number of the account's next transaction in a block.
    #[must_use]
    pub fn sequence(&self, address: &str) -> u64 {
        let machine = self.machine();
        let account = machine.accounts().get(address);
        account.map_or(0, |account| account.sequence)
    }

    /// Signs a transfer of coins such as `1000stake` with the account's next
    /// sequence number and sends it, as another holder of the key would.
    /// Returns its hash.
    pub fn transfer(&self, key: &[u8], to: &str, coins: &str) -> Result<String, SetupError> {
        let coins = Coin::parse_all(coins)?;
        let mut machine = self.machine();
        let constants = &machine.constants;
        let sender = sign::address_of(key, &constants.prefix)?;
        let Some((sequence, account_number)) = machine.next(&sender) else {
            return Err(SetupError::new(format!("{sender} has no account")));
        };
        let fee = constants.gas_prices.first();
        let fee = fee.map(|price| price.fee(TRANSFER_GAS));
        let payment = Payment {
            chain_id: &constants.chain_id,
            prefix: &constants.prefix,
            account_number,
            sequence,
            to,
            coins: &coins,
            fee,
            gas: TRANSFER_GAS,
        };
        let bytes = payment.sign(key)?;
        let checked = machine.check(&bytes, &Outlook::default());
        match checked.refusal {
            None => Ok(checked.hash),
            Some(refusal) => Err(SetupError::new(refusal.log)),
        }
    }

    /// What became of a transaction, once a block above `height` has it.
    pub(crate) async fn outcome(&self, hash: &str, height: u64) -> (u64, Outcome) {
        let mut heights = self.0.height.subscribe();
        loop {
            let found = {
                let machine = self.machine();
                let found = machine.find(hash, machine.height());
                found.map(|found| (found.height, found.outcome.clone()))
            };
            match found {
                Some((at, outcome)) if at > height => return (at, outcome),
                // The sender lives as long as the chain.
                _ => drop(heights.changed().await),
            }
        }
    }

    /// All that blocks have taken, and what each account has.
    #[must_use]
    pub fn ledger(&self) -> Ledger {
        let machine = self.machine();
        let transactions = machine.delivered().iter().map(|delivered| {
            let tx = &delivered.tx;
            let made = tx.messages.iter().filter(|_| delivered.outcome.is_ok());
            let transfers = made.flat_map(|message| message.payees());
            let transfers = transfers.flat_map(|(to, coins)| {
                coins.iter().map(|coin| LedgerTransfer {
                    to: to.to_owned(),
                    coin: coin.clone(),
                })
            });
            LedgerEntry {
                height: delivered.height,
                hash: tx.hash.clone(),
                sender: tx.payer().to_owned(),
                sequence: tx.sequence(),
                code: delivered.outcome.code,
                transfers: transfers.collect(),
            }
        });
        let balances = machine.accounts().iter();
        Ledger {
            height: machine.height(),
            transactions: transactions.collect(),
            balances: balances
                .map(|(address, account)| (address.clone(), account.balances.clone()))
                .collect(),
        }
    }
}

fn balances<S: serde::Serializer>(
    balances: &BTreeMap<String, BTreeMap<String, u128>>,
    to: S,
) -> Result<S::Ok, S::Error> {
    to.collect_map(balances.iter().map(|(address, coins)| {
        let coins = coins.iter().map(|(denom, sum)| (denom, sum.to_string()));
        (address, coins.collect::<BTreeMap<_, _>>())
    }))
}
