//! Closes requests that will never have a value.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    offchain_function::run(vrf_expire::Expirer::from_env).await
}
