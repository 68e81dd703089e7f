#!/usr/bin/env python3
"""Two coordinators, two gateways and three workers on real servers, each of which is killed while flights stream in.

    cluster_test.py --millrace BIN --logdump BIN --flights FILE [--rounds N] [--seed N] [--rate N]

Each round kills one process with -9, pauses one for longer than it is missed, stops one in order, or kills a server, and
brings it back. In the end the tables, the Parquet files and the late output must equal what the oracle folds out of the
log that was really written.
"""
import argparse
import os
import random
import shutil
import sys
import tempfile
import time

import cluster
import daemons
import servers
from kill_test import COLUMNS, STREAM, TUMBLING, write

PARTITIONS = 8
STREAM = STREAM.replace("partition_key = 'origin'", f"partition_key = 'origin', partitions = {PARTITIONS}")
# Longer than it takes until a worker counts as dead.
PAUSE = 7
# A coordinator stands by for so long until it claims.
CLAIM_PATIENCE = 40


class Run:
    def __init__(self, options, scratch):
        self.options = options
        self.scratch = scratch
        self.random = random.Random(options.seed)
        self.tables = servers.Postgres(os.path.join(scratch, 'postgres'))
        self.s3 = servers.S3(os.path.join(scratch, 's3'))
        self.kafka = servers.Kafka(os.path.join(scratch, 'kafka'))
        self.config = servers.write_config(os.path.join(scratch, 'servers.yaml'), self.kafka, self.s3, self.tables)
        self.cluster = daemons.Cluster(options.millrace, scratch, self.config)
        self.script = write(os.path.join(scratch, 'all.sql'), STREAM % '2 hours' + TUMBLING % '1 hour')
        self.producer = None
        self.done = {}

    def prepare(self):
        self.cluster.start()
        cluster.wait_until('a coordinator leads', lambda: self.cluster.leader() is not None)
        self.cluster.run('apply', self.script)
        self.cluster.wait_running(PARTITIONS, 'after the start')
        owners = {s['worker'] for s in self.cluster.shards()}
        assert owners == {w.name for w in self.cluster.workers}, f'not every worker has shards: {owners}'
        self.producer = self.cluster.produce('flights', self.options.flights, '--producer-id', 'cluster-test', '--rate',
                                             str(self.options.rate))

    def note(self, what):
        self.done[what] = self.done.get(what, 0) + 1
        print(f'{time.strftime("%H:%M:%S")} {what}', flush=True)

    def kill(self, daemon):
        self.note(f'kill -9 of a {daemon.kind}')
        daemon.kill()
        time.sleep(self.random.uniform(0, 4))
        daemon.start()

    def pause(self, daemon):
        self.note(f'pause of a {daemon.kind}')
        daemon.pause()
        time.sleep(PAUSE)
        daemon.go_on()

    def drain(self, daemon):
        self.note(f'SIGTERM to a {daemon.kind}')
        daemon.stop()
        daemon.start()

    def restart(self, server):
        self.note(f'restart of {type(server).__name__}')
        server.kill()
        server.start()

    def leader_dies(self, _):
        leader = self.cluster.leader()
        if leader is None:
            return
        self.note('kill -9 of the leader')
        leader.kill()
        cluster.wait_until('another coordinator leads', lambda: self.cluster.leader() is not None, CLAIM_PATIENCE)
        leader.start()

    def faults(self):
        """Every kind of fault comes once, in an order by chance, then more of them."""
        c = self.cluster
        kinds = [(self.kill, c.workers), (self.kill, c.gateways), (self.leader_dies, c.coordinators),
                 (self.pause, c.workers), (self.pause, c.coordinators), (self.drain, c.workers),
                 (self.drain, c.coordinators), (self.drain, c.gateways), (self.restart, [self.kafka]),
                 (self.restart, [self.s3]), (self.restart, [self.tables])]
        while True:
            self.random.shuffle(kinds)
            yield from kinds

    def disturb(self):
        for n, (fault, of) in enumerate(self.faults()):
            if n >= self.options.rounds:
                return
            fault(self.random.choice(of))
            self.cluster.wait_running(PARTITIONS, f'after {list(self.done)[-1]}')

    def finish(self):
        error = self.producer.communicate()[1]
        assert self.producer.returncode == 0, f'produce: {error}'
        self.cluster.run('stream', 'advance', 'flights', '--to', 'end')
        self.cluster.run('results', 'hourly', '--wait', '--format', 'csv')
        cluster.wait_until('every result file is put',
                           lambda: sum(cluster.owed(w) for w in self.cluster.workers) == 0)

    def check(self):
        for daemon in self.cluster.workers + self.cluster.gateways + self.cluster.coordinators:
            daemon.stop()
        outputs = [cluster.oracle(self.options.logdump, self.scratch, 'flights', p, self.script, self.scratch, self.config)
                   for p in range(PARTITIONS)]
        rows = cluster.compare_table(self.tables, 'hourly', COLUMNS, outputs)
        files = cluster.compare_files(self.s3.bucket, 'hourly', COLUMNS, outputs)
        late = cluster.compare_late(self.tables, 'hourly', outputs)
        read = sum(o['counters']['read'] for o in outputs)
        twice = sum(o['counters'].get('duplicate', 0) for o in outputs)
        assert read - twice == self.options.events, f'{read - twice} distinct events were counted'
        print(f'{rows} rows, {files} files, {late} late events, {twice} duplicates dropped: equal to the oracle')

    def close(self):
        if self.producer is not None and self.producer.poll() is None:
            self.producer.kill()
        self.cluster.close()
        for server in (self.kafka, self.s3, self.tables):
            server.kill()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--millrace', required=True)
    parser.add_argument('--logdump', required=True)
    parser.add_argument('--flights', required=True)
    parser.add_argument('--rounds', type=int, default=11)
    parser.add_argument('--seed', type=int, default=int(time.time()))
    parser.add_argument('--rate', type=int, default=5_000)
    parser.add_argument('--events', type=int, default=508_239)
    options = parser.parse_args()
    servers.require()
    scratch = tempfile.mkdtemp(prefix='millrace-cluster-')
    os.chmod(scratch, 0o755)  # PostgreSQL runs as another user
    run = Run(options, scratch)
    print(f'seed {options.seed}, files in {scratch}', flush=True)
    try:
        run.prepare()
        run.disturb()
        run.finish()
        run.check()
    except BaseException:
        run.close()
        print(f'FAILED with seed {options.seed}; {scratch} is kept', flush=True)
        raise
    run.close()
    print('; '.join(f'{what}: {n}' for what, n in run.done.items()) + '; lost 0, duplicated 0', flush=True)
    shutil.rmtree(scratch)


if __name__ == '__main__':
    main()
