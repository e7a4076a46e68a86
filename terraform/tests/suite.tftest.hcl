# The suite as a whole, and the modules that every subsystem shares.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  artifacts_dir = "tests/artifacts"
}

run "the_stack_output_names_what_scripts_need" {
  assert {
    condition     = keys(output.stack) == ["alarm_topic_arn", "api_url", "name", "queues", "region", "vrf"]
    error_message = "The stack has: ${jsonencode(keys(output.stack))}"
  }

  assert {
    condition = { for name, queue in output.stack.queues : name => queue.dead_letter } == {
      offchain-vrf-requests       = false
      offchain-vrf-requests-dlq   = true
      offchain-vrf-executions-dlq = true
      offchain-vrf-schedules-dlq  = true
    }
    error_message = "The queues are: ${jsonencode(output.stack.queues)}"
  }

  assert {
    condition     = keys(output.stack.vrf.functions) == ["api", "expire", "fulfil", "height", "request", "rotate-key", "start"]
    error_message = "The functions are: ${jsonencode(output.stack.vrf.functions)}"
  }
}

run "vrf_null_leaves_the_subsystem_out" {
  variables {
    vrf = null
  }

  assert {
    condition     = length(module.vrf) == 0 && output.stack.vrf == null && length(output.stack.queues) == 0
    error_message = "Something of the VRF is left: ${jsonencode(output.stack)}"
  }
}

run "alarms_are_published_by_this_account_alone" {
  module {
    source = "./modules/alarms"
  }

  variables {
    name       = "offchain-alarms"
    account_id = "123456789012"
    email      = "operator@example.org"
  }

  assert {
    condition = jsondecode(output.topic_policy) == {
      Version = "2012-10-17"
      Statement = [{
        Sid       = "PublishedToByAlarms"
        Effect    = "Allow"
        Principal = { Service = "cloudwatch.amazonaws.com" }
        Action    = "sns:Publish"
        Resource  = "arn:aws:sns:us-east-1:123456789012:mock"
        Condition = { StringEquals = { "aws:SourceAccount" = "123456789012" } }
      }]
    }
    error_message = "The topic has: ${output.topic_policy}"
  }

  assert {
    condition     = aws_sns_topic_subscription.email[0].endpoint == "operator@example.org"
    error_message = "The address must be subscribed."
  }
}

run "a_dead_letter_queue_comes_with_its_alarms" {
  module {
    source = "./modules/dead_letter_queue"
  }

  variables {
    name            = "offchain-x-dlq"
    arn             = "arn:aws:sqs:us-east-1:123456789012:offchain-x-dlq"
    alarm_topic_arn = "arn:aws:sns:us-east-1:123456789012:offchain-alarms"
  }

  assert {
    condition     = aws_sqs_queue.this.message_retention_seconds == 1209600 && aws_sqs_queue.this.sqs_managed_sse_enabled
    error_message = "Dead letters are kept for 14 days, encrypted."
  }

  assert {
    condition = alltrue([for alarm in [aws_cloudwatch_metric_alarm.depth, aws_cloudwatch_metric_alarm.age] :
      alarm.alarm_actions == toset(["arn:aws:sns:us-east-1:123456789012:offchain-alarms"]) && alarm.dimensions == tomap({ QueueName = "offchain-x-dlq" })
    ])
    error_message = "Depth and age of this queue must be reported."
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.depth.threshold == 0 && aws_cloudwatch_metric_alarm.depth.comparison_operator == "GreaterThanThreshold"
    error_message = "One dead letter is enough for an alarm."
  }
}

run "a_work_queue_hides_a_message_six_times_the_functions_timeout" {
  command = plan

  module {
    source = "./modules/work_queue"
  }

  variables {
    name                       = "offchain-x"
    location                   = { partition = "aws", region = "us-east-1", account_id = "123456789012" }
    consumer_timeout_seconds   = 30
    visibility_timeout_seconds = 179
    age_alarm_seconds          = 300
    alarm_topic_arn            = "arn:aws:sns:us-east-1:123456789012:offchain-alarms"
  }

  expect_failures = [var.visibility_timeout_seconds]
}

run "a_function_with_a_wildcard_resource_is_refused" {
  command = plan

  module {
    source = "./modules/function"
  }

  variables {
    name        = "offchain-x"
    description = "A test."
    artifact    = "vrf-api"
    environment = {}
    shared = {
      location           = { partition = "aws", region = "us-east-1", account_id = "123456789012" }
      artifacts_dir      = "tests/artifacts"
      architecture       = "x86_64"
      log_level          = "info"
      log_retention_days = 30
      tracing            = false
      alarm_topic_arn    = "arn:aws:sns:us-east-1:123456789012:offchain-alarms"
    }
    statements = [{ sid = "TooMuch", actions = ["dynamodb:GetItem"], resources = ["arn:aws:dynamodb:us-east-1:123456789012:table/*"] }]
  }

  expect_failures = [var.statements]
}

run "a_function_with_a_wildcard_action_is_refused" {
  command = plan

  module {
    source = "./modules/function"
  }

  variables {
    name        = "offchain-x"
    description = "A test."
    artifact    = "vrf-api"
    environment = {}
    shared = {
      location           = { partition = "aws", region = "us-east-1", account_id = "123456789012" }
      artifacts_dir      = "tests/artifacts"
      architecture       = "x86_64"
      log_level          = "info"
      log_retention_days = 30
      tracing            = false
      alarm_topic_arn    = "arn:aws:sns:us-east-1:123456789012:offchain-alarms"
    }
    statements = [{ sid = "TooMuch", actions = ["dynamodb:*"], resources = ["arn:aws:dynamodb:us-east-1:123456789012:table/offchain"] }]
  }

  expect_failures = [var.statements]
}

run "a_function_without_its_artefact_is_refused" {
  command = plan

  module {
    source = "./modules/function"
  }

  variables {
    name        = "offchain-x"
    description = "A test."
    artifact    = "never-built"
    environment = {}
    statements  = []
    shared = {
      location           = { partition = "aws", region = "us-east-1", account_id = "123456789012" }
      artifacts_dir      = "tests/artifacts"
      architecture       = "x86_64"
      log_level          = "info"
      log_retention_days = 30
      tracing            = false
      alarm_topic_arn    = "arn:aws:sns:us-east-1:123456789012:offchain-alarms"
    }
  }

  expect_failures = [aws_lambda_function.this]
}

run "a_function_traces_when_told_to_and_gives_its_role_no_more" {
  module {
    source = "./modules/function"
  }

  variables {
    name        = "offchain-x"
    description = "A test."
    artifact    = "vrf-api"
    environment = { X = "1" }
    statements  = []
    shared = {
      location           = { partition = "aws", region = "us-east-1", account_id = "123456789012" }
      artifacts_dir      = "tests/artifacts"
      architecture       = "arm64"
      log_level          = "debug"
      log_retention_days = 7
      tracing            = true
      alarm_topic_arn    = "arn:aws:sns:us-east-1:123456789012:offchain-alarms"
    }
  }

  assert {
    condition = jsondecode(output.policy) == {
      Version = "2012-10-17"
      Statement = [
        { Sid = "WriteLogs", Effect = "Allow", Action = ["logs:CreateLogStream", "logs:PutLogEvents"], Resource = ["arn:aws:logs:us-east-1:123456789012:log-group:/aws/lambda/offchain-x:*"] },
        { Sid = "Trace", Effect = "Allow", Action = ["xray:PutTraceSegments", "xray:PutTelemetryRecords"], Resource = ["*"] },
      ]
    }
    error_message = "The function may: ${output.policy}"
  }

  assert {
    condition     = aws_cloudwatch_log_group.this.retention_in_days == 7 && aws_lambda_function.this.architectures == tolist(["arm64"]) && aws_lambda_function.this.memory_size == 256
    error_message = "Retention, architecture and memory must be as told."
  }
}
