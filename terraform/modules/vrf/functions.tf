# One block a function, not one block for all: a function then waits for what
# its own environment names, and whatever it may do stands beside what it is told.

locals {
  # The queue that feeds vrf-start asks for it, and other functions for the queue.
  start_timeout_seconds = 30

  # What vrf-request and vrf-api share: both take a request in.
  intake_environment = {
    VRF_TABLE                 = aws_dynamodb_table.requests.name
    VRF_KEYS_TABLE            = aws_dynamodb_table.keys.name
    VRF_QUEUE_URL             = module.requests_queue.url
    VRF_FULFIL_WINDOW_SECONDS = var.settings.fulfil_window_seconds
    VRF_RETENTION_DAYS        = var.settings.retention_days
  }

  chain_environment = var.settings.chain == null ? {} : { VRF_CHAIN_RPC_URL = var.settings.chain.rpc_url }

  functions = {
    request    = module.request
    api        = module.api
    start      = module.start
    height     = module.height
    fulfil     = module.fulfil
    expire     = module.expire
    rotate-key = module.rotate_key
  }
}

module "request" {
  source = "../function"

  name                        = "${local.prefix}-request"
  description                 = "Makes one request with random bounds and delay: the schedule's."
  artifact                    = "vrf-request"
  shared                      = var.shared
  environment                 = local.intake_environment
  async_dead_letter_queue_arn = module.schedules_dlq.arn
  statements = [
    { sid = "AddAndReadRequests", actions = ["dynamodb:PutItem", "dynamodb:Query"], resources = [local.table_arn] },
    { sid = "ReadKeys", actions = ["dynamodb:Query"], resources = [local.keys_table_arn] },
    { sid = "Announce", actions = ["sqs:SendMessage"], resources = [local.requests_queue_arn] },
  ]
}

module "api" {
  source = "../function"

  name        = "${local.prefix}-api"
  description = "Answers the HTTP routes: takes requests, returns their state, lists the keys."
  artifact    = "vrf-api"
  shared      = var.shared
  environment = merge(local.intake_environment, local.chain_environment, {
    VRF_API_TOKENS_SECRET_ARN = aws_secretsmanager_secret.api_tokens.arn
    VRF_MAX_DELAY_SECONDS     = var.settings.max_delay_seconds
    VRF_HEIGHT_WINDOW_SECONDS = var.settings.height_window_seconds
  })
  statements = [
    { sid = "AddAndReadRequests", actions = ["dynamodb:PutItem", "dynamodb:Query"], resources = [local.table_arn] },
    { sid = "ReadKeys", actions = ["dynamodb:Query"], resources = [local.keys_table_arn] },
    { sid = "Announce", actions = ["sqs:SendMessage"], resources = [local.requests_queue_arn] },
    { sid = "ReadTokens", actions = ["secretsmanager:GetSecretValue"], resources = [aws_secretsmanager_secret.api_tokens.arn] },
  ]
}

module "start" {
  source = "../function"

  name            = "${local.prefix}-start"
  description     = "Starts one execution a message, named by its request."
  artifact        = "vrf-start"
  shared          = var.shared
  timeout_seconds = local.start_timeout_seconds
  environment = {
    VRF_TABLE             = aws_dynamodb_table.requests.name
    VRF_STATE_MACHINE_ARN = local.machine_arn
    VRF_REQUESTS_DLQ_URL  = module.requests_queue.dead_letter_queue.url
    VRF_MAX_RECEIVES      = module.requests_queue.max_receive_count
  }
  statements = [
    { sid = "ReceiveRequests", actions = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"], resources = [local.requests_queue_arn] },
    { sid = "RefuseRequests", actions = ["sqs:SendMessage"], resources = [local.requests_dlq_arn] },
    { sid = "ReadAndMarkRequests", actions = ["dynamodb:Query", "dynamodb:PutItem"], resources = [local.table_arn] },
    { sid = "StartExecutions", actions = ["states:StartExecution"], resources = [local.machine_arn] },
  ]
}

# Deployed without a chain as well: the machine names it, and it answers that
# there is no chain to ask.
module "height" {
  source = "../function"

  name        = "${local.prefix}-height"
  description = "Says whether a chain has reached a request's height, and notes it."
  artifact    = "vrf-height"
  shared      = var.shared
  environment = merge(local.chain_environment, {
    VRF_TABLE      = aws_dynamodb_table.requests.name
    VRF_CHAIN_KIND = var.settings.chain == null ? "none" : var.settings.chain.kind
  })
  statements = [
    { sid = "NoteHeight", actions = ["dynamodb:UpdateItem"], resources = [local.table_arn] },
  ]
}

module "fulfil" {
  source = "../function"

  name        = "${local.prefix}-fulfil"
  description = "Proves a request that is due and writes the proof once."
  artifact    = "vrf-fulfil"
  shared      = var.shared
  environment = {
    VRF_TABLE                  = aws_dynamodb_table.requests.name
    VRF_KEYS_TABLE             = aws_dynamodb_table.keys.name
    VRF_KEY_SECRET_ARN         = aws_secretsmanager_secret.key.arn
    VRF_SIMULATED_FAILURE_RATE = var.settings.simulated_failure_rate
  }
  statements = [
    { sid = "ReadAndFulfilRequests", actions = ["dynamodb:Query", "dynamodb:UpdateItem"], resources = [local.table_arn] },
    { sid = "ReadKey", actions = ["dynamodb:GetItem"], resources = [local.keys_table_arn] },
    { sid = "ReadSigningKey", actions = ["secretsmanager:GetSecretValue"], resources = [aws_secretsmanager_secret.key.arn] },
  ]
}

module "expire" {
  source = "../function"

  name                        = "${local.prefix}-expire"
  description                 = "Ends a request whose deadline passed, with its reason; swept for every minute."
  artifact                    = "vrf-expire"
  shared                      = var.shared
  timeout_seconds             = 60
  async_dead_letter_queue_arn = module.schedules_dlq.arn
  environment = {
    VRF_TABLE              = aws_dynamodb_table.requests.name
    VRF_EXECUTIONS_DLQ_URL = module.executions_dlq.url
  }
  statements = [
    { sid = "ReadAndExpireRequests", actions = ["dynamodb:Query", "dynamodb:UpdateItem"], resources = [local.table_arn] },
    { sid = "FindOverdueRequests", actions = ["dynamodb:Query"], resources = [local.open_index_arn] },
    { sid = "ReportOrphans", actions = ["sqs:SendMessage"], resources = [local.executions_dlq_arn] },
  ]
}

module "rotate_key" {
  source = "../function"

  name                        = "${local.prefix}-rotate-key"
  description                 = "Writes the signing key's next epoch and publishes its public half."
  artifact                    = "vrf-rotate-key"
  shared                      = var.shared
  timeout_seconds             = 30
  async_dead_letter_queue_arn = module.schedules_dlq.arn
  environment = {
    VRF_KEYS_TABLE                   = aws_dynamodb_table.keys.name
    VRF_KEY_SECRET_ARN               = aws_secretsmanager_secret.key.arn
    VRF_SUITE                        = var.settings.suite
    VRF_KEY_ACTIVATION_DELAY_SECONDS = var.settings.key_activation_delay_seconds
  }
  statements = [
    { sid = "PublishKeys", actions = ["dynamodb:Query", "dynamodb:PutItem"], resources = [local.keys_table_arn] },
    {
      sid = "WriteSigningKey"
      actions = [
        "secretsmanager:GetSecretValue",
        "secretsmanager:PutSecretValue",
        "secretsmanager:UpdateSecretVersionStage",
        "secretsmanager:DescribeSecret",
      ]
      resources = [aws_secretsmanager_secret.key.arn]
    },
  ]
}

# The first epoch exists when apply ends. The result, which the state keeps,
# holds public data only.
resource "aws_lambda_invocation" "first_key" {
  function_name   = module.rotate_key.name
  input           = jsonencode({ action = "reconcile" })
  lifecycle_scope = "CREATE_ONLY"
}
