//! Reads Terraform's sources, as far as the contracts need them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::str::FromStr;

use hcl::expr::{Expression, ObjectKey, Operation, TraversalOperator};
use hcl::{Block, Body};
use offchain_chains::ChainSettings;
use offchain_faucet::{IntakePolicy, PayoutPolicy};
use offchain_ledger_service::{ListenSettings, Subscribers};
use offchain_oracle::{Feed, Kind};

use crate::environment::Variables;
use crate::repository::{entries, files, read};

/// Every file of a module, as one body each.
fn bodies(module: &str) -> Vec<Body> {
    files(&format!("terraform/modules/{module}"), ".tf")
        .into_iter()
        .map(|path| hcl::parse(&read(&path)).unwrap_or_else(|error| panic!("{path}: {error}")))
        .collect()
}

/// A function's block, and the locals of the module that it stands in.
pub(crate) struct Function {
    block: Block,
    locals: BTreeMap<String, Expression>,
}

impl Function {
    fn attribute(&self, name: &str) -> Option<&Expression> {
        attribute(self.block.body(), name)
    }
}

fn attribute<'a>(body: &'a Body, name: &str) -> Option<&'a Expression> {
    body.attributes()
        .find(|attribute| attribute.key() == name)
        .map(hcl::Attribute::expr)
}

fn locals(bodies: &[Body]) -> BTreeMap<String, Expression> {
    bodies
        .iter()
        .flat_map(Body::blocks)
        .filter(|block| block.identifier() == "locals")
        .flat_map(|block| block.body().attributes())
        .map(|attribute| (attribute.key().to_owned(), attribute.expr().clone()))
        .collect()
}

/// Every function that some module deploys, by the name of its artefact.
pub(crate) fn functions() -> BTreeMap<String, Function> {
    let mut functions = BTreeMap::new();
    for module in entries("terraform/modules", true) {
        let bodies = bodies(&module);
        for block in bodies.iter().flat_map(Body::blocks) {
            let source = attribute(block.body(), "source");
            if source != Some(&Expression::from("../function")) {
                continue;
            }
            let Some(Expression::String(artifact)) = attribute(block.body(), "artifact") else {
                panic!("{module}: a function without an artifact");
            };
            let function = Function {
                block: block.clone(),
                locals: locals(&bodies),
            };
            let before = functions.insert(artifact.clone(), function);
            assert!(before.is_none(), "{artifact} is deployed twice");
        }
    }
    functions
}

/// The variables that a function is given; optional are those that it is given
/// in some deployments only.
pub(crate) fn environment_of(name: &str) -> Variables {
    let functions = functions();
    let function = functions
        .get(name)
        .unwrap_or_else(|| panic!("Terraform does not deploy {name}"));
    match function.attribute("environment") {
        Some(expression) => keys(expression, &function.locals),
        None => Variables::default(),
    }
}

/// The seconds after which Lambda ends a run of a function.
pub(crate) fn timeout_of(name: &str) -> u64 {
    let functions = functions();
    let function = functions
        .get(name)
        .unwrap_or_else(|| panic!("Terraform does not deploy {name}"));
    let own = function.attribute("timeout_seconds").cloned();
    let seconds = resolve(own.unwrap_or_else(default_timeout), &function.locals);
    let Expression::Number(seconds) = seconds else {
        panic!("{name}: timeout_seconds is {seconds:?}");
    };
    seconds.as_u64().unwrap()
}

fn default_timeout() -> Expression {
    bodies("function")
        .iter()
        .flat_map(Body::blocks)
        .filter(|block| block.identifier() == "variable")
        .find(|block| block.labels()[0].as_str() == "timeout_seconds")
        .and_then(|block| attribute(block.body(), "default").cloned())
        .expect("the module `function` has a default for timeout_seconds")
}

/// The values that Terraform puts into each state machine, by the file's name.
pub(crate) fn templates() -> BTreeMap<String, BTreeSet<String>> {
    let mut templates = BTreeMap::new();
    for module in entries("terraform/modules", true) {
        let bodies = bodies(&module);
        let locals = locals(&bodies);
        for block in bodies.iter().flat_map(Body::blocks) {
            let Some(Expression::FuncCall(call)) = attribute(block.body(), "definition") else {
                continue;
            };
            assert_eq!(call.name.name.as_str(), "templatefile", "{module}");
            let variables = keys(&call.args[1], &locals);
            assert!(variables.optional.is_empty(), "{module}: {variables:?}");
            templates.insert(definition_of(&module), variables.required);
        }
    }
    templates
}

/// The state machine's file that the root hands to a module.
fn definition_of(module: &str) -> String {
    let root = hcl::parse(&read("terraform/main.tf")).unwrap();
    root.blocks()
        .filter(|block| block.identifier() == "module")
        .find(|block| {
            let source = Expression::from(format!("./modules/{module}"));
            attribute(block.body(), "source") == Some(&source)
        })
        .and_then(|block| attribute(block.body(), "definition_path"))
        .map(|path| hcl::format::to_string(path).unwrap())
        .and_then(|path| {
            let name = path.trim_end_matches('"').rsplit('/').next()?;
            Some(name.to_owned())
        })
        .unwrap_or_else(|| panic!("the root hands no definition_path to {module}"))
}

/// Follows `local.x` to what it stands for.
fn resolve(expression: Expression, locals: &BTreeMap<String, Expression>) -> Expression {
    let Expression::Traversal(traversal) = &expression else {
        return expression;
    };
    let ([TraversalOperator::GetAttr(name)], Expression::Variable(base)) =
        (traversal.operators.as_slice(), &traversal.expr)
    else {
        return expression;
    };
    match locals.get(name.as_str()) {
        Some(local) if base.as_str() == "local" => resolve(local.clone(), locals),
        _ => expression,
    }
}

/// The keys of an object, however it is put together.
fn keys(expression: &Expression, locals: &BTreeMap<String, Expression>) -> Variables {
    let mut variables = Variables::default();
    match resolve(expression.clone(), locals) {
        Expression::Object(object) => {
            for key in object.keys() {
                let (ObjectKey::Identifier(_) | ObjectKey::Expression(Expression::String(_))) = key
                else {
                    panic!("{key:?}: expected a plain name");
                };
                variables
                    .required
                    .insert(key.to_string().trim_matches('"').to_owned());
            }
        }
        Expression::Parenthesis(inner) => return keys(&inner, locals),
        Expression::FuncCall(call) if call.name.name.as_str() == "merge" => {
            for part in &call.args {
                let part = keys(part, locals);
                variables.required.extend(part.required);
                variables.optional.extend(part.optional);
            }
        }
        Expression::Conditional(choice) => {
            let yes = keys(&choice.true_expr, locals);
            let no = keys(&choice.false_expr, locals);
            variables.required = yes.required.intersection(&no.required).cloned().collect();
            variables.optional = [yes.required, no.required, yes.optional, no.optional]
                .into_iter()
                .flatten()
                .collect();
        }
        other => panic!("expected an object, found {other:?}"),
    }
    variables.optional = &variables.optional - &variables.required;
    variables
}

/// The texts that some of Terraform's own tests hold it to, of those that hold
/// this word.
fn texts(tests: &str, word: &str) -> Vec<String> {
    let tests = hcl::parse(&read(tests)).unwrap();
    tests
        .blocks()
        .flat_map(|run| run.body().blocks())
        .filter_map(|assert| attribute(assert.body(), "condition"))
        .filter_map(|condition| match condition {
            Expression::Operation(operation) => Some(operation.as_ref()),
            _ => None,
        })
        .filter_map(|operation| match operation {
            Operation::Binary(equal) => Some(&equal.rhs_expr),
            Operation::Unary(_) => None,
        })
        .filter_map(|expected| match expected {
            Expression::String(text) if text.contains(word) => Some(text.clone()),
            _ => None,
        })
        .collect()
}

#[test]
fn what_terraform_writes_of_a_feed_is_what_the_functions_read() {
    let feeds: Vec<Feed> = texts("terraform/tests/oracle.tftest.hcl", "\"kind\"")
        .iter()
        .map(|text| Feed::parse("x", text).unwrap_or_else(|error| panic!("{text}: {error}")))
        .collect();
    let [demo, gas, eth] = feeds.as_slice() else {
        panic!("expected three definitions: {feeds:?}");
    };
    assert!(matches!(demo.kind, Kind::Demo));
    assert!(matches!(gas.kind, Kind::Http(_)));
    let Kind::Http(eth) = &eth.kind else {
        panic!("{eth:?}");
    };
    let [coinbase, kraken] = eth.sources.as_slice() else {
        panic!("{eth:?}");
    };
    assert!(coinbase.header.is_some() && coinbase.time_pointer.is_some());
    assert!(kraken.url.ends_with("?pair=ETHUSD&a=1"), "{}", kraken.url);
}

#[test]
fn what_terraform_writes_of_the_faucet_is_what_the_functions_read() {
    let tests = "terraform/tests/faucet.tftest.hcl";
    let chains: Vec<ChainSettings> = read_all(&texts(tests, "\"kind\""));
    let [ChainSettings::Evm(evm), ChainSettings::Cosmos(cosmos)] = chains.as_slice() else {
        panic!("expected one chain of each kind: {}", chains.len());
    };
    assert_eq!(evm.max_fee_wei, 100_000_000_000);
    assert!(cosmos.nodes[0].rpc_url.is_some() && cosmos.nodes[1].rpc_url.is_none());

    let policies: Vec<IntakePolicy> = read_all(&texts(tests, "\"throttle\""));
    let [work, captcha] = policies.as_slice() else {
        panic!("expected two policies: {policies:?}");
    };
    assert!(work.proof_of_work.is_some() && work.captcha.is_none());
    assert!(captcha.proof_of_work.is_none() && captcha.captcha.is_some());

    let payouts: Vec<PayoutPolicy> = read_all(&texts(tests, "\"in_flight\""));
    assert_eq!(payouts.len(), 2);
}

#[test]
fn what_terraform_writes_of_the_ledger_is_what_the_functions_read() {
    let tests = "terraform/tests/ledger.tftest.hcl";
    let settings: Vec<ListenSettings> = read_all(&texts(tests, "\"stall_seconds\""));
    assert!(!settings.is_empty());
    assert!(
        settings.iter().all(|it| it.run_seconds > 60),
        "{settings:?}"
    );

    let lists: Vec<Subscribers> = read_all(&texts(tests, "\"secret_arn\""));
    let Some([own, audit]) = lists
        .iter()
        .map(|list| list.0.as_slice())
        .find(|it| it.len() == 2)
    else {
        panic!("expected a subscriber beside the suite's own: {lists:?}");
    };
    assert_eq!(own.name, "ledger");
    assert!(own.assets.is_empty() && own.owners.is_empty());
    assert!(audit.url.ends_with("?a=1&b=2"), "{}", audit.url);
    assert_eq!((audit.assets.len(), audit.owners.len()), (1, 1));
}

fn read_all<T: FromStr<Err: Display>>(texts: &[String]) -> Vec<T> {
    texts
        .iter()
        .map(|text| {
            text.parse()
                .unwrap_or_else(|error| panic!("{text}: {error}"))
        })
        .collect()
}

#[test]
fn keys_that_depend_on_a_condition_are_optional() {
    let parse = |text: &str| text.parse::<Expression>().unwrap();
    let locals = BTreeMap::from([("extra".to_owned(), parse("var.x == null ? {} : { B = 1 }"))]);
    let found = keys(&parse("merge(local.extra, { A = 1, \"C\" = 2 })"), &locals);
    let set = |names: &[&str]| names.iter().map(ToString::to_string).collect();
    let expected = Variables {
        required: set(&["A", "C"]),
        optional: set(&["B"]),
    };
    assert_eq!(found, expected);
}
