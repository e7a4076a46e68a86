# Redrive: one way to see, and to send back, what lies in any dead letter queue
# of the suite. A subsystem says of its queues where their letters may go.

locals {
  prefix = "${var.name}-dlq-redrive"

  arn = {
    for service in ["dynamodb", "lambda"] :
    service => "arn:${var.shared.location.partition}:${service}:${var.shared.location.region}:${var.shared.location.account_id}"
  }

  table_name   = "${var.name}-dead-letters"
  table_arn    = "${local.arn.dynamodb}:table/${local.table_name}"
  function_arn = "${local.arn.lambda}:function:${local.prefix}"

  metrics_namespace = "offchain/redrive"

  # Where a letter goes that does not say.
  defaults = { for name, queue in var.dead_letter_queues : name => queue.default }

  # All that letters may go to, by the service that an ARN names.
  destinations = distinct(sort(flatten([for queue in var.dead_letter_queues : queue.destinations])))
  destinations_of = {
    for service in ["sqs", "lambda", "states", "sns"] :
    service => [for arn in local.destinations : arn if split(":", arn)[2] == service]
  }
}

module "function" {
  source = "../function"

  name            = local.prefix
  description     = "Sends dead letters back to where they came from, each a few times at most, and keeps account of it."
  artifact        = "dlq-redrive"
  shared          = var.shared
  timeout_seconds = 90
  environment = {
    DLQ_TABLE        = aws_dynamodb_table.dead_letters.name
    DLQ_DESTINATIONS = jsonencode(local.defaults)
    DLQ_SUITE        = var.name
    DLQ_MAX_REDRIVES = var.settings.max_redrives
    DLQ_HOLD_SECONDS = var.settings.hold_seconds
    DLQ_HISTORY_DAYS = var.settings.history_days
  }
  statements = concat(
    [for _ in range(length(var.dead_letter_queues) == 0 ? 0 : 1) : {
      sid       = "TakeDeadLetters"
      actions   = ["sqs:GetQueueUrl", "sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility"]
      resources = [for queue in var.dead_letter_queues : queue.arn]
    }],
    [
      { sid = "KeepHistory", actions = ["dynamodb:GetItem", "dynamodb:UpdateItem"], resources = [local.table_arn] },
    ],
    # A letter names its destination itself; it goes to none but these.
    [for statement in [
      { sid = "SendToQueues", actions = ["sqs:GetQueueUrl", "sqs:SendMessage"], resources = local.destinations_of.sqs },
      { sid = "InvokeFunctions", actions = ["lambda:InvokeFunction"], resources = local.destinations_of.lambda },
      { sid = "StartExecutions", actions = ["states:StartExecution"], resources = local.destinations_of.states },
      { sid = "PublishToTopics", actions = ["sns:Publish"], resources = local.destinations_of.sns },
    ] : statement if length(statement.resources) > 0],
  )
}

module "machine" {
  source = "../state_machine"

  name     = local.prefix
  location = var.shared.location
  # The function's role has the name already.
  role_name = "${local.prefix}-machine"
  definition = templatefile(var.definition_path, {
    dlq_redrive_arn = local.function_arn
  })
  function_arns      = [local.function_arn]
  log_retention_days = var.shared.log_retention_days
  alarm_topic_arn    = var.shared.alarm_topic_arn

  # The definition names the function without waiting for it.
  depends_on = [module.function]
}

# One item a dead letter: how often it was sent back, and what came of it; of a
# quarantined one, the letter itself.
resource "aws_dynamodb_table" "dead_letters" {
  # checkov:skip=CKV_AWS_119:An AWS-managed key, as the queues have; a key of one's own costs by the month
  name                        = local.table_name
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "fingerprint"
  deletion_protection_enabled = var.shared.deletion_protection

  attribute {
    name = "fingerprint"
    type = "S"
  }

  ttl {
    attribute_name = "expiration"
    enabled        = true
  }

  point_in_time_recovery {
    enabled = true
  }

  server_side_encryption {
    enabled = true
  }
}

module "table_alarms" {
  source = "../table_alarms"

  table_name      = local.table_name
  operations      = ["GetItem", "PutItem", "UpdateItem"]
  alarm_topic_arn = var.shared.alarm_topic_arn
}

resource "aws_cloudwatch_metric_alarm" "quarantined" {
  alarm_name          = "${var.name}-dlq-quarantined"
  alarm_description   = "A dead letter was given up after ${var.settings.max_redrives} redrives, or has nowhere to go; ${local.table_name} holds it: `offchain dlq quarantine`."
  namespace           = local.metrics_namespace
  metric_name         = "Quarantined"
  dimensions          = { Suite = var.name }
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
  alarm_actions       = [var.shared.alarm_topic_arn]
  ok_actions          = [var.shared.alarm_topic_arn]
}
