# Rides, the example of recording that survives failure: a request is answered
# once its ride is published, and whoever listens records it, now or later.
#
#   POST /ride -> rides-request -> topic -> rides-record-sns -> table
#
# Names and ARNs live here, built rather than read from resources: each policy
# is then known to the plan, and no reference cycle arises between the topic, its
# subscribers and the queues that keep what they could not take.

locals {
  prefix = "${var.name}-rides"
  stage  = coalesce(var.settings.stage, var.name)

  arn = {
    for service in ["dynamodb", "lambda", "sns", "sqs"] :
    service => "arn:${var.shared.location.partition}:${service}:${var.shared.location.region}:${var.shared.location.account_id}"
  }

  table_name       = local.prefix
  table_arn        = "${local.arn.dynamodb}:table/${local.table_name}"
  fleet_table_name = "${local.prefix}-fleet"
  fleet_table_arn  = "${local.arn.dynamodb}:table/${local.fleet_table_name}"

  topic_name = local.prefix
  topic_arn  = "${local.arn.sns}:${local.topic_name}"

  # Which of the two ways from the topic to the recorder there are.
  has_direct_subscriber = contains(var.settings.subscribers, "lambda")
  has_events_queue      = contains(var.settings.subscribers, "sqs")

  events_queue_name     = "${local.prefix}-events"
  events_queue_arn      = "${local.arn.sqs}:${local.events_queue_name}"
  events_dlq_name       = "${local.events_queue_name}-dlq"
  events_dlq_arn        = "${local.arn.sqs}:${local.events_dlq_name}"
  record_dlq_name       = "${local.prefix}-record-dlq"
  record_dlq_arn        = "${local.arn.sqs}:${local.record_dlq_name}"
  subscription_dlq_name = "${local.prefix}-subscription-dlq"
  subscription_dlq_arn  = "${local.arn.sqs}:${local.subscription_dlq_name}"
  unsent_dlq_name       = "${local.prefix}-unsent-dlq"
  unsent_dlq_arn        = "${local.arn.sqs}:${local.unsent_dlq_name}"

  function_arns = {
    for name in ["request", "fleet", "record-http", "record-sns"] :
    name => "${local.arn.lambda}:function:${local.prefix}-${name}"
  }
}
