#!/usr/bin/env python3
"""docker-compose.yml as users start it, on images built here: kills a container of each service while flights stream in.

    compose_cluster_test.py --millrace BIN --logdump BIN --flights FILE

Each service dies by kill -9 in turn, and the engine must start it again; workers become five and then two. Prometheus
must see every process. Then the cluster goes down and up. In the end the table in PostgreSQL, the Parquet files in the
bucket and the late output must equal what the oracle folds out of the topics that were really written, and `down -v` must
leave nothing. Needs what compose_test.py needs, else it says SKIPPED and exits with 77.
"""
import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request

import composed
import cluster
from cluster_test import PARTITIONS, STREAM
from kill_test import COLUMNS, TUMBLING, write

# Grafana is not built here.
SERVICES = ['coordinator-1', 'coordinator-2', 'gateway-1', 'gateway-2', 'worker', 'prometheus']
KILLED = ['worker', 'gateway-1', 'coordinator-1', 'kafka', 'gateway-2', 'objectstore', 'coordinator-2', 'postgres']
CALLED = ['GATEWAY_1_PORT', 'GATEWAY_2_PORT', 'COORDINATOR_1_PORT', 'COORDINATOR_2_PORT']
PORTS = [*CALLED, 'POSTGRES_PORT', 'PROMETHEUS_PORT', 'GRAFANA_PORT']
RATE = 2000


class Run:
    def __init__(self, options, scratch):
        self.options = options
        self.scratch = scratch
        self.compose = composed.Compose(options.env, f'millrace-e2e-{os.getpid()}', 'docker-compose.yml', PORTS)
        self.servers = ','.join(f'127.0.0.1:{self.compose.ports[name]}' for name in CALLED)
        self.script = write(os.path.join(scratch, 'all.sql'), STREAM % '2 hours' + TUMBLING % '1 hour')
        self.producer = None
        self.kills = 0

    def run(self, *args, check=True):
        done = subprocess.run([self.options.millrace, '--server', self.servers, *args], capture_output=True, text=True)
        if check and done.returncode != 0:
            raise AssertionError(f'millrace {" ".join(args)}: exit {done.returncode}: {done.stderr}')
        return done

    def shards(self):
        done = self.run('shard', 'list', '--format', 'json', check=False)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def wait_running(self, workers, why):
        """All shards run, on so many workers."""
        def runs():
            shards = self.shards()
            return (len(shards) == PARTITIONS and all(s['state'] == 'running' for s in shards) and
                    len({s['worker'] for s in shards}) == workers)
        cluster.wait_until(f'all shards run on {workers} workers {why}', runs, composed.PATIENCE)

    def seen_by_prometheus(self):
        query = urllib.parse.urlencode({'query': 'count(up{job="millrace"} == 1)'})
        url = f'http://127.0.0.1:{self.compose.ports["PROMETHEUS_PORT"]}/api/v1/query?{query}'
        try:
            result = json.load(urllib.request.urlopen(url, timeout=10))['data']['result']
        except OSError:
            return 0
        return int(result[0]['value'][1]) if result else 0

    def start(self):
        self.compose('up', '--detach', *SERVICES)

    def prepare(self):
        self.start()
        cluster.wait_until('the views can be made', lambda: self.run('apply', self.script, check=False).returncode == 0,
                           composed.PATIENCE)
        self.wait_running(3, 'after the start')
        cluster.wait_until('Prometheus sees all', lambda: self.seen_by_prometheus() == 7, composed.PATIENCE)
        self.producer = subprocess.Popen(
            [self.options.millrace, '--server', self.servers, 'produce', 'flights', '--input', self.options.flights,
             '--producer-id', 'e2e', '--rate', str(RATE)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def kill_each(self):
        for service in KILLED:
            begin = time.monotonic()
            self.compose.kill(service)
            self.kills += 1
            # A worker that came back has got shards again, at the latest when it is no newcomer any more.
            cluster.wait_until('all shards run', lambda: len(self.shards()) == PARTITIONS and
                               all(s['state'] == 'running' for s in self.shards()), composed.PATIENCE)
            if self.producer.poll() is not None:
                raise AssertionError('all events were sent before every container was killed: use a lower rate')
            print(f'killed {service}: all well again after {time.monotonic() - begin:.1f} s', flush=True)

    def scale(self):
        for workers in (5, 2):
            self.compose('up', '--detach', '--no-recreate', '--scale', f'worker={workers}', *SERVICES)
            self.wait_running(workers, 'after the number of workers changed')
            cluster.wait_until('Prometheus sees all', lambda: self.seen_by_prometheus() == 4 + workers, composed.PATIENCE)
            print(f'{workers} workers: all shards run, Prometheus sees {4 + workers} processes', flush=True)

    def finish(self):
        error = self.producer.communicate(timeout=composed.PATIENCE)[1]
        if self.producer.returncode != 0:
            raise AssertionError(f'produce: {error}')
        self.run('stream', 'advance', 'flights', '--to', 'end')
        self.results()

    def results(self):
        cluster.wait_until('results are complete', lambda: self.run('results', 'hourly', '--wait', '--format', 'csv',
                                                                   check=False).returncode == 0, composed.PATIENCE)

    def down_and_up(self):
        self.compose('down')
        self.start()
        self.results()

    def check(self):
        # In order, so that the last files are put.
        self.compose('stop', *SERVICES)
        tables = composed.ComposeTables(self.compose)
        logdump = composed.logdump(self.options.logdump, self.compose, self.scratch)
        config = composed.write_config(self.scratch)
        outputs = [cluster.oracle(logdump, self.scratch, 'flights', p, self.script, self.scratch, config)
                   for p in range(PARTITIONS)]
        rows = cluster.compare_table(tables, 'hourly', COLUMNS, outputs)
        files = cluster.compare_files(composed.copy_bucket(self.compose, self.scratch), 'hourly', COLUMNS, outputs)
        late = cluster.compare_late(tables, 'hourly', outputs)
        print(f'{rows} rows, {files} files, {late} late events: equal to the oracle', flush=True)

    def close(self):
        if self.producer is not None and self.producer.poll() is None:
            self.producer.kill()
            self.producer.wait()
        composed.remove(self.compose)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--millrace', required=True)
    parser.add_argument('--logdump', required=True)
    parser.add_argument('--flights', required=True)
    options = parser.parse_args()
    if composed.missing():
        print(f'SKIPPED: {composed.missing()}')
        sys.exit(composed.SKIPPED)
    scratch = tempfile.mkdtemp(prefix='millrace-compose-')
    options.env = os.path.join(scratch, 'images.env')
    composed.build_images(options.millrace, options.env)
    run = Run(options, scratch)
    try:
        run.prepare()
        run.kill_each()
        run.scale()
        run.finish()
        run.down_and_up()
        run.check()
    except BaseException:
        print(run.compose('logs', '--tail', '40'), flush=True)
        raise
    finally:
        run.close()
    print(f'kills of containers: {run.kills}; workers 3, 5, 2; down and up: 1; lost 0, duplicated 0')
    shutil.rmtree(scratch)


if __name__ == '__main__':
    main()
