output "stack" {
  description = "What scripts and the command line need to know."
  value = {
    table              = aws_dynamodb_table.readings.name
    feeds_table        = aws_dynamodb_table.feeds.name
    keys_table         = aws_dynamodb_table.keys.name
    key_secret_arn     = aws_secretsmanager_secret.key.arn
    headers_secret_arn = aws_secretsmanager_secret.source_headers.arn
    state_machine_arn  = module.machine.arn
    machine_type       = var.settings.machine_type
    interval_seconds   = var.settings.interval_seconds
    lead_seconds       = var.settings.lead_seconds
    functions          = { for name, function in local.functions : name => function.name }
    log_groups = merge(
      { for name, function in local.functions : function.name => function.log_group_name },
      { (module.machine.name) = module.machine.log_group_name },
    )
  }
}

output "queues" {
  description = "The queues by name: url, and whether it holds dead letters."
  value = {
    (module.minutes_dlq.name)   = { url = module.minutes_dlq.url, dead_letter = true }
    (module.schedules_dlq.name) = { url = module.schedules_dlq.url, dead_letter = true }
  }
}
