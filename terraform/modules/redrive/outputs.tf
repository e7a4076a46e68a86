output "stack" {
  description = "What scripts and the command line need to know."
  value = {
    table             = aws_dynamodb_table.dead_letters.name
    state_machine_arn = module.machine.arn
    function          = module.function.name
    max_redrives      = var.settings.max_redrives
    history_days      = var.settings.history_days
    destinations      = local.defaults
    log_groups = {
      function = module.function.log_group_name
      machine  = module.machine.log_group_name
    }
  }
}
