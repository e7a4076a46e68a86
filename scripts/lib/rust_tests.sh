# shellcheck shell=bash disable=SC2034,SC2153  # variables go from file to file
# Runs Rust's tests and counts what really ran. Needs common.sh.

# Every test target of the workspace but the end-to-end one, as cargo's options.
unit_targets() {
  cargo metadata --locked --no-deps --format-version 1 | python3 -c '
import json, sys
names = {
    target["name"]
    for package in json.load(sys.stdin)["packages"]
    for target in package["targets"]
    if "test" in target["kind"] and target["name"] != "e2e"
}
print("--lib --bins", *(f"--test {name}" for name in sorted(names)))'
}

unit_tests() { # FILTER
  local targets
  targets=$(unit_targets)
  # shellcheck disable=SC2086  # options; a filter may be absent
  cargo test --locked --workspace --no-fail-fast $targets -- $1
}

doc_tests() { # FILTER
  # shellcheck disable=SC2086
  cargo test --locked --workspace --no-fail-fast --doc -- $1
}

# They wait more than they compute, so that more of them may run than there are cores.
end_to_end_tests() { # FILTER
  # shellcheck disable=SC2086
  cargo test --locked --workspace --no-fail-fast --test e2e -- --test-threads=3 $1
}

# count_tests LOG STATUS: adds a run to PASSED and FAILED. One that failed without a
# failed test to show (it did not compile, or it crashed) counts as one failure.
count_tests() {
  local passed failed
  read -r passed failed < <(awk '/^test result: / { p += $4; f += $6 } END { print p + 0, f + 0 }' "$1")
  if (($2 != 0 && failed == 0)); then failed=1; fi
  PASSED=$((PASSED + passed)) FAILED=$((FAILED + failed)) RAN=$((RAN + passed + failed))
}

# Likewise for `terraform test`.
count_terraform_tests() {
  local passed failed
  read -r passed failed < <(sed -n 's/^\(Success\|Failure\)! \([0-9]*\) passed, \([0-9]*\) failed.*/\2 \3/p' "$1" |
    awk '{ p += $1; f += $2 } END { print p + 0, f + 0 }')
  if (($2 != 0 && failed == 0)); then failed=1; fi
  PASSED=$((PASSED + passed)) FAILED=$((FAILED + failed))
}
