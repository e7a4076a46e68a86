output "alarms" {
  description = "The alarms by name: metric, dimensions, threshold, and whom they tell."
  value = { for alarm in concat(values(aws_cloudwatch_metric_alarm.throttles), values(aws_cloudwatch_metric_alarm.system_errors)) : alarm.alarm_name => {
    metric     = alarm.metric_name
    dimensions = alarm.dimensions
    statistic  = alarm.statistic
    threshold  = alarm.threshold
    actions    = alarm.alarm_actions
  } }
}
