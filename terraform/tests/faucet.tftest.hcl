# The faucet: every policy exactly, and what its parts hand to each other.

mock_provider "aws" {
  source = "./tests/mocks"
}

override_resource {
  target = aws_secretsmanager_secret.key
  values = { arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:offchain/faucet/key-AbCdEf" }
}

override_resource {
  target = aws_secretsmanager_secret.intake
  values = { arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:offchain/faucet/intake-GhIjKl" }
}

variables {
  name            = "offchain"
  definition_path = "../statemachines/faucet-payout.asl.json"
  api = {
    id            = "a1b2c3"
    execution_arn = "arn:aws:execute-api:us-east-1:123456789012:a1b2c3"
    stage_name    = "$default"
  }
  shared = {
    location             = { partition = "aws", region = "us-east-1", account_id = "123456789012" }
    artifacts_dir        = "tests/artifacts"
    artifacts_bucket     = "offchain-artifacts"
    architecture         = "arm64"
    log_level            = "info"
    log_retention_days   = 30
    tracing              = false
    deletion_protection  = true
    secret_recovery_days = 30
    alarm_topic_arn      = "arn:aws:sns:us-east-1:123456789012:offchain-alarms"
  }
  nodes = [{ url = "https://node.example.org/v1/KEY" }]
  settings = {
    network = "sepolia"
    chain = {
      kind             = "evm"
      chain_id         = "11155111"
      prefix           = null
      denom            = null
      fee_denom        = null
      gas_price        = "0.025"
      gas              = 120000
      gas_each         = 50000
      memo             = "faucet drop"
      timeout_blocks   = 20
      max_fee_wei      = "100000000000"
      priority_fee_wei = "1000000000"
    }
    symbol                      = "ETH"
    decimals                    = 18
    amount                      = "50000000000000000"
    origins                     = ["https://example.org"]
    trusted_proxies             = 0
    throttle                    = { per_minute = 10, burst = 10 }
    address_cooldown_seconds    = 86400
    source                      = { claims = 5, window_seconds = 86400 }
    daily_budget                = "10000000000000000000"
    captcha                     = null
    proof_of_work               = { bits = 18, valid_seconds = 300 }
    wait_seconds                = 15
    claim_deadline_seconds      = 3600
    batch                       = 50
    in_flight                   = 4
    confirmations               = 2
    attempts                    = 3
    bump_seconds                = 60
    block_seconds               = 12
    settle_deadline_seconds     = 3600
    lease_seconds               = 60
    low_balance                 = null
    oldest_unpaid_alarm_seconds = 600
    retention_days              = 30
    send                        = true
  }
}

run "each_role_may_do_exactly_this" {
  module {
    source = "./modules/faucet"
  }

  assert {
    condition = jsondecode(module.api.policy) == {
      Version = "2012-10-17"
      Statement = [
        { Sid = "WriteLogs", Effect = "Allow", Action = ["logs:CreateLogStream", "logs:PutLogEvents"], Resource = ["arn:aws:logs:us-east-1:123456789012:log-group:/aws/lambda/offchain-faucet-api:*"] },
        { Sid = "AddAndReadClaims", Effect = "Allow", Action = ["dynamodb:PutItem", "dynamodb:GetItem"], Resource = ["arn:aws:dynamodb:us-east-1:123456789012:table/offchain-faucet"] },
        { Sid = "CountClaims", Effect = "Allow", Action = ["dynamodb:Query"], Resource = ["arn:aws:dynamodb:us-east-1:123456789012:table/offchain-faucet/index/open-claims"] },
        { Sid = "Reserve", Effect = "Allow", Action = ["dynamodb:UpdateItem", "dynamodb:PutItem", "dynamodb:GetItem"], Resource = ["arn:aws:dynamodb:us-east-1:123456789012:table/offchain-faucet-limits"] },
        { Sid = "ReadAccount", Effect = "Allow", Action = ["dynamodb:GetItem"], Resource = ["arn:aws:dynamodb:us-east-1:123456789012:table/offchain-faucet-locks"] },
        { Sid = "Wake", Effect = "Allow", Action = ["sqs:SendMessage"], Resource = ["arn:aws:sqs:us-east-1:123456789012:offchain-faucet-claims"] },
        { Sid = "ReadIntakeSecret", Effect = "Allow", Action = ["secretsmanager:GetSecretValue"], Resource = ["arn:aws:secretsmanager:us-east-1:123456789012:secret:offchain/faucet/intake-GhIjKl"] },
      ]
    }
    error_message = "faucet-api may: ${module.api.policy}"
  }

  assert {
    condition = jsondecode(module.pay.policy) == {
      Version = "2012-10-17"
      Statement = [
        { Sid = "WriteLogs", Effect = "Allow", Action = ["logs:CreateLogStream", "logs:PutLogEvents"], Resource = ["arn:aws:logs:us-east-1:123456789012:log-group:/aws/lambda/offchain-faucet-pay:*"] },
        { Sid = "ReceiveWakes", Effect = "Allow", Action = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"], Resource = ["arn:aws:sqs:us-east-1:123456789012:offchain-faucet-claims"] },
        { Sid = "RefuseWakes", Effect = "Allow", Action = ["sqs:SendMessage"], Resource = ["arn:aws:sqs:us-east-1:123456789012:offchain-faucet-claims-dlq"] },
        { Sid = "FindClaims", Effect = "Allow", Action = ["dynamodb:Query"], Resource = ["arn:aws:dynamodb:us-east-1:123456789012:table/offchain-faucet/index/open-claims"] },
        { Sid = "ReadAndSettleClaims", Effect = "Allow", Action = ["dynamodb:GetItem", "dynamodb:UpdateItem"], Resource = ["arn:aws:dynamodb:us-east-1:123456789012:table/offchain-faucet"] },
        { Sid = "WritePayouts", Effect = "Allow", Action = ["dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:Query", "dynamodb:GetItem"], Resource = ["arn:aws:dynamodb:us-east-1:123456789012:table/offchain-faucet-payouts"] },
        { Sid = "HoldLease", Effect = "Allow", Action = ["dynamodb:GetItem", "dynamodb:UpdateItem"], Resource = ["arn:aws:dynamodb:us-east-1:123456789012:table/offchain-faucet-locks"] },
        { Sid = "RollBack", Effect = "Allow", Action = ["dynamodb:UpdateItem", "dynamodb:DeleteItem"], Resource = ["arn:aws:dynamodb:us-east-1:123456789012:table/offchain-faucet-limits"] },
        { Sid = "ReadKey", Effect = "Allow", Action = ["secretsmanager:GetSecretValue"], Resource = ["arn:aws:secretsmanager:us-east-1:123456789012:secret:offchain/faucet/key-AbCdEf"] },
        { Sid = "FollowPayouts", Effect = "Allow", Action = ["states:StartExecution"], Resource = ["arn:aws:states:us-east-1:123456789012:stateMachine:offchain-faucet-payout"] },
      ]
    }
    error_message = "faucet-pay may: ${module.pay.policy}"
  }

  assert {
    condition = jsondecode(module.confirm.policy) == {
      Version = "2012-10-17"
      Statement = [
        { Sid = "WriteLogs", Effect = "Allow", Action = ["logs:CreateLogStream", "logs:PutLogEvents"], Resource = ["arn:aws:logs:us-east-1:123456789012:log-group:/aws/lambda/offchain-faucet-confirm:*"] },
        { Sid = "ReadAndSettleClaims", Effect = "Allow", Action = ["dynamodb:GetItem", "dynamodb:UpdateItem"], Resource = ["arn:aws:dynamodb:us-east-1:123456789012:table/offchain-faucet"] },
        { Sid = "ReadAndSettlePayouts", Effect = "Allow", Action = ["dynamodb:GetItem", "dynamodb:UpdateItem"], Resource = ["arn:aws:dynamodb:us-east-1:123456789012:table/offchain-faucet-payouts"] },
        { Sid = "RollBack", Effect = "Allow", Action = ["dynamodb:UpdateItem", "dynamodb:DeleteItem"], Resource = ["arn:aws:dynamodb:us-east-1:123456789012:table/offchain-faucet-limits"] },
        { Sid = "Wake", Effect = "Allow", Action = ["sqs:SendMessage"], Resource = ["arn:aws:sqs:us-east-1:123456789012:offchain-faucet-claims"] },
      ]
    }
    error_message = "faucet-confirm may: ${module.confirm.policy}"
  }

  assert {
    condition = jsondecode(module.sweep.policy) == {
      Version = "2012-10-17"
      Statement = [
        { Sid = "WriteLogs", Effect = "Allow", Action = ["logs:CreateLogStream", "logs:PutLogEvents"], Resource = ["arn:aws:logs:us-east-1:123456789012:log-group:/aws/lambda/offchain-faucet-sweep:*"] },
        { Sid = "ReadAndSettleClaims", Effect = "Allow", Action = ["dynamodb:GetItem", "dynamodb:UpdateItem"], Resource = ["arn:aws:dynamodb:us-east-1:123456789012:table/offchain-faucet"] },
        { Sid = "ReadAndSettlePayouts", Effect = "Allow", Action = ["dynamodb:GetItem", "dynamodb:UpdateItem"], Resource = ["arn:aws:dynamodb:us-east-1:123456789012:table/offchain-faucet-payouts"] },
        { Sid = "RollBack", Effect = "Allow", Action = ["dynamodb:UpdateItem", "dynamodb:DeleteItem"], Resource = ["arn:aws:dynamodb:us-east-1:123456789012:table/offchain-faucet-limits"] },
        { Sid = "Wake", Effect = "Allow", Action = ["sqs:SendMessage"], Resource = ["arn:aws:sqs:us-east-1:123456789012:offchain-faucet-claims"] },
        { Sid = "FindClaims", Effect = "Allow", Action = ["dynamodb:Query"], Resource = ["arn:aws:dynamodb:us-east-1:123456789012:table/offchain-faucet/index/open-claims"] },
        { Sid = "FindPayouts", Effect = "Allow", Action = ["dynamodb:Query"], Resource = ["arn:aws:dynamodb:us-east-1:123456789012:table/offchain-faucet-payouts/index/open-payouts"] },
        { Sid = "ReadAndNoteAccount", Effect = "Allow", Action = ["dynamodb:GetItem", "dynamodb:UpdateItem"], Resource = ["arn:aws:dynamodb:us-east-1:123456789012:table/offchain-faucet-locks"] },
        { Sid = "ReadBudget", Effect = "Allow", Action = ["dynamodb:GetItem"], Resource = ["arn:aws:dynamodb:us-east-1:123456789012:table/offchain-faucet-limits"] },
        { Sid = "DeadLetter", Effect = "Allow", Action = ["sqs:SendMessage"], Resource = ["arn:aws:sqs:us-east-1:123456789012:offchain-faucet-schedules-dlq"] },
      ]
    }
    error_message = "faucet-sweep may: ${module.sweep.policy}"
  }

  assert {
    condition = jsondecode(module.machine.policy) == {
      Version = "2012-10-17"
      Statement = [
        { Sid = "InvokeFunctions", Effect = "Allow", Action = ["lambda:InvokeFunction"], Resource = ["arn:aws:lambda:us-east-1:123456789012:function:offchain-faucet-confirm"] },
        {
          Sid      = "DeliverLogs"
          Effect   = "Allow"
          Action   = ["logs:CreateLogDelivery", "logs:DeleteLogDelivery", "logs:DescribeLogGroups", "logs:DescribeResourcePolicies", "logs:GetLogDelivery", "logs:ListLogDeliveries", "logs:PutResourcePolicy", "logs:UpdateLogDelivery"]
          Resource = ["*"]
        },
      ]
    }
    error_message = "The machine may: ${module.machine.policy}"
  }

  assert {
    condition = jsondecode(module.schedules.policy) == {
      Version = "2012-10-17"
      Statement = [
        { Sid = "InvokeFunctions", Effect = "Allow", Action = ["lambda:InvokeFunction"], Resource = ["arn:aws:lambda:us-east-1:123456789012:function:offchain-faucet-sweep"] },
        { Sid = "DeadLetter", Effect = "Allow", Action = ["sqs:SendMessage"], Resource = ["arn:aws:sqs:us-east-1:123456789012:offchain-faucet-schedules-dlq"] },
      ]
    }
    error_message = "The schedules may: ${module.schedules.policy}"
  }
}

run "each_role_is_assumed_by_its_service_alone" {
  module {
    source = "./modules/faucet"
  }

  assert {
    condition = alltrue([for function in [module.api, module.pay, module.confirm, module.sweep] :
      jsondecode(function.trust_policy) == {
        Version = "2012-10-17"
        Statement = [
          { Sid = "AssumedByLambda", Effect = "Allow", Principal = { Service = "lambda.amazonaws.com" }, Action = "sts:AssumeRole" },
        ]
      }
    ])
    error_message = "A function's role must be assumed by Lambda alone."
  }

  assert {
    condition = jsondecode(module.machine.trust_policy) == {
      Version = "2012-10-17"
      Statement = [{
        Sid       = "AssumedByThisMachine"
        Effect    = "Allow"
        Principal = { Service = "states.amazonaws.com" }
        Action    = "sts:AssumeRole"
        Condition = {
          ArnEquals    = { "aws:SourceArn" = "arn:aws:states:us-east-1:123456789012:stateMachine:offchain-faucet-payout" }
          StringEquals = { "aws:SourceAccount" = "123456789012" }
        }
      }]
    }
    error_message = "The machine's role is trusted to: ${module.machine.trust_policy}"
  }
}

run "no_role_has_a_wildcard_but_its_own_log_streams_and_log_delivery" {
  module {
    source = "./modules/faucet"
  }

  assert {
    condition = [
      for resource in flatten([
        for policy in [
          module.api.policy, module.pay.policy, module.confirm.policy, module.sweep.policy,
          module.machine.policy, module.schedules.policy,
        ] : [for statement in jsondecode(policy).Statement : concat(statement.Resource, statement.Action)]
      ]) : resource if strcontains(resource, "*") && !startswith(resource, "arn:aws:logs:us-east-1:123456789012:log-group:/aws/lambda/offchain-faucet-")
    ] == ["*"]
    error_message = "A wildcard stands where none is documented."
  }

  # The key is the account: whoever reads it can empty it.
  assert {
    condition = [
      for name, policy in { api = module.api.policy, pay = module.pay.policy, confirm = module.confirm.policy, sweep = module.sweep.policy } :
      name if strcontains(policy, "faucet/key")
    ] == ["pay"]
    error_message = "Only faucet-pay may read the key."
  }
}

run "a_queue_takes_messages_from_this_rule_alone" {
  module {
    source = "./modules/faucet"
  }

  assert {
    condition = jsondecode(module.executions_dlq.policy) == {
      Version = "2012-10-17"
      Statement = [{
        Sid       = "ExecutionsEndedBadly"
        Effect    = "Allow"
        Principal = { Service = "events.amazonaws.com" }
        Action    = "sqs:SendMessage"
        Resource  = "arn:aws:sqs:us-east-1:123456789012:offchain-faucet-executions-dlq"
        Condition = { ArnEquals = { "aws:SourceArn" = "arn:aws:events:us-east-1:123456789012:rule/offchain-faucet-executions-ended-badly" } }
      }]
    }
    error_message = "executions-dlq has: ${module.executions_dlq.policy}"
  }

  assert {
    condition = jsondecode(module.schedules_dlq.policy) == {
      Version = "2012-10-17"
      Statement = [{
        Sid       = "ExecutionsEndedBadlyUndelivered"
        Effect    = "Allow"
        Principal = { Service = "events.amazonaws.com" }
        Action    = "sqs:SendMessage"
        Resource  = "arn:aws:sqs:us-east-1:123456789012:offchain-faucet-schedules-dlq"
        Condition = { ArnEquals = { "aws:SourceArn" = "arn:aws:events:us-east-1:123456789012:rule/offchain-faucet-executions-ended-badly" } }
      }]
    }
    error_message = "schedules-dlq has: ${module.schedules_dlq.policy}"
  }

  assert {
    condition     = module.failed_executions.rule.name == "offchain-faucet-executions-ended-badly"
    error_message = "The rule's name must be the one the queue policies name."
  }

  assert {
    condition = jsondecode(module.failed_executions.rule.pattern) == {
      source      = ["aws.states"]
      detail-type = ["Step Functions Execution Status Change"]
      detail = {
        stateMachineArn = ["arn:aws:states:us-east-1:123456789012:stateMachine:offchain-faucet-payout"]
        status          = ["FAILED", "TIMED_OUT", "ABORTED"]
      }
    }
    error_message = "The rule matches: ${module.failed_executions.rule.pattern}"
  }

  assert {
    condition = jsondecode(module.claims_queue.dead_letter_queue.redrive_allow_policy) == {
      redrivePermission = "byQueue"
      sourceQueueArns   = ["arn:aws:sqs:us-east-1:123456789012:offchain-faucet-claims"]
    }
    error_message = "Only the claims queue may use its dead letter queue."
  }

  assert {
    condition = alltrue([for queue in [module.executions_dlq, module.schedules_dlq] :
      jsondecode(queue.redrive_allow_policy) == { redrivePermission = "denyAll" }
    ])
    error_message = "No queue may use executions-dlq or schedules-dlq as its dead letter queue."
  }
}

run "nothing_undeliverable_is_dropped" {
  module {
    source = "./modules/faucet"
  }

  assert {
    condition = jsondecode(module.claims_queue.redrive_policy) == {
      deadLetterTargetArn = "arn:aws:sqs:us-east-1:123456789012:offchain-faucet-claims-dlq"
      maxReceiveCount     = 5
    }
    error_message = "The claims queue redrives: ${module.claims_queue.redrive_policy}"
  }

  assert {
    condition     = module.claims_queue.visibility_timeout_seconds == 180
    error_message = "The claims queue must hide a message for six times the 30 s of faucet-pay."
  }

  assert {
    condition     = module.sweep.retries == 2 && module.sweep.dead_letter_queue_arn == "arn:aws:sqs:us-east-1:123456789012:offchain-faucet-schedules-dlq"
    error_message = "The sweep must be run three times and then dead-letter its event."
  }

  assert {
    condition = alltrue([for function in [module.api, module.pay, module.confirm] :
      function.retries == null && function.dead_letter_queue_arn == null
    ])
    error_message = "A function that is invoked and answered has its caller to retry."
  }

  assert {
    condition = (
      aws_lambda_event_source_mapping.claims.batch_size == 10 &&
      aws_lambda_event_source_mapping.claims.function_response_types == toset(["ReportBatchItemFailures"]) &&
      aws_lambda_event_source_mapping.claims.scaling_config[0].maximum_concurrency == 2 &&
      aws_lambda_event_source_mapping.claims.event_source_arn == "arn:aws:sqs:us-east-1:123456789012:offchain-faucet-claims" &&
      aws_lambda_event_source_mapping.claims.function_name == "arn:aws:lambda:us-east-1:123456789012:function:offchain-faucet-pay"
    )
    error_message = "faucet-pay must be given ten messages and report the failed ones, in two runs at once at most."
  }

  assert {
    condition = output.dead_letter_queues == {
      offchain-faucet-claims-dlq = {
        arn          = "arn:aws:sqs:us-east-1:123456789012:offchain-faucet-claims-dlq"
        destinations = ["arn:aws:sqs:us-east-1:123456789012:offchain-faucet-claims"]
        default      = "arn:aws:sqs:us-east-1:123456789012:offchain-faucet-claims"
      }
      offchain-faucet-executions-dlq = {
        arn          = "arn:aws:sqs:us-east-1:123456789012:offchain-faucet-executions-dlq"
        destinations = ["arn:aws:states:us-east-1:123456789012:stateMachine:offchain-faucet-payout"]
        default      = "arn:aws:states:us-east-1:123456789012:stateMachine:offchain-faucet-payout"
      }
      offchain-faucet-schedules-dlq = {
        arn = "arn:aws:sqs:us-east-1:123456789012:offchain-faucet-schedules-dlq"
        destinations = [
          "arn:aws:lambda:us-east-1:123456789012:function:offchain-faucet-sweep",
          "arn:aws:sqs:us-east-1:123456789012:offchain-faucet-executions-dlq",
        ]
        default = null
      }
    }
    error_message = "What is dead-lettered goes back to: ${jsonencode(output.dead_letter_queues)}"
  }

  assert {
    condition = (
      module.failed_executions.queue_arns.dead_letters == "arn:aws:sqs:us-east-1:123456789012:offchain-faucet-executions-dlq" &&
      module.failed_executions.queue_arns.undelivered == "arn:aws:sqs:us-east-1:123456789012:offchain-faucet-schedules-dlq"
    )
    error_message = "An event that the rule cannot deliver must be kept."
  }
}

run "the_sweep_runs_each_minute" {
  module {
    source = "./modules/faucet"
  }

  assert {
    condition = module.schedules.schedules == {
      offchain-faucet-sweep = {
        expression            = "rate(1 minute)"
        input                 = "{\"action\":\"sweep\"}"
        target_arn            = "arn:aws:lambda:us-east-1:123456789012:function:offchain-faucet-sweep"
        dead_letter_queue_arn = "arn:aws:sqs:us-east-1:123456789012:offchain-faucet-schedules-dlq"
        flexible_window       = "OFF"
      }
    }
    error_message = "The schedules are: ${jsonencode(module.schedules.schedules)}"
  }
}

# A test of Rust's reads these texts, too.
run "each_function_is_told_of_chain_and_policies_exactly_this" {
  module {
    source = "./modules/faucet"
  }

  assert {
    condition     = module.pay.environment["FAUCET_CHAIN"] == "{\"chain_id\":11155111,\"kind\":\"evm\",\"max_fee_wei\":\"100000000000\",\"nodes\":[{\"url\":\"https://node.example.org/v1/KEY\"}],\"priority_fee_wei\":\"1000000000\"}"
    error_message = "The chain is: ${module.pay.environment["FAUCET_CHAIN"]}"
  }

  assert {
    condition     = module.api.environment["FAUCET_POLICY"] == "{\"address_cooldown_seconds\":86400,\"amount\":\"50000000000000000\",\"captcha\":null,\"claim_deadline_seconds\":3600,\"daily_budget\":\"10000000000000000000\",\"decimals\":18,\"limits\":true,\"origins\":[\"https://example.org\"],\"proof_of_work\":{\"bits\":18,\"valid_seconds\":300},\"retention_days\":30,\"send\":true,\"source\":{\"claims\":5,\"window_seconds\":86400},\"symbol\":\"ETH\",\"throttle\":{\"burst\":10,\"per_minute\":10},\"trusted_proxies\":0,\"wait_seconds\":15}"
    error_message = "The policy is: ${module.api.environment["FAUCET_POLICY"]}"
  }

  # A hundred claims are the low balance.
  assert {
    condition     = module.pay.environment["FAUCET_PAYOUT"] == "{\"amount\":\"50000000000000000\",\"attempts\":3,\"batch\":50,\"bump_seconds\":60,\"confirmations\":2,\"decimals\":18,\"in_flight\":4,\"lease_seconds\":60,\"low_balance\":\"5000000000000000000\",\"retention_days\":30,\"settle_deadline_seconds\":3600}"
    error_message = "The policy is: ${module.pay.environment["FAUCET_PAYOUT"]}"
  }

  assert {
    condition = (
      length(toset([for function in [module.api, module.pay, module.confirm, module.sweep] : function.environment["FAUCET_CHAIN"]])) == 1 &&
      length(toset([for function in [module.pay, module.confirm, module.sweep] : function.environment["FAUCET_PAYOUT"]])) == 1
    )
    error_message = "The functions must be told of one chain and one policy."
  }
}

run "each_function_is_told_exactly_this" {
  module {
    source = "./modules/faucet"
  }

  # But for the texts above.
  assert {
    condition = { for name, value in module.api.environment : name => value if !contains(["FAUCET_CHAIN", "FAUCET_POLICY"], name) } == {
      LOG_LEVEL                = "info"
      FAUCET_ENVIRONMENT       = "offchain"
      FAUCET_NETWORK           = "sepolia"
      FAUCET_TABLE             = "offchain-faucet"
      FAUCET_LIMITS_TABLE      = "offchain-faucet-limits"
      FAUCET_LOCKS_TABLE       = "offchain-faucet-locks"
      FAUCET_QUEUE_URL         = "https://sqs.us-east-1.amazonaws.com/123456789012/mock"
      FAUCET_INTAKE_SECRET_ARN = "arn:aws:secretsmanager:us-east-1:123456789012:secret:offchain/faucet/intake-GhIjKl"
    }
    error_message = "faucet-api has: ${jsonencode(module.api.environment)}"
  }

  assert {
    condition = { for name, value in module.pay.environment : name => value if !contains(["FAUCET_CHAIN", "FAUCET_PAYOUT"], name) } == {
      LOG_LEVEL                = "info"
      FAUCET_ENVIRONMENT       = "offchain"
      FAUCET_NETWORK           = "sepolia"
      FAUCET_TABLE             = "offchain-faucet"
      FAUCET_LIMITS_TABLE      = "offchain-faucet-limits"
      FAUCET_LOCKS_TABLE       = "offchain-faucet-locks"
      FAUCET_PAYOUTS_TABLE     = "offchain-faucet-payouts"
      FAUCET_KEY_SECRET_ARN    = "arn:aws:secretsmanager:us-east-1:123456789012:secret:offchain/faucet/key-AbCdEf"
      FAUCET_STATE_MACHINE_ARN = "arn:aws:states:us-east-1:123456789012:stateMachine:offchain-faucet-payout"
      FAUCET_QUEUE_DLQ_URL     = "https://sqs.us-east-1.amazonaws.com/123456789012/mock"
      FAUCET_MAX_RECEIVES      = "5"
    }
    error_message = "faucet-pay has: ${jsonencode(module.pay.environment)}"
  }

  assert {
    condition = alltrue([for function in [module.confirm, module.sweep] :
      { for name, value in function.environment : name => value if !contains(["FAUCET_CHAIN", "FAUCET_PAYOUT"], name) } == {
        LOG_LEVEL            = "info"
        FAUCET_ENVIRONMENT   = "offchain"
        FAUCET_NETWORK       = "sepolia"
        FAUCET_TABLE         = "offchain-faucet"
        FAUCET_LIMITS_TABLE  = "offchain-faucet-limits"
        FAUCET_LOCKS_TABLE   = "offchain-faucet-locks"
        FAUCET_PAYOUTS_TABLE = "offchain-faucet-payouts"
        FAUCET_QUEUE_URL     = "https://sqs.us-east-1.amazonaws.com/123456789012/mock"
      }
    ])
    error_message = "faucet-confirm and faucet-sweep have: ${jsonencode([module.confirm.environment, module.sweep.environment])}"
  }

  # The stand-alone service is all four functions in one, and needs no queue.
  assert {
    condition = output.stack.environment == merge(
      { for name, value in merge(module.api.environment, module.pay.environment) : name => value
      if !contains(["LOG_LEVEL", "FAUCET_QUEUE_URL", "FAUCET_QUEUE_DLQ_URL", "FAUCET_MAX_RECEIVES", "FAUCET_STATE_MACHINE_ARN"], name) },
    )
    error_message = "`offchain faucet serve` starts from: ${jsonencode(output.stack.environment)}"
  }
}

run "a_cosmos_chain_a_captcha_and_a_low_balance_are_settings" {
  module {
    source = "./modules/faucet"
  }

  variables {
    nodes = [{ url = "https://rest.example.org", rpc_url = "https://rpc.example.org" }, { url = "http://127.0.0.1:1317" }]
    settings = {
      network = "cosmos-testnet"
      chain = {
        kind             = "cosmos"
        chain_id         = "theta-testnet-001"
        prefix           = "cosmos"
        denom            = "uatom"
        fee_denom        = null
        gas_price        = "0.025"
        gas              = 120000
        gas_each         = 50000
        memo             = "faucet drop"
        timeout_blocks   = 20
        max_fee_wei      = "100000000000"
        priority_fee_wei = "1000000000"
      }
      symbol                   = "ATOM"
      decimals                 = 6
      amount                   = "1500000"
      origins                  = ["*"]
      trusted_proxies          = 1
      throttle                 = { per_minute = 10, burst = 10 }
      address_cooldown_seconds = 0
      source                   = { claims = 5, window_seconds = 86400 }
      daily_budget             = "100000000"
      captcha = {
        provider   = "turnstile"
        site_key   = "0x4AAA"
        hosts      = ["example.org"]
        action     = "claim"
        verify_url = null
      }
      proof_of_work               = { bits = 18, valid_seconds = 300 }
      wait_seconds                = 0
      claim_deadline_seconds      = 3600
      batch                       = 90
      in_flight                   = 1
      confirmations               = 1
      attempts                    = 3
      bump_seconds                = 90
      block_seconds               = 90
      settle_deadline_seconds     = 7200
      lease_seconds               = 60
      low_balance                 = "2500000"
      oldest_unpaid_alarm_seconds = 1200
      retention_days              = 30
      send                        = false
    }
  }

  # Fees are paid in the coin that is paid out.
  assert {
    condition     = module.pay.environment["FAUCET_CHAIN"] == "{\"chain_id\":\"theta-testnet-001\",\"denom\":\"uatom\",\"fee_denom\":\"uatom\",\"gas\":120000,\"gas_each\":50000,\"gas_price\":\"0.025\",\"kind\":\"cosmos\",\"memo\":\"faucet drop\",\"nodes\":[{\"rpc_url\":\"https://rpc.example.org\",\"url\":\"https://rest.example.org\"},{\"url\":\"http://127.0.0.1:1317\"}],\"prefix\":\"cosmos\",\"timeout_blocks\":20}"
    error_message = "The chain is: ${module.pay.environment["FAUCET_CHAIN"]}"
  }

  # Who solves the captcha has no work to prove.
  assert {
    condition     = module.api.environment["FAUCET_POLICY"] == "{\"address_cooldown_seconds\":0,\"amount\":\"1500000\",\"captcha\":{\"action\":\"claim\",\"hosts\":[\"example.org\"],\"provider\":\"turnstile\",\"site_key\":\"0x4AAA\",\"verify_url\":null},\"claim_deadline_seconds\":3600,\"daily_budget\":\"100000000\",\"decimals\":6,\"limits\":true,\"origins\":[\"*\"],\"proof_of_work\":null,\"retention_days\":30,\"send\":false,\"source\":{\"claims\":5,\"window_seconds\":86400},\"symbol\":\"ATOM\",\"throttle\":{\"burst\":10,\"per_minute\":10},\"trusted_proxies\":1,\"wait_seconds\":0}"
    error_message = "The policy is: ${module.api.environment["FAUCET_POLICY"]}"
  }

  assert {
    condition     = module.confirm.environment["FAUCET_PAYOUT"] == "{\"amount\":\"1500000\",\"attempts\":3,\"batch\":90,\"bump_seconds\":90,\"confirmations\":1,\"decimals\":6,\"in_flight\":1,\"lease_seconds\":60,\"low_balance\":\"2500000\",\"retention_days\":30,\"settle_deadline_seconds\":7200}"
    error_message = "The policy is: ${module.confirm.environment["FAUCET_PAYOUT"]}"
  }

  # In whole coins, as the sweep counts.
  assert {
    condition     = aws_cloudwatch_metric_alarm.low_balance.threshold == 2.5 && aws_cloudwatch_metric_alarm.oldest_unpaid.threshold == 1200
    error_message = "The alarms must ring where they are told to."
  }

  # Asked at most once a block.
  assert {
    condition     = strcontains(jsondecode(module.machine.definition).States.WaitForBlock.Seconds, "$max([90, $floor($gone / 4)]), 90, $left")
    error_message = "The machine waits: ${jsondecode(module.machine.definition).States.WaitForBlock.Seconds}"
  }
}

run "a_proof_of_work_of_no_bits_is_none" {
  module {
    source = "./modules/faucet"
  }

  variables {
    settings = {
      network = "sepolia"
      chain = {
        kind             = "evm"
        chain_id         = "1"
        prefix           = null
        denom            = null
        fee_denom        = null
        gas_price        = "0.025"
        gas              = 120000
        gas_each         = 50000
        memo             = "faucet drop"
        timeout_blocks   = 20
        max_fee_wei      = "100000000000"
        priority_fee_wei = "1000000000"
      }
      symbol                      = "ETH"
      decimals                    = 18
      amount                      = "1"
      origins                     = []
      trusted_proxies             = 0
      throttle                    = { per_minute = 10, burst = 10 }
      address_cooldown_seconds    = 0
      source                      = { claims = 5, window_seconds = 86400 }
      daily_budget                = "1"
      captcha                     = null
      proof_of_work               = { bits = 0, valid_seconds = 300 }
      wait_seconds                = 0
      claim_deadline_seconds      = 3600
      batch                       = 1
      in_flight                   = 1
      confirmations               = 1
      attempts                    = 1
      bump_seconds                = 60
      block_seconds               = 5
      settle_deadline_seconds     = 3600
      lease_seconds               = 60
      low_balance                 = null
      oldest_unpaid_alarm_seconds = 600
      retention_days              = 30
      send                        = true
    }
  }

  assert {
    condition     = jsondecode(module.api.environment["FAUCET_POLICY"]).proof_of_work == null
    error_message = "The policy is: ${module.api.environment["FAUCET_POLICY"]}"
  }
}

run "routes_lead_to_faucet_api_and_to_nothing_else" {
  module {
    source = "./modules/faucet"
  }

  assert {
    condition = toset([for route in aws_apigatewayv2_route.this : route.route_key]) == toset([
      "GET /",
      "GET /faucet",
      "GET /faucet/{file}",
      "POST /v1/claim",
      "OPTIONS /v1/claim",
      "GET /v1/claims/{id}",
      "OPTIONS /v1/claims/{id}",
      "GET /v1/status",
      "OPTIONS /v1/status",
      "GET /v1/challenge",
      "OPTIONS /v1/challenge",
    ])
    error_message = "The routes are: ${jsonencode([for route in aws_apigatewayv2_route.this : route.route_key])}"
  }

  assert {
    condition = toset([for permission in aws_lambda_permission.api : permission.source_arn]) == toset([
      for route in aws_apigatewayv2_route.this : "arn:aws:execute-api:us-east-1:123456789012:a1b2c3/$default/${replace(route.route_key, " ", "")}"
    ])
    error_message = "API Gateway may invoke faucet-api from: ${jsonencode([for permission in aws_lambda_permission.api : permission.source_arn])}"
  }

  assert {
    condition     = alltrue([for permission in aws_lambda_permission.api : permission.function_name == "offchain-faucet-api" && permission.principal == "apigateway.amazonaws.com" && permission.action == "lambda:InvokeFunction"])
    error_message = "API Gateway may invoke faucet-api only."
  }

  assert {
    condition = (
      aws_apigatewayv2_integration.api.payload_format_version == "2.0" &&
      alltrue([for route in aws_apigatewayv2_route.this : route.target == "integrations/${aws_apigatewayv2_integration.api.id}"])
    )
    error_message = "Every route must lead to faucet-api."
  }
}

run "the_machine_asks_faucet_confirm_once_a_block" {
  module {
    source = "./modules/faucet"
  }

  assert {
    condition     = !strcontains(module.machine.definition, "$${")
    error_message = "A placeholder is left in the machine."
  }

  assert {
    condition     = jsondecode(module.machine.definition).States.ConfirmPayout.Resource == "arn:aws:lambda:us-east-1:123456789012:function:offchain-faucet-confirm"
    error_message = "The Task state invokes another function than its own."
  }

  assert {
    condition     = strcontains(jsondecode(module.machine.definition).States.WaitForBlock.Seconds, "$max([12, $floor($gone / 4)]), 30, $left")
    error_message = "The machine waits: ${jsondecode(module.machine.definition).States.WaitForBlock.Seconds}"
  }

  assert {
    condition     = module.machine.type == "STANDARD" && module.machine.name == "offchain-faucet-payout"
    error_message = "A payout waits for long, and is followed once."
  }
}

run "an_alarm_rings_for_each_thing_that_can_go_wrong" {
  module {
    source = "./modules/faucet"
  }

  assert {
    condition = {
      for alarm in [aws_cloudwatch_metric_alarm.low_balance, aws_cloudwatch_metric_alarm.broken, aws_cloudwatch_metric_alarm.oldest_unpaid] :
      alarm.alarm_name => [alarm.metric_name, alarm.statistic, alarm.comparison_operator, tostring(alarm.threshold), tostring(alarm.period), tostring(alarm.evaluation_periods), alarm.treat_missing_data]
      } == {
      offchain-faucet-low-balance   = ["Balance", "Minimum", "LessThanThreshold", "5", "300", "1", "breaching"]
      offchain-faucet-broken        = ["Broken", "Maximum", "GreaterThanThreshold", "0", "60", "3", "notBreaching"]
      offchain-faucet-oldest-unpaid = ["OldestUnpaidSeconds", "Maximum", "GreaterThanThreshold", "600", "60", "1", "notBreaching"]
    }
    error_message = "An alarm looks at something else."
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.broken.datapoints_to_alarm == 3
    error_message = "Only what stays broken for 3 minutes is for people."
  }

  assert {
    condition = alltrue([
      for alarm in [aws_cloudwatch_metric_alarm.low_balance, aws_cloudwatch_metric_alarm.broken, aws_cloudwatch_metric_alarm.oldest_unpaid] :
      alarm.namespace == "offchain/faucet" &&
      alarm.dimensions == tomap({ Suite = "offchain", Network = "sepolia" }) &&
      strcontains(alarm.alarm_description, "`offchain faucet status`") &&
      alarm.alarm_actions == toset(["arn:aws:sns:us-east-1:123456789012:offchain-alarms"]) &&
      alarm.ok_actions == toset(["arn:aws:sns:us-east-1:123456789012:offchain-alarms"])
    ])
    error_message = "An alarm looks at another faucet, tells nobody, or not what to do."
  }

  assert {
    condition = jsonencode({ for table, alarms in module.table_alarms : table => keys(alarms.alarms) }) == jsonencode({
      for table, operations in {
        offchain-faucet         = ["getitem", "query", "transactwriteitems", "updateitem"]
        offchain-faucet-payouts = ["getitem", "query", "transactwriteitems", "updateitem"]
        offchain-faucet-locks   = ["getitem", "transactwriteitems", "updateitem"]
        offchain-faucet-limits  = ["getitem", "transactwriteitems", "updateitem"]
      } : table => sort(concat([for operation in operations : "${table}-${operation}-system-errors"], ["${table}-read-throttles", "${table}-write-throttles"]))
    })
    error_message = "The tables' alarms are: ${jsonencode({ for table, alarms in module.table_alarms : table => keys(alarms.alarms) })}"
  }
}

run "the_dashboard_shows_the_account_and_its_claims" {
  module {
    source = "./modules/faucet"
  }

  assert {
    condition = module.dashboard.name == "offchain-faucet" && toset([
      for metric in flatten([for widget in jsondecode(module.dashboard.body).widgets : [
        for metric in widget.properties.metrics : metric[1] if metric[0] == "offchain/faucet" && try(slice(metric, 2, 6), null) == ["Suite", "offchain", "Network", "sepolia"]
      ]]) : metric
    ]) == toset(["Balance", "Broken", "OldestUnpaidSeconds", "OpenPayouts", "SpentToday", "WaitingClaims"])
    error_message = "The dashboard must show what the sweep counts: ${module.dashboard.body}"
  }
}

run "tables_survive_a_mistake" {
  module {
    source = "./modules/faucet"
  }

  assert {
    condition = alltrue([for table in [aws_dynamodb_table.claims, aws_dynamodb_table.payouts, aws_dynamodb_table.locks, aws_dynamodb_table.limits] :
      table.deletion_protection_enabled && table.point_in_time_recovery[0].enabled && table.server_side_encryption[0].enabled && table.billing_mode == "PAY_PER_REQUEST"
    ])
    error_message = "Each table must be protected, recoverable, encrypted and billed by the request."
  }

  assert {
    condition = (
      aws_dynamodb_table.claims.ttl[0].attribute_name == "expiration" &&
      aws_dynamodb_table.limits.ttl[0].attribute_name == "expiration" &&
      length(aws_dynamodb_table.payouts.ttl) == 0 &&
      length(aws_dynamodb_table.locks.ttl) == 0
    )
    error_message = "Claims and limits end by `expiration`; payouts and locks are kept for ever."
  }

  assert {
    condition = {
      for table in [aws_dynamodb_table.claims, aws_dynamodb_table.payouts, aws_dynamodb_table.locks, aws_dynamodb_table.limits] :
      table.name => concat(compact([table.hash_key, table.range_key]), flatten([for index in table.global_secondary_index : [index.name, index.hash_key, index.range_key, index.projection_type]]))
      } == {
      offchain-faucet         = ["claim_id", "open-claims", "open", "created_time", "ALL"]
      offchain-faucet-payouts = ["account", "sequence", "open-payouts", "open", "sequence", "ALL"]
      offchain-faucet-locks   = ["Name"]
      offchain-faucet-limits  = ["limit"]
    }
    error_message = "A table has another key."
  }
}
