//! Accounts, and what they have.

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::routing::get;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::account::{Account, Accounts as _};
use crate::address;
use crate::answer::{Answer, Reply};
use crate::node::Door;
use crate::tx;

pub(super) fn auth() -> Router<Door> {
    Router::new().route("/accounts/{address}", get(account))
}

pub(super) fn bank() -> Router<Door> {
    Router::new()
        .route("/balances/{address}", get(balances))
        .route("/balances/{address}/by_denom", get(balance))
}

async fn account(State(door): State<Door>, Path(text): Path<String>) -> Reply {
    let (machine, outlook) = (door.chain.machine(), door.faults.outlook());
    let address = address::canonical(&text, &machine.constants.prefix)
        .map_err(|reason| Answer::invalid(format!("{reason}: invalid request")))?;
    let accounts = machine.at(machine.height_seen(&outlook));
    let Some(account) = accounts.account(&address) else {
        return Err(Answer::not_found(format!(
            "rpc error: code = NotFound desc = account {text} not found: key not found"
        )));
    };
    Ok(Answer::ok(json!({"account": shown(&address, account)})))
}

fn shown(address: &str, account: &Account) -> Value {
    let base = json!({
        "address": address,
        "pub_key": account.public_key.as_deref().map(tx::public_key),
        "account_number": account.number.to_string(),
        "sequence": account.sequence.to_string(),
    });
    let (kind, mut shown) = match account.module {
        None => ("BaseAccount", base),
        Some(name) => (
            "ModuleAccount",
            json!({"base_account": base, "name": name, "permissions": []}),
        ),
    };
    shown["@type"] = format!("/cosmos.auth.v1beta1.{kind}").into();
    shown
}

async fn balances(State(door): State<Door>, Path(text): Path<String>) -> Reply {
    let (machine, outlook) = (door.chain.machine(), door.faults.outlook());
    let address = bank_address(&text, &machine.constants.prefix)?;
    let accounts = machine.at(machine.height_seen(&outlook));
    let balances = accounts.account(&address).map(|account| &account.balances);
    let balances: Vec<Value> = balances
        .into_iter()
        .flatten()
        .map(|(denom, amount)| json!({"denom": denom, "amount": amount.to_string()}))
        .collect();
    let total = balances.len().to_string();
    Ok(Answer::ok(json!({
        "balances": balances,
        "pagination": {"next_key": null, "total": total},
    })))
}

#[derive(Deserialize)]
struct ByDenom {
    #[serde(default)]
    denom: String,
}

async fn balance(
    State(door): State<Door>,
    Path(text): Path<String>,
    Query(ByDenom { denom }): Query<ByDenom>,
) -> Reply {
    let (machine, outlook) = (door.chain.machine(), door.faults.outlook());
    let address = bank_address(&text, &machine.constants.prefix)?;
    if denom.is_empty() {
        return Err(invalid_argument("invalid denom"));
    }
    let accounts = machine.at(machine.height_seen(&outlook));
    let amount = accounts.balance(&address, &denom).to_string();
    Ok(Answer::ok(
        json!({"balance": {"denom": denom, "amount": amount}}),
    ))
}

fn bank_address(text: &str, prefix: &str) -> Result<String, Answer> {
    address::canonical(text, prefix)
        .map_err(|reason| invalid_argument(&format!("invalid address: {reason}")))
}

fn invalid_argument(what: &str) -> Answer {
    Answer::invalid(format!(
        "rpc error: code = InvalidArgument desc = {what}: invalid request"
    ))
}
