# A queue for what could not be delivered, and the alarms that say so.

resource "aws_sqs_queue" "this" {
  name                      = var.name
  message_retention_seconds = 1209600 # 14 days, the most SQS offers
  sqs_managed_sse_enabled   = true

  # In place of aws_sqs_queue_policy and aws_sqs_queue_redrive_allow_policy: the
  # provider waits some 25 seconds for each of those, after the queue.
  policy = length(var.senders) == 0 ? null : jsonencode({
    Version = "2012-10-17"
    Statement = [for sender in var.senders : {
      Sid       = sender.sid
      Effect    = "Allow"
      Principal = { Service = sender.service }
      Action    = "sqs:SendMessage"
      Resource  = var.arn
      Condition = { ArnEquals = { "aws:SourceArn" = sender.source_arn } }
    }]
  })
  redrive_allow_policy = jsonencode(merge(
    { redrivePermission = length(var.source_queue_arns) == 0 ? "denyAll" : "byQueue" },
    length(var.source_queue_arns) == 0 ? {} : { sourceQueueArns = var.source_queue_arns },
  ))
}

resource "aws_cloudwatch_metric_alarm" "depth" {
  alarm_name          = "${var.name}-depth"
  alarm_description   = "${var.name} holds messages: each is work that was given up. Read one, mend the cause, then redrive."
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateNumberOfMessagesVisible"
  dimensions          = { QueueName = var.name }
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
  alarm_actions       = [var.alarm_topic_arn]
  ok_actions          = [var.alarm_topic_arn]
}

resource "aws_cloudwatch_metric_alarm" "age" {
  alarm_name          = "${var.name}-age"
  alarm_description   = "A message lies in ${var.name} for over ${var.age_alarm_seconds} s; SQS deletes it after 14 days."
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateAgeOfOldestMessage"
  dimensions          = { QueueName = var.name }
  statistic           = "Maximum"
  period              = 300
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = var.age_alarm_seconds
  treat_missing_data  = "notBreaching"
  alarm_actions       = [var.alarm_topic_arn]
  ok_actions          = [var.alarm_topic_arn]
}
