#!/usr/bin/env bash
# From a fresh clone to results on the screen: see --help.
set -euo pipefail
readonly here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

case ${1:-} in
  -h | --help)
    cat <<'TXT'
usage: deploy/quickstart.sh [--exit]

Installs what is missing, builds Millrace (preset release) and runs the demo: half a million flights
over gRPC into `millrace dev`, windowed results out. Leaves it running; every run takes a new data
directory.

  --exit  stop `millrace dev` at the end
TXT
    exit 0
    ;;
  '' | --exit) ;;
  *)
    echo "quickstart.sh: error: unknown option: see deploy/quickstart.sh --help; option=$1" >&2
    exit 2
    ;;
esac

"$here/setup.sh"
"$here/build.sh" release millrace
exec "$here/quickstart/demo.sh" "$@"
