module "schedules" {
  source = "../schedules"

  name                  = "${local.prefix}-schedules"
  location              = var.shared.location
  dead_letter_queue_arn = module.schedules_dlq.arn

  schedules = merge(
    {
      "${local.prefix}-expire" = {
        description  = "Ends overdue requests that no execution ends."
        expression   = "rate(1 minute)"
        function_arn = module.expire.arn
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
    !var.settings.schedule.enabled ? {} : {
      "${local.prefix}-request" = {
        description  = "Makes requests."
        expression   = var.settings.schedule.expression
        function_arn = module.request.arn
        # The scheduled time names the request: the event given again, by
        # Scheduler, Lambda or a redrive, makes no second one. jsonencode would
        # write \u003c for what Scheduler looks for.
        input = replace(
          jsonencode({
            scheduled_time      = "SCHEDULED_TIME"
            queue_delay_seconds = var.settings.schedule.queue_delay_seconds
            target_blocks       = var.settings.schedule.target_blocks
            block_seconds       = var.settings.schedule.block_seconds
            bounds              = var.settings.schedule.bounds
          }),
          "SCHEDULED_TIME", "<aws.scheduler.scheduled-time>",
        )
      }
    },
  )

  # The first scheduled request finds a key.
  depends_on = [aws_lambda_invocation.first_key]
}
