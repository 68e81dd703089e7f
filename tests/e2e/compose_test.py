#!/usr/bin/env python3
"""deploy/compose/minimal.yml as users start it, on images built here: kills each container while flights stream in.

    compose_test.py --millrace BIN --logdump BIN --flights FILE [--rounds N]

Each service dies by kill -9 in turn, in each round, and the engine must start it again. Then the cluster goes down and
up. In the end the tables in PostgreSQL, the Parquet files in the bucket, the late output and the ledger must equal what
the oracle folds out of the topics that were really written, and `down -v` must leave nothing. Needs root, a Docker
engine, docker-compose, debootstrap and `deploy/setup.sh --servers --versitygw`; else it says SKIPPED and exits with 77.
"""
import argparse
import functools
import os
import shutil
import sys
import tempfile
import time
import urllib.error
import urllib.request

import composed
import cluster
import kill_test

SERVICES = ['kafka', 'objectstore', 'postgres', 'millrace']
PORTS = ['GRPC_PORT', 'ADMIN_PORT', 'POSTGRES_PORT']
RATE = 4000


class ComposeDev(cluster.Dev):
    def __init__(self, binary, data_dir, compose):
        super().__init__(binary, data_dir)
        self.compose = compose
        self.grpc = f'127.0.0.1:{compose.ports["GRPC_PORT"]}'
        self.admin = f'127.0.0.1:{compose.ports["ADMIN_PORT"]}'

    def start(self):
        self.compose('up', '--detach')
        self.starts += 1
        cluster.wait_until('everything is ready', self.ready, composed.PATIENCE)
        return True

    def ready(self):
        try:
            return urllib.request.urlopen(f'http://{self.admin}/readyz', timeout=10).status == 200
        except (OSError, urllib.error.URLError):
            return False

    def running(self):
        return False

    def stop(self):
        self.compose('stop', 'millrace')
        code = self.compose.inspect('millrace', 'ExitCode')
        if code != '0':
            raise AssertionError(f'the container of millrace ended with {code}')


class ComposeRun(kill_test.Run):
    def stand(self):
        self.compose = composed.Compose(self.options.env, f'millrace-e2e-{os.getpid()}', 'deploy/compose/minimal.yml',
                                        PORTS)
        self.servers = []
        self.config = [composed.write_config(self.scratch)]
        self.tables = composed.ComposeTables(self.compose)
        self.dev = ComposeDev(self.options.millrace, os.path.join(self.scratch, 'data'), self.compose)
        self.options.logdump = composed.logdump(self.options.logdump, self.compose, self.scratch)

    @functools.cached_property
    def objects(self):
        """A copy of the bucket, made when it is asked for: after Millrace has stopped."""
        return composed.copy_bucket(self.compose, self.scratch)

    def kill_containers(self):
        self.ensure_producer()
        for service in SERVICES * self.options.rounds:
            self.ensure_producer()
            begin = time.monotonic()
            self.compose.kill(service)
            self.kills += 1
            if self.produced():
                raise AssertionError('all events were sent before every container was killed: use a lower rate')
            print(f'killed {service}: healthy again after {time.monotonic() - begin:.1f} s', flush=True)
        # The rest without a brake. A producer that dies sends again what nobody has acknowledged.
        self.options.rate = 0
        if self.producer.poll() is None:
            self.producer.kill()
            self.producer.wait()
            self.producer_kills += 1
        deadline = time.monotonic() + composed.PATIENCE
        while not self.produced():
            if time.monotonic() > deadline:
                raise AssertionError(f'the producer does not end: {self.producer.stderr.read()}')
            self.ensure_producer()
            self.producer.wait(timeout=composed.PATIENCE)

    def down_and_up(self):
        self.compose('down')
        self.dev.start()
        for view in self.views:
            self.dev.command('results', view, '--wait', '--format', 'csv')

    def close(self):
        """Whatever happened, nothing stays."""
        if self.producer is not None and self.producer.poll() is None:
            self.producer.kill()
            self.producer.wait()
        composed.remove(self.compose)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--millrace', required=True)
    parser.add_argument('--logdump', required=True)
    parser.add_argument('--flights', required=True)
    parser.add_argument('--rounds', type=int, default=1)
    options = parser.parse_args()
    if composed.missing():
        print(f'SKIPPED: {composed.missing()}')
        sys.exit(composed.SKIPPED)
    scratch = tempfile.mkdtemp(prefix='millrace-compose-')
    options.env = os.path.join(scratch, 'images.env')
    composed.build_images(options.millrace, options.env)
    # What kill_test asks for beside.
    options.seed, options.late, options.tumbling_only, options.rate, options.events = 1, True, True, RATE, 508_239
    run = ComposeRun(options, scratch)
    try:
        run.prepare()
        run.kill_containers()
        run.finish()
        run.down_and_up()
        run.check()
    except BaseException:
        print(run.compose('logs', '--tail', '40'), flush=True)
        raise
    finally:
        run.close()
    print(f'kills of containers: {run.kills}, of the producer: {run.producer_kills}; down and up: 1; lost 0, duplicated 0')
    shutil.rmtree(scratch)


if __name__ == '__main__':
    main()
