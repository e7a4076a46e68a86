locals {
  # One of the listener's metrics.
  counted = {
    for metric in ["Delivered", "Height", "Kept", "Lag", "Listening"] :
    metric => [local.metrics_namespace, metric, "Suite", var.name]
  }
}

module "dashboard" {
  source = "../dashboard"

  name                    = local.prefix
  region                  = var.shared.location.region
  machine_arn             = local.machine_arn
  queue_names             = [local.transactions_queue_name]
  dead_letter_queue_names = [local.transactions_dlq_name, local.deliveries_dlq_name, local.executions_dlq_name, local.schedules_dlq_name]
  functions               = { for name in keys(local.function_arns) : name => "${local.prefix}-${name}" }
  table_names             = [local.events_table_name, local.assets_table_name, local.drivers_table_name, local.deliveries_table_name, local.locks_table_name]
  api_id                  = var.api.id

  widgets = [
    {
      title   = "Behind the chain (heights)"
      metrics = [concat(local.counted.Lag, [{ stat = "Maximum" }])]
    },
    {
      title   = "Height delivered up to"
      metrics = [concat(local.counted.Height, [{ stat = "Maximum" }])]
    },
    {
      title   = "Webhooks delivered"
      metrics = [concat(local.counted.Delivered, [{ stat = "Sum" }])]
    },
    {
      title   = "Webhooks that wait for a retry"
      metrics = [concat(local.counted.Kept, [{ stat = "Maximum" }])]
    },
    {
      title   = "Signs of life of the listener"
      metrics = [concat(local.counted.Listening, [{ stat = "Sum" }])]
    },
  ]
}
