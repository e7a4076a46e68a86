//! What the faucet refuses, with its reason, and nothing is touched; and how
//! often it gives, which no restart forgets.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use jiff::{SignedDuration, Timestamp};
use offchain_faucet::{Challenge, ProofOfWork, budget_resets, challenge};
use reqwest::{Method, Url};
use serde_json::{Value, json};

use crate::chain::{Anvil, Testnet, new_address};
use crate::faucet_world::{ASYNC, Faucet, Served, point_faucet_at, post_claim, set_policies};
use crate::garbage::is_problem;
use crate::harness::{Api, Item, Reply, SOON, World, unique, until};
use crate::twin::Twin;
use crate::wire;

/// A sum of whatever coin.
const AMOUNT: u128 = 1000;

/// A chain that nobody asks anything of.
const COSMOS: &str = r#"{
    "kind": "cosmos", "chain_id": "nowhere-1", "prefix": "cosmos", "denom": "stake",
    "nodes": [{"url": "http://127.0.0.1:9", "rpc_url": "http://127.0.0.1:9"}],
    "fee_denom": "stake", "gas_price": "0.025", "gas": 120000, "gas_each": 50000,
    "memo": "", "timeout_blocks": 20
}"#;

/// A twin whose faucet is of a chain of its own, and pays at once.
struct Scene {
    twin: Twin,
    chain: Anvil,
    sender: String,
}

impl Scene {
    async fn of(name: &str, mut policy: Value) -> Self {
        let mut twin = Twin::quiet(name).await;
        // A block follows each transaction at once.
        let chain = Anvil::start(&[]).await;
        policy["amount"] = AMOUNT.to_string().into();
        let settings = chain.settings();
        let pointed = point_faucet_at(&mut twin.world, &settings, &policy, &json!({})).await;
        let sender = pointed.1;
        chain.fund(&sender, 1_000_000_000_000_000_000).await;
        chain.rpc("anvil_mine", json!([1])).await;
        Self {
            twin,
            chain,
            sender,
        }
    }

    fn world(&self) -> &World {
        &self.twin.world
    }

    fn faucet(&self) -> Faucet<'_> {
        self.twin.world.faucet()
    }

    /// How many transactions the account has sent.
    async fn nonce(&self) -> u64 {
        self.chain.nonce(&self.sender).await
    }
}

/// What the tables hold once every payout is settled, beside what only counts
/// requests and what the payer notes for itself.
async fn kept(scene: &Scene) -> BTreeMap<String, Vec<Item>> {
    let (faucet, stack) = (scene.faucet(), &scene.world().stack.faucet);
    faucet.settled(&scene.sender).await;
    let counts = |item: &Item| {
        let key = item.get("limit").and_then(|key| key.as_s().ok());
        key.is_some_and(|key| key.starts_with("throttle#"))
    };
    let mut kept = BTreeMap::new();
    for (name, mut items) in faucet.tables().await {
        if name != stack.locks_table {
            items.retain(|item| !counts(item));
            kept.insert(name.to_owned(), items);
        }
    }
    kept
}

fn is_refused(reply: &Reply, status: u16, code: &str, words: &str, case: &str) {
    is_problem(reply, status, code, case);
    let detail = reply.body["detail"].as_str().unwrap();
    assert!(detail.contains(words), "{case}: {detail}");
    assert_eq!(reply.body["message"], detail, "{case}");
}

#[tokio::test]
async fn what_is_no_claim_is_refused_at_every_door_and_nothing_is_touched() {
    let scene = Scene::of("faucet-doors", json!({})).await;
    let (world, faucet) = (scene.world(), scene.faucet());
    let served = Served::start(world, &[]).await;
    let address = faucet.new_address();
    let of = |address: &str| json!({"address": address}).to_string();
    let with = |response: Value| json!({"address": address, "response": response}).to_string();
    // Another mix of cases, which is another checksum.
    let swapped = |char: char| match char.is_ascii_lowercase() {
        true => char.to_ascii_uppercase(),
        false => char.to_ascii_lowercase(),
    };
    let misspelt: String = address[2..].chars().map(swapped).collect();
    let good = of(&address);
    let json = "expected an object in JSON";
    let bodies: Vec<(Vec<u8>, u16, &str, &str)> = [
        (String::new(), "ClaimInvalid", json),
        ("give me coins".to_owned(), "ClaimInvalid", json),
        (good.replace('}', ""), "ClaimInvalid", json),
        (format!("{good}{good}"), "ClaimInvalid", json),
        (format!("[{good}]"), "ClaimInvalid", json),
        (format!("[\"{address}\",\"\"]"), "ClaimInvalid", json),
        ("null".to_owned(), "ClaimInvalid", json),
        ("7".to_owned(), "ClaimInvalid", json),
        ("{}".to_owned(), "ClaimInvalid", "`address`"),
        (
            r#"{"address":null}"#.to_owned(),
            "ClaimInvalid",
            "`address`",
        ),
        (r#"{"address":7}"#.to_owned(), "ClaimInvalid", "`address`"),
        (of(""), "ClaimInvalid", "`address`"),
        (of(&"0".repeat(129)), "ClaimInvalid", "`address`"),
        (with(json!(7)), "ClaimInvalid", "`response`"),
        (with(json!(["x"])), "ClaimInvalid", "`response`"),
        (with(json!("x".repeat(4097))), "ClaimInvalid", "`response`"),
        (of(&format!("0x{misspelt}")), "AddressInvalid", "checksum"),
        (of(&address[..41]), "AddressInvalid", "40 digits"),
        (of(&format!("{address}0")), "AddressInvalid", "40 digits"),
        (of(&address[2..]), "AddressInvalid", "40 digits"),
        (
            of(&format!("0X{}", &address[2..])),
            "AddressInvalid",
            "40 digits",
        ),
        (of(&format!(" {address}")), "AddressInvalid", "40 digits"),
        (
            of(&format!("0x{}", "g".repeat(40))),
            "AddressInvalid",
            "hexadecimal",
        ),
        (
            of(&format!("0x{}", "0".repeat(40))),
            "AddressInvalid",
            "nobody",
        ),
        (
            of(&format!("0x{}1", "0".repeat(39))),
            "AddressInvalid",
            "contract",
        ),
        (
            of("cosmos19rl4cm2hmr8afy4kldpxz3fka4jguq0auqdal4"),
            "AddressInvalid",
            "40 digits",
        ),
    ]
    .into_iter()
    .map(|(body, code, words)| (body.into_bytes(), 400, code, words))
    .chain([
        (b"\xff\xfe{}".to_vec(), 400, "ClaimInvalid", json),
        (
            with(json!("x".repeat(8192))).into_bytes(),
            413,
            "BodyTooLarge",
            "8192 bytes",
        ),
        (vec![b' '; 100_000], 413, "BodyTooLarge", "8192 bytes"),
    ])
    .collect();
    let long = "k".repeat(129);
    let headers = [
        (("idempotency-key", ""), 400, "IdempotencyKeyInvalid"),
        (
            ("idempotency-key", long.as_str()),
            400,
            "IdempotencyKeyInvalid",
        ),
        (
            ("idempotency-key", "tab\there"),
            400,
            "IdempotencyKeyInvalid",
        ),
        (("origin", "https://evil.example"), 403, "OriginNotAllowed"),
        (("origin", "null"), 403, "OriginNotAllowed"),
    ];
    let before = kept(&scene).await;

    for (door, api) in [("gateway", &world.api), ("process", &served.api)] {
        for kind in ["application/json", "application/octet-stream"] {
            for (body, status, code, words) in &bodies {
                let case = format!("{door}, {kind}: {:.80}", String::from_utf8_lossy(body));
                let headers = [("content-type", kind)];
                let reply = api
                    .send(Method::POST, "/v1/claim", &headers, body.clone())
                    .await;
                is_refused(&reply, *status, code, words, &case);
            }
        }
        for (header, status, code) in &headers {
            let case = format!("{door}: {header:?}");
            let reply = post_claim(api, good.clone(), &[*header]).await;
            is_refused(&reply, *status, code, "", &case);
        }
        for path in [
            "/v1/claims",
            "/v1",
            "/v2/claim",
            "/faucet/../v1/secret",
            "/v1/claims/a/b",
        ] {
            assert_eq!(api.get(path).await.status, 404, "{door}: {path}");
        }
    }
    for (method, path, allowed) in [
        (Method::GET, "/v1/claim", "POST, OPTIONS"),
        (Method::DELETE, "/v1/claim", "POST, OPTIONS"),
        (Method::POST, "/", "GET, HEAD, OPTIONS"),
        (Method::PUT, "/v1/status", "GET, HEAD, OPTIONS"),
        (Method::POST, "/faucet", "GET, HEAD, OPTIONS"),
        (
            Method::PATCH,
            "/v1/claims/0123456789abcdef0123456789abcdef",
            "GET, HEAD, OPTIONS",
        ),
    ] {
        let case = format!("{method} {path}");
        // The gateway knows routes with their methods alone.
        let reply = world
            .api
            .send(method.clone(), path, &[], good.clone())
            .await;
        assert_eq!(reply.status, 404, "{case}: {reply:?}");
        assert!(
            !reply.body["message"].as_str().unwrap().is_empty(),
            "{case}"
        );
        let reply = served.api.send(method, path, &[], good.clone()).await;
        is_refused(&reply, 405, "MethodNotAllowed", "no method", &case);
        assert_eq!(reply.headers["allow"], allowed, "{case}");
    }

    // Of a chain of another kind, other addresses are good.
    let mut cosmos = world.stack.faucet.environment.clone();
    cosmos.insert("FAUCET_CHAIN".to_owned(), COSMOS.to_owned());
    let served = Served::start_with(world, &["--no-send"], &cosmos).await;
    let good = "cosmos19rl4cm2hmr8afy4kldpxz3fka4jguq0auqdal4";
    for bad in [
        address.clone(),
        good.replace("19rl", "19rm"),
        good.replace("cosmos1", "osmo1"),
        good[..good.len() - 1].to_owned(),
        format!("{good}q"),
        good.replace("dal4", "DAL4"),
        "cosmos1".to_owned(),
    ] {
        let reply = post_claim(&served.api, of(&bad), &[]).await;
        is_refused(&reply, 400, "AddressInvalid", "", &bad);
    }
    assert_eq!(post_claim(&served.api, of(good), &[]).await.status, 200);
    drop(served);

    assert_eq!(kept(&scene).await, before);
    let counted = faucet.limits("").await;
    assert_eq!(counted.keys().collect::<Vec<_>>(), ["throttle#127.0.0.1"]);
    assert_eq!(world.depth("faucet-claims").await, 0);
    assert_eq!(scene.nonce().await, 0);
    // The one good claim of them all.
    let reply = faucet.claim(&address).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(scene.chain.balance(&address).await, AMOUNT);
}

/// A claim as a proxy hands it on.
async fn from(api: &Api, source: &str, address: &str) -> Reply {
    let body = json!({"address": address}).to_string();
    post_claim(api, body, &[("x-forwarded-for", source), ASYNC]).await
}

/// A claim of one who has asked too often. Once a minute he may ask again, and
/// as a stranger he would be let in three times.
async fn throttled(api: &Api, source: &str, address: &str) -> Reply {
    for _ in 0..2 {
        let reply = from(api, source, address).await;
        if reply.body["title"] == "LimitExceeded" {
            return reply;
        }
        is_problem(&reply, 429, "AddressCooldown", source);
    }
    panic!("{source} is let in");
}

/// A refusal that says when to come again, which is not before `least` and not
/// after `most` seconds.
fn is_limited(reply: &Reply, code: &str, limit: u32, least: u64, most: u64, case: &str) {
    is_refused(reply, 429, code, "", case);
    let number = |name: &str| {
        let value = reply.headers.get(name);
        let value = value.unwrap_or_else(|| panic!("{case}: there is no {name}: {reply:?}"));
        value.to_str().unwrap().parse::<u64>().unwrap()
    };
    assert_eq!(number("x-ratelimit-limit"), u64::from(limit), "{case}");
    assert_eq!(number("x-ratelimit-remaining"), 0, "{case}");
    for name in ["retry-after", "x-ratelimit-reset"] {
        let seconds = number(name);
        assert!(
            (least..=most).contains(&seconds),
            "{case}: {name}: {seconds}"
        );
    }
}

/// Waits until today goes on for a while: its budget is looked at for so long.
async fn today_goes_on() {
    let while_long = SignedDuration::from_mins(3);
    let limit = while_long.unsigned_abs() + SOON;
    until("the next day", limit, async || {
        let now = Timestamp::now();
        (budget_resets(now).duration_since(now) > while_long).then_some(())
    })
    .await;
}

#[tokio::test]
async fn who_has_had_enough_is_told_when_to_come_again_and_no_restart_forgets_it() {
    today_goes_on().await;
    // As long as a source's window may be: no test meets its end.
    const YEAR: u64 = 31_536_000;
    let policy = json!({
        "trusted_proxies": 1,
        "throttle": {"per_minute": 1, "burst": 3},
        "address_cooldown_seconds": 3600,
        "source": {"claims": 2, "window_seconds": YEAR},
        "daily_budget": (6 * AMOUNT).to_string(),
    });
    let mut scene = Scene::of("faucet-limits", policy).await;
    let new = |scene: &Scene| new_address(&scene.chain.settings());
    let first = new(&scene);
    {
        let (api, faucet) = (&scene.world().api, scene.faucet());
        // One address, from wherever; and one source, which may ask three times.
        let reply = from(api, "10.0.0.1", &first).await;
        assert_eq!(reply.status, 202, "{reply:?}");
        assert_eq!(reply.headers["x-ratelimit-limit"], "3");
        assert_eq!(reply.headers["x-ratelimit-remaining"], "2");
        for source in ["10.0.0.1", "10.0.0.1", "10.0.0.2", "[2001:db8:9::1]:443"] {
            let reply = from(api, source, &first).await;
            is_limited(&reply, "AddressCooldown", 1, 3000, 3600, source);
        }
        let before = kept(&scene).await;
        let reply = throttled(api, "10.0.0.1", &first).await;
        is_refused(
            &reply,
            429,
            "LimitExceeded",
            "limit exceeded",
            "a fourth request",
        );
        let seconds = |name: &str| {
            reply.headers[name]
                .to_str()
                .unwrap()
                .parse::<u64>()
                .unwrap()
        };
        assert!((1..=60).contains(&seconds("retry-after")), "{reply:?}");
        assert!(
            (121..=180).contains(&seconds("x-ratelimit-reset")),
            "{reply:?}"
        );
        assert_eq!(kept(&scene).await, before);
        // What a client writes itself stands on the left, and nobody reads it.
        throttled(api, "10.9.9.9, 10.0.0.1", &first).await;
        // Of addresses in one /64, any number is one subscriber's.
        for (source, status) in [
            ("2001:db8::1", 202),
            ("2001:db8::ffff:2", 202),
            ("2001:db8:0:0:3::", 429),
        ] {
            let reply = from(api, source, &new(&scene)).await;
            assert_eq!(reply.status, status, "{source}: {reply:?}");
            if status == 429 {
                is_limited(&reply, "SourceCooldown", 2, 1, YEAR, source);
            }
        }
        for (source, status) in [("10.0.0.3", 202), ("10.0.0.3", 202), ("10.0.0.3", 429)] {
            let reply = from(api, source, &new(&scene)).await;
            assert_eq!(reply.status, status, "{source}: {reply:?}");
        }
        // The sixth claim is the last of today.
        let left = faucet.status().await["budget"]["left"].clone();
        assert_eq!(left, AMOUNT.to_string());
        assert_eq!(from(api, "10.0.0.4", &new(&scene)).await.status, 202);
        let reply = from(api, "10.0.0.4", &new(&scene)).await;
        is_limited(&reply, "BudgetSpent", 1, 1, 86400, "a seventh claim");
        // Who came through no proxy came from nowhere.
        let body = json!({"address": new(&scene)}).to_string();
        let reply = post_claim(api, body, &[]).await;
        is_problem(&reply, 400, "SourceUnknown", "no X-Forwarded-For");
        assert_eq!(faucet.spent().await, 6 * AMOUNT);
        settled(&scene, 6).await;
    }

    // All of it is told again by whoever answers next.
    let refusals = async |scene: &Scene, api: &Api, case: &str| {
        let before = kept(scene).await;
        let reply = from(api, "10.0.1.1", &first).await;
        is_limited(&reply, "AddressCooldown", 1, 3000, 3600, case);
        throttled(api, "10.0.0.1", &first).await;
        throttled(api, "10.0.0.3", &first).await;
        let reply = from(api, "10.0.0.4", &new(scene)).await;
        is_limited(&reply, "BudgetSpent", 1, 1, 86400, case);
        assert_eq!(kept(scene).await, before, "{case}");
    };
    let served = Served::start(scene.world(), &[]).await;
    refusals(&scene, &served.api, "a process").await;
    drop(served);
    scene.twin.stop();
    scene.twin.start().await;
    let api = Api::at(&scene.world().stack.api_url);
    let reply = from(&api, "10.0.1.2", &first).await;
    is_limited(&reply, "AddressCooldown", 1, 3000, 3600, "after a restart");
    let reply = from(&api, "10.0.1.2", &new(&scene)).await;
    is_limited(&reply, "BudgetSpent", 1, 1, 86400, "after a restart");
    throttled(&api, "2001:db8::4", &first).await;
    // Whoever limits nobody, gives to anybody; the rest is as it was.
    let served = Served::start(scene.world(), &["--no-limit"]).await;
    let reply = from(&served.api, "10.0.0.1", &first).await;
    assert_eq!(reply.status, 202, "{reply:?}");
    assert!(
        !reply.headers.contains_key("x-ratelimit-limit"),
        "{reply:?}"
    );
    assert_eq!(scene.faucet().spent().await, 6 * AMOUNT);
    settled(&scene, 7).await;
    assert_eq!(scene.chain.balance(&first).await, 2 * AMOUNT);
}

/// Waits until so many claims are paid, and none waits.
async fn settled(scene: &Scene, count: usize) {
    let faucet = scene.faucet();
    until(&format!("{count} claims to be paid"), SOON, async || {
        let payouts = faucet.payouts_of(&scene.sender).await;
        let paid = payouts.iter().filter(|payout| !payout.status.is_open());
        let paid: usize = paid.map(|payout| payout.transfers.len()).sum();
        assert!(paid <= count, "{paid} claims are paid");
        (paid == count).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_was_reserved_for_a_claim_that_comes_to_nothing_is_given_back() {
    today_goes_on().await;
    let policy = json!({
        "source": {"claims": 1, "window_seconds": 31_536_000},
        "daily_budget": AMOUNT.to_string(),
        "claim_deadline_seconds": 1,
    });
    let scene = Scene::of("faucet-given-back", policy).await;
    let faucet = scene.faucet();
    let reserved = async || {
        let mut sums = BTreeMap::new();
        for prefix in ["address#", "source#", "budget#"] {
            for (key, item) in faucet.limits(prefix).await {
                let spent = item
                    .get("spent")
                    .map_or("cooldown", |it| it.as_n().unwrap());
                sums.insert(key, spent.to_owned());
            }
        }
        sums
    };
    let count = |sums: &BTreeMap<String, String>, value: &str| {
        sums.values().filter(|found| *found == value).count()
    };

    // A contract that takes no coins: nobody can pay it.
    let contract = faucet.new_address();
    scene
        .chain
        .rpc("anvil_setCode", json!([contract, "0x60006000fd"]))
        .await;
    let reply = faucet.claim(&contract).await;
    is_problem(
        &reply,
        502,
        "PayoutFailed",
        "a transfer that cannot be made",
    );
    let failed = faucet
        .claims
        .get(&id_of(&faucet, &contract).await)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(failed.status.as_str(), "failed");
    assert_eq!(failed.reason.as_deref(), Some("transfer_impossible"));
    let sums = reserved().await;
    assert_eq!(
        (count(&sums, "cooldown"), count(&sums, "0")),
        (0, 2),
        "{sums:?}"
    );
    assert_eq!(scene.nonce().await, 0);

    // Nothing to give until the claim's time is over.
    scene.chain.fund(&scene.sender, 0).await;
    let address = faucet.new_address();
    let id = faucet.accepted(&address).await;
    let sums = reserved().await;
    assert_eq!(
        (count(&sums, "cooldown"), count(&sums, "1")),
        (1, 1),
        "{sums:?}"
    );
    assert_eq!(count(&sums, &AMOUNT.to_string()), 1, "{sums:?}");
    let reply = faucet.claim_with(&address, &[ASYNC]).await;
    is_problem(&reply, 429, "AddressCooldown", "while it waits");
    let other = faucet.new_address();
    let reply = faucet.claim_with(&other, &[ASYNC]).await;
    is_problem(&reply, 429, "SourceCooldown", "while it waits");
    until("the claim to be told why it waits", SOON, async || {
        let shown = faucet.show(&id).await;
        (shown["reason"] == "faucet_empty").then_some(())
    })
    .await;
    until("the claim to expire", SOON, async || {
        let census = faucet.sweep().await;
        (census["expired"] == 1).then_some(())
    })
    .await;
    let shown = faucet.show(&id).await;
    assert_eq!(shown["status"], "expired");
    assert_eq!(shown["message"], "the claim expired");
    assert_eq!(shown["reason"], "faucet_empty");
    let sums = reserved().await;
    assert_eq!(
        (count(&sums, "cooldown"), count(&sums, "0")),
        (0, 2),
        "{sums:?}"
    );
    // A second sweep gives nothing back a second time.
    assert_eq!(faucet.sweep().await["expired"], 0);
    assert_eq!(reserved().await, sums);

    scene
        .chain
        .fund(&scene.sender, 1_000_000_000_000_000_000)
        .await;
    let reply = faucet.claim(&address).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(scene.chain.balance(&address).await, AMOUNT);
    assert_eq!(faucet.spent().await, AMOUNT);
}

/// The id of the one claim for an address.
async fn id_of(faucet: &Faucet<'_>, address: &str) -> String {
    let tables = faucet.tables().await;
    let mut claims = tables.values().flatten().filter(|item| {
        let found = item.get("address").and_then(|it| it.as_s().ok());
        item.contains_key("claim_id") && found.is_some_and(|found| found == address)
    });
    claims.next().unwrap()["claim_id"].as_s().unwrap().clone()
}

/// What a captcha's provider was asked.
#[derive(Clone, Default)]
struct Asked(Arc<Mutex<Vec<BTreeMap<String, String>>>>);

impl Asked {
    fn take(&self) -> Vec<BTreeMap<String, String>> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

/// A provider's door, which answers as the response says. Returns its URL.
async fn provider(asked: &Asked) -> String {
    let asked = asked.clone();
    let address = wire::serve(move |call| {
        let asked = asked.clone();
        async move {
            assert_eq!(
                call.header("content-type"),
                Some("application/x-www-form-urlencoded")
            );
            let form = String::from_utf8(call.body.clone()).unwrap();
            let form = Url::parse(&format!("http://form?{form}")).unwrap();
            let form: BTreeMap<_, _> = form.query_pairs().into_owned().collect();
            let response = form["response"].clone();
            asked.0.lock().unwrap().push(form);
            let solved = |host: &str, action: &str| {
                json!({
                    "success": true, "challenge_ts": "2026-11-21T12:00:00Z",
                    "hostname": host, "action": action,
                })
            };
            let refused = |code: &str| json!({"success": false, "error-codes": [code]});
            let body = match response.as_str() {
                GOOD => solved("faucet.example", "claim"),
                "elsewhere" => solved("evil.example", "claim"),
                "subdomain" => solved("www.faucet.example", "claim"),
                "nowhere" => json!({"success": true}),
                "login" => solved("faucet.example", "login"),
                "wrong" => refused("invalid-input-response"),
                "again" => refused("timeout-or-duplicate"),
                "unknown" => refused("invalid-input-secret"),
                "text" => json!("true"),
                "maybe" => json!({"success": "true", "hostname": "faucet.example"}),
                "status" => return Some(wire::reply(500, &[], "{\"success\":true}")),
                "page" => return Some(wire::reply(200, &[], "<html>")),
                "long" => {
                    let mut long = solved("faucet.example", "claim");
                    long["more"] = "x".repeat(100_000).into();
                    long
                }
                "closed" => return None,
                "silent" => std::future::pending().await,
                other => panic!("unexpected: {other}"),
            };
            Some(wire::reply(200, &[], &body.to_string()))
        }
    })
    .await;
    format!("http://{address}/siteverify")
}

/// What has to be escaped on its way.
const GOOD: &str = "good & solved=1+é%";

#[tokio::test]
async fn a_captcha_is_checked_with_its_provider_and_without_it_nothing_is_given() {
    let mut scene = Scene::of("faucet-captcha", json!({})).await;
    let secret = format!("0x{}&{}", unique(), "secret");
    let arn = scene.world().stack.faucet.intake_secret_arn.clone();
    let mut intake: Value = serde_json::from_str(&scene.world().secret(&arn).await).unwrap();
    intake["captcha_secret"] = secret.clone().into();
    scene.world().put_secret(&arn, &intake.to_string()).await;
    let asked = Asked::default();
    let url = provider(&asked).await;
    for (name, action, script) in [
        ("recaptcha", Some("claim"), "https://www.google.com"),
        (
            "turnstile",
            Some("claim"),
            "https://challenges.cloudflare.com",
        ),
        ("hcaptcha", None, "https://hcaptcha.com"),
    ] {
        let captcha = json!({
            "provider": name, "site_key": "site-7", "hosts": ["faucet.example"],
            "action": action, "verify_url": url,
        });
        set_policies(
            &mut scene.twin.world,
            &json!({"captcha": captcha}),
            &json!({}),
        )
        .await;
        let (world, faucet) = (scene.world(), scene.faucet());
        let claim = async |address: &str, response: Value| {
            let body = json!({"address": address, "response": response}).to_string();
            post_claim(&world.api, body, &[]).await
        };
        let status = faucet.status().await;
        let shown = json!({"provider": name, "site_key": "site-7", "action": action});
        assert_eq!(status["captcha"], shown);
        let page = world.api.get("/faucet").await;
        let policy = page.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.contains(script), "{policy}");

        let (before, nonce) = (kept(&scene).await, scene.nonce().await);
        let address = faucet.new_address();
        for missing in [Value::Null, json!("")] {
            let reply = claim(&address, missing).await;
            is_refused(&reply, 400, "CaptchaMissing", "`response`", name);
        }
        let reply = faucet.claim(&address).await;
        is_problem(&reply, 400, "CaptchaMissing", name);
        assert_eq!(asked.take(), []);
        let mut cases = vec![
            ("wrong", 403, "CaptchaFailed", "invalid-input-response"),
            ("again", 403, "CaptchaFailed", "timeout-or-duplicate"),
            ("elsewhere", 403, "CaptchaFailed", "another host"),
            ("subdomain", 403, "CaptchaFailed", "another host"),
            ("nowhere", 403, "CaptchaFailed", "another host"),
            ("unknown", 503, "CaptchaUnavailable", "try again later"),
            ("text", 503, "CaptchaUnavailable", "try again later"),
            ("maybe", 503, "CaptchaUnavailable", "try again later"),
            ("page", 503, "CaptchaUnavailable", "try again later"),
            ("status", 503, "CaptchaUnavailable", "try again later"),
            ("closed", 503, "CaptchaUnavailable", "try again later"),
        ];
        match action {
            Some(_) => cases.push(("login", 403, "CaptchaFailed", "another action")),
            // Once is enough: they take their time, or memory.
            None => cases.extend([
                ("silent", 503, "CaptchaUnavailable", "try again later"),
                ("long", 503, "CaptchaUnavailable", "try again later"),
            ]),
        }
        for (response, status, code, words) in cases {
            let case = format!("{name}: {response}");
            let reply = claim(&address, response.into()).await;
            is_refused(&reply, status, code, words, &case);
            assert_eq!(
                reply.headers.contains_key("retry-after"),
                status == 503,
                "{case}"
            );
            assert!(
                !reply.text.contains(&secret) && !reply.text.contains(&url),
                "{case}"
            );
            assert!(!asked.take().is_empty(), "{case}");
        }
        assert_eq!(kept(&scene).await, before, "{name}");
        assert_eq!(scene.nonce().await, nonce, "{name}");

        let reply = claim(&address, GOOD.into()).await;
        assert_eq!(reply.status, 200, "{name}: {reply:?}");
        let forms = asked.take();
        let form = [
            ("remoteip", "127.0.0.1"),
            ("response", GOOD),
            ("secret", &secret),
        ];
        let form = form.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(forms, [BTreeMap::from(form)], "{name}");
        assert_eq!(scene.chain.balance(&address).await, AMOUNT, "{name}");
        for line in world.logged("faucet-api", "").await {
            assert!(!line.contains(&secret), "{line}");
        }
    }
}

/// Works on a challenge until it is solved, with what the faucet itself checks
/// it with.
fn solve(key: &[u8], address: &str, challenge: &str, work: &ProofOfWork) -> String {
    let tries = (0_u32..).map(|nonce| format!("{challenge}:{nonce}"));
    let mut solved = tries.filter(|response| {
        challenge::verify(key, address, response, Timestamp::now(), work).is_ok()
    });
    solved.next().unwrap()
}

#[tokio::test]
async fn a_challenge_is_solved_for_one_claim_and_no_other() {
    let policy = |bits: u8, seconds: u32| {
        json!({
            "proof_of_work": {"bits": bits, "valid_seconds": seconds},
            "address_cooldown_seconds": 0,
        })
    };
    let mut scene = Scene::of("faucet-challenge", policy(8, 300)).await;
    let address = new_address(&scene.chain.settings());
    let arn = scene.world().stack.faucet.intake_secret_arn.clone();
    let intake: Value = serde_json::from_str(&scene.world().secret(&arn).await).unwrap();
    let key = hex::decode(intake["challenge_key"].as_str().unwrap()).unwrap();
    let work = ProofOfWork {
        bits: 8,
        valid_seconds: 300,
    };
    let old = {
        let (world, faucet) = (scene.world(), scene.faucet());
        let claim = async |address: &str, response: &str| {
            let body = json!({"address": address, "response": response}).to_string();
            post_claim(&world.api, body, &[]).await
        };
        let ask = async |address: &str| {
            let path = format!("/v1/challenge?address={address}");
            world.api.get(&path).await
        };
        assert_eq!(faucet.status().await["proof_of_work"], json!({"bits": 8}));
        let before = kept(&scene).await;
        // Whatever the spelling, it is for the one address.
        let reply = ask(&address.to_lowercase()).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        assert_eq!(reply.body["bits"], 8);
        let expires: Timestamp = reply.body["expires_time"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap();
        let left = expires.duration_since(Timestamp::now()).as_secs();
        assert!((200..=300).contains(&left), "{left}");
        let challenge = reply.body["challenge"].as_str().unwrap();
        assert_ne!(challenge, ask(&address).await.body["challenge"]);
        for bad in ["", "0x12", "cosmos19rl4cm2hmr8afy4kldpxz3fka4jguq0auqdal4"] {
            is_problem(&ask(bad).await, 400, "AddressInvalid", bad);
        }
        let solved = solve(&key, &address, challenge, &work);

        let other = faucet.new_address();
        let forged = Challenge::issue(&[7; 32], &address, Timestamp::now(), &work, rand::random());
        let forged = solve(&[7; 32], &address, &forged.text, &work);
        let easy = ProofOfWork { bits: 4, ..work };
        let easier = Challenge::issue(&key, &address, Timestamp::now(), &easy, rand::random());
        let easier = solve(&key, &address, &easier.text, &easy);
        let over = Timestamp::now() - SignedDuration::from_secs(301);
        let over = Challenge::issue(&key, &address, over, &work, rand::random());
        let unsolved = (0_u32..)
            .map(|nonce| format!("{challenge}:{nonce}"))
            .find(|it| challenge::verify(&key, &address, it, Timestamp::now(), &work).is_err());
        for (case, of, response, words) in [
            (
                "nothing",
                &address,
                String::new(),
                "expected `<challenge>:<nonce>`",
            ),
            (
                "no nonce",
                &address,
                challenge.to_owned(),
                "expected `<challenge>:<nonce>`",
            ),
            (
                "no challenge",
                &address,
                ":7".to_owned(),
                "expected `<challenge>:<nonce>`",
            ),
            (
                "a captcha's token",
                &address,
                GOOD.to_owned(),
                "expected `<challenge>:<nonce>`",
            ),
            (
                "another address",
                &other,
                solved.clone(),
                "for this address",
            ),
            ("another key", &address, forged, "for this address"),
            (
                "fewer bits said",
                &address,
                solved.replacen(".8.", ".1.", 1),
                "for this address",
            ),
            ("fewer bits", &address, easier, "at least 8 bits"),
            (
                "too late",
                &address,
                format!("{}:0", over.text),
                "still valid",
            ),
            ("no work", &address, unsolved.unwrap(), "leading zero bits"),
        ] {
            let reply = claim(of, &response).await;
            is_refused(&reply, 403, "ChallengeInvalid", words, case);
        }
        assert_eq!(kept(&scene).await, before);
        assert_eq!(scene.nonce().await, 0);

        let reply = claim(&address, &solved).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        let before = kept(&scene).await;
        let reply = claim(&address, &solved).await;
        is_refused(
            &reply,
            403,
            "ChallengeInvalid",
            "not used before",
            "a second time",
        );
        assert_eq!(kept(&scene).await, before);
        // By another process, too, which knows of it from the table.
        let served = Served::start(world, &[]).await;
        let body = json!({"address": address, "response": solved}).to_string();
        let reply = post_claim(&served.api, body, &[]).await;
        is_refused(
            &reply,
            403,
            "ChallengeInvalid",
            "not used before",
            "elsewhere",
        );
        let challenge = ask(&address).await.body["challenge"]
            .as_str()
            .unwrap()
            .to_owned();
        let next = solve(&key, &address, &challenge, &work);
        assert_eq!(claim(&address, &next).await.status, 200);
        assert_eq!(scene.chain.balance(&address).await, 2 * AMOUNT);
        let served = Served::start(world, &["--no-captcha"]).await;
        let body = json!({"address": address}).to_string();
        assert_eq!(post_claim(&served.api, body, &[]).await.status, 200);
        ask(&address).await.body["challenge"]
            .as_str()
            .unwrap()
            .to_owned()
    };

    // Its operator sends nothing, and demands more work.
    let mut stopped = policy(9, 300);
    stopped["send"] = false.into();
    set_policies(&mut scene.twin.world, &stopped, &json!({})).await;
    let (world, faucet) = (scene.world(), scene.faucet());
    let claim = async |response: &str| {
        let body = json!({"address": address, "response": response}).to_string();
        post_claim(&world.api, body, &[]).await
    };
    let before = kept(&scene).await;
    let reply = claim(&solve(&key, &address, &old, &work)).await;
    is_refused(
        &reply,
        403,
        "ChallengeInvalid",
        "at least 9 bits",
        "an old challenge",
    );
    let harder = ProofOfWork { bits: 9, ..work };
    let reply = world
        .api
        .get(&format!("/v1/challenge?address={address}"))
        .await;
    let solved = solve(
        &key,
        &address,
        reply.body["challenge"].as_str().unwrap(),
        &harder,
    );
    let reply = claim(&solved).await;
    let disabled = json!({
        "message": "transaction committed", "hash": "SendDisabled", "height": 0,
    });
    assert_eq!((reply.status, &reply.body), (200, &disabled));
    assert_eq!(faucet.status().await["status"], "disabled");
    let served = Served::start(world, &["--no-send", "--no-captcha"]).await;
    let body = json!({"address": address}).to_string();
    let reply = post_claim(&served.api, body, &[]).await;
    assert_eq!((reply.status, reply.body), (200, disabled));
    assert_eq!(kept(&scene).await, before);
    assert_eq!(scene.nonce().await, 3);
    assert_eq!(world.depth("faucet-claims").await, 0);
}
