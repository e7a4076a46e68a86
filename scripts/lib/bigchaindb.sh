# shellcheck shell=bash disable=SC2034,SC2153  # variables go from file to file
# The stack's own BigchainDB 2.2.2 node, on ports of its own. Its blocks outlive it in
# $STACK_DIR/ledger/, which it writes before it commits them.
#
# It makes a block each LEDGER_BLOCK_SECONDS where there is something to put in it.
#
# Needs common.sh and tools.sh, and stack_use before it.

LEDGER_BLOCK_SECONDS=${LEDGER_BLOCK_SECONDS:-1}
LEDGER_PYTHON=$LOCAL/bigchaindb/bin/python

# The server and the driver, whose packages are of 2020 and name the versions of then:
# they are installed as the file lists them, whatever they ask for. What builds them
# comes first, as they expect to find it.
ensure_bigchaindb() {
  local requirements=$ROOT/scripts/requirements/bigchaindb.txt stamp
  stamp=$(printf '%s %s\n' "$(sha256 <"$requirements")" "$ROOT")
  if stamped "$LOCAL/bigchaindb/.stamp" "$stamp" && [[ -x $LEDGER_PYTHON ]]; then return; fi
  need_python
  step "Installing scripts/requirements/bigchaindb.txt into .local/bigchaindb" install_bigchaindb "$requirements"
  printf '%s\n' "$stamp" >"$LOCAL/bigchaindb/.stamp"
}

install_bigchaindb() {
  local pip=("$LEDGER_PYTHON" -m pip install --disable-pip-version-check --no-input --no-deps)
  rm -rf "$LOCAL/bigchaindb"
  mkdir -p "$LOCAL"
  python3 -m venv "$LOCAL/bigchaindb"
  grep -E '^(packaging|pytest-runner|setuptools|wheel)==' "$1" >"$LOCAL/bigchaindb/builders.txt"
  "${pip[@]}" --requirement "$LOCAL/bigchaindb/builders.txt"
  "${pip[@]}" --no-build-isolation --requirement "$1"
}

# A twin of a stack, in a folder below it, has no node of its own and uses that one's.
ledger_port() {
  local port=$STACK_DIR/$1
  if [[ ! -f $port ]]; then port=${STACK_DIR%/twins/*}/$1; fi
  if [[ -f $port ]]; then printf '%s\n' "$(<"$port")"; fi
}

ledger_node_port() { ledger_port ledger-port; }
ledger_stream_port() { ledger_port ledger-stream-port; }
ledger_node_url() { printf 'http://127.0.0.1:%s\n' "$(ledger_node_port)"; }

# Whether what listens on the port is this node: it names its own stream.
ledger_node_ready() {
  local line answer=''
  {
    exec 3<>"/dev/tcp/127.0.0.1/$(ledger_node_port)" &&
      printf 'GET /api/v1/ HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n' >&3 &&
      while IFS= read -r -t 5 line || [[ -n $line ]]; do answer+=$line; done <&3
    exec 3>&-
  } 2>/dev/null
  [[ $answer == *"ws://127.0.0.1:$(ledger_stream_port)/api/v1/streams/valid_transactions"* ]]
}

ledger_node_pid() { process_of "$STACK_DIR/ledger.pid"; }

ledger_node_start() {
  local pid
  ensure_bigchaindb
  if pid=$(ledger_node_pid); then
    if ledger_node_ready; then
      say "The ledger's node runs already (process $pid, port $(ledger_node_port))"
      return
    fi
    say "The ledger's node (process $pid) does not answer: starting it again"
    ledger_node_stop
  fi
  # The ports are kept, as clients were told them; one taken meanwhile is no reason to stop.
  keep_or_choose_port ledger-port
  keep_or_choose_port ledger-stream-port
  try step "Starting the ledger's node on 127.0.0.1:$(ledger_node_port)" launch_ledger_node
  ((STATUS == 0)) ||
    fail 4 "the ledger's node did not start: see ${LOG_DIR#"$ROOT"/}/ledger.log, or remove its state with scripts/down --purge"
}

keep_or_choose_port() {
  if [[ ! -f $STACK_DIR/$1 ]] || port_taken "$(<"$STACK_DIR/$1")"; then free_port >"$STACK_DIR/$1"; fi
}

launch_ledger_node() {
  start_daemon "$STACK_DIR/ledger.pid" "$LEDGER_PYTHON" "$ROOT/scripts/lib/bigchaindb_node.py" \
    --port "$(ledger_node_port)" --stream-port "$(ledger_stream_port)" \
    --block-seconds "$LEDGER_BLOCK_SECONDS" --data "$STACK_DIR/ledger"
  await_daemon "$STACK_DIR/ledger.pid" 60 ledger_node_ready
}

ledger_node_stop() { stop_daemon "$STACK_DIR/ledger.pid" 20; }

fleet_pid() { process_of "$STACK_DIR/fleet.pid"; }

# A small fleet of leased cars, which trades on the node until fleet_stop. Its cars are
# the same after each start: they follow from the seed.
fleet_start() {
  if fleet_pid >/dev/null; then return; fi
  start_daemon "$STACK_DIR/fleet.pid" nice "$LEDGER_PYTHON" "$ROOT/scripts/lib/fleet.py" \
    --node "$(ledger_node_url)" --seed "$STACK_NAME" --seconds-between "${FLEET_SECONDS:-5}"
}

fleet_stop() { stop_daemon "$STACK_DIR/fleet.pid" 5; }
