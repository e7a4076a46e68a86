//! Where things are, and what must not be in them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("tests/ lies in the root").to_owned()
}

pub(crate) fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What lies in a folder, by name, sorted; folders only or files only.
pub(crate) fn entries(folder: &str, folders: bool) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(root().join(folder))
        .unwrap_or_else(|error| panic!("{folder}: {error}"))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir() == folders)
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .filter(|name| !name.starts_with('.') && name != "__pycache__")
        .collect();
    names.sort();
    names
}

/// Every file of a folder, however deep, as paths from the root.
pub(crate) fn files(folder: &str, extension: &str) -> Vec<String> {
    let mut found: Vec<String> = entries(folder, false)
        .into_iter()
        .filter(|name| name.ends_with(extension))
        .map(|name| format!("{folder}/{name}"))
        .collect();
    for name in entries(folder, true) {
        found.extend(files(&format!("{folder}/{name}"), extension));
    }
    found
}

/// Every file that is committed or about to be, with its text; binaries are left out.
fn committed() -> Vec<(String, String)> {
    let output = Command::new("git")
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .current_dir(root())
        .output()
        .expect("git runs");
    assert!(output.status.success(), "git ls-files failed");
    String::from_utf8(output.stdout)
        .unwrap()
        .split_terminator('\0')
        .filter_map(|path| {
            // One that is deleted and not committed yet has no text.
            let text = fs::read_to_string(root().join(path)).ok()?;
            Some((path.to_owned(), text))
        })
        .collect()
}

#[test]
fn no_file_names_a_place_on_somebodys_machine() {
    // Put together here, so that this file does not name one itself.
    let places = ["root", "work", "home", "Users"].map(|folder| format!("/{folder}/"));
    let mut found = Vec::new();
    for (path, text) in committed() {
        for (number, line) in text.lines().enumerate() {
            if places.iter().any(|place| line.contains(place)) {
                found.push(format!("{path}:{}: {line}", number + 1));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn no_lock_file_names_the_mirror_it_was_made_with() {
    for (path, text) in committed() {
        if path.ends_with("package-lock.json") {
            assert!(!text.contains("\"resolved\": \"http"), "{path}");
        }
        if path.ends_with("Cargo.lock") {
            for line in text.lines().filter(|line| line.starts_with("source = ")) {
                let source = "source = \"registry+https://github.com/rust-lang/crates.io-index\"";
                assert_eq!(line, source, "{path}");
            }
        }
    }
}

#[test]
fn the_main_file_of_a_function_holds_no_logic() {
    for name in entries("lambdas", true) {
        let path = format!("lambdas/{name}/src/main.rs");
        let lines = read(&path).lines().count();
        assert!(lines <= 20, "{path} has {lines} lines, expected at most 20");
    }
}

#[test]
fn the_documents_name_every_folder_and_command() {
    let documents = read("ARCHITECTURE.md") + &read("README.md");
    let mut expected = Vec::new();
    for (folder, of_folders) in [
        ("crates", true),
        ("lambdas", true),
        ("terraform/modules", true),
        ("statemachines", false),
        ("scripts", false),
    ] {
        let names = entries(folder, of_folders);
        assert!(!names.is_empty(), "{folder} is empty");
        expected.extend(names.into_iter().map(|name| (folder, name)));
    }
    let missing: Vec<String> = expected
        .into_iter()
        .filter(|(folder, name)| !named(&documents, folder, name))
        .map(|(folder, name)| format!("{folder}/{name}"))
        .collect();
    assert!(
        missing.is_empty(),
        "README.md and ARCHITECTURE.md do not name: {}",
        missing.join(", ")
    );
}

/// Whether a text names this, with its folder or as a word of its own in code.
fn named(text: &str, folder: &str, name: &str) -> bool {
    let part_of_a_name = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_');
    let short = name.split('.').next().unwrap_or(name);
    [
        format!("{folder}/{name}"),
        format!("{folder}/{short}"),
        name.to_owned(),
        short.to_owned(),
    ]
    .iter()
    .any(|spelling| {
        text.match_indices(spelling.as_str()).any(|(at, _)| {
            let before = text[..at].chars().next_back();
            let after = text[at + spelling.len()..].chars().next();
            // A bare word may be an everyday one: it counts in code or in a tree only.
            let marked = spelling.contains('/')
                || matches!(before, Some('`' | '/'))
                || matches!(after, Some('`' | '/'))
                || text[..at]
                    .rsplit('\n')
                    .next()
                    .is_some_and(|line| !line.is_empty() && line.trim().is_empty());
            marked && !before.is_some_and(part_of_a_name) && !after.is_some_and(part_of_a_name)
        })
    })
}

#[test]
fn a_name_counts_only_where_it_stands_for_the_folder() {
    assert!(named("see `crates/store`", "crates", "store"));
    assert!(named("crates/\n  store/   state", "crates", "store"));
    assert!(named("| `vrf-api` | the API |", "lambdas", "vrf-api"));
    assert!(named(
        "statemachines/vrf-fulfilment.asl.json",
        "statemachines",
        "vrf-fulfilment.asl.json"
    ));
    assert!(!named("it will store things", "crates", "store"));
    assert!(!named("crates/store-two", "crates", "store"));
}
