//! The layers: dependencies point one way, and the domain is pure.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package, PackageId};

use crate::repository::{entries, root};

/// Libraries that know no AWS, no runtime, no environment and no clock.
const DOMAIN: [&str; 8] = [
    "codes", "cost", "faucet", "ledger", "oracle", "redrive", "rides", "vrf",
];
/// Libraries that talk to something outside.
const OUTSIDE: [&str; 3] = ["chains", "outbound", "store"];
const FUNCTION: &str = "function";
/// Libraries that do the work of functions, and of the command as well.
const SERVICES: [&str; 2] = ["faucet-service", "ledger-service"];
const CLI: &str = "cli";

/// The packages as they are built here.
fn metadata() -> Metadata {
    let rustc = Command::new("rustc")
        .arg("-vV")
        .output()
        .expect("rustc runs");
    let said = String::from_utf8(rustc.stdout).unwrap();
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    // Packages of other platforms need not be downloaded.
    let platform = format!("--filter-platform={}", host.expect("a host"));
    MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .other_options(vec![
            "--locked".to_owned(),
            "--offline".to_owned(),
            platform,
        ])
        .exec()
        .unwrap()
}

/// The packages of a folder of the workspace, by their folder's name.
fn of_folder<'a>(metadata: &'a Metadata, folder: &str) -> BTreeMap<String, &'a Package> {
    entries(folder, true)
        .into_iter()
        .map(|name| {
            let manifest = root().join(folder).join(&name).join("Cargo.toml");
            let package = metadata
                .packages
                .iter()
                .find(|package| package.manifest_path == manifest)
                .unwrap_or_else(|| panic!("{} is no package", manifest.display()));
            (name, package)
        })
        .collect()
}

/// What a package needs to run, itself.
fn needs<'a>(metadata: &'a Metadata, id: &PackageId) -> Vec<&'a PackageId> {
    let resolve = metadata
        .resolve
        .as_ref()
        .expect("dependencies are resolved");
    let node = resolve.nodes.iter().find(|node| node.id == *id).unwrap();
    node.deps
        .iter()
        .filter(|dep| {
            dep.dep_kinds
                .iter()
                .any(|kind| kind.kind == DependencyKind::Normal)
        })
        .map(|dep| &dep.pkg)
        .collect()
}

/// What a package needs to run, by way of what it needs.
fn needs_in_the_end(metadata: &Metadata, id: &PackageId) -> BTreeSet<String> {
    let mut open = needs(metadata, id);
    let mut seen = BTreeSet::new();
    while let Some(id) = open.pop() {
        if seen.insert(id) {
            open.extend(needs(metadata, id));
        }
    }
    seen.into_iter()
        .map(|id| metadata[id].name.to_string())
        .collect()
}

#[test]
fn every_library_has_its_layer() {
    let mut layered: BTreeSet<String> = DOMAIN
        .iter()
        .chain(&OUTSIDE)
        .chain(&SERVICES)
        .map(ToString::to_string)
        .collect();
    layered.extend([FUNCTION.to_owned(), CLI.to_owned()]);
    let found: BTreeSet<String> = entries("crates", true).into_iter().collect();
    assert_eq!(
        found, layered,
        "a new library goes into one of the lists above"
    );
}

#[test]
fn a_domain_library_is_pure() {
    let metadata = metadata();
    for (name, package) in of_folder(&metadata, "crates") {
        if !DOMAIN.contains(&name.as_str()) {
            continue;
        }
        for needed in needs_in_the_end(&metadata, &package.id) {
            let outside = needed.starts_with("aws-")
                || needed.starts_with("aws_")
                || ["tokio", "reqwest", "hyper", "lambda_runtime"].contains(&needed.as_str());
            assert!(!outside, "{name} needs {needed}");
        }
    }
}

#[test]
fn dependencies_point_one_way() {
    let metadata = metadata();
    let crates = of_folder(&metadata, "crates");
    let lambdas = of_folder(&metadata, "lambdas");
    let names = |layers: &[&[&str]]| -> BTreeSet<&PackageId> {
        let names = layers.iter().copied().flatten();
        names.map(|name| &crates[*name].id).collect()
    };
    let own: BTreeSet<&PackageId> = metadata.workspace_members.iter().collect();
    let check = |package: &Package, allowed: &BTreeSet<&PackageId>| {
        for needed in needs(&metadata, &package.id) {
            let fine = !own.contains(needed) || allowed.contains(needed);
            assert!(
                fine,
                "{} must not need {}",
                package.name, metadata[needed].name
            );
        }
    };
    for (name, package) in &crates {
        let allowed = match name.as_str() {
            name if DOMAIN.contains(&name) || OUTSIDE.contains(&name) || name == FUNCTION => {
                names(&[&DOMAIN])
            }
            name if SERVICES.contains(&name) => names(&[&DOMAIN, &OUTSIDE, &[FUNCTION]]),
            // The command is one more user of the libraries, but no function.
            _ => names(&[&DOMAIN, &OUTSIDE, &SERVICES, &[FUNCTION]]),
        };
        check(package, &allowed);
    }
    let below_functions = names(&[&DOMAIN, &OUTSIDE, &SERVICES, &[FUNCTION]]);
    for package in lambdas.values() {
        check(package, &below_functions);
    }
}
