use super::*;
use crate::ledger::{Deliveries, Delivery};
use crate::test_util::{condition_failed, done, items, page};

fn deliveries(aws: &FakeAws) -> Deliveries {
    Deliveries::new(client(aws), "deliveries".into())
}

/// A delivery that failed twice.
pub(super) fn failing() -> Delivery {
    Delivery {
        subscriber: "ledger".into(),
        position: Delivery::position(7, 3, &id('b')),
        event: event(),
        attempts: 2,
        next_attempt: noon().into(),
        reason: Some("RemoteStatus".into()),
    }
}

/// One that waits behind it.
pub(super) fn behind() -> Delivery {
    Delivery {
        position: Delivery::position(7, 4, &id('c')),
        event: Event::new(id('c'), id('a'), Place::Height(7)),
        attempts: 0,
        reason: None,
        ..failing()
    }
}

#[test]
fn positions_of_deliveries_sort_as_their_events_do() {
    let positions = [
        Delivery::position(0, 0, &id('f')),
        Delivery::position(1, 9, &id('e')),
        Delivery::position(1, 10, &id('d')),
        // A time of arrival, in milliseconds.
        Delivery::position(1, 1_795_262_400_250, &id('c')),
        Delivery::position(2, 0, &id('b')),
        Delivery::position(u64::MAX, 0, &id('a')),
    ];
    assert!(positions.is_sorted());
    assert_eq!(
        failing().position,
        format!("00000000000000000007.000000000000003.{}", id('b'))
    );
}

#[tokio::test]
async fn every_page_of_what_waits_is_read_in_its_order() {
    let [first, second] = [failing(), behind()].map(|one| serde_json::to_value(one).unwrap());
    assert_eq!(second.get("reason"), None);
    let key = json!({ "subscriber": "ledger", "position": failing().position });
    let aws = FakeAws::new()
        .on("Query", page(&[first], &key))
        .on("Query", items(&[second]));
    let found = deliveries(&aws).waiting("ledger").await.unwrap();
    assert_eq!(found, [failing(), behind()]);
    // Ascending is what DynamoDB does unless it is told otherwise.
    let query = json!({
        "TableName": "deliveries",
        "KeyConditionExpression": "subscriber = :subscriber",
        "ExpressionAttributeValues": { ":subscriber": "ledger" },
        "ConsistentRead": true,
    });
    let mut further = query.clone();
    further["ExclusiveStartKey"] = key;
    assert_eq!(aws.sent("Query"), [query, further]);
}

#[tokio::test]
async fn nothing_waits_in_an_empty_table_and_a_torn_delivery_is_no_guess() {
    let aws = FakeAws::new().on("Query", done());
    assert_eq!(deliveries(&aws).waiting("ledger").await.unwrap(), []);
    let mut torn = serde_json::to_value(failing()).unwrap();
    torn["event"] = json!({});
    let aws = FakeAws::new().on("Query", items(&[torn]));
    let outcome = deliveries(&aws).waiting("ledger").await;
    assert_eq!(failed(outcome), ("StoreRejected", false));
}

#[tokio::test]
async fn a_delivery_is_kept_as_it_is_read() {
    let aws = FakeAws::new().on("PutItem", done());
    deliveries(&aws).keep(&failing()).await.unwrap();
    let put = json!({
        "TableName": "deliveries",
        "Item": serde_json::to_value(failing()).unwrap(),
    });
    assert_eq!(aws.sent_once("PutItem"), put);
}

#[tokio::test]
async fn what_waits_for_who_is_gone_is_counted() {
    let of = |subscriber: &str| json!({ "subscriber": subscriber });
    let key = json!({ "subscriber": "ledger", "position": "1" });
    let first = [of("gone"), of("ledger"), of("fleet")];
    let aws = FakeAws::new()
        .on("Scan", page(&first, &key))
        .on("Scan", items(&[of("gone"), of("away")]));
    let deliveries = deliveries(&aws);
    let others = deliveries.waiting_for_others(&["fleet", "ledger"]);
    let expected = [("away".to_owned(), 1), ("gone".to_owned(), 2)];
    assert_eq!(others.await.unwrap(), expected.into());
    assert_eq!(aws.sent("Scan")[0]["ProjectionExpression"], "subscriber");
}

#[tokio::test]
async fn a_delivery_is_postponed_where_it_still_waits() {
    for reply in [done(), condition_failed()] {
        let aws = FakeAws::new().on("UpdateItem", reply);
        deliveries(&aws).postpone(&failing()).await.unwrap();
        assert_eq!(
            aws.sent_once("UpdateItem"),
            json!({
                "TableName": "deliveries",
                "Key": { "subscriber": "ledger", "position": failing().position },
                // One that was delivered meanwhile does not come back.
                "ConditionExpression": "attribute_exists(subscriber)",
                "UpdateExpression":
                    "SET attempts = :attempts, next_attempt = :next, reason = :reason",
                "ExpressionAttributeValues": {
                    ":attempts": 2,
                    ":next": "2026-11-21T12:00:00.250Z",
                    ":reason": "RemoteStatus",
                },
            })
        );
    }
}

#[tokio::test]
async fn a_delivery_that_is_over_is_taken_out() {
    let aws = FakeAws::new().on("DeleteItem", done());
    let position = failing().position;
    deliveries(&aws).remove("ledger", &position).await.unwrap();
    assert_eq!(
        aws.sent_once("DeleteItem"),
        json!({
            "TableName": "deliveries",
            "Key": { "subscriber": "ledger", "position": position },
        })
    );
}

#[tokio::test]
async fn deliveries_that_cannot_be_used_are_told_as_such() {
    for (reply, outcome) in troubles() {
        let aws = FakeAws::new()
            .always("Query", reply.clone())
            .always("UpdateItem", reply.clone())
            .always("DeleteItem", reply);
        let table = deliveries(&aws);
        assert_eq!(failed(table.waiting("ledger").await), outcome);
        assert_eq!(failed(table.postpone(&failing()).await), outcome);
        assert_eq!(failed(table.remove("ledger", "1").await), outcome);
    }
}
