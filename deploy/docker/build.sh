#!/usr/bin/env bash
# Puts a built Millrace into an image: see --help.
set -euo pipefail
readonly root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

usage() {
  cat <<'TXT'
usage: deploy/docker/build.sh [--binaries DIR] [--base IMAGE] [--tag IMAGE]

Puts Millrace into an image, with Arrow and the Debian packages whose libraries it is linked with on
this machine. So the base must be of this machine's Debian. Needs a Docker engine, and that
`deploy/build.sh release` has run for millrace, millrace-coordinator, millrace-gateway and millrace-worker.

  --binaries DIR   where the four programs are, build/release/bin without it
  --base IMAGE     debian:SUITE-slim without it, SUITE that of this machine
  --tag IMAGE      the name of the image, millrace:local without it
TXT
}

die() {
  printf 'build.sh: error: %s\n' "$*" >&2
  exit 1
}

# Debian's own client, where another one comes first in PATH.
docker=/usr/bin/docker
[ -x $docker ] || docker=docker

suite=$(. /etc/os-release && printf %s "${VERSION_CODENAME:-unknown}")
readonly programs=(millrace millrace-coordinator millrace-gateway millrace-worker)
binaries=$root/build/release/bin
base=debian:$suite-slim
tag=millrace:local
while [ $# -gt 0 ]; do
  case $1 in
    --binaries | --base | --tag) [ -n "${2:-}" ] || die "$1 needs a value"; declare "${1#--}=$2"; shift ;;
    -h | --help) usage && exit 0 ;;
    *) die "unknown option: see deploy/docker/build.sh --help; option=$1" ;;
  esac
  shift
done
for program in "${programs[@]}"; do
  [ -x "$binaries/$program" ] ||
    die "there is no such program: run deploy/build.sh release ${programs[*]}; file=$binaries/$program"
done

stage=$(mktemp -d "${TMPDIR:-/tmp}/millrace-image.XXXXXX")
trap 'rm -rf "$stage"' EXIT
mkdir -p "$stage"/{bin,lib,share}
cp "${programs[@]/#/$binaries/}" "$stage/bin/"
cp "$root/LICENSE" "$stage/share/"

# Each library is Arrow's, which comes along, or a Debian package's, which the image installs.
packages=()
while read -r name library; do
  [ "$library" != not ] || die "a library of the program is missing: run deploy/setup.sh; library=$name"
  case $library in
    */arrow/lib/*)
      cp -L "$library" "$stage/lib/"
      cp "${library%/lib/*}"/{LICENSE,NOTICE}.txt "$stage/share/"
      ;;
    *)
      # Older entries of the package lists say /lib where files are in /usr/lib.
      library=$(readlink -f "$library")
      owner=$(dpkg-query -S "$library" 2>/dev/null || dpkg-query -S "${library#/usr}" 2>/dev/null) ||
        die "a library of the program is of no Debian package; library=$library"
      packages+=("${owner%%:*}")
      ;;
  esac
done < <(ldd "${programs[@]/#/$binaries/}" | awk '/=>/ { print $1, $3 }' | sort -u)

mapfile -t packages < <(printf '%s\n' "${packages[@]}" | sort -u)
DOCKER_BUILDKIT=0 $docker build --file "$root/deploy/docker/Dockerfile" --build-arg "BASE=$base" \
  --build-arg "PACKAGES=${packages[*]}" --tag "$tag" "$stage"
