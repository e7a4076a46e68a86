//! Transactions, against a fake AWS.

use aws_sdk_dynamodb::types::Delete;
use offchain_codes::Coded;
use serde_json::{Value, json};

use super::*;
use crate::item::text;
use crate::test_util::{FakeAws, Reply, cancelled, done, parts, refusal};

const HELD: &str = "ConditionalCheckFailed";

/// Takes an item out of its table: a transaction of one part.
async fn made(aws: &FakeAws) -> Result<Option<Failed>, StoreError> {
    let delete = Delete::builder()
        .table_name("table")
        .key("id", text("i1"))
        .build()
        .unwrap();
    let delete = TransactWriteItem::builder().delete(delete).build();
    transact(&Client::new(&aws.sdk_config()), vec![delete]).await
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
        "None",
    ];
    for code in later {
        aws = aws.on("TransactWriteItems", cancelled(&[(code, None)]));
    }
    let aws = aws.on("TransactWriteItems", done());
    assert_eq!(made(&aws).await.unwrap(), None);
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
async fn a_transaction_is_made_of_its_parts() {
    let aws = FakeAws::new().on("TransactWriteItems", done());
    assert_eq!(made(&aws).await.unwrap(), None);
    assert_eq!(
        parts(&aws),
        [json!({ "Delete": { "TableName": "table", "Key": { "id": "i1" } } })]
    );
}

#[tokio::test]
async fn a_condition_that_does_not_hold_is_an_answer_whatever_else_happened() {
    let reasons = [
        (HELD, Some(json!({ "id": "i1" }))),
        ("TransactionConflict", None),
        (HELD, None),
    ];
    let aws = FakeAws::new().on("TransactWriteItems", cancelled(&reasons));
    let failed = made(&aws).await.unwrap().unwrap();
    // By position, with the item where DynamoDB was asked for it.
    assert_eq!(
        failed,
        [
            Some(HashMap::from([("id".to_owned(), text("i1"))])),
            None,
            Some(HashMap::new()),
        ]
    );
    assert_eq!(aws.operations().len(), 1);
}

#[tokio::test]
async fn what_is_no_cancelled_transaction_is_the_store_s_error() {
    for (reply, code, retryable) in [
        (
            refusal(400, "ThrottlingException"),
            "StoreUnavailable",
            true,
        ),
        (Reply::NoConnection, "StoreUnavailable", true),
        (refusal(400, "AccessDeniedException"), "StoreDenied", false),
        (refusal(400, "ValidationException"), "StoreRejected", false),
    ] {
        let aws = FakeAws::new().on("TransactWriteItems", reply);
        let error = made(&aws).await.unwrap_err();
        assert_eq!((error.code(), error.retryable()), (code, retryable));
    }
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
