# The oracle: each minute an execution of oracle-minute publishes a reading of
# every feed at every slot, or records why there is none.
#
# Names and ARNs live here, built rather than read from resources: each policy
# is then known to the plan, and no reference cycle arises between a function,
# the machine that invokes it and the queue that hears of the machine's failure.

locals {
  prefix = "${var.name}-oracle"

  arn = {
    for service in ["dynamodb", "events", "lambda", "sqs", "states"] :
    service => "arn:${var.shared.location.partition}:${service}:${var.shared.location.region}:${var.shared.location.account_id}"
  }

  readings_table_name = coalesce(var.settings.table_name, local.prefix)
  readings_table_arn  = "${local.arn.dynamodb}:table/${local.readings_table_name}"
  feeds_table_arn     = "${local.arn.dynamodb}:table/${local.prefix}-feeds"
  keys_table_arn      = "${local.arn.dynamodb}:table/${local.prefix}-keys"

  minutes_dlq_name   = "${local.prefix}-minutes-dlq"
  minutes_dlq_arn    = "${local.arn.sqs}:${local.minutes_dlq_name}"
  schedules_dlq_name = "${local.prefix}-schedules-dlq"
  schedules_dlq_arn  = "${local.arn.sqs}:${local.schedules_dlq_name}"

  machine_name = "${local.prefix}-minute"
  machine_arn  = "${local.arn.states}:stateMachine:${local.machine_name}"
  rule_name    = "${local.prefix}-executions-ended-badly"
  rule_arn     = "${local.arn.events}:rule/${local.rule_name}"

  # Step Functions sends status events of Standard executions only.
  has_status_events = var.settings.machine_type == "STANDARD"

  function_arns = {
    for name in ["publish", "missed", "api", "rotate-key"] :
    name => "${local.arn.lambda}:function:${local.prefix}-${name}"
  }
}
