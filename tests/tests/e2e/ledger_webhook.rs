//! The door that webhooks come in by: what is signed by the sender, just now,
//! and is an event, is stored once; all else leaves nothing behind.

use std::process::Command;

use base64::prelude::{BASE64_STANDARD, Engine};
use ed25519_dalek::Signer;
use futures_util::future::join_all;
use jiff::Timestamp;
use offchain_ledger::{Event, Id, Keys, Place, SigningKey};
use offchain_store::ledger::EventStatus;
use reqwest::Method;
use serde_json::{Value, json};

use crate::bigchain::{Person, car};
use crate::garbage::is_problem;
use crate::harness::{Reply, SOON, World, offchain, until};
use crate::ledger_world::{Ledger, OWN, Signed, new_keys, shift};
use crate::redrive::Desk;

/// A transaction that nobody made.
fn random_id() -> Id {
    hex::encode(rand::random::<[u8; 32]>()).parse().unwrap()
}

fn random_event() -> Event {
    Event::new(random_id(), random_id(), Place::Height(7))
}

fn now() -> i64 {
    Timestamp::now().as_second()
}

fn took(reply: &Reply, status: u16, said: &str) {
    assert_eq!(
        (reply.status, &reply.body),
        (status, &json!({ "status": said })),
        "{reply:?}"
    );
}

/// What is refused leaves no trace.
async fn refused(
    ledger: &Ledger<'_>,
    headers: &[(&str, &str)],
    body: impl Into<reqwest::Body>,
    (status, code): (u16, &str),
    case: &str,
) {
    let reply = ledger.deliver_with(headers, body).await;
    is_problem(&reply, status, code, case);
    // Who may not know the key learns nothing of it.
    assert!(!reply.text.contains("whsec_"), "{case}: {reply:?}");
}

#[tokio::test]
async fn a_webhook_that_is_not_the_sender_s_writes_nothing() {
    let desk = Desk::quiet("ledger-webhook").await;
    let world = desk.world();
    let ledger = world.ledger().await;
    // One of them is enough, while another takes its place.
    let keys = ledger.keys(OWN).await.as_slice()[..1].to_vec();
    let keys = Keys::new(keys).unwrap();
    let before = ledger.tables().await;
    let event = random_event();
    let good = Signed::now(&keys, &event);
    let headers = good.headers();

    // Not signed at all, or in part.
    let missing = (401, "SignatureMissing");
    refused(&ledger, &[], good.body.clone(), missing, "unsigned").await;
    for left_out in 0..3 {
        let mut some = headers.to_vec();
        let (name, _) = some.remove(left_out);
        refused(&ledger, &some, good.body.clone(), missing, name).await;
    }
    refused(&ledger, &[], "", missing, "nothing").await;

    // By somebody else, or of something else.
    let invalid = (401, "SignatureInvalid");
    let forged = Signed::now(&new_keys(), &event);
    let other_body = good.body.replacen(":7,", ":8,", 1);
    assert_ne!(other_body, good.body);
    let truncated = good.body[..good.body.len() - 1].to_owned();
    let later = (now() + 1).to_string();
    let signature = good.signature.as_str();
    let base64 = signature.strip_prefix("v1,").unwrap();
    let changed = |name: &str, value: &str| {
        let mut changed = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
        for pair in &mut changed {
            if pair.0 == name {
                value.clone_into(&mut pair.1);
            }
        }
        changed
    };
    let mut cases = vec![
        (
            "forged",
            changed("webhook-signature", &forged.signature),
            good.body.clone(),
        ),
        ("another body", changed("", ""), other_body),
        ("truncated", changed("", ""), truncated),
        ("longer", changed("", ""), format!("{} ", good.body)),
        (
            "another id",
            changed("webhook-id", "evt_0"),
            good.body.clone(),
        ),
        (
            "another time",
            changed("webhook-timestamp", &later),
            good.body.clone(),
        ),
    ];
    let long = "v1,AAAA ".repeat(400);
    for signature in [
        "v1,",
        "v1",
        "v1,?",
        base64,
        &format!("v2,{base64}"),
        &format!("v1a,{base64}"),
        &format!("v1,{}", &base64[..base64.len() - 4]),
        &format!("v1,{}", base64.to_lowercase()),
        &long,
    ] {
        let headers = changed("webhook-signature", signature);
        cases.push(("a signature that is none", headers, good.body.clone()));
    }
    for (case, headers, body) in &cases {
        let headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let case = format!("{case}: {headers:?}");
        refused(&ledger, &headers, body.clone(), invalid, &case).await;
    }

    // At another time.
    let stale = (401, "TimestampStale");
    for seconds in [-100_000, -302, 303, 100_000, 10_000_000_000] {
        let signed = Signed::at(&keys, &event, now() + seconds);
        let case = format!("{seconds} s from now");
        refused(
            &ledger,
            &signed.headers(),
            signed.body.clone(),
            stale,
            &case,
        )
        .await;
    }
    for time in [
        "soon",
        "1e9",
        "2026-11-21T00:00:00Z",
        "99999999999999999999999",
        "1.5",
        "0x10",
    ] {
        let mut headers = headers;
        headers[1].1 = time;
        let invalid = (401, "TimestampInvalid");
        refused(&ledger, &headers, good.body.clone(), invalid, time).await;
    }

    // Too large, which nobody reads to the end.
    let large = (413, "BodyTooLarge");
    let padded = format!("{}{}", good.body, " ".repeat(64 * 1024));
    let signed = Signed::of(&keys, &good.id, now(), &padded);
    refused(
        &ledger,
        &signed.headers(),
        padded,
        large,
        "signed and large",
    )
    .await;
    refused(&ledger, &[], vec![b'x'; 1_000_000], large, "a megabyte").await;

    // Signed by the sender, and no event.
    let id = event.transaction_id.to_string();
    let with = |change: &dyn Fn(&mut Value)| {
        let mut body: Value = serde_json::from_str(&good.body).unwrap();
        change(&mut body);
        body.to_string()
    };
    for body in [
        String::new(),
        "null".to_owned(),
        "[]".to_owned(),
        "{}".to_owned(),
        "é".to_owned(),
        good.body[..good.body.len() - 1].to_owned(),
        format!("[{}]", good.body),
        with(&|body| body["type"] = json!("ledger.block")),
        with(&|body| body["type"] = json!(null)),
        with(&|body| body["timestamp"] = json!("yesterday")),
        with(&|body| body["data"] = json!([id, id, 7])),
        with(&|body| body["data"]["height"] = json!(-1)),
        with(&|body| body["data"]["height"] = json!("7")),
        with(&|body| body["data"]["height"] = json!(null)),
        with(&|body| body["data"]["block_id"] = json!("b")),
        with(&|body| body["data"]["asset_id"] = json!(id.to_uppercase())),
        with(&|body| body["data"]["asset_id"] = json!("")),
        with(&|body| body["data"]["transaction_id"] = json!(7)),
        good.body.replacen("\"data\":", "\"data\":{},\"data\":", 1),
    ] {
        let signed = Signed::of(&keys, &good.id, now(), &body);
        refused(
            &ledger,
            &signed.headers(),
            body.clone(),
            (400, "EventInvalid"),
            &body,
        )
        .await;
    }
    let bytes = [b"\xff", good.body.as_bytes()].concat();
    refused(&ledger, &headers, bytes, invalid, "not UTF-8").await;
    for id in ["evt_", &id, &format!("evt_{}", random_id()), "msg_1"] {
        let signed = Signed::of(&keys, id, now(), &good.body);
        let wrong = (400, "EventInvalid");
        refused(&ledger, &signed.headers(), good.body.clone(), wrong, id).await;
    }
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        let path = "/v1/ledger/events";
        let reply = world.api.send(method, path, &headers, "").await;
        assert_eq!(reply.status, 404, "{reply:?}");
    }
    assert_eq!(ledger.tables().await, before);
    assert_eq!(world.depth("ledger-transactions").await, 0);

    // After all that, the good one.
    took(&ledger.deliver(&good).await, 202, "stored");
    is_stored_once(world, &ledger, &keys, &event, &good).await;
    no_key_is_anywhere_else(desk, &keys, &good).await;
}

/// An event that is stored is not stored otherwise.
async fn is_stored_once(
    world: &World,
    ledger: &Ledger<'_>,
    keys: &Keys,
    event: &Event,
    good: &Signed,
) {
    let replayed = (401, "WebhookReplayed");
    refused(
        ledger,
        &good.headers(),
        good.body.clone(),
        replayed,
        "the same bytes",
    )
    .await;
    let later = Signed::at(keys, event, now() + 2);
    took(&ledger.deliver(&later).await, 200, "duplicate");
    refused(
        ledger,
        &later.headers(),
        later.body.clone(),
        replayed,
        "the later one",
    )
    .await;
    let between = Signed::at(keys, event, now() - 1);
    refused(
        ledger,
        &between.headers(),
        between.body.clone(),
        replayed,
        "an older one",
    )
    .await;

    // Another content under the same name.
    let id = &event.transaction_id;
    for other in [
        Event::new(id.clone(), random_id(), Place::Height(7)),
        Event::new(id.clone(), event.asset_id.clone(), Place::Height(8)),
        Event::new(
            id.clone(),
            event.asset_id.clone(),
            Place::Block("b".to_owned()),
        ),
    ] {
        let signed = Signed::at(keys, &other, now() + 10);
        let conflict = (409, "EventConflict");
        refused(
            ledger,
            &signed.headers(),
            signed.body.clone(),
            conflict,
            "another event",
        )
        .await;
    }
    let stored = ledger.events.load(id).await.unwrap().unwrap();
    assert_eq!(stored.event, *event);
    assert_eq!(stored.webhook_timestamp.to_string(), later.timestamp);
    assert_eq!(stored.status, EventStatus::Received);

    // Many at the same moment.
    let many = random_event();
    let signed = Signed::now(keys, &many);
    let replies = join_all((0..10).map(|_| ledger.deliver(&signed))).await;
    let stored = replies.iter().filter(|reply| reply.status == 202).count();
    assert_eq!(stored, 1, "{replies:?}");
    assert!(
        replies
            .iter()
            .all(|reply| [202, 401].contains(&reply.status)),
        "{replies:?}"
    );

    // What another generation's node says, and members that are to come.
    let block = Event::new(random_id(), random_id(), Place::Block("b1".to_owned()));
    took(
        &ledger.deliver(&Signed::now(keys, &block)).await,
        202,
        "stored",
    );
    let more = random_event();
    let mut body: Value = serde_json::from_str(&Signed::now(keys, &more).body).unwrap();
    body["data"]["note"] = json!({"of": ["what", "is", "to come"]});
    body["more"] = json!(null);
    let signed = Signed::of(keys, &more.webhook_id(), now(), &body.to_string());
    took(&ledger.deliver(&signed).await, 202, "stored");
    let stored = ledger.events.load(&more.transaction_id).await.unwrap();
    assert_eq!(stored.unwrap().event, more);

    // Within five minutes, either way.
    for seconds in [-295, 295] {
        let signed = Signed::at(keys, &random_event(), now() + seconds);
        took(&ledger.deliver(&signed).await, 202, "stored");
    }
    signed_elsewhere(world, ledger, keys).await;
}

/// What other implementations of Standard Webhooks have signed.
async fn signed_elsewhere(world: &World, ledger: &Ledger<'_>, keys: &Keys) {
    let secret = keys.as_slice()[0].to_text();
    let event = random_event();
    let mut signed = Signed::now(keys, &event);
    let script = "
import base64, hashlib, hmac, sys
secret, id, timestamp, body = sys.argv[1:]
key = base64.b64decode(secret.removeprefix('whsec_'))
mac = hmac.new(key, f'{id}.{timestamp}.{body}'.encode(), hashlib.sha256)
print('v1,' + base64.b64encode(mac.digest()).decode())";
    let ran = Command::new("python3")
        .args([
            "-c",
            script,
            &secret,
            &signed.id,
            &signed.timestamp,
            &signed.body,
        ])
        .output()
        .unwrap();
    let theirs = String::from_utf8(ran.stdout).unwrap().trim().to_owned();
    assert_eq!(theirs, signed.signature);
    // One of several signatures, of versions that nobody knows.
    signed.signature = format!("v1a,AAAA v9,x {theirs}");
    took(&ledger.deliver(&signed).await, 202, "stored");

    // Ed25519, once the secret is one; and whoever signed before no longer does.
    let seed: [u8; 32] = rand::random();
    let arn = ledger.secret_arn(OWN);
    let ed25519 = Keys::new(vec![SigningKey::secret(&seed)]).unwrap();
    let _undo = world.set_secret(arn, &ed25519.to_json()).await;
    let key = ed25519_dalek::SigningKey::from_bytes(&seed);
    // A signature that fits no key has the secret read again, and that not at
    // any stranger's bidding each time.
    until("the new key to count", SOON, async || {
        let mut signed = Signed::now(keys, &random_event());
        let content = format!("{}.{}.{}", signed.id, signed.timestamp, signed.body);
        let signature = key.sign(content.as_bytes()).to_bytes();
        signed.signature = format!("v1a,{}", BASE64_STANDARD.encode(signature));
        let reply = ledger.deliver(&signed).await;
        assert!(reply.status == 202 || reply.status == 401, "{reply:?}");
        (reply.status == 202).then_some(())
    })
    .await;
    let invalid = (401, "SignatureInvalid");
    let old = Signed::now(keys, &random_event());
    refused(
        ledger,
        &old.headers(),
        old.body.clone(),
        invalid,
        "the old key",
    )
    .await;

    // A secret that is spoilt is the suite's own fault, and nobody is told more.
    world.put_secret(arn, r#"{"secrets":["hush"]}"#).await;
    until("the spoilt secret to be read", SOON, async || {
        let reply = ledger.deliver(&old).await;
        assert!(!reply.text.contains("hush"), "{reply:?}");
        if reply.status == 401 {
            return None;
        }
        is_problem(&reply, 500, "SecretInvalid", "a spoilt secret");
        Some(())
    })
    .await;
}

/// The files below a folder that hold a text.
fn holding(folder: &std::path::Path, text: &str, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            holding(&path, text, found);
        } else if String::from_utf8_lossy(&std::fs::read(&path).unwrap()).contains(text) {
            found.push(path.file_name().unwrap().to_string_lossy().into_owned());
        }
    }
}

/// Of all that the emulator keeps, and of every log, only the secret has it.
async fn no_key_is_anywhere_else(mut desk: Desk, keys: &Keys, good: &Signed) {
    // The listener and the recorder, too, have said what they do by then.
    let world = desk.world();
    let ledger = world.ledger().await;
    let made = car(&Person::new(), 1);
    ledger.node.commit(&made).await;
    world.invoke_later("ledger-listen", &shift()).await;
    ledger.recorded(&made.id).await;
    until("the listener's log", SOON, async || {
        let lines = world.logged("ledger-listen", "listening").await;
        (!lines.is_empty()).then_some(())
    })
    .await;
    let secret = keys.as_slice()[0].to_text();
    let secret = secret.strip_prefix("whsec_").unwrap().to_owned();
    let logged = world
        .logged("ledger-webhook", "a webhook was refused")
        .await;
    assert!(!logged.is_empty());
    for function in world.stack.ledger.functions.values() {
        let variables = crate::harness::environment(&world.lambda, function).await;
        for (name, value) in variables {
            assert!(!value.contains(&secret), "{name}");
        }
    }
    desk.twin.stop();
    let places = |text: &str| {
        let mut found = Vec::new();
        holding(desk.twin.folder(), text, &mut found);
        found.sort();
        found
    };
    assert_eq!(places(&secret), ["secretsmanager.json"]);
    let hex = hex::encode(BASE64_STANDARD.decode(&secret).unwrap());
    assert_eq!(places(&hex), [""; 0]);
    // Nor is a signature, with which somebody else could be the sender for a while.
    let signature = good.signature.strip_prefix("v1,").unwrap();
    assert_eq!(places(signature), [""; 0]);
    // What is there would be found.
    let stored = places(good.id.strip_prefix("evt_").unwrap());
    assert!(stored.contains(&"dynamodb.json".to_owned()), "{stored:?}");
}

#[tokio::test]
async fn a_secret_that_is_rotated_while_events_flow_loses_none() {
    let world = World::alone().await;
    let ledger = world.ledger().await;
    let node = &ledger.node;
    let lessor = Person::new();
    let mut cars = Vec::new();
    let mut known = vec![ledger.keys(OWN).await.as_slice()[0].to_text()];
    for round in 0..4 {
        for _ in 0..5 {
            let car = car(&lessor, 100);
            node.submit(&car).await;
            cars.push(car);
        }
        if round > 0 {
            let rotate = ["ledger", "secret", "rotate", OWN, "--json"];
            offchain(&rotate).await.succeeded();
            let keys = ledger.keys(OWN).await;
            let texts: Vec<_> = keys.as_slice().iter().map(SigningKey::to_text).collect();
            // The new one first, and the one before for a while.
            assert_eq!(texts.len(), 2);
            assert!(!known.contains(&texts[0]));
            assert_eq!(texts[1], known[known.len() - 1]);
            known.push(texts[0].clone());
        }
        node.committed(&cars[cars.len() - 1].id).await;
    }
    for car in &cars {
        ledger.recorded(&car.id).await;
    }
    let letters = world.dead_letters("ledger-deliveries-dlq", |letter| {
        let body = letter.body().unwrap_or_default();
        cars.iter().any(|car| body.contains(&car.id.to_string()))
    });
    assert!(letters.await.is_empty());
    until("no delivery to wait", SOON, async || {
        let waiting = ledger.feed.deliveries.waiting(OWN).await.unwrap();
        waiting.is_empty().then_some(())
    })
    .await;
}
