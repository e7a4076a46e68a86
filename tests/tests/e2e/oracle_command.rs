//! The `offchain` command on the oracle, as a user runs it.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use jiff::{SignedDuration, Timestamp};
use offchain_oracle::Slot;
use offchain_store::oracle::Record;
use serde_json::{Value, json};

use crate::harness::{SOON, World, binary, offchain, offchain_with, unique, until};
use crate::oracle::{MINUTE, demo, http_feed, http_source, left_out, published, verify, with};
use crate::source::{Answer, Source};
use crate::twin::signal;

/// Waits until the demo feed has a minute of records.
async fn a_minute_of_records(world: &World) {
    until("a minute of records", MINUTE, async || {
        let now = world.slot_in(SignedDuration::ZERO);
        let from = world.slot_in(SignedDuration::from_secs(-70));
        (world.records(&demo(), from, now).await.len() >= 32).then_some(())
    })
    .await;
}

fn array(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

#[tokio::test]
async fn the_command_follows_a_feed_slot_by_slot_and_verifies_what_it_saw() {
    let world = World::shared().await;
    let latest = offchain(&["oracle", "latest", "--json"]).await.json();
    assert_eq!(latest["stale"], false);
    let keys = offchain(&["oracle", "keys", "--json"]).await.json();
    let newest = array(&keys["keys"])[0]["public_key"].as_str().unwrap();

    let watch = ["oracle", "watch", "demo", "--count", "3", "--json"];
    let seen = offchain(&watch).await.succeeded();
    let lines: Vec<Value> = seen
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let slots: Vec<Slot> = lines
        .iter()
        .map(|line| line["slot"].as_str().unwrap().parse().unwrap())
        .collect();
    assert_eq!(slots.len(), 3, "{seen}");
    assert!(
        slots.is_sorted_by(|a, b| world.interval().next(*a) == *b),
        "{slots:?}"
    );
    let age = Timestamp::now().duration_since(slots[2].timestamp());
    assert!(age < SignedDuration::from_secs(10), "{age}");
    let file = std::env::temp_dir().join(format!("{}.jsonl", unique()));
    std::fs::write(&file, &seen).unwrap();
    let path = file.to_str().unwrap();
    // Verifying needs no deployment.
    let offline = [("OFFCHAIN_STACK", None), ("AWS_ENDPOINT_URL", None)];
    let verify = ["oracle", "verify", path];
    let said = offchain_with(&verify, "", &offline).await.succeeded();
    assert!(said.starts_with("valid: 3 readings"), "{said}");
    std::fs::remove_file(&file).unwrap();

    let seen = offchain(&["oracle", "watch", "--count", "1"]).await;
    assert!(seen.stderr.contains("SLOT"), "{seen:?}");
    assert_eq!(seen.succeeded().lines().count(), 1);

    let text = latest.to_string();
    let by_key = ["oracle", "verify", "-", "--json", "--key"];
    let other = "66".repeat(32);
    for (key, code) in [(newest, 0), (&other, 1)] {
        let ran = offchain_with(&[&by_key[..], &[key]].concat(), &text, &offline).await;
        if key == newest && latest["reading"]["public_key"] != newest {
            continue; // A key that is published and not active yet.
        }
        assert_eq!(ran.code, Some(code), "{ran:?}");
    }
    let said = offchain(&["oracle", "latest"]).await.succeeded();
    assert!(
        said.contains("signature  valid, by the key of epoch"),
        "{said}"
    );
}

#[tokio::test]
async fn who_has_seen_enough_of_a_feed_ends_the_command_without_a_complaint() {
    let _world = World::shared().await;
    let ended = tokio::task::spawn_blocking(|| {
        let mut watching = Command::new(binary())
            .args(["oracle", "watch", "--json"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let stdout = watching.stdout.as_mut().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        signal("INT", &[watching.id()]);
        let ended = watching.wait_with_output().unwrap();
        (line, ended)
    })
    .await;
    let (line, ended) = ended.unwrap();
    let record: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(record["feed"], "demo");
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    assert!(ended.stderr.is_empty(), "{ended:?}");
}

#[tokio::test]
async fn the_command_lists_draws_and_verifies_a_minute_of_history() {
    let world = World::shared().await;
    a_minute_of_records(&world).await;
    let history = offchain(&["oracle", "history", "--last", "1m", "--json"])
        .await
        .json();
    let records = array(&history);
    assert!((29..=30).contains(&records.len()), "{}", records.len());
    let mut slots = Vec::new();
    for record in records {
        let time = |field: &str| {
            record[field]
                .as_str()
                .unwrap()
                .parse::<Timestamp>()
                .unwrap()
        };
        slots.push(time("slot"));
        assert_eq!(record["status"], "published", "{record}");
        assert!(time("observed") <= time("written"), "{record}");
        assert!(time("written") >= time("slot"), "{record}");
        let value: i64 = record["value"].as_str().unwrap().parse().unwrap();
        assert!((0..=1000).contains(&value), "{record}");
    }
    assert!(slots.is_sorted_by(|a, b| a < b), "{slots:?}");
    let report = offchain_with(
        &["oracle", "verify", "-", "--json"],
        &history.to_string(),
        &[],
    )
    .await
    .json();
    assert_eq!(report["valid"], true, "{report}");
    assert_eq!(report["readings"], records.len(), "{report}");

    let (first, last) = (slots[0], slots[slots.len() - 1]);
    let span = ["--from", &first.to_string(), "--to", &last.to_string()];
    let listed = offchain(&[&["oracle", "history", "demo"][..], &span].concat()).await;
    assert!(
        listed
            .stderr
            .contains("29 published \u{b7} 0 missed \u{b7} 0 early"),
        "{listed:?}"
    );
    // A line of names, then a line a slot: the end does not belong to it.
    assert_eq!(listed.succeeded().lines().count(), records.len());

    let file = std::env::temp_dir().join(format!("{}.svg", unique()));
    let path = file.to_str().unwrap();
    let plot = ["oracle", "plot", "--last", "1m", "--out", path];
    let said = offchain(&plot).await.succeeded();
    assert!(said.starts_with(path), "{said}");
    let svg = std::fs::read_to_string(&file).unwrap();
    assert!(svg.starts_with("<svg ") && svg.trim_end().ends_with("</svg>"));
    assert!(svg.contains("demo, every 2 s"), "{svg}");
    std::fs::remove_file(&file).unwrap();
}

#[tokio::test]
async fn the_status_tells_of_every_feed_what_its_last_minutes_were_like() {
    let world = World::shared().await;
    let source = Source::start().await;
    let sources = json!({"one": http_source(&source.url("/price"), "/price")});
    let dead = world.feed(&http_feed(1, &sources)).await;
    let unusable = world.feed_as_text("{}").await;
    world.recorded(&dead.id, dead.since).await;
    a_minute_of_records(&world).await;
    let status = offchain(&["status", "--json"]).await.json();
    let oracle = &status["oracle"];
    assert_eq!(oracle["interval_seconds"], 2);
    let of = |name: &str| {
        let mut feeds = array(&oracle["feeds"]).iter();
        feeds.find(|feed| feed["feed"] == name).unwrap()
    };
    let shown = of("demo");
    assert_eq!(
        (&shown["stale"], &shown["missed"]),
        (&json!(false), &json!(0)),
        "{shown}"
    );
    assert!(shown["published"].as_u64() >= Some(30), "{shown}");
    assert!(shown["lateness"]["p99_ms"].as_i64() >= Some(0), "{shown}");
    assert!(shown["key_epoch"].as_u64() >= Some(1), "{shown}");
    let shown = of(dead.id.as_str());
    assert_eq!(
        (&shown["stale"], &shown["published"]),
        (&json!(true), &json!(0)),
        "{shown}"
    );
    assert!(shown["missed"].as_u64() >= Some(1), "{shown}");
    assert!(of(unusable.id.as_str())["unusable"].is_string());
    let said = offchain(&["status"]).await.succeeded();
    assert!(said.contains("oracle, a slot every 2 s"), "{said}");

    let said = offchain(&["oracle", "latest", dead.id.as_str()]).await;
    assert_eq!(said.code, Some(3), "{said:?}");
    assert!(said.stderr.contains("ReadingNotFound"), "{said:?}");
}

#[tokio::test]
async fn what_the_oracle_s_commands_print_fits_a_terminal_and_has_no_colours_elsewhere() {
    let world = World::shared().await;
    let source = Source::start().await;
    source.answer(
        "/price",
        Answer::json(&json!({"price": "-123456789012345.67"})),
    );
    let mut sources = json!({});
    for name in [
        "a-source-with-the-longest-name-1",
        "another",
        "broken",
        "good",
    ] {
        let path = if name == "broken" { "/none" } else { "/price" };
        sources[name] = http_source(&source.url(path), "/price");
    }
    let feed = world.feed(&http_feed(2, &sources)).await;
    published(&world.recorded(&feed.id, feed.since).await);
    let name = feed.id.as_str();
    for arguments in [
        vec!["oracle", "latest"],
        vec!["oracle", "latest", name],
        vec!["oracle", "history", name],
        vec!["oracle", "watch", name, "--count", "2"],
        vec!["oracle", "feeds"],
        vec!["oracle", "keys"],
        vec!["oracle", "header", "list"],
        vec!["status"],
    ] {
        let ran = offchain(&arguments).await;
        let printed = format!("{}{}", ran.stdout, ran.stderr);
        assert!(!ran.succeeded().is_empty(), "{arguments:?}");
        assert!(!printed.contains('\x1b'), "{arguments:?}: {printed:?}");
        for line in printed.lines() {
            assert!(line.chars().count() <= 80, "{arguments:?}: {line:?}");
        }
    }
}

#[tokio::test]
async fn a_header_is_sent_from_when_it_is_set_until_it_is_removed_and_never_shown() {
    let world = World::alone().await;
    let source = Source::start().await;
    source.answer("/price", Answer::json(&json!({"price": "7"})));
    let key = format!("key-{}", &unique()[..8]);
    let value = format!("Bearer {}", unique());
    let asked = with(
        http_source(&source.url("/price"), "/price"),
        "header",
        json!({"name": "x-api-key", "secret_key": key}),
    );
    let feed = world.feed(&http_feed(1, &json!({"one": asked}))).await;
    let missing = world.recorded(&feed.id, feed.since).await;
    // The secret has no value at all before its first header.
    let absent = left_out(&missing);
    assert!(
        absent == ["one HeaderMissing"] || absent == ["one SecretUnavailable"],
        "{absent:?}"
    );
    assert!(source.asked("/price").is_empty());

    // As `echo` and `printf` hand it over.
    let set = ["oracle", "header", "set", &key];
    let said = offchain_with(&set, &format!("{value}\n"), &[]).await;
    assert_eq!(
        said.stdout.trim_end(),
        format!("the header {key} is set"),
        "{said:?}"
    );
    let record = until("the header to be sent", SOON, async || {
        let record = world.recorded(&feed.id, world.settled_slot()).await;
        matches!(record, Record::Published(_)).then_some(record)
    })
    .await;
    verify(published(&record), &world.api.oracle_keys().await);
    let asked = source.asked("/price");
    let header = format!("x-api-key: {value}");
    assert!(
        asked
            .iter()
            .all(|one| one.head.lines().any(|line| line == header)),
        "{asked:?}"
    );

    let listed = offchain(&["oracle", "header", "list", "--json"]).await;
    assert!(!listed.stdout.contains(&value));
    assert!(array(&listed.json()).contains(&json!(key)));
    let shown = world.api.get("/v1/feeds").await.body.to_string();
    assert!(!shown.contains(&value) && !shown.contains(&key), "{shown}");

    let removed = offchain(&["oracle", "header", "remove", &key, "--json"])
        .await
        .json();
    assert_eq!(removed, json!({"removed": key}));
    until("the header to be forgotten", SOON, async || {
        let record = world.recorded(&feed.id, world.settled_slot()).await;
        (left_out(&record) == ["one HeaderMissing"]).then_some(())
    })
    .await;
    let again = offchain(&["oracle", "header", "remove", &key]).await;
    assert_eq!(again.code, Some(2), "{again:?}");
    assert!(again.stderr.contains("there is no header"), "{again:?}");
}

#[tokio::test]
async fn the_command_starts_a_new_key_epoch() {
    let world = World::alone().await;
    let old = world.oracle_keys.newest().await.unwrap().unwrap();
    let new = offchain(&["oracle", "rotate-key", "--json"]).await.json();
    assert_eq!(new["epoch"], old.epoch + 1);
    let keys = offchain(&["oracle", "keys", "--json"]).await.json();
    assert_eq!(array(&keys["keys"])[0]["public_key"], new["public_key"]);
}

#[tokio::test]
async fn the_demo_shows_slots_with_their_signatures() {
    let _world = World::shared().await;
    let said = offchain(&["demo", "--requests", "1", "--slots", "2"])
        .await
        .succeeded();
    assert_eq!(said.matches("signature verified").count(), 2, "{said}");
    assert_eq!(said.matches("proof verified").count(), 1, "{said}");
}

#[tokio::test]
async fn unusable_input_ends_with_two_and_says_what_is_expected() {
    let _world = World::shared().await;
    let long = "k".repeat(65);
    for (arguments, input, expected) in [
        (
            vec!["latest", "Demo"],
            "",
            "1 to 32 characters out of a-z, 0-9 and `-`",
        ),
        (vec!["watch", "--count", "0"], "", "0 is not in 1.."),
        (vec!["watch", "--count", "few"], "", "invalid digit"),
        (vec!["history", "--last", "soon"], "", "--last"),
        (
            vec!["history", "--last", "0s"],
            "",
            "expected a positive duration",
        ),
        (vec!["history", "--from", "yesterday"], "", "--from"),
        (
            vec!["history", "--to", "2026-11-21T11:00:00Z"],
            "",
            "--from",
        ),
        (
            vec![
                "history",
                "--from",
                "2026-11-21T11:00:00Z",
                "--to",
                "2026-11-21T10:00:00Z",
            ],
            "",
            "expected a time before 2026-11-21T10:00:00Z",
        ),
        (vec!["plot", "--out", "a.png"], "", "ends in .svg"),
        (vec!["plot"], "", "--out"),
        (
            vec![
                "plot",
                "--from",
                "2020-01-01T00:00:00Z",
                "--to",
                "2020-01-01T01:00:00Z",
                "--out",
                "/tmp/none.svg",
            ],
            "",
            "demo has no slot from",
        ),
        (vec!["verify", "/no/such/file"], "", "/no/such/file"),
        (vec!["verify", "-"], "", "there is no reading in it"),
        (vec!["verify", "-"], "[]", "there is no reading in it"),
        (vec!["verify", "-"], "{\"a\":1}", "record 1 is no reading"),
        (vec!["verify", "-"], "nonsense", "expected readings in JSON"),
        (vec!["verify", "-", "--key", "66"], "", "--key"),
        (
            vec!["header", "set", "a key"],
            "x",
            "expected 1 to 64 characters",
        ),
        (
            vec!["header", "set", &long],
            "x",
            "expected 1 to 64 characters",
        ),
        (
            vec!["header", "set", "key"],
            "",
            "expected a header's value",
        ),
        (
            vec!["header", "set", "key"],
            "one\ntwo",
            "expected a header's value",
        ),
        (vec!["header", "set"], "x", "<KEY>"),
        (vec!["sell"], "", "unrecognized subcommand"),
    ] {
        let ran = offchain_with(&[&["oracle"][..], &arguments].concat(), input, &[]).await;
        assert_eq!(ran.code, Some(2), "{arguments:?}: {ran:?}");
        assert!(ran.stderr.contains(expected), "{arguments:?}: {ran:?}");
        assert!(ran.stdout.is_empty(), "{arguments:?}: {ran:?}");
    }
    // What the API refuses is no wrong input of the command's.
    let ran = offchain(&["oracle", "latest", "nobody"]).await;
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert!(ran.stderr.contains("FeedNotFound"), "{ran:?}");
    // And a stack is needed for all but verifying.
    let none = [("OFFCHAIN_STACK", None)];
    let ran = offchain_with(&["oracle", "latest"], "", &none).await;
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.stderr.contains("OFFCHAIN_STACK"), "{ran:?}");
}
