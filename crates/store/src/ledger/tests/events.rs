use super::*;
use crate::ledger::{EventStatus, Stored};
use crate::test_util::{condition_failed, done, item, items, page};

#[tokio::test]
async fn an_event_is_stored_unless_it_is_there() {
    let aws = FakeAws::new().on("PutItem", done());
    assert_eq!(events(&aws).store(&received()).await.unwrap(), Stored::New);
    assert_eq!(aws.operations(), ["PutItem"]);
    assert_eq!(
        aws.sent_once("PutItem"),
        json!({
            "TableName": "events",
            "ConditionExpression": "attribute_not_exists(transaction_id)",
            "Item": {
                "transaction_id": id('b'),
                "asset_id": id('a'),
                "height": 7,
                "position": position(),
                "status": "received",
                "webhook_timestamp": 1_795_262_400,
                "received_time": "2026-11-21T12:00:00.250Z",
                "from": [],
                "to": [],
            },
        })
    );
}

#[tokio::test]
async fn the_same_event_again_is_known_and_its_newest_timestamp_kept() {
    for (status, open) in [("received", true), ("recorded", false), ("rejected", false)] {
        let aws = FakeAws::new()
            .on("PutItem", condition_failed())
            .on("GetItem", item(&stored(&json!({ "status": status }))))
            .on("UpdateItem", done());
        let mut again = received();
        again.webhook_timestamp += 5;
        let known = events(&aws).store(&again).await.unwrap();
        assert_eq!(known, Stored::Known { open }, "{status}");
        assert_eq!(
            aws.sent_once("GetItem"),
            json!({
                "TableName": "events",
                "Key": { "transaction_id": id('b') },
                "ConsistentRead": true,
            })
        );
        assert_eq!(
            aws.sent_once("UpdateItem"),
            json!({
                "TableName": "events",
                "Key": { "transaction_id": id('b') },
                "ConditionExpression": "webhook_timestamp < :time",
                "UpdateExpression": "SET webhook_timestamp = :time",
                "ExpressionAttributeValues": { ":time": 1_795_262_405 },
            })
        );
    }
}

#[tokio::test]
async fn a_webhook_that_is_not_newer_than_the_newest_is_replayed() {
    let aws = FakeAws::new()
        .on("PutItem", condition_failed())
        .on("GetItem", item(&stored(&json!({}))))
        .on("UpdateItem", condition_failed());
    let outcome = events(&aws).store(&received()).await.unwrap();
    assert_eq!(outcome, Stored::Replayed);
}

#[tokio::test]
async fn another_event_of_the_same_transaction_is_a_conflict_and_changes_nothing() {
    for other in [
        json!({ "asset_id": id('c') }),
        json!({ "height": 8 }),
        json!({ "height": null, "block_id": "B1" }),
    ] {
        let aws = FakeAws::new()
            .on("PutItem", condition_failed())
            .on("GetItem", item(&stored(&other)));
        let outcome = events(&aws).store(&received()).await.unwrap();
        assert_eq!(outcome, Stored::Conflict, "{other}");
        assert_eq!(aws.operations(), ["PutItem", "GetItem"]);
    }
    // It was there a moment ago.
    let aws = FakeAws::new()
        .on("PutItem", condition_failed())
        .on("GetItem", done());
    let outcome = events(&aws).store(&received()).await.unwrap();
    assert_eq!(outcome, Stored::Conflict);
}

#[test]
fn positions_sort_as_the_chain_does_and_what_has_no_height_comes_first() {
    let at = |place| EventItem::new(Event::new(id('b'), id('a'), place), 0, noon()).position;
    let positions = [
        at(Place::Block("B1".into())),
        at(Place::Height(1)),
        at(Place::Height(9)),
        at(Place::Height(10)),
        at(Place::Height(u64::MAX)),
    ];
    assert!(positions.is_sorted());
    assert_eq!(positions[1], format!("00000000000000000001.{}", id('b')));
    assert!(positions.iter().all(|position| position.len() == 85));
}

#[tokio::test]
async fn an_event_is_read_as_it_was_written() {
    for event in [
        event(),
        Event::new(id('b'), id('a'), Place::Block("B1".into())),
    ] {
        let mut recorded = EventItem::new(event, 1_795_262_400, noon());
        recorded.status = EventStatus::Recorded;
        recorded.recorded_time = Some(noon().into());
        recorded.operation = Some("TRANSFER".into());
        recorded.from = vec![key(1)];
        recorded.to = vec![key(2), key(3)];
        let aws = FakeAws::new().on("GetItem", item(&serde_json::to_value(&recorded).unwrap()));
        let found = events(&aws).load(&id('b')).await.unwrap();
        assert_eq!(found, Some(recorded));
    }
}

#[tokio::test]
async fn an_event_that_is_not_there_is_none_and_one_of_another_shape_an_error() {
    let aws = FakeAws::new().on("GetItem", done());
    assert_eq!(events(&aws).load(&id('b')).await.unwrap(), None);
    for torn in [
        json!({ "status": "undecided" }),
        json!({ "transaction_id": "b" }),
        json!({ "height": null }),
        json!({ "webhook_timestamp": "now" }),
    ] {
        let aws = FakeAws::new().on("GetItem", item(&stored(&torn)));
        let outcome = events(&aws).load(&id('b')).await;
        assert_eq!(failed(outcome), ("StoreRejected", false), "{torn}");
    }
}

#[tokio::test]
async fn only_an_event_that_does_not_count_yet_is_rejected() {
    for (reply, rejected) in [(done(), true), (condition_failed(), false)] {
        let aws = FakeAws::new().on("UpdateItem", reply);
        let outcome = events(&aws).reject(&id('b'), "DoubleSpend").await;
        assert_eq!(outcome.unwrap(), rejected);
        assert_eq!(
            aws.sent_once("UpdateItem"),
            json!({
                "TableName": "events",
                "Key": { "transaction_id": id('b') },
                "ConditionExpression": "#status <> :recorded",
                "UpdateExpression": "SET #status = :rejected, reason = :code",
                "ExpressionAttributeNames": { "#status": "status" },
                "ExpressionAttributeValues": {
                    ":recorded": "recorded",
                    ":rejected": "rejected",
                    ":code": "DoubleSpend",
                },
            })
        );
    }
}

#[tokio::test]
async fn an_asset_s_events_come_from_its_index_the_newest_first() {
    let aws = FakeAws::new().on("Query", items(&[stored(&json!({}))]));
    let found = events(&aws).of_asset(&id('a'), None, 20).await.unwrap();
    assert_eq!(found, (vec![received()], false));
    assert_eq!(
        aws.sent_once("Query"),
        json!({
            "TableName": "events",
            "IndexName": "by-asset",
            "KeyConditionExpression": "asset_id = :asset",
            "ExpressionAttributeValues": { ":asset": id('a') },
            "ScanIndexForward": false,
            "Limit": 20,
        })
    );
}

#[tokio::test]
async fn a_page_of_events_begins_behind_a_position_and_tells_of_more() {
    let last = json!({ "transaction_id": id('b'), "position": position() });
    let aws = FakeAws::new()
        .on("Query", page(&[stored(&json!({}))], &last))
        .on("Query", items(&[]));
    let found = events(&aws).of_asset(&id('a'), None, 1).await.unwrap();
    assert_eq!(found, (vec![received()], true));
    let after = position();
    let found = events(&aws).of_asset(&id('a'), Some(&after), 1).await;
    assert_eq!(found.unwrap(), (vec![], false));
    // No page is read that was not asked for.
    let [_, second] = aws.sent("Query").try_into().unwrap();
    assert_eq!(
        second,
        json!({
            "TableName": "events",
            "IndexName": "by-asset",
            "KeyConditionExpression": "asset_id = :asset AND #position < :after",
            "ExpressionAttributeNames": { "#position": "position" },
            "ExpressionAttributeValues": { ":asset": id('a'), ":after": after },
            "ScanIndexForward": false,
            "Limit": 1,
        })
    );
}

#[tokio::test]
async fn a_table_is_read_from_its_start_until_there_is_enough() {
    let key = json!({ "transaction_id": id('b') });
    for (limit, found, pages) in [(1, (1, true), 1), (2, (2, false), 2), (9, (2, false), 2)] {
        let aws = FakeAws::new()
            .on("Scan", page(&[stored(&json!({}))], &key))
            .on("Scan", items(&[stored(&json!({}))]));
        let (events, more) = events(&aws).scan(limit).await.unwrap();
        assert_eq!((events.len(), more), found, "{limit}");
        assert_eq!(events[0], received());
        let asked = [
            json!({ "TableName": "events" }),
            json!({ "TableName": "events", "ExclusiveStartKey": key }),
        ];
        assert_eq!(aws.sent("Scan"), asked[..pages]);
    }
}

#[tokio::test]
async fn events_that_cannot_be_used_are_told_as_such() {
    for (reply, outcome) in troubles() {
        let aws = FakeAws::new()
            .always("PutItem", reply.clone())
            .always("GetItem", reply.clone())
            .always("UpdateItem", reply.clone())
            .always("Query", reply.clone())
            .always("Scan", reply.clone());
        let table = events(&aws);
        assert_eq!(failed(table.scan(1).await), outcome);
        assert_eq!(failed(table.store(&received()).await), outcome);
        assert_eq!(failed(table.load(&id('b')).await), outcome);
        assert_eq!(failed(table.reject(&id('b'), "Odd").await), outcome);
        assert_eq!(failed(table.of_asset(&id('a'), None, 1).await), outcome);
        // Whatever it is that fails of a store.
        for aws in [
            FakeAws::new()
                .on("PutItem", condition_failed())
                .on("GetItem", reply.clone()),
            FakeAws::new()
                .on("PutItem", condition_failed())
                .on("GetItem", item(&stored(&json!({}))))
                .on("UpdateItem", reply.clone()),
        ] {
            assert_eq!(failed(events(&aws).store(&received()).await), outcome);
        }
    }
}
