# One block a function, not one block for all: a function then waits for what
# its own environment names, and whatever it may do stands beside what it is told.

locals {
  # The queue that feeds rides-record-sns asks for it.
  record_timeout_seconds = 10

  functions = {
    request     = module.request
    fleet       = module.fleet
    record-http = module.record_http
    record-sns  = module.record_sns
  }
}

# Its role holds the rights of both ways to publish: a change of `publish` then
# changes the environment alone, and no run is without the right it needs.
module "request" {
  source = "../function"

  name            = "${local.prefix}-request"
  description     = "Answers POST /ride: asks the fleet for a unicorn and publishes the ride."
  artifact        = "rides-request"
  shared          = var.shared
  timeout_seconds = 20
  environment = {
    RIDES_FLEET_FUNCTION   = module.fleet.name
    RIDES_PUBLISH          = var.settings.publish
    RIDES_TOPIC_ARN        = local.topic_arn
    RIDES_RECORD_FUNCTION  = module.record_http.name
    RIDES_UNSENT_QUEUE_URL = module.unsent_dlq.url
  }
  statements = [
    { sid = "InvokeFleetAndRecorder", actions = ["lambda:InvokeFunction"], resources = [local.function_arns.fleet, local.function_arns.record-http] },
    { sid = "PublishRides", actions = ["sns:Publish"], resources = [local.topic_arn] },
    { sid = "KeepUnsent", actions = ["sqs:SendMessage"], resources = [local.unsent_dlq_arn] },
  ]

  # Whoever records is there before the first ride is published: a topic drops
  # what it has no subscriber for.
  depends_on = [
    aws_sns_topic_subscription.function,
    aws_sns_topic_subscription.queue,
    aws_lambda_event_source_mapping.events,
    aws_dynamodb_table_item.fleet,
  ]
}

module "fleet" {
  source = "../function"

  name        = "${local.prefix}-fleet"
  description = "Gives a unicorn of the fleet, drawn at random: to rides-request, and to GET /unicorn."
  artifact    = "rides-fleet"
  shared      = var.shared
  environment = {
    RIDES_FLEET_TABLE = aws_dynamodb_table.fleet.name
  }
  statements = [
    { sid = "ReadFleet", actions = ["dynamodb:Scan"], resources = [local.fleet_table_arn] },
  ]
}

module "record_http" {
  source = "../function"

  name        = "${local.prefix}-record-http"
  description = "Answers POST /record: records one ride."
  artifact    = "rides-record-http"
  shared      = var.shared
  environment = {
    RIDES_TABLE = aws_dynamodb_table.rides.name
  }
  statements = [
    { sid = "RecordRides", actions = ["dynamodb:PutItem"], resources = [local.table_arn] },
  ]
}

module "record_sns" {
  source = "../function"

  name                        = "${local.prefix}-record-sns"
  description                 = "Records rides that were published, from the topic or from a queue of its messages."
  artifact                    = "rides-record-sns"
  shared                      = var.shared
  timeout_seconds             = local.record_timeout_seconds
  async_dead_letter_queue_arn = module.record_dlq.arn
  environment = merge(
    { RIDES_TABLE = aws_dynamodb_table.rides.name },
    local.has_events_queue ? {
      RIDES_EVENTS_DLQ_URL = module.events_queue[0].dead_letter_queue.url
      RIDES_MAX_RECEIVES   = module.events_queue[0].max_receive_count
    } : {},
  )
  statements = concat(
    [
      { sid = "RecordRides", actions = ["dynamodb:PutItem"], resources = [local.table_arn] },
    ],
    local.has_events_queue ? [
      { sid = "ReceiveEvents", actions = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"], resources = [local.events_queue_arn] },
      { sid = "RefuseEvents", actions = ["sqs:SendMessage"], resources = [local.events_dlq_arn] },
    ] : [],
  )
}
