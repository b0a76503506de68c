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
# Bash ignores "set -e" in a COMMAND of ours: it has to join its steps with &&.
progress() {
  local log=$1 doing=$2 started=$SECONDS status=0
  shift 2
  mkdir -p "$(dirname "$log")"
  printf '\n== %s\n' "$doing" >>"$log"
  ticking "$doing" into "$log" "$@" || status=$?
  if ((status != 0)); then
    say "cannot finish $doing (exit status $status); the end of $log:"
    tail -n 15 "$log" | sed 's/^/  | /' >&2
  elif ((SECONDS - started >= 2)); then
    say "$doing: done after $((SECONDS - started)) s"
  fi
  return "$status"
}

# ticking DOING COMMAND…: run COMMAND, and say DOING for as long as it takes more than two seconds.
ticking() {
  local doing=$1 started=$SECONDS ticker status=0
  shift
  # The ticker is in the background and not the command, so that Ctrl-C reaches the command. Its naps hold none of our
  # file descriptors: neither a pipe behind this script nor a lock may outlive us for their sake.
  (
    nap=
    # The end may come before the first nap, and right behind one.
    trap '[[ -z $nap ]] || kill "$nap" 2>/dev/null; exit 0' TERM
    for pause in 2 30 30 30 30 30 30 30 30 30 30; do
      sleep "$pause" >/dev/null 2>&1 3>&- 7>&- 8>&- 9>&- &
      nap=$!
      wait "$nap"
      if ((pause == 2)); then say "$doing …"; else say "$doing … ($((SECONDS - started)) s)"; fi
    done
  ) &
  ticker=$!
  "$@" || status=$?
  kill "$ticker" 2>/dev/null || true
  wait "$ticker" 2>/dev/null || true
  return "$status"
}

# into LOG COMMAND…: run COMMAND with its output at the end of LOG.
into() {
  local log=$1
  shift
  ("$@") </dev/null >>"$log" 2>&1
}
