output "stack" {
  description = "What scripts and the command line need to know."
  value = {
    node              = var.node
    listen            = var.settings.listen
    events_table      = aws_dynamodb_table.events.name
    assets_table      = aws_dynamodb_table.assets.name
    drivers_table     = aws_dynamodb_table.drivers.name
    deliveries_table  = aws_dynamodb_table.deliveries.name
    locks_table       = aws_dynamodb_table.locks.name
    queue_url         = module.transactions_queue.url
    state_machine_arn = module.machine.arn
    subscribers       = [for subscriber in local.subscribers : { name = subscriber.name, url = subscriber.url, secret_arn = subscriber.secret_arn }]
    functions         = { for name, function in local.functions : name => function.name }
    log_groups = merge(
      { for name, function in local.functions : function.name => function.log_group_name },
      { (module.machine.name) = module.machine.log_group_name },
    )
    # What `offchain ledger listen` starts from.
    environment = { for name, value in local.listen_environment : name => tostring(value) }
  }
}

output "queues" {
  description = "The queues by name: url, and whether it holds dead letters."
  value = {
    (module.transactions_queue.name)                   = { url = module.transactions_queue.url, dead_letter = false }
    (module.transactions_queue.dead_letter_queue.name) = { url = module.transactions_queue.dead_letter_queue.url, dead_letter = true }
    (module.deliveries_dlq.name)                       = { url = module.deliveries_dlq.url, dead_letter = true }
    (module.executions_dlq.name)                       = { url = module.executions_dlq.url, dead_letter = true }
    (module.schedules_dlq.name)                        = { url = module.schedules_dlq.url, dead_letter = true }
  }
}

output "dead_letter_queues" {
  description = "The dead letter queues by name: ARN, where its letters may go back to, and where one goes that does not say."
  value = {
    (local.transactions_dlq_name) = {
      arn          = local.transactions_dlq_arn
      destinations = [local.transactions_queue_arn]
      default      = local.transactions_queue_arn
    }
    (local.deliveries_dlq_name) = {
      arn          = local.deliveries_dlq_arn
      destinations = [local.function_arns.deliver]
      default      = local.function_arns.deliver
    }
    (local.executions_dlq_name) = {
      arn          = local.executions_dlq_arn
      destinations = [local.machine_arn]
      default      = local.machine_arn
    }
    # Each of its letters says whose it is: the schedule's, or the rule's.
    (local.schedules_dlq_name) = {
      arn          = local.schedules_dlq_arn
      destinations = [local.machine_arn, local.executions_dlq_arn]
      default      = null
    }
  }
}
