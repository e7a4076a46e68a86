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

/// What leads from state to state: a machine, or what a Map runs for each item.
struct Flow<'a> {
    name: String,
    start: &'a str,
    states: &'a Map<String, Value>,
}

impl<'a> Flow<'a> {
    fn of(name: String, definition: &'a Value) -> Self {
        Self {
            name,
            start: definition["StartAt"].as_str().unwrap(),
            states: definition["States"].as_object().unwrap(),
        }
    }

    /// This one, and those within it.
    fn all(self) -> Vec<Self> {
        let mut flows = Vec::new();
        for (name, state) in self.states {
            assert_ne!(
                state["Type"], "Parallel",
                "{name}: its branches are not read"
            );
            if state["Type"] == "Map" {
                let name = format!("{}: {name}", self.name);
                flows.extend(Self::of(name, &state["ItemProcessor"]).all());
            }
        }
        flows.push(self);
        flows
    }
}

impl Machine {
    fn states(&self) -> &Map<String, Value> {
        self.definition["States"].as_object().unwrap()
    }

    fn flows(&self) -> Vec<Flow<'_>> {
        Flow::of(self.name.clone(), &self.definition).all()
    }

    /// The tasks, each with its name and where it stands.
    fn tasks(&self) -> Vec<(String, &Value)> {
        self.flows()
            .into_iter()
            .flat_map(|flow| {
                let tasks = flow
                    .states
                    .iter()
                    .filter(|(_, state)| state["Type"] == "Task");
                tasks
                    .map(|(name, state)| (format!("{}: {name}", flow.name), state))
                    .collect::<Vec<_>>()
            })
            .collect()
    }

    /// The tasks that run a function, each with the function.
    fn runs(&self) -> Vec<(String, &Value, String)> {
        self.tasks()
            .into_iter()
            .filter_map(|(name, task)| match work_of(task) {
                Work::Function(function) => Some((name, task, function)),
                Work::Message => None,
            })
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

/// What a task does.
#[derive(Debug, PartialEq, Eq)]
enum Work {
    /// It runs this function.
    Function(String),
    /// It sends a message to a queue.
    Message,
}

/// `${vrf_fulfil_arn}` runs `vrf-fulfil`.
fn work_of(task: &Value) -> Work {
    let resource = task["Resource"].as_str().unwrap();
    if resource == "arn:${partition}:states:::sqs:sendMessage" {
        return Work::Message;
    }
    let function = resource
        .strip_prefix("${")
        .and_then(|rest| rest.strip_suffix("_arn}"))
        .unwrap_or_else(|| panic!("{resource}: expected the ARN of a function"));
    Work::Function(function.replace('_', "-"))
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
    for flow in machines().iter().flat_map(Machine::flows) {
        let states = flow.states;
        let mut open = vec![flow.start];
        let mut reached = BTreeSet::new();
        while let Some(name) = open.pop() {
            let state = states
                .get(name)
                .unwrap_or_else(|| panic!("{}: there is no state {name}", flow.name));
            if reached.insert(name) {
                let ends =
                    state["End"] == true || state["Type"] == "Succeed" || state["Type"] == "Fail";
                // What is caught leads on from a state that ends, too.
                let goes_on = state["Next"].is_string() || state["Type"] == "Choice";
                assert_ne!(
                    ends, goes_on,
                    "{}: {name} has to go on or to end",
                    flow.name
                );
                if state["Type"] == "Choice" {
                    assert!(
                        state["Default"].is_string(),
                        "{}: {name} needs a Default",
                        flow.name
                    );
                }
                open.extend(next_of(state));
            }
        }
        let all: BTreeSet<&str> = states.keys().map(String::as_str).collect();
        assert_eq!(reached, all, "{}: some state is never reached", flow.name);
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
            assert!(own > 0, "{name}: no TimeoutSeconds");
        }
        for (name, task, function) in machine.runs() {
            let own = task["TimeoutSeconds"].as_u64().unwrap();
            // Otherwise a run goes on that the machine has given up.
            let function = terraform::timeout_of(&function);
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
        for (name, task, function) in machine.runs() {
            let codes = codes::of_function(&function);
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
        for (name, task, function) in machine.runs() {
            let retried: BTreeSet<String> = list(task, "Retry")
                .iter()
                .flat_map(names)
                .filter(|error| !is_built_in(error))
                .map(str::to_owned)
                .collect();
            let retryable: BTreeSet<String> = codes::of_function(&function)
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
        for (name, task, _) in machine.runs() {
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
    let machine = machine("vrf-fulfilment.asl.json");
    // Two retriers would count each for itself.
    let [retrier] = list(&machine.states()["FulfilRequest"], "Retry") else {
        panic!("FulfilRequest needs exactly one retrier");
    };
    assert_eq!(retrier["MaxAttempts"], 2);
}

#[test]
fn a_message_is_tried_again_whatever_failed_and_says_why_it_is_sent() {
    let mut messages = 0;
    for machine in machines() {
        for (name, task) in machine.tasks() {
            if work_of(task) != Work::Message {
                continue;
            }
            messages += 1;
            // None of its errors is one of our codes: each is worth another try.
            let retried: Vec<&str> = list(task, "Retry").iter().flat_map(names).collect();
            assert_eq!(retried, ["States.ALL"], "{name}");
            let queue = task["Arguments"]["QueueUrl"].as_str().unwrap();
            assert_eq!(queue, "${dead_letter_queue_url}", "{name}");
            let attributes = task["Arguments"]["MessageAttributes"].as_object().unwrap();
            assert!(
                attributes.keys().eq(["ErrorCode", "ErrorMessage"]),
                "{name}: {attributes:?}"
            );
        }
    }
    assert_ne!(messages, 0, "no task sends a message");
}

#[test]
fn an_item_of_a_map_never_fails_the_others() {
    for machine in machines() {
        for flow in machine.flows() {
            if flow.name == machine.name {
                continue;
            }
            for (name, state) in flow.states {
                let kind = state["Type"].as_str().unwrap();
                // A Choice without a match and a Fail would; a task is caught.
                assert!(
                    matches!(kind, "Wait" | "Task" | "Pass"),
                    "{}: {name} is a {kind}",
                    flow.name
                );
            }
        }
    }
}

#[test]
fn a_minute_of_the_oracle_has_its_end_within_an_express_execution() {
    let machine = machine("oracle-minute.asl.json");
    // AWS ends an Express execution after 5 minutes.
    let limit = machine.definition["TimeoutSeconds"].as_u64().unwrap();
    assert!(limit < 300, "{limit} s");
    let states = &machine.states()["PublishSlots"]["ItemProcessor"]["States"];
    let tries = |name: &str| -> u64 {
        let [retrier] = list(&states[name], "Retry") else {
            panic!("{name} needs exactly one retrier");
        };
        let number = |field: &str| retrier[field].as_u64();
        let (first, rate) = (
            number("IntervalSeconds").unwrap(),
            number("BackoffRate").unwrap(),
        );
        let most = number("MaxDelaySeconds").unwrap_or(u64::MAX);
        let retries = u32::try_from(number("MaxAttempts").unwrap()).unwrap();
        (0..retries)
            .map(|retry| most.min(first * rate.pow(retry)))
            .sum()
    };
    // The last slot is at most two minutes after the trigger. Each of its tries
    // may fail at once; one may hang, and is timed out.
    let waits: u64 = ["PublishSlot", "RecordMissed", "ToDeadLetterQueue"]
        .map(tries)
        .iter()
        .sum();
    let hang = states["RecordMissed"]["TimeoutSeconds"].as_u64().unwrap();
    assert!(120 + waits + hang < limit, "120 + {waits} + {hang} s");
}

fn machine(name: &str) -> Machine {
    let found = machines().into_iter().find(|machine| machine.name == name);
    found.unwrap_or_else(|| panic!("there is no {name}"))
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
