output "rule" {
  description = "The rule: name, and pattern (JSON)."
  value = {
    name    = aws_cloudwatch_event_rule.this.name
    pattern = aws_cloudwatch_event_rule.this.event_pattern
  }
}

output "queue_arns" {
  description = "Where executions go, and where what could not be handed over."
  value = {
    dead_letters = aws_cloudwatch_event_target.dead_letter_queue.arn
    undelivered  = aws_cloudwatch_event_target.dead_letter_queue.dead_letter_config[0].arn
  }
}
