//! The variables that a function reads, against those that it is given.

use std::collections::BTreeSet;

use crate::repository::{entries, files, read};
use crate::terraform;

/// A function's variables: what it needs, and what it may have.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Variables {
    pub(crate) required: BTreeSet<String>,
    pub(crate) optional: BTreeSet<String>,
}

impl Variables {
    fn all(&self) -> BTreeSet<String> {
        self.required.union(&self.optional).cloned().collect()
    }
}

/// What the `config!` of a function's sources names.
fn read_by(function: &str) -> Variables {
    let mut variables = Variables::default();
    for path in files(&format!("lambdas/{function}/src"), ".rs") {
        for block in read(&path).split("config!(").skip(1) {
            let block = block.split("})").next().unwrap();
            for (word, into) in [
                ("required", &mut variables.required),
                ("optional", &mut variables.optional),
            ] {
                let before = format!(": {word} \"");
                let parts = block.split(&before).skip(1);
                into.extend(parts.map(|part| part.split('"').next().unwrap().to_owned()));
            }
        }
    }
    variables
}

#[test]
fn each_function_is_given_exactly_the_variables_it_reads() {
    for function in entries("lambdas", true) {
        let (read, given) = (read_by(&function), terraform::environment_of(&function));
        assert!(
            !read.required.is_empty(),
            "{function}: no config! was found"
        );
        assert_eq!(read.all(), given.all(), "{function}");
        // Only what a function can do without may be missing in some deployment.
        assert!(
            given.optional.is_subset(&read.optional),
            "{function}: may lack {:?}",
            given.optional
        );
    }
}

#[test]
fn no_source_reads_the_environment_past_its_configuration() {
    let allowed = [
        // The log is set up before there is a configuration.
        "crates/function/src/runtime.rs",
        "crates/function/src/config.rs",
    ];
    for folder in [
        "lambdas",
        "crates/function/src",
        "crates/store/src",
        "crates/faucet/src",
        "crates/faucet-service/src",
        "crates/ledger/src",
        "crates/ledger-service/src",
        "crates/oracle/src",
        "crates/redrive/src",
        "crates/rides/src",
        "crates/vrf/src",
        "crates/chains/src",
    ] {
        for path in files(folder, ".rs") {
            let reads = read(&path).contains("env::var");
            assert!(!reads || allowed.contains(&path.as_str()), "{path}");
        }
    }
}

#[test]
fn terraform_deploys_every_function_and_no_other() {
    let deployed: BTreeSet<String> = terraform::functions().into_keys().collect();
    let written: BTreeSet<String> = entries("lambdas", true).into_iter().collect();
    assert_eq!(deployed, written);
}
