output "stack" {
  description = "What scripts and the command line need to know."
  value = {
    network           = var.settings.network
    table             = aws_dynamodb_table.claims.name
    payouts_table     = aws_dynamodb_table.payouts.name
    locks_table       = aws_dynamodb_table.locks.name
    limits_table      = aws_dynamodb_table.limits.name
    queue_url         = module.claims_queue.url
    state_machine_arn = module.machine.arn
    key_secret_arn    = aws_secretsmanager_secret.key.arn
    intake_secret_arn = aws_secretsmanager_secret.intake.arn
    functions         = { for name, function in local.functions : name => function.name }
    log_groups = merge(
      { for name, function in local.functions : function.name => function.log_group_name },
      { (module.machine.name) = module.machine.log_group_name },
    )
    # What `offchain faucet serve` starts from. No queue: it wakes itself.
    environment = merge(local.common_environment, local.payout_environment, {
      FAUCET_POLICY            = jsonencode(local.intake_policy)
      FAUCET_KEY_SECRET_ARN    = aws_secretsmanager_secret.key.arn
      FAUCET_INTAKE_SECRET_ARN = aws_secretsmanager_secret.intake.arn
    })
  }
}

output "queues" {
  description = "The queues by name: url, and whether it holds dead letters."
  value = {
    (module.claims_queue.name)                   = { url = module.claims_queue.url, dead_letter = false }
    (module.claims_queue.dead_letter_queue.name) = { url = module.claims_queue.dead_letter_queue.url, dead_letter = true }
    (module.executions_dlq.name)                 = { url = module.executions_dlq.url, dead_letter = true }
    (module.schedules_dlq.name)                  = { url = module.schedules_dlq.url, dead_letter = true }
  }
}

output "dead_letter_queues" {
  description = "The dead letter queues by name: ARN, where its letters may go back to, and where one goes that does not say."
  value = {
    (local.claims_dlq_name) = {
      arn          = local.claims_dlq_arn
      destinations = [local.claims_queue_arn]
      default      = local.claims_queue_arn
    }
    (local.executions_dlq_name) = {
      arn          = local.executions_dlq_arn
      destinations = [local.machine_arn]
      default      = local.machine_arn
    }
    # Each of its letters says whose it is: the sweep's, a schedule's, or the rule's.
    (local.schedules_dlq_name) = {
      arn          = local.schedules_dlq_arn
      destinations = [local.function_arns.sweep, local.executions_dlq_arn]
      default      = null
    }
  }
}
