# shellcheck shell=bash
# A virtualenv with this checkout in it, editable.
#
#   python_up VENV [PIP ARGUMENT…]      e.g. python_up .venv --group dev
set -euo pipefail

# shellcheck source-path=SCRIPTDIR source=packages.sh
. "$(dirname "${BASH_SOURCE[0]}")/packages.sh"

CHECKOUT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)

python_up() {
  local venv log python stamp
  mkdir -p "$1"
  venv=$(realpath "$1")
  log=$venv/install.log
  shift
  (
    # Two callers at once: the second waits for the first and then finds everything done.
    flock 7
    # A virtualenv knows its own path and its interpreter's: after a move or an upgrade of Python it is made anew.
    if ! "$venv/bin/python" -c 'import sys, pip; sys.exit(sys.prefix != sys.argv[1])' "$venv" 2>/dev/null; then
      python=$(find_python "$venv/packages.log") || exit 1
      rm -rf "${venv:?}"/{bin,include,lib,lib64,pyvenv.cfg,stamp}
      progress "$log" "creating a virtualenv in $venv" "$python" -m venv "$venv" ||
        fail "cannot create a virtualenv in $venv: read $log"
    fi
    stamp=$(printf '%s\n' "$CHECKOUT" "$@" | cat - "$CHECKOUT/pyproject.toml" | sha256sum)
    if [[ $(cat "$venv/stamp" 2>/dev/null) != "$stamp" ]]; then
      progress "$log" "installing cachepilot and what it needs into $venv" install_project "$venv" "$@" ||
        fail "cannot install cachepilot into $venv: read $log"
      printf '%s\n' "$stamp" >"$venv/stamp"
    fi
  ) 7>"$venv/lock"
}

install_project() {
  local venv=$1
  shift
  cd "$CHECKOUT" && # where pip looks for --group
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1' &&
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --editable . "$@"
}

# find_python LOG: print a Python that is new enough and can make virtualenvs; Debian's, freshly installed, if need be.
find_python() {
  local candidate
  first_good_python python3 python3.14 python3.13 python3.12 python3.11 && return 0
  packages_up "$1" python3 python3-venv
  first_good_python /usr/bin/python3 && return 0
  candidate=$(/usr/bin/python3 --version 2>&1 || true)
  fail "cannot find Python 3.11 or newer with its venv module (${candidate:-no Python} is here): install one and put it on PATH"
}

first_good_python() {
  local candidate
  for candidate in "$@"; do
    # Run it: a name on PATH may be a wrapper around nothing.
    if "$candidate" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      command -v "$candidate"
      return 0
    fi
  done
  return 1
}
