//! Delivers one webhook that was given up before.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    offchain_function::run(ledger_deliver::Deliver::from_env).await
}
