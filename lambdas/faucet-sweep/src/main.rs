//! Watches over the faucet, each minute.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    offchain_function::run(faucet_sweep::Sweep::from_env).await
}
