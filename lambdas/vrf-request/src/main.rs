//! Requests a random value on a schedule, with random bounds and a random due time.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    offchain_function::run(vrf_request::Requester::from_env).await
}
