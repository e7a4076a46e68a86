# shellcheck shell=bash disable=SC2034,SC2153  # variables go from file to file
# A stack is the whole suite on an emulator of its own: a name, a port, and one
# folder .local/<name>/ that holds all of it (emulator state, the chain's, Terraform's,
# logs, the outputs, the token). `local` is the user's; scripts/test has another.
#
# Needs common.sh and tools.sh.

source "$ROOT/scripts/lib/chain.sh"
source "$ROOT/scripts/lib/bigchaindb.sh"

# stack_use NAME PORT: the stack that the functions below act on.
stack_use() {
  STACK_NAME=$1
  STACK_DIR=$LOCAL/$1
  STACK_PORT=$2
  STACK_FILE=$STACK_DIR/stack.json
  TOKEN_FILE=$STACK_DIR/api-token
  LOG_DIR=$STACK_DIR/logs
  mkdir -p "$LOG_DIR"
  stack_credentials
}

# Nothing of the user's AWS set-up takes part: the emulator's root key, and no files.
stack_credentials() {
  unset AWS_PROFILE AWS_DEFAULT_PROFILE AWS_SESSION_TOKEN AWS_CA_BUNDLE
  export AWS_ENDPOINT_URL=http://127.0.0.1:$STACK_PORT
  export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test
  export AWS_REGION=us-east-1 AWS_DEFAULT_REGION=us-east-1
  export AWS_CONFIG_FILE=/dev/null AWS_SHARED_CREDENTIALS_FILE=/dev/null AWS_EC2_METADATA_DISABLED=true
  export NO_PROXY=127.0.0.1,localhost,.localhost no_proxy=127.0.0.1,localhost,.localhost
  export TF_DATA_DIR=$STACK_DIR/terraform
}

# The status line of LocalStack's own health page, which MiniStack serves too.
stack_healthy() {
  local status=''
  {
    exec 3<>"/dev/tcp/127.0.0.1/$STACK_PORT" &&
      printf 'GET /_localstack/health HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n' >&3 &&
      IFS= read -r -t 5 status <&3
    exec 3>&-
  } 2>/dev/null
  [[ $status == *' 200'* ]]
}

stack_pid() { process_of "$STACK_DIR/emulator.pid"; }

# The chain and the ledger come second: by then it is certain that the stack can have
# its port.
stack_start() {
  ensure_anvil
  ensure_bigchaindb
  emulator_start
  chain_start
  ledger_node_start
}

emulator_start() {
  local pid used
  if [[ -f $STACK_DIR/port ]]; then
    used=$(<"$STACK_DIR/port")
    # Queue addresses in both states name the port.
    [[ $used == "$STACK_PORT" ]] ||
      fail 4 "the stack was made on port $used: run with OFFCHAIN_PORT=$used, or scripts/down --purge first and start anew"
  fi
  if pid=$(stack_pid); then
    if stack_healthy; then
      say "The emulator runs already (process $pid, port $STACK_PORT)"
      return
    fi
    say "The emulator (process $pid) does not answer: starting it again"
    stack_stop
  fi
  stop_functions
  if port_taken "$STACK_PORT"; then
    fail 4 "port $STACK_PORT is taken by another program: stop it, or choose another port, such as OFFCHAIN_PORT=$((STACK_PORT + 1)) scripts/${0##*/}"
  fi
  printf '%s\n' "$STACK_PORT" >"$STACK_DIR/port"
  try step "Starting the emulator on 127.0.0.1:$STACK_PORT" launch_emulator
  ((STATUS == 0)) ||
    fail 4 "the emulator did not start: see ${LOG_DIR#"$ROOT"/}/emulator.log, or remove its state with scripts/down --purge"
}

launch_emulator() {
  start_daemon "$STACK_DIR/emulator.pid" "$ROOT/.venv/bin/python" "$ROOT/scripts/lib/emulator.py" \
    --port "$STACK_PORT" --dir "$STACK_DIR"
  await_daemon "$STACK_DIR/emulator.pid" 30 stack_healthy
}

# Functions run as children of the emulator; those of a killed one are orphans.
stop_functions() {
  local pid
  for pid in $(processes_of "$STACK_DIR/tmp/ministack-provided-code-"); do stop_process "$pid" 2; done
}

# Stops what stack_start started, and nothing else.
stack_stop() {
  stop_daemon "$STACK_DIR/emulator.pid" 20
  stop_functions
  chain_stop
  fleet_stop
  ledger_node_stop
}

# Everything that decides what Terraform would do.
stack_inputs() {
  {
    find terraform statemachines -type f ! -path '*/.terraform*' ! -name '*.tftest.hcl'
    find target/lambda -name bootstrap.zip
  } | sha256_of_files
  printf '%s\n' "$*"
}

# stack_apply [--force] [TERRAFORM OPTIONS]: brings the emulator to what terraform/
# says, with the stack's own chain as the faucet's and its own ledger, and writes the
# outputs. Returns at once where nothing has changed since the last time and the emulator
# still holds it. Sets STACK_CHANGED.
stack_apply() {
  local force='' inputs applied=$STACK_DIR/applied
  if [[ ${1:-} == --force ]]; then
    force=1
    shift
  fi
  set -- -var "faucet_nodes=[{\"url\":\"$(chain_url)\"}]" -var "ledger_node=$(ledger_node_url)" "$@"
  inputs=$(stack_inputs "$@")
  STACK_CHANGED=''
  if [[ -z $force ]] && stamped "$applied" "$inputs" && stack_holds; then
    say "The stack is as terraform/ says: nothing to apply"
    return
  fi
  STACK_CHANGED=1
  rm -f "$applied"
  ensure_terraform
  step "Preparing Terraform" terraform_init
  STEP_DETAIL=terraform_progress step "Applying terraform/" terraform_apply "$@"
  sed -n 's/^\(Apply complete! .*\)/    \1/p' "$LOG_DIR/applying-terraform.log"
  terraform_in output -state="$STACK_DIR/terraform.tfstate" -json stack >"$STACK_FILE.new" ||
    fail 1 "terraform/ has no output named stack"
  mv "$STACK_FILE.new" "$STACK_FILE"
  snapshot
  printf '%s\n' "$inputs" >"$applied"
}

terraform_apply() {
  terraform_in apply -auto-approve -no-color -parallelism=30 \
    -state="$STACK_DIR/terraform.tfstate" -backup=- -lock-timeout=60s -compact-warnings \
    -var-file=local.tfvars -var artifacts_dir=../target/lambda "$@"
}

terraform_progress() {
  awk '/^Plan: / { split($0, n, /[^0-9]+/); total = n[2] + n[3] + n[4] }
    /: (Creation|Modifications|Destruction) complete after/ { done++ }
    END { if (total) printf "(%d of %d resources)", done, total }' "$1" 2>/dev/null || true
}

# The emulator saves its state now, so that a kill keeps what was just applied.
snapshot() {
  local pid
  if pid=$(stack_pid); then kill -USR1 "$pid"; fi
}

stack_holds() {
  [[ -s $STACK_FILE ]] &&
    "$ROOT/.venv/bin/python" "$ROOT/scripts/lib/probe.py" resources "$STACK_FILE" "$AWS_ENDPOINT_URL"
}

# One token, kept beside the stack, made again only where the stack no longer knows it.
stack_token() {
  if [[ -s $TOKEN_FILE ]] &&
    "$ROOT/.venv/bin/python" "$ROOT/scripts/lib/probe.py" token "$STACK_FILE" "$AWS_ENDPOINT_URL" <"$TOKEN_FILE"; then
    return
  fi
  step "Making an API token" make_token
}

make_token() {
  umask 077
  OFFCHAIN_STACK=$STACK_FILE "$ROOT/scripts/offchain" vrf token create --name "$STACK_NAME" --json |
    "$ROOT/.venv/bin/python" -c 'import json, sys; print(json.load(sys.stdin)["token"])' >"$TOKEN_FILE.new"
  mv "$TOKEN_FILE.new" "$TOKEN_FILE"
}

# The faucet's key, made where the stack has none, and coins for its account.
stack_faucet() {
  if grep -q '"faucet": *{' "$STACK_FILE"; then step "Funding the faucet" fund_faucet; fi
}

fund_faucet() {
  local address
  address=$(OFFCHAIN_STACK=$STACK_FILE "$ROOT/scripts/offchain" faucet key create --keep --json |
    "$ROOT/.venv/bin/python" -c 'import json, sys; print(json.load(sys.stdin)["address"])')
  "$ROOT/.venv/bin/python" "$ROOT/scripts/lib/fund.py" "$(chain_url)" "$address"
}

# The secret of the suite's own webhooks, made where the stack has none.
stack_ledger() {
  if grep -q '"ledger": *{' "$STACK_FILE"; then step "Making the webhook secret" make_webhook_secret; fi
}

make_webhook_secret() {
  OFFCHAIN_STACK=$STACK_FILE "$ROOT/scripts/offchain" ledger secret rotate ledger --if-absent
}
