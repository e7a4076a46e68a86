# Slots that the machine could not record; of a Standard machine, executions
# that ended badly as well.
module "minutes_dlq" {
  source = "../dead_letter_queue"

  name            = local.minutes_dlq_name
  arn             = local.minutes_dlq_arn
  alarm_topic_arn = var.shared.alarm_topic_arn
  senders = [for _ in range(local.has_status_events ? 1 : 0) : {
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
  senders = [for _ in range(local.has_status_events ? 1 : 0) : {
    sid        = "ExecutionsEndedBadlyUndelivered"
    service    = "events.amazonaws.com"
    source_arn = local.rule_arn
  }]
}

module "failed_executions" {
  source = "../failed_executions"
  count  = local.has_status_events ? 1 : 0

  name                  = local.rule_name
  machine               = { name = local.machine_name, arn = local.machine_arn }
  dead_letter_queue_arn = module.minutes_dlq.arn
  undelivered_queue_arn = module.schedules_dlq.arn
}
