//! Takes signed webhooks and stores each event once.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    offchain_function::run(ledger_webhook::Webhook::from_env).await
}
