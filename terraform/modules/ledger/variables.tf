variable "name" {
  description = "Prefix of the suite's names."
  type        = string
}

variable "settings" {
  description = "The root variable `ledger`, which describes, defaults and validates it."
  type = object({
    from_height       = number
    allow_private     = bool
    listen            = bool
    run_minutes       = number
    poll_seconds      = number
    stall_seconds     = number
    lease_seconds     = number
    concurrency       = number
    max_kept          = number
    memory_mb         = number
    retry_schedule    = list(number)
    timeout_seconds   = number
    assets            = list(string)
    owners            = list(string)
    lag_alarm_heights = number
    subscribers = map(object({
      url    = string
      assets = list(string)
      owners = list(string)
    }))
  })
}

variable "node" {
  description = "The BigchainDB node: scheme, host and port."
  type        = string
}

variable "definition_path" {
  description = "The machine ledger-listener in Amazon States Language, with placeholders."
  type        = string
}

variable "api" {
  description = "The HTTP API that the routes are added to."
  type = object({
    id            = string
    url           = string
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
