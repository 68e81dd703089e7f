#!/usr/bin/env bash
# Makes a bare Debian system and runs the README's two commands in it: see --help.
set -euo pipefail
readonly root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
readonly skipped=77

usage() {
  cat <<'TXT'
usage: tests/e2e/bare_debian.sh bookworm|trixie

Makes a bare Debian 12 (bookworm) or 13 (trixie) with debootstrap, clones the last commit into it and
runs `deploy/quickstart.sh --exit` and `tests/run.sh` there, as a newcomer would. Needs root,
debootstrap, Debian's package servers and 12 GB of disk; takes an hour on two cores. Exits with 77,
which ctest shows as skipped, where root or debootstrap is missing. With MILLRACE_KEEP set the system
stays and its folder is printed. With CCACHE_DIR set the system shares that compiler cache, so that
only what differs from an earlier run is compiled.
TXT
}

say() { printf 'bare_debian: %s\n' "$*"; }
skip() {
  say "SKIPPED: $*"
  exit $skipped
}

case ${1:-} in
  bookworm | trixie) readonly suite=$1 ;;
  -h | --help) usage && exit 0 ;;
  *) usage >&2 && exit 2 ;;
esac
[ "$(id -u)" = 0 ] || skip "only root can make and enter a system"
command -v debootstrap >/dev/null || skip "debootstrap is not installed"

# A mount namespace of its own: what is mounted below ends with this script, however it ends.
if [ -z "${MILLRACE_UNSHARED:-}" ]; then
  MILLRACE_UNSHARED=1 exec unshare --mount --pid --fork --kill-child "${BASH_SOURCE[0]}" "$suite"
fi

readonly system=$(mktemp -d "${TMPDIR:-/tmp}/millrace-$suite.XXXXXX")
finish() {
  local mount
  for mount in proc sys dev root/.cache/ccache; do umount --recursive --lazy "$system/$mount" 2>/dev/null || true; done
  if [ -n "${MILLRACE_KEEP:-}" ]; then say "kept: $system"; else rm -rf --one-file-system "$system"; fi
}
trap finish EXIT

inside() {
  chroot "$system" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 \
    DEBIAN_FRONTEND=noninteractive "$@" </dev/null
}

say "making $suite in $system"
debootstrap --variant=minbase --include=git,ca-certificates "$suite" "$system" >"$system.log" 2>&1 ||
  { tail -n 20 "$system.log" >&2 && exit 1; }
rm -f "$system.log"
mount -t proc proc "$system/proc"
mount --rbind /sys "$system/sys"
mount --rbind /dev "$system/dev"
# An installed Debian has these two; debootstrap makes the first only where the host has one.
[ -e "$system/etc/resolv.conf" ] || cp /etc/resolv.conf "$system/etc/resolv.conf"
[ -e "$system/etc/hosts" ] || echo '127.0.0.1 localhost' >"$system/etc/hosts"
# A machine behind a proxy that opens TLS has the proxy's certificate here.
if compgen -G '/usr/local/share/ca-certificates/*.crt' >/dev/null; then
  cp /usr/local/share/ca-certificates/*.crt "$system/usr/local/share/ca-certificates/"
  inside update-ca-certificates >/dev/null 2>&1
fi
if [ -n "${CCACHE_DIR:-}" ]; then
  mkdir -p "$CCACHE_DIR" "$system/root/.cache/ccache"
  mount --bind "$CCACHE_DIR" "$system/root/.cache/ccache"
fi

git clone --quiet "file://$root" "$system/root/millrace"
say "deploy/quickstart.sh --exit"
inside bash -c 'cd /root/millrace && ./deploy/quickstart.sh --exit'
say "tests/run.sh"
inside bash -c 'cd /root/millrace && ./tests/run.sh'
say "both commands work on a bare $suite"
