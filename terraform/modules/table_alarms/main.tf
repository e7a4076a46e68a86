# Alarms on a table: calls that it throttled, and errors of DynamoDB's own. The
# SDK tries both again, so that a function may still succeed.

resource "aws_cloudwatch_metric_alarm" "throttles" {
  for_each = {
    read  = "ReadThrottleEvents"
    write = "WriteThrottleEvents"
  }

  alarm_name          = "${var.table_name}-${each.key}-throttles"
  alarm_description   = "DynamoDB throttled ${each.key}s of the table ${var.table_name}: they came faster than an on-demand table grows, or all for one key."
  namespace           = "AWS/DynamoDB"
  metric_name         = each.value
  dimensions          = { TableName = var.table_name }
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
  alarm_actions       = [var.alarm_topic_arn]
  ok_actions          = [var.alarm_topic_arn]
}

resource "aws_cloudwatch_metric_alarm" "system_errors" {
  for_each = var.operations

  alarm_name          = "${var.table_name}-${lower(each.key)}-system-errors"
  alarm_description   = "DynamoDB failed ${each.key} on the table ${var.table_name} with an error of its own: see AWS Health."
  namespace           = "AWS/DynamoDB"
  metric_name         = "SystemErrors"
  dimensions          = { TableName = var.table_name, Operation = each.key }
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
  alarm_actions       = [var.alarm_topic_arn]
  ok_actions          = [var.alarm_topic_arn]
}
