# shellcheck shell=bash
# What a private engine leaves on the machine besides its folder, and how that is removed: processes, mounts, a short
# path for its sockets; for the network see engine-network.sh. Used by engine.sh only.
set -euo pipefail

# shellcheck source-path=SCRIPTDIR source=engine-network.sh
. "$(dirname "${BASH_SOURCE[0]}")/engine-network.sh"

# engine_mark DIR: a short name for everything of this engine that is visible outside its folder.
engine_mark() { printf 'cp%s\n' "$(printf '%s' "$1" | sha256sum | cut -c1-6)"; }

# short_path DIR: a path to DIR that is short and plain enough for sockets in it. A socket path has at most 107 bytes, of
# which the engine's own part takes up to 40. Where DIR is too long, a link in a temporary folder stands for it.
short_path() {
  local dir=$1 link
  if ((${#dir} <= 66)) && [[ $dir =~ ^[A-Za-z0-9/._-]+$ ]]; then
    printf '%s\n' "$dir"
    return
  fi
  link=$(cat "$dir/short" 2>/dev/null || true)
  if [[ -z $link || $(readlink "$link") != "$dir" ]]; then
    mkdir -p "$dir"
    link=$(mktemp -d /tmp/cachepilot-XXXXXX)/e
    ln -s "$dir" "$link"
    printf '%s\n' "$link" >"$dir/short"
  fi
  printf '%s\n' "$link"
}

forget_short_path() {
  local link
  link=$(cat "$1/short" 2>/dev/null) || return 0
  [[ $link == /tmp/cachepilot-* ]] || return 0
  rm -f "$link"
  rmdir "$(dirname "$link")" 2>/dev/null || true
}

# clear_stale_state DIR: remove what a killed engine or a reboot left and what would keep the next one from starting.
clear_stale_state() {
  local dir=$1 boot
  rm -f "$dir/pid" "$dir/docker.sock"
  kill_matching "containerd --config $(short_path "$dir")/exec/"
  # A containerd.pid whose number somebody else has by now reads as "still running", and the engine waits for ever.
  rm -f "$dir/exec/containerd/containerd.pid" "$dir/exec/containerd/"*.sock*
  boot=$(cat /proc/sys/kernel/random/boot_id)
  if [[ $(cat "$dir/boot" 2>/dev/null) != "$boot" ]]; then
    # The exec folder describes processes, and normally lives in memory: a reboot empties it.
    unmount_below "$dir"
    rm -rf "$dir/exec"
  fi
  printf '%s\n' "$boot" >"$dir/boot"
}

# remove_traces DIR: the engine is gone; so goes whatever it, or an earlier crash, left outside.
remove_traces() {
  local dir=$1 short
  short=$(short_path "$dir")
  kill_matching "containerd-shim.* -address $short/exec/"
  kill_matching "containerd --config $short/exec/"
  unmount_below "$dir"
  remove_chains iptables "$(engine_mark "$dir")"
  remove_chains ip6tables "$(engine_mark "$dir")"
  restore_forwarding
  rm -rf "$dir/exec" "$dir/pid" "$dir/docker.sock"
}

# kill_matching PATTERN: a containerd or a shim is told by its command line, which names the engine's folder. Servers
# that a shim holds die with it, so that none keeps a port.
kill_matching() {
  local pid child
  for pid in $(pgrep -f -- "^[^ ]*$1" || true); do
    for child in $(pgrep -P "$pid" || true); do
      [[ $1 != containerd-shim* ]] || kill -KILL "$child" 2>/dev/null || true
    done
    kill -KILL "$pid" 2>/dev/null || true
  done
}

# unmount_below DIR: later mounts first, for they may lie within earlier ones.
unmount_below() {
  local target
  tac /proc/mounts | while read -r _ target _; do
    target=$(printf '%b' "$target") # blanks are written as \040 there
    [[ $target != "$1"/* ]] || umount --lazy "$target" || true
  done
}
