# A queue that feeds one function, with its dead letter queue.

locals {
  arn_prefix = "arn:${var.location.partition}:sqs:${var.location.region}:${var.location.account_id}:"
}

resource "aws_sqs_queue" "this" {
  name                       = var.name
  visibility_timeout_seconds = var.visibility_timeout_seconds
  message_retention_seconds  = 345600 # 4 days: less than the dead letter queue's 14, whose clock starts at the first send
  receive_wait_time_seconds  = 20
  sqs_managed_sse_enabled    = true

  # As in dead_letter_queue: an aws_sqs_queue_policy would cost 25 seconds.
  policy = length(var.senders) == 0 ? null : jsonencode({
    Version = "2012-10-17"
    Statement = [for sender in var.senders : {
      Sid       = sender.sid
      Effect    = "Allow"
      Principal = { Service = sender.service }
      Action    = "sqs:SendMessage"
      Resource  = "${local.arn_prefix}${var.name}"
      Condition = { ArnEquals = { "aws:SourceArn" = sender.source_arn } }
    }]
  })
}

# A resource of its own, because a redrive policy can only name a queue that
# exists: as an attribute it would make the queue, and all that needs the
# queue, wait the 25 seconds the provider takes for the dead letter queue.
resource "aws_sqs_queue_redrive_policy" "this" {
  queue_url = aws_sqs_queue.this.url
  redrive_policy = jsonencode({
    deadLetterTargetArn = module.dead_letter_queue.arn
    maxReceiveCount     = var.max_receive_count
  })
}

module "dead_letter_queue" {
  source = "../dead_letter_queue"

  name              = "${var.name}-dlq"
  arn               = "${local.arn_prefix}${var.name}-dlq"
  source_queue_arns = ["${local.arn_prefix}${var.name}"]
  alarm_topic_arn   = var.alarm_topic_arn
}

resource "aws_cloudwatch_metric_alarm" "age" {
  alarm_name          = "${var.name}-age"
  alarm_description   = "A message waits in ${var.name} for over ${var.age_alarm_seconds} s: its function does not keep up, or does not run."
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateAgeOfOldestMessage"
  dimensions          = { QueueName = var.name }
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = var.age_alarm_seconds
  treat_missing_data  = "notBreaching"
  alarm_actions       = [var.alarm_topic_arn]
  ok_actions          = [var.alarm_topic_arn]
}
