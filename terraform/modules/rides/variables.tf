variable "name" {
  description = "Prefix of the suite's names."
  type        = string
}

variable "settings" {
  description = "The root variable `rides`, which describes, defaults and validates it."
  type = object({
    stage                = string
    publish              = string
    subscribers          = set(string)
    record_authorization = string
    fleet = map(object({
      color      = string
      attributes = map(string)
    }))
  })
}

variable "api" {
  description = "The HTTP API that the routes are added to."
  type = object({
    id            = string
    execution_arn = string
    stage_name    = string
    url           = string
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
