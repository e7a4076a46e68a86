# The suite on a laptop: everything can be thrown away, and at once.
deletion_protection  = false
secret_recovery_days = 0
log_retention_days   = 1

# A source may be a server on the same laptop.
# A reading every two seconds: a month of them would weigh on the emulator.
oracle = { allow_private_sources = true, retention_days = 1 }

# The example, whose routes are public: this one is reached from the laptop alone.
rides = {}

# A faucet of a chain on the same laptop, whose node scripts/up names (faucet_nodes)
# once it runs. Its coins are worth nothing, and all claims come from one address.
faucet = {
  network                  = "local"
  chain                    = { kind = "evm", chain_id = "31337" }
  symbol                   = "ETH"
  decimals                 = 18
  amount                   = "1000000000000000000"
  daily_budget             = "1000000000000000000000"
  proof_of_work            = { bits = 16 }
  address_cooldown_seconds = 60
  source                   = { claims = 1000 }
  block_seconds            = 1
}

# Of a node on the same laptop, which scripts/up names (ledger_node) once it runs.
ledger = {
  allow_private  = true
  run_minutes    = 1
  retry_schedule = [1, 5, 30]
}
