//! Puts dead letters back where they came from.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    offchain_function::run(dlq_redrive::Redriver::from_env).await
}
