# What the ledger's variables refuse, each value wrong in one way only.

variables {
  artifacts_dir = "none"
  ledger_node   = "http://127.0.0.1:9984"
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

# What the ranges are, limits.tftest.hcl of the whole suite says.
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
