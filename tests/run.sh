#!/usr/bin/env bash
# Sets up, builds and runs the ordinary test suite: see --help.
set -euo pipefail
readonly root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

usage() {
  cat <<'TXT'
usage: tests/run.sh [--asan | --tsan | --preset NAME] [--label LABEL] [-- CTEST-OPTION...]
       tests/run.sh [--asan | --tsan | --preset NAME] --sim [--seeds N] [--first-seed N]

Installs what is missing, builds preset dev (or the named one) and runs the ordinary suite: all
tests but those labelled long. Ends with ctest's summary and exits with its status. Tests that need
a server which cannot be had are skipped, or fail with MILLRACE_REQUIRE_SERVERS=1 in the environment.

  --asan, --tsan   build with the address and undefined, or the thread sanitizer
  --preset NAME    dev, asan, tsan or release
  --label LABEL    only the tests whose label matches the regular expression LABEL
  --sim            only the simulation of clusters, and prints what happened in it
  --seeds N        so many histories instead of 500; a seed is one history, the same each time
  --first-seed N   the first of them, 1 without it
TXT
}

die() {
  printf 'run.sh: error: %s\n' "$*" >&2
  exit 2
}

preset=dev
sim=
seeds=500
first_seed=1
select=(--label-exclude '^long$')
while [ $# -gt 0 ]; do
  case $1 in
    --asan | --tsan) preset=${1#--} ;;
    --preset) [ -n "${2:-}" ] || die "--preset needs a name"; preset=$2; shift ;;
    --label) [ -n "${2:-}" ] || die "--label needs a label"; select=(--label-regex "$2"); shift ;;
    --sim) sim=yes ;;
    --seeds | --first-seed)
      [[ ${2:-} =~ ^[1-9][0-9]*$ ]] || die "$1 needs a number from 1 on"
      if [ "$1" = --seeds ]; then seeds=$2; else first_seed=$2; fi
      shift ;;
    -h | --help) usage && exit 0 ;;
    --) shift && break ;;
    *) die "unknown option: see tests/run.sh --help; option=$1" ;;
  esac
  shift
done

# Debian's c-ares keeps a few bytes until exit. Of what TSan reports, only races that our own code
# takes part in count: the libraries are not built for it.
export LSAN_OPTIONS=${LSAN_OPTIONS:-suppressions=$root/tests/support/lsan.supp:print_suppressions=0}
export TSAN_OPTIONS=${TSAN_OPTIONS:-ignore_noninstrumented_modules=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}

"$root/deploy/setup.sh"
if [ -n "$sim" ]; then
  "$root/deploy/build.sh" "$preset" cluster_test
  MILLRACE_SIM_SEEDS=$seeds MILLRACE_SIM_FIRST_SEED=$first_seed \
    exec "$root/build/$preset/bin/cluster_test" "a cluster of several processes*"
fi
# Without a server its tests are skipped, and ctest names them; with MILLRACE_REQUIRE_SERVERS they fail.
"$root/deploy/setup.sh" --servers ||
  printf 'run.sh: WARNING: no servers: the tests that need them are skipped\n' >&2
"$root/deploy/build.sh" "$preset"
exec ctest --test-dir "$root/build/$preset" --output-on-failure --no-tests=error --parallel 2 \
  "${select[@]}" "$@"
