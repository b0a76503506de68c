# shellcheck shell=bash
# cachepilotd in the background, for a root of one's own.
#
#   daemon_up FOLDER [SOURCE…]    for $CACHEPILOT_ROOT; its log is FOLDER/log/daemon.log. One that runs is
#                                 left alone, unless a SOURCE (code, settings) is newer than it
#   daemon_down                   stops it, and nothing else: tenants keep running
set -euo pipefail

# shellcheck source-path=SCRIPTDIR source=progress.sh
. "$(dirname "${BASH_SOURCE[0]}")/progress.sh"

daemon_up() {
  local folder=$1 tries
  shift
  if daemon_pid >/dev/null; then
    # A restarted daemon touches no tenant that is in order.
    [[ -n $(find "$@" \( -name '*.py' -o -name '*.yaml' \) -newer "$folder/daemon-started" -print -quit) ]] || return 0
    daemon_down
  fi
  touch "$folder/daemon-started"
  setsid --fork cachepilotd --root "$CACHEPILOT_ROOT" </dev/null >>"$folder/log/daemon.log" 2>&1
  # It has started when it publishes its status. Whoever waits for a tenant would be patient with a dead daemon.
  for ((tries = 0; tries < 50; tries++)); do
    sleep 0.1
    [[ ! $CACHEPILOT_ROOT/run/cachepilot/status/host.json -nt $folder/daemon-started ]] || return 0
    if ((tries > 5)) && ! daemon_pid >/dev/null; then
      show_daemon_log "$folder"
      fail "cannot start cachepilotd: read $folder/log/daemon.log"
    fi
  done
}

daemon_down() {
  local pid tries
  pid=$(daemon_pid) || return 0
  kill "$pid"
  for ((tries = 0; tries < 300; tries++)); do
    daemon_pid >/dev/null || return 0
    sleep 0.1
  done
  say "killing cachepilotd, which did not stop within 30 s"
  kill -KILL "$pid"
}

# daemon_pid: print the process id of our root's daemon, or fail.
daemon_pid() {
  local pid
  for pid in $(pgrep -f cachepilotd 2>/dev/null || true); do
    if grep -zqxF -- "$CACHEPILOT_ROOT" "/proc/$pid/cmdline" 2>/dev/null; then
      printf '%s\n' "$pid"
      return 0
    fi
  done
  return 1
}

show_daemon_log() { tail -n 15 "$1/log/daemon.log" | sed 's/^/  | /' >&2; }
