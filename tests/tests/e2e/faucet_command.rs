//! `offchain faucet` beside a stack.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use offchain_faucet::ClaimStatus;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::chain::{Anvil, Testnet};
use crate::faucet_world::{ASYNC, Served, faucet_claim, point_faucet_at, post_claim};
use crate::harness::{Api, SOON, World, offchain, offchain_with, until};
use crate::twin::Twin;

#[tokio::test]
async fn the_command_pays_shows_and_tells_how_the_faucet_does() {
    let world = World::shared().await;
    let faucet = world.funded_faucet().await;
    let (key, sender) = (faucet.key().await, faucet.sender().await);
    let amount = text(&faucet.status().await, "amount").to_owned();

    let shown = offchain(&["faucet", "key", "show", "--json"]).await.json();
    let expected = json!({"address": sender, "public_key": key.public_key()});
    assert_eq!(shown, expected);
    let kept = offchain(&["faucet", "key", "create", "--keep", "--json"])
        .await
        .json();
    assert_eq!(kept["address"], sender.as_str());
    let refused = offchain(&["faucet", "key", "create"]).await;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    let digits = key.to_secret();
    let digits = digits.split('"').nth(3).unwrap();
    let shown = [
        "faucet", "key", "show", "--stdin", "--kind", "evm", "--json",
    ];
    let shown = offchain_with(&shown, digits, &[]).await.json();
    assert_eq!(shown, expected);

    // Its own claim is counted nowhere.
    let address = faucet.new_address();
    let sent = offchain(&["faucet", "send", &address, "--json"])
        .await
        .json();
    let id = text(&sent, "claim_id").to_owned();
    assert!(
        ["committed", "paid"].contains(&text(&sent, "status")),
        "{sent}"
    );
    assert_eq!(
        (text(&sent, "address"), text(&sent, "amount")),
        (&*address, &*amount)
    );
    assert_eq!(faucet.node().balance(&address).await.to_string(), amount);
    assert!(
        faucet
            .limits(&format!("address#{address}"))
            .await
            .is_empty()
    );
    let claim = faucet.paid(&id).await;
    let shown = offchain(&["faucet", "show", &id, "--json"]).await.json();
    assert_eq!(shown["claim"]["hash"], json!(claim.hash));
    assert_eq!(shown["claim"]["status"], "paid");
    assert_eq!(shown["payout"]["sequence"], json!(claim.sequence));
    let terms = &shown["payout"]["versions"][0]["terms"];
    assert_eq!(terms["kind"], "evm", "{shown}");
    let plain = offchain(&["faucet", "show", &id]).await.succeeded();
    for part in [&id, &address, claim.hash.as_ref().unwrap()] {
        assert!(plain.contains(part.as_str()), "{plain}");
    }

    let claims = offchain(&["faucet", "claims", "--last", "65535", "--json"])
        .await
        .json();
    let found = claims
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["claim_id"] == id.as_str());
    assert_eq!(found.unwrap()["status"], "paid");
    let other = faucet_claim(&world).await;
    assert_eq!(other.status, ClaimStatus::Paid);
    let paid = ["faucet", "claims", "--status", "paid", "--last", "65535"];
    assert!(offchain(&paid).await.succeeded().contains(&other.claim_id));
    let failed = [
        "faucet", "claims", "--status", "failed", "--last", "65535", "--json",
    ];
    let failed = offchain(&failed).await.json();
    assert!(!failed.to_string().contains(&id), "{failed}");

    let status = offchain(&["faucet", "status", "--json"]).await;
    let status: Value = serde_json::from_str(&status.stdout).unwrap();
    assert_eq!(status["account"]["address"], sender.as_str(), "{status}");
    assert_eq!(status["account"]["is_fresh"], true, "{status}");
    assert_eq!(status["network"], world.stack.faucet.network.as_str());
    assert_eq!(status["broken"], Value::Null, "{status}");
    assert_eq!(status["problems"], json!([]), "{status}");
    let status = offchain(&["faucet", "status"]).await.succeeded();
    assert!(status.contains(&sender), "{status}");

    for arguments in [
        vec!["status"],
        vec!["claims", "--last", "5"],
        vec!["show", &id],
        vec!["key", "show"],
    ] {
        let printed = offchain(&[vec!["faucet"], arguments.clone()].concat()).await;
        let printed = printed.succeeded();
        assert!(!printed.contains('\x1b'), "{arguments:?}: {printed:?}");
        for line in printed.lines() {
            // A hash is not cut: it is there to be copied.
            let is_whole = line.split_whitespace().any(|word| word.len() > 60);
            let fits = line.chars().count() <= 80;
            assert!(fits || is_whole, "{arguments:?}: {line:?}");
        }
    }

    for (arguments, code) in [
        (vec!["send", "0x12"], 2),
        (
            vec!["send", "cosmos19rl4cm2hmr8afy4kldpxz3fka4jguq0auqdal4"],
            2,
        ),
        (vec!["show", "nothing"], 1),
        (vec!["claims", "--status", "lost"], 2),
        (vec!["key", "import"], 2),
    ] {
        let arguments = [vec!["faucet"], arguments].concat();
        let ran = offchain(&arguments).await;
        assert_eq!(ran.code, Some(code), "{arguments:?}: {ran:?}");
        assert!(!ran.stderr.is_empty(), "{arguments:?}");
    }
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    let text = value[name].as_str();
    text.unwrap_or_else(|| panic!("{name}: expected a text: {value}"))
}

#[tokio::test]
async fn a_process_that_is_asked_to_stop_leaves_nothing_undone() {
    let mut twin = Twin::quiet("faucet-stopped").await;
    let chain = Anvil::start(&["--no-mining"]).await;
    let policy = json!({"amount": "1000", "wait_seconds": 25});
    let settings = chain.settings();
    let (_, sender) = point_faucet_at(&mut twin.world, &settings, &policy, &json!({})).await;
    chain.fund(&sender, 1_000_000_000_000_000_000).await;
    chain.rpc("anvil_mine", json!([1])).await;
    let world = &twin.world;
    let faucet = world.faucet();
    let served = Served::start(world, &[]).await;
    let (url, api) = (served.url.clone(), Api::at(&served.url));
    let address = faucet.new_address();

    // It is asked while a caller waits for a block.
    let began = Instant::now();
    let body = json!({"address": address}).to_string();
    let stop = async {
        until("the claim to be sent", SOON, async || {
            let payouts = faucet.payouts_of(&sender).await;
            payouts.first()?.status.is_open().then_some(())
        })
        .await;
        served.stop().await
    };
    let (reply, code) = tokio::join!(post_claim(&api, body, &[]), stop);
    assert_eq!(code, Some(0));
    assert_eq!(reply.status, 202, "{reply:?}");
    let took = began.elapsed();
    assert!(took < Duration::from_secs(20), "{took:?}");
    let id = text(&reply.body, "claim_id").to_owned();
    let gone = TcpStream::connect(url.trim_start_matches("http://")).await;
    assert!(gone.is_err());
    let tables = faucet.tables().await;
    let locks = &tables[world.stack.faucet.locks_table.as_str()];
    let mut leases = locks.iter().filter(|item| item.contains_key("LockerID"));
    assert_eq!(leases.next().unwrap()["LockerID"].as_n().unwrap(), "0");

    // The next one goes on where it was.
    let served = Served::start(world, &["--poll", "100ms"]).await;
    chain.rpc("anvil_mine", json!([1])).await;
    faucet.paid(&id).await;
    assert_eq!(chain.balance(&address).await, 1000);
    assert_eq!(chain.sent(&sender).await.len(), 1);
    assert_eq!(served.stop().await, Some(0));
}

#[tokio::test]
async fn a_file_with_the_originals_names_means_what_it_meant() {
    let mut twin = Twin::quiet("faucet-file").await;
    let chain = Anvil::start(&[]).await;
    let none = json!({});
    let (key, sender) = point_faucet_at(&mut twin.world, &chain.settings(), &none, &none).await;
    let world = &twin.world;
    let lines = world.stack.faucet.environment.iter();
    let lines = lines.map(|(name, value)| format!("{name}='{value}'\n"));
    let of_the_stack: String = lines.collect();
    let file = twin.folder().join("f11.conf");
    let path = file.to_str().unwrap();
    let original = "AWSREGION=us-east-1\nAMOUNT=7wei\nTIMEOUT=70\n\
                    ORIGINS='https://a.example, https://b.example'\n\
                    REDISENDPOINT=redis:6379\nREDISPASSWORD=hush-hush\n";
    let account = format!("ACCOUNTADDRESS={sender}\nPUBLICKEY={}\n", key.public_key());
    fs::write(&file, format!("{of_the_stack}{original}{account}")).unwrap();
    let options = ["--config", path, "--no-limit"];
    let served = Served::start_with(world, &options, &BTreeMap::new()).await;
    let status = served.api.get("/v1/status").await.body;
    assert_eq!(status["amount"], "7", "{status}");
    assert_eq!(status["throttle"], Value::Null, "{status}");
    for (origin, status) in [("https://b.example", 202), ("https://c.example", 403)] {
        let body = json!({"address": world.faucet().new_address()}).to_string();
        let reply = post_claim(&served.api, body, &[("origin", origin), ASYNC]).await;
        assert_eq!(reply.status, status, "{reply:?}");
    }
    let said = served.output().join("\n");
    for heeded in ["REDISENDPOINT", "REDISPASSWORD", "TIMEOUT"] {
        assert!(said.contains(heeded), "{heeded}: {said}");
    }
    assert!(!said.contains("hush"), "{said}");
    drop(served);

    // What it cannot mean any more is refused, and not repeated.
    let digits = key.to_secret();
    let digits = digits.split('"').nth(3).unwrap();
    let other = world.faucet().new_address();
    for (line, words) in [
        (format!("PRIVATEKEY={digits}"), "faucet key import"),
        (format!("RECAPTCHASECRET={digits}"), "faucet captcha set"),
        ("AMOUNT=7photon".to_owned(), "AMOUNT"),
        ("LCDNODE=http://127.0.0.1:1317".to_owned(), "Cosmos"),
        (format!("ACCOUNTADDRESS={other}"), &*other),
        ("NONSENSE=1".to_owned(), "NONSENSE"),
    ] {
        fs::write(&file, format!("{of_the_stack}{line}\n")).unwrap();
        let url = twin.url();
        let endpoint = [("AWS_ENDPOINT_URL", Some(url.as_str()))];
        let serve = ["faucet", "serve", "--port", "0", "--config", path];
        let ran = offchain_with(&serve, "", &endpoint).await;
        assert!(ran.code.is_some_and(|code| code != 0), "{line}: {ran:?}");
        let said = ran.stdout + &ran.stderr;
        assert!(said.contains(words), "{line}: {said}");
        assert!(!said.contains(digits), "{said}");
    }
}
