//! The nodes of one chain, and which of them to believe.

use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use reqwest::Url;

use crate::http::Failure;
use crate::settings::addresses;
use crate::{Broadcast, ChainFault, ChainSettingsError, Node};

/// A node, and whether it has shown that it is one of this chain.
pub(crate) struct Endpoint {
    index: usize,
    pub(crate) url: Url,
    pub(crate) rpc_url: Option<Url>,
    believed: AtomicBool,
}

/// What a node has to show before it is believed.
pub(crate) trait Probe: Sync {
    /// Asks whether a node is of this chain and has caught up with it.
    fn probe(&self, node: &Endpoint) -> impl Future<Output = Result<(), ChainFault>> + Send;
}

/// The nodes of one chain, in order of preference, and which one worked last.
pub(crate) struct Nodes {
    endpoints: Vec<Endpoint>,
    preferred: AtomicUsize,
}

impl fmt::Debug for Nodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} nodes", self.endpoints.len())
    }
}

impl Nodes {
    pub(crate) fn new(nodes: &[Node]) -> Result<Self, ChainSettingsError> {
        let endpoints = addresses(nodes)?
            .into_iter()
            .enumerate()
            .map(|(index, (url, rpc_url))| Endpoint {
                index,
                url,
                rpc_url,
                believed: AtomicBool::new(false),
            })
            .collect();
        Ok(Self {
            endpoints,
            preferred: AtomicUsize::new(0),
        })
    }

    /// The first answer that a node gives.
    pub(crate) async fn ask<'a, T, F>(
        &'a self,
        probe: &impl Probe,
        call: impl Fn(&'a Endpoint) -> F + Send + Sync,
    ) -> Result<T, ChainFault>
    where
        F: Future<Output = Result<T, ChainFault>> + Send,
        T: Send,
    {
        let mut faults = Faults::default();
        for node in self.in_order() {
            let answer = match node.ready(probe).await {
                Ok(()) => call(node).await,
                Err(fault) => Err(fault),
            };
            match answer {
                Ok(answer) => {
                    self.prefer(node);
                    return Ok(answer);
                }
                Err(fault) if fault.is_of_the_node() => faults.add(node, fault),
                Err(fault) => return Err(fault),
            }
        }
        Err(faults.one())
    }

    /// Sends to one node after another until one takes what is sent. It is
    /// refused only if no node may have taken it.
    pub(crate) async fn send<'a, F>(
        &'a self,
        probe: &impl Probe,
        call: impl Fn(&'a Endpoint) -> F + Send + Sync,
    ) -> Result<Broadcast, ChainFault>
    where
        F: Future<Output = Result<Broadcast, Failure>> + Send,
    {
        let mut faults = Faults::default();
        let mut lost = false;
        let mut refusal = None;
        for node in self.in_order() {
            if let Err(fault) = node.ready(probe).await {
                faults.add(node, fault);
                continue;
            }
            match call(node).await {
                Ok(taken @ (Broadcast::Accepted | Broadcast::Known)) => {
                    self.prefer(node);
                    return Ok(taken);
                }
                Ok(said) => {
                    refusal = Some(match refusal {
                        Some(before) if weight(&before) >= weight(&said) => before,
                        _ => said,
                    });
                }
                Err(failure) => {
                    lost |= matches!(failure, Failure::Lost(_));
                    faults.add(node, failure.into());
                }
            }
        }
        match refusal {
            Some(refusal) if !lost => Ok(refusal),
            _ if lost => Err(faults.unavailable()),
            _ => Err(faults.one()),
        }
    }

    /// Every node once, from the one that worked last.
    fn in_order(&self) -> impl Iterator<Item = &Endpoint> {
        let first = self.preferred.load(Ordering::Relaxed);
        let preferred = self.endpoints.get(first);
        let others = self
            .endpoints
            .iter()
            .filter(move |node| node.index != first);
        preferred.into_iter().chain(others)
    }

    fn prefer(&self, node: &Endpoint) {
        self.preferred.store(node.index, Ordering::Relaxed);
    }
}

/// How much a refusal says. A node that misses a transaction may just be slow,
/// and one that saw the number used knows more than the others.
fn weight(said: &Broadcast) -> u8 {
    match said {
        Broadcast::SequenceUsed => 2,
        Broadcast::Refused { .. } => 1,
        Broadcast::SequenceAhead | Broadcast::Accepted | Broadcast::Known => 0,
    }
}

impl Endpoint {
    /// A node is probed once, and again after it has failed.
    async fn ready(&self, probe: &impl Probe) -> Result<(), ChainFault> {
        if !self.believed.load(Ordering::Relaxed) {
            probe.probe(self).await?;
            self.believed.store(true, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// What went wrong at each node. Nodes are told apart by their position, for
/// their URLs may hold access keys.
#[derive(Default)]
struct Faults(Vec<(usize, ChainFault)>);

impl Faults {
    fn add(&mut self, node: &Endpoint, fault: ChainFault) {
        node.believed.store(false, Ordering::Relaxed);
        let position = node.index + 1;
        tracing::warn!(node = position, %fault, "a node of the chain failed");
        self.0.push((position, fault));
    }

    /// The fault that says most about the chain: of the nodes that answer, what
    /// is wrong with them.
    fn one(self) -> ChainFault {
        fn weight(fault: &ChainFault) -> (u8, u64) {
            match fault {
                ChainFault::Behind { found, .. } => (3, *found),
                ChainFault::WrongChain { .. } => (2, 0),
                ChainFault::Answer { .. } => (1, 0),
                _ => (0, 0),
            }
        }
        let unavailable = self.unavailable();
        let most = self.0.into_iter().max_by_key(|(_, fault)| weight(fault));
        match most {
            Some((_, fault)) if weight(&fault).0 > 0 => fault,
            _ => unavailable,
        }
    }

    fn unavailable(&self) -> ChainFault {
        let reasons: Vec<_> = self
            .0
            .iter()
            .map(|(position, fault)| match fault {
                ChainFault::Unavailable(reason) => format!("node {position} {reason}"),
                fault => format!("node {position}: {fault}"),
            })
            .collect();
        ChainFault::Unavailable(reasons.join("; "))
    }
}

#[cfg(test)]
mod tests;
