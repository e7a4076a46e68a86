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
  value       = "${local.arn_prefix}${var.name}"
  depends_on  = [aws_sqs_queue.this]
}

output "visibility_timeout_seconds" {
  description = "How long a received message is hidden."
  value       = aws_sqs_queue.this.visibility_timeout_seconds
}

output "max_receive_count" {
  description = "Receives after which a message is given up."
  value       = var.max_receive_count
}

output "policy" {
  description = "The queue's policy (JSON), null where no service sends to it."
  value       = aws_sqs_queue.this.policy
}

output "redrive_policy" {
  description = "Where given-up messages go, and after how many receives (JSON)."
  value       = aws_sqs_queue_redrive_policy.this.redrive_policy
}

output "dead_letter_queue" {
  description = "The dead letter queue: name, url, arn, redrive_allow_policy."
  value       = module.dead_letter_queue
}
