variable "name" {
  description = "Prefix of the suite's names."
  type        = string
}

variable "settings" {
  description = "The root variable `faucet`, which describes, defaults and validates it."
  type = object({
    network = string
    chain = object({
      kind             = string
      chain_id         = string
      prefix           = string
      denom            = string
      fee_denom        = string
      gas_price        = string
      gas              = number
      gas_each         = number
      memo             = string
      timeout_blocks   = number
      max_fee_wei      = string
      priority_fee_wei = string
    })
    symbol          = string
    decimals        = number
    amount          = string
    origins         = list(string)
    trusted_proxies = number
    throttle = object({
      per_minute = number
      burst      = number
    })
    address_cooldown_seconds = number
    source = object({
      claims         = number
      window_seconds = number
    })
    daily_budget = string
    captcha = object({
      provider   = string
      site_key   = string
      hosts      = list(string)
      action     = string
      verify_url = string
    })
    proof_of_work = object({
      bits          = number
      valid_seconds = number
    })
    wait_seconds                = number
    claim_deadline_seconds      = number
    batch                       = number
    in_flight                   = number
    confirmations               = number
    attempts                    = number
    bump_seconds                = number
    block_seconds               = number
    settle_deadline_seconds     = number
    lease_seconds               = number
    low_balance                 = string
    oldest_unpaid_alarm_seconds = number
    retention_days              = number
    send                        = bool
  })
}

variable "nodes" {
  description = "The chain's nodes, in order of preference: url, and rpc_url of a Cosmos node."
  type = list(object({
    url     = string
    rpc_url = optional(string)
  }))
}

variable "definition_path" {
  description = "The machine faucet-payout in Amazon States Language, with placeholders."
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
