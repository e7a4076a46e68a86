module "schedules" {
  source = "../schedules"

  name                  = "${local.prefix}-schedules"
  location              = var.shared.location
  dead_letter_queue_arn = module.schedules_dlq.arn

  schedules = {
    "${local.prefix}-sweep" = {
      description  = "Settles, ends and counts what no run did."
      expression   = "rate(1 minute)"
      function_arn = module.sweep.arn
      input        = jsonencode({ action = "sweep" })
    }
  }
}
