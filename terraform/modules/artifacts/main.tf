# The bucket that Lambda fetches the functions from. From files of the deployer's machine
# Terraform makes one function after the other, from a bucket all at once.

locals {
  arn = "arn:${var.location.partition}:s3:::${var.name}"
}

resource "aws_s3_bucket" "this" {
  # checkov:skip=CKV_AWS_18:Nobody but the deployer and Lambda reads it; CloudTrail has who did
  # checkov:skip=CKV_AWS_21:An object's key has its hash: none is ever changed
  # checkov:skip=CKV_AWS_144:Made anew by any deployment
  # checkov:skip=CKV_AWS_145:Programs without secrets, under the key of S3 itself
  # checkov:skip=CKV2_AWS_61:Terraform deletes what no function uses any more
  # checkov:skip=CKV2_AWS_62:Nothing waits for its objects
  bucket        = var.name
  force_destroy = true
}

resource "aws_s3_bucket_public_access_block" "this" {
  bucket                  = aws_s3_bucket.this.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_policy" "this" {
  bucket = aws_s3_bucket.this.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "RefuseWithoutTls"
      Effect    = "Deny"
      Principal = "*"
      Action    = ["s3:*"]
      Resource  = [local.arn, "${local.arn}/*"] # a refusal has to name everything
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
  })

  # Each changes the bucket, and S3 takes one change at a time.
  depends_on = [aws_s3_bucket_public_access_block.this]
}
