module "dashboard" {
  source = "../dashboard"

  name                    = local.prefix
  region                  = var.shared.location.region
  machine_arn             = local.machine_arn
  dead_letter_queue_names = [local.minutes_dlq_name, local.schedules_dlq_name]
  functions               = { for name in keys(local.function_arns) : name => "${local.prefix}-${name}" }
  table_names             = [local.readings_table_name, "${local.prefix}-feeds", "${local.prefix}-keys"]
  api_id                  = var.api.id

  widgets = [
    {
      title = "Slots published"
      metrics = [
        for feed in keys(local.feeds) :
        [local.metrics_namespace, "SlotsPublished", "Suite", var.name, "Feed", feed, { stat = "Sum", label = feed }]
      ]
    },
    {
      title = "Slots missed, late and early"
      metrics = [
        for pair in setproduct(keys(local.feeds), ["Missed", "Late", "Early"]) :
        [local.metrics_namespace, "Slots${pair[1]}", "Suite", var.name, "Feed", pair[0], { stat = "Sum", label = "${pair[0]} ${lower(pair[1])}" }]
      ]
    },
    {
      title = "Lateness, median (ms)"
      metrics = [
        for feed in keys(local.feeds) :
        [local.metrics_namespace, "Lateness", "Suite", var.name, "Feed", feed, { stat = "p50", label = feed }]
      ]
    },
    {
      title = "Lateness, 99th percentile (ms)"
      metrics = [
        for feed in keys(local.feeds) :
        [local.metrics_namespace, "Lateness", "Suite", var.name, "Feed", feed, { stat = "p99", label = feed }]
      ]
    },
    {
      title = "Staleness: age of the newest reading (s)"
      metrics = [
        for feed in keys(local.feeds) :
        [local.metrics_namespace, "Staleness", "Suite", var.name, "Feed", feed, { stat = "Maximum", label = feed }]
      ]
    },
  ]
}
