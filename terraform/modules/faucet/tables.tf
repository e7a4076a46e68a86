# One item a claim.
resource "aws_dynamodb_table" "claims" {
  # checkov:skip=CKV_AWS_119:An AWS-managed key; a key of one's own costs by the month, and a payout is public anyway
  name                        = local.claims_table_name
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "claim_id"
  deletion_protection_enabled = var.shared.deletion_protection

  attribute {
    name = "claim_id"
    type = "S"
  }

  attribute {
    name = "open"
    type = "S"
  }

  attribute {
    name = "created_time"
    type = "S"
  }

  # Sparse: `open` is removed when a claim ends. The payer finds what waits here,
  # the oldest first.
  global_secondary_index {
    name            = local.open_claims_index_name
    hash_key        = "open"
    range_key       = "created_time"
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

# One item a sequence number of the account, with every transaction that was signed
# for it. No TTL: it says for ever what a number was used for.
resource "aws_dynamodb_table" "payouts" {
  # checkov:skip=CKV_AWS_119:An AWS-managed key; a signed transaction is made to be public
  name                        = local.payouts_table_name
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "account"
  range_key                   = "sequence"
  deletion_protection_enabled = var.shared.deletion_protection

  attribute {
    name = "account"
    type = "S"
  }

  attribute {
    name = "sequence"
    type = "N"
  }

  attribute {
    name = "open"
    type = "S"
  }

  # Sparse: `open` is removed when a payout is settled.
  global_secondary_index {
    name            = local.open_payouts_index_name
    hash_key        = "open"
    range_key       = "sequence"
    projection_type = "ALL"
  }

  point_in_time_recovery {
    enabled = true
  }

  server_side_encryption {
    enabled = true
  }
}

# The lease, and what its holder remembers from one run to the next. No TTL: a lock
# that vanished would forget its fencing token.
resource "aws_dynamodb_table" "locks" {
  # checkov:skip=CKV_AWS_119:An AWS-managed key; numbers of a public account
  name                        = local.locks_table_name
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "Name"
  deletion_protection_enabled = var.shared.deletion_protection

  attribute {
    name = "Name"
    type = "S"
  }

  point_in_time_recovery {
    enabled = true
  }

  server_side_encryption {
    enabled = true
  }
}

# Cooldowns, counts, the day's budget, the throttle, challenges that were used.
resource "aws_dynamodb_table" "limits" {
  # checkov:skip=CKV_AWS_119:An AWS-managed key; a key of one's own costs by the month, and who may read the table may use it as well
  name                        = local.limits_table_name
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "limit"
  deletion_protection_enabled = var.shared.deletion_protection

  attribute {
    name = "limit"
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

module "table_alarms" {
  source = "../table_alarms"
  for_each = {
    (local.claims_table_name)  = ["GetItem", "Query", "TransactWriteItems", "UpdateItem"]
    (local.payouts_table_name) = ["GetItem", "Query", "TransactWriteItems", "UpdateItem"]
    (local.locks_table_name)   = ["GetItem", "TransactWriteItems", "UpdateItem"]
    (local.limits_table_name)  = ["GetItem", "TransactWriteItems", "UpdateItem"]
  }

  table_name      = each.key
  operations      = each.value
  alarm_topic_arn = var.shared.alarm_topic_arn
}
