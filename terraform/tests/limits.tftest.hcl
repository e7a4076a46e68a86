# What the variables accept at their limits; tests/variables has what they refuse.

mock_provider "aws" {
  source = "./tests/mocks"
}

# A run plans the subsystem that it is about, and no other.
variables {
  artifacts_dir = "tests/artifacts"
  vrf           = null
  oracle        = null
  faucet_nodes  = [{ url = "http://127.0.0.1:8545" }]
  ledger_node   = "http://127.0.0.1:9984"
}

run "settings_at_their_limits_are_accepted" {
  command = plan

  variables {
    vrf = {
      poll_interval_seconds = 1
      height_window_seconds = 1000
      key_rotation          = "rate(30 days)"
      chain                 = { kind = "cometbft", rpc_url = "http://127.0.0.1:26657" }
      schedule              = { queue_delay_seconds = { min = 900, max = 900 }, bounds = { min = 0, max = 1 } }
    }
  }

  assert {
    condition     = length(module.vrf) == 1
    error_message = "The VRF must be deployed."
  }
}

run "an_oracle_at_its_limits_is_accepted" {
  command = plan

  variables {
    oracle = {
      interval_seconds             = 60
      lead_seconds                 = 5
      head_start_seconds           = 4
      machine_type                 = "STANDARD"
      table_name                   = "a_B.c-3"
      retention_days               = 1
      secret_cache_seconds         = 1
      key_rotation                 = "cron(0 0 1 * ? *)"
      key_activation_delay_seconds = 5
      lateness_alarm_ms            = 59999
      staleness_alarm_seconds      = 60
      demo                         = false
      feeds = {
        demo = {
          decimals = 0
          sources  = { a = { url = "http://[::1]:65535?of=eth&in=usd@now", pointer = "" } }
        }
        a23456789-123456789-123456789-12 = {
          decimals        = 18
          quorum          = 16
          max_age_seconds = 1
          max_spread_bps  = 0
          sources = { for number in range(16) : "source-${number}" => {
            url          = "https://api-${number}.example.org/v1/price%20of/eth?in=usd"
            pointer      = "/a~0b~1c//0"
            time_pointer = "/time"
            scale        = 18 * (number % 2 * 2 - 1)
            timeout_ms   = number == 0 ? 50 : 10000
            header       = { name = "X-Api_Key!", secret_key = "Kraken.key_1-2" }
          } }
        }
      }
    }
  }

  assert {
    condition     = length(module.oracle) == 1
    error_message = "The oracle must be deployed."
  }
}

run "rides_and_redrive_at_their_limits_are_accepted" {
  command = plan

  variables {
    rides = {
      stage                = "a_B.c-3"
      subscribers          = ["sqs", "lambda"]
      record_authorization = "AWS_IAM"
      fleet = merge(
        { for number in range(98) : "Unicorn ${number}" => { color = "White" } },
        {
          "${join("", [for _ in range(64) : "ä"])}" = { color = join("", [for _ in range(64) : "ö"]) }
          " "                                       = { color = "?", attributes = { "a23456789-123456789-123456789-123456789-123456789_123456789-1234" = "" } }
        },
      )
    }
    redrive    = { max_redrives = 100, hold_seconds = 43200, history_days = 3650 }
    api_alarms = { client_errors = 1, latency_ms = 30000 }
  }

  assert {
    condition     = length(module.rides) == 1
    error_message = "The rides must be deployed."
  }
}

run "redrive_at_its_least_is_accepted" {
  command = plan

  variables {
    redrive    = { max_redrives = 1, hold_seconds = 1, history_days = 14 }
    api_alarms = { latency_ms = 1 }
  }

  assert {
    condition     = output.stack.redrive.max_redrives == 1
    error_message = "The redrive must be deployed."
  }
}

run "a_faucet_of_an_evm_chain_at_its_limits_is_accepted" {
  command = plan

  variables {
    faucet = {
      network = "a23456789-123456789-123456789-12"
      chain = {
        kind             = "evm"
        chain_id         = "1"
        nodes            = [{ url = "https://never-asked.example.org" }]
        max_fee_wei      = "999999999999999999"
        priority_fee_wei = 999999999999999999
      }
      symbol                      = "123456789-123456"
      decimals                    = 36
      amount                      = "123456789012345678901234567890123456"
      daily_budget                = "123456789012345678901234567890123456"
      low_balance                 = "1"
      origins                     = ["*", "https://example.org", "http://[::1]:3000", "http://localhost:65535"]
      trusted_proxies             = 10
      throttle                    = { per_minute = 1, burst = 1000000 }
      address_cooldown_seconds    = 0
      source                      = { claims = 1000000, window_seconds = 1 }
      proof_of_work               = { bits = 32, valid_seconds = 30 }
      wait_seconds                = 25
      claim_deadline_seconds      = 64800
      batch                       = 90
      in_flight                   = 64
      confirmations               = 35
      attempts                    = 10
      bump_seconds                = 600
      block_seconds               = 600
      settle_deadline_seconds     = 21600
      lease_seconds               = 5
      oldest_unpaid_alarm_seconds = 64799
      retention_days              = 1
      send                        = false
    }
    faucet_nodes = [{ url = "http://[::1]:8545/v2/KEY?a=b" }]
  }

  # What faucet_nodes names stands in place of the faucet's own.
  assert {
    condition     = length(module.faucet) == 1 && [for node in jsondecode(output.stack.faucet.environment["FAUCET_CHAIN"]).nodes : node.url] == ["http://[::1]:8545/v2/KEY?a=b"]
    error_message = "The faucet has: ${jsonencode(output.stack.faucet)}"
  }
}

run "a_faucet_of_a_cosmos_chain_at_its_limits_is_accepted" {
  command = plan

  variables {
    faucet = {
      network = "a"
      chain = {
        kind           = "cosmos"
        chain_id       = "theta_testnet-001.A"
        nodes          = [{ url = "https://rest.example.org", rpc_url = "http://127.0.0.1:26657" }, { url = "https://rest.example.com" }]
        prefix         = "c0smos"
        denom          = "factory/cosmos1abc/uusd"
        fee_denom      = "ibc/27394FB092D2ECCD56123C74F36E4C1F926001CEADA9CA97EA622B25F41E5EB2"
        gas_price      = "0"
        gas            = 1
        gas_each       = 1
        memo           = ""
        timeout_blocks = 2
      }
      symbol       = "µUSD"
      decimals     = 0
      amount       = "1"
      daily_budget = 1
      captcha = {
        provider   = "recaptcha"
        site_key   = "6Le_-A"
        hosts      = ["faucet.example.org", "localhost"]
        action     = "faucet/claim_1"
        verify_url = "http://127.0.0.1:9/siteverify"
      }
      proof_of_work               = { bits = 0 }
      wait_seconds                = 0
      claim_deadline_seconds      = 60
      bump_seconds                = 1
      block_seconds               = 1
      settle_deadline_seconds     = 10
      oldest_unpaid_alarm_seconds = 1
    }
    faucet_nodes = []
  }

  assert {
    condition     = [for node in jsondecode(output.stack.faucet.environment["FAUCET_CHAIN"]).nodes : keys(node)] == [["rpc_url", "url"], ["url"]]
    error_message = "The faucet has: ${jsonencode(output.stack.faucet)}"
  }
}

run "a_faucet_is_friendly_unless_told_otherwise" {
  command = plan

  variables {
    faucet = { chain = { kind = "evm", chain_id = "31337" }, symbol = "ETH", decimals = 18, amount = "10", daily_budget = "100", proof_of_work = null }
  }

  assert {
    condition = output.stack.faucet.network == "testnet" && output.stack.faucet.environment["FAUCET_POLICY"] == jsonencode({
      amount                   = "10"
      symbol                   = "ETH"
      decimals                 = 18
      origins                  = []
      trusted_proxies          = 0
      throttle                 = { per_minute = 10, burst = 10 }
      address_cooldown_seconds = 86400
      source                   = { claims = 5, window_seconds = 86400 }
      daily_budget             = "100"
      claim_deadline_seconds   = 3600
      wait_seconds             = 15
      captcha                  = null
      proof_of_work            = { bits = 18, valid_seconds = 300 }
      retention_days           = 30
      send                     = true
      limits                   = true
    })
    error_message = "The policy is: ${output.stack.faucet.environment["FAUCET_POLICY"]}"
  }
}

run "a_ledger_at_its_limits_is_accepted" {
  command = plan

  variables {
    ledger = {
      node              = "https://never-asked.example.org"
      from_height       = 9007199254740991
      allow_private     = true
      listen            = false
      run_minutes       = 12
      poll_seconds      = 60
      stall_seconds     = 300
      lease_seconds     = 60
      concurrency       = 64
      timeout_seconds   = 25
      retry_schedule    = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 86400]
      max_kept          = 1000000
      memory_mb         = 10240
      lag_alarm_heights = 1000000000
      assets            = ["1f9d8a1f6a0c5f7f0f8d1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f"]
      owners            = ["4K9sWUMFwTgaDGPfdynrbxWqWS6sWmKbZoTjxLtVUibD", "11111111111111111111111111111111111111111zz"]
      subscribers = {
        "a23456789-123456789-123456789-12" = { url = "https://[::1]:65535/hooks/~a%20b?c=d&e=@f" }
        b                                  = { url = "http://localhost", assets = ["1f9d8a1f6a0c5f7f0f8d1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f"], owners = ["4K9sWUMFwTgaDGPfdynrbxWqWS6sWmKbZoTjxLtVUibD"] }
      }
    }
    ledger_node = "http://[::1]:65535"
  }

  # What ledger_node names stands in place of the ledger's own.
  assert {
    condition     = length(module.ledger) == 1 && output.stack.ledger.node == "http://[::1]:65535"
    error_message = "The ledger has: ${output.stack.ledger.node}"
  }

  assert {
    condition     = [for subscriber in module.ledger[0].stack.subscribers : subscriber.name] == ["ledger", "a23456789-123456789-123456789-12", "b"]
    error_message = "The suite's own receiver must be the first."
  }
}

run "a_ledger_is_patient_unless_told_otherwise" {
  command = plan

  variables {
    ledger      = { node = "https://bigchaindb.example.org" }
    ledger_node = null
  }

  # As Standard Webhooks has it, from five seconds to a day.
  assert {
    condition = output.stack.ledger.node == "https://bigchaindb.example.org" && jsondecode(output.stack.ledger.environment["LEDGER_LISTEN"]) == {
      from_height     = 1
      poll_seconds    = 2
      stall_seconds   = 5
      lease_seconds   = 4
      run_seconds     = 630
      concurrency     = 16
      max_kept        = 10000
      retry_schedule  = [5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400]
      timeout_seconds = 15
    }
    error_message = "The listener is told: ${output.stack.ledger.environment["LEDGER_LISTEN"]}"
  }

  assert {
    condition = local.ledger_ranges == {
      from_height       = [1, 9007199254740991]
      run_minutes       = [1, 12]
      poll_seconds      = [1, 60]
      stall_seconds     = [1, 300]
      lease_seconds     = [2, 60]
      concurrency       = [1, 64]
      timeout_seconds   = [1, 25]
      max_kept          = [1, 1000000]
      memory_mb         = [128, 10240]
      lag_alarm_heights = [1, 1000000000]
    }
    error_message = "A number may be: ${jsonencode(local.ledger_ranges)}"
  }

  assert {
    condition     = output.stack.ledger.environment["LEDGER_ALLOW_PRIVATE"] == "false"
    error_message = "Private addresses must be allowed by whoever means them."
  }
}
