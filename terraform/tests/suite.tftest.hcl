# The suite as a whole, and the modules that every subsystem shares.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  artifacts_dir = "tests/artifacts"
}

run "the_stack_output_names_what_scripts_need" {
  variables {
    rides  = {}
    faucet = { chain = { kind = "evm", chain_id = "31337", nodes = [{ url = "http://127.0.0.1:8545" }] }, symbol = "ETH", decimals = 18, amount = "1", daily_budget = "1" }
    ledger = { node = "http://127.0.0.1:9984" }
  }

  assert {
    condition     = keys(output.stack) == ["alarm_topic_arn", "api_url", "faucet", "ledger", "name", "oracle", "queues", "redrive", "region", "rides", "vrf"]
    error_message = "The stack has: ${jsonencode(keys(output.stack))}"
  }

  assert {
    condition = { for name, queue in output.stack.queues : name => queue.dead_letter } == {
      offchain-vrf-requests            = false
      offchain-vrf-requests-dlq        = true
      offchain-vrf-executions-dlq      = true
      offchain-vrf-schedules-dlq       = true
      offchain-oracle-minutes-dlq      = true
      offchain-oracle-schedules-dlq    = true
      offchain-rides-record-dlq        = true
      offchain-rides-subscription-dlq  = true
      offchain-rides-unsent-dlq        = true
      offchain-faucet-claims           = false
      offchain-faucet-claims-dlq       = true
      offchain-faucet-executions-dlq   = true
      offchain-faucet-schedules-dlq    = true
      offchain-ledger-transactions     = false
      offchain-ledger-transactions-dlq = true
      offchain-ledger-deliveries-dlq   = true
      offchain-ledger-executions-dlq   = true
      offchain-ledger-schedules-dlq    = true
    }
    error_message = "The queues are: ${jsonencode(output.stack.queues)}"
  }

  assert {
    condition     = keys(output.stack.vrf.functions) == ["api", "expire", "fulfil", "height", "request", "rotate-key", "start"]
    error_message = "The functions are: ${jsonencode(output.stack.vrf.functions)}"
  }

  assert {
    condition = output.stack.oracle.functions == {
      publish    = "offchain-oracle-publish"
      missed     = "offchain-oracle-missed"
      api        = "offchain-oracle-api"
      rotate-key = "offchain-oracle-rotate-key"
    }
    error_message = "The functions are: ${jsonencode(output.stack.oracle.functions)}"
  }

  assert {
    condition = output.stack.oracle.log_groups == {
      offchain-oracle-publish    = "/aws/lambda/offchain-oracle-publish"
      offchain-oracle-missed     = "/aws/lambda/offchain-oracle-missed"
      offchain-oracle-api        = "/aws/lambda/offchain-oracle-api"
      offchain-oracle-rotate-key = "/aws/lambda/offchain-oracle-rotate-key"
      offchain-oracle-minute     = "/aws/vendedlogs/states/offchain-oracle-minute"
    }
    error_message = "The log groups are: ${jsonencode(output.stack.oracle.log_groups)}"
  }

  assert {
    condition = { for name, value in output.stack.oracle : name => value if !contains(["functions", "log_groups", "key_secret_arn", "headers_secret_arn"], name) } == {
      table             = "offchain-oracle"
      feeds_table       = "offchain-oracle-feeds"
      keys_table        = "offchain-oracle-keys"
      state_machine_arn = "arn:aws:states:us-east-1:123456789012:stateMachine:offchain-oracle-minute"
      machine_type      = "EXPRESS"
      interval_seconds  = 2
      lead_seconds      = 30
    }
    error_message = "The oracle has: ${jsonencode(output.stack.oracle)}"
  }

  assert {
    condition = output.stack.rides == {
      table       = "offchain-rides"
      fleet_table = "offchain-rides-fleet"
      topic_arn   = "arn:aws:sns:us-east-1:123456789012:mock"
      publish     = "sns"
      subscribers = tolist(["lambda"])
      ride_url    = "https://a1b2c3.execute-api.us-east-1.amazonaws.com/ride"
      unicorn_url = "https://a1b2c3.execute-api.us-east-1.amazonaws.com/unicorn"
      record_url  = "https://a1b2c3.execute-api.us-east-1.amazonaws.com/record"
      functions = {
        request     = "offchain-rides-request"
        fleet       = "offchain-rides-fleet"
        record-http = "offchain-rides-record-http"
        record-sns  = "offchain-rides-record-sns"
      }
      log_groups = {
        offchain-rides-request     = "/aws/lambda/offchain-rides-request"
        offchain-rides-fleet       = "/aws/lambda/offchain-rides-fleet"
        offchain-rides-record-http = "/aws/lambda/offchain-rides-record-http"
        offchain-rides-record-sns  = "/aws/lambda/offchain-rides-record-sns"
      }
    }
    error_message = "The rides have: ${jsonencode(output.stack.rides)}"
  }

  assert {
    condition = { for name, value in output.stack.faucet : name => value if !contains(["environment", "key_secret_arn", "intake_secret_arn"], name) } == {
      network           = "testnet"
      table             = "offchain-faucet"
      payouts_table     = "offchain-faucet-payouts"
      locks_table       = "offchain-faucet-locks"
      limits_table      = "offchain-faucet-limits"
      queue_url         = "https://sqs.us-east-1.amazonaws.com/123456789012/mock"
      state_machine_arn = "arn:aws:states:us-east-1:123456789012:stateMachine:offchain-faucet-payout"
      functions = {
        api     = "offchain-faucet-api"
        pay     = "offchain-faucet-pay"
        confirm = "offchain-faucet-confirm"
        sweep   = "offchain-faucet-sweep"
      }
      log_groups = {
        offchain-faucet-api     = "/aws/lambda/offchain-faucet-api"
        offchain-faucet-pay     = "/aws/lambda/offchain-faucet-pay"
        offchain-faucet-confirm = "/aws/lambda/offchain-faucet-confirm"
        offchain-faucet-sweep   = "/aws/lambda/offchain-faucet-sweep"
        offchain-faucet-payout  = "/aws/vendedlogs/states/offchain-faucet-payout"
      }
    }
    error_message = "The faucet has: ${jsonencode(output.stack.faucet)}"
  }

  assert {
    condition = { for name, value in output.stack.ledger : name => value if !contains(["environment", "subscribers"], name) } == {
      node              = "http://127.0.0.1:9984"
      listen            = true
      events_table      = "offchain-ledger-events"
      assets_table      = "offchain-ledger-assets"
      drivers_table     = "offchain-ledger-drivers"
      deliveries_table  = "offchain-ledger-deliveries"
      locks_table       = "offchain-ledger-locks"
      queue_url         = "https://sqs.us-east-1.amazonaws.com/123456789012/mock"
      state_machine_arn = "arn:aws:states:us-east-1:123456789012:stateMachine:offchain-ledger-listener"
      functions = {
        listen  = "offchain-ledger-listen"
        webhook = "offchain-ledger-webhook"
        record  = "offchain-ledger-record"
        deliver = "offchain-ledger-deliver"
        api     = "offchain-ledger-api"
      }
      log_groups = {
        offchain-ledger-listen   = "/aws/lambda/offchain-ledger-listen"
        offchain-ledger-webhook  = "/aws/lambda/offchain-ledger-webhook"
        offchain-ledger-record   = "/aws/lambda/offchain-ledger-record"
        offchain-ledger-deliver  = "/aws/lambda/offchain-ledger-deliver"
        offchain-ledger-api      = "/aws/lambda/offchain-ledger-api"
        offchain-ledger-listener = "/aws/vendedlogs/states/offchain-ledger-listener"
      }
    }
    error_message = "The ledger has: ${jsonencode(output.stack.ledger)}"
  }

  assert {
    condition = [for subscriber in output.stack.ledger.subscribers : [keys(subscriber), subscriber.name, subscriber.url]] == [
      [["name", "secret_arn", "url"], "ledger", "https://a1b2c3.execute-api.us-east-1.amazonaws.com/v1/ledger/events"],
    ]
    error_message = "The subscribers are: ${jsonencode(output.stack.ledger.subscribers)}"
  }

  assert {
    condition     = local.api_alarms == { client_errors = 500, latency_ms = 18000 }
    error_message = "A claim that waits 15 s for its block is not late: ${jsonencode(local.api_alarms)}"
  }

  # Every dead letter queue can be redriven.
  assert {
    condition = jsonencode(output.stack.redrive) == jsonencode({
      table             = "offchain-dead-letters"
      state_machine_arn = "arn:aws:states:us-east-1:123456789012:stateMachine:offchain-dlq-redrive"
      function          = "offchain-dlq-redrive"
      max_redrives      = 3
      history_days      = 30
      destinations = {
        offchain-vrf-requests-dlq        = "arn:aws:sqs:us-east-1:123456789012:offchain-vrf-requests"
        offchain-vrf-executions-dlq      = "arn:aws:states:us-east-1:123456789012:stateMachine:offchain-vrf-fulfilment"
        offchain-vrf-schedules-dlq       = null
        offchain-oracle-minutes-dlq      = "arn:aws:lambda:us-east-1:123456789012:function:offchain-oracle-missed"
        offchain-oracle-schedules-dlq    = null
        offchain-rides-record-dlq        = "arn:aws:lambda:us-east-1:123456789012:function:offchain-rides-record-sns"
        offchain-rides-subscription-dlq  = "arn:aws:lambda:us-east-1:123456789012:function:offchain-rides-record-sns"
        offchain-rides-unsent-dlq        = "arn:aws:sns:us-east-1:123456789012:offchain-rides"
        offchain-faucet-claims-dlq       = "arn:aws:sqs:us-east-1:123456789012:offchain-faucet-claims"
        offchain-faucet-executions-dlq   = "arn:aws:states:us-east-1:123456789012:stateMachine:offchain-faucet-payout"
        offchain-faucet-schedules-dlq    = null
        offchain-ledger-transactions-dlq = "arn:aws:sqs:us-east-1:123456789012:offchain-ledger-transactions"
        offchain-ledger-deliveries-dlq   = "arn:aws:lambda:us-east-1:123456789012:function:offchain-ledger-deliver"
        offchain-ledger-executions-dlq   = "arn:aws:states:us-east-1:123456789012:stateMachine:offchain-ledger-listener"
        offchain-ledger-schedules-dlq    = null
      }
      log_groups = {
        function = "/aws/lambda/offchain-dlq-redrive"
        machine  = "/aws/vendedlogs/states/offchain-dlq-redrive"
      }
    })
    error_message = "The redrive has: ${jsonencode(output.stack.redrive)}"
  }
}

run "vrf_null_leaves_the_subsystem_out" {
  variables {
    vrf = null
  }

  assert {
    condition     = length(module.vrf) == 0 && output.stack.vrf == null && keys(output.stack.queues) == ["offchain-oracle-minutes-dlq", "offchain-oracle-schedules-dlq"]
    error_message = "Something of the VRF is left: ${jsonencode(output.stack)}"
  }
}

run "oracle_null_leaves_the_subsystem_out" {
  variables {
    oracle = null
  }

  assert {
    condition     = length(module.oracle) == 0 && output.stack.oracle == null && length([for name in keys(output.stack.queues) : name if startswith(name, "offchain-oracle")]) == 0
    error_message = "Something of the oracle is left: ${jsonencode(output.stack)}"
  }
}

run "rides_are_left_out_unless_asked_for" {
  assert {
    condition     = length(module.rides) == 0 && output.stack.rides == null && length([for name in concat(keys(output.stack.queues), keys(output.stack.redrive.destinations)) : name if startswith(name, "offchain-rides")]) == 0
    error_message = "The routes are public, and not for everyone: ${jsonencode(output.stack)}"
  }
}

run "the_faucet_is_left_out_unless_asked_for" {
  assert {
    condition     = length(module.faucet) == 0 && output.stack.faucet == null && length([for name in concat(keys(output.stack.queues), keys(output.stack.redrive.destinations)) : name if startswith(name, "offchain-faucet")]) == 0
    error_message = "It gives away coins, and not everyone's: ${jsonencode(output.stack)}"
  }

  assert {
    condition     = local.api_alarms.latency_ms == 3000
    error_message = "Without a faucet nobody is kept waiting."
  }
}

run "the_ledger_is_left_out_unless_asked_for" {
  assert {
    condition     = length(module.ledger) == 0 && output.stack.ledger == null && length([for name in concat(keys(output.stack.queues), keys(output.stack.redrive.destinations)) : name if startswith(name, "offchain-ledger")]) == 0
    error_message = "It needs a node, which not everyone has: ${jsonencode(output.stack)}"
  }
}

run "without_subsystems_the_shared_parts_are_left" {
  variables {
    vrf    = null
    oracle = null
  }

  assert {
    condition     = length(module.vrf) + length(module.oracle) + length(module.rides) + length(module.faucet) + length(module.ledger) + length(output.stack.queues) + length(output.stack.redrive.destinations) == 0
    error_message = "Something is left: ${jsonencode(output.stack)}"
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

run "a_dead_letter_queue_that_is_not_its_own_arn_is_refused" {
  command = plan

  module {
    source = "./modules/dead_letter_queue"
  }

  variables {
    name            = "offchain-x-dlq"
    arn             = "arn:aws:sqs:us-east-1:123456789012:offchain-y-dlq"
    alarm_topic_arn = "arn:aws:sns:us-east-1:123456789012:offchain-alarms"
  }

  expect_failures = [var.arn]
}

run "the_api_rings_for_what_it_answers_and_how_late" {
  module {
    source = "./modules/http_api"
  }

  variables {
    name               = "offchain"
    alarms             = { client_errors = 20, latency_ms = 1500 }
    log_retention_days = 7
    alarm_topic_arn    = "arn:aws:sns:us-east-1:123456789012:offchain-alarms"
  }

  assert {
    condition = {
      for alarm in [aws_cloudwatch_metric_alarm.server_errors, aws_cloudwatch_metric_alarm.client_errors, aws_cloudwatch_metric_alarm.latency] :
      alarm.alarm_name => [alarm.metric_name, coalesce(alarm.statistic, alarm.extended_statistic), tostring(alarm.threshold), tostring(alarm.period)]
      } == {
      offchain-api-5xx     = ["5xx", "Sum", "0", "60"]
      offchain-api-4xx     = ["4xx", "Sum", "20", "300"]
      offchain-api-latency = ["Latency", "p99", "1500", "300"]
    }
    error_message = "An alarm looks at something else."
  }

  assert {
    condition = alltrue([
      for alarm in [aws_cloudwatch_metric_alarm.server_errors, aws_cloudwatch_metric_alarm.client_errors, aws_cloudwatch_metric_alarm.latency] :
      alarm.namespace == "AWS/ApiGateway" &&
      alarm.dimensions == tomap({ ApiId = aws_apigatewayv2_api.this.id }) &&
      alarm.comparison_operator == "GreaterThanThreshold" &&
      alarm.treat_missing_data == "notBreaching" &&
      alarm.alarm_actions == toset(["arn:aws:sns:us-east-1:123456789012:offchain-alarms"]) &&
      alarm.ok_actions == toset(["arn:aws:sns:us-east-1:123456789012:offchain-alarms"])
    ])
    error_message = "An alarm looks at another API, or tells nobody."
  }
}

run "a_table_rings_for_throttles_and_errors_of_its_own" {
  module {
    source = "./modules/table_alarms"
  }

  variables {
    table_name      = "offchain-x"
    operations      = ["GetItem", "PutItem"]
    alarm_topic_arn = "arn:aws:sns:us-east-1:123456789012:offchain-alarms"
  }

  assert {
    condition = { for name, alarm in output.alarms : name => [alarm.metric, alarm.dimensions, alarm.statistic, tostring(alarm.threshold)] } == {
      offchain-x-read-throttles        = ["ReadThrottleEvents", tomap({ TableName = "offchain-x" }), "Sum", "0"]
      offchain-x-write-throttles       = ["WriteThrottleEvents", tomap({ TableName = "offchain-x" }), "Sum", "0"]
      offchain-x-getitem-system-errors = ["SystemErrors", tomap({ TableName = "offchain-x", Operation = "GetItem" }), "Sum", "0"]
      offchain-x-putitem-system-errors = ["SystemErrors", tomap({ TableName = "offchain-x", Operation = "PutItem" }), "Sum", "0"]
    }
    error_message = "The alarms are: ${jsonencode(output.alarms)}"
  }

  assert {
    condition = alltrue([for alarm in concat(values(aws_cloudwatch_metric_alarm.throttles), values(aws_cloudwatch_metric_alarm.system_errors)) :
      alarm.namespace == "AWS/DynamoDB" &&
      alarm.comparison_operator == "GreaterThanThreshold" &&
      alarm.treat_missing_data == "notBreaching" &&
      alarm.alarm_actions == toset(["arn:aws:sns:us-east-1:123456789012:offchain-alarms"]) &&
      alarm.ok_actions == toset(["arn:aws:sns:us-east-1:123456789012:offchain-alarms"])
    ])
    error_message = "An alarm looks elsewhere, or tells nobody."
  }
}

run "table_alarms_without_an_operation_are_refused" {
  command = plan

  module {
    source = "./modules/table_alarms"
  }

  variables {
    table_name      = "offchain-x"
    operations      = []
    alarm_topic_arn = "arn:aws:sns:us-east-1:123456789012:offchain-alarms"
  }

  expect_failures = [var.operations]
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
      artifacts_bucket   = "offchain-artifacts"
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
      artifacts_bucket   = "offchain-artifacts"
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
      artifacts_bucket   = "offchain-artifacts"
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
      artifacts_bucket   = "offchain-artifacts"
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
    condition     = length(aws_lambda_function_event_invoke_config.this) == 0
    error_message = "A function that nobody invokes asynchronously has no event to keep."
  }

  # The hash is of what lies there: of an empty file.
  assert {
    condition = (
      aws_lambda_function.this.s3_bucket == "offchain-artifacts" &&
      aws_lambda_function.this.s3_key == "offchain-x/e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855.zip" &&
      aws_s3_object.artifact.source == "tests/artifacts/vrf-api/bootstrap.zip" && aws_lambda_function.this.filename == null
    )
    error_message = "Lambda must take what is built from the bucket, under a key with its hash; it takes ${aws_lambda_function.this.s3_key}"
  }

  # Lambda's default of 10 s.
  assert {
    condition = (
      aws_cloudwatch_metric_alarm.duration.alarm_name == "offchain-x-duration" &&
      aws_cloudwatch_metric_alarm.duration.metric_name == "Duration" &&
      aws_cloudwatch_metric_alarm.duration.statistic == "Maximum" &&
      aws_cloudwatch_metric_alarm.duration.threshold == 9000 &&
      aws_cloudwatch_metric_alarm.duration.period == 300 &&
      aws_cloudwatch_metric_alarm.duration.dimensions == tomap({ FunctionName = "offchain-x" }) &&
      aws_cloudwatch_metric_alarm.duration.alarm_actions == toset(["arn:aws:sns:us-east-1:123456789012:offchain-alarms"])
    )
    error_message = "A run that takes nine tenths of its time must be reported."
  }

  assert {
    condition     = aws_cloudwatch_log_group.this.retention_in_days == 7 && aws_lambda_function.this.architectures == tolist(["arm64"]) && aws_lambda_function.this.memory_size == 256
    error_message = "Retention, architecture and memory must be as told."
  }
}

run "an_event_that_failed_for_good_is_kept_with_its_function_and_error" {
  module {
    source = "./modules/function"
  }

  variables {
    name                        = "offchain-x"
    description                 = "A test."
    artifact                    = "vrf-api"
    environment                 = {}
    statements                  = []
    timeout_seconds             = 900
    async_dead_letter_queue_arn = "arn:aws:sqs:us-east-1:123456789012:offchain-x-dlq"
    shared = {
      location           = { partition = "aws", region = "us-east-1", account_id = "123456789012" }
      artifacts_dir      = "tests/artifacts"
      artifacts_bucket   = "offchain-artifacts"
      architecture       = "x86_64"
      log_level          = "info"
      log_retention_days = 30
      tracing            = false
      alarm_topic_arn    = "arn:aws:sns:us-east-1:123456789012:offchain-alarms"
    }
  }

  assert {
    condition = (
      aws_lambda_function_event_invoke_config.this[0].destination_config[0].on_failure[0].destination == "arn:aws:sqs:us-east-1:123456789012:offchain-x-dlq" &&
      length(aws_lambda_function_event_invoke_config.this[0].destination_config[0].on_success) == 0 &&
      output.dead_letter_queue_arn == "arn:aws:sqs:us-east-1:123456789012:offchain-x-dlq" &&
      output.retries == 2
    )
    error_message = "After three runs the record of a failure must go to the queue."
  }

  # It would send the bare event, too: a queue of several functions could not say whose.
  assert {
    condition     = length(aws_lambda_function.this.dead_letter_config) == 0
    error_message = "A dead_letter_config must not be set beside the destination."
  }

  assert {
    condition     = [for statement in jsondecode(output.policy).Statement : statement if statement.Sid == "DeadLetter"] == [{ Sid = "DeadLetter", Effect = "Allow", Action = ["sqs:SendMessage"], Resource = ["arn:aws:sqs:us-east-1:123456789012:offchain-x-dlq"] }]
    error_message = "The function may: ${output.policy}"
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.duration.threshold == 810000
    error_message = "Nine tenths of 900 s are 810000 ms."
  }
}

run "a_state_machine_says_where_its_failures_are_found" {
  module {
    source = "./modules/state_machine"
  }

  variables {
    name                   = "offchain-x"
    location               = { partition = "aws", region = "us-east-1", account_id = "123456789012" }
    definition             = "{}"
    function_arns          = ["arn:aws:lambda:us-east-1:123456789012:function:offchain-x"]
    dead_letter_queue_name = "offchain-x-dlq"
    log_retention_days     = 7
    alarm_topic_arn        = "arn:aws:sns:us-east-1:123456789012:offchain-alarms"
  }

  assert {
    condition     = output.type == "STANDARD" && keys(aws_cloudwatch_metric_alarm.ended_badly) == ["aborted", "failed", "timed-out"]
    error_message = "A Standard execution may fail, time out and be aborted."
  }

  assert {
    condition     = alltrue([for alarm in aws_cloudwatch_metric_alarm.ended_badly : endswith(alarm.alarm_description, "offchain-x-dlq holds its event, with the input.")])
    error_message = "The queue has the events of a Standard machine."
  }

  assert {
    condition     = !strcontains(output.policy, "sqs:")
    error_message = "A machine that sends to no queue may send to none: ${output.policy}"
  }
}

run "a_state_machine_whose_failures_go_to_no_queue_names_its_log" {
  module {
    source = "./modules/state_machine"
  }

  variables {
    name               = "offchain-x"
    role_name          = "offchain-x-machine"
    location           = { partition = "aws", region = "us-east-1", account_id = "123456789012" }
    definition         = "{}"
    function_arns      = ["arn:aws:lambda:us-east-1:123456789012:function:offchain-x"]
    log_retention_days = 7
    alarm_topic_arn    = "arn:aws:sns:us-east-1:123456789012:offchain-alarms"
  }

  assert {
    condition     = length(aws_cloudwatch_metric_alarm.ended_badly) == 3 && alltrue([for alarm in aws_cloudwatch_metric_alarm.ended_badly : endswith(alarm.alarm_description, "its log group /aws/vendedlogs/states/offchain-x has the error, with the input.")])
    error_message = "The log group has the failures."
  }

  assert {
    condition     = aws_iam_role.this.name == "offchain-x-machine" && aws_iam_role_policy.this.role == "offchain-x-machine" && aws_sfn_state_machine.this.name == "offchain-x"
    error_message = "The role must not have the name of a function's."
  }
}

run "an_express_state_machine_logs_what_it_fails_with" {
  module {
    source = "./modules/state_machine"
  }

  variables {
    name                   = "offchain-x"
    type                   = "EXPRESS"
    location               = { partition = "aws", region = "us-east-1", account_id = "123456789012" }
    definition             = "{\"TimeoutSeconds\":300}"
    function_arns          = ["arn:aws:lambda:us-east-1:123456789012:function:offchain-x"]
    queue_arns             = ["arn:aws:sqs:us-east-1:123456789012:offchain-x"]
    dead_letter_queue_name = "offchain-x-dlq"
    log_retention_days     = 7
    alarm_topic_arn        = "arn:aws:sns:us-east-1:123456789012:offchain-alarms"
  }

  assert {
    condition     = output.type == "EXPRESS" && keys(aws_cloudwatch_metric_alarm.ended_badly) == ["failed", "timed-out"]
    error_message = "An Express execution may fail and time out; nobody can abort it."
  }

  assert {
    condition     = alltrue([for alarm in aws_cloudwatch_metric_alarm.ended_badly : endswith(alarm.alarm_description, "its log group /aws/vendedlogs/states/offchain-x has the error, with the input.")])
    error_message = "The log group has the failures of an Express machine."
  }

  assert {
    condition = (
      aws_sfn_state_machine.this.logging_configuration[0].level == "ERROR" &&
      aws_sfn_state_machine.this.logging_configuration[0].include_execution_data &&
      aws_cloudwatch_log_group.this.retention_in_days == 7
    )
    error_message = "Failures must be logged with what the execution was given."
  }

  assert {
    condition     = [for statement in jsondecode(output.policy).Statement : statement.Resource if statement.Sid == "SendMessages"] == [["arn:aws:sqs:us-east-1:123456789012:offchain-x"]]
    error_message = "The machine may: ${output.policy}"
  }
}

run "an_express_machine_that_may_outlive_its_limit_is_refused" {
  command = plan

  module {
    source = "./modules/state_machine"
  }

  variables {
    name                   = "offchain-x"
    type                   = "EXPRESS"
    location               = { partition = "aws", region = "us-east-1", account_id = "123456789012" }
    definition             = "{\"TimeoutSeconds\":301}"
    function_arns          = ["arn:aws:lambda:us-east-1:123456789012:function:offchain-x"]
    dead_letter_queue_name = "offchain-x-dlq"
    log_retention_days     = 7
    alarm_topic_arn        = "arn:aws:sns:us-east-1:123456789012:offchain-alarms"
  }

  expect_failures = [var.definition]
}

run "a_machine_that_may_send_to_any_queue_is_refused" {
  command = plan

  module {
    source = "./modules/state_machine"
  }

  variables {
    name                   = "offchain-x"
    location               = { partition = "aws", region = "us-east-1", account_id = "123456789012" }
    definition             = "{}"
    function_arns          = ["arn:aws:lambda:us-east-1:123456789012:function:offchain-x"]
    queue_arns             = ["arn:aws:sqs:us-east-1:123456789012:*"]
    dead_letter_queue_name = "offchain-x-dlq"
    log_retention_days     = 7
    alarm_topic_arn        = "arn:aws:sns:us-east-1:123456789012:offchain-alarms"
  }

  expect_failures = [var.queue_arns]
}

run "schedules_may_start_machines_without_invoking_functions" {
  module {
    source = "./modules/schedules"
  }

  variables {
    name                  = "offchain-x"
    location              = { partition = "aws", region = "us-east-1", account_id = "123456789012" }
    dead_letter_queue_arn = "arn:aws:sqs:us-east-1:123456789012:offchain-x-dlq"
    schedules = {
      one = { description = "A test.", expression = "rate(1 minute)", state_machine_arn = "arn:aws:states:us-east-1:123456789012:stateMachine:offchain-x", input = "{}" }
      two = { description = "A test.", expression = "rate(1 hour)", state_machine_arn = "arn:aws:states:us-east-1:123456789012:stateMachine:offchain-x", input = "{}" }
    }
  }

  assert {
    condition = jsondecode(output.policy) == {
      Version = "2012-10-17"
      Statement = [
        { Sid = "StartExecutions", Effect = "Allow", Action = ["states:StartExecution"], Resource = ["arn:aws:states:us-east-1:123456789012:stateMachine:offchain-x"] },
        { Sid = "DeadLetter", Effect = "Allow", Action = ["sqs:SendMessage"], Resource = ["arn:aws:sqs:us-east-1:123456789012:offchain-x-dlq"] },
      ]
    }
    error_message = "The schedules may: ${output.policy}"
  }
}

run "a_schedule_of_two_targets_is_refused" {
  command = plan

  module {
    source = "./modules/schedules"
  }

  variables {
    name                  = "offchain-x"
    location              = { partition = "aws", region = "us-east-1", account_id = "123456789012" }
    dead_letter_queue_arn = "arn:aws:sqs:us-east-1:123456789012:offchain-x-dlq"
    schedules = {
      one = {
        description       = "A test."
        expression        = "rate(1 minute)"
        function_arn      = "arn:aws:lambda:us-east-1:123456789012:function:offchain-x"
        state_machine_arn = "arn:aws:states:us-east-1:123456789012:stateMachine:offchain-x"
        input             = "{}"
      }
    }
  }

  expect_failures = [var.schedules]
}

run "a_schedule_without_a_target_is_refused" {
  command = plan

  module {
    source = "./modules/schedules"
  }

  variables {
    name                  = "offchain-x"
    location              = { partition = "aws", region = "us-east-1", account_id = "123456789012" }
    dead_letter_queue_arn = "arn:aws:sqs:us-east-1:123456789012:offchain-x-dlq"
    schedules             = { one = { description = "A test.", expression = "rate(1 minute)", input = "{}" } }
  }

  expect_failures = [var.schedules]
}

run "a_dashboard_shows_its_own_widgets_first_in_rows_of_two" {
  module {
    source = "./modules/dashboard"
  }

  variables {
    name                    = "offchain-vrf"
    region                  = "eu-central-1"
    widgets                 = [{ title = "Own", metrics = [["offchain/vrf", "Own", { stat = "Sum" }]] }]
    machine_arn             = "arn:machine"
    functions               = { api = "offchain-vrf-api", start = "offchain-vrf-start" }
    queue_names             = ["offchain-vrf-requests"]
    dead_letter_queue_names = ["offchain-vrf-requests-dlq", "offchain-vrf-executions-dlq"]
    table_names             = ["offchain-vrf"]
    api_id                  = "a1b2c3"
  }

  assert {
    condition = [for widget in jsondecode(output.body).widgets : "${widget.x} ${widget.y} ${widget.properties.region} ${widget.properties.title}"] == [
      "0 0 eu-central-1 Own",
      "12 0 eu-central-1 Executions",
      "0 6 eu-central-1 Waiting: messages",
      "12 6 eu-central-1 Waiting: age of the oldest message (s)",
      "0 12 eu-central-1 Dead letters: messages",
      "12 12 eu-central-1 Functions: duration, median (ms)",
      "0 18 eu-central-1 Functions: duration, 99th percentile (ms)",
      "12 18 eu-central-1 Functions: errors and throttles",
      "0 24 eu-central-1 HTTP API: answers",
      "12 24 eu-central-1 HTTP API: latency (ms)",
      "0 30 eu-central-1 Tables: throttled calls",
    ]
    error_message = "The dashboard shows: ${output.body}"
  }

  assert {
    condition = [for index in [0, 4, 7] : jsondecode(output.body).widgets[index].properties.metrics] == [
      [["offchain/vrf", "Own", { stat = "Sum" }]],
      [
        ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", "offchain-vrf-requests-dlq", { stat = "Maximum" }],
        ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", "offchain-vrf-executions-dlq", { stat = "Maximum" }],
      ],
      [
        ["AWS/Lambda", "Errors", "FunctionName", "offchain-vrf-api", { stat = "Sum", label = "api errors" }],
        ["AWS/Lambda", "Throttles", "FunctionName", "offchain-vrf-api", { stat = "Sum", label = "api throttles" }],
        ["AWS/Lambda", "Errors", "FunctionName", "offchain-vrf-start", { stat = "Sum", label = "start errors" }],
        ["AWS/Lambda", "Throttles", "FunctionName", "offchain-vrf-start", { stat = "Sum", label = "start throttles" }],
      ],
    ]
    error_message = "The dashboard shows: ${output.body}"
  }
}

run "a_dashboard_without_a_machine_or_a_queue_has_no_widget_of_them" {
  module {
    source = "./modules/dashboard"
  }

  variables {
    name                    = "offchain-rides"
    region                  = "eu-central-1"
    functions               = { fleet = "offchain-rides-fleet" }
    dead_letter_queue_names = ["offchain-rides-record-dlq"]
    table_names             = ["offchain-rides"]
    api_id                  = "a1b2c3"
  }

  assert {
    condition     = length(jsondecode(output.body).widgets) == 7
    error_message = "The dashboard shows: ${output.body}"
  }
}

run "the_bucket_of_artifacts_is_closed_to_the_public" {
  module {
    source = "./modules/artifacts"
  }

  variables {
    name     = "offchain-artifacts-123456789012-us-east-1"
    location = { partition = "aws", region = "us-east-1", account_id = "123456789012" }
  }

  assert {
    condition = alltrue([
      aws_s3_bucket_public_access_block.this.block_public_acls,
      aws_s3_bucket_public_access_block.this.block_public_policy,
      aws_s3_bucket_public_access_block.this.ignore_public_acls,
      aws_s3_bucket_public_access_block.this.restrict_public_buckets,
    ])
    error_message = "No object may be public: ${jsonencode(aws_s3_bucket_public_access_block.this)}"
  }

  assert {
    condition = jsondecode(output.policy) == {
      Version = "2012-10-17"
      Statement = [{
        Sid       = "RefuseWithoutTls"
        Effect    = "Deny"
        Principal = "*"
        Action    = ["s3:*"]
        Resource  = ["arn:aws:s3:::offchain-artifacts-123456789012-us-east-1", "arn:aws:s3:::offchain-artifacts-123456789012-us-east-1/*"]
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      }]
    }
    error_message = "The bucket's policy is: ${output.policy}"
  }
}
