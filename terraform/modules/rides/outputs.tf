output "stack" {
  description = "What scripts and the command line need to know."
  value = {
    table       = aws_dynamodb_table.rides.name
    fleet_table = aws_dynamodb_table.fleet.name
    topic_arn   = aws_sns_topic.this.arn
    publish     = var.settings.publish
    subscribers = sort(var.settings.subscribers)
    ride_url    = local.ride_url
    unicorn_url = local.unicorn_url
    record_url  = local.record_url
    functions   = { for name, function in local.functions : name => function.name }
    log_groups  = { for name, function in local.functions : function.name => function.log_group_name }
  }
}

output "queues" {
  description = "The queues by name: url, and whether it holds dead letters."
  value = merge(
    { for queue in [module.record_dlq, module.subscription_dlq, module.unsent_dlq] : queue.name => { url = queue.url, dead_letter = true } },
    { for queue in module.events_queue : queue.name => { url = queue.url, dead_letter = false } },
    { for queue in module.events_queue[*].dead_letter_queue : queue.name => { url = queue.url, dead_letter = true } },
  )
}

output "dead_letter_queues" {
  description = "The dead letter queues by name: ARN, where its letters may go back to, and where one goes that does not say."
  value = merge(
    {
      (local.record_dlq_name) = {
        arn          = local.record_dlq_arn
        destinations = [local.function_arns.record-sns]
        default      = local.function_arns.record-sns
      }
      # To the function, not to the topic: a second subscriber may have taken it.
      (local.subscription_dlq_name) = {
        arn          = local.subscription_dlq_arn
        destinations = [local.function_arns.record-sns]
        default      = local.function_arns.record-sns
      }
      (local.unsent_dlq_name) = {
        arn          = local.unsent_dlq_arn
        destinations = [local.topic_arn]
        default      = local.topic_arn
      }
    },
    local.has_events_queue ? {
      (local.events_dlq_name) = {
        arn          = local.events_dlq_arn
        destinations = [local.events_queue_arn]
        default      = local.events_queue_arn
      }
    } : {},
  )
}
