# One block a function, not one block for all: a function then waits for what
# its own environment names, and whatever it may do stands beside what it is told.

locals {
  # The queue that feeds ledger-record asks for it.
  record_timeout_seconds = 30

  # What `offchain ledger listen` is told as well.
  listen_environment = {
    LEDGER_ENVIRONMENT        = var.name
    LEDGER_NODE               = var.node
    LEDGER_ALLOW_PRIVATE      = var.settings.allow_private
    LEDGER_LOCKS_TABLE        = aws_dynamodb_table.locks.name
    LEDGER_DELIVERIES_TABLE   = aws_dynamodb_table.deliveries.name
    LEDGER_DELIVERIES_DLQ_URL = module.deliveries_dlq.url
    LEDGER_SUBSCRIBERS        = jsonencode(local.subscribers)
    LEDGER_LISTEN             = jsonencode(local.listen)
  }

  functions = {
    listen  = module.listen
    webhook = module.webhook
    record  = module.record
    deliver = module.deliver
    api     = module.api
  }
}

module "listen" {
  source = "../function"

  name            = "${local.prefix}-listen"
  description     = "Follows the ledger under the lease, and delivers its transactions as signed webhooks."
  artifact        = "ledger-listen"
  shared          = var.shared
  memory_mb       = var.settings.memory_mb
  timeout_seconds = 900 # the most Lambda gives; a run ends before by itself
  environment     = local.listen_environment
  # The cursor and what is kept of a height are written in one transaction, which
  # needs the rights of its parts.
  statements = [
    { sid = "HoldLeaseAndCursor", actions = ["dynamodb:GetItem", "dynamodb:UpdateItem"], resources = [local.locks_table_arn] },
    { sid = "KeepDeliveries", actions = ["dynamodb:Query", "dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"], resources = [local.deliveries_table_arn] },
    { sid = "GiveUpDeliveries", actions = ["sqs:SendMessage"], resources = [local.deliveries_dlq_arn] },
    { sid = "ReadWebhookSecrets", actions = ["secretsmanager:GetSecretValue"], resources = local.subscriber_secret_arns },
  ]
}

module "webhook" {
  source = "../function"

  name            = "${local.prefix}-webhook"
  description     = "Answers POST /v1/ledger/events: checks a webhook's signature and stores its event once."
  artifact        = "ledger-webhook"
  shared          = var.shared
  timeout_seconds = 10
  environment = {
    LEDGER_EVENTS_TABLE       = aws_dynamodb_table.events.name
    LEDGER_QUEUE_URL          = module.transactions_queue.url
    LEDGER_WEBHOOK_SECRET_ARN = aws_secretsmanager_secret.webhook[local.own_subscriber].arn
  }
  statements = [
    { sid = "StoreEvents", actions = ["dynamodb:PutItem", "dynamodb:GetItem", "dynamodb:UpdateItem"], resources = [local.events_table_arn] },
    { sid = "QueueTransactions", actions = ["sqs:SendMessage"], resources = [local.transactions_queue_arn] },
    { sid = "ReadOwnSecret", actions = ["secretsmanager:GetSecretValue"], resources = [aws_secretsmanager_secret.webhook[local.own_subscriber].arn] },
  ]
}

module "record" {
  source = "../function"

  name            = "${local.prefix}-record"
  description     = "Fetches and verifies transactions, and keeps assets, drivers and premiums."
  artifact        = "ledger-record"
  shared          = var.shared
  timeout_seconds = local.record_timeout_seconds
  environment = {
    LEDGER_NODE          = var.node
    LEDGER_ALLOW_PRIVATE = var.settings.allow_private
    LEDGER_EVENTS_TABLE  = aws_dynamodb_table.events.name
    LEDGER_ASSETS_TABLE  = aws_dynamodb_table.assets.name
    LEDGER_DRIVERS_TABLE = aws_dynamodb_table.drivers.name
    LEDGER_QUEUE_URL     = module.transactions_queue.url
    LEDGER_QUEUE_DLQ_URL = module.transactions_queue.dead_letter_queue.url
    LEDGER_MAX_RECEIVES  = module.transactions_queue.max_receive_count
  }
  statements = [
    { sid = "ReceiveTransactions", actions = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"], resources = [local.transactions_queue_arn] },
    { sid = "DeliverTransactionsAgainSoon", actions = ["sqs:ChangeMessageVisibility"], resources = [local.transactions_queue_arn] },
    { sid = "RefuseTransactions", actions = ["sqs:SendMessage"], resources = [local.transactions_dlq_arn] },
    { sid = "ReadAndSettleEvents", actions = ["dynamodb:GetItem", "dynamodb:UpdateItem"], resources = [local.events_table_arn] },
    { sid = "KeepAssets", actions = ["dynamodb:GetItem", "dynamodb:UpdateItem"], resources = [local.assets_table_arn] },
    { sid = "KeepDrivers", actions = ["dynamodb:GetItem", "dynamodb:UpdateItem"], resources = [local.drivers_table_arn] },
  ]
}

# The redrive invokes it and waits for its answer.
module "deliver" {
  source = "../function"

  name            = "${local.prefix}-deliver"
  description     = "Delivers one webhook that was given up before, once more."
  artifact        = "ledger-deliver"
  shared          = var.shared
  timeout_seconds = 30
  environment = {
    LEDGER_ALLOW_PRIVATE   = var.settings.allow_private
    LEDGER_SUBSCRIBERS     = jsonencode(local.subscribers)
    LEDGER_TIMEOUT_SECONDS = var.settings.timeout_seconds
  }
  statements = [
    { sid = "ReadWebhookSecrets", actions = ["secretsmanager:GetSecretValue"], resources = local.subscriber_secret_arns },
  ]
}

module "api" {
  source = "../function"

  name            = "${local.prefix}-api"
  description     = "Answers GET /v1/ledger/assets/{id}: an asset's owners, history and premium."
  artifact        = "ledger-api"
  shared          = var.shared
  timeout_seconds = 10
  environment = {
    LEDGER_EVENTS_TABLE  = aws_dynamodb_table.events.name
    LEDGER_ASSETS_TABLE  = aws_dynamodb_table.assets.name
    LEDGER_DRIVERS_TABLE = aws_dynamodb_table.drivers.name
  }
  statements = [
    { sid = "ReadHistory", actions = ["dynamodb:Query"], resources = [local.by_asset_index_arn] },
    { sid = "ReadAssets", actions = ["dynamodb:GetItem"], resources = [local.assets_table_arn] },
    { sid = "ReadDrivers", actions = ["dynamodb:GetItem"], resources = [local.drivers_table_arn] },
  ]
}
