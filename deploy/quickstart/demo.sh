#!/usr/bin/env bash
# Half a million flights over gRPC into `millrace dev`, windowed results out: see --help.
set -euo pipefail
readonly here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly root=$(cd "$here/../.." && pwd)
readonly millrace=$root/build/release/bin/millrace
readonly ready_seconds=60 ledger_seconds=30 stop_seconds=60

# What flights.sql makes of the file; every run must come to the same.
readonly expect_events=508239 expect_hourly=70510 expect_hourly_late=227
readonly expect_rolling=97917 expect_rolling_late=719

usage() {
  cat <<'TXT'
usage: deploy/quickstart/demo.sh [--exit] [--data-dir DIR]

Starts `millrace dev` on free ports and a new data directory, applies flights.sql, sends the flights
of January 2001 over gRPC and shows what came out. Leaves `millrace dev` running. Needs the release
build: deploy/quickstart.sh makes it.

  --exit          stop `millrace dev` at the end; the status tells whether all went well
  --data-dir DIR  a directory that does not exist yet; default: the next build/demo/N
TXT
}

die() {
  printf 'demo.sh: error: %s\n' "$*" >&2
  exit 1
}

say() { printf '\n%s\n' "$*"; }

stop_after=no data_dir=
while [ $# -gt 0 ]; do
  case $1 in
    --exit) stop_after=yes ;;
    --data-dir) [ -n "${2:-}" ] || die "--data-dir needs a directory"; data_dir=$2; shift ;;
    -h | --help) usage && exit 0 ;;
    *) printf 'demo.sh: error: unknown option: see --help; option=%s\n' "$1" >&2; exit 2 ;;
  esac
  shift
done
[ -x "$millrace" ] || die "there is no release build: run deploy/quickstart.sh; file=$millrace"
for tool in sqlite3 curl awk; do
  command -v "$tool" >/dev/null || die "$tool is not installed: run deploy/setup.sh"
done
if [ -z "$data_dir" ]; then
  mkdir -p "$root/build/demo"
  number=1
  # mkdir tells apart two demos that start at once.
  until mkdir "$root/build/demo/$number" 2>/dev/null; do
    [ -e "$root/build/demo/$number" ] || die "cannot write to $root/build/demo"
    number=$((number + 1))
  done
  data_dir=$root/build/demo/$number/data
elif [ -e "$data_dir" ]; then
  die "the directory exists, and every run takes a new one; data_dir=$data_dir"
fi
readonly log=$data_dir.log
mkdir -p "$(dirname "$data_dir")"
: >"$log" || die "cannot write beside the data directory; file=$log"

pid=
give_up() { [ -z "$pid" ] || kill "$pid" 2>/dev/null || true; }
trap give_up EXIT

say "Starting millrace dev in $data_dir"
nohup "$millrace" dev --data-dir "$data_dir" --listen 127.0.0.1:0 --admin 127.0.0.1:0 \
  </dev/null >>"$log" 2>&1 &
pid=$!
ready=
deadline=$((SECONDS + ready_seconds))
until [ -n "$ready" ]; do
  ready=$(grep -m 1 '^ready ' "$log" || true)
  if [ -z "$ready" ]; then
    kill -0 "$pid" 2>/dev/null || { tail -n 5 "$log" >&2; die "millrace dev did not start; log=$log"; }
    [ $SECONDS -lt $deadline ] || die "millrace dev was not ready in ${ready_seconds} s; log=$log"
    sleep 0.1
  fi
done
grpc=$(sed -n 's/.* grpc=\([^ ]*\).*/\1/p' <<<"$ready")
admin=$(sed -n 's/.* admin=\([^ ]*\).*/\1/p' <<<"$ready")
export MILLRACE_SERVER=$grpc
printf '%s\n' "$ready"

say "Applying $here/flights.sql"
"$millrace" apply "$here/flights.sql"

say "Sending the flights over gRPC"
"$millrace" produce flights --input "$here/flights-2001-01.csv.zst" --end

say "Waiting until every flight is in the results"
# Rows past the end of the data: the wait alone counts.
for name in delays_hourly delays_rolling; do
  "$millrace" results "$name" --wait --quiet --from 2101-01-01 --format csv >/dev/null
done

readonly table=$data_dir/serving.db
query() { sqlite3 -readonly -cmd '.timeout 10000' "$@"; }
count() { query "$table" "SELECT count(*) FROM $1"; }

say "The ten worst hours of an airport (at least ten flights, by mean delay):"
query -column -header "$table" "
  SELECT origin, substr(window_start, 1, 16) AS hour, flights,
         round(mean_delay, 1) AS mean_delay, worst_delay
  FROM delays_hourly WHERE flights >= 10
  ORDER BY delays_hourly.mean_delay DESC, origin, window_start LIMIT 10"

hourly=$(count delays_hourly) hourly_late=$(count delays_hourly_late)
rolling=$(count delays_rolling) rolling_late=$(count delays_rolling_late)
say "Results: $hourly rows in delays_hourly, $rolling in delays_rolling."
printf 'Too late for a window: %s flights of delays_hourly, %s of delays_rolling (no row of theirs is lost: see `millrace late`).\n' \
  "$hourly_late" "$rolling_late"

say "The ledger, as /metrics has it (every event has exactly one fate):"
# The metrics follow the shards within a second or so.
sum_read='/^millrace_worker_ledger_events_read\{/ { n += $2 } END { printf "%d", n }'
deadline=$((SECONDS + ledger_seconds))
while [ "$(curl -fsS "http://$admin/metrics" | awk "$sum_read")" -lt $((2 * expect_events)) ]; do
  [ $SECONDS -lt $deadline ] || break
  sleep 0.1
done
# The sums over all partitions; the status tells whether the ledger balances and is complete.
balanced=yes
curl -fsS "http://$admin/metrics" | awk -v events="$expect_events" '
  /^millrace_worker_ledger_(events|pairs|rows)[_{]/ {
    kind = $1; sub(/^millrace_worker_ledger_/, "", kind); sub(/\{.*/, "", kind)
    pipeline = $1; sub(/.*pipeline="/, "", pipeline); sub(/".*/, "", pipeline)
    # A total has a name of its own: events_read, pairs_assigned, rows_due.
    result = $1
    if (!sub(/.*result="/, "", result)) { result = kind; sub(/^[a-z]+_/, "", result); sub(/_.*/, "", kind) }
    sub(/".*/, "", result)
    n[pipeline, kind, result] += $2
    seen[pipeline] = 1
  }
  function of(kind, result) { return n[name, kind, result] + 0 }
  function check(what, left, right) {
    if (left != right) { printf "    BROKEN: %s: %d is not %d\n", what, left, right; bad = 1 }
  }
  END {
    if (!("delays_hourly" in seen) || !("delays_rolling" in seen)) { print "  no ledger"; exit 1 }
    split("delays_hourly delays_rolling", names, " ")
    for (i = 1; i <= 2; ++i) {
      name = names[i]
      printf "  %s\n", name
      printf "    events  read %d = aggregated %d + late %d + filtered %d + quarantined %d + duplicate %d + before_start %d\n",
        of("events", "read"), of("events", "aggregated"), of("events", "late"),
        of("events", "filtered"), of("events", "quarantined"), of("events", "duplicate"),
        of("events", "before_start")
      printf "    pairs   assigned %d = taken %d + too_late %d + before_start %d\n",
        of("pairs", "assigned"), of("pairs", "taken"), of("pairs", "too_late"),
        of("pairs", "before_start_pairs")
      printf "    rows    due %d = emitted %d + withheld %d + row_errors %d\n",
        of("rows", "due"), of("rows", "emitted"), of("rows", "withheld"), of("rows", "row_errors")
      check("events read", of("events", "read"), events)
      check("events", of("events", "read"), of("events", "aggregated") + of("events", "late") + \
        of("events", "filtered") + of("events", "quarantined") + of("events", "duplicate") + \
        of("events", "before_start"))
      check("pairs", of("pairs", "assigned"), of("pairs", "taken") + of("pairs", "too_late") + \
        of("pairs", "before_start_pairs"))
      check("rows", of("rows", "due"), of("rows", "emitted") + of("rows", "withheld") + \
        of("rows", "row_errors"))
    }
    exit bad
  }' || balanced=no

files_of() {
  "$millrace" --server "$grpc" pipeline describe "$1" --format csv | sed -n 's/^result_files,//p'
}
say "Where everything is:"
cat <<TXT
  table     $table (SQLite; readable while millrace runs)
  files     $(files_of delays_hourly)
            $(files_of delays_rolling)
  metrics   http://$admin/metrics   (also /livez /readyz /version)
  log       $log

Try:
  sqlite3 -readonly $table \\
    "SELECT origin, sum(flights) FROM delays_hourly GROUP BY origin ORDER BY 2 DESC LIMIT 5"
  duckdb -c "SELECT origin, max(late_flights) FROM \\
    '$(files_of delays_rolling)' \\
    GROUP BY origin ORDER BY 2 DESC LIMIT 5"
  curl -s http://$admin/metrics | grep millrace_worker_ledger_events
  $millrace --server $grpc results delays_hourly --key origin=LAX --from 2001-01-05 --to 2001-01-06
  $millrace --server $grpc late delays_hourly
TXT

wrong=
expect() { [ "$2" = "$3" ] || wrong+=" $1=$2, expected $3;"; }
expect delays_hourly "$hourly" "$expect_hourly"
expect delays_hourly_late "$hourly_late" "$expect_hourly_late"
expect delays_rolling "$rolling" "$expect_rolling"
expect delays_rolling_late "$rolling_late" "$expect_rolling_late"
[ "$balanced" = yes ] || wrong+=" the ledger is broken or incomplete;"

if [ "$stop_after" = yes ]; then
  say "Stopping millrace dev (pid $pid)"
  kill "$pid"
  deadline=$((SECONDS + stop_seconds))
  while kill -0 "$pid" 2>/dev/null; do
    [ $SECONDS -lt $deadline ] || { kill -9 "$pid"; die "millrace dev did not stop in ${stop_seconds} s; log=$log"; }
    sleep 0.1
  done
  status=0
  wait "$pid" || status=$?
  pid=
  [ "$status" = 0 ] || die "millrace dev ended with status $status; log=$log"
else
  say "millrace dev goes on: pid $pid. Stop it with: kill $pid"
fi
trap - EXIT
[ -z "$wrong" ] || die "the results are not what they must be:$wrong"
if [ "$stop_after" = yes ]; then say "All as expected."; fi
