//! A chain in memory, of either kind, and all that can go wrong with it: nodes
//! that do not answer or lag behind, another holder of the key, blocks that are
//! taken back, transactions that are dropped, fees that rise, and recipients
//! that take nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use offchain_chains::{
    Account, AccountKey, AddressError, Broadcast, Chain, ChainFault, Refusal, SignError, Signed,
    Terms, Transfer, TxStatus,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::gate::{Fate, Gate};

/// The address that pays.
pub(crate) const SENDER: &str = "faucet";
/// What a transaction costs on the kind of Cosmos.
const FEE: u128 = 10;
const GAS: u64 = 10;
/// More than this a unit of gas is never offered.
const MOST_FEE: u128 = 1000;

/// In what chains differ, as far as a payer can tell.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Habits {
    /// As EVM chains: a mempool can be looked into, a higher fee replaces, and
    /// nothing is taken that the account cannot pay. Else as Cosmos: what waits
    /// is not shown, transactions expire, and one that fails costs its number.
    pub(crate) evm: bool,
    /// Nodes keep a transaction whose number is too high.
    pub(crate) keeps_gaps: bool,
    /// For how many blocks a transaction may be taken, of the kind of Cosmos.
    pub(crate) timeout_blocks: u64,
    /// What a recipient does is seen before a transaction is signed.
    pub(crate) estimates: bool,
    /// How many blocks nodes write their index of transactions behind.
    pub(crate) late_index: u64,
}

/// A transaction, as its bytes say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tx {
    pub(crate) sequence: u64,
    pub(crate) transfers: Vec<(String, String)>,
    terms: Terms,
    /// Whoever else has the key: how much it took, and a number of its own.
    foreign: Option<(String, u64)>,
}

impl Tx {
    fn bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap()
    }

    pub(crate) fn hash(&self) -> String {
        hex::encode(Sha256::digest(self.bytes()))
    }

    pub(crate) fn is_foreign(&self) -> bool {
        self.foreign.is_some()
    }

    fn total(&self) -> u128 {
        let taken = self.foreign.as_ref().map(|(taken, _)| taken);
        self.transfers
            .iter()
            .map(|(_, amount)| amount)
            .chain(taken)
            .map(|amount| amount.parse::<u128>().unwrap())
            .sum()
    }

    fn price(&self) -> u128 {
        match self.terms {
            Terms::Evm { max_fee, .. } => max_fee,
            Terms::Cosmos { fee, .. } => fee,
        }
    }

    fn has_expired_at(&self, height: u64) -> bool {
        self.terms
            .timeout_height()
            .is_some_and(|last| height > last)
    }
}

/// A transaction in a block.
#[derive(Clone, Debug)]
pub(crate) struct Mined {
    pub(crate) tx: Tx,
    pub(crate) failure: Option<String>,
}

#[derive(Clone, Debug)]
struct Block {
    mined: Vec<Mined>,
    /// What they leave.
    sequence: u64,
    balance: u128,
}

#[derive(Debug)]
pub(crate) struct Net {
    habits: Habits,
    /// The first one is the genesis.
    blocks: Vec<Block>,
    mempool: BTreeMap<u64, Tx>,
    pub(crate) closed: BTreeSet<String>,
    pub(crate) base_fee: u128,
    /// Blocks up to here were final for somebody: they stay.
    settled: u64,
    others: u64,
}

/// The chain.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    net: Arc<Mutex<Net>>,
    gate: Gate,
}

impl Model {
    pub(crate) fn new(gate: Gate, habits: Habits, balance: u128) -> Self {
        let genesis = Block {
            mined: Vec::new(),
            sequence: 0,
            balance,
        };
        let net = Net {
            habits,
            blocks: vec![genesis; 5],
            mempool: BTreeMap::new(),
            closed: BTreeSet::new(),
            base_fee: 1,
            settled: 4,
            others: 0,
        };
        Self {
            net: Arc::new(Mutex::new(net)),
            gate,
        }
    }

    pub(crate) fn net(&self) -> MutexGuard<'_, Net> {
        self.net.lock().unwrap()
    }
}

impl Net {
    pub(crate) fn height(&self) -> u64 {
        self.blocks.len() as u64 - 1
    }

    fn head(&self) -> &Block {
        self.blocks.last().unwrap()
    }

    pub(crate) fn sequence(&self) -> u64 {
        self.head().sequence
    }

    pub(crate) fn balance(&self) -> u128 {
        self.head().balance
    }

    /// Every transaction that a block has, with its height.
    pub(crate) fn mined(&self) -> impl Iterator<Item = (u64, &Mined)> {
        self.blocks
            .iter()
            .enumerate()
            .flat_map(|(height, block)| block.mined.iter().map(move |mined| (height as u64, mined)))
    }

    /// How often an address was paid.
    pub(crate) fn paid(&self, address: &str) -> usize {
        self.mined()
            .filter(|(_, mined)| mined.failure.is_none())
            .flat_map(|(_, mined)| &mined.tx.transfers)
            .filter(|(to, _)| to == address)
            .count()
    }

    pub(crate) fn waiting(&self) -> Vec<u64> {
        self.mempool.keys().copied().collect()
    }

    /// A block with at most so many transactions of the mempool. Blocks that
    /// `confirmations` makes final stay.
    pub(crate) fn mine(&mut self, most: usize, confirmations: u64) {
        let Block {
            sequence, balance, ..
        } = *self.head();
        let mut block = Block {
            mined: Vec::new(),
            sequence,
            balance,
        };
        let height = self.height() + 1;
        while block.mined.len() < most
            && let Some(tx) = self.mempool.get(&block.sequence).cloned()
        {
            if self.habits.evm && tx.price() < self.base_fee {
                break;
            }
            if self.habits.evm && block.balance < tx.total() + tx.terms.most() {
                break;
            }
            self.mempool.remove(&block.sequence);
            if tx.has_expired_at(height) || block.balance < FEE.min(tx.terms.most()) {
                break;
            }
            self.execute(&mut block, tx);
        }
        // What can no longer be taken goes.
        self.mempool
            .retain(|number, tx| *number >= block.sequence && !tx.has_expired_at(height + 1));
        self.blocks.push(block);
        self.settled = self.settled.max((height + 1).saturating_sub(confirmations));
    }

    fn execute(&self, block: &mut Block, tx: Tx) {
        block.sequence += 1;
        block.balance -= FEE.min(tx.terms.most()).min(block.balance);
        let refuses = tx.transfers.iter().any(|(to, _)| self.closed.contains(to));
        let failure = if refuses {
            Some("a recipient takes nothing".to_owned())
        } else if tx.total() > block.balance {
            Some("insufficient funds".to_owned())
        } else {
            let kept = tx.transfers.iter().filter(|(to, _)| to == SENDER);
            let kept: u128 = kept.map(|(_, sum)| sum.parse::<u128>().unwrap()).sum();
            block.balance -= tx.total() - kept;
            None
        };
        block.mined.push(Mined { tx, failure });
    }

    /// Another holder of the key takes the next number, and so much, in a block
    /// of its own.
    pub(crate) fn steal(&mut self, taken: u128, confirmations: u64) {
        self.others += 1;
        let sequence = self.sequence();
        let tx = Tx {
            sequence,
            transfers: Vec::new(),
            terms: Terms::Evm {
                gas: 1,
                max_fee: MOST_FEE,
                priority_fee: 1,
            },
            foreign: Some((
                taken.min(self.balance().saturating_sub(FEE)).to_string(),
                self.others,
            )),
        };
        let Block {
            sequence, balance, ..
        } = *self.head();
        let mut block = Block {
            mined: Vec::new(),
            sequence,
            balance,
        };
        self.execute(&mut block, tx);
        self.mempool.retain(|number, _| *number >= block.sequence);
        self.blocks.push(block);
        let height = self.height();
        self.settled = self.settled.max((height + 1).saturating_sub(confirmations));
    }

    /// Takes back so many blocks, as far as nobody has taken them for final.
    /// Nodes remember their transactions, or do not.
    pub(crate) fn reorganise(&mut self, blocks: u64, remembered: bool) -> u64 {
        let blocks = blocks.min(self.height() - self.settled);
        for _ in 0..blocks {
            let gone = self.blocks.pop().unwrap();
            for mined in gone.mined.into_iter().filter(|_| remembered) {
                self.mempool.insert(mined.tx.sequence, mined.tx);
            }
        }
        blocks
    }

    /// Nodes forget what waits with this number.
    pub(crate) fn forget(&mut self, sequence: u64) {
        self.mempool.remove(&sequence);
    }

    /// Somebody has kept a transaction, and sends it again.
    pub(crate) fn put_back(&mut self, bytes: &[u8]) {
        let tx: Tx = serde_json::from_slice(bytes).unwrap();
        self.mempool.insert(tx.sequence, tx);
    }

    /// What the account has is gone but for this, by no transaction of its own.
    pub(crate) fn spend_all_but(&mut self, sum: u128) {
        self.blocks.last_mut().unwrap().balance = sum;
    }

    pub(crate) fn refund(&mut self, sum: u128) {
        self.blocks.last_mut().unwrap().balance += sum;
    }

    /// The block at the head of a node that lacks the newest ones.
    fn seen(&self, behind: u64) -> u64 {
        self.height().saturating_sub(behind)
    }

    fn account(&self, behind: u64, at_least: u64) -> Result<Account, ChainFault> {
        let height = in_step(self.seen(behind), at_least)?;
        let block = &self.blocks[usize::try_from(height).unwrap()];
        Ok(Account {
            sequence: block.sequence,
            number: 0,
            balance: block.balance,
            fee_balance: block.balance,
            height,
        })
    }

    fn status(&self, hash: &str, fate: Fate, at_least: u64) -> Result<TxStatus, ChainFault> {
        let (behind, late) = match fate {
            Fate::Behind(blocks) => (blocks, 0),
            Fate::LateIndex(blocks) => (0, blocks),
            _ => (0, 0),
        };
        let late = late.max(self.habits.late_index);
        let head = in_step(self.seen(behind), at_least)?;
        let found = self.mined().find(|(height, mined)| {
            *height <= head.saturating_sub(late) && mined.tx.hash() == hash
        });
        if let Some((height, mined)) = found {
            return Ok(TxStatus::Included {
                height,
                confirmations: head - height + 1,
                failure: mined.failure.clone(),
            });
        }
        let waits =
            self.habits.evm && behind == 0 && self.mempool.values().any(|tx| tx.hash() == hash);
        Ok(if waits {
            TxStatus::Pending
        } else {
            TxStatus::Unknown
        })
    }

    fn take(&mut self, tx: Tx, behind: u64) -> Broadcast {
        let refused = |refusal| Broadcast::Refused {
            refusal,
            reason: "as the model says".to_owned(),
        };
        let height = self.seen(behind);
        let block = &self.blocks[usize::try_from(height).unwrap()];
        let (next, balance) = (block.sequence, block.balance);
        let hash = tx.hash();
        if tx.sequence < next {
            let known = self.mined().any(|(at, mined)| {
                at <= height && mined.tx.hash() == hash && mined.failure.is_none()
            });
            return match known && !self.habits.evm {
                true => Broadcast::Known,
                false => Broadcast::SequenceUsed,
            };
        }
        if let Some(waits) = self.mempool.get(&tx.sequence).filter(|_| behind == 0) {
            if waits.hash() == hash {
                return Broadcast::Known;
            }
            if !self.habits.evm {
                return Broadcast::SequenceUsed;
            }
            if tx.price() * 10 < waits.price() * 11 {
                return refused(Refusal::Fee);
            }
        }
        if tx.has_expired_at(height) {
            return refused(Refusal::Expired);
        }
        let expected = (next..).find(|number| !self.mempool.contains_key(number));
        if expected.is_some_and(|expected| tx.sequence > expected)
            && !(self.habits.evm && self.habits.keeps_gaps)
        {
            return Broadcast::SequenceAhead;
        }
        let needed = match self.habits.evm {
            true => tx.total() + tx.terms.most(),
            false => tx.terms.most(),
        };
        if balance < needed {
            return refused(Refusal::Funds);
        }
        if self.habits.evm && tx.price() < self.base_fee {
            return refused(Refusal::Fee);
        }
        // A node that is behind may take what no block ever will.
        if tx.sequence >= self.sequence() {
            self.mempool.insert(tx.sequence, tx);
        }
        Broadcast::Accepted
    }

    fn terms(
        &self,
        account: &Account,
        transfers: &[Transfer],
        last: Option<&Terms>,
    ) -> Result<Terms, ChainFault> {
        if !self.habits.evm {
            return Ok(Terms::Cosmos {
                account_number: 0,
                timeout_height: account.height + self.habits.timeout_blocks,
                gas: GAS,
                fee: match last {
                    Some(last) => last.most() + 1,
                    None => FEE,
                },
            });
        }
        let refuses = transfers
            .iter()
            .any(|transfer| self.closed.contains(&transfer.to));
        if self.habits.estimates && refuses {
            return Err(ChainFault::Impossible("execution reverted".to_owned()));
        }
        let raised = match last {
            Some(Terms::Evm { max_fee, .. }) => max_fee + max_fee.div_ceil(8),
            _ => 0,
        };
        let needed = (2 * self.base_fee).max(raised);
        if needed > MOST_FEE {
            return Err(ChainFault::TooDear {
                needed,
                most: MOST_FEE,
            });
        }
        Ok(Terms::Evm {
            gas: 1,
            max_fee: needed,
            priority_fee: 1,
        })
    }
}

fn in_step(found: u64, at_least: u64) -> Result<u64, ChainFault> {
    if found < at_least {
        return Err(ChainFault::Behind {
            expected: at_least,
            found,
        });
    }
    Ok(found)
}

fn nobody() -> ChainFault {
    ChainFault::Unavailable("node 1 is not well".to_owned())
}

impl Model {
    /// Waits for its turn; an error where there is no answer.
    async fn ask(&self, call: &str) -> Result<Fate, ChainFault> {
        match self.gate.pass(call).await {
            Fate::Refused | Fate::Unanswered => Err(nobody()),
            Fate::Fatal => std::future::pending().await,
            fate => Ok(fate),
        }
    }
}

fn behind(fate: Fate) -> u64 {
    match fate {
        Fate::Behind(blocks) => blocks,
        _ => 0,
    }
}

impl Chain for Model {
    fn address(&self, text: &str) -> Result<String, AddressError> {
        Ok(text.to_owned())
    }

    fn sender(&self, _: &AccountKey) -> String {
        SENDER.to_owned()
    }

    fn batch_limit(&self) -> usize {
        90
    }

    async fn account(&self, _: &str, at_least: u64) -> Result<Account, ChainFault> {
        let fate = self.ask("account").await?;
        self.net().account(behind(fate), at_least)
    }

    async fn sequence_at(&self, _: &str, height: u64) -> Result<u64, ChainFault> {
        let fate = self.ask("sequence_at").await?;
        let net = self.net();
        if !net.habits.evm {
            return Ok(net.account(behind(fate), height)?.sequence);
        }
        let height = usize::try_from(in_step(net.seen(behind(fate)), height)?.min(height)).unwrap();
        Ok(net.blocks[height].sequence)
    }

    async fn terms(
        &self,
        _: &str,
        account: &Account,
        transfers: &[Transfer],
        last: Option<&Terms>,
    ) -> Result<Terms, ChainFault> {
        self.ask("terms").await?;
        self.net().terms(account, transfers, last)
    }

    fn sign(
        &self,
        _: &AccountKey,
        sequence: u64,
        transfers: &[Transfer],
        terms: &Terms,
    ) -> Result<Signed, SignError> {
        let tx = Tx {
            sequence,
            transfers: transfers
                .iter()
                .map(|transfer| (transfer.to.clone(), transfer.amount.to_string()))
                .collect(),
            terms: terms.clone(),
            foreign: None,
        };
        Ok(Signed {
            hash: tx.hash(),
            bytes: tx.bytes(),
        })
    }

    async fn broadcast(&self, bytes: &[u8]) -> Result<Broadcast, ChainFault> {
        let fate = self.gate.pass("broadcast").await;
        if fate == Fate::Refused {
            return Err(nobody());
        }
        let tx = serde_json::from_slice(bytes).unwrap();
        let said = self.net().take(tx, behind(fate));
        match fate {
            Fate::Unanswered => Err(nobody()),
            Fate::Fatal => std::future::pending().await,
            _ => Ok(said),
        }
    }

    async fn status(&self, hash: &str, at_least: u64) -> Result<TxStatus, ChainFault> {
        let fate = self.ask("status").await?;
        self.net().status(hash, fate, at_least)
    }

    async fn height(&self) -> Result<u64, ChainFault> {
        let fate = self.ask("height").await?;
        Ok(self.net().seen(behind(fate)))
    }
}
