# None where a daemon listens (`offchain ledger listen`): each execution would take the
# lease from it.
module "schedules" {
  source = "../schedules"
  count  = var.settings.listen ? 1 : 0

  name                  = "${local.prefix}-schedules"
  location              = var.shared.location
  dead_letter_queue_arn = module.schedules_dlq.arn

  schedules = {
    "${local.prefix}-listen" = {
      description       = "Starts the listener that takes over from the one before."
      expression        = "rate(${var.settings.run_minutes} minute${var.settings.run_minutes == 1 ? "" : "s"})"
      state_machine_arn = module.machine.arn
      # The time says which of two listeners is the newer one. Plain text: jsonencode
      # would write \u003c for what Scheduler looks for.
      input = "{\"scheduled_time\":\"<aws.scheduler.scheduled-time>\"}"
    }
  }

  # The suite's own receiver is there before the first webhook: what it cannot take is
  # kept for a retry, but need not be.
  depends_on = [aws_apigatewayv2_route.this, aws_lambda_permission.api]
}
