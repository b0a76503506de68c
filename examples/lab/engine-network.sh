# shellcheck shell=bash
# How private engines share one machine's network: address ranges and iptables chains of their own, and everything put
# back at the end.
set -euo pipefail

# shellcheck source-path=SCRIPTDIR source=progress.sh
. "$(dirname "${BASH_SOURCE[0]}")/progress.sh"

FORWARDING_BEFORE=/run/cachepilot-lab-forwarding

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

# remove_chains TOOL MARK: delete the marked chains and every rule that leads into them; and, for an engine that died with
# networks and cannot be started again, the bridges that such rules name, with their other rules.
remove_chains() {
  local tool=$1 mark=$2 table verb rest
  command -v "$tool" >/dev/null || return 0
  for table in filter nat; do
    "$tool" --wait -t "$table" -S 2>/dev/null | awk -v mark="^$mark(-|\$)" '
      $1 == "-N" && $2 ~ mark { chains[++m] = $2 }
      $1 == "-A" { rules[++n] = $0 }
      $1 == "-A" && ($2 ~ mark || $NF ~ mark) && match($0, /br-[0-9a-f]+/) { bridges[substr($0, RSTART, RLENGTH)] }
      END {
        for (i = 1; i <= n; i++) {
          ours = (rules[i] ~ "-j " substr(mark, 2))
          for (bridge in bridges) if (index(rules[i], bridge)) ours = 1
          if (ours) print "-D" substr(rules[i], 3)
        }
        for (i = 1; i <= m; i++) print "-F " chains[i]
        for (i = 1; i <= m; i++) print "-X " chains[i]
        for (bridge in bridges) print "bridge " bridge
      }' | while read -r verb rest; do
      # Word splitting is meant: these are arguments as iptables itself printed them.
      # shellcheck disable=SC2086
      case $verb in
        bridge) ip link delete "$rest" 2>/dev/null ;;
        *) "$tool" --wait -t "$table" "$verb" $rest ;;
      esac || true
    done || true
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

# free_subnet SEED: print a private /16 that no route of this machine overlaps. Different seeds start looking
# at different places, so that two engines that start together do not choose the same one.
free_subnet() {
  local seed tries second
  seed=$((0x$(printf '%s' "$1" | sha256sum | cut -c1-6)))
  for ((tries = 0; tries < 100; tries++)); do
    second=$((100 + (seed + tries) % 100))
    # "match" finds wider routes, except for the default one; "root" finds narrower ones.
    if [[ -z $(ip -4 route show table all match "10.$second.0.0/16" | awk '$1 != "default"') &&
      -z $(ip -4 route show table all root "10.$second.0.0/16") ]]; then
      printf '10.%s.0.0/16\n' "$second"
      return 0
    fi
  done
  say "cannot find a free private network for containers: all of 10.100.0.0 to 10.199.255.255 is routed somewhere"
  return 1
}
