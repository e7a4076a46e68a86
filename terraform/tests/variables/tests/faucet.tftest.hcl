# What the faucet's variables refuse, each value wrong in one way only.

variables {
  artifacts_dir = "none"
  faucet_nodes  = [{ url = "http://127.0.0.1:8545" }]
}

run "a_network_with_capital_letters_is_refused" {
  command = plan

  variables {
    faucet = { chain = { kind = "evm", chain_id = "31337" }, symbol = "ETH", decimals = 18, amount = "10", daily_budget = "100", network = "Sepolia" }
  }

  expect_failures = [var.faucet]
}

run "a_chain_of_an_unknown_kind_is_refused" {
  command = plan

  variables {
    faucet = { chain = { kind = "solana", chain_id = "1" }, symbol = "ETH", decimals = 18, amount = "10", daily_budget = "100" }
  }

  expect_failures = [var.faucet]
}

run "an_evm_chain_id_that_is_no_number_is_refused" {
  command = plan

  variables {
    faucet = { chain = { kind = "evm", chain_id = "0x7a69" }, symbol = "ETH", decimals = 18, amount = "10", daily_budget = "100" }
  }

  expect_failures = [var.faucet]
}

run "a_cosmos_chain_id_with_a_blank_is_refused" {
  command = plan

  variables {
    faucet = { chain = { kind = "cosmos", chain_id = "c 1", prefix = "cosmos", denom = "uatom" }, symbol = "ETH", decimals = 18, amount = "10", daily_budget = "100" }
  }

  expect_failures = [var.faucet]
}

run "a_faucet_without_a_node_is_refused" {
  command = plan

  variables {
    faucet       = { chain = { kind = "evm", chain_id = "31337" }, symbol = "ETH", decimals = 18, amount = "10", daily_budget = "100" }
    faucet_nodes = []
  }

  expect_failures = [var.faucet]
}

run "a_node_with_a_password_is_refused" {
  command = plan

  variables {
    faucet = { chain = { kind = "evm", chain_id = "31337", nodes = [{ url = "https://me:secret@node.example.org" }] }, symbol = "ETH", decimals = 18, amount = "10", daily_budget = "100" }
  }

  expect_failures = [var.faucet]
}

run "a_node_of_the_faucets_nodes_that_is_no_url_is_refused" {
  command = plan

  variables {
    faucet       = { chain = { kind = "evm", chain_id = "31337" }, symbol = "ETH", decimals = 18, amount = "10", daily_budget = "100" }
    faucet_nodes = [{ url = "127.0.0.1:8545" }]
  }

  expect_failures = [var.faucet_nodes]
}

run "an_evm_node_with_an_rpc_url_is_refused" {
  command = plan

  variables {
    faucet       = { chain = { kind = "evm", chain_id = "31337" }, symbol = "ETH", decimals = 18, amount = "10", daily_budget = "100" }
    faucet_nodes = [{ url = "http://127.0.0.1:8545", rpc_url = "http://127.0.0.1:26657" }]
  }

  expect_failures = [var.faucet]
}

run "a_cosmos_chain_without_a_prefix_is_refused" {
  command = plan

  variables {
    faucet = { chain = { kind = "cosmos", chain_id = "c-1", denom = "uatom" }, symbol = "ETH", decimals = 18, amount = "10", daily_budget = "100" }
  }

  expect_failures = [var.faucet]
}

run "a_cosmos_chain_without_a_denom_is_refused" {
  command = plan

  variables {
    faucet = { chain = { kind = "cosmos", chain_id = "c-1", prefix = "cosmos" }, symbol = "ETH", decimals = 18, amount = "10", daily_budget = "100" }
  }

  expect_failures = [var.faucet]
}

run "a_fee_denom_with_a_blank_is_refused" {
  command = plan

  variables {
    faucet = { chain = { kind = "cosmos", chain_id = "c-1", prefix = "cosmos", denom = "uatom", fee_denom = "u atom" }, symbol = "ETH", decimals = 18, amount = "10", daily_budget = "100" }
  }

  expect_failures = [var.faucet]
}

run "a_gas_price_that_is_no_number_is_refused" {
  command = plan

  variables {
    faucet = { chain = { kind = "cosmos", chain_id = "c-1", prefix = "cosmos", denom = "uatom", gas_price = "0.025uatom" }, symbol = "ETH", decimals = 18, amount = "10", daily_budget = "100" }
  }

  expect_failures = [var.faucet]
}

run "a_memo_of_257_characters_is_refused" {
  command = plan

  variables {
    faucet = { chain = { kind = "cosmos", chain_id = "c-1", prefix = "cosmos", denom = "uatom", memo = format("%257s", "drop") }, symbol = "ETH", decimals = 18, amount = "10", daily_budget = "100" }
  }

  expect_failures = [var.faucet]
}

run "gas_of_nothing_is_refused" {
  command = plan

  variables {
    faucet = { chain = { kind = "cosmos", chain_id = "c-1", prefix = "cosmos", denom = "uatom", gas = 0 }, symbol = "ETH", decimals = 18, amount = "10", daily_budget = "100" }
  }

  expect_failures = [var.faucet]
}

run "half_a_block_of_timeout_is_refused" {
  command = plan

  variables {
    faucet = { chain = { kind = "cosmos", chain_id = "c-1", prefix = "cosmos", denom = "uatom", timeout_blocks = 2.5 }, symbol = "ETH", decimals = 18, amount = "10", daily_budget = "100" }
  }

  expect_failures = [var.faucet]
}

run "a_highest_fee_in_gwei_is_refused" {
  command = plan

  variables {
    faucet = { chain = { kind = "evm", chain_id = "31337", max_fee_wei = "100 gwei" }, symbol = "ETH", decimals = 18, amount = "10", daily_budget = "100" }
  }

  expect_failures = [var.faucet]
}

run "a_priority_fee_over_the_highest_fee_is_refused" {
  command = plan

  variables {
    faucet = { chain = { kind = "evm", chain_id = "31337", priority_fee_wei = "100000000001" }, symbol = "ETH", decimals = 18, amount = "10", daily_budget = "100" }
  }

  expect_failures = [var.faucet]
}

run "a_symbol_with_a_blank_is_refused" {
  command = plan

  variables {
    faucet = { chain = { kind = "evm", chain_id = "31337" }, decimals = 18, amount = "10", daily_budget = "100", symbol = "test ETH" }
  }

  expect_failures = [var.faucet]
}

run "an_amount_of_nothing_is_refused" {
  command = plan

  variables {
    faucet = { chain = { kind = "evm", chain_id = "31337" }, symbol = "ETH", decimals = 18, daily_budget = "100", amount = "0" }
  }

  expect_failures = [var.faucet]
}

run "an_amount_in_whole_coins_is_refused" {
  command = plan

  variables {
    faucet = { chain = { kind = "evm", chain_id = "31337" }, symbol = "ETH", decimals = 18, daily_budget = "100", amount = "0.5" }
  }

  expect_failures = [var.faucet]
}

run "a_low_balance_of_37_digits_is_refused" {
  command = plan

  variables {
    faucet = { chain = { kind = "evm", chain_id = "31337" }, symbol = "ETH", decimals = 18, amount = "10", daily_budget = "100", low_balance = "1234567890123456789012345678901234567" }
  }

  expect_failures = [var.faucet]
}

run "a_budget_of_less_than_one_claim_is_refused" {
  command = plan

  variables {
    faucet = { chain = { kind = "evm", chain_id = "31337" }, symbol = "ETH", decimals = 18, amount = "10", daily_budget = "9" }
  }

  expect_failures = [var.faucet]
}

run "an_origin_with_a_path_is_refused" {
  command = plan

  variables {
    faucet = { chain = { kind = "evm", chain_id = "31337" }, symbol = "ETH", decimals = 18, amount = "10", daily_budget = "100", origins = ["https://example.org/"] }
  }

  expect_failures = [var.faucet]
}

run "an_origin_without_a_scheme_is_refused" {
  command = plan

  variables {
    faucet = { chain = { kind = "evm", chain_id = "31337" }, symbol = "ETH", decimals = 18, amount = "10", daily_budget = "100", origins = ["example.org"] }
  }

  expect_failures = [var.faucet]
}

run "more_waiting_than_the_gateway_has_is_refused" {
  command = plan

  variables {
    faucet = { chain = { kind = "evm", chain_id = "31337" }, symbol = "ETH", decimals = 18, amount = "10", daily_budget = "100", wait_seconds = 26 }
  }

  expect_failures = [var.faucet]
}

run "a_batch_of_91_is_refused" {
  command = plan

  variables {
    faucet = { chain = { kind = "evm", chain_id = "31337" }, symbol = "ETH", decimals = 18, amount = "10", daily_budget = "100", batch = 91 }
  }

  expect_failures = [var.faucet]
}

run "a_broken_number_of_payouts_in_flight_is_refused" {
  command = plan

  variables {
    faucet = { chain = { kind = "evm", chain_id = "31337" }, symbol = "ETH", decimals = 18, amount = "10", daily_budget = "100", in_flight = 1.5 }
  }

  expect_failures = [var.faucet]
}

run "a_throttle_of_nothing_is_refused" {
  command = plan

  variables {
    faucet = { chain = { kind = "evm", chain_id = "31337" }, symbol = "ETH", decimals = 18, amount = "10", daily_budget = "100", throttle = { per_minute = 0 } }
  }

  expect_failures = [var.faucet]
}

run "a_source_without_a_window_is_refused" {
  command = plan

  variables {
    faucet = { chain = { kind = "evm", chain_id = "31337" }, symbol = "ETH", decimals = 18, amount = "10", daily_budget = "100", source = { window_seconds = 0 } }
  }

  expect_failures = [var.faucet]
}

run "work_of_33_bits_is_refused" {
  command = plan

  variables {
    faucet = { chain = { kind = "evm", chain_id = "31337" }, symbol = "ETH", decimals = 18, amount = "10", daily_budget = "100", proof_of_work = { bits = 33 } }
  }

  expect_failures = [var.faucet]
}

run "a_challenge_that_is_over_at_once_is_refused" {
  command = plan

  variables {
    faucet = { chain = { kind = "evm", chain_id = "31337" }, symbol = "ETH", decimals = 18, amount = "10", daily_budget = "100", proof_of_work = { valid_seconds = 29 } }
  }

  expect_failures = [var.faucet]
}

run "a_captcha_of_an_unknown_provider_is_refused" {
  command = plan

  variables {
    faucet = { chain = { kind = "evm", chain_id = "31337" }, symbol = "ETH", decimals = 18, amount = "10", daily_budget = "100", captcha = { provider = "friendly", site_key = "k", hosts = ["example.org"] } }
  }

  expect_failures = [var.faucet]
}

run "a_captcha_without_a_site_key_is_refused" {
  command = plan

  variables {
    faucet = { chain = { kind = "evm", chain_id = "31337" }, symbol = "ETH", decimals = 18, amount = "10", daily_budget = "100", captcha = { provider = "turnstile", site_key = "", hosts = ["example.org"] } }
  }

  expect_failures = [var.faucet]
}

run "a_captcha_without_a_host_is_refused" {
  command = plan

  variables {
    faucet = { chain = { kind = "evm", chain_id = "31337" }, symbol = "ETH", decimals = 18, amount = "10", daily_budget = "100", captcha = { provider = "turnstile", site_key = "k", hosts = [] } }
  }

  expect_failures = [var.faucet]
}

run "a_captcha_host_with_a_scheme_is_refused" {
  command = plan

  variables {
    faucet = { chain = { kind = "evm", chain_id = "31337" }, symbol = "ETH", decimals = 18, amount = "10", daily_budget = "100", captcha = { provider = "turnstile", site_key = "k", hosts = ["https://example.org"] } }
  }

  expect_failures = [var.faucet]
}

run "a_captcha_action_with_a_blank_is_refused" {
  command = plan

  variables {
    faucet = { chain = { kind = "evm", chain_id = "31337" }, symbol = "ETH", decimals = 18, amount = "10", daily_budget = "100", captcha = { provider = "turnstile", site_key = "k", hosts = ["example.org"], action = "my claim" } }
  }

  expect_failures = [var.faucet]
}

run "an_action_of_hcaptcha_is_refused" {
  command = plan

  variables {
    faucet = { chain = { kind = "evm", chain_id = "31337" }, symbol = "ETH", decimals = 18, amount = "10", daily_budget = "100", captcha = { provider = "hcaptcha", site_key = "k", hosts = ["example.org"], action = "claim" } }
  }

  expect_failures = [var.faucet]
}

run "a_captcha_that_is_verified_over_ftp_is_refused" {
  command = plan

  variables {
    faucet = { chain = { kind = "evm", chain_id = "31337" }, symbol = "ETH", decimals = 18, amount = "10", daily_budget = "100", captcha = { provider = "turnstile", site_key = "k", hosts = ["example.org"], verify_url = "ftp://example.org" } }
  }

  expect_failures = [var.faucet]
}

run "settings_that_no_environment_holds_are_refused" {
  command = plan

  variables {
    faucet = { chain = { kind = "evm", chain_id = "31337" }, symbol = "ETH", decimals = 18, amount = "10", daily_budget = "100", origins = [for number in range(100) : "https://faucet-${number}.example.org"] }
  }

  expect_failures = [var.faucet]
}

run "a_fee_that_rises_before_a_block_came_is_refused" {
  command = plan

  variables {
    faucet = { chain = { kind = "evm", chain_id = "31337" }, symbol = "ETH", decimals = 18, amount = "10", daily_budget = "100", bump_seconds = 4 }
  }

  expect_failures = [var.faucet]
}

run "a_fee_that_never_rises_is_refused" {
  command = plan

  variables {
    faucet = { chain = { kind = "evm", chain_id = "31337" }, symbol = "ETH", decimals = 18, amount = "10", daily_budget = "100", bump_seconds = 3600 }
  }

  expect_failures = [var.faucet]
}

run "more_confirmations_than_time_is_refused" {
  command = plan

  variables {
    faucet = { chain = { kind = "evm", chain_id = "31337" }, symbol = "ETH", decimals = 18, amount = "10", daily_budget = "100", confirmations = 720 }
  }

  expect_failures = [var.faucet]
}

run "an_alarm_after_every_claim_expired_is_refused" {
  command = plan

  variables {
    faucet = { chain = { kind = "evm", chain_id = "31337" }, symbol = "ETH", decimals = 18, amount = "10", daily_budget = "100", oldest_unpaid_alarm_seconds = 3600 }
  }

  expect_failures = [var.faucet]
}

run "claims_that_are_forgotten_while_they_wait_are_refused" {
  command = plan

  variables {
    faucet = { chain = { kind = "evm", chain_id = "31337" }, symbol = "ETH", decimals = 18, amount = "10", daily_budget = "100", claim_deadline_seconds = 86400, retention_days = 1 }
  }

  expect_failures = [var.faucet]
}
