//! Records slots that were not published, and sweeps for them.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    offchain_function::run(oracle_missed::Recorder::from_env).await
}
