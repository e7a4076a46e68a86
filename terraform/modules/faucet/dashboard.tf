locals {
  period = 60

  table_names = [local.claims_table_name, local.payouts_table_name, local.locks_table_name, local.limits_table_name]

  # One of the sweep's metrics.
  counted = {
    for metric in ["Balance", "Broken", "OldestUnpaidSeconds", "OpenPayouts", "SpentToday", "WaitingClaims"] :
    metric => [local.metrics_namespace, metric, "Suite", var.name, "Network", var.settings.network]
  }

  # Rows of two, 12 columns wide and 6 high.
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
      title = "Functions: errors and throttles"
      metrics = [
        for pair in setproduct(keys(local.function_arns), ["Errors", "Throttles"]) :
        ["AWS/Lambda", pair[1], "FunctionName", "${local.prefix}-${pair[0]}", { stat = "Sum", label = "${pair[0]} ${lower(pair[1])}" }]
      ]
    },
    {
      title = "Dead letters: messages"
      metrics = [
        for name in [local.claims_dlq_name, local.executions_dlq_name, local.schedules_dlq_name] :
        ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", name, { stat = "Maximum" }]
      ]
    },
    {
      title = "HTTP API: answers"
      metrics = [
        for metric in ["Count", "4xx", "5xx"] :
        ["AWS/ApiGateway", metric, "ApiId", var.api.id, { stat = "Sum" }]
      ]
    },
    {
      title = "Tables: throttled calls"
      metrics = [
        for pair in setproduct(local.table_names, ["Read", "Write"]) :
        ["AWS/DynamoDB", "${pair[1]}ThrottleEvents", "TableName", pair[0], { stat = "Sum", label = "${pair[0]} ${lower(pair[1])}" }]
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
