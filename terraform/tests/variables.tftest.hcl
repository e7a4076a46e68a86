# What a variable refuses, each value wrong in one way only.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  artifacts_dir = "tests/artifacts"
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

run "a_name_with_a_capital_is_refused" {
  command = plan

  variables {
    name = "Offchain"
  }

  expect_failures = [var.name]
}

run "a_name_too_long_for_iam_is_refused" {
  command = plan

  variables {
    name = "a-name-of-twenty-five-chars"
  }

  expect_failures = [var.name]
}

run "an_unknown_architecture_is_refused" {
  command = plan

  variables {
    architecture = "riscv"
  }

  expect_failures = [var.architecture]
}

run "an_unknown_log_level_is_refused" {
  command = plan

  variables {
    log_level = "loud"
  }

  expect_failures = [var.log_level]
}

run "a_log_retention_that_cloudwatch_does_not_know_is_refused" {
  command = plan

  variables {
    log_retention_days = 31
  }

  expect_failures = [var.log_retention_days]
}

run "a_region_that_is_none_is_refused" {
  command = plan

  variables {
    region = "Virginia"
  }

  expect_failures = [var.region]
}

run "an_address_without_an_at_is_refused" {
  command = plan

  variables {
    alarm_email = "operator"
  }

  expect_failures = [var.alarm_email]
}

run "a_burst_below_the_rate_is_refused" {
  command = plan

  variables {
    api_throttling = { rate = 10, burst = 5 }
  }

  expect_failures = [var.api_throttling]
}

run "a_secret_recovery_of_three_days_is_refused" {
  command = plan

  variables {
    secret_recovery_days = 3
  }

  expect_failures = [var.secret_recovery_days]
}

run "an_unknown_suite_is_refused" {
  command = plan

  variables {
    vrf = { suite = "ECVRF-SECP256K1" }
  }

  expect_failures = [var.vrf]
}

run "a_poll_interval_of_zero_is_refused" {
  command = plan

  variables {
    vrf = { poll_interval_seconds = 0 }
  }

  expect_failures = [var.vrf]
}

run "a_negative_duration_is_refused" {
  command = plan

  variables {
    vrf = { key_activation_delay_seconds = -1 }
  }

  expect_failures = [var.vrf]
}

run "a_broken_number_of_seconds_is_refused" {
  command = plan

  variables {
    vrf = { max_delay_seconds = 10.5 }
  }

  expect_failures = [var.vrf]
}

run "a_back_off_of_zero_is_refused" {
  command = plan

  variables {
    vrf = { back_off = { base_seconds = 0 } }
  }

  expect_failures = [var.vrf]
}

run "a_back_off_that_shrinks_is_refused" {
  command = plan

  variables {
    vrf = { back_off = { base_seconds = 20, max_seconds = 10 } }
  }

  expect_failures = [var.vrf]
}

run "a_window_with_one_round_is_refused" {
  command = plan

  variables {
    vrf = { fulfil_window_seconds = 60 }
  }

  expect_failures = [var.vrf]
}

run "a_height_window_shorter_than_a_poll_is_refused" {
  command = plan

  variables {
    vrf = { height_window_seconds = 20 }
  }

  expect_failures = [var.vrf]
}

run "polls_beyond_the_history_limit_are_refused" {
  command = plan

  variables {
    vrf = { poll_interval_seconds = 5 }
  }

  expect_failures = [var.vrf]
}

run "rounds_beyond_the_history_limit_are_refused" {
  command = plan

  variables {
    vrf = { fulfil_window_seconds = 2000, back_off = { base_seconds = 1, max_seconds = 2 } }
  }

  expect_failures = [var.vrf]
}

run "a_delay_beyond_the_machines_timeout_is_refused" {
  command = plan

  variables {
    vrf = { max_delay_seconds = 1209600 }
  }

  expect_failures = [var.vrf]
}

run "a_retention_shorter_than_a_request_is_refused" {
  command = plan

  variables {
    vrf = { retention_days = 7 }
  }

  expect_failures = [var.vrf]
}

run "a_failure_rate_above_one_is_refused" {
  command = plan

  variables {
    vrf = { simulated_failure_rate = 1.5 }
  }

  expect_failures = [var.vrf]
}

run "a_rotation_that_is_no_schedule_is_refused" {
  command = plan

  variables {
    vrf = { key_rotation = "monthly" }
  }

  expect_failures = [var.vrf]
}

run "a_schedule_that_is_none_is_refused" {
  command = plan

  variables {
    vrf = { schedule = { expression = "every minute" } }
  }

  expect_failures = [var.vrf]
}

run "a_queue_delay_beyond_sqs_is_refused" {
  command = plan

  variables {
    vrf = { schedule = { queue_delay_seconds = { min = 0, max = 901 } } }
  }

  expect_failures = [var.vrf]
}

run "a_queue_delay_upside_down_is_refused" {
  command = plan

  variables {
    vrf = { schedule = { queue_delay_seconds = { min = 60, max = 30 } } }
  }

  expect_failures = [var.vrf]
}

run "target_blocks_upside_down_are_refused" {
  command = plan

  variables {
    vrf = { schedule = { target_blocks = { min = 5, max = 1 } } }
  }

  expect_failures = [var.vrf]
}

run "a_scheduled_target_beyond_the_furthest_is_refused" {
  command = plan

  variables {
    vrf = { schedule = { target_blocks = { min = 0, max = 100 } }, max_delay_seconds = 1800 }
  }

  expect_failures = [var.vrf]
}

run "bounds_that_leave_no_choice_are_refused" {
  command = plan

  variables {
    vrf = { schedule = { bounds = { min = 7, max = 7 } } }
  }

  expect_failures = [var.vrf]
}

run "an_unknown_chain_is_refused" {
  command = plan

  variables {
    vrf = { chain = { kind = "solana", rpc_url = "https://rpc.example.org" } }
  }

  expect_failures = [var.vrf]
}

run "a_chain_url_without_http_is_refused" {
  command = plan

  variables {
    vrf = { chain = { kind = "evm", rpc_url = "rpc.example.org" } }
  }

  expect_failures = [var.vrf]
}

run "a_chain_url_with_credentials_is_refused" {
  command = plan

  variables {
    vrf = { chain = { kind = "evm", rpc_url = "https://user:word@rpc.example.org" } }
  }

  expect_failures = [var.vrf]
}
