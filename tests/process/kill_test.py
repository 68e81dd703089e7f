#!/usr/bin/env python3
"""kill -9 at random moments, of the server and of the producer, while flights stream in over gRPC.

    kill_test.py --millrace BIN --logdump BIN --flights FILE [--kills N] [--seed N] [--crash-points] [--late] [--servers]

With --servers it stands on a Kafka broker, an S3 store and PostgreSQL, which are killed too, in turn, at every second
kill.
In the end the table, the Parquet files, the late output and the ledger must equal what the oracle folds out of the log
that was really written. With --crash-points the server is killed at every named crash point in turn instead. Ends with a
line that counts kills and what was lost or there twice.
"""
import argparse
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import cluster
import servers

STREAM = '''CREATE TABLE flights (
  scheduled_at timestamptz NOT NULL, origin text, destination text, delay_minutes int, distance_miles int
) WITH (partition_key = 'origin', event_time = 'scheduled_at', watermark_delay = '%s');
'''
TUMBLING = '''CREATE MATERIALIZED VIEW hourly WITH (allowed_lateness = '%s') AS
SELECT origin, window_start, window_end, count(*) AS flights, sum(distance_miles) AS miles,
       avg(delay_minutes) AS mean_delay, max(delay_minutes) AS worst_delay
FROM tumble(flights, scheduled_at, INTERVAL '1 hour') GROUP BY origin, window_start, window_end;
'''
HOPPING = '''CREATE MATERIALIZED VIEW rolling WITH (allowed_lateness = '%s') AS
SELECT origin, window_start, window_end, count(*) AS flights, sum(distance_miles) AS miles,
       avg(delay_minutes) AS mean_delay, max(delay_minutes) AS worst_delay
FROM hop(flights, scheduled_at, INTERVAL '10 minutes', INTERVAL '1 hour') GROUP BY origin, window_start, window_end;
'''
COLUMNS = ['flights', 'miles', 'mean_delay', 'worst_delay']
PARTITIONS = 4
METRICS_PERIOD = 0.5
CUT_PATIENCE = 1.5
# A point that was not reached, for want of rows or old objects just then, is tried again.
TRIES = 3
# Those of sinks come with rows, those of cuts with the cut of a stop; so sinks first, while events last.
CRASH_POINTS = [
    'open.after_takeover', 'ingest.before_append', 'ingest.after_append', 'log_embedded.append.before_write',
    'log_embedded.append.durable', 'sink.serving.before_apply', 'sink.serving.after_apply', 'serving.apply.begin',
    'serving.apply.before_commit', 'serving.apply.committed', 'sink.file.before_put', 'sink.file.after_put',
    'objectstore.put.written', 'objectstore.put.renamed', 'cut.begin', 'cut.after_state', 'cut.after_freeze',
    'cut.after_file', 'cut.after_rows', 'cut.after_manifest', 'cut.after_commit', 'cut.before_delete']


def write(path, text):
    with open(path, 'w') as out:
        out.write(text)
    return path


class Run:
    def __init__(self, options, scratch):
        self.options = options
        self.scratch = scratch
        self.random = random.Random(options.seed)
        delay, lateness = ('2 hours', '1 hour') if options.late else ('48 hours', '0 seconds')
        self.stream = STREAM % delay
        self.views = {'hourly': TUMBLING % lateness, 'rolling': HOPPING % lateness}
        if options.tumbling_only:
            del self.views['rolling']
        self.stand()
        self.kills = 0
        self.server_kills = 0
        self.producer_kills = 0
        self.crashed = {}
        self.producer = None

    def stand(self):
        """Sets the process, and what it stands on: servers, their configuration, tables and objects."""
        data_dir = os.path.join(self.scratch, 'data')
        self.servers, self.config = [], []
        self.tables = cluster.SqliteTables(data_dir)
        self.objects = os.path.join(data_dir, 'objects')
        if self.options.servers:
            self.tables = servers.Postgres(os.path.join(self.scratch, 'postgres'))
            s3 = servers.S3(os.path.join(self.scratch, 's3'))
            self.servers = [servers.Kafka(os.path.join(self.scratch, 'kafka')), s3, self.tables]
            self.objects = s3.bucket
            self.config = [servers.write_config(os.path.join(self.scratch, 'servers.yaml'), *self.servers)]
        self.dev = cluster.Dev(self.options.millrace, data_dir, *self.config)

    def prepare(self):
        assert self.dev.start(), 'millrace dev does not start'
        script = write(os.path.join(self.scratch, 'all.sql'), self.stream + ''.join(self.views.values()))
        self.dev.command('apply', script)

    def ensure_producer(self):
        if self.producer is None or self.producer.poll() not in (None, 0):
            self.producer = self.dev.produce('flights', self.options.flights, '--producer-id', 'kill-test',
                                             *(['--rate', str(self.options.rate)] if self.options.rate else []))

    def produced(self):
        return self.producer is not None and self.producer.poll() == 0

    def restart(self, crash_at=None):
        """True: the start itself reached the crash point, and another one went without it."""
        crashed = False
        while not self.dev.start(crash_at):
            crashed = crashed or self.dev.process.wait() == -signal.SIGKILL
            crash_at = None
        return crashed

    def random_kills(self):
        while self.kills < self.options.kills or not self.produced():
            self.ensure_producer()
            deadline = time.monotonic() + self.random.uniform(0.05, 0.9)
            while time.monotonic() < deadline and not (self.kills >= self.options.kills and self.produced()):
                time.sleep(0.01)
            if self.kills >= self.options.kills:
                continue
            if self.random.random() < 0.25 and self.producer.poll() is None:
                self.producer.kill()
                self.producer.wait()
                self.producer_kills += 1
            if self.servers and self.kills % 2 == 1:
                self.kill_a_server()
            self.dev.kill()
            self.kills += 1
            self.restart()

    def kill_a_server(self):
        """While the process runs on. It waits, and goes on when the server is back."""
        server = self.servers[self.server_kills % len(self.servers)]
        server.kill()
        self.server_kills += 1
        server.start()

    def close(self):
        if self.dev.running():
            self.dev.kill()
        for server in self.servers:
            server.kill()

    def crash_points(self):
        for name in CRASH_POINTS * TRIES:
            if self.crashed.get(name):
                continue
            passes = 1 if name in self.crashed else self.random.randint(1, 2)
            self.dev.stop()
            crashed = self.restart(f'{name}:{passes}')
            self.ensure_producer()
            # Cuts and files come in their own time; a stop makes a cut at the latest.
            patience = CUT_PATIENCE if name.startswith('cut.') else self.options.point_patience
            deadline = time.monotonic() + patience
            while not crashed and self.dev.running() and time.monotonic() < deadline:
                time.sleep(0.02)
                if self.produced():
                    self.producer = None
                    self.ensure_producer()
            if not crashed:
                if self.dev.running():
                    self.dev.process.terminate()
                crashed = self.dev.process.wait() == -signal.SIGKILL
                self.restart()
            self.crashed[name] = 1 if crashed else 0
            self.kills += self.crashed[name]
        # The rest without a brake.
        self.options.rate = 0
        if self.producer.poll() is None:
            self.producer.kill()
            self.producer.wait()
        while not self.produced():
            self.ensure_producer()
            self.producer.wait()

    def finish(self):
        self.dev.command('stream', 'advance', 'flights', '--to', 'end')
        for view in self.views:
            self.dev.command('results', view, '--wait', '--format', 'csv')

    def check(self):
        expected = {}
        # Files are put, and metrics exported, a moment after the rows are in the table.
        time.sleep(2 * METRICS_PERIOD)
        cluster.wait_until('every result file is put', lambda: cluster.owed(self.dev) == 0)
        ledgers = {view: cluster.ledger(self.dev, view) for view in self.views}
        self.dev.stop()
        for view, sql in self.views.items():
            script = write(os.path.join(self.scratch, view + '.sql'), self.stream + sql)
            expected[view] = [cluster.oracle(self.options.logdump, self.dev.data_dir, 'flights', p, script, self.scratch,
                                             *self.config)
                              for p in range(PARTITIONS)]
        aggregated = 0
        for view, outputs in expected.items():
            rows = cluster.compare_table(self.tables, view, COLUMNS, outputs)
            files = cluster.compare_files(self.objects, view, COLUMNS, outputs)
            late = cluster.compare_late(self.tables, view, outputs)
            counters = {}
            for output in outputs:
                for name, n in output['counters'].items():
                    counters[name] = counters.get(name, 0) + n
            for name in ('read', 'duplicate', 'aggregated', 'late', 'taken', 'too_late', 'accepted_late', 'emitted'):
                if ledgers[view].get(name, 0) != counters.get(name, 0):
                    raise AssertionError(f'{view}: ledger {name}: expected {counters.get(name, 0)}, '
                                         f'got {ledgers[view].get(name, 0)}')
            unique = counters['read'] - counters.get('duplicate', 0)
            if unique != self.options.events:
                raise AssertionError(f'{view}: {unique} distinct events were counted of {self.options.events}')
            aggregated = counters['aggregated']
            print(f'{view}: {rows} rows, {files} files, {late} late events, {counters.get("duplicate", 0)} duplicates '
                  f'dropped, {aggregated} events aggregated: equal to the oracle')


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--millrace', required=True)
    parser.add_argument('--logdump', required=True)
    parser.add_argument('--flights', required=True)
    parser.add_argument('--kills', type=int, default=25)
    parser.add_argument('--seed', type=int, default=int(time.time()))
    parser.add_argument('--rate', type=int, default=0)
    parser.add_argument('--events', type=int, default=508_239)
    parser.add_argument('--late', action='store_true')
    parser.add_argument('--tumbling-only', action='store_true')
    parser.add_argument('--crash-points', action='store_true')
    parser.add_argument('--servers', action='store_true')
    parser.add_argument('--point-patience', type=float, default=14)
    options = parser.parse_args()
    if options.servers:
        servers.require()
    scratch = tempfile.mkdtemp(prefix='millrace-kill-')
    os.chmod(scratch, 0o755)  # PostgreSQL runs as another user
    run = Run(options, scratch)
    print(f'seed {options.seed}, files in {scratch}', flush=True)
    try:
        run.prepare()
        if options.crash_points:
            run.crash_points()
        else:
            run.random_kills()
        run.finish()
        run.check()
    except BaseException:
        run.close()
        print(f'FAILED with seed {options.seed}; {scratch} is kept', flush=True)
        raise
    run.close()
    never = [name for name, n in run.crashed.items() if n == 0]
    for name, n in run.crashed.items():
        print(f'crash point {name:34} killed {n}')
    print(f'kills of the server: {run.kills}, of the producer: {run.producer_kills}, of Kafka, S3 and PostgreSQL: '
          f'{run.server_kills}; lost 0, duplicated 0', flush=True)
    shutil.rmtree(scratch)
    os.path.exists(run.dev.log.name) and os.remove(run.dev.log.name)
    if never:
        sys.exit(f'crash points that were never hit: {", ".join(never)}')


if __name__ == '__main__':
    main()
