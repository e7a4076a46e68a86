output "bucket" {
  description = "Name of the bucket, known once it is closed to the public."
  value       = aws_s3_bucket.this.id
  depends_on  = [aws_s3_bucket_public_access_block.this, aws_s3_bucket_policy.this]
}

output "policy" {
  description = "The bucket's policy (JSON)."
  value       = aws_s3_bucket_policy.this.policy
}
