# Alarms on what the sweep counts. They look at the account and its claims, not at
# functions: whatever fails, and wherever, ends in one of these.

locals {
  metrics_namespace = "offchain/faucet"
  dimensions        = { Suite = var.name, Network = var.settings.network }

  # The sweep counts whole coins.
  low_balance_coins = parseint(local.low_balance, 10) / pow(10, var.settings.decimals)
}

# Rings where nothing is counted, too: the sweep may have ended, or no key was
# made, or no node answers.
resource "aws_cloudwatch_metric_alarm" "low_balance" {
  alarm_name          = "${local.prefix}-low-balance"
  alarm_description   = "The faucet's account has under ${local.low_balance_coins} ${var.settings.symbol}, or nobody could look for 5 minutes: `offchain faucet status` names the account and says which. Fund it; claims wait meanwhile."
  namespace           = local.metrics_namespace
  metric_name         = "Balance"
  dimensions          = local.dimensions
  statistic           = "Minimum"
  period              = 300
  evaluation_periods  = 1
  comparison_operator = "LessThanThreshold"
  threshold           = local.low_balance_coins
  treat_missing_data  = "breaching"
  alarm_actions       = [var.shared.alarm_topic_arn]
  ok_actions          = [var.shared.alarm_topic_arn]
}

# One minute is the design at work: the next run asks the chain and goes on.
resource "aws_cloudwatch_metric_alarm" "broken" {
  alarm_name          = "${local.prefix}-broken"
  alarm_description   = "The faucet is broken for 3 minutes: its sequence number is in doubt, and no run could ask the chain for it. `offchain faucet status` has the reason; look at the nodes, and whether somebody else sends from the account."
  namespace           = local.metrics_namespace
  metric_name         = "Broken"
  dimensions          = local.dimensions
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = 3
  datapoints_to_alarm = 3
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
  alarm_actions       = [var.shared.alarm_topic_arn]
  ok_actions          = [var.shared.alarm_topic_arn]
}

resource "aws_cloudwatch_metric_alarm" "oldest_unpaid" {
  alarm_name          = "${local.prefix}-oldest-unpaid"
  alarm_description   = "A claim waits for its payout for over ${var.settings.oldest_unpaid_alarm_seconds} s. `offchain faucet status` says what it waits for: funds, a node, a lower fee or the payer, whose log group has its errors."
  namespace           = local.metrics_namespace
  metric_name         = "OldestUnpaidSeconds"
  dimensions          = local.dimensions
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = var.settings.oldest_unpaid_alarm_seconds
  treat_missing_data  = "notBreaching"
  alarm_actions       = [var.shared.alarm_topic_arn]
  ok_actions          = [var.shared.alarm_topic_arn]
}
