//! The HTTP API of the VRF: request a value, look at a request, list the keys.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    offchain_function::run(vrf_api::Api::from_env).await
}
