//! The faucet's flow: a claim is answered, paid and told of, once.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use aws_sdk_sfn::types::{ExecutionStatus, HistoryEvent, HistoryEventType};
use futures_util::future::join_all;
use offchain_faucet::{ClaimStatus, PayoutStatus};
use reqwest::Method;
use serde_json::{Value, json};

use crate::chain::{Anvil, Testnet, quantity};
use crate::faucet_world::{ASYNC, faucet_claim, point_faucet_at};
use crate::garbage::is_problem;
use crate::harness::{Reply, SOON, World, unique, until};
use crate::twin::Twin;

/// What a claim is paid on the tests' stack (tests/stack.tfvars).
const AMOUNT: u128 = 1_000_000_000_000_000;
/// A page that may claim there.
const PAGE: &str = "https://faucet.example";

/// The names of an object's members.
fn members(value: &Value) -> BTreeSet<&str> {
    value
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect()
}

fn header<'a>(reply: &'a Reply, name: &str) -> Option<&'a str> {
    Some(reply.headers.get(name)?.to_str().unwrap())
}

/// The execution that follows a payout, once it has ended.
pub(crate) async fn followed(world: &World, sequence: u64) -> (ExecutionStatus, Vec<HistoryEvent>) {
    let name = format!("{}-{sequence}-", world.stack.faucet.network);
    let machine = &world.stack.faucet.state_machine_arn;
    let (arn, status) = until("the payout's execution to end", SOON, async || {
        let list = world.sfn.list_executions().state_machine_arn(machine);
        let mut pages = list.into_paginator().send();
        while let Some(page) = pages.next().await {
            for execution in page.unwrap().executions {
                if execution.name.starts_with(&name) && execution.status != ExecutionStatus::Running
                {
                    return Some((execution.execution_arn, execution.status));
                }
            }
        }
        None
    })
    .await;
    let history = world.sfn.get_execution_history().execution_arn(arn);
    let history = history.max_results(1000).send().await.unwrap();
    (status, history.events)
}

/// The states that an execution has entered, in order.
pub(crate) fn states(history: &[HistoryEvent]) -> Vec<&str> {
    let entered = history
        .iter()
        .filter_map(HistoryEvent::state_entered_event_details);
    entered.map(|details| details.name()).collect()
}

#[tokio::test]
async fn a_claim_is_paid_once_and_told_of_in_the_originals_words() {
    let world = World::shared().await;
    let faucet = world.funded_faucet().await;
    let node = faucet.node();
    let reply = world.api.get("/").await;
    let greeting = json!({
        "message": "",
        "name": world.stack.faucet.network,
        "version": env!("CARGO_PKG_VERSION"),
    });
    assert_eq!((reply.status, reply.body), (200, greeting));

    // As a wallet may write it, without the checksum.
    let address = faucet.new_address();
    let reply = faucet.claim(&address.to_lowercase()).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(header(&reply, "content-type"), Some("application/json"));
    for name in ["limit", "remaining", "reset"] {
        let value = header(&reply, &format!("x-ratelimit-{name}")).unwrap();
        assert!(value.parse::<u32>().is_ok(), "{name}: {value}");
    }
    let (id, hash) = (text(&reply.body, "claim_id"), text(&reply.body, "hash"));
    let height = reply.body["height"].as_u64().unwrap();
    let whole = json!({
        "message": "transaction committed", "hash": hash, "height": height, "claim_id": id,
    });
    assert_eq!(reply.body, whole);
    assert!(id.len() == 32 && hex::decode(id).is_ok(), "{id}");

    // The chain says the same.
    assert_eq!(node.balance(&address).await, AMOUNT);
    let receipt = node.receipt(hash).await;
    assert_eq!(receipt["status"], "0x1", "{receipt}");
    assert_eq!(quantity::<u64>(&receipt["blockNumber"]), height);

    let claim = faucet.paid(id).await;
    assert_eq!(claim.address, address);
    let shown = faucet.show(id).await;
    assert_eq!(
        shown,
        json!({
            "claim_id": id, "status": "paid", "message": "transaction committed",
            "address": address, "amount": AMOUNT.to_string(), "hash": hash, "height": height,
            "created_time": claim.created_time.to_string(),
            "updated_time": claim.updated_time.to_string(),
            "deadline": claim.deadline.to_string(),
        })
    );

    let sequence = claim.sequence.unwrap();
    let sender = faucet.sender().await;
    let payout = faucet
        .payouts
        .get(&sender, sequence)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(payout.status, PayoutStatus::Paid);
    assert_eq!(payout.hash.as_deref(), Some(hash));
    let of_it = payout
        .transfers
        .iter()
        .filter(|transfer| transfer.claim_id == id);
    let of_it: Vec<_> = of_it
        .map(|transfer| (&transfer.address, transfer.amount.as_str()))
        .collect();
    assert_eq!(of_it, [(&address, AMOUNT.to_string().as_str())]);
    let (status, history) = followed(&world, sequence).await;
    assert_eq!(status, ExecutionStatus::Succeeded);
    let states = states(&history);
    assert_eq!(states.first(), Some(&"WaitForBlock"), "{states:?}");
    assert_eq!(states.last(), Some(&"Paid"), "{states:?}");
    let looks = history
        .iter()
        .filter(|event| event.r#type == HistoryEventType::TaskSucceeded);
    assert!(looks.count() >= 1, "{states:?}");
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    let text = value[name].as_str();
    text.unwrap_or_else(|| panic!("{name}: expected a text: {value}"))
}

#[tokio::test]
async fn a_claim_that_waits_for_nothing_is_told_of_at_every_step() {
    let mut twin = Twin::quiet("faucet-steps").await;
    let chain = Anvil::start(&["--no-mining"]).await;
    let (policy, payout) = (json!({"wait_seconds": 2}), json!({"confirmations": 2}));
    let (_, sender) = point_faucet_at(&mut twin.world, &chain.settings(), &policy, &payout).await;
    chain.fund(&sender, 1000 * AMOUNT).await;
    chain.rpc("anvil_mine", json!([1])).await;
    let world = &twin.world;
    let faucet = world.faucet();
    let address = faucet.new_address();
    let key = unique();
    let again = async |prefer: &str| {
        let headers = [("idempotency-key", key.as_str()), ("prefer", prefer)];
        faucet.claim_with(&address, &headers).await
    };

    let held = world.hold_messages_of("faucet-pay").await;
    let reply = again("respond-async").await;
    let id = text(&reply.body, "claim_id").to_owned();
    let url = format!("/v1/claims/{id}");
    let accepted = |status: &str| {
        json!({
            "message": "claim accepted", "claim_id": id, "status": status, "status_url": url,
        })
    };
    assert_eq!((reply.status, &reply.body), (202, &accepted("queued")));
    assert_eq!(header(&reply, "location"), Some(url.as_str()));
    assert_eq!(header(&reply, "retry-after"), Some("1"));
    let shown = faucet.show(&id).await;
    assert_eq!(
        (text(&shown, "status"), text(&shown, "reason")),
        ("queued", "waiting")
    );
    assert_eq!(text(&shown, "message"), "claim accepted");
    assert!(
        shown.get("hash").is_none() && shown.get("height").is_none(),
        "{shown}"
    );
    assert_eq!(faucet.status().await["queue"]["waiting"], 1);

    // As long as the caller says, and never longer than the faucet does.
    for (prefer, least, most) in [
        ("wait=1", 1, 10),
        ("wait=3600", 2, 10),
        ("handling=lenient", 2, 10),
    ] {
        let began = Instant::now();
        let reply = again(prefer).await;
        assert_eq!(
            (reply.status, &reply.body),
            (202, &accepted("queued")),
            "{prefer}"
        );
        let waited = began.elapsed();
        assert!(waited >= Duration::from_secs(least), "{prefer}: {waited:?}");
        assert!(waited < Duration::from_secs(most), "{prefer}: {waited:?}");
    }

    drop(held);
    let sent = faucet.reached(&id, ClaimStatus::Sent).await;
    let reply = again("respond-async").await;
    assert_eq!((reply.status, &reply.body), (202, &accepted("sent")));
    let shown = faucet.show(&id).await;
    assert_eq!(text(&shown, "message"), "transaction sent");
    assert_eq!(shown["hash"], json!(sent.hash));
    assert!(shown.get("height").is_none(), "{shown}");

    chain.rpc("anvil_mine", json!([1])).await;
    let committed = faucet.reached(&id, ClaimStatus::Committed).await;
    assert_eq!(chain.balance(&address).await, AMOUNT);
    let reply = again("respond-async").await;
    let (hash, height) = (committed.hash.unwrap(), committed.height.unwrap());
    let told = json!({
        "message": "transaction committed", "hash": hash, "height": height, "claim_id": id,
    });
    assert_eq!((reply.status, &reply.body), (200, &told));
    let payout = faucet.payouts_of(&sender).await.remove(0);
    assert_eq!(payout.status, PayoutStatus::Committed);

    chain.rpc("anvil_mine", json!([1])).await;
    let paid = faucet.paid(&id).await;
    assert_eq!((paid.hash.unwrap(), paid.height.unwrap()), (hash, height));
    assert_eq!(again("respond-async").await.body, told);
    assert_eq!(chain.sent(&sender).await.len(), 1);
    let (status, history) = followed(world, 0).await;
    assert_eq!(status, ExecutionStatus::Succeeded);
    assert_eq!(states(&history).last(), Some(&"Paid"));
}

#[tokio::test]
async fn a_claim_that_is_made_again_is_the_same_claim() {
    let world = World::shared().await;
    let faucet = world.funded_faucet().await;
    let address = faucet.new_address();
    let key = unique();
    let claim = async |address: &str| {
        let headers = [("idempotency-key", key.as_str())];
        faucet.claim_with(address, &headers).await
    };
    let replies = join_all((0..10).map(|_| claim(&address))).await;
    let ids: BTreeSet<_> = replies
        .iter()
        .map(|reply| text(&reply.body, "claim_id"))
        .collect();
    assert_eq!(ids.len(), 1, "{replies:?}");
    let id = replies[0].body["claim_id"].as_str().unwrap();
    assert!(
        replies
            .iter()
            .all(|reply| reply.status == 200 || reply.status == 202),
        "{replies:?}"
    );
    let paid = faucet.paid(id).await;
    // Later, and written in another way.
    for spelling in [address.clone(), address.to_lowercase()] {
        let reply = claim(&spelling).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        assert_eq!(text(&reply.body, "claim_id"), id);
        assert_eq!(reply.body["hash"], json!(paid.hash));
    }
    let reply = claim(&faucet.new_address()).await;
    is_problem(&reply, 409, "IdempotencyKeyReused", "another address");
    assert_eq!(reply.body["message"], reply.body["detail"]);

    let payouts = faucet.payouts_of(&faucet.sender().await).await;
    let mut transfers = payouts.iter().flat_map(|payout| &payout.transfers);
    assert_eq!(
        transfers
            .clone()
            .filter(|transfer| transfer.claim_id == id)
            .count(),
        1
    );
    assert!(transfers.any(|transfer| transfer.address == address));
    assert_eq!(faucet.node().balance(&address).await, AMOUNT);

    // Without a key it is another claim, and the address has had its own.
    let reply = faucet.claim(&address).await;
    is_problem(&reply, 429, "AddressCooldown", "a second claim");
}

#[tokio::test]
async fn pages_of_listed_origins_may_claim_and_no_others() {
    let world = World::shared().await;
    let faucet = world.funded_faucet().await;
    let preflight = async |path: &str, origin: &str| {
        let headers = [
            ("origin", origin),
            ("access-control-request-method", "POST"),
            (
                "access-control-request-headers",
                "content-type,idempotency-key",
            ),
        ];
        let reply = world.api.send(Method::OPTIONS, path, &headers, "").await;
        assert_eq!(
            (reply.status, reply.text.as_str()),
            (204, ""),
            "{path} {origin}"
        );
        assert_eq!(header(&reply, "vary"), Some("origin"));
        reply
    };
    for (path, methods) in [
        ("/v1/claim", "POST, OPTIONS"),
        (
            "/v1/claims/0123456789abcdef0123456789abcdef",
            "GET, OPTIONS",
        ),
        ("/v1/challenge", "GET, OPTIONS"),
        ("/v1/status", "GET, OPTIONS"),
    ] {
        let reply = preflight(path, PAGE).await;
        assert_eq!(
            header(&reply, "access-control-allow-origin"),
            Some(PAGE),
            "{path}"
        );
        assert_eq!(
            header(&reply, "access-control-allow-methods"),
            Some(methods),
            "{path}"
        );
        assert_eq!(
            header(&reply, "access-control-allow-headers"),
            Some("content-type, idempotency-key, prefer")
        );
        assert!(header(&reply, "access-control-max-age").is_some());
    }
    let others = [
        "https://evil.example",
        "http://faucet.example",
        "https://faucet.example:8443",
        "https://faucet.example.evil.example",
        "null",
    ];
    for origin in others {
        let reply = preflight("/v1/claim", origin).await;
        let allowed = reply.headers.keys();
        let allowed: Vec<_> = allowed
            .filter(|name| name.as_str().starts_with("access-control-allow"))
            .collect();
        assert!(allowed.is_empty(), "{origin}: {allowed:?}");
        let address = faucet.new_address();
        let reply = faucet
            .claim_with(&address, &[("origin", origin), ASYNC])
            .await;
        is_problem(&reply, 403, "OriginNotAllowed", origin);
        assert_eq!(
            header(&reply, "access-control-allow-origin"),
            None,
            "{origin}"
        );
        assert!(
            faucet
                .limits(&format!("address#{address}"))
                .await
                .is_empty()
        );
    }
    // What anyone may read, anyone may read from a page of theirs that is listed.
    let reply = world
        .api
        .send(Method::GET, "/v1/status", &[("origin", PAGE)], "")
        .await;
    assert_eq!(header(&reply, "access-control-allow-origin"), Some(PAGE));

    // The faucet's own page is of no other origin than what it asks.
    let own = world.stack.api_url.trim_end_matches('/').to_owned();
    for origin in [PAGE, own.as_str()] {
        let headers = [("origin", origin), ASYNC];
        let reply = faucet.claim_with(&faucet.new_address(), &headers).await;
        assert_eq!(reply.status, 202, "{origin}: {reply:?}");
        let listed = (origin == PAGE).then_some(PAGE);
        assert_eq!(header(&reply, "access-control-allow-origin"), listed);
        if listed.is_some() {
            let exposed = header(&reply, "access-control-expose-headers").unwrap();
            for name in ["location", "retry-after", "x-ratelimit-reset"] {
                assert!(exposed.contains(name), "{exposed}");
            }
        }
    }
}

#[tokio::test]
async fn the_page_comes_with_a_policy_that_lets_it_load_its_own_files_only() {
    let world = World::shared().await;
    let page = world.api.get("/faucet").await;
    assert_eq!(page.status, 200, "{page:?}");
    assert_eq!(
        header(&page, "content-type"),
        Some("text/html; charset=utf-8")
    );
    let policy = header(&page, "content-security-policy").unwrap();
    for directive in [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "worker-src 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ] {
        let mut found = policy.split(';').map(str::trim);
        assert!(
            found.any(|found| found == directive),
            "{directive}: {policy}"
        );
    }
    assert!(
        !policy.contains("unsafe") && !policy.contains("http"),
        "{policy}"
    );
    for (file, kind) in [
        ("app.js", "text/javascript; charset=utf-8"),
        ("worker.js", "text/javascript; charset=utf-8"),
        ("style.css", "text/css; charset=utf-8"),
    ] {
        let reply = world.api.get(&format!("/faucet/{file}")).await;
        assert_eq!(reply.status, 200, "{file}");
        assert_eq!(header(&reply, "content-type"), Some(kind), "{file}");
        assert_eq!(
            header(&reply, "x-content-type-options"),
            Some("nosniff"),
            "{file}"
        );
        assert!(!reply.text.is_empty(), "{file}");
        if file != "worker.js" {
            assert!(page.text.contains(file), "the page does not load {file}");
        }
    }
    for file in ["index.html", "app.js.map", "App.js"] {
        let reply = world.api.get(&format!("/faucet/{file}")).await;
        is_problem(&reply, 404, "RouteNotFound", file);
    }
}

#[tokio::test]
async fn the_status_says_what_there_is_and_what_is_demanded() {
    let world = World::shared().await;
    let faucet = world.funded_faucet().await;
    let before = faucet.status().await;
    let claim = faucet_claim(&world).await;
    let status = faucet.status().await;
    assert_eq!(
        members(&status),
        BTreeSet::from([
            "account",
            "amount",
            "balance",
            "budget",
            "captcha",
            "decimals",
            "height",
            "name",
            "observed_time",
            "proof_of_work",
            "queue",
            "reason",
            "status",
            "symbol",
            "throttle",
            "version",
        ])
    );
    assert_eq!(text(&status, "name"), world.stack.faucet.network);
    assert_eq!(text(&status, "account"), faucet.sender().await);
    assert_eq!(text(&status, "amount"), claim.amount);
    assert_eq!(
        (text(&status, "symbol"), &status["decimals"]),
        ("ETH", &json!(18))
    );
    assert_eq!(status["captcha"], Value::Null);
    assert_eq!(status["proof_of_work"], Value::Null);
    assert_eq!(status["throttle"], json!({"per_minute": 6000}));
    assert!(status["height"].as_u64().unwrap() > 0, "{status}");
    let left = |status: &Value| text(&status["budget"], "left").parse::<u128>().unwrap();
    assert!(left(&before) - left(&status) >= AMOUNT, "{before} {status}");
    assert_eq!(
        members(&status["queue"]),
        BTreeSet::from(["oldest_seconds", "waiting"])
    );

    let long = "0".repeat(500);
    for id in [
        &*"0".repeat(32),
        "nothing",
        &claim.claim_id.to_uppercase(),
        &long,
    ] {
        let reply = world.api.get(&format!("/v1/claims/{id}")).await;
        is_problem(&reply, 404, "ClaimNotFound", id);
    }
    let path = format!("/v1/challenge?address={}", claim.address);
    let reply = world.api.get(&path).await;
    is_problem(&reply, 404, "ChallengeNotConfigured", "no proof of work");
}
