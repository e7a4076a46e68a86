locals {
  period = 60

  dead_letter_queue_names = concat(
    [local.record_dlq_name, local.subscription_dlq_name, local.unsent_dlq_name],
    local.has_events_queue ? [local.events_dlq_name] : [],
  )

  # Rows of two, 12 columns wide and 6 high.
  widgets = concat(
    [
      {
        title = "Rides published and undelivered"
        metrics = [
          for metric in ["NumberOfMessagesPublished", "NumberOfNotificationsDelivered", "NumberOfNotificationsFailed", "NumberOfNotificationsRedrivenToDlq"] :
          ["AWS/SNS", metric, "TopicName", local.topic_name, { stat = "Sum" }]
        ]
      },
      {
        title = "Dead letters: messages"
        metrics = [
          for name in local.dead_letter_queue_names :
          ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", name, { stat = "Maximum" }]
        ]
      },
      {
        title = "HTTP API: latency (ms)"
        metrics = [
          for stat in ["p50", "p99"] :
          ["AWS/ApiGateway", "Latency", "ApiId", var.api.id, { stat = stat, label = stat }]
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
        title = "Tables: throttled calls"
        metrics = [
          for pair in setproduct([local.table_name, local.fleet_table_name], ["Read", "Write"]) :
          ["AWS/DynamoDB", "${pair[1]}ThrottleEvents", "TableName", pair[0], { stat = "Sum", label = "${pair[0]} ${lower(pair[1])}" }]
        ]
      },
    ],
    local.has_events_queue ? [
      {
        title = "Events waiting: messages"
        metrics = [
          ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", local.events_queue_name, { stat = "Maximum" }],
        ]
      },
      {
        title = "Events waiting: age of the oldest (s)"
        metrics = [
          ["AWS/SQS", "ApproximateAgeOfOldestMessage", "QueueName", local.events_queue_name, { stat = "Maximum" }],
        ]
      },
    ] : [],
  )
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
