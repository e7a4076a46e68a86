output "name" {
  description = "Name of the queue."
  value       = aws_sqs_queue.this.name
}

output "url" {
  description = "URL of the queue."
  value       = aws_sqs_queue.this.url
}

output "arn" {
  description = "ARN of the queue: known to the plan, there once the queue is."
  value       = var.arn
  depends_on  = [aws_sqs_queue.this]
}

output "policy" {
  description = "The queue's policy (JSON), null where no service sends to it."
  value       = aws_sqs_queue.this.policy
}

output "redrive_allow_policy" {
  description = "Which queues may use this one (JSON)."
  value       = aws_sqs_queue.this.redrive_allow_policy
}
