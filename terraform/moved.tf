# Where resources of earlier deployments are now: a deployment that is updated keeps them,
# rather than making each anew under the name of the one that it is deleting.

moved {
  from = module.vrf[0].aws_cloudwatch_dashboard.this
  to   = module.vrf[0].module.dashboard.aws_cloudwatch_dashboard.this
}

moved {
  from = module.oracle[0].aws_cloudwatch_dashboard.this
  to   = module.oracle[0].module.dashboard.aws_cloudwatch_dashboard.this
}

moved {
  from = module.rides[0].aws_cloudwatch_dashboard.this
  to   = module.rides[0].module.dashboard.aws_cloudwatch_dashboard.this
}

moved {
  from = module.faucet[0].aws_cloudwatch_dashboard.this
  to   = module.faucet[0].module.dashboard.aws_cloudwatch_dashboard.this
}

moved {
  from = module.ledger[0].aws_cloudwatch_dashboard.this
  to   = module.ledger[0].module.dashboard.aws_cloudwatch_dashboard.this
}

moved {
  from = module.vrf[0].aws_cloudwatch_event_rule.executions_ended_badly
  to   = module.vrf[0].module.failed_executions.aws_cloudwatch_event_rule.this
}

moved {
  from = module.vrf[0].aws_cloudwatch_event_target.executions_dlq
  to   = module.vrf[0].module.failed_executions.aws_cloudwatch_event_target.dead_letter_queue
}

moved {
  from = module.faucet[0].aws_cloudwatch_event_rule.executions_ended_badly
  to   = module.faucet[0].module.failed_executions.aws_cloudwatch_event_rule.this
}

moved {
  from = module.faucet[0].aws_cloudwatch_event_target.executions_dlq
  to   = module.faucet[0].module.failed_executions.aws_cloudwatch_event_target.dead_letter_queue
}

moved {
  from = module.ledger[0].aws_cloudwatch_event_rule.executions_ended_badly
  to   = module.ledger[0].module.failed_executions.aws_cloudwatch_event_rule.this
}

moved {
  from = module.ledger[0].aws_cloudwatch_event_target.executions_dlq
  to   = module.ledger[0].module.failed_executions.aws_cloudwatch_event_target.dead_letter_queue
}

moved {
  from = module.oracle[0].aws_cloudwatch_event_rule.executions_ended_badly[0]
  to   = module.oracle[0].module.failed_executions[0].aws_cloudwatch_event_rule.this
}

moved {
  from = module.oracle[0].aws_cloudwatch_event_target.minutes_dlq[0]
  to   = module.oracle[0].module.failed_executions[0].aws_cloudwatch_event_target.dead_letter_queue
}
