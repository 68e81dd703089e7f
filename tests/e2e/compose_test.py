#!/usr/bin/env python3
"""docker-compose.yml as users start it, on images built here: kills each container while flights stream in.

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
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, 'tests', 'process'))
import cluster  # noqa: E402
import kill_test  # noqa: E402
import servers  # noqa: E402

SKIPPED = 77
# Debian's own client, where another one comes first in PATH.
DOCKER = '/usr/bin/docker' if os.path.exists('/usr/bin/docker') else 'docker'
SERVICES = ['kafka', 'objectstore', 'postgres', 'millrace']
PATIENCE = 240
RATE = 4000
# Of everything that compose makes for a project.
LABEL = 'label=com.docker.compose.project='
CONFIG = '''log:
  kind: kafka
  kafka: {brokers: "kafka:9092", replication: 1, min_insync_replicas: 1}
'''
# The broker has no port outside its network, so what reads topics runs inside.
LOGDUMP = '''#!/bin/sh
exec {docker} run --rm --network {project}_default --user 0:0 --volume {folder}:/logdump:ro \\
  --volume {scratch}:{scratch} --entrypoint /logdump/{name} {image} "$@"
'''


def missing():
    """Why the test cannot run here; empty: it can."""
    if os.geteuid() != 0:
        return 'only root can make images'
    for program in ('docker-compose', 'debootstrap'):
        if shutil.which(program) is None:
            return f'{program} is not installed'
    if subprocess.run([DOCKER, 'info'], capture_output=True).returncode != 0:
        return 'there is no Docker engine'
    if not os.path.exists(os.path.join(ROOT, '.deps', 'versitygw', 'stamp')):
        return 'no S3 store: run deploy/setup.sh --versitygw'
    return servers.missing()


def docker(*arguments):
    return subprocess.run([DOCKER, *arguments], check=True, capture_output=True, text=True).stdout.strip()


class Compose:
    """A project of docker-compose.yml, on ports of its own."""

    def __init__(self, env_file, project):
        self.project = project
        self.command = ['docker-compose', '--project-directory', ROOT, '--file', os.path.join(ROOT, 'docker-compose.yml'),
                        '--env-file', env_file, '--project-name', project]
        self.grpc, self.admin, self.postgres = servers.free_ports(3)
        self.environment = os.environ | {'GRPC_PORT': str(self.grpc), 'ADMIN_PORT': str(self.admin),
                                         'POSTGRES_PORT': str(self.postgres)}

    def __call__(self, *arguments):
        done = subprocess.run([*self.command, *arguments], capture_output=True, text=True, env=self.environment)
        if done.returncode != 0:
            raise AssertionError(f'docker-compose {" ".join(arguments)}: exit {done.returncode}: {done.stderr}')
        return done.stdout.strip()

    def container(self, service):
        return docker('ps', '--all', '--quiet', '--filter', LABEL + self.project, '--filter',
                      f'label=com.docker.compose.service={service}')

    def inspect(self, service, what):
        return docker('inspect', '--format', '{{.State.' + what + '}}', self.container(service))

    def healthy(self, service):
        return self.inspect(service, 'Health.Status') == 'healthy'

    def kill(self, service):
        """Kills what runs in the container; the engine starts it again by the policy of the file."""
        process = int(self.inspect(service, 'Pid'))
        os.kill(process, signal.SIGKILL)
        cluster.wait_until(f'{service} is started again',
                           lambda: int(self.inspect(service, 'Pid')) not in (0, process), PATIENCE)
        cluster.wait_until(f'{service} is healthy', lambda: self.healthy(service), PATIENCE)

    def left(self):
        """What is there of the project: containers, volumes and networks."""
        return [docker(kind, 'ls', *(['--all'] if kind == 'container' else []), '--quiet', '--filter', LABEL + self.project)
                for kind in ('container', 'volume', 'network')]


class ComposeDev(cluster.Dev):
    def __init__(self, binary, data_dir, compose):
        super().__init__(binary, data_dir)
        self.compose = compose
        self.grpc = f'127.0.0.1:{compose.grpc}'
        self.admin = f'127.0.0.1:{compose.admin}'

    def start(self):
        self.compose('up', '--detach')
        self.starts += 1
        cluster.wait_until('everything is ready', self.ready, PATIENCE)
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


class ComposeTables(servers.PostgresTables):
    def __init__(self, compose):
        self.compose = compose

    @functools.cached_property
    def password(self):
        return docker('exec', self.compose.container('postgres'), 'cat', '/run/millrace/postgres/password')

    def connection(self):
        return (f'host=127.0.0.1 port={self.compose.postgres} user=millrace dbname=millrace '
                f'password={self.password}')


class ComposeRun(kill_test.Run):
    def stand(self):
        self.compose = Compose(self.options.env, f'millrace-e2e-{os.getpid()}')
        self.servers = []
        self.config = [kill_test.write(os.path.join(self.scratch, 'logdump.yaml'), CONFIG)]
        self.tables = ComposeTables(self.compose)
        self.dev = ComposeDev(self.options.millrace, os.path.join(self.scratch, 'data'), self.compose)
        folder, name = os.path.split(os.path.abspath(self.options.logdump))
        self.options.logdump = kill_test.write(os.path.join(self.scratch, 'logdump'), LOGDUMP.format(
            docker=DOCKER, project=self.compose.project, folder=folder, scratch=self.scratch, name=name,
            image='millrace-local/millrace'))
        os.chmod(self.options.logdump, 0o755)

    @functools.cached_property
    def objects(self):
        """A copy of the bucket, made when it is asked for: after Millrace has stopped."""
        copy = os.path.join(self.scratch, 'objects')
        docker('cp', self.compose.container('objectstore') + ':/data/millrace', copy)
        return copy

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
        deadline = time.monotonic() + PATIENCE
        while not self.produced():
            if time.monotonic() > deadline:
                raise AssertionError(f'the producer does not end: {self.producer.stderr.read()}')
            self.ensure_producer()
            self.producer.wait(timeout=PATIENCE)

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
        self.compose('down', '--volumes')
        left = self.compose.left()
        if any(left):
            raise AssertionError(f'down -v leaves something behind: {left}')


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--millrace', required=True)
    parser.add_argument('--logdump', required=True)
    parser.add_argument('--flights', required=True)
    parser.add_argument('--rounds', type=int, default=1)
    options = parser.parse_args()
    if missing():
        print(f'SKIPPED: {missing()}')
        sys.exit(SKIPPED)
    scratch = tempfile.mkdtemp(prefix='millrace-compose-')
    options.env = os.path.join(scratch, 'images.env')
    subprocess.run([os.path.join(ROOT, 'deploy', 'local-images', 'build.sh'), '--binary', options.millrace, '--env',
                    options.env], check=True)
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
