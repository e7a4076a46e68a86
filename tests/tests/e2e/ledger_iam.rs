//! What the ledger's functions do with each of their permissions: the flows
//! that [`crate::iam`] takes permissions away from.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use offchain_ledger::Event;
use offchain_store::ledger::{EventItem, EventStatus};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::bigchain::{Person, Tx, car};
use crate::faults::{LAST, accepted, delivery, refused};
use crate::harness::{SOON, World, attribute, unique, until};
use crate::iam::{Flow, answered, told};
use crate::ledger_world::{Answer, Ledger, Listening, OTHER, OWN, Receiver, Signed, event, shift};
use crate::runtime_api::Function;
use crate::twin::Twin;

/// More than the five seconds after which a message is delivered again, and less
/// than the minutes that it would be hidden else.
const PATIENCE: Duration = Duration::from_secs(45);

/// How a flow ended: `Err` holds the code, and what was said.
type Ended = Result<(), (String, String)>;

/// A car and its lease, on the stack's chain.
struct Leased {
    car: Tx,
    /// The height of the car.
    from: u64,
    lease: Tx,
    height: u64,
}

static LEASED: OnceCell<Leased> = OnceCell::const_new();

async fn leased(ledger: &Ledger<'_>) -> &'static Leased {
    LEASED
        .get_or_init(async || {
            let lessor = Person::new();
            let car = car(&lessor, 100);
            let from = ledger.node.commit(&car).await;
            let lease = car.hand_over(&lessor, &Person::new(), &Value::Null);
            let height = ledger.node.commit(&lease).await;
            Leased {
                car,
                from,
                lease,
                height,
            }
        })
        .await
}

pub(crate) async fn run(twin: &Twin, role: &str, flow: Flow) -> Ended {
    let (world, url) = (&twin.world, twin.url());
    let ledger = world.ledger().await;
    let leased = leased(&ledger).await;
    let function = async || Function::start(world, role, &url).await;
    match flow {
        Flow::Listen
        | Flow::HandOver
        | Flow::ReadSecrets
        | Flow::Keep
        | Flow::Postpone
        | Flow::Forget
        | Flow::GiveUpWebhook => listen(world, &ledger, leased, flow).await,
        Flow::TakeWebhook | Flow::TakeAgain => {
            // Else the deployed recorder would be first.
            let held = world.hold_messages_of("ledger-record").await;
            forget(world, leased).await;
            let again = matches!(flow, Flow::TakeAgain);
            if again {
                store(&ledger, leased).await;
            }
            let ended = deliver(&ledger, &function().await, leased, i64::from(again)).await;
            let id = leased.lease.id.as_str();
            let queued = world.messages_about("ledger-transactions", id).await;
            assert_eq!(queued.is_empty(), ended.is_err());
            let purge = world.sqs.purge_queue();
            let purge = purge.queue_url(&world.stack.ledger.queue_url);
            purge.send().await.unwrap();
            drop(held);
            ended
        }
        Flow::Receive => {
            forget(world, leased).await;
            let signed = Signed::now(&ledger.keys(OWN).await, &told_of(leased));
            let reply = ledger.deliver(&signed).await;
            assert_eq!(reply.status, 202, "{reply:?}");
            ledger.recorded(&leased.lease.id).await;
            Ok(())
        }
        Flow::Record => {
            forget(world, leased).await;
            store(&ledger, leased).await;
            record(world, &function().await, leased).await
        }
        Flow::DeliverAgainSoon => {
            let held = world.hold_messages_of("ledger-record").await;
            forget(world, leased).await;
            store(&ledger, leased).await;
            // No node listens there.
            let variables = [("LEDGER_NODE", "http://127.0.0.1:9")];
            let function = Function::start_with(world, role, &url, &variables).await;
            let ended = deliver_again_soon(world, &function, leased).await;
            drop(held);
            ended
        }
        Flow::RefuseMessage => refuse(world, &function().await).await,
        Flow::Redeliver => {
            let receiver = Receiver::start().await;
            let all = json!([{
                "name": OTHER, "url": receiver.url, "secret_arn": ledger.secret_arn(OTHER),
            }]);
            let all = all.to_string();
            let variables = [("LEDGER_SUBSCRIBERS", all.as_str())];
            let function = Function::start_with(world, role, &url, &variables).await;
            let letter = json!({"subscriber": OTHER, "event": told_of(leased)});
            told(function.invoke(&letter).await)
        }
        Flow::ShowAsset => {
            forget(world, leased).await;
            store(&ledger, leased).await;
            let recorder = Function::start(world, "ledger-record", &url).await;
            record(world, &recorder, leased).await.unwrap();
            let mut event = request("GET", "/v1/ledger/assets/{id}");
            event["pathParameters"] = json!({"id": leased.car.asset});
            answered(function().await.invoke(&event).await)
        }
        other => panic!("the ledger has no {other:?}"),
    }
}

fn told_of(leased: &Leased) -> Event {
    event(&leased.lease, leased.height)
}

/// The event that the HTTP API makes of a request.
fn request(method: &str, path: &str) -> Value {
    json!({
        "version": "2.0",
        "routeKey": format!("{method} {path}"),
        "rawPath": path,
        "headers": {"content-type": "application/json"},
        "requestContext": {"http": {"method": method, "path": path, "sourceIp": "10.7.7.7"}},
        "isBase64Encoded": false,
    })
}

/// Makes the tables know nothing of the lease.
async fn forget(world: &World, leased: &Leased) {
    let stack = &world.stack.ledger;
    let driver = leased.lease.json["outputs"][0]["public_keys"][0].as_str();
    for (table, name, key) in [
        (
            &stack.events_table,
            "transaction_id",
            leased.lease.id.as_str(),
        ),
        (&stack.assets_table, "asset_id", leased.car.asset.as_str()),
        (&stack.drivers_table, "public_key", driver.unwrap()),
    ] {
        let key = aws_sdk_dynamodb::types::AttributeValue::S(key.to_owned());
        let delete = world
            .dynamodb
            .delete_item()
            .table_name(table)
            .key(name, key);
        delete.send().await.unwrap();
    }
}

/// Stores the event as ledger-webhook does, and tells nobody.
async fn store(ledger: &Ledger<'_>, leased: &Leased) {
    let now = Timestamp::now();
    let item = EventItem::new(told_of(leased), now.as_second(), now);
    ledger.events.store(&item).await.unwrap();
}

/// Has ledger-webhook take the event, as of so many seconds from now.
async fn deliver(ledger: &Ledger<'_>, function: &Function, leased: &Leased, seconds: i64) -> Ended {
    let keys = ledger.keys(OWN).await;
    let time = Timestamp::now().as_second() + seconds;
    let signed = Signed::at(&keys, &told_of(leased), time);
    let mut event = request("POST", "/v1/ledger/events");
    for (name, value) in signed.headers() {
        event["headers"][name] = value.into();
    }
    event["body"] = signed.body.as_str().into();
    answered(function.invoke(&event).await)
}

/// Has ledger-record run; what it cannot do the last time goes away with its
/// reason.
async fn record(world: &World, function: &Function, leased: &Leased) -> Ended {
    let body = json!({"transaction_id": leased.lease.id}).to_string();
    let reply = function.invoke(&delivery(&body, LAST)).await.unwrap();
    assert_eq!(reply, accepted());
    let letters = letters(world, &body).await;
    let ledger = world.ledger().await;
    match letters.as_slice() {
        [] => {
            ledger
                .reached(&leased.lease.id, EventStatus::Recorded)
                .await;
            let view = ledger
                .assets
                .asset(&leased.car.asset)
                .await
                .unwrap()
                .unwrap();
            assert!(view.premium.is_some(), "{view:?}");
            Ok(())
        }
        [letter] => {
            let said = |name| attribute(letter, name).unwrap();
            Err((said("ErrorCode"), said("ErrorMessage")))
        }
        letters => panic!("{} dead letters for one message", letters.len()),
    }
}

/// Has ledger-record fail with a message, and waits until that is delivered again.
async fn deliver_again_soon(world: &World, function: &Function, leased: &Leased) -> Ended {
    let queue = &world.stack.ledger.queue_url;
    let body = json!({"transaction_id": leased.lease.id}).to_string();
    let send = world.sqs.send_message().queue_url(queue);
    send.message_body(&body).send().await.unwrap();
    let receive = async || {
        let receive = world.sqs.receive_message().queue_url(queue);
        // One that waited would go on after it was given up here.
        let receive = receive.wait_time_seconds(0).visibility_timeout(600);
        let received = receive.send().await.unwrap();
        let message = received.messages.unwrap_or_default().pop()?;
        assert_eq!(message.body(), Some(body.as_str()));
        message.receipt_handle
    };
    let receipt = until("a message", SOON, receive).await;
    let mut event = delivery(&body, 1);
    event["Records"][0]["receiptHandle"] = receipt.as_str().into();
    assert_eq!(function.invoke(&event).await.unwrap(), refused(&event));
    let again = until("the message once more", SOON, receive);
    let again = tokio::time::timeout(PATIENCE, again).await;
    let receipt = again.as_ref().unwrap_or(&receipt);
    let delete = world.sqs.delete_message().queue_url(queue);
    delete.receipt_handle(receipt).send().await.unwrap();
    match again {
        Ok(_) => Ok(()),
        Err(_) => Err(("NotSoon".to_owned(), String::new())),
    }
}

async fn letters(world: &World, body: &str) -> Vec<aws_sdk_sqs::types::Message> {
    let queue = "ledger-transactions-dlq";
    world
        .dead_letters(queue, |letter| letter.body() == Some(body))
        .await
}

async fn refuse(world: &World, function: &Function) -> Ended {
    let body = format!("no message: {}", unique());
    let event = delivery(&body, 1);
    let reply = function.invoke(&event).await.unwrap();
    let letters = letters(world, &body).await;
    if reply == accepted() {
        assert_eq!(letters.len(), 1);
        return Ok(());
    }
    assert_eq!(reply, refused(&event));
    assert!(letters.is_empty());
    Err(("NotAcknowledged".to_owned(), String::new()))
}

/// Has ledger-listen tell a receiver of the lease, and ends it then.
async fn listen(world: &World, ledger: &Ledger<'_>, leased: &Leased, flow: Flow) -> Ended {
    let receiver = Receiver::start().await;
    let mut listening = Listening::new(world, &world.stack.ledger.node);
    let filter = json!({"assets": [leased.car.asset]});
    let name = listening.tell(ledger, &receiver, &filter);
    let (from, schedule, refusals) = match flow {
        Flow::Listen | Flow::HandOver | Flow::ReadSecrets => (leased.height, json!([86400]), 0),
        Flow::Keep => (leased.height, json!([86400]), usize::MAX),
        Flow::Postpone => (leased.height, json!([1, 1, 1, 86400]), usize::MAX),
        // The lease waits behind the car.
        Flow::Forget => (leased.from, json!([1, 86400]), 1),
        _ => (leased.height, json!([]), usize::MAX),
    };
    listening.set(&json!({"from_height": from, "retry_schedule": schedule, "lease_seconds": 2}));
    let so_far = AtomicUsize::new(0);
    receiver.answer(move |_| {
        let refused = so_far.fetch_add(1, Ordering::SeqCst) < refusals;
        Answer::Status(if refused { 500 } else { 204 })
    });
    let feed = listening.feed(world);
    let failed = |code: &str| Some(Err((code.to_owned(), String::new())));
    let function = listening.function(world).await;
    let event = shift();
    let run = function.invoke(&event);
    let seen = until("what was to happen, or its contrary", SOON, async || {
        let tried = receiver.webhooks().len();
        let taken = receiver.taken();
        let told = taken
            .iter()
            .any(|event| event.transaction_id == leased.lease.id);
        let kept = feed.deliveries.waiting(&name).await.unwrap();
        let reason = kept.first().and_then(|first| first.reason.as_deref());
        match flow {
            Flow::Listen | Flow::ReadSecrets if told => Some(Ok(())),
            Flow::HandOver if told => {
                // Whoever loses the lease looks at who has it.
                let holder = Timestamp::now().as_millisecond().unsigned_abs() + 1000;
                let _ = feed.take_over(holder, Duration::from_secs(2)).await;
                None
            }
            Flow::ReadSecrets => failed(reason?),
            Flow::Keep => kept.first().map(|_| Ok(())),
            // Before the fourth try, the third was noted.
            Flow::Postpone if tried >= 4 => match kept[0].attempts {
                0..3 => failed("NotNoted"),
                _ => Some(Ok(())),
            },
            // Before the lease was tried, the car was forgotten.
            Flow::Forget if told => {
                let mut kept = kept.iter().map(|kept| &kept.event.transaction_id);
                match kept.any(|id| *id == leased.car.id) {
                    true => failed("NotForgotten"),
                    false => Some(Ok(())),
                }
            }
            Flow::GiveUpWebhook if tried >= 1 => {
                let buried = world.dead_letters("ledger-deliveries-dlq", |letter| {
                    letter.body().unwrap_or_default().contains(&name)
                });
                if !buried.await.is_empty() {
                    return Some(Ok(()));
                }
                reason.and_then(|_| failed("NotBuried"))
            }
            _ => None,
        }
    });
    tokio::select! {
        ran = run => told(ran),
        seen = seen => seen,
    }
}
