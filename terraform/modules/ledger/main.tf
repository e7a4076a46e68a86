# The ledger bridge: an execution of ledger-listener keeps one listener on the chain's
# stream. It delivers each transaction as a signed webhook; the suite's own receiver
# stores the event, and a message has it fetched, verified and recorded.
#
# Names and ARNs live here, built rather than read from resources: each policy
# is then known to the plan, and no reference cycle arises between a function,
# the machine that invokes it and the queue that hears of the machine's failure.

locals {
  prefix = "${var.name}-ledger"

  arn = {
    for service in ["dynamodb", "events", "lambda", "sqs", "states"] :
    service => "arn:${var.shared.location.partition}:${service}:${var.shared.location.region}:${var.shared.location.account_id}"
  }

  events_table_name     = "${local.prefix}-events"
  events_table_arn      = "${local.arn.dynamodb}:table/${local.events_table_name}"
  by_asset_index_name   = "by-asset"
  by_asset_index_arn    = "${local.events_table_arn}/index/${local.by_asset_index_name}"
  assets_table_name     = "${local.prefix}-assets"
  assets_table_arn      = "${local.arn.dynamodb}:table/${local.assets_table_name}"
  drivers_table_name    = "${local.prefix}-drivers"
  drivers_table_arn     = "${local.arn.dynamodb}:table/${local.drivers_table_name}"
  deliveries_table_name = "${local.prefix}-deliveries"
  deliveries_table_arn  = "${local.arn.dynamodb}:table/${local.deliveries_table_name}"
  locks_table_name      = "${local.prefix}-locks"
  locks_table_arn       = "${local.arn.dynamodb}:table/${local.locks_table_name}"

  transactions_queue_name = "${local.prefix}-transactions"
  transactions_queue_arn  = "${local.arn.sqs}:${local.transactions_queue_name}"
  transactions_dlq_name   = "${local.transactions_queue_name}-dlq"
  transactions_dlq_arn    = "${local.arn.sqs}:${local.transactions_dlq_name}"
  deliveries_dlq_name     = "${local.prefix}-deliveries-dlq"
  deliveries_dlq_arn      = "${local.arn.sqs}:${local.deliveries_dlq_name}"
  executions_dlq_name     = "${local.prefix}-executions-dlq"
  executions_dlq_arn      = "${local.arn.sqs}:${local.executions_dlq_name}"
  schedules_dlq_name      = "${local.prefix}-schedules-dlq"
  schedules_dlq_arn       = "${local.arn.sqs}:${local.schedules_dlq_name}"

  machine_name = "${local.prefix}-listener"
  machine_arn  = "${local.arn.states}:stateMachine:${local.machine_name}"
  rule_name    = "${local.prefix}-executions-ended-badly"
  rule_arn     = "${local.arn.events}:rule/${local.rule_name}"

  function_arns = {
    for name in ["listen", "webhook", "record", "deliver", "api"] :
    name => "${local.arn.lambda}:function:${local.prefix}-${name}"
  }
}
