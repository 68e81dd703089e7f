"""A cluster of daemons on one machine: coordinators, gateways and workers over real servers."""
import json
import os
import re
import signal
import subprocess
import time
import urllib.request

import cluster
import servers

READY = re.compile(r'^ready( grpc=(\S+))? admin=(\S+)( data_dir=\S+)?$')


class Daemon:
    """One process, on ports that stay the same when it is started again over its directory."""

    def __init__(self, binary, name, folder, config, settings):
        self.binary = binary
        self.name = name
        self.kind = name.split('-')[0]
        self.data_dir = os.path.join(folder, name)
        self.log = open(self.data_dir + '.log', 'ab')
        self.grpc, self.admin = (f'127.0.0.1:{port}' for port in servers.free_ports(2))
        self.command = [f'{binary}-{self.kind}', '--config', config]
        for key, value in ({'process.name': name, 'process.data_dir': self.data_dir, 'listen.grpc': self.grpc,
                            'listen.admin': self.admin} | settings).items():
            self.command += ['--set', f'{key}={value}']
        self.process = None

    def launch(self):
        """Returns at once; `wait_ready` waits for what it prints."""
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=self.log, text=True)

    def wait_ready(self):
        line = self.process.stdout.readline().strip()
        if not READY.match(line):
            raise AssertionError(f'{self.name} does not start: {line!r}; see {self.log.name}')

    def start(self):
        self.launch()
        self.wait_ready()

    def running(self):
        return self.process is not None and self.process.poll() is None

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self, patience=cluster.PATIENCE):
        self.process.send_signal(signal.SIGTERM)
        if self.process.wait(timeout=patience) != 0:
            raise AssertionError(f'{self.name} ended with {self.process.returncode}; see {self.log.name}')

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)

    def checks(self):
        """Those of /readyz that fail."""
        return cluster.troubles(self)


class Cluster:
    """`config` names the servers. All daemons are made, none is started."""

    def __init__(self, binary, folder, config, coordinators=2, gateways=2, workers=3):
        self.binary = binary
        self.folder = folder
        self.config = config
        self.coordinators = [self.make(f'coordinator-{i}', {}) for i in range(coordinators)]
        self.addresses = ','.join(c.grpc for c in self.coordinators)
        self.gateways = [self.make(f'gateway-{i}', {}) for i in range(gateways)]
        self.workers = [self.make(f'worker-{i}', self.of_worker()) for i in range(workers)]

    def make(self, name, settings):
        return Daemon(self.binary, name, self.folder, self.config, settings)

    def of_worker(self):
        return {'worker.coordinators': self.addresses, 'worker.executors': 2}

    def add_worker(self):
        self.workers.append(self.make(f'worker-{len(self.workers)}', self.of_worker()))
        return self.workers[-1]

    def all(self):
        return self.coordinators + self.gateways + self.workers

    def start(self):
        """In any order: each waits for what it needs."""
        for daemon in reversed(self.all()):
            daemon.launch()
        for daemon in self.all():
            daemon.wait_ready()

    def servers(self):
        """Any process: a verb finds the one that can answer."""
        return ','.join(d.grpc for d in self.gateways + self.coordinators)

    def run(self, *args, check=True, **options):
        done = subprocess.run([self.binary, '--server', self.servers(), *args], capture_output=True, text=True,
                              **options)
        if check and done.returncode != 0:
            raise AssertionError(f'millrace {" ".join(args)}: exit {done.returncode}: {done.stderr}')
        return done

    def produce(self, stream, path, *args):
        return subprocess.Popen([self.binary, '--server', self.servers(), 'produce', stream, '--input', path, *args],
                                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def shards(self):
        """What `shard list` says; nothing while no coordinator answers."""
        done = self.run('shard', 'list', '--format', 'json', check=False)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def wait_running(self, shards, why):
        def all_run():
            found = self.shards()
            return len(found) == shards and all(s['state'] == 'running' for s in found)
        cluster.wait_until(f'all shards run {why}', all_run)

    def leader(self):
        """The coordinator that says it leads, or None."""
        for coordinator in self.coordinators:
            if not coordinator.running():
                continue
            try:
                found = cluster.metrics(coordinator, 'millrace_coordinator_leader')
            except OSError:
                continue
            if any(value == 1 for _, value in found):
                return coordinator
        return None

    def close(self):
        for daemon in self.all():
            if daemon.running():
                daemon.go_on()
                daemon.kill()
            if daemon.process is not None:
                daemon.process.stdout.close()
            daemon.log.close()
