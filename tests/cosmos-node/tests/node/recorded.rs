//! What a real node was asked, in order, and what it answered: the stand-in is
//! asked the same and held against it, member by member.

use std::mem::discriminant;
use std::path::Path;

use cosmos_node::{Genesis, Node};
use serde_json::Value;

use crate::http::{Response, request};

const FUNDED: &str = "cosmos19rl4cm2hmr8afy4kldpxz3fka4jguq0auqdal4";

/// The height that the real node was at when it was asked, where it matters.
const HEIGHTS: [(&str, u64); 10] = [
    ("12-tx_included", 2),
    ("28-sync_insufficient_funds_passes_checktx", 7),
    ("29-tx_failed_in_block", 8),
    ("30-sync_low_gas", 11),
    ("31-tx_low_gas_result", 12),
    ("32-block_ok", 15),
    ("34-pipelined_sync_0", 17),
    ("37-account_after", 18),
    ("40-rpc_status", 20),
    ("43-rpc_tx", 21),
];

/// What may differ, by the end of a member's path. Nothing else may.
const DIFFERENT: [&str; 28] = [
    // Times.
    "/timestamp",
    "/time",
    "_time",
    // Hashes of blocks and of what they are made of.
    "/block_id/hash",
    "/part_set_header/hash",
    "/last_commit_hash",
    "/data_hash",
    "/validators_hash",
    "/next_validators_hash",
    "/consensus_hash",
    "/app_hash",
    "/last_results_hash",
    "/evidence_hash",
    "/proposer_address",
    "_block_hash",
    "_app_hash",
    // The node itself.
    "/default_node_id",
    "/node_info/id",
    "/listen_addr",
    "/rpc_address",
    "/moniker",
    "/validator_info/address",
    "/validator_info/pub_key/value",
    // Versions.
    "/application_version/name",
    "/application_version/app_name",
    "/go_version",
    "/build_deps",
    // Gas is counted by a model.
    "/gas_used",
];

struct Record {
    name: String,
    method: String,
    url: String,
    body: Option<Value>,
    answer: Response,
}

fn records() -> Vec<Record> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("recorded");
    let files = folder.read_dir().unwrap().map(|file| file.unwrap().path());
    let mut files: Vec<_> = files
        .filter(|file| file.extension().is_some_and(|end| end == "json"))
        .collect();
    files.sort();
    let read = |file: &std::path::PathBuf| {
        let text = std::fs::read_to_string(file).unwrap();
        let record: Value = serde_json::from_str(&text).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        Record {
            name: file.file_stem().unwrap().to_str().unwrap().to_owned(),
            method: text(&record["request"]["method"]),
            url: text(&record["request"]["url"]),
            body: record["request"].get("body").cloned(),
            answer: Response {
                status: record["status"].as_u64().unwrap().try_into().unwrap(),
                content_type: text(&record["contentType"]),
                body: record["body"].clone(),
            },
        }
    };
    files.iter().map(read).collect()
}

fn genesis() -> Genesis {
    Genesis {
        chain_id: "probe-1".to_owned(),
        funds: vec![(FUNDED.to_owned(), "1000000000stake,500000uatom".to_owned())],
        block_time: None,
        ..Genesis::default()
    }
}

#[tokio::test]
async fn the_stand_in_answers_as_the_recorded_node_did() {
    let node = Node::start(genesis()).await.unwrap();
    let records = records();
    assert_eq!(records.len(), 45);
    let mut differences = Vec::new();
    for record in records {
        let height = HEIGHTS.iter().find(|(name, _)| *name == record.name);
        while height.is_some_and(|(_, height)| node.chain.height() < *height) {
            node.chain.produce_block();
        }
        let url = record
            .url
            .replace("http://127.0.0.1:11317", &node.rest_url)
            .replace("http://127.0.0.1:46657", &node.rpc_url);
        let asked = request(&record.method, &url, record.body.as_ref());
        let answer = if record.name == "32-block_ok" {
            let (answer, ()) = tokio::join!(asked, produce_for_one(&node));
            answer
        } else {
            asked.await
        };
        let answer = answer.unwrap();
        let same = (answer.status, answer.content_type.as_str())
            == (record.answer.status, record.answer.content_type.as_str());
        if !same {
            differences.push(format!("{}: {answer:?}", record.name));
        }
        compare(
            &record.name,
            "",
            &record.answer.body,
            &answer.body,
            &mut differences,
        );
    }
    assert!(differences.is_empty(), "\n{}", differences.join("\n"));
}

/// Makes a block as soon as a transaction waits.
async fn produce_for_one(node: &Node) {
    while node.chain.waiting() == 0 {
        tokio::task::yield_now().await;
    }
    node.chain.produce_block();
}

fn compare(name: &str, path: &str, recorded: &Value, answered: &Value, to: &mut Vec<String>) {
    match (recorded, answered) {
        _ if DIFFERENT.iter().any(|end| path.ends_with(end)) => {
            if !are_alike(recorded, answered) {
                to.push(format!("{name}{path}: {recorded} is {answered}"));
            }
        }
        (Value::Object(recorded), Value::Object(answered)) => {
            for (member, value) in recorded {
                let other = answered.get(member).unwrap_or(&Value::Null);
                compare(name, &format!("{path}/{member}"), value, other, to);
            }
            let more = answered.keys().filter(|key| !recorded.contains_key(*key));
            to.extend(more.map(|key| format!("{name}{path}/{key} is too many")));
            let missing = recorded.keys().filter(|key| !answered.contains_key(*key));
            to.extend(missing.map(|key| format!("{name}{path}/{key} is missing")));
        }
        (Value::Array(recorded), Value::Array(answered)) if recorded.len() == answered.len() => {
            for (index, (one, other)) in recorded.iter().zip(answered).enumerate() {
                compare(name, &format!("{path}/{index}"), one, other, to);
            }
        }
        _ if without_gas(recorded) == without_gas(answered) => {}
        _ => to.push(format!("{name}{path}: {recorded} is {answered}")),
    }
}

/// What may differ is still of one kind, and empty where the other is.
fn are_alike(recorded: &Value, answered: &Value) -> bool {
    match (recorded, answered) {
        (Value::String(recorded), Value::String(answered)) => {
            recorded.is_empty() == answered.is_empty()
        }
        (recorded, answered) => discriminant(recorded) == discriminant(answered),
    }
}

/// A text without the figure of the gas that was used.
fn without_gas(value: &Value) -> Value {
    let Some((before, after)) = value.as_str().and_then(|text| text.split_once("gasUsed: ")) else {
        return value.clone();
    };
    let after = after.trim_start_matches(|c: char| c.is_ascii_digit());
    format!("{before}gasUsed: {after}").into()
}
