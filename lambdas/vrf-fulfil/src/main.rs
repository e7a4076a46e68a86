//! Proves a request's value and writes it once.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    offchain_function::run(vrf_fulfil::Fulfiller::from_env).await
}
