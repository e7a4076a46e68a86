//! What the faucet's functions do with each of their permissions: the flows
//! that [`crate::iam`] takes permissions away from.

use jiff::{SignedDuration, Timestamp};
use offchain_faucet::{Challenge, ProofOfWork, challenge, random_claim_id};
use offchain_store::faucet::{Claims, Counted, Desk, Limits, Reservation, Reserved};
use serde_json::{Value, json};

use crate::faults::{LAST, accepted, delivery, read, refused};
use crate::harness::{World, attribute, unique};
use crate::iam::{Flow, answered, told};
use crate::runtime_api::Function;
use crate::twin::Twin;

/// How a flow ended: `Err` holds the code, and what was said.
type Ended = Result<(), (String, String)>;

/// A machine that is not there.
const NO_MACHINE: &str = "arn:aws:states:us-east-1:000000000000:stateMachine:no-such-machine";

pub(crate) async fn run(twin: &Twin, role: &str, flow: Flow) -> Ended {
    let world = &twin.world;
    if matches!(flow, Flow::Receive) {
        let faucet = world.faucet();
        let id = faucet.accepted(&faucet.new_address()).await;
        faucet.paid(&id).await;
        return Ok(());
    }
    // Else the deployed payer, woken by what another flow has left, would be first.
    let held = world.hold_messages_of("faucet-pay").await;
    let ended = flow_of(twin, role, flow).await;
    let queue = &world.stack.faucet.queue_url;
    let purge = world.sqs.purge_queue().queue_url(queue);
    purge.send().await.unwrap();
    drop(held);
    ended
}

async fn flow_of(twin: &Twin, role: &str, flow: Flow) -> Ended {
    let (world, url) = (&twin.world, twin.url());
    let with =
        async |variables: &[(&str, &str)]| Function::start_with(world, role, &url, variables).await;
    match flow {
        Flow::TakeClaim => {
            let reply = with(&[]).await.invoke(&claim(world, "")).await;
            answered(reply.clone())?;
            let (_, claim) = read(&reply.unwrap());
            is_woken(world, claim["claim_id"].as_str().unwrap()).await
        }
        Flow::TakeSolved => take_solved(world, &url).await,
        Flow::ShowClaim => {
            let id = reserve(world, None, LONG).await;
            let mut event = event("GET", "/v1/claims/{id}");
            event["pathParameters"] = json!({"id": id});
            answered(with(&[]).await.invoke(&event).await)
        }
        Flow::FaucetStatus => answered(with(&[]).await.invoke(&event("GET", "/v1/status")).await),
        Flow::Pay => {
            let id = reserve(world, None, LONG).await;
            paid(world, &with(&[]).await).await?;
            let claim = world.faucet().item(&id).await;
            is_followed(world, claim.sequence.unwrap()).await
        }
        Flow::PayLost => {
            // Older payouts are looked for where the newest ones are later ones.
            let payout = changed(world, "FAUCET_PAYOUT", |policy| {
                policy["in_flight"] = 1.into()
            });
            let function = with(&[("FAUCET_PAYOUT", &payout)]).await;
            pay_lost(world, &function).await
        }
        Flow::GiveUp => {
            reserve(world, Some(&reverting(world).await), LONG).await;
            paid(world, &with(&[]).await).await
        }
        Flow::RefuseWake => refuse(world, &with(&[]).await).await,
        Flow::Confirm => {
            let look = sent(world, &url).await;
            told(with(&[]).await.invoke(&look).await)?;
            let wake = json!({"sequence": look["sequence"]});
            is_woken(world, &wake.to_string()).await
        }
        Flow::ConfirmFailed => {
            let look = failing(world, &url).await;
            let payout = changed(world, "FAUCET_PAYOUT", |policy| {
                policy["attempts"] = 1.into()
            });
            let function = with(&[("FAUCET_PAYOUT", &payout)]).await;
            told(function.invoke(&look).await)
        }
        Flow::SweepPayouts => {
            let look = sent(world, &url).await;
            told(with(&[]).await.invoke(&sweep()).await)?;
            let (account, sequence) = (look["account"].as_str(), look["sequence"].as_u64());
            let payouts = world.faucet().payouts;
            let payout = payouts.get(account.unwrap(), sequence.unwrap()).await;
            match payout.unwrap().unwrap().status.is_open() {
                false => Ok(()),
                true => Err(("NotSettled".to_owned(), String::new())),
            }
        }
        Flow::SweepExpired => {
            reserve(world, None, SignedDuration::ZERO).await;
            told(with(&[]).await.invoke(&sweep()).await)
        }
        Flow::SweepWaiting => {
            reserve(world, None, LONG).await;
            told(with(&[]).await.invoke(&sweep()).await)
        }
        other => panic!("the faucet has no {other:?}"),
    }
}

/// How long a claim may wait that is not to expire.
const LONG: SignedDuration = SignedDuration::from_hours(1);

fn sweep() -> Value {
    json!({"action": "sweep"})
}

async fn refuse(world: &World, function: &Function) -> Ended {
    let body = format!("no wake: {}", unique());
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

/// The event that the HTTP API makes of a request.
fn event(method: &str, path: &str) -> Value {
    json!({
        "version": "2.0",
        "routeKey": format!("{method} {path}"),
        "rawPath": path,
        "headers": {"content-type": "application/json", "prefer": "respond-async"},
        "requestContext": {"http": {"method": method, "path": path, "sourceIp": "10.7.7.7"}},
        "isBase64Encoded": false,
    })
}

fn claim(world: &World, response: &str) -> Value {
    let address = world.faucet().new_address();
    let mut event = event("POST", "/v1/claim");
    event["body"] = json!({"address": address, "response": response})
        .to_string()
        .into();
    event
}

/// A policy with a change.
fn changed(world: &World, name: &str, change: impl FnOnce(&mut Value)) -> String {
    let text = &world.stack.faucet.environment[name];
    let mut policy = serde_json::from_str(text).unwrap();
    change(&mut policy);
    policy.to_string()
}

/// Whether a message that holds a text wakes the payer, which does not read it.
async fn is_woken(world: &World, text: &str) -> Ended {
    match world.messages_about("faucet-claims", text).await.as_slice() {
        [] => Err(("NotWoken".to_owned(), String::new())),
        _ => Ok(()),
    }
}

async fn take_solved(world: &World, url: &str) -> Ended {
    let work = ProofOfWork {
        bits: 1,
        valid_seconds: 300,
    };
    let policy = changed(world, "FAUCET_POLICY", |policy| {
        policy["proof_of_work"] = json!({"bits": work.bits, "valid_seconds": work.valid_seconds});
    });
    let variables = [("FAUCET_POLICY", policy.as_str())];
    let function = Function::start_with(world, "faucet-api", url, &variables).await;
    let secret = world.secret(&world.stack.faucet.intake_secret_arn).await;
    let secret: Value = serde_json::from_str(&secret).unwrap();
    let key = hex::decode(secret["challenge_key"].as_str().unwrap()).unwrap();
    let address = world.faucet().new_address();
    let now = Timestamp::now();
    let challenge = Challenge::issue(&key, &address, now, &work, rand::random()).text;
    let tries = (0_u32..).map(|nonce| format!("{challenge}:{nonce}"));
    let mut solved =
        tries.filter(|it| challenge::verify(&key, &address, it, Timestamp::now(), &work).is_ok());
    let mut event = claim(world, "");
    let body = json!({"address": address, "response": solved.next().unwrap()});
    event["body"] = body.to_string().into();
    answered(function.invoke(&event).await)
}

/// Writes a claim down as faucet-api does, and wakes nobody.
async fn reserve(world: &World, address: Option<&str>, patience: SignedDuration) -> String {
    let stack = &world.stack.faucet;
    let desk = Desk {
        claims: Claims::new(world.dynamodb.clone(), stack.table.clone()),
        limits: Limits::new(world.dynamodb.clone(), stack.limits_table.clone()),
    };
    let new = world.faucet().new_address();
    let id = random_claim_id(rand::random());
    let reserved = desk
        .reserve(&Reservation {
            claim_id: &id,
            address: address.unwrap_or(&new),
            amount: 1,
            now: Timestamp::now(),
            patience,
            retention: SignedDuration::from_hours(24),
            limits: Some(Counted {
                source: "10.7.7.7",
                address_cooldown: std::time::Duration::from_secs(3600),
                source_claims: 1_000_000,
                source_window: std::time::Duration::from_secs(3600),
                daily_budget: u128::MAX >> 8,
            }),
            challenge: None,
        })
        .await
        .unwrap();
    assert!(matches!(reserved, Reserved::New(_)), "{reserved:?}");
    id
}

/// Has faucet-pay run; what it cannot do the last time goes away with its reason.
async fn paid(world: &World, function: &Function) -> Ended {
    // Each wake is its own.
    let body = format!(r#"{{"waiting":{}}}"#, rand::random::<u32>());
    let reply = function.invoke(&delivery(&body, LAST)).await.unwrap();
    assert_eq!(reply, accepted());
    match letters(world, &body).await.as_slice() {
        [] => Ok(()),
        [letter] => {
            let said = |name| attribute(letter, name).unwrap();
            Err((said("ErrorCode"), said("ErrorMessage")))
        }
        letters => panic!("{} dead letters for one message", letters.len()),
    }
}

async fn letters(world: &World, body: &str) -> Vec<aws_sdk_sqs::types::Message> {
    world
        .dead_letters("faucet-claims-dlq", |letter| letter.body() == Some(body))
        .await
}

/// Whether an execution has the name of a payout.
async fn is_followed(world: &World, sequence: u64) -> Ended {
    let list = world.sfn.list_executions();
    let list = list.state_machine_arn(&world.stack.faucet.state_machine_arn);
    let name = format!("{}-{sequence}-", world.stack.faucet.network);
    let mut pages = list.into_paginator().items().send();
    while let Some(execution) = pages.next().await {
        if execution.unwrap().name.starts_with(&name) {
            return Ok(());
        }
    }
    Err(("NotFollowed".to_owned(), String::new()))
}

/// Makes the chain forget the account's transactions, until the end.
async fn pay_lost(world: &World, function: &Function) -> Ended {
    let faucet = world.faucet();
    let (node, sender) = (faucet.node(), faucet.sender().await);
    // So many that the oldest is not among the newest.
    while faucet.payouts_of(&sender).await.len() < 4 {
        reserve(world, None, LONG).await;
        paid(world, function).await.unwrap();
    }
    let nonce = node.nonce(&sender).await;
    let lost = nonce.saturating_sub(4);
    node.rpc("anvil_setNonce", json!([sender, format!("{lost:#x}")]))
        .await;
    let ended = paid(world, function).await;
    node.rpc("anvil_setNonce", json!([sender, format!("{nonce:#x}")]))
        .await;
    ended
}

/// The address of a contract that takes no coins.
async fn reverting(world: &World) -> String {
    let faucet = world.faucet();
    let contract = faucet.new_address();
    let code = json!([contract, "0x60006000fd"]);
    faucet.node().rpc("anvil_setCode", code).await;
    contract
}

/// A payout that a block has, and that nobody follows: where faucet-confirm
/// finds it.
async fn sent(world: &World, url: &str) -> Value {
    let id = reserve(world, None, LONG).await;
    unfollowed(world, url, &id).await
}

/// Likewise, whose transaction failed.
async fn failing(world: &World, url: &str) -> Value {
    let faucet = world.faucet();
    let node = faucet.node();
    node.rpc("evm_setAutomine", json!([false])).await;
    let address = faucet.new_address();
    let id = reserve(world, Some(&address), LONG).await;
    let payout = unfollowed(world, url, &id).await;
    // It was none when the transaction was signed.
    let code = json!([address, "0x60006000fd"]);
    node.rpc("anvil_setCode", code).await;
    node.rpc("anvil_mine", json!([1])).await;
    node.rpc("evm_setAutomine", json!([true])).await;
    payout
}

async fn unfollowed(world: &World, url: &str, id: &str) -> Value {
    let variables = [("FAUCET_STATE_MACHINE_ARN", NO_MACHINE)];
    let function = Function::start_with(world, "faucet-pay", url, &variables).await;
    paid(world, &function).await.unwrap();
    let claim = world.faucet().item(id).await;
    json!({"account": world.faucet().sender().await, "sequence": claim.sequence})
}
