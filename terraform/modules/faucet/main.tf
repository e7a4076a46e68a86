# The faucet: a claim becomes an item, a message wakes the payer, the payer signs
# and sends, and an execution of faucet-payout waits until a block has the payout.
#
# Names and ARNs live here, built rather than read from resources: each policy
# is then known to the plan, and no reference cycle arises between a function,
# the machine that invokes it and the queue that hears of the machine's failure.

locals {
  prefix = "${var.name}-faucet"

  arn = {
    for service in ["dynamodb", "events", "lambda", "sqs", "states"] :
    service => "arn:${var.shared.location.partition}:${service}:${var.shared.location.region}:${var.shared.location.account_id}"
  }

  claims_table_name       = local.prefix
  claims_table_arn        = "${local.arn.dynamodb}:table/${local.claims_table_name}"
  open_claims_index_name  = "open-claims"
  open_claims_index_arn   = "${local.claims_table_arn}/index/${local.open_claims_index_name}"
  payouts_table_name      = "${local.prefix}-payouts"
  payouts_table_arn       = "${local.arn.dynamodb}:table/${local.payouts_table_name}"
  open_payouts_index_name = "open-payouts"
  open_payouts_index_arn  = "${local.payouts_table_arn}/index/${local.open_payouts_index_name}"
  locks_table_name        = "${local.prefix}-locks"
  locks_table_arn         = "${local.arn.dynamodb}:table/${local.locks_table_name}"
  limits_table_name       = "${local.prefix}-limits"
  limits_table_arn        = "${local.arn.dynamodb}:table/${local.limits_table_name}"

  claims_queue_name   = "${local.prefix}-claims"
  claims_queue_arn    = "${local.arn.sqs}:${local.claims_queue_name}"
  claims_dlq_name     = "${local.claims_queue_name}-dlq"
  claims_dlq_arn      = "${local.arn.sqs}:${local.claims_dlq_name}"
  executions_dlq_name = "${local.prefix}-executions-dlq"
  executions_dlq_arn  = "${local.arn.sqs}:${local.executions_dlq_name}"
  schedules_dlq_name  = "${local.prefix}-schedules-dlq"
  schedules_dlq_arn   = "${local.arn.sqs}:${local.schedules_dlq_name}"

  machine_name = "${local.prefix}-payout"
  machine_arn  = "${local.arn.states}:stateMachine:${local.machine_name}"
  rule_name    = "${local.prefix}-executions-ended-badly"
  rule_arn     = "${local.arn.events}:rule/${local.rule_name}"

  function_arns = {
    for name in ["api", "pay", "confirm", "sweep"] :
    name => "${local.arn.lambda}:function:${local.prefix}-${name}"
  }
}
