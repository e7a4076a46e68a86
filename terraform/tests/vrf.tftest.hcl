# The VRF subsystem: every policy exactly, and what its parts hand to each other.

mock_provider "aws" {
  source = "./tests/mocks"
}

override_resource {
  target = aws_secretsmanager_secret.key
  values = { arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:offchain/vrf/key-AbCdEf" }
}

override_resource {
  target = aws_secretsmanager_secret.api_tokens
  values = { arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:offchain/vrf/api-tokens-GhIjKl" }
}

variables {
  name            = "offchain"
  definition_path = "../statemachines/vrf-fulfilment.asl.json"
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
  settings = {
    suite                        = "ECVRF-EDWARDS25519-SHA512-TAI"
    poll_interval_seconds        = 30
    fulfil_window_seconds        = 900
    height_window_seconds        = 21600
    max_delay_seconds            = 604800
    retention_days               = 30
    simulated_failure_rate       = 0
    key_rotation                 = null
    key_activation_delay_seconds = 60
    back_off                     = { base_seconds = 2, max_seconds = 60 }
    schedule = {
      enabled             = true
      expression          = "rate(1 minute)"
      queue_delay_seconds = { min = 0, max = 120 }
      target_blocks       = { min = 0, max = 10 }
      block_seconds       = 30
      bounds              = { min = 0, max = 999 }
    }
    chain = null
  }
}

run "each_role_may_do_exactly_this" {
  module {
    source = "./modules/vrf"
  }

  assert {
    condition = jsondecode(module.request.policy) == {
      Version = "2012-10-17"
      Statement = [
        { Sid = "WriteLogs", Effect = "Allow", Action = ["logs:CreateLogStream", "logs:PutLogEvents"], Resource = ["arn:aws:logs:us-east-1:123456789012:log-group:/aws/lambda/offchain-vrf-request:*"] },
        { Sid = "AddAndReadRequests", Effect = "Allow", Action = ["dynamodb:PutItem", "dynamodb:Query"], Resource = ["arn:aws:dynamodb:us-east-1:123456789012:table/offchain-vrf"] },
        { Sid = "ReadKeys", Effect = "Allow", Action = ["dynamodb:Query"], Resource = ["arn:aws:dynamodb:us-east-1:123456789012:table/offchain-vrf-keys"] },
        { Sid = "Announce", Effect = "Allow", Action = ["sqs:SendMessage"], Resource = ["arn:aws:sqs:us-east-1:123456789012:offchain-vrf-requests"] },
        { Sid = "DeadLetter", Effect = "Allow", Action = ["sqs:SendMessage"], Resource = ["arn:aws:sqs:us-east-1:123456789012:offchain-vrf-schedules-dlq"] },
      ]
    }
    error_message = "vrf-request may: ${module.request.policy}"
  }

  assert {
    condition = jsondecode(module.api.policy) == {
      Version = "2012-10-17"
      Statement = [
        { Sid = "WriteLogs", Effect = "Allow", Action = ["logs:CreateLogStream", "logs:PutLogEvents"], Resource = ["arn:aws:logs:us-east-1:123456789012:log-group:/aws/lambda/offchain-vrf-api:*"] },
        { Sid = "AddAndReadRequests", Effect = "Allow", Action = ["dynamodb:PutItem", "dynamodb:Query"], Resource = ["arn:aws:dynamodb:us-east-1:123456789012:table/offchain-vrf"] },
        { Sid = "ReadKeys", Effect = "Allow", Action = ["dynamodb:Query"], Resource = ["arn:aws:dynamodb:us-east-1:123456789012:table/offchain-vrf-keys"] },
        { Sid = "Announce", Effect = "Allow", Action = ["sqs:SendMessage"], Resource = ["arn:aws:sqs:us-east-1:123456789012:offchain-vrf-requests"] },
        { Sid = "ReadTokens", Effect = "Allow", Action = ["secretsmanager:GetSecretValue"], Resource = ["arn:aws:secretsmanager:us-east-1:123456789012:secret:offchain/vrf/api-tokens-GhIjKl"] },
      ]
    }
    error_message = "vrf-api may: ${module.api.policy}"
  }

  assert {
    condition = jsondecode(module.start.policy) == {
      Version = "2012-10-17"
      Statement = [
        { Sid = "WriteLogs", Effect = "Allow", Action = ["logs:CreateLogStream", "logs:PutLogEvents"], Resource = ["arn:aws:logs:us-east-1:123456789012:log-group:/aws/lambda/offchain-vrf-start:*"] },
        { Sid = "ReceiveRequests", Effect = "Allow", Action = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"], Resource = ["arn:aws:sqs:us-east-1:123456789012:offchain-vrf-requests"] },
        { Sid = "RefuseRequests", Effect = "Allow", Action = ["sqs:SendMessage"], Resource = ["arn:aws:sqs:us-east-1:123456789012:offchain-vrf-requests-dlq"] },
        { Sid = "ReadAndMarkRequests", Effect = "Allow", Action = ["dynamodb:Query", "dynamodb:PutItem"], Resource = ["arn:aws:dynamodb:us-east-1:123456789012:table/offchain-vrf"] },
        { Sid = "StartExecutions", Effect = "Allow", Action = ["states:StartExecution"], Resource = ["arn:aws:states:us-east-1:123456789012:stateMachine:offchain-vrf-fulfilment"] },
      ]
    }
    error_message = "vrf-start may: ${module.start.policy}"
  }

  assert {
    condition = jsondecode(module.height.policy) == {
      Version = "2012-10-17"
      Statement = [
        { Sid = "WriteLogs", Effect = "Allow", Action = ["logs:CreateLogStream", "logs:PutLogEvents"], Resource = ["arn:aws:logs:us-east-1:123456789012:log-group:/aws/lambda/offchain-vrf-height:*"] },
        { Sid = "NoteHeight", Effect = "Allow", Action = ["dynamodb:UpdateItem"], Resource = ["arn:aws:dynamodb:us-east-1:123456789012:table/offchain-vrf"] },
      ]
    }
    error_message = "vrf-height may: ${module.height.policy}"
  }

  assert {
    condition = jsondecode(module.fulfil.policy) == {
      Version = "2012-10-17"
      Statement = [
        { Sid = "WriteLogs", Effect = "Allow", Action = ["logs:CreateLogStream", "logs:PutLogEvents"], Resource = ["arn:aws:logs:us-east-1:123456789012:log-group:/aws/lambda/offchain-vrf-fulfil:*"] },
        { Sid = "ReadAndFulfilRequests", Effect = "Allow", Action = ["dynamodb:Query", "dynamodb:UpdateItem"], Resource = ["arn:aws:dynamodb:us-east-1:123456789012:table/offchain-vrf"] },
        { Sid = "ReadKey", Effect = "Allow", Action = ["dynamodb:GetItem"], Resource = ["arn:aws:dynamodb:us-east-1:123456789012:table/offchain-vrf-keys"] },
        { Sid = "ReadSigningKey", Effect = "Allow", Action = ["secretsmanager:GetSecretValue"], Resource = ["arn:aws:secretsmanager:us-east-1:123456789012:secret:offchain/vrf/key-AbCdEf"] },
      ]
    }
    error_message = "vrf-fulfil may: ${module.fulfil.policy}"
  }

  assert {
    condition = jsondecode(module.expire.policy) == {
      Version = "2012-10-17"
      Statement = [
        { Sid = "WriteLogs", Effect = "Allow", Action = ["logs:CreateLogStream", "logs:PutLogEvents"], Resource = ["arn:aws:logs:us-east-1:123456789012:log-group:/aws/lambda/offchain-vrf-expire:*"] },
        { Sid = "ReadAndExpireRequests", Effect = "Allow", Action = ["dynamodb:Query", "dynamodb:UpdateItem"], Resource = ["arn:aws:dynamodb:us-east-1:123456789012:table/offchain-vrf"] },
        { Sid = "FindOverdueRequests", Effect = "Allow", Action = ["dynamodb:Query"], Resource = ["arn:aws:dynamodb:us-east-1:123456789012:table/offchain-vrf/index/open-requests"] },
        { Sid = "ReportOrphans", Effect = "Allow", Action = ["sqs:SendMessage"], Resource = ["arn:aws:sqs:us-east-1:123456789012:offchain-vrf-executions-dlq"] },
        { Sid = "DeadLetter", Effect = "Allow", Action = ["sqs:SendMessage"], Resource = ["arn:aws:sqs:us-east-1:123456789012:offchain-vrf-schedules-dlq"] },
      ]
    }
    error_message = "vrf-expire may: ${module.expire.policy}"
  }

  assert {
    condition = jsondecode(module.rotate_key.policy) == {
      Version = "2012-10-17"
      Statement = [
        { Sid = "WriteLogs", Effect = "Allow", Action = ["logs:CreateLogStream", "logs:PutLogEvents"], Resource = ["arn:aws:logs:us-east-1:123456789012:log-group:/aws/lambda/offchain-vrf-rotate-key:*"] },
        { Sid = "PublishKeys", Effect = "Allow", Action = ["dynamodb:Query", "dynamodb:PutItem"], Resource = ["arn:aws:dynamodb:us-east-1:123456789012:table/offchain-vrf-keys"] },
        { Sid = "WriteSigningKey", Effect = "Allow", Action = ["secretsmanager:GetSecretValue", "secretsmanager:PutSecretValue", "secretsmanager:UpdateSecretVersionStage", "secretsmanager:DescribeSecret"], Resource = ["arn:aws:secretsmanager:us-east-1:123456789012:secret:offchain/vrf/key-AbCdEf"] },
        { Sid = "DeadLetter", Effect = "Allow", Action = ["sqs:SendMessage"], Resource = ["arn:aws:sqs:us-east-1:123456789012:offchain-vrf-schedules-dlq"] },
      ]
    }
    error_message = "vrf-rotate-key may: ${module.rotate_key.policy}"
  }

  assert {
    condition = jsondecode(module.machine.policy) == {
      Version = "2012-10-17"
      Statement = [
        {
          Sid    = "InvokeFunctions"
          Effect = "Allow"
          Action = ["lambda:InvokeFunction"]
          Resource = [
            "arn:aws:lambda:us-east-1:123456789012:function:offchain-vrf-height",
            "arn:aws:lambda:us-east-1:123456789012:function:offchain-vrf-fulfil",
            "arn:aws:lambda:us-east-1:123456789012:function:offchain-vrf-expire",
          ]
        },
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
        {
          Sid    = "InvokeFunctions"
          Effect = "Allow"
          Action = ["lambda:InvokeFunction"]
          Resource = [
            "arn:aws:lambda:us-east-1:123456789012:function:offchain-vrf-expire",
            "arn:aws:lambda:us-east-1:123456789012:function:offchain-vrf-request",
            "arn:aws:lambda:us-east-1:123456789012:function:offchain-vrf-rotate-key",
          ]
        },
        { Sid = "DeadLetter", Effect = "Allow", Action = ["sqs:SendMessage"], Resource = ["arn:aws:sqs:us-east-1:123456789012:offchain-vrf-schedules-dlq"] },
      ]
    }
    error_message = "The schedules may: ${module.schedules.policy}"
  }
}

run "each_role_is_assumed_by_its_service_alone" {
  module {
    source = "./modules/vrf"
  }

  assert {
    condition = alltrue([for function in [module.request, module.api, module.start, module.height, module.fulfil, module.expire, module.rotate_key] :
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
          ArnEquals    = { "aws:SourceArn" = "arn:aws:states:us-east-1:123456789012:stateMachine:offchain-vrf-fulfilment" }
          StringEquals = { "aws:SourceAccount" = "123456789012" }
        }
      }]
    }
    error_message = "The machine's role is trusted to: ${module.machine.trust_policy}"
  }

  assert {
    condition = jsondecode(module.schedules.trust_policy) == {
      Version = "2012-10-17"
      Statement = [{
        Sid       = "AssumedByScheduler"
        Effect    = "Allow"
        Principal = { Service = "scheduler.amazonaws.com" }
        Action    = "sts:AssumeRole"
        Condition = {
          ArnEquals    = { "aws:SourceArn" = "arn:aws:scheduler:us-east-1:123456789012:schedule-group/default" }
          StringEquals = { "aws:SourceAccount" = "123456789012" }
        }
      }]
    }
    error_message = "The schedules' role is trusted to: ${module.schedules.trust_policy}"
  }
}

run "no_role_has_a_wildcard_but_its_own_log_streams_and_log_delivery" {
  module {
    source = "./modules/vrf"
  }

  assert {
    condition = [
      for resource in flatten([
        for policy in [
          module.request.policy, module.api.policy, module.start.policy, module.height.policy,
          module.fulfil.policy, module.expire.policy, module.rotate_key.policy,
          module.machine.policy, module.schedules.policy,
        ] : [for statement in jsondecode(policy).Statement : concat(statement.Resource, statement.Action)]
      ]) : resource if strcontains(resource, "*") && !startswith(resource, "arn:aws:logs:us-east-1:123456789012:log-group:/aws/lambda/offchain-vrf-")
    ] == ["*"]
    error_message = "A wildcard stands where none is documented."
  }
}

run "a_queue_takes_messages_from_this_rule_alone" {
  module {
    source = "./modules/vrf"
  }

  assert {
    condition = jsondecode(module.executions_dlq.policy) == {
      Version = "2012-10-17"
      Statement = [{
        Sid       = "ExecutionsEndedBadly"
        Effect    = "Allow"
        Principal = { Service = "events.amazonaws.com" }
        Action    = "sqs:SendMessage"
        Resource  = "arn:aws:sqs:us-east-1:123456789012:offchain-vrf-executions-dlq"
        Condition = { ArnEquals = { "aws:SourceArn" = "arn:aws:events:us-east-1:123456789012:rule/offchain-vrf-executions-ended-badly" } }
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
        Resource  = "arn:aws:sqs:us-east-1:123456789012:offchain-vrf-schedules-dlq"
        Condition = { ArnEquals = { "aws:SourceArn" = "arn:aws:events:us-east-1:123456789012:rule/offchain-vrf-executions-ended-badly" } }
      }]
    }
    error_message = "schedules-dlq has: ${module.schedules_dlq.policy}"
  }

  assert {
    condition     = module.failed_executions.rule.name == "offchain-vrf-executions-ended-badly"
    error_message = "The rule's name must be the one the queue policies name."
  }

  assert {
    condition = jsondecode(module.failed_executions.rule.pattern) == {
      source      = ["aws.states"]
      detail-type = ["Step Functions Execution Status Change"]
      detail = {
        stateMachineArn = ["arn:aws:states:us-east-1:123456789012:stateMachine:offchain-vrf-fulfilment"]
        status          = ["FAILED", "TIMED_OUT", "ABORTED"]
      }
    }
    error_message = "The rule matches: ${module.failed_executions.rule.pattern}"
  }

  assert {
    condition = jsondecode(module.requests_queue.dead_letter_queue.redrive_allow_policy) == {
      redrivePermission = "byQueue"
      sourceQueueArns   = ["arn:aws:sqs:us-east-1:123456789012:offchain-vrf-requests"]
    }
    error_message = "Only the requests queue may use its dead letter queue."
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
    source = "./modules/vrf"
  }

  assert {
    condition = jsondecode(module.requests_queue.redrive_policy) == {
      deadLetterTargetArn = "arn:aws:sqs:us-east-1:123456789012:offchain-vrf-requests-dlq"
      maxReceiveCount     = 5
    }
    error_message = "The requests queue redrives: ${module.requests_queue.redrive_policy}"
  }

  assert {
    condition     = module.requests_queue.visibility_timeout_seconds == 180
    error_message = "The requests queue must hide a message for six times the 30 s of vrf-start."
  }

  assert {
    condition = alltrue([for function in [module.request, module.expire, module.rotate_key] :
      function.retries == 2 && function.dead_letter_queue_arn == "arn:aws:sqs:us-east-1:123456789012:offchain-vrf-schedules-dlq"
    ])
    error_message = "An asynchronous function must be run three times and then dead-letter its event."
  }

  assert {
    condition = alltrue([for function in [module.api, module.start, module.height, module.fulfil] :
      function.retries == null && function.dead_letter_queue_arn == null
    ])
    error_message = "A function that is invoked and answered has its caller to retry."
  }

  assert {
    condition     = aws_lambda_event_source_mapping.requests.batch_size == 10 && aws_lambda_event_source_mapping.requests.function_response_types == toset(["ReportBatchItemFailures"])
    error_message = "vrf-start must be given ten messages and report the failed ones."
  }

  assert {
    condition = output.dead_letter_queues == {
      offchain-vrf-requests-dlq = {
        arn          = "arn:aws:sqs:us-east-1:123456789012:offchain-vrf-requests-dlq"
        destinations = ["arn:aws:sqs:us-east-1:123456789012:offchain-vrf-requests"]
        default      = "arn:aws:sqs:us-east-1:123456789012:offchain-vrf-requests"
      }
      offchain-vrf-executions-dlq = {
        arn          = "arn:aws:sqs:us-east-1:123456789012:offchain-vrf-executions-dlq"
        destinations = ["arn:aws:states:us-east-1:123456789012:stateMachine:offchain-vrf-fulfilment"]
        default      = "arn:aws:states:us-east-1:123456789012:stateMachine:offchain-vrf-fulfilment"
      }
      offchain-vrf-schedules-dlq = {
        arn = "arn:aws:sqs:us-east-1:123456789012:offchain-vrf-schedules-dlq"
        destinations = [
          "arn:aws:lambda:us-east-1:123456789012:function:offchain-vrf-expire",
          "arn:aws:lambda:us-east-1:123456789012:function:offchain-vrf-rotate-key",
          "arn:aws:lambda:us-east-1:123456789012:function:offchain-vrf-request",
          "arn:aws:sqs:us-east-1:123456789012:offchain-vrf-executions-dlq",
        ]
        default = null
      }
    }
    error_message = "What is dead-lettered goes back to: ${jsonencode(output.dead_letter_queues)}"
  }

  assert {
    condition     = module.failed_executions.queue_arns.undelivered == "arn:aws:sqs:us-east-1:123456789012:offchain-vrf-schedules-dlq"
    error_message = "An event that the rule cannot deliver must be kept."
  }
}

run "schedules_say_when_and_what" {
  module {
    source = "./modules/vrf"
  }

  assert {
    condition = module.schedules.schedules == {
      offchain-vrf-expire = {
        expression            = "rate(1 minute)"
        input                 = "{\"sweep\":true}"
        target_arn            = "arn:aws:lambda:us-east-1:123456789012:function:offchain-vrf-expire"
        dead_letter_queue_arn = "arn:aws:sqs:us-east-1:123456789012:offchain-vrf-schedules-dlq"
        flexible_window       = "OFF"
      }
      offchain-vrf-request = {
        expression            = "rate(1 minute)"
        input                 = "{\"block_seconds\":30,\"bounds\":{\"max\":999,\"min\":0},\"queue_delay_seconds\":{\"max\":120,\"min\":0},\"scheduled_time\":\"<aws.scheduler.scheduled-time>\",\"target_blocks\":{\"max\":10,\"min\":0}}"
        target_arn            = "arn:aws:lambda:us-east-1:123456789012:function:offchain-vrf-request"
        dead_letter_queue_arn = "arn:aws:sqs:us-east-1:123456789012:offchain-vrf-schedules-dlq"
        flexible_window       = "OFF"
      }
      offchain-vrf-rotate-key = {
        expression            = "rate(5 minutes)"
        input                 = "{\"action\":\"reconcile\"}"
        target_arn            = "arn:aws:lambda:us-east-1:123456789012:function:offchain-vrf-rotate-key"
        dead_letter_queue_arn = "arn:aws:sqs:us-east-1:123456789012:offchain-vrf-schedules-dlq"
        flexible_window       = "OFF"
      }
    }
    error_message = "The schedules are: ${jsonencode(module.schedules.schedules)}"
  }
}

run "rotation_chain_and_no_schedule_are_settings" {
  module {
    source = "./modules/vrf"
  }

  variables {
    settings = {
      suite                        = "ECVRF-P256-SHA256-TAI"
      poll_interval_seconds        = 30
      fulfil_window_seconds        = 900
      height_window_seconds        = 21600
      max_delay_seconds            = 604800
      retention_days               = 30
      simulated_failure_rate       = 0.25
      key_rotation                 = "rate(30 days)"
      key_activation_delay_seconds = 60
      back_off                     = { base_seconds = 2, max_seconds = 60 }
      schedule = {
        enabled             = false
        expression          = "rate(1 minute)"
        queue_delay_seconds = { min = 0, max = 120 }
        target_blocks       = { min = 0, max = 10 }
        block_seconds       = 30
        bounds              = { min = 0, max = 999 }
      }
      chain = { kind = "evm", rpc_url = "http://127.0.0.1:8545" }
    }
  }

  assert {
    condition     = keys(module.schedules.schedules) == ["offchain-vrf-expire", "offchain-vrf-rotate-key", "offchain-vrf-rotate-key-now"]
    error_message = "Rotation must be scheduled, and requests must not."
  }

  assert {
    condition     = module.schedules.schedules["offchain-vrf-rotate-key-now"].input == "{\"action\":\"rotate\",\"scheduled_time\":\"<aws.scheduler.scheduled-time>\"}"
    error_message = "The scheduled rotation must say so."
  }

  # The role shrinks with the schedules.
  assert {
    condition = jsondecode(module.schedules.policy).Statement[0].Resource == [
      "arn:aws:lambda:us-east-1:123456789012:function:offchain-vrf-expire",
      "arn:aws:lambda:us-east-1:123456789012:function:offchain-vrf-rotate-key",
    ]
    error_message = "The schedules may: ${module.schedules.policy}"
  }

  assert {
    condition     = module.height.environment["VRF_CHAIN_KIND"] == "evm" && module.height.environment["VRF_CHAIN_RPC_URL"] == "http://127.0.0.1:8545" && module.api.environment["VRF_CHAIN_RPC_URL"] == "http://127.0.0.1:8545"
    error_message = "vrf-height and vrf-api must be told of the chain."
  }

  assert {
    condition     = module.fulfil.environment["VRF_SIMULATED_FAILURE_RATE"] == "0.25" && module.rotate_key.environment["VRF_SUITE"] == "ECVRF-P256-SHA256-TAI"
    error_message = "The failure rate and the suite must reach their functions."
  }
}

run "each_function_is_told_exactly_this" {
  module {
    source = "./modules/vrf"
  }

  assert {
    condition = module.request.environment == tomap({
      LOG_LEVEL                 = "info"
      VRF_TABLE                 = "offchain-vrf"
      VRF_KEYS_TABLE            = "offchain-vrf-keys"
      VRF_QUEUE_URL             = "https://sqs.us-east-1.amazonaws.com/123456789012/mock"
      VRF_FULFIL_WINDOW_SECONDS = "900"
      VRF_RETENTION_DAYS        = "30"
    })
    error_message = "vrf-request has: ${jsonencode(module.request.environment)}"
  }

  assert {
    condition = module.api.environment == tomap({
      LOG_LEVEL                 = "info"
      VRF_TABLE                 = "offchain-vrf"
      VRF_KEYS_TABLE            = "offchain-vrf-keys"
      VRF_QUEUE_URL             = "https://sqs.us-east-1.amazonaws.com/123456789012/mock"
      VRF_FULFIL_WINDOW_SECONDS = "900"
      VRF_RETENTION_DAYS        = "30"
      VRF_API_TOKENS_SECRET_ARN = "arn:aws:secretsmanager:us-east-1:123456789012:secret:offchain/vrf/api-tokens-GhIjKl"
      VRF_MAX_DELAY_SECONDS     = "604800"
      VRF_HEIGHT_WINDOW_SECONDS = "21600"
    })
    error_message = "vrf-api has: ${jsonencode(module.api.environment)}"
  }

  assert {
    condition = module.start.environment == tomap({
      LOG_LEVEL             = "info"
      VRF_TABLE             = "offchain-vrf"
      VRF_STATE_MACHINE_ARN = "arn:aws:states:us-east-1:123456789012:stateMachine:offchain-vrf-fulfilment"
      VRF_REQUESTS_DLQ_URL  = "https://sqs.us-east-1.amazonaws.com/123456789012/mock"
      VRF_MAX_RECEIVES      = "5"
    })
    error_message = "vrf-start has: ${jsonencode(module.start.environment)}"
  }

  assert {
    condition     = module.height.environment == tomap({ LOG_LEVEL = "info", VRF_TABLE = "offchain-vrf", VRF_CHAIN_KIND = "none" })
    error_message = "vrf-height has: ${jsonencode(module.height.environment)}"
  }

  assert {
    condition = module.fulfil.environment == tomap({
      LOG_LEVEL                  = "info"
      VRF_TABLE                  = "offchain-vrf"
      VRF_KEYS_TABLE             = "offchain-vrf-keys"
      VRF_KEY_SECRET_ARN         = "arn:aws:secretsmanager:us-east-1:123456789012:secret:offchain/vrf/key-AbCdEf"
      VRF_SIMULATED_FAILURE_RATE = "0"
    })
    error_message = "vrf-fulfil has: ${jsonencode(module.fulfil.environment)}"
  }

  assert {
    condition = module.expire.environment == tomap({
      LOG_LEVEL              = "info"
      VRF_TABLE              = "offchain-vrf"
      VRF_EXECUTIONS_DLQ_URL = "https://sqs.us-east-1.amazonaws.com/123456789012/mock"
    })
    error_message = "vrf-expire has: ${jsonencode(module.expire.environment)}"
  }

  assert {
    condition = module.rotate_key.environment == tomap({
      LOG_LEVEL                        = "info"
      VRF_KEYS_TABLE                   = "offchain-vrf-keys"
      VRF_KEY_SECRET_ARN               = "arn:aws:secretsmanager:us-east-1:123456789012:secret:offchain/vrf/key-AbCdEf"
      VRF_SUITE                        = "ECVRF-EDWARDS25519-SHA512-TAI"
      VRF_KEY_ACTIVATION_DELAY_SECONDS = "60"
    })
    error_message = "vrf-rotate-key has: ${jsonencode(module.rotate_key.environment)}"
  }
}

run "routes_lead_to_vrf_api_and_to_nothing_else" {
  module {
    source = "./modules/vrf"
  }

  assert {
    condition     = toset([for route in aws_apigatewayv2_route.this : route.route_key]) == toset(["POST /v1/vrf/requests", "GET /v1/vrf/requests/{id}", "GET /v1/vrf/keys"])
    error_message = "The routes are: ${jsonencode([for route in aws_apigatewayv2_route.this : route.route_key])}"
  }

  assert {
    condition = toset([for permission in aws_lambda_permission.api : permission.source_arn]) == toset([
      "arn:aws:execute-api:us-east-1:123456789012:a1b2c3/$default/POST/v1/vrf/requests",
      "arn:aws:execute-api:us-east-1:123456789012:a1b2c3/$default/GET/v1/vrf/requests/{id}",
      "arn:aws:execute-api:us-east-1:123456789012:a1b2c3/$default/GET/v1/vrf/keys",
    ])
    error_message = "API Gateway may invoke vrf-api from: ${jsonencode([for permission in aws_lambda_permission.api : permission.source_arn])}"
  }

  assert {
    condition     = alltrue([for permission in aws_lambda_permission.api : permission.function_name == "offchain-vrf-api" && permission.principal == "apigateway.amazonaws.com" && permission.action == "lambda:InvokeFunction"])
    error_message = "API Gateway may invoke vrf-api only."
  }
}

run "the_machine_has_its_placeholders_filled_in" {
  module {
    source = "./modules/vrf"
  }

  assert {
    condition     = !strcontains(module.machine.definition, "$${")
    error_message = "A placeholder is left in the machine."
  }

  assert {
    condition = {
      for state in ["CheckHeight", "FulfilRequest", "ExpireRequest"] : state => jsondecode(module.machine.definition).States[state].Resource
      } == {
      CheckHeight   = "arn:aws:lambda:us-east-1:123456789012:function:offchain-vrf-height"
      FulfilRequest = "arn:aws:lambda:us-east-1:123456789012:function:offchain-vrf-fulfil"
      ExpireRequest = "arn:aws:lambda:us-east-1:123456789012:function:offchain-vrf-expire"
    }
    error_message = "A Task state invokes another function than its own."
  }
}

run "tables_survive_a_mistake" {
  module {
    source = "./modules/vrf"
  }

  assert {
    condition = alltrue([for table in [aws_dynamodb_table.requests, aws_dynamodb_table.keys] :
      table.deletion_protection_enabled && table.point_in_time_recovery[0].enabled && table.server_side_encryption[0].enabled && table.billing_mode == "PAY_PER_REQUEST"
    ])
    error_message = "Each table must be protected, recoverable, encrypted and billed by the request."
  }

  assert {
    condition     = aws_dynamodb_table.requests.ttl[0].attribute_name == "expiration" && length(aws_dynamodb_table.keys.ttl) == 0
    error_message = "Requests end by `expiration`; keys are kept for ever."
  }
}
