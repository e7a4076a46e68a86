module "machine" {
  source = "../state_machine"

  name     = local.machine_name
  type     = var.settings.machine_type
  location = var.shared.location
  definition = templatefile(var.definition_path, {
    partition             = var.shared.location.partition
    oracle_publish_arn    = local.function_arns.publish
    oracle_missed_arn     = local.function_arns.missed
    dead_letter_queue_url = module.minutes_dlq.url
    interval_seconds      = var.settings.interval_seconds
    lead_seconds          = var.settings.lead_seconds
    head_start_seconds    = var.settings.head_start_seconds
  })
  function_arns          = [local.function_arns.publish, local.function_arns.missed]
  queue_arns             = [local.minutes_dlq_arn]
  dead_letter_queue_name = local.minutes_dlq_name
  log_retention_days     = var.shared.log_retention_days
  alarm_topic_arn        = var.shared.alarm_topic_arn
}
