//! Takes claims over HTTP and answers for them.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    offchain_function::run(faucet_api::Api::from_env).await
}
