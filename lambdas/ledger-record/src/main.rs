//! Fetches and verifies transactions, and keeps assets, drivers and premiums.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    offchain_function::run(ledger_record::Record::from_env).await
}
