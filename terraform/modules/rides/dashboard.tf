module "dashboard" {
  source = "../dashboard"

  name        = local.prefix
  region      = var.shared.location.region
  queue_names = local.has_events_queue ? [local.events_queue_name] : []
  dead_letter_queue_names = concat(
    [local.record_dlq_name, local.subscription_dlq_name, local.unsent_dlq_name],
    local.has_events_queue ? [local.events_dlq_name] : [],
  )
  functions   = { for name in keys(local.function_arns) : name => "${local.prefix}-${name}" }
  table_names = [local.table_name, local.fleet_table_name]
  api_id      = var.api.id

  widgets = [
    {
      title = "Rides published and undelivered"
      metrics = [
        for metric in ["NumberOfMessagesPublished", "NumberOfNotificationsDelivered", "NumberOfNotificationsFailed", "NumberOfNotificationsRedrivenToDlq"] :
        ["AWS/SNS", metric, "TopicName", local.topic_name, { stat = "Sum" }]
      ]
    },
  ]
}
