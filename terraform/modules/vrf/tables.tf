# A request has one item, and its fulfilment one more: `action` tells them apart.
resource "aws_dynamodb_table" "requests" {
  # checkov:skip=CKV_AWS_119:An AWS-managed key; a key of one's own costs by the month and a proof is public anyway
  name                        = local.prefix
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "unique_identifier"
  range_key                   = "action"
  deletion_protection_enabled = var.shared.deletion_protection

  attribute {
    name = "unique_identifier"
    type = "S"
  }

  attribute {
    name = "action"
    type = "S"
  }

  attribute {
    name = "open"
    type = "S"
  }

  attribute {
    name = "deadline"
    type = "S"
  }

  # Sparse: `open` is removed when a request ends, so the sweep for overdue
  # requests reads those alone.
  global_secondary_index {
    name            = local.open_index_name
    hash_key        = "open"
    range_key       = "deadline"
    projection_type = "ALL"
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

# No TTL: an old proof is checked against the key of its epoch for ever.
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
