# The stack of the end-to-end tests: as terraform/local.tfvars says, but quick.
vrf = {
  poll_interval_seconds        = 1
  height_window_seconds        = 120
  key_activation_delay_seconds = 8
  back_off                     = { base_seconds = 1, max_seconds = 2 }
  schedule = {
    queue_delay_seconds = { min = 0, max = 2 }
    target_blocks       = { min = 0, max = 3 }
    block_seconds       = 1
  }
}
oracle = {
  allow_private_sources        = true
  secret_cache_seconds         = 2
  key_activation_delay_seconds = 8
}
rides   = {}
redrive = { hold_seconds = 5 }
# All tests claim from one address, and none may wait for another's limit.
faucet = {
  chain                       = { kind = "evm", chain_id = "31337" }
  symbol                      = "ETH"
  decimals                    = 18
  amount                      = "1000000000000000"
  origins                     = ["https://faucet.example"]
  throttle                    = { per_minute = 6000, burst = 2000 }
  source                      = { claims = 100000 }
  daily_budget                = "1000000000000000000000"
  proof_of_work               = { bits = 0 }
  wait_seconds                = 10
  claim_deadline_seconds      = 600
  bump_seconds                = 5
  block_seconds               = 1
  settle_deadline_seconds     = 120
  lease_seconds               = 20
  oldest_unpaid_alarm_seconds = 300
}
# `other` is there for its secret, which the functions may read: the stack itself has
# nothing to tell it, and tests give it a filter and a receiver of their own.
ledger = {
  allow_private  = true
  run_minutes    = 1
  retry_schedule = [1, 1, 2, 2]
  subscribers = {
    other = {
      url    = "http://127.0.0.1:9/"
      assets = ["0000000000000000000000000000000000000000000000000000000000000000"]
    }
  }
}
