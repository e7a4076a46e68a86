output "schedules" {
  description = "The schedules by name: expression, input, target, its dead letter queue, flexible window."
  value = { for name, schedule in aws_scheduler_schedule.this : name => {
    expression            = schedule.schedule_expression
    input                 = schedule.target[0].input
    target_arn            = schedule.target[0].arn
    dead_letter_queue_arn = schedule.target[0].dead_letter_config[0].arn
    flexible_window       = schedule.flexible_time_window[0].mode
  } }
}

output "policy" {
  description = "The role's whole policy (JSON)."
  value       = aws_iam_role_policy.this.policy
}

output "trust_policy" {
  description = "Who may assume the role (JSON)."
  value       = aws_iam_role.this.assume_role_policy
}
