# shellcheck shell=bash
# Images without a registry: Redis and Valkey as Debian packages them, imported into the engine at DOCKER_HOST.
#
#   images_up LOG [redis7] [redis8] [valkey8]      cachepilot-lab/redis:7.0, redis:8.0, valkey:8.1; skips what exists
#
# They are tagged as the lab's own, because they are nobody's official images, but behave like those in what matters to
# whoever mounts a data folder: a volume at /data, no entrypoint that has to be known.
set -euo pipefail

# shellcheck source-path=SCRIPTDIR source=packages.sh
. "$(dirname "${BASH_SOURCE[0]}")/packages.sh"

# Raise this when the recipe below changes: images of another number are built again.
IMAGE_RECIPE=1
DEBIAN_KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg

images_up() {
  local log=$1 name
  shift
  for name in "$@"; do
    case $name in
      redis7) image_up "$log" cachepilot-lab/redis:7.0 bookworm redis ;;
      redis8) image_up "$log" cachepilot-lab/redis:8.0 trixie redis ;;
      valkey8) image_up "$log" cachepilot-lab/valkey:8.1 trixie valkey ;;
      *) fail "cannot build image $name: the lab knows redis7, redis8 and valkey8" ;;
    esac
  done
}

image_up() {
  local log=$1 image=$2 suite=$3 engine=$4 recipe mirror
  recipe=$(docker image inspect --format '{{index .Config.Labels "io.cachepilot.lab"}}' "$image" 2>/dev/null || true)
  [[ $recipe != "$IMAGE_RECIPE" ]] || return 0
  packages_up "$log" mmdebstrap=mmdebstrap debian-archive-keyring
  keyring_up "$log" "$suite"
  mirror=$(debian_mirror "$log") || exit 1
  progress "$log" "building image $image from Debian $suite" build_image "$image" "$suite" "$engine" "$mirror" ||
    fail "cannot build image $image: read $log; any $engine image tagged $image will do instead"
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
# of theirs; drop what a server never opens; tag the result only once it has proven to run the way tenants run.
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
  if ! runs_hardened "$id" "$engine-server" || ! runs_hardened "$id" "$engine-cli"; then
    docker image rm --force "$id"
    return 1
  fi
  docker tag "$id" "$image"
}

runs_hardened() {
  docker run --rm --network none --read-only --cap-drop ALL --security-opt no-new-privileges --user 12345:12345 \
    --entrypoint "$2" "$1" --version
}
