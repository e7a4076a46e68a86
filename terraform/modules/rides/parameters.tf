# By the names that the original's other services look for.

resource "aws_ssm_parameter" "topic_arn" {
  # checkov:skip=CKV2_AWS_34:An ARN is no secret, and readers of the original ask without decryption
  name        = "/wild-rydes/${local.stage}/SnsTopicArn"
  description = "Topic that every ride is published to."
  type        = "String"
  value       = aws_sns_topic.this.arn
}

resource "aws_ssm_parameter" "record_url" {
  # checkov:skip=CKV2_AWS_34:A URL is no secret, and readers of the original ask without decryption
  name        = "/wild-rydes-ride-record/${local.stage}/URL"
  description = "URL that records a ride (POST)."
  type        = "String"
  value       = local.record_url
}
