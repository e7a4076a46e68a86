# The ride as it was published, and nothing else: no TTL, a record is kept.
resource "aws_dynamodb_table" "rides" {
  # checkov:skip=CKV_AWS_119:An AWS-managed key; a key of one's own costs by the month, and who may read the table may use it as well
  name                        = local.table_name
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "RideId"
  deletion_protection_enabled = var.shared.deletion_protection

  attribute {
    name = "RideId"
    type = "S"
  }

  point_in_time_recovery {
    enabled = true
  }

  server_side_encryption {
    enabled = true
  }
}

# Written here (fleet.tf), read by rides-fleet.
resource "aws_dynamodb_table" "fleet" {
  # checkov:skip=CKV_AWS_119:Public anyway: GET /unicorn tells all of it
  name                        = local.fleet_table_name
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

module "rides_table_alarms" {
  source = "../table_alarms"

  table_name      = local.table_name
  operations      = ["PutItem"]
  alarm_topic_arn = var.shared.alarm_topic_arn
}

module "fleet_table_alarms" {
  source = "../table_alarms"

  table_name      = local.fleet_table_name
  operations      = ["Scan"]
  alarm_topic_arn = var.shared.alarm_topic_arn
}
