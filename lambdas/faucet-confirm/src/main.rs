//! Tells what became of a payout, and settles it.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    offchain_function::run(faucet_confirm::Confirm::from_env).await
}
