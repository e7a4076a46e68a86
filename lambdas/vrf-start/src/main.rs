//! Starts one execution of the fulfilment machine for each message of the queue.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    offchain_function::run(vrf_start::Starter::from_env).await
}
