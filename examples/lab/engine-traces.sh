# shellcheck shell=bash
# What a private engine leaves on the machine besides its folder, and how that is kept apart and removed: mounts,
# processes, iptables chains, forwarding, a short path for its sockets. Used by engine.sh only.
set -euo pipefail

FORWARDING_BEFORE=/run/cachepilot-lab-forwarding

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

unmount_below() {
  local mount
  awk -v dir="$1/" 'index($2, dir) == 1 { print $2 }' /proc/mounts | sort -r | while read -r mount; do
    umount --lazy "$(printf '%b' "$mount")" 2>/dev/null || true
  done
}

# write_iptables_wrappers DIR MARK: a starting dockerd empties the chains DOCKER*, whoever filled them, and with them the
# rules of every engine that is already running. So ours sees an iptables that gives these chains a name of their own.
write_iptables_wrappers() {
  local tool real
  mkdir -p "$1/bin"
  for tool in iptables ip6tables; do
    real=$(command -v "$tool") || continue
    cat >"$1/bin/$tool" <<WRAPPER
#!/bin/bash
arguments=()
for argument in "\$@"; do
  case \$argument in DOCKER | DOCKER-*) argument=$2\${argument#DOCKER} ;; esac
  arguments+=("\$argument")
done
exec "$real" "\${arguments[@]}"
WRAPPER
    chmod 0755 "$1/bin/$tool"
  done
}

remove_chains() {
  local tool=$1 mark=$2 table rule chain
  command -v "$tool" >/dev/null || return 0
  for table in filter nat; do
    { "$tool" --wait -t "$table" -S 2>/dev/null || true; } | grep -E -- "-j $mark(-[A-Z0-9-]+)?\$" |
      while read -r _ rule; do
        # Word splitting is meant: these are the arguments as iptables itself printed them.
        # shellcheck disable=SC2086
        "$tool" --wait -t "$table" -D $rule 2>/dev/null || true
      done || true
    { "$tool" --wait -t "$table" -S 2>/dev/null || true; } | awk -v mark="$mark" '$1 == "-N" && index($2, mark) == 1 { print $2 }' |
      while read -r chain; do
        "$tool" --wait -t "$table" -F "$chain" && "$tool" --wait -t "$table" -X "$chain" || true
      done
  done
}

# A starting engine switches forwarding on and forwards nothing but its own. The first of ours notes how it was, the
# last one puts it back.
remember_forwarding() {
  [[ ! -e $FORWARDING_BEFORE ]] || return 0
  pgrep -x dockerd >/dev/null || printf '%s %s\n' "$(cat /proc/sys/net/ipv4/ip_forward)" \
    "$(iptables --wait -S FORWARD | awk '$1 == "-P" { print $3 }')" >"$FORWARDING_BEFORE"
}

restore_forwarding() {
  local enabled policy
  if [[ -e $FORWARDING_BEFORE ]] && ! pgrep -x dockerd >/dev/null; then
    read -r enabled policy <"$FORWARDING_BEFORE"
    printf '%s\n' "$enabled" >/proc/sys/net/ipv4/ip_forward
    iptables --wait -P FORWARD "$policy"
    rm -f "$FORWARDING_BEFORE"
  fi
}

# free_subnet SEED [TAKEN…]: print a private /16 that no route of this machine overlaps. Different seeds start looking
# at different places, so that two engines that start together do not choose the same one.
free_subnet() {
  local seed tries second
  seed=$((0x$(printf '%s' "$1" | sha256sum | cut -c1-6)))
  for ((tries = 0; tries < 100; tries++)); do
    second=$((100 + (seed + tries) % 100))
    # "match" finds wider routes, except for the default one; "root" finds narrower ones.
    if [[ -z $(ip -4 route show table all match "10.$second.0.0/16" | grep -v '^default') &&
      -z $(ip -4 route show table all root "10.$second.0.0/16") ]]; then
      printf '10.%s.0.0/16\n' "$second"
      return 0
    fi
  done
  say "cannot find a free private network for containers: all of 10.100.0.0 to 10.199.255.255 is routed somewhere"
  return 1
}
