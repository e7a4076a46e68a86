//! Follows the ledger under a lease and delivers its events.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    offchain_function::run(ledger_listen::Listen::from_env).await
}
