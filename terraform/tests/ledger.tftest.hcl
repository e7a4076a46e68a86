# The ledger bridge: every policy exactly, and what its parts hand to each other.

mock_provider "aws" {
  source = "./tests/mocks"
}

override_resource {
  target = aws_secretsmanager_secret.webhook["ledger"]
  values = { arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:offchain/ledger/webhook/ledger-AbCdEf" }
}

override_resource {
  target = aws_secretsmanager_secret.webhook["audit"]
  values = { arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:offchain/ledger/webhook/audit-GhIjKl" }
}

variables {
  name            = "offchain"
  definition_path = "../statemachines/ledger-listener.asl.json"
  node            = "https://bigchaindb.example.org:9984"
  api = {
    id            = "a1b2c3"
    url           = "https://a1b2c3.execute-api.us-east-1.amazonaws.com"
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
  settings = {
    from_height       = 1
    allow_private     = false
    listen            = true
    run_minutes       = 10
    poll_seconds      = 2
    stall_seconds     = 5
    lease_seconds     = 4
    concurrency       = 16
    timeout_seconds   = 15
    retry_schedule    = [5, 300, 1800]
    max_kept          = 10000
    memory_mb         = 128
    lag_alarm_heights = 100
    assets            = []
    owners            = []
    subscribers = {
      audit = {
        url    = "https://audit.example.org/hooks?a=1&b=2"
        assets = ["1f9d8a1f6a0c5f7f0f8d1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f"]
        owners = ["4K9sWUMFwTgaDGPfdynrbxWqWS6sWmKbZoTjxLtVUibD"]
      }
    }
  }
}

run "each_role_may_do_exactly_this" {
  module {
    source = "./modules/ledger"
  }

  assert {
    condition = jsondecode(module.listen.policy) == {
      Version = "2012-10-17"
      Statement = [
        { Sid = "WriteLogs", Effect = "Allow", Action = ["logs:CreateLogStream", "logs:PutLogEvents"], Resource = ["arn:aws:logs:us-east-1:123456789012:log-group:/aws/lambda/offchain-ledger-listen:*"] },
        { Sid = "HoldLeaseAndCursor", Effect = "Allow", Action = ["dynamodb:GetItem", "dynamodb:UpdateItem"], Resource = ["arn:aws:dynamodb:us-east-1:123456789012:table/offchain-ledger-locks"] },
        { Sid = "KeepDeliveries", Effect = "Allow", Action = ["dynamodb:Query", "dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"], Resource = ["arn:aws:dynamodb:us-east-1:123456789012:table/offchain-ledger-deliveries"] },
        { Sid = "GiveUpDeliveries", Effect = "Allow", Action = ["sqs:SendMessage"], Resource = ["arn:aws:sqs:us-east-1:123456789012:offchain-ledger-deliveries-dlq"] },
        {
          Sid    = "ReadWebhookSecrets"
          Effect = "Allow"
          Action = ["secretsmanager:GetSecretValue"]
          Resource = [
            "arn:aws:secretsmanager:us-east-1:123456789012:secret:offchain/ledger/webhook/ledger-AbCdEf",
            "arn:aws:secretsmanager:us-east-1:123456789012:secret:offchain/ledger/webhook/audit-GhIjKl",
          ]
        },
      ]
    }
    error_message = "ledger-listen may: ${module.listen.policy}"
  }

  # Of the suite's own receiver, and of no other.
  assert {
    condition = jsondecode(module.webhook.policy) == {
      Version = "2012-10-17"
      Statement = [
        { Sid = "WriteLogs", Effect = "Allow", Action = ["logs:CreateLogStream", "logs:PutLogEvents"], Resource = ["arn:aws:logs:us-east-1:123456789012:log-group:/aws/lambda/offchain-ledger-webhook:*"] },
        { Sid = "StoreEvents", Effect = "Allow", Action = ["dynamodb:PutItem", "dynamodb:GetItem", "dynamodb:UpdateItem"], Resource = ["arn:aws:dynamodb:us-east-1:123456789012:table/offchain-ledger-events"] },
        { Sid = "QueueTransactions", Effect = "Allow", Action = ["sqs:SendMessage"], Resource = ["arn:aws:sqs:us-east-1:123456789012:offchain-ledger-transactions"] },
        { Sid = "ReadOwnSecret", Effect = "Allow", Action = ["secretsmanager:GetSecretValue"], Resource = ["arn:aws:secretsmanager:us-east-1:123456789012:secret:offchain/ledger/webhook/ledger-AbCdEf"] },
      ]
    }
    error_message = "ledger-webhook may: ${module.webhook.policy}"
  }

  assert {
    condition = jsondecode(module.record.policy) == {
      Version = "2012-10-17"
      Statement = [
        { Sid = "WriteLogs", Effect = "Allow", Action = ["logs:CreateLogStream", "logs:PutLogEvents"], Resource = ["arn:aws:logs:us-east-1:123456789012:log-group:/aws/lambda/offchain-ledger-record:*"] },
        { Sid = "ReceiveTransactions", Effect = "Allow", Action = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"], Resource = ["arn:aws:sqs:us-east-1:123456789012:offchain-ledger-transactions"] },
        { Sid = "DeliverTransactionsAgainSoon", Effect = "Allow", Action = ["sqs:ChangeMessageVisibility"], Resource = ["arn:aws:sqs:us-east-1:123456789012:offchain-ledger-transactions"] },
        { Sid = "RefuseTransactions", Effect = "Allow", Action = ["sqs:SendMessage"], Resource = ["arn:aws:sqs:us-east-1:123456789012:offchain-ledger-transactions-dlq"] },
        { Sid = "ReadAndSettleEvents", Effect = "Allow", Action = ["dynamodb:GetItem", "dynamodb:UpdateItem"], Resource = ["arn:aws:dynamodb:us-east-1:123456789012:table/offchain-ledger-events"] },
        { Sid = "KeepAssets", Effect = "Allow", Action = ["dynamodb:GetItem", "dynamodb:UpdateItem"], Resource = ["arn:aws:dynamodb:us-east-1:123456789012:table/offchain-ledger-assets"] },
        { Sid = "KeepDrivers", Effect = "Allow", Action = ["dynamodb:GetItem", "dynamodb:UpdateItem"], Resource = ["arn:aws:dynamodb:us-east-1:123456789012:table/offchain-ledger-drivers"] },
      ]
    }
    error_message = "ledger-record may: ${module.record.policy}"
  }

  assert {
    condition = jsondecode(module.deliver.policy) == {
      Version = "2012-10-17"
      Statement = [
        { Sid = "WriteLogs", Effect = "Allow", Action = ["logs:CreateLogStream", "logs:PutLogEvents"], Resource = ["arn:aws:logs:us-east-1:123456789012:log-group:/aws/lambda/offchain-ledger-deliver:*"] },
        {
          Sid    = "ReadWebhookSecrets"
          Effect = "Allow"
          Action = ["secretsmanager:GetSecretValue"]
          Resource = [
            "arn:aws:secretsmanager:us-east-1:123456789012:secret:offchain/ledger/webhook/ledger-AbCdEf",
            "arn:aws:secretsmanager:us-east-1:123456789012:secret:offchain/ledger/webhook/audit-GhIjKl",
          ]
        },
      ]
    }
    error_message = "ledger-deliver may: ${module.deliver.policy}"
  }

  assert {
    condition = jsondecode(module.api.policy) == {
      Version = "2012-10-17"
      Statement = [
        { Sid = "WriteLogs", Effect = "Allow", Action = ["logs:CreateLogStream", "logs:PutLogEvents"], Resource = ["arn:aws:logs:us-east-1:123456789012:log-group:/aws/lambda/offchain-ledger-api:*"] },
        { Sid = "ReadHistory", Effect = "Allow", Action = ["dynamodb:Query"], Resource = ["arn:aws:dynamodb:us-east-1:123456789012:table/offchain-ledger-events/index/by-asset"] },
        { Sid = "ReadAssets", Effect = "Allow", Action = ["dynamodb:GetItem"], Resource = ["arn:aws:dynamodb:us-east-1:123456789012:table/offchain-ledger-assets"] },
        { Sid = "ReadDrivers", Effect = "Allow", Action = ["dynamodb:GetItem"], Resource = ["arn:aws:dynamodb:us-east-1:123456789012:table/offchain-ledger-drivers"] },
      ]
    }
    error_message = "ledger-api may: ${module.api.policy}"
  }

  assert {
    condition = jsondecode(module.machine.policy) == {
      Version = "2012-10-17"
      Statement = [
        { Sid = "InvokeFunctions", Effect = "Allow", Action = ["lambda:InvokeFunction"], Resource = ["arn:aws:lambda:us-east-1:123456789012:function:offchain-ledger-listen"] },
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
    condition = jsondecode(module.schedules[0].policy) == {
      Version = "2012-10-17"
      Statement = [
        { Sid = "StartExecutions", Effect = "Allow", Action = ["states:StartExecution"], Resource = ["arn:aws:states:us-east-1:123456789012:stateMachine:offchain-ledger-listener"] },
        { Sid = "DeadLetter", Effect = "Allow", Action = ["sqs:SendMessage"], Resource = ["arn:aws:sqs:us-east-1:123456789012:offchain-ledger-schedules-dlq"] },
      ]
    }
    error_message = "The schedules may: ${module.schedules[0].policy}"
  }

  assert {
    condition = [
      for resource in flatten([
        for policy in [
          module.listen.policy, module.webhook.policy, module.record.policy, module.deliver.policy, module.api.policy,
          module.machine.policy, module.schedules[0].policy,
        ] : [for statement in jsondecode(policy).Statement : concat(statement.Resource, statement.Action)]
      ]) : resource if strcontains(resource, "*") && !startswith(resource, "arn:aws:logs:us-east-1:123456789012:log-group:/aws/lambda/offchain-ledger-")
    ] == ["*"]
    error_message = "A wildcard stands where none is documented."
  }

  assert {
    condition = alltrue([for function in [module.listen, module.webhook, module.record, module.deliver, module.api] :
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
          ArnEquals    = { "aws:SourceArn" = "arn:aws:states:us-east-1:123456789012:stateMachine:offchain-ledger-listener" }
          StringEquals = { "aws:SourceAccount" = "123456789012" }
        }
      }]
    }
    error_message = "The machine's role is trusted to: ${module.machine.trust_policy}"
  }
}

run "nothing_undeliverable_is_dropped" {
  module {
    source = "./modules/ledger"
  }

  assert {
    condition = { for queue in [module.deliveries_dlq, module.executions_dlq, module.schedules_dlq] : queue.name => [for statement in try(jsondecode(queue.policy).Statement, []) : statement] } == {
      offchain-ledger-deliveries-dlq = []
      offchain-ledger-executions-dlq = [{
        Sid       = "ExecutionsEndedBadly"
        Effect    = "Allow"
        Principal = { Service = "events.amazonaws.com" }
        Action    = "sqs:SendMessage"
        Resource  = "arn:aws:sqs:us-east-1:123456789012:offchain-ledger-executions-dlq"
        Condition = { ArnEquals = { "aws:SourceArn" = "arn:aws:events:us-east-1:123456789012:rule/offchain-ledger-executions-ended-badly" } }
      }]
      offchain-ledger-schedules-dlq = [{
        Sid       = "ExecutionsEndedBadlyUndelivered"
        Effect    = "Allow"
        Principal = { Service = "events.amazonaws.com" }
        Action    = "sqs:SendMessage"
        Resource  = "arn:aws:sqs:us-east-1:123456789012:offchain-ledger-schedules-dlq"
        Condition = { ArnEquals = { "aws:SourceArn" = "arn:aws:events:us-east-1:123456789012:rule/offchain-ledger-executions-ended-badly" } }
      }]
    }
    error_message = "A queue takes messages from others than the rule."
  }

  assert {
    condition = module.failed_executions.rule.name == "offchain-ledger-executions-ended-badly" && jsondecode(module.failed_executions.rule.pattern) == {
      source      = ["aws.states"]
      detail-type = ["Step Functions Execution Status Change"]
      detail = {
        stateMachineArn = ["arn:aws:states:us-east-1:123456789012:stateMachine:offchain-ledger-listener"]
        status          = ["FAILED", "TIMED_OUT", "ABORTED"]
      }
    }
    error_message = "The rule matches: ${module.failed_executions.rule.pattern}"
  }

  assert {
    condition = (
      module.failed_executions.queue_arns.dead_letters == "arn:aws:sqs:us-east-1:123456789012:offchain-ledger-executions-dlq" &&
      module.failed_executions.queue_arns.undelivered == "arn:aws:sqs:us-east-1:123456789012:offchain-ledger-schedules-dlq"
    )
    error_message = "An event that the rule cannot deliver must be kept."
  }

  assert {
    condition = jsondecode(module.transactions_queue.dead_letter_queue.redrive_allow_policy) == {
      redrivePermission = "byQueue"
      sourceQueueArns   = ["arn:aws:sqs:us-east-1:123456789012:offchain-ledger-transactions"]
      } && alltrue([for queue in [module.deliveries_dlq, module.executions_dlq, module.schedules_dlq] :
        jsondecode(queue.redrive_allow_policy) == { redrivePermission = "denyAll" }
    ])
    error_message = "No queue but that of the transactions has a dead letter queue."
  }

  assert {
    condition = module.transactions_queue.visibility_timeout_seconds == 180 && jsondecode(module.transactions_queue.redrive_policy) == {
      deadLetterTargetArn = "arn:aws:sqs:us-east-1:123456789012:offchain-ledger-transactions-dlq"
      maxReceiveCount     = 12
    }
    error_message = "The queue must hide a message for six times the 30 s of ledger-record, and give it up to its dead letter queue: ${module.transactions_queue.redrive_policy}"
  }

  assert {
    condition = alltrue([for function in [module.listen, module.webhook, module.record, module.deliver, module.api] :
      function.retries == null && function.dead_letter_queue_arn == null
    ])
    error_message = "A function that is invoked and answered has its caller to retry."
  }

  assert {
    condition = (
      aws_lambda_event_source_mapping.transactions.batch_size == 10 &&
      aws_lambda_event_source_mapping.transactions.function_response_types == toset(["ReportBatchItemFailures"]) &&
      aws_lambda_event_source_mapping.transactions.scaling_config[0].maximum_concurrency == 10 &&
      aws_lambda_event_source_mapping.transactions.event_source_arn == "arn:aws:sqs:us-east-1:123456789012:offchain-ledger-transactions" &&
      aws_lambda_event_source_mapping.transactions.function_name == "arn:aws:lambda:us-east-1:123456789012:function:offchain-ledger-record"
    )
    error_message = "ledger-record must be given ten messages and report the failed ones, in ten runs at once at most."
  }

  assert {
    condition = output.dead_letter_queues == {
      offchain-ledger-transactions-dlq = {
        arn          = "arn:aws:sqs:us-east-1:123456789012:offchain-ledger-transactions-dlq"
        destinations = ["arn:aws:sqs:us-east-1:123456789012:offchain-ledger-transactions"]
        default      = "arn:aws:sqs:us-east-1:123456789012:offchain-ledger-transactions"
      }
      offchain-ledger-deliveries-dlq = {
        arn          = "arn:aws:sqs:us-east-1:123456789012:offchain-ledger-deliveries-dlq"
        destinations = ["arn:aws:lambda:us-east-1:123456789012:function:offchain-ledger-deliver"]
        default      = "arn:aws:lambda:us-east-1:123456789012:function:offchain-ledger-deliver"
      }
      offchain-ledger-executions-dlq = {
        arn          = "arn:aws:sqs:us-east-1:123456789012:offchain-ledger-executions-dlq"
        destinations = ["arn:aws:states:us-east-1:123456789012:stateMachine:offchain-ledger-listener"]
        default      = "arn:aws:states:us-east-1:123456789012:stateMachine:offchain-ledger-listener"
      }
      offchain-ledger-schedules-dlq = {
        arn = "arn:aws:sqs:us-east-1:123456789012:offchain-ledger-schedules-dlq"
        destinations = [
          "arn:aws:states:us-east-1:123456789012:stateMachine:offchain-ledger-listener",
          "arn:aws:sqs:us-east-1:123456789012:offchain-ledger-executions-dlq",
        ]
        default = null
      }
    }
    error_message = "What is dead-lettered goes back to: ${jsonencode(output.dead_letter_queues)}"
  }
}

# A test of Rust's reads these texts, too.
run "each_function_is_told_exactly_this" {
  module {
    source = "./modules/ledger"
  }

  # The suite's own receiver is the first.
  assert {
    condition     = module.listen.environment["LEDGER_SUBSCRIBERS"] == "[{\"assets\":[],\"name\":\"ledger\",\"owners\":[],\"secret_arn\":\"arn:aws:secretsmanager:us-east-1:123456789012:secret:offchain/ledger/webhook/ledger-AbCdEf\",\"url\":\"https://a1b2c3.execute-api.us-east-1.amazonaws.com/v1/ledger/events\"},{\"assets\":[\"1f9d8a1f6a0c5f7f0f8d1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f\"],\"name\":\"audit\",\"owners\":[\"4K9sWUMFwTgaDGPfdynrbxWqWS6sWmKbZoTjxLtVUibD\"],\"secret_arn\":\"arn:aws:secretsmanager:us-east-1:123456789012:secret:offchain/ledger/webhook/audit-GhIjKl\",\"url\":\"https://audit.example.org/hooks?a=1\\u0026b=2\"}]"
    error_message = "The subscribers are: ${module.listen.environment["LEDGER_SUBSCRIBERS"]}"
  }

  assert {
    condition     = module.listen.environment["LEDGER_LISTEN"] == "{\"concurrency\":16,\"from_height\":1,\"lease_seconds\":4,\"max_kept\":10000,\"poll_seconds\":2,\"retry_schedule\":[5,300,1800],\"run_seconds\":630,\"stall_seconds\":5,\"timeout_seconds\":15}"
    error_message = "The listener is told: ${module.listen.environment["LEDGER_LISTEN"]}"
  }

  # But for the texts above.
  assert {
    condition = { for name, value in module.listen.environment : name => value if !contains(["LEDGER_SUBSCRIBERS", "LEDGER_LISTEN"], name) } == {
      LOG_LEVEL                 = "info"
      LEDGER_ENVIRONMENT        = "offchain"
      LEDGER_NODE               = "https://bigchaindb.example.org:9984"
      LEDGER_ALLOW_PRIVATE      = "false"
      LEDGER_LOCKS_TABLE        = "offchain-ledger-locks"
      LEDGER_DELIVERIES_TABLE   = "offchain-ledger-deliveries"
      LEDGER_DELIVERIES_DLQ_URL = "https://sqs.us-east-1.amazonaws.com/123456789012/mock"
    }
    error_message = "ledger-listen has: ${jsonencode(module.listen.environment)}"
  }

  assert {
    condition = module.webhook.environment == tomap({
      LOG_LEVEL                 = "info"
      LEDGER_EVENTS_TABLE       = "offchain-ledger-events"
      LEDGER_QUEUE_URL          = "https://sqs.us-east-1.amazonaws.com/123456789012/mock"
      LEDGER_WEBHOOK_SECRET_ARN = "arn:aws:secretsmanager:us-east-1:123456789012:secret:offchain/ledger/webhook/ledger-AbCdEf"
    })
    error_message = "ledger-webhook has: ${jsonencode(module.webhook.environment)}"
  }

  assert {
    condition = module.record.environment == tomap({
      LOG_LEVEL            = "info"
      LEDGER_NODE          = "https://bigchaindb.example.org:9984"
      LEDGER_ALLOW_PRIVATE = "false"
      LEDGER_EVENTS_TABLE  = "offchain-ledger-events"
      LEDGER_ASSETS_TABLE  = "offchain-ledger-assets"
      LEDGER_DRIVERS_TABLE = "offchain-ledger-drivers"
      LEDGER_QUEUE_URL     = "https://sqs.us-east-1.amazonaws.com/123456789012/mock"
      LEDGER_QUEUE_DLQ_URL = "https://sqs.us-east-1.amazonaws.com/123456789012/mock"
      LEDGER_MAX_RECEIVES  = "12"
    })
    error_message = "ledger-record has: ${jsonencode(module.record.environment)}"
  }

  assert {
    condition = module.deliver.environment == tomap({
      LOG_LEVEL              = "info"
      LEDGER_ALLOW_PRIVATE   = "false"
      LEDGER_SUBSCRIBERS     = module.listen.environment["LEDGER_SUBSCRIBERS"]
      LEDGER_TIMEOUT_SECONDS = "15"
    })
    error_message = "ledger-deliver has: ${jsonencode(module.deliver.environment)}"
  }

  assert {
    condition = module.api.environment == tomap({
      LOG_LEVEL            = "info"
      LEDGER_EVENTS_TABLE  = "offchain-ledger-events"
      LEDGER_ASSETS_TABLE  = "offchain-ledger-assets"
      LEDGER_DRIVERS_TABLE = "offchain-ledger-drivers"
    })
    error_message = "ledger-api has: ${jsonencode(module.api.environment)}"
  }

  # The daemon is the listener elsewhere.
  assert {
    condition     = output.stack.environment == { for name, value in module.listen.environment : name => value if name != "LOG_LEVEL" }
    error_message = "`offchain ledger listen` starts from: ${jsonencode(output.stack.environment)}"
  }
}

run "a_newer_listener_takes_over_before_the_older_one_ends" {
  module {
    source = "./modules/ledger"
  }

  assert {
    condition = module.schedules[0].schedules == {
      offchain-ledger-listen = {
        expression            = "rate(10 minutes)"
        input                 = "{\"scheduled_time\":\"<aws.scheduler.scheduled-time>\"}"
        target_arn            = "arn:aws:states:us-east-1:123456789012:stateMachine:offchain-ledger-listener"
        dead_letter_queue_arn = "arn:aws:sqs:us-east-1:123456789012:offchain-ledger-schedules-dlq"
        flexible_window       = "OFF"
      }
    }
    error_message = "The schedules are: ${jsonencode(module.schedules[0].schedules)}"
  }

  assert {
    condition = (
      module.machine.type == "STANDARD" && module.machine.name == "offchain-ledger-listener" && !strcontains(module.machine.definition, "$${") &&
      jsondecode(module.machine.definition).States.Listen.Resource == "arn:aws:lambda:us-east-1:123456789012:function:offchain-ledger-listen"
    )
    error_message = "The machine is: ${module.machine.definition}"
  }

  # Seconds from the first try to the last one, where each fails at once.
  assert {
    condition = alltrue([for retrier in jsondecode(module.machine.definition).States.Listen.Retry :
      sum([for retry in range(retrier.MaxAttempts) : min(retrier.MaxDelaySeconds, retrier.IntervalSeconds * pow(retrier.BackoffRate, min(retry, 10)))]) >= 3600
    ]) && jsondecode(module.machine.definition).TimeoutSeconds == 7200
    error_message = "A node may be away for an hour, and an execution may live for two."
  }
}

run "a_daemon_in_place_of_the_schedule_and_quick_retries_are_settings" {
  command = plan

  module {
    source = "./modules/ledger"
  }

  variables {
    settings = {
      from_height       = 7
      allow_private     = true
      listen            = false
      run_minutes       = 1
      poll_seconds      = 1
      stall_seconds     = 2
      lease_seconds     = 3
      concurrency       = 4
      timeout_seconds   = 5
      retry_schedule    = []
      max_kept          = 6
      memory_mb         = 128
      lag_alarm_heights = 8
      assets            = ["1f9d8a1f6a0c5f7f0f8d1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f"]
      owners            = ["4K9sWUMFwTgaDGPfdynrbxWqWS6sWmKbZoTjxLtVUibD"]
      subscribers       = {}
    }
  }

  assert {
    condition     = length(module.schedules) == 0 && length(aws_cloudwatch_metric_alarm.listener_absent) == 0
    error_message = "A daemon must have the lease for itself, and is watched over by whoever runs it."
  }

  assert {
    condition     = jsonencode(local.listen) == "{\"concurrency\":4,\"from_height\":7,\"lease_seconds\":3,\"max_kept\":6,\"poll_seconds\":1,\"retry_schedule\":[],\"run_seconds\":90,\"stall_seconds\":2,\"timeout_seconds\":5}"
    error_message = "The listener is told: ${jsonencode(local.listen)}"
  }

  assert {
    condition     = [for subscriber in local.subscribers : [subscriber.name, subscriber.assets, subscriber.owners]] == [["ledger", tolist(["1f9d8a1f6a0c5f7f0f8d1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f"]), tolist(["4K9sWUMFwTgaDGPfdynrbxWqWS6sWmKbZoTjxLtVUibD"])]] && keys(aws_secretsmanager_secret.webhook) == ["ledger"]
    error_message = "The subscribers are: ${jsonencode([for subscriber in local.subscribers : [subscriber.name, subscriber.assets, subscriber.owners]])}"
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.lag.threshold == 8 && aws_cloudwatch_metric_alarm.kept.threshold == 3
    error_message = "The alarms must ring where they are told to, and before no block is read any more."
  }
}

run "routes_lead_to_their_functions_and_to_nothing_else" {
  module {
    source = "./modules/ledger"
  }

  assert {
    condition = { for name, route in aws_apigatewayv2_route.this : route.route_key => [aws_lambda_permission.api[name].function_name, route.target == "integrations/${aws_apigatewayv2_integration.api[local.routes[name].function].id}"] } == {
      "POST /v1/ledger/events"     = ["offchain-ledger-webhook", true]
      "GET /v1/ledger/assets/{id}" = ["offchain-ledger-api", true]
    }
    error_message = "The routes are: ${jsonencode([for route in aws_apigatewayv2_route.this : route.route_key])}"
  }

  assert {
    condition = alltrue([for name, permission in aws_lambda_permission.api :
      permission.source_arn == "arn:aws:execute-api:us-east-1:123456789012:a1b2c3/$default/${replace(aws_apigatewayv2_route.this[name].route_key, " ", "")}" &&
      permission.principal == "apigateway.amazonaws.com" && permission.action == "lambda:InvokeFunction"
    ])
    error_message = "API Gateway may invoke a function from: ${jsonencode([for permission in aws_lambda_permission.api : permission.source_arn])}"
  }

  assert {
    condition     = alltrue([for integration in aws_apigatewayv2_integration.api : integration.payload_format_version == "2.0" && integration.integration_type == "AWS_PROXY"])
    error_message = "Each function is given version 2.0 of the event."
  }

  assert {
    condition     = output.stack.subscribers[0].url == "https://a1b2c3.execute-api.us-east-1.amazonaws.com/v1/ledger/events"
    error_message = "The listener writes to: ${output.stack.subscribers[0].url}"
  }
}

run "an_alarm_rings_for_each_thing_that_can_go_wrong" {
  module {
    source = "./modules/ledger"
  }

  assert {
    condition = {
      for alarm in [aws_cloudwatch_metric_alarm.listener_absent[0], aws_cloudwatch_metric_alarm.lag, aws_cloudwatch_metric_alarm.kept] :
      alarm.alarm_name => [alarm.metric_name, alarm.statistic, alarm.comparison_operator, tostring(alarm.threshold), tostring(alarm.period), tostring(alarm.evaluation_periods), alarm.treat_missing_data]
      } == {
      offchain-ledger-listener-absent = ["Listening", "Sum", "LessThanThreshold", "1", "300", "1", "breaching"]
      offchain-ledger-lag             = ["Lag", "Maximum", "GreaterThanThreshold", "100", "60", "5", "notBreaching"]
      offchain-ledger-kept            = ["Kept", "Maximum", "GreaterThanThreshold", "1000", "300", "1", "notBreaching"]
    }
    error_message = "An alarm looks at something else."
  }

  assert {
    condition = aws_cloudwatch_metric_alarm.lag.datapoints_to_alarm == 5 && alltrue([
      for alarm in [aws_cloudwatch_metric_alarm.listener_absent[0], aws_cloudwatch_metric_alarm.lag, aws_cloudwatch_metric_alarm.kept] :
      alarm.namespace == "offchain/ledger" &&
      alarm.dimensions == tomap({ Suite = "offchain" }) &&
      strcontains(alarm.alarm_description, "`offchain ledger status`") &&
      alarm.alarm_actions == toset(["arn:aws:sns:us-east-1:123456789012:offchain-alarms"]) &&
      alarm.ok_actions == toset(["arn:aws:sns:us-east-1:123456789012:offchain-alarms"])
    ])
    error_message = "An alarm looks at another ledger, tells nobody, or not what to do."
  }

  assert {
    condition = jsonencode({ for table, alarms in module.table_alarms : table => keys(alarms.alarms) }) == jsonencode({
      for table, operations in {
        offchain-ledger-events     = ["getitem", "putitem", "query", "transactwriteitems", "updateitem"]
        offchain-ledger-assets     = ["getitem", "transactwriteitems", "updateitem"]
        offchain-ledger-drivers    = ["getitem", "transactwriteitems", "updateitem"]
        offchain-ledger-deliveries = ["deleteitem", "putitem", "query", "transactwriteitems", "updateitem"]
        offchain-ledger-locks      = ["getitem", "transactwriteitems", "updateitem"]
      } : table => sort(concat([for operation in operations : "${table}-${operation}-system-errors"], ["${table}-read-throttles", "${table}-write-throttles"]))
    })
    error_message = "The tables' alarms are: ${jsonencode({ for table, alarms in module.table_alarms : table => keys(alarms.alarms) })}"
  }

  assert {
    condition = module.dashboard.name == "offchain-ledger" && toset([
      for metric in flatten([for widget in jsondecode(module.dashboard.body).widgets : [
        for metric in widget.properties.metrics : metric[1] if metric[0] == "offchain/ledger" && try(slice(metric, 2, 4), null) == ["Suite", "offchain"]
      ]]) : metric
    ]) == toset(["Delivered", "Height", "Kept", "Lag", "Listening"])
    error_message = "The dashboard must show what the listener counts: ${module.dashboard.body}"
  }
}

run "tables_survive_a_mistake" {
  module {
    source = "./modules/ledger"
  }

  # A lock that vanished would forget its fencing token; the rest is history, or waits.
  assert {
    condition = alltrue([for table in [aws_dynamodb_table.events, aws_dynamodb_table.assets, aws_dynamodb_table.drivers, aws_dynamodb_table.deliveries, aws_dynamodb_table.locks] :
      table.deletion_protection_enabled && table.point_in_time_recovery[0].enabled && table.server_side_encryption[0].enabled && table.billing_mode == "PAY_PER_REQUEST" && length(table.ttl) == 0
    ])
    error_message = "Each table must be protected, recoverable, encrypted, billed by the request, and kept for ever."
  }

  assert {
    condition = {
      for table in [aws_dynamodb_table.events, aws_dynamodb_table.assets, aws_dynamodb_table.drivers, aws_dynamodb_table.deliveries, aws_dynamodb_table.locks] :
      table.name => concat(compact([table.hash_key, table.range_key]), flatten([for index in table.global_secondary_index : [index.name, index.hash_key, index.range_key, index.projection_type]]))
      } == {
      offchain-ledger-events     = ["transaction_id", "by-asset", "asset_id", "position", "ALL"]
      offchain-ledger-assets     = ["asset_id"]
      offchain-ledger-drivers    = ["public_key"]
      offchain-ledger-deliveries = ["subscriber", "position"]
      offchain-ledger-locks      = ["Name"]
    }
    error_message = "A table has another key."
  }
}
