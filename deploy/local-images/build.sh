#!/usr/bin/env bash
# Builds every image of docker-compose.yml but Grafana's without a registry of images: see --help.
set -euo pipefail
readonly here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly root=${here%/*/*}
readonly deps=$root/.deps

usage() {
  cat <<'TXT'
usage: deploy/local-images/build.sh [--binaries DIR] [--env FILE]

Builds the images of docker-compose.yml from Debian's packages and from what deploy/setup.sh has
fetched: a base by debootstrap, Kafka, an S3 store, PostgreSQL, Prometheus and Millrace. Debian has
no Grafana, so name the services to start:

    docker-compose --env-file build/local-images.env up -d coordinator-1 coordinator-2 gateway-1 \
      gateway-2 worker prometheus

Needs root, debootstrap, a Docker engine, `deploy/setup.sh --servers --versitygw` and
`deploy/build.sh release` for the four programs. A base that is there is used again.

  --binaries DIR  where the four programs are, build/release/bin without it
  --env FILE      where the images' names are written, build/local-images.env without it
TXT
}

say() { printf 'local-images: %s\n' "$*"; }
die() {
  printf 'local-images: error: %s\n' "$*" >&2
  exit 1
}

# Debian's own client, where another one comes first in PATH.
docker=/usr/bin/docker
[ -x $docker ] || docker=docker

binaries=$root/build/release/bin
env=$root/build/local-images.env
while [ $# -gt 0 ]; do
  case $1 in
    --binaries | --env) [ -n "${2:-}" ] || die "$1 needs a path"; declare "${1#--}=$2"; shift ;;
    -h | --help) usage && exit 0 ;;
    *) die "unknown option: see deploy/local-images/build.sh --help; option=$1" ;;
  esac
  shift
done
[ "$(id -u)" = 0 ] || die "only root can make a system with debootstrap"
command -v debootstrap >/dev/null || die "debootstrap is not installed"
$docker info >/dev/null 2>&1 || die "there is no Docker engine: start one, or name it in DOCKER_HOST"
[ -e "$deps/kafka/stamp" ] || die "there is no Kafka: run deploy/setup.sh --servers"
[ -e "$deps/versitygw/stamp" ] || die "there is no S3 store: run deploy/setup.sh --versitygw"

readonly scratch=$(mktemp -d "${TMPDIR:-/tmp}/millrace-images.XXXXXX")
trap 'rm -rf --one-file-system "$scratch"' EXIT

# Millrace is linked with the libraries of this machine's Debian.
readonly suite=$(. /etc/os-release && printf %s "${VERSION_CODENAME:?this is no Debian}")
readonly base=millrace-local/debian:$suite

make_base() {
  say "making $base with debootstrap (about a minute)"
  debootstrap --variant=minbase --include=ca-certificates "$suite" "$scratch/system" >"$scratch/log" ||
    { tail -n 20 "$scratch/log" >&2 && die "debootstrap failed"; }
  rm -rf "$scratch"/system/var/{cache/apt/archives/*.deb,lib/apt/lists/*}
  tar -C "$scratch/system" -c . | $docker import - "$base" >/dev/null
  rm -rf --one-file-system "$scratch/system"
}

# build NAME: from a folder of that name in $scratch, which has what the Dockerfile copies.
build() {
  say "building millrace-local/$1"
  cp -R "$here/$1/." "$scratch/$1/"
  DOCKER_BUILDKIT=0 $docker build --quiet --build-arg "BASE=$base" --tag "millrace-local/$1" "$scratch/$1" >/dev/null
}

$docker image inspect "$base" >/dev/null 2>&1 || make_base
mkdir -p "$scratch"/{kafka/jars,objectstore,postgres,prometheus}
cp "$deps"/kafka/*.jar "$scratch/kafka/jars/"
build kafka
cp "$deps/versitygw/versitygw" "$scratch/objectstore/"
build objectstore
build postgres
build prometheus
say "building millrace-local/millrace"
"$root/deploy/docker/build.sh" --binaries "$binaries" --base "$base" --tag millrace-local/millrace >"$scratch/log" ||
  { tail -n 20 "$scratch/log" >&2 && die "Millrace's image could not be built"; }

mkdir -p "$(dirname "$env")"
cat >"$env" <<TXT
KAFKA_IMAGE=millrace-local/kafka
OBJECTSTORE_IMAGE=millrace-local/objectstore
POSTGRES_IMAGE=millrace-local/postgres
PROMETHEUS_IMAGE=millrace-local/prometheus
# Not built here.
GRAFANA_IMAGE=millrace-local/grafana
MILLRACE_IMAGE=millrace-local/millrace
TXT
grep '_PORT=' "$root/.env" >>"$env"
say "ready: docker-compose --env-file $env up -d coordinator-1 coordinator-2 gateway-1 gateway-2 worker prometheus"
