//! Publishes one slot's readings, at the slot and never before.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    offchain_function::run(oracle_publish::Publisher::from_env).await
}
