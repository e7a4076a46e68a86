# Schedules that invoke functions and start state machines, under one role that
# may do just that.

locals {
  function_arns      = distinct([for schedule in var.schedules : schedule.function_arn if schedule.function_arn != null])
  state_machine_arns = distinct([for schedule in var.schedules : schedule.state_machine_arn if schedule.state_machine_arn != null])

  trust_policy = {
    Version = "2012-10-17"
    Statement = [{
      Sid       = "AssumedByScheduler"
      Effect    = "Allow"
      Principal = { Service = "scheduler.amazonaws.com" }
      Action    = "sts:AssumeRole"
      # Scheduler gives the group as the source, never the single schedule.
      Condition = {
        ArnEquals = {
          "aws:SourceArn" = "arn:${var.location.partition}:scheduler:${var.location.region}:${var.location.account_id}:schedule-group/default"
        }
        StringEquals = { "aws:SourceAccount" = var.location.account_id }
      }
    }]
  }

  policy = {
    Version = "2012-10-17"
    Statement = concat(
      length(local.function_arns) == 0 ? [] : [{
        Sid      = "InvokeFunctions"
        Effect   = "Allow"
        Action   = ["lambda:InvokeFunction"]
        Resource = local.function_arns
      }],
      length(local.state_machine_arns) == 0 ? [] : [{
        Sid      = "StartExecutions"
        Effect   = "Allow"
        Action   = ["states:StartExecution"]
        Resource = local.state_machine_arns
      }],
      [{
        Sid      = "DeadLetter"
        Effect   = "Allow"
        Action   = ["sqs:SendMessage"]
        Resource = [var.dead_letter_queue_arn]
      }],
    )
  }
}

resource "aws_iam_role" "this" {
  name               = var.name
  description        = "What the schedules of ${var.name} may do."
  assume_role_policy = jsonencode(local.trust_policy)
}

resource "aws_iam_role_policy" "this" {
  name   = "exact"
  role   = aws_iam_role.this.name
  policy = jsonencode(local.policy)
}

resource "aws_scheduler_schedule" "this" {
  for_each = var.schedules

  name                = each.key
  description         = each.value.description
  schedule_expression = each.value.expression

  flexible_time_window {
    mode = "OFF"
  }

  target {
    arn      = coalesce(each.value.function_arn, each.value.state_machine_arn)
    role_arn = aws_iam_role.this.arn
    input    = each.value.input

    # Scheduler's own part: handing the event over. What a function does with it
    # is retried, and given up, by Lambda; an execution has its own retriers.
    retry_policy {
      maximum_event_age_in_seconds = 3600
      maximum_retry_attempts       = 10
    }

    dead_letter_config {
      arn = var.dead_letter_queue_arn
    }
  }

  depends_on = [aws_iam_role_policy.this]
}
