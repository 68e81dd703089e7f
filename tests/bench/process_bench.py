#!/usr/bin/env python3
"""CPU time of a whole `millrace dev`, from gRPC to results, for the flights.

    process_bench.py --millrace build/release/bin/millrace [--runs 5]

Each run starts a server on a new data directory, defines hourly delays by airport, streams 508,239 flights over gRPC, closes
everything and waits for the last row. Reports user + system time of the server and of the producer per event, and rows:
median and spread over the runs. The load on the machine changes the figures, so compare only what was run together.
"""
import argparse
import os
import statistics
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'process'))
import cluster  # noqa: E402

FLIGHTS = os.path.join(cluster.ROOT, 'deploy', 'quickstart', 'flights-2001-01.csv.zst')
EVENTS = 508_239
SQL = '''CREATE TABLE flights (
  scheduled_at timestamptz NOT NULL, origin text, destination text, delay_minutes int, distance_miles int
) WITH (partition_key = 'origin', event_time = 'scheduled_at', watermark_delay = '48 hours');
CREATE MATERIALIZED VIEW hourly AS
SELECT origin, window_start, window_end, count(*) AS flights, sum(distance_miles) AS miles,
       avg(delay_minutes) AS mean_delay, max(delay_minutes) AS worst_delay
FROM tumble(flights, scheduled_at, INTERVAL '1 hour') GROUP BY origin, window_start, window_end;
'''


def cpu_seconds(pid):
    with open(f'/proc/{pid}/stat') as stat:
        fields = stat.read().rsplit(')', 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def resident_mb(pid):
    with open(f'/proc/{pid}/status') as status:
        for line in status:
            if line.startswith('VmHWM'):
                return int(line.split()[1]) / 1024
    return 0.0


def run(binary):
    with tempfile.TemporaryDirectory(prefix='millrace-bench-') as scratch:
        dev = cluster.Dev(binary, os.path.join(scratch, 'data'))
        assert dev.start(), 'millrace dev does not start'
        script = os.path.join(scratch, 'flights.sql')
        with open(script, 'w') as out:
            out.write(SQL)
        dev.command('apply', script)
        idle = cpu_seconds(dev.process.pid)
        children = os.times()
        begin = time.monotonic()
        producer = dev.produce('flights', FLIGHTS, '--end')
        producer.communicate()
        assert producer.returncode == 0, 'millrace produce failed'
        sent = os.times()
        streamed = cpu_seconds(dev.process.pid)
        rows = dev.command('results', 'hourly', '--wait', '--format', 'csv').stdout.count('\n') - 1
        wall = time.monotonic() - begin
        cluster.wait_until('files are put', lambda: cluster.owed(dev) == 0)
        done = cpu_seconds(dev.process.pid)
        memory = resident_mb(dev.process.pid)
        dev.stop()
        os.remove(dev.log.name)
    producer_cpu = sent.children_user + sent.children_system - children.children_user - children.children_system
    return {'server, ns CPU per event until all is acknowledged': (streamed - idle) / EVENTS * 1e9,
            'server, ns CPU per event until all rows and files are out': (done - idle) / EVENTS * 1e9,
            'producer, ns CPU per event': producer_cpu / EVENTS * 1e9,
            'wall seconds until all rows are readable': wall,
            'server, largest resident MB': memory,
            'rows': rows}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--millrace', required=True)
    parser.add_argument('--runs', type=int, default=5)
    options = parser.parse_args()
    runs = [run(options.millrace) for _ in range(options.runs)]
    for name in runs[0]:
        values = [r[name] for r in runs]
        print(f'{name:60} median {statistics.median(values):10.1f}   from {min(values):.1f} to {max(values):.1f}')


if __name__ == '__main__':
    main()
