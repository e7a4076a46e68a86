output "topic_arn" {
  description = "ARN of the topic; known once its policy lets alarms publish."
  value       = aws_sns_topic_policy.this.arn
}

output "topic_policy" {
  description = "Who may publish (JSON)."
  value       = aws_sns_topic_policy.this.policy
}
