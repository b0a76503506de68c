# shellcheck shell=bash
# Debian packages, installed only when something is missing.
set -euo pipefail

# shellcheck source-path=SCRIPTDIR source=progress.sh
. "$(dirname "${BASH_SOURCE[0]}")/progress.sh"

# Debian keeps iptables, dockerd and ip here, and not every shell looks here.
case ":$PATH:" in
  *:/usr/sbin:*) ;;
  *) PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin ;;
esac

# packages_up LOG [COMMAND=]PACKAGE…: install every PACKAGE whose COMMAND is not there. A package without a command is
# looked up in dpkg. Asking for commands lets an engine from elsewhere (docker-ce) pass, which Debian's would replace.
packages_up() {
  local log=$1 wanted missing=()
  shift
  for wanted in "$@"; do
    if [[ $wanted == *=* ]]; then
      command -v "${wanted%%=*}" >/dev/null || missing+=("${wanted#*=}")
    else
      package_is_installed "$wanted" || missing+=("$wanted")
    fi
  done
  ((${#missing[@]})) || return 0
  command -v apt-get >/dev/null ||
    fail "cannot install ${missing[*]}: no apt-get here; install what these Debian packages contain and run this again"
  ((EUID == 0)) ||
    fail "cannot install ${missing[*]} as $(id -un): run this as root, or first: sudo apt-get install ${missing[*]}"
  # One broken third-party source must not stop us: whether the packages can be had, the installation finds out.
  progress "$log" "refreshing the package lists" apt_get update || true
  progress "$log" "installing ${missing[*]}" apt_get install --yes --no-install-recommends "${missing[@]}" ||
    fail "cannot install ${missing[*]}: read $log, then try: apt-get install ${missing[*]}"
  hash -r
}

package_is_installed() {
  [[ $(dpkg-query --show --showformat='${db:Status-Status}' "$1" 2>/dev/null) == installed ]]
}

# Somebody else may be installing at this moment: wait for them instead of failing.
apt_get() { DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 "$@"; }
