# Transactions to fetch, verify and record. It need not be a FIFO queue: an asset
# converges in whatever order its transactions are applied.
module "transactions_queue" {
  source = "../work_queue"

  name                       = local.transactions_queue_name
  location                   = var.shared.location
  consumer_timeout_seconds   = local.record_timeout_seconds
  visibility_timeout_seconds = 6 * local.record_timeout_seconds
  # Over 24 minutes: ledger-record asks for what failed after 5, 15, 45 and 135 seconds,
  # and after that the visibility timeout is over each time.
  max_receive_count = 12
  age_alarm_seconds = 300
  alarm_topic_arn   = var.shared.alarm_topic_arn
}

resource "aws_lambda_event_source_mapping" "transactions" {
  event_source_arn        = module.transactions_queue.arn
  function_name           = module.record.arn
  batch_size              = 10
  function_response_types = ["ReportBatchItemFailures"]

  # A backfill must not become a flood for the node, which each run asks.
  scaling_config {
    maximum_concurrency = 10
  }
}

# Webhooks whose retries are used up: {"subscriber","event"}, put here by the listener.
module "deliveries_dlq" {
  source = "../dead_letter_queue"

  name            = local.deliveries_dlq_name
  arn             = local.deliveries_dlq_arn
  alarm_topic_arn = var.shared.alarm_topic_arn
}

# Executions that ended badly.
module "executions_dlq" {
  source = "../dead_letter_queue"

  name            = local.executions_dlq_name
  arn             = local.executions_dlq_arn
  alarm_topic_arn = var.shared.alarm_topic_arn
  senders = [{
    sid        = "ExecutionsEndedBadly"
    service    = "events.amazonaws.com"
    source_arn = local.rule_arn
  }]
}

# What the schedule or the rule below could not hand over.
module "schedules_dlq" {
  source = "../dead_letter_queue"

  name            = local.schedules_dlq_name
  arn             = local.schedules_dlq_arn
  alarm_topic_arn = var.shared.alarm_topic_arn
  senders = [{
    sid        = "ExecutionsEndedBadlyUndelivered"
    service    = "events.amazonaws.com"
    source_arn = local.rule_arn
  }]
}

module "failed_executions" {
  source = "../failed_executions"

  name                  = local.rule_name
  machine               = { name = local.machine_name, arn = local.machine_arn }
  dead_letter_queue_arn = module.executions_dlq.arn
  undelivered_queue_arn = module.schedules_dlq.arn
}
