#!/usr/bin/env bash
# Every gate and every test.
#
#   bash tests/run.sh [PYTEST ARGUMENT…]           everything, with a Docker Engine (see examples/lab/engine.sh)
#   bash tests/run.sh fast [PYTEST ARGUMENT…]      what needs no engine
#   bash tests/run.sh down                         stop the engine and remove it, with its images
#
# All gates run even when one fails; the exit status is 0 only when all passed. The virtualenv stays in .venv, the engine
# and its images in .lab. The engine stops at the end, unless KEEP_LAB=1 says that it stays up for the next runs.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# shellcheck source-path=SCRIPTDIR source=../examples/lab/engine.sh
. examples/lab/engine.sh
# shellcheck source-path=SCRIPTDIR source=../examples/lab/images.sh
. examples/lab/images.sh
# shellcheck source-path=SCRIPTDIR source=../examples/lab/python.sh
. examples/lab/python.sh

main() {
  local mode=full
  case ${1:-} in
    fast | down) mode=$1 && shift ;;
    help | -h | --help) sed -n '2,/^set/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" && return ;;
  esac
  mkdir -p .lab/log
  if [[ $mode == down ]]; then
    engine_down .lab
    return
  fi
  packages_up .lab/log/packages.log shellcheck=shellcheck systemd-analyze=systemd faketime=faketime
  python_up .venv --group dev
  PATH=$PWD/.venv/bin:$PATH
  run_gates
  if [[ $mode == fast ]]; then
    unset DOCKER_HOST # a test that wants an engine without saying so shall fail here
    run_pytest -n 2 -m "not docker" "$@"
  else
    borrow_engine
    run_pytest -n 2 "$@"
    return_engine
  fi
  summarize
}

# Name, verdict and seconds of what ran, in order.
SUMMARY=()
FAILED=0
PYTEST_CLOSING_LINE=

run_gates() {
  local scripts
  mapfile -t scripts < <(find examples tests .ci -name '*.sh' -o -path .ci/run | sort)
  gate "ruff format --check ."
  gate "ruff check ."
  gate "mypy"
  gate "lint-imports"
  gate "shellcheck" -x -S style "${scripts[@]}"
  # What authors write is judged by tests alone, so its tests leave out no branch.
  gate "coverage run" --data-file=.lab/coverage --source=cachepilot.spec \
    -m pytest -q -m "not hypothesis" tests/spec # what chance may miss does not count
  gate "coverage report" --data-file=.lab/coverage --show-missing --fail-under=100
}

# gate NAME [ARGUMENT…]: run a gate; show its output only when it fails.
gate() {
  local name=$1 command log=.lab/log/gate.log started=$EPOCHREALTIME
  shift
  read -ra command <<<"$name"
  : >"$log"
  if ticking "$name" into "$log" "${command[@]}" "$@"; then
    note "$name" ok "$started"
  else
    cat "$log"
    note "$name" FAILED "$started"
  fi
}

run_pytest() {
  local started=$EPOCHREALTIME verdict=ok color=no closing=.lab/log/closing-line
  [[ ! -t 1 ]] || color=yes
  # The closing line is held back, so that it is the last line of all output.
  pytest --color="$color" "$@" 2>&1 9>&- | python tests/closing_line.py "$closing" || verdict=FAILED
  PYTEST_CLOSING_LINE=$(cat "$closing")
  note pytest "$verdict" "$started"
}

# note NAME VERDICT STARTED
note() {
  local line
  line=$(awk -v name="$1" -v verdict="$2" -v from="$3" -v to="$EPOCHREALTIME" \
    'BEGIN { printf "%-24s %-7s %7.1f s", name, verdict, to - from }')
  SUMMARY+=("$line")
  [[ $1 == pytest ]] || printf '%s\n' "$line"
  [[ $2 == ok ]] || FAILED=1
}

# borrow_engine: several runs in one checkout share one engine. Each holds a lock while it needs it, and the last to
# leave stops it, unless somebody has asked for it to stay.
borrow_engine() {
  exec 9>.lab/users
  flock -s 9
  trap return_engine EXIT
  trap 'exit 130' INT TERM
  [[ ${KEEP_LAB:-} != 1 ]] || touch .lab/keep
  engine_up .lab
  images_up .lab/log/images.log redis7 redis8 valkey8
}

return_engine() {
  trap - EXIT
  if [[ -e .lab/keep ]]; then
    say "leaving the engine up at $DOCKER_HOST; to remove it: bash tests/run.sh down"
  elif flock -n -x 9; then
    engine_stop .lab
  else
    say "leaving the engine to another run that uses it"
  fi
}

summarize() {
  printf '\n'
  printf '%s\n' "${SUMMARY[@]}"
  if ((FAILED)); then printf 'FAILED\n\n'; else printf 'all passed\n\n'; fi
  printf '%s\n' "$PYTEST_CLOSING_LINE"
  return "$FAILED"
}

main "$@"
