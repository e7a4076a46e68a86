# shellcheck shell=bash disable=SC2034  # what is set here is used elsewhere
# What every script shares: where the tree is, how to say things, how to end, and
# which process is whose. Written for bash 3.2 and later, as macOS ships it.
#
# Exit codes: 1 the work failed, 2 wrong usage, 3 a tool is missing, 4 the port or
# the emulator is in the way.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
LOCAL=$ROOT/.local
LOG_DIR=$LOCAL/logs
TARGET=${CARGO_TARGET_DIR:-$ROOT/target}
cd "$ROOT" || exit 1

if [[ -t 1 && -z ${NO_COLOR:-} ]]; then
  BOLD=$'\e[1m' DIM=$'\e[2m' RED=$'\e[31m' GREEN=$'\e[32m' PLAIN=$'\e[0m' LINE=$'\r\e[K'
else
  BOLD='' DIM='' RED='' GREEN='' PLAIN='' LINE=''
fi

say() { printf '%s==>%s %s\n' "$BOLD" "$PLAIN" "$*"; }

# fail CODE MESSAGE: one line that says what to do, and the end.
fail() {
  printf '%s: %s\n' "${0##*/}" "$2" >&2
  exit "$1"
}

# The comment at the head of the script is its help.
usage() { sed -n '2,/^[^#]/ s/^# \{0,1\}//p' "$0"; }

wrong_usage() { fail 2 "$1 (scripts/${0##*/} --help)"; }

if command -v sha256sum >/dev/null; then HASHER=(sha256sum); else HASHER=(shasum -a 256); fi

# The hash of standard input; and one hash of the names and the contents of the files
# that standard input lists.
sha256() { "${HASHER[@]}" | cut -d' ' -f1; }
sha256_of_files() { LC_ALL=C sort | tr '\n' '\0' | xargs -0 "${HASHER[@]}" | sha256; }

# What a running step may add to its line; a caller sets STEP_DETAIL to a function
# of the log file.
step_detail() { if [[ -n ${STEP_DETAIL:-} ]]; then "$STEP_DETAIL" "$1"; fi; }

# Shows that a step is alive: every second on a terminal, every 15 s in a log.
heartbeat() {
  local title=$1 log=$2 began=$SECONDS detail
  while sleep 1 && kill -0 $$ 2>/dev/null; do
    if [[ -n $LINE ]]; then
      detail=$(step_detail "$log")
      printf '%s%s==>%s %s … %s s %s' "$LINE" "$BOLD" "$PLAIN" "$title" $((SECONDS - began)) "$detail"
    elif (((SECONDS - began) % 15 == 0)); then
      detail=$(step_detail "$log")
      printf ' %s s%s …' $((SECONDS - began)) "${detail:+ $detail}"
    fi
  done
}

# try COMMAND...: runs it and leaves its status in STATUS. `command || …` would not
# do: there, bash ignores `set -e` in all that the command calls.
try() {
  set +e
  (
    set -e
    "$@"
  )
  STATUS=$?
  set -e
}

# step TITLE COMMAND...: runs it with its output in a log, and says how long it took.
# Where it fails, the end of the log follows (STEP_TAIL lines, default 30). Call it
# plainly, or by `try`.
step() {
  local title=$1 began=$SECONDS log pulse status
  shift
  mkdir -p "$LOG_DIR"
  log=$LOG_DIR/$(tr -cs 'A-Za-z0-9\n' '-' <<<"$title" | tr '[:upper:]' '[:lower:]' | sed 's/^-//; s/-$//').log
  printf '%s==>%s %s …' "$BOLD" "$PLAIN" "$title"
  heartbeat "$title" "$log" &
  pulse=$!
  set +e
  (
    set -e
    export CARGO_TERM_COLOR=never
    "$@"
  ) >"$log" 2>&1 </dev/null
  status=$?
  set -e
  kill "$pulse" 2>/dev/null && wait "$pulse" 2>/dev/null || true
  if [[ -n $LINE ]]; then printf '%s%s==>%s %s …' "$LINE" "$BOLD" "$PLAIN" "$title"; fi
  if ((status == 0)); then
    printf ' %s s\n' $((SECONDS - began))
  else
    printf ' %sfailed%s after %s s\n' "$RED" "$PLAIN" $((SECONDS - began))
    tail -n "${STEP_TAIL:-30}" "$log" | sed 's/^/    /' >&2
    printf '    (all of it: %s)\n' "${log#"$ROOT"/}" >&2
  fi
  return "$status"
}

# A process is known by its id and its moment of birth, so that an id which the
# system has given to another process since is never taken for ours.
birth() {
  local stat
  if [[ -r /proc/$1/stat ]]; then
    stat=$(<"/proc/$1/stat")
    # shellcheck disable=SC2086  # the fields after "pid (name) "
    set -- ${stat##*) }
    printf '%s %s\n' "$(</proc/sys/kernel/random/boot_id)" "${20}"
  else
    ps -o lstart= -p "$1"
  fi
}

# remember_process FILE PID, and process_of FILE, which prints the id while it lives.
remember_process() { printf '%s\n%s\n' "$2" "$(birth "$2")" >"$1"; }

process_of() {
  local pid born
  [[ -f $1 ]] || return 1
  { read -r pid && read -r born; } <"$1" || return 1
  kill -0 "$pid" 2>/dev/null && [[ $(birth "$pid" 2>/dev/null) == "$born" ]] && printf '%s\n' "$pid"
}

# processes_of TEXT: the ids of the processes whose command line begins with TEXT.
processes_of() {
  local entry
  if [[ -d /proc/self ]]; then
    for entry in /proc/[0-9]*/cmdline; do
      if [[ $(tr '\0' ' ' <"$entry" 2>/dev/null) == "$1"* ]]; then
        entry=${entry#/proc/}
        printf '%s\n' "${entry%/cmdline}"
      fi
    done 2>/dev/null
  else
    ps -A -o pid=,command= | awk -v text="$1" '{ pid = $1; sub(/^ *[0-9]+ /, ""); if (index($0, text) == 1) print pid }'
  fi
}

# stop_process PID SECONDS: asks, waits, and only then kills.
stop_process() {
  local tenths=$(($2 * 10))
  kill "$1" 2>/dev/null || return 0
  while kill -0 "$1" 2>/dev/null; do
    if ((tenths-- == 0)); then
      kill -9 "$1" 2>/dev/null || true
      return 0
    fi
    sleep 0.1
  done
}

# start_daemon PIDFILE COMMAND...: a program that outlives this script. What it says is
# in $LOG_DIR, in a .log of the file's name; in .log.1, what the one before said.
start_daemon() {
  local file=$1 log pid
  log=$(daemon_log "$file")
  shift
  if [[ -f $log ]]; then mv "$log" "$log.1"; fi
  nohup "$@" >"$log" 2>&1 </dev/null &
  pid=$!
  disown
  remember_process "$file" "$pid"
}

daemon_log() { printf '%s/%s.log\n' "$LOG_DIR" "$(basename "$1" .pid)"; }

# await_daemon PIDFILE SECONDS COMMAND...: waits until COMMAND succeeds. A program that
# ends before, or takes longer, is stopped, and the end of its log shown.
await_daemon() {
  local file=$1 tenths=$(($2 * 10)) pid
  shift 2
  until "$@"; do
    if ! pid=$(process_of "$file") || ((tenths-- == 0)); then
      tail -n 20 "$(daemon_log "$file")"
      if [[ -n $pid ]]; then stop_process "$pid" 1; fi
      return 1
    fi
    sleep 0.1
  done
}

# stop_daemon PIDFILE SECONDS: where it runs.
stop_daemon() {
  local pid
  if pid=$(process_of "$1"); then stop_process "$pid" "$2"; fi
  rm -f "$1"
}

port_taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
