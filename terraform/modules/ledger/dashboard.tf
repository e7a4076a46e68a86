locals {
  period = 60

  table_names = [local.events_table_name, local.assets_table_name, local.drivers_table_name, local.deliveries_table_name, local.locks_table_name]

  # One of the listener's metrics.
  counted = {
    for metric in ["Delivered", "Height", "Kept", "Lag", "Listening"] :
    metric => [local.metrics_namespace, metric, "Suite", var.name]
  }

  # Rows of two, 12 columns wide and 6 high.
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
    {
      title = "Executions"
      metrics = [
        for metric in ["ExecutionsStarted", "ExecutionsSucceeded", "ExecutionsFailed", "ExecutionsTimedOut"] :
        ["AWS/States", metric, "StateMachineArn", local.machine_arn, { stat = "Sum" }]
      ]
    },
    {
      title = "Transactions waiting: messages"
      metrics = [
        ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", local.transactions_queue_name, { stat = "Maximum" }],
      ]
    },
    {
      title = "Transactions waiting: age of the oldest (s)"
      metrics = [
        ["AWS/SQS", "ApproximateAgeOfOldestMessage", "QueueName", local.transactions_queue_name, { stat = "Maximum" }],
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
        for name in [local.transactions_dlq_name, local.deliveries_dlq_name, local.executions_dlq_name, local.schedules_dlq_name] :
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
