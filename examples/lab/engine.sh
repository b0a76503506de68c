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
  if found=$(foreign_engine "$dir"); then
    printf '%s\n' "$found" >"$dir/foreign"
    export DOCKER_HOST=$found
    return 0
  fi
  rm -f "$dir/foreign"
  packages_up "$dir/log/packages.log" dockerd=docker.io iptables=iptables ip=iproute2
  command -v docker >/dev/null || packages_up "$dir/log/packages.log" docker=docker-cli
  # Where systemd runs, installing the package has started an engine: that one will do.
  if found=$(foreign_engine "$dir"); then
    engine_up "$dir"
    return
  fi
  (
    # Two callers at once: the second waits for the first and then finds an engine.
    flock 8
    engine_pid "$dir" >/dev/null || start_engine "$dir"
  ) 8>"$dir/lock" || fail "cannot start a Docker engine in $dir: read $dir/dockerd.log"
  DOCKER_HOST=unix://$(short_path "$dir")/docker.sock
  export DOCKER_HOST
}

# foreign_engine DIR: print the address of an engine that answers and is not ours. One that has begun in DIR stays ours.
foreign_engine() {
  local address
  [[ ! -d $1/data ]] || return 1
  command -v docker >/dev/null || return 1
  for address in "${DOCKER_HOST:-}" unix:///var/run/docker.sock; do
    # Bind mounts need an engine on this machine, so only sockets count.
    if [[ $address == unix://* ]] && engine_answers "$address"; then
      printf '%s\n' "$address"
      return 0
    fi
  done
  return 1
}

engine_answers() { [[ -S ${1#unix://} ]] && DOCKER_HOST=$1 timeout 10 docker version >/dev/null 2>&1; }

# engine_pid DIR: print the process id of DIR's dockerd, or fail. After a crash or a reboot the number in the file may
# belong to anybody, so the command line has to name DIR.
engine_pid() {
  local pid
  pid=$(cat "$1/pid" 2>/dev/null) && [[ -n $pid ]] || return 1
  tr '\0' '\n' <"/proc/$pid/cmdline" 2>/dev/null | grep -qxF -- "--data-root=$1/data" && printf '%s\n' "$pid"
}

start_engine() {
  local dir=$1 short pid mark pool tries
  short=$(short_path "$dir")
  mark=$(engine_mark "$dir")
  clear_stale_state "$dir"
  remember_forwarding
  write_iptables_wrappers "$dir" "$mark"
  pool=$(free_subnet "$dir") || return 1
  mkdir -p "$dir/data" "$dir/exec"
  # Without --containerd-namespace it would share the machine's containerd, where there is one, with other engines.
  PATH=$dir/bin:$PATH setsid --fork dockerd \
    --data-root="$dir/data" --exec-root="$short/exec" --pidfile="$dir/pid" --host="unix://$short/docker.sock" \
    --containerd-namespace="$mark" --containerd-plugins-namespace="$mark-plugins" \
    --bridge=none --default-address-pool="base=$pool,size=24" \
    </dev/null >>"$dir/dockerd.log" 2>&1 3>&- 8>&- 9>&-
  for ((tries = 0; tries < 300; tries++)); do
    if engine_answers "unix://$short/docker.sock" && engine_pid "$dir" >/dev/null; then
      return 0
    fi
    sleep 0.2
    # Ten seconds after the start there must at least be a process.
    if ((tries > 50)) && ! engine_pid "$dir" >/dev/null; then
      break
    fi
  done
  say "cannot reach the engine that was started in $dir; the end of $dir/dockerd.log:"
  tail -n 20 "$dir/dockerd.log" | sed 's/^/  | /' >&2
  pid=$(engine_pid "$dir") && kill "$pid"
  return 1
}

engine_stop() {
  local dir pid address tries
  [[ -d $1 ]] || return 0
  dir=$(realpath "$1")
  [[ ! -e $dir/foreign && -d $dir/data ]] || return 0
  # A crashed engine may have left servers running: only an engine can find and remove them.
  engine_pid "$dir" >/dev/null || start_engine "$dir" || say "removing what the dead engine in $dir left, without it"
  address=unix://$(short_path "$dir")/docker.sock
  if pid=$(engine_pid "$dir"); then
    DOCKER_HOST=$address docker ps --all --quiet | DOCKER_HOST=$address xargs -r docker rm --force --volumes >/dev/null
    DOCKER_HOST=$address docker network prune --force >/dev/null
    kill "$pid"
    for ((tries = 0; tries < 150; tries++)); do
      engine_pid "$dir" >/dev/null || break
      sleep 0.2
    done
    ! engine_pid "$dir" >/dev/null || kill -KILL "$pid"
  fi
  remove_traces "$dir"
}

engine_down() {
  local dir
  [[ -d $1 ]] || return 0
  dir=$(realpath "$1")
  engine_stop "$dir"
  forget_short_path "$dir"
  rm -rf --one-file-system "$dir"
}
