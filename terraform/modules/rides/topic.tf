resource "aws_sns_topic" "this" {
  name              = local.topic_name
  kms_master_key_id = "alias/aws/sns" # its key policy lets in whom IAM lets publish; only services, such as CloudWatch, it keeps out
}

resource "aws_lambda_permission" "topic" {
  count = local.has_direct_subscriber ? 1 : 0

  statement_id  = "topic"
  function_name = module.record_sns.name
  action        = "lambda:InvokeFunction"
  principal     = "sns.amazonaws.com"
  source_arn    = local.topic_arn
}

# SNS tries for 23 days where its subscriber's service is down; only a subscriber
# that is gone, or that refuses it, has its messages given up.
resource "aws_sns_topic_subscription" "function" {
  count = local.has_direct_subscriber ? 1 : 0

  topic_arn      = aws_sns_topic.this.arn
  protocol       = "lambda"
  endpoint       = module.record_sns.arn
  redrive_policy = jsonencode({ deadLetterTargetArn = module.subscription_dlq.arn })

  depends_on = [aws_lambda_permission.topic]
}

resource "aws_sns_topic_subscription" "queue" {
  count = local.has_events_queue ? 1 : 0

  topic_arn            = aws_sns_topic.this.arn
  protocol             = "sqs"
  endpoint             = module.events_queue[0].arn
  raw_message_delivery = false # the envelope is what a function has from the topic, too
  redrive_policy       = jsonencode({ deadLetterTargetArn = module.subscription_dlq.arn })
}
