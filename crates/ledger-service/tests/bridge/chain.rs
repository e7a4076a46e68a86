//! A chain in memory, and its node.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use offchain_ledger::{Id, Notice, Place, Transaction};
use offchain_ledger_service::{Block, Chain, NodeError, Notices};
use offchain_outbound::OutboundError;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::weather::{Actor, Fate, Kind};

/// How a node's stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    /// It says what happens.
    Open,
    /// It is open and says nothing.
    Starved,
    /// It cannot be opened.
    Closed,
}

/// Something of the chain that is to be told.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) height: u64,
    pub(crate) asset: Id,
    /// The transactions that come before it.
    pub(crate) needs: Vec<Id>,
    pub(crate) transaction: Transaction,
}

pub(crate) struct Net {
    /// The texts of each height's transactions, from 1 on.
    blocks: Vec<Vec<String>>,
    /// The transactions of assets, in their true order.
    pub(crate) order: Vec<Value>,
    pub(crate) told: BTreeMap<Id, Told>,
    /// What cannot be read, and where.
    pub(crate) unreadable: Vec<(u64, String)>,
    texts: BTreeMap<Id, String>,
    streams: Vec<UnboundedSender<Result<Notice, NodeError>>>,
    /// Those that are open and forgotten.
    deaf: Vec<UnboundedSender<Result<Notice, NodeError>>>,
    pub(crate) flow: Flow,
    /// Whether it is a node of the 1.x generation, which knows no heights.
    pub(crate) is_first_generation: bool,
    /// Whether the node answers.
    pub(crate) up: bool,
    /// How many of the newest blocks it lacks.
    pub(crate) behind: usize,
    /// How long it takes for each answer.
    pub(crate) slow: Duration,
    /// How often it does not know a transaction before it does.
    pub(crate) late: BTreeMap<Id, u32>,
    /// What it says in a transaction's place.
    pub(crate) forged: BTreeMap<Id, String>,
}

/// A chain. Clones are the same chain.
#[derive(Clone)]
pub(crate) struct Ledger(Arc<Mutex<Net>>);

impl Ledger {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(Net {
            blocks: Vec::new(),
            order: Vec::new(),
            told: BTreeMap::new(),
            unreadable: Vec::new(),
            texts: BTreeMap::new(),
            streams: Vec::new(),
            deaf: Vec::new(),
            flow: Flow::Open,
            is_first_generation: false,
            up: true,
            behind: 0,
            slow: Duration::ZERO,
            late: BTreeMap::new(),
            forged: BTreeMap::new(),
        })))
    }

    pub(crate) fn net(&self) -> MutexGuard<'_, Net> {
        self.0.lock().unwrap()
    }
}

fn id(value: &Value) -> Id {
    value.as_str().unwrap().parse().unwrap()
}

impl Net {
    pub(crate) fn height(&self) -> u64 {
        self.blocks.len() as u64
    }

    /// A block of these transactions, and of what else there is.
    pub(crate) fn mine(&mut self, transactions: Vec<Value>, others: Vec<String>) {
        let height = self.height() + 1;
        let mut texts: BTreeMap<String, String> = BTreeMap::new();
        for transaction in &transactions {
            let text = transaction.to_string();
            let read = Transaction::verify(&text).unwrap();
            let spent = read
                .inputs
                .iter()
                .filter_map(|input| input.fulfills.as_ref());
            let told = Told {
                height,
                asset: read.asset_id.clone(),
                needs: spent.map(|output| output.transaction_id.clone()).collect(),
                transaction: read.clone(),
            };
            self.told.insert(read.id.clone(), told);
            self.texts.insert(read.id.clone(), text.clone());
            texts.insert(read.id.to_string(), text);
        }
        // As a server lists them: by id.
        let mut texts: Vec<String> = texts.into_values().collect();
        for text in others {
            if !text.contains("VALIDATOR_ELECTION") {
                self.unreadable.push((height, text.clone()));
            }
            texts.push(text);
        }
        self.blocks.push(texts);
        for transaction in &transactions {
            let asset = match &transaction["asset"]["id"] {
                Value::Null => &transaction["id"],
                asset => asset,
            };
            let place = match self.is_first_generation {
                true => Place::Block(format!("block-{height}")),
                false => Place::Height(height),
            };
            self.say(&Notice {
                transaction_id: id(&transaction["id"]),
                asset_id: id(asset),
                place,
            });
        }
        self.order.extend(transactions);
    }

    /// The stream says so.
    pub(crate) fn say(&mut self, notice: &Notice) {
        if self.flow == Flow::Open {
            self.streams
                .retain(|stream| stream.send(Ok(notice.clone())).is_ok());
        }
    }

    /// The stream says what means nothing.
    pub(crate) fn babble(&mut self) {
        for stream in &self.streams {
            let nonsense = Notice::parse("[]").unwrap_err();
            let _ = stream.send(Err(NodeError::Notice(nonsense)));
            let _ = stream.send(Err(NodeError::NoticeBinary));
        }
    }

    /// The stream tells of a transaction that is not there.
    pub(crate) fn lie(&mut self, height: u64) {
        let id: Id = "0".repeat(64).parse().unwrap();
        self.say(&Notice {
            transaction_id: id.clone(),
            asset_id: id,
            place: Place::Height(height),
        });
    }

    /// Every stream breaks.
    pub(crate) fn cut(&mut self) {
        self.streams.clear();
        self.deaf.clear();
    }

    /// Whoever has a stream now hears nothing of it any more.
    pub(crate) fn forget(&mut self) {
        self.deaf.append(&mut self.streams);
    }

    /// The node is gone, with its streams.
    pub(crate) fn fail(&mut self) {
        self.up = false;
        self.cut();
    }

    /// Another chain takes the place of this one.
    pub(crate) fn reset(&mut self) {
        self.cut();
        self.blocks.clear();
        self.order.clear();
        self.told.clear();
        self.unreadable.clear();
    }

    /// What of the chain a subscriber is to be told, up to a height.
    pub(crate) fn up_to(&self, height: u64) -> impl Iterator<Item = (&Id, &Told)> {
        self.told
            .iter()
            .filter(move |(_, told)| told.height <= height)
    }
}

/// The node, as a process sees it.
#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) ledger: Ledger,
    pub(crate) actor: Actor,
}

impl Node {
    async fn call<T>(
        &self,
        what: &str,
        answer: impl FnOnce(&mut Net) -> Result<T, NodeError>,
    ) -> Result<T, NodeError> {
        let slow = self.ledger.net().slow;
        tokio::time::sleep(slow).await;
        let fate = self.actor.call(Kind::Chain, what).await;
        match fate {
            Fate::Done | Fate::Slow(_) | Fate::Pauses(_) => {}
            Fate::Refused => return Err(OutboundError::Unreachable("refused".into()).into()),
            Fate::Unanswered | Fate::Late => return Err(OutboundError::TimedOut.into()),
            Fate::DiesBefore | Fate::DiesAfter => std::future::pending().await,
        }
        let mut net = self.ledger.net();
        if !net.up {
            return Err(OutboundError::Unreachable("it is gone".into()).into());
        }
        answer(&mut net)
    }
}

impl Chain for Node {
    type Notices = Stream;

    async fn height(&self) -> Result<u64, NodeError> {
        let seen = |net: &mut Net| match net.is_first_generation {
            true => Ok(0),
            false => Ok(net.height().saturating_sub(net.behind as u64)),
        };
        self.call("height", seen).await
    }

    async fn block(&self, height: u64) -> Result<Option<Block>, NodeError> {
        self.call(&format!("block {height}"), |net| {
            if net.is_first_generation {
                return Ok(None);
            }
            let seen = net.blocks.len().saturating_sub(net.behind);
            let index = usize::try_from(height - 1).unwrap_or(usize::MAX);
            let found = net.blocks[..seen].get(index);
            Ok(found.map(|texts| Block {
                height,
                transactions: texts
                    .iter()
                    .map(|text| RawValue::from_string(text.clone()).unwrap())
                    .collect(),
            }))
        })
        .await
    }

    async fn transaction(&self, id: &Id) -> Result<Option<String>, NodeError> {
        self.call(&format!("transaction {}", &id.as_str()[..6]), |net| {
            if let Some(left) = net.late.get_mut(id)
                && *left > 0
            {
                *left -= 1;
                return Ok(None);
            }
            let forged = net.forged.get(id);
            Ok(forged.or_else(|| net.texts.get(id)).cloned())
        })
        .await
    }

    async fn notices(&self) -> Result<Stream, NodeError> {
        self.call("notices", |net| match net.flow {
            Flow::Closed => Err(NodeError::StreamBroken("it is closed".to_owned())),
            Flow::Open | Flow::Starved => {
                let (sender, receiver) = unbounded_channel();
                net.streams.push(sender);
                Ok(Stream(receiver))
            }
        })
        .await
    }
}

pub(crate) struct Stream(UnboundedReceiver<Result<Notice, NodeError>>);

impl Notices for Stream {
    async fn next(&mut self) -> Result<Notice, NodeError> {
        match self.0.recv().await {
            Some(said) => said,
            None => Err(NodeError::StreamBroken("it has ended".to_owned())),
        }
    }
}
