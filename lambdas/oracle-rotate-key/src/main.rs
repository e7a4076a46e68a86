//! Creates the oracle's keys and publishes their epochs.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    offchain_function::run(oracle_rotate_key::KeyRotator::from_env).await
}
