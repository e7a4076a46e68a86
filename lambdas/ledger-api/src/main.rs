//! Shows assets, their owners, history and premiums.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    offchain_function::run(ledger_api::Api::from_env).await
}
