//! Faults of the payer and its tables, on a twin: whatever breaks, nothing is
//! paid twice and nothing is lost. Faults of the chain itself (reorganisations,
//! dropped, stuck and failed transactions, nodes that are dead, slow, behind or
//! of another chain, foreign transactions) are in `faucet_chain_faults`. The
//! table at the end says how each fault is made.
//!
//! The same faults at every call of every run, one by one and in any mixture,
//! are in `crates/faucet-service/tests/payouts`, where all of it is in memory.

use std::time::Duration;

use futures_util::future::join_all;
use offchain_faucet::{ClaimStatus, PayoutStatus};
use offchain_store::faucet::{LockError, Payout};
use serde_json::{Value, json};

use crate::chain::{Anvil, Testnet};
use crate::faucet_chain_faults::{each_paid_once, flag, paid_after_sweeps, payout_policy};
use crate::faucet_world::{Faucet, point_faucet_at};
use crate::faults::{LAST, accepted, delivery, refused};
use crate::harness::{SOON, Undo, World, attribute, unique, until};
use crate::proxy::{ALWAYS, Fault, Proxy};
use crate::runtime_api::{Function, Outcome};
use crate::twin::Twin;

/// What a claim is paid.
const WEI: u128 = 1_000_000_000_000_000;
const THROTTLED: Fault = Fault::Refused(400, "ThrottlingException");
/// How long a lease lasts that nobody renews.
const LEASE: Duration = Duration::from_secs(1);

/// A faucet whose queue wakes nobody: the test runs the payer itself. Proxies
/// stand between that process and AWS, and between the faucet and its chain,
/// whose calls are known by their bodies alone.
struct Scene {
    aws: Proxy,
    node: Proxy,
    chain: Anvil,
    sender: String,
    _held: Undo,
    twin: Twin,
}

/// The call of a transaction that is sent.
const SEND: (&str, &str) = ("", "eth_sendRawTransaction");

impl Scene {
    async fn named(name: &str, options: &[&str]) -> Self {
        let mut twin = Twin::quiet(name).await;
        let chain = Anvil::start(options).await;
        let aws = Proxy::before(&twin.url()).await;
        let node = Proxy::before(chain.url()).await;
        let mut settings = chain.settings();
        settings["nodes"] = json!([{"url": node.url()}]);
        let sender = pointed(&mut twin, &chain, &settings).await;
        let held = twin.world.hold_messages_of("faucet-pay").await;
        Self {
            aws,
            node,
            chain,
            sender,
            _held: held,
            twin,
        }
    }

    fn world(&self) -> &World {
        &self.twin.world
    }

    fn faucet(&self) -> Faucet<'_> {
        self.twin.world.faucet()
    }

    async fn start(&self, role: &str) -> Function {
        Function::start(self.world(), role, self.aws.url()).await
    }

    fn heal(&self) {
        self.aws.heal();
        self.node.heal();
    }

    /// A claim that waits for a payer.
    async fn claim(&self) -> String {
        let faucet = self.faucet();
        faucet.accepted(&faucet.new_address()).await
    }

    async fn payouts(&self) -> Vec<Payout> {
        self.faucet().payouts_of(&self.sender).await
    }

    /// Waits until each claim is paid, sweeping meanwhile, and checks that it
    /// was paid once.
    async fn paid_once(&self, ids: &[String]) -> Vec<Payout> {
        let faucet = self.faucet();
        for id in ids {
            paid_after_sweeps(&faucet, id).await;
        }
        let (sent, payouts) = each_paid_once(&faucet, &*self.chain, &self.sender, ids, WEI).await;
        assert_eq!(sent.len(), payouts.len(), "{sent:?} {payouts:?}");
        assert!(sent.iter().all(|sent| sent.made), "{sent:?}");
        payouts
    }
}

/// Points the faucet at a chain, and gives its account coins.
async fn pointed(twin: &mut Twin, chain: &Anvil, settings: &Value) -> String {
    let policy = json!({"amount": WEI.to_string()});
    let payout = payout_policy(&json!({"lease_seconds": LEASE.as_secs()}));
    let (_, sender) = point_faucet_at(&mut twin.world, settings, &policy, &payout).await;
    chain.fund(&sender, 10_000 * WEI).await;
    chain.rpc("anvil_mine", json!([1])).await;
    sender
}

/// The message that wakes a payer for a claim.
fn wake(id: &str) -> String {
    json!({"claim_id": id}).to_string()
}

/// Wakes a payer, and returns whether all went well.
async fn pays(payer: &Function, id: &str) -> bool {
    let event = delivery(&wake(id), 1);
    let reply = payer.invoke(&event).await.unwrap();
    assert!(reply == accepted() || reply == refused(&event), "{reply}");
    reply == accepted()
}

/// Wakes payers until all goes well: a lease that nobody gave back expires.
async fn pays_in_the_end(payer: &Function, id: &str) {
    until("a run that goes well", SOON, async || {
        pays(payer, id).await.then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_payer_killed_anywhere_is_made_up_for_by_the_next() {
    let scene = Scene::named("faucet-payer-killed", &["--block-time", "1"]).await;
    let (aws, node) = (&scene.aws, &scene.node);
    let mut ids = Vec::new();
    let mut payer = scene.start("faucet-pay").await;
    use ClaimStatus::{Queued, Sent};
    use Fault::{ReplyHeld, Unheard};
    for (proxy, operation, holding, fault, left) in [
        // Before anything is signed.
        (aws, "GetSecretValue", "", Unheard, Queued),
        (aws, "UpdateItem", "ADD #token", Unheard, Queued),
        (aws, "UpdateItem", "ADD #token", ReplyHeld, Queued),
        (aws, "UpdateItem", "accountnumber", Unheard, Queued),
        (aws, "Query", "open-claims", Unheard, Queued),
        // It is signed, and not stored.
        (aws, "TransactWriteItems", "", Unheard, Queued),
        // It is stored, and not sent.
        (aws, "TransactWriteItems", "", ReplyHeld, Sent),
        (node, SEND.0, SEND.1, Unheard, Sent),
        // It is sent, and that is not noted.
        (node, SEND.0, SEND.1, ReplyHeld, Sent),
        (aws, "UpdateItem", "wants_version", Unheard, Sent),
        // All is done, and nobody follows it or is told.
        (aws, "UpdateItem", ":free,", Unheard, Sent),
        (aws, "StartExecution", "", Unheard, Sent),
        (aws, "StartExecution", "", ReplyHeld, Sent),
    ] {
        let point = format!("{operation} {holding} {fault:?}");
        let id = scene.claim().await;
        proxy.fail(operation, holding, ALWAYS, fault);
        payer.begin(&unique(), &delivery(&wake(&id), 1));
        proxy.struck().await;
        payer.kill();
        scene.heal();
        let claim = scene.faucet().item(&id).await;
        // One that was sent may be in a block by now.
        let waits = claim.status == Queued;
        assert_eq!(waits, left == Queued, "{point}: {claim:?}");
        payer = scene.start("faucet-pay").await;
        pays_in_the_end(&payer, &id).await;
        ids.push(id);
    }
    let payouts = scene.paid_once(&ids).await;
    // No payout was made twice, and none was signed twice.
    assert_eq!(payouts.len(), ids.len());
    assert!(payouts.iter().all(|payout| payout.versions.len() == 1));
}

#[tokio::test]
async fn whoever_settles_a_payout_may_be_killed_anywhere() {
    let scene = Scene::named("faucet-settling-killed", &[]).await;
    let payer = scene.start("faucet-pay").await;
    let faucet = scene.faucet();
    let mut ids = Vec::new();
    for (sequence, (role, operation, claim, fault)) in [
        ("faucet-confirm", "UpdateItem", Some(0), Fault::Unheard),
        ("faucet-confirm", "UpdateItem", Some(0), Fault::ReplyHeld),
        ("faucet-confirm", "UpdateItem", Some(1), Fault::Unheard),
        ("faucet-confirm", "UpdateItem", None, Fault::Unheard),
        ("faucet-confirm", "UpdateItem", None, Fault::ReplyHeld),
        ("faucet-confirm", "SendMessage", None, Fault::Unheard),
        ("faucet-sweep", "UpdateItem", Some(1), Fault::ReplyHeld),
        ("faucet-sweep", "UpdateItem", None, Fault::ReplyHeld),
    ]
    .into_iter()
    .enumerate()
    {
        let point = format!("{role} {operation} {claim:?} {fault:?}");
        // No execution follows it: only the test does.
        scene.aws.fail("StartExecution", "", ALWAYS, THROTTLED);
        let pair = [scene.claim().await, scene.claim().await];
        pays_in_the_end(&payer, &pair[0]).await;
        scene.heal();
        let settles = scene.start(role).await;
        let holding = match claim {
            Some(at) => pair[at].clone(),
            None if operation == "UpdateItem" => "wants_version".to_owned(),
            None => String::new(),
        };
        scene.aws.fail(operation, &holding, ALWAYS, fault);
        let look = json!({"account": scene.sender, "sequence": sequence});
        let order = match role {
            "faucet-confirm" => look.clone(),
            _ => json!({"action": "sweep"}),
        };
        settles.begin(&unique(), &order);
        scene.aws.struck().await;
        settles.kill();
        scene.heal();
        let settles = scene.start("faucet-confirm").await;
        let seen = settles.invoke(&look).await.unwrap();
        assert_eq!(seen, json!({"status": "paid"}), "{point}");
        for id in &pair {
            let claim = faucet.item(id).await;
            assert_eq!(claim.status, ClaimStatus::Paid, "{point}: {claim:?}");
        }
        ids.extend(pair);
    }
    scene.paid_once(&ids).await;
}

#[tokio::test]
async fn nothing_is_signed_after_an_unknown_outcome_before_the_chain_has_what_was() {
    let scene = Scene::named("faucet-unknown", &["--no-mining"]).await;
    let payer = scene.start("faucet-pay").await;
    let faucet = scene.faucet();
    let broken = Some("BroadcastUnknown");
    let first = scene.claim().await;
    scene.node.fail(SEND.0, SEND.1, 1, Fault::ReplyLost);
    assert!(!pays(&payer, &first).await);
    flag(&faucet, broken).await;
    let payout = scene.payouts().await.remove(0);
    assert_eq!(payout.status, PayoutStatus::Signed);
    assert_eq!(payout.reason.as_deref(), Some("outcome_unknown"));
    assert_eq!(faucet.show(&first).await["status"], "sent");
    let hash = payout.last().unwrap().hash.clone();
    let found = async || {
        let found = scene.chain.rpc("eth_getTransactionByHash", json!([hash]));
        !found.await.is_null()
    };
    assert!(found().await, "the node has not taken it");
    scene
        .chain
        .rpc("anvil_dropTransaction", json!([hash]))
        .await;

    // While the node fails, the flag stays, and nothing more is signed.
    let second = scene.claim().await;
    for (operation, holding) in [("", "eth_"), SEND] {
        scene
            .node
            .fail(operation, holding, ALWAYS, Fault::Refused(503, "Unwell"));
        assert!(!pays(&payer, &second).await);
        scene.heal();
        flag(&faucet, broken).await;
        assert_eq!(scene.payouts().await.len(), 1);
        let claim = faucet.item(&second).await;
        assert_eq!(claim.status, ClaimStatus::Queued, "{claim:?}");
        assert_eq!(claim.reason.as_deref(), Some("chain_unavailable"));
        assert_eq!(faucet.status().await["status"], "broken");
    }
    assert!(!found().await);

    // Killed as it signs the next one, it has sent the first one again.
    scene
        .aws
        .fail("TransactWriteItems", "", ALWAYS, Fault::Unheard);
    payer.begin(&unique(), &delivery(&wake(&second), 1));
    scene.aws.struck().await;
    payer.kill();
    scene.heal();
    assert!(found().await, "the first one is not sent again");
    flag(&faucet, None).await;
    assert_eq!(scene.payouts().await.len(), 1);
    let payer = scene.start("faucet-pay").await;
    pays_in_the_end(&payer, &second).await;
    scene.chain.rpc("evm_setIntervalMining", json!([1])).await;
    let mut ids = vec![first, second];
    let payouts = scene.paid_once(&ids).await;
    assert!(payouts.iter().all(|payout| payout.versions.len() == 1));

    // A block has it before anybody asks again.
    scene.node.fail(SEND.0, SEND.1, 1, Fault::ReplyLost);
    let third = scene.claim().await;
    assert!(!pays(&payer, &third).await);
    flag(&faucet, broken).await;
    until("a block to have it", SOON, async || {
        (scene.chain.nonce(&scene.sender).await == 3).then_some(())
    })
    .await;
    let fourth = scene.claim().await;
    assert!(pays(&payer, &fourth).await);
    ids.extend([third, fourth]);
    scene.paid_once(&ids).await;
}

#[tokio::test]
async fn a_payer_that_sleeps_past_its_lease_wakes_to_no_effect() {
    let scene = Scene::named("faucet-payer-asleep", &[]).await;
    let faucet = scene.faucet();
    let sleeper = scene.start("faucet-pay").await;
    let other = Function::start(scene.world(), "faucet-pay", &scene.twin.url()).await;
    let first = scene.claim().await;
    scene.aws.fail("Query", "open-claims", 1, Fault::ReplyHeld);
    let event = delivery(&wake(&first), LAST);
    let sleeps = async {
        let run = sleeper.invoke(&event);
        let meanwhile = async {
            scene.aws.struck().await;
            sleeper.signal("STOP");
            pays_in_the_end(&other, &first).await;
            let paid = scene.paid_once(std::slice::from_ref(&first)).await;
            // What it will find as it wakes.
            let second = scene.claim().await;
            scene.heal();
            sleeper.signal("CONT");
            (paid, second)
        };
        futures_util::join!(run, meanwhile)
    };
    let (ended, (paid, second)): (Outcome, _) = sleeps.await;
    assert_eq!(ended.unwrap(), accepted());
    let letter = scene
        .world()
        .dead_letter("faucet-claims-dlq", "the run that slept", |letter| {
            letter.body() == Some(&wake(&first))
        })
        .await;
    assert_eq!(
        attribute(&letter, "ErrorCode").as_deref(),
        Some("LeaseLost")
    );
    assert_eq!(scene.payouts().await, paid);
    let claim = faucet.item(&second).await;
    assert_eq!(claim.status, ClaimStatus::Queued, "{claim:?}");
    pays_in_the_end(&sleeper, &second).await;
    let mut ids = vec![first, second];
    let payouts = scene.paid_once(&ids).await;

    // Nor does what it had signed go anywhere, nor its lease.
    let (locks, lock) = (&faucet.locks, &faucet.names.sequence);
    let stale = until("the lease", SOON, async || {
        locks.acquire(lock, 42, LEASE).await.ok()
    })
    .await;
    let third = scene.claim().await;
    pays_in_the_end(&other, &third).await;
    let mut late = payouts[0].clone();
    late.sequence = 7;
    let lost = faucet
        .payouts
        .store(&late, &stale, locks, &faucet.claims)
        .await;
    assert!(matches!(lost, Err(LockError::Lost(_))), "{lost:?}");
    let lost = locks.release(&stale, Some("7")).await;
    assert!(matches!(lost, Err(LockError::Lost(_))), "{lost:?}");
    ids.push(third);
    assert_eq!(scene.paid_once(&ids).await.len(), 3);
}

#[tokio::test]
async fn a_wake_that_comes_ten_times_at_once_pays_once() {
    let mut twin = Twin::quiet("faucet-duplicates").await;
    let chain = Anvil::start(&["--block-time", "1"]).await;
    let settings = chain.settings();
    let sender = pointed(&mut twin, &chain, &settings).await;
    let world = &twin.world;
    let faucet = world.faucet();
    let held = world.hold_messages_of("faucet-pay").await;
    let ids = [
        faucet.accepted(&faucet.new_address()).await,
        faucet.accepted(&faucet.new_address()).await,
    ];
    let body = wake(&ids[0]);
    let send = async || {
        let queue = &world.stack.faucet.queue_url;
        let message = world.sqs.send_message().queue_url(queue);
        message.message_body(&body).send().await.unwrap();
    };
    join_all((0..10).map(|_| send())).await;
    let again = async || {
        let event = delivery(&body, 1);
        world.invoke("faucet-pay", &event).await.unwrap();
    };
    drop(held);
    join_all((0..4).map(|_| again())).await;
    let (sent, payouts) = each_paid_once(&faucet, &*chain, &sender, &ids, WEI).await;
    assert_eq!((sent.len(), payouts.len()), (1, 1));
    // Once more, when all is over.
    again().await;
    let (sent, _) = each_paid_once(&faucet, &*chain, &sender, &ids, WEI).await;
    assert_eq!(sent.len(), 1);
}

#[tokio::test]
async fn a_store_that_throttles_delays_what_it_has_taken_and_loses_nothing() {
    let (mut twin, proxy) = Twin::behind_a_proxy("faucet-throttled").await;
    let chain = Anvil::start(&["--block-time", "1"]).await;
    let settings = chain.settings();
    let sender = pointed(&mut twin, &chain, &settings).await;
    let world = &twin.world;
    let faucet = world.faucet();
    let held = world.hold_messages_of("faucet-pay").await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(faucet.accepted(&faucet.new_address()).await);
    }
    let before = faucet.tables().await;
    let operations = ["GetItem", "Query", "UpdateItem", "TransactWriteItems"];
    for operation in operations {
        proxy.fail(operation, "", ALWAYS, THROTTLED);
    }
    let reply = faucet.claim(&faucet.new_address()).await;
    assert_eq!(reply.status, 503, "{reply:?}");
    assert!(reply.headers.contains_key("retry-after"), "{reply:?}");
    // The next delivery waits for as long as a run may take: a wake that fails
    // is left to the sweep.
    let event = delivery(&wake(&ids[0]), 1);
    let reply = world.invoke("faucet-pay", &event).await.unwrap();
    assert_eq!(reply, refused(&event));
    assert_eq!(faucet.tables().await, before);
    assert_eq!(chain.nonce(&sender).await, 0);
    proxy.heal();

    // Each of them alone, in the midst of it all.
    for operation in operations {
        proxy.fail(operation, "", ALWAYS, THROTTLED);
        let event = delivery(&wake(&ids[0]), 1);
        let reply = world.invoke("faucet-pay", &event).await.unwrap();
        assert_eq!(reply, refused(&event), "{operation}");
        proxy.heal();
    }
    drop(held);
    // A confirmation is throttled for a while as well.
    proxy.fail("UpdateItem", "paid", 6, THROTTLED);
    for id in &ids {
        paid_after_sweeps(&faucet, id).await;
    }
    let (sent, payouts) = each_paid_once(&faucet, &*chain, &sender, &ids, WEI).await;
    assert_eq!(sent.len(), payouts.len());
    assert!(proxy.calls("UpdateItem") > 0);
}

// What is done to the payer, and what is seen then. "Once" means: blocks have
// one transfer for each claim, and every number of the account is used once.
//
// | fault | how it is made | what is seen |
// |---|---|---|
// | faucet-pay is killed before it signs | SIGKILL at a call that the proxy holds: the key, the lease, the account, the claims | claim `queued`; the next run pays it, once the lease has expired; once |
// | the same after it signed, before it stored | at the transaction, unheard | the same |
// | the same after it stored, before it sent | at the transaction, done; at the broadcast, unheard | claim `sent`, payout `signed`; the next run sends the same bytes; once |
// | the same after it sent, before it noted that | at the broadcast, done; at the note, unheard | the same bytes again, or they are in a block by then; once |
// | the same with all done, the lease held, nobody following | at the release and at `StartExecution`, unheard and done | the sweep settles it; once |
// | faucet-confirm or faucet-sweep is killed while it settles | at the update of each claim, of the payout, at the wake | the next look gives the rest its fate; `paid` |
// | EVM: the reply to a broadcast is lost | the proxy before anvil | flag `BroadcastUnknown`, payout `signed` (`outcome_unknown`), claim `sent` |
// | then the node answers 503, to all or to broadcasts alone | the same | the flag stays, nothing is signed, the next claim `queued` (`chain_unavailable`) |
// | then it is well | SIGKILL at the next signature's store | the first bytes are at the node again, and the flag is down, before anything is stored; once |
// | EVM: the reply is lost, and a block has it | the proxy before anvil | the next run goes on after it; once |
// | the lease's holder sleeps past its expiry | SIGSTOP at a query, SIGCONT when another has paid | its transaction is refused: dead letter `LeaseLost`; no payout of it; once |
// | a stale token is written with | `Payouts::store`, `Locks::release` by the test | `Lost`, nothing written |
// | a wake is delivered again and again | ten messages and four invocations at once | one transaction; once |
// | DynamoDB throttles, all or one operation | `ThrottlingException` from the proxy | claims get 503 with `Retry-After` and leave nothing; runs fail and change nothing; later once |
