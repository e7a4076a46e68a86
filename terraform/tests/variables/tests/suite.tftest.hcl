# What a variable refuses, each value wrong in one way only. Here are no resources, and
# so no provider: the folder has the suite's variables alone, and a run takes milliseconds.

variables {
  artifacts_dir = "none"
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

run "an_interval_that_does_not_divide_a_minute_is_refused" {
  command = plan

  variables {
    oracle = { interval_seconds = 7 }
  }

  expect_failures = [var.oracle]
}

run "an_interval_of_zero_is_refused" {
  command = plan

  variables {
    oracle = { interval_seconds = 0 }
  }

  expect_failures = [var.oracle]
}

run "half_a_second_as_interval_is_refused" {
  command = plan

  variables {
    oracle = { interval_seconds = 0.5 }
  }

  expect_failures = [var.oracle]
}

run "an_interval_of_two_minutes_is_refused" {
  command = plan

  variables {
    oracle = { interval_seconds = 120, staleness_alarm_seconds = 120 }
  }

  expect_failures = [var.oracle]
}

run "a_lead_of_four_seconds_is_refused" {
  command = plan

  variables {
    oracle = { lead_seconds = 4 }
  }

  expect_failures = [var.oracle]
}

run "a_lead_beyond_a_minute_is_refused" {
  command = plan

  variables {
    oracle = { lead_seconds = 61 }
  }

  expect_failures = [var.oracle]
}

run "a_broken_lead_is_refused" {
  command = plan

  variables {
    oracle = { lead_seconds = 10.5 }
  }

  expect_failures = [var.oracle]
}

run "no_head_start_is_refused" {
  command = plan

  variables {
    oracle = { head_start_seconds = 0 }
  }

  expect_failures = [var.oracle]
}

run "a_head_start_of_six_seconds_is_refused" {
  command = plan

  variables {
    oracle = { head_start_seconds = 6 }
  }

  expect_failures = [var.oracle]
}

run "a_head_start_as_long_as_the_lead_is_refused" {
  command = plan

  variables {
    oracle = { lead_seconds = 5, head_start_seconds = 5 }
  }

  expect_failures = [var.oracle]
}

run "an_unknown_type_of_machine_is_refused" {
  command = plan

  variables {
    oracle = { machine_type = "express" }
  }

  expect_failures = [var.oracle]
}

run "a_table_name_with_a_slash_is_refused" {
  command = plan

  variables {
    oracle = { table_name = "oracle/readings" }
  }

  expect_failures = [var.oracle]
}

run "a_table_name_that_is_taken_is_refused" {
  command = plan

  variables {
    oracle = { table_name = "offchain-oracle-keys" }
  }

  expect_failures = [var.oracle]
}

run "no_retention_of_readings_is_refused" {
  command = plan

  variables {
    oracle = { retention_days = 0 }
  }

  expect_failures = [var.oracle]
}

run "no_cache_of_secrets_is_refused" {
  command = plan

  variables {
    oracle = { secret_cache_seconds = 0 }
  }

  expect_failures = [var.oracle]
}

run "a_rotation_of_the_oracles_key_that_is_no_schedule_is_refused" {
  command = plan

  variables {
    oracle = { key_rotation = "monthly" }
  }

  expect_failures = [var.oracle]
}

run "a_key_that_counts_before_every_publisher_knows_it_is_refused" {
  command = plan

  variables {
    oracle = { secret_cache_seconds = 60, key_activation_delay_seconds = 60 }
  }

  expect_failures = [var.oracle]
}

run "a_broken_activation_delay_is_refused" {
  command = plan

  variables {
    oracle = { key_activation_delay_seconds = 120.5 }
  }

  expect_failures = [var.oracle]
}

run "a_lateness_alarm_of_zero_is_refused" {
  command = plan

  variables {
    oracle = { lateness_alarm_ms = 0 }
  }

  expect_failures = [var.oracle]
}

run "a_lateness_alarm_that_cannot_ring_is_refused" {
  command = plan

  variables {
    oracle = { lateness_alarm_ms = 2000 }
  }

  expect_failures = [var.oracle]
}

run "a_broken_staleness_alarm_is_refused" {
  command = plan

  variables {
    oracle = { staleness_alarm_seconds = 60.5 }
  }

  expect_failures = [var.oracle]
}

run "a_staleness_alarm_that_rings_at_every_slot_is_refused" {
  command = plan

  variables {
    oracle = { interval_seconds = 60, staleness_alarm_seconds = 59 }
  }

  expect_failures = [var.oracle]
}

run "an_oracle_without_a_feed_is_refused" {
  command = plan

  variables {
    oracle = { demo = false }
  }

  expect_failures = [var.oracle]
}

run "a_feed_with_a_capital_is_refused" {
  command = plan

  variables {
    oracle = {
      feeds = {
        Eth = { decimals = 2, sources = { a = { url = "https://a.example.org", pointer = "/price" } } }
      }
    }
  }

  expect_failures = [var.oracle]
}

run "a_feed_that_begins_with_a_digit_is_refused" {
  command = plan

  variables {
    oracle = {
      feeds = {
        "1inch" = { decimals = 2, sources = { a = { url = "https://a.example.org", pointer = "/price" } } }
      }
    }
  }

  expect_failures = [var.oracle]
}

run "a_feed_of_thirty_three_characters_is_refused" {
  command = plan

  variables {
    oracle = {
      feeds = {
        a23456789-123456789-123456789-123 = { decimals = 2, sources = { a = { url = "https://a.example.org", pointer = "/price" } } }
      }
    }
  }

  expect_failures = [var.oracle]
}

run "a_second_feed_demo_is_refused" {
  command = plan

  variables {
    oracle = {
      feeds = {
        demo = { decimals = 2, sources = { a = { url = "https://a.example.org", pointer = "/price" } } }
      }
    }
  }

  expect_failures = [var.oracle]
}

run "nineteen_decimals_are_refused" {
  command = plan

  variables {
    oracle = {
      feeds = {
        eth = { decimals = 19, sources = { a = { url = "https://a.example.org", pointer = "/price" } } }
      }
    }
  }

  expect_failures = [var.oracle]
}

run "half_a_decimal_is_refused" {
  command = plan

  variables {
    oracle = {
      feeds = {
        eth = { decimals = 1.5, sources = { a = { url = "https://a.example.org", pointer = "/price" } } }
      }
    }
  }

  expect_failures = [var.oracle]
}

run "negative_decimals_are_refused" {
  command = plan

  variables {
    oracle = {
      feeds = {
        eth = { decimals = -1, sources = { a = { url = "https://a.example.org", pointer = "/price" } } }
      }
    }
  }

  expect_failures = [var.oracle]
}

run "decimals_that_are_null_are_refused" {
  command = plan

  variables {
    oracle = {
      feeds = {
        eth = { decimals = null, sources = { a = { url = "https://a.example.org", pointer = "/price" } } }
      }
    }
  }

  expect_failures = [var.oracle]
}

run "a_feed_with_no_source_is_refused" {
  command = plan

  variables {
    oracle = {
      feeds = {
        eth = { decimals = 2, sources = {} }
      }
    }
  }

  expect_failures = [var.oracle]
}

run "a_feed_with_seventeen_sources_is_refused" {
  command = plan

  variables {
    oracle = {
      feeds = {
        eth = { decimals = 2, sources = { for number in range(17) : "source-${number}" => { url = "https://a.example.org", pointer = "/price" } } }
      }
    }
  }

  expect_failures = [var.oracle]
}

run "a_quorum_of_zero_is_refused" {
  command = plan

  variables {
    oracle = {
      feeds = {
        eth = { decimals = 2, quorum = 0, sources = { a = { url = "https://a.example.org", pointer = "/price" } } }
      }
    }
  }

  expect_failures = [var.oracle]
}

run "a_quorum_above_the_sources_is_refused" {
  command = plan

  variables {
    oracle = {
      feeds = {
        eth = { decimals = 2, quorum = 2, sources = { a = { url = "https://a.example.org", pointer = "/price" } } }
      }
    }
  }

  expect_failures = [var.oracle]
}

run "half_a_quorum_is_refused" {
  command = plan

  variables {
    oracle = {
      feeds = {
        eth = { decimals = 2, quorum = 0.5, sources = { a = { url = "https://a.example.org", pointer = "/price" } } }
      }
    }
  }

  expect_failures = [var.oracle]
}

run "an_age_of_zero_is_refused" {
  command = plan

  variables {
    oracle = {
      feeds = {
        eth = { decimals = 2, max_age_seconds = 0, sources = { a = { url = "https://a.example.org", pointer = "/price" } } }
      }
    }
  }

  expect_failures = [var.oracle]
}

run "a_negative_spread_is_refused" {
  command = plan

  variables {
    oracle = {
      feeds = {
        eth = { decimals = 2, max_spread_bps = -1, sources = { a = { url = "https://a.example.org", pointer = "/price" } } }
      }
    }
  }

  expect_failures = [var.oracle]
}

run "a_broken_spread_is_refused" {
  command = plan

  variables {
    oracle = {
      feeds = {
        eth = { decimals = 2, max_spread_bps = 0.5, sources = { a = { url = "https://a.example.org", pointer = "/price" } } }
      }
    }
  }

  expect_failures = [var.oracle]
}

run "a_source_with_an_underscore_is_refused" {
  command = plan

  variables {
    oracle = {
      feeds = {
        eth = { decimals = 2, sources = { a_b = { url = "https://a.example.org", pointer = "/price" } } }
      }
    }
  }

  expect_failures = [var.oracle]
}

run "a_source_without_a_scheme_is_refused" {
  command = plan

  variables {
    oracle = {
      feeds = {
        eth = { decimals = 2, sources = { a = { url = "a.example.org", pointer = "/price" } } }
      }
    }
  }

  expect_failures = [var.oracle]
}

run "a_source_over_ftp_is_refused" {
  command = plan

  variables {
    oracle = {
      feeds = {
        eth = { decimals = 2, sources = { a = { url = "ftp://a.example.org", pointer = "/price" } } }
      }
    }
  }

  expect_failures = [var.oracle]
}

run "a_source_with_credentials_is_refused" {
  command = plan

  variables {
    oracle = {
      feeds = {
        eth = { decimals = 2, sources = { a = { url = "https://user:word@a.example.org", pointer = "/price" } } }
      }
    }
  }

  expect_failures = [var.oracle]
}

run "a_source_with_a_blank_is_refused" {
  command = plan

  variables {
    oracle = {
      feeds = {
        eth = { decimals = 2, sources = { a = { url = "https://a.example.org/price of eth", pointer = "/price" } } }
      }
    }
  }

  expect_failures = [var.oracle]
}

run "a_source_with_a_backslash_is_refused" {
  command = plan

  variables {
    oracle = {
      feeds = {
        eth = { decimals = 2, sources = { a = { url = "https://a.example.org\\@b.example.org", pointer = "/price" } } }
      }
    }
  }

  expect_failures = [var.oracle]
}

run "a_source_with_a_fragment_is_refused" {
  command = plan

  variables {
    oracle = {
      feeds = {
        eth = { decimals = 2, sources = { a = { url = "https://a.example.org#price", pointer = "/price" } } }
      }
    }
  }

  expect_failures = [var.oracle]
}

run "a_source_without_a_host_is_refused" {
  command = plan

  variables {
    oracle = {
      feeds = {
        eth = { decimals = 2, sources = { a = { url = "https:///price", pointer = "/price" } } }
      }
    }
  }

  expect_failures = [var.oracle]
}

run "a_source_with_a_port_that_is_none_is_refused" {
  command = plan

  variables {
    oracle = {
      feeds = {
        eth = { decimals = 2, sources = { a = { url = "https://a.example.org:65536/price", pointer = "/price" } } }
      }
    }
  }

  expect_failures = [var.oracle]
}

run "a_source_with_a_pointer_in_dots_is_refused" {
  command = plan

  variables {
    oracle = {
      feeds = {
        eth = { decimals = 2, sources = { a = { url = "https://a.example.org", pointer = "result.price" } } }
      }
    }
  }

  expect_failures = [var.oracle]
}

run "a_source_with_a_lone_tilde_is_refused" {
  command = plan

  variables {
    oracle = {
      feeds = {
        eth = { decimals = 2, sources = { a = { url = "https://a.example.org", pointer = "/a~b" } } }
      }
    }
  }

  expect_failures = [var.oracle]
}

run "a_source_with_a_time_in_dots_is_refused" {
  command = plan

  variables {
    oracle = {
      feeds = {
        eth = { decimals = 2, sources = { a = { url = "https://a.example.org", pointer = "/price", time_pointer = "time" } } }
      }
    }
  }

  expect_failures = [var.oracle]
}

run "a_scale_of_nineteen_is_refused" {
  command = plan

  variables {
    oracle = {
      feeds = {
        eth = { decimals = 2, sources = { a = { url = "https://a.example.org", pointer = "/price", scale = 19 } } }
      }
    }
  }

  expect_failures = [var.oracle]
}

run "half_a_scale_is_refused" {
  command = plan

  variables {
    oracle = {
      feeds = {
        eth = { decimals = 2, sources = { a = { url = "https://a.example.org", pointer = "/price", scale = 0.5 } } }
      }
    }
  }

  expect_failures = [var.oracle]
}

run "a_timeout_of_forty_nine_milliseconds_is_refused" {
  command = plan

  variables {
    oracle = {
      feeds = {
        eth = { decimals = 2, sources = { a = { url = "https://a.example.org", pointer = "/price", timeout_ms = 49 } } }
      }
    }
  }

  expect_failures = [var.oracle]
}

run "a_timeout_beyond_ten_seconds_is_refused" {
  command = plan

  variables {
    oracle = {
      feeds = {
        eth = { decimals = 2, sources = { a = { url = "https://a.example.org", pointer = "/price", timeout_ms = 10001 } } }
      }
    }
  }

  expect_failures = [var.oracle]
}

run "a_header_with_a_colon_is_refused" {
  command = plan

  variables {
    oracle = {
      feeds = {
        eth = { decimals = 2, sources = { a = { url = "https://a.example.org", pointer = "/price", header = { name = "x-api-key:", secret_key = "a" } } } }
      }
    }
  }

  expect_failures = [var.oracle]
}

run "a_header_whose_key_has_a_blank_is_refused" {
  command = plan

  variables {
    oracle = {
      feeds = {
        eth = { decimals = 2, sources = { a = { url = "https://a.example.org", pointer = "/price", header = { name = "x-api-key", secret_key = "a b" } } } }
      }
    }
  }

  expect_failures = [var.oracle]
}

run "a_table_name_of_the_dead_letters_is_refused" {
  command = plan

  variables {
    oracle = { table_name = "offchain-dead-letters" }
  }

  expect_failures = [var.oracle]
}

# From here on a run has a wrong value of several variables, each of which has to
# be refused.

run "a_stage_with_a_slash_no_redrive_at_all_and_an_alarm_at_no_client_error_are_refused" {
  command = plan

  variables {
    rides      = { stage = "prod/eu" }
    redrive    = { max_redrives = 0 }
    api_alarms = { client_errors = 0 }
  }

  expect_failures = [var.rides, var.redrive, var.api_alarms]
}

run "an_unknown_way_to_publish_a_hundred_and_one_redrives_and_an_alarm_at_no_latency_are_refused" {
  command = plan

  variables {
    rides      = { publish = "SNS" }
    redrive    = { max_redrives = 101 }
    api_alarms = { latency_ms = 0 }
  }

  expect_failures = [var.rides, var.redrive, var.api_alarms]
}

run "a_topic_without_a_subscriber_a_letter_held_for_no_time_and_an_alarm_beyond_the_gateways_timeout_are_refused" {
  command = plan

  variables {
    rides      = { subscribers = [] }
    redrive    = { hold_seconds = 0 }
    api_alarms = { latency_ms = 30001 }
  }

  expect_failures = [var.rides, var.redrive, var.api_alarms]
}

run "an_unknown_subscriber_and_a_letter_held_longer_than_sqs_does_are_refused" {
  command = plan

  variables {
    rides   = { subscribers = ["lambda", "email"] }
    redrive = { hold_seconds = 43201 }
  }

  expect_failures = [var.rides, var.redrive]
}

run "an_unknown_authorization_and_a_history_shorter_than_a_letters_life_are_refused" {
  command = plan

  variables {
    rides   = { record_authorization = "JWT" }
    redrive = { history_days = 13 }
  }

  expect_failures = [var.rides, var.redrive]
}

run "a_unicorn_without_a_name_and_a_history_of_over_ten_years_are_refused" {
  command = plan

  variables {
    rides   = { fleet = { "" = { color = "White" } } }
    redrive = { history_days = 3651 }
  }

  expect_failures = [var.rides, var.redrive]
}

run "a_unicorn_of_sixty_five_characters_and_half_a_redrive_are_refused" {
  command = plan

  variables {
    rides   = { fleet = { (join("", [for _ in range(65) : "a"])) = { color = "White" } } }
    redrive = { max_redrives = 1.5 }
  }

  expect_failures = [var.rides, var.redrive]
}

run "a_unicorn_without_a_color_is_refused" {
  command = plan

  variables {
    rides = { fleet = { Pegasus = { color = "" } } }
  }

  expect_failures = [var.rides]
}

run "a_unicorn_with_two_colors_is_refused" {
  command = plan

  variables {
    rides = { fleet = { Pegasus = { color = "White", attributes = { Color = "Black" } } } }
  }

  expect_failures = [var.rides]
}

run "a_unicorn_whose_attribute_has_a_blank_is_refused" {
  command = plan

  variables {
    rides = { fleet = { Pegasus = { color = "White", attributes = { "Wing span" = "4" } } } }
  }

  expect_failures = [var.rides]
}

run "a_fleet_of_a_hundred_and_one_is_refused" {
  command = plan

  variables {
    rides = { fleet = { for number in range(101) : "Unicorn ${number}" => { color = "White" } } }
  }

  expect_failures = [var.rides]
}
