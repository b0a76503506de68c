# shellcheck shell=bash
# Images of Redis and Valkey in the engine at DOCKER_HOST: from the registry where one can be reached, else as Debian
# packages them.
#
#   images_up LOG [redis7] [redis8] [valkey8]      cachepilot-lab/redis:7.0, redis:8.0, valkey:8.1; skips what exists
#
# They are tagged as the lab's own, so that nobody takes what was built here for an official image, but behave like those
# in what matters to whoever mounts a data folder: a volume at /data, no entrypoint that has to be known.
set -euo pipefail

# shellcheck source-path=SCRIPTDIR source=packages.sh
. "$(dirname "${BASH_SOURCE[0]}")/packages.sh"

# Raise this when the recipe below changes: images of another number are made again.
IMAGE_RECIPE=1
DEBIAN_KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg
# Whether the registry answers, once somebody has asked.
REGISTRY_ANSWERS=

images_up() {
  local log=$1 name
  shift
  for name in "$@"; do
    case $name in
      redis7) image_up "$log" cachepilot-lab/redis:7.0 redis:7.0 bookworm redis ;;
      redis8) image_up "$log" cachepilot-lab/redis:8.0 redis:8.0 trixie redis ;;
      valkey8) image_up "$log" cachepilot-lab/valkey:8.1 valkey/valkey:8.1 trixie valkey ;;
      *) fail "cannot make image $name: the lab knows redis7, redis8 and valkey8" ;;
    esac
  done
}

# image_up LOG IMAGE OFFICIAL SUITE ENGINE
image_up() {
  local log=$1 image=$2 official=$3 suite=$4 engine=$5 recipe mirror
  recipe=$(docker image inspect --format '{{index .Config.Labels "io.cachepilot.lab"}}' "$image" 2>/dev/null || true)
  [[ $recipe != "$IMAGE_RECIPE" ]] || return 0
  if registry_answers "$log" "$official"; then
    if progress "$log" "pulling image $official" pull_image "$image" "$official" "$engine"; then return 0; fi
    say "building image $image instead"
  fi
  packages_up "$log" mmdebstrap=mmdebstrap debian-archive-keyring
  keyring_up "$log" "$suite"
  mirror=$(debian_mirror "$log") || exit 1
  progress "$log" "building image $image from Debian $suite" build_image "$image" "$suite" "$engine" "$mirror" ||
    fail "cannot build image $image: read $log; any $engine image tagged $image will do instead"
}

# registry_answers LOG OFFICIAL: a question of a few bytes, asked once and not for long. Where packets vanish without a
# word, a pull would wait for minutes before anything could be built.
registry_answers() {
  if [[ -z $REGISTRY_ANSWERS ]]; then
    REGISTRY_ANSWERS=no
    if into "$1" timeout --kill-after=1 5 docker manifest inspect "$2"; then REGISTRY_ANSWERS=yes; fi
  fi
  [[ $REGISTRY_ANSWERS == yes ]]
}

# pull_image IMAGE OFFICIAL ENGINE: get the official image, and tag a child of it that says what it is.
pull_image() {
  local image=$1 official=$2 engine=$3 container id was_there=
  ! docker image inspect "$official" || was_there=yes
  timeout --kill-after=5 300 docker pull "$official" &&
    container=$(docker create "$official") || return 1
  id=$(docker commit --change "LABEL io.cachepilot.engine=$engine io.cachepilot.lab=$IMAGE_RECIPE" "$container") || id=
  docker rm "$container"
  # Only its name goes, and only if nobody had it before: whoever removes ours later removes all of it.
  [[ -n $was_there ]] || docker image rm "$official" || true
  [[ -n $id ]] && tag_proven "$id" "$image" "$engine"
}

# keyring_up LOG SUITE: a machine older than SUITE learns its key from an update of Debian's keyring package, which is
# itself signed with a key that the machine trusts already. Nothing is ever fetched without a signature check.
keyring_up() {
  compgen -G "/usr/share/keyrings/debian-archive-$2-*" >/dev/null && return 0
  progress "$1" "refreshing the package lists" apt_get update || true
  progress "$1" "updating Debian's archive keys for $2" apt_get install --yes debian-archive-keyring || true
  compgen -G "/usr/share/keyrings/debian-archive-$2-*" >/dev/null ||
    fail "cannot verify packages of Debian $2: its archive key is not in debian-archive-keyring; update that package"
}

# debian_mirror LOG: print the address of the archive that this machine installs its own Debian packages from.
debian_mirror() {
  local mirror
  mirror=$(find_mirror)
  if [[ -z $mirror ]]; then
    # Small container images come without package lists.
    progress "$1" "refreshing the package lists" apt_get update || true
    mirror=$(find_mirror)
  fi
  [[ -n $mirror ]] ||
    fail "cannot build images: no Debian archive among this machine's apt sources; see: apt-get indextargets"
  printf '%s\n' "$mirror"
}

find_mirror() {
  # Security and updates archives have labels or code names of their own and do not carry other releases.
  apt-get indextargets --format "\$(REPO_URI) \$(CODENAME)" \
    'Created-By: Packages' 'Origin: Debian' 'Label: Debian' 'Component: main' |
    awk '$2 !~ /-/ && $1 !~ /^(cdrom|file):/ { print $1; exit }'
}

# build_image IMAGE SUITE ENGINE MIRROR: unpack the engine's packages and what they depend on, without running anything
# of theirs; drop what a server never opens.
build_image() {
  local image=$1 suite=$2 engine=$3 mirror=$4 folder id
  folder=$(mktemp -d) || return 1
  # shellcheck disable=SC2064  # the folder's name is meant as it is now
  trap "rm -rf '$folder'" EXIT
  # Open to apt, which downloads as a user of its own. base-files brings the links that lead to the loader.
  chmod 0755 "$folder" &&
    mmdebstrap --variant=extract --include="base-files,$engine-server,$engine-tools" \
      "$suite" "$folder/root" "deb [signed-by=$DEBIAN_KEYRING] $mirror $suite main" &&
    rm -rf "$folder"/root/usr/share/* "$folder"/root/usr/bin/perl* "$folder"/root/usr/lib/*/{*perl*,gconv} \
      "$folder"/root/var/{lib/dpkg,log} &&
    tar --create --directory "$folder/root" --numeric-owner --file "$folder/root.tar" . &&
    id=$(docker import \
      --change "LABEL io.cachepilot.engine=$engine io.cachepilot.lab=$IMAGE_RECIPE" \
      --change 'VOLUME /data' --change 'WORKDIR /data' --change 'EXPOSE 6379' --change "CMD [\"$engine-server\"]" \
      "$folder/root.tar") ||
    return 1
  tag_proven "$id" "$image" "$engine"
}

# tag_proven ID IMAGE ENGINE: tag what runs as tenants are run, and remove what does not.
tag_proven() {
  if ! runs_hardened "$1" "$3-server" || ! runs_hardened "$1" "$3-cli"; then
    docker image rm --force "$1"
    return 1
  fi
  docker tag "$1" "$2"
}

runs_hardened() {
  docker run --rm --network none --read-only --cap-drop ALL --security-opt no-new-privileges --user 12345:12345 \
    --entrypoint "$2" "$1" --version
}
