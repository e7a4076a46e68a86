# A rule that puts executions of one state machine that ended badly into a dead letter
# queue. A Standard machine tells of itself by status events; an Express one has none.

resource "aws_cloudwatch_event_rule" "this" {
  name        = var.name
  description = "Executions of ${var.machine.name} that did not succeed."
  event_pattern = jsonencode({
    source      = ["aws.states"]
    detail-type = ["Step Functions Execution Status Change"]
    detail = {
      stateMachineArn = [var.machine.arn]
      status          = ["FAILED", "TIMED_OUT", "ABORTED"]
    }
  })
}

resource "aws_cloudwatch_event_target" "dead_letter_queue" {
  rule      = aws_cloudwatch_event_rule.this.name
  target_id = "executions-dlq"
  arn       = var.dead_letter_queue_arn

  dead_letter_config {
    arn = var.undelivered_queue_arn
  }
}
