# One item a transaction that some webhook told of: what it said, and what came of it.
# No TTL: it is the history of its asset.
resource "aws_dynamodb_table" "events" {
  # checkov:skip=CKV_AWS_119:An AWS-managed key; what the ledger says is public to all who have it
  name                        = local.events_table_name
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "transaction_id"
  deletion_protection_enabled = var.shared.deletion_protection

  attribute {
    name = "transaction_id"
    type = "S"
  }

  attribute {
    name = "asset_id"
    type = "S"
  }

  attribute {
    name = "position"
    type = "S"
  }

  # An asset's history, in the chain's order.
  global_secondary_index {
    name            = local.by_asset_index_name
    hash_key        = "asset_id"
    range_key       = "position"
    projection_type = "ALL"
  }

  point_in_time_recovery {
    enabled = true
  }

  server_side_encryption {
    enabled = true
  }
}

# One item an asset: its outputs, spent and unspent, and so its owners.
resource "aws_dynamodb_table" "assets" {
  # checkov:skip=CKV_AWS_119:An AWS-managed key; what the ledger says is public to all who have it
  name                        = local.assets_table_name
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "asset_id"
  deletion_protection_enabled = var.shared.deletion_protection

  attribute {
    name = "asset_id"
    type = "S"
  }

  point_in_time_recovery {
    enabled = true
  }

  server_side_encryption {
    enabled = true
  }
}

# One item a driver: the record that a premium follows from.
resource "aws_dynamodb_table" "drivers" {
  # checkov:skip=CKV_AWS_119:An AWS-managed key; what the ledger says is public to all who have it
  name                        = local.drivers_table_name
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "public_key"
  deletion_protection_enabled = var.shared.deletion_protection

  attribute {
    name = "public_key"
    type = "S"
  }

  point_in_time_recovery {
    enabled = true
  }

  server_side_encryption {
    enabled = true
  }
}

# One item a delivery that waits for its next try. No TTL: it ends delivered, or as a
# dead letter.
resource "aws_dynamodb_table" "deliveries" {
  # checkov:skip=CKV_AWS_119:An AWS-managed key; what the ledger says is public to all who have it
  name                        = local.deliveries_table_name
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "subscriber"
  range_key                   = "position"
  deletion_protection_enabled = var.shared.deletion_protection

  attribute {
    name = "subscriber"
    type = "S"
  }

  attribute {
    name = "position"
    type = "S"
  }

  point_in_time_recovery {
    enabled = true
  }

  server_side_encryption {
    enabled = true
  }
}

# The lease, and the cursor: up to which height everything is delivered or kept. No TTL:
# a lock that vanished would forget its fencing token, and the listener its place.
resource "aws_dynamodb_table" "locks" {
  # checkov:skip=CKV_AWS_119:An AWS-managed key; a height of a chain
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

module "table_alarms" {
  source = "../table_alarms"
  for_each = {
    (local.events_table_name)     = ["GetItem", "PutItem", "Query", "TransactWriteItems", "UpdateItem"]
    (local.assets_table_name)     = ["GetItem", "TransactWriteItems", "UpdateItem"]
    (local.drivers_table_name)    = ["GetItem", "TransactWriteItems", "UpdateItem"]
    (local.deliveries_table_name) = ["DeleteItem", "PutItem", "Query", "TransactWriteItems", "UpdateItem"]
    (local.locks_table_name)      = ["GetItem", "TransactWriteItems", "UpdateItem"]
  }

  table_name      = each.key
  operations      = each.value
  alarm_topic_arn = var.shared.alarm_topic_arn
}
