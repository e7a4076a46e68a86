# One item a feed and slot: a reading, or why there is none.
resource "aws_dynamodb_table" "readings" {
  # checkov:skip=CKV_AWS_119:An AWS-managed key; a key of one's own costs by the month and a reading is public anyway
  name                        = local.readings_table_name
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "feed"
  range_key                   = "slot"
  deletion_protection_enabled = var.shared.deletion_protection

  attribute {
    name = "feed"
    type = "S"
  }

  attribute {
    name = "slot"
    type = "S"
  }

  ttl {
    attribute_name = "expiration"
    enabled        = true
  }

  point_in_time_recovery {
    enabled = true
  }

  server_side_encryption {
    enabled = true
  }
}

# Written here (feeds.tf), read by the functions.
resource "aws_dynamodb_table" "feeds" {
  # checkov:skip=CKV_AWS_119:Public anyway: GET /v1/feeds tells most of it
  name                        = "${local.prefix}-feeds"
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "feed"
  deletion_protection_enabled = var.shared.deletion_protection

  attribute {
    name = "feed"
    type = "S"
  }

  point_in_time_recovery {
    enabled = true
  }

  server_side_encryption {
    enabled = true
  }
}

# No TTL: an old reading is checked against the key of its epoch for ever.
resource "aws_dynamodb_table" "keys" {
  # checkov:skip=CKV_AWS_119:Public keys only
  name                        = "${local.prefix}-keys"
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "key_set"
  range_key                   = "epoch"
  deletion_protection_enabled = var.shared.deletion_protection

  attribute {
    name = "key_set"
    type = "S"
  }

  attribute {
    name = "epoch"
    type = "N"
  }

  point_in_time_recovery {
    enabled = true
  }

  server_side_encryption {
    enabled = true
  }
}
