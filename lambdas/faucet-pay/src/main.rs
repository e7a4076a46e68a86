//! Pays the claims that wait, under the lease.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    offchain_function::run(faucet_pay::Pay::from_env).await
}
