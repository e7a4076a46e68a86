module "machine" {
  source = "../state_machine"

  name     = local.machine_name
  location = var.shared.location
  definition = templatefile(var.definition_path, {
    faucet_confirm_arn = local.function_arns.confirm
    block_seconds      = var.settings.block_seconds
    poll_max_seconds   = max(30, var.settings.block_seconds)
  })
  function_arns          = [local.function_arns.confirm]
  dead_letter_queue_name = local.executions_dlq_name
  log_retention_days     = var.shared.log_retention_days
  alarm_topic_arn        = var.shared.alarm_topic_arn

  # The definition names the function without waiting for it.
  depends_on = [module.confirm]
}
