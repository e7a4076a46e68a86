//! Chooses a unicorn of the fleet, over HTTP or by a direct invocation.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    offchain_function::run(rides_fleet::Dispatcher::from_env).await
}
