#!/usr/bin/env python3
"""Ten pipelines at a steady rate under a memory limit, with a kill -9 each minute.

    soak_test.py --millrace BIN [--seconds 600] [--rate 20000] [--memory-mb 1500] [--kill-every 60]

The producer makes its events from a formula, so the right counts are known without an oracle: every event has the same
weight, and an hour of event time holds a known number of events for each key. In the end each pipeline must have counted
every event once. While it runs, resident memory, open files, threads and the files of `state/` are sampled. They may
differ between kills, but the last third of the run must not lie above the middle third by more than a quarter. What the
queries at the end take is not counted: it is no part of a steady state.
"""
import argparse
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time

import cluster

STREAM = '''CREATE TABLE soak (at timestamptz NOT NULL, key text, value bigint)
WITH (partition_key = 'key', event_time = 'at', watermark_delay = '5 seconds');
'''
WINDOWS = ["tumble(soak, at, INTERVAL '1 second')", "tumble(soak, at, INTERVAL '10 seconds')",
           "tumble(soak, at, INTERVAL '1 minute')", "hop(soak, at, INTERVAL '5 seconds', INTERVAL '1 minute')",
           "hop(soak, at, INTERVAL '10 seconds', INTERVAL '30 seconds')"]
KEYS = 200
PIPELINES = 10
# Event time moves a second for so many events, whatever the rate.
EVENTS_A_SECOND = 20_000
SAMPLE_PERIOD = 2.0
# A tenth of a second of events a piece: smaller than what the producer's pipe holds.
PIECE = 2_000
SHARE_ABOVE = 1.25


def views():
    for n in range(PIPELINES):
        # Half of the pipelines take every second key, so that they are not all alike.
        where = "WHERE value >= 0" if n % 2 == 0 else f"WHERE value < {KEYS // 2}"
        yield f'soak_{n}', (f'CREATE MATERIALIZED VIEW soak_{n} AS SELECT key, window_start, window_end, count(*) AS n, '
                            f'sum(value) AS total FROM {WINDOWS[n % len(WINDOWS)]} {where} '
                            'GROUP BY key, window_start, window_end;\n')


def windows_of_an_event(n):
    return {3: 12, 4: 3}.get(n % len(WINDOWS), 1)


def event(number):
    micros = number * 1_000_000 // EVENTS_A_SECOND
    stamp = time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(1_000_000_000 + micros // 1_000_000))
    key = number % KEYS
    return f'{{"at":"{stamp}.{micros % 1_000_000:06d}Z","key":"k{key}","value":{key}}}\n'


class Samples:
    """What the server holds, sampled while it lives."""

    def __init__(self, dev):
        self.dev = dev
        self.rows = []
        self.begun = time.monotonic()
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        while not self.stopped.wait(SAMPLE_PERIOD):
            try:
                self.rows.append(self.sample(self.dev.process.pid))
            except (OSError, ValueError):
                continue  # killed between two reads; the next sample is of its successor

    def sample(self, pid):
        status = open(f'/proc/{pid}/status').read()
        value = lambda name: int(next(l for l in status.splitlines() if l.startswith(name)).split()[1])
        state = os.path.join(self.dev.data_dir, 'state')
        return {'at': time.monotonic() - self.begun, 'memory_kb': value('VmRSS:'), 'threads': value('Threads:'),
                'descriptors': len(os.listdir(f'/proc/{pid}/fd')),
                'state_files': sum(len(names) for _, _, names in os.walk(state))}

    def stop(self):
        self.stopped.set()
        self.thread.join()

    def check(self):
        third = len(self.rows) // 3
        assert third >= 3, f'too few samples to compare: {len(self.rows)}'
        failed = []
        for minute in range(int(self.rows[-1]['at'] // 60) + 1):
            memory = [row['memory_kb'] >> 10 for row in self.rows if row['at'] // 60 == minute]
            print(f'minute {minute}: memory {min(memory, default=0)} to {max(memory, default=0)} MiB', flush=True)
        for name in ('memory_kb', 'threads', 'descriptors', 'state_files'):
            middle = max(row[name] for row in self.rows[third:2 * third])
            last = max(row[name] for row in self.rows[2 * third:])
            print(f'{name}: most in the middle third {middle}, in the last {last}', flush=True)
            if last > middle * SHARE_ABOVE:
                failed.append(name)
        assert not failed, f'grows: {", ".join(failed)}'


class Soak:
    def __init__(self, options, scratch):
        self.options = options
        self.dev = cluster.Dev(options.millrace, os.path.join(scratch, 'data'))
        self.input = os.path.join(scratch, 'soak.jsonl')
        self.scratch = scratch
        self.kills = 0

    def limit_memory(self):
        limit = self.options.memory_mb << 20
        resource.prlimit(self.dev.process.pid, resource.RLIMIT_DATA, (limit, limit))

    def start(self):
        assert self.dev.start(), f'millrace dev does not start: see {self.dev.log.name}'
        self.limit_memory()

    def run(self):
        self.start()
        script = os.path.join(self.scratch, 'soak.sql')
        with open(script, 'w') as out:
            out.write(STREAM + ''.join(sql for _, sql in views()))
        self.dev.command('apply', script)
        samples = Samples(self.dev)
        samples.thread.start()
        events = self.options.seconds * self.options.rate
        with open(self.input, 'w') as out:
            for number in range(events):
                out.write(event(number))
        producer = self.dev.produce('soak', self.input, '--producer-id', 'soak', '--rate', str(self.options.rate), '--end')
        next_kill = time.monotonic() + self.options.kill_every
        while producer.poll() is None:
            if time.monotonic() >= next_kill:
                self.dev.kill()
                self.kills += 1
                self.start()
                next_kill += self.options.kill_every
            assert self.dev.running(), f'the server ended by itself: see {self.dev.log.name}'
            time.sleep(0.2)
        assert producer.returncode == 0, producer.stderr.read()
        samples.stop()
        for name, _ in views():
            self.dev.command('results', name, '--wait', '--key', 'key=k0', '--format', 'csv')
        self.dev.stop()
        self.check_counts(events)
        samples.check()
        print(f'{events} events, {PIPELINES} pipelines, {self.kills} kills: lost 0, duplicated 0')

    def check_counts(self, events):
        database = sqlite3.connect(f'file:{self.dev.data_dir}/serving.db?mode=ro', uri=True)
        each, rest = divmod(events, KEYS)
        count_of = [each + (1 if key < rest else 0) for key in range(KEYS)]
        for n, (name, _) in enumerate(views()):
            keys = range(KEYS) if n % 2 == 0 else range(KEYS // 2)
            want = {f'k{key}': count_of[key] * windows_of_an_event(n) for key in keys}
            have = dict(database.execute(f'SELECT key, sum(n) FROM {name} GROUP BY key').fetchall())
            assert have == want, f'{name}: {sum(have.values())} counted of {sum(want.values())}'


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--millrace', required=True)
    parser.add_argument('--seconds', type=int, default=int(os.environ.get('MILLRACE_SOAK_SECONDS', '600')))
    parser.add_argument('--rate', type=int, default=20_000)
    parser.add_argument('--memory-mb', type=int, default=1_500)
    parser.add_argument('--kill-every', type=float, default=60)
    options = parser.parse_args()
    scratch = tempfile.mkdtemp(prefix='millrace-soak-')
    soak = Soak(options, scratch)
    try:
        soak.run()
    except BaseException:
        if soak.dev.running():
            soak.dev.kill()
        print(f'FAILED; {scratch} is kept', flush=True)
        raise
    shutil.rmtree(scratch)


if __name__ == '__main__':
    main()
