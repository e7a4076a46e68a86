# What the ledger's variables refuse, each value wrong in one way only.

mock_provider "aws" {
  source = "./tests/mocks"
}

# A run plans the ledger, and no other subsystem.
variables {
  artifacts_dir = "tests/artifacts"
  vrf           = null
  oracle        = null
  ledger_node   = "http://127.0.0.1:9984"
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

run "a_ledger_without_a_node_is_refused" {
  command = plan

  variables {
    ledger      = {}
    ledger_node = null
  }

  expect_failures = [var.ledger]
}

run "a_node_with_a_password_is_refused" {
  command = plan

  variables {
    ledger = { node = "http://me:secret@node.example.org:9984" }
  }

  expect_failures = [var.ledger]
}

run "a_node_with_a_path_is_refused" {
  command = plan

  variables {
    ledger = { node = "http://node.example.org:9984/api/v1" }
  }

  expect_failures = [var.ledger]
}

run "a_node_at_an_impossible_port_is_refused" {
  command = plan

  variables {
    ledger = { node = "http://node.example.org:65536" }
  }

  expect_failures = [var.ledger]
}

run "a_ledger_node_with_a_user_is_refused" {
  command = plan

  variables {
    ledger      = {}
    ledger_node = "http://me@127.0.0.1:9984"
  }

  expect_failures = [var.ledger_node]
}

run "a_ledger_node_without_a_scheme_is_refused" {
  command = plan

  variables {
    ledger      = {}
    ledger_node = "127.0.0.1:9984"
  }

  expect_failures = [var.ledger_node]
}

# The ranges themselves are held to above.
run "a_number_under_its_range_is_refused" {
  command = plan

  variables {
    ledger = { from_height = 0 }
  }

  expect_failures = [var.ledger]
}

run "a_fraction_is_refused" {
  command = plan

  variables {
    ledger = { run_minutes = 1.5 }
  }

  expect_failures = [var.ledger]
}

run "a_number_over_its_range_is_refused" {
  command = plan

  variables {
    ledger = { timeout_seconds = 26 }
  }

  expect_failures = [var.ledger]
}

run "a_retry_at_once_is_refused" {
  command = plan

  variables {
    ledger = { retry_schedule = [5, 0] }
  }

  expect_failures = [var.ledger]
}

run "a_retry_after_more_than_a_day_is_refused" {
  command = plan

  variables {
    ledger = { retry_schedule = [86401] }
  }

  expect_failures = [var.ledger]
}

run "more_than_twenty_retries_are_refused" {
  command = plan

  variables {
    ledger = { retry_schedule = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21] }
  }

  expect_failures = [var.ledger]
}

run "a_subscriber_called_as_the_suites_own_is_refused" {
  command = plan

  variables {
    ledger = { subscribers = { ledger = { url = "https://example.org" } } }
  }

  expect_failures = [var.ledger]
}

run "a_subscriber_with_capital_letters_is_refused" {
  command = plan

  variables {
    ledger = { subscribers = { Audit = { url = "https://example.org" } } }
  }

  expect_failures = [var.ledger]
}

run "a_subscriber_with_a_password_is_refused" {
  command = plan

  variables {
    ledger = { subscribers = { audit = { url = "https://me:secret@example.org/" } } }
  }

  expect_failures = [var.ledger]
}

run "a_subscriber_without_a_scheme_is_refused" {
  command = plan

  variables {
    ledger = { subscribers = { audit = { url = "example.org/hooks" } } }
  }

  expect_failures = [var.ledger]
}

run "a_subscriber_at_an_impossible_port_is_refused" {
  command = plan

  variables {
    ledger = { subscribers = { audit = { url = "https://example.org:65536/hooks" } } }
  }

  expect_failures = [var.ledger]
}

run "more_than_twenty_subscribers_are_refused" {
  command = plan

  variables {
    ledger = { subscribers = { for number in range(21) : "s${number}" => { url = "https://a.b" } } }
  }

  expect_failures = [var.ledger]
}

run "an_asset_with_capital_letters_is_refused" {
  command = plan

  variables {
    ledger = { assets = [upper("1f9d8a1f6a0c5f7f0f8d1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f")] }
  }

  expect_failures = [var.ledger]
}

run "an_asset_of_a_subscriber_that_is_too_short_is_refused" {
  command = plan

  variables {
    ledger = { subscribers = { audit = { url = "https://example.org", assets = ["1f9d"] } } }
  }

  expect_failures = [var.ledger]
}

run "an_owner_that_is_too_short_is_refused" {
  command = plan

  variables {
    ledger = { owners = [substr("4K9sWUMFwTgaDGPfdynrbxWqWS6sWmKbZoTjxLtVUibD", 0, 42)] }
  }

  expect_failures = [var.ledger]
}

run "an_owner_of_a_subscriber_with_a_letter_that_base58_lacks_is_refused" {
  command = plan

  variables {
    ledger = { subscribers = { audit = { url = "https://example.org", owners = ["0K9sWUMFwTgaDGPfdynrbxWqWS6sWmKbZoTjxLtVUibD"] } } }
  }

  expect_failures = [var.ledger]
}

run "more_than_the_environment_can_hold_is_refused" {
  command = plan

  variables {
    ledger = { subscribers = { for number in range(18) : "s${number}" => { url = "https://example.org/hooks" } } }
  }

  expect_failures = [var.ledger]
}
