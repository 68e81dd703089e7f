#!/usr/bin/env python3
"""A wrong configuration of a server is told at the start with what to change; a server that is away is waited for.

    wrong_servers_test.py MILLRACE [unittest arguments]

Against a real Kafka broker, S3 store and PostgreSQL.
"""
import os
import subprocess

import cluster
import daemons
import servers

CONFIG = 78
PATIENCE = 90


class WrongServers(servers.ServersCase):
    def command(self, data_dir, config):
        return [cluster.DevCase.binary, 'dev', '--data-dir', data_dir, '--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0',
                '--config', config]

    def refused(self, on, *fragments, **changed):
        """The process ends by itself, and says all of it."""
        done = subprocess.run(self.command(self.data_dir(), self.config(*on, **changed)), capture_output=True, text=True,
                              timeout=PATIENCE)
        self.assertEqual(done.returncode, CONFIG, done.stderr)
        for fragment in fragments:
            self.assertIn(fragment, done.stderr)

    def test_s3(self):
        self.refused([self.s3], 'the bucket does not exist: make it, or configure another',
                     objects__s3__bucket='nowhere')
        self.refused([self.s3], 'the secret key is wrong: check the credentials', objects__s3__secret_key='guess')
        self.refused([self.s3], 'the store does not know the access key', objects__s3__access_key='stranger')

    def test_kafka(self):
        self.refused([self.kafka], 'the Kafka brokers refuse this client', 'Authentication failed',
                     log__kafka__password='guess')
        self.refused([self.kafka], 'the Kafka brokers refuse this client', 'Authentication failed',
                     log__kafka__user='stranger')
        self.kafka.tool('TopicCommand', '--create', '--topic', '__millrace_control', '--config', 'cleanup.policy=compact')
        self.refused([self.kafka], 'set it as wanted', 'topic=__millrace_control', 'setting=cleanup.policy',
                     'has=compact', 'wanted=delete')
        self.kafka.tool('TopicCommand', '--delete', '--topic', '__millrace_control')

    def test_every_daemon_tells_it(self):
        config = self.config(self.kafka, self.s3, self.postgres, log__kafka__password='guess')
        for kind in ('gateway', 'coordinator', 'worker'):
            of_worker = {'worker.coordinators': '127.0.0.1:1'} if kind == 'worker' else {}
            daemon = daemons.Daemon(cluster.DevCase.binary, kind + '-wrong', self.folder, config, of_worker)
            self.addCleanup(daemon.log.close)
            done = subprocess.run(daemon.command, capture_output=True, text=True, timeout=PATIENCE)
            self.assertEqual(done.returncode, CONFIG, done.stderr)
            self.assertIn('the Kafka brokers refuse this client', done.stderr)

    def to_postgres(self, connection, *fragments):
        self.refused([self.postgres], *fragments,
                     serving__postgres__connection=f'host=127.0.0.1 port={self.postgres.port} ' + connection)

    def test_postgres(self):
        with open(os.path.join(self.postgres.data, 'pg_hba.conf'), 'w') as rules:
            rules.write('host all millrace,bare 127.0.0.1/32 trust\nhost all guest 127.0.0.1/32 scram-sha-256\n')
        self.postgres.rows('SELECT pg_reload_conf()')
        self.postgres.rows("CREATE ROLE guest LOGIN PASSWORD 'right'")
        self.postgres.rows('CREATE ROLE bare LOGIN')
        self.postgres.rows('CREATE DATABASE closed')
        self.postgres.rows('REVOKE CONNECT ON DATABASE closed FROM PUBLIC')
        self.postgres.rows("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0")
        refuses = 'PostgreSQL refuses this user: check user and password of the connection, and pg_hba.conf'
        self.to_postgres('user=guest password=guess dbname=postgres', refuses, 'password authentication failed')
        self.to_postgres('user=guest dbname=postgres', 'PostgreSQL asks for a password')
        self.to_postgres('user=stranger dbname=postgres', refuses, 'pg_hba.conf entry')
        self.to_postgres('user=millrace dbname=nowhere', 'the database does not exist: make it, or configure another')
        self.to_postgres('user=millrace dbname=latin', "make one with ENCODING 'UTF8'")
        self.to_postgres('user=bare dbname=closed', 'GRANT CONNECT ON DATABASE')
        self.to_postgres('user=bare dbname=postgres', 'GRANT CREATE ON DATABASE', 'user=bare database=postgres')
        self.to_postgres('user=millrace dbname=postgres sslmode=require', 'check sslmode and sslrootcert')

    def test_what_is_wrong_is_told_while_another_server_is_away(self):
        nobody, = servers.free_ports(1)
        self.refused([self.kafka, self.s3], 'the bucket does not exist', objects__s3__bucket='nowhere',
                     log__kafka__brokers=f'127.0.0.1:{nobody}')

    def test_what_is_away_is_waited_for(self):
        all_three = [self.kafka, self.s3, self.postgres]
        data_dir = self.data_dir()
        for server in all_three:
            server.kill()

        def said():
            with open(data_dir + '.log') as log:
                return log.read().count('the process is not ready yet; it tries again')

        with open(data_dir + '.log', 'w') as log, subprocess.Popen(
                self.command(data_dir, self.config(*all_three)), stdout=subprocess.PIPE, stderr=log, text=True) as process:
            try:
                cluster.wait_until('it says what it waits for', lambda: said() == 1, PATIENCE)
                for server in all_three:
                    self.assertIsNone(process.poll())
                    server.start()
                self.assertRegex(process.stdout.readline().strip(), cluster.READY)
            finally:
                process.kill()


if __name__ == '__main__':
    servers.run()
