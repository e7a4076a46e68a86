# Its messages only wake the payer: which claims wait, and in which order, the table
# says. So it need not be a FIFO queue, and a message too many does no harm.
module "claims_queue" {
  source = "../work_queue"

  name                       = local.claims_queue_name
  location                   = var.shared.location
  consumer_timeout_seconds   = local.pay_timeout_seconds
  visibility_timeout_seconds = 6 * local.pay_timeout_seconds
  age_alarm_seconds          = 300
  alarm_topic_arn            = var.shared.alarm_topic_arn
}

resource "aws_lambda_event_source_mapping" "claims" {
  event_source_arn        = module.claims_queue.arn
  function_name           = module.pay.arn
  batch_size              = 10
  function_response_types = ["ReportBatchItemFailures"]

  # One run pays at a time, under the lease; the second is there to take over. Two
  # is the fewest that Lambda knows.
  scaling_config {
    maximum_concurrency = 2
  }

  # The function is given the machine's name, not the machine: receive nothing before it is there.
  depends_on = [module.machine]
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

# What a schedule, an asynchronous invocation or the rule below could not hand over.
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
