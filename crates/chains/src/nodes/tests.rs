//! Which node is asked, and what it means when none of them answers. By an EVM
//! chain, whose nodes are the simplest.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use offchain_codes::Coded;
use serde_json::json;

use crate::stub::{Act, Asked, Stub, dead};
use crate::{Broadcast, Chain, ChainFault, Evm, EvmSettings, Node, Refusal};

/// What a test waits for where no answer comes.
const SHORT: Duration = Duration::from_millis(200);
const LONG: Duration = Duration::from_secs(60);

fn settings(nodes: Vec<Node>) -> EvmSettings {
    EvmSettings {
        nodes,
        chain_id: 31337,
        max_fee_wei: 1_000_000,
        priority_fee_wei: 1,
    }
}

fn chain(nodes: Vec<Node>) -> Evm {
    Evm::with_timeout(&settings(nodes), LONG).unwrap()
}

fn impatient(nodes: Vec<Node>) -> Evm {
    Evm::with_timeout(&settings(nodes), SHORT).unwrap()
}

async fn good() -> Stub {
    Stub::evm(|_| None).await
}

/// A node that answers one method in its own way.
async fn odd(method: &'static str, act: Act) -> Stub {
    Stub::evm(move |asked| (asked.method() == method).then(|| act.clone())).await
}

async fn of_another_chain() -> Stub {
    odd("eth_chainId", Act::result(json!("0x1"))).await
}

fn sends(stub: &Stub) -> usize {
    let sends = |asked: &&Asked| asked.method() == "eth_sendRawTransaction";
    stub.asked().iter().filter(sends).count()
}

mod asking {
    use super::*;

    #[tokio::test]
    async fn the_first_node_is_asked_and_the_others_are_left_alone() {
        let (first, second) = (good().await, good().await);
        let chain = chain(vec![first.node(), second.node()]);
        assert_eq!(chain.height().await.unwrap(), 100);
        assert_eq!(chain.clone().height().await.unwrap(), 100);
        let probe = ["eth_chainId", "eth_syncing"];
        assert_eq!(
            first.methods(),
            [&probe[..], &["eth_blockNumber"; 2]].concat()
        );
        assert!(second.asked().is_empty());
    }

    #[tokio::test]
    async fn a_node_that_fails_is_passed_over() {
        let huge = format!("\"{}\"", "x".repeat(1024 * 1024));
        for act in [
            Act::Close,
            Act::Hang,
            Act::Say(200, String::new()),
            Act::Say(200, "<html>".to_owned()),
            Act::Say(200, "{}".to_owned()),
            Act::Say(200, "[]".to_owned()),
            Act::Say(200, huge),
            Act::Say(302, "{}".to_owned()),
            Act::Say(404, "{}".to_owned()),
            Act::Say(429, "{}".to_owned()),
            Act::Say(503, r#"{"result":"0x1"}"#.to_owned()),
            Act::error(-32000, "header not found"),
            Act::result(json!(null)),
            Act::result(json!("")),
            Act::result(json!("0x")),
            Act::result(json!("64")),
            Act::result(json!(100)),
            Act::result(json!("0xzz")),
        ] {
            let bad = odd("eth_blockNumber", act.clone()).await;
            let good = good().await;
            let chain = impatient(vec![bad.node(), good.node()]);
            assert_eq!(chain.height().await.unwrap(), 100, "{act:?}");
            assert!(!bad.asked().is_empty());

            let alone = impatient(vec![bad.node()]);
            let fault = alone.height().await.unwrap_err();
            assert_eq!(fault.code(), "ChainUnavailable", "{act:?}");
            assert!(fault.retryable());
        }
    }

    #[tokio::test]
    async fn the_node_that_worked_is_asked_first_from_then_on() {
        let working = good().await;
        let broken = odd("eth_chainId", Act::Say(503, String::new())).await;
        let chain = chain(vec![dead(), broken.node(), working.node()]);
        for _ in 0..3 {
            assert_eq!(chain.height().await.unwrap(), 100);
        }
        assert_eq!(broken.asked().len(), 1);
    }

    #[tokio::test]
    async fn a_node_that_failed_is_probed_again() {
        let down = Arc::new(AtomicBool::new(false));
        let is_down = down.clone();
        let stub = Stub::evm(move |_| {
            is_down
                .load(Ordering::SeqCst)
                .then(|| Act::Say(503, String::new()))
        })
        .await;
        let chain = chain(vec![stub.node()]);
        chain.height().await.unwrap();
        down.store(true, Ordering::SeqCst);
        chain.height().await.unwrap_err();
        down.store(false, Ordering::SeqCst);
        chain.height().await.unwrap();
        chain.height().await.unwrap();
        assert_eq!(
            stub.methods(),
            [
                "eth_chainId",
                "eth_syncing",
                "eth_blockNumber",
                // It fails, ...
                "eth_blockNumber",
                // ... and is a stranger again.
                "eth_chainId",
                "eth_syncing",
                "eth_blockNumber",
                "eth_blockNumber",
            ]
        );
    }

    #[tokio::test]
    async fn a_node_of_another_chain_is_passed_over() {
        let (wrong, good) = (of_another_chain().await, good().await);
        let chain = chain(vec![wrong.node(), good.node()]);
        assert_eq!(chain.height().await.unwrap(), 100);
        assert_eq!(wrong.methods(), ["eth_chainId"]);
    }

    #[tokio::test]
    async fn if_every_node_is_of_another_chain_that_is_the_fault() {
        let (one, two) = (of_another_chain().await, of_another_chain().await);
        for nodes in [
            vec![one.node(), two.node()],
            // A dead node does not answer at all.
            vec![dead(), one.node()],
            vec![one.node(), dead()],
        ] {
            let fault = chain(nodes).height().await.unwrap_err();
            assert_eq!(fault.code(), "WrongChain");
            assert_eq!(
                fault.to_string(),
                "the nodes are of the chain 1, not of 31337"
            );
        }
    }

    #[tokio::test]
    async fn a_node_that_is_behind_is_passed_over() {
        let slow = odd("eth_blockNumber", Act::result(json!("0x63"))).await;
        let good = good().await;
        let two = chain(vec![slow.node(), good.node()]);
        let account = two.account("0x1", 100).await.unwrap();
        assert_eq!((account.height, account.sequence), (100, 7));

        let alone = chain(vec![dead(), slow.node()]);
        assert_eq!(alone.account("0x1", 99).await.unwrap().height, 99);
        let fault = alone.account("0x1", 100).await.unwrap_err();
        assert_eq!(fault.code(), "ChainBehind");
        assert_eq!(fault.to_string(), "the nodes are at height 99, behind 100");
    }

    #[tokio::test]
    async fn a_node_that_catches_up_is_behind() {
        for syncing in [json!({"currentBlock": "0x64"}), json!(true)] {
            let syncing = odd("eth_syncing", Act::result(syncing)).await;
            let fault = chain(vec![syncing.node()]).height().await.unwrap_err();
            assert_eq!(fault.to_string(), "the nodes are at height 100, behind 101");
            let good = good().await;
            let two = chain(vec![syncing.node(), good.node()]);
            assert_eq!(two.height().await.unwrap(), 100);
        }
        // A node may not tell.
        let silent = odd("eth_syncing", Act::error(-32601, "no such method")).await;
        assert_eq!(chain(vec![silent.node()]).height().await.unwrap(), 100);
    }

    #[tokio::test]
    async fn a_question_that_broke_off_is_repeated_once() {
        let first = Arc::new(AtomicBool::new(true));
        let stub = Stub::evm(move |asked| {
            let breaks = asked.method() == "eth_blockNumber" && first.swap(false, Ordering::SeqCst);
            breaks.then_some(Act::Close)
        })
        .await;
        assert_eq!(chain(vec![stub.node()]).height().await.unwrap(), 100);
        assert_eq!(stub.asked().len(), 4);
    }

    #[tokio::test]
    async fn nodes_are_told_apart_by_their_position_and_no_text_holds_a_url() {
        let broken = odd("eth_chainId", Act::Say(503, "key-hush".to_owned())).await;
        let hanging = odd("eth_chainId", Act::Hang).await;
        let closing = odd("eth_chainId", Act::Close).await;
        let garbage = odd("eth_chainId", Act::Say(200, "{]".to_owned())).await;
        let telling = odd(
            "eth_chainId",
            Act::error(-32000, "see http://127.0.0.1/key-hush for help"),
        )
        .await;
        let nodes = vec![dead(), broken.node(), hanging.node(), closing.node()];
        let chain = impatient(nodes);
        let fault = chain.height().await.unwrap_err();
        let text = fault.to_string();
        for part in [
            "node 1 could not be reached",
            "node 2 answered 503",
            "node 3 did not answer in time",
            "node 4 broke off",
        ] {
            assert!(text.contains(part), "{text}");
        }
        for fault in [
            fault,
            impatient(vec![garbage.node()]).height().await.unwrap_err(),
            impatient(vec![telling.node()]).height().await.unwrap_err(),
        ] {
            let text = format!("{} {fault:?} {chain:?}", offchain_codes::chain(&fault));
            assert!(!text.contains("hush") && !text.contains("://"), "{text}");
        }
    }
}

mod sending {
    use super::*;

    const BYTES: &[u8] = &[2, 1];

    async fn saying(act: Act) -> Stub {
        odd("eth_sendRawTransaction", act).await
    }

    fn refused(text: &str) -> Act {
        Act::error(-32000, text)
    }

    #[tokio::test]
    async fn a_node_that_takes_it_ends_it() {
        let (first, second) = (good().await, good().await);
        let chain = chain(vec![first.node(), second.node()]);
        assert_eq!(chain.broadcast(BYTES).await.unwrap(), Broadcast::Accepted);
        let asked = first.asked();
        assert_eq!(asked.last().unwrap().body["params"], json!(["0x0201"]));
        assert!(second.asked().is_empty());

        let knows = saying(refused("already known")).await;
        let chain = self::chain(vec![knows.node(), second.node()]);
        assert_eq!(chain.broadcast(BYTES).await.unwrap(), Broadcast::Known);
        assert!(second.asked().is_empty());
    }

    #[tokio::test]
    async fn after_a_lost_reply_another_node_is_told() {
        for act in [
            Act::Close,
            Act::Hang,
            Act::Say(504, String::new()),
            Act::Say(200, "?".to_owned()),
            Act::error(-32603, "Internal error"),
        ] {
            let losing = saying(act.clone()).await;
            let takes = good().await;
            let chain = impatient(vec![losing.node(), takes.node()]);
            let said = chain.broadcast(BYTES).await.unwrap();
            assert_eq!(said, Broadcast::Accepted, "{act:?}");
            // It is not sent twice to a node that may have taken it.
            assert_eq!((sends(&losing), sends(&takes)), (1, 1), "{act:?}");
        }
    }

    #[tokio::test]
    async fn no_refusal_outweighs_a_lost_reply() {
        for text in ["nonce too low", "nonce too high", "insufficient funds"] {
            let refuses = saying(refused(text)).await;
            let losing = saying(Act::Close).await;
            for nodes in [
                vec![refuses.node(), losing.node()],
                vec![losing.node(), refuses.node()],
            ] {
                let fault = chain(nodes).broadcast(BYTES).await.unwrap_err();
                assert_eq!(fault.code(), "ChainUnavailable", "{text}");
            }
        }
    }

    #[tokio::test]
    async fn a_lost_reply_is_told_from_what_is_wrong_with_the_other_nodes() {
        let losing = saying(Act::Close).await;
        let wrong = of_another_chain().await;
        let chain = chain(vec![wrong.node(), losing.node()]);
        let fault = chain.broadcast(BYTES).await.unwrap_err();
        assert!(matches!(fault, ChainFault::Unavailable(_)), "{fault}");
    }

    #[tokio::test]
    async fn a_node_that_was_never_told_loses_nothing() {
        let refuses = saying(refused("insufficient funds")).await;
        for other in [
            dead(),
            of_another_chain().await.node(),
            saying(Act::Say(429, String::new())).await.node(),
            saying(Act::error(-32005, "limit exceeded")).await.node(),
            saying(Act::error(-32601, "no such method")).await.node(),
        ] {
            let chain = chain(vec![other, refuses.node()]);
            let Broadcast::Refused { refusal, reason } = chain.broadcast(BYTES).await.unwrap()
            else {
                panic!("it was not refused");
            };
            assert_eq!(
                (refusal, reason.as_str()),
                (Refusal::Funds, "insufficient funds")
            );
        }
    }

    #[tokio::test]
    async fn what_one_node_refuses_another_may_take() {
        for text in [
            "nonce too high",
            "underpriced",
            "nonce too low",
            "who knows",
        ] {
            let (refuses, takes) = (saying(refused(text)).await, good().await);
            let chain = chain(vec![refuses.node(), takes.node()]);
            assert_eq!(chain.broadcast(BYTES).await.unwrap(), Broadcast::Accepted);
        }
    }

    #[tokio::test]
    async fn of_many_refusals_the_one_that_knows_most_counts() {
        let ahead = saying(refused("nonce too high")).await;
        let used = saying(refused("nonce too low")).await;
        let cheap = saying(refused("underpriced")).await;
        let fee = |said: &Broadcast| {
            matches!(
                said,
                Broadcast::Refused {
                    refusal: Refusal::Fee,
                    ..
                }
            )
        };
        for nodes in [
            [&ahead, &used, &cheap],
            [&used, &cheap, &ahead],
            [&cheap, &ahead, &used],
        ] {
            let chain = chain(nodes.map(Stub::node).to_vec());
            let said = chain.broadcast(BYTES).await.unwrap();
            assert_eq!(said, Broadcast::SequenceUsed);
        }
        for nodes in [[&ahead, &cheap], [&cheap, &ahead]] {
            let chain = chain(nodes.map(Stub::node).to_vec());
            assert!(fee(&chain.broadcast(BYTES).await.unwrap()));
        }
    }

    #[tokio::test]
    async fn without_a_node_nothing_is_known() {
        let wrong = of_another_chain().await;
        for (nodes, code) in [
            (vec![dead()], "ChainUnavailable"),
            (vec![dead(), wrong.node()], "WrongChain"),
        ] {
            let fault = chain(nodes).broadcast(BYTES).await.unwrap_err();
            assert_eq!(fault.code(), code);
        }
    }
}
