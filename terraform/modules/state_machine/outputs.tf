output "name" {
  description = "Name of the machine."
  value       = aws_sfn_state_machine.this.name
}

output "type" {
  description = "STANDARD or EXPRESS."
  value       = aws_sfn_state_machine.this.type
}

output "arn" {
  description = "ARN of the machine: known to the plan, there once the machine is."
  value       = local.arn
  depends_on  = [aws_sfn_state_machine.this]
}

output "log_group_name" {
  description = "Log group of failed executions."
  value       = aws_cloudwatch_log_group.this.name
}

output "definition" {
  description = "The machine as deployed (JSON)."
  value       = aws_sfn_state_machine.this.definition
}

output "policy" {
  description = "The role's whole policy (JSON)."
  value       = aws_iam_role_policy.this.policy
}

output "trust_policy" {
  description = "Who may assume the role (JSON)."
  value       = aws_iam_role.this.assume_role_policy
}
