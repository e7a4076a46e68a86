locals {
  period = 60

  # Rows of two, 12 columns wide and 6 high.
  widgets = [
    {
      title = "Requests waiting: messages"
      metrics = [
        ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", local.requests_queue_name, { stat = "Maximum", label = "visible" }],
        ["AWS/SQS", "ApproximateNumberOfMessagesDelayed", "QueueName", local.requests_queue_name, { stat = "Maximum", label = "delayed" }],
      ]
    },
    {
      title = "Requests waiting: age of the oldest (s)"
      metrics = [
        ["AWS/SQS", "ApproximateAgeOfOldestMessage", "QueueName", local.requests_queue_name, { stat = "Maximum" }],
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
      title = "Dead letters: messages"
      metrics = [
        for name in ["${local.requests_queue_name}-dlq", local.executions_dlq_name, local.schedules_dlq_name] :
        ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", name, { stat = "Maximum" }]
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
      title = "HTTP API: latency (ms)"
      metrics = [
        for stat in ["p50", "p99"] :
        ["AWS/ApiGateway", "Latency", "ApiId", var.api.id, { stat = stat, label = stat }]
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
