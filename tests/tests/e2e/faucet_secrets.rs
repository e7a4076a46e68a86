//! The key that pays is in its secret and nowhere else.

use std::fs;
use std::path::Path;

use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD, Engine};
use serde_json::{Value, json};

use crate::chain::{Anvil, Testnet};
use crate::faucet_world::{Served, faucet_claim, point_faucet_at, post_claim};
use crate::harness::{World, environment};
use crate::twin::Twin;

/// The forms in which a key may stand somewhere.
fn forms(secret: &str) -> Vec<String> {
    let members: Value = serde_json::from_str(secret).unwrap();
    let digits = members["private_key"].as_str().unwrap().to_lowercase();
    let bytes = hex::decode(&digits).unwrap();
    let list: Vec<_> = bytes.iter().map(ToString::to_string).collect();
    let mut forms = vec![digits.to_uppercase(), list.join(", "), list.join(",")];
    // Wherever in a longer text it begins, whose last digits depend on what follows.
    for text in [bytes.as_slice(), digits.as_bytes()] {
        for skipped in 0..3 {
            let shifted = [&vec![0; skipped], text].concat();
            for encoded in [
                BASE64_STANDARD.encode(&shifted),
                BASE64_URL_SAFE_NO_PAD.encode(&shifted),
            ] {
                let encoded = encoded.trim_end_matches('=');
                forms.push(encoded[4..encoded.len() - 2].to_owned());
            }
        }
    }
    forms.push(digits);
    forms
}

/// The files below a folder that hold one of the texts.
fn holding(folder: &Path, texts: &[String], found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            holding(&path, texts, found);
            continue;
        }
        let content = fs::read(&path).unwrap();
        let content = String::from_utf8_lossy(&content);
        if texts.iter().any(|text| content.contains(text.as_str())) {
            found.push(path.file_name().unwrap().to_string_lossy().into_owned());
        }
    }
}

#[tokio::test]
async fn the_key_is_in_its_secret_and_nowhere_else() {
    // What the stack's functions have written until now is copied as well.
    let shared = World::shared().await;
    let faucet = shared.funded_faucet().await;
    faucet_claim(&shared).await;
    drop(faucet);
    let mut twin = Twin::of_the_stack("faucet-secrets").await;
    let arn = shared.stack.faucet.key_secret_arn.clone();
    let of_the_stack = shared.secret(&arn).await;
    drop(shared);

    let chain = Anvil::start(&[]).await;
    let settings = chain.settings();
    let (key, sender) = point_faucet_at(&mut twin.world, &settings, &json!({}), &json!({})).await;
    let of_the_twin = key.to_secret();
    chain.fund(&sender, 1_000_000_000_000_000_000).await;
    chain.rpc("anvil_mine", json!([1])).await;
    let world = &twin.world;
    faucet_claim(world).await;
    let served = Served::start(world, &[]).await;
    let address = world.faucet().new_address();
    let body = json!({"address": address}).to_string();
    let reply = post_claim(&served.api, body, &[]).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let contract = world.faucet().new_address();
    chain
        .rpc("anvil_setCode", json!([contract, "0x60006000fd"]))
        .await;
    let reply = world.faucet().claim(&contract).await;
    assert_eq!(reply.status, 502, "{reply:?}");
    // What is wrong with a key is no reason to show it.
    let spoilt = of_the_twin.replace("private_key", "privat_key");
    let arn = &world.stack.faucet.key_secret_arn;
    world.put_secret(arn, &spoilt).await;
    let function = world.function("faucet-pay");
    let mut deployed = environment(&world.lambda, function).await;
    for secret in [of_the_stack.as_str(), of_the_twin.as_str()] {
        let texts = forms(secret);
        for function in world.stack.faucet.functions.values() {
            for (name, value) in environment(&world.lambda, function).await {
                assert!(
                    !texts.iter().any(|text| value.contains(text.as_str())),
                    "{name}"
                );
            }
        }
        for line in served.output() {
            assert!(
                !texts.iter().any(|text| line.contains(text.as_str())),
                "{line}"
            );
        }
    }
    deployed.insert("LOG_LEVEL".to_owned(), "debug".to_owned());
    crate::harness::set_environment(&world.lambda, function, deployed).await;
    let event = crate::faults::delivery(r#"{"waiting":1}"#, 1);
    let refused = world.invoke("faucet-pay", &event).await.unwrap();
    assert_eq!(refused, crate::faults::refused(&event));
    drop(served);

    // All that the emulator keeps, Terraform's state, and every log.
    twin.stop();
    let places = |texts: &[String]| {
        let mut found = Vec::new();
        holding(twin.folder(), texts, &mut found);
        found.sort();
        found
    };
    // A secret keeps the value before the newest, and none before that.
    assert_eq!(places(&forms(&of_the_twin)), ["secretsmanager.json"]);
    assert_eq!(places(&forms(&of_the_stack)), [""; 0]);
    // What is logged would be found.
    let logged = places(&["the transfer cannot be made".to_owned()]);
    assert!(
        logged.contains(&"cloudwatch_logs.json".to_owned()),
        "{logged:?}"
    );
    let stored = places(&[sender]);
    for file in ["dynamodb.json", "stepfunctions.json"] {
        assert!(stored.contains(&file.to_owned()), "{stored:?}");
    }
}
