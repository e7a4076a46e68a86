use offchain_codes::Coded;
use serde_json::json;

use super::*;
use crate::StoreError;
use crate::test_util::done;

/// Ends a claim for which nothing is reserved: one transaction of one part.
async fn made(aws: &FakeAws) -> Result<bool, StoreError> {
    let mut bare = claim();
    bare.reserved = None;
    desk(aws).give_up(&bare, ClaimStatus::Failed, "x").await
}

fn tokens(aws: &FakeAws) -> Vec<Value> {
    aws.sent("TransactWriteItems")
        .iter()
        .map(|sent| sent["ClientRequestToken"].clone())
        .collect()
}

#[tokio::test]
async fn a_transaction_that_meets_another_is_made_again() {
    let mut aws = FakeAws::new();
    let later = [
        "TransactionConflict",
        "ThrottlingError",
        "ProvisionedThroughputExceeded",
        NONE,
    ];
    for code in later {
        aws = aws.on("TransactWriteItems", cancelled(&[(code, None)]));
    }
    let aws = aws.on("TransactWriteItems", done());
    assert!(made(&aws).await.unwrap());
    let tokens = tokens(&aws);
    assert_eq!(tokens.len(), 5);
    for (index, token) in tokens.iter().enumerate() {
        let token = token.as_str().unwrap();
        // DynamoDB takes 36 characters at most, and would answer a token that
        // it knows with the first try's outcome.
        assert!(token.len() <= 36, "{token}");
        let others = tokens.iter().filter(|other| *other == token);
        assert_eq!(others.count(), 1, "try {index} has another's token");
    }
}

#[tokio::test]
async fn a_condition_that_does_not_hold_is_an_answer_whatever_else_happened() {
    let reasons = [(HELD, None), ("TransactionConflict", None)];
    let aws = FakeAws::new().on("TransactWriteItems", cancelled(&reasons));
    assert!(!made(&aws).await.unwrap());
    assert_eq!(aws.operations().len(), 1);
}

#[tokio::test]
async fn what_no_further_try_can_mend_is_rejected_at_once() {
    for code in ["ValidationError", "ItemCollectionSizeLimitExceeded"] {
        let reasons = [(code, None), ("TransactionConflict", None)];
        let aws = FakeAws::new().on("TransactWriteItems", cancelled(&reasons));
        let error = made(&aws).await.unwrap_err();
        assert_eq!(
            (error.code(), error.retryable()),
            ("StoreRejected", false),
            "{code}"
        );
        assert!(offchain_codes::chain(&error).contains(code));
        assert_eq!(aws.operations().len(), 1);
    }
}

#[tokio::test]
async fn a_transaction_that_always_meets_another_is_given_up_for_now() {
    let aws = FakeAws::new().always(
        "TransactWriteItems",
        cancelled(&[("TransactionConflict", None)]),
    );
    let error = made(&aws).await.unwrap_err();
    assert_eq!(
        (error.code(), error.retryable()),
        ("StoreUnavailable", true)
    );
    let tokens = tokens(&aws);
    assert_eq!(tokens.len(), 12);
    assert!(tokens[11].as_str().unwrap().len() <= 36);
    assert_ne!(tokens[0], json!(null));
}
