# One function: its role, its exact policy, its log group and its alarms.

locals {
  zip_path       = "${var.shared.artifacts_dir}/${var.artifact}/bootstrap.zip"
  is_built       = fileexists(local.zip_path) # or it is to be destroyed, which needs no artefact
  log_group_name = "/aws/lambda/${var.name}"
  log_group_arn  = "arn:${var.shared.location.partition}:logs:${var.shared.location.region}:${var.shared.location.account_id}:log-group:${local.log_group_name}"

  # Nine tenths of the time that a run has.
  duration_alarm_ms = 900 * var.timeout_seconds

  trust_policy = {
    Version = "2012-10-17"
    Statement = [{
      Sid       = "AssumedByLambda"
      Effect    = "Allow"
      Principal = { Service = "lambda.amazonaws.com" }
      Action    = "sts:AssumeRole"
    }]
  }

  # CreateLogGroup is not among the log actions: Terraform makes the group, so
  # that no function can leave one behind without a retention.
  policy = {
    Version = "2012-10-17"
    Statement = concat(
      [{
        Sid      = "WriteLogs"
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
        Resource = ["${local.log_group_arn}:*"] # the streams of this group alone
      }],
      [for statement in var.statements : {
        Sid      = statement.sid
        Effect   = "Allow"
        Action   = statement.actions
        Resource = statement.resources
      }],
      [for arn in var.async_dead_letter_queue_arn[*] : {
        Sid      = "DeadLetter"
        Effect   = "Allow"
        Action   = ["sqs:SendMessage"]
        Resource = [arn]
      }],
      [for _ in range(var.shared.tracing ? 1 : 0) : {
        Sid      = "Trace"
        Effect   = "Allow"
        Action   = ["xray:PutTraceSegments", "xray:PutTelemetryRecords"]
        Resource = ["*"] # X-Ray has no resources to name
      }],
    )
  }
}

resource "aws_cloudwatch_log_group" "this" {
  name              = local.log_group_name
  retention_in_days = var.shared.log_retention_days
}

resource "aws_iam_role" "this" {
  name               = var.name
  description        = "What ${var.name} may do."
  assume_role_policy = jsonencode(local.trust_policy)
}

resource "aws_iam_role_policy" "this" {
  name   = "exact"
  role   = aws_iam_role.this.name
  policy = jsonencode(local.policy)
}

# Its key changes with what it holds, and so the function is updated.
resource "aws_s3_object" "artifact" {
  # checkov:skip=CKV_AWS_186:A program without secrets, under the key of S3 itself
  bucket = var.shared.artifacts_bucket
  key    = "${var.name}/${local.is_built ? filesha256(local.zip_path) : "missing"}.zip"
  source = local.zip_path

  # S3 takes ten tags an object, of which the deployment's may be more.
  override_provider {
    default_tags {
      tags = {}
    }
  }
}

resource "aws_lambda_function" "this" {
  # checkov:skip=CKV_AWS_116:Events that failed for good go to the on-failure destination below, whose record names the function and the error; a dead_letter_config would keep neither
  function_name    = var.name
  description      = var.description
  role             = aws_iam_role.this.arn
  runtime          = "provided.al2023"
  handler          = "bootstrap"
  architectures    = [var.shared.architecture]
  s3_bucket        = aws_s3_object.artifact.bucket
  s3_key           = aws_s3_object.artifact.key
  source_code_hash = local.is_built ? filebase64sha256(local.zip_path) : null
  memory_size      = var.memory_mb
  timeout          = var.timeout_seconds

  environment {
    variables = merge({ LOG_LEVEL = var.shared.log_level }, var.environment)
  }

  logging_config {
    log_format = "Text" # the function writes JSON lines itself; Lambda must not wrap them
    log_group  = local.log_group_name
  }

  tracing_config {
    mode = var.shared.tracing ? "Active" : "PassThrough"
  }

  lifecycle {
    precondition {
      condition     = local.is_built
      error_message = "${local.zip_path} is missing: build the artefacts first (scripts/build)."
    }
  }

  # A first invocation must find policy and log group. Lambda also checks the
  # role's right to send to the destination below when that is set.
  depends_on = [aws_iam_role_policy.this, aws_cloudwatch_log_group.this]
}

# A destination, not a dead_letter_config: its record names the function, so that
# functions may share a queue and each event still finds its way back.
resource "aws_lambda_function_event_invoke_config" "this" {
  count = var.async_dead_letter_queue_arn == null ? 0 : 1

  function_name                = aws_lambda_function.this.function_name
  maximum_retry_attempts       = 2
  maximum_event_age_in_seconds = 3600

  destination_config {
    on_failure {
      destination = var.async_dead_letter_queue_arn
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "errors" {
  alarm_name          = "${var.name}-errors"
  alarm_description   = "${var.name} failed ${var.error_alarm_threshold} times or more in 5 minutes; its log group ${local.log_group_name} has the error codes."
  namespace           = "AWS/Lambda"
  metric_name         = "Errors"
  dimensions          = { FunctionName = var.name }
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 1
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = var.error_alarm_threshold
  treat_missing_data  = "notBreaching"
  alarm_actions       = [var.shared.alarm_topic_arn]
  ok_actions          = [var.shared.alarm_topic_arn]
}

resource "aws_cloudwatch_metric_alarm" "throttles" {
  alarm_name          = "${var.name}-throttles"
  alarm_description   = "Lambda refused to run ${var.name}: the account's concurrency is used up."
  namespace           = "AWS/Lambda"
  metric_name         = "Throttles"
  dimensions          = { FunctionName = var.name }
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
  alarm_actions       = [var.shared.alarm_topic_arn]
  ok_actions          = [var.shared.alarm_topic_arn]
}

resource "aws_cloudwatch_metric_alarm" "duration" {
  alarm_name          = "${var.name}-duration"
  alarm_description   = "A run of ${var.name} took over ${local.duration_alarm_ms} ms; Lambda ends one after ${var.timeout_seconds} s. Look for what it waits for, or give it more time."
  namespace           = "AWS/Lambda"
  metric_name         = "Duration"
  dimensions          = { FunctionName = var.name }
  statistic           = "Maximum"
  period              = 300
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = local.duration_alarm_ms
  treat_missing_data  = "notBreaching"
  alarm_actions       = [var.shared.alarm_topic_arn]
  ok_actions          = [var.shared.alarm_topic_arn]
}
