#!/usr/bin/env bash
# From a fresh Debian machine to two tenants that are Ready.
#
#   bash examples/quickstart.sh          packages, Docker Engine (if none), image, virtualenv, daemon, two tenants
#   bash examples/quickstart.sh down     removes all of it, except for Debian packages
#   bash examples/quickstart.sh help
#
# Everything it makes lives in .quickstart/ in this checkout; ". .quickstart/env" lets your shell join in. Running it
# again is harmless: it starts what has stopped, and leaves alone what you have changed in the meantime.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# shellcheck source-path=SCRIPTDIR source=lab/engine.sh
. examples/lab/engine.sh
# shellcheck source-path=SCRIPTDIR source=lab/images.sh
. examples/lab/images.sh
# shellcheck source-path=SCRIPTDIR source=lab/python.sh
. examples/lab/python.sh
# shellcheck source-path=SCRIPTDIR source=lab/daemon.sh
. examples/lab/daemon.sh

HOME_FOLDER=$PWD/.quickstart
export CACHEPILOT_ROOT=$HOME_FOLDER/root
SETTINGS=$CACHEPILOT_ROOT/etc/cachepilot/cachepilot.yaml
TENANTS=$CACHEPILOT_ROOT/etc/cachepilot/tenants.d
IMAGE=cachepilot-lab/redis:7.0
EXAMPLES=(examples/minimal.yaml examples/durable.yaml)

main() {
  case ${1:-up} in
    up) up ;;
    down) down ;;
    help | -h | --help) sed -n '2,/^set/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" ;;
    *) fail "cannot do \"$1\": quickstart.sh knows up, down and help" ;;
  esac
}

up() {
  local names=() file
  ((EUID == 0)) || fail "cannot run servers as users of their own as $(id -un): run this as root"
  mkdir -p "$HOME_FOLDER/log"
  engine_up "$HOME_FOLDER/engine"
  docker image inspect "$IMAGE" >/dev/null 2>&1 || touch "$HOME_FOLDER/image-is-ours"
  images_up "$HOME_FOLDER/log/image.log" redis7
  python_up "$HOME_FOLDER/venv"
  PATH=$HOME_FOLDER/venv/bin:$PATH
  write_settings
  write_env
  daemon_up "$HOME_FOLDER" cachepilot "$SETTINGS"
  for file in "${EXAMPLES[@]}"; do
    names+=("$(tenant_name "$file")")
    # Applied once: whoever has tried out changes since then wants to keep them.
    tenant_is_there "${names[-1]}" || cachepilotctl apply -f "$file"
  done
  if ! cachepilotctl wait --for=condition=Ready "${names[@]}" --timeout 120s; then
    show_daemon_log "$HOME_FOLDER"
    fail "cannot see ${names[*]} become Ready: see \"cachepilotctl describe tenant ${names[0]}\" and $HOME_FOLDER/log/daemon.log"
  fi
  printf '\n'
  cachepilotctl get tenants
  print_next_steps "${names[0]}"
}

# The name of the first tenant in a file: the examples have "name:" nowhere before it.
tenant_name() { sed -nE 's/^[^#]*\bname: *"?([a-z0-9-]+).*/\1/p' "$1" | head -n 1; }

tenant_is_there() { grep -qsE "\\bname: *\"?$1\"?( |,|}|\$)" "$TENANTS"/*.yaml; }

write_settings() {
  local network
  mkdir -p "$TENANTS"
  # Settings that talk to this engine already may have been edited since.
  ! grep -qsF "socket: $DOCKER_HOST" "$SETTINGS" || return 0
  network=$(free_subnet "$CACHEPILOT_ROOT")
  cat >"$SETTINGS" <<YAML
apiVersion: cachepilot/v1
kind: Settings
docker:
  socket: $DOCKER_HOST
listen:
  port: $(free_port 9621)
defaults:
  engine:
    image: $IMAGE
network:
  subnets:
    - ${network/.0.0\/16/.0.0/22}
    - ${network/.0.0\/16/.4.0/22}
YAML
}

# free_port FIRST: print the first port from FIRST on that nobody listens on.
free_port() {
  local port=$1
  while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do port=$((port + 1)); done
  printf '%s\n' "$port"
}

write_env() {
  # shellcheck disable=SC2016  # expanded by the shell that reads the file
  printf 'export PATH=%q:"$PATH"\nexport DOCKER_HOST=%q\nexport CACHEPILOT_ROOT=%q\n' \
    "$HOME_FOLDER/venv/bin" "$DOCKER_HOST" "$CACHEPILOT_ROOT" >"$HOME_FOLDER/env"
}

print_next_steps() {
  local client="redis-cli"
  command -v redis-cli >/dev/null ||
    client="docker run --rm -it --network host -e REDISCLI_AUTH -v \"\$CA:\$CA:ro\" $IMAGE redis-cli"
  cat <<TEXT

next:
  . .quickstart/env
  cachepilotctl describe tenant $1
  export REDISCLI_AUTH=\$(cachepilotctl credentials $1 --reveal -o json | python -c 'import json, sys; print(json.load(sys.stdin)["password"])')
  CA=\$CACHEPILOT_ROOT/var/lib/cachepilot/public/ca.pem
  $client --tls --cacert "\$CA" -h 127.0.0.1 -p $(tls_port "$1") ping
  docker rm -f cachepilot-$1 && sleep 2 && cachepilotctl get tenants
  bash examples/quickstart.sh down
TEXT
}

tls_port() {
  cachepilotctl credentials "$1" --reveal -o json | python -c 'import json, sys; print(json.load(sys.stdin)["tlsPort"])'
}

down() {
  daemon_down
  if [[ -e $HOME_FOLDER/engine/foreign ]]; then
    leave_foreign_engine "$(cat "$HOME_FOLDER/engine/foreign")"
  fi
  engine_down "$HOME_FOLDER/engine"
  rm -rf --one-file-system "$HOME_FOLDER"
}

# An engine that was here before stays, with everything on it that is not this root's.
leave_foreign_engine() {
  local mine=label=io.cachepilot.root=$CACHEPILOT_ROOT
  export DOCKER_HOST=$1
  engine_answers "$1" || fail "cannot reach the engine at $1 to remove the tenants from it: start it and run this again"
  docker ps --all --quiet --filter "$mine" | xargs -r docker rm --force --volumes >/dev/null
  docker network ls --quiet --filter "$mine" | xargs -r docker network rm >/dev/null
  # Somebody else's containers may use the image by now.
  [[ ! -e $HOME_FOLDER/image-is-ours ]] || docker image rm "$IMAGE" >/dev/null 2>&1 || true
}

main "$@"
