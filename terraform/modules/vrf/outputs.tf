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
