//! Payouts on a real EVM. As every end-to-end test, these run where
//! `scripts/test --e2e` has brought what they need: anvil, from npm.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test may fail anywhere"
)]

mod anvil;

use std::time::Duration;

use alloy_primitives::Address;
use anvil::Anvil;
use offchain_chains::{
    Account, AccountKey, Broadcast, Chain, Evm, EvmSettings, Node, Refusal, Signed, Terms,
    Transfer, TxStatus,
};
use offchain_codes::Coded;
use serde_json::{Value, json};

const GWEI: u128 = 1_000_000_000;
const COIN: u128 = 1_000_000_000 * GWEI;

struct Payer {
    anvil: Anvil,
    chain: Evm,
    key: AccountKey,
    sender: String,
}

impl Payer {
    /// A payer with a hundred coins on a chain of its own.
    async fn start(options: &[&str]) -> Self {
        let anvil = Anvil::start(options).await;
        let chain = Evm::new(&EvmSettings {
            nodes: vec![Node {
                url: anvil.url(),
                rpc_url: None,
            }],
            chain_id: 31337,
            max_fee_wei: 100 * GWEI,
            priority_fee_wei: GWEI,
        })
        .unwrap();
        let key = AccountKey::from_bytes(&[0x46; 32]).unwrap();
        let sender = chain.sender(&key);
        anvil.set_balance(&sender, 100 * COIN).await;
        Self {
            anvil,
            chain,
            key,
            sender,
        }
    }

    async fn account(&self) -> Account {
        self.chain.account(&self.sender, 0).await.unwrap()
    }

    async fn terms(&self, transfers: &[Transfer], last: Option<&Terms>) -> Terms {
        let account = self.account().await;
        let terms = self.chain.terms(&self.sender, &account, transfers, last);
        terms.await.unwrap()
    }

    fn sign(&self, sequence: u64, transfers: &[Transfer], terms: &Terms) -> Signed {
        self.chain
            .sign(&self.key, sequence, transfers, terms)
            .unwrap()
    }

    /// Signs with the account's next number, on terms of now.
    async fn next(&self, transfers: &[Transfer]) -> Signed {
        let terms = self.terms(transfers, None).await;
        self.sign(self.account().await.sequence, transfers, &terms)
    }

    async fn send(&self, signed: &Signed) -> Broadcast {
        self.chain.broadcast(&signed.bytes).await.unwrap()
    }

    async fn status(&self, signed: &Signed) -> TxStatus {
        self.chain.status(&signed.hash, 0).await.unwrap()
    }

    /// What became of a transaction that a block is to have soon.
    async fn settled(&self, signed: &Signed) -> TxStatus {
        for _ in 0..600 {
            let status = self.status(signed).await;
            if matches!(status, TxStatus::Included { .. }) {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("no block has {}", signed.hash);
    }
}

fn included(height: u64, confirmations: u64) -> TxStatus {
    TxStatus::Included {
        height,
        confirmations,
        failure: None,
    }
}

/// New recipients, and sums that differ.
fn transfers(count: u8) -> Vec<Transfer> {
    (1..=count)
        .map(|index| Transfer {
            to: Address::repeat_byte(index.wrapping_add(0x20)).to_string(),
            amount: u128::from(index) * COIN / 100,
        })
        .collect()
}

fn sum(transfers: &[Transfer]) -> u128 {
    transfers.iter().map(|transfer| transfer.amount).sum()
}

#[tokio::test]
async fn one_transfer_is_paid() {
    let payer = Payer::start(&[]).await;
    let transfers = transfers(1);
    let signed = payer.next(&transfers).await;
    assert_eq!(payer.status(&signed).await, TxStatus::Unknown);
    assert_eq!(payer.send(&signed).await, Broadcast::Accepted);
    assert_eq!(payer.settled(&signed).await, included(1, 1));
    let balance = payer.anvil.balance(&transfers[0].to).await;
    assert_eq!(balance, transfers[0].amount);
    let account = payer.account().await;
    assert_eq!((account.sequence, account.height), (1, 1));
    let fee = 100 * COIN - sum(&transfers) - account.balance;
    assert!(fee > 0 && fee < COIN / 1000, "{fee}");

    payer.anvil.mine(4).await;
    assert_eq!(payer.status(&signed).await, included(1, 5));
    // Sent again, it says that the number is used, and pays nobody twice.
    assert_eq!(payer.send(&signed).await, Broadcast::SequenceUsed);
    payer.anvil.mine(1).await;
    assert_eq!(payer.anvil.balance(&transfers[0].to).await, balance);
}

#[tokio::test]
async fn batches_pay_everybody_at_once_and_leave_nothing_behind() {
    let payer = Payer::start(&[]).await;
    let mut before = payer.account().await;
    for (count, sequence) in [(3, 0), (90, 1)] {
        let mut transfers = transfers(count);
        // Some of them have an account, the others have none.
        transfers[1].to = payer.sender.clone();
        let signed = payer.next(&transfers).await;
        assert_eq!(payer.send(&signed).await, Broadcast::Accepted);
        assert_eq!(payer.settled(&signed).await, included(sequence + 1, 1));
        let receipt = payer
            .anvil
            .call("eth_getTransactionReceipt", json!([signed.hash]))
            .await;
        println!("a batch of {count}: gas {}", receipt["gasUsed"]);
        let created = receipt["contractAddress"].as_str().unwrap();
        assert_eq!(payer.anvil.balance(created).await, 0);
        let code = payer.anvil.call("eth_getCode", json!([created, "latest"]));
        assert_eq!(code.await, "0x");
        let after = payer.account().await;
        let paid = before.balance - after.balance;
        let to_others = sum(&transfers) - transfers[1].amount;
        assert!(paid > to_others && paid < to_others + COIN / 10, "{paid}");
        assert_eq!(after.sequence, before.sequence + 1);
        before = after;
    }
    for (index, transfer) in transfers(90).iter().enumerate() {
        let times = match index {
            1 => 0,
            0 | 2 => 2,
            _ => 1,
        };
        let balance = payer.anvil.balance(&transfer.to).await;
        assert_eq!(balance, times * transfer.amount, "{index}");
    }
}

#[tokio::test]
async fn a_batch_with_a_recipient_that_refuses_pays_nobody() {
    let payer = Payer::start(&[]).await;
    let transfers = transfers(3);
    // PUSH1 0 DUP1 REVERT
    let refuses = json!([transfers[1].to, "0x600080fd"]);
    payer.anvil.call("anvil_setCode", refuses).await;
    let account = payer.account().await;
    for transfers in [&transfers[..], &transfers[1..2]] {
        let fault = payer
            .chain
            .terms(&payer.sender, &account, transfers, None)
            .await
            .unwrap_err();
        assert_eq!(fault.code(), "TransferImpossible", "{fault}");
    }
    // Sent all the same, it fails as a whole, and the number is used.
    let Terms::Evm {
        max_fee,
        priority_fee,
        ..
    } = payer.terms(&transfers[..1], None).await
    else {
        panic!("terms of another kind");
    };
    let terms = Terms::Evm {
        gas: 500_000,
        max_fee,
        priority_fee,
    };
    let signed = payer.sign(0, &transfers, &terms);
    assert_eq!(payer.send(&signed).await, Broadcast::Accepted);
    let TxStatus::Included {
        failure: Some(failure),
        ..
    } = payer.settled(&signed).await
    else {
        panic!("it did not fail");
    };
    assert_eq!(failure, "the transaction was reverted");
    for transfer in &transfers {
        assert_eq!(payer.anvil.balance(&transfer.to).await, 0);
    }
    assert_eq!(payer.account().await.sequence, 1);
}

#[tokio::test]
async fn a_recipient_in_a_batch_has_no_more_gas_than_its_share() {
    let payer = Payer::start(&[]).await;
    let transfers = transfers(2);
    // JUMPDEST PUSH1 0 JUMP: without end.
    let burns = json!([transfers[1].to, "0x5b600056"]);
    payer.anvil.call("anvil_setCode", burns).await;
    let account = payer.account().await;
    for transfers in [&transfers[..], &transfers[1..]] {
        let fault = payer
            .chain
            .terms(&payer.sender, &account, transfers, None)
            .await
            .unwrap_err();
        assert_eq!(fault.code(), "TransferImpossible", "{fault}");
    }
}

#[tokio::test]
async fn a_stuck_transaction_is_replaced_by_a_dearer_one() {
    let payer = Payer::start(&["--no-mining"]).await;
    let transfers = transfers(2);
    let terms = payer.terms(&transfers, None).await;
    let first = payer.sign(0, &transfers, &terms);
    assert_eq!(payer.send(&first).await, Broadcast::Accepted);
    assert_eq!(payer.status(&first).await, TxStatus::Pending);
    assert_eq!(payer.send(&first).await, Broadcast::Known);

    // Another one on the same terms does not take its place.
    let other = payer.sign(0, &transfers[..1], &terms);
    let said = payer.send(&other).await;
    let cheap = matches!(
        said,
        Broadcast::Refused {
            refusal: Refusal::Fee,
            ..
        }
    );
    assert!(cheap, "{said:?}");

    let dearer = payer.terms(&transfers, Some(&terms)).await;
    assert!(dearer.most() > terms.most());
    let second = payer.sign(0, &transfers, &dearer);
    assert_eq!(payer.send(&second).await, Broadcast::Accepted);
    payer.anvil.mine(1).await;
    assert_eq!(payer.settled(&second).await, included(1, 1));
    assert_eq!(payer.status(&first).await, TxStatus::Unknown);
    assert_eq!(payer.send(&first).await, Broadcast::SequenceUsed);
    for transfer in &transfers {
        assert_eq!(payer.anvil.balance(&transfer.to).await, transfer.amount);
    }
}

#[tokio::test]
async fn a_number_ahead_waits_for_those_before_it() {
    let payer = Payer::start(&["--no-mining"]).await;
    let transfers = transfers(1);
    let terms = payer.terms(&transfers, None).await;
    let [zero, one] = [0, 1].map(|sequence| payer.sign(sequence, &transfers, &terms));
    // A node may keep it or not, but no block takes it.
    let said = payer.send(&one).await;
    let fine = matches!(said, Broadcast::Accepted | Broadcast::SequenceAhead);
    assert!(fine, "{said:?}");
    payer.anvil.mine(1).await;
    assert_eq!(payer.account().await.sequence, 0);
    assert_eq!(payer.send(&zero).await, Broadcast::Accepted);
    payer.send(&one).await;
    payer.anvil.mine(1).await;
    payer.settled(&zero).await;
    payer.settled(&one).await;
    assert_eq!(payer.account().await.sequence, 2);
}

#[tokio::test]
async fn a_dropped_transaction_is_unknown_and_may_be_sent_again() {
    let payer = Payer::start(&["--no-mining"]).await;
    let transfers = transfers(1);
    let signed = payer.next(&transfers).await;
    assert_eq!(payer.send(&signed).await, Broadcast::Accepted);
    let drop = payer
        .anvil
        .call("anvil_dropTransaction", json!([signed.hash]));
    drop.await;
    assert_eq!(payer.status(&signed).await, TxStatus::Unknown);
    assert_eq!(payer.send(&signed).await, Broadcast::Accepted);
    payer.anvil.mine(1).await;
    payer.settled(&signed).await;
    let balance = payer.anvil.balance(&transfers[0].to).await;
    assert_eq!(balance, transfers[0].amount);
}

#[tokio::test]
async fn a_transaction_of_a_block_that_is_gone_is_not_included() {
    let payer = Payer::start(&["--no-mining"]).await;
    let transfers = transfers(1);
    payer.anvil.mine(2).await;
    let signed = payer.next(&transfers).await;
    payer.send(&signed).await;
    payer.anvil.mine(2).await;
    assert_eq!(payer.settled(&signed).await, included(3, 2));
    let reorg: Value = json!([2, []]);
    payer.anvil.call("anvil_reorg", reorg).await;
    let status = payer.status(&signed).await;
    let gone = matches!(status, TxStatus::Unknown | TxStatus::Pending);
    assert!(gone, "{status:?}");
    assert_eq!(payer.account().await.sequence, 0);
    assert_eq!(payer.anvil.balance(&transfers[0].to).await, 0);
    // The same bytes are good for the new chain.
    payer.send(&signed).await;
    payer.anvil.mine(1).await;
    payer.settled(&signed).await;
    let balance = payer.anvil.balance(&transfers[0].to).await;
    assert_eq!(balance, transfers[0].amount);
}

#[tokio::test]
async fn a_fee_over_the_most_is_not_offered() {
    let payer = Payer::start(&["--no-mining"]).await;
    let transfers = transfers(1);
    let cheap = payer.next(&transfers).await;
    let base_fee = json!([format!("{:#x}", 200 * GWEI)]);
    payer
        .anvil
        .call("anvil_setNextBlockBaseFeePerGas", base_fee)
        .await;
    payer.anvil.mine(1).await;
    let account = payer.account().await;
    let fault = payer
        .chain
        .terms(&payer.sender, &account, &transfers, None)
        .await
        .unwrap_err();
    assert_eq!(fault.code(), "FeeTooHigh", "{fault}");
    // What was signed before is refused for its fee, or waits.
    match payer.send(&cheap).await {
        Broadcast::Accepted => {
            assert_eq!(payer.status(&cheap).await, TxStatus::Pending);
        }
        said => {
            let fee = matches!(
                said,
                Broadcast::Refused {
                    refusal: Refusal::Fee,
                    ..
                }
            );
            assert!(fee, "{said:?}");
        }
    }
}

#[tokio::test]
async fn refusals_of_a_real_node_have_their_meaning() {
    let payer = Payer::start(&[]).await;
    let one = transfers(1);
    let terms = payer.terms(&one, None).await;
    let refusal = async |signed: Signed| match payer.send(&signed).await {
        Broadcast::Refused { refusal, reason } => {
            println!("{refusal:?}: {reason}");
            refusal
        }
        said => panic!("{said:?}"),
    };
    let rich = [Transfer {
        amount: 1000 * COIN,
        ..one[0].clone()
    }];
    let signed = payer.sign(0, &rich, &terms);
    assert_eq!(refusal(signed).await, Refusal::Funds);
    let with_gas = |gas| Terms::Evm {
        gas,
        max_fee: 10 * GWEI,
        priority_fee: GWEI,
    };
    let signed = payer.sign(0, &one, &with_gas(20_000));
    assert_eq!(refusal(signed).await, Refusal::Gas);
    let signed = payer.sign(0, &one, &with_gas(1_000_000_000));
    assert_eq!(refusal(signed).await, Refusal::Gas);
    let elsewhere = Evm::new(&EvmSettings {
        nodes: vec![Node {
            url: payer.anvil.url(),
            rpc_url: None,
        }],
        chain_id: 1,
        max_fee_wei: GWEI,
        priority_fee_wei: 1,
    })
    .unwrap();
    let signed = elsewhere.sign(&payer.key, 0, &one, &terms).unwrap();
    assert_eq!(refusal(signed).await, Refusal::Signature);
    let fault = elsewhere.height().await.unwrap_err();
    assert_eq!(
        fault.to_string(),
        "the nodes are of the chain 31337, not of 1"
    );
    assert_eq!(payer.account().await.sequence, 0);
}
