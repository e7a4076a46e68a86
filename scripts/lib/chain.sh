# shellcheck shell=bash disable=SC2153  # variables go from file to file
# The stack's own EVM chain: anvil, on a port of its own. What its accounts hold outlives
# it in $STACK_DIR/chain.json, which it writes each second and when it ends.
#
# A block follows each transaction at once; with CHAIN_BLOCK_SECONDS set, blocks come at
# that pace and empty ones too, as on a real chain.
#
# Needs common.sh and tools.sh, and stack_use before it.

CHAIN_ID=31337

# A twin of a stack, in a folder below it, has no chain of its own and uses that one's.
chain_port() {
  local port=$STACK_DIR/chain-port
  if [[ ! -f $port ]]; then port=${STACK_DIR%/twins/*}/chain-port; fi
  if [[ -f $port ]]; then printf '%s\n' "$(<"$port")"; fi
}

chain_url() { printf 'http://127.0.0.1:%s\n' "$(chain_port)"; }

# Whether what listens on the port is this chain.
chain_ready() {
  local line='' body='{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":[]}'
  {
    exec 3<>"/dev/tcp/127.0.0.1/$(chain_port)" &&
      printf 'POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: %s\r\nConnection: close\r\n\r\n%s' "${#body}" "$body" >&3 &&
      while IFS= read -r -t 5 line; do :; done <&3
    exec 3>&-
  } 2>/dev/null
  [[ $line == *"\"result\":\"0x$(printf '%x' "$CHAIN_ID")\""* ]]
}

chain_pid() { process_of "$STACK_DIR/chain.pid"; }

chain_start() {
  local pid
  ensure_anvil
  if pid=$(chain_pid); then
    if chain_ready; then
      say "The chain runs already (process $pid, port $(chain_port))"
      return
    fi
    say "The chain (process $pid) does not answer: starting it again"
    chain_stop
  fi
  # The port is kept, as wallets were told it; one taken meanwhile is no reason to stop.
  if [[ ! -f $STACK_DIR/chain-port ]] || port_taken "$(chain_port)"; then free_port >"$STACK_DIR/chain-port"; fi
  try step "Starting the chain on 127.0.0.1:$(chain_port)" launch_chain
  ((STATUS == 0)) ||
    fail 4 "the chain did not start: see ${LOG_DIR#"$ROOT"/}/chain.log, or remove its state with scripts/down --purge"
}

launch_chain() {
  local options=(--host 127.0.0.1 --port "$(chain_port)" --chain-id "$CHAIN_ID" --no-cors
    # No accounts with well-known keys, and nothing of older states in the user's home.
    --accounts 0 --prune-history 256
    --state "$STACK_DIR/chain.json" --state-interval 1)
  if [[ -n ${CHAIN_BLOCK_SECONDS:-} ]]; then options+=(--block-time "$CHAIN_BLOCK_SECONDS"); fi
  start_daemon "$STACK_DIR/chain.pid" "$ANVIL" "${options[@]}"
  await_daemon "$STACK_DIR/chain.pid" 30 chain_ready
}

# Asks it to end, upon which it writes its state.
chain_stop() { stop_daemon "$STACK_DIR/chain.pid" 20; }
