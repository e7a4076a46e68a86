variable "name" {
  description = "Prefix of the suite's names."
  type        = string
}

variable "settings" {
  description = "The root variable `oracle`, which describes, defaults and validates it."
  type = object({
    interval_seconds             = number
    lead_seconds                 = number
    head_start_seconds           = number
    machine_type                 = string
    table_name                   = string
    retention_days               = number
    secret_cache_seconds         = number
    key_rotation                 = string
    key_activation_delay_seconds = number
    lateness_alarm_ms            = number
    staleness_alarm_seconds      = number
    allow_private_sources        = bool
    demo                         = bool
    feeds = map(object({
      decimals        = number
      quorum          = number
      max_age_seconds = number
      max_spread_bps  = number
      sources = map(object({
        url          = string
        pointer      = string
        time_pointer = string
        scale        = number
        timeout_ms   = number
        header = object({
          name       = string
          secret_key = string
        })
      }))
    }))
  })
}

variable "definition_path" {
  description = "The machine oracle-minute in Amazon States Language, with placeholders."
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
