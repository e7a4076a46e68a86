//! Takes a ride: a unicorn of the fleet, the event to the topic, the answer.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    offchain_function::run(rides_request::Intake::from_env).await
}
