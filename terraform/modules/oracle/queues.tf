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

resource "aws_cloudwatch_event_rule" "executions_ended_badly" {
  count = local.has_status_events ? 1 : 0

  name        = local.rule_name
  description = "Executions of ${local.machine_name} that did not succeed."
  event_pattern = jsonencode({
    source      = ["aws.states"]
    detail-type = ["Step Functions Execution Status Change"]
    detail = {
      stateMachineArn = [local.machine_arn]
      status          = ["FAILED", "TIMED_OUT", "ABORTED"]
    }
  })
}

resource "aws_cloudwatch_event_target" "minutes_dlq" {
  count = local.has_status_events ? 1 : 0

  rule      = aws_cloudwatch_event_rule.executions_ended_badly[0].name
  target_id = "minutes-dlq"
  arn       = module.minutes_dlq.arn

  dead_letter_config {
    arn = module.schedules_dlq.arn
  }
}
