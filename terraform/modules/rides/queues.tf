# Events that rides-record-sns failed on three times.
module "record_dlq" {
  source = "../dead_letter_queue"

  name            = local.record_dlq_name
  arn             = local.record_dlq_arn
  alarm_topic_arn = var.shared.alarm_topic_arn
}

# What the topic could not hand to a subscriber.
module "subscription_dlq" {
  source = "../dead_letter_queue"

  name            = local.subscription_dlq_name
  arn             = local.subscription_dlq_arn
  alarm_topic_arn = var.shared.alarm_topic_arn
  senders = [{
    sid        = "RidesUndelivered"
    service    = "sns.amazonaws.com"
    source_arn = local.topic_arn
  }]
}

# Rides that were answered and could not be published.
module "unsent_dlq" {
  source = "../dead_letter_queue"

  name            = local.unsent_dlq_name
  arn             = local.unsent_dlq_arn
  alarm_topic_arn = var.shared.alarm_topic_arn
}

# The other way from the topic to the recorder: a queue between them takes any
# burst, and batches cost fewer runs.
module "events_queue" {
  source = "../work_queue"
  count  = local.has_events_queue ? 1 : 0

  name                       = local.events_queue_name
  location                   = var.shared.location
  consumer_timeout_seconds   = local.record_timeout_seconds
  visibility_timeout_seconds = 6 * local.record_timeout_seconds
  age_alarm_seconds          = 300
  alarm_topic_arn            = var.shared.alarm_topic_arn
  senders = [{
    sid        = "RidesPublished"
    service    = "sns.amazonaws.com"
    source_arn = local.topic_arn
  }]
}

resource "aws_lambda_event_source_mapping" "events" {
  count = local.has_events_queue ? 1 : 0

  event_source_arn        = module.events_queue[0].arn
  function_name           = module.record_sns.arn
  batch_size              = 10
  function_response_types = ["ReportBatchItemFailures"]
}
