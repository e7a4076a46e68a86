//! Garbage on every door: it is refused with its reason, it is kept where it
//! could be work, and it stops nothing else.

use aws_sdk_sqs::types::Message;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Reply, SOON, World, attribute, offchain_with, unique, until};

#[tokio::test]
async fn a_message_that_cannot_be_used_is_kept_with_its_reason_and_the_others_go_on() {
    let world = World::alone().await;
    // All of it is there before the first is read, so that batches are mixed.
    let held = world.hold_messages().await;
    let good = [
        world.api.request(&json!({"min": 1, "max": 6})).await,
        world
            .api
            .request(&json!({"min": 1, "max": 6, "delay_seconds": 1}))
            .await,
    ];
    let message = |id: &str, min: Value, max: Value| {
        json!({
            "unique_identifier": id,
            "target_block_in_the_future": 0,
            "min_random_value": min,
            "max_random_value": max,
        })
    };
    let known = world.record(&good[0]).await.request.unique_identifier;
    let mut extra = message(&known, json!(1), json!(6));
    extra["note"] = unique().into();
    let garbage = [
        ("MessageInvalid", format!("not JSON {}", unique())),
        (
            "MessageInvalid",
            format!("{{\"unique_identifier\": \"{}", unique()),
        ),
        ("MessageInvalid", "{}".to_owned()),
        ("MessageInvalid", "null".to_owned()),
        ("MessageInvalid", "[]".to_owned()),
        (
            "MessageInvalid",
            message(&unique(), json!("1"), json!(6)).to_string(),
        ),
        (
            "MessageInvalid",
            message(&unique(), json!(1.5), json!(6)).to_string(),
        ),
        (
            "MessageInvalid",
            message(&unique(), json!(1), json!(u64::MAX)).to_string(),
        ),
        ("MessageInvalid", extra.to_string()),
        ("MessageInvalid", "x".repeat(200 * 1024)),
        (
            "RequestNotFound",
            message(&unique(), json!(1), json!(6)).to_string(),
        ),
        (
            "MessageMismatch",
            message(&known, json!(1), json!(7)).to_string(),
        ),
    ];
    for (_, body) in &garbage {
        world
            .sqs
            .send_message()
            .queue_url(&world.stack.vrf.queue_url)
            .message_body(body)
            .send()
            .await
            .unwrap();
    }
    drop(held);
    for (code, body) in &garbage {
        let what = format!("{code}: {body:.60}");
        let letter = world
            .dead_letter("requests-dlq", &what, |letter| letter.body() == Some(body))
            .await;
        assert_eq!(
            attribute(&letter, "ErrorCode").as_deref(),
            Some(*code),
            "{what}"
        );
        let message = attribute(&letter, "ErrorMessage").unwrap();
        let telling = ["expected", "there is no request", "contradicts"];
        assert!(
            telling.iter().any(|words| message.contains(words)),
            "{what}: {message}"
        );
    }
    for record in world.closed(&good, SOON).await {
        assert!(record.fulfilment.unwrap().vrf_value.is_some());
    }
}

/// Whether a reply is the problem document of a code.
pub(crate) fn is_problem(reply: &Reply, status: u16, code: &str, case: &str) {
    assert_eq!(reply.status, status, "{case}: {}", reply.body);
    assert_eq!(
        reply.headers["content-type"], "application/problem+json",
        "{case}"
    );
    assert_eq!(reply.body["type"], format!("urn:offchain:{code}"), "{case}");
    assert_eq!(reply.body["title"], code, "{case}");
    assert_eq!(reply.body["status"], status, "{case}");
    assert!(!reply.body["detail"].as_str().unwrap().is_empty(), "{case}");
}

#[tokio::test]
async fn the_api_refuses_each_unusable_request_with_the_problem_of_its_code() {
    let world = World::shared().await;
    let token = format!("Bearer {}", world.api.token());
    let long = "k".repeat(256);
    let key = unique();
    let good = r#"{"min":1,"max":6}"#;
    let path = "/v1/vrf/requests";
    for (case, headers, status, code) in [
        (
            "no token",
            vec![("idempotency-key", key.as_str())],
            401,
            "TokenMissing",
        ),
        (
            "another scheme",
            vec![("authorization", "Basic YTpi"), ("idempotency-key", &key)],
            401,
            "TokenMissing",
        ),
        (
            "a wrong token",
            vec![("authorization", "Bearer wrong"), ("idempotency-key", &key)],
            401,
            "TokenInvalid",
        ),
        (
            "no idempotency key",
            vec![("authorization", token.as_str())],
            400,
            "IdempotencyKeyInvalid",
        ),
        (
            "a long idempotency key",
            vec![
                ("authorization", token.as_str()),
                ("idempotency-key", &long),
            ],
            400,
            "IdempotencyKeyInvalid",
        ),
    ] {
        let reply = world.api.send(Method::POST, path, &headers, good).await;
        is_problem(&reply, status, code, case);
        assert_eq!(
            reply.headers.contains_key("www-authenticate"),
            status == 401,
            "{case}"
        );
    }

    let headers = [("authorization", token.as_str()), ("idempotency-key", &key)];
    let large = format!(r#"{{"min":1,"max":6,"seed":"{}"}}"#, "0".repeat(4096));
    let long_seed = format!(r#"{{"min":1,"max":6,"seed":"{}"}}"#, "00".repeat(65));
    for (body, status, code) in [
        ("", 400, "BodyInvalid"),
        ("{", 400, "BodyInvalid"),
        ("[]", 400, "BodyInvalid"),
        ("null", 400, "BodyInvalid"),
        (r#"{"min":1}"#, 400, "BodyInvalid"),
        (r#"{"min":1,"max":6,"sides":6}"#, 400, "BodyInvalid"),
        (r#"{"min":1.5,"max":6}"#, 400, "BodyInvalid"),
        (r#"{"min":1,"max":9223372036854775808}"#, 400, "BodyInvalid"),
        (r#"{"min":6,"max":6}"#, 400, "BoundsInvalid"),
        (r#"{"min":7,"max":6}"#, 400, "BoundsInvalid"),
        (r#"{"min":1,"max":6,"seed":""}"#, 400, "BodyInvalid"),
        (r#"{"min":1,"max":6,"seed":"ABCD"}"#, 400, "BodyInvalid"),
        (&long_seed, 400, "BodyInvalid"),
        (
            r#"{"min":1,"max":6,"due_time":"tomorrow"}"#,
            400,
            "BodyInvalid",
        ),
        (
            r#"{"min":1,"max":6,"due_time":"2020-01-01T00:00:00Z"}"#,
            400,
            "DueInvalid",
        ),
        (
            r#"{"min":1,"max":6,"due_time":"9999-01-01T00:00:00Z"}"#,
            400,
            "DueInvalid",
        ),
        (
            r#"{"min":1,"max":6,"delay_seconds":604801}"#,
            400,
            "DueInvalid",
        ),
        (
            r#"{"min":1,"max":6,"delay_seconds":1,"due_time":"2020-01-01T00:00:00Z"}"#,
            400,
            "DueInvalid",
        ),
        (&large, 413, "BodyTooLarge"),
    ] {
        let reply = world
            .api
            .send(Method::POST, path, &headers, body.to_owned())
            .await;
        is_problem(&reply, status, code, body);
    }
    let reply = world
        .api
        .send(Method::POST, path, &headers, vec![0xff, 0xfe, 0x00])
        .await;
    is_problem(&reply, 400, "BodyInvalid", "no text at all");

    for id in [
        unique(),
        "no-such-request".into(),
        "%00".into(),
        "a".repeat(300),
    ] {
        let reply = world.api.get(&format!("{path}/{id}")).await;
        is_problem(&reply, 404, "RequestNotFound", &id);
    }
    // What has no route never reaches a function: API Gateway answers itself.
    for (method, path) in [
        (Method::GET, "/nowhere"),
        (Method::GET, "/v1/vrf"),
        (Method::GET, "/v1/vrf/requests"),
        (Method::DELETE, "/v1/vrf/requests"),
        (Method::POST, "/v1/vrf/keys"),
        (Method::PUT, "/v1/vrf/requests/1"),
    ] {
        let reply = world.api.send(method.clone(), path, &headers, good).await;
        assert!(
            matches!(reply.status, 404 | 405),
            "{method} {path}: {reply:?}"
        );
    }
}

#[tokio::test]
async fn a_schedule_with_an_unusable_input_ends_in_its_dead_letter_queue() {
    let world = World::shared().await;
    let mark = unique();
    let inputs = [
        ("no schedule", json!({"mark": mark})),
        (
            "bounds in no order",
            json!({
                "queue_delay_seconds": {"min": 0, "max": 0},
                "target_blocks": {"min": 0, "max": 0},
                "block_seconds": 1,
                "bounds": {"min": 9, "max": 0},
            }),
        ),
        (
            "a delay beyond what SQS knows",
            json!({
                "queue_delay_seconds": {"min": 0, "max": 901},
                "target_blocks": {"min": 0, "max": 0},
                "block_seconds": 1,
                "bounds": {"min": 0, "max": 9},
            }),
        ),
    ];
    for (case, input) in &inputs {
        let error = world.invoke("request", input).await.unwrap_err();
        assert_eq!(error["errorType"], "InputInvalid", "{case}: {error}");
        assert!(
            error["errorMessage"].as_str().unwrap().contains("expected"),
            "{case}: {error}"
        );
        world.invoke_later("request", input).await;
    }
    for (case, input) in &inputs {
        let letter = world
            .dead_letter("schedules-dlq", case, |letter| {
                event(letter).as_ref() == Some(input)
            })
            .await;
        // Two retries of the first invocation.
        let record: Value = serde_json::from_str(letter.body().unwrap()).unwrap();
        assert_eq!(
            record["requestContext"]["approximateInvokeCount"], 3,
            "{case}: {record}"
        );
        assert_eq!(
            record["responsePayload"]["errorType"], "InputInvalid",
            "{case}: {record}"
        );
    }
}

/// The event of an asynchronous invocation that failed, from Lambda's record.
pub(crate) fn event(letter: &Message) -> Option<Value> {
    let body: Value = serde_json::from_str(letter.body()?).ok()?;
    body.get("requestPayload").cloned()
}

#[tokio::test]
async fn the_command_refuses_garbage_and_says_what_it_expected() {
    let _world = World::shared().await;
    let here = std::env::temp_dir().join(unique());
    std::fs::write(&here, "garbage").unwrap();
    let file = here.to_str().unwrap();
    let no_stack: &[(&str, Option<&str>)] = &[("OFFCHAIN_STACK", None)];
    let bad_stack: &[(&str, Option<&str>)] = &[("OFFCHAIN_STACK", Some(file))];
    let gone_stack: &[(&str, Option<&str>)] = &[("OFFCHAIN_STACK", Some("/no/such/stack.json"))];
    let no_token: &[(&str, Option<&str>)] = &[("OFFCHAIN_API_TOKEN", None)];
    let none: &[(&str, Option<&str>)] = &[];
    let long = " ".repeat(100_000);
    let bundle = json!({"version": 1}).to_string();
    for (arguments, input, variables, words) in [
        (vec![], "", none, "Usage"),
        (vec!["frobnicate"], "", none, "unrecognized subcommand"),
        (
            vec!["vrf", "verify", "-"],
            "",
            none,
            "expected a proof bundle in JSON",
        ),
        (
            vec!["vrf", "verify", "-"],
            "garbage",
            none,
            "expected a proof bundle in JSON",
        ),
        (vec!["vrf", "verify", "-"], "{}", none, "missing field"),
        (vec!["vrf", "verify", "-"], &bundle, none, "missing field"),
        (
            vec!["vrf", "verify", "-"],
            &long,
            none,
            "expected a proof bundle in JSON",
        ),
        (
            vec!["vrf", "verify", "/no/such/file"],
            "",
            none,
            "/no/such/file",
        ),
        (vec!["vrf", "verify", "/"], "", none, "directory"),
        (
            vec!["vrf", "request", "--min", "one", "--max", "6"],
            "",
            none,
            "invalid digit",
        ),
        (vec!["vrf", "request", "--min", "1"], "", none, "--max"),
        (
            vec![
                "vrf", "request", "--min", "1", "--max", "6", "--after", "soon",
            ],
            "",
            none,
            "--after",
        ),
        (
            vec!["vrf", "request", "--min", "1", "--max", "6", "--after=-5s"],
            "",
            none,
            "--after: expected",
        ),
        (
            vec!["vrf", "request", "--min", "1", "--max", "6", "--at", "noon"],
            "",
            none,
            "--at",
        ),
        (
            vec![
                "vrf", "request", "--min", "1", "--max", "6", "--after", "1s", "--height", "5",
            ],
            "",
            none,
            "cannot be used with",
        ),
        (
            vec!["vrf", "request", "--min", "1", "--max", "6"],
            "",
            no_token,
            "OFFCHAIN_API_TOKEN",
        ),
        (vec!["status"], "", no_stack, "OFFCHAIN_STACK"),
        (
            vec!["status"],
            "",
            bad_stack,
            "expected the Terraform output `stack`",
        ),
        (vec!["status"], "", gone_stack, "scripts/up"),
        (vec!["dlq", "show", "nowhere"], "", none, "expected one of"),
        (
            vec!["vrf", "token", "revoke", "--name", "nobody"],
            "",
            none,
            "no token of nobody",
        ),
    ] {
        let ran = offchain_with(&arguments, input, variables).await;
        assert_eq!(ran.code, Some(2), "{arguments:?}: {ran:?}");
        assert!(
            ran.stderr.contains(words),
            "{arguments:?}: expected {words:?} in {ran:?}"
        );
        assert!(!ran.stderr.contains("panicked"), "{ran:?}");
    }
    std::fs::remove_file(here).unwrap();

    // What only the deployment can judge is its refusal: 3.
    let wrong: &[(&str, Option<&str>)] = &[("OFFCHAIN_API_TOKEN", Some("wrong"))];
    for (arguments, variables, words) in [
        (
            vec!["vrf", "request", "--min", "6", "--max", "1"],
            none,
            "BoundsInvalid",
        ),
        (
            vec!["vrf", "request", "--min", "1", "--max", "6"],
            wrong,
            "TokenInvalid",
        ),
        (
            vec!["vrf", "request", "--min", "1", "--max", "6", "--seed", "XY"],
            none,
            "BodyInvalid",
        ),
        (
            vec!["vrf", "show", "no-such-request"],
            none,
            "RequestNotFound",
        ),
    ] {
        let ran = offchain_with(&arguments, "", variables).await;
        assert_eq!(ran.code, Some(3), "{arguments:?}: {ran:?}");
        assert!(
            ran.stderr.contains(words),
            "{arguments:?}: expected {words:?} in {ran:?}"
        );
    }
}

#[tokio::test]
async fn a_spoilt_key_fails_visibly_and_the_request_recovers_once_it_is_mended() {
    let world = World::alone().await;
    let secret = world.stack.vrf.key_secret_arn.clone();
    let newest = world.api.keys().await.remove(0);
    until("the newest key to be active", SOON, async || {
        (jiff::Timestamp::now() >= newest.active_from.timestamp()).then_some(())
    })
    .await;
    let stage = offchain_store::keys::label(&newest.public_key);
    let versions = async || {
        let reply = world
            .secrets
            .describe_secret()
            .secret_id(&secret)
            .send()
            .await
            .unwrap();
        reply.version_ids_to_stages.unwrap()
    };
    let holder = versions()
        .await
        .into_iter()
        .find(|(_, stages)| stages.contains(&stage))
        .map(|(version, _)| version)
        .unwrap();

    // The newest version is what vrf-rotate-key looks at.
    let mended = world.set_secret(&secret, "garbage").await;
    let error = world
        .invoke("rotate-key", &json!({"action": "reconcile"}))
        .await
        .unwrap_err();
    assert_eq!(error["errorType"], "KeyInvalid", "{error}");
    assert!(!error.to_string().contains("garbage"), "{error}");

    // The version of the epoch is what vrf-fulfil looks at.
    let spoilt = versions()
        .await
        .into_iter()
        .find(|(_, stages)| stages.iter().any(|stage| stage == "AWSCURRENT"))
        .map(|(version, _)| version)
        .unwrap();
    move_stage(&world.config, &secret, &stage, &holder, &spoilt).await;
    let back = {
        let (secret, stage) = (secret.clone(), stage.clone());
        let (spoilt, holder) = (spoilt.clone(), holder.clone());
        world.undo(move |config| {
            Box::pin(async move {
                move_stage(&config, &secret, &stage, &spoilt, &holder).await;
            })
        })
    };
    // A new process, which has not read the key before.
    let _restarted = world
        .set_env("fulfil", &[("LOG_LEVEL", Some("debug"))])
        .await;
    let patient = world.api.request(&json!({"min": 1, "max": 6})).await;
    let short = world
        .set_env("api", &[("VRF_FULFIL_WINDOW_SECONDS", Some("3"))])
        .await;
    let hasty = world.api.request(&json!({"min": 1, "max": 6})).await;
    drop(short);

    let failing = until("failures to be counted", SOON, async || {
        let view = world.api.show(&patient).await;
        (view["failed_attempts"].as_u64() >= Some(2)).then_some(view)
    })
    .await;
    assert_eq!(failing["status"], "pending");
    assert_eq!(failing["reason"], "retrying");
    assert_eq!(failing["last_error"], "KeyInvalid");
    let expired = world.api.closed(&hasty, SOON).await;
    assert_eq!(expired["status"], "expired");
    assert_eq!(expired["reason"], "KeyInvalid");
    world
        .dead_letter("executions-dlq", "the expired request", |letter| {
            letter.body().unwrap_or_default().contains(&hasty)
        })
        .await;

    drop(back);
    drop(mended);
    let recovered = world.api.closed(&patient, SOON).await;
    assert_eq!(recovered["status"], "fulfilled", "{recovered}");
    crate::harness::bundle(&recovered).verify().unwrap();
    let reply = world
        .invoke("rotate-key", &json!({"action": "reconcile"}))
        .await
        .unwrap();
    assert_eq!(
        (&reply["published"], &reply["epoch"]),
        (&json!(false), &json!(newest.epoch))
    );
}

pub(crate) async fn move_stage(
    config: &aws_config::SdkConfig,
    secret: &str,
    stage: &str,
    from: &str,
    to: &str,
) {
    aws_sdk_secretsmanager::Client::new(config)
        .update_secret_version_stage()
        .secret_id(secret)
        .version_stage(stage)
        .remove_from_version_id(from)
        .move_to_version_id(to)
        .send()
        .await
        .unwrap();
}

#[tokio::test]
async fn a_spoilt_list_of_tokens_is_the_service_s_own_fault_until_it_is_mended() {
    let world = World::alone().await;
    let mended = world
        .set_secret(&world.stack.vrf.api_tokens_secret_arn, "garbage")
        .await;
    // A new process, which has not read the tokens before.
    let _restarted = world.set_env("api", &[("LOG_LEVEL", Some("debug"))]).await;
    let body = json!({"min": 1, "max": 6});
    let reply = world.api.post(&unique(), &body).await;
    is_problem(&reply, 500, "TokensInvalid", "spoilt tokens");
    assert!(
        !reply.body.to_string().contains("garbage"),
        "{}",
        reply.body
    );
    // What needs no token goes on.
    assert!(!world.api.keys().await.is_empty());
    drop(mended);
    until("the API to take requests again", SOON, async || {
        (world.api.post(&unique(), &body).await.status == 202).then_some(())
    })
    .await;
}
