variable "name" {
  description = "Prefix of the suite's names."
  type        = string
}

variable "settings" {
  description = "The root variable `vrf`, which describes, defaults and validates it."
  type = object({
    suite                        = string
    poll_interval_seconds        = number
    fulfil_window_seconds        = number
    height_window_seconds        = number
    max_delay_seconds            = number
    retention_days               = number
    simulated_failure_rate       = number
    key_rotation                 = string
    key_activation_delay_seconds = number
    back_off = object({
      base_seconds = number
      max_seconds  = number
    })
    schedule = object({
      enabled             = bool
      expression          = string
      queue_delay_seconds = object({ min = number, max = number })
      target_blocks       = object({ min = number, max = number })
      block_seconds       = number
      bounds              = object({ min = number, max = number })
    })
    chain = object({
      kind    = string
      rpc_url = string
    })
  })
}

variable "definition_path" {
  description = "The machine vrf-fulfilment in Amazon States Language, with placeholders."
  type        = string
}

variable "api" {
  description = "The HTTP API that the routes are added to."
  type = object({
    id            = string
    execution_arn = string
    stage_name    = string
  })
}

variable "shared" {
  description = "What every subsystem of the suite is given; the root's variables describe it."
  type = object({
    location = object({
      partition  = string
      region     = string
      account_id = string
    })
    artifacts_dir        = string
    artifacts_bucket     = string
    architecture         = string
    log_level            = string
    log_retention_days   = number
    tracing              = bool
    deletion_protection  = bool
    secret_recovery_days = number
    alarm_topic_arn      = string
  })
}
