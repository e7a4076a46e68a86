output "id" {
  description = "Id of the API."
  value       = aws_apigatewayv2_api.this.id
}

output "execution_arn" {
  description = "ARN that the permissions of routes begin with."
  value       = aws_apigatewayv2_api.this.execution_arn
}

output "stage_name" {
  description = "Stage that serves the routes."
  value       = aws_apigatewayv2_stage.this.name
}

output "url" {
  description = "URL that paths such as /v1 are added to."
  value       = aws_apigatewayv2_api.this.api_endpoint
}

output "log_group_name" {
  description = "Access log group."
  value       = aws_cloudwatch_log_group.access.name
}
