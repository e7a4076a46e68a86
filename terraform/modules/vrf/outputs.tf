output "stack" {
  description = "What scripts and the command line need to know."
  value = {
    table                 = aws_dynamodb_table.requests.name
    keys_table            = aws_dynamodb_table.keys.name
    queue_url             = module.requests_queue.url
    state_machine_arn     = module.machine.arn
    key_secret_arn        = aws_secretsmanager_secret.key.arn
    api_tokens_secret_arn = aws_secretsmanager_secret.api_tokens.arn
    functions             = { for name, function in local.functions : name => function.name }
    log_groups = merge(
      { for name, function in local.functions : function.name => function.log_group_name },
      { (module.machine.name) = module.machine.log_group_name },
    )
  }
}

output "queues" {
  description = "The queues by name: url, and whether it holds dead letters."
  value = {
    (module.requests_queue.name)                   = { url = module.requests_queue.url, dead_letter = false }
    (module.requests_queue.dead_letter_queue.name) = { url = module.requests_queue.dead_letter_queue.url, dead_letter = true }
    (module.executions_dlq.name)                   = { url = module.executions_dlq.url, dead_letter = true }
    (module.schedules_dlq.name)                    = { url = module.schedules_dlq.url, dead_letter = true }
  }
}

output "dead_letter_queues" {
  description = "The dead letter queues by name: ARN, where its letters may go back to, and where one goes that does not say."
  value = {
    ("${local.requests_queue_name}-dlq") = {
      arn          = local.requests_dlq_arn
      destinations = [local.requests_queue_arn]
      default      = local.requests_queue_arn
    }
    (local.executions_dlq_name) = {
      arn          = local.executions_dlq_arn
      destinations = [local.machine_arn]
      default      = local.machine_arn
    }
    # Each of its letters says whose it is: a function's, a schedule's, or the rule's.
    (local.schedules_dlq_name) = {
      arn = local.schedules_dlq_arn
      destinations = [
        local.function_arns.expire,
        local.function_arns.rotate-key,
        local.function_arns.request,
        local.executions_dlq_arn,
      ]
      default = null
    }
  }
}
