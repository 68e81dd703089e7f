#!/usr/bin/env bash
# Installs everything Millrace needs to be built, tested and run: see --help.
set -euo pipefail

readonly here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly root=${here%/*} pins=$here/setup
readonly deps=$root/.deps python=/usr/bin/python3

usage() {
  cat <<'TXT'
usage: deploy/setup.sh [--lint] [--servers] [--versitygw] [--packages-only]

Installs the Debian packages of deploy/setup/packages.txt (as root, or through sudo) and unpacks the
pinned archives of deploy/setup/pinned.txt into .deps: arrow (C++), python (what the tests read
files with) and googleapis (protos). Does nothing where everything is there. Debian 12 or 13 on amd64.

  --lint           also clang-format-19 and clang-tidy-19
  --servers        also what tests start servers from: PostgreSQL, PgBouncer, Prometheus, Java, Maven, a
                   Kafka broker in .deps/kafka and an S3 server in .deps/s3proxy
  --versitygw      also a second S3 server in .deps/versitygw, which takes minutes to build and needs Go
                   1.25 or newer; without it its tests are skipped, also where others must run
  --packages-only  only the Debian packages: the part that needs root
TXT
}

say() { printf 'setup: %s\n' "$*"; }
die() {
  printf 'setup: error: %s\n' "$*" >&2
  exit 1
}

# How apt and pip speak of a network that is not there.
readonly no_network='Temporary failure|Could not resolve|Could not connect|Unable to connect|'\
'Network is unreachable|Failed to establish|NewConnectionError|timed out|ProxyError|'\
'Connection (refused|reset|broken)'

# The log of everything that runs quietly. It outlives this script only where something failed.
log=
fail() {
  local kept=$log
  log=
  die "$*; log=$kept"
}
cleanup() {
  [ -z "$log" ] || rm -f "$log"
  [ -z "${scratch:-}" ] || rm -rf "$scratch"
}
trap cleanup EXIT
open_log() { [ -n "$log" ] || log=$(mktemp "${TMPDIR:-/tmp}/millrace-setup.XXXXXX.log"); }

check_machine() {
  local name=unknown version=
  if [ -r /etc/os-release ]; then
    name=$(. /etc/os-release && printf %s "${ID:-unknown}")
    version=$(. /etc/os-release && printf %s "${VERSION_ID:-}")
  fi
  case "$name $version" in
    "debian 12" | "debian 13") ;;
    *) die "only Debian 12 and 13 are supported: use one or its container; found=$name $version" ;;
  esac
  local arch
  arch=$(dpkg --print-architecture)
  [ "$arch" = amd64 ] || die "the pinned Arrow is for amd64: use such a machine; found=$arch"
}

# Prints those of the given packages that are not installed.
missing_of() {
  local installed
  installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "$@" 2>/dev/null || true)
  printf '%s\n' "$@" | grep -vxF -f <(sed -n 's/^installed //p' <<<"$installed") || true
}

# Sets `as_root` to the words that run a command as root.
become_root() {
  as_root=()
  [ "$(id -u)" != 0 ] || return 0
  local problem="$1 Debian packages are missing and only root may install them"
  local remedy="deploy/setup.sh$lint$servers --packages-only"
  command -v sudo >/dev/null || die "$problem: run as root: $remedy"
  if sudo -n true 2>/dev/null; then
    as_root=(sudo -n)
  elif [ -t 0 ]; then
    as_root=(sudo)
  else
    die "$problem: run: sudo $remedy"
  fi
}

apt() {
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y \
    -o DPkg::Lock::Timeout=300 -o Acquire::Retries=2 "$@" >>"$log" 2>&1 </dev/null
}

# Another apt may hold the package lists, where no option makes apt-get wait: a minute at most.
apt_update() {
  local try
  for try in $(seq 20); do
    apt update && return 0
    tail -n 3 "$log" | grep -q 'Could not get lock' || return 1
    sleep 3
  done
  return 1
}

install_packages() {
  local wanted missing
  mapfile -t wanted < <(sed '/^#/d' "${lists[@]}")
  mapfile -t missing < <(missing_of "${wanted[@]}")
  [ ${#missing[@]} -gt 0 ] || return 0
  changed=1
  become_root ${#missing[@]}
  open_log
  say "installing ${#missing[@]} Debian packages (about a minute)"
  # A failed update is no error yet: one broken extra source must not stop what the others have.
  apt_update || true
  apt install --no-install-recommends "${missing[@]}" || explain_apt
}

explain_apt() {
  local gone
  gone=$(sed -nE "s/^E: (Unable to locate package |Package '?)([^' ]+).*/\2/p" "$log" |
    sort -u | paste -sd' ')
  if grep -qE "$no_network" "$log"; then
    fail "cannot reach the Debian package servers: check the network, DNS or apt's proxy settings"
  elif [ -n "$gone" ]; then
    fail "apt does not offer: $gone: add Debian's main archive to /etc/apt/sources.list"
  elif grep -q 'dpkg was interrupted' "$log"; then
    fail "an earlier installation was interrupted: run: dpkg --configure -a"
  elif grep -q 'Could not get lock' "$log"; then
    fail "another program is installing packages: wait for it and run this again"
  elif grep -qE 'No space left|enough free space' "$log"; then
    fail "the disk is full: Debian packages need about 1.5 GB"
  fi
  fail "apt-get could not install: $(sed -n 's/^E: //p' "$log" | tail -n 1)"
}

# What .deps must come from: the pins, the way they are unpacked and the Python that loads them.
stamp_of() {
  { cat "$pins/pinned.txt" "$pins/unpack.py" && readlink -f $python; } | sha256sum | cut -d' ' -f1
}

fetch_archives() {
  local stamp
  stamp=$(stamp_of)
  have_archives "$stamp" && return 0
  changed=1
  mkdir -p "$deps" 2>/dev/null && [ -w "$deps" ] ||
    die "cannot write the folder of fetched archives: give it to user $(id -un); folder=$deps"
  exec 9>"$deps/.lock"
  flock -w 600 9 || die "another setup has run here for ten minutes: end it; lock=$deps/.lock"
  have_archives "$stamp" && return 0
  open_log
  rm -rf "$deps"/new.*  # left by a setup that was killed
  scratch=$(mktemp -d "$deps/new.XXXXXX")
  say "fetching Apache Arrow, googleapis and what the tests read files with (about 140 MB)"
  # Settings that would send the files elsewhere must not reach pip; mirrors and proxies may.
  env -u PIP_TARGET -u PIP_USER -u PIP_PREFIX -u PIP_REQUIRE_VIRTUALENV \
    $python -I -m pip --disable-pip-version-check --no-input download --quiet --retries 2 \
    --no-deps --require-hashes --only-binary=:all: -d "$scratch/downloads" -r "$pins/pinned.txt" \
    >>"$log" 2>&1 || explain_pip
  $python -I "$pins/unpack.py" "$scratch/downloads" "$scratch" >>"$log" 2>&1 ||
    fail "cannot unpack the archives: is the disk full? folder=$deps"
  PYTHONPATH=$scratch/python $python -B -c 'import duckdb, polars, pyarrow.parquet' >>"$log" 2>&1 ||
    fail "the unpacked Python packages do not load"
  rm -rf "$deps/stamp" "$deps/arrow" "$deps/python" "$deps/googleapis"
  mv "$scratch/arrow" "$scratch/python" "$scratch/googleapis" "$deps"
  echo "$stamp" >"$deps/stamp"
}

have_archives() {
  [ "$(cat "$deps/stamp" 2>/dev/null)" = "$1" ] && [ -e "$deps/arrow/include/arrow/api.h" ] &&
    compgen -G "$deps/arrow/lib/libparquet.so.*" >/dev/null &&
    [ -e "$deps/python/pyarrow/parquet" ] && [ -e "$deps/python/duckdb" ] &&
    [ -e "$deps/python/polars" ] &&
    [ -e "$deps/googleapis/google/rpc/error_details.proto" ]
}

# What is called $1 is in .deps as deploy/setup pins it: $1.xml, and one checksum for all files in
# $1.sha256, since Maven pins versions, not contents.
have_jars() {
  [ "$(cat "$deps/$1/stamp" 2>/dev/null)" = "$(cat "$pins/$1".*)" ]
}

# Fetches it: NAME WHAT SIZE.
fetch_jars() {
  local name=$1 what=$2 sum fetched
  have_jars "$name" && return 0
  changed=1
  lock_deps "$name"
  have_jars "$name" && return 0
  open_log
  rm -rf "$deps/$name.new"
  say "fetching $what for the tests (about $3)"
  mvn -q -B -f "$pins/$name.xml" dependency:copy-dependencies -DincludeScope=runtime \
    "-DoutputDirectory=$deps/$name.new" >>"$log" 2>&1 </dev/null ||
    fail "Maven could not fetch $what: check the network, or the mirror and proxy in its" \
      "settings.xml: $(grep -m 1 ERROR "$log")"
  sum=$(cat "$pins/$name.sha256")
  fetched=$(cd "$deps/$name.new" && LC_ALL=C && sha256sum -- *.jar | sha256sum | cut -d' ' -f1)
  [ "$fetched" = "$sum" ] ||
    fail "the files of $what do not have the pinned checksum: they were changed on the way," \
      "or your mirror serves others; wanted=$sum found=$fetched"
  cat "$pins/$name".* >"$deps/$name.new/stamp"
  rm -rf "${deps:?}/$name"
  mv "$deps/$name.new" "$deps/$name"
}

# Waits until no other setup fetches $1.
lock_deps() {
  mkdir -p "$deps" 2>/dev/null && [ -w "$deps" ] ||
    die "cannot write the folder of fetched archives: give it to user $(id -un); folder=$deps"
  exec 8>"$deps/.$1-lock"
  flock -w 600 8 || die "another setup has run here for ten minutes: end it; lock=$deps/.$1-lock"
}

# The module's version stands in versitygw.txt; Go checks what it fetches against its checksum database.
build_versitygw() {
  local module
  module=$(cat "$pins/versitygw.txt")
  [ "$(cat "$deps/versitygw/stamp" 2>/dev/null)" != "$module" ] || return 0
  changed=1
  command -v go >/dev/null ||
    die "building versitygw needs Go 1.25 or newer: install it, or leave --versitygw out"
  lock_deps versitygw
  open_log
  say "building versitygw, a second S3 server for the tests (some minutes)"
  GOBIN=$deps/versitygw go install "$module" >>"$log" 2>&1 </dev/null ||
    fail "Go could not build versitygw: $(tail -n 1 "$log")"
  printf '%s\n' "$module" >"$deps/versitygw/stamp"
}

explain_pip() {
  if grep -q 'CERTIFICATE_VERIFY_FAILED' "$log"; then
    fail "the package index's certificate is not trusted: put your proxy's CA into" \
      "/usr/local/share/ca-certificates and run update-ca-certificates"
  elif grep -qE "$no_network" "$log"; then
    fail "cannot reach the Python package index: check the network, DNS or pip's proxy settings"
  elif grep -q 'DO NOT MATCH THE HASHES' "$log"; then
    fail "an archive does not have the pinned checksum: it was changed on the way," \
      "or your index serves another file"
  elif grep -q 'No space left' "$log"; then
    fail "the disk is full: the archives need 700 MB; folder=$deps"
  fi
  fail "pip could not fetch the archives: $(grep '^ERROR' "$log" | tail -n 1)"
}

lint='' servers='' versitygw='' packages_only='' changed=''
lists=("$pins/packages.txt")
for arg in "$@"; do
  case $arg in
    --lint) lint=' --lint' lists+=("$pins/packages-lint.txt") ;;
    --servers) servers=' --servers' lists+=("$pins/packages-servers.txt") ;;
    --versitygw) versitygw=1 ;;
    --packages-only) packages_only=1 ;;
    -h | --help) usage && exit 0 ;;
    *)
      printf 'setup: error: unknown option: see deploy/setup.sh --help; option=%s\n' "$arg" >&2
      exit 2
      ;;
  esac
done

check_machine
install_packages
[ -n "$packages_only" ] || fetch_archives
if [ -z "$packages_only" ] && [ -n "$servers" ]; then
  fetch_jars kafka "a Kafka broker" "55 MB"
  fetch_jars s3proxy "an S3 server" "57 MB"
fi
[ -n "$packages_only" ] || [ -z "$versitygw" ] || build_versitygw
if [ -n "$changed" ]; then say "ready (${SECONDS} s)"; else say "everything is there"; fi
