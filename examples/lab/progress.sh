# shellcheck shell=bash
# How the lab talks: one plain line on stderr for what takes long, the whole output in a log file.
set -euo pipefail

say() { printf '%s\n' "$*" >&2; }

fail() {
  say "$*"
  exit 1
}

# progress LOG DOING COMMAND…: run COMMAND with its output in LOG. Silent when it takes less than two seconds; otherwise
# DOING is said once, again every half minute, and at the end with the time it took. A failure shows the log's end.
progress() {
  local log=$1 doing=$2 started=$SECONDS ticker status=0 errexit=$-
  shift 2
  mkdir -p "$(dirname "$log")"
  printf '\n== %s\n' "$doing" >>"$log"
  # The ticker is in the background and not the command, so that Ctrl-C reaches the command. Its sleeps hold none of our
  # file descriptors: a pipe behind this script must not wait for them.
  (
    trap 'exit 0' TERM
    sleep 2 </dev/null >/dev/null 2>&1 3>&- &
    wait $!
    say "$doing …"
    while true; do
      sleep 30 </dev/null >/dev/null 2>&1 3>&- &
      wait $!
      say "$doing … ($((SECONDS - started)) s)"
    done
  ) &
  ticker=$!
  # A subshell outside any condition: inside one, bash would ignore "set -e" within COMMAND.
  set +e
  (
    set -e
    "$@"
  ) </dev/null >>"$log" 2>&1
  status=$?
  case $errexit in *e*) set -e ;; esac
  kill "$ticker" 2>/dev/null || true
  wait "$ticker" 2>/dev/null || true
  if ((status != 0)); then
    say "cannot finish $doing (exit status $status); the end of $log:"
    tail -n 15 "$log" | sed 's/^/  | /' >&2
  elif ((SECONDS - started >= 2)); then
    say "$doing: done after $((SECONDS - started)) s"
  fi
  return "$status"
}
