# The redrive: its role may go to the destinations that the subsystems name, and
# to no other.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  name            = "offchain"
  definition_path = "../statemachines/dlq-redrive.asl.json"
  settings        = { max_redrives = 4, hold_seconds = 100, history_days = 20 }
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
  dead_letter_queues = {
    offchain-a-dlq = {
      arn          = "arn:aws:sqs:us-east-1:123456789012:offchain-a-dlq"
      destinations = ["arn:aws:sqs:us-east-1:123456789012:offchain-a"]
      default      = "arn:aws:sqs:us-east-1:123456789012:offchain-a"
    }
    offchain-b-dlq = {
      arn = "arn:aws:sqs:us-east-1:123456789012:offchain-b-dlq"
      destinations = [
        "arn:aws:lambda:us-east-1:123456789012:function:offchain-b",
        "arn:aws:states:us-east-1:123456789012:stateMachine:offchain-b",
        "arn:aws:sns:us-east-1:123456789012:offchain-b",
        "arn:aws:sqs:us-east-1:123456789012:offchain-a",
      ]
    }
    offchain-c-dlq = {
      arn          = "arn:aws:sqs:us-east-1:123456789012:offchain-c-dlq"
      destinations = ["arn:aws:lambda:us-east-1:123456789012:function:offchain-b", "arn:aws:lambda:us-east-1:123456789012:function:offchain-a"]
      default      = "arn:aws:lambda:us-east-1:123456789012:function:offchain-b"
    }
  }
}

run "each_role_may_do_exactly_this" {
  module {
    source = "./modules/redrive"
  }

  assert {
    condition = jsondecode(module.function.policy) == {
      Version = "2012-10-17"
      Statement = [
        { Sid = "WriteLogs", Effect = "Allow", Action = ["logs:CreateLogStream", "logs:PutLogEvents"], Resource = ["arn:aws:logs:us-east-1:123456789012:log-group:/aws/lambda/offchain-dlq-redrive:*"] },
        {
          Sid    = "TakeDeadLetters"
          Effect = "Allow"
          Action = ["sqs:GetQueueUrl", "sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility"]
          Resource = [
            "arn:aws:sqs:us-east-1:123456789012:offchain-a-dlq",
            "arn:aws:sqs:us-east-1:123456789012:offchain-b-dlq",
            "arn:aws:sqs:us-east-1:123456789012:offchain-c-dlq",
          ]
        },
        { Sid = "KeepHistory", Effect = "Allow", Action = ["dynamodb:GetItem", "dynamodb:UpdateItem"], Resource = ["arn:aws:dynamodb:us-east-1:123456789012:table/offchain-dead-letters"] },
        { Sid = "SendToQueues", Effect = "Allow", Action = ["sqs:GetQueueUrl", "sqs:SendMessage"], Resource = ["arn:aws:sqs:us-east-1:123456789012:offchain-a"] },
        { Sid = "InvokeFunctions", Effect = "Allow", Action = ["lambda:InvokeFunction"], Resource = ["arn:aws:lambda:us-east-1:123456789012:function:offchain-a", "arn:aws:lambda:us-east-1:123456789012:function:offchain-b"] },
        { Sid = "StartExecutions", Effect = "Allow", Action = ["states:StartExecution"], Resource = ["arn:aws:states:us-east-1:123456789012:stateMachine:offchain-b"] },
        { Sid = "PublishToTopics", Effect = "Allow", Action = ["sns:Publish"], Resource = ["arn:aws:sns:us-east-1:123456789012:offchain-b"] },
      ]
    }
    error_message = "dlq-redrive may: ${module.function.policy}"
  }

  assert {
    condition = jsondecode(module.machine.policy) == {
      Version = "2012-10-17"
      Statement = [
        { Sid = "InvokeFunctions", Effect = "Allow", Action = ["lambda:InvokeFunction"], Resource = ["arn:aws:lambda:us-east-1:123456789012:function:offchain-dlq-redrive"] },
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
    condition = jsondecode(module.machine.trust_policy) == {
      Version = "2012-10-17"
      Statement = [{
        Sid       = "AssumedByThisMachine"
        Effect    = "Allow"
        Principal = { Service = "states.amazonaws.com" }
        Action    = "sts:AssumeRole"
        Condition = {
          ArnEquals    = { "aws:SourceArn" = "arn:aws:states:us-east-1:123456789012:stateMachine:offchain-dlq-redrive" }
          StringEquals = { "aws:SourceAccount" = "123456789012" }
        }
      }]
      } && jsondecode(module.function.trust_policy) == {
      Version   = "2012-10-17"
      Statement = [{ Sid = "AssumedByLambda", Effect = "Allow", Principal = { Service = "lambda.amazonaws.com" }, Action = "sts:AssumeRole" }]
    }
    error_message = "The roles are trusted to: ${module.machine.trust_policy} and ${module.function.trust_policy}"
  }

  assert {
    condition = module.function.environment == tomap({
      LOG_LEVEL        = "info"
      DLQ_TABLE        = "offchain-dead-letters"
      DLQ_DESTINATIONS = "{\"offchain-a-dlq\":\"arn:aws:sqs:us-east-1:123456789012:offchain-a\",\"offchain-b-dlq\":null,\"offchain-c-dlq\":\"arn:aws:lambda:us-east-1:123456789012:function:offchain-b\"}"
      DLQ_SUITE        = "offchain"
      DLQ_MAX_REDRIVES = "4"
      DLQ_HOLD_SECONDS = "100"
      DLQ_HISTORY_DAYS = "20"
    })
    error_message = "dlq-redrive has: ${jsonencode(module.function.environment)}"
  }
}

run "the_history_is_kept_and_a_quarantine_reported" {
  module {
    source = "./modules/redrive"
  }

  assert {
    condition = (
      aws_dynamodb_table.dead_letters.name == "offchain-dead-letters" &&
      aws_dynamodb_table.dead_letters.hash_key == "fingerprint" &&
      aws_dynamodb_table.dead_letters.range_key == null &&
      aws_dynamodb_table.dead_letters.ttl[0].attribute_name == "expiration" && aws_dynamodb_table.dead_letters.ttl[0].enabled &&
      aws_dynamodb_table.dead_letters.deletion_protection_enabled &&
      aws_dynamodb_table.dead_letters.point_in_time_recovery[0].enabled &&
      aws_dynamodb_table.dead_letters.server_side_encryption[0].enabled &&
      aws_dynamodb_table.dead_letters.billing_mode == "PAY_PER_REQUEST"
    )
    error_message = "The table must be protected, recoverable, encrypted and billed by the request, and end by `expiration`."
  }

  assert {
    condition = (
      aws_cloudwatch_metric_alarm.quarantined.alarm_name == "offchain-dlq-quarantined" &&
      aws_cloudwatch_metric_alarm.quarantined.namespace == "offchain/redrive" &&
      aws_cloudwatch_metric_alarm.quarantined.metric_name == "Quarantined" &&
      aws_cloudwatch_metric_alarm.quarantined.dimensions == tomap({ Suite = "offchain" }) &&
      aws_cloudwatch_metric_alarm.quarantined.statistic == "Sum" &&
      aws_cloudwatch_metric_alarm.quarantined.comparison_operator == "GreaterThanThreshold" &&
      aws_cloudwatch_metric_alarm.quarantined.threshold == 0 &&
      aws_cloudwatch_metric_alarm.quarantined.period == 300 &&
      aws_cloudwatch_metric_alarm.quarantined.treat_missing_data == "notBreaching" &&
      aws_cloudwatch_metric_alarm.quarantined.alarm_actions == toset(["arn:aws:sns:us-east-1:123456789012:offchain-alarms"])
    )
    error_message = "One quarantined letter is enough for an alarm."
  }

  assert {
    condition = keys(module.table_alarms.alarms) == [
      "offchain-dead-letters-getitem-system-errors",
      "offchain-dead-letters-putitem-system-errors",
      "offchain-dead-letters-read-throttles",
      "offchain-dead-letters-updateitem-system-errors",
      "offchain-dead-letters-write-throttles",
    ]
    error_message = "The alarms are: ${jsonencode(module.table_alarms.alarms)}"
  }

  assert {
    condition     = module.machine.type == "STANDARD" && module.machine.name == "offchain-dlq-redrive" && module.function.name == "offchain-dlq-redrive"
    error_message = "The machine is ${module.machine.name}, ${module.machine.type}."
  }

  assert {
    condition     = !strcontains(module.machine.definition, "$${")
    error_message = "A placeholder is left in the machine."
  }

  assert {
    condition = {
      for name, state in merge(
        jsondecode(module.machine.definition).States,
        jsondecode(module.machine.definition).States.RedriveBatches.ItemProcessor.States,
      ) : name => state.Resource if state.Type == "Task"
      } == {
      for name in ["PlanRedrive", "RedriveCanary", "ObserveCanary", "RedriveBatch"] :
      name => "arn:aws:lambda:us-east-1:123456789012:function:offchain-dlq-redrive"
    }
    error_message = "A Task state has another resource than dlq-redrive."
  }
}

run "a_role_without_dead_letters_may_take_and_send_none" {
  module {
    source = "./modules/redrive"
  }

  variables {
    dead_letter_queues = {}
  }

  assert {
    condition     = [for statement in jsondecode(module.function.policy).Statement : statement.Sid] == ["WriteLogs", "KeepHistory"] && module.function.environment["DLQ_DESTINATIONS"] == "{}"
    error_message = "dlq-redrive may: ${module.function.policy}"
  }
}

run "a_queue_under_another_name_is_refused" {
  command = plan

  module {
    source = "./modules/redrive"
  }

  variables {
    dead_letter_queues = { offchain-a-dlq = { arn = "arn:aws:sqs:us-east-1:123456789012:offchain-b-dlq", destinations = [] } }
  }

  expect_failures = [var.dead_letter_queues]
}

run "a_destination_that_is_not_exact_is_refused" {
  command = plan

  module {
    source = "./modules/redrive"
  }

  variables {
    dead_letter_queues = { offchain-a-dlq = { arn = "arn:aws:sqs:us-east-1:123456789012:offchain-a-dlq", destinations = ["arn:aws:sqs:us-east-1:123456789012:offchain-*"] } }
  }

  expect_failures = [var.dead_letter_queues]
}

run "a_destination_that_nothing_can_be_sent_to_is_refused" {
  command = plan

  module {
    source = "./modules/redrive"
  }

  variables {
    dead_letter_queues = { offchain-a-dlq = { arn = "arn:aws:sqs:us-east-1:123456789012:offchain-a-dlq", destinations = ["arn:aws:dynamodb:us-east-1:123456789012:table/offchain"] } }
  }

  expect_failures = [var.dead_letter_queues]
}

run "a_default_that_is_no_destination_is_refused" {
  command = plan

  module {
    source = "./modules/redrive"
  }

  variables {
    dead_letter_queues = { offchain-a-dlq = { arn = "arn:aws:sqs:us-east-1:123456789012:offchain-a-dlq", destinations = [], default = "arn:aws:sqs:us-east-1:123456789012:offchain-a" } }
  }

  expect_failures = [var.dead_letter_queues]
}

run "more_queues_than_the_environment_can_name_are_refused" {
  command = plan

  module {
    source = "./modules/redrive"
  }

  variables {
    dead_letter_queues = { for number in range(60) : "offchain-${number}-dlq" => {
      arn          = "arn:aws:sqs:us-east-1:123456789012:offchain-${number}-dlq"
      destinations = ["arn:aws:sqs:us-east-1:123456789012:offchain-${number}"]
      default      = "arn:aws:sqs:us-east-1:123456789012:offchain-${number}"
    } }
  }

  expect_failures = [var.dead_letter_queues]
}
