module "schedules" {
  source = "../schedules"

  name                  = "${local.prefix}-schedules"
  location              = var.shared.location
  dead_letter_queue_arn = module.schedules_dlq.arn

  schedules = merge(
    {
      "${local.prefix}-minute" = {
        description       = "Publishes the slots of one minute."
        expression        = "cron(* * * * ? *)"
        state_machine_arn = module.machine.arn
        # Plain text: jsonencode would write \u003c for what Scheduler looks for.
        input = "{\"scheduled_time\":\"<aws.scheduler.scheduled-time>\"}"
      }
      "${local.prefix}-missed" = {
        description  = "Records slots that no execution recorded, and counts all of them."
        expression   = "rate(1 minute)"
        function_arn = module.missed.arn
        input        = jsonencode({ sweep = true })
      }
      "${local.prefix}-rotate-key" = {
        description  = "Publishes an epoch that is written but not yet listed, such as one rotated by hand."
        expression   = "rate(5 minutes)"
        function_arn = module.rotate_key.arn
        input        = jsonencode({ action = "reconcile" })
      }
    },
    var.settings.key_rotation == null ? {} : {
      "${local.prefix}-rotate-key-now" = {
        description  = "Rotates the signing key."
        expression   = var.settings.key_rotation
        function_arn = module.rotate_key.arn
        # The scheduled time names the epoch's key: the event given again rotates
        # no second time.
        input = "{\"action\":\"rotate\",\"scheduled_time\":\"<aws.scheduler.scheduled-time>\"}"
      }
    },
  )

  # The first minute finds its functions, a key and the feeds. The machine names
  # functions without waiting for them.
  depends_on = [
    module.publish,
    module.missed,
    aws_lambda_invocation.first_key,
    aws_dynamodb_table_item.feeds,
  ]
}
