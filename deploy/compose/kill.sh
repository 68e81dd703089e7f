#!/usr/bin/env bash
# Kills a container of the running cluster, shows what moved, and brings it back: see --help.
set -euo pipefail
readonly root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

usage() {
  cat <<'TXT'
usage: deploy/compose/kill.sh SERVICE [OPTION...]

Kills one container of SERVICE (worker, coordinator-1, gateway-2, kafka, ...) of docker-compose.yml,
waits until every shard runs, and shows which shards have another worker now. Then starts the
container again. Results do not change: `millrace results NAME --wait` before and after says so.

Options go to docker-compose, for example --env-file FILE or --project-name NAME.
TXT
}

case ${1:-} in
  '' | -h | --help) usage && exit "$([ $# -gt 0 ] && echo 0 || echo 2)" ;;
esac
readonly service=$1
shift
cd "$root"
compose() { docker-compose "$@"; }
# Any coordinator answers; the one that was killed does not.
shards() {
  local coordinator
  for coordinator in coordinator-1 coordinator-2; do
    compose "$@" exec -T "$coordinator" millrace shard list --format csv 2>/dev/null && return 0
  done
  return 1
}
# shard,worker of each; nothing while no coordinator answers.
owners() { shards "$@" | awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next }
  { print $at["shard"], $at["worker"], $at["state"] }'; }

readonly patience=120
before=$(owners "$@")
container=$(compose "$@" ps -q "$service" | head -n 1)
[ -n "$container" ] || { printf 'kill.sh: error: no container of this service runs; service=%s\n' "$service" >&2; exit 1; }
begin=$SECONDS
docker kill "$container" >/dev/null
printf 'killed a container of %s; waiting until all shards run\n' "$service"
sleep 2  # until the death is noticed, lists are as they were
until after=$(owners "$@") && [ -n "$after" ] && ! grep -qv ' running$' <<<"$after"; do
  [ $((SECONDS - begin)) -lt $patience ] ||
    { printf 'kill.sh: error: not all shards run after %s s:\n%s\n' $patience "$after" >&2; break; }
  sleep 1
done
printf 'all shards run after %s s; what moved:\n' $((SECONDS - begin))
diff <(printf '%s\n' "$before") <(printf '%s\n' "$after") | grep '^[<>]' || echo 'nothing'
docker start "$container" >/dev/null
printf 'started it again\n'
