# Alarms on what the listener counts. They look at the ledger and at what waits, not at
# functions: whatever fails, and wherever, ends in one of these.

locals {
  metrics_namespace = "offchain/ledger"
  dimensions        = { Suite = var.name }

  # Before no block is read any more, in any case.
  kept_alarm = min(1000, floor(var.settings.max_kept / 2))
}

# The only one that rings where nothing is counted. Where a daemon listens, it is for
# whoever runs it to watch over it.
resource "aws_cloudwatch_metric_alarm" "listener_absent" {
  count = var.settings.listen ? 1 : 0

  alarm_name          = "${local.prefix}-listener-absent"
  alarm_description   = "Nobody listens to the ledger for 5 minutes; events wait on the chain. The executions of ${local.machine_name} have the error: the node is away, its chain is another one (`offchain ledger status`), or the schedule is gone."
  namespace           = local.metrics_namespace
  metric_name         = "Listening"
  dimensions          = local.dimensions
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 1
  comparison_operator = "LessThanThreshold"
  threshold           = 1
  treat_missing_data  = "breaching"
  alarm_actions       = [var.shared.alarm_topic_arn]
  ok_actions          = [var.shared.alarm_topic_arn]
}

# Some minutes are the design at work: a backfill begins far behind.
resource "aws_cloudwatch_metric_alarm" "lag" {
  alarm_name          = "${local.prefix}-lag"
  alarm_description   = "The listener is over ${var.settings.lag_alarm_heights} heights behind the chain for 5 minutes: subscribers or the node are slow, or as much is kept as may be. `offchain ledger status` says which."
  namespace           = local.metrics_namespace
  metric_name         = "Lag"
  dimensions          = local.dimensions
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = 5
  datapoints_to_alarm = 5
  comparison_operator = "GreaterThanThreshold"
  threshold           = var.settings.lag_alarm_heights
  treat_missing_data  = "notBreaching"
  alarm_actions       = [var.shared.alarm_topic_arn]
  ok_actions          = [var.shared.alarm_topic_arn]
}

resource "aws_cloudwatch_metric_alarm" "kept" {
  alarm_name          = "${local.prefix}-kept"
  alarm_description   = "Over ${local.kept_alarm} webhooks wait for a retry: a subscriber is away. `offchain ledger status` says which; at ${var.settings.max_kept} no further block is read."
  namespace           = local.metrics_namespace
  metric_name         = "Kept"
  dimensions          = local.dimensions
  statistic           = "Maximum"
  period              = 300
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = local.kept_alarm
  treat_missing_data  = "notBreaching"
  alarm_actions       = [var.shared.alarm_topic_arn]
  ok_actions          = [var.shared.alarm_topic_arn]
}
