"""Projects of docker-compose on images built here, and what they hold. Needs root and a Docker engine."""
import functools
import os
import shutil
import signal
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, 'tests', 'process'))
import cluster  # noqa: E402
import servers  # noqa: E402

SKIPPED = 77
# Debian's own client, where another one comes first in PATH.
DOCKER = '/usr/bin/docker' if os.path.exists('/usr/bin/docker') else 'docker'
PATIENCE = 240
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
    """A project of a compose file, on ports of its own: `ports` are the variables of the file that name them."""

    def __init__(self, env_file, project, file, ports):
        self.project = project
        self.command = ['docker-compose', '--project-directory', ROOT, '--file', os.path.join(ROOT, file),
                        '--env-file', env_file, '--project-name', project]
        self.ports = dict(zip(ports, servers.free_ports(len(ports))))
        self.environment = os.environ | {name: str(port) for name, port in self.ports.items()}

    def __call__(self, *arguments):
        done = subprocess.run([*self.command, *arguments], capture_output=True, text=True, env=self.environment)
        if done.returncode != 0:
            raise AssertionError(f'docker-compose {" ".join(arguments)}: exit {done.returncode}: {done.stderr}')
        return done.stdout.strip()

    def containers(self, service):
        return docker('ps', '--all', '--quiet', '--filter', LABEL + self.project, '--filter',
                      f'label=com.docker.compose.service={service}').split()

    def container(self, service):
        """The first, where there are several."""
        return min(self.containers(service))

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


class ComposeTables(servers.PostgresTables):
    def __init__(self, compose):
        self.compose = compose

    @functools.cached_property
    def password(self):
        return docker('exec', self.compose.container('postgres'), 'cat', '/run/millrace/postgres/password')

    def connection(self):
        port = self.compose.ports['POSTGRES_PORT']
        return f'host=127.0.0.1 port={port} user=millrace dbname=millrace password={self.password}'




def logdump(binary, compose, scratch):
    """The path of a program that runs the logdump `binary` inside the project's network."""
    folder, name = os.path.split(os.path.abspath(binary))
    path = os.path.join(scratch, 'logdump')
    with open(path, 'w') as out:
        out.write(LOGDUMP.format(docker=DOCKER, project=compose.project, folder=folder, scratch=scratch, name=name,
                                 image='millrace-local/millrace'))
    os.chmod(path, 0o755)
    return path


def write_config(scratch):
    """For logdump."""
    path = os.path.join(scratch, 'logdump.yaml')
    with open(path, 'w') as out:
        out.write(CONFIG)
    return path


def copy_bucket(compose, scratch):
    """A copy of the bucket, as a folder."""
    copy = os.path.join(scratch, 'objects')
    docker('cp', compose.container('objectstore') + ':/data/millrace', copy)
    return copy


def build_images(millrace, env_file):
    subprocess.run([os.path.join(ROOT, 'deploy', 'local-images', 'build.sh'), '--binaries', os.path.dirname(millrace),
                    '--env', env_file], check=True)


def remove(compose):
    """Whatever happened, nothing stays."""
    compose('down', '--volumes')
    left = compose.left()
    if any(left):
        raise AssertionError(f'down -v leaves something behind: {left}')
