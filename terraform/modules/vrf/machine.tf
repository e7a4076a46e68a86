module "machine" {
  source = "../state_machine"

  name     = local.machine_name
  location = var.shared.location
  definition = templatefile(var.definition_path, {
    vrf_height_arn        = local.function_arns.height
    vrf_fulfil_arn        = local.function_arns.fulfil
    vrf_expire_arn        = local.function_arns.expire
    poll_interval_seconds = var.settings.poll_interval_seconds
    back_off_base_seconds = var.settings.back_off.base_seconds
    back_off_max_seconds  = var.settings.back_off.max_seconds
  })
  function_arns          = [local.function_arns.height, local.function_arns.fulfil, local.function_arns.expire]
  dead_letter_queue_name = local.executions_dlq_name
  log_retention_days     = var.shared.log_retention_days
  alarm_topic_arn        = var.shared.alarm_topic_arn
}
