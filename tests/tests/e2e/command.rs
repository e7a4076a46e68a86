//! The `offchain` command against the stack.

use serde_json::{Value, json};

use crate::harness::{SOON, World, bundle, offchain, offchain_with, unique, until};

#[tokio::test]
async fn the_command_asks_waits_shows_and_verifies() {
    let _world = World::shared().await;
    let key = unique();
    let request = [
        "vrf",
        "request",
        "--min",
        "-5",
        "--max",
        "5",
        "--after",
        "1s",
        "--seed",
        "00ff",
        "--idempotency-key",
        &key,
        "--wait",
        "--json",
    ];
    let printed = offchain(&request).await.succeeded();
    let ran = offchain_with(&["vrf", "verify", "-"], &printed, &[]).await;
    assert!(ran.succeeded().starts_with("valid: "));
    // The same key finds the same request.
    assert_eq!(offchain(&request).await.succeeded(), printed);

    let printed: Value = serde_json::from_str(&printed).unwrap();
    let id = printed["request_id"].as_str().unwrap();
    let shown = offchain(&["vrf", "show", id, "--json"]).await.json();
    assert_eq!(shown["status"], "fulfilled");
    assert_eq!(shown["bundle"], printed);
    assert_eq!(
        bundle(&shown).to_string(),
        serde_json::to_string_pretty(&bundle(&shown)).unwrap()
    );
    let file = std::env::temp_dir().join(format!("{key}.json"));
    std::fs::write(&file, shown["bundle"].to_string()).unwrap();
    let public_key = printed["public_key"].as_str().unwrap();
    let verify = [
        "vrf",
        "verify",
        file.to_str().unwrap(),
        "--key",
        public_key,
        "--json",
    ];
    let report = offchain(&verify).await.json();
    assert_eq!(report["value"], printed["value"]);
    std::fs::remove_file(file).unwrap();
}

#[tokio::test]
async fn what_the_command_prints_fits_a_terminal_and_has_no_colours_elsewhere() {
    let world = World::shared().await;
    let id = world.api.request(&json!({"min": 1, "max": 6})).await;
    world.api.closed(&id, SOON).await;
    let waiting = world
        .api
        .request(&json!({"min": 1, "max": 6, "delay_seconds": 600}))
        .await;
    let queue = format!("{}-vrf-requests-dlq", world.stack.name);
    for arguments in [
        vec!["vrf", "show", &id],
        vec!["vrf", "show", &waiting],
        vec!["vrf", "request", "--min", "1", "--max", "6"],
        vec!["vrf", "request", "--min", "1", "--max", "6", "--wait"],
        vec!["vrf", "keys"],
        vec!["vrf", "token", "list"],
        vec!["status"],
        vec!["dlq", "list"],
        vec!["dlq", "show", &queue],
    ] {
        let _reading = world.reading_dead_letters().await;
        let printed = offchain(&arguments).await.succeeded();
        assert!(!printed.is_empty(), "{arguments:?}");
        assert!(!printed.contains('\x1b'), "{arguments:?}: {printed:?}");
        for line in printed.lines() {
            assert!(line.chars().count() <= 80, "{arguments:?}: {line:?}");
        }
    }
}

#[tokio::test]
async fn the_command_counts_requests_and_tells_why_the_oldest_waits() {
    let world = World::shared().await;
    world.api.fulfilled().await;
    world
        .api
        .request(&json!({"min": 1, "max": 6, "delay_seconds": 600}))
        .await;
    let status = offchain(&["status", "--json"]).await.json();
    assert_eq!(status["name"], world.stack.name);
    let vrf = &status["vrf"];
    assert!(vrf["fulfilled"].as_u64() >= Some(1), "{vrf}");
    assert!(vrf["pending"].as_u64() >= Some(1), "{vrf}");
    assert!(vrf["oldest_pending"]["request_id"].is_string(), "{vrf}");
    assert!(vrf["lateness"]["p99_ms"].as_i64() >= Some(0), "{vrf}");
    let queues = status["queues"].as_array().unwrap();
    assert_eq!(queues.len(), world.stack.queues.len());
    assert!(status["alarms"].as_array().unwrap().len() > queues.len());
    let keys = offchain(&["vrf", "keys", "--json"]).await.json();
    assert_eq!(
        keys["keys"].as_array().unwrap().len(),
        world.api.keys().await.len()
    );
}

#[tokio::test]
async fn a_token_opens_the_api_until_it_is_revoked() {
    let _world = World::alone().await;
    let name = unique();
    let made = offchain(&["vrf", "token", "create", "--name", &name, "--json"])
        .await
        .json();
    assert_eq!(made["name"], name);
    let token = made["token"].as_str().unwrap().to_owned();
    let listed = async || offchain(&["vrf", "token", "list", "--json"]).await.json();
    assert!(listed().await.as_array().unwrap().contains(&json!(name)));
    // Only the hash is kept.
    assert!(
        !offchain(&["vrf", "token", "list"])
            .await
            .succeeded()
            .contains(&token)
    );

    let request = ["vrf", "request", "--min", "1", "--max", "6", "--json"];
    let as_it = async || offchain_with(&request, "", &[("OFFCHAIN_API_TOKEN", Some(&token))]).await;
    until("the token to be taken", SOON, async || {
        (as_it().await.code == Some(0)).then_some(())
    })
    .await;

    let revoked = offchain(&["vrf", "token", "revoke", "--name", &name, "--json"])
        .await
        .json();
    assert_eq!(revoked["revoked"], name);
    assert!(!listed().await.as_array().unwrap().contains(&json!(name)));
    // Running functions may remember it for a minute; a new one does not.
    let _restarted = _world.set_env("api", &[("LOG_LEVEL", Some("debug"))]).await;
    let refused = as_it().await;
    assert_eq!(refused.code, Some(3), "{refused:?}");
    assert!(refused.stderr.contains("TokenInvalid"), "{refused:?}");
    let again = offchain(&["vrf", "token", "revoke", "--name", &name]).await;
    assert_eq!(again.code, Some(2), "{again:?}");
}
