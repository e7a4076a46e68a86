module "machine" {
  source = "../state_machine"

  name     = local.machine_name
  location = var.shared.location
  definition = templatefile(var.definition_path, {
    ledger_listen_arn = local.function_arns.listen
  })
  function_arns          = [local.function_arns.listen]
  dead_letter_queue_name = local.executions_dlq_name
  log_retention_days     = var.shared.log_retention_days
  alarm_topic_arn        = var.shared.alarm_topic_arn

  # The definition names the function without waiting for it.
  depends_on = [module.listen]
}
