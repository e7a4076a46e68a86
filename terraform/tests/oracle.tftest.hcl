# The oracle: every policy exactly, and what its parts hand to each other.

mock_provider "aws" {
  source = "./tests/mocks"
}

override_resource {
  target = aws_secretsmanager_secret.key
  values = { arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:offchain/oracle/key-AbCdEf" }
}

override_resource {
  target = aws_secretsmanager_secret.source_headers
  values = { arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:offchain/oracle/source-headers-GhIjKl" }
}

variables {
  name            = "offchain"
  definition_path = "../statemachines/oracle-minute.asl.json"
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
    interval_seconds             = 2
    lead_seconds                 = 30
    head_start_seconds           = 1
    machine_type                 = "EXPRESS"
    table_name                   = null
    retention_days               = 30
    secret_cache_seconds         = 60
    key_rotation                 = null
    key_activation_delay_seconds = 120
    lateness_alarm_ms            = 500
    staleness_alarm_seconds      = 60
    allow_private_sources        = false
    demo                         = true
    feeds                        = {}
  }
}

run "each_role_may_do_exactly_this" {
  module {
    source = "./modules/oracle"
  }

  assert {
    condition = jsondecode(module.publish.policy) == {
      Version = "2012-10-17"
      Statement = [
        { Sid = "WriteLogs", Effect = "Allow", Action = ["logs:CreateLogStream", "logs:PutLogEvents"], Resource = ["arn:aws:logs:us-east-1:123456789012:log-group:/aws/lambda/offchain-oracle-publish:*"] },
        { Sid = "AddReadings", Effect = "Allow", Action = ["dynamodb:PutItem"], Resource = ["arn:aws:dynamodb:us-east-1:123456789012:table/offchain-oracle"] },
        { Sid = "ReadFeeds", Effect = "Allow", Action = ["dynamodb:Scan"], Resource = ["arn:aws:dynamodb:us-east-1:123456789012:table/offchain-oracle-feeds"] },
        { Sid = "ReadKeys", Effect = "Allow", Action = ["dynamodb:Query"], Resource = ["arn:aws:dynamodb:us-east-1:123456789012:table/offchain-oracle-keys"] },
        { Sid = "ReadSigningKey", Effect = "Allow", Action = ["secretsmanager:GetSecretValue"], Resource = ["arn:aws:secretsmanager:us-east-1:123456789012:secret:offchain/oracle/key-AbCdEf"] },
        { Sid = "ReadSourceHeaders", Effect = "Allow", Action = ["secretsmanager:GetSecretValue"], Resource = ["arn:aws:secretsmanager:us-east-1:123456789012:secret:offchain/oracle/source-headers-GhIjKl"] },
      ]
    }
    error_message = "oracle-publish may: ${module.publish.policy}"
  }

  assert {
    condition = jsondecode(module.missed.policy) == {
      Version = "2012-10-17"
      Statement = [
        { Sid = "WriteLogs", Effect = "Allow", Action = ["logs:CreateLogStream", "logs:PutLogEvents"], Resource = ["arn:aws:logs:us-east-1:123456789012:log-group:/aws/lambda/offchain-oracle-missed:*"] },
        { Sid = "AddAndReadReadings", Effect = "Allow", Action = ["dynamodb:PutItem", "dynamodb:Query", "dynamodb:GetItem"], Resource = ["arn:aws:dynamodb:us-east-1:123456789012:table/offchain-oracle"] },
        { Sid = "ReadFeeds", Effect = "Allow", Action = ["dynamodb:Scan"], Resource = ["arn:aws:dynamodb:us-east-1:123456789012:table/offchain-oracle-feeds"] },
        { Sid = "DeadLetter", Effect = "Allow", Action = ["sqs:SendMessage"], Resource = ["arn:aws:sqs:us-east-1:123456789012:offchain-oracle-schedules-dlq"] },
      ]
    }
    error_message = "oracle-missed may: ${module.missed.policy}"
  }

  assert {
    condition = jsondecode(module.api.policy) == {
      Version = "2012-10-17"
      Statement = [
        { Sid = "WriteLogs", Effect = "Allow", Action = ["logs:CreateLogStream", "logs:PutLogEvents"], Resource = ["arn:aws:logs:us-east-1:123456789012:log-group:/aws/lambda/offchain-oracle-api:*"] },
        { Sid = "ReadReadings", Effect = "Allow", Action = ["dynamodb:Query"], Resource = ["arn:aws:dynamodb:us-east-1:123456789012:table/offchain-oracle"] },
        { Sid = "ReadFeeds", Effect = "Allow", Action = ["dynamodb:Scan"], Resource = ["arn:aws:dynamodb:us-east-1:123456789012:table/offchain-oracle-feeds"] },
        { Sid = "ReadKeys", Effect = "Allow", Action = ["dynamodb:Query"], Resource = ["arn:aws:dynamodb:us-east-1:123456789012:table/offchain-oracle-keys"] },
      ]
    }
    error_message = "oracle-api may: ${module.api.policy}"
  }

  assert {
    condition = jsondecode(module.rotate_key.policy) == {
      Version = "2012-10-17"
      Statement = [
        { Sid = "WriteLogs", Effect = "Allow", Action = ["logs:CreateLogStream", "logs:PutLogEvents"], Resource = ["arn:aws:logs:us-east-1:123456789012:log-group:/aws/lambda/offchain-oracle-rotate-key:*"] },
        { Sid = "PublishKeys", Effect = "Allow", Action = ["dynamodb:Query", "dynamodb:PutItem"], Resource = ["arn:aws:dynamodb:us-east-1:123456789012:table/offchain-oracle-keys"] },
        { Sid = "WriteSigningKey", Effect = "Allow", Action = ["secretsmanager:GetSecretValue", "secretsmanager:PutSecretValue", "secretsmanager:UpdateSecretVersionStage", "secretsmanager:DescribeSecret"], Resource = ["arn:aws:secretsmanager:us-east-1:123456789012:secret:offchain/oracle/key-AbCdEf"] },
        { Sid = "DeadLetter", Effect = "Allow", Action = ["sqs:SendMessage"], Resource = ["arn:aws:sqs:us-east-1:123456789012:offchain-oracle-schedules-dlq"] },
      ]
    }
    error_message = "oracle-rotate-key may: ${module.rotate_key.policy}"
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
            "arn:aws:lambda:us-east-1:123456789012:function:offchain-oracle-publish",
            "arn:aws:lambda:us-east-1:123456789012:function:offchain-oracle-missed",
          ]
        },
        { Sid = "SendMessages", Effect = "Allow", Action = ["sqs:SendMessage"], Resource = ["arn:aws:sqs:us-east-1:123456789012:offchain-oracle-minutes-dlq"] },
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
            "arn:aws:lambda:us-east-1:123456789012:function:offchain-oracle-missed",
            "arn:aws:lambda:us-east-1:123456789012:function:offchain-oracle-rotate-key",
          ]
        },
        { Sid = "StartExecutions", Effect = "Allow", Action = ["states:StartExecution"], Resource = ["arn:aws:states:us-east-1:123456789012:stateMachine:offchain-oracle-minute"] },
        { Sid = "DeadLetter", Effect = "Allow", Action = ["sqs:SendMessage"], Resource = ["arn:aws:sqs:us-east-1:123456789012:offchain-oracle-schedules-dlq"] },
      ]
    }
    error_message = "The schedules may: ${module.schedules.policy}"
  }
}

run "each_role_is_assumed_by_its_service_alone" {
  module {
    source = "./modules/oracle"
  }

  assert {
    condition = alltrue([for function in [module.publish, module.missed, module.api, module.rotate_key] :
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
          ArnEquals    = { "aws:SourceArn" = "arn:aws:states:us-east-1:123456789012:stateMachine:offchain-oracle-minute" }
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
    source = "./modules/oracle"
  }

  assert {
    condition = [
      for resource in flatten([
        for policy in [
          module.publish.policy, module.missed.policy, module.api.policy, module.rotate_key.policy,
          module.machine.policy, module.schedules.policy,
        ] : [for statement in jsondecode(policy).Statement : concat(statement.Resource, statement.Action)]
      ]) : resource if strcontains(resource, "*") && !startswith(resource, "arn:aws:logs:us-east-1:123456789012:log-group:/aws/lambda/offchain-oracle-")
    ] == ["*"]
    error_message = "A wildcard stands where none is documented."
  }
}

run "an_express_machine_has_no_events_and_its_queues_no_senders" {
  module {
    source = "./modules/oracle"
  }

  assert {
    condition     = module.machine.type == "EXPRESS"
    error_message = "The machine is ${module.machine.type}."
  }

  assert {
    condition     = length(module.failed_executions) == 0
    error_message = "There is nothing that a rule could match."
  }

  assert {
    # A mock makes up a policy where none is set.
    condition     = !anytrue([for queue in [module.minutes_dlq, module.schedules_dlq] : can(jsondecode(queue.policy).Statement)])
    error_message = "Only roles may send to the queues."
  }

  assert {
    condition = alltrue([for queue in [module.minutes_dlq, module.schedules_dlq] :
      jsondecode(queue.redrive_allow_policy) == { redrivePermission = "denyAll" }
    ])
    error_message = "No queue may use minutes-dlq or schedules-dlq as its dead letter queue."
  }
}

run "a_standard_machine_reports_executions_that_ended_badly" {
  module {
    source = "./modules/oracle"
  }

  variables {
    settings = {
      interval_seconds             = 2
      lead_seconds                 = 30
      head_start_seconds           = 1
      machine_type                 = "STANDARD"
      table_name                   = null
      retention_days               = 30
      secret_cache_seconds         = 60
      key_rotation                 = null
      key_activation_delay_seconds = 120
      lateness_alarm_ms            = 500
      staleness_alarm_seconds      = 60
      allow_private_sources        = false
      demo                         = true
      feeds                        = {}
    }
  }

  assert {
    condition     = module.machine.type == "STANDARD"
    error_message = "The machine is ${module.machine.type}."
  }

  assert {
    condition = jsondecode(module.minutes_dlq.policy) == {
      Version = "2012-10-17"
      Statement = [{
        Sid       = "ExecutionsEndedBadly"
        Effect    = "Allow"
        Principal = { Service = "events.amazonaws.com" }
        Action    = "sqs:SendMessage"
        Resource  = "arn:aws:sqs:us-east-1:123456789012:offchain-oracle-minutes-dlq"
        Condition = { ArnEquals = { "aws:SourceArn" = "arn:aws:events:us-east-1:123456789012:rule/offchain-oracle-executions-ended-badly" } }
      }]
    }
    error_message = "minutes-dlq has: ${module.minutes_dlq.policy}"
  }

  assert {
    condition = jsondecode(module.schedules_dlq.policy) == {
      Version = "2012-10-17"
      Statement = [{
        Sid       = "ExecutionsEndedBadlyUndelivered"
        Effect    = "Allow"
        Principal = { Service = "events.amazonaws.com" }
        Action    = "sqs:SendMessage"
        Resource  = "arn:aws:sqs:us-east-1:123456789012:offchain-oracle-schedules-dlq"
        Condition = { ArnEquals = { "aws:SourceArn" = "arn:aws:events:us-east-1:123456789012:rule/offchain-oracle-executions-ended-badly" } }
      }]
    }
    error_message = "schedules-dlq has: ${module.schedules_dlq.policy}"
  }

  assert {
    condition     = module.failed_executions[0].rule.name == "offchain-oracle-executions-ended-badly"
    error_message = "The rule's name must be the one the queue policies name."
  }

  assert {
    condition = jsondecode(module.failed_executions[0].rule.pattern) == {
      source      = ["aws.states"]
      detail-type = ["Step Functions Execution Status Change"]
      detail = {
        stateMachineArn = ["arn:aws:states:us-east-1:123456789012:stateMachine:offchain-oracle-minute"]
        status          = ["FAILED", "TIMED_OUT", "ABORTED"]
      }
    }
    error_message = "The rule matches: ${module.failed_executions[0].rule.pattern}"
  }

  assert {
    condition = (
      module.failed_executions[0].queue_arns.dead_letters == "arn:aws:sqs:us-east-1:123456789012:offchain-oracle-minutes-dlq" &&
      module.failed_executions[0].queue_arns.undelivered == "arn:aws:sqs:us-east-1:123456789012:offchain-oracle-schedules-dlq"
    )
    error_message = "An event must reach minutes-dlq, and one that the rule cannot deliver must be kept."
  }

  assert {
    condition     = contains(output.dead_letter_queues.offchain-oracle-schedules-dlq.destinations, "arn:aws:sqs:us-east-1:123456789012:offchain-oracle-minutes-dlq")
    error_message = "An event that the rule could not deliver must find its way to minutes-dlq: ${jsonencode(output.dead_letter_queues)}"
  }
}

run "nothing_undeliverable_is_dropped" {
  module {
    source = "./modules/oracle"
  }

  assert {
    condition = alltrue([for function in [module.missed, module.rotate_key] :
      function.retries == 2 && function.dead_letter_queue_arn == "arn:aws:sqs:us-east-1:123456789012:offchain-oracle-schedules-dlq"
    ])
    error_message = "An asynchronous function must be run three times and then dead-letter its event."
  }

  assert {
    condition = output.dead_letter_queues == {
      offchain-oracle-minutes-dlq = {
        arn = "arn:aws:sqs:us-east-1:123456789012:offchain-oracle-minutes-dlq"
        destinations = [
          "arn:aws:lambda:us-east-1:123456789012:function:offchain-oracle-missed",
          "arn:aws:states:us-east-1:123456789012:stateMachine:offchain-oracle-minute",
        ]
        default = "arn:aws:lambda:us-east-1:123456789012:function:offchain-oracle-missed"
      }
      offchain-oracle-schedules-dlq = {
        arn = "arn:aws:sqs:us-east-1:123456789012:offchain-oracle-schedules-dlq"
        destinations = [
          "arn:aws:states:us-east-1:123456789012:stateMachine:offchain-oracle-minute",
          "arn:aws:lambda:us-east-1:123456789012:function:offchain-oracle-missed",
          "arn:aws:lambda:us-east-1:123456789012:function:offchain-oracle-rotate-key",
        ]
        default = null
      }
    }
    error_message = "What is dead-lettered goes back to: ${jsonencode(output.dead_letter_queues)}"
  }

  assert {
    condition = alltrue([for function in [module.publish, module.api] :
      function.retries == null && function.dead_letter_queue_arn == null
    ])
    error_message = "A function that is invoked and answered has its caller to retry."
  }
}

run "schedules_say_when_and_what" {
  module {
    source = "./modules/oracle"
  }

  assert {
    condition = module.schedules.schedules == {
      offchain-oracle-minute = {
        expression            = "cron(* * * * ? *)"
        input                 = "{\"scheduled_time\":\"<aws.scheduler.scheduled-time>\"}"
        target_arn            = "arn:aws:states:us-east-1:123456789012:stateMachine:offchain-oracle-minute"
        dead_letter_queue_arn = "arn:aws:sqs:us-east-1:123456789012:offchain-oracle-schedules-dlq"
        flexible_window       = "OFF"
      }
      offchain-oracle-missed = {
        expression            = "rate(1 minute)"
        input                 = "{\"sweep\":true}"
        target_arn            = "arn:aws:lambda:us-east-1:123456789012:function:offchain-oracle-missed"
        dead_letter_queue_arn = "arn:aws:sqs:us-east-1:123456789012:offchain-oracle-schedules-dlq"
        flexible_window       = "OFF"
      }
      offchain-oracle-rotate-key = {
        expression            = "rate(5 minutes)"
        input                 = "{\"action\":\"reconcile\"}"
        target_arn            = "arn:aws:lambda:us-east-1:123456789012:function:offchain-oracle-rotate-key"
        dead_letter_queue_arn = "arn:aws:sqs:us-east-1:123456789012:offchain-oracle-schedules-dlq"
        flexible_window       = "OFF"
      }
    }
    error_message = "The schedules are: ${jsonencode(module.schedules.schedules)}"
  }
}

run "the_first_key_is_made_by_apply" {
  module {
    source = "./modules/oracle"
  }

  assert {
    condition = (
      aws_lambda_invocation.first_key.function_name == "offchain-oracle-rotate-key" &&
      aws_lambda_invocation.first_key.input == "{\"action\":\"reconcile\"}" &&
      aws_lambda_invocation.first_key.lifecycle_scope == "CREATE_ONLY"
    )
    error_message = "Apply must end with a key."
  }
}

run "each_function_is_told_exactly_this" {
  module {
    source = "./modules/oracle"
  }

  assert {
    condition = module.publish.environment == tomap({
      LOG_LEVEL                    = "info"
      ORACLE_READINGS_TABLE        = "offchain-oracle"
      ORACLE_FEEDS_TABLE           = "offchain-oracle-feeds"
      ORACLE_KEYS_TABLE            = "offchain-oracle-keys"
      ORACLE_KEY_SECRET_ARN        = "arn:aws:secretsmanager:us-east-1:123456789012:secret:offchain/oracle/key-AbCdEf"
      ORACLE_HEADERS_SECRET_ARN    = "arn:aws:secretsmanager:us-east-1:123456789012:secret:offchain/oracle/source-headers-GhIjKl"
      ORACLE_INTERVAL_SECONDS      = "2"
      ORACLE_HEAD_START_SECONDS    = "1"
      ORACLE_RETENTION_DAYS        = "30"
      ORACLE_SECRET_CACHE_SECONDS  = "60"
      ORACLE_ALLOW_PRIVATE_SOURCES = "false"
    })
    error_message = "oracle-publish has: ${jsonencode(module.publish.environment)}"
  }

  assert {
    condition = module.missed.environment == tomap({
      LOG_LEVEL               = "info"
      ORACLE_SUITE            = "offchain"
      ORACLE_READINGS_TABLE   = "offchain-oracle"
      ORACLE_FEEDS_TABLE      = "offchain-oracle-feeds"
      ORACLE_INTERVAL_SECONDS = "2"
      ORACLE_RETENTION_DAYS   = "30"
    })
    error_message = "oracle-missed has: ${jsonencode(module.missed.environment)}"
  }

  assert {
    condition = module.api.environment == tomap({
      LOG_LEVEL               = "info"
      ORACLE_READINGS_TABLE   = "offchain-oracle"
      ORACLE_FEEDS_TABLE      = "offchain-oracle-feeds"
      ORACLE_KEYS_TABLE       = "offchain-oracle-keys"
      ORACLE_INTERVAL_SECONDS = "2"
    })
    error_message = "oracle-api has: ${jsonencode(module.api.environment)}"
  }

  assert {
    condition = module.rotate_key.environment == tomap({
      LOG_LEVEL                           = "info"
      ORACLE_KEYS_TABLE                   = "offchain-oracle-keys"
      ORACLE_KEY_SECRET_ARN               = "arn:aws:secretsmanager:us-east-1:123456789012:secret:offchain/oracle/key-AbCdEf"
      ORACLE_KEY_ACTIVATION_DELAY_SECONDS = "120"
    })
    error_message = "oracle-rotate-key has: ${jsonencode(module.rotate_key.environment)}"
  }
}

run "settings_reach_what_they_are_for" {
  module {
    source = "./modules/oracle"
  }

  variables {
    settings = {
      interval_seconds             = 12
      lead_seconds                 = 40
      head_start_seconds           = 3
      machine_type                 = "EXPRESS"
      table_name                   = "readings"
      retention_days               = 7
      secret_cache_seconds         = 20
      key_rotation                 = "rate(30 days)"
      key_activation_delay_seconds = 23
      lateness_alarm_ms            = 50
      staleness_alarm_seconds      = 90
      allow_private_sources        = true
      demo                         = true
      feeds                        = {}
    }
  }

  assert {
    condition = { for name, value in module.publish.environment : name => value if !endswith(name, "_ARN") } == {
      LOG_LEVEL                    = "info"
      ORACLE_READINGS_TABLE        = "readings"
      ORACLE_FEEDS_TABLE           = "offchain-oracle-feeds"
      ORACLE_KEYS_TABLE            = "offchain-oracle-keys"
      ORACLE_INTERVAL_SECONDS      = "12"
      ORACLE_HEAD_START_SECONDS    = "3"
      ORACLE_RETENTION_DAYS        = "7"
      ORACLE_SECRET_CACHE_SECONDS  = "20"
      ORACLE_ALLOW_PRIVATE_SOURCES = "true"
    }
    error_message = "oracle-publish has: ${jsonencode(module.publish.environment)}"
  }

  assert {
    condition     = module.rotate_key.environment["ORACLE_KEY_ACTIVATION_DELAY_SECONDS"] == "23" && module.missed.environment["ORACLE_RETENTION_DAYS"] == "7"
    error_message = "The delay and the retention must reach their functions."
  }

  # The table's name is in each policy that names the table.
  assert {
    condition = [for policy in [module.publish.policy, module.missed.policy, module.api.policy] : jsondecode(policy).Statement[1].Resource] == [
      for _ in range(3) : ["arn:aws:dynamodb:us-east-1:123456789012:table/readings"]
    ]
    error_message = "A role may use another table than that of the readings."
  }

  assert {
    condition = (
      strcontains(jsondecode(module.machine.definition).States.PlanMinute.Output, "/ 1000 + 40;") &&
      strcontains(jsondecode(module.machine.definition).States.PlanMinute.Output, "60 / 12 - 1") &&
      strcontains(jsondecode(module.machine.definition).States.PublishSlots.ItemProcessor.States.WaitForSlot.Timestamp, "1000 * 3)")
    )
    error_message = "The machine plans: ${jsondecode(module.machine.definition).States.PlanMinute.Output}"
  }

  assert {
    condition     = keys(module.schedules.schedules) == ["offchain-oracle-minute", "offchain-oracle-missed", "offchain-oracle-rotate-key", "offchain-oracle-rotate-key-now"]
    error_message = "The schedules are: ${jsonencode(keys(module.schedules.schedules))}"
  }

  assert {
    condition     = module.schedules.schedules["offchain-oracle-rotate-key-now"].input == "{\"action\":\"rotate\",\"scheduled_time\":\"<aws.scheduler.scheduled-time>\"}" && module.schedules.schedules["offchain-oracle-rotate-key-now"].expression == "rate(30 days)"
    error_message = "The scheduled rotation must say so."
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.lateness["demo"].threshold == 50 && aws_cloudwatch_metric_alarm.staleness["demo"].threshold == 90
    error_message = "The alarms must ring where they are told to."
  }
}

run "the_machine_has_its_placeholders_filled_in" {
  module {
    source = "./modules/oracle"
  }

  assert {
    condition     = !strcontains(module.machine.definition, "$${")
    error_message = "A placeholder is left in the machine."
  }

  assert {
    condition = {
      for name, state in jsondecode(module.machine.definition).States.PublishSlots.ItemProcessor.States : name => state.Resource if state.Type == "Task"
      } == {
      PublishSlot       = "arn:aws:lambda:us-east-1:123456789012:function:offchain-oracle-publish"
      RecordMissed      = "arn:aws:lambda:us-east-1:123456789012:function:offchain-oracle-missed"
      ToDeadLetterQueue = "arn:aws:states:::sqs:sendMessage"
    }
    error_message = "A Task state has another resource than its own."
  }

  assert {
    condition     = jsondecode(module.machine.definition).States.PublishSlots.ItemProcessor.States.ToDeadLetterQueue.Arguments.QueueUrl == module.minutes_dlq.url
    error_message = "What cannot be recorded must go to minutes-dlq."
  }
}

run "feeds_are_written_as_the_functions_read_them" {
  module {
    source = "./modules/oracle"
  }

  variables {
    settings = {
      interval_seconds             = 2
      lead_seconds                 = 30
      head_start_seconds           = 1
      machine_type                 = "EXPRESS"
      table_name                   = null
      retention_days               = 30
      secret_cache_seconds         = 60
      key_rotation                 = null
      key_activation_delay_seconds = 120
      lateness_alarm_ms            = 500
      staleness_alarm_seconds      = 60
      allow_private_sources        = false
      demo                         = true
      feeds = {
        eth-usd = {
          decimals        = 2
          quorum          = null
          max_age_seconds = 60
          max_spread_bps  = 200
          sources = {
            kraken   = { url = "https://api.kraken.com/0/public/Ticker?pair=ETHUSD&a=1", pointer = "/result/XETHZUSD/c/0", time_pointer = null, scale = 0, timeout_ms = 800, header = null }
            coinbase = { url = "https://api.coinbase.com/v2/prices/ETH-USD/spot", pointer = "/data/amount", time_pointer = "/data/at", scale = -2, timeout_ms = 500, header = { name = "x-api-key", secret_key = "coinbase" } }
          }
        }
        gas = {
          decimals        = 0
          quorum          = 1
          max_age_seconds = 5
          max_spread_bps  = 0
          sources         = { node = { url = "https://node.example.org", pointer = "", time_pointer = null, scale = 0, timeout_ms = 50, header = null } }
        }
        three = {
          decimals        = 0
          quorum          = null
          max_age_seconds = 5
          max_spread_bps  = 0
          sources = { for name in ["a", "b", "c"] : name => {
            url = "https://${name}.example.org", pointer = "", time_pointer = null, scale = 0, timeout_ms = 50, header = null
          } }
        }
      }
    }
  }

  assert {
    condition     = { for id, item in aws_dynamodb_table_item.feeds : id => [item.table_name, item.hash_key, jsondecode(item.item).feed.S] } == { for id in ["demo", "eth-usd", "gas", "three"] : id => ["offchain-oracle-feeds", "feed", id] }
    error_message = "The items are: ${jsonencode(keys(aws_dynamodb_table_item.feeds))}"
  }

  # A contract test has the functions' own code read these texts.
  assert {
    condition     = jsondecode(aws_dynamodb_table_item.feeds["demo"].item).definition.S == "{\"kind\":\"demo\"}"
    error_message = "demo is: ${aws_dynamodb_table_item.feeds["demo"].item}"
  }

  assert {
    condition     = jsondecode(aws_dynamodb_table_item.feeds["gas"].item).definition.S == "{\"decimals\":0,\"kind\":\"http\",\"max_age_seconds\":5,\"max_spread_bps\":0,\"quorum\":1,\"sources\":{\"node\":{\"header\":null,\"pointer\":\"\",\"scale\":0,\"time_pointer\":null,\"timeout_ms\":50,\"url\":\"https://node.example.org\"}}}"
    error_message = "gas is: ${aws_dynamodb_table_item.feeds["gas"].item}"
  }

  assert {
    condition     = jsondecode(aws_dynamodb_table_item.feeds["eth-usd"].item).definition.S == "{\"decimals\":2,\"kind\":\"http\",\"max_age_seconds\":60,\"max_spread_bps\":200,\"quorum\":2,\"sources\":{\"coinbase\":{\"header\":{\"name\":\"x-api-key\",\"secret_key\":\"coinbase\"},\"pointer\":\"/data/amount\",\"scale\":-2,\"time_pointer\":\"/data/at\",\"timeout_ms\":500,\"url\":\"https://api.coinbase.com/v2/prices/ETH-USD/spot\"},\"kraken\":{\"header\":null,\"pointer\":\"/result/XETHZUSD/c/0\",\"scale\":0,\"time_pointer\":null,\"timeout_ms\":800,\"url\":\"https://api.kraken.com/0/public/Ticker?pair=ETHUSD\\u0026a=1\"}}}"
    error_message = "eth-usd is: ${aws_dynamodb_table_item.feeds["eth-usd"].item}"
  }

  assert {
    condition     = jsondecode(jsondecode(aws_dynamodb_table_item.feeds["three"].item).definition.S).quorum == 2
    error_message = "Most of three are two."
  }

  assert {
    condition = toset(concat(
      [for alarm in aws_cloudwatch_metric_alarm.missed : alarm.alarm_name],
      [for alarm in aws_cloudwatch_metric_alarm.lateness : alarm.alarm_name],
      [for alarm in aws_cloudwatch_metric_alarm.staleness : alarm.alarm_name],
      )) == toset([for pair in setproduct(["demo", "eth-usd", "gas", "three"], ["missed", "lateness", "staleness"]) :
      "offchain-oracle-${pair[0]}-${pair[1]}"
    ])
    error_message = "Each feed must have three alarms of its own."
  }
}

run "a_feed_alarm_looks_at_its_own_feed" {
  module {
    source = "./modules/oracle"
  }

  assert {
    condition = {
      for name, alarm in {
        missed    = aws_cloudwatch_metric_alarm.missed["demo"]
        lateness  = aws_cloudwatch_metric_alarm.lateness["demo"]
        staleness = aws_cloudwatch_metric_alarm.staleness["demo"]
      } : name => [alarm.metric_name, coalesce(alarm.statistic, alarm.extended_statistic), tostring(alarm.threshold), tostring(alarm.period), alarm.treat_missing_data]
      } == {
      missed    = ["SlotsMissed", "Sum", "0", "60", "notBreaching"]
      lateness  = ["Lateness", "p99", "500", "300", "notBreaching"]
      staleness = ["Staleness", "Maximum", "60", "60", "breaching"]
    }
    error_message = "An alarm looks at something else."
  }

  assert {
    condition = alltrue([
      for alarm in [aws_cloudwatch_metric_alarm.missed["demo"], aws_cloudwatch_metric_alarm.lateness["demo"], aws_cloudwatch_metric_alarm.staleness["demo"]] :
      alarm.namespace == "offchain/oracle" &&
      alarm.dimensions == tomap({ Suite = "offchain", Feed = "demo" }) &&
      alarm.comparison_operator == "GreaterThanThreshold" &&
      alarm.evaluation_periods == 1 &&
      alarm.alarm_actions == toset(["arn:aws:sns:us-east-1:123456789012:offchain-alarms"]) &&
      alarm.ok_actions == toset(["arn:aws:sns:us-east-1:123456789012:offchain-alarms"])
    ])
    error_message = "An alarm looks at another feed, or tells nobody."
  }
}

run "routes_lead_to_oracle_api_and_to_nothing_else" {
  module {
    source = "./modules/oracle"
  }

  assert {
    condition     = toset([for route in aws_apigatewayv2_route.this : route.route_key]) == toset(["GET /v1/feeds", "GET /v1/feeds/{feed}/latest", "GET /v1/feeds/{feed}/readings", "GET /v1/oracle/keys"])
    error_message = "The routes are: ${jsonencode([for route in aws_apigatewayv2_route.this : route.route_key])}"
  }

  assert {
    condition = toset([for permission in aws_lambda_permission.api : permission.source_arn]) == toset([
      "arn:aws:execute-api:us-east-1:123456789012:a1b2c3/$default/GET/v1/feeds",
      "arn:aws:execute-api:us-east-1:123456789012:a1b2c3/$default/GET/v1/feeds/{feed}/latest",
      "arn:aws:execute-api:us-east-1:123456789012:a1b2c3/$default/GET/v1/feeds/{feed}/readings",
      "arn:aws:execute-api:us-east-1:123456789012:a1b2c3/$default/GET/v1/oracle/keys",
    ])
    error_message = "API Gateway may invoke oracle-api from: ${jsonencode([for permission in aws_lambda_permission.api : permission.source_arn])}"
  }

  assert {
    condition     = alltrue([for permission in aws_lambda_permission.api : permission.function_name == "offchain-oracle-api" && permission.principal == "apigateway.amazonaws.com" && permission.action == "lambda:InvokeFunction"])
    error_message = "API Gateway may invoke oracle-api only."
  }
}

run "tables_survive_a_mistake" {
  module {
    source = "./modules/oracle"
  }

  assert {
    condition = alltrue([for table in [aws_dynamodb_table.readings, aws_dynamodb_table.feeds, aws_dynamodb_table.keys] :
      table.deletion_protection_enabled && table.point_in_time_recovery[0].enabled && table.server_side_encryption[0].enabled && table.billing_mode == "PAY_PER_REQUEST"
    ])
    error_message = "Each table must be protected, recoverable, encrypted and billed by the request."
  }

  assert {
    condition     = aws_dynamodb_table.readings.ttl[0].attribute_name == "expiration" && length(aws_dynamodb_table.feeds.ttl) == 0 && length(aws_dynamodb_table.keys.ttl) == 0
    error_message = "Readings end by `expiration`; feeds and keys are kept for ever."
  }

  assert {
    condition = [for table in [aws_dynamodb_table.readings, aws_dynamodb_table.feeds, aws_dynamodb_table.keys] : [table.name, table.hash_key, coalesce(table.range_key, "none")]] == [
      ["offchain-oracle", "feed", "slot"],
      ["offchain-oracle-feeds", "feed", "none"],
      ["offchain-oracle-keys", "key_set", "epoch"],
    ]
    error_message = "A table has another name or key than the functions use."
  }
}

run "secrets_are_made_empty" {
  module {
    source = "./modules/oracle"
  }

  assert {
    condition     = [for secret in [aws_secretsmanager_secret.key, aws_secretsmanager_secret.source_headers] : secret.name] == ["offchain/oracle/key", "offchain/oracle/source-headers"]
    error_message = "The secrets' names are what the command line and the documents say."
  }
}

run "the_dashboard_shows_slots_before_functions" {
  module {
    source = "./modules/oracle"
  }

  assert {
    condition = [for widget in jsondecode(module.dashboard.body).widgets : widget.properties.title] == [
      "Slots published",
      "Slots missed, late and early",
      "Lateness, median (ms)",
      "Lateness, 99th percentile (ms)",
      "Staleness: age of the newest reading (s)",
      "Executions",
      "Dead letters: messages",
      "Functions: duration, median (ms)",
      "Functions: duration, 99th percentile (ms)",
      "Functions: errors and throttles",
      "HTTP API: answers",
      "HTTP API: latency (ms)",
      "Tables: throttled calls",
    ]
    error_message = "The dashboard has: ${module.dashboard.body}"
  }

  assert {
    condition = module.dashboard.name == "offchain-oracle" && jsondecode(module.dashboard.body).widgets[1].properties.metrics == [
      ["offchain/oracle", "SlotsMissed", "Suite", "offchain", "Feed", "demo", { stat = "Sum", label = "demo missed" }],
      ["offchain/oracle", "SlotsLate", "Suite", "offchain", "Feed", "demo", { stat = "Sum", label = "demo late" }],
      ["offchain/oracle", "SlotsEarly", "Suite", "offchain", "Feed", "demo", { stat = "Sum", label = "demo early" }],
    ]
    error_message = "The dashboard counts: ${jsonencode(jsondecode(module.dashboard.body).widgets[1].properties.metrics)}"
  }
}
