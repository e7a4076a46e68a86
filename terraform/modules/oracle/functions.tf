# One block a function, not one block for all: a function then waits for what
# its own environment names, and whatever it may do stands beside what it is told.

locals {
  functions = {
    publish    = module.publish
    missed     = module.missed
    api        = module.api
    rotate-key = module.rotate_key
  }
}

module "publish" {
  source = "../function"

  name            = "${local.prefix}-publish"
  description     = "Reads the sources of every feed just before a slot, signs and writes each value at it."
  artifact        = "oracle-publish"
  shared          = var.shared
  memory_mb       = 128 # it waits for most of its time, which costs by the memory
  timeout_seconds = 15
  environment = {
    ORACLE_READINGS_TABLE        = aws_dynamodb_table.readings.name
    ORACLE_FEEDS_TABLE           = aws_dynamodb_table.feeds.name
    ORACLE_KEYS_TABLE            = aws_dynamodb_table.keys.name
    ORACLE_KEY_SECRET_ARN        = aws_secretsmanager_secret.key.arn
    ORACLE_HEADERS_SECRET_ARN    = aws_secretsmanager_secret.source_headers.arn
    ORACLE_INTERVAL_SECONDS      = var.settings.interval_seconds
    ORACLE_HEAD_START_SECONDS    = var.settings.head_start_seconds
    ORACLE_RETENTION_DAYS        = var.settings.retention_days
    ORACLE_SECRET_CACHE_SECONDS  = var.settings.secret_cache_seconds
    ORACLE_ALLOW_PRIVATE_SOURCES = var.settings.allow_private_sources
  }
  statements = [
    { sid = "AddReadings", actions = ["dynamodb:PutItem"], resources = [local.readings_table_arn] },
    { sid = "ReadFeeds", actions = ["dynamodb:Scan"], resources = [local.feeds_table_arn] },
    { sid = "ReadKeys", actions = ["dynamodb:Query"], resources = [local.keys_table_arn] },
    { sid = "ReadSigningKey", actions = ["secretsmanager:GetSecretValue"], resources = [aws_secretsmanager_secret.key.arn] },
    { sid = "ReadSourceHeaders", actions = ["secretsmanager:GetSecretValue"], resources = [aws_secretsmanager_secret.source_headers.arn] },
  ]
}

module "missed" {
  source = "../function"

  name                        = "${local.prefix}-missed"
  description                 = "Records slots that were not published, with their reason; swept for and counted every minute."
  artifact                    = "oracle-missed"
  shared                      = var.shared
  timeout_seconds             = 60
  async_dead_letter_queue_arn = module.schedules_dlq.arn
  environment = {
    ORACLE_SUITE            = var.name
    ORACLE_READINGS_TABLE   = aws_dynamodb_table.readings.name
    ORACLE_FEEDS_TABLE      = aws_dynamodb_table.feeds.name
    ORACLE_INTERVAL_SECONDS = var.settings.interval_seconds
    ORACLE_RETENTION_DAYS   = var.settings.retention_days
  }
  statements = [
    { sid = "AddAndReadReadings", actions = ["dynamodb:PutItem", "dynamodb:Query", "dynamodb:GetItem"], resources = [local.readings_table_arn] },
    { sid = "ReadFeeds", actions = ["dynamodb:Scan"], resources = [local.feeds_table_arn] },
  ]
}

module "api" {
  source = "../function"

  name        = "${local.prefix}-api"
  description = "Answers the HTTP routes: feeds, readings, keys."
  artifact    = "oracle-api"
  shared      = var.shared
  environment = {
    ORACLE_READINGS_TABLE   = aws_dynamodb_table.readings.name
    ORACLE_FEEDS_TABLE      = aws_dynamodb_table.feeds.name
    ORACLE_KEYS_TABLE       = aws_dynamodb_table.keys.name
    ORACLE_INTERVAL_SECONDS = var.settings.interval_seconds
  }
  statements = [
    { sid = "ReadReadings", actions = ["dynamodb:Query"], resources = [local.readings_table_arn] },
    { sid = "ReadFeeds", actions = ["dynamodb:Scan"], resources = [local.feeds_table_arn] },
    { sid = "ReadKeys", actions = ["dynamodb:Query"], resources = [local.keys_table_arn] },
  ]
}

module "rotate_key" {
  source = "../function"

  name                        = "${local.prefix}-rotate-key"
  description                 = "Writes the signing key's next epoch and publishes its public half."
  artifact                    = "oracle-rotate-key"
  shared                      = var.shared
  timeout_seconds             = 30
  async_dead_letter_queue_arn = module.schedules_dlq.arn
  environment = {
    ORACLE_KEYS_TABLE                   = aws_dynamodb_table.keys.name
    ORACLE_KEY_SECRET_ARN               = aws_secretsmanager_secret.key.arn
    ORACLE_KEY_ACTIVATION_DELAY_SECONDS = var.settings.key_activation_delay_seconds
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
