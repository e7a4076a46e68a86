module "dashboard" {
  source = "../dashboard"

  name                    = local.prefix
  region                  = var.shared.location.region
  machine_arn             = local.machine_arn
  queue_names             = [local.requests_queue_name]
  dead_letter_queue_names = ["${local.requests_queue_name}-dlq", local.executions_dlq_name, local.schedules_dlq_name]
  functions               = { for name in keys(local.function_arns) : name => "${local.prefix}-${name}" }
  table_names             = [local.prefix, "${local.prefix}-keys"]
  api_id                  = var.api.id
}
