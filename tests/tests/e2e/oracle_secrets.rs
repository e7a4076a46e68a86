//! What is secret stays in Secrets Manager: neither the oracle's key nor the
//! value of a source's header is found anywhere else, whatever goes wrong, and
//! a header that was rotated is used soon.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD, Engine};
use jiff::{SignedDuration, Timestamp};
use offchain_oracle::SigningKey;
use offchain_store::keys;
use serde_json::{Value, json};

use crate::garbage::move_stage;
use crate::harness::{SOON, World, unique, until};
use crate::oracle::{demo, http_feed, http_source, left_out, published};
use crate::oracle_faults::{Minute, proved};
use crate::runtime_api::Function;
use crate::source::{Answer, Source};
use crate::twin::Twin;

/// The one file of the emulator that may hold a secret.
const SECRETS_MANAGER: &str = "secretsmanager.json";

/// A text that is looked for, in every form in which it could have been written.
fn forms(secret: &[u8]) -> Vec<String> {
    let mut forms = vec![
        hex::encode(secret),
        hex::encode_upper(secret),
        BASE64_STANDARD.encode(secret),
        BASE64_URL_SAFE_NO_PAD.encode(secret),
    ];
    // As a list of numbers, of which Debug and JSON make one.
    let numbers: Vec<_> = secret.iter().map(u8::to_string).collect();
    forms.extend([numbers.join(", "), numbers.join(",")]);
    forms.extend(String::from_utf8(secret.to_vec()));
    forms
}

/// The files of a folder that hold one of the texts.
fn files_with(texts: &[String], folder: &Path) -> BTreeSet<PathBuf> {
    let mut grep = Command::new("grep")
        .args(["-r", "-l", "-F", "-f", "-"])
        .arg(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut input = grep.stdin.take().unwrap();
    input.write_all(texts.join("\n").as_bytes()).unwrap();
    drop(input);
    let output = grep.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(PathBuf::from).collect()
}

/// Nothing in the folder but what Secrets Manager keeps holds one of the texts.
fn found_nowhere_else(texts: &[String], folder: &Path) {
    let found: Vec<_> = files_with(texts, folder)
        .into_iter()
        .filter(|file| {
            let name = file.file_name().unwrap().to_string_lossy();
            // It is written under another name first.
            !name.starts_with(SECRETS_MANAGER)
        })
        .collect();
    assert!(found.is_empty(), "a secret is in {found:?}");
}

/// Each of these is in the file: whoever looks there can find something.
fn holds(folder: &Path, file: &str, texts: &[&str]) {
    let path = folder.join("state").join(file);
    for text in texts {
        let found = files_with(&[(*text).to_owned()], &path);
        assert_eq!(found.len(), 1, "{text} is not in {}", path.display());
    }
}

/// The texts of the secrets that the test stack itself has.
async fn own_secrets(world: &World) -> Vec<Vec<u8>> {
    let text = world.secret(&world.stack.oracle.key_secret_arn).await;
    let key: SigningKey = keys::parse(&text).unwrap();
    let mut secrets = vec![key.to_bytes().to_vec()];
    let headers = world.secrets.get_secret_value();
    let headers = headers.secret_id(&world.stack.oracle.headers_secret_arn);
    let headers = headers.send().await.unwrap().secret_string;
    if let Some(Ok(Value::Object(headers))) = headers.as_deref().map(serde_json::from_str) {
        let values = headers.values().filter_map(Value::as_str);
        secrets.extend(values.map(|value| value.as_bytes().to_vec()));
    }
    secrets
}

#[tokio::test]
async fn no_secret_is_found_outside_secrets_manager_whatever_goes_wrong() {
    let twin = Twin::quiet("oracle-secrets").await;
    let world = &twin.world;
    let headers = &world.stack.oracle.headers_secret_arn;
    let hush = unique();
    let source = Source::start().await;
    let mut sources = serde_json::Map::new();
    // What a server can do with a header: use it, and repeat it everywhere.
    let quoted = Value::from(hush.as_str());
    for (name, answer) in [
        ("good", Answer::text("7")),
        ("a-text", Answer::json(&json!({"value": hush}))),
        ("no-json", Answer::text(&hush)),
        ("half-json", Answer::text(&format!("{{{quoted}: {hush}"))),
        ("member", Answer::json(&json!({&*hush: 7}))),
        ("twice", Answer::text(&format!("{{{quoted}:1,{quoted}:2}}"))),
        (
            "refusal",
            Answer::Reply(401, json!({"wrong": hush}).to_string()),
        ),
        (
            "redirect",
            Answer::Redirect(source.url(&format!("/{hush}?key={hush}"))),
        ),
        (
            "far",
            Answer::Redirect(format!("http://{hush}.invalid/{hush}")),
        ),
        ("no-url", Answer::Redirect(format!("{hush}://{hush}"))),
        ("breaks-off", Answer::BreaksOff),
    ] {
        let path = format!("/{name}");
        source.answer(&path, answer);
        let pointer = if name == "good" { "" } else { "/value" };
        let mut definition = http_source(&source.url(&path), pointer);
        definition["header"] = json!({"name": "x-api-key", "secret_key": "k"});
        sources.insert(name.to_owned(), definition);
    }
    let sources = Value::Object(sources);
    let feed = world.feed(&http_feed(1, &sources)).await;
    let failing = world.feed(&http_feed(2, &sources)).await;
    world
        .put_secret(headers, &json!({"k": hush}).to_string())
        .await;

    let minute = Minute::lasting(world, SignedDuration::from_secs(50)).await;
    let slot = minute.ahead[1];
    let record = world.recorded(&feed.id, slot).await;
    proved(world, &record).await;
    assert_eq!(left_out(&record).len(), 10, "{record:?}");
    let detail = {
        world.recorded(&failing.id, slot).await;
        world.detail(&failing.id, slot).await
    };
    assert!(detail.contains("a-text ValueInvalid"), "{detail}");

    // A header that none can be, and a secret that is no list of them.
    for text in [
        json!({"k": format!("{hush}\r\nx: y")}).to_string(),
        hush.clone(),
    ] {
        world.put_secret(headers, &text).await;
        let reason = if text == hush {
            "HeadersInvalid"
        } else {
            "HeaderInvalid"
        };
        until("the secret to be noticed", SOON, async || {
            let slot = world.slot_in(SignedDuration::from_secs(-2));
            let record = world.slot(&failing.id, slot).await?;
            left_out(&record)
                .contains(&format!("good {reason}"))
                .then_some(())
        })
        .await;
    }
    spoil_the_key(&twin, &hush).await;
    // An event that holds it would be kept by the queue, so none does; but the
    // command that reads a header from its input, and the API that is asked for
    // what it does not have, have seen it.
    let reply = world
        .api
        .get(&format!("/v1/feeds/{}/latest", failing.id))
        .await;
    assert_eq!(reply.status, 404, "{}", reply.body);

    let mut secrets = own_secrets(world).await;
    secrets.push(hush.into_bytes());
    let texts: Vec<_> = secrets.iter().flat_map(|secret| forms(secret)).collect();
    hidden_from_processes(&twin, &texts).await;
    let folder = twin.folder().to_owned();
    let mut twin = twin;
    drop((feed, failing));
    // All that the emulator knows is in its files then.
    twin.stop();
    holds(
        &folder,
        SECRETS_MANAGER,
        &[&texts[0], texts.last().unwrap()],
    );
    holds(
        &folder,
        "cloudwatch_logs.json",
        &["oracle-publish", "a source takes no part", "KeyInvalid"],
    );
    holds(
        &folder,
        "stepfunctions.json",
        &[&minute.execution, &slot.to_string()],
    );
    holds(
        &folder,
        "dynamodb.json",
        &[slot.to_string().as_str(), "HeadersInvalid"],
    );
    holds(
        &folder,
        "lambda.json",
        &["ORACLE_KEY_SECRET_ARN", "ORACLE_HEADERS_SECRET_ARN"],
    );
    holds(&folder, "sqs.json", &["KeyInvalid"]);
    found_nowhere_else(&texts, &folder);
    twin.start().await;
}

/// The key's secret holds something else for a while; what reads it fails.
async fn spoil_the_key(twin: &Twin, hush: &str) {
    let world = &twin.world;
    let secret = &world.stack.oracle.key_secret_arn;
    let before = world.secret(secret).await;
    world.put_secret(secret, hush).await;
    let error = world
        .invoke("oracle-rotate-key", &json!({"action": "reconcile"}))
        .await
        .unwrap_err();
    assert_eq!(error["errorType"], "KeyInvalid", "{error}");
    // The dead letter of an asynchronous run tells of it.
    let reconcile = json!({"action": "reconcile"});
    world.invoke_later("oracle-rotate-key", &reconcile).await;
    until("the dead letter", SOON, async || {
        (world.depth("oracle-schedules-dlq").await > 0).then_some(())
    })
    .await;
    // A key of one's own that was never published: what signs with it is refused.
    let newest = world.oracle_keys.newest().await.unwrap().unwrap();
    let stage = keys::label(&newest.public_key);
    let versions = async || {
        let reply = world.secrets.describe_secret().secret_id(secret).send();
        reply.await.unwrap().version_ids_to_stages.unwrap()
    };
    let of = |versions: &std::collections::HashMap<String, Vec<String>>, stage: &str| {
        let mut found = versions
            .iter()
            .filter(|(_, stages)| stages.iter().any(|found| found == stage));
        found.next().unwrap().0.clone()
    };
    let all = versions().await;
    let (holder, spoilt) = (of(&all, &stage), of(&all, "AWSCURRENT"));
    move_stage(&world.config, secret, &stage, &holder, &spoilt).await;
    let function = Function::start(world, "oracle-publish", &twin.url()).await;
    let slot = world.slot_in(SignedDuration::from_secs(1));
    let failure = function.invoke(&json!({"slot": slot})).await.unwrap_err();
    assert_eq!(failure.error_type, "KeyInvalid", "{failure:?}");
    move_stage(&world.config, secret, &stage, &spoilt, &holder).await;
    world.put_secret(secret, &before).await;
}

/// No environment of a function, and of no process that runs one, holds one of
/// the texts.
async fn hidden_from_processes(twin: &Twin, texts: &[String]) {
    let world = &twin.world;
    let mut seen = 0;
    for role in world.stack.oracle.functions.keys() {
        let role = format!("oracle-{role}");
        let function = world
            .lambda
            .get_function_configuration()
            .function_name(world.function(&role));
        let function = function.send().await.unwrap();
        let variables = function.environment.unwrap().variables.unwrap();
        let mut environments = vec![format!("{variables:?}")];
        for process in twin.processes(&role).await {
            // It may be gone by now, and has no such file on other systems.
            environments.extend(std::fs::read_to_string(format!("/proc/{process}/environ")));
        }
        seen += environments.len();
        for environment in environments {
            assert!(environment.contains("ORACLE_"));
            assert!(!texts.iter().any(|text| environment.contains(text)));
        }
    }
    assert!(seen >= world.stack.oracle.functions.len());
}

#[tokio::test]
async fn terraform_knows_no_secret() {
    let world = World::shared().await;
    let secrets = own_secrets(&world).await;
    let texts: Vec<_> = secrets.iter().flat_map(|secret| forms(secret)).collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let outputs = PathBuf::from(std::env::var("OFFCHAIN_STACK").unwrap());
    let home = outputs.parent().unwrap();
    let state = home.join("terraform.tfstate");
    let state_text = std::fs::read_to_string(&state).unwrap();
    for there in [
        &world.stack.oracle.key_secret_arn,
        &world.stack.oracle.headers_secret_arn,
    ] {
        assert!(state_text.contains(there), "{there}");
    }
    // The twins have a Secrets Manager of their own, and other tests' doings.
    for entry in std::fs::read_dir(home).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap() != "twins" {
            found_nowhere_else(&texts, &path);
        }
    }
    for folder in ["terraform", "statemachines"] {
        found_nowhere_else(&texts, &root.join(folder));
    }
    // Nor does a plan, which reads everything anew.
    let plan = plan(root, home).await;
    for there in [
        "aws_secretsmanager_secret",
        &world.stack.oracle.headers_secret_arn,
    ] {
        assert!(plan.contains(there), "{there}");
    }
    assert!(!texts.iter().any(|text| plan.contains(text)));
}

/// The plan of the stack, with all that it was made from, as JSON.
async fn plan(root: &Path, home: &Path) -> String {
    let pinned = root.join(".local/bin/terraform");
    let terraform = if pinned.is_file() {
        pinned
    } else {
        "terraform".into()
    };
    let file = std::env::temp_dir().join(format!("{}.tfplan", unique()));
    let (root, home) = (root.join("terraform"), home.to_owned());
    tokio::task::spawn_blocking(move || {
        let run = |arguments: &[&str]| {
            let output = Command::new(&terraform)
                .current_dir(&root)
                .args(arguments)
                .stdin(Stdio::null())
                .output()
                .unwrap();
            let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{arguments:?}: {stderr}");
            String::from_utf8(output.stdout).unwrap()
        };
        let out = file.to_str().unwrap();
        let state = format!("-state={}", home.join("terraform.tfstate").display());
        let port = std::fs::read_to_string(home.join("chain-port")).unwrap();
        let nodes = format!(r#"[{{"url":"http://127.0.0.1:{}"}}]"#, port.trim());
        let ledger = std::fs::read_to_string(home.join("ledger-port")).unwrap();
        let ledger = format!("http://127.0.0.1:{}", ledger.trim());
        run(&[
            "plan",
            "-lock=false",
            "-no-color",
            "-input=false",
            "-parallelism=4",
            &state,
            "-var-file=local.tfvars",
            "-var-file=../tests/stack.tfvars",
            "-var=artifacts_dir=../target/lambda",
            &format!("-var=faucet_nodes={nodes}"),
            &format!("-var=ledger_node={ledger}"),
            &format!("-out={out}"),
        ]);
        let plan = run(&["show", "-json", "-no-color", out]);
        std::fs::remove_file(&file).unwrap();
        plan
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn a_rotated_header_is_sent_soon_and_the_old_one_no_more() {
    let twin = Twin::quiet("oracle-header").await;
    let world = &twin.world;
    let secret = &world.stack.oracle.headers_secret_arn;
    let function = world
        .lambda
        .get_function_configuration()
        .function_name(world.function("oracle-publish"));
    let function = function.send().await.unwrap();
    let variables = function.environment.unwrap().variables.unwrap();
    let cache: i64 = variables["ORACLE_SECRET_CACHE_SECONDS"].parse().unwrap();
    let source = Source::start().await;
    source.answer("/price", Answer::text("7"));
    let mut definition = http_source(&source.url("/price"), "");
    definition["header"] = json!({"name": "x-api-key", "secret_key": "k"});
    let (old, new) = (unique(), unique());
    world
        .put_secret(secret, &json!({"k": old}).to_string())
        .await;
    let feed = world
        .feed(&http_feed(1, &json!({"only": definition})))
        .await;
    let minute = Minute::now(world).await;
    let (first, last) = (minute.ahead[1], minute.ahead[8]);
    proved(world, &world.recorded(&feed.id, first).await).await;
    world
        .put_secret(secret, &json!({"k": new}).to_string())
        .await;
    let interval = i64::from(world.stack.oracle.interval_seconds);
    let known = Timestamp::now() + SignedDuration::from_secs(cache + interval);
    world.recorded(&feed.id, last).await;

    let asked = source.asked("/price");
    let with = |value: &str| {
        let sent = format!("x-api-key: {value}\r\n");
        let asked = asked.iter().filter(move |asked| asked.head.contains(&sent));
        asked.map(|asked| asked.at).collect::<Vec<_>>()
    };
    let (with_old, with_new) = (with(&old), with(&new));
    assert!(!with_old.is_empty() && !with_new.is_empty());
    assert_eq!(with_old.len() + with_new.len(), asked.len());
    assert!(
        with_old.iter().all(|at| *at < known),
        "{known}: {with_old:?}"
    );
    assert!(with_new[0] < known, "{known}: {with_new:?}");
    assert!(with_old.iter().max() < with_new.iter().min());
    // Not one slot was missed for it.
    for record in world.records(&feed.id, first, last).await {
        published(&record);
    }
    for record in world.records(&demo(), first, last).await {
        published(&record);
    }
}
