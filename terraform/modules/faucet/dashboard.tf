locals {
  # One of the sweep's metrics.
  counted = {
    for metric in ["Balance", "Broken", "OldestUnpaidSeconds", "OpenPayouts", "SpentToday", "WaitingClaims"] :
    metric => [local.metrics_namespace, metric, "Suite", var.name, "Network", var.settings.network]
  }
}

module "dashboard" {
  source = "../dashboard"

  name                    = local.prefix
  region                  = var.shared.location.region
  machine_arn             = local.machine_arn
  queue_names             = [local.claims_queue_name]
  dead_letter_queue_names = [local.claims_dlq_name, local.executions_dlq_name, local.schedules_dlq_name]
  functions               = { for name in keys(local.function_arns) : name => "${local.prefix}-${name}" }
  table_names             = [local.claims_table_name, local.payouts_table_name, local.locks_table_name, local.limits_table_name]
  api_id                  = var.api.id

  widgets = [
    {
      title   = "Balance (${var.settings.symbol})"
      metrics = [concat(local.counted.Balance, [{ stat = "Minimum" }])]
    },
    {
      title   = "Given out today (${var.settings.symbol})"
      metrics = [concat(local.counted.SpentToday, [{ stat = "Maximum" }])]
    },
    {
      title = "Claims waiting, payouts open"
      metrics = [
        for metric in ["WaitingClaims", "OpenPayouts"] :
        concat(local.counted[metric], [{ stat = "Maximum" }])
      ]
    },
    {
      title   = "Age of the oldest unpaid claim (s)"
      metrics = [concat(local.counted.OldestUnpaidSeconds, [{ stat = "Maximum" }])]
    },
    {
      title   = "Broken"
      metrics = [concat(local.counted.Broken, [{ stat = "Maximum" }])]
    },
  ]
}
