# The rides: every policy exactly, and what its parts hand to each other.

mock_provider "aws" {
  source = "./tests/mocks"
}

override_resource {
  target = aws_sns_topic.this
  values = { arn = "arn:aws:sns:us-east-1:123456789012:offchain-rides" }
}

variables {
  name = "offchain"
  api = {
    id            = "a1b2c3"
    execution_arn = "arn:aws:execute-api:us-east-1:123456789012:a1b2c3"
    stage_name    = "$default"
    url           = "https://a1b2c3.execute-api.us-east-1.amazonaws.com"
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
    stage                = null
    publish              = "sns"
    subscribers          = ["lambda"]
    record_authorization = "NONE"
    fleet = {
      Bucephalus = { color = "Golden", attributes = {} }
      Shadowfax  = { color = "White", attributes = {} }
      Rocinante  = { color = "Yellow", attributes = {} }
    }
  }
}

run "each_role_may_do_exactly_this" {
  module {
    source = "./modules/rides"
  }

  assert {
    condition = jsondecode(module.request.policy) == {
      Version = "2012-10-17"
      Statement = [
        { Sid = "WriteLogs", Effect = "Allow", Action = ["logs:CreateLogStream", "logs:PutLogEvents"], Resource = ["arn:aws:logs:us-east-1:123456789012:log-group:/aws/lambda/offchain-rides-request:*"] },
        {
          Sid    = "InvokeFleetAndRecorder"
          Effect = "Allow"
          Action = ["lambda:InvokeFunction"]
          Resource = [
            "arn:aws:lambda:us-east-1:123456789012:function:offchain-rides-fleet",
            "arn:aws:lambda:us-east-1:123456789012:function:offchain-rides-record-http",
          ]
        },
        { Sid = "PublishRides", Effect = "Allow", Action = ["sns:Publish"], Resource = ["arn:aws:sns:us-east-1:123456789012:offchain-rides"] },
        { Sid = "KeepUnsent", Effect = "Allow", Action = ["sqs:SendMessage"], Resource = ["arn:aws:sqs:us-east-1:123456789012:offchain-rides-unsent-dlq"] },
      ]
    }
    error_message = "rides-request may: ${module.request.policy}"
  }

  assert {
    condition = jsondecode(module.fleet.policy) == {
      Version = "2012-10-17"
      Statement = [
        { Sid = "WriteLogs", Effect = "Allow", Action = ["logs:CreateLogStream", "logs:PutLogEvents"], Resource = ["arn:aws:logs:us-east-1:123456789012:log-group:/aws/lambda/offchain-rides-fleet:*"] },
        { Sid = "ReadFleet", Effect = "Allow", Action = ["dynamodb:Scan"], Resource = ["arn:aws:dynamodb:us-east-1:123456789012:table/offchain-rides-fleet"] },
      ]
    }
    error_message = "rides-fleet may: ${module.fleet.policy}"
  }

  assert {
    condition = jsondecode(module.record_http.policy) == {
      Version = "2012-10-17"
      Statement = [
        { Sid = "WriteLogs", Effect = "Allow", Action = ["logs:CreateLogStream", "logs:PutLogEvents"], Resource = ["arn:aws:logs:us-east-1:123456789012:log-group:/aws/lambda/offchain-rides-record-http:*"] },
        { Sid = "RecordRides", Effect = "Allow", Action = ["dynamodb:PutItem"], Resource = ["arn:aws:dynamodb:us-east-1:123456789012:table/offchain-rides"] },
      ]
    }
    error_message = "rides-record-http may: ${module.record_http.policy}"
  }

  assert {
    condition = jsondecode(module.record_sns.policy) == {
      Version = "2012-10-17"
      Statement = [
        { Sid = "WriteLogs", Effect = "Allow", Action = ["logs:CreateLogStream", "logs:PutLogEvents"], Resource = ["arn:aws:logs:us-east-1:123456789012:log-group:/aws/lambda/offchain-rides-record-sns:*"] },
        { Sid = "RecordRides", Effect = "Allow", Action = ["dynamodb:PutItem"], Resource = ["arn:aws:dynamodb:us-east-1:123456789012:table/offchain-rides"] },
        { Sid = "DeadLetter", Effect = "Allow", Action = ["sqs:SendMessage"], Resource = ["arn:aws:sqs:us-east-1:123456789012:offchain-rides-record-dlq"] },
      ]
    }
    error_message = "rides-record-sns may: ${module.record_sns.policy}"
  }

  assert {
    condition = alltrue([for function in [module.request, module.fleet, module.record_http, module.record_sns] :
      jsondecode(function.trust_policy) == {
        Version = "2012-10-17"
        Statement = [
          { Sid = "AssumedByLambda", Effect = "Allow", Principal = { Service = "lambda.amazonaws.com" }, Action = "sts:AssumeRole" },
        ]
      }
    ])
    error_message = "A function's role must be assumed by Lambda alone."
  }
}

run "a_ride_reaches_its_record_or_a_queue" {
  module {
    source = "./modules/rides"
  }

  assert {
    condition = (
      length(aws_sns_topic_subscription.function) == 1 && length(aws_sns_topic_subscription.queue) == 0 &&
      aws_sns_topic_subscription.function[0].topic_arn == "arn:aws:sns:us-east-1:123456789012:offchain-rides" &&
      aws_sns_topic_subscription.function[0].protocol == "lambda" &&
      aws_sns_topic_subscription.function[0].endpoint == "arn:aws:lambda:us-east-1:123456789012:function:offchain-rides-record-sns" &&
      jsondecode(aws_sns_topic_subscription.function[0].redrive_policy) == { deadLetterTargetArn = "arn:aws:sqs:us-east-1:123456789012:offchain-rides-subscription-dlq" }
    )
    error_message = "The topic must hand its messages to rides-record-sns, and to a queue what it cannot hand over."
  }

  assert {
    condition = (
      aws_lambda_permission.topic[0].function_name == "offchain-rides-record-sns" &&
      aws_lambda_permission.topic[0].principal == "sns.amazonaws.com" &&
      aws_lambda_permission.topic[0].action == "lambda:InvokeFunction" &&
      aws_lambda_permission.topic[0].source_arn == "arn:aws:sns:us-east-1:123456789012:offchain-rides"
    )
    error_message = "This topic, and no other, may invoke rides-record-sns."
  }

  assert {
    condition     = aws_sns_topic.this.name == "offchain-rides" && aws_sns_topic.this.kms_master_key_id == "alias/aws/sns"
    error_message = "The topic is ${aws_sns_topic.this.name}, encrypted with ${coalesce(aws_sns_topic.this.kms_master_key_id, "nothing")}."
  }

  assert {
    condition = jsondecode(module.subscription_dlq.policy) == {
      Version = "2012-10-17"
      Statement = [{
        Sid       = "RidesUndelivered"
        Effect    = "Allow"
        Principal = { Service = "sns.amazonaws.com" }
        Action    = "sqs:SendMessage"
        Resource  = "arn:aws:sqs:us-east-1:123456789012:offchain-rides-subscription-dlq"
        Condition = { ArnEquals = { "aws:SourceArn" = "arn:aws:sns:us-east-1:123456789012:offchain-rides" } }
      }]
    }
    error_message = "subscription-dlq has: ${module.subscription_dlq.policy}"
  }

  assert {
    # A mock makes up a policy where none is set.
    condition     = !anytrue([for queue in [module.record_dlq, module.unsent_dlq] : can(jsondecode(queue.policy).Statement)])
    error_message = "Only roles may send to record-dlq and unsent-dlq."
  }

  assert {
    condition     = alltrue([for queue in [module.record_dlq, module.subscription_dlq, module.unsent_dlq] : jsondecode(queue.redrive_allow_policy) == { redrivePermission = "denyAll" }])
    error_message = "No queue may use one of these as its dead letter queue."
  }

  assert {
    condition     = module.record_sns.retries == 2 && module.record_sns.dead_letter_queue_arn == "arn:aws:sqs:us-east-1:123456789012:offchain-rides-record-dlq"
    error_message = "rides-record-sns must be run three times and its event then be kept."
  }

  assert {
    condition     = alltrue([for function in [module.request, module.fleet, module.record_http] : function.retries == null && function.dead_letter_queue_arn == null])
    error_message = "A function that is invoked and answered has its caller to retry."
  }

  assert {
    condition = output.dead_letter_queues == {
      offchain-rides-record-dlq = {
        arn          = "arn:aws:sqs:us-east-1:123456789012:offchain-rides-record-dlq"
        destinations = ["arn:aws:lambda:us-east-1:123456789012:function:offchain-rides-record-sns"]
        default      = "arn:aws:lambda:us-east-1:123456789012:function:offchain-rides-record-sns"
      }
      offchain-rides-subscription-dlq = {
        arn          = "arn:aws:sqs:us-east-1:123456789012:offchain-rides-subscription-dlq"
        destinations = ["arn:aws:lambda:us-east-1:123456789012:function:offchain-rides-record-sns"]
        default      = "arn:aws:lambda:us-east-1:123456789012:function:offchain-rides-record-sns"
      }
      offchain-rides-unsent-dlq = {
        arn          = "arn:aws:sqs:us-east-1:123456789012:offchain-rides-unsent-dlq"
        destinations = ["arn:aws:sns:us-east-1:123456789012:offchain-rides"]
        default      = "arn:aws:sns:us-east-1:123456789012:offchain-rides"
      }
    }
    error_message = "What is dead-lettered goes back to: ${jsonencode(output.dead_letter_queues)}"
  }

  assert {
    condition     = keys(output.queues) == keys(output.dead_letter_queues) && alltrue([for queue in output.queues : queue.dead_letter])
    error_message = "The queues are: ${jsonencode(output.queues)}"
  }
}

run "each_function_is_told_exactly_this" {
  module {
    source = "./modules/rides"
  }

  assert {
    condition = module.request.environment == tomap({
      LOG_LEVEL              = "info"
      RIDES_FLEET_FUNCTION   = "offchain-rides-fleet"
      RIDES_PUBLISH          = "sns"
      RIDES_TOPIC_ARN        = "arn:aws:sns:us-east-1:123456789012:offchain-rides"
      RIDES_RECORD_FUNCTION  = "offchain-rides-record-http"
      RIDES_UNSENT_QUEUE_URL = "https://sqs.us-east-1.amazonaws.com/123456789012/mock"
    })
    error_message = "rides-request has: ${jsonencode(module.request.environment)}"
  }

  assert {
    condition     = module.fleet.environment == tomap({ LOG_LEVEL = "info", RIDES_FLEET_TABLE = "offchain-rides-fleet" })
    error_message = "rides-fleet has: ${jsonencode(module.fleet.environment)}"
  }

  assert {
    condition     = alltrue([for function in [module.record_http, module.record_sns] : function.environment == tomap({ LOG_LEVEL = "info", RIDES_TABLE = "offchain-rides" })])
    error_message = "The recorders have: ${jsonencode([module.record_http.environment, module.record_sns.environment])}"
  }
}

run "routes_lead_to_their_functions_and_to_nothing_else" {
  module {
    source = "./modules/rides"
  }

  assert {
    condition = { for route in aws_apigatewayv2_route.this : route.route_key => route.target } == {
      "POST /ride"    = "integrations/${aws_apigatewayv2_integration.api["request"].id}"
      "OPTIONS /ride" = "integrations/${aws_apigatewayv2_integration.api["request"].id}"
      "GET /unicorn"  = "integrations/${aws_apigatewayv2_integration.api["fleet"].id}"
      "POST /record"  = "integrations/${aws_apigatewayv2_integration.api["record-http"].id}"
    }
    error_message = "The routes are: ${jsonencode([for route in aws_apigatewayv2_route.this : route.route_key])}"
  }

  assert {
    condition     = alltrue([for route in aws_apigatewayv2_route.this : route.authorization_type == "NONE"])
    error_message = "A route asks for authorization that nobody set."
  }

  assert {
    condition = { for permission in aws_lambda_permission.api : permission.source_arn => permission.function_name } == {
      "arn:aws:execute-api:us-east-1:123456789012:a1b2c3/$default/POST/ride"    = "offchain-rides-request"
      "arn:aws:execute-api:us-east-1:123456789012:a1b2c3/$default/OPTIONS/ride" = "offchain-rides-request"
      "arn:aws:execute-api:us-east-1:123456789012:a1b2c3/$default/GET/unicorn"  = "offchain-rides-fleet"
      "arn:aws:execute-api:us-east-1:123456789012:a1b2c3/$default/POST/record"  = "offchain-rides-record-http"
    }
    error_message = "API Gateway may invoke: ${jsonencode({ for permission in aws_lambda_permission.api : permission.source_arn => permission.function_name })}"
  }

  assert {
    condition     = alltrue([for permission in aws_lambda_permission.api : permission.principal == "apigateway.amazonaws.com" && permission.action == "lambda:InvokeFunction"])
    error_message = "API Gateway alone may invoke the functions by a route."
  }

  assert {
    condition = { for parameter in [aws_ssm_parameter.topic_arn, aws_ssm_parameter.record_url] : parameter.name => [parameter.type, nonsensitive(parameter.value)] } == {
      "/wild-rydes/offchain/SnsTopicArn"     = ["String", "arn:aws:sns:us-east-1:123456789012:offchain-rides"]
      "/wild-rydes-ride-record/offchain/URL" = ["String", "https://a1b2c3.execute-api.us-east-1.amazonaws.com/record"]
    }
    error_message = "The parameters must have the original's names, under the suite's name as stage."
  }
}

run "tables_are_seeded_protected_and_watched" {
  module {
    source = "./modules/rides"
  }

  assert {
    condition = alltrue([for table in [aws_dynamodb_table.rides, aws_dynamodb_table.fleet] :
      table.deletion_protection_enabled && table.point_in_time_recovery[0].enabled && table.server_side_encryption[0].enabled && table.billing_mode == "PAY_PER_REQUEST" && length(table.ttl) == 0
    ])
    error_message = "Each table must be protected, recoverable, encrypted, billed by the request and kept."
  }

  assert {
    condition     = { for table in [aws_dynamodb_table.rides, aws_dynamodb_table.fleet] : table.name => [table.hash_key, coalesce(table.range_key, "none")] } == { offchain-rides = ["RideId", "none"], offchain-rides-fleet = ["Name", "none"] }
    error_message = "A table has another name or key than the functions use."
  }

  assert {
    condition = { for name, item in aws_dynamodb_table_item.fleet : name => [item.table_name, item.hash_key, item.item] } == {
      Bucephalus = ["offchain-rides-fleet", "Name", "{\"Color\":{\"S\":\"Golden\"},\"Name\":{\"S\":\"Bucephalus\"}}"]
      Shadowfax  = ["offchain-rides-fleet", "Name", "{\"Color\":{\"S\":\"White\"},\"Name\":{\"S\":\"Shadowfax\"}}"]
      Rocinante  = ["offchain-rides-fleet", "Name", "{\"Color\":{\"S\":\"Yellow\"},\"Name\":{\"S\":\"Rocinante\"}}"]
    }
    error_message = "The fleet is: ${jsonencode(aws_dynamodb_table_item.fleet)}"
  }

  assert {
    condition = concat(keys(module.rides_table_alarms.alarms), keys(module.fleet_table_alarms.alarms)) == [
      "offchain-rides-putitem-system-errors",
      "offchain-rides-read-throttles",
      "offchain-rides-write-throttles",
      "offchain-rides-fleet-read-throttles",
      "offchain-rides-fleet-scan-system-errors",
      "offchain-rides-fleet-write-throttles",
    ]
    error_message = "The alarms are: ${jsonencode([module.rides_table_alarms.alarms, module.fleet_table_alarms.alarms])}"
  }

  assert {
    condition = module.dashboard.name == "offchain-rides" && [for widget in jsondecode(module.dashboard.body).widgets : widget.properties.title] == [
      "Rides published and undelivered",
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
}

run "a_queue_may_stand_between_topic_and_recorder" {
  module {
    source = "./modules/rides"
  }

  variables {
    settings = {
      stage                = "prod"
      publish              = "http"
      subscribers          = ["sqs"]
      record_authorization = "AWS_IAM"
      fleet                = { Pegasus = { color = "Silver", attributes = { Gender = "Male" } } }
    }
  }

  assert {
    condition = (
      length(aws_sns_topic_subscription.function) == 0 && length(aws_lambda_permission.topic) == 0 &&
      aws_sns_topic_subscription.queue[0].topic_arn == "arn:aws:sns:us-east-1:123456789012:offchain-rides" &&
      aws_sns_topic_subscription.queue[0].protocol == "sqs" &&
      aws_sns_topic_subscription.queue[0].endpoint == "arn:aws:sqs:us-east-1:123456789012:offchain-rides-events" &&
      aws_sns_topic_subscription.queue[0].raw_message_delivery == false &&
      jsondecode(aws_sns_topic_subscription.queue[0].redrive_policy) == { deadLetterTargetArn = "arn:aws:sqs:us-east-1:123456789012:offchain-rides-subscription-dlq" }
    )
    error_message = "The topic must hand its messages to the queue alone, in their envelope."
  }

  assert {
    condition = jsondecode(module.events_queue[0].policy) == {
      Version = "2012-10-17"
      Statement = [{
        Sid       = "RidesPublished"
        Effect    = "Allow"
        Principal = { Service = "sns.amazonaws.com" }
        Action    = "sqs:SendMessage"
        Resource  = "arn:aws:sqs:us-east-1:123456789012:offchain-rides-events"
        Condition = { ArnEquals = { "aws:SourceArn" = "arn:aws:sns:us-east-1:123456789012:offchain-rides" } }
      }]
    }
    error_message = "events has: ${module.events_queue[0].policy}"
  }

  assert {
    condition = (
      jsondecode(module.events_queue[0].redrive_policy) == { deadLetterTargetArn = "arn:aws:sqs:us-east-1:123456789012:offchain-rides-events-dlq", maxReceiveCount = 5 } &&
      jsondecode(module.events_queue[0].dead_letter_queue.redrive_allow_policy) == { redrivePermission = "byQueue", sourceQueueArns = ["arn:aws:sqs:us-east-1:123456789012:offchain-rides-events"] } &&
      module.events_queue[0].visibility_timeout_seconds == 60
    )
    error_message = "The queue must hide a message six times the 10 s of rides-record-sns, and give it up after five receives."
  }

  assert {
    condition = (
      aws_lambda_event_source_mapping.events[0].event_source_arn == "arn:aws:sqs:us-east-1:123456789012:offchain-rides-events" &&
      aws_lambda_event_source_mapping.events[0].function_name == "arn:aws:lambda:us-east-1:123456789012:function:offchain-rides-record-sns" &&
      aws_lambda_event_source_mapping.events[0].batch_size == 10 &&
      aws_lambda_event_source_mapping.events[0].function_response_types == toset(["ReportBatchItemFailures"])
    )
    error_message = "rides-record-sns must be given ten messages and report the failed ones."
  }

  assert {
    condition = jsondecode(module.record_sns.policy) == {
      Version = "2012-10-17"
      Statement = [
        { Sid = "WriteLogs", Effect = "Allow", Action = ["logs:CreateLogStream", "logs:PutLogEvents"], Resource = ["arn:aws:logs:us-east-1:123456789012:log-group:/aws/lambda/offchain-rides-record-sns:*"] },
        { Sid = "RecordRides", Effect = "Allow", Action = ["dynamodb:PutItem"], Resource = ["arn:aws:dynamodb:us-east-1:123456789012:table/offchain-rides"] },
        { Sid = "ReceiveEvents", Effect = "Allow", Action = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"], Resource = ["arn:aws:sqs:us-east-1:123456789012:offchain-rides-events"] },
        { Sid = "RefuseEvents", Effect = "Allow", Action = ["sqs:SendMessage"], Resource = ["arn:aws:sqs:us-east-1:123456789012:offchain-rides-events-dlq"] },
        { Sid = "DeadLetter", Effect = "Allow", Action = ["sqs:SendMessage"], Resource = ["arn:aws:sqs:us-east-1:123456789012:offchain-rides-record-dlq"] },
      ]
    }
    error_message = "rides-record-sns may: ${module.record_sns.policy}"
  }

  assert {
    condition = module.record_sns.environment == tomap({
      LOG_LEVEL            = "info"
      RIDES_TABLE          = "offchain-rides"
      RIDES_EVENTS_DLQ_URL = "https://sqs.us-east-1.amazonaws.com/123456789012/mock"
      RIDES_MAX_RECEIVES   = "5"
    })
    error_message = "rides-record-sns has: ${jsonencode(module.record_sns.environment)}"
  }

  assert {
    condition     = { for name, queue in output.queues : name => queue.dead_letter if startswith(name, "offchain-rides-events") } == { offchain-rides-events = false, offchain-rides-events-dlq = true }
    error_message = "The queues are: ${jsonencode(output.queues)}"
  }

  assert {
    condition = output.dead_letter_queues["offchain-rides-events-dlq"] == {
      arn          = "arn:aws:sqs:us-east-1:123456789012:offchain-rides-events-dlq"
      destinations = ["arn:aws:sqs:us-east-1:123456789012:offchain-rides-events"]
      default      = "arn:aws:sqs:us-east-1:123456789012:offchain-rides-events"
    }
    error_message = "What is dead-lettered goes back to: ${jsonencode(output.dead_letter_queues)}"
  }

  # Of both ways to publish, the role holds the rights.
  assert {
    condition     = module.request.environment["RIDES_PUBLISH"] == "http" && [for statement in jsondecode(module.request.policy).Statement : statement.Sid] == ["WriteLogs", "InvokeFleetAndRecorder", "PublishRides", "KeepUnsent"]
    error_message = "rides-request has: ${jsonencode(module.request.environment)}"
  }

  assert {
    condition     = { for route in aws_apigatewayv2_route.this : route.route_key => route.authorization_type } == { "POST /ride" = "NONE", "OPTIONS /ride" = "NONE", "GET /unicorn" = "NONE", "POST /record" = "AWS_IAM" }
    error_message = "POST /record, and no other route, must ask for a signed request."
  }

  assert {
    condition     = [aws_ssm_parameter.topic_arn.name, aws_ssm_parameter.record_url.name] == ["/wild-rydes/prod/SnsTopicArn", "/wild-rydes-ride-record/prod/URL"]
    error_message = "The parameters must stand under the stage."
  }

  assert {
    condition     = [for item in aws_dynamodb_table_item.fleet : item.item] == ["{\"Color\":{\"S\":\"Silver\"},\"Gender\":{\"S\":\"Male\"},\"Name\":{\"S\":\"Pegasus\"}}"]
    error_message = "The fleet is: ${jsonencode(aws_dynamodb_table_item.fleet)}"
  }

  assert {
    condition     = contains([for widget in jsondecode(module.dashboard.body).widgets : widget.properties.title], "Waiting: age of the oldest message (s)") && contains(jsondecode(module.dashboard.body).widgets[3].properties.metrics[*][3], "offchain-rides-events-dlq")
    error_message = "The dashboard has: ${module.dashboard.body}"
  }
}

run "both_ways_to_the_recorder_may_stand_side_by_side" {
  module {
    source = "./modules/rides"
  }

  variables {
    settings = {
      stage                = null
      publish              = "sns"
      subscribers          = ["lambda", "sqs"]
      record_authorization = "NONE"
      fleet                = {}
    }
  }

  assert {
    condition = (
      [for subscription in concat(aws_sns_topic_subscription.function, aws_sns_topic_subscription.queue) : subscription.protocol] == ["lambda", "sqs"] &&
      length(aws_lambda_permission.topic) == 1 && length(aws_lambda_event_source_mapping.events) == 1
    )
    error_message = "The topic must hand each message to both."
  }

  assert {
    condition     = length(aws_dynamodb_table_item.fleet) == 0
    error_message = "A fleet may be empty."
  }
}
