# What the functions are told of the chain and of the policies, as JSON. Sums are
# text: a sum may be longer than what JSON's readers keep of a number.

locals {
  chain = {
    cosmos = {
      kind           = "cosmos"
      nodes          = local.nodes
      chain_id       = var.settings.chain.chain_id
      prefix         = var.settings.chain.prefix
      denom          = var.settings.chain.denom
      fee_denom      = try(coalesce(var.settings.chain.fee_denom, var.settings.chain.denom), null)
      gas_price      = var.settings.chain.gas_price
      gas            = var.settings.chain.gas
      gas_each       = var.settings.chain.gas_each
      memo           = var.settings.chain.memo
      timeout_blocks = var.settings.chain.timeout_blocks
    }
    evm = {
      kind             = "evm"
      nodes            = local.nodes
      chain_id         = try(tonumber(var.settings.chain.chain_id), null)
      max_fee_wei      = var.settings.chain.max_fee_wei
      priority_fee_wei = var.settings.chain.priority_fee_wei
    }
  }

  nodes = [for node in var.nodes : merge({ url = node.url }, node.rpc_url == null ? {} : { rpc_url = node.rpc_url })]

  # Who may claim, and how often.
  intake_policy = {
    amount                   = var.settings.amount
    symbol                   = var.settings.symbol
    decimals                 = var.settings.decimals
    origins                  = var.settings.origins
    trusted_proxies          = var.settings.trusted_proxies
    throttle                 = var.settings.throttle
    address_cooldown_seconds = var.settings.address_cooldown_seconds
    source                   = var.settings.source
    daily_budget             = var.settings.daily_budget
    claim_deadline_seconds   = var.settings.claim_deadline_seconds
    wait_seconds             = var.settings.wait_seconds
    captcha                  = var.settings.captcha
    # A claim has one response: to a captcha, or to a challenge.
    proof_of_work  = var.settings.captcha != null || var.settings.proof_of_work.bits == 0 ? null : var.settings.proof_of_work
    retention_days = var.settings.retention_days
    send           = var.settings.send
    limits         = true
  }

  # How claims are paid.
  payout_policy = {
    batch                   = var.settings.batch
    in_flight               = var.settings.in_flight
    confirmations           = var.settings.confirmations
    attempts                = var.settings.attempts
    bump_seconds            = var.settings.bump_seconds
    lease_seconds           = var.settings.lease_seconds
    settle_deadline_seconds = var.settings.settle_deadline_seconds
    low_balance             = local.low_balance
    amount                  = var.settings.amount
    retention_days          = var.settings.retention_days
    decimals                = var.settings.decimals
  }

  # Enough for a hundred claims, unless said otherwise.
  low_balance = coalesce(var.settings.low_balance, tostring(100 * parseint(var.settings.amount, 10)))
}
