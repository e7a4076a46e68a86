//! Against answers that a node of the Cosmos SDK 0.43 gave, recorded beside the
//! stand-in node of the tests, and against transactions that CosmJS signed.

use std::path::PathBuf;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use offchain_codes::Coded;
use serde_json::{Value, json};

use super::*;
use crate::stub::{Act, Stub, dead};
use crate::{Node, Refusal};

/// The recipient of the recorded transactions.
pub(crate) const ALICE: &str = "cosmos1czn6cfy22e8ermtq6fyjga4857ehn2me4r93qf";
/// The sender of the recorded transactions.
const SENDER: &str = "cosmos19rl4cm2hmr8afy4kldpxz3fka4jguq0auqdal4";

/// A recorded request and its answer.
pub(crate) fn recorded(name: &str) -> Value {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/cosmos-node/recorded")
        .join(format!("{name}.json"));
    let text = std::fs::read_to_string(&path).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn answer(name: &str) -> Act {
    let pair = recorded(name);
    let status = pair["status"].as_u64().unwrap().try_into().unwrap();
    Act::Say(status, pair["body"].to_string())
}

fn settings(nodes: Vec<Node>) -> CosmosSettings {
    CosmosSettings {
        nodes,
        chain_id: "probe-1".to_owned(),
        prefix: "cosmos".to_owned(),
        denom: "stake".to_owned(),
        fee_denom: "uatom".to_owned(),
        gas_price: "0.025".to_owned(),
        gas: 100_000,
        gas_each: 30_000,
        memo: "faucet drop".to_owned(),
        timeout_blocks: 20,
    }
}

/// A chain that no call is made to.
fn offline() -> Cosmos {
    Cosmos::new(&settings(vec![dead()])).unwrap()
}

const NODE_INFO: &str = "/cosmos/base/tendermint/v1beta1/node_info";
const SYNCING: &str = "/cosmos/base/tendermint/v1beta1/syncing";
const LATEST: &str = "/cosmos/base/tendermint/v1beta1/blocks/latest";
const TXS: &str = "POST /cosmos/tx/v1beta1/txs";

/// A node with the recorded description and height, at REST and RPC.
async fn node(table: &[(&str, Act)]) -> Stub {
    let mut all = vec![
        (NODE_INFO, answer("00-node_info")),
        (LATEST, answer("01-block_latest")),
        ("/status", answer("40-rpc_status")),
    ];
    all.extend(table.iter().cloned());
    Stub::cosmos(&all).await
}

fn rest(stub: &Stub) -> Cosmos {
    Cosmos::new(&settings(vec![stub.node()])).unwrap()
}

fn rpc(stub: &Stub) -> Cosmos {
    let node = Node {
        rpc_url: Some(stub.url()),
        ..stub.node()
    };
    Cosmos::new(&settings(vec![node])).unwrap()
}

fn transfer(to: &str, amount: u128) -> Transfer {
    Transfer {
        to: to.to_owned(),
        amount,
    }
}

fn account() -> Account {
    Account {
        sequence: 5,
        number: 7,
        balance: 1,
        fee_balance: 1,
        height: 100,
    }
}

mod addresses {
    use super::*;

    #[test]
    fn an_address_is_spelt_in_lower_case() {
        let chain = offline();
        for text in [ALICE, &ALICE.to_uppercase(), SENDER] {
            assert_eq!(chain.address(text).unwrap(), text.to_lowercase());
        }
        let of_32_bytes = AccountId::new("cosmos", &[7; 32]).unwrap().to_string();
        assert_eq!(chain.address(&of_32_bytes).unwrap(), of_32_bytes);
    }

    #[test]
    fn what_is_no_address_of_this_chain_is_refused() {
        let with = |prefix: &str, length| AccountId::new(prefix, &vec![7; length]).unwrap();
        for (text, reason) in [
            (String::new(), "does not begin"),
            ("cosmos".to_owned(), "does not begin"),
            ("cosmos1".to_owned(), "checksum"),
            ("cosmos1xxx".to_owned(), "checksum"),
            (ALICE.replace("czn6", "czn7"), "checksum"),
            (format!("{ALICE}q"), "checksum"),
            (ALICE.replacen('c', "C", 1), "mixes"),
            (ALICE.replacen('q', "Q", 1), "mixes"),
            (format!(" {ALICE}"), "letters and digits"),
            (format!("{ALICE}\n"), "letters and digits"),
            ("cosmos1ü".to_owned(), "letters and digits"),
            ("c".repeat(10_000), "letters and digits"),
            (with("osmo", 20).into(), "does not begin"),
            (with("cosmosvaloper", 20).into(), "does not begin"),
            // The prefix is what stands before the last 1.
            (with("cosmos1x", 20).into(), "does not begin"),
            (with("cosmos", 19).into(), "20 nor 32"),
            (with("cosmos", 21).into(), "20 nor 32"),
            (with("cosmos", 33).into(), "20 nor 32"),
            (
                "0xd8dA6BF26964aF9D7eEd9e03E53415D37aA96045".to_owned(),
                "mixes",
            ),
        ] {
            let error = offline().address(&text).unwrap_err();
            assert_eq!(error.code(), "AddressInvalid");
            assert!(error.to_string().contains(reason), "{text}: {error}");
        }
    }
}

mod transactions {
    use cosmrs::bank::MsgMultiSend;
    use cosmrs::proto::cosmos::bank::v1beta1::MsgMultiSend as Proto;
    use cosmrs::tx::Tx;

    use super::*;

    /// The number 0x4646…46.
    fn key() -> AccountKey {
        AccountKey::from_bytes(&[0x46; 32]).unwrap()
    }

    #[test]
    fn the_sender_is_the_address_of_the_public_key() {
        let key = key();
        assert_eq!(
            key.public_key(),
            "024bc2a31265153f07e70e0bab08724e6b85e217f8cd628ceb62974247bb493382"
        );
        assert_eq!(
            offline().sender(&key),
            "cosmos1hkfq3zahaqkkzx5mjnamwjsfpq2jk7z0emlrvp"
        );
    }

    /// What CosmJS (`@cosmjs/proto-signing` 0.34) made of the same key, message
    /// and terms.
    #[test]
    fn the_signed_bytes_are_those_of_cosmjs() {
        let terms = |gas, fee| Terms::Cosmos {
            account_number: 7,
            timeout_height: 120,
            gas,
            fee,
        };
        for (sequence, transfers, terms, bytes, hash) in [
            (
                5,
                vec![transfer(ALICE, 1000)],
                terms(100_000, 2500),
                "Cp8BCo0BChwvY29zbW9zLmJhbmsudjFiZXRhMS5Nc2dTZW5kEm0KLWNvc21vczFoa2ZxM3phaGFxa2t6eDVtam5hbXdqc2ZwcTJqazd6MGVtbHJ2cBItY29zbW9zMWN6bjZjZnkyMmU4ZXJtdHE2ZnlqZ2E0ODU3ZWhuMm1lNHI5M3FmGg0KBXN0YWtlEgQxMDAwEgtmYXVjZXQgZHJvcBh4EmcKUApGCh8vY29zbW9zLmNyeXB0by5zZWNwMjU2azEuUHViS2V5EiMKIQJLwqMSZRU/B+cOC6sIck5rheIX+M1ijOtil0JHu0kzghIECgIIARgFEhMKDQoFdWF0b20SBDI1MDAQoI0GGkBz8b7AKWSulTzSf2R5CMTRiLKVvObWW0s+XydwrFqZ5W50pSY2vNyEWUjr2gUridnhnOfZK3mrrTbx8BURqV6n",
                "CA2F4FB1F320F3925504C4AB49962549A5C5BFFF1037E64F0DDBFE80C3F7042C",
            ),
            (
                6,
                vec![transfer(ALICE, u128::MAX - 1), transfer(SENDER, 1)],
                terms(130_000, 0),
                "CrsCCqkCCiEvY29zbW9zLmJhbmsudjFiZXRhMS5Nc2dNdWx0aVNlbmQSgwIKYQotY29zbW9zMWhrZnEzemFoYXFra3p4NW1qbmFtd2pzZnBxMmprN3owZW1scnZwEjAKBXN0YWtlEiczNDAyODIzNjY5MjA5Mzg0NjM0NjMzNzQ2MDc0MzE3NjgyMTE0NTUSYQotY29zbW9zMWN6bjZjZnkyMmU4ZXJtdHE2ZnlqZ2E0ODU3ZWhuMm1lNHI5M3FmEjAKBXN0YWtlEiczNDAyODIzNjY5MjA5Mzg0NjM0NjMzNzQ2MDc0MzE3NjgyMTE0NTQSOwotY29zbW9zMTlybDRjbTJobXI4YWZ5NGtsZHB4ejNma2E0amd1cTBhdXFkYWw0EgoKBXN0YWtlEgExEgtmYXVjZXQgZHJvcBh4ElgKUApGCh8vY29zbW9zLmNyeXB0by5zZWNwMjU2azEuUHViS2V5EiMKIQJLwqMSZRU/B+cOC6sIck5rheIX+M1ijOtil0JHu0kzghIECgIIARgGEgQQ0PcHGkD7nVvZgtGe8tNomgiUkQtuwfNI5HOolJNIhoS0eF7R8mCozdcumgPL6QQ9+kgxmhvBJyh5KeC9QWlE6n88UcKQ",
                "AF4C06ADE5880174B06CB3135F2D69DBDA21845DE9578120B4A380656184018B",
            ),
        ] {
            let signed = offline()
                .sign(&key(), sequence, &transfers, &terms)
                .unwrap();
            assert_eq!(BASE64_STANDARD.encode(&signed.bytes), bytes);
            assert_eq!(signed.hash, hash);
        }
    }

    #[tokio::test]
    async fn the_largest_batch_is_one_message_with_one_input() {
        let chain = offline();
        let transfers: Vec<_> = (0..90_u8)
            .map(|index| {
                let to = AccountId::new("cosmos", &[index; 20]).unwrap();
                transfer(to.as_ref(), u128::from(index) + 1)
            })
            .collect();
        assert_eq!(chain.batch_limit(), transfers.len());
        let sender = chain.sender(&key());
        let terms = chain
            .terms(&sender, &account(), &transfers, None)
            .await
            .unwrap();
        let signed = chain.sign(&key(), 5, &transfers, &terms).unwrap();
        let transaction = Tx::from_bytes(&signed.bytes).unwrap();
        let [message] = &transaction.body.messages[..] else {
            panic!("{:?}", transaction.body.messages);
        };
        assert_eq!(message.type_url, "/cosmos.bank.v1beta1.MsgMultiSend");
        let message: Proto = message.to_msg().unwrap();
        let message = MsgMultiSend::try_from(message).unwrap();
        let [input] = &message.inputs[..] else {
            panic!("{:?}", message.inputs);
        };
        assert_eq!(input.address.as_ref(), sender);
        assert_eq!(input.coins[0].amount, (1..=90).sum::<u128>());
        let outputs: Vec<_> = message
            .outputs
            .iter()
            .map(|output| transfer(output.address.as_ref(), output.coins[0].amount))
            .collect();
        assert_eq!(outputs, transfers);
        assert_eq!(transaction.body.timeout_height.value(), 120);
        assert_eq!(transaction.auth_info.fee.gas_limit, 100_000 + 89 * 30_000);
    }

    #[test]
    fn the_same_arguments_give_the_same_bytes_and_others_do_not() {
        let chain = offline();
        let terms = |account_number, timeout_height| Terms::Cosmos {
            account_number,
            timeout_height,
            gas: 1,
            fee: 1,
        };
        let bytes = |sequence, amount, terms: &Terms| {
            let transfers = [transfer(ALICE, amount)];
            let signed = chain.sign(&key(), sequence, &transfers, terms).unwrap();
            signed.bytes
        };
        let one = bytes(1, 2, &terms(3, 4));
        assert_eq!(bytes(1, 2, &terms(3, 4)), one);
        for other in [
            bytes(0, 2, &terms(3, 4)),
            bytes(1, 0, &terms(3, 4)),
            bytes(1, 2, &terms(0, 4)),
            bytes(1, 2, &terms(3, 0)),
        ] {
            assert_ne!(other, one);
        }
    }

    #[test]
    fn what_no_node_would_take_is_not_signed() {
        let terms = Terms::Cosmos {
            account_number: 0,
            timeout_height: 1,
            gas: 1,
            fee: 1,
        };
        let evm = Terms::Evm {
            gas: 1,
            max_fee: 1,
            priority_fee: 1,
        };
        let no_height = Terms::Cosmos {
            account_number: 0,
            timeout_height: u64::MAX,
            gas: 1,
            fee: 1,
        };
        let one = vec![transfer(ALICE, 1)];
        for (transfers, terms) in [
            (vec![], &terms),
            (vec![transfer("cosmos1xxx", 1)], &terms),
            (vec![transfer(ALICE, 1); 91], &terms),
            (vec![transfer(ALICE, u128::MAX); 2], &terms),
            (one.clone(), &evm),
            (one, &no_height),
        ] {
            let error = offline().sign(&key(), 0, &transfers, terms).unwrap_err();
            assert_eq!(error.code(), "SigningFailed");
        }
    }

    #[tokio::test]
    async fn terms_pay_for_the_transfers_and_end() {
        let chain = offline();
        for (count, gas, fee) in [(1, 100_000, 2500), (2, 130_000, 3250), (4, 190_000, 4750)] {
            let transfers = vec![transfer(ALICE, 1); count];
            let terms = chain.terms(SENDER, &account(), &transfers, None).await;
            let expected = Terms::Cosmos {
                account_number: 7,
                timeout_height: 120,
                gas,
                fee,
            };
            assert_eq!(terms.unwrap(), expected);
        }
    }

    #[tokio::test]
    async fn a_next_version_offers_a_quarter_more_but_not_for_ever() {
        let chain = offline();
        let transfers = [transfer(ALICE, 1)];
        let mut last = None;
        let mut fees = Vec::new();
        for height in 100..120 {
            let account = Account {
                height,
                ..account()
            };
            let terms = chain
                .terms(SENDER, &account, &transfers, last.as_ref())
                .await
                .unwrap();
            assert_eq!(terms.timeout_height(), Some(height + 20));
            fees.push(terms.most());
            last = Some(terms);
        }
        assert_eq!(fees[..4], [2500, 3125, 3907, 4884]);
        assert!(fees.is_sorted());
        assert_eq!(fees[19], 25_000);

        // A larger fee that was offered before is not taken back.
        let last = Terms::Cosmos {
            account_number: 7,
            timeout_height: 1,
            gas: 1,
            fee: 1_000_000,
        };
        let terms = chain
            .terms(SENDER, &account(), &transfers, Some(&last))
            .await
            .unwrap();
        assert_eq!(terms.most(), 1_000_000);
    }
}

mod accounts {
    use super::*;

    const ACCOUNT: &str =
        "/cosmos/auth/v1beta1/accounts/cosmos19rl4cm2hmr8afy4kldpxz3fka4jguq0auqdal4";
    const BALANCES: &str = "/cosmos/bank/v1beta1/balances/cosmos19rl4cm2hmr8afy4kldpxz3fka4jguq0auqdal4?pagination.limit=500";

    #[tokio::test]
    async fn an_account_is_read_over_rest() {
        let stub = node(&[
            (ACCOUNT, answer("37-account_after")),
            (BALANCES, answer("05-balances")),
        ])
        .await;
        let found = rest(&stub).account(SENDER, 1).await.unwrap();
        let expected = Account {
            sequence: 8,
            number: 0,
            balance: 1_000_000_000,
            fee_balance: 500_000,
            height: 1,
        };
        assert_eq!(found, expected);
        let fault = rest(&stub).account(SENDER, 2).await.unwrap_err();
        assert_eq!(fault.code(), "ChainBehind");
    }

    #[tokio::test]
    async fn with_rpc_the_height_is_of_there() {
        let stub = node(&[
            (ACCOUNT, answer("02-account")),
            (BALANCES, answer("06-balances_empty")),
        ])
        .await;
        let chain = rpc(&stub);
        let found = chain.account(SENDER, 20).await.unwrap();
        assert_eq!((found.sequence, found.height), (0, 20));
        assert_eq!((found.balance, found.fee_balance), (0, 0));
        assert_eq!(chain.height().await.unwrap(), 20);
        assert!(!stub.lines().contains(&format!("GET {LATEST}")));
    }

    #[tokio::test]
    async fn an_account_that_was_never_funded_is_unknown() {
        let stub = node(&[
            (ACCOUNT, answer("03-account_unknown")),
            (BALANCES, answer("06-balances_empty")),
        ])
        .await;
        let fault = rest(&stub).account(SENDER, 0).await.unwrap_err();
        assert_eq!(fault.code(), "AccountUnknown");
        // A proxy that finds nothing says nothing of an account.
        let stub = node(&[
            (ACCOUNT, Act::Say(404, "404 page not found".to_owned())),
            (BALANCES, answer("06-balances_empty")),
        ])
        .await;
        let fault = rest(&stub).account(SENDER, 0).await.unwrap_err();
        assert_eq!(fault.code(), "ChainUnavailable");
    }

    #[tokio::test]
    async fn the_base_account_of_other_kinds_is_found() {
        let base =
            json!({"address": SENDER, "pub_key": null, "account_number": "12", "sequence": "3"});
        for account in [
            json!({"@type": "/ethermint.types.v1.EthAccount", "base_account": base, "code_hash": "0x"}),
            json!({
                "@type": "/cosmos.vesting.v1beta1.DelayedVestingAccount",
                "base_vesting_account": {"base_account": base, "original_vesting": [], "end_time": "1"},
            }),
            json!({
                "@type": "/cosmos.vesting.v1beta1.PeriodicVestingAccount",
                "vesting_periods": [],
                "base_vesting_account": {"original_vesting": [], "base_account": base},
                "start_time": "1",
            }),
        ] {
            let stub = node(&[
                (ACCOUNT, Act::json(&json!({"account": account}))),
                (BALANCES, answer("06-balances_empty")),
            ])
            .await;
            let found = rest(&stub).account(SENDER, 0).await.unwrap();
            assert_eq!((found.number, found.sequence), (12, 3), "{account}");
        }
        let stub = node(&[
            (
                ACCOUNT,
                Act::json(&json!({"account": {"@type": "/x.Other"}})),
            ),
            (BALANCES, answer("06-balances_empty")),
        ])
        .await;
        let fault = rest(&stub).account(SENDER, 0).await.unwrap_err();
        assert!(matches!(fault, ChainFault::Answer { .. }), "{fault}");
    }

    #[tokio::test]
    async fn balances_are_read_page_by_page() {
        let page = |denom: &str, next: Value| {
            Act::json(&json!({
                "balances": [{"denom": denom, "amount": "340282366920938463463374607431768211455"}],
                "pagination": {"next_key": next, "total": "0"},
            }))
        };
        let next = |key: &str| format!("{BALANCES}&pagination.key={key}");
        let stub = node(&[
            (ACCOUNT, answer("02-account")),
            (BALANCES, page("ibc/0", json!("a+/="))),
            (&next("a%2B%2F%3D"), page("stake", json!("b"))),
            (&next("b"), page("uatom", json!("c"))),
        ])
        .await;
        let found = rest(&stub).account(SENDER, 0).await.unwrap();
        assert_eq!((found.balance, found.fee_balance), (u128::MAX, u128::MAX));
    }

    #[tokio::test]
    async fn pages_without_end_are_left() {
        let endless = Stub::start(|asked| {
            if asked.line.contains("/balances/") {
                return Act::json(&json!({
                    "balances": [],
                    "pagination": {"next_key": "more"},
                }));
            }
            let path = asked.line.strip_prefix("GET ").unwrap();
            match path {
                NODE_INFO => answer("00-node_info"),
                LATEST => answer("01-block_latest"),
                ACCOUNT => answer("02-account"),
                _ => answer("44-lcd_unknown_route"),
            }
        })
        .await;
        let fault = rest(&endless).account(SENDER, 0).await.unwrap_err();
        assert!(fault.to_string().contains("too many"), "{fault}");
    }
}

mod nodes {
    use super::*;

    #[tokio::test]
    async fn a_node_of_another_chain_is_not_believed() {
        let stub = node(&[]).await;
        let mut settings = settings(vec![stub.node()]);
        settings.chain_id = "cosmoshub-4".to_owned();
        let fault = Cosmos::new(&settings).unwrap().height().await.unwrap_err();
        assert_eq!(
            fault.to_string(),
            "the nodes are of the chain probe-1, not of cosmoshub-4"
        );
        // The two addresses of one node may lead to different chains.
        let mut other = recorded("40-rpc_status")["body"].clone();
        other["result"]["node_info"]["network"] = json!("other-1");
        let stub = node(&[("/status", Act::json(&other))]).await;
        let fault = rpc(&stub).height().await.unwrap_err();
        assert_eq!(fault.code(), "WrongChain");
    }

    #[tokio::test]
    async fn a_node_that_catches_up_is_behind() {
        let stub = node(&[(SYNCING, Act::json(&json!({"syncing": true})))]).await;
        let fault = rest(&stub).height().await.unwrap_err();
        assert_eq!(fault.to_string(), "the nodes are at height 1, behind 2");

        let mut status = recorded("40-rpc_status")["body"].clone();
        status["result"]["sync_info"]["catching_up"] = json!(true);
        let stub = node(&[("/status", Act::json(&status))]).await;
        let fault = rpc(&stub).height().await.unwrap_err();
        assert_eq!(fault.to_string(), "the nodes are at height 20, behind 21");

        let stub = node(&[(SYNCING, Act::json(&json!({"syncing": false})))]).await;
        assert_eq!(rest(&stub).height().await.unwrap(), 1);
    }

    #[tokio::test]
    async fn a_node_without_an_index_of_transactions_is_not_believed() {
        let mut info = recorded("00-node_info")["body"].clone();
        info["default_node_info"]["other"]["tx_index"] = json!("off");
        let stub = node(&[(NODE_INFO, Act::json(&info))]).await;
        let fault = rest(&stub).height().await.unwrap_err();
        assert_eq!(
            fault.to_string(),
            "a node's answer is not from a node that indexes transactions: its tx_index is off"
        );
    }

    #[tokio::test]
    async fn what_is_no_node_is_not_believed() {
        for body in ["", "<html>", "{}", r#"{"default_node_info":{}}"#] {
            let stub = node(&[(NODE_INFO, Act::Say(200, body.to_owned()))]).await;
            let fault = rest(&stub).height().await.unwrap_err();
            assert_eq!(fault.code(), "ChainUnavailable", "{body}");
        }
    }
}

mod broadcasts {
    use super::*;

    async fn over_rest(act: Act) -> Result<Broadcast, ChainFault> {
        let stub = node(&[(TXS, act)]).await;
        let said = rest(&stub).broadcast(b"bytes").await;
        let asked = stub.asked();
        let body = &asked.last().unwrap().body;
        assert_eq!(
            *body,
            json!({"tx_bytes": "Ynl0ZXM=", "mode": "BROADCAST_MODE_SYNC"})
        );
        said
    }

    async fn over_rpc(act: Act) -> Result<Broadcast, ChainFault> {
        let stub = node(&[("POST ", act)]).await;
        let said = rpc(&stub).broadcast(b"bytes").await;
        let asked = stub.asked();
        let body = &asked.last().unwrap().body;
        assert_eq!(body["method"], "broadcast_tx_sync");
        assert_eq!(body["params"], json!({"tx": "Ynl0ZXM="}));
        said
    }

    /// The answer of the RPC to what REST answers with this recording.
    fn as_rpc(name: &str) -> Act {
        let pair = recorded(name);
        let response = &pair["body"]["tx_response"];
        Act::result(json!({
            "code": response["code"],
            "data": "",
            "log": response["raw_log"],
            "codespace": response["codespace"],
            "hash": response["txhash"],
        }))
    }

    #[tokio::test]
    async fn each_recorded_answer_has_its_meaning() {
        let refused = |refusal| Some(Err(refusal));
        for (name, meaning) in [
            ("09-sync_ok", None),
            ("10-sync_dup_in_cache", Some(Ok(Broadcast::Known))),
            ("13-sync_replay_after_commit", Some(Ok(Broadcast::Known))),
            ("14-err_seq_low", Some(Ok(Broadcast::SequenceUsed))),
            ("15-err_seq_high", Some(Ok(Broadcast::SequenceAhead))),
            ("16-err_wrong_chain", refused(Refusal::Signature)),
            ("17-err_wrong_accnum", refused(Refusal::Signature)),
            ("18-err_bad_sig", refused(Refusal::Signature)),
            ("19-err_low_fee", refused(Refusal::Fee)),
            ("20-err_no_fee", refused(Refusal::Fee)),
            ("21-err_fee_denom", refused(Refusal::Fee)),
            ("22-err_gas_tiny", refused(Refusal::Gas)),
            ("23-err_memo_long", refused(Refusal::Other)),
            ("24-err_bad_to", refused(Refusal::Recipient)),
            ("25-err_malformed", refused(Refusal::Other)),
            ("26-err_unknown_account", refused(Refusal::Funds)),
            ("28-sync_insufficient_funds_passes_checktx", None),
            ("30-sync_low_gas", None),
            ("34-pipelined_sync_0", None),
            ("35-pipelined_sync_1", None),
            ("36-pipelined_sync_2", None),
        ] {
            let log = &recorded(name)["body"]["tx_response"]["raw_log"];
            let expected = match meaning.unwrap_or(Ok(Broadcast::Accepted)) {
                Ok(said) => said,
                Err(refusal) => Broadcast::Refused {
                    refusal,
                    // One space is as good as several, or as one of another kind.
                    reason: log
                        .as_str()
                        .unwrap()
                        .split_whitespace()
                        .collect::<Vec<_>>()
                        .join(" "),
                },
            };
            assert_eq!(over_rest(answer(name)).await.unwrap(), expected, "{name}");
            assert_eq!(over_rpc(as_rpc(name)).await.unwrap(), expected, "{name}");
        }
    }

    #[tokio::test]
    async fn the_recorded_answers_of_the_rpc_have_theirs() {
        let taken = over_rpc(answer("41-rpc_broadcast_tx_sync")).await.unwrap();
        assert_eq!(taken, Broadcast::Accepted);
        let twice = over_rpc(answer("42-rpc_broadcast_dup")).await.unwrap();
        assert_eq!(twice, Broadcast::Known);
    }

    #[tokio::test]
    async fn bytes_that_the_gateway_cannot_read_are_refused() {
        let said = over_rest(answer("27-err_bad_base64")).await.unwrap();
        let expected = Broadcast::Refused {
            refusal: Refusal::Other,
            reason: "illegal base64 data at input byte 0".to_owned(),
        };
        assert_eq!(said, expected);
    }

    fn check(codespace: &str, code: u32, log: &str) -> Act {
        Act::json(&json!({"tx_response": {
            "height": "0", "txhash": "", "codespace": codespace, "code": code, "raw_log": log,
        }}))
    }

    #[tokio::test]
    async fn answers_that_were_not_recorded_have_theirs() {
        for (codespace, code, log, refusal) in [
            (
                "sdk",
                4,
                "cosmos1x is not allowed to receive funds: unauthorized",
                Refusal::Recipient,
            ),
            (
                "sdk",
                7,
                "Invalid sender address (empty): invalid address",
                Refusal::Other,
            ),
            (
                "sdk",
                9,
                "account cosmos1x does not exist: unknown address",
                Refusal::Funds,
            ),
            (
                "sdk",
                30,
                "block height: 12, timeout height: 11: tx timeout height",
                Refusal::Expired,
            ),
            ("sdk", 32, "incorrect account sequence", Refusal::Other),
            ("sdk", 32, "expected 7, got 7", Refusal::Other),
            ("sdk", 18, "invalid request", Refusal::Other),
            (
                "feemarket",
                2,
                "got 1, wanted 2: insufficient fee",
                Refusal::Fee,
            ),
            // Codes of a module mean nothing but within it.
            ("bank", 5, "x", Refusal::Other),
            ("wasm", 32, "expected 2, got 1", Refusal::Other),
        ] {
            let said = over_rest(check(codespace, code, log)).await.unwrap();
            let reason = log.to_owned();
            assert_eq!(
                said,
                Broadcast::Refused { refusal, reason },
                "{codespace} {code}"
            );
        }
    }

    #[tokio::test]
    async fn a_reason_is_short() {
        let said = over_rest(check("sdk", 18, &"x ".repeat(10_000)))
            .await
            .unwrap();
        let Broadcast::Refused { reason, .. } = said else {
            panic!("{said:?}");
        };
        assert_eq!(reason.chars().count(), 300);
    }

    #[tokio::test]
    async fn what_says_nothing_of_the_transaction_is_no_answer() {
        let error = |data: &str| {
            Act::json(&json!({"jsonrpc": "2.0", "id": 1, "error": {
                "code": -32603, "message": "Internal error", "data": data,
            }}))
        };
        for fault in [
            over_rest(check("sdk", 20, "mempool is full")).await,
            over_rest(Act::Say(
                503,
                r#"{"code":14,"message":"unavailable"}"#.to_owned(),
            ))
            .await,
            over_rest(Act::Say(502, "<html>".to_owned())).await,
            over_rest(Act::Say(429, "slow down".to_owned())).await,
            over_rest(Act::Say(200, "{}".to_owned())).await,
            over_rest(Act::Close).await,
            over_rpc(error("mempool is full: number of txs 5000 (max: 5000)")).await,
            over_rpc(error("timed out waiting for tx to be included in a block")).await,
            over_rpc(Act::Close).await,
        ] {
            assert_eq!(fault.unwrap_err().code(), "ChainUnavailable");
        }
    }

    #[tokio::test]
    async fn a_full_mempool_is_passed_over_without_a_doubt() {
        let full = node(&[(TXS, check("sdk", 20, "mempool is full"))]).await;
        let low = node(&[(TXS, answer("14-err_seq_low"))]).await;
        let chain = Cosmos::new(&settings(vec![full.node(), low.node()])).unwrap();
        let said = chain.broadcast(b"bytes").await.unwrap();
        assert_eq!(said, Broadcast::SequenceUsed);
    }
}

mod statuses {
    use super::*;

    const HASH: &str = "B8A3E3B820F41C6C1C48FDF0B4FA3E3B2003224B28045B17F29AB05F8EA189EE";

    /// A node whose newest block is the twentieth.
    async fn over_rest(act: Act) -> Result<TxStatus, ChainFault> {
        let mut latest = recorded("01-block_latest")["body"].clone();
        latest["block"]["header"]["height"] = json!("20");
        let stub = node(&[
            (LATEST, Act::json(&latest)),
            (&format!("/cosmos/tx/v1beta1/txs/{HASH}"), act),
        ])
        .await;
        rest(&stub).status(HASH, 20).await
    }

    async fn over_rpc(act: Act) -> Result<TxStatus, ChainFault> {
        let stub = node(&[(&format!("/tx?hash=0x{HASH}"), act)]).await;
        rpc(&stub).status(HASH, 20).await
    }

    #[tokio::test]
    async fn a_transaction_in_a_block_is_included() {
        let status = over_rest(answer("12-tx_included")).await.unwrap();
        let expected = TxStatus::Included {
            height: 2,
            confirmations: 19,
            failure: None,
        };
        assert_eq!(status, expected);
    }

    #[tokio::test]
    async fn a_block_newer_than_the_newest_known_counts_once() {
        // It is of block 21.
        let status = over_rpc(answer("43-rpc_tx")).await.unwrap();
        let expected = TxStatus::Included {
            height: 21,
            confirmations: 1,
            failure: None,
        };
        assert_eq!(status, expected);
    }

    #[tokio::test]
    async fn a_transaction_that_failed_in_its_block_says_why() {
        for (name, at, reason) in [
            (
                "29-tx_failed_in_block",
                8,
                "code 5 of sdk: failed to execute message; message index: 0: 999994000stake is smaller than 999999999999stake: insufficient funds",
            ),
            (
                "31-tx_low_gas_result",
                12,
                "code 11 of sdk: out of gas in location: WriteFlat; gasWanted: 55000, gasUsed: 56182: out of gas",
            ),
        ] {
            let expected = TxStatus::Included {
                height: at,
                confirmations: 21 - at,
                failure: Some(reason.to_owned()),
            };
            assert_eq!(over_rest(answer(name)).await.unwrap(), expected);
            let response = recorded(name)["body"]["tx_response"].clone();
            let result = json!({
                "height": response["height"],
                "tx_result": {
                    "code": response["code"],
                    "codespace": response["codespace"],
                    "log": response["raw_log"],
                },
            });
            assert_eq!(over_rpc(Act::result(result)).await.unwrap(), expected);
        }
    }

    #[tokio::test]
    async fn a_transaction_that_failed_before_its_messages_is_as_if_it_were_not_there() {
        for (code, log) in [
            (
                5,
                "0stake is smaller than 2500stake: insufficient funds: insufficient funds",
            ),
            (
                30,
                "block height: 12, timeout height: 11: tx timeout height",
            ),
            (
                32,
                "account sequence mismatch, expected 2, got 1: incorrect account sequence",
            ),
        ] {
            let result = json!({"code": code, "codespace": "sdk", "log": log});
            let over_rpc = over_rpc(Act::result(json!({"height": "12", "tx_result": result})));
            assert_eq!(over_rpc.await.unwrap(), TxStatus::Unknown, "{log}");
            let response =
                json!({"height": "12", "code": code, "codespace": "sdk", "raw_log": log});
            let over_rest = over_rest(Act::json(&json!({"tx": {}, "tx_response": response})));
            assert_eq!(over_rest.await.unwrap(), TxStatus::Unknown, "{log}");
        }
    }

    #[tokio::test]
    async fn a_transaction_that_is_not_found_is_unknown() {
        let newer = json!({"code": 5, "message": format!("tx not found: {HASH}"), "details": []});
        for act in [
            answer("08-tx_not_found"),
            answer("11-tx_pending"),
            Act::Say(404, newer.to_string()),
        ] {
            assert_eq!(over_rest(act).await.unwrap(), TxStatus::Unknown);
        }
        let error = json!({"jsonrpc": "2.0", "id": -1, "error": {
            "code": -32603, "message": "Internal error", "data": format!("tx ({HASH}) not found"),
        }});
        for status in [200, 500] {
            let act = Act::Say(status, error.to_string());
            assert_eq!(over_rpc(act).await.unwrap(), TxStatus::Unknown);
        }
    }

    #[tokio::test]
    async fn a_node_that_cannot_look_it_up_says_nothing() {
        let disabled = |at: &str| json!({at: "transaction indexing is disabled", "code": 2});
        let rpc_error = json!({"jsonrpc": "2.0", "id": -1, "error": {
            "code": -32603, "message": "Internal error", "data": "transaction indexing is disabled",
        }});
        for fault in [
            over_rest(Act::Say(500, disabled("message").to_string())).await,
            over_rest(Act::Say(404, "404 page not found".to_owned())).await,
            over_rest(answer("44-lcd_unknown_route")).await,
            over_rest(Act::Say(200, "{}".to_owned())).await,
            over_rpc(Act::json(&rpc_error)).await,
            over_rpc(Act::error(-32601, "Method not found")).await,
            over_rpc(Act::Say(404, "404 page not found".to_owned())).await,
        ] {
            assert_eq!(fault.unwrap_err().code(), "ChainUnavailable");
        }
    }

    #[tokio::test]
    async fn a_node_that_is_behind_is_not_believed() {
        let stub = node(&[]).await;
        let fault = rpc(&stub).status(HASH, 21).await.unwrap_err();
        assert_eq!(fault.to_string(), "the nodes are at height 20, behind 21");
        assert!(!stub.lines().iter().any(|line| line.contains("/tx")));
    }
}
