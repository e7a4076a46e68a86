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
  description = "Where the HTTP API's alarms ring: client_errors, answers with 4xx in 5 minutes; latency_ms, what one request in a hundred takes. Answers with 5xx always ring."
  type = object({
    client_errors = optional(number, 500)
    latency_ms    = optional(number, 3000)
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.api_alarms.client_errors >= 1 && floor(var.api_alarms.client_errors) == var.api_alarms.client_errors
    error_message = "api_alarms.client_errors must be a whole number of at least 1; got ${var.api_alarms.client_errors}."
  }

  # API Gateway gives up an integration after 30 s.
  validation {
    condition     = var.api_alarms.latency_ms >= 1 && var.api_alarms.latency_ms <= 30000 && floor(var.api_alarms.latency_ms) == var.api_alarms.latency_ms
    error_message = "api_alarms.latency_ms must be a whole number from 1 to 30000; got ${var.api_alarms.latency_ms}."
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
    condition     = try(var.oracle.table_name, null) == null ? true : !contains([for table in ["dead-letters", "oracle-feeds", "oracle-keys", "rides", "rides-fleet", "vrf", "vrf-keys"] : "${var.name}-${table}"], var.oracle.table_name)
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
