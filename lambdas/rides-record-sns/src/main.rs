//! Records the rides of a topic, straight from it or by way of a queue.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    offchain_function::run(rides_record_sns::Recorder::from_env).await
}
