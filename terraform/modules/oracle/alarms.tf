# Alarms on what the sweep of oracle-missed counts, by feed. They look at slots,
# not at functions: whatever fails, and wherever, ends in one of these.

locals {
  metrics_namespace = "offchain/oracle"
}

resource "aws_cloudwatch_metric_alarm" "missed" {
  for_each = local.feeds

  alarm_name          = "${local.prefix}-${each.key}-missed"
  alarm_description   = "Slots of the feed ${each.key} have no reading; the record of each in ${local.readings_table_name} has the reason."
  namespace           = local.metrics_namespace
  metric_name         = "SlotsMissed"
  dimensions          = { Suite = var.name, Feed = each.key }
  statistic           = "Sum"
  period              = 60
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
  alarm_actions       = [var.shared.alarm_topic_arn]
  ok_actions          = [var.shared.alarm_topic_arn]
}

resource "aws_cloudwatch_metric_alarm" "lateness" {
  for_each = local.feeds

  alarm_name          = "${local.prefix}-${each.key}-lateness"
  alarm_description   = "One in a hundred readings of the feed ${each.key} was written over ${var.settings.lateness_alarm_ms} ms after its slot."
  namespace           = local.metrics_namespace
  metric_name         = "Lateness"
  dimensions          = { Suite = var.name, Feed = each.key }
  extended_statistic  = "p99"
  period              = 300
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = var.settings.lateness_alarm_ms
  treat_missing_data  = "notBreaching"
  alarm_actions       = [var.shared.alarm_topic_arn]
  ok_actions          = [var.shared.alarm_topic_arn]
}

# The only one that rings where nothing is counted at all: the sweep itself may
# have ended.
resource "aws_cloudwatch_metric_alarm" "staleness" {
  for_each = local.feeds

  alarm_name          = "${local.prefix}-${each.key}-staleness"
  alarm_description   = "The newest reading of the feed ${each.key} is over ${var.settings.staleness_alarm_seconds} s old, or nobody looks: the sweep of ${local.prefix}-missed tells."
  namespace           = local.metrics_namespace
  metric_name         = "Staleness"
  dimensions          = { Suite = var.name, Feed = each.key }
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = var.settings.staleness_alarm_seconds
  treat_missing_data  = "breaching"
  alarm_actions       = [var.shared.alarm_topic_arn]
  ok_actions          = [var.shared.alarm_topic_arn]
}
