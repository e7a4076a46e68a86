locals {
  period = 60

  # Rows of two, 12 columns wide and 6 high.
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
    {
      title = "Executions"
      metrics = [
        for metric in ["ExecutionsStarted", "ExecutionsSucceeded", "ExecutionsFailed", "ExecutionsTimedOut"] :
        ["AWS/States", metric, "StateMachineArn", local.machine_arn, { stat = "Sum" }]
      ]
    },
    {
      title = "Functions: duration, median (ms)"
      metrics = [
        for name in keys(local.function_arns) :
        ["AWS/Lambda", "Duration", "FunctionName", "${local.prefix}-${name}", { stat = "p50" }]
      ]
    },
    {
      title = "Functions: duration, 99th percentile (ms)"
      metrics = [
        for name in keys(local.function_arns) :
        ["AWS/Lambda", "Duration", "FunctionName", "${local.prefix}-${name}", { stat = "p99" }]
      ]
    },
    {
      title = "Functions: errors"
      metrics = [
        for name in keys(local.function_arns) :
        ["AWS/Lambda", "Errors", "FunctionName", "${local.prefix}-${name}", { stat = "Sum" }]
      ]
    },
    {
      title = "Dead letters: messages"
      metrics = [
        for name in [local.minutes_dlq_name, local.schedules_dlq_name] :
        ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", name, { stat = "Maximum" }]
      ]
    },
  ]
}

resource "aws_cloudwatch_dashboard" "this" {
  dashboard_name = local.prefix
  dashboard_body = jsonencode({
    widgets = [for index, widget in local.widgets : {
      type   = "metric"
      x      = 12 * (index % 2)
      y      = 6 * floor(index / 2)
      width  = 12
      height = 6
      properties = {
        title   = widget.title
        region  = var.shared.location.region
        period  = local.period
        view    = "timeSeries"
        metrics = widget.metrics
      }
    }]
  })
}
