# shellcheck shell=bash disable=SC2034,SC2153  # variables go from file to file
# The checks, each a function check_<name>; CHECKS holds their names in order.
# Needs common.sh and tools.sh.

CHECKS=(fmt clippy terraform-fmt terraform-validate terraform-test asl checkov shellcheck python page decoder)

CHECK_DIR=$LOCAL/check

# What a check needs is installed before its step, so that a missing tool is one line.
prepare_check() {
  case $1 in
    fmt | clippy) need_cargo ;;
    terraform-*) ensure_terraform ;;
    asl) need_python && ensure_node_tools ;;
    checkov | shellcheck) ensure_check_tools ;;
    python) need_python ;;
    page) ensure_chromium ;;
    decoder) need_cargo && ensure_decoder ;;
  esac
}

describe_check() {
  case $1 in
    fmt) echo "Rust is formatted" ;;
    clippy) echo "Rust without warnings" ;;
    terraform-fmt) echo "Terraform is formatted" ;;
    terraform-validate) echo "Terraform is valid" ;;
    terraform-test) echo "Terraform's own tests" ;;
    asl) echo "State machines are valid" ;;
    checkov) echo "Terraform against checkov's rules" ;;
    shellcheck) echo "Scripts against shellcheck" ;;
    python) echo "Python of the scripts" ;;
    page) echo "The faucet's page in Chromium" ;;
    decoder) echo "Signed transactions, read by CosmJS and ethers" ;;
  esac
}

check_fmt() { cargo fmt --all --check -- --color never; }

check_clippy() { cargo clippy --locked --workspace --all-targets -- --deny warnings; }

check_terraform-fmt() { "$TERRAFORM" fmt -check -diff -recursive terraform; }

check_terraform-validate() {
  export TF_DATA_DIR=$CHECK_DIR/terraform
  terraform_init -backend=false
  terraform_in validate -no-color
}

# Every folder of terraform/ that has tests, each with what it needs of its own. A file
# of tests is a process of its own, two at a time, the largest first: together they take
# as long as the largest alone.
check_terraform-test() {
  local root roots log status
  roots=$(find terraform -name '*.tftest.hcl' ! -path '*/.terraform/*' -exec dirname {} \; | sed 's#/tests$##' | sort -u)
  if [[ -z $roots ]]; then echo "terraform/ has no tests" && return 1; fi
  for root in $roots; do
    echo "--- $root"
    export TF_DATA_DIR=$CHECK_DIR/${root//\//-}
    if [[ $root == terraform ]]; then TF_DATA_DIR=$CHECK_DIR/terraform; fi
    TESTS_OUT=$CHECK_DIR/terraform-tests
    export TERRAFORM TESTS_OUT
    rm -rf "$TESTS_OUT"
    mkdir -p "$TESTS_OUT"
    (
      cd "$root"
      "$TERRAFORM" init -no-color -backend=false >/dev/null || exit
      # shellcheck disable=SC2016  # expanded by the inner shell
      wc -c tests/*.tftest.hcl | sort -rn | awk '$2 != "total" { print $2 }' |
        xargs -P 2 -n 1 bash -c '"$TERRAFORM" test -no-color -filter="$1" >"$TESTS_OUT/${1##*/}.log" 2>&1' bash
    ) && status=0 || status=$?
    # What failed comes last, where the end of the log shows it.
    for log in "$TESTS_OUT"/*.log; do
      if grep -q '^Success!' "$log"; then cat "$log"; fi
    done
    for log in "$TESTS_OUT"/*.log; do
      if ! grep -q '^Success!' "$log"; then sed '/\.\.\. pass$/d' "$log"; fi
    done
    if ((status != 0)); then return "$status"; fi
  done
}

check_asl() {
  local file status=0
  python3 scripts/lib/render_asl.py "$CHECK_DIR/asl" statemachines/*.asl.json
  for file in "$CHECK_DIR"/asl/*.json; do
    echo "--- ${file##*/}"
    node_modules/.bin/asl-validator --json-path "$file" || status=1
  done
  return $status
}

check_checkov() {
  "$ROOT/.venv-check/bin/checkov" --directory terraform --framework terraform --quiet --compact --skip-download
}

check_shellcheck() {
  shell_scripts | tr '\n' '\0' | xargs -0 "$ROOT/.venv-check/bin/shellcheck" --external-sources --source-path=SCRIPTDIR
}

shell_scripts() {
  local file
  for file in scripts/* .ci/* scripts/lib/*.sh; do
    if [[ -f $file ]] && { [[ $file == *.sh ]] || head -n 1 "$file" | grep -q '^#!.*bash'; }; then echo "$file"; fi
  done
}

# It compiles without a warning, and its own tests pass.
check_python() {
  PYTHONDONTWRITEBYTECODE=1 python3 -W error -c '
import sys
for name in sys.argv[1:]:
    with open(name) as file:
        compile(file.read(), name, "exec")
' scripts/lib/*.py
  PYTHONDONTWRITEBYTECODE=1 python3 -m unittest discover --start-directory scripts/lib --pattern '*_test.py'
}

check_page() { node --test --test-reporter=spec tests/page/page.test.js; }

# Of the whole workspace, as scripts/lib/lambdas.sh says: nothing is built twice for it.
check_decoder() {
  cargo build --locked --workspace --test bundle --example signed
  "$TARGET/debug/examples/signed" >"$CHECK_DIR/signed.jsonl"
  node tests/decoder/decode.mjs --changed <"$CHECK_DIR/signed.jsonl"
}

# run_checks NAME...: all of them, whatever fails; a line each in $CHECK_DIR/results:
# name, passed or failed, seconds.
run_checks() {
  local name began outcome
  mkdir -p "$CHECK_DIR"
  LOG_DIR=$CHECK_DIR/logs
  : >"$CHECK_DIR/results"
  for name in "$@"; do
    prepare_check "$name"
    began=$SECONDS outcome=passed
    try step "$(describe_check "$name")" "check_$name"
    if ((STATUS != 0)); then outcome=failed; fi
    printf '%s %s %s\n' "$name" "$outcome" $((SECONDS - began)) >>"$CHECK_DIR/results"
  done
}

checks_table() {
  local name outcome seconds colour
  echo
  while read -r name outcome seconds; do
    colour=$GREEN
    if [[ $outcome == failed ]]; then colour=$RED; fi
    printf '    %-20s %s%-6s%s %4s s\n' "$name" "$colour" "$outcome" "$PLAIN" "$seconds"
  done <"$CHECK_DIR/results"
}

checks_failed() { grep -c ' failed ' "$CHECK_DIR/results" || true; }
