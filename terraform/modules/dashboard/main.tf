# A subsystem's dashboard: what it shows of its own, and then what every subsystem has.

locals {
  period = 60

  executions = [for arn in var.machine_arn[*] : {
    title = "Executions"
    metrics = [
      for metric in ["ExecutionsStarted", "ExecutionsSucceeded", "ExecutionsFailed", "ExecutionsTimedOut"] :
      ["AWS/States", metric, "StateMachineArn", arn, { stat = "Sum" }]
    ]
  }]

  functions = [
    {
      title = "Functions: duration, median (ms)"
      metrics = [
        for label, name in var.functions :
        ["AWS/Lambda", "Duration", "FunctionName", name, { stat = "p50", label = label }]
      ]
    },
    {
      title = "Functions: duration, 99th percentile (ms)"
      metrics = [
        for label, name in var.functions :
        ["AWS/Lambda", "Duration", "FunctionName", name, { stat = "p99", label = label }]
      ]
    },
    {
      title = "Functions: errors and throttles"
      metrics = [
        for pair in setproduct(keys(var.functions), ["Errors", "Throttles"]) :
        ["AWS/Lambda", pair[1], "FunctionName", var.functions[pair[0]], { stat = "Sum", label = "${pair[0]} ${lower(pair[1])}" }]
      ]
    },
  ]

  queues = [
    {
      title = "Waiting: messages"
      metrics = [
        for pair in setproduct(var.queue_names, ["Visible", "Delayed"]) :
        ["AWS/SQS", "ApproximateNumberOfMessages${pair[1]}", "QueueName", pair[0], { stat = "Maximum", label = "${pair[0]} ${lower(pair[1])}" }]
      ]
    },
    {
      title = "Waiting: age of the oldest message (s)"
      metrics = [
        for name in var.queue_names :
        ["AWS/SQS", "ApproximateAgeOfOldestMessage", "QueueName", name, { stat = "Maximum" }]
      ]
    },
  ]

  dead_letters = {
    title = "Dead letters: messages"
    metrics = [
      for name in var.dead_letter_queue_names :
      ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", name, { stat = "Maximum" }]
    ]
  }

  api = [
    {
      title = "HTTP API: answers"
      metrics = [
        for metric in ["Count", "4xx", "5xx"] :
        ["AWS/ApiGateway", metric, "ApiId", var.api_id, { stat = "Sum" }]
      ]
    },
    {
      title = "HTTP API: latency (ms)"
      metrics = [
        for stat in ["p50", "p99"] :
        ["AWS/ApiGateway", "Latency", "ApiId", var.api_id, { stat = stat, label = stat }]
      ]
    },
  ]

  tables = {
    title = "Tables: throttled calls"
    metrics = [
      for pair in setproduct(var.table_names, ["Read", "Write"]) :
      ["AWS/DynamoDB", "${pair[1]}ThrottleEvents", "TableName", pair[0], { stat = "Sum", label = "${pair[0]} ${lower(pair[1])}" }]
    ]
  }

  widgets = concat(
    var.widgets,
    local.executions,
    [for widget in local.queues : widget if length(var.queue_names) > 0],
    [local.dead_letters],
    local.functions,
    local.api,
    [local.tables],
  )
}

resource "aws_cloudwatch_dashboard" "this" {
  dashboard_name = var.name
  # Rows of two, 12 columns wide and 6 high.
  dashboard_body = jsonencode({
    widgets = [for index, widget in local.widgets : {
      type   = "metric"
      x      = 12 * (index % 2)
      y      = 6 * floor(index / 2)
      width  = 12
      height = 6
      properties = {
        title   = widget.title
        region  = var.region
        period  = local.period
        view    = "timeSeries"
        metrics = widget.metrics
      }
    }]
  })
}
