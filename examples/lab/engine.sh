# shellcheck shell=bash
# A Docker Engine for try-outs and tests: the machine's own if one answers, else a private one below a folder.
#
#   engine_up DIR      sets and exports DOCKER_HOST; a second call changes nothing
#   engine_stop DIR    removes its containers and networks, stops it, keeps its images
#   engine_down DIR    engine_stop, then removes DIR
#
# Several private engines may run side by side on one machine, and beside one that is not ours: each has its own folder,
# containerd namespace, address pool and iptables chains, and none has a default bridge.
set -euo pipefail

# shellcheck source-path=SCRIPTDIR source=packages.sh
. "$(dirname "${BASH_SOURCE[0]}")/packages.sh"
# shellcheck source-path=SCRIPTDIR source=engine-traces.sh
. "$(dirname "${BASH_SOURCE[0]}")/engine-traces.sh"

# A context or TLS settings of the person's own would override DOCKER_HOST.
unset DOCKER_CONTEXT DOCKER_TLS_VERIFY DOCKER_CERT_PATH

engine_up() {
  local dir found
  mkdir -p "$1/log"
  dir=$(realpath "$1")
  packages_up "$dir/log/packages.log" pgrep=procps
  if found=$(foreign_engine "$dir"); then
    printf '%s\n' "$found" >"$dir/foreign"
    export DOCKER_HOST=$found
    return 0
  fi
  [[ ! -e $dir/foreign ]] ||
    fail "cannot reach the engine that was used before, $(cat "$dir/foreign"): start it, or forget it: rm $dir/foreign"
  packages_up "$dir/log/packages.log" dockerd=docker.io iptables=iptables ip=iproute2 umount=mount
  command -v docker >/dev/null || packages_up "$dir/log/packages.log" docker=docker-cli
  # Where systemd runs, installing the package has started an engine: that one will do.
  if found=$(foreign_engine "$dir"); then
    engine_up "$dir"
    return
  fi
  (
    # Two callers at once: the second waits for the first and then finds an engine.
    flock 8
    engine_is_up "$dir" || start_engine "$dir"
  ) 8>"$dir/lock" || fail "cannot start a Docker engine in $dir: read $dir/dockerd.log"
  DOCKER_HOST=unix://$(short_path "$dir")/docker.sock
  export DOCKER_HOST
}

# foreign_engine DIR: print the address of an engine that answers and is not ours; the one used before comes first. One
# that has begun in DIR stays ours. Bind mounts need an engine on this machine, so only sockets count.
foreign_engine() {
  local address
  [[ ! -d $1/data ]] || return 1
  for address in "$(cat "$1/foreign" 2>/dev/null)" "${DOCKER_HOST:-}" unix:///var/run/docker.sock; do
    if [[ $address == unix://* ]] && engine_answers "$address"; then
      printf '%s\n' "$address"
      return 0
    fi
  done
  return 1
}

engine_answers() { [[ -S ${1#unix://} ]] && DOCKER_HOST=$1 timeout 10 docker version >/dev/null 2>&1; }

# engine_pid DIR: print the process id of DIR's dockerd, or fail. Not from its pid file: after a crash or a reboot the
# number there may be anybody's, and the file may be gone while the engine still runs.
engine_pid() {
  local pid
  for pid in $(pgrep -x dockerd 2>/dev/null || true); do
    if grep -zqxF -- "--data-root=$1/data" "/proc/$pid/cmdline" 2>/dev/null; then
      printf '%s\n' "$pid"
      return 0
    fi
  done
  return 1
}

engine_is_up() { engine_pid "$1" >/dev/null && engine_answers "unix://$(short_path "$1")/docker.sock"; }

end_engine() {
  local pid tries
  pid=$(engine_pid "$1") || return 0
  kill "$pid"
  for ((tries = 0; tries < 150; tries++)); do
    engine_pid "$1" >/dev/null || return 0
    sleep 0.2
  done
  kill -KILL "$pid" 2>/dev/null || true
}

# start_engine DIR: start it, unless it runs already and is only slow, and wait until it answers.
start_engine() {
  local dir=$1 socket tries
  socket=$(short_path "$dir")/docker.sock
  if engine_pid "$dir" >/dev/null && [[ ! -S $socket ]]; then
    end_engine "$dir" # somebody has removed its folder below it
    remove_traces "$dir"
  fi
  engine_pid "$dir" >/dev/null || launch_engine "$dir" || return 1
  for ((tries = 0; tries < 300; tries++)); do
    sleep 0.2
    ! engine_is_up "$dir" || return 0
    # Ten seconds after the start there must at least be a process.
    ((tries < 50)) || engine_pid "$dir" >/dev/null || break
  done
  say "cannot reach the engine in $dir; the end of $dir/dockerd.log:"
  tail -n 20 "$dir/dockerd.log" | sed 's/^/  | /' >&2
  return 1
}

launch_engine() {
  local dir=$1 short mark pool
  short=$(short_path "$dir")
  mark=$(engine_mark "$dir")
  clear_stale_state "$dir"
  remember_forwarding
  write_iptables_wrappers "$dir" "$mark"
  pool=$(free_subnet "$dir") || return 1
  mkdir -p "$dir/data" "$dir/exec"
  [[ ! -e $dir/dockerd.log ]] || mv -f "$dir/dockerd.log" "$dir/dockerd.log.old"
  # Without --containerd-namespace it would share the machine's containerd, where there is one, with other engines.
  PATH=$dir/bin:$PATH setsid --fork dockerd \
    --data-root="$dir/data" --exec-root="$short/exec" --pidfile="$dir/pid" --host="unix://$short/docker.sock" \
    --containerd-namespace="$mark" --containerd-plugins-namespace="$mark-plugins" \
    --bridge=none --default-address-pool="base=$pool,size=24" \
    </dev/null >>"$dir/dockerd.log" 2>&1 3>&- 8>&- 9>&-
}

engine_stop() {
  local dir address
  dir=$(realpath --canonicalize-missing "$1")
  rm -f "$dir/foreign" # that one stays as it is
  [[ -d $dir/data ]] || engine_pid "$dir" >/dev/null || return 0
  # A crashed engine may have left servers running: only an engine can find and remove them.
  engine_is_up "$dir" || start_engine "$dir" || say "removing what the dead engine in $dir left, without it"
  address=unix://$(short_path "$dir")/docker.sock
  if engine_is_up "$dir"; then
    docker --host "$address" ps --all --quiet | xargs -r docker --host "$address" rm --force --volumes >/dev/null || true
    docker --host "$address" network prune --force >/dev/null || true
  fi
  end_engine "$dir"
  remove_traces "$dir"
}

engine_down() {
  local dir
  dir=$(realpath --canonicalize-missing "$1")
  engine_stop "$dir"
  forget_short_path "$dir"
  rm -rf --one-file-system "$dir"
}
