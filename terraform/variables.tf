variable "name" {
  description = "Prefix of every name, so that suites can share an account. Short: AWS ends some names at 64 characters."
  type        = string
  default     = "offchain"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,22}[a-z0-9]$", var.name))
    error_message = "name must be 3 to 24 lower-case letters, digits and hyphens, beginning with a letter and not ending with a hyphen; got \"${var.name}\"."
  }
}

variable "region" {
  description = "AWS region of the suite."
  type        = string
  default     = "us-east-1"

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "region must be the name of an AWS region, such as \"us-east-1\"; got \"${var.region}\"."
  }
}

variable "tags" {
  description = "Tags of every resource, beside application and managed-by."
  type        = map(string)
  default     = {}
}

variable "artifacts_dir" {
  description = "Folder that `scripts/build` fills: <function>/bootstrap.zip."
  type        = string
}

variable "architecture" {
  description = "Processor the artefacts were built for. arm64 costs a fifth less."
  type        = string
  default     = "x86_64"

  validation {
    condition     = contains(["x86_64", "arm64"], var.architecture)
    error_message = "architecture must be \"x86_64\" or \"arm64\"; got \"${var.architecture}\"."
  }
}

variable "log_level" {
  description = "Least level that the functions log."
  type        = string
  default     = "info"

  validation {
    condition     = contains(["trace", "debug", "info", "warn", "error"], var.log_level)
    error_message = "log_level must be trace, debug, info, warn or error; got \"${var.log_level}\"."
  }
}

variable "log_retention_days" {
  description = "Days each log group keeps an event: the logs' cost is bounded by it."
  type        = number
  default     = 30

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "log_retention_days must be a value that CloudWatch Logs knows (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653); got ${var.log_retention_days}."
  }
}

variable "tracing" {
  description = "X-Ray tracing of the functions. Off: it is billed a trace, and every log line carries its request's id."
  type        = bool
  default     = false
}

variable "alarm_email" {
  description = "Address that receives the alarms, once it has confirmed the subscription; null for none."
  type        = string
  default     = null

  validation {
    condition     = var.alarm_email == null || can(regex("^[^@[:space:]]+@[^@[:space:]]+$", var.alarm_email))
    error_message = "alarm_email must be an e-mail address or null; got \"${coalesce(var.alarm_email, "null")}\"."
  }
}

variable "api_throttling" {
  description = "Requests a second, and in one burst, that the HTTP API lets through: a bound on what a flood can cost."
  type = object({
    rate  = number
    burst = number
  })
  default = { rate = 100, burst = 200 }

  validation {
    condition     = var.api_throttling.rate >= 1 && var.api_throttling.burst >= var.api_throttling.rate
    error_message = "api_throttling must be rate >= 1 and burst >= rate; got rate ${var.api_throttling.rate}, burst ${var.api_throttling.burst}."
  }
}

variable "deletion_protection" {
  description = "Whether the tables refuse to be deleted: proofs cannot be made a second time once their key is gone."
  type        = bool
  default     = true
}

variable "secret_recovery_days" {
  description = "Days a deleted secret can be brought back; 0 deletes at once, so that its name is free again."
  type        = number
  default     = 30

  validation {
    condition     = var.secret_recovery_days == 0 || (var.secret_recovery_days >= 7 && var.secret_recovery_days <= 30)
    error_message = "secret_recovery_days must be 0 or 7 to 30 (Secrets Manager's limits); got ${var.secret_recovery_days}."
  }
}

variable "vrf" {
  description = <<-EOT
    Verifiable randomness; null leaves it out.

    suite: the RFC 9381 ciphersuite of new keys; keys made before keep theirs.
    fulfil_window_seconds: from a request's due time to its deadline, in which failed proofs are tried again.
    back_off: wait between rounds of three tries, doubled from base_seconds up to max_seconds.
    poll_interval_seconds: between two looks at a chain's height. Requests for a time are never polled.
    height_window_seconds: how long a chain may take to reach a requested height.
    max_delay_seconds: the furthest due time the HTTP API accepts.
    retention_days: how long a request's item is kept.
    simulated_failure_rate: share of proofs that fail on purpose, for drills.
    key_rotation: schedule of new keys, such as rate(30 days); null leaves rotation to the operator.
    key_activation_delay_seconds: from a key's publication to its first use.
    schedule: requests made by themselves; each draws its delay, target and bounds from these ranges.
    chain: the chain whose heights may be targets; null refuses such requests. The URL stands in the function's environment: give no credentials in it.
  EOT
  type = object({
    suite                        = optional(string, "ECVRF-EDWARDS25519-SHA512-TAI")
    poll_interval_seconds        = optional(number, 30)
    fulfil_window_seconds        = optional(number, 900)
    height_window_seconds        = optional(number, 21600)
    max_delay_seconds            = optional(number, 604800)
    retention_days               = optional(number, 30)
    simulated_failure_rate       = optional(number, 0)
    key_rotation                 = optional(string)
    key_activation_delay_seconds = optional(number, 60)
    back_off = optional(object({
      base_seconds = optional(number, 2)
      max_seconds  = optional(number, 60)
    }), {})
    schedule = optional(object({
      enabled             = optional(bool, true)
      expression          = optional(string, "rate(1 minute)")
      queue_delay_seconds = optional(object({ min = number, max = number }), { min = 0, max = 120 })
      target_blocks       = optional(object({ min = number, max = number }), { min = 0, max = 10 })
      block_seconds       = optional(number, 30)
      bounds              = optional(object({ min = number, max = number }), { min = 0, max = 999 })
    }), {})
    chain = optional(object({
      kind    = string
      rpc_url = string
    }))
  })
  default = {}

  validation {
    condition     = var.vrf == null ? true : contains(["ECVRF-EDWARDS25519-SHA512-TAI", "ECVRF-P256-SHA256-TAI"], var.vrf.suite)
    error_message = "vrf.suite must be ECVRF-EDWARDS25519-SHA512-TAI or ECVRF-P256-SHA256-TAI."
  }

  validation {
    condition = var.vrf == null ? true : alltrue([
      for value in [
        var.vrf.poll_interval_seconds, var.vrf.fulfil_window_seconds, var.vrf.height_window_seconds,
        var.vrf.max_delay_seconds, var.vrf.retention_days, var.vrf.key_activation_delay_seconds,
        var.vrf.back_off.base_seconds, var.vrf.back_off.max_seconds,
        var.vrf.schedule.queue_delay_seconds.min, var.vrf.schedule.queue_delay_seconds.max,
        var.vrf.schedule.target_blocks.min, var.vrf.schedule.target_blocks.max, var.vrf.schedule.block_seconds,
        var.vrf.schedule.bounds.min, var.vrf.schedule.bounds.max,
      ] : value >= 0 && floor(value) == value
    ])
    error_message = "Every duration, count and bound of vrf must be a whole number, not negative."
  }

  validation {
    condition     = var.vrf == null ? true : var.vrf.poll_interval_seconds >= 1
    error_message = "vrf.poll_interval_seconds must be at least 1."
  }

  validation {
    condition     = var.vrf == null ? true : 1 <= var.vrf.back_off.base_seconds && var.vrf.back_off.base_seconds <= var.vrf.back_off.max_seconds
    error_message = "vrf.back_off must be 1 <= base_seconds <= max_seconds."
  }

  validation {
    condition     = var.vrf == null ? true : var.vrf.fulfil_window_seconds >= 30 && var.vrf.fulfil_window_seconds > var.vrf.back_off.max_seconds
    error_message = "vrf.fulfil_window_seconds must be at least 30 and longer than back_off.max_seconds, so that a second round fits in."
  }

  validation {
    condition     = var.vrf == null ? true : var.vrf.height_window_seconds >= var.vrf.poll_interval_seconds
    error_message = "vrf.height_window_seconds must be at least poll_interval_seconds."
  }

  # Step Functions ends an execution at 25,000 events of history. A poll costs up
  # to 17 (three tries of CheckHeight, two choices, a wait), a round 19; back-off
  # waits are half the nominal delay at the least, and double up to the most.
  validation {
    condition = var.vrf == null ? true : (
      17 * ceil(var.vrf.height_window_seconds / max(var.vrf.poll_interval_seconds, 1))
      + 19 * (20 + ceil(2 * var.vrf.fulfil_window_seconds / max(var.vrf.back_off.max_seconds, 1)))
      <= 20000
    )
    error_message = "vrf.height_window_seconds / poll_interval_seconds and fulfil_window_seconds / back_off.max_seconds allow too many polls and rounds: 17 events a poll and 19 a round must stay within 20000 of the 25000 that Step Functions allows an execution. Poll less often, back off longer, or shorten a window."
  }

  validation {
    condition = var.vrf == null ? true : (
      max(var.vrf.max_delay_seconds, var.vrf.height_window_seconds) + var.vrf.fulfil_window_seconds + 3600
      <= jsondecode(file("${path.module}/../statemachines/vrf-fulfilment.asl.json")).TimeoutSeconds
    )
    error_message = "vrf.max_delay_seconds or height_window_seconds, whichever is more, plus fulfil_window_seconds and an hour must not exceed the machine's TimeoutSeconds (14 days)."
  }

  validation {
    condition     = var.vrf == null ? true : var.vrf.retention_days * 86400 >= max(var.vrf.max_delay_seconds, var.vrf.height_window_seconds) + var.vrf.fulfil_window_seconds
    error_message = "vrf.retention_days must outlast the longest request: max_delay_seconds or height_window_seconds, whichever is more, plus fulfil_window_seconds."
  }

  validation {
    condition     = var.vrf == null ? true : var.vrf.simulated_failure_rate >= 0 && var.vrf.simulated_failure_rate <= 1
    error_message = "vrf.simulated_failure_rate must be 0 to 1."
  }

  validation {
    condition     = try(var.vrf.key_rotation, null) == null ? true : can(regex("^(rate|cron)\\(.+\\)$", var.vrf.key_rotation))
    error_message = "vrf.key_rotation must be a schedule, rate(...) or cron(...), or null."
  }

  validation {
    condition     = var.vrf == null ? true : can(regex("^(rate|cron)\\(.+\\)$", var.vrf.schedule.expression))
    error_message = "vrf.schedule.expression must be rate(...) or cron(...)."
  }

  validation {
    condition     = var.vrf == null ? true : var.vrf.schedule.queue_delay_seconds.min <= var.vrf.schedule.queue_delay_seconds.max && var.vrf.schedule.queue_delay_seconds.max <= 900
    error_message = "vrf.schedule.queue_delay_seconds must be 0 <= min <= max <= 900 (the most SQS delays a message)."
  }

  validation {
    condition     = var.vrf == null ? true : var.vrf.schedule.target_blocks.min <= var.vrf.schedule.target_blocks.max
    error_message = "vrf.schedule.target_blocks must be min <= max."
  }

  validation {
    condition     = var.vrf == null ? true : var.vrf.schedule.queue_delay_seconds.max + var.vrf.schedule.target_blocks.max * var.vrf.schedule.block_seconds <= var.vrf.max_delay_seconds
    error_message = "vrf.schedule must not make requests later than max_delay_seconds: queue_delay_seconds.max + target_blocks.max * block_seconds."
  }

  validation {
    condition     = var.vrf == null ? true : var.vrf.schedule.bounds.min < var.vrf.schedule.bounds.max
    error_message = "vrf.schedule.bounds must be min < max: a request needs two distinct bounds."
  }

  validation {
    condition     = try(var.vrf.chain, null) == null ? true : contains(["evm", "cometbft"], var.vrf.chain.kind)
    error_message = "vrf.chain.kind must be evm or cometbft."
  }

  validation {
    condition     = try(var.vrf.chain, null) == null ? true : can(regex("^https?://[^@[:space:]]+$", var.vrf.chain.rpc_url))
    error_message = "vrf.chain.rpc_url must be an http:// or https:// URL without credentials."
  }
}
