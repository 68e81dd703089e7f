#!/usr/bin/env python3
"""`millrace doctor`: finds nothing where all is well, and each fault that can be made, on files and on real servers.

    doctor_test.py MILLRACE [unittest arguments]
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

import cluster
import servers

PARTS = {'disk', 'log', 'objects', 'serving'}


class Doctor(unittest.TestCase):
    binary = None

    def setUp(self):
        self.scratch = tempfile.mkdtemp(prefix='millrace-doctor-')
        self.data_dir = os.path.join(self.scratch, 'data')

    def tearDown(self):
        shutil.rmtree(self.scratch)

    def examine(self, *arguments, status):
        """(result, advice) of each finding by part and check; several of one check are put together."""
        done = subprocess.run([self.binary, 'doctor', '--data-dir', self.data_dir, '--format', 'json', *arguments],
                              capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        found = {}
        for line in done.stdout.splitlines():
            finding = json.loads(line)
            found.setdefault((finding['part'], finding['check']), []).append(finding)
        return found

    def fails(self, found):
        return {check: findings for check, findings in found.items()
                if any(finding['result'] == 'FAIL' for finding in findings)}


class OnFiles(Doctor):
    def test_all_is_well_and_nothing_is_left_behind(self):
        found = self.examine(status=0)
        self.assertEqual({part for part, _ in found}, PARTS)
        self.assertEqual(self.fails(found), {})
        self.assertEqual(os.listdir(self.scratch), [])

    def test_it_runs_beside_millrace(self):
        dev = cluster.Dev(self.binary, self.data_dir)
        self.assertTrue(dev.start())
        before = sorted(os.listdir(self.data_dir))
        self.assertEqual(self.fails(self.examine(status=0)), {})
        self.assertEqual(sorted(os.listdir(self.data_dir)), before)
        dev.kill()
        dev.process.stdout.close()
        dev.log.close()

    def test_a_wrong_configuration_is_told(self):
        self.examine('--set', 'log.kindd=kafka', status=78)

    def test_a_data_directory_that_cannot_be(self):
        with open(self.data_dir, 'w'):
            pass
        found = self.examine(status=1)
        self.assertEqual(list(self.fails(found)), [('disk', 'write')])


class OnServers(Doctor):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix='millrace-doctor-servers-')
        os.chmod(cls.folder, 0o755)  # PostgreSQL runs as another user
        cls.servers = []
        for kind in (servers.Kafka, servers.S3, servers.Postgres):
            cls.servers.append(kind(os.path.join(cls.folder, kind.__name__)))
        cls.kafka, cls.s3, cls.postgres = cls.servers
        cls.config = servers.write_config(os.path.join(cls.folder, 'config.yaml'), *cls.servers)

    @classmethod
    def tearDownClass(cls):
        for server in cls.servers:
            server.kill()
        shutil.rmtree(cls.folder)

    def examine(self, *arguments, status):
        return super().examine('--config', self.config, *arguments, status=status)

    def sql(self, *statements):
        for statement in statements:
            subprocess.run([servers.programs() + '/psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', self.postgres.connection(),
                            '-c', statement], check=True, capture_output=True)

    def kafka_tool(self, tool, *arguments):
        subprocess.run(self.kafka.java(tool, '--bootstrap-server', self.kafka.address, *arguments), check=True,
                       capture_output=True)

    def topics(self):
        done = subprocess.run(self.kafka.java('org.apache.kafka.tools.TopicCommand', '--bootstrap-server',
                                              self.kafka.address, '--list'), check=True, capture_output=True, text=True)
        return {name for name in done.stdout.split() if name.startswith('__millrace_doctor')}

    def schemas(self):
        return self.postgres.rows("SELECT nspname FROM pg_namespace WHERE nspname LIKE '\\_millrace\\_doctor%'")

    def objects(self):
        return [os.path.join(at, name) for at, _, names in os.walk(self.s3.bucket) for name in names if 'doctor' in at]

    def test_all_is_well_and_nothing_is_left_behind(self):
        found = self.examine(status=0)
        self.assertEqual({part for part, _ in found}, PARTS)
        self.assertEqual(self.fails(found), {})
        for check in (('log', 'read'), ('log', 'find by time'), ('log', 'topic settings'), ('objects', 'put in parts'),
                      ('objects', 'lifecycle rules'), ('serving', 'rights'), ('serving', 'pooler')):
            self.assertIn(check, found)
        self.assertEqual((self.topics(), self.schemas(), self.objects()), (set(), [], []))

    def test_a_wrong_bucket(self):
        found = self.examine('--set', 'objects.s3.bucket=another', status=1)
        (check, findings), = self.fails(found).items()
        self.assertEqual(check, ('objects', 'bucket'))
        self.assertIn('the bucket does not exist', findings[0]['found'])

    def test_a_wrong_key(self):
        found = self.examine('--set', 'objects.s3.secret_key=another', status=1)
        self.assertEqual(list(self.fails(found)), [('objects', 'bucket')])

    def test_an_unsafe_topic(self):
        self.kafka_tool('org.apache.kafka.tools.TopicCommand', '--create', '--topic', '__millrace_control',
                        '--config', 'cleanup.policy=compact')
        try:
            found = self.examine(status=1)
            self.assertEqual(list(self.fails(found)), [('log', 'topic settings')])
            text = found[('log', 'topic settings')][0]
            self.assertIn('setting=cleanup.policy', text['found'])
            self.assertIn('kafka-configs.sh --alter --topic __millrace_control', text['advice'])
        finally:
            self.kafka_tool('org.apache.kafka.tools.TopicCommand', '--delete', '--topic', '__millrace_control')

    def test_fewer_brokers_than_copies(self):
        found = self.examine('--set', 'log.kafka.replication=3', status=1)
        self.assertEqual(list(self.fails(found)), [('log', 'create topic')])

    def test_an_unlogged_table(self):
        self.sql('CREATE SCHEMA _millrace', 'CREATE UNLOGGED TABLE _millrace.fence (epoch bigint)',
                 'CREATE TABLE _millrace.view (namespace text)', "INSERT INTO _millrace.view VALUES ('default')",
                 'CREATE SCHEMA "default"', 'CREATE UNLOGGED TABLE "default"."v@7" (a int)',
                 'CREATE UNLOGGED TABLE "default".others (a int)')
        try:
            found = self.examine(status=1)
            (check, findings), = self.fails(found).items()
            self.assertEqual(check, ('serving', 'tables'))
            self.assertTrue(findings[0]['found'].endswith(': _millrace.fence, default.v@7'), findings)
            self.assertIn('SET LOGGED', findings[0]['advice'])
        finally:
            self.sql('DROP SCHEMA _millrace, "default" CASCADE')

    def test_no_right_to_make_schemas(self):
        self.sql('CREATE ROLE reader LOGIN')
        connection = self.postgres.connection().replace('user=millrace', 'user=reader')
        found = self.examine('--set', f'serving.postgres.connection={connection}', status=1)
        (check, findings), = self.fails(found).items()
        self.assertEqual(check, ('serving', 'rights'))
        self.assertIn('GRANT CREATE', findings[0]['advice'])

    def test_a_database_that_is_not_there(self):
        connection = self.postgres.connection().replace('dbname=postgres', 'dbname=none')
        found = self.examine('--set', f'serving.postgres.connection={connection}', status=1)
        self.assertEqual(list(self.fails(found)), [('serving', 'reach')])

    def test_brokers_that_do_not_answer(self):
        port, = servers.free_ports(1)
        found = self.examine('--set', f'log.kafka.brokers=127.0.0.1:{port}', status=1)
        self.assertEqual(list(self.fails(found)), [('log', 'brokers')])


if __name__ == '__main__':
    if 'OnServers' in sys.argv and servers.missing():
        print(f'SKIPPED: the tests of doctor need servers: run deploy/setup.sh --servers: {servers.missing()}')
        sys.exit(1 if os.environ.get('MILLRACE_REQUIRE_SERVERS') == '1' else 0)
    Doctor.binary = os.path.abspath(sys.argv.pop(1))
    unittest.main(verbosity=2)
