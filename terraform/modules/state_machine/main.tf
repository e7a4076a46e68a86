# One state machine: its role, its log group and its alarms.

locals {
  arn_region = "${var.location.partition}:states:${var.location.region}:${var.location.account_id}"
  arn        = "arn:${local.arn_region}:stateMachine:${var.name}"

  log_group_name = "/aws/vendedlogs/states/${var.name}"

  trust_policy = {
    Version = "2012-10-17"
    Statement = [{
      Sid       = "AssumedByThisMachine"
      Effect    = "Allow"
      Principal = { Service = "states.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = {
        ArnEquals    = { "aws:SourceArn" = local.arn }
        StringEquals = { "aws:SourceAccount" = var.location.account_id }
      }
    }]
  }

  policy = {
    Version = "2012-10-17"
    Statement = concat(
      [{
        Sid      = "InvokeFunctions"
        Effect   = "Allow"
        Action   = ["lambda:InvokeFunction"]
        Resource = var.function_arns
      }],
      length(var.queue_arns) == 0 ? [] : [{
        Sid      = "SendMessages"
        Effect   = "Allow"
        Action   = ["sqs:SendMessage"]
        Resource = var.queue_arns
      }],
      [{
        # Log delivery knows no resources: AWS documents "*" as the only value.
        Sid    = "DeliverLogs"
        Effect = "Allow"
        Action = [
          "logs:CreateLogDelivery",
          "logs:DeleteLogDelivery",
          "logs:DescribeLogGroups",
          "logs:DescribeResourcePolicies",
          "logs:GetLogDelivery",
          "logs:ListLogDeliveries",
          "logs:PutResourcePolicy",
          "logs:UpdateLogDelivery",
        ]
        Resource = ["*"]
      }],
    )
  }

  # Where whoever reads an alarm finds the execution.
  evidence = (
    var.type == "STANDARD" && var.dead_letter_queue_name != null
    ? "${coalesce(var.dead_letter_queue_name, "-")} holds its event, with the input"
    : "its log group ${local.log_group_name} has the error, with the input"
  )

  # No Express execution can be aborted.
  alarms = merge(
    {
      failed    = "ExecutionsFailed"
      timed-out = "ExecutionsTimedOut"
    },
    var.type == "STANDARD" ? { aborted = "ExecutionsAborted" } : {},
  )
}

# Under /aws/vendedlogs/, where log delivery shares one resource policy: under
# other names each group adds to a policy that ends at 5120 characters.
resource "aws_cloudwatch_log_group" "this" {
  name              = local.log_group_name
  retention_in_days = var.log_retention_days
}

resource "aws_iam_role" "this" {
  name               = coalesce(var.role_name, var.name)
  description        = "What the state machine ${var.name} may do."
  assume_role_policy = jsonencode(local.trust_policy)
}

resource "aws_iam_role_policy" "this" {
  name   = "exact"
  role   = aws_iam_role.this.name
  policy = jsonencode(local.policy)
}

resource "aws_sfn_state_machine" "this" {
  # checkov:skip=CKV_AWS_284:A Standard execution's history names its every state for 90 days, and what fails is logged; traces would cost by the execution
  name       = var.name
  type       = var.type
  role_arn   = aws_iam_role.this.arn
  definition = var.definition

  # Failures only, with what they were given. The history of a Standard execution
  # is kept for 90 days anyway; an Express one has none, so this is all there is of
  # it, and logging every state of it would cost more than running it.
  logging_configuration {
    level                  = "ERROR"
    include_execution_data = true
    log_destination        = "${aws_cloudwatch_log_group.this.arn}:*"
  }

  depends_on = [aws_iam_role_policy.this]
}

resource "aws_cloudwatch_metric_alarm" "ended_badly" {
  for_each = local.alarms

  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = "An execution of ${var.name} ended ${each.key}; ${local.evidence}."
  namespace           = "AWS/States"
  metric_name         = each.value
  dimensions          = { StateMachineArn = local.arn }
  statistic           = "Sum"
  period              = 60
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
  alarm_actions       = [var.alarm_topic_arn]
  ok_actions          = [var.alarm_topic_arn]
}
