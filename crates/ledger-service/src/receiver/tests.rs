//! Webhooks to the receiver, against a fake AWS.

use aws_lambda_events::encodings::Body;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use offchain_ledger::{Event, Place, SigningKey, sign};
use offchain_store::test_util::{
    FakeAws, Reply, condition_failed, done, item, refusal, seconds_from_now, secret,
};
use serde_json::Value;

use super::*;

/// The key that the receiver knows, and one that it does not know yet.
const KEYS: [[u8; 32]; 2] = [[1; 32], [2; 32]];
const MINUTE: Duration = Duration::from_secs(60);

fn key(which: usize) -> SigningKey {
    SigningKey::shared(&KEYS[which])
}

/// The text of a secret with these keys.
fn text(keys: Vec<SigningKey>) -> String {
    Keys::new(keys).unwrap().to_json().to_string()
}

/// What Secrets Manager answers while the receiver knows these keys.
fn knows(which: &[usize]) -> Reply {
    secret("v1", &text(which.iter().map(|which| key(*which)).collect()))
}

fn receiver(aws: &FakeAws, remembered: Duration) -> Receiver {
    let sdk = aws.sdk_config();
    Receiver {
        events: Events::new(aws_sdk_dynamodb::Client::new(&sdk), "events".into()),
        queue: Queue::new(
            aws_sdk_sqs::Client::new(&sdk),
            "https://sqs.test/transactions".into(),
        ),
        secret: Secret::new(
            aws_sdk_secretsmanager::Client::new(&sdk),
            "arn:secret".into(),
            remembered,
        ),
    }
}

fn id(digit: char) -> Id {
    String::from(digit).repeat(64).parse().unwrap()
}

fn event() -> Event {
    Event::new(id('b'), id('a'), Place::Height(7))
}

/// A webhook on its way.
#[derive(Clone)]
struct Webhook {
    id: String,
    timestamp: String,
    signature: String,
    body: String,
}

impl Webhook {
    /// One with this body, signed by one key so many seconds from now.
    fn of(body: &str, which: usize, seconds: i64) -> Self {
        let timestamp = seconds_from_now(seconds).timestamp().as_second();
        let keys = Keys::new(vec![key(which)]).unwrap();
        let id = event().webhook_id();
        Self {
            signature: sign(&keys, &id, timestamp, body.as_bytes()),
            timestamp: timestamp.to_string(),
            id,
            body: body.to_owned(),
        }
    }

    /// That of the event.
    fn signed() -> Self {
        Self::by(0)
    }

    /// That of the event, signed by another key.
    fn by(which: usize) -> Self {
        Self::of(&body(), which, 0)
    }

    /// The event that API Gateway makes of it.
    fn request(&self) -> ApiGatewayV2httpRequest {
        let event = json!({
            "version": "2.0",
            "routeKey": "POST /v1/ledger/events",
            "rawPath": "/v1/ledger/events",
            "headers": {
                "content-type": "application/json",
                "webhook-id": self.id,
                "webhook-timestamp": self.timestamp,
                "webhook-signature": self.signature,
            },
            "requestContext": { "http": { "method": "POST", "path": "/v1/ledger/events" } },
            "body": self.body,
            "isBase64Encoded": false,
        });
        serde_json::from_value(event).unwrap()
    }
}

fn body() -> String {
    Envelope::new(event(), Timestamp::now()).to_json()
}

/// The item of the event, with these attributes over its own.
fn stored(fields: &Value) -> Reply {
    let mut found = serde_json::to_value(EventItem::new(event(), 0, Timestamp::now())).unwrap();
    for (name, value) in fields.as_object().unwrap() {
        found[name] = value.clone();
    }
    item(&found)
}

/// What the sender sees.
struct Seen {
    status: i64,
    retry_after: Option<String>,
    body: Value,
}

async fn ask(receiver: &Receiver, request: &ApiGatewayV2httpRequest) -> Seen {
    let reply = receiver.answer(request).await;
    let Some(Body::Text(text)) = reply.body else {
        panic!("expected a text, found {:?}", reply.body);
    };
    let retry_after = reply.headers.get("retry-after");
    Seen {
        status: reply.status_code,
        retry_after: retry_after.map(|value| value.to_str().unwrap().to_owned()),
        body: serde_json::from_str(&text).unwrap(),
    }
}

/// The answer to one webhook.
async fn answered(aws: &FakeAws, webhook: &Webhook) -> Seen {
    ask(&receiver(aws, MINUTE), &webhook.request()).await
}

#[track_caller]
fn assert_refused(seen: &Seen, status: i64, code: &str) {
    assert_eq!(
        (seen.status, &seen.body["title"]),
        (status, &json!(code)),
        "{}",
        seen.body
    );
    assert_eq!(seen.body["type"], format!("urn:offchain:{code}"));
    // Only what may pass is worth another try.
    let later = (status == 503).then_some("1");
    assert_eq!(seen.retry_after.as_deref(), later, "{code}");
}

#[tokio::test]
async fn a_new_event_is_stored_and_then_the_recorder_is_told() {
    let aws = FakeAws::new()
        .on("GetSecretValue", knows(&[0]))
        .on("PutItem", done())
        .on("SendMessage", done());
    let webhook = Webhook::signed();
    let seen = answered(&aws, &webhook).await;
    assert_eq!(seen.status, 202);
    assert_eq!(seen.body, json!({ "status": "stored" }));
    assert_eq!(
        aws.operations(),
        ["GetSecretValue", "PutItem", "SendMessage"]
    );
    assert_eq!(
        aws.sent_once("GetSecretValue"),
        json!({ "SecretId": "arn:secret", "VersionStage": "AWSCURRENT" })
    );
    let put = aws.sent_once("PutItem");
    assert_eq!(put["TableName"], "events");
    let stored = &put["Item"];
    assert_eq!(
        [
            &stored["transaction_id"],
            &stored["asset_id"],
            &stored["height"],
            &stored["status"]
        ],
        [
            &json!(id('b')),
            &json!(id('a')),
            &json!(7),
            &json!("received")
        ]
    );
    assert_eq!(stored["webhook_timestamp"].to_string(), webhook.timestamp);
    assert_eq!(
        aws.sent_once("SendMessage"),
        json!({
            "QueueUrl": "https://sqs.test/transactions",
            "MessageBody": json!({ "transaction_id": id('b') }).to_string(),
            "DelaySeconds": 0,
        })
    );
}

#[tokio::test]
async fn a_body_in_base64_is_the_same_body() {
    let aws = FakeAws::new()
        .on("GetSecretValue", knows(&[0]))
        .on("PutItem", done())
        .on("SendMessage", done());
    let webhook = Webhook::signed();
    let mut request = webhook.request();
    request.body = Some(STANDARD.encode(webhook.body));
    request.is_base64_encoded = true;
    assert_eq!(ask(&receiver(&aws, MINUTE), &request).await.status, 202);
}

#[tokio::test]
async fn an_event_that_is_there_is_a_duplicate_and_one_that_waits_is_told_of_again() {
    for (status, told) in [("received", true), ("recorded", false), ("rejected", false)] {
        let mut aws = FakeAws::new()
            .on("GetSecretValue", knows(&[0]))
            .on("PutItem", condition_failed())
            .on("GetItem", stored(&json!({ "status": status })))
            .on("UpdateItem", done());
        if told {
            aws = aws.on("SendMessage", done());
        }
        let seen = answered(&aws, &Webhook::signed()).await;
        assert_eq!(seen.status, 200, "{status}");
        assert_eq!(seen.body, json!({ "status": "duplicate" }));
        assert_eq!(aws.sent("SendMessage").len(), usize::from(told), "{status}");
    }
}

#[tokio::test]
async fn the_same_webhook_a_second_time_is_replayed() {
    let aws = FakeAws::new()
        .on("GetSecretValue", knows(&[0]))
        .on("PutItem", condition_failed())
        .on("GetItem", stored(&json!({})))
        .on("UpdateItem", condition_failed());
    let webhook = Webhook::signed();
    let seen = answered(&aws, &webhook).await;
    assert_refused(&seen, 401, "WebhookReplayed");
    let update = aws.sent_once("UpdateItem");
    let time = &update["ExpressionAttributeValues"][":time"];
    assert_eq!(time.to_string(), webhook.timestamp);
}

#[tokio::test]
async fn another_event_of_the_same_transaction_is_a_conflict() {
    for other in [json!({ "asset_id": id('c') }), json!({ "height": 8 })] {
        let aws = FakeAws::new()
            .on("GetSecretValue", knows(&[0]))
            .on("PutItem", condition_failed())
            .on("GetItem", stored(&other));
        let seen = answered(&aws, &Webhook::signed()).await;
        assert_refused(&seen, 409, "EventConflict");
        assert!(aws.sent("SendMessage").is_empty());
    }
}

#[tokio::test]
async fn the_size_is_looked_at_before_anything_else() {
    for length in [BODY_LIMIT + 1, 10 * BODY_LIMIT] {
        // It is not even signed.
        let mut request = ApiGatewayV2httpRequest::default();
        request.body = Some("x".repeat(length));
        let aws = FakeAws::new();
        let seen = ask(&receiver(&aws, MINUTE), &request).await;
        assert_refused(&seen, 413, "BodyTooLarge");
        assert!(aws.calls().is_empty());
    }
    // One that just fits is verified, and read.
    let aws = FakeAws::new().on("GetSecretValue", knows(&[0]));
    let seen = answered(&aws, &Webhook::of(&"x".repeat(BODY_LIMIT), 0, 0)).await;
    assert_refused(&seen, 400, "EventInvalid");
}

#[tokio::test]
async fn a_body_that_is_not_what_it_is_said_to_be_is_refused_untouched() {
    let mut request = Webhook::signed().request();
    request.is_base64_encoded = true;
    let aws = FakeAws::new();
    let seen = ask(&receiver(&aws, MINUTE), &request).await;
    assert_refused(&seen, 400, "BodyInvalid");
    assert!(aws.calls().is_empty());
}

#[tokio::test]
async fn nothing_but_the_secret_is_touched_before_the_signature_is_verified() {
    let with = |change: fn(&mut Webhook)| {
        let mut webhook = Webhook::signed();
        change(&mut webhook);
        webhook
    };
    let cases = [
        (
            with(|webhook| webhook.timestamp = "now".into()),
            "TimestampInvalid",
        ),
        (
            with(|webhook| webhook.timestamp.insert(0, '+')),
            "TimestampInvalid",
        ),
        (Webhook::of(&body(), 0, -310), "TimestampStale"),
        (Webhook::of(&body(), 0, 310), "TimestampStale"),
        (Webhook::by(1), "SignatureInvalid"),
        (with(|webhook| webhook.body.push(' ')), "SignatureInvalid"),
        (
            with(|webhook| webhook.id = format!("evt_{}", id('c'))),
            "SignatureInvalid",
        ),
        (
            with(|webhook| {
                let second = webhook.timestamp.parse::<i64>().unwrap() - 1;
                webhook.timestamp = second.to_string();
            }),
            "SignatureInvalid",
        ),
        (
            with(|webhook| webhook.signature = "v1,".into()),
            "SignatureInvalid",
        ),
        (
            with(|webhook| webhook.signature = webhook.signature.replace("v1,", "v2,")),
            "SignatureInvalid",
        ),
    ];
    for (webhook, code) in cases {
        let aws = FakeAws::new().on("GetSecretValue", knows(&[0]));
        let seen = answered(&aws, &webhook).await;
        assert_refused(&seen, 401, code);
        assert_eq!(aws.operations(), ["GetSecretValue"], "{code}");
    }
}

#[tokio::test]
async fn a_webhook_without_one_of_its_headers_is_not_signed() {
    for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
        let mut request = Webhook::signed().request();
        request.headers.remove(name);
        let aws = FakeAws::new().on("GetSecretValue", knows(&[0]));
        let seen = ask(&receiver(&aws, MINUTE), &request).await;
        assert_refused(&seen, 401, "SignatureMissing");
        assert_eq!(aws.operations(), ["GetSecretValue"], "{name}");
    }
}

#[tokio::test]
async fn a_timestamp_is_good_for_five_minutes_either_way() {
    for seconds in [-295, 295] {
        let aws = FakeAws::new()
            .on("GetSecretValue", knows(&[0]))
            .on("PutItem", done())
            .on("SendMessage", done());
        let seen = answered(&aws, &Webhook::of(&body(), 0, seconds)).await;
        assert_eq!(seen.status, 202, "{seconds}");
    }
}

#[tokio::test]
async fn what_is_signed_and_no_event_is_refused_with_what_was_expected() {
    let whole: Value = serde_json::from_str(&body()).unwrap();
    let with = |path: &str, value: Value| {
        let mut torn = whole.clone();
        *torn.pointer_mut(path).unwrap() = value;
        torn.to_string()
    };
    for torn in [
        String::new(),
        "{".into(),
        "[]".into(),
        with("/type", json!("ledger.block")),
        with("/timestamp", json!("now")),
        with("/data", json!([])),
        with("/data/height", json!("7")),
        with("/data/asset_id", json!("a")),
        with(
            "/data/transaction_id",
            json!(id('b').as_str().replace('b', "B")),
        ),
    ] {
        let aws = FakeAws::new().on("GetSecretValue", knows(&[0]));
        let seen = answered(&aws, &Webhook::of(&torn, 0, 0)).await;
        assert_refused(&seen, 400, "EventInvalid");
        let detail = seen.body["detail"].as_str().unwrap();
        assert!(detail.contains("expected"), "{torn}: {detail}");
        assert_eq!(aws.operations(), ["GetSecretValue"], "{torn}");
    }
}

#[tokio::test]
async fn a_webhook_is_named_after_its_transaction() {
    // Signed by the sender, and yet not the webhook of this event.
    let other = Event::new(id('c'), id('a'), Place::Height(7));
    let body = Envelope::new(other, Timestamp::now()).to_json();
    let aws = FakeAws::new().on("GetSecretValue", knows(&[0]));
    let seen = answered(&aws, &Webhook::of(&body, 0, 0)).await;
    assert_refused(&seen, 400, "EventInvalid");
    let detail = seen.body["detail"].as_str().unwrap();
    assert!(detail.contains(&format!("evt_{}", id('c'))), "{detail}");
}

#[tokio::test]
async fn members_that_a_later_version_adds_are_ignored() {
    let mut later: Value = serde_json::from_str(&body()).unwrap();
    later["attempt"] = 2.into();
    later["data"]["operation"] = "CREATE".into();
    let aws = FakeAws::new()
        .on("GetSecretValue", knows(&[0]))
        .on("PutItem", done())
        .on("SendMessage", done());
    let seen = answered(&aws, &Webhook::of(&later.to_string(), 0, 0)).await;
    assert_eq!(seen.status, 202);
}

#[tokio::test]
async fn each_key_of_the_secret_verifies() {
    for which in [0, 1] {
        let aws = FakeAws::new()
            .on("GetSecretValue", knows(&[1, 0]))
            .on("PutItem", done())
            .on("SendMessage", done());
        assert_eq!(answered(&aws, &Webhook::by(which)).await.status, 202);
    }
}

#[tokio::test]
async fn a_key_of_ed25519_verifies_as_well() {
    let keys = vec![SigningKey::secret(&KEYS[0])];
    let mut webhook = Webhook::signed();
    let timestamp = webhook.timestamp.parse().unwrap();
    webhook.signature = sign(
        &Keys::new(keys.clone()).unwrap(),
        &webhook.id,
        timestamp,
        webhook.body.as_bytes(),
    );
    let aws = FakeAws::new()
        .on("GetSecretValue", secret("v1", &text(keys)))
        .on("PutItem", done())
        .on("SendMessage", done());
    assert_eq!(answered(&aws, &webhook).await.status, 202);
}

#[tokio::test]
async fn a_secret_that_was_rotated_or_mended_since_it_was_read_is_read_anew() {
    for before in [knows(&[0]), secret("v1", "hush")] {
        let aws = FakeAws::new()
            .on("GetSecretValue", before)
            .on("GetSecretValue", knows(&[1]))
            .on("PutItem", done())
            .on("SendMessage", done());
        let receiver = receiver(&aws, Duration::ZERO);
        let seen = ask(&receiver, &Webhook::by(1).request()).await;
        assert_eq!(seen.status, 202);
        assert_eq!(aws.sent("GetSecretValue").len(), 2);
    }
}

#[tokio::test]
async fn whoever_signs_wrongly_does_not_make_the_secret_be_read_each_time() {
    let aws = FakeAws::new().on("GetSecretValue", knows(&[0]));
    let receiver = receiver(&aws, MINUTE);
    for _ in 0..5 {
        let seen = ask(&receiver, &Webhook::by(1).request()).await;
        assert_refused(&seen, 401, "SignatureInvalid");
    }
    assert_eq!(aws.operations(), ["GetSecretValue"]);
}

#[tokio::test]
async fn what_may_pass_is_told_with_a_time_and_what_may_not_without() {
    let secrets = || FakeAws::new().on("GetSecretValue", knows(&[0]));
    let duplicate = || secrets().on("PutItem", condition_failed());
    for (aws, status, code) in [
        (
            FakeAws::new().on("GetSecretValue", refusal(400, "ResourceNotFoundException")),
            503,
            "SecretUnavailable",
        ),
        (
            FakeAws::new().on("GetSecretValue", Reply::NoConnection),
            503,
            "SecretUnavailable",
        ),
        (
            FakeAws::new().on("GetSecretValue", refusal(400, "AccessDeniedException")),
            500,
            "SecretUnavailable",
        ),
        (
            FakeAws::new().always("GetSecretValue", secret("v1", "hush")),
            500,
            "SecretInvalid",
        ),
        (
            FakeAws::new().always("GetSecretValue", secret("v1", r#"{"secrets":["hush"]}"#)),
            500,
            "SecretInvalid",
        ),
        (
            secrets().on("PutItem", refusal(400, "ThrottlingException")),
            503,
            "StoreUnavailable",
        ),
        (
            secrets().on("PutItem", refusal(400, "AccessDeniedException")),
            500,
            "StoreDenied",
        ),
        (
            duplicate().on("GetItem", refusal(500, "InternalServerError")),
            503,
            "StoreUnavailable",
        ),
        (
            duplicate().on("GetItem", stored(&json!({ "status": "odd" }))),
            500,
            "StoreRejected",
        ),
        // The event is stored, and the sender's next try tells the recorder.
        (
            secrets()
                .on("PutItem", done())
                .on("SendMessage", Reply::NoConnection),
            503,
            "StoreUnavailable",
        ),
        (
            secrets()
                .on("PutItem", done())
                .on("SendMessage", refusal(400, "AccessDeniedException")),
            500,
            "StoreDenied",
        ),
    ] {
        let seen = answered(&aws, &Webhook::signed()).await;
        assert_refused(&seen, status, code);
        // Of what is wrong on our side nothing else is told.
        let detail = seen.body["detail"].as_str().unwrap();
        assert!(detail.starts_with("the service cannot answer"), "{detail}");
        assert!(!seen.body.to_string().contains("hush"));
    }
}

#[tokio::test]
async fn a_retry_makes_good_what_the_first_try_left_undone() {
    let aws = FakeAws::new()
        .on("GetSecretValue", knows(&[0]))
        .on("PutItem", done())
        .on("SendMessage", Reply::NoConnection)
        .on("PutItem", condition_failed())
        .on("GetItem", stored(&json!({})))
        .on("UpdateItem", done())
        .on("SendMessage", done());
    let receiver = receiver(&aws, MINUTE);
    let first = Webhook::of(&body(), 0, -2).request();
    assert_eq!(ask(&receiver, &first).await.status, 503);
    let second = Webhook::signed().request();
    assert_eq!(ask(&receiver, &second).await.status, 200);
    assert_eq!(aws.sent("SendMessage").len(), 2);
}

#[test]
fn what_the_recorder_is_told_is_read_strictly() {
    let told = json!({ "transaction_id": id('b') });
    let read: RecordMessage = serde_json::from_value(told).unwrap();
    assert_eq!(read.transaction_id, id('b'));
    for other in [
        json!({}),
        json!({ "transaction_id": "b" }),
        json!({ "transaction_id": id('b'), "height": 7 }),
    ] {
        let read = serde_json::from_value::<RecordMessage>(other.clone());
        assert!(read.is_err(), "{other}");
    }
}
