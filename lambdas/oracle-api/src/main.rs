//! The HTTP API of the oracle: feeds, readings, keys.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    offchain_function::run(oracle_api::Api::from_env).await
}
