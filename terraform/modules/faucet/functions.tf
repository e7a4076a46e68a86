# One block a function, not one block for all: a function then waits for what
# its own environment names, and whatever it may do stands beside what it is told.

locals {
  # The queue that feeds faucet-pay asks for it.
  pay_timeout_seconds = 30

  # What all of them share.
  common_environment = {
    FAUCET_ENVIRONMENT  = var.name
    FAUCET_NETWORK      = var.settings.network
    FAUCET_CHAIN        = jsonencode(local.chain[var.settings.chain.kind])
    FAUCET_TABLE        = aws_dynamodb_table.claims.name
    FAUCET_LIMITS_TABLE = aws_dynamodb_table.limits.name
    FAUCET_LOCKS_TABLE  = aws_dynamodb_table.locks.name
  }

  # What those share that know of payouts.
  payout_environment = {
    FAUCET_PAYOUTS_TABLE = aws_dynamodb_table.payouts.name
    FAUCET_PAYOUT        = jsonencode(local.payout_policy)
  }

  # What faucet-confirm and faucet-sweep may do alike: both settle payouts.
  settle_statements = [
    { sid = "ReadAndSettleClaims", actions = ["dynamodb:GetItem", "dynamodb:UpdateItem"], resources = [local.claims_table_arn] },
    { sid = "ReadAndSettlePayouts", actions = ["dynamodb:GetItem", "dynamodb:UpdateItem"], resources = [local.payouts_table_arn] },
    { sid = "RollBack", actions = ["dynamodb:UpdateItem", "dynamodb:DeleteItem"], resources = [local.limits_table_arn] },
    { sid = "Wake", actions = ["sqs:SendMessage"], resources = [local.claims_queue_arn] },
  ]

  functions = {
    api     = module.api
    pay     = module.pay
    confirm = module.confirm
    sweep   = module.sweep
  }
}

module "api" {
  source = "../function"

  name            = "${local.prefix}-api"
  description     = "Answers the HTTP routes: takes claims, says what became of them, shows the page."
  artifact        = "faucet-api"
  shared          = var.shared
  timeout_seconds = 29 # API Gateway gives up after 30
  environment = merge(local.common_environment, {
    FAUCET_POLICY            = jsonencode(local.intake_policy)
    FAUCET_QUEUE_URL         = module.claims_queue.url
    FAUCET_INTAKE_SECRET_ARN = aws_secretsmanager_secret.intake.arn
  })
  statements = [
    { sid = "AddAndReadClaims", actions = ["dynamodb:PutItem", "dynamodb:GetItem"], resources = [local.claims_table_arn] },
    { sid = "CountClaims", actions = ["dynamodb:Query"], resources = [local.open_claims_index_arn] },
    { sid = "Reserve", actions = ["dynamodb:UpdateItem", "dynamodb:PutItem", "dynamodb:GetItem"], resources = [local.limits_table_arn] },
    { sid = "ReadAccount", actions = ["dynamodb:GetItem"], resources = [local.locks_table_arn] },
    { sid = "Wake", actions = ["sqs:SendMessage"], resources = [local.claims_queue_arn] },
    { sid = "ReadIntakeSecret", actions = ["secretsmanager:GetSecretValue"], resources = [aws_secretsmanager_secret.intake.arn] },
  ]
}

# The only one that may read the key.
module "pay" {
  source = "../function"

  name            = "${local.prefix}-pay"
  description     = "Signs and sends payouts of the claims that wait, one run at a time, under the lease."
  artifact        = "faucet-pay"
  shared          = var.shared
  timeout_seconds = local.pay_timeout_seconds
  environment = merge(local.common_environment, local.payout_environment, {
    FAUCET_KEY_SECRET_ARN    = aws_secretsmanager_secret.key.arn
    FAUCET_STATE_MACHINE_ARN = local.machine_arn
    FAUCET_QUEUE_DLQ_URL     = module.claims_queue.dead_letter_queue.url
    FAUCET_MAX_RECEIVES      = module.claims_queue.max_receive_count
  })
  statements = [
    { sid = "ReceiveWakes", actions = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"], resources = [local.claims_queue_arn] },
    { sid = "RefuseWakes", actions = ["sqs:SendMessage"], resources = [local.claims_dlq_arn] },
    { sid = "FindClaims", actions = ["dynamodb:Query"], resources = [local.open_claims_index_arn] },
    { sid = "ReadAndSettleClaims", actions = ["dynamodb:GetItem", "dynamodb:UpdateItem"], resources = [local.claims_table_arn] },
    { sid = "WritePayouts", actions = ["dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:Query", "dynamodb:GetItem"], resources = [local.payouts_table_arn] },
    { sid = "HoldLease", actions = ["dynamodb:GetItem", "dynamodb:UpdateItem"], resources = [local.locks_table_arn] },
    { sid = "RollBack", actions = ["dynamodb:UpdateItem", "dynamodb:DeleteItem"], resources = [local.limits_table_arn] },
    { sid = "ReadKey", actions = ["secretsmanager:GetSecretValue"], resources = [aws_secretsmanager_secret.key.arn] },
    { sid = "FollowPayouts", actions = ["states:StartExecution"], resources = [local.machine_arn] },
  ]
}

module "confirm" {
  source = "../function"

  name            = "${local.prefix}-confirm"
  description     = "Asks the chain what became of a payout, and settles it with its claims."
  artifact        = "faucet-confirm"
  shared          = var.shared
  timeout_seconds = 20
  environment = merge(local.common_environment, local.payout_environment, {
    FAUCET_QUEUE_URL = module.claims_queue.url
  })
  statements = local.settle_statements
}

module "sweep" {
  source = "../function"

  name                        = "${local.prefix}-sweep"
  description                 = "Each minute: settles what nobody settled, ends claims past their deadline, wakes the payer, counts."
  artifact                    = "faucet-sweep"
  shared                      = var.shared
  timeout_seconds             = 60
  async_dead_letter_queue_arn = module.schedules_dlq.arn
  environment = merge(local.common_environment, local.payout_environment, {
    FAUCET_QUEUE_URL = module.claims_queue.url
  })
  statements = concat(local.settle_statements, [
    { sid = "FindClaims", actions = ["dynamodb:Query"], resources = [local.open_claims_index_arn] },
    { sid = "FindPayouts", actions = ["dynamodb:Query"], resources = [local.open_payouts_index_arn] },
    { sid = "ReadAndNoteAccount", actions = ["dynamodb:GetItem", "dynamodb:UpdateItem"], resources = [local.locks_table_arn] },
    { sid = "ReadBudget", actions = ["dynamodb:GetItem"], resources = [local.limits_table_arn] },
  ])
}
