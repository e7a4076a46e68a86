//! Tells whether the chain has reached a request's height.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    offchain_function::run(vrf_height::Height::from_env).await
}
