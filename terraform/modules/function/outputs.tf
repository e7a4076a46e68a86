output "name" {
  description = "Name of the function."
  value       = aws_lambda_function.this.function_name
}

output "arn" {
  description = "ARN of the function, without a version: known to the plan, there once the function is."
  value       = "arn:${var.shared.location.partition}:lambda:${var.shared.location.region}:${var.shared.location.account_id}:function:${var.name}"
  depends_on  = [aws_lambda_function.this]
}

output "invoke_arn" {
  description = "ARN by which API Gateway invokes the function."
  value       = aws_lambda_function.this.invoke_arn
}

output "environment" {
  description = "The function's whole environment."
  value       = aws_lambda_function.this.environment[0].variables
}

output "retries" {
  description = "Further runs of an asynchronous event that failed; null for a function that is not invoked so."
  value       = one(aws_lambda_function_event_invoke_config.this[*].maximum_retry_attempts)
}

output "dead_letter_queue_arn" {
  description = "Queue for asynchronous events that failed for good; null for a function that is not invoked so."
  value       = one(aws_lambda_function_event_invoke_config.this[*].destination_config[0].on_failure[0].destination)
}

output "log_group_name" {
  description = "Log group of the function."
  value       = aws_cloudwatch_log_group.this.name
}

output "policy" {
  description = "The role's whole policy (JSON): tests hold it against the expected document."
  value       = aws_iam_role_policy.this.policy
}

output "trust_policy" {
  description = "Who may assume the role (JSON)."
  value       = aws_iam_role.this.assume_role_policy
}
