# Verifiable randomness: a request becomes an item, then a message, then an
# execution of vrf-fulfilment, which proves it or lets it expire.
#
# Names and ARNs live here, built rather than read from resources: each policy
# is then known to the plan, and no reference cycle arises between a function,
# the machine that invokes it and the queue that hears of the machine's failure.

locals {
  prefix = "${var.name}-vrf"

  arn = {
    for service in ["dynamodb", "events", "lambda", "sqs", "states"] :
    service => "arn:${var.shared.location.partition}:${service}:${var.shared.location.region}:${var.shared.location.account_id}"
  }

  table_arn       = "${local.arn.dynamodb}:table/${local.prefix}"
  keys_table_arn  = "${local.arn.dynamodb}:table/${local.prefix}-keys"
  open_index_name = "open-requests"
  open_index_arn  = "${local.table_arn}/index/${local.open_index_name}"

  requests_queue_name = "${local.prefix}-requests"
  requests_queue_arn  = "${local.arn.sqs}:${local.requests_queue_name}"
  requests_dlq_arn    = "${local.arn.sqs}:${local.requests_queue_name}-dlq"
  executions_dlq_name = "${local.prefix}-executions-dlq"
  executions_dlq_arn  = "${local.arn.sqs}:${local.executions_dlq_name}"
  schedules_dlq_name  = "${local.prefix}-schedules-dlq"
  schedules_dlq_arn   = "${local.arn.sqs}:${local.schedules_dlq_name}"

  machine_name = "${local.prefix}-fulfilment"
  machine_arn  = "${local.arn.states}:stateMachine:${local.machine_name}"
  rule_name    = "${local.prefix}-executions-ended-badly"
  rule_arn     = "${local.arn.events}:rule/${local.rule_name}"

  function_arns = {
    for name in ["request", "api", "start", "height", "fulfil", "expire", "rotate-key"] :
    name => "${local.arn.lambda}:function:${local.prefix}-${name}"
  }
}
