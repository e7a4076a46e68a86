//! Against nodes of tests, and transactions that eth-account signed.

use offchain_codes::Coded;
use serde_json::{Value, json};

use super::*;
use crate::stub::{Act, Stub, dead};
use crate::{Node, Refusal};

const VITALIK: &str = "0xd8dA6BF26964aF9D7eEd9e03E53415D37aA96045";
const OTHER: &str = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";

fn settings(nodes: Vec<Node>) -> EvmSettings {
    EvmSettings {
        nodes,
        chain_id: 31337,
        max_fee_wei: 10_000,
        priority_fee_wei: 2,
    }
}

fn chain(stub: &Stub) -> Evm {
    Evm::new(&settings(vec![stub.node()])).unwrap()
}

/// A chain that no call is made to.
fn offline() -> Evm {
    Evm::new(&settings(vec![dead()])).unwrap()
}

/// A node that answers one method in its own way.
async fn odd(method: &'static str, act: Act) -> Stub {
    Stub::evm(move |asked| (asked.method() == method).then(|| act.clone())).await
}

fn transfer(to: &str, amount: u128) -> Transfer {
    Transfer {
        to: to.to_owned(),
        amount,
    }
}

fn account() -> Account {
    Account {
        sequence: 7,
        number: 0,
        balance: 1,
        fee_balance: 1,
        height: 100,
    }
}

mod addresses {
    use super::*;

    #[test]
    fn an_address_is_spelt_with_its_checksum() {
        let upper = |text: &str| format!("0x{}", text[2..].to_uppercase());
        // Those of EIP-55 itself.
        for text in [
            OTHER,
            "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
            "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
            "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
            "0x52908400098527886E0F7030069857D2E4169EE7",
            "0xde709f2102306220921060314715629080e2fb77",
            VITALIK,
        ] {
            for text_ in [text, &text.to_lowercase(), &upper(text)] {
                assert_eq!(offline().address(text_).unwrap(), text, "{text_}");
            }
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let number = |number: u8| format!("0x{number:040x}");
        for (text, reason) in [
            (String::new(), "40 digits"),
            ("0x".to_owned(), "40 digits"),
            (VITALIK[2..].to_owned(), "40 digits"),
            (VITALIK.replacen("0x", "0X", 1), "40 digits"),
            (VITALIK[..41].to_owned(), "40 digits"),
            (format!("{VITALIK}0"), "40 digits"),
            (format!("{VITALIK} "), "40 digits"),
            (VITALIK.replace("d8", "g8"), "hexadecimal"),
            (VITALIK.replace("d8", "ü"), "hexadecimal"),
            (format!("0x0x{}", &VITALIK[4..]), "hexadecimal"),
            (VITALIK.replacen("dA", "DA", 1), "checksum"),
            (VITALIK.replacen("dA6", "dA7", 1), "checksum"),
            (number(0), "nobody"),
            (number(1), "EVM itself"),
            (number(0x11), "EVM itself"),
            ("vitalik.eth".to_owned(), "40 digits"),
        ] {
            let error = offline().address(&text).unwrap_err();
            assert_eq!(error.code(), "AddressInvalid");
            assert!(error.to_string().contains(reason), "{text}: {error}");
        }
        assert_eq!(offline().address(&number(0x12)).unwrap(), number(0x12));
    }
}

mod transactions {
    use alloy_consensus::TxEnvelope;
    use alloy_consensus::transaction::SignerRecoverable;
    use alloy_eips::eip2718::Decodable2718;

    use super::*;

    /// The number 0x4646…46.
    fn key() -> AccountKey {
        AccountKey::from_bytes(&[0x46; 32]).unwrap()
    }

    const SENDER: &str = "0x9d8A62f656a8d1615C1294fd71e9CFb3E4855A4F";

    fn sepolia() -> Evm {
        Evm::new(&EvmSettings {
            chain_id: 11_155_111,
            ..settings(vec![dead()])
        })
        .unwrap()
    }

    fn terms(gas: u64) -> Terms {
        Terms::Evm {
            gas,
            max_fee: 30_000_000_000,
            priority_fee: 1_500_000_000,
        }
    }

    #[test]
    fn the_sender_is_the_address_of_the_key() {
        assert_eq!(offline().sender(&key()), SENDER);
    }

    /// What eth-account 0.13 (Python) made of the same key and transaction.
    #[test]
    fn the_signed_bytes_are_those_of_eth_account() {
        let one = vec![transfer(VITALIK, 1_000_000_000_000_000_000)];
        let two = [&one[..], &[transfer(OTHER, 1)]].concat();
        for (nonce, transfers, gas, bytes, hash) in [
            (
                7,
                one,
                21_000,
                "02f87683aa36a7078459682f008506fc23ac0082520894d8da6bf26964af9d7eed9e03e53415d37aa96045880de0b6b3a764000080c001a015f866a419a0ba3acc342306b5aca3e8855f9af6322b1ff0328869c022eabebea07cd729e731a79d6eb65b99a910d8ced9e35e4063a69859151bdc894893ffc514",
                "0x6b5308baa25684d4e4104f29c9d502d2087ac0677647e48098ab5b1f08cd1ac2",
            ),
            (
                8,
                two,
                200_000,
                "02f8b983aa36a7088459682f008506fc23ac0083030d4080880de0b6b3a7640001b85560016000808080670de0b6b3a764000073d8da6bf26964af9d7eed9e03e53415d37aa96045617530f11660008080806001735aaeb6053f3e94c9b9a09f33669435e7ef1beaed617530f11661005357600080fd5b00c080a0dddc5ac02c7ff47897d4f197826ca5ce54d5827b077f83ee37f071f93de820bba07a30b81b18c068e2503c7987882b793c60ea038f246f19a3845a28a22740eda6",
                "0xffdc5605acac6ed3ea08f8bf313eb12c4ea0fe758d776d0cab4fba1e8a0669be",
            ),
        ] {
            let signed = sepolia()
                .sign(&key(), nonce, &transfers, &terms(gas))
                .unwrap();
            assert_eq!(hex::encode(&signed.bytes), bytes);
            assert_eq!(signed.hash, hash);
            let again = TxEnvelope::decode_2718(&mut signed.bytes.as_slice()).unwrap();
            assert_eq!(again.recover_signer().unwrap().to_string(), SENDER);
        }
    }

    #[test]
    fn what_no_node_would_take_is_not_signed() {
        let cosmos = Terms::Cosmos {
            account_number: 0,
            timeout_height: 1,
            gas: 1,
            fee: 1,
        };
        for (transfers, terms) in [
            (vec![], terms(1)),
            (vec![transfer("cosmos1xxx", 1)], terms(1)),
            (vec![transfer(&VITALIK[2..], 1)], terms(1)),
            (vec![transfer(VITALIK, 1); 91], terms(1)),
            (vec![transfer(VITALIK, 1)], cosmos),
        ] {
            let error = offline().sign(&key(), 0, &transfers, &terms).unwrap_err();
            assert_eq!(error.code(), "SigningFailed");
        }
        let most = vec![transfer(VITALIK, u128::MAX); offline().batch_limit()];
        offline().sign(&key(), 0, &most, &terms(1)).unwrap();
    }
}

mod accounts {
    use super::*;

    #[tokio::test]
    async fn nonce_and_balance_are_of_the_same_block() {
        let stub = Stub::evm(|_| None).await;
        let found = chain(&stub).account(VITALIK, 100).await.unwrap();
        let expected = Account {
            sequence: 7,
            number: 0,
            balance: 1_000_000_000_000_000_000,
            fee_balance: 1_000_000_000_000_000_000,
            height: 100,
        };
        assert_eq!(found, expected);
        let of: Vec<_> = stub
            .asked()
            .into_iter()
            .filter(|asked| asked.method().starts_with("eth_get"))
            .map(|asked| asked.body["params"].clone())
            .collect();
        assert_eq!(of, [json!([VITALIK, "0x64"]), json!([VITALIK, "0x64"])]);
    }

    #[tokio::test]
    async fn the_nonce_after_a_block_is_that_block_s() {
        let stub = Stub::evm(|asked| {
            let of = &asked.body["params"][1];
            (asked.method() == "eth_getTransactionCount" && *of == json!("0x60"))
                .then(|| Act::result(json!("0x5")))
        })
        .await;
        let chain = chain(&stub);
        assert_eq!(chain.sequence_at(VITALIK, 96).await.unwrap(), 5);
        assert_eq!(chain.sequence_at(VITALIK, 100).await.unwrap(), 7);
        // A node that has no such block yet.
        let fault = chain.sequence_at(VITALIK, 101).await.unwrap_err();
        assert_eq!(fault.code(), "ChainBehind");
    }

    #[tokio::test]
    async fn a_balance_beyond_all_sums_is_the_largest() {
        let huge = format!("0x{}", "f".repeat(64));
        let stub = odd("eth_getBalance", Act::result(json!(huge))).await;
        let found = chain(&stub).account(VITALIK, 0).await.unwrap();
        assert_eq!(found.balance, u128::MAX);
    }
}

mod terms {
    use super::*;

    async fn with(
        stub: &Stub,
        transfers: &[Transfer],
        last: Option<&Terms>,
    ) -> Result<Terms, ChainFault> {
        chain(stub).terms(OTHER, &account(), transfers, last).await
    }

    fn evm(gas: u64, max_fee: u128, priority_fee: u128) -> Terms {
        Terms::Evm {
            gas,
            max_fee,
            priority_fee,
        }
    }

    #[tokio::test]
    async fn a_plain_transfer_has_the_gas_of_one() {
        let stub = Stub::evm(|_| None).await;
        let terms = with(&stub, &[transfer(VITALIK, 5)], None).await.unwrap();
        assert_eq!(terms, evm(21_000, 2002, 2));
        let asked = stub.asked();
        let estimate = asked
            .iter()
            .find(|asked| asked.method() == "eth_estimateGas");
        let call = json!({"from": OTHER, "to": VITALIK, "value": "0x5"});
        assert_eq!(estimate.unwrap().body["params"], json!([call, "latest"]));
    }

    #[tokio::test]
    async fn other_gas_gets_a_fifth_more() {
        let stub = odd("eth_estimateGas", Act::result(json!("0x186a0"))).await;
        let one = [transfer(VITALIK, 5)];
        let two = [transfer(VITALIK, 5), transfer(OTHER, 6)];
        for transfers in [&one[..], &two] {
            let terms = with(&stub, transfers, None).await.unwrap();
            assert_eq!(terms, evm(120_000, 2002, 2));
        }
        let call = stub.asked().last().unwrap().body["params"][0].clone();
        assert_eq!((&call["value"], &call["to"]), (&json!("0xb"), &Value::Null));
        assert!(call["data"].as_str().unwrap().starts_with("0x6001"));
    }

    #[tokio::test]
    async fn a_recipient_that_burns_gas_is_not_paid() {
        for (estimate, good) in [("0x7a120", true), ("0x7a121", false), ("0x1c9c380", false)] {
            let stub = odd("eth_estimateGas", Act::result(json!(estimate))).await;
            let one = with(&stub, &[transfer(VITALIK, 5)], None).await;
            assert_eq!(one.is_ok(), good, "{estimate}");
            if let Err(fault) = one {
                assert_eq!(fault.code(), "TransferImpossible");
            }
            // In a batch no recipient has more than its share.
            let two = [transfer(VITALIK, 5), transfer(OTHER, 6)];
            assert!(with(&stub, &two, None).await.is_ok());
        }
    }

    #[tokio::test]
    async fn transfers_that_would_be_reverted_are_impossible() {
        for (code, message) in [
            (3, "execution reverted: no thanks"),
            (-32000, "execution reverted"),
            (-32015, "VM execution error: Reverted 0x"),
            (-32000, "gas required exceeds allowance (30000000)"),
            (-32000, "out of gas"),
        ] {
            let stub = odd("eth_estimateGas", Act::error(code, message)).await;
            let fault = with(&stub, &[transfer(VITALIK, 5)], None)
                .await
                .unwrap_err();
            assert_eq!(fault.code(), "TransferImpossible", "{message}");
        }
        // An account that is empty now may be filled.
        for message in ["insufficient funds for transfer", "header not found"] {
            let stub = odd("eth_estimateGas", Act::error(-32000, message)).await;
            let fault = with(&stub, &[transfer(VITALIK, 5)], None)
                .await
                .unwrap_err();
            assert_eq!(fault.code(), "ChainUnavailable", "{message}");
        }
    }

    #[tokio::test]
    async fn a_recipient_that_is_no_address_is_impossible() {
        let stub = Stub::evm(|_| None).await;
        let fault = with(&stub, &[transfer("cosmos1", 1)], None).await;
        assert_eq!(fault.unwrap_err().code(), "TransferImpossible");
    }

    #[tokio::test]
    async fn a_next_version_offers_more_until_it_is_too_dear() {
        let stub = Stub::evm(|_| None).await;
        let transfers = [transfer(VITALIK, 5)];
        let last = evm(21_000, 4000, 40);
        let terms = with(&stub, &transfers, Some(&last)).await.unwrap();
        assert_eq!(terms, evm(21_000, 4500, 45));
        let last = evm(21_000, 9000, 40);
        let fault = with(&stub, &transfers, Some(&last)).await.unwrap_err();
        assert_eq!(
            fault.to_string(),
            "the fee of 10125 a unit of gas is over the most, 10000"
        );
        assert!(fault.retryable());
    }

    #[tokio::test]
    async fn a_node_behind_the_account_is_not_asked_for_its_fees() {
        let stub = Stub::evm(|_| None).await;
        let account = Account {
            height: 101,
            ..account()
        };
        let transfers = [transfer(VITALIK, 5)];
        let fault = chain(&stub).terms(OTHER, &account, &transfers, None).await;
        assert_eq!(fault.unwrap_err().code(), "ChainBehind");
    }

    #[tokio::test]
    async fn a_chain_without_base_fees_is_none_of_these() {
        let old = json!({"oldestBlock": "0x64", "gasUsedRatio": [0.5]});
        let stub = odd("eth_feeHistory", Act::result(old)).await;
        let fault = with(&stub, &[transfer(VITALIK, 5)], None)
            .await
            .unwrap_err();
        assert!(fault.to_string().contains("EIP-1559"), "{fault}");
    }

    #[tokio::test]
    async fn a_node_without_advice_is_fine() {
        let silent = Act::error(-32601, "no such method");
        let stub = odd("eth_maxPriorityFeePerGas", silent).await;
        let terms = with(&stub, &[transfer(VITALIK, 5)], None).await.unwrap();
        assert_eq!(terms, evm(21_000, 2002, 2));
    }
}

mod broadcasts {
    use super::*;

    async fn said(code: i64, message: &str) -> Result<Broadcast, ChainFault> {
        let stub = odd("eth_sendRawTransaction", Act::error(code, message)).await;
        chain(&stub).broadcast(&[2]).await
    }

    #[tokio::test]
    async fn the_words_of_each_client_have_their_meaning() {
        for (text, meaning) in [
            // geth
            ("already known", Broadcast::Known),
            (
                "nonce too low: next nonce 5, tx nonce 4",
                Broadcast::SequenceUsed,
            ),
            ("nonce too high", Broadcast::SequenceAhead),
            // anvil
            ("transaction already imported", Broadcast::Known),
            ("nonce too low", Broadcast::SequenceUsed),
            // besu
            ("Known transaction", Broadcast::Known),
            ("Nonce too low", Broadcast::SequenceUsed),
            (
                "Transaction nonce is too distant from current sender nonce",
                Broadcast::SequenceAhead,
            ),
            // nethermind
            ("AlreadyKnown", Broadcast::Known),
            (
                "OldNonce, Current nonce: 5, nonce of rejected tx: 4",
                Broadcast::SequenceUsed,
            ),
            (
                "NonceGap, Future nonce. Expected nonce: 5",
                Broadcast::SequenceAhead,
            ),
        ] {
            assert_eq!(said(-32000, text).await.unwrap(), meaning, "{text}");
        }
        for (text, meaning) in [
            ("replacement transaction underpriced", Refusal::Fee),
            (
                "transaction underpriced: tip needed 1, tip permitted 0",
                Refusal::Fee,
            ),
            (
                "max fee per gas less than block base fee: address 0x1",
                Refusal::Fee,
            ),
            ("tx fee cap less than block base fee", Refusal::Fee),
            ("could not replace existing tx", Refusal::Fee),
            ("FeeTooLow, MaxFeePerGas too low.", Refusal::Fee),
            ("FeeTooLowToCompete", Refusal::Fee),
            ("Gas price below configured minimum gas price", Refusal::Fee),
            (
                "insufficient funds for gas * price + value: balance 0",
                Refusal::Funds,
            ),
            ("Insufficient funds for gas * price + value", Refusal::Funds),
            ("InsufficientFunds, Account balance: 0", Refusal::Funds),
            ("Upfront cost exceeds account balance", Refusal::Funds),
            (
                "intrinsic gas too low: gas 1, minimum needed 21000",
                Refusal::Gas,
            ),
            ("exceeds block gas limit", Refusal::Gas),
            (
                "Transaction gas limit exceeds block gas limit",
                Refusal::Gas,
            ),
            ("invalid sender", Refusal::Signature),
            (
                "invalid chain id for signer: have 1 want 2",
                Refusal::Signature,
            ),
            ("max initcode size exceeded", Refusal::Other),
            ("who knows", Refusal::Other),
        ] {
            let reason = text.to_owned();
            let expected = Broadcast::Refused {
                refusal: meaning,
                reason,
            };
            for code in [-32000, -32003, -32010, -32602] {
                assert_eq!(said(code, text).await.unwrap(), expected, "{text}");
            }
        }
    }

    #[tokio::test]
    async fn what_says_nothing_of_the_transaction_is_no_answer() {
        for (code, text) in [
            (-32005, "daily request count exceeded"),
            (429, "Too Many Requests"),
            (-32000, "rate limit reached"),
            (-32000, "txpool is full"),
            (-32601, "the method does not exist"),
            (-32603, "Internal error"),
            (-32002, "timeout"),
            (1, "who knows"),
        ] {
            let fault = said(code, text).await.unwrap_err();
            assert_eq!(fault.code(), "ChainUnavailable", "{text}");
            assert!(fault.to_string().contains(text), "{fault}");
        }
    }
}

mod statuses {
    use super::*;

    const HASH: &str = "0x6b5308baa25684d4e4104f29c9d502d2087ac0677647e48098ab5b1f08cd1ac2";

    async fn status(
        receipt: Value,
        transaction: Value,
        block: Value,
    ) -> Result<TxStatus, ChainFault> {
        let stub = Stub::evm(move |asked| {
            let of = match asked.method() {
                "eth_getTransactionReceipt" => &receipt,
                "eth_getTransactionByHash" => &transaction,
                "eth_getBlockByNumber" => {
                    assert_eq!(asked.body["params"], json!(["0x62", false]));
                    &block
                }
                _ => return None,
            };
            Some(Act::result(of.clone()))
        })
        .await;
        chain(&stub).status(HASH, 100).await
    }

    fn receipt(status: &str) -> Value {
        json!({"blockHash": "0xAB", "blockNumber": "0x62", "status": status})
    }

    #[tokio::test]
    async fn a_transaction_in_a_block_is_included() {
        for (receipt, failure) in [
            (receipt("0x1"), None),
            (
                receipt("0x0"),
                Some("the transaction was reverted".to_owned()),
            ),
        ] {
            let status = status(receipt, json!(null), json!({"hash": "0xab"})).await;
            let expected = TxStatus::Included {
                height: 98,
                confirmations: 3,
                failure,
            };
            assert_eq!(status.unwrap(), expected);
        }
    }

    #[tokio::test]
    async fn a_block_that_the_chain_has_left_does_not_count() {
        for block in [json!({"hash": "0xcd"}), json!(null)] {
            let status = status(receipt("0x1"), json!(null), block).await;
            assert_eq!(status.unwrap(), TxStatus::Pending);
        }
    }

    #[tokio::test]
    async fn a_transaction_in_no_block_is_pending_or_unknown() {
        let waiting = json!({"hash": HASH, "blockHash": null});
        for (transaction, expected) in [
            (waiting, TxStatus::Pending),
            (json!(null), TxStatus::Unknown),
        ] {
            let status = status(json!(null), transaction, json!(null)).await;
            assert_eq!(status.unwrap(), expected);
        }
    }

    #[tokio::test]
    async fn a_node_that_is_behind_or_broken_is_not_believed() {
        let stub = Stub::evm(|_| None).await;
        let fault = chain(&stub).status(HASH, 101).await.unwrap_err();
        assert_eq!(fault.code(), "ChainBehind");
        let indexing = Act::error(-32000, "transaction indexing is in progress");
        let stub = odd("eth_getTransactionReceipt", indexing).await;
        let fault = chain(&stub).status(HASH, 0).await.unwrap_err();
        assert_eq!(fault.code(), "ChainUnavailable");
    }
}
