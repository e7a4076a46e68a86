//! Records a ride that comes over HTTP.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    offchain_function::run(rides_record_http::Recorder::from_env).await
}
