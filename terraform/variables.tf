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

variable "api_alarms" {
  description = "Where the HTTP API's alarms ring: client_errors, answers with 4xx in 5 minutes; latency_ms, what one request in a hundred takes, null for 3000 and with a faucet its wait_seconds more. Answers with 5xx always ring."
  type = object({
    client_errors = optional(number, 500)
    latency_ms    = optional(number)
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.api_alarms.client_errors >= 1 && floor(var.api_alarms.client_errors) == var.api_alarms.client_errors
    error_message = "api_alarms.client_errors must be a whole number of at least 1; got ${var.api_alarms.client_errors}."
  }

  # API Gateway gives up an integration after 30 s.
  validation {
    condition     = var.api_alarms.latency_ms == null ? true : var.api_alarms.latency_ms >= 1 && var.api_alarms.latency_ms <= 30000 && floor(var.api_alarms.latency_ms) == var.api_alarms.latency_ms
    error_message = "api_alarms.latency_ms must be a whole number from 1 to 30000, or null; got ${coalesce(var.api_alarms.latency_ms, "null")}."
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

variable "oracle" {
  description = <<-EOT
    A clock-exact oracle; null leaves it out.

    interval_seconds: from one slot to the next, a divisor of 60.
    lead_seconds: how long before its first slot a minute is triggered; a trigger that is late by less loses none.
    head_start_seconds: how long before a slot its function starts, to read the sources.
    machine_type: EXPRESS, billed by time, without a history; or STANDARD, with one, at twenty times the price.
    table_name: of the readings; null for <name>-oracle.
    retention_days: how long a reading is kept.
    secret_cache_seconds: how long a function keeps what it read of feeds, keys and headers.
    key_rotation: schedule of new keys, such as rate(30 days); null leaves rotation to the operator.
    key_activation_delay_seconds: from a key's publication to its first use.
    lateness_alarm_ms: the alarm rings where one in a hundred readings is written later than this after its slot.
    staleness_alarm_seconds: the alarm rings where the newest reading is older.
    allow_private_sources: whether sources may have addresses that are not public. For tests: whoever answers for a source's name could have the function read what is inside.
    demo: a feed "demo" of random numbers.
    feeds: feeds of HTTP sources, by name. decimals: digits after the point; quorum: how many sources must agree, null for most of them; max_age_seconds: the oldest answer that counts; max_spread_bps: how far answers may lie apart, in 1/10000 of the median.
    A source: url, pointer to the number in its JSON (RFC 6901), time_pointer to the number's time, scale: its number is times 10^scale, timeout_ms, header: of the request, whose value `offchain oracle header set SECRET_KEY` stores. A URL is public: give no credentials in it.
  EOT
  type = object({
    interval_seconds             = optional(number, 2)
    lead_seconds                 = optional(number, 30)
    head_start_seconds           = optional(number, 1)
    machine_type                 = optional(string, "EXPRESS")
    table_name                   = optional(string)
    retention_days               = optional(number, 30)
    secret_cache_seconds         = optional(number, 60)
    key_rotation                 = optional(string)
    key_activation_delay_seconds = optional(number, 120)
    lateness_alarm_ms            = optional(number, 500)
    staleness_alarm_seconds      = optional(number, 60)
    allow_private_sources        = optional(bool, false)
    demo                         = optional(bool, true)
    feeds = optional(map(object({
      decimals        = number
      quorum          = optional(number)
      max_age_seconds = optional(number, 60)
      max_spread_bps  = optional(number, 200)
      sources = map(object({
        url          = string
        pointer      = string
        time_pointer = optional(string)
        scale        = optional(number, 0)
        timeout_ms   = optional(number, 800)
        header = optional(object({
          name       = string
          secret_key = string
        }))
      }))
    })), {})
  })
  default = {}

  validation {
    condition     = var.oracle == null ? true : contains([1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30, 60], var.oracle.interval_seconds)
    error_message = "oracle.interval_seconds must be 1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30 or 60, so that every minute has the same slots; got ${try(var.oracle.interval_seconds, "null")}."
  }

  validation {
    condition     = var.oracle == null ? true : var.oracle.lead_seconds >= 5 && var.oracle.lead_seconds <= 60 && floor(var.oracle.lead_seconds) == var.oracle.lead_seconds
    error_message = "oracle.lead_seconds must be a whole number from 5 to 60; got ${try(var.oracle.lead_seconds, "null")}."
  }

  validation {
    condition     = var.oracle == null ? true : var.oracle.head_start_seconds >= 1 && var.oracle.head_start_seconds <= 5 && floor(var.oracle.head_start_seconds) == var.oracle.head_start_seconds
    error_message = "oracle.head_start_seconds must be a whole number from 1 to 5; got ${try(var.oracle.head_start_seconds, "null")}."
  }

  validation {
    condition     = var.oracle == null ? true : var.oracle.lead_seconds > var.oracle.head_start_seconds
    error_message = "oracle.lead_seconds must be more than head_start_seconds, or the first slot of a minute would be due before its trigger; got ${try(var.oracle.lead_seconds, "null")} and ${try(var.oracle.head_start_seconds, "null")}."
  }

  validation {
    condition     = var.oracle == null ? true : contains(["EXPRESS", "STANDARD"], var.oracle.machine_type)
    error_message = "oracle.machine_type must be EXPRESS or STANDARD; got ${jsonencode(try(var.oracle.machine_type, null))}."
  }

  validation {
    condition     = try(var.oracle.table_name, null) == null ? true : can(regex("^[A-Za-z0-9_.-]{3,255}$", var.oracle.table_name))
    error_message = "oracle.table_name must be 3 to 255 letters, digits, underscores, dots and hyphens, or null; got ${jsonencode(try(var.oracle.table_name, null))}."
  }

  validation {
    condition     = try(var.oracle.table_name, null) == null ? true : !contains([for table in ["dead-letters", "faucet", "faucet-limits", "faucet-locks", "faucet-payouts", "ledger-assets", "ledger-deliveries", "ledger-drivers", "ledger-events", "ledger-locks", "oracle-feeds", "oracle-keys", "rides", "rides-fleet", "vrf", "vrf-keys"] : "${var.name}-${table}"], var.oracle.table_name)
    error_message = "oracle.table_name must not be the name of another table of the suite; got ${jsonencode(try(var.oracle.table_name, null))}."
  }

  validation {
    condition     = var.oracle == null ? true : var.oracle.retention_days >= 1 && var.oracle.retention_days <= 3650 && floor(var.oracle.retention_days) == var.oracle.retention_days
    error_message = "oracle.retention_days must be a whole number from 1 to 3650; got ${try(var.oracle.retention_days, "null")}."
  }

  validation {
    condition     = var.oracle == null ? true : var.oracle.secret_cache_seconds >= 1 && var.oracle.secret_cache_seconds <= 3600 && floor(var.oracle.secret_cache_seconds) == var.oracle.secret_cache_seconds
    error_message = "oracle.secret_cache_seconds must be a whole number from 1 to 3600; got ${try(var.oracle.secret_cache_seconds, "null")}."
  }

  validation {
    condition     = try(var.oracle.key_rotation, null) == null ? true : can(regex("^(rate|cron)\\(.+\\)$", var.oracle.key_rotation))
    error_message = "oracle.key_rotation must be a schedule, rate(...) or cron(...), or null; got ${jsonencode(try(var.oracle.key_rotation, null))}."
  }

  validation {
    condition     = var.oracle == null ? true : var.oracle.key_activation_delay_seconds >= 1 && var.oracle.key_activation_delay_seconds <= 604800 && floor(var.oracle.key_activation_delay_seconds) == var.oracle.key_activation_delay_seconds
    error_message = "oracle.key_activation_delay_seconds must be a whole number from 1 to 604800; got ${try(var.oracle.key_activation_delay_seconds, "null")}."
  }

  validation {
    condition     = var.oracle == null ? true : var.oracle.key_activation_delay_seconds >= var.oracle.secret_cache_seconds + var.oracle.head_start_seconds
    error_message = "oracle.key_activation_delay_seconds must be at least secret_cache_seconds + head_start_seconds, so that every publisher knows an epoch before it counts; got ${try(var.oracle.key_activation_delay_seconds, "null")}, ${try(var.oracle.secret_cache_seconds, "null")} and ${try(var.oracle.head_start_seconds, "null")}."
  }

  validation {
    condition     = var.oracle == null ? true : var.oracle.lateness_alarm_ms >= 1 && floor(var.oracle.lateness_alarm_ms) == var.oracle.lateness_alarm_ms
    error_message = "oracle.lateness_alarm_ms must be a whole number of at least 1; got ${try(var.oracle.lateness_alarm_ms, "null")}."
  }

  validation {
    condition     = var.oracle == null ? true : var.oracle.lateness_alarm_ms < 1000 * var.oracle.interval_seconds
    error_message = "oracle.lateness_alarm_ms must be less than the interval, after which nothing is published any more; got ${try(var.oracle.lateness_alarm_ms, "null")} ms at an interval of ${try(var.oracle.interval_seconds, "null")} s."
  }

  validation {
    condition     = var.oracle == null ? true : var.oracle.staleness_alarm_seconds >= 1 && floor(var.oracle.staleness_alarm_seconds) == var.oracle.staleness_alarm_seconds
    error_message = "oracle.staleness_alarm_seconds must be a whole number of at least 1; got ${try(var.oracle.staleness_alarm_seconds, "null")}."
  }

  validation {
    condition     = var.oracle == null ? true : var.oracle.staleness_alarm_seconds >= var.oracle.interval_seconds
    error_message = "oracle.staleness_alarm_seconds must be at least interval_seconds, the age that every reading reaches; got ${try(var.oracle.staleness_alarm_seconds, "null")} and ${try(var.oracle.interval_seconds, "null")}."
  }

  validation {
    condition     = var.oracle == null ? true : var.oracle.demo || length(var.oracle.feeds) > 0
    error_message = "oracle needs a feed: give oracle.feeds one, or leave oracle.demo on (oracle = null leaves the oracle out); got demo = ${try(var.oracle.demo, "null")} and no feeds."
  }

  validation {
    condition     = var.oracle == null ? true : !(var.oracle.demo && contains(keys(var.oracle.feeds), "demo"))
    error_message = "oracle.feeds must name no feed \"demo\" while oracle.demo is on; got both."
  }

  validation {
    condition     = alltrue([for id in keys(try(var.oracle.feeds, {})) : can(regex("^[a-z][a-z0-9-]{0,31}$", id))])
    error_message = "oracle.feeds: the name of a feed must be 1 to 32 lower-case letters, digits and hyphens, the first a letter; got ${jsonencode(keys(try(var.oracle.feeds, {})))}."
  }

  validation {
    condition = alltrue([for feed in try(var.oracle.feeds, {}) :
      try(feed.decimals >= 0 && feed.decimals <= 18 && floor(feed.decimals) == feed.decimals, false)
    ])
    error_message = "oracle.feeds: decimals must be a whole number from 0 to 18; got ${jsonencode({ for id, feed in try(var.oracle.feeds, {}) : id => feed.decimals })}."
  }

  validation {
    condition     = alltrue([for feed in try(var.oracle.feeds, {}) : length(feed.sources) >= 1 && length(feed.sources) <= 16])
    error_message = "oracle.feeds: a feed must have 1 to 16 sources; got ${jsonencode({ for id, feed in try(var.oracle.feeds, {}) : id => length(feed.sources) })}."
  }

  validation {
    condition = alltrue([for feed in try(var.oracle.feeds, {}) :
      feed.quorum == null ? true : feed.quorum >= 1 && feed.quorum <= length(feed.sources) && floor(feed.quorum) == feed.quorum
    ])
    error_message = "oracle.feeds: quorum must be a whole number from 1 to that of the feed's sources, or null for most of them; got ${jsonencode({ for id, feed in try(var.oracle.feeds, {}) : id => "${coalesce(feed.quorum, 1)} of ${length(feed.sources)}" if feed.quorum != null })}."
  }

  validation {
    condition = alltrue([for feed in try(var.oracle.feeds, {}) :
      feed.max_age_seconds >= 1 && feed.max_age_seconds <= 4294967295 && floor(feed.max_age_seconds) == feed.max_age_seconds
    ])
    error_message = "oracle.feeds: max_age_seconds must be a whole number from 1 to 4294967295; got ${jsonencode({ for id, feed in try(var.oracle.feeds, {}) : id => feed.max_age_seconds })}."
  }

  validation {
    condition = alltrue([for feed in try(var.oracle.feeds, {}) :
      feed.max_spread_bps >= 0 && feed.max_spread_bps <= 4294967295 && floor(feed.max_spread_bps) == feed.max_spread_bps
    ])
    error_message = "oracle.feeds: max_spread_bps must be a whole number from 0 to 4294967295; got ${jsonencode({ for id, feed in try(var.oracle.feeds, {}) : id => feed.max_spread_bps })}."
  }

  validation {
    condition = alltrue(flatten([for feed in try(var.oracle.feeds, {}) : [for name in keys(feed.sources) :
      can(regex("^[a-z][a-z0-9-]{0,31}$", name))
    ]]))
    error_message = "oracle.feeds: the name of a source must be 1 to 32 lower-case letters, digits and hyphens, the first a letter; got ${jsonencode({ for id, feed in try(var.oracle.feeds, {}) : id => keys(feed.sources) })}."
  }

  # No character that readers of URLs disagree about, such as a backslash. What
  # stands before an @ is not shown.
  validation {
    condition = alltrue(flatten([for feed in try(var.oracle.feeds, {}) : [for source in feed.sources :
      try(length(source.url), 0) <= 2048 &&
      try(tonumber(regex("^[^?]*:([0-9]+)([/?]|$)", source.url)[0]) <= 65535, true) &&
      can(regex("^https?://([A-Za-z0-9._-]+|\\[[0-9A-Fa-f:.]+\\])(:[0-9]{1,5})?([/?][A-Za-z0-9._~:/?\\[\\]@!$&'()*+,;=%-]*)?$", source.url))
    ]]))
    error_message = "oracle.feeds: url must be an http:// or https:// URL of at most 2048 characters of RFC 3986, without user name, password, fragment and blanks, such as https://api.example.org/price?of=eth; got ${join(", ", flatten([for feed in try(var.oracle.feeds, {}) : [for source in feed.sources : "\"${try(replace(source.url, "/\\/\\/.*@/", "//...@"), "null")}\""]]))}."
  }

  validation {
    condition = alltrue(flatten([for feed in try(var.oracle.feeds, {}) : [for source in feed.sources :
      [for pointer in concat([source.pointer], source.time_pointer[*]) :
        try(length(pointer), 0) <= 512 && can(regex("^(/([^/~]|~[01])*)*$", pointer))
      ]
    ]]))
    error_message = "oracle.feeds: pointer and time_pointer must be JSON pointers of RFC 6901 of at most 512 characters: empty, or / before each token, with ~0 for ~ and ~1 for /, such as /result/0/price; got ${jsonencode({ for id, feed in try(var.oracle.feeds, {}) : id => { for name, source in feed.sources : name => concat([source.pointer], source.time_pointer[*]) } })}."
  }

  validation {
    condition = alltrue(flatten([for feed in try(var.oracle.feeds, {}) : [for source in feed.sources :
      source.scale >= -18 && source.scale <= 18 && floor(source.scale) == source.scale
    ]]))
    error_message = "oracle.feeds: scale must be a whole number from -18 to 18; got ${jsonencode({ for id, feed in try(var.oracle.feeds, {}) : id => { for name, source in feed.sources : name => source.scale } })}."
  }

  validation {
    condition = alltrue(flatten([for feed in try(var.oracle.feeds, {}) : [for source in feed.sources :
      source.timeout_ms >= 50 && source.timeout_ms <= 10000 && floor(source.timeout_ms) == source.timeout_ms
    ]]))
    error_message = "oracle.feeds: timeout_ms must be a whole number from 50 to 10000; got ${jsonencode({ for id, feed in try(var.oracle.feeds, {}) : id => { for name, source in feed.sources : name => source.timeout_ms } })}."
  }

  validation {
    condition = alltrue(flatten([for feed in try(var.oracle.feeds, {}) : [for source in feed.sources :
      [for header in source.header[*] : can(regex("^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}$", header.name))]
    ]]))
    error_message = "oracle.feeds: header.name must be the name of an HTTP header of 1 to 64 characters, such as x-api-key; got ${jsonencode(flatten([for feed in try(var.oracle.feeds, {}) : [for source in feed.sources : source.header[*].name]]))}."
  }

  # What stands here may be the secret itself, so it is not shown.
  validation {
    condition = alltrue(flatten([for feed in try(var.oracle.feeds, {}) : [for source in feed.sources :
      [for header in source.header[*] : can(regex("^[A-Za-z0-9_.-]{1,64}$", header.secret_key))]
    ]]))
    error_message = "oracle.feeds: header.secret_key must be 1 to 64 letters, digits, underscores, dots and hyphens, under which the value is stored; got ${join(", ", flatten([for feed in try(var.oracle.feeds, {}) : [for source in feed.sources : [for header in source.header[*] : "one of ${try(length(header.secret_key), 0)} characters"]]]))}."
  }
}

variable "rides" {
  description = <<-EOT
    Rides, an example of recording that survives failure; null leaves it out. Its routes /ride and /unicorn are public.

    stage: what the parameters /wild-rydes/<stage>/SnsTopicArn and /wild-rydes-ride-record/<stage>/URL are named by; null for the suite's name.
    publish: how a ride reaches its record: sns, through the topic; or http, by invoking the recorder, which the caller waits for.
    subscribers: the ways from the topic to the recorder: lambda, at once; sqs, through a queue, in batches. Both together record each ride once: apply both between one and the other, or the topic is without a subscriber for a while.
    record_authorization: of POST /record: NONE, or AWS_IAM for signed requests.
    fleet: the unicorns by name; attributes are further texts that a ride repeats.
  EOT
  type = object({
    stage                = optional(string)
    publish              = optional(string, "sns")
    subscribers          = optional(set(string), ["lambda"])
    record_authorization = optional(string, "NONE")
    fleet = optional(map(object({
      color      = string
      attributes = optional(map(string), {})
      })), {
      Bucephalus = { color = "Golden" }
      Shadowfax  = { color = "White" }
      Rocinante  = { color = "Yellow" }
    })
  })
  default = null

  validation {
    condition     = try(var.rides.stage, null) == null ? true : can(regex("^[A-Za-z0-9_.-]{1,64}$", var.rides.stage))
    error_message = "rides.stage must be 1 to 64 letters, digits, underscores, dots and hyphens, or null; got ${jsonencode(try(var.rides.stage, null))}."
  }

  validation {
    condition     = var.rides == null ? true : contains(["sns", "http"], var.rides.publish)
    error_message = "rides.publish must be sns or http; got ${jsonencode(try(var.rides.publish, null))}."
  }

  validation {
    condition     = var.rides == null ? true : length(var.rides.subscribers) > 0 && length(setsubtract(var.rides.subscribers, ["lambda", "sqs"])) == 0
    error_message = "rides.subscribers must be lambda, sqs or both: a topic drops what it has no subscriber for; got ${jsonencode(try(var.rides.subscribers, null))}."
  }

  validation {
    condition     = var.rides == null ? true : contains(["NONE", "AWS_IAM"], var.rides.record_authorization)
    error_message = "rides.record_authorization must be NONE or AWS_IAM; got ${jsonencode(try(var.rides.record_authorization, null))}."
  }

  validation {
    condition     = alltrue([for name in keys(try(var.rides.fleet, {})) : can(regex("^(?s).{1,64}$", name))])
    error_message = "rides.fleet: the name of a unicorn must be 1 to 64 characters; got ${jsonencode(keys(try(var.rides.fleet, {})))}."
  }

  validation {
    condition     = alltrue([for unicorn in try(var.rides.fleet, {}) : can(regex("^(?s).{1,64}$", unicorn.color))])
    error_message = "rides.fleet: color must be 1 to 64 characters; got ${jsonencode({ for name, unicorn in try(var.rides.fleet, {}) : name => unicorn.color })}."
  }

  validation {
    condition = alltrue(flatten([for unicorn in try(var.rides.fleet, {}) : [for name, value in unicorn.attributes :
      can(regex("^[A-Za-z][A-Za-z0-9_-]{0,63}$", name)) && !contains(["name", "color"], lower(name)) && try(length(value), 0) <= 256
    ]]))
    error_message = "rides.fleet: attributes must have names of 1 to 64 letters, digits, underscores and hyphens, the first a letter, other than Name and Color, and texts of at most 256 characters; got ${jsonencode({ for name, unicorn in try(var.rides.fleet, {}) : name => unicorn.attributes })}."
  }

  # rides-fleet reads the whole table for one unicorn.
  validation {
    condition     = length(try(var.rides.fleet, {})) <= 100
    error_message = "rides.fleet must have at most 100 unicorns; got ${length(try(var.rides.fleet, {}))}."
  }
}

variable "faucet" {
  description = <<-EOT
    A faucet, which gives test coins to whoever asks; null leaves it out. Its routes and its page are public.

    network: the testnet's name, as the page and GET / have it.
    chain: kind cosmos or evm; chain_id: such as cosmoshub-4, or 31337. A node: url of an EVM node's JSON-RPC or a Cosmos node's REST interface, rpc_url of a Cosmos node's CometBFT RPC; in order of preference. Their URLs stand in the state and in the functions' environments, readable to whoever may read those: give none whose access key must stay secret.
      Of a Cosmos chain: prefix of its addresses, denom that is paid out, fee_denom (null for denom), gas_price, gas of a transaction with one transfer and gas_each further one, memo, timeout_blocks after which it is void. Of an EVM chain: max_fee_wei and priority_fee_wei a unit of gas.
    symbol, decimals: of the coin, for those who read. amount: that a claim gets, in the smallest unit, as are all sums.
    origins: of pages that may claim, such as https://example.org; "*" for any. The faucet's own page always may.
    trusted_proxies: how many of them stand before the API and name the caller in X-Forwarded-For. 0: none, and the header is not believed.
    throttle: requests of one source, on average and at once. address_cooldown_seconds: from one claim of an address to the next. source: claims in a window of one source. daily_budget: of all claims together.
    captcha: provider recaptcha, hcaptcha or turnstile; site_key; hosts of the pages it is solved on; action; verify_url in place of the provider's. `offchain faucet captcha` stores its secret. null for none.
    proof_of_work: bits of the challenge that is demanded where there is no captcha; each doubles the work; 0 for none. valid_seconds: how long it may take.
    wait_seconds: how long a claim's caller is kept waiting for the block. claim_deadline_seconds: after this a claim that was not paid expires.
    batch: transfers in one transaction, where the chain can. in_flight: transactions that wait for a block at once. confirmations: blocks until a payout is final, its own included. attempts: payouts that a claim may fail in. bump_seconds: after this a waiting transaction is replaced by one with a higher fee. block_seconds: the chain's time from block to block. settle_deadline_seconds: after this a payout that is not settled raises an alarm. lease_seconds: after this a payer that is gone is replaced.
    low_balance: below it the alarm rings; null for 100 times the amount. oldest_unpaid_alarm_seconds: the alarm rings where a claim waits longer.
    retention_days: how long a claim is kept. send: false answers claims and sends nothing.
  EOT
  type = object({
    network = optional(string, "testnet")
    chain = object({
      kind     = string
      chain_id = string
      nodes = optional(list(object({
        url     = string
        rpc_url = optional(string)
      })), [])
      prefix           = optional(string)
      denom            = optional(string)
      fee_denom        = optional(string)
      gas_price        = optional(string, "0.025")
      gas              = optional(number, 120000)
      gas_each         = optional(number, 50000)
      memo             = optional(string, "faucet drop")
      timeout_blocks   = optional(number, 20)
      max_fee_wei      = optional(string, "100000000000")
      priority_fee_wei = optional(string, "1000000000")
    })
    symbol          = string
    decimals        = number
    amount          = string
    origins         = optional(list(string), [])
    trusted_proxies = optional(number, 0)
    throttle = optional(object({
      per_minute = optional(number, 10)
      burst      = optional(number, 10)
    }), {})
    address_cooldown_seconds = optional(number, 86400)
    source = optional(object({
      claims         = optional(number, 5)
      window_seconds = optional(number, 86400)
    }), {})
    daily_budget = string
    captcha = optional(object({
      provider   = string
      site_key   = string
      hosts      = list(string)
      action     = optional(string)
      verify_url = optional(string)
    }))
    proof_of_work = optional(object({
      bits          = optional(number, 18)
      valid_seconds = optional(number, 300)
    }), {})
    wait_seconds                = optional(number, 15)
    claim_deadline_seconds      = optional(number, 3600)
    batch                       = optional(number, 50)
    in_flight                   = optional(number, 4)
    confirmations               = optional(number, 1)
    attempts                    = optional(number, 3)
    bump_seconds                = optional(number, 60)
    block_seconds               = optional(number, 5)
    settle_deadline_seconds     = optional(number, 3600)
    lease_seconds               = optional(number, 60)
    low_balance                 = optional(string)
    oldest_unpaid_alarm_seconds = optional(number, 600)
    retention_days              = optional(number, 30)
    send                        = optional(bool, true)
  })
  default = null

  validation {
    condition     = var.faucet == null ? true : can(regex("^[a-z][a-z0-9-]{0,31}$", var.faucet.network))
    error_message = "faucet.network must be 1 to 32 lower-case letters, digits and hyphens, the first a letter; got ${jsonencode(try(var.faucet.network, null))}."
  }

  validation {
    condition     = var.faucet == null ? true : contains(["cosmos", "evm"], var.faucet.chain.kind)
    error_message = "faucet.chain.kind must be cosmos or evm; got ${jsonencode(try(var.faucet.chain.kind, null))}."
  }

  validation {
    condition     = var.faucet == null ? true : can(regex(var.faucet.chain.kind == "evm" ? "^[1-9][0-9]{0,14}$" : "^[A-Za-z0-9._-]{1,50}$", var.faucet.chain.chain_id))
    error_message = "faucet.chain.chain_id must be 1 to 50 letters, digits, dots, underscores and hyphens, or of an EVM chain a whole number, such as 31337; got ${jsonencode(try(var.faucet.chain.chain_id, null))}."
  }

  validation {
    condition     = var.faucet == null ? true : length(concat(var.faucet_nodes, var.faucet.chain.nodes)) > 0
    error_message = "faucet.chain.nodes or faucet_nodes must name a node of the chain, such as { url = \"http://127.0.0.1:8545\" }; both are empty."
  }

  # What stands here may hold an access key, so it is not shown.
  validation {
    condition     = alltrue([for url in flatten([for node in try(var.faucet.chain.nodes, []) : concat([node.url], node.rpc_url[*])]) : can(regex("^https?://[^@[:space:]]+$", url))])
    error_message = "faucet.chain.nodes: url and rpc_url must be http:// or https:// URLs without user name, password and blanks."
  }

  validation {
    condition     = try(var.faucet.chain.kind, null) == "evm" ? length(flatten([for node in concat(var.faucet_nodes, var.faucet.chain.nodes) : node.rpc_url[*]])) == 0 : true
    error_message = "faucet.chain.nodes: rpc_url is of a Cosmos node; url is an EVM node's JSON-RPC."
  }

  validation {
    condition     = try(var.faucet.chain.kind, null) == "cosmos" ? can(regex("^[a-z][a-z0-9]{0,31}$", var.faucet.chain.prefix)) : true
    error_message = "faucet.chain.prefix must be what the addresses of a Cosmos chain begin with, 1 to 32 lower-case letters and digits, such as cosmos; got ${jsonencode(try(var.faucet.chain.prefix, null))}."
  }

  validation {
    condition = try(var.faucet.chain.kind, null) == "cosmos" ? alltrue([
      for denom in concat([var.faucet.chain.denom], var.faucet.chain.fee_denom[*]) : can(regex("^[a-zA-Z][a-zA-Z0-9/:._-]{2,127}$", denom))
    ]) : true
    error_message = "faucet.chain.denom, and fee_denom unless null, must be a coin of a Cosmos chain, 3 to 128 characters, such as uatom; got ${jsonencode(try([var.faucet.chain.denom, var.faucet.chain.fee_denom], null))}."
  }

  validation {
    condition     = var.faucet == null ? true : can(regex("^[0-9]{1,18}(\\.[0-9]{1,18})?$", var.faucet.chain.gas_price))
    error_message = "faucet.chain.gas_price must be a decimal number, such as 0.025; got ${jsonencode(try(var.faucet.chain.gas_price, null))}."
  }

  validation {
    condition     = var.faucet == null ? true : can(regex("^.{0,256}$", var.faucet.chain.memo))
    error_message = "faucet.chain.memo must be one line of at most 256 characters."
  }

  validation {
    condition = var.faucet == null ? true : alltrue([for name, range in local.faucet_chain_ranges :
      try(var.faucet.chain[name] == floor(min(max(var.faucet.chain[name], range[0]), range[1])), false)
    ])
    error_message = "faucet.chain: ${join(", ", [for name, range in local.faucet_chain_ranges : "${name} must be a whole number from ${range[0]} to ${range[1]}"])}; got ${jsonencode({ for name, range in local.faucet_chain_ranges : name => try(var.faucet.chain[name], null) })}."
  }

  validation {
    condition     = var.faucet == null ? true : alltrue([for fee in [var.faucet.chain.max_fee_wei, var.faucet.chain.priority_fee_wei] : can(regex("^[1-9][0-9]{0,17}$", fee))])
    error_message = "faucet.chain: max_fee_wei and priority_fee_wei must be whole numbers from 1, of at most 18 digits; got ${jsonencode(try([var.faucet.chain.max_fee_wei, var.faucet.chain.priority_fee_wei], null))}."
  }

  validation {
    condition     = var.faucet == null ? true : try(tonumber(var.faucet.chain.priority_fee_wei) <= tonumber(var.faucet.chain.max_fee_wei), false)
    error_message = "faucet.chain.priority_fee_wei must be at most max_fee_wei, which it is a part of; got ${jsonencode(try([var.faucet.chain.priority_fee_wei, var.faucet.chain.max_fee_wei], null))}."
  }

  validation {
    condition     = var.faucet == null ? true : can(regex("^[^[:space:]]{1,16}$", var.faucet.symbol))
    error_message = "faucet.symbol must be 1 to 16 characters without blanks, such as ETH; got ${jsonencode(try(var.faucet.symbol, null))}."
  }

  # A sum fits into 128 bits, and so do a hundred.
  validation {
    condition     = alltrue([for sum in try(concat([var.faucet.amount, var.faucet.daily_budget], var.faucet.low_balance[*]), []) : can(regex("^[1-9][0-9]{0,35}$", sum))])
    error_message = "faucet: amount, daily_budget and low_balance must be whole numbers of at most 36 digits, in the smallest unit and from 1; got ${jsonencode(try([var.faucet.amount, var.faucet.daily_budget, var.faucet.low_balance], null))}."
  }

  validation {
    condition     = var.faucet == null ? true : try(parseint(var.faucet.daily_budget, 10) >= parseint(var.faucet.amount, 10), false)
    error_message = "faucet.daily_budget must be at least amount, or no claim could be paid; got ${jsonencode(try([var.faucet.daily_budget, var.faucet.amount], null))}."
  }

  validation {
    condition     = alltrue([for origin in try(var.faucet.origins, []) : can(regex("^([*]|https?://([a-z0-9.-]+|\\[[0-9a-f:.]+\\])(:[0-9]{1,5})?)$", origin))])
    error_message = "faucet.origins must be origins as browsers name them, scheme and host in lower case without a path, such as https://example.org, or \"*\"; got ${jsonencode(try(var.faucet.origins, null))}."
  }

  validation {
    condition = var.faucet == null ? true : alltrue([for name, range in local.faucet_ranges :
      try(var.faucet[name] == floor(min(max(var.faucet[name], range[0]), range[1])), false)
    ])
    error_message = "faucet: these must be whole numbers: ${join("; ", [for name, range in local.faucet_ranges : "${name} from ${range[0]} to ${range[1]}, got ${try(var.faucet[name], "null")}" if try(var.faucet[name] != floor(min(max(var.faucet[name], range[0]), range[1])), true)])}."
  }

  validation {
    condition = alltrue([for value in try([var.faucet.throttle.per_minute, var.faucet.throttle.burst, var.faucet.source.claims], []) :
      value == floor(min(max(value, 1), 1000000))
    ])
    error_message = "faucet: throttle.per_minute, throttle.burst and source.claims must be whole numbers from 1 to 1000000; got ${jsonencode(try([var.faucet.throttle.per_minute, var.faucet.throttle.burst, var.faucet.source.claims], null))}."
  }

  validation {
    condition     = var.faucet == null ? true : var.faucet.source.window_seconds == floor(min(max(var.faucet.source.window_seconds, 1), 31536000))
    error_message = "faucet.source.window_seconds must be a whole number from 1 to 31536000; got ${try(var.faucet.source.window_seconds, "null")}."
  }

  validation {
    condition     = var.faucet == null ? true : var.faucet.proof_of_work.bits == floor(min(max(var.faucet.proof_of_work.bits, 0), 32))
    error_message = "faucet.proof_of_work.bits must be a whole number from 1 to 32, or 0 for no proof of work; got ${try(var.faucet.proof_of_work.bits, "null")}."
  }

  validation {
    condition     = var.faucet == null ? true : var.faucet.proof_of_work.valid_seconds == floor(min(max(var.faucet.proof_of_work.valid_seconds, 30), 3600))
    error_message = "faucet.proof_of_work.valid_seconds must be a whole number from 30 to 3600; got ${try(var.faucet.proof_of_work.valid_seconds, "null")}."
  }

  validation {
    condition     = try(var.faucet.captcha, null) == null ? true : contains(["recaptcha", "hcaptcha", "turnstile"], var.faucet.captcha.provider)
    error_message = "faucet.captcha.provider must be recaptcha, hcaptcha or turnstile; got ${jsonencode(try(var.faucet.captcha.provider, null))}."
  }

  validation {
    condition     = try(var.faucet.captcha, null) == null ? true : can(regex("^[A-Za-z0-9_-]{1,128}$", var.faucet.captcha.site_key))
    error_message = "faucet.captcha.site_key must be the provider's public key of the site, 1 to 128 letters, digits, underscores and hyphens; got ${jsonencode(try(var.faucet.captcha.site_key, null))}."
  }

  validation {
    condition = try(var.faucet.captcha, null) == null ? true : length(var.faucet.captcha.hosts) > 0 && alltrue([
      for host in var.faucet.captcha.hosts : can(regex("^[a-z0-9.-]{1,253}$", host))
    ])
    error_message = "faucet.captcha.hosts must be the hosts of the pages that the captcha is solved on, at least one, lower-case, without scheme and port; got ${jsonencode(try(var.faucet.captcha.hosts, null))}."
  }

  validation {
    condition     = try(var.faucet.captcha.action, null) == null ? true : can(regex("^[A-Za-z0-9/_-]{1,100}$", var.faucet.captcha.action))
    error_message = "faucet.captcha.action must be 1 to 100 letters, digits, slashes, underscores and hyphens, or null; got ${jsonencode(try(var.faucet.captcha.action, null))}."
  }

  validation {
    condition     = try(var.faucet.captcha.provider, null) == "hcaptcha" ? var.faucet.captcha.action == null : true
    error_message = "faucet.captcha.action must be null with hcaptcha, which knows no actions; got ${jsonencode(try(var.faucet.captcha.action, null))}."
  }

  validation {
    condition     = try(var.faucet.captcha.verify_url, null) == null ? true : can(regex("^https?://[^@[:space:]]+$", var.faucet.captcha.verify_url))
    error_message = "faucet.captcha.verify_url must be an http:// or https:// URL without user name, password and blanks, or null."
  }

  # Lambda's environment ends at 4 KB; what has a length of its own gets half of it.
  validation {
    condition     = var.faucet == null ? true : length(jsonencode([length(var.faucet_nodes) > 0 ? var.faucet_nodes : var.faucet.chain.nodes, var.faucet.chain.memo, var.faucet.origins, var.faucet.captcha])) <= 2048
    error_message = "faucet: nodes, memo, origins and captcha together must be at most 2048 characters as JSON, or the functions' environment would be too long."
  }

  validation {
    condition     = var.faucet == null ? true : var.faucet.bump_seconds >= var.faucet.block_seconds && var.faucet.bump_seconds < var.faucet.settle_deadline_seconds
    error_message = "faucet.bump_seconds must be at least block_seconds, or a transaction would be replaced before a block could take it, and less than settle_deadline_seconds; got ${try(var.faucet.bump_seconds, "null")}, ${try(var.faucet.block_seconds, "null")} and ${try(var.faucet.settle_deadline_seconds, "null")}."
  }

  validation {
    condition     = var.faucet == null ? true : var.faucet.settle_deadline_seconds >= var.faucet.block_seconds * (var.faucet.confirmations + 1)
    error_message = "faucet.settle_deadline_seconds must be at least block_seconds times (confirmations + 1), or no payout could be final in time; got ${try(var.faucet.settle_deadline_seconds, "null")}, ${try(var.faucet.block_seconds, "null")} and ${try(var.faucet.confirmations, "null")}."
  }

  validation {
    condition     = var.faucet == null ? true : var.faucet.oldest_unpaid_alarm_seconds < var.faucet.claim_deadline_seconds
    error_message = "faucet.oldest_unpaid_alarm_seconds must be less than claim_deadline_seconds, when a claim expires and waits no more; got ${try(var.faucet.oldest_unpaid_alarm_seconds, "null")} and ${try(var.faucet.claim_deadline_seconds, "null")}."
  }

  validation {
    condition     = var.faucet == null ? true : 86400 * var.faucet.retention_days >= var.faucet.claim_deadline_seconds + var.faucet.settle_deadline_seconds
    error_message = "faucet.retention_days must outlast a claim: claim_deadline_seconds + settle_deadline_seconds; got ${try(var.faucet.retention_days, "null")} days, ${try(var.faucet.claim_deadline_seconds, "null")} s and ${try(var.faucet.settle_deadline_seconds, "null")} s."
  }
}

# From and to.
locals {
  faucet_ranges = {
    decimals                 = [0, 36]
    trusted_proxies          = [0, 10]
    address_cooldown_seconds = [0, 31536000]
    # API Gateway gives up after 30 s, and the function a second before.
    wait_seconds           = [0, 25]
    claim_deadline_seconds = [60, 604800]
    batch                  = [1, 90]
    in_flight              = [1, 64]
    confirmations          = [1, 1000]
    attempts               = [1, 10]
    bump_seconds           = [1, 21600]
    block_seconds          = [1, 600]
    # An execution's history has room for so many looks at the chain.
    settle_deadline_seconds     = [10, 21600]
    lease_seconds               = [5, 900]
    oldest_unpaid_alarm_seconds = [1, 604800]
    retention_days              = [1, 3650]
  }
  faucet_chain_ranges = {
    gas            = [1, 1000000000]
    gas_each       = [1, 1000000000]
    timeout_blocks = [2, 10000]
  }
}

variable "faucet_nodes" {
  description = "Nodes in place of faucet.chain.nodes, unless empty: for whoever learns of them later than of the rest, as scripts/up of its own chain's."
  type = list(object({
    url     = string
    rpc_url = optional(string)
  }))
  default  = []
  nullable = false

  validation {
    condition     = alltrue([for url in flatten([for node in var.faucet_nodes : concat([node.url], node.rpc_url[*])]) : can(regex("^https?://[^@[:space:]]+$", url))])
    error_message = "faucet_nodes: url and rpc_url must be http:// or https:// URLs without user name, password and blanks."
  }
}

variable "ledger" {
  description = <<-EOT
    A bridge from a BigchainDB ledger to webhooks, and the suite's own receiver of them, which keeps owners, drivers and premiums; null leaves it out.

    node: scheme, host and port of a node, such as http://bigchaindb.example.org:9984; null where ledger_node names it. from_height: the first block that is delivered; later the cursor counts.
    allow_private: whether node and subscribers may have addresses that are not public. For tests, and where they are the operator's own: whoever answers for a subscriber's name could have the listener write to what is inside.
    listen: false leaves the schedule out, for a daemon (`offchain ledger listen`) in its place. run_minutes: from one run's start to the next, which takes over from it.
    poll_seconds: between two looks at the chain's height, which find what the stream did not tell. stall_seconds: after this a stream that should have told something is opened anew. lease_seconds: after this a listener that is gone is replaced.
    concurrency: webhooks of one subscriber on their way at once. timeout_seconds: what it has for its answer. retry_schedule: seconds from each try of a webhook to the next; used up, it is a dead letter. max_kept: webhooks that may wait for a retry; at so many no further block is read.
    memory_mb: of the listener, which waits for most of its time and costs by its memory; a chain with blocks of megabytes wants more.
    lag_alarm_heights: the alarm rings where the listener is further behind for 5 minutes.
    subscribers: receivers beside the suite's own, by name: url, which stands in the state and in the functions' environments. assets: ids; owners: public keys; a transaction is delivered where its asset is listed, or none is, and one of its owners is, or none is.
    assets, owners: likewise, of the suite's own receiver.
    `offchain ledger secret rotate NAME` makes the key that webhooks to a subscriber are signed with; the suite's own one is called ledger.
  EOT
  type = object({
    node              = optional(string)
    from_height       = optional(number, 1)
    allow_private     = optional(bool, false)
    listen            = optional(bool, true)
    run_minutes       = optional(number, 10)
    poll_seconds      = optional(number, 2)
    stall_seconds     = optional(number, 5)
    lease_seconds     = optional(number, 4)
    concurrency       = optional(number, 16)
    timeout_seconds   = optional(number, 15)
    retry_schedule    = optional(list(number), [5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400])
    max_kept          = optional(number, 10000)
    memory_mb         = optional(number, 128)
    lag_alarm_heights = optional(number, 100)
    assets            = optional(list(string), [])
    owners            = optional(list(string), [])
    subscribers = optional(map(object({
      url    = string
      assets = optional(list(string), [])
      owners = optional(list(string), [])
    })), {})
  })
  default = null

  validation {
    condition     = var.ledger == null ? true : try(coalesce(var.ledger_node, var.ledger.node), null) != null
    error_message = "ledger.node or ledger_node must name a node of the ledger, such as http://127.0.0.1:9984; both are null."
  }

  # What stands before an @ is not shown. Terraform itself would show a text that the
  # condition names, but not what is in an object.
  validation {
    condition = alltrue([for name, url in try({ for name, value in var.ledger : name => value if name == "node" && value != null }, {}) :
      can(regex("^https?://([A-Za-z0-9._-]+|\\[[0-9A-Fa-f:.]+\\])(:[0-9]{1,5})?$", url)) && try(tonumber(regex(":([0-9]+)$", url)[0]) <= 65535, true)
    ])
    error_message = "ledger.node must be http:// or https:// with a host and, unless it is the scheme's own, a port: without user name, password and path, such as https://bigchaindb.example.org:9984; got \"${try(replace(var.ledger.node, "/\\/\\/.*@/", "//...@"), "null")}\"."
  }

  validation {
    condition = var.ledger == null ? true : alltrue([for name, range in local.ledger_ranges :
      try(var.ledger[name] == floor(min(max(var.ledger[name], range[0]), range[1])), false)
    ])
    error_message = "ledger: these must be whole numbers: ${join("; ", [for name, range in local.ledger_ranges : "${name} from ${range[0]} to ${range[1]}, got ${try(var.ledger[name], "null")}" if try(var.ledger[name] != floor(min(max(var.ledger[name], range[0]), range[1])), true)])}."
  }

  validation {
    condition = var.ledger == null ? true : length(var.ledger.retry_schedule) <= 20 && alltrue([
      for seconds in var.ledger.retry_schedule : try(seconds == floor(min(max(seconds, 1), 86400)), false)
    ])
    error_message = "ledger.retry_schedule must be at most 20 whole numbers of seconds from 1 to 86400; got ${jsonencode(try(var.ledger.retry_schedule, null))}."
  }

  validation {
    condition     = length(try(var.ledger.subscribers, {})) <= 20
    error_message = "ledger.subscribers must be at most 20; got ${length(try(var.ledger.subscribers, {}))}."
  }

  validation {
    condition     = alltrue([for name in keys(try(var.ledger.subscribers, {})) : can(regex("^[a-z0-9-]{1,32}$", name))])
    error_message = "ledger.subscribers: the name of a subscriber must be 1 to 32 lower-case letters, digits and hyphens; got ${jsonencode(keys(try(var.ledger.subscribers, {})))}."
  }

  validation {
    condition     = !contains(keys(try(var.ledger.subscribers, {})), "ledger")
    error_message = "ledger.subscribers must name no subscriber \"ledger\", which is the suite's own; got ${jsonencode(keys(try(var.ledger.subscribers, {})))}."
  }

  # No character that readers of URLs disagree about, such as a backslash. What
  # stands here may hold an access key, so it is not shown.
  validation {
    condition = alltrue([for subscriber in try(var.ledger.subscribers, {}) :
      try(length(subscriber.url), 0) <= 2048 &&
      try(tonumber(regex("^[^?]*:([0-9]+)([/?]|$)", subscriber.url)[0]) <= 65535, true) &&
      can(regex("^https?://([A-Za-z0-9._-]+|\\[[0-9A-Fa-f:.]+\\])(:[0-9]{1,5})?([/?][A-Za-z0-9._~:/?\\[\\]@!$&'()*+,;=%-]*)?$", subscriber.url))
    ])
    error_message = "ledger.subscribers: url must be an http:// or https:// URL of at most 2048 characters of RFC 3986, without user name, password, fragment and blanks, such as https://example.org/hooks/ledger; got ${jsonencode({ for name, subscriber in try(var.ledger.subscribers, {}) : name => "one of ${try(length(subscriber.url), 0)} characters" })}."
  }

  validation {
    condition = alltrue([for id in try(flatten([var.ledger.assets, [for subscriber in var.ledger.subscribers : subscriber.assets]]), []) :
      can(regex("^[0-9a-f]{64}$", id))
    ])
    error_message = "ledger: assets must be ids of 64 lower-case hexadecimal digits; got ${jsonencode([for id in try(flatten([var.ledger.assets, [for subscriber in var.ledger.subscribers : subscriber.assets]]), []) : id if !can(regex("^[0-9a-f]{64}$", id))])}."
  }

  validation {
    condition = alltrue([for key in try(flatten([var.ledger.owners, [for subscriber in var.ledger.subscribers : subscriber.owners]]), []) :
      can(regex("^[1-9A-HJ-NP-Za-km-z]{43,44}$", key))
    ])
    error_message = "ledger: owners must be public keys of 43 or 44 characters of base58, which has no 0, O, I and l; got ${jsonencode([for key in try(flatten([var.ledger.owners, [for subscriber in var.ledger.subscribers : subscriber.owners]]), []) : key if !can(regex("^[1-9A-HJ-NP-Za-km-z]{43,44}$", key))])}."
  }

  # Lambda's environment ends at 4 KB; what has a length of its own gets most of it. Each
  # subscriber stands there with the ARN of its secret.
  validation {
    condition = var.ledger == null ? true : length(jsonencode([
      try(coalesce(var.ledger_node, var.ledger.node), null),
      var.ledger.retry_schedule,
      [for name, subscriber in merge({ ledger = { url = "https://a1b2c3d4e5.execute-api.${var.region}.amazonaws.com/v1/ledger/events", assets = var.ledger.assets, owners = var.ledger.owners } }, var.ledger.subscribers) : merge(subscriber, { name = name, secret_arn = "arn:aws:secretsmanager:${var.region}:123456789012:secret:${var.name}/ledger/webhook/${name}-AbCdEf" })],
    ])) <= 3200
    error_message = "ledger: node, retry_schedule and the subscribers, the suite's own among them, with their secrets' ARNs, URLs, assets and owners must be at most 3200 characters as JSON, or the functions' environment would be too long. Some 17 fit in, or a few with filters; more are for a subscriber that passes events on."
  }
}

# From and to.
locals {
  ledger_ranges = {
    from_height = [1, 9007199254740991]
    # A run ends half a minute after the next one's start, and before the nine tenths of
    # Lambda's 15 minutes at which the alarm on its duration rings.
    run_minutes   = [1, 12]
    poll_seconds  = [1, 60]
    stall_seconds = [1, 300]
    lease_seconds = [2, 60]
    concurrency   = [1, 64]
    # ledger-deliver has 30 s in all.
    timeout_seconds   = [1, 25]
    max_kept          = [1, 1000000]
    memory_mb         = [128, 10240]
    lag_alarm_heights = [1, 1000000000]
  }
}

variable "ledger_node" {
  description = "Node in place of ledger.node, unless null: for whoever learns of it later than of the rest, as scripts/up of its own."
  type        = string
  default     = null

  validation {
    condition = alltrue([for url in var.ledger_node[*] :
      can(regex("^https?://([A-Za-z0-9._-]+|\\[[0-9A-Fa-f:.]+\\])(:[0-9]{1,5})?$", url)) && try(tonumber(regex(":([0-9]+)$", url)[0]) <= 65535, true)
    ])
    error_message = "ledger_node must be http:// or https:// with a host and, unless it is the scheme's own, a port: without user name, password and path, such as http://127.0.0.1:9984; got \"${try(replace(var.ledger_node, "/\\/\\/.*@/", "//...@"), "null")}\"."
  }
}

variable "redrive" {
  description = <<-EOT
    How dead letters of any queue are sent back.

    max_redrives: how often one event is sent back before it is quarantined.
    hold_seconds: how long a letter that is being sent is hidden from others. On AWS longer than the 90 s that a run may take; shorter only for tests.
    history_days: how long is kept what became of a letter; of a quarantined one, itself.
  EOT
  type = object({
    max_redrives = optional(number, 3)
    hold_seconds = optional(number, 120)
    history_days = optional(number, 30)
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.redrive.max_redrives >= 1 && var.redrive.max_redrives <= 100 && floor(var.redrive.max_redrives) == var.redrive.max_redrives
    error_message = "redrive.max_redrives must be a whole number from 1 to 100; got ${var.redrive.max_redrives}."
  }

  validation {
    condition     = var.redrive.hold_seconds >= 1 && var.redrive.hold_seconds <= 43200 && floor(var.redrive.hold_seconds) == var.redrive.hold_seconds
    error_message = "redrive.hold_seconds must be a whole number from 1 to 43200 (the most SQS hides a message); got ${var.redrive.hold_seconds}."
  }

  # A letter lives 14 days in its queue: its history must not end before it does.
  validation {
    condition     = var.redrive.history_days >= 14 && var.redrive.history_days <= 3650 && floor(var.redrive.history_days) == var.redrive.history_days
    error_message = "redrive.history_days must be a whole number from 14, the days that a dead letter queue keeps a message, to 3650; got ${var.redrive.history_days}."
  }
}
