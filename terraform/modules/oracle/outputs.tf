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

output "dead_letter_queues" {
  description = "The dead letter queues by name: ARN, where its letters may go back to, and where one goes that does not say."
  value = {
    # A slot that could not be recorded does not say where to; an execution does.
    (local.minutes_dlq_name) = {
      arn          = local.minutes_dlq_arn
      destinations = [local.function_arns.missed, local.machine_arn]
      default      = local.function_arns.missed
    }
    # Each of its letters says whose it is: a function's, a schedule's, or the rule's.
    (local.schedules_dlq_name) = {
      arn = local.schedules_dlq_arn
      destinations = concat(
        [local.machine_arn, local.function_arns.missed, local.function_arns.rotate-key],
        local.has_status_events ? [local.minutes_dlq_arn] : [],
      )
      default = null
    }
  }
}
