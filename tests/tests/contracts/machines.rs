//! The state machines: their shape, and their error names against the codes of
//! the functions that they run.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::codes;
use crate::repository::{entries, read};
use crate::terraform;

struct Machine {
    name: String,
    text: String,
    definition: Value,
}

fn machines() -> Vec<Machine> {
    entries("statemachines", false)
        .into_iter()
        .map(|name| {
            let text = read(format!("statemachines/{name}"));
            let definition = serde_json::from_str(&text).unwrap();
            Machine {
                name,
                text,
                definition,
            }
        })
        .collect()
}

impl Machine {
    fn states(&self) -> &Map<String, Value> {
        self.definition["States"].as_object().unwrap()
    }

    /// The tasks, each with its name and where it stands.
    fn tasks(&self) -> Vec<(String, &Value)> {
        self.states()
            .iter()
            .filter(|(_, state)| state["Type"] == "Task")
            .map(|(name, state)| (format!("{}: {name}", self.name), state))
            .collect()
    }

    /// The names between `${` and `}`.
    fn placeholders(&self) -> BTreeSet<String> {
        let rests = self.text.split("${").skip(1);
        rests
            .map(|rest| rest.split('}').next().unwrap().to_owned())
            .collect()
    }
}

fn list<'a>(state: &'a Value, field: &str) -> &'a [Value] {
    state[field].as_array().map_or(&[], Vec::as_slice)
}

fn names(entry: &Value) -> Vec<&str> {
    let names = list(entry, "ErrorEquals").iter();
    names.map(|name| name.as_str().unwrap()).collect()
}

/// A name that AWS gives, so no code of ours.
fn is_built_in(name: &str) -> bool {
    ["Lambda.", "Runtime.", "Sandbox.", "States."]
        .iter()
        .any(|prefix| name.starts_with(prefix))
}

/// The function that a task runs: `${vrf_fulfil_arn}` is `vrf-fulfil`.
fn function_of(task: &Value) -> String {
    let resource = task["Resource"].as_str().unwrap();
    resource
        .strip_prefix("${")
        .and_then(|rest| rest.strip_suffix("_arn}"))
        .unwrap_or_else(|| panic!("{resource}: expected the ARN of a function"))
        .replace('_', "-")
}

/// Where a state may go to.
fn next_of(state: &Value) -> Vec<&str> {
    let branches = list(state, "Choices").iter().chain(list(state, "Catch"));
    branches
        .map(|branch| &branch["Next"])
        .chain([&state["Next"], &state["Default"]])
        .filter_map(Value::as_str)
        .collect()
}

#[test]
fn a_machine_says_what_it_is_for_how_long_it_may_run_and_its_language() {
    for machine in machines() {
        let definition = &machine.definition;
        assert!(definition["Comment"].is_string(), "{}", machine.name);
        assert!(definition["TimeoutSeconds"].is_u64(), "{}", machine.name);
        assert_eq!(definition["QueryLanguage"], "JSONata", "{}", machine.name);
    }
}

#[test]
fn every_state_is_reached_and_leads_to_one_that_exists_or_ends() {
    for machine in machines() {
        let states = machine.states();
        let mut open = vec![machine.definition["StartAt"].as_str().unwrap()];
        let mut reached = BTreeSet::new();
        while let Some(name) = open.pop() {
            let state = states
                .get(name)
                .unwrap_or_else(|| panic!("{}: there is no state {name}", machine.name));
            if reached.insert(name) {
                let next = next_of(state);
                let ends =
                    state["End"] == true || state["Type"] == "Succeed" || state["Type"] == "Fail";
                assert_ne!(
                    ends,
                    !next.is_empty(),
                    "{}: {name} has to go on or to end",
                    machine.name
                );
                if state["Type"] == "Choice" {
                    assert!(
                        state["Default"].is_string(),
                        "{}: {name} needs a Default",
                        machine.name
                    );
                }
                open.extend(next);
            }
        }
        let all: BTreeSet<&str> = states.keys().map(String::as_str).collect();
        assert_eq!(
            reached, all,
            "{}: some state is never reached",
            machine.name
        );
    }
}

#[test]
fn every_task_is_limited_retried_and_caught() {
    for machine in machines() {
        for (name, task) in machine.tasks() {
            assert!(!list(task, "Retry").is_empty(), "{name}: no Retry");
            let last = list(task, "Catch").last().map(names);
            assert_eq!(last, Some(vec!["States.ALL"]), "{name}: the last Catch");
            let own = task["TimeoutSeconds"].as_u64().unwrap_or_default();
            // Otherwise a run goes on that the machine has given up.
            let function = terraform::timeout_of(&function_of(task));
            assert!(
                own > function,
                "{name}: waits {own} s for a function that may take {function} s"
            );
        }
    }
}

#[test]
fn every_error_name_is_a_code_of_the_function_that_the_task_runs() {
    for machine in machines() {
        for (name, task) in machine.tasks() {
            let codes = codes::of_function(&function_of(task));
            for entry in list(task, "Retry").iter().chain(list(task, "Catch")) {
                for error in names(entry).into_iter().filter(|error| !is_built_in(error)) {
                    assert!(codes.contains_key(error), "{name}: nothing returns {error}");
                }
            }
        }
    }
}

#[test]
fn what_is_worth_another_try_is_retried_and_nothing_else() {
    for machine in machines() {
        for (name, task) in machine.tasks() {
            let retried: BTreeSet<String> = list(task, "Retry")
                .iter()
                .flat_map(names)
                .filter(|error| !is_built_in(error))
                .map(str::to_owned)
                .collect();
            let retryable: BTreeSet<String> = codes::of_function(&function_of(task))
                .into_iter()
                .filter(|(_, outcomes)| outcomes.contains(&true))
                .map(|(code, _)| code)
                .collect();
            assert_eq!(retried, retryable, "{name}");
        }
    }
}

#[test]
fn what_lambda_itself_fails_with_is_retried() {
    for machine in machines() {
        for (name, task) in machine.tasks() {
            let retried: BTreeSet<&str> = list(task, "Retry").iter().flat_map(names).collect();
            for error in [
                "Lambda.ServiceException",
                "Lambda.AWSLambdaException",
                "Lambda.SdkClientException",
                "Lambda.TooManyRequestsException",
                "Lambda.Unknown",
                "Runtime.ExitError",
                "Sandbox.Timedout",
                "States.Timeout",
            ] {
                assert!(retried.contains(error), "{name}: {error}");
            }
            // These hold our own codes as well, fatal ones among them.
            for too_wide in ["States.ALL", "States.TaskFailed"] {
                assert!(!retried.contains(too_wide), "{name}: {too_wide}");
            }
        }
    }
}

#[test]
fn a_round_of_fulfilment_has_three_runs_whatever_they_fail_with() {
    let machine = machines()
        .into_iter()
        .find(|machine| machine.name == "vrf-fulfilment.asl.json")
        .unwrap();
    // Two retriers would count each for itself.
    let [retrier] = list(&machine.states()["FulfilRequest"], "Retry") else {
        panic!("FulfilRequest needs exactly one retrier");
    };
    assert_eq!(retrier["MaxAttempts"], 2);
}

#[test]
fn each_placeholder_is_filled_and_each_value_is_used() {
    let filled: BTreeMap<String, BTreeSet<String>> = terraform::templates();
    for machine in machines() {
        let values = filled
            .get(&machine.name)
            .unwrap_or_else(|| panic!("Terraform fills no {}", machine.name));
        assert_eq!(&machine.placeholders(), values, "{}", machine.name);
    }
    assert_eq!(filled.len(), machines().len());
}
